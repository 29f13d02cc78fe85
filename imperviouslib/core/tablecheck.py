"""The checks of a whole table before it is written: its schema, and the invariants that every table must hold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from imperviouslib.core.errors import TableError, _
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
from imperviouslib.core.table import LOW_COVERAGE, NOT_SEEN, ZERO_BASE, Row, Table
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

Group = tuple[str, str, str, str, str]
"""geo, nuts_version, vintage, definition, method."""
Cell = tuple[str, str, int, int]
"""(lc_flow, landcover) or (landcover_from, landcover_to); time_from, TIME_PERIOD."""


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
    for name, schema in SCHEMA["tables"].items():
        if name in table or not schema.get("optional"):
            _check_schema(name, table[name])
    _check_references(table)
    for row in table[VALUES]:
        _check_value(row)
    for row in table[TRANSITIONS]:
        _check_coverage(row)
        if row["landcover_from"] == row["landcover_to"] or row["time_from"] >= row["TIME_PERIOD"]:
            raise _broken("A transition", str(row), "two covers and two ascending years")
    _check_sums(table, cell_area_m2, shared=shared)
    _check_indicators(table)
    _check_revisions(table)


def _broken(thing: str, found: str, expected: str) -> TableError:
    return TableError(thing, found=found, expected=expected, then=_("Report this bug. Nothing was written."))


def _check_schema(name: str, rows: Sequence[Row]) -> None:
    schema = SCHEMA["tables"][name]
    types: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float)}
    columns = [f["name"] for f in schema["fields"]]
    codes = {f["name"]: set(SCHEMA["codes"][f["codes"]]) for f in schema["fields"] if "codes" in f}
    keys = set()
    for row in rows:
        thing = f"Table {name}"
        if list(row) != columns:
            raise _broken(thing, f"columns {list(row)}", f"{columns}")
        for f in schema["fields"]:
            value: Any = row[f["name"]]
            column = f"{thing}, column {f['name']}"
            if (value is None and f.get("nullable")) or (value == "" and f.get("empty")):
                continue
            # A bool is an int, and NaN a float, to Python but not to a table.
            is_typed = isinstance(value, types[f["type"]]) and not isinstance(value, bool)
            if not is_typed or value != value:
                raise _broken(column, repr(value), f"a {f['type']}")
            if f["name"] in codes and value not in codes[f["name"]]:
                raise _broken(column, repr(value), f"one of {sorted(codes[f['name']])}")
            if "flags" in f and list(value) != sorted(set(value) & set(SCHEMA["codes"][f["flags"]])):
                raise _broken(column, repr(value), f"sorted letters of {''.join(SCHEMA['codes'][f['flags']])}")
            limits = f.get("constraints", {})
            if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
                raise _broken(column, repr(value), f"text like {limits['pattern']}")
            if "minimum" in limits and not limits["minimum"] <= value <= limits.get("maximum", float("inf")):
                raise _broken(column, repr(value), f"a value within {limits}")
        key = tuple(row[column] for column in schema["primaryKey"])
        if key in keys:
            raise _broken(thing, f"key {key} twice", "each key once")
        keys.add(key)


def _check_references(table: Table) -> None:
    known = {(row["geo"], row["nuts_version"]) for row in table[REGIONS]}
    for name in (VALUES, TRANSITIONS, INDICATORS, REVISIONS):
        for row in table.get(name, ()):
            if (row["geo"], row["nuts_version"]) not in known:
                raise _broken(f"Table {name}", f"region {row['geo']} of {row['nuts_version']}", f"a row of {REGIONS}")
    for row in table[REGIONS]:
        if row["parent"] and (row["parent"], row["nuts_version"]) not in known:
            raise _broken(f"Table {REGIONS}", f"parent {row['parent']} of {row['geo']}", f"a row of {REGIONS}")


def _check_reason(row: Row) -> None:
    if (row["OBS_VALUE"] is None) != bool(row["MISSING_REASON"]):
        found = f"value {row['OBS_VALUE']} with reason '{row['MISSING_REASON']}'"
        raise _broken(_where(row), found, "a reason where the value is empty, and only there")


def _check_coverage(row: Row) -> None:
    _check_reason(row)
    fits = {
        LOW_COVERAGE: row["COVERAGE"] < COVERAGE_MIN and _is_whole(row),
        NOT_SEEN: not row.get("N_PIX", row["COVERAGE"] if _is_whole(row) else 0),
        ZERO_BASE: row["unit"] == "PC",
    }
    if not fits.get(row["MISSING_REASON"], True):
        raise _broken(_where(row), f"reason {row['MISSING_REASON']}", "the reason why the value is empty")
    if row["COVERAGE"] < COVERAGE_MIN:
        if "u" not in row["OBS_FLAG"]:
            raise _broken(_where(row), f"coverage {row['COVERAGE']:g} without flag u", "flag u")
        if row["OBS_VALUE"] is not None and _is_whole(row):
            raise _broken(_where(row), f"a value at coverage {row['COVERAGE']:g}", f"none below {COVERAGE_MIN}")
    if row["OBS_VALUE"] is None and not row["OBS_FLAG"]:
        raise _broken(_where(row), "no value and no flag", "a flag that says why")


def _is_whole(row: Row) -> bool:
    """Tell whether a row's figure refers to the whole region."""
    return method_facts(row["method"]).ground == WHOLE_REGION


