"""assisted: figures of all regions within a sampled area, from the maps and the sample together.

The stock of a region is a composite: the map corrected by the errors found in the whole area, and what the region's own points say beyond
that, weighed by how far regions were found to deviate. It has an interval. Gain and loss of a region are the sums of the map, scaled so that
the area as a whole agrees with its estimate. They have no interval: no sample of an area bounds the change of its parts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from imperviouslib.core.estimate import Estimate, regional_stocks
from imperviouslib.core.figures import YearPair
from imperviouslib.core.mapkinds import Later, Work
from imperviouslib.core.methods.base import register
from imperviouslib.core.methods.estimated import SampleFigures, stock_of
from imperviouslib.core.methods.sampled import (
    DEFINITION,
    OTHER_FLOW,
    OTHER_STOCK,
    SEALED,
    SampledMethod,
    no_flow,
    no_stock,
)  # fmt: skip
from imperviouslib.core.table import Flow, Stock


@dataclass(frozen=True)
class AssistedFigures:
    """Figures of the regions of the areas of a sample."""

    areas: SampleFigures
    stocks: Mapping[int, Mapping[int, Estimate]]
    """Year to category of a region to its composite stock, a share of its land."""

    def stock(self, cat: int, definition: str, year: int) -> Stock:
        """Return the stock of a region in a year."""
        if definition != DEFINITION:
            return OTHER_STOCK
        land = self.areas.land
        area, seen = land.area_of(cat), land.cells_seen(cat, year)
        if area is None:
            return no_stock(seen)
        if land.is_whole(cat, area):
            return self.areas.stock(cat, definition, year)
        found = self.stocks.get(year, {}).get(cat)
        return stock_of(found, int(land.cells[cat].sum()), seen) if found else no_stock(seen)

    def flow(self, cat: int, definition: str, pair: YearPair) -> Flow:
        """Return the flow of a region between two years."""
        if definition != DEFINITION:
            return OTHER_FLOW
        land = self.areas.land
        area, seen = land.area_of(cat), land.cells_seen(cat, *pair)
        found = None if area is None else self.areas.area_change(area, pair)
        if area is None or found is None or pair not in land.gain:
            return no_flow(seen)
        if land.is_whole(cat, area):
            return self.areas.flow(cat, definition, pair)
        cells = int(land.cells[cat].sum())
        gain = self._scaled(found.gain, land.gain[pair], cat, area)
        loss = None if found.loss is None else self._scaled(found.loss, land.loss[pair], cat, area)
        if gain is None:
            return no_flow(seen)
        return Flow(
            seen, cells, {SEALED: self.stock(cat, definition, pair[0]).cover[SEALED]}, {SEALED: gain},
            {} if loss is None else {SEALED: loss},
        )  # fmt: skip

    def _scaled(self, found: Estimate, mapped: np.ndarray, cat: int, area: int) -> float | None:
        """Return the cells of a region, so that all regions together have the area's estimate; None where the map has no change to scale."""
        whole = float(mapped[0, area])
        return None if whole <= 0 else found.value * self.areas.cells(area) * float(mapped[cat, area]) / whole


def composite_stocks(
    areas: SampleFigures, cats: Collection[int], at_points: Mapping[str, int], year: int
) -> dict[int, Estimate]:
    """Return the composite stocks of the regions of one level in a year.

    cats : categories of the level
    at_points : id of a stock point to the category there
    """
    survey, land = areas.survey, areas.land
    found: dict[int, Estimate] = {}
    for area, design in enumerate(survey.design.areas):
        members = sorted(cat for cat in cats if land.area_of(cat) == area)
        sample = survey.stock_sample(area, year, land.points[year]) if members else None
        if sample is None:
            continue
        errors, units = sample
        index = {cat: number for number, cat in enumerate(members)}
        region = np.array([index.get(at_points.get(unit.id, 0), -1) for unit in units])
        cells = land.cells[members, area].astype(float)
        mean = land.sealed[year][members, area] / np.maximum(land.seen[year][members, area], 1)
        estimates, _weights = regional_stocks(mean, cells / design.cells, errors, region)
        found |= dict(zip(members, estimates, strict=True))
    return found


@register
class Assisted(SampledMethod):
    """Figures of regions from the maps and the sample together."""

    code = "assisted"
    notes = (
        "assisted corrects the map of each region by the reference sample of the area around it. Stocks have an interval. Gains and losses of a region "
        "are the sums of the map, scaled to the estimate of the area; they have no interval and are of low reliability.",
    )

    def figures(self, work: Work) -> Later[AssistedFigures]:
        """Ask for what the maps say of the sample's land; it and the sample give the figures of all regions."""
        survey = work.survey()

        def combine() -> AssistedFigures:
            areas = SampleFigures(*survey())
            land = areas.land
            stocks: dict[int, dict[int, Estimate]] = {year: {} for year in land.sealed}
            for level in land.categories:
                for year, by_cat in stocks.items():
                    by_cat |= composite_stocks(areas, land.categories[level], land.regions[level], year)
            return AssistedFigures(areas, stocks)

        return combine
