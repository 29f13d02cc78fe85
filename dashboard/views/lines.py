"""The lines of the chart: which region and method each one shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dashboard.schema import Method
from dashboard.state import State
from dashboard.table import Cell, Measure, Period, Table


@dataclass(frozen=True)
class Line:
    """One line of the chart."""

    geo: str
    method: Method
    slot: int
    """Position of the region among the chosen ones, 0-4; it sets colour and marker."""
    cells: Mapping[Period, Cell]
    beside: bool
    """Whether this is the second method, which is drawn dashed."""


def second_method(table: Table, measure: Measure) -> Method | None:
    """Return the method to draw beside the chosen one, None where the table has no other.

    Beside every method stands the one that speaks only of the cells seen; beside that one stands the headline method.
    """
    second = table.seen_method
    if second is None or second.code == measure.method:
        second = table.headline_method
    return second if second in table.methods and second.code != measure.method else None


def lines_of(table: Table, state: State) -> list[Line]:
    """Return a line for each chosen region that has figures, and the second method of the first region if asked for."""
    chosen = table.known_methods[state.measure.method]
    second = second_method(table, state.measure) if state.compare_method else None
    lines = []
    for slot, geo in enumerate(state.geos):
        # Only the first region gets a second method, because more dashed lines would hide the others.
        for method in (chosen, second if slot == 0 else None):
            if method is None:
                continue
            cube = table.cube(replace(state.measure, method=method.code), table.regions[geo].level)
            cells = {period: cube.cell(geo, period) for period in cube.periods}
            if any(cell.value is not None for cell in cells.values()):
                lines.append(Line(geo, method, slot, cells, method != chosen))
    return lines
