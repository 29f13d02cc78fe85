"""Exact warping onto the grid (pyproj, SciPy, NumPy).

GDAL's approximate transformer picks another source pixel for up to 4 % of cells, differently for every window. Here the source coordinates
of all cells come from one quintic spline per source geometry, fitted to exact coordinates every `KNOT` cells over the whole source, so a cell's
value does not depend on the window in which it is computed.
"""

from __future__ import annotations

import functools

import numpy as np
import pyproj
from scipy.interpolate import RectBivariateSpline

from imperviouslib.core.errors import InputError, sentence
from imperviouslib.core.grid import EPSG, RES_M, Grid, snap_out
from imperviouslib.edge.rasterfile import Source

KNOT = 256
"""Cells between two exact coordinates. The spline between them is right to 3e-10 of a pixel (measured over UTM tiles)."""
METHODS = ("nearest", "bilinear", "cubic")


@functools.lru_cache(maxsize=32)
def transformer(source: str, target: str) -> pyproj.Transformer:
    """Return a transformer between two CRS, x before y."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def footprint_on_grid(ring: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Bring a ring from longitude and latitude to EPSG:3035."""
    if not ring:
        return []
    x, y = transformer("EPSG:4326", f"EPSG:{EPSG}").transform(*zip(*ring, strict=True))
    return list(zip(x, y, strict=True))


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """Return a box in longitude and latitude that covers the grid."""
    return transformer(f"EPSG:{EPSG}", "EPSG:4326").transform_bounds(*grid.bounds, densify_pts=21)


@functools.lru_cache(maxsize=8)
def extent(source: Source) -> Grid:
    """Return the grid that covers the whole of a source."""
    a, _, c, _, e, f = source.transform
    bounds = (c, f + e * source.height, c + a * source.width, f)
    try:
        return snap_out(*transformer(source.crs, f"EPSG:{EPSG}").transform_bounds(*bounds, densify_pts=21))
    except (pyproj.exceptions.ProjError, OverflowError, ValueError) as err:
        raise InputError(
            sentence(
                "Raster object",
                f"CRS '{source.crs}' at {bounds}",
                "a place in Europe in a known CRS",
                "Exclude the scene.",
            )
        ) from err


@functools.lru_cache(maxsize=8)
def _splines(source: Source) -> tuple[Grid, RectBivariateSpline, RectBivariateSpline]:
    """Fit the source's pixel coordinates over its whole extent, with knots at absolute multiples of KNOT cells."""
    # A quintic spline needs six knots a side, and inner cells should not lie at its rim.
    area = extent(source).grown(3 * KNOT).snapped_out(KNOT)
    x = np.arange(area.west, area.east + 1, KNOT * area.res_m, dtype=np.float64)
    y = np.arange(area.north, area.south - 1, -KNOT * area.res_m, dtype=np.float64)
    east, north = transformer(f"EPSG:{EPSG}", source.crs).transform(*np.meshgrid(x, y))
    a, _, c, _, e, f = source.transform
    rows = np.arange(len(y), dtype=np.float64) * KNOT
    cols = np.arange(len(x), dtype=np.float64) * KNOT
    return (
        area,
        RectBivariateSpline(rows, cols, (north - f) / e, kx=5, ky=5, s=0),
        RectBivariateSpline(rows, cols, (east - c) / a, kx=5, ky=5, s=0),
    )


