"""Geometry of a tile: where its pixels lie on the land, and how much of each surface each pixel sees.

Each pixel sees the 5 m cells around its centre, weighted by the point spread function of the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from scipy.special import ndtr

from testsuite.world.fields import Warp
from testsuite.world.land import Land
from testsuite.world.plan import COARSE_M
from testsuite.world.spec import FINE_M, RES_M, Spec, Tile

MTF = {"red": (0.24, 10), "swir": (0.22, 20)}
"""Modulation of the instrument at the Nyquist frequency of its sampling, and that sampling in metres; for B04 (red), and for B11 and B12 (B12 has
0.23, taken as 0.22). From ESA's data quality reports, as used by Lanaras et al. 2017 and Ulfarsson et al. 2019. Red is then averaged from
10 m to 20 m, so it is sharper than the others."""
STEPS = 64
"""Number of steps within a 5 m cell to which the centre of a pixel is rounded; a step is 8 cm."""
REACH = 6
"""Radius of the point spread function, in cells of 5 m: 30 m. Less than a fiftieth of its weight lies beyond."""
SUN_AZIMUTH = np.radians(158)
"""Direction of the sun when the satellite passes, clockwise from north: in the south-east."""
LAND_SHARE = 0.75
"""A pixel is valid if at least this share of its weight lies on the modelled land."""


@dataclass(frozen=True)
class Window:
    """The part of a tile that is written; it lies on the tile's own lattice of 20 m."""

    tile: Tile
    row: int
    col: int
    height: int
    width: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north in the tile's projection, metres."""
        west, north = self.tile.ulx + self.col * RES_M, self.tile.uly - self.row * RES_M
        return west, north - self.height * RES_M, west + self.width * RES_M, north


def tile_window(spec: Spec, tile: Tile) -> Window | None:
    """Find the window of a tile that covers the land, or None."""
    west, south, east, north = spec.land_bounds
    side = np.linspace(0, 1, 60)
    warp = Warp(3035, tile.epsg, spec.land_bounds)
    gx, gy = warp.lattice(west + side * (east - west), south + side * (north - south))
    rows = (tile.uly - gy) / RES_M
    cols = (gx - tile.ulx) / RES_M
    r0, c0 = max(0, int(rows.min())), max(0, int(cols.min()))
    r1, c1 = min(tile.side_px, int(rows.max()) + 1), min(tile.side_px, int(cols.max()) + 1)
    return Window(tile, r0, c0, r1 - r0, c1 - c0) if r1 > r0 and c1 > c0 else None


