"""The map: classes, legend and values for the browser, and a summary in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from math import floor, log10
from typing import Any

import numpy as np
from htmltools import TagList, tags

from dashboard import texts
from dashboard.choices import UNITS
from dashboard.state import State
from dashboard.table import Table, cells_of
from dashboard.views.figures import current, decimals_of, palette, ranked

COLOUR_COUNTS = {"imp": 6, "grn": 5, "net": 7}
"""Number of colours of each palette; www/dashboard.css has the colours."""


def round_to_two_digits(value: float) -> float:
    """Round to two significant digits.

    >>> round_to_two_digits(0.01234), round_to_two_digits(987.0)
    (0.012, 990.0)
    """
    return 0.0 if value == 0 else round(value, 1 - floor(log10(abs(value))))


def class_breaks(values: np.ndarray, count: int, *, two_sided: bool) -> list[float]:
    """Choose the limits between classes: quantiles over all years, so that a colour means the same in each year.

    values : array of any shape, NaN = empty
    Returns: ascending limits, at most count - 1, each at two significant digits; symmetric about 0 if two_sided
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return []
    if two_sided:
        sizes = np.abs(values)
        limits = sorted({round_to_two_digits(float(q)) for q in np.quantile(sizes, (1 / 4, 1 / 2, 4 / 5))} - {0.0})
        return [-b for b in reversed(limits)] + limits
    # Fewer classes where there are few values: each class should hold at least two different ones.
    count = min(count, max(2, len(np.unique(values)) // 2))
    limits = {round_to_two_digits(float(q)) for q in np.quantile(values, np.arange(1, count) / count)}
    return sorted(limit for limit in limits if values.min() < limit <= values.max())


def class_colours(breaks: Sequence[float], count: int) -> list[int]:
    """Spread the classes over a palette of `count` colours; return the colour of each class."""
    classes = len(breaks) + 1
    return [count // 2] if classes == 1 else [round(i * (count - 1) / (classes - 1)) for i in range(classes)]


def legend_texts(breaks: Sequence[float], *, signed: bool) -> list[str]:
    """Write the class limits: `under 0.1`, `0.1 to 0.2`, `0.2 and over`."""
    if not breaks:
        return ["all values"]
    decimals = max((max(0, 1 - floor(log10(abs(limit)))) for limit in breaks if limit), default=0)
    limits = [texts.number(limit, min(decimals, 4), signed=signed) for limit in breaks]
    middle = [f"{a} to {b}" for a, b in itertools.pairwise(limits)]
    return [f"under {limits[0]}", *middle, f"{limits[-1]} and over"]


def cube_json(table: Table, state: State) -> dict[str, Any]:
    """Return all that the browser needs to draw the map of each period: values, classes and texts.

    Per cents are drawn as colour classes. Square kilometres are drawn as circles, because a large region would
    otherwise have a strong colour only for its size.
    """
    measure = state.measure
    cube = table.cube(measure, state.level)
    decimals = decimals_of(table, measure, state.level)
    kind = "circles" if measure.is_area else "classes"
    name = palette(measure)
    breaks = class_breaks(cube.value, COLOUR_COUNTS[name], two_sided=name == "net") if kind == "classes" else []
    signed = measure.is_net

    def columns(array: np.ndarray, digits: int) -> list[list[float | None]]:
        return [[None if v != v else round(v, digits) for v in column] for column in array.T.tolist()]

    flag_lists = sorted({flags for flags in cube.flags.ravel().tolist() if flags})
    flag_at = {"": 0, **{flags: i + 1 for i, flags in enumerate(flag_lists)}}
    top = float(np.nanmax(np.abs(cube.value))) if np.isfinite(cube.value).any() else 0.0
    return {
        "title": texts.title(table, measure),
        "unit": UNITS[measure.unit].label,
        "unitPhrase": texts.unit_phrase(measure),
        "method": table.known_methods[measure.method].title,
        "decimals": decimals,
        "signed": signed,
        "kind": kind,
        "palette": name,
        "breaks": breaks,
        "colours": class_colours(breaks, COLOUR_COUNTS[name]),
        "legend": legend_texts(breaks, signed=signed) if kind == "classes" else [],
        "max": top,
        "circles": circle_sizes(top),
        "coverageMin": table.coverage_min,
        "periods": [{"year": p.year, "label": p.label, "title": p.title} for p in cube.periods],
        "geos": cube.geos,
        "value": columns(cube.value, decimals + 2),
        "low": columns(cube.low, decimals) if cube.has_intervals else None,
        "high": columns(cube.high, decimals) if cube.has_intervals else None,
        "coverage": columns(cube.coverage, 3),
        "flag": [[flag_at[f] for f in column] for column in cube.flags.T.tolist()],
        "flagWords": ["", *(texts.flag_words(flags, table.schema) for flags in flag_lists)],
    }


def circle_sizes(top: float) -> list[float]:
    """Choose three round values for the legend of circles: about the largest value, a quarter and a sixteenth of it."""
    if top <= 0:
        return []
    return [float(f"{top / part:.1g}") for part in (16, 4, 1)]


def map_summary(table: Table, state: State) -> TagList:
    """Describe the map in words; screen readers get this text in place of the drawing."""
    cube, period = current(table, state)
    if period is None:
        return TagList(tags.p("The table has no figures for this choice. Choose another measure, unit or method."))
    decimals = decimals_of(table, state.measure, state.level)
    cells = cells_of(cube, period)
    order = ranked(cells, "desc")
    missing = sum(cell.value is None for cell in cells.values())
    low = sum(texts.reliability(cell, table.coverage_min) == "low" for cell in cells.values())
    undrawn = sum(geo not in table.outlines for geo in cube.geos)
    count = len(cells)
    text = [
        f"Map of {count} {texts.level_short(state.level)} {'region' if count == 1 else 'regions'}. "
        f"{texts.title(table, state.measure)}, {texts.unit_phrase(state.measure)}, {period.title}."
    ]

    def named(geos: Iterable[str]) -> str:
        return ", ".join(
            f"{table.region_label(geo)} ({texts.with_unit(cells[geo].value, decimals, state.measure)})" for geo in geos
        )

    if len(order) > 4:
        text.append(f"Highest: {named(order[:2])}. Lowest: {named(reversed(order[-2:]))}.")
    elif order:
        text.append(f"From high to low: {named(order)}.")
    if missing:
        text.append(f"{missing} without a figure.")
    if low:
        text.append(f"{low} with less than {table.coverage_min * 100:.0f} % of the area seen: not reliable.")
    if undrawn:
        text.append(f"{undrawn} without an outline: only in the ranking.")
    return TagList(tags.p(" ".join(text)))
