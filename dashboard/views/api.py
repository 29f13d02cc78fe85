"""The page about the interface for programs."""

from __future__ import annotations

from htmltools import Tag, tags

from dashboard import exports
from dashboard.table import Table
from dashboard.views.elements import document
from dashboard.words import _

_ROUTES = (
    ("data.SUFFIX", "Figures; SUFFIX is one of {formats}. Without filters the whole table."),
    ("regions.csv", "Codes, names, levels and areas of the regions."),
    ("transitions.csv", "Which land cover became which other one."),
    ("datapackage.json", "Method, sources, licence, and the meaning of each column."),
)


def api_page(table: Table) -> Tag:
    """Describe the routes, their filters with the codes of the table, and an example."""
    codes = {
        column: ", ".join(table.schema["codes"][column])
        for column in ("lc_flow", "landcover", "definition", "method", "unit")
    }
    codes |= {
        "geo": _("codes of regions.csv"),
        "level": ", ".join(map(str, table.levels)),
        "TIME_PERIOD": ", ".join(map(str, table.years)),
        "names": _("1 adds a column with the names of the regions"),
    }
    top = table.largest(table.levels[0]).geo
    example = f"v1/data.csv?geo={top}&lc_flow=NET&landcover=IMP&unit=KM2&names=1"
    return document(
        _("For programs"),
        [
            tags.main(
                tags.h1(_("The figures for programs")),
                tags.p(_("Only GET is answered. There is no key and no limit of calls. Pages of other sites may read the answers (CORS).")),
                tags.h2(_("Addresses")),
                tags.dl([
                        [tags.dt(f"/api/v1/{path}"), tags.dd(_(text).format(formats=", ".join(exports.FORMATS)))]
                        for path, text in _ROUTES
                    ], class_="about"),
                tags.h2(_("Filters of data")),
                tags.p(_("Each at most once; a comma separates several codes. Unknown filters and codes are answered with 400.")),
                tags.dl([[tags.dt(name), tags.dd(text)] for name, text in codes.items()], class_="about"),
                tags.h2(_("Example")),
                tags.p(tags.a(f"/api/{example}", href=example)),
                tags.h2(_("In a page of your own")),
                tags.p(_("The map alone: add embed=1 to the address of a view, and show it in a frame.")),
                tags.p(tags.a(_("To the map and the figures"), href="../")),
                class_="panel",
            )
        ],
        base="../",
    )  # fmt: skip
