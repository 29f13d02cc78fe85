"""A sample that was drawn and read: from its design and its readings to estimates of areas.

`core.estimate` holds the formulae; here units become the numbers that they need. All estimates are shares of the land of one area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imperviouslib.core.design import STOCK_BASE, Design, DesignUnit
from imperviouslib.core.errors import GridError, _
from imperviouslib.core.estimate import (
    GAIN,
    LOSS,
    Direction,
    Estimate,
    HotPoints,
    StockSample,
    Windows,
    combined_change,
    difference_stock,
    net_change,
    point_change,
)  # fmt: skip
from imperviouslib.core.interpreters import Settled, States
from imperviouslib.core.sample import COLD_RATES, POINT_SHARES

YearPair = tuple[int, int]
LEAST_FOR_PART = 600
"""With fewer points alone, change is not estimated for less than half of the time: its intervals hold the truth too seldom."""
LEAST = 2
"""Units that must be read in each stratum; with fewer there is no estimate."""


@dataclass(frozen=True)
class Change:
    """Change of one area between two years, as shares of its land."""

    gain: Estimate
    loss: Estimate | None
    """None where the sample has points alone, whose intervals of loss do not hold what they promise, or where it has no hot stratum of loss."""

    @property
    def net(self) -> Estimate | None:
        """Gain minus loss."""
        return net_change(self.gain, self.loss) if self.loss else None


@dataclass(frozen=True)
class Survey:
    """A design with what was read."""

    design: Design
    settled: Settled
    stock_map: str = ""
    """Full name of the map of stock strata."""

    @property
    def span(self) -> YearPair:
        """First and last year of the design."""
        return self.design.years[0], self.design.years[-1]

    def change(self, area: int, pair: YearPair) -> Change | None:
        """Estimate the change of an area between two years of the design; None where too few units were read."""
        gain = self._direction(area, pair, "gain", GAIN)
        if gain is None:
            return None
        loss = self._direction(area, pair, "loss", LOSS) if self.design.areas[area].has_windows else None
        return Change(gain, loss)

    def _direction(self, number: int, pair: YearPair, purpose: str, direction: Direction) -> Estimate | None:
        area = self.design.areas[number]
        before, after = (0, 1) if purpose == "gain" else (1, 0)

        def points(of: YearPair) -> HotPoints | None:
            return self._points(number, purpose, of, before, after)

        now, whole = points(pair), points(self.span)
        if now is None or whole is None:
            return None
        part = (pair[1] - pair[0]) / (self.span[1] - self.span[0])
        if not area.has_windows:
            if part < 0.5 and now.n.sum() < LEAST_FOR_PART:
                return None
            names = list(POINT_SHARES)
            cold = np.array([COLD_RATES.get(name, 0.0) for name in names])
            return point_change(now, cold[area.shares(purpose) > 0], part=part)
        windows, all_windows = (self._windows(number, purpose, of, before, after) for of in (pair, self.span))
        if windows is None or all_windows is None:
            return None
        return combined_change(now, windows, direction, part=part, whole=(whole, all_windows))

    def _points(self, area: int, purpose: str, pair: YearPair, before: int, after: int) -> HotPoints | None:
        share = self.design.areas[area].shares(purpose)
        n, hits = np.zeros(len(share)), np.zeros(len(share))
        for unit, states in self.read_points(area, purpose, (*pair, *self.span)):
            n[unit.stratum] += 1
            hits[unit.stratum] += (states[0], states[1]) == (before, after)
        there = share > 0
        # Without a hot stratum (of loss, where its score says the same as that of gain) nothing tells what to expect elsewhere.
        enough = there.any() and (n[there] >= LEAST).all()
        return HotPoints(share[there], n[there], hits[there]) if enough else None

    def _windows(self, area: int, purpose: str, pair: YearPair, before: int, after: int) -> Windows | None:
        share = self.design.areas[area].shares("windows")
        first, last = (self.design.years.index(year) for year in pair)
        rows = []
        for unit in self._read("windows", area):
            counted = unit.counted(unit.gain if purpose == "gain" else unit.loss)
            changed = sum(
                bool(counted[cell]) and (states[first], states[last]) == (before, after)
                for cell, states in self.settled.states[unit.id].items()
                if cell is not None
            )
            rows.append((unit.stratum, int(unit.counted(unit.land).sum()), changed))
        if not rows:
            return None
        stratum, cells, changed_cells = np.array(rows).T
        found = Windows.count(share, stratum, cells, changed_cells)
        return None if (found.n[share > 0] < LEAST).any() else found

    def _read(self, purpose: str, area: int) -> Iterator[DesignUnit]:
        """Yield the units of a purpose that were read."""
        for unit in self.design.units:
            if unit.purpose == purpose and unit.area == area and unit.id in self.settled.states:
                yield unit

    def read_points(self, area: int, purpose: str, years: Sequence[int]) -> Iterator[tuple[DesignUnit, States]]:
        """Yield the points of a purpose that could be told in all these years, with their states in them."""
        places = [self.design.years.index(year) for year in years]
        for unit in self._read(purpose, area):
            seen = self.settled.states[unit.id][None]
            states = tuple(seen[place] for place in places)
            if None not in states:
                yield unit, states

    def stock_sample(
        self, area: int, year: int, mapped: Mapping[str, float]
    ) -> tuple[StockSample, list[DesignUnit]] | None:
        """Return the errors of a map at the stock points of a year, and these points; None where too few were read.

        mapped : id of a point to the map's probability of sealing in the year; a point without one is left out
        """
        share = self.design.areas[area].shares("stock")
        found = [
            (unit, float(states[0] or 0) - mapped[unit.id])
            for unit, states in self.read_points(area, "stock", (year,))
            if unit.id in mapped
        ]
        n = np.bincount([unit.stratum for unit, _error in found], minlength=len(share))
        if (n[share > 0] < LEAST).any():
            return None
        stratum = np.array([unit.stratum for unit, _error in found])
        return StockSample(share, stratum, np.array([error for _unit, error in found])), [
            unit for unit, _error in found
        ]

    def stock(self, area: int, year: int, mapped: Mapping[str, float], mean: float) -> Estimate | None:
        """Estimate the sealed land of an area in a year. mean : mean probability of sealing of its land."""
        found = self.stock_sample(area, year, mapped)
        return difference_stock(mean, found[0]) if found else None


@dataclass
class MappedLand:
    """What the yearly maps say of the land of a sample, for its areas and for the regions of a table."""

    cells: np.ndarray
    """(region, area, stratum), cells of land by stock stratum. A region is a category of the zones; row 0, here and in all sums, is all land."""
    seen: dict[int, np.ndarray]
    """Year to array (region, area), cells that the map of the year knows."""
    sealed: dict[int, np.ndarray]
    """Year to array (region, area), sum of the probabilities of sealing."""
    gain: dict[YearPair, np.ndarray]
    """Pair of years to array (region, area), sum of the probabilities of gain."""
    loss: dict[YearPair, np.ndarray]
    """The same for loss."""
    points: dict[int, dict[str, float]]
    """Year to id of a stock point to the probability of sealing there."""
    regions: dict[int, dict[str, int]]
    """Level to id of a stock point to the region there, 0 = none."""
    categories: dict[int, set[int]]
    """Level to the categories of its regions that have land."""
    observed: Mapping[tuple[int, ...], Mapping[int, float]] = field(default_factory=dict)
    """Year, as (year,), or pair of years to category of a region to its cells of land that the yearly maps saw; by share on shared borders."""

    def area_of(self, cat: int) -> int | None:
        """Return the area that holds all known land of a region; None where there is no such area."""
        land = self.cells[cat].sum(axis=1)
        return int(land.argmax()) if land.sum() and land.max() == land.sum() else None

    def cells_seen(self, cat: int, *years: int) -> float:
        """Return the cells of land in a region that the yearly maps saw in a year, or in both years of a pair."""
        return self.observed[years].get(cat, 0)

    def is_whole(self, cat: int, area: int) -> bool:
        """Tell whether a region has all land of an area, and no other land."""
        return self.area_of(cat) == area and self.cells[cat, area].sum() == self.cells[0, area].sum()


def check_population(design: Design, found: Mapping[int, int], name: str) -> None:
    """Raise GridError where the land in the current region is not that of which the sample was drawn.

    found : code of the map of stock strata to number of cells
    name : of that map
    """
    expected = {
        STOCK_BASE * number + index + 1: stratum.cells
        for number, area in enumerate(design.areas)
        for index, stratum in enumerate(area.strata["stock"])
        if stratum.cells
    }
    if expected != dict(found):
        raise GridError(
            _("Sample: map <{}> in the current region").format(name),
            found=_("{} cells").format(sum(found.values())),
            expected=_("the {} cells that the sample was drawn from, in the same strata").format(
                sum(expected.values())
            ),
            then=_("Set the region with g.region raster={}, and use the map as r.impervious.sample made it.").format(
                name
            ),
        )


def split_stock_codes(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the codes of a map of stock strata. codes : array of int, not 0. Returns: index of the area, index of the stratum."""
    area, stratum = np.divmod(codes, STOCK_BASE)
    return area, stratum - 1
