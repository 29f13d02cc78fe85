"""Figures of regions: what a method gives for each region, as stocks of years and flows between years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from imperviouslib.core.table import Flow, Stock, flow_of, stock_of

Counts = Mapping[int, Mapping[int, float]]
"""Category of a region to code to number of cells; a fraction where it is the sum of probabilities."""
Sums = Mapping[int, tuple[float, float]]
"""Category of a region to (cells that are not NULL, sum of their values)."""
YearPair = tuple[int, int]


class Figures(Protocol):
    """What a method gives for the regions."""

    def stock(self, cat: int, definition: str, year: int) -> Stock:
        """Return the stock of a region, by its category, in a year."""
        ...

    def flow(self, cat: int, definition: str, pair: YearPair) -> Flow:
        """Return the flow of a region between two years."""
        ...


@dataclass(frozen=True)
class ClassFigures:
    """Counts of classes and of pairs of classes; they serve every definition of impervious."""

    stocks: Mapping[int, Counts]
    """Year to counts of classes."""
    flows: Mapping[YearPair, Counts]
    """Pair of years to counts of class pairs."""
    parts: int = 1
    """Parts of a cell that are told apart: 1 where cells are whole."""

    def stock(self, cat: int, definition: str, year: int) -> Stock:
        """Return the stock of a year."""
        return stock_of(self.stocks[year].get(cat, {}), definition, self.parts)

    def flow(self, cat: int, definition: str, pair: YearPair) -> Flow:
        """Return the flow between two years."""
        return flow_of(self.flows[pair].get(cat, {}), definition, self.parts)


@dataclass(frozen=True)
class ShareFigures:
    """Sums of shares of sealed land, in cells; the maps know one definition only."""

    stocks: Mapping[int, Sums]
    """Year to sums of shares."""
    before: Mapping[YearPair, Sums]
    """Pair of years to sums of the earlier year's shares, where both years are known."""
    gain: Mapping[YearPair, Sums]
    """Pair of years to sums of growth."""
    loss: Mapping[YearPair, Sums]
    """Pair of years to sums of decline."""

    def stock(self, cat: int, definition: str, year: int) -> Stock:
        """Return the stock of a year."""
        cells, value = self.stocks[year].get(cat, (0, 0.0))
        return Stock(cells, cells, {"IMP": value})

    def flow(self, cat: int, definition: str, pair: YearPair) -> Flow:
        """Return the flow between two years."""
        cells, gain = self.gain[pair].get(cat, (0, 0.0))
        before, loss = (sums[pair].get(cat, (0, 0.0))[1] for sums in (self.before, self.loss))
        return Flow(cells, cells, {"IMP": before}, {"IMP": gain}, {"IMP": loss})
