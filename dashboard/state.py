"""What the reader is looking at, as one short query.

The same text is the page's address, the one input that the browser sends to the server, and the argument of the page's own
routes. Each part is looked up in a closed list; whatever is not in its list is replaced by the default and never echoed.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from dashboard.data import Measure, Table

MAX_REGIONS = 5
MAX_QUERY = 600

FLOWS = {"STK": "stk", "GAIN": "new", "LOSS": "lost", "NET": "net"}
COVERS = {"IMP": "imp", "GRN": "grn"}
UNITS = {"KM2": "km2", "PC": "pc"}
DEFINITIONS = {"artificial_natural": "an", "artificial": "a"}
METHODS = {"estimated": "est", "assisted": "ass", "mapped_consistent": "con", "mapped_raw": "raw"}
ORDERS = ("desc", "asc")


@dataclass(frozen=True)
class State:
    """A view of the dashboard; made by `parse_query` only, so every part is valid for the table."""

    level: int
    measure: Measure
    year: int
    geos: tuple[str, ...]
    """Chosen regions, the first is the one told about in full; at most MAX_REGIONS."""
    compare_method: bool
    """Draw the other method beside the chosen one."""
    order: str
    """Ranking: desc or asc."""


def parse_query(text: object, table: Table) -> State:
    """Read a query against the closed lists of the table; anything else gives the default."""
    query = {}
    if isinstance(text, str) and len(text) <= MAX_QUERY:
        query = parse_qs(text.removeprefix("?"), keep_blank_values=True, max_num_fields=None)

    def choose(key: str, codes: dict[str, str], present: tuple[str, ...], default: str) -> str:
        wanted = query.get(key, [""])[0]
        options = [code for code in codes if code in present]
        fallback = default if default in options else (options or [default])[0]
        return next((code for code in options if codes[code] == wanted), fallback)

    levels = {str(level): level for level in table.levels}
    # The finest level says most at first sight.
    level = levels.get(query.get("l", [""])[0], table.levels[-1])
    measure = Measure(
        lc_flow=choose("i", FLOWS, table.codes("lc_flow"), "GAIN"),
        landcover=choose("c", COVERS, table.codes("landcover"), "IMP"),
        definition=choose("d", DEFINITIONS, table.codes("definition"), "artificial_natural"),
        method=choose("m", METHODS, table.codes("method"), table.headline_method),
        unit=choose("u", UNITS, table.codes("unit"), "PC"),
    )
    years = {str(year): year for year in table.years}
    latest = table.years[-1] if table.years else 0
    geos = (table.largest.geo,)
    if "g" in query:
        wanted = dict.fromkeys(query["g"][0].split(","))
        geos = tuple(geo for geo in wanted if geo in table.regions)[:MAX_REGIONS]
    order = query.get("o", ["desc"])[0]
    return State(
        level=level,
        measure=measure,
        year=years.get(query.get("y", [""])[0], latest),
        geos=geos,
        compare_method=query.get("r", ["1"])[0] != "0",
        order=order if order in ORDERS else ORDERS[0],
    )


def format_query(state: State) -> str:
    """Write a state as a query; codes of regions need no escaping by their pattern."""
    m = state.measure
    parts = {
        "l": str(state.level), "c": COVERS[m.landcover], "i": FLOWS[m.lc_flow], "u": UNITS[m.unit],
        "d": DEFINITIONS[m.definition], "m": METHODS[m.method], "y": str(state.year), "g": ",".join(state.geos),
    }  # fmt: skip
    if not state.compare_method:
        parts["r"] = "0"
    if state.order != ORDERS[0]:
        parts["o"] = state.order
    return "&".join(f"{key}={value}" for key, value in parts.items())
