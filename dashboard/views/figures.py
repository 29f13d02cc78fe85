"""How all views show figures: which period, how many decimals, which palette, which order, and the note beside a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import floor

from htmltools import TagChild, tags

from dashboard import texts
from dashboard.choices import FLOWS
from dashboard.state import State
from dashboard.table import Cell, Cube, Measure, Period, Table


def current(table: Table, state: State) -> tuple[Cube, Period | None]:
    """Return the cube of the map and the period shown, which is the nearest one where the chosen year has none."""
    cube = table.cube(state.measure, state.level)
    return cube, cube.nearest(state.year)


@lru_cache(maxsize=1024)
def decimals_of(table: Table, measure: Measure, level: int) -> int:
    """Return the number of decimals of a measure, the same for all flows so that their figures can be compared."""
    alike = [replace(measure, lc_flow=flow) for flow in FLOWS]
    return texts.choose_decimals(table.cube(one, level) for one in alike if one.is_stock == measure.is_stock)


def palette(measure: Measure) -> str:
    """Return the palette: two-sided for net changes, else that of the cover."""
    return "net" if measure.is_net else "grn" if measure.landcover == "GRN" else "imp"


def note(table: Table, cell: Cell, common: str = "") -> list[TagChild]:
    """Say how much of the region was seen, why a value is missing, and what the flags mean.

    common : flags that need no mention, because all figures of the view have them
    """
    seen = "" if cell.coverage is None else f"{floor(cell.coverage * 100)}\u00a0%"
    remarks = [texts.missing_reason(cell, table.coverage_min)] if cell.value is None else []
    if texts.reliability(cell, table.coverage_min) == "low":
        remarks.append("too little seen")
    flags = texts.flag_words("".join(flag for flag in cell.flags if flag not in common), table.schema)
    if flags:
        remarks.append(flags)
    text = ", ".join(remarks)
    return [seen, tags.span(f" · {text}" if seen else text, class_="wide-only") if remarks else None]


def ranked(cells: Mapping[str, Cell], order: str) -> list[str]:
    """Return the codes of the regions with a value, sorted by it.

    order : desc (highest first) or asc
    """
    sign = -1 if order == "desc" else 1
    values = {geo: cell.value for geo, cell in cells.items() if cell.value is not None}
    return sorted(values, key=lambda geo: (sign * values[geo], geo))
