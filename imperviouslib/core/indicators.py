"""Indicators: land beside the inhabitants, the jobs and the new floor space of a region.

They are made from the rows of the table, so they fit every method, and from tables of numbers that the user gives (`KINDS`). Between two years
that are T years apart, let G be the gain and N the net change of impervious land, V its stock in the earlier year, and g the gain of green land.

With the inhabitants P:

- impervious and green land per inhabitant, of a year;
- land consumption rate: LCR = N / V / T, where N / V is the per cent of the table;
- population growth rate: PGR = ln(P2 / P1) / T;
- SDG 11.3.1: LCRPGR = LCR / PGR;
- newly impervious land per new green land: G / g.

With the jobs J: impervious land per job, of a year; job growth rate JGR = ln(J2 / J1) / T; LCRJGR = LCR / JGR; newly impervious land per additional
job, G / (J2 - J1).

With the floor space F that was finished in each year: newly impervious land per new floor space, G / (F of all years after the earlier one, up to
the later one).

What is known from a sample stands above the line, and what is taken as exact below it, so that an interval of the land divided by the number is an
interval of the ratio with the same promise. G / g has none: both are uncertain, and they are not independent.

A ratio to nearly nothing is noise: it is blank where the population or the jobs grow or shrink by less than `GROWTH_MIN` a year. Land for each
additional job is blank too where jobs became fewer, and G / g where less than one cell became green.

SDG 11.3.1 asks for the built-up land of cities. Here it is the impervious land of a region. In the same way green land is that of the whole region:
only where the regions are cities is it urban green.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import RES_M
from imperviouslib.core.rows import Row, Rows, find_rows
from imperviouslib.core.table import ZERO_BASE
from imperviouslib.core.tableschema import CELLS_SEEN, GROWTH_MIN, VALUES, method_facts

PER_HEAD, GREEN_PER_HEAD, PER_JOB = "IMP_HAB", "GRN_HAB", "IMP_JOB"
LAND_RATE, GROWTH_RATE, RATIO, JOB_RATE, JOB_RATIO = "LCR", "PGR", "LCRPGR", "JGR", "LCRJGR"
GAIN_PER_GREEN, GAIN_PER_FLOOR, GAIN_PER_JOB = "GAIN_GRN", "GAIN_FLOOR", "GAIN_JOB"
UNITS: Mapping[str, str] = {
    PER_HEAD: "M2_HAB", GREEN_PER_HEAD: "M2_HAB", PER_JOB: "M2_JOB", GAIN_PER_JOB: "M2_JOB", LAND_RATE: "PC_YR",
    GROWTH_RATE: "PC_YR", JOB_RATE: "PC_YR", RATIO: "RATIO", JOB_RATIO: "RATIO", GAIN_PER_GREEN: "RATIO",
    GAIN_PER_FLOOR: "RATIO",
}  # fmt: skip
"""Code of an indicator to its unit."""
OF_ONE_YEAR = frozenset({PER_HEAD, GREEN_PER_HEAD, PER_JOB})
"""Indicators of a stock; all others are of two years."""
OF_NUMBERS = frozenset({GROWTH_RATE, JOB_RATE})
"""Indicators that do not depend on any land."""
NO_INTERVAL = OF_NUMBERS | {GAIN_PER_GREEN}
"""Indicators that never have an interval."""
NO_GROWTH, PART_SEEN = "NO_GROWTH", "PART_SEEN"
_BESIDE = ("definition", "method", "geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
"""What the rows of two land covers in one region, method and time share."""
_CELL_KM2 = RES_M**2 / 1e6
_LEAST, _MOST = 1e-3, 1e15
"""Numbers that a table may hold, beside 0; others are errors, and dividing by them could exceed what a table can store."""
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
"""A number that is a thousand times as large where the point separates thousands, as in German; with two points it is no number anyway."""
_IMPOSSIBLE = (ZERO_BASE, NO_GROWTH)
"""Reasons why a value cannot exist; the others say that something is not known."""

Values = tuple[float | None, float | None, float | None]
"""Value, and the lower and the upper limit of its interval."""
_BLANK: Values = (None, None, None)


@dataclass(frozen=True)
class Kind:
    """A kind of numbers of regions."""

    option: str
    """Option of r.impervious.change."""
    column: str
    """Column with the number."""
    missing: str
    """Code of MISSING_REASON where a number is not given."""


POPULATION = Kind("population", "persons", "NO_POPULATION")
JOBS = Kind("jobs", "jobs", "NO_JOBS")
FLOOR = Kind("floor", "floor_m2", "NO_FLOOR")
KINDS = (POPULATION, JOBS, FLOOR)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one kind: of the inhabitants or jobs of a year, or of the square metres of floor that were finished in it."""

    kind: Kind
    """Which numbers they are."""
    values: Mapping[tuple[str, int], float]
    """Code of a region and year to the number, 0 or more."""

    @cached_property
    def years(self) -> frozenset[int]:
        """The years for which some region has a number."""
        return frozenset(year for _geo, year in self.values)

    @cached_property
    def geos(self) -> frozenset[str]:
        """The regions that have a number for some year."""
        return frozenset(geo for geo, _year in self.values)

    def of(self, geo: str, years: Iterable[int]) -> list[float | None]:
        """Return the numbers of a region, None where one is not given."""
        return [self.values.get((geo, year)) for year in years]


