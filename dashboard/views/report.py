"""The report of one region: a page of its own that prints on two A4 pages. www/report.js fills it."""

from __future__ import annotations

import json

from htmltools import Tag, tags

from dashboard.state import State, format_query
from dashboard.table import Table
from dashboard.views.about import method_in_short
from dashboard.views.elements import document
from dashboard.views.facts import facts_json
from dashboard.views.plain import plain_table


def region_report(table: Table, state: State) -> Tag:
    """Make the report of the first region of the state; without scripts it holds a plain table."""
    geo = state.geos[0]
    region = table.regions[geo]
    return document(
        f"{region.name} ({geo})",
        [
            tags.header(
                tags.p(tags.a("Back to the map", href=f"../?{format_query(state, table)}"), class_="note no-print"),
                tags.p(tags.button("Print", id="print", type="button"), class_="no-print"),
                tags.p("Experimental statistics", class_="chip"),
                class_="report-top",
            ),
            tags.main(
                tags.h1(f"Impervious land in {region.name}"),
                tags.div(id="report"),
                tags.noscript(plain_table(table, state)),
                tags.h2("Method and source"),
                tags.p(method_in_short(table, state)),
                tags.div(id="report-notes"),
            ),
            tags.script(
                json.dumps(facts_json(table, state, base="../")).replace("<", "\\u003c"),
                id="facts",
                type="application/json",
            ),
        ],
        base="../",
        class_="print",
        head=[tags.script(src="../static/report.js", type="module")],
    )