def pixel_centres(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Compute the centres of the pixels in EPSG:3035. Returns: two arrays (row, col), x and y, metres, float64."""
    west, _, _, north = window.bounds
    warp = Warp(window.tile.epsg, 3035, window.bounds)
    x = west + (np.arange(window.width) + 0.5) * RES_M
    y = north - (np.arange(window.height) + 0.5) * RES_M
    return warp.lattice(x, y)


class View:
    """How the pixels of a tile see the surfaces of the land. Made once for each tile, because it is the same for all dates."""

    def __init__(
        self, spec: Spec, window: Window, red: sparse.csr_array, swir: sparse.csr_array, valid: np.ndarray
    ) -> None:
        self.spec, self.window, self.valid = spec, window, valid
        self.red, self.swir = red, swir
        """(pixel, surface): share of each surface in what the pixel sees; one for B04, one for B11 and B12."""
        x, y = pixel_centres(window)
        self.x, self.y = x.astype(np.float32), y.astype(np.float32)
        land = spec.land_bounds
        self._row = (land[3] - y) / RES_M - 0.5
        self._col = (x - land[0]) / RES_M - 0.5

    def load_land(self, land: Land, texture: np.ndarray) -> None:
        """Sample the fields of the land that are the same for all dates: textures and the slope towards the sun."""
        self.texture = [self.sample(f, RES_M) for f in texture]
        self.light = self.sample(slope_towards_sun(np.asarray(land.height), COARSE_M), COARSE_M)

    def sample(self, field: np.ndarray, cell_m: int) -> np.ndarray:
        """Interpolate a field over the land bilinearly at the pixels. Returns: array (row, col), float32."""
        f = RES_M / cell_m
        at = np.stack([(self._row + 0.5) * f - 0.5, (self._col + 0.5) * f - 0.5])
        return ndimage.map_coordinates(field, at, np.float32, order=1, mode="nearest")

    @classmethod
    def make(cls, spec: Spec, land: Land, window: Window) -> View:
        """Weight the 5 m cells around each pixel by the point spread functions, and sum the weights by surface."""
        all_x, all_y = pixel_centres(window)
        all_x, all_y = (all_x - spec.land_bounds[0]) / FINE_M, (spec.land_bounds[3] - all_y) / FINE_M
        line = {kind: psf_weights(kind).astype(np.float32) for kind in MTF}
        nowhere = len(land.before)
        if nowhere >= 1 << 23:
            raise ValueError(
                f"The land has {nowhere} surfaces, but at most {(1 << 23) - 1} are possible. Choose a smaller --size-km."
            )
        known = np.pad(land.surface, 2 * REACH, constant_values=nowhere)
        taps = (2 * REACH) ** 2
        windows = np.lib.stride_tricks.sliding_window_view(known, (2 * REACH, 2 * REACH))
        pixels, surfaces, weights = [], [], {kind: [] for kind in MTF}
        for first in range(0, window.height, 16):
            y, x = all_y[first : first + 16].ravel(), all_x[first : first + 16].ravel()
            # The cells around the centre of each pixel, and where the centre lies within the middle two.
            row, col = np.rint(y).astype(np.int32), np.rint(x).astype(np.int32)
            step_y, step_x = (np.rint((v - np.rint(v) + 0.5) * STEPS).astype(np.intp) for v in (y, x))
            at_row, at_col = (np.clip(v + REACH, 0, n - 1) for v, n in zip((row, col), windows.shape[:2], strict=True))
            around = windows[at_row, at_col].reshape(-1, taps)
            # Most pixels see one surface only.
            pure = (around == around[:, :1]).all(axis=1)
            mixed = np.flatnonzero(~pure)
            # The number of the cell is kept in the low eight bits while the cells are sorted by surface.
            key = (around[mixed] << 8) | np.arange(taps, dtype=np.int32)
            key.sort(axis=1)
            surface, tap = key >> 8, key & 255
            new = np.ones(surface.shape, bool)
            new[:, 1:] = surface[:, 1:] != surface[:, :-1]
            starts = np.flatnonzero(new)
            pixel = np.r_[np.flatnonzero(pure), mixed[starts // taps]]
            order = np.argsort(pixel, kind="stable")
            pixels.append((pixel[order] + first * window.width).astype(np.int32))
            surfaces.append(np.r_[around[pure, 0], surface.ravel()[starts]][order].astype(np.int32))
            for kind, table in line.items():
                weight = (table[step_y][mixed, :, None] * table[step_x][mixed, None, :]).reshape(-1, taps)
                weight = weight.ravel().take(tap + taps * np.arange(len(mixed))[:, None]).ravel()
                part = np.add.reduceat(weight, starts) if len(starts) else np.zeros(0)
                weights[kind].append(np.r_[np.ones(int(pure.sum())), part][order].astype(np.float32))
        pixel, surface = np.concatenate(pixels), np.concatenate(surfaces)
        size = window.height * window.width
        there = surface < nowhere
        shares = []
        for parts in weights.values():
            weight = np.concatenate(parts)[there]
            on_land = np.bincount(pixel[there], weight, size)
            shares.append((weight / on_land[pixel[there]]).astype(np.float32))
        pixel, surface = pixel[there], surface[there]
        ends = np.r_[0, np.cumsum(np.bincount(pixel, minlength=size))].astype(np.int32)
        red_share, swir_share = (sparse.csr_array((w, surface, ends), shape=(size, nowhere)) for w in shares)
        # `on_land` is that of the wider point spread function, which comes last.
        valid = (on_land >= LAND_SHARE).reshape(window.height, window.width)
        return cls(spec, window, red_share, swir_share, valid)

    def save(self, folder: Path) -> None:
        """Write the parts that take long to make."""
        name = self.window.tile.name
        parts = {"red": self.red.data, "swir": self.swir.data, "indices": self.red.indices, "indptr": self.red.indptr}
        for part, values in {**parts, "valid": self.valid}.items():
            np.save(folder / f"{name}_{part}.npy", values)

    @classmethod
    def load(cls, spec: Spec, window: Window, folder: Path) -> View:
        """Read what save() wrote."""
        name = window.tile.name
        red, swir, indices, indptr, valid = (
            np.load(folder / f"{name}_{p}.npy", mmap_mode="r") for p in ("red", "swir", "indices", "indptr", "valid")
        )
        n_surfaces = len(np.load(folder / "before.npy", mmap_mode="r"))
        red, swir = (sparse.csr_array((data, indices, indptr), shape=(valid.size, n_surfaces)) for data in (red, swir))
        return cls(spec, window, red, swir, valid)


def psf_weights(kind: str) -> np.ndarray:
    """Return the weights of the 5 m cells along a line through the centre of a pixel, for a kind of band: red or swir.

    The point spread function of optics and detector is a Gaussian with the modulation MTF at the Nyquist frequency of its sampling. Red is then
    averaged over the 20 m pixel by a box. That is a little wider than the mean of its four samples (standard deviation 7.9 instead of 7.3 m),
    and stands for the resampling to the lattice of the tile, which is not modelled.

    Returns: array (STEPS + 1, 2 x REACH), sum 1 along the last axis. The first axis is the place of the centre, from half a cell before the
    middle edge to half a cell after it
    """
    modulation, sampling = MTF[kind]
    sigma = sampling / np.pi * np.sqrt(-2 * np.log(modulation))
    centre = np.linspace(-0.5, 0.5, STEPS + 1)[:, None]
    edge = (np.arange(2 * REACH + 1) - REACH - centre) * FINE_M

    def ramp(t: np.ndarray) -> np.ndarray:
        """Integrate the Gaussian's distribution."""
        return t * ndtr(t / sigma) + sigma * np.exp(-((t / sigma) ** 2) / 2) / np.sqrt(2 * np.pi)

    box = 0.0 if sampling == RES_M else RES_M
    reached = (ramp(edge + box / 2) - ramp(edge - box / 2)) / box if box else ndtr(edge / sigma)
    weight = np.diff(reached, axis=1)
    return weight / weight.sum(axis=1, keepdims=True)


def slope_towards_sun(height: np.ndarray, cell_m: float) -> np.ndarray:
    """Return the slope of the ground towards the sun, positive where the ground faces the sun.

    height : array (row, col), metres, rows from north to south. Returns: float32, the same shape
    """
    southward, eastward = np.gradient(height, cell_m)
    return (southward * np.cos(SUN_AZIMUTH) - eastward * np.sin(SUN_AZIMUTH)).astype(np.float32)