def _check_value(row: Row) -> None:
    _check_coverage(row)
    stock = row["lc_flow"] == "STK"
    if stock != (row["time_from"] == row["TIME_PERIOD"]) or row["time_from"] > row["TIME_PERIOD"]:
        raise _broken(_where(row), f"time_from {row['time_from']}", "the year of a stock, or an earlier year of a flow")
    low, high = row["OBS_LCI95"], row["OBS_UCI95"]
    if not method_facts(row["method"]).interval:
        if low is not None or high is not None:
            raise _broken(_where(row), "an interval", "none without a reference sample")
    elif None not in (low, high, row["OBS_VALUE"]) and not low <= row["OBS_VALUE"] <= high:
        raise _broken(
            _where(row), f"{row['OBS_VALUE']:g} outside {low:g}-{high:g}", "an interval that contains its value"
        )
    value = row["OBS_VALUE"]
    if value is None or row["lc_flow"] == "NET":
        return
    # A gain may exceed the stock that it is compared with; a stock or a loss may not.
    most = 100 + 1e-9 if row["unit"] == "PC" and row["lc_flow"] != "GAIN" else float("inf")
    if not -1e-9 <= value <= most:
        raise _broken(_where(row), f"{value:g} {row['unit']}", "0-100 %" if most < 101 else "0 or more")


def _where(row: Row) -> str:
    what = row.get("lc_flow") or row.get("indicator") or f"{row['landcover_from']} to {row['landcover_to']}"
    return f"Region {row['geo']}, {what} {row['time_from']}-{row['TIME_PERIOD']} ({row['method']}, {row['definition']})"


def _check_sums(table: Table, cell_area_m2: int, *, shared: bool) -> None:
    areas = {(row["geo"], row["nuts_version"]): row["area_km2"] for row in table[REGIONS]}
    # All comparisons are in square kilometres, within one region, version, vintage, definition and method.
    values: dict[Group, dict[Cell, Row]] = defaultdict(dict)
    for row in table[VALUES]:
        if row["unit"] == "KM2":
            cell = (row["lc_flow"], row["landcover"], row["time_from"], row["TIME_PERIOD"])
            values[_group(row)][cell] = row
    moves: dict[Group, dict[Cell, float | None]] = defaultdict(dict)
    for row in table[TRANSITIONS]:
        if row["unit"] == "KM2":
            pair = (row["time_from"], row["TIME_PERIOD"])
            moves[_group(row)][row["landcover_from"], row["landcover_to"], *pair] = row["OBS_VALUE"]
    for group, rows in values.items():
        area = areas[group[:2]]
        _check_group(rows, moves.get(group, {}), area, cell_area_m2, shared=shared)
    children = defaultdict(list)
    for row in table[REGIONS]:
        children[row["parent"], row["nuts_version"]].append(row)
    for group, rows in values.items():
        # A region may have rows of another vintage only.
        under = [c for c in children[group[:2]] if (c["geo"], *group[1:]) in values]
        if (
            method_facts(group[-1]).ground == CELLS_SEEN
            and under
            and _equal(sum(c["area_km2"] for c in under), areas[group[:2]])
        ):
            for cell, row in rows.items():
                parts = [values[c["geo"], *group[1:]][cell]["OBS_VALUE"] or 0.0 for c in under]
                if not _equal(sum(parts), row["OBS_VALUE"] or 0.0, areas[group[:2]]):
                    raise _broken(_where(row), f"{row['OBS_VALUE']} km2", f"{sum(parts)} km2, the sum of its parts")


def _group(row: Row) -> Group:
    return row["geo"], row["nuts_version"], row["vintage"], row["definition"], row["method"]


def _equal(a: float, b: float, size: float | None = None) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0 if size is None else size, 1e-3)


