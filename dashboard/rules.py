"""Rules that the figures of a table must keep, beyond the schema of their columns.

They are the rules that r.impervious.change writes its tables by, checked again because a table may come from elsewhere or may have been
edited. A table that breaks one is refused: a figure outside its interval or a net change that is not gain minus loss would mislead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.columns import codes_of, row_numbers, rows_in
from dashboard.errors import TableFolderError
from dashboard.schema import Method

TOLERANCE = 1e-6
"""Share of a region's area by which sums may differ, for tables whose figures were rounded."""

_GROUP = ("freq", "definition", "method", "unit", "geo", "nuts_version", "vintage")
_TIME = ("time_from", "TIME_PERIOD")


class _Rows:
    """The rows of a table file as arrays, and the message for a row that breaks a rule."""

    def __init__(self, path: Path, table: pa.Table, key: Sequence[str]) -> None:
        self.path, self.table, self.key = path, table, key

    def numbers(self, name: str) -> np.ndarray:
        """Return a column of numbers: array (row,), float64, NaN = empty."""
        return self.table[name].to_numpy().astype(np.float64)

    def texts(self, name: str) -> np.ndarray:
        """Return a column of texts: array (row,), object, "" = empty."""
        codes, values = codes_of(self.table[name])
        return np.array([*(value or "" for value in values), ""], dtype=object)[codes]

    def refuse(self, wrong: np.ndarray, found: Mapping[str, np.ndarray], rule: str) -> None:
        """Raise TableFolderError for the first row that is wrong.

        wrong : array (row,), bool
        found : what the message shows of the row, name -> array (row,)
        """
        if not wrong.any():
            return
        at = int(np.argmax(wrong))
        key = " ".join(str(self.table[name][at].as_py()) for name in self.key)
        shown = ", ".join(f"{name} {_text(values[at])}" for name, values in found.items())
        raise TableFolderError(f"File '{self.path}', row {at + 1} ({key}): {shown}. Rule: {rule}.")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    return "empty" if np.isnan(value) else f"{value:.10g}"


