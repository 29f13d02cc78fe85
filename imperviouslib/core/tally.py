"""Counts and sums by region, of any number of maps, in one pass over their cells.

Regions of several levels overlap, and those of one level do not. A cell belongs to one *unit*: the combination of the regions of all levels that
it lies in. Every cell is counted once, for its unit, and the figure of a region is the sum over its units; so levels need not nest, and
a cell costs the same with one level as with four. All sums are float64 or int64. Where cells on borders are shared (core/borders.py), each
piece of such a cell counts for its unit, with its share of the cell as its weight.

What is to be added up is a `Measure`. The stage reads the maps of all measures in strips and calls `add` for each strip. Bands of the region
can be added up apart, each with measures of its own, and merged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imperviouslib.core.borders import BorderCells, cut_cells
from imperviouslib.core.change import PAIR_BASE
from imperviouslib.core.figures import Counts, Sums
from imperviouslib.core.grid import Grid


@dataclass(frozen=True)
class Strip:
    """The cells of some rows, in all maps of a pass."""

    grid: Grid
    units: np.ndarray
    """(row, col), place of the cell's unit in `numbers`."""
    numbers: np.ndarray
    """Numbers of the units that have cells in the strip, ascending."""
    codes: Mapping[str, np.ndarray]
    """Integer map to (row, col), int32, 0 = NULL."""
    values: Mapping[str, np.ndarray]
    """Floating-point map to (row, col), float32 or float64, NaN = NULL."""
    weights: np.ndarray | None = None
    """(row, col), share of the cell that counts for its unit; None: all of every cell."""

    def weigh(self, values: np.ndarray | None = None, where: np.ndarray | None = None) -> np.ndarray | None:
        """Return what cells add to a sum: their values, or 1, times their share; None if each adds 1.

        values : array (cell,); None: to count cells
        where : array (row, col), bool, the cells of `values`; None: all cells
        """
        if self.weights is None:
            return values
        weights = self.weights.ravel() if where is None else self.weights[where]
        return weights if values is None else weights * values


class Units:
    """The units that were met, each with a number. Unit 0 is the land in no region.

    >>> units = Units(2)
    >>> units.number(np.array([[7, 7, 8, 0], [1, 2, 2, 2]]))
    array([1, 2, 4, 3])
    >>> units.members()
    {7: [1, 2], 1: [1], 2: [2, 3, 4], 8: [4]}
    """

    def __init__(self, levels: int) -> None:
        self._rows = np.zeros((1, levels), np.int64)
        """As `table`, with room for more units."""
        self._numbers: dict[tuple[int, ...], int] = {(0,) * levels: 0}
        self._usual = np.zeros(1, np.int64)
        """Category of the last level to the unit that such cells mostly belong to."""

    @property
    def table(self) -> np.ndarray:
        """(unit, level), category of the region, 0 = none."""
        return self._rows[: len(self._numbers)]

    def number(self, categories: np.ndarray) -> np.ndarray:
        """Return the units of cells: categories (level, ...) to (...), int64. Combinations that are new get the next numbers."""
        cats = categories.reshape(len(categories), -1)
        last = cats[-1]
        known = len(self._usual)
        if (most := int(last.max(initial=0))) >= known:
            self._usual = np.concatenate([self._usual, np.full(most + 1 - known, -1)])
        if len(new := np.flatnonzero(self._usual[last] < 0)):
            _cats, first = np.unique(last[new], return_index=True)
            for at in new[first]:
                self._usual[last[at]] = self._number_of(tuple(cats[:, at].tolist()))
        found = self._usual[last]
        # The region of the last level tells the others, but for slivers.
        odd = np.zeros(last.shape, bool)
        for level, row in enumerate(cats[:-1]):
            odd |= self.table[:, level][found] != row
        if odd.any():
            rows, inverse = np.unique(cats[:, odd], axis=1, return_inverse=True)
            found[odd] = np.array([self._number_of(tuple(row)) for row in rows.T.tolist()])[inverse.ravel()]
        return found.reshape(categories.shape[1:])

    def _number_of(self, row: tuple[int, ...]) -> int:
        if row not in self._numbers:
            number = self._numbers[row] = len(self._numbers)
            # Twice the room at a time: each row is copied twice on average, however many units there are.
            if number == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._rows[number] = row
        return self._numbers[row]

    def merge(self, other: Units) -> np.ndarray:
        """Take over the units of another band. Returns: array (unit of the other,), their numbers here."""
        return np.array([self._number_of(tuple(row)) for row in other.table.tolist()])

    def members(self) -> dict[int, list[int]]:
        """Return the units of each region, by category."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(self.table.tolist()):
            for category in row:
                if category:
                    found[category].append(number)
        return dict(found)


def make_strip(
    grid: Grid, categories: np.ndarray, units: Units, codes: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> Strip:
    """Number the units of the cells of a strip. categories : array (level, row, col), 0 = in no region."""
    whole = units.number(categories)
    present = np.flatnonzero(np.bincount(whole.ravel(), minlength=1))
    place = np.zeros(len(units.table), np.int64)
    place[present] = np.arange(len(present))
    return Strip(grid, place[whole], present, codes, values)


def share_cells(strip: Strip, units: Units, cells: BorderCells, ranks: np.ndarray) -> tuple[Strip, Strip]:
    """Cut the cells of a strip that borders cross.

    cells : the border cells of the strip
    ranks : as for `cut_cells`
    Returns: the strip in which these cells have no weight; and their pieces, with arrays (1, piece)
    """
    at = cells.rows - strip.grid.first_row, cells.cols - strip.grid.first_col
    weights = np.ones(strip.units.shape)
    weights[at] = 0
    pieces = cut_cells(cells, ranks)
    row, col = (place[pieces.cell] for place in at)
    codes, values = (
        {name: plane[row, col][np.newaxis] for name, plane in maps.items()} for maps in (strip.codes, strip.values)
    )
    apart = make_strip(strip.grid, pieces.categories[:, np.newaxis], units, codes, values)
    return replace(strip, weights=weights), replace(apart, weights=pieces.weight[np.newaxis])


class UnitSums:
    """Sums of arrays by unit: (unit, ...), where the parts after the unit grow as needed."""

    def __init__(self, dtype: type = np.float64) -> None:
        self.array: np.ndarray = np.zeros((0,), dtype)

    def add(self, part: np.ndarray, numbers: np.ndarray) -> None:
        """Add an array (unit, ...). numbers : of the units of `part`, which may begin with more of them than it has."""
        numbers = numbers[: len(part)]
        if not len(part):
            return
        shape = (int(numbers.max()) + 1, *part.shape[1:])
        # Whole cells are counted as integers, shares of cells are not.
        self.array = self.array.astype(np.result_type(self.array, part), copy=False)
        if self.array.ndim != part.ndim:
            self.array = np.zeros(shape, self.array.dtype)
        elif any(have < want for have, want in zip(self.array.shape, shape, strict=True)):
            self.array = np.pad(
                self.array,
                [(0, max(0, want - have)) for have, want in zip(self.array.shape, shape, strict=True)],
            )
        within: tuple[Any, ...] = (numbers, *(slice(size) for size in part.shape[1:]))
        self.array[within] += part

    def of(self, units: Sequence[int]) -> np.ndarray:
        """Return the sum over some units, which may not have been met."""
        return self.array[[number for number in units if number < len(self.array)]].sum(axis=0)


class Measure(ABC):
    """Something that is added up over the cells of maps."""

    codes: tuple[str, ...] = ()
    """Integer maps that it needs."""
    values: tuple[str, ...] = ()
    """Floating-point maps that it needs."""
    precise: bool = False
    """Whether the values are needed as float64."""
    whole: bool = False
    """Whether each cell counts as a whole, for the regions that hold its centre, where others share the cells on borders."""

    @abstractmethod
    def add(self, strip: Strip) -> None:
        """Add the cells of a strip, each with its weight (`Strip.weigh`)."""

    @abstractmethod
    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what the same measure found in another band. units : number here of each unit there."""


