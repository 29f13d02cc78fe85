"""Change between two years, cell by cell: each rule as a NumPy function, and as an expression of r.mapcalc.

NULL is never a class and never a change: where either year is NULL the result is NULL. No data is 0 in arrays of classes, and 255 in
arrays of truth (1 true, 0 false) and of class pairs. `name` and `name_expression` give the same cells; a test runs both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.legend import CLASSES, NODATA

UNKNOWN = 255
"""No data in arrays of truth and of class pairs."""
PAIR_BASE = 10
"""The code of a pair of classes is `PAIR_BASE * from + to`: 31 is from 3 to 1."""


SPAN_YEARS = 3
"""Length of the spans that stand in the table beside single years: change of one year is small beside its error, that of three is less so."""


def resolve_pairs(years: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of years that have change maps: each year with the next, then the first with the last.

    >>> resolve_pairs((2017, 2018, 2020))
    ((2017, 2018), (2018, 2020), (2017, 2020))
    >>> resolve_pairs((2017, 2018))
    ((2017, 2018),)
    """
    pairs = tuple(pairwise(years))
    return (*pairs, (years[0], years[-1])) if len(years) > 2 else pairs


def resolve_spans(years: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of years whose change the table has: those of `resolve_pairs`, and every span of `SPAN_YEARS` years.

    >>> resolve_spans((2017, 2018, 2019, 2020, 2022))[5:]
    ((2017, 2020), (2019, 2022))
    >>> resolve_spans((2017, 2018, 2020)) == resolve_pairs((2017, 2018, 2020))
    True
    """
    spans = ((year, year + SPAN_YEARS) for year in years if year + SPAN_YEARS in years)
    return tuple(dict.fromkeys((*resolve_pairs(years), *spans)))


def is_single_year(pair: tuple[int, int]) -> bool:
    """Tell whether the time between two years is shorter than a span of `SPAN_YEARS` years.

    >>> is_single_year((2017, 2018)), is_single_year((2017, 2020))
    (True, False)
    """
    return pair[1] - pair[0] < SPAN_YEARS


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
    """Return the class pair of each cell.

    now, before : array (row, col), class 1-4, 0 no data
    Returns: array (row, col), uint8, 10 * before + now, 255 no data
    """
    known = (now != NODATA) & (before != NODATA)
    return np.where(known, PAIR_BASE * before.astype("int32") + now, UNKNOWN).astype("uint8")


def fromto_expression(out: str, now: str, before: str) -> str:
    """Write fromto() for r.mapcalc; a sum is NULL where either map is NULL."""
    return f"{quoted(out)} = {PAIR_BASE} * {quoted(before)} + {quoted(now)}"


def belongs(classes: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Return where a cell has one of the given classes.

    classes : array (row, col), class 1-4, 0 no data
    Returns: array (row, col), uint8, 1 true, 0 false, 255 no data
    """
    return np.where(classes == NODATA, UNKNOWN, np.isin(classes, codes)).astype("uint8")


def belongs_expression(out: str, classes: str, codes: Sequence[int]) -> str:
    """Write belongs() for r.mapcalc."""
    return f"{quoted(out)} = if({_any_of(classes, codes)}, 1, 0)"


def newly(now: np.ndarray, before: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Return where a cell has one of the given classes in the later year and had none of them in the earlier.

    now, before : array (row, col), class 1-4, 0 no data
    Returns: array (row, col), uint8, 1 true, 0 false, 255 no data
    """
    known = (now != NODATA) & (before != NODATA)
    return np.where(known, np.isin(now, codes) & ~np.isin(before, codes), UNKNOWN).astype("uint8")


def newly_expression(out: str, now: str, before: str, codes: Sequence[int]) -> str:
    """Write newly() for r.mapcalc; && and || are NULL where either side is NULL."""
    return f"{quoted(out)} = if(({_any_of(now, codes)}) && !({_any_of(before, codes)}), 1, 0)"


def grown_share(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return by how much a share grew, 0 where it did not.

    now, before : array (row, col), float64, share 0-1, NaN no data
    Returns: array (row, col), float64, share 0-1, NaN where either year is
    """
    # Where one year is NaN the difference is NaN, and np.maximum keeps NaN.
    return np.maximum(now - before, 0.0)


def grown_share_expression(out: str, now: str, before: str) -> str:
    """Write grown_share() for r.mapcalc; a difference is NULL where either map is NULL."""
    return f"{quoted(out)} = if({quoted(now)} > {quoted(before)}, {quoted(now)} - {quoted(before)}, 0.0)"


def kept_share_expression(out: str, share: str, other: str) -> str:
    """Write an expression that keeps `share` where both maps have a value."""
    return f"{quoted(out)} = if(isnull({quoted(other)}), null(), {quoted(share)})"


SHARE_SCALES = (1, 100)
"""Values that a full share can have in a map of shares."""


def resolve_share_scale(
    limits: Mapping[str, tuple[float, float]], *, whole: Collection[str] = (), given: int | None = None
) -> int:
    """Return the value of a full share, 1 or 100, from the smallest and the largest value of each map.

    limits : name of a map to its smallest and largest value
    whole : names of the maps that hold whole numbers
    given : what the user says; None: the values must tell it
    Each map is judged by itself; one of zeros fits both. Whole numbers of which none exceeds 1 are full shares or single per cents, and
    nothing in them tells which. Raises InputError for these, where a map holds no shares, and where some hold fractions and others per cents

    >>> resolve_share_scale({"a": (0.0, 0.93), "b": (0.0, 0.0)}), resolve_share_scale({"a": (0.0, 87.5), "b": (0.0, 0.0)})
    (1, 100)
    """
    highest = given or max(SHARE_SCALES)
    for name, (least, most) in limits.items():
        if not (least >= 0 and most <= highest):
            raise InputError(
                _("Option <shares>, map <{}>").format(name),
                found=_("values from {:g} to {:g}").format(least, most),
                expected=_("shares from 0 to {}, by <share_scale>").format(given)
                if given
                else _("shares from 0 to 1, or from 0 to 100"),
                then=_("Rescale the map with r.mapcalc, and set no data with r.null."),
            )
    if given:
        return given
    fractions = next((name for name, (_least, most) in limits.items() if 0 < most <= 1), None)
    per_cents = next((name for name, (_least, most) in limits.items() if most > 1), None)
    if fractions and per_cents:
        raise InputError(
            _("Option <shares>"),
            found=_("values up to {:g} in map <{}>, and up to {:g} in map <{}>").format(
                limits[fractions][1], fractions, limits[per_cents][1], per_cents
            ),
            expected=_("one scale in all maps, 0 to 1 or 0 to 100"),
            then=_("Rescale one of the maps with r.mapcalc, or say with share_scale=100 that all are per cents."),
        )
    known = any(most > 0 and name not in whole for name, (_least, most) in limits.items())
    if fractions and not known:
        raise InputError(
            _("Option <shares>, map <{}>").format(fractions),
            found=_("whole numbers up to 1, and no other values in all maps"),
            expected=_("values that tell shares of 0 to 1 from per cents"),
            then=_("Set share_scale=1 if 1 is a full share, or share_scale=100 if it is one per cent."),
        )
    return 100 if per_cents else 1


def scaled_expression(out: str, share: str, scale: int) -> str:
    """Write an expression of a share map as fractions 0-1, given the value of a full share."""
    return f"{quoted(out)} = double({quoted(share)}) / {scale}.0"


def change_year(chances: np.ndarray, years: Sequence[int]) -> np.ndarray:
    """Return the most likely year of a change where it is more likely than not that it happened; the earlier one of two equal years.

    chances : array (year, row, col), float32, probability that it happened in each year; NaN no data
    years : in the order of the array
    Returns: array (row, col), int32, year; 0 where the change is unlikely or no data
    """
    likely = chances.sum(axis=0) >= 0.5
    return np.where(likely, np.take(np.asarray(years, "int32"), chances.argmax(axis=0)), 0)


def change_year_expression(out: str, chances: Sequence[str], years: Sequence[int]) -> str:
    """Write change_year() for r.mapcalc, NULL where that is 0; a sum is NULL where any map is NULL."""
    names = [quoted(name) for name in chances]
    year = str(years[-1])
    for name, earlier in zip(reversed(names[:-1]), reversed(years[:-1]), strict=True):
        year = f"if({name} == greatest, {earlier}, {year})"
    return f"{quoted(out)} = eval(greatest = max({', '.join(names)}), if({' + '.join(names)} >= 0.5, {year}, null()))"


def sum_expression(out: str, names: Sequence[str]) -> str:
    """Write the sum of maps of probabilities for r.mapcalc; it does not pass 1 by the floating-point error."""
    return f"{quoted(out)} = min({' + '.join(map(quoted, names))}, 1)"


def quoted(name: str) -> str:
    """Quote a map's name for r.mapcalc, because it may contain operators.

    >>> quoted("a-b@PERMANENT")
    '"a-b@PERMANENT"'
    """
    return f'"{name}"'


def _any_of(name: str, codes: Sequence[int]) -> str:
    return " || ".join(f"{quoted(name)} == {code}" for code in codes)