def _totals(numbers: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the values of each number.

    Returns: arrays like `wanted`: sum, NaN where a value is empty, and count of values
    """
    known, at = np.unique(numbers, return_inverse=True)
    sums = np.bincount(at, weights=values, minlength=len(known))
    counts = np.bincount(at, minlength=len(known))
    if not len(known):
        return np.full(len(wanted), np.nan), np.zeros(len(wanted), dtype=int)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = known[place] == wanted
    return np.where(found, sums[place], np.nan), np.where(found, counts[place], 0)


def check_rules(
    paths: Mapping[str, Path], tables: Mapping[str, pa.Table], schema: Mapping[str, Any], methods: Mapping[str, Method]
) -> None:
    """Raise TableFolderError at the first row of the figures that breaks a rule, with file, row, key and rule."""
    rows = {
        name: _Rows(paths[name], tables[name], schema["tables"][name]["primaryKey"])
        for name in ("impervious_nuts", "impervious_nuts_transitions")
    }
    figures = rows["impervious_nuts"]
    for one in rows.values():
        _check_time(one)
        _check_missing(one, schema["coverage_min"])
    _check_interval(figures, methods)
    _check_bounds(figures)
    _check_net(figures, methods, tables["nuts_regions"])
    _check_transitions(figures, rows["impervious_nuts_transitions"], tables["nuts_regions"])
    _check_covers(figures, methods, tables["nuts_regions"], len(schema["codes"]["landcover"]))
    _check_children(figures, methods, tables["nuts_regions"])


def _check_time(rows: _Rows) -> None:
    start, end = rows.numbers("time_from"), rows.numbers("TIME_PERIOD")
    stock = rows.texts("lc_flow") == "STK" if "lc_flow" in rows.key else np.zeros(len(start), dtype=bool)
    shown = {"time_from": start, "TIME_PERIOD": end}
    rows.refuse(stock & (start != end), shown, "time_from of a stock is its year")
    rows.refuse(~stock & (start >= end), shown, "time_from of a flow is before its year")


def _check_missing(rows: _Rows, coverage_min: float) -> None:
    value, coverage = rows.numbers("OBS_VALUE"), rows.numbers("COVERAGE")
    reason, flags = rows.texts("MISSING_REASON"), rows.texts("OBS_FLAG")
    unreliable = np.array(["u" in flag for flag in flags.tolist()], dtype=bool)
    rows.refuse(
        np.isnan(value) != (reason != ""),
        {"OBS_VALUE": value, "MISSING_REASON": reason},
        "an empty value has a reason, and no other value has one",
    )
    rows.refuse(
        (coverage < coverage_min) & ~unreliable,
        {"COVERAGE": coverage, "OBS_FLAG": flags},
        f"a figure with a coverage below {coverage_min:g} has the flag u",
    )


def _check_interval(rows: _Rows, methods: Mapping[str, Method]) -> None:
    value, low, high = (rows.numbers(name) for name in ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95"))
    shown = {"OBS_VALUE": value, "OBS_LCI95": low, "OBS_UCI95": high}
    sampled = rows_in(rows.table["method"], [code for code, method in methods.items() if method.interval])
    has = ~np.isnan(low) | ~np.isnan(high)
    rows.refuse(has & ~sampled, shown, "figures counted from maps have no interval")
    rows.refuse(np.isnan(low) != np.isnan(high), shown, "an interval has both limits or none")
    rows.refuse(low > high, shown, "the lower limit of an interval is not above the upper limit")
    slack = 1e-9 * np.fmax(np.abs(low), np.abs(high))
    rows.refuse((value < low - slack) | (value > high + slack), shown, "an interval contains its value")


def _check_bounds(rows: _Rows) -> None:
    value, flow, unit = rows.numbers("OBS_VALUE"), rows.texts("lc_flow"), rows.texts("unit")
    rows.refuse((flow != "NET") & (value < -1e-9), {"OBS_VALUE": value}, "only a net change can be negative")
    # A gain may exceed the stock that it is compared with; a stock or a loss may not exceed its whole.
    bounded = (unit == "PC") & ((flow == "STK") | (flow == "LOSS"))
    rows.refuse(bounded & (value > 100 + 1e-9), {"OBS_VALUE": value}, "a stock or a loss is at most 100 %")


def _areas(rows: _Rows, regions: pa.Table) -> np.ndarray:
    """Return the area in square kilometres of the region of each row."""
    key = ("geo", "nuts_version")
    here, there = row_numbers((rows.table, key), (regions, key))
    return _totals(there, regions["area_km2"].to_numpy(), here)[0]


def _differs(a: np.ndarray, b: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Tell where two known values differ by more than rounding; NaN differs from nothing."""
    return np.abs(a - b) > TOLERANCE * np.fmax(size, 1e-3)


def _check_net(rows: _Rows, methods: Mapping[str, Method], regions: pa.Table) -> None:
    value, flow, area = rows.numbers("OBS_VALUE"), rows.texts("lc_flow"), _areas(rows, regions)
    net = (flow == "NET") & (rows.texts("unit") == "KM2")
    (numbers,) = row_numbers((rows.table, (*_GROUP, "landcover", *_TIME)))
    parts = {}
    for name in ("GAIN", "LOSS"):
        of = flow == name
        parts[name], _ = _totals(numbers[of], value[of], numbers)
    shown = {"OBS_VALUE": value, **parts}
    known = net & ~np.isnan(value)
    rows.refuse(
        known & _differs(value, parts["GAIN"] - parts["LOSS"], area), shown, "a net change is its gain minus its loss"
    )
    # Sampled stocks and flows rest on different units of the sample; cells seen differ from year to year.
    counted = rows_in(
        rows.table["method"], [m.code for m in methods.values() if m.ground == "region" and not m.interval]
    )
    stock = flow == "STK"
    ends = {}
    for name, column in (("stock at the start", "time_from"), ("stock at the end", "TIME_PERIOD")):
        at_end, at_stock = row_numbers(
            (rows.table, (*_GROUP, "landcover", column)),
            (rows.table.filter(pa.array(stock)), (*_GROUP, "landcover", "TIME_PERIOD")),
        )
        ends[name], _ = _totals(at_stock, value[stock], at_end)
    change = ends["stock at the end"] - ends["stock at the start"]
    rows.refuse(
        known & counted & _differs(value, change, area),
        {"OBS_VALUE": value, **ends},
        "a net change counted for a whole region is the difference of its stocks",
    )


def _check_transitions(rows: _Rows, moves: _Rows, regions: pa.Table) -> None:
    value, flow, area = rows.numbers("OBS_VALUE"), rows.texts("lc_flow"), _areas(rows, regions)
    moved = np.nan_to_num(moves.numbers("OBS_VALUE"))
    same = moves.texts("landcover_from") == moves.texts("landcover_to")
    moves.refuse(same, {"landcover_to": moves.texts("landcover_to")}, "a transition has two covers")
    has = _totals(*_pair(moves.table, rows.table, (*_GROUP, *_TIME), moved))[1] > 0
    for name, column, word in (("GAIN", "landcover_to", "into"), ("LOSS", "landcover_from", "from")):
        of = (flow == name) & (rows.texts("unit") == "KM2") & has
        there, here = row_numbers(
            (moves.table, (*_GROUP, *_TIME, column)), (rows.table, (*_GROUP, *_TIME, "landcover"))
        )
        total = np.nan_to_num(_totals(there, moved, here)[0])
        rows.refuse(
            of & _differs(value, total, area),
            {"OBS_VALUE": value, "sum of transitions": total},
            f"a {name.lower()} is the sum of the transitions {word} the cover",
        )


def _pair(
    a: pa.Table, b: pa.Table, names: Sequence[str], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    there, here = row_numbers((a, names), (b, names))
    return there, values, here


def _check_covers(rows: _Rows, methods: Mapping[str, Method], regions: pa.Table, covers: int) -> None:
    """Check that the covers of a stock add up to the region; where a table has one cover alone, there is nothing to add."""
    value, area = rows.numbers("OBS_VALUE"), _areas(rows, regions)
    of = (rows.texts("lc_flow") == "STK") & (rows.texts("unit") == "KM2")
    of &= rows_in(rows.table["method"], [method.code for method in methods.values() if method.ground == "region"])
    (numbers,) = row_numbers((rows.table, (*_GROUP, "TIME_PERIOD")))
    total, count = _totals(numbers[of], value[of], numbers)
    rows.refuse(
        of & (count == covers) & _differs(total, area, area),
        {"sum of covers": total, "area_km2": area},
        "the land covers of a year add up to the area of the region",
    )


def _check_children(rows: _Rows, methods: Mapping[str, Method], regions: pa.Table) -> None:
    """Check that counts of the cells seen add up to those of the parent, where the children together have its area."""
    seen = [method.code for method in methods.values() if method.ground == "seen"]
    of = rows_in(rows.table["method"], seen) & (rows.texts("unit") == "KM2")
    if not of.any():
        return
    parent_of = {(row["geo"], row["nuts_version"]): row["parent"] for row in regions.to_pylist() if row["parent"]}
    versions = rows.texts("nuts_version")
    parents = pa.array(
        [parent_of.get(one) for one in zip(rows.texts("geo").tolist(), versions.tolist(), strict=True)], pa.string()
    )
    table = rows.table.append_column("parent", pa.chunked_array([parents]))
    value, area = np.nan_to_num(rows.numbers("OBS_VALUE")), _areas(rows, regions)
    rest = ("freq", "definition", "method", "unit", "nuts_version", "vintage", "lc_flow", "landcover", *_TIME)
    here, under = row_numbers((table, (*rest, "geo")), (table, (*rest, "parent")))
    child = of & ~np.array(parents.is_null())
    total, count = _totals(under[child], value[child], here)
    whole, _ = _totals(under[child], area[child], here)
    rows.refuse(
        of & (count > 0) & ~_differs(whole, area, area) & _differs(value, total, area),
        {"OBS_VALUE": rows.numbers("OBS_VALUE"), "sum of the regions in it": total},
        "counts of a region are the sums of those of the regions in it",
    )
