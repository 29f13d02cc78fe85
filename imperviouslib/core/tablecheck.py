"""The checks of a whole table before it is written: its schema, and the invariants that every table must hold.

They are made on whole columns; the first row that breaks one is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imperviouslib.core.indicators import (
    GAIN_PER_GREEN,
    GROWTH_RATE,
    JOB_RATE,
    JOB_RATIO,
    LAND_RATE,
    NO_INTERVAL,
    OF_NUMBERS,
    OF_ONE_YEAR,
    RATIO,
    UNITS,
)
from imperviouslib.core.rows import Row, Rows, broken, find_numbers, find_rows, number_rows
from imperviouslib.core.table import LOW_COVERAGE, NOT_SEEN, ZERO_BASE, Table
from imperviouslib.core.tableschema import (
    CELLS_SEEN,
    COVERAGE_MIN,
    INDICATORS,
    REGIONS,
    REVISIONS,
    SCHEMA,
    TRANSITIONS,
    VALUES,
    WHOLE_REGION,
    method_facts,
)

_REGION = ("geo", "nuts_version")
_GROUP = (*_REGION, "vintage", "definition", "method")
_YEARS = ("time_from", "TIME_PERIOD")


def check_table(table: Table, cell_area_m2: int, *, shared: bool = False) -> None:
    """Raise TableError where a table breaks its schema or an invariant.

    Schema: columns, types, codes, patterns, unique key, every region known.

    Invariants of all methods: net = gain - loss; gains and losses are the sums of the transitions; no area is negative; per cents of
    stocks are within 0-100; low coverage is flagged; an interval contains its value and comes from a reference sample.
    Mapped methods for the whole region: the difference of two stocks is the net change; the covers of a stock add up to the region; values of
    low coverage are blank.
    Methods for the cells seen: the covers of a stock add up to the cells counted; children that together have the parent's area add
    up to the parent's stocks and flows.
    Every blank value has a reason that fits its row. Rates of land, and ratios of figures of the table, follow from its rows. A revision
    repeats the values of both vintages.

    shared : whether regions share the cells on borders; then N_PIX is the nearest whole number of cells
    """
    kept = {
        name: Rows.of(name, table[name])
        for name, schema in SCHEMA["tables"].items()
        if name in table or not schema.get("optional")
    }
    for rows in kept.values():
        _check_schema(rows)
    _check_references(kept)
    _check_values(kept[VALUES])
    _check_transitions(kept[TRANSITIONS])
    _check_sums(kept, cell_area_m2, shared=shared)
    if INDICATORS in kept:
        _check_indicators(kept[INDICATORS], kept[VALUES])
    if REVISIONS in kept:
        _check_revisions(kept[REVISIONS], kept[VALUES])


def _where(row: Row) -> str:
    what = row.get("lc_flow") or row.get("indicator") or f"{row['landcover_from']} to {row['landcover_to']}"
    return f"Region {row['geo']}, {what} {row['time_from']}-{row['TIME_PERIOD']} ({row['method']}, {row['definition']})"


def _where_in(rows: Rows) -> Callable[[Row], str]:
    return lambda _row: f"Table {rows.name}"


def _refuse(
    rows: Rows, bad: np.ndarray, found: str, expected: str, *numbers: np.ndarray, where: Callable[[Row], str] = _where
) -> None:
    """Raise TableError for the first row that is bad.

    bad : array (row,), bool
    found, expected : texts with columns, and numbers of the row, to fill in
    numbers : arrays (row,), float64, NaN where there is no number
    """
    if bad.any():
        number = int(bad.argmax())
        row = rows.row(number)
        given = [None if np.isnan(one[number]) else one[number].item() for one in numbers]
        raise broken(where(row), found.format(*given, **row), expected.format(*given, **row))


def _check_schema(rows: Rows) -> None:
    schema, thing = SCHEMA["tables"][rows.name], f"Table {rows.name}"
    for field in rows.fields:
        column, limits = rows[field["name"]], field.get("constraints", {})
        if column.words is not None:
            for word in column.distinct():
                if expected := _unfit(field, word):
                    raise broken(f"{thing}, column {field['name']}", repr(word), expected)
        elif "minimum" in limits:
            bad = (column.values < limits["minimum"]) | (column.values > limits.get("maximum", np.inf))
            for value in column.values[bad][:1].tolist():
                raise broken(f"{thing}, column {field['name']}", repr(value), f"a value within {limits}")
    (keys,) = number_rows((rows, schema["primaryKey"]))
    order = np.argsort(keys, kind="stable")
    for number in order[1:][np.diff(keys[order]) == 0][:1].tolist():
        row = rows.row(number)
        raise broken(thing, f"key {tuple(row[column] for column in schema['primaryKey'])} twice", "each key once")


def _unfit(field: Mapping[str, Any], word: str) -> str:
    """Return what a column must hold, if a word of it is not that; else an empty text."""
    codes = SCHEMA["codes"].get(field.get("codes") or field.get("flags"), {})
    pattern = field.get("constraints", {}).get("pattern")
    if not word and field.get("empty"):
        return ""
    if "codes" in field and word not in codes:
        return f"one of {sorted(codes)}"
    if "flags" in field and list(word) != sorted(set(word) & set(codes)):
        return f"sorted letters of {''.join(codes)}"
    return f"text like {pattern}" if pattern and not re.fullmatch(pattern, word) else ""


def _check_references(table: Mapping[str, Rows]) -> None:
    for rows in table.values():
        missing = find_rows(rows, _REGION, table[REGIONS]) < 0
        _refuse(rows, missing, "region {geo} of {nuts_version}", f"a row of {REGIONS}", where=_where_in(rows))
    regions = table[REGIONS]
    missing = ~regions["parent"].among("") & (find_rows(regions, ("parent", "nuts_version"), regions, _REGION) < 0)
    _refuse(regions, missing, "parent {parent} of {geo}", f"a row of {REGIONS}", where=_where_in(regions))


def _check_reasons(rows: Rows) -> None:
    wrong = np.isnan(rows["OBS_VALUE"].values) == rows["MISSING_REASON"].among("")
    found = "value {OBS_VALUE} with reason '{MISSING_REASON}'"
    _refuse(rows, wrong, found, "a reason where the value is empty, and only there")


def _is_whole(rows: Rows) -> np.ndarray:
    """Tell which figures refer to the whole region."""
    return rows["method"].where(lambda code: method_facts(code).ground == WHOLE_REGION)


def _is_sampled(rows: Rows) -> np.ndarray:
    return rows["method"].where(lambda code: method_facts(code).interval)


def _check_coverage(rows: Rows) -> None:
    _check_reasons(rows)
    whole, low = _is_whole(rows), rows["COVERAGE"].values < COVERAGE_MIN
    reason, blank = rows["MISSING_REASON"], np.isnan(rows["OBS_VALUE"].values)
    seen = rows["N_PIX"].values > 0 if "N_PIX" in rows.names else (rows["COVERAGE"].values > 0) & whole
    wrong = reason.among(LOW_COVERAGE) & ~(low & whole) | reason.among(NOT_SEEN) & seen
    wrong |= reason.among(ZERO_BASE) & ~rows["unit"].among("PC")
    _refuse(rows, wrong, "reason {MISSING_REASON}", "the reason why the value is empty")
    letters = rows["OBS_FLAG"]
    _refuse(rows, low & ~letters.where(lambda word: "u" in word), "coverage {COVERAGE:g} without flag u", "flag u")
    _refuse(rows, low & ~blank & whole, "a value at coverage {COVERAGE:g}", f"none below {COVERAGE_MIN}")
    _refuse(rows, blank & letters.among(""), "no value and no flag", "a flag that says why")


def _check_interval(rows: Rows, possible: np.ndarray, nowhere: str) -> None:
    """Check that only rows that may have an interval have one, and that it contains the value."""
    value, low, high = (rows[column].values for column in ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95"))
    _refuse(rows, ~possible & ~(np.isnan(low) & np.isnan(high)), "an interval", nowhere)
    apart = ~np.isnan(value + low + high) & ((value < low) | (value > high))
    found = "{OBS_VALUE:g} outside {OBS_LCI95:g}-{OBS_UCI95:g}"
    _refuse(rows, apart, found, "an interval that contains its value")


def _check_values(rows: Rows) -> None:
    _check_coverage(rows)
    first, last = (rows[column].values for column in _YEARS)
    wrong = (rows["lc_flow"].among("STK") != (first == last)) | (first > last)
    _refuse(rows, wrong, "time_from {time_from}", "the year of a stock, or an earlier year of a flow")
    _check_interval(rows, _is_sampled(rows), "none without a reference sample")
    value = rows["OBS_VALUE"].values
    # A gain may exceed the stock that it is compared with; a stock or a loss may not.
    share = rows["unit"].among("PC") & rows["lc_flow"].among("STK", "LOSS")
    below = (value < -1e-9) & ~rows["lc_flow"].among("NET")
    _refuse(rows, share & (below | (value > 100 + 1e-9)), "{OBS_VALUE:g} {unit}", "0-100 %")
    _refuse(rows, below, "{OBS_VALUE:g} {unit}", "0 or more")


def _check_transitions(rows: Rows) -> None:
    _check_coverage(rows)
    before, now = number_rows((rows, ["landcover_from"]), (rows, ["landcover_to"]))
    first, last = (rows[column].values for column in _YEARS)
    for number in np.flatnonzero((before == now) | (first >= last))[:1].tolist():
        raise broken("A transition", str(rows.row(number)), "two covers and two ascending years")


def _value_beside(
    rows: Rows, columns: tuple[str, ...], others: Rows, their: tuple[str, ...] | None = None
) -> np.ndarray:
    """Return, for each row, OBS_VALUE of another one that has the same values in some columns; NaN where there is none."""
    return np.append(others["OBS_VALUE"].values, np.nan)[find_rows(rows, columns, others, their)]


def _equal(a: np.ndarray, b: np.ndarray, size: np.ndarray | float = 1.0) -> np.ndarray:
    return np.abs(a - b) <= 1e-9 * np.maximum.reduce(np.broadcast_arrays(np.abs(a), np.abs(b), size, 1e-3))


def _check_sums(table: Mapping[str, Rows], cell_area_m2: int, *, shared: bool) -> None:
    # All comparisons are in square kilometres, within one region, version, vintage, definition and method.
    rows, moves = (table[name].take(table[name]["unit"].among("KM2")) for name in (VALUES, TRANSITIONS))
    _check_net(rows, table[REGIONS])
    _check_moves(rows, moves, table[REGIONS])
    _check_covers(rows, table[REGIONS], cell_area_m2, shared=shared)
    _check_parts(rows.take(rows["method"].where(lambda code: method_facts(code).ground == CELLS_SEEN)), table[REGIONS])


def _area(rows: Rows, regions: Rows) -> np.ndarray:
    """Return the area of the region of each row in square kilometres."""
    return regions["area_km2"].values[find_rows(rows, _REGION, regions)]


def _check_net(rows: Rows, regions: Rows) -> None:
    net = rows.take(rows["lc_flow"].among("NET") & ~np.isnan(rows["OBS_VALUE"].values))
    value, area = net["OBS_VALUE"].values, _area(net, regions)
    cell = (*_GROUP, "landcover", *_YEARS)
    gain, loss = (_value_beside(net, cell, rows.take(rows["lc_flow"].among(flow))) for flow in ("GAIN", "LOSS"))
    _refuse(net, ~_equal(value, gain - loss, area), "{OBS_VALUE} km2", "gain {} minus loss {}", gain, loss)
    stocks = rows.take(rows["lc_flow"].among("STK"))
    of_year = (*_GROUP, "landcover", "TIME_PERIOD")
    at = [find_rows(net, (*_GROUP, "landcover", year), stocks, of_year) for year in ("TIME_PERIOD", "time_from")]
    _refuse(net, np.minimum(*at) < 0, "no stock of a year", "those of both years")
    now, before = (stocks["OBS_VALUE"].values[numbers] for numbers in at)
    # Sampled stocks and flows rest on different units of the sample.
    mapped = ~_is_sampled(net) & _is_whole(net)
    apart = mapped & ~np.isnan(now - before) & ~_equal(value, now - before, area)
    _refuse(net, apart, "{OBS_VALUE} km2", "stock {} minus stock {}", now, before)


def _check_moves(rows: Rows, moves: Rows, regions: Rows) -> None:
    for flow, end in (("GAIN", "landcover_to"), ("LOSS", "landcover_from")):
        flows = rows.take(rows["lc_flow"].among(flow) & ~np.isnan(rows["OBS_VALUE"].values))
        at = find_rows(moves, (*_GROUP, end, *_YEARS), flows, (*_GROUP, "landcover", *_YEARS))
        total = _sums(at, moves["OBS_VALUE"].values, len(flows))
        # Methods of which transitions are not known have none.
        known = find_rows(flows, (*_GROUP, *_YEARS), moves) >= 0
        apart = known & ~_equal(flows["OBS_VALUE"].values, total, _area(flows, regions))
        _refuse(flows, apart, "{OBS_VALUE} km2", "{} km2, the sum of its transitions", total)


def _sums(at: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Return the sums of the values that belong to each of some rows. at : number of the row of each value, -1 of none"""
    return np.bincount(at[at >= 0], np.nan_to_num(values[at >= 0]), size)


