"""The chart of the chosen regions, and its figures as a table."""

from __future__ import annotations

from collections.abc import Sequence

from htmltools import TagList, tags

from dashboard import texts
from dashboard.state import State
from dashboard.table import Measure, Table
from dashboard.views.drawing import axis_start, draw_chart
from dashboard.views.figures import current, decimals_of, note
from dashboard.views.lines import Line, lines_of


def chart(table: Table, state: State, *, narrow: bool = False) -> TagList:
    """Show all periods of the chosen regions as lines, with a band where there are 95 % intervals.

    narrow : draw for a small screen
    """
    measure = state.measure
    if not state.geos:
        return TagList()
    lines = lines_of(table, state)
    if not lines:
        return TagList(tags.p("No figures for the chosen regions and this measure.", class_="empty"))
    periods = sorted({period for line in lines for period in line.cells})
    span = f"{periods[0].year_from} to {periods[-1].year}" if len(periods) > 1 else periods[0].title
    heading = f"{texts.title(table, measure)}, {texts.unit_phrase(measure)}, {span}"
    _, shown = current(table, state)
    width, height = (360, 250) if narrow else (640, 270)
    several = len(state.geos) > 1
    drawing = draw_chart(lines, periods, measure, shown, name_regions=several, width=width, height=height)
    described = [_describe_line(table, line, measure) for line in lines if not line.beside]
    drawing.attrs.update({"role": "img", "aria-label": f"Line chart. {heading}. " + " ".join(described)})
    return TagList(tags.h3(heading), drawing, tags.p(" ".join(chart_notes(table, state, lines)), class_="note"))


def _describe_line(table: Table, line: Line, measure: Measure) -> str:
    """Name the first and the last value of a line."""
    valued = [(period, cell) for period, cell in line.cells.items() if cell.value is not None]
    decimals = decimals_of(table, measure, table.regions[line.geo].level)
    first, last = valued[0], valued[-1]
    values = [f"{texts.with_unit(cell.value, decimals, measure)} in {period.title}" for period, cell in (first, last)]
    return f"{table.region_label(line.geo)}: " + (values[0] if first == last else " and ".join(values)) + "."


def chart_notes(table: Table, state: State, lines: Sequence[Line]) -> list[str]:
    """Explain the signs that occur in the chart."""
    notes = []
    main = [line for line in lines if not line.beside]
    with_interval = [line for line in main if any(cell.low is not None for cell in line.cells.values())]
    method = table.known_methods[state.measure.method]
    notes.append(f"Solid line: {method.title_in_sentence}.")
    beside = next((line for line in lines if line.beside), None)
    if beside:
        of = f" of {table.region_label(beside.geo)}" if len(state.geos) > 1 else ""
        notes.append(f"Dashed line: {beside.method.title_in_sentence}{of}, for comparison.")
    if with_interval:
        notes.append("Band: 95 % interval.")
        if len(with_interval) < len(main):
            notes.append("Where there is no band, no interval was estimated.")
    else:
        notes.append(texts.no_interval(method))
    undrawn = [geo for geo in state.geos if geo not in {line.geo for line in main}]
    if undrawn:
        notes.append(f"No figures: {', '.join(table.region_label(geo) for geo in undrawn)}.")
    if any(texts.PROVISIONAL in cell.flags and cell.value is not None for line in main for cell in line.cells.values()):
        notes.append("Hollow markers: provisional.")
    if any(cell.value is None for line in main for cell in line.cells.values()):
        notes.append("Gaps in a line: no figure.")
    if axis_start(lines, state.measure) > 0:
        notes.append("The axis does not start at 0.")
    return notes


def figures_table(table: Table, state: State) -> TagList:
    """Show the figures of the chart as a table, with a row for each region, method and period."""
    lines = lines_of(table, state)
    if not lines:
        return TagList()
    measure = state.measure
    rows = []
    for line in lines:
        decimals = decimals_of(table, measure, table.regions[line.geo].level)
        for period, cell in line.cells.items():
            rows.append(
                tags.tr(
                    tags.th(table.region_label(line.geo), scope="row"),
                    tags.td(line.method.short),
                    tags.td(period.label),
                    tags.td(texts.number(cell.value, decimals, signed=measure.is_net), class_="num"),
                    tags.td(texts.interval(cell, decimals) or "none", class_="num soft"),
                    tags.td(*note(table, cell), class_="soft"),
                )
            )
    heads = ("Region", "Method", "Period", texts.unit_phrase(measure), "95 % interval", "Seen")
    return TagList(
        tags.table(
            tags.caption(f"{texts.title(table, measure)}, {texts.unit_phrase(measure)}", class_="hidden"),
            tags.thead(tags.tr([tags.th(head, scope="col") for head in heads])),
            tags.tbody(rows),
        )
    )
