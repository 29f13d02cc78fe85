"""What the methods that rest on a reference sample share: the land of the sample, measured on the maps of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imperviouslib.core.figures import YearPair
from imperviouslib.core.legend import ARTIFICIAL
from imperviouslib.core.mapkinds import ClassMaps, ShareMaps, Work
from imperviouslib.core.methods.base import Method
from imperviouslib.core.sample import STOCK_DEVIATIONS
from imperviouslib.core.survey import MappedLand, Survey, split_stock_codes
from imperviouslib.core.table import NO_SAMPLE, Flow, Stock
from imperviouslib.core.tally import Measure, Strip, UnitSums

DEFINITION = "artificial"
"""What readings tell: whether an artificial surface covers most of a cell."""
SEALED = "IMP"
_NO_STOCK = Stock(0, 0, {SEALED: 0.0}, missing=NO_SAMPLE)
_NO_FLOW = Flow(0, 0, {SEALED: 0.0}, {SEALED: 0.0}, {SEALED: 0.0}, missing=NO_SAMPLE)
"""Figures of a region about which the sample says nothing; they become blanks."""
OTHER_STOCK, OTHER_FLOW = Stock(0, 0, {}), Flow(0, 0, {}, {}, {})
"""Figures of another definition, of which there are no rows."""


class SampledMethod(Method):
    """A method whose figures rest on a reference sample."""

    needs = (ClassMaps, ShareMaps)
    needs_sample = True


class SampledLand(Measure):
    """What the maps say of the land of the sample, by region and area.

    A sample is drawn from whole cells, so a region stands for the cells whose centre it holds.
    """

    whole = True

    def __init__(self, work: Work, survey: Survey) -> None:
        self._stock_map, self._shares = survey.stock_map, isinstance(work.kind, ShareMaps)
        self._levels, self._size = tuple(work.zone_maps), 1 + work.last_category
        self._years = [year for year in survey.design.years if year in work.years]
        self._pairs = [pair for pair in work.pairs if set(pair) <= set(self._years)]
        self._areas = len(survey.design.areas)
        self._maps, self._histories = dict(work.maps), work.histories
        self._points = _points_by_row(survey)
        yearly = tuple(self._maps[year] for year in self._years)
        if self._histories is not None:
            between = (*self._histories.sealing.values(), *self._histories.unsealing.values())
            self.codes = (self._stock_map,)
            self.values = (*(self._histories.sealed[year] for year in self._years), *between)
        elif self._shares:
            self.codes, self.values = (self._stock_map,), yearly
        else:
            self.codes = (self._stock_map, *yearly)
        self._cells = UnitSums(np.int64)
        self._sums = {key: UnitSums() for key in self._keys()}
        self._at: dict[str, int] = {}
        """Id of a stock point to the unit there."""
        self._sealed_at: dict[int, dict[str, float]] = {year: {} for year in self._years}

    def _keys(self) -> list[tuple[str, int | YearPair]]:
        yearly = [(kind, year) for kind in ("seen", "sealed") for year in self._years]
        return [*yearly, *((kind, pair) for kind in ("gain", "loss") for pair in self._pairs)]

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        codes = strip.codes[self._stock_map]
        inside = codes > 0
        area, stratum = split_stock_codes(codes[inside])
        at = strip.units[inside] * self._areas + area
        deviations = len(STOCK_DEVIATIONS)
        cells = np.bincount(at * deviations + stratum, minlength=len(strip.numbers) * self._areas * deviations)
        self._cells.add(cells.reshape(-1, self._areas, deviations), strip.numbers)
        sealed = self._sealed(strip)
        for year, plane in sealed.items():
            known = ~np.isnan(plane[inside])
            self._add("seen", year, strip, at, known)
            self._add("sealed", year, strip, at, plane[inside])
        for pair in self._pairs:
            for kind, plane in zip(("gain", "loss"), self._change(strip, sealed, pair), strict=True):
                self._add(kind, pair, strip, at, plane[inside])
        top, left = strip.grid.first_row, strip.grid.first_col
        for row in range(strip.grid.height):
            for unit_id, absolute in self._points.get(top + row, ()):
                col = absolute - left
                if not 0 <= col < strip.grid.width:
                    continue
                self._at[unit_id] = int(strip.numbers[strip.units[row, col]])
                for year, plane in sealed.items():
                    if not np.isnan(plane[row, col]):
                        self._sealed_at[year][unit_id] = float(plane[row, col])

    def _add(self, kind: str, years: int | YearPair, strip: Strip, at: np.ndarray, values: np.ndarray) -> None:
        found = np.bincount(at, np.nan_to_num(values), len(strip.numbers) * self._areas)
        self._sums[kind, years].add(found.reshape(-1, self._areas), strip.numbers)

    def _sealed(self, strip: Strip) -> dict[int, np.ndarray]:
        """Return the probability of sealing in each year, (row, col), NaN where the year was not seen."""
        if self._histories is not None:
            return {year: strip.values[self._histories.sealed[year]] for year in self._years}
        if self._shares:
            return {year: strip.values[self._maps[year]] for year in self._years}
        return {year: _indicator(strip.codes[self._maps[year]]) for year in self._years}

    def _change(self, strip: Strip, sealed: Mapping[int, np.ndarray], pair: YearPair) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of gain and of loss, (row, col)."""
        if self._histories is not None:
            gain, loss = (
                sum(strip.values[name] for (a, b), name in between.items() if pair[0] <= a and b <= pair[1])
                for between in (self._histories.sealing, self._histories.unsealing)
            )
            return np.asarray(gain), np.asarray(loss)
        rise = sealed[pair[1]] - sealed[pair[0]]
        return np.maximum(rise, 0), np.maximum(-rise, 0)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, SampledLand)
        self._cells.add(other._cells.array, units)
        for key, sums in other._sums.items():
            self._sums[key].add(sums.array, units)
        self._at |= {unit_id: int(units[unit]) for unit_id, unit in other._at.items()}
        for year, found in other._sealed_at.items():
            self._sealed_at[year] |= found

    def land(self, members: Mapping[int, Sequence[int]], table: np.ndarray) -> MappedLand:
        """Return what was found, by category of the regions. table : as `Units.table`"""
        everything = range(len(table))

        def by_region(sums: UnitSums) -> np.ndarray:
            found = np.zeros((self._size, *(sums.array.shape[1:] or (self._areas,))), sums.array.dtype)
            found[0] = sums.of(everything)
            for category, units in members.items():
                found[category] = sums.of(units)
            return found

        parts = {key: by_region(sums) for key, sums in self._sums.items()}
        cells = by_region(self._cells)
        with_land = {category for category in members if cells[category].any()}

        def of_years(kind: str, years: Sequence[Any]) -> dict[Any, np.ndarray]:
            return {year: parts[kind, year] for year in years}

        return MappedLand(
            cells=cells,
            seen=of_years("seen", self._years),
            sealed=of_years("sealed", self._years),
            gain=of_years("gain", self._pairs),
            loss=of_years("loss", self._pairs),
            points=self._sealed_at,
            regions={
                level: {unit_id: int(table[unit, number]) for unit_id, unit in self._at.items()}
                for number, level in enumerate(self._levels)
            },
            categories={level: with_land & set(table[:, number].tolist()) for number, level in enumerate(self._levels)},
        )