def _check_covers(rows: Rows, regions: Rows, cell_area_m2: int, *, shared: bool) -> None:
    stocks = rows.take(rows["lc_flow"].among("STK"))
    (keys,) = number_rows((stocks, (*_GROUP, "TIME_PERIOD")))
    _keys, first, year, covers = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    total = np.bincount(year, stocks["OBS_VALUE"].values)
    stocks = stocks.take(first)
    whole = _is_whole(stocks)
    area = _area(stocks, regions)
    expected = np.where(whole, area, stocks["N_PIX"].values * float(cell_area_m2) / 1e6)
    rounded = shared & ~whole & (np.abs(total - expected) <= 0.5 * cell_area_m2 / 1e6 + 1e-12)
    # Share maps give impervious land only; then the covers do not add up to the whole.
    known = (covers == len(SCHEMA["codes"]["landcover"])) & ~np.isnan(total)
    _refuse(
        stocks, known & ~rounded & ~_equal(total, expected, area), "{} km2", "{1} km2", total, expected,
        where=lambda row: f"{_where(row)}, all covers of {row['TIME_PERIOD']}",
    )  # fmt: skip


def _check_parts(rows: Rows, regions: Rows) -> None:
    """Check that the figures of regions that together have the area of their parent add up to those of the parent.

    rows : figures of the cells seen
    """
    region, parent = find_rows(rows, _REGION, regions), find_rows(regions, ("parent", "nuts_version"), regions, _REGION)

    def numbers(columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Number rows by region and columns, and by what would be the parent's number; -1 where there is no parent."""
        (keys,) = number_rows((rows, columns))
        return keys * len(regions) + region, np.where(parent[region] < 0, -1, keys * len(regions) + parent[region])

    # A region may have rows of another vintage only.
    own, above = numbers(("vintage", "definition", "method"))
    _own, first, group = np.unique(own, return_index=True, return_inverse=True)
    areas = regions["area_km2"].values[region[first]]
    under = find_numbers(above[first], own[first])
    parts = np.bincount(under[under >= 0], minlength=len(first))
    together = (parts > 0) & _equal(_sums(under, areas, len(first)), areas)
    own, above = numbers(("vintage", "definition", "method", "lc_flow", "landcover", *_YEARS))
    at = find_numbers(above, own)
    total = _sums(at, rows["OBS_VALUE"].values, len(rows))
    apart = ~_equal(total, np.nan_to_num(rows["OBS_VALUE"].values), areas[group])
    apart |= np.bincount(at[at >= 0], minlength=len(rows)) != parts[group]
    _refuse(rows, together[group] & apart, "{OBS_VALUE} km2", "{} km2, the sum of its parts", total)


def _check_indicators(rows: Rows, values: Rows) -> None:
    """Check that rates and ratios are those of the rows of the table, and that no other indicator is negative.

    Units and years must be those of the indicator. An interval comes from a reference sample, contains its value, and belongs to an
    indicator that can have one.
    """
    keys = ("definition", "method", "geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
    _check_reasons(rows)
    indicator, value = rows["indicator"], rows["OBS_VALUE"].values
    _check_interval(rows, _is_sampled(rows) & ~indicator.among(*NO_INTERVAL), "none for this indicator and method")
    for code in indicator.distinct():
        of_it = indicator.among(code)
        _refuse(rows, of_it & ~rows["unit"].among(UNITS[code]), "unit {unit}", UNITS[code])
    first, last = (rows[column].values for column in _YEARS)
    wrong = (indicator.among(*OF_ONE_YEAR) != (first == last)) | (first > last)
    _refuse(rows, wrong, "time_from {time_from}", "the years of a stock or of a flow")

    def land(*codes: str) -> np.ndarray:
        of_codes = [
            values[name].among(code) for name, code in zip(("lc_flow", "landcover", "unit"), codes, strict=True)
        ]
        return _value_beside(rows, keys, values.take(np.logical_and.reduce(of_codes)))

    def rate(code: str) -> np.ndarray:
        return _value_beside(rows, keys, rows.take(indicator.among(code)))

    expected = np.where(indicator.among(*OF_NUMBERS), value, np.abs(value))
    for code, found in (
        (LAND_RATE, lambda: land("NET", "IMP", "PC") / np.maximum(last - first, 1)),
        (RATIO, lambda: _ratio(rate(LAND_RATE), rate(GROWTH_RATE))),
        (JOB_RATIO, lambda: _ratio(rate(LAND_RATE), rate(JOB_RATE))),
        (GAIN_PER_GREEN, lambda: _ratio(land("GAIN", "IMP", "KM2"), land("GAIN", "GRN", "KM2"))),
    ):
        expected = np.where(indicator.among(code), found(), expected)
    _refuse(rows, ~np.isnan(value) & ~_equal(value, expected), "{OBS_VALUE}", "{}", expected)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return ratios; NaN where there is none."""
    return above / np.where(below == 0, np.nan, below)


def _check_revisions(rows: Rows, values: Rows) -> None:
    """Check that revisions repeat the values of both vintages, where the table has both."""
    columns = tuple(column for column in SCHEMA["tables"][VALUES]["primaryKey"] if column != "vintage")

    def refuse(bad: np.ndarray, found: str, expected: str, *numbers: np.ndarray) -> None:
        _refuse(
            rows, bad, found, expected, *numbers, where=lambda row: f"{_where(row)}, revision of {row['vintage_from']}"
        )

    earlier, later = number_rows((rows, ["vintage_from"]), (rows, ["vintage"]))
    refuse(earlier >= later, "vintage {vintage}", "a later one")
    for vintage, column in (("vintage_from", "VALUE_FROM"), ("vintage", "OBS_VALUE")):
        expected = _value_beside(rows, (*columns, vintage), values, (*columns, "vintage"))
        refuse(~_same(rows[column].values, expected), f"{column} {{{column}}}", "{}", expected)
    difference = rows["OBS_VALUE"].values - rows["VALUE_FROM"].values
    refuse(~_same(rows["DIFFERENCE"].values, difference), "difference {DIFFERENCE}", "OBS_VALUE minus VALUE_FROM")


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tell which numbers are the same, or both missing."""
    return (a == b) | (np.isnan(a) & np.isnan(b))
