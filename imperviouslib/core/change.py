"""Change between two years, cell by cell: rules as NumPy functions, and beside each its twin in r.mapcalc.

NULL is never a class and never a change: where either year is NULL the result is NULL. In arrays of classes 0 is no data, in
arrays of truth (1 true, 0 false) 255 is. Each pair `name`, `name_expression` gives the same cells; a test runs both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.legend import CLASSES, NODATA

UNKNOWN = 255
"""No data in arrays of truth and of class pairs."""
PAIR_BASE = 10
"""A pair of classes is written `PAIR_BASE * from + to`, so that 31 reads: from 3 to 1."""


def resolve_pairs(years: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of years that change is counted between: each with the next, then the first with the last.

    >>> resolve_pairs((2017, 2018, 2020))
    ((2017, 2018), (2018, 2020), (2017, 2020))
    >>> resolve_pairs((2017, 2018))
    ((2017, 2018),)
    """
    pairs = tuple(pairwise(years))
    return (*pairs, (years[0], years[-1])) if len(years) > 2 else pairs


def split_pair(code: int) -> tuple[int, int]:
    """Return (from, to) of a pair's code.

    >>> split_pair(31)
    (3, 1)
    """
    return divmod(code, PAIR_BASE)


def pair_titles() -> dict[int, str]:
    """Return the name of each pair's code, for the categories of a map."""
    return {
        PAIR_BASE * a.code + b.code: a.title if a is b else f"{a.title} -> {b.title}" for a in CLASSES for b in CLASSES
    }


def fromto(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Write which class became which.

    now, before : array (row, col), class 1-4, 0 no data
    Returns: array (row, col), uint8, 10 * before + now, 255 no data
    """
    known = (now != NODATA) & (before != NODATA)
    return np.where(known, PAIR_BASE * before.astype("int32") + now, UNKNOWN).astype("uint8")


def fromto_expression(out: str, now: str, before: str) -> str:
    """Write the r.mapcalc twin of fromto(); a sum is NULL where either map is NULL."""
    return f"{quoted(out)} = {PAIR_BASE} * {quoted(before)} + {quoted(now)}"


def belongs(classes: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Tell which cells have one of the given classes.

    classes : array (row, col), class 1-4, 0 no data
    Returns: array (row, col), uint8, 1 true, 0 false, 255 no data
    """
    return np.where(classes == NODATA, UNKNOWN, np.isin(classes, codes)).astype("uint8")


def belongs_expression(out: str, classes: str, codes: Sequence[int]) -> str:
    """Write the r.mapcalc twin of belongs()."""
    return f"{quoted(out)} = if({_any_of(classes, codes)}, 1, 0)"


def newly(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Tell which cells became true, where both years are known.

    now, before : array (row, col), uint8, 1 true, 0 false, 255 no data
    Returns: array (row, col), uint8, same codes
    """
    known = (now != UNKNOWN) & (before != UNKNOWN)
    return np.where(known, (now == 1) & (before == 0), UNKNOWN).astype("uint8")


def newly_expression(out: str, now: str, before: str) -> str:
    """Write the r.mapcalc twin of newly() on maps of truth; && is NULL where either map is NULL."""
    return f"{quoted(out)} = if({quoted(now)} == 1 && {quoted(before)} == 0, 1, 0)"


def newly_of_expression(out: str, now: str, before: str, codes: Sequence[int]) -> str:
    """Write newly() straight on two class maps: true where only the later year has one of the classes."""
    return f"{quoted(out)} = if(({_any_of(now, codes)}) && !({_any_of(before, codes)}), 1, 0)"


def grown_share(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return by how much a share grew, 0 where it did not.

    now, before : array (row, col), float64, share 0-1, NaN no data
    Returns: array (row, col), float64, share 0-1, NaN where either year is
    """
    # Where one year is NaN so is the difference, and np.maximum hands NaN on.
    return np.maximum(now - before, 0.0)


def grown_share_expression(out: str, now: str, before: str) -> str:
    """Write the r.mapcalc twin of grown_share(); a difference is NULL where either map is NULL."""
    return f"{quoted(out)} = if({quoted(now)} > {quoted(before)}, {quoted(now)} - {quoted(before)}, 0.0)"


def kept_share_expression(out: str, share: str, other: str) -> str:
    """Write a map of `share` on the cells that both maps know."""
    return f"{quoted(out)} = if(isnull({quoted(other)}), null(), {quoted(share)})"


def resolve_share_scale(least: float, most: float) -> int:
    """Return the value of a full share, 1 or 100, from the least and the greatest value of all maps together.

    A share in per cent that never exceeds 1 anywhere is taken for a fraction; no rule can tell the two apart.

    >>> resolve_share_scale(0.0, 0.93), resolve_share_scale(0.0, 87.5)
    (1, 100)
    """
    if not (least >= 0 and most <= 100):
        raise InputError(
            _("Option <shares>"),
            found=_("values from {:g} to {:g}").format(least, most),
            expected=_("shares from 0 to 1, or from 0 to 100"),
            then=_("Rescale the maps with r.mapcalc, and set their no data with r.null."),
        )
    return 1 if most <= 1 else 100


def scaled_expression(out: str, share: str, scale: int) -> str:
    """Write a share map as fractions 0-1, given the value of a full share."""
    return f"{quoted(out)} = double({quoted(share)}) / {scale}.0"


def quoted(name: str) -> str:
    """Write a map's name so that r.mapcalc takes it whole, whatever it contains.

    >>> quoted("a-b@PERMANENT")
    '"a-b@PERMANENT"'
    """
    return f'"{name}"'


def _any_of(name: str, codes: Sequence[int]) -> str:
    return " || ".join(f"{quoted(name)} == {code}" for code in codes)
