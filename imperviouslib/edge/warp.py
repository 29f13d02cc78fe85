"""Coordinates: between EPSG:3035 and other systems, and where the cells of the grid lie in a source raster (pyproj, SciPy).

GDAL's approximate transformer picks another source pixel for up to 4 % of cells, and another one for every window. Here the source coordinates
of all cells come from one quintic spline per source geometry. It is fitted to exact coordinates every `KNOT` cells over the whole source, so a
cell's value does not depend on the window in which it is computed. The values themselves are computed in `core/resample.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyproj

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import EPSG, Grid, snap_out
from imperviouslib.core.resample import PixelWindow, Resampler, Source

KNOT = 256
"""Cells between two exact coordinates. The spline between them is right to 3e-10 of a pixel (measured over UTM tiles)."""


@functools.lru_cache(maxsize=32)
def transformer(source: str, target: str) -> pyproj.Transformer:
    """Return a transformer between two CRS, x before y."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def footprint_on_grid(ring: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Project a ring of corners (longitude, latitude) in degrees to EPSG:3035. Returns: corners (x, y) in metres."""
    if not ring:
        return []
    x, y = transformer("EPSG:4326", f"EPSG:{EPSG}").transform(*zip(*ring, strict=True))
    return list(zip(x, y, strict=True))


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return a box (west, south, east, north) in degrees that covers the grid."""
    return transformer(f"EPSG:{EPSG}", "EPSG:4326").transform_bounds(*grid.bounds, densify_pts=21)


def grid_of_lonlat(bounds: tuple[float, float, float, float]) -> Grid:
    """Return the grid that covers a box (west, south, east, north) in degrees; raises InputError where it lies outside of Europe."""
    try:
        return snap_out(*transformer("EPSG:4326", f"EPSG:{EPSG}").transform_bounds(*bounds, densify_pts=21))
    except (pyproj.exceptions.ProjError, OverflowError, ValueError) as err:
        raise InputError(
            _("Box {} does not lie in the area of EPSG:{}").format(", ".join(f"{edge:g}" for edge in bounds), EPSG),
            then=_("Give a place in Europe as west,south,east,north in degrees."),
        ) from err


@functools.lru_cache(maxsize=8)
def extent(source: Source) -> Grid:
    """Return the grid that covers the whole of a source; raises InputError where its CRS is unknown or the place is outside of Europe."""
    a, _b, c, _d, e, f = source.transform
    bounds = (c, f + e * source.height, c + a * source.width, f)
    try:
        return snap_out(*transformer(source.crs, f"EPSG:{EPSG}").transform_bounds(*bounds, densify_pts=21))
    except (pyproj.exceptions.ProjError, OverflowError, ValueError) as err:
        raise InputError(
            _("Raster object"),
            found=_("CRS '{}' with bounds {}").format(source.crs, bounds),
            expected=_("a known CRS and a place in Europe"),
            then=_("Use flag -k to continue without this scene."),
        ) from err


def ground_size(source: Source) -> tuple[float, float]:
    """Return width and height in metres of the pixel in the middle of a source, on the equal-area grid: CRS may be in degrees or stretched."""
    a, _b, c, _d, e, f = source.transform
    x, y = c + a * source.width / 2, f + e * source.height / 2
    east, north = transformer(source.crs, f"EPSG:{EPSG}").transform((x, x + a, x), (y, y, y + e))
    width, height = (float(np.hypot(east[i] - east[0], north[i] - north[0])) for i in (1, 2))
    return width, height


@dataclass(frozen=True)
class BlockPart:
    """The cells of one absolute block of KNOT x KNOT cells that lie in a part of the grid."""

    row: int
    """Row of the block, in blocks from the north of `Coordinates.area`."""
    col: int
    """Column of the block, in blocks from the west."""
    in_part: tuple[slice, slice]
    """The cells as (rows, columns) of the part."""
    in_block: tuple[slice, slice]
    """The same cells as (rows, columns) of the block."""


class Coordinates:
    """Where the cells of the grid lie in a source, from one spline over the whole source with knots at absolute multiples of KNOT cells.

    The spline is evaluated in absolute blocks of KNOT cells, always whole and by the same operations, so the coordinates of a cell
    are the same to the last bit whatever window is asked for.
    """

    def __init__(self, source: Source) -> None:
        # Imported here: it takes half a second, and most tools need this module only for projections.
        from scipy.interpolate import RectBivariateSpline

        # A quintic spline needs six knots a side, and inner cells should not lie at its rim.
        self.area = area = extent(source).grown(3 * KNOT).snapped_out(KNOT)
        """All cells whose coordinates are known."""
        x = np.arange(area.west, area.east + 1, KNOT * area.res_m, dtype=np.float64)
        y = np.arange(area.north, area.south - 1, -KNOT * area.res_m, dtype=np.float64)
        east, north = transformer(f"EPSG:{EPSG}", source.crs).transform(*np.meshgrid(x, y))
        a, _b, c, _d, e, f = source.transform
        down, across = (np.arange(len(axis), dtype=np.float64) * KNOT for axis in (y, x))

        def fit(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Return the knots down and across, and the coefficients (spline down, spline across)."""
            knots_y, knots_x, flat = RectBivariateSpline(down, across, positions, kx=5, ky=5, s=0).tck
            return knots_y, knots_x, flat.reshape(len(knots_y) - 6, len(knots_x) - 6)

        knots_y, knots_x, self._rows = fit((north - f) / e)
        _same, _same, self._cols = fit((east - c) / a)
        self._basis_y = [_basis(knots_y, block) for block in range(len(y) - 1)]
        self._basis_x = [_basis(knots_x, block) for block in range(len(x) - 1)]
        # A row of a file's tiles meets two rows of blocks, and the next row meets the second of them again. A block takes 1 MB.
        self.of_block = functools.lru_cache(maxsize=2 * len(x))(self._of_block)

    def _of_block(self, row: int, col: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, cols) of the cell centres of block (row, col) of `area`.

        Returns: two arrays (KNOT, KNOT), float64, in pixels from the source's outer corner; 0.5 is the first pixel's centre
        """
        (first_y, of_y), (first_x, of_x) = self._basis_y[row], self._basis_x[col]
        window = slice(first_y, first_y + of_y.shape[1]), slice(first_x, first_x + of_x.shape[1])
        return of_y @ self._rows[window] @ of_x.T, of_y @ self._cols[window] @ of_x.T

    def blocks(self, part: Grid) -> Iterator[BlockPart]:
        """Yield the blocks that `part` meets, row by row; `part` must lie in `area`."""
        top, left = part.offset_in(self.area)
        for row in range(top // KNOT, -(-(top + part.height) // KNOT)):
            rows = max(top, row * KNOT), min(top + part.height, (row + 1) * KNOT)
            for col in range(left // KNOT, -(-(left + part.width) // KNOT)):
                cols = max(left, col * KNOT), min(left + part.width, (col + 1) * KNOT)
                yield BlockPart(
                    row,
                    col,
                    in_part=(slice(rows[0] - top, rows[1] - top), slice(cols[0] - left, cols[1] - left)),
                    in_block=(
                        slice(rows[0] - row * KNOT, rows[1] - row * KNOT),
                        slice(cols[0] - col * KNOT, cols[1] - col * KNOT),
                    ),
                )


def _basis(knots: np.ndarray, block: int) -> tuple[int, np.ndarray]:
    """Return the first B-spline that is not zero within a block, and array (KNOT, spline): their values at the cells' centres."""
    from scipy.interpolate import BSpline

    matrix = BSpline.design_matrix(block * KNOT + np.arange(KNOT) + 0.5, knots, 5).toarray()
    used = np.flatnonzero(matrix.any(axis=0))
    return int(used[0]), np.ascontiguousarray(matrix[:, used[0] : used[-1] + 1])


