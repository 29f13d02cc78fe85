"""The report of one region: a page of its own that prints on two A4 pages. www/report.js fills it."""

from __future__ import annotations

import json

from htmltools import Tag, tags

from dashboard.choices import cover_name
from dashboard.state import State, format_query
from dashboard.table import Table
from dashboard.views.about import method_in_short
from dashboard.views.elements import document
from dashboard.views.facts import facts_json
from dashboard.views.plain import plain_table
from dashboard.words import _


def region_report(table: Table, state: State) -> Tag:
    """Make the report of the first region of the state; without scripts it holds a plain table."""
    geo = state.geos[0]
    region = table.regions[geo]
    cover = _(cover_name(table, state.measure.landcover))
    return document(
        f"{region.name} ({geo})",
        [
            tags.header(
                tags.p(tags.a(_("Back to the map"), href=f"../?{format_query(state, table)}"), class_="note no-print"),
                tags.p(tags.button(_("Print"), id="print", type="button"), class_="no-print"),
                tags.p(_("Experimental statistics"), class_="chip"),
                class_="report-top",
            ),
            tags.main(
                tags.h1(_("{cover} in {name}").format(cover=cover, name=region.name)),
                tags.div(id="report"),
                tags.noscript(plain_table(table, state)),
                tags.h2(_("Method and source")),
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
