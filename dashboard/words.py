"""The words and numbers that people read: titles, units, flags, figures. Each is written in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor, log10
from typing import Any

import numpy as np

from dashboard.data import Cell, Cube, Measure

FLOW_NAMES = {"STK": "Stock", "GAIN": "New", "LOSS": "Lost", "NET": "Net change"}
COVER_NAMES = {"IMP": "Impervious land", "GRN": "Green land", "OTH": "Other land"}
UNIT_NAMES = {"KM2": "km²", "PC": "%"}
DEFINITION_NAMES = {"artificial_natural": "Artificial and natural surfaces", "artificial": "Artificial surfaces only"}
METHOD_NAMES = {
    "estimated": "Estimated from a sample",
    "assisted": "Model-assisted estimate",
    "mapped_consistent": "Consistent map",
    "mapped_raw": "Raw map counts",
}
METHOD_SHORT = {
    "estimated": "estimated",
    "assisted": "assisted",
    "mapped_consistent": "consistent",
    "mapped_raw": "raw",
}
LEVEL_NAMES = {
    0: "NUTS 0: countries",
    1: "NUTS 1: major regions",
    2: "NUTS 2: basic regions",
    3: "NUTS 3: small regions",
}


def no_interval(method: str) -> str:
    """Say why there is no 95 % interval."""
    if method.startswith("mapped"):
        return "No 95 % interval: the figures are counted from maps, no reference sample stands behind them."
    return "No 95 % interval was estimated for these figures."


def level_name(level: int) -> str:
    """Name a level for a list."""
    return LEVEL_NAMES.get(level, f"Level {level}")


def level_short(level: int) -> str:
    """Name a level within a sentence."""
    return f"NUTS {level}" if level in LEVEL_NAMES else f"level {level}"


def title(measure: Measure) -> str:
    """Say what is shown, without unit and time.

    >>> title(Measure("GAIN", "IMP", "artificial", "mapped_raw", "PC"))
    'New impervious land'
    """
    cover = COVER_NAMES[measure.landcover]
    return {
        "STK": cover,
        "GAIN": f"New {cover.lower()}",
        "LOSS": f"Lost {cover.lower()}",
        "NET": f"Net change of {cover.lower()}",
    }[measure.lc_flow]


def unit_phrase(measure: Measure) -> str:
    """Say the unit in full: what a per cent is a per cent of."""
    if measure.unit == "KM2":
        return "km²"
    return "% of the area" if measure.lc_flow == "STK" else "% of the stock at the start"


def unit_explained(measure: Measure) -> str:
    """Say for the method box what the unit means."""
    if measure.unit == "KM2":
        return "Square kilometres, counted on an equal-area grid. The circles mostly tell how large a region is; % compares regions."
    if measure.lc_flow == "STK":
        area = "the cells that were seen" if measure.method == "mapped_raw" else "the region's area"
        return f"Per cent of {area}."
    return f"Per cent of the {COVER_NAMES[measure.landcover].lower()} that there was in the earlier year."


def decimals(cubes: Iterable[Cube]) -> int:
    """Choose how many decimals show two or three figures of a middling value; one choice for all, so figures align."""
    values = np.concatenate([cube.value.ravel() for cube in cubes])
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size:
        return 1
    middle = float(np.median(sizes))
    return int(np.clip((2 if middle >= 1 else 1) - floor(log10(middle)), 0, 4))


def number(value: float | None, places: int, *, signed: bool = False) -> str:
    """Write a number with thousands commas and a true minus; an en dash where there is none.

    >>> number(-1234.5, 1), number(0.25, 2, signed=True), number(None, 1)
    ('−1,234.5', '+0.25', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{abs(value):,.{places}f}"
    zero = not text.strip("0.,")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return sign + text


def with_unit(value: float | None, places: int, measure: Measure, *, signed: bool | None = None) -> str:
    """Write a number with its unit."""
    signed = measure.lc_flow == "NET" if signed is None else signed
    text = number(value, places, signed=signed)
    return text if text == "–" else f"{text} {UNIT_NAMES[measure.unit]}"


def interval(cell: Cell, places: int) -> str:
    """Write a 95 % interval; empty where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    return f"{number(cell.low, places)} to {number(cell.high, places)}"


def flag_words(flags: str, schema: Mapping[str, Any]) -> str:
    """Say flags in words, short.

    >>> flag_words("pu", {"codes": {"OBS_FLAG": {"p": "Provisional: may be revised", "u": "Low reliability"}}})
    'provisional, low reliability'
    """
    texts = schema["codes"]["OBS_FLAG"]
    return ", ".join(texts[flag].split(":")[0].lower() for flag in flags if flag in texts)


def state_of(cell: Cell, coverage_min: float) -> str:
    """Sort a figure into "missing", "low" (too little of the region was seen) or "good"."""
    if cell.value is None:
        return "missing"
    return "low" if cell.coverage is not None and cell.coverage < coverage_min else "good"


def missing_reason(cell: Cell, coverage_min: float) -> str:
    """Say why there is no value."""
    if cell.coverage is None:
        return "not in the table"
    if "m" in cell.flags:
        return "cannot exist"
    if cell.coverage < coverage_min:
        return "too little of the region was seen"
    return "no figure"