def _check_group(
    rows: Mapping[Cell, Row], moves: Mapping[Cell, float | None], area: float, cell_area_m2: int, *, shared: bool
) -> None:
    pairs = {(before, now) for _, _, before, now in moves}
    stocks: dict[int, list[Row]] = defaultdict(list)
    for (flow, cover, before, now), row in rows.items():
        value = row["OBS_VALUE"]
        if flow == "STK":
            stocks[now].append(row)
        if value is None:
            continue
        if flow == "NET":
            parts = [rows[name, cover, before, now]["OBS_VALUE"] for name in ("GAIN", "LOSS")]
            if None in parts or not _equal(value, parts[0] - parts[1], area):
                raise _broken(_where(row), f"{value} km2", f"gain {parts[0]} minus loss {parts[1]}")
            ends = [rows["STK", cover, year, year]["OBS_VALUE"] for year in (now, before)]
            # Sampled stocks and flows rest on different units of the sample.
            mapped = not method_facts(row["method"]).interval
            if mapped and _is_whole(row) and None not in ends and not _equal(value, ends[0] - ends[1], area):
                raise _broken(_where(row), f"{value} km2", f"stock {ends[0]} minus stock {ends[1]}")
        elif flow in ("GAIN", "LOSS") and (before, now) in pairs:
            end = 1 if flow == "GAIN" else 0
            total = sum(km2 or 0.0 for key, km2 in moves.items() if key[2:] == (before, now) and key[end] == cover)
            if not _equal(value, total, area):
                raise _broken(_where(row), f"{value} km2", f"{total} km2, the sum of its transitions")
    for year, covers in stocks.items():
        # Share maps give impervious land only; then the covers do not add up to the whole.
        if len(covers) < len(SCHEMA["codes"]["landcover"]) or any(row["OBS_VALUE"] is None for row in covers):
            continue
        whole = area if _is_whole(covers[0]) else covers[0]["N_PIX"] * cell_area_m2 / 1e6
        total = sum(row["OBS_VALUE"] for row in covers)
        rounded = shared and not _is_whole(covers[0]) and abs(total - whole) <= 0.5 * cell_area_m2 / 1e6 + 1e-12
        if not rounded and not _equal(total, whole, area):
            raise _broken(f"{_where(covers[0])}, all covers of {year}", f"{total} km2", f"{whole} km2")


def _check_indicators(table: Table) -> None:
    """Check that rates and ratios are those of the rows of the table, and that no other indicator is negative.

    Units and years must be those of the indicator. An interval comes from a reference sample, contains its value, and belongs to an
    indicator that can have one.
    """
    rows = table.get(INDICATORS, ())
    if not rows:
        return
    keys = ("definition", "method", "geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
    land = {
        (row["lc_flow"], row["landcover"], row["unit"], *(row[key] for key in keys)): row["OBS_VALUE"]
        for row in table[VALUES]
    }
    found = {(row["indicator"], *(row[key] for key in keys)): row["OBS_VALUE"] for row in rows}
    for row in rows:
        indicator, value, key = row["indicator"], row["OBS_VALUE"], [row[key] for key in keys]
        _check_reason(row)
        low, high = row["OBS_LCI95"], row["OBS_UCI95"]
        if {low, high} != {None} and (indicator in NO_INTERVAL or not method_facts(row["method"]).interval):
            raise _broken(_where(row), "an interval", "none for this indicator and method")
        if None not in (value, low, high) and not low <= value <= high:
            raise _broken(_where(row), f"{value:g} outside {low:g}-{high:g}", "an interval that contains its value")
        if row["unit"] != UNITS[indicator]:
            raise _broken(_where(row), f"unit {row['unit']}", f"{UNITS[indicator]}")
        one_year = row["time_from"] == row["TIME_PERIOD"]
        if (indicator in OF_ONE_YEAR) != one_year or row["time_from"] > row["TIME_PERIOD"]:
            raise _broken(_where(row), f"time_from {row['time_from']}", "the years of a stock or of a flow")
        if value is None:
            continue
        expected: float | None = value if indicator in OF_NUMBERS else abs(value)
        if indicator == LAND_RATE:
            base = land.get(("NET", "IMP", "PC", *key))
            expected = None if base is None else base / (row["TIME_PERIOD"] - row["time_from"])
        elif indicator in (RATIO, JOB_RATIO):
            rate = GROWTH_RATE if indicator == RATIO else JOB_RATE
            expected = _ratio(found.get((LAND_RATE, *key)), found.get((rate, *key)))
        elif indicator == GAIN_PER_GREEN:
            expected = _ratio(*(land.get(("GAIN", cover, "KM2", *key)) for cover in ("IMP", "GRN")))
        if expected is None or not _equal(value, expected):
            raise _broken(_where(row), f"{value}", f"{expected}")


def _ratio(above: float | None, below: float | None) -> float | None:
    """Return a ratio; None where there is none."""
    return above / below if above is not None and below else None


def _check_revisions(table: Table) -> None:
    """Check that revisions repeat the values of both vintages, where the table has both."""
    rows = table.get(REVISIONS, ())
    if not rows:
        return
    columns = [column for column in SCHEMA["tables"][VALUES]["primaryKey"] if column != "vintage"]
    values = {(*(row[column] for column in columns), row["vintage"]): row["OBS_VALUE"] for row in table[VALUES]}
    for row in rows:
        key = tuple(row[column] for column in columns)
        where = f"{_where(row)}, revision of {row['vintage_from']}"
        if row["vintage_from"] >= row["vintage"]:
            raise _broken(where, f"vintage {row['vintage']}", "a later one")
        for vintage, column in ((row["vintage_from"], "VALUE_FROM"), (row["vintage"], "OBS_VALUE")):
            if row[column] != values.get((*key, vintage)):
                raise _broken(where, f"{column} {row[column]}", f"{values.get((*key, vintage))}")
        pair = row["VALUE_FROM"], row["OBS_VALUE"]
        if row["DIFFERENCE"] != (None if None in pair else pair[1] - pair[0]):
            raise _broken(where, f"difference {row['DIFFERENCE']}", "OBS_VALUE minus VALUE_FROM")