@functools.lru_cache(maxsize=2)
def coordinates(source: Source) -> Coordinates:
    """Return the coordinates of a source; all bands and dates of a tile share them."""
    return Coordinates(source)


def source_window(source: Source, part: Grid, margin: int = 3) -> PixelWindow | None:
    """Return the source's pixels that the cells of `part` may need, or None where there are none.

    margin : int, pixels added on each side; cubic needs 2
    """
    found = coordinates(source)
    # The coordinates are monotonic, so the border cells of the part hold their extremes: four strips of one cell.
    res, (west, south, east, north) = part.res_m, part.bounds
    border = (
        (west, north - res, east, north), (west, south, east, south + res), (west, south, west + res, north), (east - res, south, east, north)
    )  # fmt: skip
    edges = [
        tuple(positions[block.in_block] for positions in found.of_block(block.row, block.col))
        for strip in border
        for block in found.blocks(Grid(*strip, res))
    ]
    window = []
    for axis, size in ((0, source.height), (1, source.width)):
        low = int(np.floor(min(edge[axis].min() for edge in edges))) - margin
        high = int(np.ceil(max(edge[axis].max() for edge in edges))) + margin
        low, high = max(low, 0), min(high, size)
        if low >= high:
            return None
        window.append((low, high))
    return window[0], window[1]


_STRIP = 64
"""Rows resampled at a time, so that all arrays stay in the processor's cache."""


class Warper:
    """The pixels of one band, and where the cells of the grid lie in them.

    pixels : array (row, col), unsigned integer, 0 = no data: the part of the source that begins at pixel `origin` (row, col)
    method : nearest, bilinear or cubic, see `Resampler`
    """

    def __init__(self, pixels: np.ndarray, source: Source, origin: tuple[int, int], method: str) -> None:
        self._coordinates, self._resampler = coordinates(source), Resampler(pixels, method, origin)

    def take(self, part: Grid) -> np.ndarray:
        """Return the values of the cells of `part`: array (row, col), float32 (nearest: the pixels' type), 0 = no data."""
        out = np.empty(part.shape, self._resampler.dtype)
        for block in self._coordinates.blocks(part):
            rows, cols = self._coordinates.of_block(block.row, block.col)
            rows, cols, into = rows[block.in_block], cols[block.in_block], out[block.in_part]
            for start in range(0, len(rows), _STRIP):
                strip = slice(start, start + _STRIP)
                into[strip] = self._resampler.take(rows[strip], cols[strip])
        return out
