"""What the browser draws from: the figures of one period for all regions of a level, and those of one region for all periods.

Texts and numbers only; the page draws map, ranking, tiles, chart and report from them, so a change of the year needs no server.
"""

from __future__ import annotations

from math import floor, log10
from typing import Any

import numpy as np

from dashboard import texts
from dashboard.choices import FLOWS, UNIT_SIGNS, UNITS
from dashboard.state import State
from dashboard.table import Cube, Measure, Period, Table
from dashboard.views.classes import class_limits


def palette(measure: Measure) -> str:
    """Return the palette: two-sided for net changes; green land has its own, so that more of it does not look like more sealing."""
    green = measure.landcover == "GRN"
    if measure.is_net:
        return "netgrn" if green else "net"
    return "grn" if green else "imp"


def significant(values: np.ndarray, digits: int) -> np.ndarray:
    """Round to significant digits.

    >>> significant(np.array([12345.0, 0.0, 0.0012345]), 3).tolist()
    [12300.0, 0.0, 0.00123]
    """
    with np.errstate(divide="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(places), places, 0.0)
    return np.round(values * 10.0**places) / 10.0**places


def choose_digits(values: np.ndarray) -> int:
    """Choose the number of decimals, 0-8, that keeps three significant digits of all but the smallest values."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size:
        return 1
    return int(np.clip(3 - floor(log10(float(np.quantile(sizes, 0.1)))), 0, 8))


def circle_sizes(top: float) -> list[float]:
    """Choose three round values for the legend of circles: about the largest value, a quarter and a sixteenth of it."""
    return [float(f"{top / part:.1g}") for part in (16, 4, 1)] if top > 0 else []


def overall(table: Table, measure: Measure, period: Period) -> float | None:
    """Return the figure of all regions of the top level together; None where one is missing or they cannot be added."""
    level = table.levels[0]
    cube = table.cube(measure, level)
    if len(cube.geos) == 1:
        return cube.cell(cube.geos[0], period).value
    if measure.unit == "M2_HAB":
        return None

    def total(flow: str, at: Period) -> float:
        one = table.cube(Measure(flow, measure.landcover, measure.definition, measure.method, "KM2"), level)
        return float(one.value[:, one.periods.index(at)].sum()) if at in one.periods else float("nan")

    value = total(measure.lc_flow, period)
    if measure.is_area:
        value *= 100 if measure.unit == "HA" else 1
    else:
        start = Period(period.year_from, period.year_from)
        area = measure.is_stock or measure.unit == "PA"
        whole = sum(table.regions[geo].area_km2 for geo in cube.geos) if area else total("STK", start)
        value = 100 * value / whole if whole else float("nan")
    return value if np.isfinite(value) else None


def _pairs(periods: tuple[Period, ...]) -> list[list[int]]:
    return [[period.year_from, period.year] for period in periods]


def _coded(column: np.ndarray, texts: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Return the texts of a column that occur, and the place of each row's text among them."""
    found, places = np.unique(column, return_inverse=True)
    return [texts[code] for code in found.tolist()], places.tolist()


def slice_json(table: Table, state: State) -> dict[str, Any]:
    """Return what the page needs to draw one period of a measure and level.

    Numbers are whole: `value` in units of 10^-digits; `low` and `high` are the distances of the limits from the value, in the same
    units; `coverage` is in per cent, rounded down. The rows are the regions of the level in the order of their codes, as in names.json.
    """
    measure = state.measure
    cube = table.cube(measure, state.level)
    period = cube.nearest(state.year, state.year_from)
    colours = palette(measure)
    step = period.year - period.year_from if period else 0
    alike = [i for i, one in enumerate(cube.periods) if one.year - one.year_from == step]
    values = cube.value[:, alike]
    limits, classes = class_limits(values, colours) if not measure.is_area else ([], [])
    top = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    whole = overall(table, measure, period) if period else None
    answer: dict[str, Any] = {
        "title": texts.title(table, measure), "unit": UNIT_SIGNS[measure.unit], "unitPhrase": texts.unit_phrase(measure),
        "method": table.known_methods[measure.method].title, "signed": measure.is_net, "palette": colours,
        "kind": "circles" if measure.is_area else "classes", "limits": limits, "colours": classes,
        "top": top, "circles": circle_sizes(top), "periods": _pairs(cube.periods), "steps": _pairs(cube.steps),
        "overall": None if whole is None else float(f"{whole:.4g}"),
        "period": [period.year_from, period.year] if period else None,
    }  # fmt: skip
    return answer | (_columns(cube, cube.periods.index(period)) if period else {})


def _columns(cube: Cube, at: int) -> dict[str, Any]:
    value, low, high = cube.value[:, at], cube.low[:, at], cube.high[:, at]
    digits = choose_digits(value)

    def whole(column: np.ndarray, count: int) -> list[int | None]:
        rounded = np.round(significant(column, count) * 10.0**digits)
        return [None if v != v else int(v) for v in rounded.tolist()]

    flags, flag = _coded(cube.flags[:, at], cube.flag_texts)
    reasons, reason = _coded(cube.reasons[:, at], cube.reason_texts)
    has = bool(np.isfinite(low).any())
    coverage = [None if c != c else floor(c * 100 + 1e-9) for c in cube.coverage[:, at].tolist()]
    return {
        "digits": digits, "value": whole(value, 4), "low": whole(value - low, 2) if has else None,
        "high": whole(high - value, 2) if has else None, "coverage": coverage, "flags": flags, "flag": flag,
        "reasons": reasons, "reason": reason,
    }  # fmt: skip


def region_json(table: Table, geo: str, landcover: str, definition: str) -> dict[str, Any]:
    """Return all figures of one region for a land cover and a definition.

    Returns: {"figures": {flow: {method key: {unit: [[from, to, value, low, high, coverage, flags, reason], ...]}}},
    "moves": {method key: [[cover before, cover after, from, to, km2], ...]}}
    """
    figures: dict[str, Any] = {}
    for flow in FLOWS:
        for method in table.methods:
            for unit in UNITS:
                measure = Measure(flow, landcover, definition, method.code, unit)
                if not table.has(measure):
                    continue
                rows = []
                for period, cell in table.series(measure, geo):
                    numbers = (None if v is None else float(f"{v:.6g}") for v in (cell.value, cell.low, cell.high))
                    seen = None if cell.coverage is None else floor(cell.coverage * 100 + 1e-9)
                    rows.append([period.year_from, period.year, *numbers, seen, cell.flags, cell.reason])
                if rows:
                    figures.setdefault(flow, {}).setdefault(method.key, {})[unit] = rows
    moves = {
        method.key: [
            [before, after, a, b, None if km2 is None else float(f"{km2:.6g}")]
            for before, after, a, b, km2 in table.transitions_of(geo, definition, method.code)
        ]
        for method in table.methods
    }
    return {"figures": figures, "moves": {key: rows for key, rows in moves.items() if rows}}
