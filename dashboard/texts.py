"""Texts and numbers that users read: titles, units, intervals, flags and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor, log10
from typing import Any

import numpy as np

from dashboard.choices import FLOWS, UNITS, cover_name
from dashboard.schema import Method
from dashboard.table import Cell, Cube, Measure, Table

PROVISIONAL, IMPOSSIBLE = "p", "m"
"""Flags of the schema that the page shows in a special way."""

LEVEL_NAMES = {
    0: "NUTS 0: countries",
    1: "NUTS 1: major regions",
    2: "NUTS 2: basic regions",
    3: "NUTS 3: small regions",
}


def no_interval(method: Method) -> str:
    """Say why figures of a method have no 95 % interval."""
    if not method.interval:
        return "No 95 % interval: the figures are counted from maps, without a reference sample."
    return "No 95 % interval was estimated for these figures."


def level_name(level: int) -> str:
    """Return the name of a level for a list."""
    return LEVEL_NAMES.get(level, f"Level {level}")


def level_short(level: int) -> str:
    """Return the name of a level for a sentence."""
    return f"NUTS {level}" if level in LEVEL_NAMES else f"level {level}"


def title(table: Table, measure: Measure) -> str:
    """Return the title of a measure without unit and time, such as `New impervious land`."""
    cover = cover_name(table, measure.landcover)
    if measure.is_stock:
        return cover
    return f"{FLOWS[measure.lc_flow].label}{' of' if measure.is_net else ''} {cover.lower()}"


def unit_phrase(measure: Measure) -> str:
    """Return the unit in full, with what a per cent refers to."""
    if measure.is_area:
        return "km²"
    return "% of the area" if measure.is_stock else "% of the stock at the start"


def unit_explained(table: Table, measure: Measure) -> str:
    """Explain the unit in a sentence."""
    if measure.is_area:
        return "Square kilometres on an equal-area grid. Large regions tend to have large circles; use % to compare regions."
    if measure.is_stock:
        only_seen = table.known_methods[measure.method].ground == "seen"
        area = "the cells that were seen" if only_seen else "the region's area"
        return f"Per cent of {area}."
    return f"Per cent of the {cover_name(table, measure.landcover).lower()} of the earlier year."


def choose_decimals(cubes: Iterable[Cube]) -> int:
    """Choose the number of decimals, 0-4, that shows two or three significant digits of the median size of all values."""
    values = np.concatenate([cube.value.ravel() for cube in cubes])
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size:
        return 1
    middle = float(np.median(sizes))
    return int(np.clip((2 if middle >= 1 else 1) - floor(log10(middle)), 0, 4))


def number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Write a number with commas at thousands and a minus sign (not a hyphen); an en dash where there is no number.

    >>> number(-1234.5, 1), number(0.25, 2, signed=True), number(None, 1)
    ('−1,234.5', '+0.25', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{abs(value):,.{decimals}f}"
    zero = not text.strip("0.,")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return sign + text


def with_unit(value: float | None, decimals: int, measure: Measure) -> str:
    """Write a number with its unit."""
    text = number(value, decimals, signed=measure.is_net)
    return text if text == "–" else f"{text} {UNITS[measure.unit].label}"


def interval(cell: Cell, decimals: int) -> str:
    """Write a 95 % interval; empty where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    return f"{number(cell.low, decimals)} to {number(cell.high, decimals)}"


def flag_words(flags: str, schema: Mapping[str, Any]) -> str:
    """Return what the flags mean, in short.

    >>> flag_words("pu", {"codes": {"OBS_FLAG": {"p": "Provisional: may be revised", "u": "Low reliability"}}})
    'provisional, low reliability'
    """
    meanings = schema["codes"]["OBS_FLAG"]
    return ", ".join(meanings[flag].split(":")[0].lower() for flag in flags if flag in meanings)


def reliability(cell: Cell, coverage_min: float) -> str:
    """Return "missing", "low" (too little of the region was seen) or "good"."""
    if cell.value is None:
        return "missing"
    return "low" if cell.coverage is not None and cell.coverage < coverage_min else "good"


def missing_reason(cell: Cell, coverage_min: float) -> str:
    """Say why a figure has no value."""
    if cell.coverage is None:
        return "not in the table"
    if IMPOSSIBLE in cell.flags:
        return "not defined, the stock at the start is 0"
    if cell.coverage < coverage_min:
        return "too little of the region was seen"
    return "no figure"
