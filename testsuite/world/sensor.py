"""The instrument and the air: from land to the numbers of a Level-2A product.

A scene is one acquisition of one tile. Each pixel sees the land through the point spread function of the instrument, through haze,
clouds and their shadows; it is classified by a scene classification with the faults of the real one, and written as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from scipy.special import betaincinv, ndtr

from testsuite.world.fields import Warp, exp, fractal, power
from testsuite.world.land import COARSE_M, Land
from testsuite.world.materials import CLASS, CODE, CROPS, GRASS, MATERIALS, greenness, spectra, stubble
from testsuite.world.spec import FINE_M, RES_M, Spec, Tile

BASELINES = (
    ("2017-01-01", "02.05"), ("2017-10-23", "02.06"), ("2018-10-08", "02.09"), ("2018-11-20", "02.11"), ("2019-05-06", "02.12"),
    ("2019-07-10", "02.13"), ("2020-02-04", "02.14"), ("2021-03-30", "03.00"), ("2021-06-30", "03.01"), ("2022-01-25", "04.00"),
    ("2022-12-06", "05.09"), ("2023-12-13", "05.10"),
)  # fmt: skip
"""Processing baselines by the date of sensing, as first processed."""
ORBITS = {
    # A date of passing of each satellite over the place, absolute orbit then, time of the datatake. Every ten days comes the next.
    (22, "A"): ("2018-04-19T10:10:31", 14748), (22, "B"): ("2020-03-14T10:10:29", 15778),
    (65, "A"): ("2018-04-22T10:20:31", 14791), (65, "B"): ("2020-03-17T10:20:29", 15821),
    (122, "A"): ("2018-04-26T10:00:31", 14848), (122, "B"): ("2020-03-21T10:00:29", 15878),
}  # fmt: skip
SEASON = ((5, 1), (9, 30))
"""First and last month and day of the acquisitions: while trees bear leaves, as land-cover maps are commonly made."""
SECOND_SATELLITE = datetime(2017, 7, 1, tzinfo=UTC)
"""Before it, Sentinel-2B delivered nothing."""
SWATH_TILT = np.radians(13.5)
"""The track at 52.7 N, from north to east of the descending edge."""
MTF = {"red": (0.24, 10), "swir": (0.22, 20)}
"""Of B04, and of B11 with B12 (0.23, taken as 0.22): the instrument's modulation at the Nyquist frequency of its sampling, and that sampling in
metres (ESA's data quality reports, as used by Lanaras et al. 2017 and Ulfarsson et al. 2019). Red is then averaged from 10 m to 20 m, so it
is sharper than the others."""
STEPS = 64
"""Into as many steps a 5 m cell is parted when a pixel's centre is placed in it: 8 cm."""
REACH = 6
"""How far the point spread function is followed, in cells of 5 m: 30 m, beyond which it holds less than a fiftieth."""
POINTING_M = 5.0 / np.sqrt(-2 * np.log(0.05))
"""Standard deviation, along each axis, of how far an acquisition lies from its place: 5 m at 95 %. That is between the 3.5 m of products that ESA
has refined (two of them lie 5 m apart, as it announced in March 2021) and the 11 m of older ones, with which difficulty.py's bounds are not met."""
SUN_AZIMUTH = np.radians(158)
"""Where the sun stands when the satellite passes, from north to east: in the south-east."""
CLOUD = np.array([0.62, 0.46, 0.37])
CLOUD_COVER = (0.29, 1.4)
"""Parameters of the beta distribution of the share of the sky that is covered at a passing."""
ADJACENCY = 0.03
"""How much of what a pixel shows comes from the land within 250 m by way of the air, once the processor has corrected for it."""
LAND_SHARE = 0.75
"""Of what a pixel sees, as much must lie on the land for the pixel to be valid."""


@dataclass(frozen=True)
class Pass:
    """One acquisition of the whole place."""

    sensed: datetime
    """Start of the datatake, UTC."""
    satellite: str
    """A or B."""
    orbit: int
    """Relative orbit."""
    absolute: int
    """Absolute orbit."""
    cover: float
    """Share of the sky under cloud that is aimed at, 0-1."""
    edge: float | None
    """Where the swath ends, as a share of the place from west to east; None: all of the place lies in the swath."""

    @property
    def day(self) -> int:
        """Day of the year."""
        return self.sensed.timetuple().tm_yday

    @property
    def baseline(self) -> str:
        """Processing baseline at the time of sensing."""
        return [b for first, b in BASELINES if first <= f"{self.sensed:%Y-%m-%d}"][-1]


@dataclass(frozen=True)
class Window:
    """The part of a tile that an object holds; it lies on the tile's own lattice of 20 m."""

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
    """Find the pixels of a tile that meet the land, or None."""
    west, south, east, north = spec.land_bounds
    side = np.linspace(0, 1, 60)
    warp = Warp(3035, tile.epsg, spec.land_bounds)
    gx, gy = warp.lattice(west + side * (east - west), south + side * (north - south))
    rows = (tile.uly - gy) / RES_M
    cols = (gx - tile.ulx) / RES_M
    r0, c0 = max(0, int(rows.min())), max(0, int(cols.min()))
    r1, c1 = min(tile.side_px, int(rows.max()) + 1), min(tile.side_px, int(cols.max()) + 1)
    return Window(tile, r0, c0, r1 - r0, c1 - c0) if r1 > r0 and c1 > c0 else None


def passes(spec: Spec) -> list[Pass]:
    """Draw the acquisitions of all years: real repeat cycles, spread over the season, up to half of them with the swath's edge within."""
    out: list[Pass] = []
    for year in spec.years:
        rng = spec.rng("passes", year)
        calendar: list[tuple[datetime, str, int, int]] = []
        for (orbit, satellite), (known, absolute) in ORBITS.items():
            start = datetime.fromisoformat(known).replace(tzinfo=UTC)
            first = round((datetime(year, 4, 18, tzinfo=UTC) - start) / timedelta(days=10))
            for k in range(first, first + 19):
                when = start + timedelta(days=10 * k)
                early = satellite == "B" and when < SECOND_SATELLITE
                if SEASON[0] <= (when.month, when.day) <= SEASON[1] and not early:
                    calendar.append((when, satellite, orbit, absolute + 143 * k))
        calendar.sort()
        # Of few dates most see all of the place, of many every other; the others see the west and the east in turn.
        n_part = spec.dates // (2 if spec.dates > 4 else 4)
        one, other = rng.permutation((65, 122))
        picked = []
        for orbit, n in ((22, spec.dates - n_part), (one, n_part - n_part // 2), (other, n_part // 2)):
            group = [c for c in calendar if c[2] == orbit]
            # One from each part of the season.
            bounds = np.linspace(0, len(group), n + 1)
            dates = [group[int(rng.integers(int(a), max(int(a) + 1, int(b))))] for a, b in pairwise(bounds)]
            # The sky is mostly clear or mostly closed, seldom between: a beta distribution in the shape of a U. Its quantiles are
            # taken evenly, so that no year goes without clear dates.
            even = (np.arange(n) + rng.uniform(0.2, 0.8, n)) / max(1, n)
            sky = np.clip(betaincinv(*CLOUD_COVER, even), 0.01, 0.97)
            # Clear and cloudy dates take turns, so that no year has its clear ones in one part of the season alone.
            cover = np.empty(n)
            first = int(rng.integers(2))
            clear = len(cover[first::2])
            cover[first::2] = rng.permutation(sky[:clear])
            cover[1 - first :: 2] = rng.permutation(sky[clear:])
            picked += zip(dates, cover, strict=True)
        picked.sort()
        for (when, satellite, orbit, absolute), share in picked:
            edge = None if orbit == 22 else float(rng.uniform(0.25, 0.5) if orbit == 65 else rng.uniform(0.5, 0.75))
            out.append(Pass(when, satellite, orbit, absolute, float(share) if spec.clouds else 0.0, edge))
    return out


def drought(spec: Spec, year: int) -> float:
    """Tell how dry a summer was, 0-1. 2018 was very dry, 2017 and 2021 wet; other years are drawn."""
    known = {2017: 0.15, 2018: 0.90, 2019: 0.60, 2020: 0.45, 2021: 0.15, 2022: 0.75}
    return float(np.clip(known.get(year, 0.4) + spec.rng("drought", year).normal(0, 0.06), 0, 1))


def centres(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Place the pixels' centres in EPSG:3035. Returns: two arrays (row, col), x and y, metres, float64."""
    west, _, _, north = window.bounds
    warp = Warp(window.tile.epsg, 3035, window.bounds)
    x = west + (np.arange(window.width) + 0.5) * RES_M
    y = north - (np.arange(window.height) + 0.5) * RES_M
    return warp.lattice(x, y)


class View:
    """How the pixels of a tile see the surfaces of the land; made once a tile, the same for all dates."""

    def __init__(
        self, spec: Spec, window: Window, red: sparse.csr_array, swir: sparse.csr_array, valid: np.ndarray
    ) -> None:
        self.spec, self.window, self.valid = spec, window, valid
        self.red, self.swir = red, swir
        """(pixel, surface): how much of what the pixel sees is which surface, for B04 and for B11 and B12."""
        x, y = centres(window)
        self.x, self.y = x.astype(np.float32), y.astype(np.float32)
        land = spec.land_bounds
        self._row = (land[3] - y) / RES_M - 0.5
        self._col = (x - land[0]) / RES_M - 0.5

    def hold(self, land: Land, texture: np.ndarray) -> None:
        """Look up what stays the same for all dates, once."""
        self.texture = [self.sample(f, RES_M) for f in texture]
        self.light = self.sample(towards_sun(np.asarray(land.height), COARSE_M), COARSE_M)

    def sample(self, field: np.ndarray, cell_m: int) -> np.ndarray:
        """Look up a field over the land at the pixels, bilinearly. Returns: array (row, col), float32."""
        f = RES_M / cell_m
        at = np.stack([(self._row + 0.5) * f - 0.5, (self._col + 0.5) * f - 0.5])
        return ndimage.map_coordinates(field, at, np.float32, order=1, mode="nearest")

    @classmethod
    def make(cls, spec: Spec, land: Land, window: Window) -> View:
        """Weigh the 5 m cells around each pixel by the point spread functions and sum them by surface."""
        all_x, all_y = centres(window)
        all_x, all_y = (all_x - spec.land_bounds[0]) / FINE_M, (spec.land_bounds[3] - all_y) / FINE_M
        line = {kind: spread(kind).astype(np.float32) for kind in MTF}
        nowhere = len(land.before)
        if nowhere >= 1 << 23:
            raise ValueError(f"Land: found {nowhere} surfaces, expected fewer than {1 << 23}. Choose a smaller size.")
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
            # The number of the tap rides along in the low eight bits while the cells are sorted by surface.
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
        # The wider function decides, which comes last.
        valid = (on_land >= LAND_SHARE).reshape(window.height, window.width)
        return cls(spec, window, red_share, swir_share, valid)

    def save(self, folder: Path) -> None:
        """Write what takes long to make."""
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


def spread(kind: str) -> np.ndarray:
    """Return the weights of the 5 m cells along a line through a pixel's centre, by the point spread function of a kind of band.

    The optics and the detector are a Gaussian that has the modulation of MTF at the Nyquist frequency of its sampling; red is then averaged
    over the 20 m pixel as by a box, a little wider than the mean of its four samples (standard deviation 7.9 against 7.3 m): the resampling to
    the tile's lattice, which widens it too, is not modelled. Returns: array (STEPS + 1, 2 x REACH), sum 1 along the last axis; the first axis is where the centre lies, from half
    a cell before the middle edge to half a cell after it
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


def towards_sun(height: np.ndarray, cell_m: float) -> np.ndarray:
    """Return how steeply the ground falls towards the sun: what lies in the light is positive.

    height : array (row, col), metres, rows from north to south. Returns: float32, the same shape
    """
    southward, eastward = np.gradient(height, cell_m)
    return (southward * np.cos(SUN_AZIMUTH) - eastward * np.sin(SUN_AZIMUTH)).astype(np.float32)


def surface_reflectance(spec: Spec, land: Land, when: Pass) -> np.ndarray:
    """Tell the reflectance of each surface at an acquisition, and what the scene classification goes by.

    Returns: array (surface, 8), float32: B04, B11, B12, texture, leaf (share that looks green), water, dark, texture of growth and soil
    """
    year = when.sensed.year
    dry = drought(spec, year)
    material = land.material(year).copy()
    digging = land.dug & (land.since == year + 1) & (when.day > 182)
    material[digging] = CODE["bare_soil"]
    n_parcels = int(land.parcel.max()) + 1
    always = spec.rng("parcels").standard_normal((n_parcels, 4)).astype(np.float32)[land.parcel]
    this_year = spec.rng("parcels", year).standard_normal((n_parcels, 3)).astype(np.float32)[land.parcel]
    material = rotated(spec, material, land.parcel, year)
    rain = spec.rng("rain", f"{when.sensed:%Y%m%d}").random()
    wet = np.clip((1 - dry) * 1.2 * rain + 0.12 * this_year[:, 0], 0, 1)
    habit = np.clip(0.5 + 0.35 * always[:, 2], 0, 1)
    leaf = greenness(material, when.day, 6 * this_year[:, 1] + 5 * dry, np.clip(dry + 0.15 * always[:, 3], 0, 1), habit)
    out = np.empty((len(material), 8), np.float32)
    straw = stubble(material, when.day, 284 + 12 * this_year[:, 2])
    low = np.clip(0.60 * dry - 0.20 + 0.50 * this_year[:, 0], 0, 0.8)
    out[:, :3] = spectra(material, leaf, wet, straw, low)
    # Brightness differs between objects of one kind; part of it stays for good, crops and meadows change with the year.
    kind_spread = np.array([m.spread for m in MATERIALS], np.float32)[material]
    # Materials of one block differ too: the roofs' draw is not the street's.
    own = (
        spec.rng("materials")
        .standard_normal((n_parcels * 2, 4))
        .astype(np.float32)[(land.parcel * 7 + material * 13) % (n_parcels * 2)]
    )
    living = np.isin(CLASS[material], (3,)).astype(np.float32)[:, None]
    # In towns the draw is small, since sixteen roofs of a block are not one roof; in fields it is one farmer's.
    lasting = np.where(living > 0, 0.60, 0.15) * always[:, :1] * np.array([1.0, 0.9, 0.95])
    tone = np.where(living > 0, np.array([0.40, 0.27, 0.375]), np.array([0.42, 0.34, 0.50]))
    shape = lasting + own[:, :3] * tone
    shape = (
        shape
        + np.where(living > 0, 0.45 * own[:, :1], np.array([0.44, 0.44, 0.565]) * own[:, 3:])
        + np.where(np.isin(material, CROPS), 0.10, 0.25)[:, None] * living * this_year[:, :1]
    )
    tree = np.isin(material, [CODE["broadleaf"], CODE["conifer"]])
    # Woods differ little in the red, where all leaves are dark, and in their own way.
    shape[tree, 0] = 0.90 * lasting[tree, 0] + 0.66 * own[tree, 3]
    out[:, :3] *= exp(kind_spread[:, None] * shape - kind_spread[:, None] ** 2 / 2)
    out[:, 3] = np.array([m.texture for m in MATERIALS], np.float32)[material]
    grows = np.array([m.green is not None for m in MATERIALS])[material]
    out[:, 4] = np.where(
        grows, np.where(GRASS[material], 0.35 + 0.65 * leaf, leaf), (material == CODE["conifer"]).astype(np.float32)
    )
    out[:, 5] = material == CODE["water"]
    out[:, 6] = material == CODE["roof_dark"]
    # Plants and soil vary from step to step: a field more than a street or a wood, and more before the leaves close.
    growth = np.where(np.isin(material, CROPS), 3.15 - 2 * leaf, 1.7)
    out[:, 7] = out[:, 3] * np.where(tree, 0.40, np.where(living[:, 0] > 0, growth, 0.35))
    return out


def rotated(spec: Spec, material: np.ndarray, parcel: np.ndarray, year: int) -> np.ndarray:
    """Replace the crop of the first year by that of another: each field follows a rotation of its own, with exceptions."""
    n_parcels = int(parcel.max()) + 1
    follow = np.array(
        [CODE[n] for n in ("cereal", "rape", "maize", "beet", "cereal", "maize", "fallow", "beet")], np.uint8
    )
    crop = np.isin(material, follow)
    start = spec.rng("rotation").integers(0, len(follow), n_parcels)
    whim = spec.rng("rotation", year).random(n_parcels)
    plan = follow[(start + year) % len(follow)]
    plan = np.where(whim < 0.12, np.uint8(CODE["cereal"]), plan)
    return np.where(crop, plan[parcel], material).astype(np.uint8)


def textures(spec: Spec) -> np.ndarray:
    """Draw the variation within objects that stays over the years.

    Returns: array (3, row, col) on 20 m cells of the land, standard deviation 1; brightness, wetness, red alone
    """
    west, south, east, north = spec.land_bounds
    shape = (north - south) // RES_M, (east - west) // RES_M
    rng = spec.rng("texture")
    fields = [fractal(rng, shape, RES_M, largest, slope) for largest, slope in ((400, 2.2), (900, 2.5), (300, 2.5))]
    # About as the surfaces are seen through the point spread function.
    seen = np.stack([ndimage.gaussian_filter(f, 0.5) for f in fields])
    return seen / seen.std(axis=(1, 2), keepdims=True)


def sky(spec: Spec, when: Pass) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the clouds of an acquisition. Returns: arrays (row, col) on 40 m cells: thickness 0-1, shadow 0-1, cirrus 0-1; float32."""
    west, south, east, north = spec.land_bounds
    shape = -(-(north - south) // COARSE_M), -(-(east - west) // COARSE_M)
    rng = spec.rng("sky", f"{when.sensed:%Y%m%d}")
    pad = 60
    field = fractal(rng, (shape[0] + pad, shape[1] + pad), COARSE_M, float(rng.uniform(1500, 6000)), 2.9)
    cirrus = fractal(rng, shape, COARSE_M, 12000, 3.2)
    if not spec.clouds:
        return (np.zeros(shape, np.float32),) * 3
    threshold = np.quantile(field, 1 - when.cover)
    thick = np.clip((field - threshold) / 0.24, 0, 1)
    # Shadows fall away from the sun, to the north-west, farther the higher the cloud and the lower the sun.
    height = rng.uniform(600, 2200)
    away = 0.65 * (1.0 + 0.012 * abs(when.day - 172)) * height / COARSE_M
    dy, dx = int(-np.cos(SUN_AZIMUTH) * away), int(np.sin(SUN_AZIMUTH) * away)
    dy, dx = min(dy, pad - 1), min(dx, pad - 1)
    shadow = np.clip(thick[dy : dy + shape[0], dx : dx + shape[1]] * 1.6, 0, 1)
    thin = np.clip(cirrus - rng.uniform(1.0, 3.0), 0, 1) * 0.9
    return thick[: shape[0], : shape[1]], shadow, thin.astype(np.float32)


@dataclass
class Scene:
    """What the instrument delivers of one window."""

    bands: np.ndarray
    """(3, row, col) float32, reflectance of B04, B11, B12; where not `valid`, meaningless."""
    scl: np.ndarray
    """(row, col) uint8, scene classification, 0 no data."""
    valid: np.ndarray
    """(row, col) bool."""


def in_swath(view: View, when: Pass) -> np.ndarray:
    """Tell which pixels the swath covers. Returns: array (row, col), bool."""
    if when.edge is None:
        return np.ones(view.valid.shape, bool)
    west, south, east, north = view.spec.bounds
    across = (view.x - west) - (view.y - (south + north) / 2) * np.tan(SWATH_TILT)
    limit = when.edge * (east - west)
    # Orbit 65 passes in the west: its eastern edge crosses the place. Orbit 122 passes in the east.
    return across < limit if when.orbit == 65 else across > limit


def moved(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """Move an image by a part of a pixel, by cubic convolution. image : array (row, col), float32. Returns: the same shape."""
    for axis, by in enumerate((down, right)):
        at = np.arange(-2, 3) + by
        far = np.abs(at)
        near = (1.5 * far - 2.5) * far * far + 1
        outer = ((-0.5 * far + 2.5) * far - 4) * far + 2
        weights = np.where(far <= 1, near, np.where(far < 2, outer, 0))
        image = ndimage.correlate1d(image, weights, axis, np.float32, mode="nearest")
    return image


def observe(view: View, land: Land, when: Pass) -> Scene:
    """Take one scene; the view must hold the land's textures."""
    spec = view.spec
    rng = spec.rng("scene", f"{when.sensed:%Y%m%dT%H%M%S}", view.window.tile.name)
    surfaces = surface_reflectance(spec, land, when)
    red = (view.red @ surfaces[:, (0, 3, 7)]).reshape(*view.valid.shape, 3)
    swir = (view.swir @ surfaces[:, (1, 2, 3, 7, 4, 5, 6)]).reshape(*view.valid.shape, 7)
    leaf, water, dark = (swir[..., i] for i in (4, 5, 6))
    # Of each band: reflectance, texture, texture of growth and soil.
    seen = (red, swir[..., (0, 2, 3)], swir[..., (1, 2, 3)])
    t = view.texture
    west, south, east, north = spec.land_bounds
    day_rng = spec.rng("weather", f"{when.sensed:%Y%m%d}")
    coarse = (north - south) // 200, (east - west) // 200
    shower = view.sample(fractal(day_rng, coarse, 200, 9000, 3.0), 200)
    bands = np.empty((3, *view.valid.shape), np.float32)
    weight = ((1.0, 0.55, 1.65), (0.85, -0.45, 0.15), (0.85, -0.60, 0.75))
    for b in range(3):
        g = weight[b]
        mean, rough, growth = (seen[b][..., i] for i in range(3))
        bands[b] = mean * exp(rough * (g[0] * t[0] + g[1] * t[1]) + growth * g[2] * t[2] - 0.02 * (b > 0) * shower)
    bands *= 1 + np.clip(0.5 * view.light, -0.15, 0.15)
    fill = [float(b[view.valid].mean()) if view.valid.any() else 0.1 for b in bands]
    # The two tiles of an acquisition are off by the same way.
    astray = spec.rng("pointing", f"{when.sensed:%Y%m%d}").normal(0, POINTING_M, 2) / RES_M
    haze = day_rng.gamma(3.0, 0.0006) + 0.003 * when.cover
    for b in range(3):
        image = np.where(view.valid, bands[b], np.float32(fill[b]))
        if spec.noise:
            image = moved(image, *astray)
        # The air mixes neighbours.
        air = ndimage.uniform_filter(image, 25)
        bands[b] = image * (1 - ADJACENCY) + air * ADJACENCY + haze * (1.0, 0.25, 0.2)[b]
    # What is left of the air after its correction is much the same in all bands; their ratios are steadier.
    gain = 1 + day_rng.normal(0, 0.004) + day_rng.normal(0, 0.002, 3)
    bands *= gain.astype(np.float32)[:, None, None]
    thick, shadow, cirrus = (view.sample(f, COARSE_M) for f in sky(spec, when))
    shade = np.clip(shadow - thick, 0, 1)
    clear_red = bands[0].copy()
    for b in range(3):
        bands[b] *= 1 - 0.68 * shade
        cover = power(np.clip(thick * 1.25, 0, 1), 0.8)
        lumps = 0.80 + 0.30 * thick
        bands[b] = bands[b] * (1 - cover) + CLOUD[b] * lumps * cover + 0.045 * cirrus * (1.0, 0.7, 0.6)[b]
        if spec.noise:
            bands[b] += rng.standard_normal(view.valid.shape, np.float32) * (
                0.0003 + 0.0012 * np.minimum(np.abs(bands[b]), 0.3)
            )
    valid = view.valid & in_swath(view, when)
    scl = classify(clear_red, water, leaf, dark, thick, shade, cirrus, t, rng)
    scl[~valid] = 0
    return Scene(bands, scl, valid)


def classify(red, water, leaf, dark, thick, shade, cirrus, t, rng: np.random.Generator) -> np.ndarray:
    """Classify as the real product does, faults included.

    Bright roofs are taken for cloud, thin cloud is missed in places, still water is taken for shadow, dark roofs for dark area.
    All arguments: arrays (row, col); t : three fields of standard deviation 1. Returns: array (row, col), uint8, SCL codes
    """
    # Faults stay in their places: what is taken for cloud on one date is so on most.
    habit, today = t[2], rng.random(red.shape, np.float32) < 0.1
    # The classification is smoother than the image.
    leaf = ndimage.gaussian_filter(leaf, 0.7)
    scl = np.where(leaf > 0.42, 4, 5).astype(np.uint8)
    scl[(dark > 0.5) & (habit > 0) & ~today] = 2
    scl[(np.abs(leaf - 0.42) < 0.03) & (habit > 0.5)] = 7
    scl[water > 0.55] = 6
    scl[(water > 0.55) & (t[1] > 0.8)] = 3
    # In Flanders' real scenes two fifths of what lies between 0.20 and 0.225 were taken for cloud, below 0.15 a seventieth.
    scl[(red > 0.216 - 0.025 * habit) & ~today] = 8
    scl[red > 0.30] = 9
    scl[shade > 0.22] = 3
    scl[(shade > 0.10) & (shade <= 0.22)] = 7
    found = np.where(thick > 0.01, thick + 0.05 * t[1], 0)
    missed = t[0] + t[1] > 0.9
    scl[(cirrus > 0.18) & ~missed] = 10
    scl[(found > 0.06) & ~missed] = 10
    scl[(found > 0.06) & missed & (habit > 0.6)] = 7
    scl[found > 0.24] = 8
    scl[found > 0.5] = 9
    return scl