def add_cells(measures: Iterable[Measure], strip: Strip, shared: Sequence[Strip] = ()) -> None:
    """Add a strip to measures. shared : the same cells as `share_cells` cuts them, for all measures but those of whole cells."""
    for one in measures:
        for part in shared if shared and not one.whole else (strip,):
            one.add(part)


class CodeCounts(Measure):
    """Cells by code of one map, or by pair of codes of two maps: 10 * from + to, where neither is NULL."""

    def __init__(self, *names: str) -> None:
        self.codes = names
        self._sums = UnitSums(np.int64)

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        planes = [strip.codes[name] for name in self.codes]
        most = [int(plane.max(initial=0)) + 1 for plane in planes]
        index = strip.units
        for plane, size in zip(planes, most, strict=True):
            index = index * size + plane
        found = np.bincount(index.ravel(), strip.weigh(), len(strip.numbers) * int(np.prod(most)))
        self._sums.add(found.reshape(-1, *most), strip.numbers)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, CodeCounts)
        self._sums.add(other._sums.array, units)

    def counts(self, members: Mapping[int, Sequence[int]]) -> Counts:
        """Return the counts of regions; a region without a cell that is not NULL is left out."""
        found: dict[int, dict[int, float]] = {}
        for category, units in members.items():
            cells = self._sums.of(units)
            codes = [tuple(code) for code in np.argwhere(cells).tolist() if all(code)]
            if codes:
                found[category] = {
                    code[0] if len(code) == 1 else PAIR_BASE * code[0] + code[1]: cells[code].item() for code in codes
                }
        return found


class CellCounts(Measure):
    """All cells."""

    def __init__(self) -> None:
        self._sums = UnitSums(np.int64)

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        self._sums.add(np.bincount(strip.units.ravel(), strip.weigh(), len(strip.numbers)), strip.numbers)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, CellCounts)
        self._sums.add(other._sums.array, units)

    @property
    def cells(self) -> np.ndarray:
        """(unit,), number of cells."""
        return self._sums.array


class ValueSums(Measure):
    """Sum of a floating-point map, over the cells that are not NULL."""

    precise = True

    def __init__(self, name: str) -> None:
        self.values = (name,)
        self._sums = UnitSums()

    def add(self, strip: Strip) -> None:
        """Add the cells of a strip."""
        values = strip.values[self.values[0]]
        known = ~np.isnan(values)
        units, size = strip.units[known], len(strip.numbers)
        found = [
            np.bincount(units, strip.weigh(where=known), size),
            np.bincount(units, strip.weigh(values[known], known), size),
        ]
        self._sums.add(np.stack(found, axis=1), strip.numbers)

    def merge(self, other: Measure, units: np.ndarray) -> None:
        """Add what another band has."""
        assert isinstance(other, ValueSums)
        self._sums.add(other._sums.array, units)

    def sums(self, members: Mapping[int, Sequence[int]]) -> Sums:
        """Return (cells, sum) of regions; (0, 0.0) where all cells are NULL."""
        if not len(self._sums.array):
            return dict.fromkeys(members, (0, 0.0))
        found = {category: self._sums.of(units) for category, units in members.items()}
        return {category: (_as_int(cells), float(total)) for category, (cells, total) in found.items()}


def _as_int(cells: float) -> float:
    """Return a number of cells as an integer where it is a whole one."""
    return int(cells) if cells == int(cells) else float(cells)
