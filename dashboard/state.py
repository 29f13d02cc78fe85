"""The state of the page: what the reader looks at, written as a short query.

The same query is in the address of the page and is the argument of the routes. Each value is looked up in a closed list. A value that
is not in its list is replaced by the default and never sent back; the page says that a part of the link is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from dashboard.choices import COVER_KEYS, DEFINITIONS, FLOWS, SHOWN, UNITS, choices
from dashboard.table import Measure, Table
from dashboard.words import DEFAULT, LANGUAGES

MAX_REGIONS = 5
"""Regions that can be compared; the page learns it from here."""

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
    year_from: int | None
    """Earlier year of the flow; None for the shortest flow to `year`."""
    geos: tuple[str, ...]
    """Chosen regions, at most MAX_REGIONS; the page describes the first one in full."""
    compare_method: bool
    """Draw a second method beside the chosen one."""
    order: str
    """Order of the ranking: desc or asc."""
    shown: str
    """What the map shows of each figure; a code of SHOWN."""
    unknown: tuple[str, ...]
    """Names of the parts of the query that the table does not have, such as "region"."""
    language: str = DEFAULT.code
    """Code of the language of all texts."""
    language_chosen: bool = False
    """Whether the address names the language; else it is the browser's."""


def parse_query(text: object, table: Table, language: str = DEFAULT.code) -> State:
    """Read a query against the closed lists of the table; anything else gives the default.

    language : code of the language to use where the query names none
    """
    query: dict[str, list[str]] = {}
    unknown = []
    if isinstance(text, str) and len(text) <= MAX_QUERY:
        query = parse_qs(text.removeprefix("?"), keep_blank_values=True, max_num_fields=None)
    elif text:
        unknown.append("address")
    offered = choices(table)
    defaults = {**DEFAULTS, "method": table.headline_method.code}

    def pick(key: str, name: str, options: Mapping[str, object], default: object) -> object:
        if key not in query:
            return default
        if query[key][0] not in options:
            unknown.append(name)
            return default
        return options[query[key][0]]

    def choose(column: str) -> str:
        options = {choice.key: code for code, choice in offered[column].items()}
        codes = list(options.values())
        default = defaults[column] if defaults[column] in codes or not codes else codes[0]
        return str(
            pick(
                PARAMETERS[column],
                column.replace("lc_flow", "measure").replace("landcover", "land cover"),
                options,
                default,
            )
        )

    measure = Measure(**{column: choose(column) for column in PARAMETERS})
    if not table.has(measure):
        # Not every unit has every measure, and a sample speaks of one definition alone.
        others = (
            replace(measure, unit=unit, definition=code)
            for unit in (measure.unit, "PC")
            for code in (measure.definition, *offered["definition"])
        )
        measure = next((other for other in others if table.has(other)), replace(measure, unit=defaults["unit"]))
    years = {str(year): year for year in table.years}
    levels = {str(level): level for level in table.levels}
    # The finest level is the default, because it shows the most detail.
    level = int(str(pick("l", "level", levels, table.levels[-1])))
    geos: tuple[str, ...] = (table.largest(level).geo,)
    if "g" in query:
        wanted = [geo for geo in dict.fromkeys(query["g"][0].split(",")) if geo]
        geos = tuple(geo for geo in wanted if geo in table.regions)[:MAX_REGIONS]
        if len(geos) < len(wanted):
            unknown.append("region")
    return State(
        level=level,
        measure=measure,
        year=int(str(pick("y", "year", years, table.years[-1] if table.years else 0))),
        year_from=years.get(str(pick("f", "year", years, ""))),
        geos=geos,
        compare_method=query.get("r", ["0"])[0] == "1",
        order=str(pick("o", "order", {order: order for order in ORDERS}, ORDERS[0])),
        shown=str(pick("s", "limit", {choice.key: code for code, choice in SHOWN.items()}, "value")),
        language=str(pick("lang", "language", {code: code for code in LANGUAGES}, language)),
        language_chosen=query.get("lang", [""])[0] in LANGUAGES,
        unknown=tuple(dict.fromkeys(unknown)),
    )


def format_query(state: State, table: Table) -> str:
    """Write a state as a query; codes of regions need no escaping, as their pattern has no special letters."""
    m = state.measure
    parts = {
        "l": str(state.level), "c": COVER_KEYS[m.landcover], "i": FLOWS[m.lc_flow].key, "u": UNITS[m.unit].key,
        "d": DEFINITIONS[m.definition].key, "m": table.known_methods[m.method].key, "y": str(state.year),
    }  # fmt: skip
    if state.year_from is not None:
        parts["f"] = str(state.year_from)
    parts["g"] = ",".join(state.geos)
    if state.compare_method:
        parts["r"] = "1"
    if state.order != ORDERS[0]:
        parts["o"] = state.order
    if state.shown != "value":
        parts["s"] = SHOWN[state.shown].key
    if state.language_chosen:
        parts["lang"] = state.language
    return "&".join(f"{key}={value}" for key, value in parts.items())