class SeenLand(Measure):
    """The cells of the land of a sample that the yearly maps saw, by region.

    These are what COVERAGE of the methods counts: a sample says nothing of land that it was not drawn from, whatever the maps saw there.
    """

    def __init__(self, work: Work, survey: Survey) -> None:
        self._stock_map, self._maps = survey.stock_map, dict(work.maps)
        self._shares = isinstance(work.kind, ShareMaps)
        yearly = tuple(self._maps.values())
        self.codes, self.values = (self._stock_map, *(() if self._shares else yearly)), yearly if self._shares else ()
        self._sums = {years: UnitSums(np.int64) for years in (*((year,) for year in work.years), *work.pairs)}

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        inside = strip.codes[self._stock_map] > 0
        seen = {
            year: inside & (~np.isnan(strip.values[name]) if self._shares else strip.codes[name] > 0)
            for year, name in self._maps.items()
        }
        for years, sums in self._sums.items():
            both = seen[years[0]] & seen[years[-1]]
            found = np.bincount(strip.units[both], strip.weigh(where=both), len(strip.numbers))
            sums.add(found, strip.numbers)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, SeenLand)
        for years, sums in other._sums.items():
            self._sums[years].add(sums.array, units)

    def cells(self, members: Mapping[int, Sequence[int]]) -> dict[tuple[int, ...], dict[int, float]]:
        """Return the cells of regions: year, as (year,), or pair of years to category to cells."""
        return {
            years: {category: sums.of(units).item() for category, units in members.items()}
            for years, sums in self._sums.items()
        }


def no_stock(seen: float) -> Stock:
    """Return the stock of a region about which the sample says nothing. seen : as in `Stock`"""
    return replace(_NO_STOCK, seen=seen)


def no_flow(seen: float) -> Flow:
    """Return the flow of a region about which the sample says nothing. seen : as in `Flow`"""
    return replace(_NO_FLOW, seen=seen)


def _points_by_row(survey: Survey) -> dict[int, list[tuple[str, int]]]:
    """Return the stock points of each absolute row: id and absolute column."""
    found: dict[int, list[tuple[str, int]]] = {}
    for unit in survey.design.units:
        if unit.purpose == "stock":
            found.setdefault(unit.row, []).append((unit.id, unit.col))
    return found


def _indicator(classes: np.ndarray) -> np.ndarray:
    """Return 1 where cells are artificial, 0 where not, NaN without data."""
    return np.where(classes > 0, np.float32(classes == ARTIFICIAL), np.float32(np.nan))