def source_coordinates(source: Source, part: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return where the centres of the cells of `part` lie in a source.

    Returns: (row, col), two arrays (row, col) of float64, in pixels from the source's outer corner; 0.5 is the first pixel's centre
    """
    area, of_row, of_col = _splines(source)
    row, col = part.offset_in(area)
    rows = np.arange(row, row + part.height) + 0.5
    cols = np.arange(col, col + part.width) + 0.5
    return of_row(rows, cols), of_col(rows, cols)


def source_window(source: Source, part: Grid, margin: int = 3) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the source's pixels ((row, row), (col, col)) that cells of `part` may need, or None where there are none."""
    area, of_row, of_col = _splines(source)
    row, col = part.offset_in(area)
    # The coordinates are monotonous along the edges, so the edges hold the extremes.
    rows = np.linspace(row, row + part.height, 33)
    cols = np.linspace(col, col + part.width, 33)
    window = []
    for spline, size in ((of_row, source.height), (of_col, source.width)):
        values = spline(rows, cols)
        low, high = int(np.floor(values.min())) - margin, int(np.ceil(values.max())) + margin
        low, high = max(low, 0), min(high, size)
        if low >= high:
            return None
        window.append((low, high))
    return window[0], window[1]


def resample(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray, method: str) -> np.ndarray:
    """Take the values of cells from pixels; 0 is no data.

    pixels : array (row, col), unsigned integer, 0 = no data
    rows, cols : arrays (row, col), float64, the cells' centres in pixels from the array's outer corner
    method : nearest; bilinear; cubic (Keys, a = -1/2)
    Returns: array like rows, float32 (nearest: the pixels' type), 0 = no data. A cell has data if and only if its nearest pixel has, so all
    methods see the same ground. Bilinear weights the valid neighbours; cubic falls back to bilinear where one of its 16 pixels has no data.
    """
    height, width = pixels.shape
    row, col = np.floor(rows).astype(np.int32), np.floor(cols).astype(np.int32)
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    nearest = np.where(inside, pixels[np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)], 0).astype(pixels.dtype)
    if method == "nearest":
        return nearest
    # Two pixels of margin without data let every tap be read without a bounds test.
    padded = np.zeros((height + 6, width + 6), dtype=np.float32)
    padded[3:-3, 3:-3] = pixels
    flat, stride = padded.ravel(), width + 6
    top = np.clip(np.floor(rows - 0.5), -2, height).astype(np.int32)
    left = np.clip(np.floor(cols - 0.5), -2, width).astype(np.int32)
    y, x = (rows - 0.5 - top).astype(np.float32), (cols - 0.5 - left).astype(np.float32)
    origin = (top + 3) * stride + (left + 3)

    def taps(
        weights_y: list[np.ndarray], weights_x: list[np.ndarray], first: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        value, weight = np.zeros(rows.shape, np.float32), np.zeros(rows.shape, np.float32)
        whole = np.ones(rows.shape, bool)
        for i, wy in enumerate(weights_y, start=first):
            for j, wx in enumerate(weights_x, start=first):
                pixel = flat[origin + (i * stride + j)]
                w = wy * wx
                value += w * pixel
                valid = pixel > 0
                weight += np.where(valid, w, 0)
                whole &= valid
        return value, weight, whole

    value, weight, _ = taps([1 - y, y], [1 - x, x], 0)
    result = np.where(nearest > 0, value / np.maximum(weight, np.float32(1e-6)), 0)
    if method == "cubic":
        value, _, whole = taps(_keys(y), _keys(x), -1)
        result = np.where((nearest > 0) & whole, value, result)
    return result


def _keys(t: np.ndarray) -> list[np.ndarray]:
    """Return the four weights of Keys' cubic convolution (1981), a = -1/2, for pixels at -1, 0, 1, 2."""
    return [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]


def halve(pixels: np.ndarray) -> np.ndarray:
    """Average 2 x 2 pixels, leaving out those without data: 10 m bands to 20 m.

    Returns: array (row // 2, col // 2), uint16, 0 = no data
    """
    height, width = (n // 2 * 2 for n in pixels.shape)
    four = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2).astype(np.uint32)
    count = (four > 0).sum(axis=(1, 3), dtype=np.uint32)
    total = four.sum(axis=(1, 3), dtype=np.uint32)
    return ((total + count // 2) // np.maximum(count, 1)).astype(np.uint16)


def halved(source: Source) -> Source:
    """Return the geometry of `halve`'s result."""
    a, b, c, d, e, f = source.transform
    return Source(source.crs, (2 * a, b, c, d, 2 * e, f), source.height // 2, source.width // 2, source.dtype)


def is_fine(source: Source) -> bool:
    """Tell whether a source has pixels of half the grid's cell."""
    return abs(source.transform[0]) == RES_M / 2
