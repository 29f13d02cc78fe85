"""Resampling of one band: the value of a cell from the pixels around its centre (NumPy).

Positions are (row, col) in pixels from the outer corner of the source raster, so the centre of its first pixel lies at (0.5, 0.5). `edge/warp.py`
finds where a cell lies in a source. Digital numbers are unsigned integers, 0 = no data.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

METHODS = ("nearest", "bilinear", "cubic")

PixelWindow = tuple[tuple[int, int], tuple[int, int]]
"""Pixels ((first row, end row), (first col, end col)) of a raster; the ends are not included."""

_MIN_VALID = np.float32(1e-3)
"""Cubic undershoots beside bright edges. A cell with data stays above 0, since 0 means no data."""


@dataclass(frozen=True)
class Source:
    """Geometry and data type of a source raster."""

    crs: str
    """CRS as text that PROJ understands, e.g. EPSG:32633."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients (a, b, c, d, e, f) from pixels to CRS units."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    dtype: str
    """NumPy's name of the data type, e.g. uint16."""
    bands: int = field(default=1, compare=False)
    """Number of bands."""
    nodata: float | None = field(default=None, compare=False)
    """Value of pixels without data by the header; None where it names none, or names NaN."""
    scale: float = field(default=1.0, compare=False)
    """Factor of the stored numbers by the header."""


class Resampler:
    """Pixels of one band, and the method by which cells get their values from them.

    pixels : array (row, col), unsigned integer, 0 = no data
    method : nearest, bilinear, or cubic (Keys 1981, a = -1/2)
    origin : (row, col) of the first of `pixels` in the source
    """

    def __init__(self, pixels: np.ndarray, method: str, origin: tuple[int, int] = (0, 0)) -> None:
        if method not in METHODS:
            raise ValueError(method)
        self.dtype = pixels.dtype if method == "nearest" else np.dtype(np.float32)
        self._pixels, self._method, self._origin = pixels, method, origin

    def take(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the values of cells.

        rows, cols : arrays (row, col), float64, the cells' centres in pixels from the source's outer corner. They should lie close together,
            because all pixels between them are copied
        Returns: array like rows, float32 (nearest: the pixels' type), 0 = no data

        A cell has data if and only if its nearest pixel has, so all methods give the same ground, and is above 0 then. Bilinear weights the
        valid neighbours only. Cubic falls back to bilinear where one of its 16 pixels has no data.

        >>> nine = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint16)
        >>> Resampler(nine, "bilinear").take(np.array([[1.5, 2.0]]), np.array([[1.5, 2.0]])).tolist()
        [[50.0, 70.0]]
        """
        if not rows.size:
            return np.zeros(rows.shape, self.dtype)
        if self._method == "nearest":
            pixels, first_row, first_col = self._cut(np.floor(rows), np.floor(cols), 0)
            return _nearest(pixels, rows, cols, first_row, first_col)
        # Whole numbers are kept as floats as long as possible, because mixed types cost several times as much. Fractions are taken from
        # the positions in the source, so that they are the same to the last bit for every part of it that was read.
        y, x = rows - 0.5, cols - 0.5
        top, left = np.floor(y), np.floor(x)
        y -= top
        x -= left
        y, x = y.astype(np.float32), x.astype(np.float32)
        pixels, first_row, first_col = self._cut(top, left, 3)
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
            reach = (-1, 0, 1, 2) if self._method == "cubic" else (0, 1)
            _fill_beside_no_data(value, flat, stride, index, y, x, reach)
            value[_nearest(pixels, rows, cols, first_row, first_col) == 0] = 0
        return value

    def _cut(self, rows: np.ndarray, cols: np.ndarray, reach: int) -> tuple[np.ndarray, int, int]:
        """Cut the pixels between all positions, `reach` pixels wider on each side; no data where the source has no pixels.

        Returns: (array, its first row in the source, its first column)
        """
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


def _nearest(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray, first_row: int, first_col: int) -> np.ndarray:
    """Return the pixel in which each position lies."""
    index = np.floor(rows)
    index -= first_row
    index *= pixels.shape[1]
    index += np.floor(cols)
    index -= first_col
    return pixels.ravel().take(index.astype(np.intp))


def _fill_beside_no_data(
    value: np.ndarray,
    flat: np.ndarray,
    stride: int,
    index: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    reach: tuple[int, ...],
) -> None:
    """Replace values that used a pixel without data by the weighted mean of the valid ones of the nearest four pixels.

    value : array (row, col), float32, changed in place; all other cells keep their value to the last bit
    reach : which pixels a value uses, relative to the pixel at `index`, in both directions
    """
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


def _bilinear(flat: np.ndarray, stride: int, index: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate between the pixel at `index`, its right neighbour and the two below.

    flat : array (pixel), float32, rows of `stride` pixels one after the other
    index : array (row, col), intp, of the pixel to the north-west of each position
    y, x : arrays like index, float32, 0-1, from that pixel's centre to the position
    Returns: array like index, float32
    """
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
    """Convolve the 4 x 4 pixels around; the pixel at `index` is the second of the second row. Parameters as of `_bilinear`."""
    index = index - (stride + 1)
    of_x = _keys(x)
    value = np.zeros(index.shape, np.float32)
    tap = np.empty(index.shape, np.float32)
    for i, weight in enumerate(_keys(y)):
        line = flat[i * stride :].take(index)
        line *= of_x[0]
        for j in range(1, 4):
            # All indices lie within, by the cut; the mode only avoids the copy that a check before writing to `tap` makes.
            flat[i * stride + j :].take(index, out=tap, mode="clip")
            tap *= of_x[j]
            line += tap
        line *= weight
        value += line
    return np.maximum(value, _MIN_VALID, out=value)


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


def round_to_uint16(values: np.ndarray) -> np.ndarray:
    """Round resampled values, valid cells to at least 1.

    values : array (row, col), float32 (changed in place) or uint16 (returned as it is), 0 = no data
    Returns: array like values, uint16, 0 = no data

    >>> round_to_uint16(np.array([0, 0.1, 7.6, 70000], np.float32)).tolist()
    [0, 1, 8, 65535]
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

    pixels : array (row, col), unsigned integer, 0 = no data; of an odd number of rows or columns the last is left out
    Returns: array (row // 2, col // 2), uint16, 0 = no data

    >>> halve(np.array([[10, 20, 0, 0], [30, 41, 0, 7]], np.uint16)).tolist()
    [[25, 7]]
    """
    height, width = (n // 2 * 2 for n in pixels.shape)
    four = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2).astype(np.uint32)
    count = (four > 0).sum(axis=(1, 3), dtype=np.uint32)
    total = four.sum(axis=(1, 3), dtype=np.uint32)
    return ((total + count // 2) // np.maximum(count, 1)).astype(np.uint16)


def halve_source(source: Source) -> Source:
    """Return the geometry of `halve`'s result for the pixels of a whole source."""
    a, b, c, d, e, f = source.transform
    return replace(source, transform=(2 * a, b, c, d, 2 * e, f), height=source.height // 2, width=source.width // 2)
