"""Indicators that need a population: impervious land per inhabitant, and SDG 11.3.1.

They are made from the rows of the table, so they fit every method. With the net change N of impervious land between two years that are T
years apart, its stock V in the earlier year, and the inhabitants P1 and P2:

- land consumption rate: LCR = N / V / T, where N / V is the per cent of the table;
- population growth rate: PGR = ln(P2 / P1) / T;
- LCRPGR = LCR / PGR, blank where the population grows or shrinks by less than `GROWTH_MIN` a year: the ratio to nearly nothing is noise.

SDG 11.3.1 asks for the built-up land of cities. Here it is the impervious land of a region.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.table import ZERO_BASE, Row
from imperviouslib.core.tableschema import CELLS_SEEN, GROWTH_MIN, method_facts

COLUMNS = ("geo", "year", "persons")
"""Columns of a table of inhabitants; others are left alone."""
PER_HEAD, LAND_RATE, GROWTH_RATE, RATIO = "IMP_HAB", "LCR", "PGR", "LCRPGR"
NO_POPULATION, NO_GROWTH, PART_SEEN = "NO_POPULATION", "NO_GROWTH", "PART_SEEN"
_UNITS = {PER_HEAD: "M2_HAB", LAND_RATE: "PC_YR", GROWTH_RATE: "PC_YR", RATIO: "RATIO"}
_IMPOSSIBLE = (ZERO_BASE, NO_GROWTH)
"""Reasons why a value cannot exist; the others say that something is not known."""

Values = tuple[float | None, float | None, float | None]
"""Value, and the lower and the upper limit of its interval."""
_BLANK: Values = (None, None, None)


@dataclass(frozen=True)
class Population:
    """The inhabitants of regions."""

    persons: Mapping[tuple[str, int], float]
    """Code of a region and year to inhabitants."""

    @property
    def years(self) -> frozenset[int]:
        """The years for which some region has a number."""
        return frozenset(year for _geo, year in self.persons)

    @property
    def geos(self) -> frozenset[str]:
        """The regions that have a number for some year."""
        return frozenset(geo for geo, _year in self.persons)


def parse_population(text: str, name: str) -> Population:
    """Parse CSV with the columns geo, year and persons; the delimiter is a comma, a semicolon or a tab.

    name : of the file, for messages
    """
    lines = text.removeprefix("\ufeff").splitlines()
    head = lines[0] if lines else ""
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=head.count))
    try:
        return _read_persons(reader, name)
    except csv.Error as err:
        raise _refused(name, str(err), _("CSV")) from err


def _read_persons(reader: csv.DictReader[str], name: str) -> Population:
    columns = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    if not set(COLUMNS) <= set(columns):
        raise _refused(name, _("columns {}").format(", ".join(columns) or _("none")), ", ".join(COLUMNS))
    persons: dict[tuple[str, int], float] = {}
    for line in reader:
        geo, year, count = ((line[column] or "").strip() for column in COLUMNS)
        where = _("line {}").format(reader.line_num)
        if not geo and not year and not count:
            continue
        if not (geo and year.isascii() and year.isdigit() and len(year) == 4):
            raise _refused(name, f"{where}, '{geo}' '{year}'", _("a code of a region and a year"))
        if (value := _parse_count(count)) is None:
            raise _refused(name, f"{where}, persons '{count}'", _("a number of 0 or more with a decimal point"))
        if (geo, int(year)) in persons:
            raise _refused(name, _("{} {} twice").format(geo, year), _("each region and year once"))
        persons[geo, int(year)] = value
    if not persons:
        raise _refused(name, _("no line with a region"), _("one line for each region and year"))
    return Population(persons)


def indicator_rows(values: Iterable[Row], population: Population) -> Iterator[Row]:
    """Write the indicators of each stock and net change of impervious land whose years the population has.

    values : rows of stocks and flows
    """
    for row in values:
        years = (row["time_from"], row["TIME_PERIOD"])
        if row["landcover"] != "IMP" or not population.years.issuperset(years):
            continue
        before, now = (population.persons.get((row["geo"], year)) for year in years)
        if row["lc_flow"] == "STK" and row["unit"] == "KM2":
            yield _per_head(row, now)
        elif row["lc_flow"] == "NET" and row["unit"] == "PC":
            yield from _rates(row, before, now)


def _per_head(row: Row, persons: float | None) -> Row:
    """Write the impervious land per inhabitant of a row of a stock."""
    part = method_facts(row["method"]).ground == CELLS_SEEN and row["COVERAGE"] < 1
    reason = row["MISSING_REASON"] or (PART_SEEN if part else _reason_of(persons))
    return _row(row, PER_HEAD, _scaled(_values(row), 1e6 / persons) if not reason and persons else _BLANK, reason)


def _rates(row: Row, before: float | None, now: float | None) -> Iterator[Row]:
    """Write the rates, and their ratio, of a row of a net change in per cent."""
    years = row["TIME_PERIOD"] - row["time_from"]
    yield _row(row, LAND_RATE, land := _scaled(_values(row), 1 / years), row["MISSING_REASON"])
    growth, unknown = None, _reason_of(before) or _reason_of(now)
    if before and now:
        growth = 100 * math.log(now / before) / years
    yield _row(row, GROWTH_RATE, (growth, None, None), unknown)
    reason = row["MISSING_REASON"] or unknown
    if growth is not None and abs(growth) < 100 * GROWTH_MIN:
        reason = reason or NO_GROWTH
    yield _row(row, RATIO, _scaled(land, 1 / growth) if growth and not reason else _BLANK, reason)


def _reason_of(persons: float | None) -> str:
    """Return why nothing can be divided by a number of inhabitants; empty where it can."""
    return NO_POPULATION if persons is None else "" if persons > 0 else ZERO_BASE


def _values(row: Row) -> Values:
    return row["OBS_VALUE"], row["OBS_LCI95"], row["OBS_UCI95"]


def _scaled(values: Values, factor: float) -> Values:
    """Multiply a value and its limits, which change places where the factor is negative."""
    value, low, high = (None if one is None else one * factor for one in values)
    return (value, low, high) if factor > 0 else (value, high, low)


def _row(source: Row, indicator: str, values: Values, reason: str) -> Row:
    value, low, high = values
    of_land = indicator != GROWTH_RATE
    letters = set(source["OBS_FLAG"]) if of_land else set()
    if reason in _IMPOSSIBLE:
        letters.add("m")
    kept: Sequence[str] = ("geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
    return {
        "freq": "A", "indicator": indicator, "definition": source["definition"], "method": source["method"],
        "unit": _UNITS[indicator], **{column: source[column] for column in kept}, "OBS_VALUE": value,
        "OBS_FLAG": "".join(sorted(letters)), "MISSING_REASON": reason, "OBS_LCI95": low, "OBS_UCI95": high,
        "COVERAGE": source["COVERAGE"] if of_land else None,
    }  # fmt: skip


def _parse_count(text: str) -> float | None:
    """Return a number of persons; None where the text is none.

    >>> _parse_count("12345"), _parse_count("1e3"), _parse_count("12 345"), _parse_count("-1"), _parse_count("nan")
    (12345.0, 1000.0, None, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf and "_" not in text else None


def _refused(name: str, found: str, expected: str) -> InputError:
    return InputError(
        _("Option <population>, file '{}'").format(name), found=found, expected=expected, then=_("Correct the file.")
    )
