"""What the page offers to choose, apart from the method: codes, their keys in the address, and their labels.

The schema says what a code means. This file alone says which codes the page offers and how it labels them. All facts about
methods come from the schema (schema.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.table import Table


@dataclass(frozen=True)
class Choice:
    """One entry of a list."""

    key: str
    """Value in the address."""
    label: str
    """Text in the list, in English."""


FLOWS = {
    "STK": Choice("stk", "Stock"),
    "GAIN": Choice("new", "New"),
    "LOSS": Choice("lost", "Lost"),
    "NET": Choice("net", "Net change"),
}
COVER_KEYS = {"IMP": "imp", "GRN": "grn"}
UNITS = {
    "KM2": Choice("km2", "km²"),
    "HA": Choice("ha", "ha"),
    "PC": Choice("pc", "% of the stock (of a stock: of the area)"),
    "PA": Choice("pa", "% of the area"),
    "M2_HAB": Choice("hab", "m² per inhabitant"),
}
UNIT_SIGNS = {"KM2": "km²", "HA": "ha", "PC": "%", "PA": "%", "M2_HAB": "m²"}
"""Unit beside a number."""

DEFINITIONS = {
    "artificial_natural": Choice("an", "Artificial and natural material surfaces"),
    "artificial": Choice("a", "Artificial surfaces only"),
}
SHOWN = {
    "value": Choice("v", "Figure"),
    "low": Choice("lo", "Lower limit"),
    "high": Choice("hi", "Upper limit"),
    "width": Choice("wi", "Width of the interval"),
}
"""What the map shows of each figure."""


def cover_name(table: Table, code: str) -> str:
    """Return the name of a land cover, such as `Impervious land`, in English."""
    return f"{table.schema['codes']['landcover'][code]} land"


def choices(table: Table) -> Mapping[str, Mapping[str, Choice]]:
    """Return the choices of each measure column: {column: {code: choice}}, only codes that occur in the table."""
    offered = {
        "lc_flow": FLOWS,
        "landcover": {code: Choice(key, cover_name(table, code)) for code, key in COVER_KEYS.items()},
        "definition": DEFINITIONS,
        "method": {method.code: Choice(method.key, method.title) for method in table.methods},
        "unit": UNITS,
    }
    return {
        column: {code: choice for code, choice in entries.items() if code in table.codes(column)}
        for column, entries in offered.items()
    }
