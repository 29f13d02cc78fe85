"""The links to the downloads."""

from __future__ import annotations

from htmltools import Tag, TagList, tags

from dashboard.exports import FORMATS
from dashboard.state import State
from dashboard.table import MEASURE_COLUMNS, Table
from dashboard.words import _


def downloads(table: Table, state: State) -> TagList:
    """Link to the figures of the map, those of the chosen regions, and the whole table, in each format."""
    # Units that are computed when shown are downloaded as what they are computed from.
    m = state.measure.stored
    only = "&".join(f"{k}={getattr(m, k)}" for k in MEASURE_COLUMNS)
    scopes = {
        _("This map, all years"): f"?{only}&level={state.level}",
        _("Chosen regions, all measures"): f"?geo={','.join(state.geos)}" if state.geos else None,
        _("Whole table"): "",
    }
    rows = []
    for name, query in scopes.items():
        cells: list[Tag] = []
        for suffix, label in FORMATS.items():
            # GeoJSON holds one measure; where the scope names none, it is the one of the map.
            extra = query if suffix != "geojson" or query is None or "lc_flow" in query else f"{query or '?'}&{only}"
            if suffix == "csv" and query:
                extra = f"{query}&names=1"
            link = tags.a(
                label,
                href=f"api/v1/data.{suffix}{(extra or '').replace('?&', '?')}",
                download=True,
                aria_label=_("{name} as {format}").format(name=name, format=label),
            )
            cells.append(tags.td(link if query is not None else "–"))
        rows.append(tags.tr(tags.th(name, scope="row"), cells))
    return TagList(
        tags.table(tags.tbody(rows), class_="downloads"),
        tags.p(
            _("GeoJSON holds one measure, in EPSG:3035. Further files:"),
            " ",
            tags.a(_("regions"), href="api/v1/regions.csv", download=True),
            ", ",
            tags.a(_("transitions"), href="api/v1/transitions.csv", download=True),
            ", ",
            tags.a(_("data package"), href="api/v1/datapackage.json", download=True),
            ". ",
            tags.a(_("For programs"), href="api/"),
            ".",
            class_="note",
        ),
    )