def parse_numbers(text: str, name: str, kind: Kind) -> Numbers:
    """Parse CSV with the columns geo, year and that of the kind; others are left alone. The delimiter is a comma, a semicolon or a tab.

    name : of the file, for messages
    """
    lines = text.removeprefix("\ufeff").splitlines()
    head = lines[0] if lines else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(lines, delimiter=delimiter)
    try:
        return _read_numbers(reader, name, kind, grouped=delimiter != ",")
    except csv.Error as err:
        raise _refused(kind, name, str(err), _("CSV")) from err


def _read_numbers(reader: csv.DictReader[str], name: str, kind: Kind, *, grouped: bool) -> Numbers:
    """Read the lines. grouped : where the delimiter is no comma, 1.234 may mean a thousand and more, and is refused"""
    wanted = ("geo", "year", kind.column)
    columns = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    if not set(wanted) <= set(columns):
        raise _refused(kind, name, _("columns {}").format(", ".join(columns) or _("none")), ", ".join(wanted))
    values: dict[tuple[str, int], float] = {}
    for line in reader:
        geo, year, number = ((line[column] or "").strip() for column in wanted)
        where = _("line {}").format(reader.line_num)
        if not geo and not year and not number:
            continue
        if not (geo and year.isascii() and year.isdigit() and len(year) == 4):
            raise _refused(kind, name, f"{where}, '{geo}' '{year}'", _("a code of a region and a year"))
        if (value := _parse_number(number)) is None:
            expected = _("0, or a number from 0.001 to 1e15, with a decimal point")
            raise _refused(kind, name, f"{where}, {kind.column} '{number}'", expected)
        if grouped and _THOUSANDS.fullmatch(number):
            expected = _("a number without a separator of thousands; if it is a fraction, write {}0").format(number)
            raise _refused(kind, name, f"{where}, {kind.column} '{number}'", expected)
        if (geo, int(year)) in values:
            raise _refused(kind, name, _("{} {} twice").format(geo, year), _("each region and year once"))
        values[geo, int(year)] = value
    if not values:
        raise _refused(kind, name, _("no line with a region"), _("one line for each region and year"))
    return Numbers(kind, values)


