"""mapped_series: sums of the probabilities of each cell's history, for the whole region.

With years y0 < y1 < ... < yn a cell has one of 2 + 2n histories: never sealed, always sealed, sealed from year k on, unsealed from year k
on. r.unet.predict gives their probabilities from all years together, as maps of the probability that a cell is sealed in a year and that
it was sealed or unsealed between two neighbouring years. Figures are sums of these probabilities: no threshold decides about a cell, so
many cells in which a change is unlikely add up to the change that they have together.

The maps are read back into the probabilities of the histories, which are made to add up to 1 exactly. So the floating-point error of the
maps cannot make the difference of two stocks unequal to gain minus loss, and no stock or share leaves its limits. Between years that
are not neighbours in the prediction the same histories give the sums over the years between them.

A history says only whether a cell is sealed. Where it is not, its class (natural material, green or other) has the distribution

    r_c = sum over all years of p_c / sum over all years of (p_natural + p_green + p_other)

from the yearly probabilities, the same in all years: change among these three classes is not in the figures. All years of the prediction
count, also when a run uses some of them, for two reasons: the figures of a year do not depend on the other years of the run, and each
cell that was seen in any year has a distribution, so that no class must be assumed for a cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from imperviouslib.core import series
from imperviouslib.core.change import PAIR_BASE, change_year_expression, split_pair, sum_expression
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.figures import ClassFigures
from imperviouslib.core.legend import ARTIFICIAL
from imperviouslib.core.mapkinds import Content, HistoryMaps, Later, Layer, OutputMap, PredictedMaps, Work
from imperviouslib.core.mapnames import SEALING, UNSEALING
from imperviouslib.core.methods.base import Method, register
from imperviouslib.core.tableschema import COVERAGE_MIN
from imperviouslib.core.tally import Measure, Strip, UnitSums

_TOLERANCE = 1e-4
"""By how much a probability may differ between maps that belong together; floating-point error is far smaller."""
_RED, _BLUE = ((255, 237, 160), (253, 141, 60), (128, 0, 38)), ((199, 233, 180), (65, 182, 196), (8, 29, 88))
_LAYERS = (
    Layer("gainyear", "Year of sealing", Content.YEARS, palette=_RED, source=SEALING),
    Layer("gainp", "Probability of sealing", Content.PROBABILITIES, "178:24:43", source=SEALING),
    Layer("lossyear", "Year of unsealing", Content.YEARS, palette=_BLUE, source=UNSEALING),
    Layer("lossp", "Probability of unsealing", Content.PROBABILITIES, "33:102:172", source=UNSEALING),
)


def history_chances(first: np.ndarray, sealing: np.ndarray, unsealing: np.ndarray) -> np.ndarray:
    """Return the probability of each history.

    first : array (row, col), probability that the cell is sealed in the first year; NaN no data
    sealing, unsealing : array (step, row, col), probability between two neighbouring years
    Returns: array (history, row, col), float64, sums to 1; NaN where any map has no data
    """
    always, never = first - unsealing.sum(axis=0), 1.0 - first - sealing.sum(axis=0)
    chances = np.concatenate([[never], [always], sealing, unsealing]).clip(min=0)
    return chances / chances.sum(axis=0)


def expected_pairs(counts: np.ndarray, classes: Sequence[int], before: np.ndarray, now: np.ndarray) -> dict[int, float]:
    """Return the expected cells of each pair of classes.

    counts : array (history, class), expected cells of a history whose class is that where they are not sealed
    classes : codes, in the order of the array
    before, now : array (history,), bool, whether the history is sealed in the year
    Returns: code of the pair to cells
    """
    pairs: dict[int, float] = defaultdict(float)
    for cells, was, is_ in zip(counts.tolist(), before, now, strict=True):
        for land, number in zip(classes, cells, strict=True):
            pairs[PAIR_BASE * (ARTIFICIAL if was else land) + (ARTIFICIAL if is_ else land)] += number
    return pairs


@register
class Histories(Method):
    """Sums of the probabilities of histories, for the whole region."""

    code = "mapped_series"
    needs = (PredictedMaps,)
    notes = (
        "mapped_series adds the probabilities that a model of all years gives for the history of each cell: never sealed, always sealed, "
        "sealed or unsealed from a year on. No threshold is applied. Land that is not sealed has the same distribution of classes in all "
        f"years. Land never seen is given the region's shares. Values are blank where coverage is below {COVERAGE_MIN}. Figures of the "
        "first and the last year are the least certain ones, and further years may revise all of them.",
    )

    def outputs(self, years: Sequence[int]) -> list[OutputMap]:
        """Return the maps of the year and the probability of sealing and of unsealing in the whole time; none of one year alone."""
        return [OutputMap(layer, years[0], years[-1], tuple(years)) for layer in _LAYERS if len(years) > 1]

    def figures(self, work: Work) -> Later[ClassFigures]:
        """Write the maps, and ask for the sums of the probabilities by region."""
        maps = work.histories
        assert maps is not None
        self._write_maps(work, maps)
        cells = HistoryCells(maps)
        members = work.measure(cells)
        years, spans = work.years, work.pairs
        sealed = dict(zip(maps.years, cells.states.T, strict=True))

        def figures() -> ClassFigures:
            expected = cells.expected(members())

            def pairs(a: int, b: int) -> dict[int, dict[int, float]]:
                classes = tuple(maps.classes)
                return {cat: expected_pairs(sums, classes, sealed[a], sealed[b]) for cat, sums in expected.items()}

            stocks = {
                year: {
                    cat: {split_pair(pair)[0]: n for pair, n in found.items()}
                    for cat, found in pairs(year, year).items()
                }
                for year in years
            }
            return ClassFigures(stocks, {pair: pairs(*pair) for pair in spans}, work.cell_parts)

        return figures

    def _write_maps(self, work: Work, maps: HistoryMaps) -> None:
        expressions = {}
        for one in self.outputs(work.years):
            out, between = work.output(one), maps.between(one.layer.source)
            if one.layer.content is Content.YEARS:
                expressions[out] = change_year_expression(out, list(between.values()), [now for _, now in between])
            else:
                expressions[out] = sum_expression(out, list(between.values()))
        work.mapcalc(expressions)


class HistoryCells(Measure):
    """The expected cells of each history and class."""

    def __init__(self, maps: HistoryMaps) -> None:
        self._maps = maps
        self.codes = tuple(name for names in maps.classes.values() for name in names)
        self.values = (*maps.sealed.values(), *maps.sealing.values(), *maps.unsealing.values())
        self.states = series.Histories(maps.years).sealed()
        """(history, year), bool: whether the history is sealed in the year."""
        self._sums = UnitSums()

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        maps, years = self._maps, len(self._maps.years)
        chances = np.stack([strip.values[name] for name in self.values])
        others = np.stack([sum(strip.codes[name] for name in names) for names in maps.classes.values()])
        known = (others.sum(axis=0) > 0) & ~np.isnan(chances).any(axis=0)
        sealed, sealing, unsealing = np.split(chances[:, known].astype(np.float64), [years, 2 * years - 1])
        histories = history_chances(sealed[0], sealing, unsealing)
        _check_belonging(maps, sealed, self.states.T.astype(np.float64) @ histories)
        shares = others[:, known] / others[:, known].sum(axis=0)
        weighed = [strip.weigh(share, known) for share in shares]
        units = strip.units[known]
        found = np.empty((len(strip.numbers), len(histories), len(shares)))
        for history, land in np.ndindex(found.shape[1:]):
            found[:, history, land] = np.bincount(units, histories[history] * weighed[land], len(found))
        self._sums.add(found, strip.numbers)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, HistoryCells)
        self._sums.add(other._sums.array, units)

    def expected(self, members: Mapping[int, Sequence[int]]) -> dict[int, np.ndarray]:
        """Return array (history, class) of each region that has known cells."""
        found = {category: self._sums.of(units) for category, units in members.items()}
        return {category: cells for category, cells in found.items() if cells.any()}


def _check_belonging(maps: HistoryMaps, given: np.ndarray, expected: np.ndarray) -> None:
    """Raise InputError where the sealed land of a year is not what the maps of sealing and unsealing make of that of the first.

    given, expected : array (year, cell)
    """
    for year, one, other in zip(maps.years, given, expected, strict=True):
        apart = np.abs(one - other).max(initial=0)
        if apart > _TOLERANCE:
            raise InputError(
                _("Map <{}>").format(maps.sealed[year]),
                found=_("probabilities that are wrong by up to {:.4f}").format(apart),
                expected=_("those of {} plus the sealing and minus the unsealing since then").format(maps.years[0]),
                then=_("Run r.unet.predict again with all years and --overwrite, so that all maps belong together."),
            )
