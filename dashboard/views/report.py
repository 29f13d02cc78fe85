"""The report of one region, a page of its own that can be printed."""

from __future__ import annotations

from dataclasses import replace

from htmltools import Tag, tags

from dashboard import texts
from dashboard.choices import FLOWS, UNITS, cover_name
from dashboard.state import State, format_query
from dashboard.table import NO_CELL, Table
from dashboard.views.about import method_and_sources
from dashboard.views.chart import chart
from dashboard.views.elements import document
from dashboard.views.figures import decimals_of
from dashboard.views.transitions import transitions


def region_report(table: Table, state: State) -> Tag:
    """Make the report of the first region of the state: figures of all years, charts, transitions and method."""
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
                tags.p(tags.a("Back to the map", href=f"../?{format_query(alone, table)}"), class_="note no-print"),
                tags.p("Experimental statistics", class_="chip"),
            ),
            tags.main(
                tags.h1(f"Impervious land in {region.name}"),
                tags.p(
                    f"{geo} · {texts.level_short(region.level)} · {texts.number(region.area_km2, 1)} km² · "
                    f"NUTS {table.nuts_version} · vintage {table.vintage}",
                    class_="note",
                ),
                tags.h2("All years"),
                tags.div(
                    _all_years(table, alone), class_="scroll", tabindex="0", role="region", aria_label="All years"
                ),
                tags.p(f"Land cover: {cover_name(table, state.measure.landcover).lower()}.", class_="note"),
                tags.div(charts, class_="charts"),
                tags.section(transitions(table, alone), class_="panel"),
                tags.h2("Method and sources"),
                method_and_sources(table, alone, base="../"),
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
    head += [tags.th(f"{FLOWS[m.lc_flow].label}, {UNITS[m.unit].label}", scope="col", class_="num") for m, _ in columns]
    rows = []
    for year in table.years:
        cells = []
        for measure, cube in columns:
            period = next((p for p in cube.periods if p.year == year), None)
            cell = cube.cell(geo, period) if period else NO_CELL
            decimals = decimals_of(table, measure, level)
            text = texts.number(cell.value, decimals, signed=measure.is_net)
            span = texts.interval(cell, decimals)
            cells.append(tags.td(text, tags.span(f" ({span})", class_="soft") if span else None, class_="num"))
        rows.append(tags.tr(tags.th(str(year), scope="row"), cells))
    return tags.table(tags.thead(tags.tr(head)), tags.tbody(rows), class_="years")
