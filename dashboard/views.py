"""What is drawn: pure functions from the table and a state to tags and plain data.

All text goes through htmltools' tags, which escape it; nothing here writes HTML as text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, log10
from typing import Any

import numpy as np
from htmltools import Tag, TagChild, TagList, tags

from dashboard import words
from dashboard.data import NO_CELL, Cell, Cube, Measure, Period, Table, cells_of
from dashboard.state import FLOWS, State, format_query

TOP = 25
"""Rows of the ranking; the chosen regions come on top of that."""

_CLASSES = {"imp": 6, "grn": 5, "net": 7}
"""Colours of each palette; the colours themselves are in www/dashboard.css."""


def svg(name: str, *children: TagChild, **attributes: Any) -> Tag:
    """Make an SVG tag; `_` in a name stands for `-`, a trailing one is dropped."""
    return Tag(
        name, {k.rstrip("_").replace("_", "-"): str(v) for k, v in attributes.items() if v is not None}, *children
    )


def current(table: Table, state: State) -> tuple[Cube, Period | None]:
    """Return the cube of the map and the period shown: that of the chosen year, else the nearest."""
    cube = table.cube(state.measure, state.level)
    return cube, cube.nearest(state.year)


@lru_cache(maxsize=1024)
def places_of(table: Table, measure: Measure, level: int) -> int:
    """Return the decimals of a measure: stocks alone, all flows alike."""
    flows = ("STK",) if measure.lc_flow == "STK" else ("GAIN", "LOSS", "NET")
    return words.decimals(table.cube(replace(measure, lc_flow=flow), level) for flow in flows)


def other_method(table: Table, measure: Measure) -> str | None:
    """Return the method to draw beside the chosen one: raw beside any other, the headline beside raw."""
    other = table.headline_method if measure.method == "mapped_raw" else "mapped_raw"
    return other if other != measure.method and other in table.codes("method") else None


# ---- the map -------------------------------------------------------------------------------------------------------------


def nice(value: float) -> float:
    """Round to two significant digits.

    >>> nice(0.01234), nice(987)
    (0.012, 990.0)
    """
    return 0.0 if value == 0 else round(value, 1 - floor(log10(abs(value))))


def palette(measure: Measure) -> str:
    """Name the palette: two-sided for net, else that of the cover."""
    return "net" if measure.lc_flow == "NET" else "grn" if measure.landcover == "GRN" else "imp"


def class_breaks(values: np.ndarray, count: int, *, two_sided: bool) -> list[float]:
    """Choose the limits between classes: quantiles over all years, so colours mean the same in each year.

    values : array of any shape, NaN = empty
    Returns: ascending limits, at most count - 1, each at two significant digits; symmetric about 0 if two_sided
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return []
    if two_sided:
        sizes = np.abs(values)
        limits = sorted({nice(float(q)) for q in np.quantile(sizes, (1 / 4, 1 / 2, 4 / 5))} - {0.0})
        return [-b for b in reversed(limits)] + limits
    # At least two different values a class, or the classes tell less than the ranking.
    count = min(count, max(2, len(np.unique(values)) // 2))
    limits = {nice(float(q)) for q in np.quantile(values, np.arange(1, count) / count)}
    return sorted(limit for limit in limits if values.min() < limit <= values.max())


def class_colours(breaks: Sequence[float], count: int) -> list[int]:
    """Spread the classes over the palette: class index to colour index."""
    classes = len(breaks) + 1
    return [count // 2] if classes == 1 else [round(i * (count - 1) / (classes - 1)) for i in range(classes)]


def _break_places(breaks: Sequence[float]) -> int:
    return max((max(0, 1 - floor(log10(abs(b)))) for b in breaks if b), default=0)


def legend_texts(breaks: Sequence[float], *, signed: bool) -> list[str]:
    """Write the class limits: `under 0.1`, `0.1 to 0.2`, `0.2 and over`."""
    places = min(_break_places(breaks), 4)
    texts = [words.number(b, places, signed=signed) for b in breaks]
    if not texts:
        return ["all values"]
    middle = [f"{a} to {b}" for a, b in itertools.pairwise(texts)]
    return [f"under {texts[0]}", *middle, f"{texts[-1]} and over"]


def cube_json(table: Table, state: State) -> dict[str, Any]:
    """Return all that the browser needs to paint every year of the map: values, classes, words.

    Ratios are painted as classes; square kilometres, which mostly tell how large a region is, as circles.
    """
    measure = state.measure
    cube = table.cube(measure, state.level)
    places = places_of(table, measure, state.level)
    kind = "circles" if measure.unit == "KM2" else "classes"
    name = palette(measure)
    breaks = class_breaks(cube.value, _CLASSES[name], two_sided=name == "net") if kind == "classes" else []
    signed = measure.lc_flow == "NET"

    def columns(array: np.ndarray, digits: int) -> list[list[float | None]]:
        return [[None if v != v else round(v, digits) for v in column] for column in array.T.tolist()]

    flag_lists = sorted({flags for flags in cube.flags.ravel().tolist() if flags})
    flag_at = {"": 0, **{flags: i + 1 for i, flags in enumerate(flag_lists)}}
    top = float(np.nanmax(np.abs(cube.value))) if np.isfinite(cube.value).any() else 0.0
    return {
        "title": words.title(measure),
        "unit": words.UNIT_NAMES[measure.unit],
        "unitPhrase": words.unit_phrase(measure),
        "method": words.METHOD_NAMES[measure.method],
        "decimals": places,
        "signed": signed,
        "kind": kind,
        "palette": name,
        "breaks": breaks,
        "colours": class_colours(breaks, _CLASSES[name]),
        "legend": legend_texts(breaks, signed=signed) if kind == "classes" else [],
        "max": top,
        "circles": circle_sizes(top),
        "coverageMin": table.coverage_min,
        "periods": [{"year": p.year, "label": p.label, "title": p.title} for p in cube.periods],
        "geos": cube.geos,
        "value": columns(cube.value, places + 2),
        "low": columns(cube.low, places) if cube.has_intervals else None,
        "high": columns(cube.high, places) if cube.has_intervals else None,
        "coverage": columns(cube.coverage, 3),
        "flag": [[flag_at[f] for f in column] for column in cube.flags.T.tolist()],
        "flagWords": ["", *(words.flag_words(flags, table.schema) for flags in flag_lists)],
    }


def circle_sizes(top: float) -> list[float]:
    """Choose three round values for the legend of circles: about the largest, a quarter and a sixteenth of it."""
    if top <= 0:
        return []
    return [float(f"{top / part:.1g}") for part in (16, 4, 1)]


def map_summary(table: Table, state: State) -> TagList:
    """Tell the map in words, for those who do not see it and those who do."""
    cube, period = current(table, state)
    if period is None:
        return TagList(tags.p("The table has no such figures. Choose another measure, unit or method."))
    places = places_of(table, state.measure, state.level)
    cells = cells_of(cube, period)
    ranked = _ranked(cells, "desc")
    missing = sum(cell.value is None for cell in cells.values())
    low = sum(words.state_of(cell, table.coverage_min) == "low" for cell in cells.values())
    undrawn = sum(geo not in table.outlines for geo in cube.geos)
    count = len(cells)
    text = [
        f"Map of {count} {words.level_short(state.level)} {'region' if count == 1 else 'regions'}. "
        f"{words.title(state.measure)}, {words.unit_phrase(state.measure)}, {period.title}."
    ]

    def named(geos: Iterable[str]) -> str:
        return ", ".join(
            f"{table.call(geo)} ({words.with_unit(cells[geo].value, places, state.measure)})" for geo in geos
        )

    if len(ranked) > 4:
        text.append(f"Highest: {named(ranked[:2])}. Lowest: {named(reversed(ranked[-2:]))}.")
    elif ranked:
        text.append(f"From high to low: {named(ranked)}.")
    if missing:
        text.append(f"{missing} without a figure.")
    if low:
        text.append(f"{low} with less than {table.coverage_min * 100:.0f} % of the ground seen: do not rely on them.")
    if undrawn:
        text.append(f"{undrawn} without an outline, only in the ranking.")
    return TagList(tags.p(" ".join(text)))


# ---- the ranking ---------------------------------------------------------------------------------------------------------


def _ranked(cells: Mapping[str, Cell], order: str) -> list[str]:
    valued = [geo for geo, cell in cells.items() if cell.value is not None]
    sign = -1 if order == "desc" else 1
    return sorted(valued, key=lambda geo: (sign * cells[geo].value, geo))


def ranking(table: Table, state: State) -> TagList:
    """Rank the regions of the map: the first 25, and the chosen ones with their place."""
    cube, period = current(table, state)
    if period is None:
        return TagList(tags.p("Nothing to rank.", class_="empty"))
    measure = state.measure
    places = places_of(table, measure, state.level)
    cells = cells_of(cube, period)
    order = _ranked(cells, state.order)
    place = {geo: i + 1 for i, geo in enumerate(order)}
    shown = order[:TOP]
    extra = [geo for geo in state.geos if geo in cells and geo not in shown]
    extra.sort(key=lambda geo: place.get(geo, len(order) + 1))
    limit = max((abs(cell.value) for cell in cells.values() if cell.value is not None), default=0) or 1
    intervals = cube.has_intervals
    # What is true of every figure is said once, above the table.
    lists = {cells[geo].flags for geo in order}
    common = "".join(f for f in table.schema["codes"]["OBS_FLAG"] if lists and all(f in flags for flags in lists))

    def row(geo: str) -> Tag:
        return _ranking_row(table, state, geo, place.get(geo), cells[geo], places, limit, intervals, common)

    rows = [row(geo) for geo in shown]
    if extra:
        rows.append(tags.tr(tags.td("Your other chosen regions", colspan=6 if intervals else 5), class_="divider"))
        rows += [row(geo) for geo in extra]
    flip = "asc" if state.order == "desc" else "desc"
    head = [
        tags.th("Rank", scope="col", class_="num"),
        tags.th("Region", scope="col"),
        tags.th(
            tags.button(
                words.UNIT_NAMES[measure.unit],
                tags.span(" ▾" if state.order == "desc" else " ▴", aria_hidden="true"),
                {"data-order": flip, "data-key": "order", "type": "button"},
                aria_label=f"{words.unit_phrase(measure)}, turn the order",
            ),
            scope="col",
            class_="num",
            aria_sort="descending" if state.order == "desc" else "ascending",
            colspan=2,
        ),
    ]
    if intervals:
        head.append(tags.th("95 % interval", scope="col", class_="num"))
    head.append(tags.th("Seen", tags.span(" / note", class_="wide-only"), scope="col"))
    valued, total = len(order), len(cells)
    caption = f"{min(TOP, valued)} of {valued} ranked {'region' if valued == 1 else 'regions'}"
    if total > valued:
        caption += f"; {total - valued} without a figure"
    return TagList(
        tags.h2(f"{words.title(measure)}, {words.unit_phrase(measure)}, {period.title}"),
        tags.p(
            f"{caption}." + (f" All figures: {words.flag_words(common, table.schema)}." if common else ""),
            class_="note",
        ),
        tags.table(
            tags.caption(f"Ranking of {words.level_short(state.level)} regions", class_="hidden"),
            tags.thead(tags.tr(head)),
            tags.tbody(rows),
            class_="ranking",
        )
        if rows
        else tags.p("No region of this level has a figure for this period.", class_="empty"),
    )


def _ranking_row(
    table: Table,
    state: State,
    geo: str,
    place: int | None,
    cell: Cell,
    places: int,
    limit: float,
    intervals: bool,
    common: str,
) -> Tag:
    region = table.regions[geo]
    row = [
        tags.td(str(place) if place else "–", class_="num"),
        tags.th(
            tags.button(
                tags.span(region.name, class_="name"),
                " ",
                tags.span(geo, class_="code"),
                {"data-geo": geo, "data-key": f"rank-{geo}", "type": "button"},
                aria_pressed="true" if geo in state.geos else "false",
            ),
            scope="row",
        ),
        tags.td(words.number(cell.value, places, signed=state.measure.lc_flow == "NET"), class_="num"),
        tags.td(_bar(cell, limit, state), class_="bar", aria_hidden="true"),
    ]
    if intervals:
        row.append(tags.td(words.interval(cell, places) or "none", class_="num soft"))
    row.append(tags.td(*note(table, cell, common), class_="soft"))
    return tags.tr(row, class_="chosen" if geo in state.geos else None)


def note(table: Table, cell: Cell, common: str = "") -> list[TagChild]:
    """Say how much of the region was seen, and what the flags mean, but for those already said of all."""
    seen = "" if cell.coverage is None else f"{floor(cell.coverage * 100)}\u00a0%"
    said = [words.missing_reason(cell, table.coverage_min)] if cell.value is None else []
    if words.state_of(cell, table.coverage_min) == "low":
        said.append("too little seen")
    flags = words.flag_words("".join(f for f in cell.flags if f not in common), table.schema)
    if flags:
        said.append(flags)
    return [seen, tags.span(f" · {', '.join(said)}" if seen else ", ".join(said), class_="wide-only") if said else None]


def _bar(cell: Cell, limit: float, state: State) -> Tag | None:
    if cell.value is None:
        return None
    two_sided = state.measure.lc_flow == "NET"
    length = abs(cell.value) / limit * (30 if two_sided else 60)
    x = 0 if not two_sided else 30 if cell.value >= 0 else 30 - length
    kind = palette(state.measure) + ("-minus" if cell.value < 0 else "")
    return svg(
        "svg",
        svg("rect", x=f"{x:.1f}", y=0, width=f"{length:.1f}", height=10),
        class_=f"fill-{kind}",
        viewBox="0 0 60 10",
    )


# ---- the chosen region ---------------------------------------------------------------------------------------------------


def headline(table: Table, state: State) -> TagList:
    """Tell the first chosen region: name, then stock, new, lost and net of the year shown."""
    if not state.geos:
        return TagList(
            tags.h2("No region chosen"),
            tags.p("Choose one on the map, in the ranking or by its name.", class_="empty"),
        )
    region = table.regions[state.geos[0]]
    _, period = current(table, state)
    year = period.year if period else state.year
    parent = table.regions.get(region.parent)
    where = f"{region.geo} · {words.level_short(region.level)}" + (f" · part of {parent.name}" if parent else "")
    tiles = [
        _tile(table, state, region.geo, region.level, flow, year) for flow in FLOWS if flow in table.codes("lc_flow")
    ]
    return TagList(
        tags.h2(region.name),
        tags.p(
            where,
            " · ",
            tags.a("Page to print", href=f"region/{region.geo}?{format_query(state)}"),
            class_="note",
        ),
        tags.dl(tiles, class_="tiles"),
    )


def _tile(table: Table, state: State, geo: str, level: int, flow: str, year: int) -> Tag:
    lines: list[TagChild] = []
    when = ""
    for unit in ("KM2", "PC"):
        measure = replace(state.measure, lc_flow=flow, unit=unit)
        cube = table.cube(measure, level)
        period = next((p for p in cube.periods if p.year == year), None)
        cell = cube.cell(geo, period) if period else NO_CELL
        when = period.title if period else when
        places = places_of(table, measure, level)
        text = words.with_unit(cell.value, places, measure)
        lines.append(tags.dd(text, class_="big" if unit == "KM2" else None))
        if unit == "KM2" and period and cell.value is None:
            lines.append(tags.dd(words.missing_reason(cell, table.coverage_min), class_="soft"))
            break
        if unit == "KM2" and cell.low is not None:
            lines.append(tags.dd(f"95 %: {words.interval(cell, places)}", class_="soft"))
    return tags.div(
        tags.dt(words.FLOW_NAMES[flow], tags.span(when or str(year), class_="when")),
        *lines,
        class_="tile now" if flow == state.measure.lc_flow else "tile",
    )


@dataclass(frozen=True)
class Line:
    """One line of the chart."""

    geo: str
    method: str
    slot: int
    """Colour and marker, 0-4."""
    cells: Mapping[Period, Cell]
    beside: bool
    """The other method, drawn dashed."""


def lines_of(table: Table, state: State) -> list[Line]:
    """Return the lines of the chosen regions, and of the other method where asked for and there."""
    lines = []
    beside = other_method(table, state.measure) if state.compare_method else None
    for slot, geo in enumerate(state.geos):
        # With several regions the first alone has its other method, or the lines would hide each other.
        for method in (state.measure.method, beside if slot == 0 else None):
            if method is None:
                continue
            cube = table.cube(replace(state.measure, method=method), table.regions[geo].level)
            cells = {period: cube.cell(geo, period) for period in cube.periods}
            if any(cell.value is not None for cell in cells.values()):
                lines.append(Line(geo, method, slot, cells, method != state.measure.method))
    return lines


def axis_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose round values that span low to high.

    >>> axis_ticks(0.3, 9.1)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if high <= low:
        high = low + (abs(low) or 1) * 0.1
    rough = (high - low) / count
    size = 10 ** floor(log10(rough))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def chart(table: Table, state: State, *, narrow: bool = False) -> TagList:
    """Draw the years of the chosen regions: lines, 95 % ribbons where there are intervals, the other method dashed."""
    measure = state.measure
    if not state.geos:
        return TagList()
    lines = lines_of(table, state)
    if not lines:
        return TagList(tags.p("No figures for the chosen regions in this measure.", class_="empty"))
    periods = sorted({period for line in lines for period in line.cells})
    span = f"{periods[0].year_from} to {periods[-1].year}" if len(periods) > 1 else periods[0].title
    heading = f"{words.title(measure)}, {words.unit_phrase(measure)}, {span}"
    drawing = _draw_chart(
        lines, periods, state, current(table, state)[1], 360 if narrow else 640, 250 if narrow else 270
    )
    told = [_tell(table, line, state) for line in lines if not line.beside]
    drawing.attrs.update({"role": "img", "aria-label": f"Line chart. {heading}. " + " ".join(told)})
    return TagList(tags.h3(heading), drawing, tags.p(" ".join(chart_notes(table, state, lines)), class_="note"))


def _tell(table: Table, line: Line, state: State) -> str:
    valued = [(period, cell) for period, cell in line.cells.items() if cell.value is not None]
    places = places_of(table, state.measure, table.regions[line.geo].level)
    first, last = valued[0], valued[-1]
    texts = [
        f"{words.with_unit(cell.value, places, state.measure)} in {period.title}" for period, cell in (first, last)
    ]
    return f"{table.call(line.geo)}: " + (texts[0] if first == last else " and ".join(texts)) + "."


def chart_notes(table: Table, state: State, lines: Sequence[Line]) -> list[str]:
    """Say what the chart's signs mean, only those that occur."""
    notes = []
    main = [line for line in lines if not line.beside]
    with_interval = [line for line in main if any(cell.low is not None for cell in line.cells.values())]
    method = words.METHOD_NAMES[state.measure.method]
    notes.append(f"Line: {method.lower()}.")
    if any(line.beside for line in lines):
        beside = next(line for line in lines if line.beside)
        of = f" of {table.call(beside.geo)}" if len(state.geos) > 1 else ""
        notes.append(f"Dashed: {words.METHOD_NAMES[beside.method].lower()}{of}, for comparison.")
    if with_interval:
        notes.append("Band: 95 % interval.")
        if len(with_interval) < len(main):
            notes.append("Where there is no band, no interval was estimated.")
    else:
        notes.append(words.no_interval(state.measure.method))
    undrawn = [geo for geo in state.geos if geo not in {line.geo for line in main}]
    if undrawn:
        notes.append(f"Not drawn, no figures: {', '.join(table.call(geo) for geo in undrawn)}.")
    if any("p" in cell.flags and cell.value is not None for line in main for cell in line.cells.values()):
        notes.append("Hollow: provisional.")
    if any(cell.value is None for line in main for cell in line.cells.values()):
        notes.append("Gaps: no figure.")
    if _base(lines, state.measure) > 0:
        notes.append("The axis does not begin at 0.")
    return notes


def _values(lines: Iterable[Line]) -> list[float]:
    return [v for line in lines for c in line.cells.values() for v in (c.value, c.low, c.high) if v is not None]


def _base(lines: Sequence[Line], measure: Measure) -> float:
    """Return the lower end of the value axis: flows from 0, stocks from near their least, where that tells more."""
    values = _values(lines)
    low, high = min(values), max(values)
    if measure.lc_flow != "STK":
        return min(low, 0.0)
    return 0.0 if low < (high - low) * 2 else axis_ticks(low, high)[0]


def _draw_chart(
    lines: Sequence[Line], periods: Sequence[Period], state: State, now: Period | None, width: int, height: int
) -> Tag:
    ticks = axis_ticks(_base(lines, state.measure), max(*_values(lines), 0.0))
    places = max((len(f"{t:.10g}".partition(".")[2]) for t in ticks), default=0)
    labels = [words.number(t, places) for t in ticks]
    left, right, top, bottom = 14 + 8 * max(map(len, labels)), 86, 14, 30

    def x(period: Period) -> float:
        inner = width - left - right
        return left + (
            inner / 2 if len(periods) == 1 else 8 + (inner - 16) * periods.index(period) / (len(periods) - 1)
        )

    def y(value: float) -> float:
        return top + (height - top - bottom) * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    parts: list[Tag] = []
    for tick, label in zip(ticks, labels, strict=True):
        kind = "zero" if tick == 0 else "grid"
        parts.append(svg("line", x1=left, x2=width - right, y1=f"{y(tick):.1f}", y2=f"{y(tick):.1f}", class_=kind))
        parts.append(svg("text", label, x=left - 6, y=f"{y(tick) + 4:.1f}", text_anchor="end"))
    # Room for about one label each 58 units; the last one always stands, counted back from the end.
    every = max(1, ceil(58 * len(periods) / (width - left - right)))
    for i, period in enumerate(reversed(periods)):
        if i % every == 0:
            parts.append(svg("text", period.label, x=f"{x(period):.1f}", y=height - 8, text_anchor="middle"))
    marked = next((p for p in periods if now and p.year == now.year), None)
    if marked:
        parts.append(
            svg("line", x1=f"{x(marked):.1f}", x2=f"{x(marked):.1f}", y1=top, y2=height - bottom, class_="now")
        )
    for line in lines:
        if not line.beside:
            parts += [svg("path", d=d, class_=f"ribbon s{line.slot}") for d in _ribbons(line, x, y)]
    for line in sorted(lines, key=lambda line: not line.beside):
        style = f"s{line.slot}" + (" beside" if line.beside else "")
        parts += [svg("path", d=d, class_=f"line {style}") for d in _strokes(line, x, y)]
        if not line.beside:
            for period, cell in line.cells.items():
                if cell.value is not None:
                    hollow = " hollow" if "p" in cell.flags else ""
                    parts.append(marker(line.slot, x(period), y(cell.value), f"mark {style}{hollow}"))
    ends = []
    for line in lines:
        period, cell = [(p, c) for p, c in line.cells.items() if c.value is not None][-1]
        several = len(state.geos) > 1
        if several and line.beside:
            continue
        ends.append((y(cell.value), line.geo if several else words.METHOD_SHORT[line.method], line))
    for at, text, line in _spread(ends, 15, top + 6, height - bottom):
        style = f"end s{line.slot}" + (" beside" if line.beside else "")
        parts.append(svg("text", text[:10], x=width - right + 6, y=f"{at + 4:.1f}", class_=style))
    return svg("svg", *parts, class_="chart", viewBox=f"0 0 {width} {height}")


def _spread(
    ends: list[tuple[float, str, Line]], gap: float, top: float, bottom: float
) -> list[tuple[float, str, Line]]:
    """Push labels apart so that none covers another."""
    ends = sorted(ends, key=lambda end: end[0])
    places: list[float] = []
    for at, _, _ in ends:
        places.append(max(at, places[-1] + gap) if places else max(at, top))
    over = places[-1] - bottom if places else 0
    if over > 0:
        places = [place - over for place in places]
    return [(place, text, line) for place, (_, text, line) in zip(places, ends, strict=True)]


def _runs(line: Line, wanted: str) -> list[list[tuple[Period, Cell]]]:
    """Cut a line where a figure is missing; a flow that does not begin where the last one ended is a cut, too."""
    runs: list[list[tuple[Period, Cell]]] = [[]]
    for period, cell in line.cells.items():
        if getattr(cell, wanted) is None:
            runs.append([])
        else:
            runs[-1].append((period, cell))
    return [run for run in runs if run]


def _strokes(line: Line, x: Any, y: Any) -> list[str]:
    return [
        "M" + "L".join(f"{x(period):.1f} {y(cell.value):.1f}" for period, cell in run)
        for run in _runs(line, "value")
        if len(run) > 1 or line.beside
    ]


def _ribbons(line: Line, x: Any, y: Any) -> list[str]:
    shapes = []
    for run in _runs(line, "low"):
        there = [f"{x(p):.1f} {y(c.high):.1f}" for p, c in run]
        back = [f"{x(p):.1f} {y(c.low):.1f}" for p, c in reversed(run)]
        if len(run) == 1:
            period, cell = run[0]
            there = [f"{x(period) + d:.1f} {y(cell.high):.1f}" for d in (-4, 4)]
            back = [f"{x(period) + d:.1f} {y(cell.low):.1f}" for d in (4, -4)]
        shapes.append("M" + "L".join([*there, *back]) + "z")
    return shapes


def marker(slot: int, x: float, y: float, class_: str) -> Tag:
    """Draw the sign of a line; each slot has its own shape, so colour is never alone."""
    if slot == 0:
        return svg("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.6, class_=class_)
    shape = {
        1: "M-3.4-3.4h6.8v6.8h-6.8z",
        2: "M0-4.4l4.2 7.4h-8.4z",
        3: "M0-4.8l4.2 4.8-4.2 4.8-4.2-4.8z",
        4: "M0 4.4l4.2-7.4h-8.4z",
    }[slot]
    return svg("path", d=shape, transform=f"translate({x:.1f} {y:.1f})", class_=class_)


def figures(table: Table, state: State) -> TagList:
    """Write the chart as a table: a row for each period, region and method."""
    lines = lines_of(table, state)
    if not lines:
        return TagList()
    measure = state.measure
    rows = []
    for line in lines:
        places = places_of(table, measure, table.regions[line.geo].level)
        for period, cell in line.cells.items():
            rows.append(
                tags.tr(
                    tags.th(table.call(line.geo), scope="row"),
                    tags.td(words.METHOD_SHORT[line.method]),
                    tags.td(period.label),
                    tags.td(words.number(cell.value, places, signed=measure.lc_flow == "NET"), class_="num"),
                    tags.td(words.interval(cell, places) or "none", class_="num soft"),
                    tags.td(*note(table, cell), class_="soft"),
                )
            )
    heads = ("Region", "Method", "Period", words.unit_phrase(measure), "95 % interval", "Seen")
    return TagList(
        tags.table(
            tags.caption(f"{words.title(measure)}, {words.unit_phrase(measure)}", class_="hidden"),
            tags.thead(tags.tr([tags.th(head, scope="col") for head in heads])),
            tags.tbody(rows),
        )
    )


def changes(table: Table, state: State) -> TagList:
    """Show what became what in the first chosen region, in km²."""
    if not state.geos:
        return TagList(tags.h2("What became what"), tags.p("Choose a region first.", class_="empty"))
    geo = state.geos[0]
    region = table.regions[geo]
    measure = replace(state.measure, lc_flow="NET", unit="KM2")
    periods = table.cube(measure, region.level).periods
    period = min(periods, key=lambda p: abs(p.year - state.year), default=None)
    found = table.changes(geo, measure.definition, measure.method, "KM2", period) if period else {}
    heading = tags.h2(f"What became what in {region.name}, km²" + (f", {period.title}" if period else ""))
    if found and all(cell.value is None for cell in found.values()):
        return TagList(heading, tags.p("Too little of the region was seen in both years.", class_="empty"))
    if not found:
        return TagList(
            heading, tags.p("The table has no transitions for this region, method and time.", class_="empty")
        )
    covers = [c for c in table.schema["codes"]["landcover"] if any(c in pair for pair in found)]
    names = table.schema["codes"]["landcover"]
    sizes = [abs(c.value) for c in found.values() if c.value]
    places = int(np.clip(2 - floor(log10(np.median(sizes))), 0, 4)) if sizes else 1

    def cell(start: str, end: str) -> Tag:
        if start == end:
            return tags.td("·", class_="num soft")
        one = found.get((start, end), NO_CELL)
        return tags.td(words.number(one.value, places), class_="num")

    return TagList(
        heading,
        tags.table(
            tags.caption("Rows: before. Columns: after.", class_="note"),
            tags.thead(
                tags.tr(
                    tags.td("from / to", class_="soft"), [tags.th(names[c], scope="col", class_="num") for c in covers]
                )
            ),
            tags.tbody([tags.tr(tags.th(names[a], scope="row"), [cell(a, b) for b in covers]) for a in covers]),
            class_="changes",
        ),
    )


# ---- method and provenance -----------------------------------------------------------------------------------------------


def about(table: Table, state: State, *, base: str = "") -> TagList:
    """Say where the figures come from and how far to trust them, from the schema and datapackage.json."""
    package, codes, measure = table.package, table.schema["codes"], state.measure
    notes = package.get("method")
    rows: list[tuple[str, TagChild]] = [
        (
            "Status",
            f"{str(package.get('status', 'experimental')).capitalize()}: made by a new method, not official statistics.",
        ),
        ("Definition", f"{codes['definition'][measure.definition]}."),
        ("Method", f"{words.METHOD_NAMES[measure.method]}. {codes['method'][measure.method]}."),
        ("Notes", tags.ul([tags.li(str(note)) for note in notes]) if isinstance(notes, list) else notes and str(notes)),
        ("Unit", words.unit_explained(measure)),
        ("Intervals", _interval_words(table, state)),
        (
            "Seen",
            f"Share of the region's cells that were seen. Below {table.coverage_min * 100:.0f} % the map is hatched.",
        ),
        ("Regions", f"NUTS version {table.nuts_version}. Outlines: {outline_source(package)}."),
        ("Run", f"Vintage {table.vintage or 'not given'}. A later run replaces the figures of an earlier one."),
        ("Scenes", scene_counts(package)),
        ("Model", model_words(package)),
        ("Grid", _joined(package.get("grid"), ("crs", "res_m"), {"res_m": "{} m cells", "crs": "{}"})),
        ("Software", _joined(package.get("software"))),
        ("Licence", _names(package.get("licenses"))),
        ("Contact", _names(package.get("contributors")) or (package.get("contact") and str(package["contact"]))),
    ]
    flags = [tags.li(tags.b(flag), tags.span(text)) for flag, text in codes["OBS_FLAG"].items()]
    return TagList(
        tags.p(str(package["description"]), class_="note") if package.get("description") else None,
        tags.dl([[tags.dt(name), tags.dd(value)] for name, value in rows if value], class_="about"),
        tags.p(
            "All parameters, digests and scene names: ",
            tags.a("data package", href=f"{base}api/v1/datapackage.json", download=True),
            ".",
            class_="note",
        ),
        tags.h3("Flags"),
        tags.ul(flags, class_="flags"),
    )


def _interval_words(table: Table, state: State) -> str:
    if any(table.cube(state.measure, level).has_intervals for level in table.levels):
        return "95 % intervals come from a reference sample; where none is drawn, none was estimated."
    return words.no_interval(state.measure.method)


def outline_source(package: Mapping[str, Any]) -> str:
    """Return the source of the outlines as the package tells it."""
    regions = package.get("regions")
    if not isinstance(regions, Mapping) or not regions.get("outlines"):
        return "not named in the data package"
    more = [str(regions[key]) for key in ("scale", "note") if regions.get(key) not in (None, "", "not known")]
    return ", ".join([str(regions["outlines"]), *more])


def _provenance(package: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = package.get("provenance")
    return {str(k): v for k, v in found.items() if isinstance(v, Mapping)} if isinstance(found, Mapping) else {}


def scene_counts(package: Mapping[str, Any]) -> str:
    """Say how many scenes stand behind each year.

    >>> scene_counts({"provenance": {"2017": {"scene_count": 6}, "2018": {"scene_count": 8}}})
    '2017: 6 · 2018: 8'
    """
    counts = {year: known.get("scene_count") for year, known in _provenance(package).items()}
    return " · ".join(f"{year}: {count}" for year, count in sorted(counts.items()) if count)


def model_words(package: Mapping[str, Any]) -> str:
    """Name the model or models by the beginning of their digests, and their labels."""
    told = []
    for known in _provenance(package).values():
        if known.get("model"):
            labels = known.get("model_labels")
            by = f", labels {labels.get('legend')} of {labels.get('year')}" if isinstance(labels, Mapping) else ""
            told.append(f"sha256 {str(known['model'])[:12]}…{by}")
    return "; ".join(dict.fromkeys(told))


def _joined(values: Any, keys: Sequence[str] = (), forms: Mapping[str, str] | None = None) -> str:
    if not isinstance(values, Mapping):
        return ""
    return " · ".join(
        (forms or {}).get(key, f"{key} {{}}").format(values[key]) for key in keys or values if key in values
    )


def _names(values: Any) -> str:
    if not isinstance(values, list):
        return ""
    told = [v.get("title") or v.get("name") or v.get("path") if isinstance(v, Mapping) else v for v in values]
    return ", ".join(str(v) for v in told if v)


# ---- downloads -----------------------------------------------------------------------------------------------------------

FORMATS = {"csv": "CSV", "sdmx.csv": "SDMX-CSV", "parquet": "Parquet", "geojson": "GeoJSON"}


def downloads(table: Table, state: State) -> TagList:
    """Offer the figures of this map, of the chosen regions, and the whole table, in each format."""
    m = state.measure
    only = "&".join(f"{k}={getattr(m, k)}" for k in ("lc_flow", "landcover", "definition", "method", "unit"))
    scopes = {
        "This map, all years": f"?{only}&level={state.level}",
        "Chosen regions, all measures": f"?geo={','.join(state.geos)}" if state.geos else None,
        "Whole table": "",
    }
    rows = []
    for name, query in scopes.items():
        cells: list[Tag] = []
        for suffix, label in FORMATS.items():
            # One feature a region needs one measure; for the other scopes it is that of the map.
            extra = query if suffix != "geojson" or query is None or "lc_flow" in query else f"{query or '?'}&{only}"
            link = tags.a(
                label,
                href=f"api/v1/data.{suffix}{(extra or '').replace('?&', '?')}",
                download=True,
                aria_label=f"{name} as {label}",
            )
            cells.append(tags.td(link if query is not None else "–"))
        rows.append(tags.tr(tags.th(name, scope="row"), cells))
    return TagList(
        tags.table(tags.tbody(rows), class_="downloads"),
        tags.p(
            "GeoJSON holds one measure, in EPSG:3035. Also: ",
            tags.a("regions", href="api/v1/regions.csv", download=True),
            ", ",
            tags.a("transitions", href="api/v1/transitions.csv", download=True),
            ", ",
            tags.a("data package", href="api/v1/datapackage.json", download=True),
            ".",
            class_="note",
        ),
    )


# ---- the page to print ---------------------------------------------------------------------------------------------------


def region_page(table: Table, state: State) -> Tag:
    """Write the report of one region: figures of all years, charts, method; made for paper."""
    geo = state.geos[0]
    region = table.regions[geo]
    alone = replace(state, geos=(geo,))
    charts = []
    for flow in table.codes("lc_flow"):
        for unit in ("KM2",) if flow == "STK" else ("PC",):
            one = replace(alone, measure=replace(state.measure, lc_flow=flow, unit=unit))
            charts.append(tags.section(chart(table, one, narrow=True), class_="panel"))
    return document(
        f"{region.name} ({geo})",
        [
            tags.header(
                tags.p(tags.a("Back to the map", href=f"../?{format_query(alone)}"), class_="note no-print"),
                tags.p("Experimental statistics", class_="chip"),
            ),
            tags.main(
                tags.h1(f"Impervious land in {region.name}"),
                tags.p(
                    f"{geo} · {words.level_short(region.level)} · {words.number(region.area_km2, 1)} km² · "
                    f"NUTS {table.nuts_version} · vintage {table.vintage}",
                    class_="note",
                ),
                tags.h2("All years"),
                tags.div(
                    _all_years(table, alone), class_="scroll", tabindex="0", role="region", aria_label="All years"
                ),
                tags.p(f"Land shown: {words.COVER_NAMES[state.measure.landcover].lower()}.", class_="note"),
                tags.div(charts, class_="charts"),
                tags.section(changes(table, alone), class_="panel"),
                tags.h2("Method and sources"),
                about(table, alone, base="../"),
            ),
        ],
        base="../",
        class_="print",
    )


def _all_years(table: Table, state: State) -> Tag:
    geo = state.geos[0]
    level = table.regions[geo].level
    columns = []
    for flow in table.codes("lc_flow"):
        for unit in table.codes("unit"):
            measure = replace(state.measure, lc_flow=flow, unit=unit)
            columns.append((measure, table.cube(measure, level)))
    head = [tags.th("Year", scope="col")]
    head += [
        tags.th(f"{words.FLOW_NAMES[m.lc_flow]}, {words.UNIT_NAMES[m.unit]}", scope="col", class_="num")
        for m, _ in columns
    ]
    rows = []
    for year in table.years:
        cells = []
        for measure, cube in columns:
            period = next((p for p in cube.periods if p.year == year), None)
            cell = cube.cell(geo, period) if period else NO_CELL
            places = places_of(table, measure, level)
            text = words.number(cell.value, places, signed=measure.lc_flow == "NET")
            span = words.interval(cell, places)
            cells.append(tags.td(text, tags.span(f" ({span})", class_="soft") if span else None, class_="num"))
        rows.append(tags.tr(tags.th(str(year), scope="row"), cells))
    return tags.table(tags.thead(tags.tr(head)), tags.tbody(rows), class_="years")


def document(
    title: str, body: Sequence[TagChild], *, base: str = "", class_: str = "", head: Sequence[TagChild] = ()
) -> Tag:
    """Wrap tags as a whole page."""
    return tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.title(f"{title} · Impervious land by region"),
            tags.link(rel="icon", href=f"{base}static/icon.svg", type="image/svg+xml"),
            *head,
            tags.link(rel="stylesheet", href=f"{base}static/dashboard.css"),
        ),
        tags.body(*body, class_=class_ or None),
        lang="en",
    )
