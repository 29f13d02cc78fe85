"""The chosen region: its name and, for the year shown, a tile with each flow."""

from __future__ import annotations

from dataclasses import replace

from htmltools import Tag, TagChild, TagList, tags

from dashboard import texts
from dashboard.choices import FLOWS
from dashboard.state import State, format_query
from dashboard.table import NO_CELL, Table
from dashboard.views.figures import current, decimals_of


def region_summary(table: Table, state: State) -> TagList:
    """Show the first chosen region: its name, then stock, new, lost and net of the year shown."""
    if not state.geos:
        return TagList(
            tags.h2("No region chosen"),
            tags.p("Choose one on the map, in the ranking or by its name.", class_="empty"),
        )
    region = table.regions[state.geos[0]]
    _, period = current(table, state)
    year = period.year if period else state.year
    parent = table.regions.get(region.parent)
    where = f"{region.geo} · {texts.level_short(region.level)}" + (f" · part of {parent.name}" if parent else "")
    tiles = [
        _tile(table, state, region.geo, region.level, flow, year) for flow in FLOWS if flow in table.codes("lc_flow")
    ]
    return TagList(
        tags.h2(region.name),
        tags.p(
            where,
            " · ",
            tags.a("Report to print", href=f"region/{region.geo}?{format_query(state, table)}"),
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
        decimals = decimals_of(table, measure, level)
        text = texts.with_unit(cell.value, decimals, measure)
        lines.append(tags.dd(text, class_="big" if unit == "KM2" else None))
        if unit == "KM2" and period and cell.value is None:
            lines.append(tags.dd(texts.missing_reason(cell, table.coverage_min), class_="soft"))
            break
        if unit == "KM2" and cell.low is not None:
            lines.append(tags.dd(f"95 %: {texts.interval(cell, decimals)}", class_="soft"))
    return tags.div(
        tags.dt(FLOWS[flow].label, tags.span(when or str(year), class_="when")),
        *lines,
        class_="tile now" if flow == state.measure.lc_flow else "tile",
    )
