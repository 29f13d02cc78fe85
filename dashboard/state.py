"""The state of the page: what the reader looks at, written as a short query.

The same query is in the address of the page, goes from the browser to the server, and is the argument of the routes. Each value
is looked up in a closed list. A value that is not in its list is replaced by the default and never sent back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from dashboard.choices import COVER_KEYS, DEFINITIONS, FLOWS, UNITS, choices
from dashboard.table import Measure, Table

MAX_REGIONS = 5
"""Regions that can be compared; www/dashboard.js has the same number."""

MAX_QUERY = 600
"""Length of a query in letters; a longer one gives the default state."""

PARAMETERS = {"landcover": "c", "lc_flow": "i", "unit": "u", "definition": "d", "method": "m"}
"""Column of the table -> its name in the address."""

DEFAULTS = {"lc_flow": "GAIN", "landcover": "IMP", "definition": "artificial_natural", "unit": "PC"}
ORDERS = ("desc", "asc")


@dataclass(frozen=True)
class State:
    """A view of the dashboard. Only `parse_query` makes it, so each part is valid for the table."""

    level: int
    measure: Measure
    year: int
    geos: tuple[str, ...]
    """Chosen regions, at most MAX_REGIONS; the page describes the first one in full."""
    compare_method: bool
    """Draw a second method beside the chosen one."""
    order: str
    """Order of the ranking: desc or asc."""


def parse_query(text: object, table: Table) -> State:
    """Read a query against the closed lists of the table; anything else gives the default."""
    query = {}
    if isinstance(text, str) and len(text) <= MAX_QUERY:
        query = parse_qs(text.removeprefix("?"), keep_blank_values=True, max_num_fields=None)
    offered = choices(table)
    defaults = {**DEFAULTS, "method": table.headline_method.code}

    def choose(column: str) -> str:
        options = offered[column]
        wanted = query.get(PARAMETERS[column], [""])[0]
        default = defaults[column] if defaults[column] in options or not options else next(iter(options))
        return next((code for code, choice in options.items() if choice.key == wanted), default)

    measure = Measure(**{column: choose(column) for column in PARAMETERS})
    if not table.has(measure):
        # A sample speaks of one definition alone.
        others = (replace(measure, definition=code) for code in offered["definition"])
        measure = next((other for other in others if table.has(other)), measure)
    levels = {str(level): level for level in table.levels}
    years = {str(year): year for year in table.years}
    latest = table.years[-1] if table.years else 0
    geos = (table.largest.geo,)
    if "g" in query:
        wanted = dict.fromkeys(query["g"][0].split(","))
        geos = tuple(geo for geo in wanted if geo in table.regions)[:MAX_REGIONS]
    order = query.get("o", ["desc"])[0]
    return State(
        # The finest level is the default, because it shows the most detail.
        level=levels.get(query.get("l", [""])[0], table.levels[-1]),
        measure=measure,
        year=years.get(query.get("y", [""])[0], latest),
        geos=geos,
        compare_method=query.get("r", ["1"])[0] != "0",
        order=order if order in ORDERS else ORDERS[0],
    )


def format_query(state: State, table: Table) -> str:
    """Write a state as a query; codes of regions need no escaping, as their pattern has no special letters."""
    m = state.measure
    parts = {
        "l": str(state.level), "c": COVER_KEYS[m.landcover], "i": FLOWS[m.lc_flow].key, "u": UNITS[m.unit].key,
        "d": DEFINITIONS[m.definition].key, "m": table.known_methods[m.method].key, "y": str(state.year),
        "g": ",".join(state.geos),
    }  # fmt: skip
    if not state.compare_method:
        parts["r"] = "0"
    if state.order != ORDERS[0]:
        parts["o"] = state.order
    return "&".join(f"{key}={value}" for key, value in parts.items())
