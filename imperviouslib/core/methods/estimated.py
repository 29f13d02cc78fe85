"""estimated: areas from a reference sample, by design; figures of the land that was sampled, each with a 95 % interval.

Gain, loss and net come from points and windows, stocks from stock points and the map together (core/estimate.py). A region has figures if
all land of a sample lies in it and no other: the whole area of the sample, or a region that got a sample of its own. All others are
blank. Stocks and flows rest on different units, so the difference of two stocks is not exactly the net change.
"""

from __future__ import annotations

from dataclasses import dataclass

from imperviouslib.core.estimate import Estimate
from imperviouslib.core.figures import YearPair
from imperviouslib.core.mapkinds import Later, Work
from imperviouslib.core.methods.base import register
from imperviouslib.core.methods.sampled import (
    DEFINITION,
    OTHER_FLOW,
    OTHER_STOCK,
    SEALED,
    SampledMethod,
    no_flow,
    no_stock,
)  # fmt: skip
from imperviouslib.core.survey import Change, MappedLand, Survey
from imperviouslib.core.table import Flow, Stock


@dataclass(frozen=True)
class SampleFigures:
    """Estimates of the areas of a sample."""

    survey: Survey
    land: MappedLand

    def stock(self, cat: int, definition: str, year: int) -> Stock:
        """Return the stock of a region in a year."""
        if definition != DEFINITION:
            return OTHER_STOCK
        area, seen = self._area(cat), self.land.cells_seen(cat, year)
        found = None if area is None else self.area_stock(area, year)
        return no_stock(seen) if area is None or found is None else stock_of(found, self.cells(area), seen)

    def flow(self, cat: int, definition: str, pair: YearPair) -> Flow:
        """Return the flow of a region between two years."""
        if definition != DEFINITION:
            return OTHER_FLOW
        area, seen = self._area(cat), self.land.cells_seen(cat, *pair)
        found = None if area is None else self.area_change(area, pair)
        if area is None or found is None:
            return no_flow(seen)
        before = self.area_stock(area, pair[0])
        return flow_of(found, self.cells(area), before.value * self.cells(area) if before else 0.0, seen)

    def _area(self, cat: int) -> int | None:
        area = self.land.area_of(cat)
        return area if area is not None and self.land.is_whole(cat, area) else None

    def cells(self, area: int) -> int:
        """Return the cells of an area."""
        return self.survey.design.areas[area].cells

    def area_stock(self, area: int, year: int) -> Estimate | None:
        """Estimate the stock of an area as a share of its land; None for a year without map or readings."""
        if year not in self.land.sealed or not self.land.seen[year][0, area]:
            return None
        mean = float(self.land.sealed[year][0, area] / self.land.seen[year][0, area])
        return self.survey.stock(area, year, self.land.points[year], mean)

    def area_change(self, area: int, pair: YearPair) -> Change | None:
        """Estimate the change of an area as shares of its land; None for years that were not read."""
        return self.survey.change(area, pair) if set(pair) <= set(self.survey.design.years) else None


def stock_of(found: Estimate, cells: int, seen: float) -> Stock:
    """Return an estimated share as a stock. cells : land that it is a share of; seen : as in `Stock`"""
    whole = found.times(cells)
    return Stock(seen, cells, {SEALED: whole.value}, {SEALED: (whole.low, whole.high)})


def flow_of(found: Change, cells: int, before: float, seen: float) -> Flow:
    """Return an estimated change as a flow.

    cells : land that it is a share of
    before : cells sealed in the earlier year
    seen : as in `Flow`
    """
    parts = {"GAIN": found.gain, "LOSS": found.loss, "NET": found.net}
    interval = {(name, SEALED): (one.low * cells, one.high * cells) for name, one in parts.items() if one is not None}
    loss = {} if found.loss is None else {SEALED: found.loss.value * cells}
    return Flow(seen, cells, {SEALED: before}, {SEALED: found.gain.value * cells}, loss, interval=interval)


@register
class Estimated(SampledMethod):
    """Areas estimated from a reference sample."""

    code = "estimated"
    notes = (
        "estimated rests on a reference sample that people read: points where change is likely and windows everywhere else. Each figure has a 95 % "
        "interval, which holds the error of sampling and not that of the readings. It speaks of artificial surfaces, in regions that were sampled as a "
        "whole. The difference of two stocks is not exactly the net change, because they rest on different units.",
    )

    def figures(self, work: Work) -> Later[SampleFigures]:
        """Ask for what the maps say of the sample's land; from it, all areas of the sample are estimated."""
        survey = work.survey()
        return lambda: SampleFigures(*survey())
