"""What the methods that rest on a reference sample share: the land of the sample, measured once on the maps of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np

from imperviouslib.core.figures import YearPair
from imperviouslib.core.legend import ARTIFICIAL
from imperviouslib.core.mapkinds import ClassMaps, ShareMaps, Work
from imperviouslib.core.methods.base import Method
from imperviouslib.core.sample import STOCK_DEVIATIONS
from imperviouslib.core.survey import MappedLand, Survey, split_stock_codes
from imperviouslib.core.table import NO_SAMPLE, Flow, Stock

DEFINITION = "artificial"
"""What readings tell: whether an artificial surface covers most of a cell."""
SEALED = "IMP"
NO_STOCK = Stock(0, 0, {SEALED: 0.0}, missing=NO_SAMPLE)
NO_FLOW = Flow(0, 0, {SEALED: 0.0}, {SEALED: 0.0}, {SEALED: 0.0}, missing=NO_SAMPLE)
"""Figures of a region about which the sample says nothing; they become blanks."""
OTHER_STOCK, OTHER_FLOW = Stock(0, 0, {}), Flow(0, 0, {}, {}, {})
"""Figures of another definition, of which there are no rows."""


Block = tuple[np.ndarray, Mapping[int, np.ndarray], Callable[[YearPair], tuple[np.ndarray, np.ndarray]]]
"""Codes (map, row, col); year to probability of sealing (row, col); pair of years to the probabilities of gain and loss (row, col)."""


class SampledMethod(Method):
    """A method whose figures rest on a reference sample."""

    needs = (ClassMaps, ShareMaps)
    needs_sample = True


def measure_land(work: Work, survey: Survey) -> MappedLand:
    """Add up what the maps say of the land of the sample, by region and area, in one pass over all maps."""
    years = [year for year in survey.design.years if year in work.years]
    areas = len(survey.design.areas)
    pairs = [pair for pair in work.pairs if set(pair) <= set(years)]
    size = 1 + work.last_category
    points = _points_by_row(survey)
    codes = [survey.stock_map, *work.zone_maps.values()]
    shape = (size, areas)
    land = MappedLand(
        cells=np.zeros((*shape, len(STOCK_DEVIATIONS)), np.int64),
        seen={year: np.zeros(shape) for year in years},
        sealed={year: np.zeros(shape) for year in years},
        gain={pair: np.zeros(shape) for pair in pairs},
        loss={pair: np.zeros(shape) for pair in pairs},
        points={year: {} for year in years},
        regions={level: {} for level in work.zone_maps},
        categories={level: set() for level in work.zone_maps},
    )
    top, left = work.grid.first_row, work.grid.first_col
    for whole, sealed, flow in _blocks(work, codes, years, pairs):
        inside = whole[0] > 0
        area, stratum = split_stock_codes(whole[0][inside])
        # Row 0 holds all land; each level of the zones adds the rows of its regions.
        for number, cats in enumerate([np.zeros_like(area), *(part[inside] for part in whole[1:])]):
            counted = (cats > 0) | (number == 0)
            at = cats[counted] * areas + area[counted]
            land.cells += np.bincount(at * len(STOCK_DEVIATIONS) + stratum[counted], minlength=land.cells.size).reshape(
                land.cells.shape
            )
            for year in years:
                _add(land.sealed[year], at, sealed[year][inside][counted])
                _add(land.seen[year], at, ~np.isnan(sealed[year][inside][counted]))
            for pair in pairs:
                gain, loss = flow(pair)
                _add(land.gain[pair], at, gain[inside][counted])
                _add(land.loss[pair], at, loss[inside][counted])
        for level, part in zip(work.zone_maps, whole[1:], strict=True):
            land.categories[level] |= {int(cat) for cat in np.unique(part[inside]) if cat}
        for row in range(inside.shape[0]):
            for unit_id, col in points.get(top + row, ()):
                for level, part in zip(work.zone_maps, whole[1:], strict=True):
                    land.regions[level][unit_id] = int(part[row, col - left])
                for year in years:
                    value = float(sealed[year][row, col - left])
                    if not np.isnan(value):
                        land.points[year][unit_id] = value
        top += inside.shape[0]
    return land


def _add(sums: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
    sums += np.bincount(at, np.nan_to_num(values), sums.size).reshape(sums.shape)


def _points_by_row(survey: Survey) -> dict[int, list[tuple[str, int]]]:
    """Return the stock points of each absolute row: id and absolute column."""
    found: dict[int, list[tuple[str, int]]] = {}
    for unit in survey.design.units:
        if unit.purpose == "stock":
            found.setdefault(unit.row, []).append((unit.id, unit.col))
    return found


def _blocks(work: Work, codes: list[str], years: list[int], pairs: list[YearPair]) -> Iterator[Block]:
    """Yield the maps of codes in strips, with what the yearly maps say of the same cells."""
    maps = work.histories
    if maps is not None:
        steps = list(pairwise(maps.years))
        names = [*(maps.sealed[year] for year in years), *maps.sealing.values(), *maps.unsealing.values()]
        for whole, values in work.blocks(codes, names):
            gains, losses = np.split(values[len(years) :], 2)

            def between(pair: YearPair, gains=gains, losses=losses) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
                within = [number for number, (a, b) in enumerate(steps) if pair[0] <= a and b <= pair[1]]
                return gains[within].sum(axis=0), losses[within].sum(axis=0)

            yield whole, dict(zip(years, values, strict=False)), between
        return
    names = [work.maps[year] for year in years]
    shares = isinstance(work.kind, ShareMaps)
    for whole, values in work.blocks(codes if shares else [*codes, *names], names if shares else ()):
        planes = values if shares else _indicator(whole[len(codes) :])
        sealed = dict(zip(years, planes, strict=True))

        def ends(pair: YearPair, sealed=sealed) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
            rise = sealed[pair[1]] - sealed[pair[0]]
            return np.maximum(rise, 0), np.maximum(-rise, 0)

        yield whole[: len(codes)], sealed, ends


def _indicator(classes: np.ndarray) -> np.ndarray:
    """Return 1 where cells are artificial, 0 where not, NaN without data."""
    return np.where(classes > 0, np.float32(classes == ARTIFICIAL), np.float32(np.nan))
