"""Exact warping onto the grid (pyproj, SciPy, NumPy).

GDAL's approximate transformer picks another source pixel for up to 4 % of cells, differently for every window. Here the source coordinates
of all cells come from one quintic spline per source geometry, fitted to exact coordinates every `KNOT` cells over the whole source, so a cell's
value does not depend on the window in which it is computed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pyproj
from scipy.interpolate import BSpline, RectBivariateSpline

from imperviouslib.core.errors import InputError, _
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


def grid_of_lonlat(bounds: tuple[float, float, float, float]) -> Grid:
    """Return the grid that covers a box in longitude and latitude."""
    try:
        return snap_out(*transformer("EPSG:4326", f"EPSG:{EPSG}").transform_bounds(*bounds, densify_pts=21))
    except (pyproj.exceptions.ProjError, OverflowError, ValueError) as err:
        raise InputError(
            _("Box {}").format(bounds),
            found=_("no place on the grid"),
            expected=_("a place in Europe"),
            then=_("Give degrees, west first."),
        ) from err


@functools.lru_cache(maxsize=8)
def extent(source: Source) -> Grid:
    """Return the grid that covers the whole of a source."""
    a, _b, c, _d, e, f = source.transform
    bounds = (c, f + e * source.height, c + a * source.width, f)
    try:
        return snap_out(*transformer(source.crs, f"EPSG:{EPSG}").transform_bounds(*bounds, densify_pts=21))
    except (pyproj.exceptions.ProjError, OverflowError, ValueError) as err:
        raise InputError(
            _("Raster object"),
            found=_("CRS '{}' at {}").format(source.crs, bounds),
            expected=_("a place in Europe in a known CRS"),
            then=_("Exclude the scene."),
        ) from err


class Coordinates:
    """Where the cells of the grid lie in a source, from one spline over the whole source with knots at absolute multiples of KNOT cells.

    The spline is evaluated in absolute blocks of KNOT cells, always whole and by the same operations, so the coordinates of a cell
    are the same to the last bit whatever window is asked for.
    """

    def __init__(self, source: Source) -> None:
        # A quintic spline needs six knots a side, and inner cells should not lie at its rim.
        self.area = area = extent(source).grown(3 * KNOT).snapped_out(KNOT)
        x = np.arange(area.west, area.east + 1, KNOT * area.res_m, dtype=np.float64)
        y = np.arange(area.north, area.south - 1, -KNOT * area.res_m, dtype=np.float64)
        east, north = transformer(f"EPSG:{EPSG}", source.crs).transform(*np.meshgrid(x, y))
        a, _b, c, _d, e, f = source.transform
        rows = np.arange(len(y), dtype=np.float64) * KNOT
        cols = np.arange(len(x), dtype=np.float64) * KNOT
        self._row_basis, self._col_basis = [], []
        for values, name in (((north - f) / e, "_row"), ((east - c) / a, "_col")):
            spline = RectBivariateSpline(rows, cols, values, kx=5, ky=5, s=0)
            knots_y, knots_x, flat = spline.tck
            setattr(self, name, flat.reshape(len(knots_y) - 6, len(knots_x) - 6))
        self._row_basis = [_basis(knots_y, block) for block in range(len(y) - 1)]
        self._col_basis = [_basis(knots_x, block) for block in range(len(x) - 1)]
        # A row of a file's tiles meets two rows of blocks, and the next one the second of them again: 1 MB a block.
        self.of_block = functools.lru_cache(maxsize=2 * len(x))(self._of_block)

    def _of_block(self, row: int, col: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, cols) of the cell centres of block (row, col) of `area`.

        Returns: two arrays (KNOT, KNOT), float64, in pixels from the source's outer corner; 0.5 is the first pixel's centre
        """
        (first_y, of_y), (first_x, of_x) = self._row_basis[row], self._col_basis[col]
        window = slice(first_y, first_y + of_y.shape[1]), slice(first_x, first_x + of_x.shape[1])
        return of_y @ self._row[window] @ of_x.T, of_y @ self._col[window] @ of_x.T

    def blocks(self, part: Grid) -> Iterator[tuple[int, int, tuple[slice, slice], tuple[slice, slice]]]:
        """Yield the blocks that `part` meets: their row and column, and the cells as slices within `part` and within the block."""
        top, left = part.offset_in(self.area)
        for row in range(top // KNOT, -(-(top + part.height) // KNOT)):
            rows = max(top, row * KNOT), min(top + part.height, (row + 1) * KNOT)
            for col in range(left // KNOT, -(-(left + part.width) // KNOT)):
                cols = max(left, col * KNOT), min(left + part.width, (col + 1) * KNOT)
                yield (
                    row,
                    col,
                    (slice(rows[0] - top, rows[1] - top), slice(cols[0] - left, cols[1] - left)),
                    (
                        slice(rows[0] - row * KNOT, rows[1] - row * KNOT),
                        slice(cols[0] - col * KNOT, cols[1] - col * KNOT),
                    ),
                )


def _basis(knots: np.ndarray, block: int) -> tuple[int, np.ndarray]:
    """Return the first B-spline that is not zero within a block, and array (KNOT, spline): their values at the cells' centres."""
    matrix = BSpline.design_matrix(block * KNOT + np.arange(KNOT) + 0.5, knots, 5).toarray()
    used = np.flatnonzero(matrix.any(axis=0))
    return int(used[0]), np.ascontiguousarray(matrix[:, used[0] : used[-1] + 1])


@functools.lru_cache(maxsize=2)
def coordinates(source: Source) -> Coordinates:
    """Return the coordinates of a source; all bands and dates of a tile share them."""
    return Coordinates(source)


def source_coordinates(source: Source, part: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return where the centres of the cells of `part` lie in a source.

    Returns: (row, col), two arrays (row, col) of float64, in pixels from the source's outer corner; 0.5 is the first pixel's centre
    """
    rows, cols = np.empty(part.shape), np.empty(part.shape)
    found = coordinates(source)
    for row, col, here, inner in found.blocks(part):
        of_rows, of_cols = found.of_block(row, col)
        rows[here], cols[here] = of_rows[inner], of_cols[inner]
    return rows, cols


def source_window(source: Source, part: Grid, margin: int = 3) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the source's pixels ((row, row), (col, col)) that cells of `part` may need, or None where there are none."""
    found = coordinates(source)
    # The coordinates are monotonous, so the rim of the part holds their extremes: four strips of one cell.
    res, (west, south, east, north) = part.res_m, part.bounds
    rim = (
        (west, north - res, east, north), (west, south, east, south + res), (west, south, west + res, north), (east - res, south, east, north)
    )  # fmt: skip
    edges = [
        tuple(array[inner] for array in found.of_block(row, col))
        for strip in rim
        for row, col, _, inner in found.blocks(Grid(*strip, res))
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


def warp(pixels: np.ndarray, source: Source, origin: tuple[int, int], part: Grid, method: str) -> np.ndarray:
    """Take the values of the cells of `part` from pixels of a source.

    pixels : array (row, col), unsigned integer, 0 = no data: the part of the source that begins at pixel `origin` (row, col)
    method : see `resample`
    Returns: array (row, col), float32 (nearest: the pixels' type), 0 = no data
    """
    return Warper(pixels, source, origin, method).take(part)


_STRIP = 64
_LEAST = np.float32(1e-3)
"""Cubic undershoots beside bright edges; a cell that has data stays above 0, which means none."""


class Warper:
    """The pixels of one band, ready to be taken from part by part."""

    def __init__(self, pixels: np.ndarray, source: Source, origin: tuple[int, int], method: str) -> None:
        self._coordinates, self._taps = coordinates(source), Taps(pixels, method, origin)

    def take(self, part: Grid) -> np.ndarray:
        """Return the values of the cells of `part`: array (row, col) as of `resample`."""
        out = np.empty(part.shape, self._taps.dtype)
        for row, col, here, inner in self._coordinates.blocks(part):
            rows, cols = self._coordinates.of_block(row, col)
            rows, cols, into = rows[inner], cols[inner], out[here]
            # Strips that stay in the processor's cache.
            for start in range(0, len(rows), _STRIP):
                strip = slice(start, start + _STRIP)
                into[strip] = self._taps.take(rows[strip], cols[strip])
        return out


def resample(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray, method: str) -> np.ndarray:
    """Take the values of cells from pixels; 0 is no data.

    pixels : array (row, col), unsigned integer, 0 = no data
    rows, cols : arrays (row, col), float64, the cells' centres in pixels from the array's outer corner
    method : nearest; bilinear; cubic (Keys, a = -1/2)
    Returns: array like rows, float32 (nearest: the pixels' type), 0 = no data. A cell has data if and only if its nearest pixel has, so all
    methods see the same ground, and is above 0 then. Bilinear weights the valid neighbours; cubic falls back to bilinear where one of its 16 pixels has no data.
    """
    return Taps(pixels, method).take(rows, cols)


class Taps:
    """Pixels of one band from which values are taken; positions count from the source's corner, the pixels begin at `origin`."""

    def __init__(self, pixels: np.ndarray, method: str, origin: tuple[int, int] = (0, 0)) -> None:
        if method not in METHODS:
            raise ValueError(method)
        self.dtype = pixels.dtype if method == "nearest" else np.dtype(np.float32)
        self._pixels, self._method, self._origin = pixels, method, origin

    def take(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the values at positions; see `resample`. The positions should lie together: all pixels between them are copied."""
        if not rows.size:
            return np.zeros(rows.shape, self.dtype)
        if self._method == "nearest":
            pixels, first_row, first_col = self._between_all(np.floor(rows), np.floor(cols), 0)
            return self._nearest(pixels, rows, cols, first_row, first_col)
        # Whole numbers are kept as floats as long as possible: mixed types cost several times as much. Fractions are taken from the
        # positions in the source, so that they are the same to the last bit whatever part of it is at hand.
        y, x = rows - 0.5, cols - 0.5
        top, left = np.floor(y), np.floor(x)
        y -= top
        x -= left
        y, x = y.astype(np.float32), x.astype(np.float32)
        pixels, first_row, first_col = self._between_all(top, left, 3)
        if not pixels.any():
            return np.zeros(rows.shape, self.dtype)
        flat, stride = pixels.astype(np.float32).ravel(), pixels.shape[1]
        top -= first_row
        top *= stride
        top += left
        top -= first_col
        index = top.astype(np.intp)
        value = _cubic(flat, stride, index, y, x) if self._method == "cubic" else _bilinear(flat, stride, index, y, x)
        if not pixels.all():
            near = self._nearest(pixels, rows, cols, first_row, first_col) > 0
            self._mend(value, near, flat, stride, index, y, x)
        return value

    def _between_all(self, rows: np.ndarray, cols: np.ndarray, reach: int) -> tuple[np.ndarray, int, int]:
        """Cut the pixels around positions, with no data where there are none. Returns: (array, its first row, its first column)."""
        window: list[int] = []
        for positions in (rows, cols):
            window += [int(positions.min()) - reach, int(positions.max()) + reach + 1]
        top, bottom, left, right = window
        (row, col), (height, width) = self._origin, self._pixels.shape
        if row <= top and col <= left and bottom <= row + height and right <= col + width:
            return self._pixels[top - row : bottom - row, left - col : right - col], top, left
        cut = np.zeros((bottom - top, right - left), self._pixels.dtype)
        first, last = max(top, row), min(bottom, row + height)
        west, east = max(left, col), min(right, col + width)
        if first < last and west < east:
            cut[first - top : last - top, west - left : east - left] = self._pixels[
                first - row : last - row, west - col : east - col
            ]
        return cut, top, left

    @staticmethod
    def _nearest(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray, first_row: int, first_col: int) -> np.ndarray:
        index = np.floor(rows)
        index -= first_row
        index *= pixels.shape[1]
        index += np.floor(cols)
        index -= first_col
        return pixels.ravel().take(index.astype(np.intp))

    def _mend(
        self,
        value: np.ndarray,
        near: np.ndarray,
        flat: np.ndarray,
        stride: int,
        index: np.ndarray,
        y: np.ndarray,
        x: np.ndarray,
    ) -> None:
        """Correct the cells of which a tap has no data; the others keep their value to the last bit."""
        reach = (-1, 0, 1, 2) if self._method == "cubic" else (0, 1)
        broken = np.zeros(index.shape, bool)
        for i in reach:
            for j in reach:
                broken |= flat.take(index + (i * stride + j)) == 0
        at, y, x = index[broken], y[broken], x[broken]
        total, weight = np.zeros(at.shape, np.float32), np.zeros(at.shape, np.float32)
        for i, wy in enumerate((1 - y, y)):
            for j, wx in enumerate((1 - x, x)):
                pixel = flat.take(at + (i * stride + j))
                total += wy * wx * pixel
                weight += np.where(pixel > 0, wy * wx, np.float32(0))
        value[broken] = total / np.maximum(weight, np.float32(1e-6))
        value[~near] = 0


def _bilinear(flat: np.ndarray, stride: int, index: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate between the pixel at `index`, its right neighbour and the two below."""
    lines = []
    for first in (0, stride):
        value, right = flat[first:].take(index), flat[first + 1 :].take(index)
        right -= value
        right *= x
        value += right
        lines.append(value)
    value, below = lines
    below -= value
    below *= y
    value += below
    return value


def _cubic(flat: np.ndarray, stride: int, index: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Convolve the 4 x 4 pixels around; the pixel at `index` is the second of the second row."""
    index = index - (stride + 1)
    of_x = _keys(x)
    value = np.zeros(index.shape, np.float32)
    tap = np.empty(index.shape, np.float32)
    for i, weight in enumerate(_keys(y)):
        line = flat[i * stride :].take(index)
        line *= of_x[0]
        for j in range(1, 4):
            # All indices lie within, by the cut; the mode only spares the copy that a check before writing to `tap` takes.
            flat[i * stride + j :].take(index, out=tap, mode="clip")
            tap *= of_x[j]
            line += tap
        line *= weight
        value += line
    return np.maximum(value, _LEAST, out=value)


def _keys(t: np.ndarray) -> list[np.ndarray]:
    """Return the four weights of Keys' cubic convolution (1981), a = -1/2, for pixels at -1, 0, 1, 2."""
    half, last = np.float32(0.5) * t, np.float32(1.5) * t
    # In place, since making an array costs as much as a product.
    before = 1 - half
    before *= t
    before -= np.float32(0.5)
    before *= t
    here = last - np.float32(2.5)
    here *= t
    here *= t
    here += 1
    after = 2 - last
    after *= t
    after += np.float32(0.5)
    after *= t
    beyond = half - np.float32(0.5)
    beyond *= t
    beyond *= t
    return [before, here, after, beyond]


def corrected(pixels: np.ndarray, offset_dn: int) -> np.ndarray:
    """Add the offset of the processing baseline to pixels; `pixels` is used up.

    pixels : array (row, col), uint16, 0 = no data
    offset_dn : int, 0 or negative
    Returns: array like pixels, reflectance x 10000, 0 = no data; results below 1 become 1, so valid is never 0

    This comes before any resampling, so that the same ground gives the same cells to the last digit before and after baseline 04.00.
    """
    if offset_dn:
        valid = pixels > 0
        np.maximum(pixels, 1 - offset_dn, out=pixels)
        pixels -= np.uint16(-offset_dn)
        if not valid.all():
            pixels[~valid] = 0
    return pixels


def rounded(values: np.ndarray) -> np.ndarray:
    """Round resampled values to uint16, valid cells to at least 1; `values` is used up.

    values : array (row, col), float32 or uint16, 0 = no data
    """
    if values.dtype == np.uint16:
        return values
    valid = values > 0
    np.rint(values, out=values)
    np.clip(values, 1, 65535, out=values)
    result = values.astype(np.uint16)
    if not valid.all():
        result[~valid] = 0
    return result


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