def indicator_rows(values: Rows | Sequence[Row], given: Iterable[Numbers]) -> Iterator[Row]:
    """Write the indicators of each stock and flow for whose years a table of numbers has some number.

    values : rows of stocks and flows
    """
    by_kind = {numbers.kind: numbers for numbers in given}
    rows = Rows.of(VALUES, values)
    green = rows["landcover"].among("GRN") & rows["unit"].among("KM2")
    gained = rows.take(green & rows["lc_flow"].among("GAIN"))
    rows = rows.take(rows["landcover"].among("IMP") | green & rows["lc_flow"].among("STK"))
    for row, beside in zip(rows, find_rows(rows, _BESIDE, gained).tolist(), strict=True):
        people, jobs, floor = (_fitting(by_kind.get(kind), row) for kind in KINDS)
        match row["lc_flow"], row["landcover"], row["unit"]:
            case "STK", "IMP", "KM2":
                yield from _of_stock(row, PER_HEAD, people)
                yield from _of_stock(row, PER_JOB, jobs)
            case "STK", "GRN", "KM2":
                yield from _of_stock(row, GREEN_PER_HEAD, people)
            case "GAIN", "IMP", "KM2":
                if people and beside >= 0:
                    yield _per_green(row, gained.row(beside))
                if floor:
                    yield _per_number(row, GAIN_PER_FLOOR, *_sum_of(floor, row))
                if jobs:
                    yield _per_number(row, GAIN_PER_JOB, *_increase(jobs, row))
            case "NET", "IMP", "PC":
                yield from _rates(row, people, jobs)


def _fitting(numbers: Numbers | None, row: Row) -> Numbers | None:
    """Return the numbers if some region has one for each year that a row needs, else None."""
    return numbers if numbers and numbers.years.issuperset(_years(numbers.kind, row)) else None


def _years(kind: Kind, row: Row) -> Sequence[int]:
    """Return the years whose numbers belong to a row: the years of a flow of floor space, else the years of the land."""
    first, last = row["time_from"], row["TIME_PERIOD"]
    return range(first + 1, last + 1) if kind is FLOOR and first < last else (first, last)


def _of_stock(row: Row, indicator: str, numbers: Numbers | None) -> Iterator[Row]:
    """Write the land per inhabitant or job of a row of a stock."""
    if numbers:
        (number,) = numbers.of(row["geo"], [row["TIME_PERIOD"]])
        yield _per_number(row, indicator, number, _reason_of(numbers.kind, number))


def _per_number(row: Row, indicator: str, number: float | None, unknown: str) -> Row:
    """Write the land of a row in km2, in m2 for each of a number. unknown : reason why the number cannot be divided by; empty where it can."""
    part = method_facts(row["method"]).ground == CELLS_SEEN and row["COVERAGE"] < 1
    reason = row["MISSING_REASON"] or (PART_SEEN if part else unknown)
    return _row(row, indicator, _scaled(_values(row), 1e6 / number) if number and not reason else _BLANK, reason)


def _sum_of(floor: Numbers, row: Row) -> tuple[float | None, str]:
    """Return the floor space of all years of a row, and why nothing can be divided by it."""
    parts = [number for number in floor.of(row["geo"], _years(FLOOR, row)) if number is not None]
    total = sum(parts) if len(parts) == len(_years(FLOOR, row)) else None
    return total, _reason_of(FLOOR, total)


def _increase(jobs: Numbers, row: Row) -> tuple[float | None, str]:
    """Return by how much the jobs became more, and why nothing can be divided by it."""
    before, now = jobs.of(row["geo"], _years(JOBS, row))
    growth, reason = _growth(jobs, row)
    if growth is not None and growth < 100 * GROWTH_MIN:
        reason = NO_GROWTH
    return (now or 0.0) - (before or 0.0), reason


