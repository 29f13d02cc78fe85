"""What the pixels of an object are: refused, or brought to unsigned numbers with 0 = no data, before anything is computed from them.

Objects are what catalogues link, so their headers may say anything. What can be converted without doubt is converted; everything else is refused.
"""

from __future__ import annotations

import numpy as np

from imperviouslib.core.errors import FetchError, _
from imperviouslib.core.grid import RES_M
from imperviouslib.core.resample import Source

MOST_DN = 32767
"""Largest number that a reflectance has: ESA stores 15 bits. 65535 marks saturated pixels; numbers between are differences below 0 that wrapped."""
MOST_CLASS = 11
"""Largest code of the scene classification."""
SATURATED = 65535
_LEAST_DN = -1000
"""Reflectance may fall below 0 where the offset is applied already, but not by more than the offset."""
_MOST_REFLECTANCE = 3.2767
_SCALES = (1.0, 0.0001)
"""Scales of stored numbers that mean reflectance x 10000."""
_RES_M = (5.0, 1000.0)
"""Sizes of pixels on the ground that can be brought to cells of 20 m. Overviews are coarser; pixels of 10 m of Web Mercator are 5 m at 60 degrees north."""


def _refuse(name: str, found: str, expected: str) -> FetchError:
    return FetchError(
        _("Object '{}'").format(name),
        found=found,
        expected=expected,
        then=_("Use another catalogue, or convert the object. Flag -k continues without this file."),
    )


def check_header(source: Source, name: str, *, is_classes: bool) -> None:
    """Raise FetchError where an object cannot hold a band of reflectance or the scene classification.

    name : for messages
    """
    if source.bands != 1:
        raise _refuse(name, _("{} bands").format(source.bands), _("one band"))
    if not source.crs:
        raise _refuse(name, _("no coordinate reference system"), _("a georeferenced raster"))
    a, b, _c, d, e, _f = source.transform
    if b or d:
        raise _refuse(name, _("a rotated grid"), _("rows from west to east"))
    if not (a > 0 > e):
        raise _refuse(name, _("rows that run from south to north") if e > 0 else _("no georeference"), _("north up"))
    kind = np.dtype(source.dtype)
    # One byte holds no reflectance, and complex numbers hold none.
    is_whole = kind.kind in "ui" and (is_classes or kind.itemsize > 1)
    if not is_whole and (is_classes or kind.kind != "f"):
        expected = _("whole numbers") if is_classes else _("uint16, or numbers that can be converted to it")
        raise _refuse(name, _("pixels of type {}").format(source.dtype), expected)
    if not is_classes and not any(np.isclose(source.scale, scale, rtol=1e-6) for scale in _SCALES):
        raise _refuse(name, _("numbers of scale {:g}").format(source.scale), _("reflectance x 10000"))


def check_ground_size(width_m: float, height_m: float, name: str) -> bool:
    """Tell whether pixels are averaged two by two, as those of 10 m are; raise FetchError where they are too large or too small.

    width_m, height_m : on the ground, whatever the unit of the object's coordinates

    >>> check_ground_size(10, 10, "B04"), check_ground_size(20, 20, "B12"), check_ground_size(5.6, 10, "in degrees")
    (True, False, True)
    """
    size = max(width_m, height_m)
    if not _RES_M[0] <= size <= _RES_M[1]:
        raise _refuse(
            name,
            _("pixels of {:.3g} m on the ground").format(size),
            _("pixels of 10 or {} m, or an overview").format(RES_M),
        )
    return size < RES_M / 2**0.5


def to_classes(values: np.ndarray, source: Source, name: str) -> np.ndarray:
    """Return scene classes: array like values, uint8, 0 = no data; raises FetchError for a code beyond 11."""
    if source.nodata is not None:
        values = np.where(values == source.nodata, 0, values)
    if values.size and (int(values.min()) < 0 or int(values.max()) > MOST_CLASS):
        wrong = int(values.max()) if int(values.max()) > MOST_CLASS else int(values.min())
        raise _refuse(name, _("scene class {}").format(wrong), _("0 to {}").format(MOST_CLASS))
    return values.astype(np.uint8, copy=False)


def to_dn(values: np.ndarray, source: Source, name: str) -> tuple[np.ndarray, int, int]:
    """Return reflectance x 10000, before the offset is applied.

    values : array (row, col) of the object's type; uint16 is changed in place
    Returns: (array like values, uint16, 0 = no data; pixels without data because they are saturated or no reflectance; how many of these are
    numbers that wrapped around below 0). Raises FetchError where the numbers cannot be told
    """
    if values.dtype == np.uint16:
        if source.nodata is not None and source.nodata != 0:
            values[values == source.nodata] = 0
        wrong = values > MOST_DN
        number = int(np.count_nonzero(wrong))
        # Differences from 64536 on are those of an offset of 1000; 65535 is saturated.
        wrapped = int(np.count_nonzero(values[wrong] >= 65536 + _LEAST_DN)) if number else 0
        wrapped -= int(np.count_nonzero(values[wrong] == SATURATED)) if number else 0
        values[wrong] = 0
        return values, number, wrapped
    known = np.isfinite(values)
    if source.nodata is not None:
        known &= values != source.nodata
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f":
        numbers = _scaled(numbers, known, name)
    # 0 is no data in every form; a float may be as small as it likes.
    known &= numbers != 0
    good = known & (numbers >= _LEAST_DN) & (numbers <= MOST_DN)
    result = np.zeros(values.shape, np.uint16)
    result[good] = np.maximum(np.rint(numbers[good]), 1)
    return result, int(np.count_nonzero(known & ~good)), 0


def _scaled(numbers: np.ndarray, known: np.ndarray, name: str) -> np.ndarray:
    """Return reflectance x 10000 of floats, which hold either that or reflectance."""
    seen = numbers[known]
    # Pixels that are neither, such as a value for no data that the header does not name, do not decide.
    seen = seen[(seen >= _LEAST_DN) & (seen <= MOST_DN) & (seen != 0)]
    if not seen.size:
        return numbers
    if seen.min() >= _LEAST_DN / 10000 and seen.max() <= _MOST_REFLECTANCE:
        return numbers * 10000
    if np.array_equal(seen, np.rint(seen)):
        return numbers
    raise _refuse(
        name,
        _("numbers from {:g} to {:g}").format(seen.min(), seen.max()),
        _("reflectance 0-1, or whole numbers x 10000"),
    )