def _per_green(row: Row, green: Row) -> Row:
    """Write the newly impervious land per new green land, from the rows of both gains in km2."""
    reason = row["MISSING_REASON"] or green["MISSING_REASON"]
    if not reason and green["OBS_VALUE"] < _CELL_KM2 * (1 - 1e-9):
        reason = ZERO_BASE
    value = None if reason else row["OBS_VALUE"] / green["OBS_VALUE"]
    # Without an interval a value is of low reliability.
    letters = "".join(sorted({*row["OBS_FLAG"], *green["OBS_FLAG"], "u"}))
    return _row({**row, "OBS_FLAG": letters}, GAIN_PER_GREEN, (value, None, None), reason)


def _rates(row: Row, people: Numbers | None, jobs: Numbers | None) -> Iterator[Row]:
    """Write the rates of land, population and jobs, and their ratios, of a row of a net change in per cent."""
    if not people and not jobs:
        return
    land = _scaled(_values(row), 1 / (row["TIME_PERIOD"] - row["time_from"]))
    yield _row(row, LAND_RATE, land, row["MISSING_REASON"])
    for numbers, rate, ratio in ((people, GROWTH_RATE, RATIO), (jobs, JOB_RATE, JOB_RATIO)):
        if numbers:
            growth, unknown = _growth(numbers, row)
            yield _row(row, rate, (growth, None, None), unknown)
            reason = row["MISSING_REASON"] or unknown
            if growth is not None and abs(growth) < 100 * GROWTH_MIN:
                reason = reason or NO_GROWTH
            yield _row(row, ratio, _scaled(land, 1 / growth) if growth and not reason else _BLANK, reason)


def _growth(numbers: Numbers, row: Row) -> tuple[float | None, str]:
    """Return the growth rate of a number in per cent a year; where there is none, None and why."""
    before, now = numbers.of(row["geo"], _years(numbers.kind, row))
    if before and now:
        return 100 * math.log(now / before) / (row["TIME_PERIOD"] - row["time_from"]), ""
    return None, _reason_of(numbers.kind, before) or _reason_of(numbers.kind, now)


def _reason_of(kind: Kind, number: float | None) -> str:
    """Return why nothing can be divided by a number; empty where it can."""
    return kind.missing if number is None else "" if number > 0 else ZERO_BASE


def _values(row: Row) -> Values:
    return row["OBS_VALUE"], row["OBS_LCI95"], row["OBS_UCI95"]


def _scaled(values: Values, factor: float) -> Values:
    """Multiply a value and its limits, which change places where the factor is negative."""
    value, low, high = (None if one is None else one * factor for one in values)
    return (value, low, high) if factor > 0 else (value, high, low)


def _row(source: Row, indicator: str, values: Values, reason: str) -> Row:
    value, low, high = values
    of_land = indicator not in OF_NUMBERS
    letters = set(source["OBS_FLAG"]) if of_land else set()
    if reason in _IMPOSSIBLE:
        letters.add("m")
    kept: Sequence[str] = ("geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
    return {
        "freq": "A", "indicator": indicator, "definition": source["definition"], "method": source["method"],
        "unit": UNITS[indicator], **{column: source[column] for column in kept}, "OBS_VALUE": value,
        "OBS_FLAG": "".join(sorted(letters)), "MISSING_REASON": reason, "OBS_LCI95": low, "OBS_UCI95": high,
        "COVERAGE": source["COVERAGE"] if of_land else None,
    }  # fmt: skip


def _parse_number(text: str) -> float | None:
    """Return 0 or a number within sense; None where the text is none.

    >>> [_parse_number(text) for text in ("12345", "1e3", "0", "12 345", "-1", "nan", "inf", "1e-300", "1e300", "1_0")]
    [12345.0, 1000.0, 0.0, None, None, None, None, None, None, None]
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if (value == 0 or _LEAST <= value <= _MOST) and "_" not in text else None


def _refused(kind: Kind, name: str, found: str, expected: str) -> InputError:
    return InputError(
        _("Option <{}>, file '{}'").format(kind.option, name),
        found=found,
        expected=expected,
        then=_("Correct the file."),
    )
