"""Cells on borders between regions, counted for each region by the share of the cell that lies in it.

By default a cell counts for the region that holds its centre. Where a run shares the cells on borders, each cell that a border crosses is
cut into *pieces*, and each piece has the part of the cell that lies in one region of each level, or in none. The shares of the regions of
a level come from their outlines. A level without a border in the cell has the region of the centre.

Shares are rounded to 1 / `PARTS` of a cell, which makes sums of cells exact: they depend neither on the order in which cells are added
nor on how the extent is cut. Not the shares are rounded but their running total over the regions of a level, and each level takes over
the totals of the levels below it where they agree but for rounding. So the shares of a cell add up to the whole cell, and a region whose
parts fill it has the sum of its parts, exactly.

How the regions of one level are placed beside those of another within a cell does not matter to the sums of any region. The pieces
follow the order of parents, so that a region is cut together with the region that contains it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np

from imperviouslib.core.grid import BLOCK, RES_M
from imperviouslib.core.zones import Zone

Outline = Sequence[Sequence[np.ndarray]]
"""Polygons, each a list of rings, the outer one first: arrays (corner, 2) in metres, EPSG:3035."""
PARTS = 2**16
"""Parts of a cell that are told apart: 0.006 m2. Sums of 1e11 cells, more than all land has, are exact in float64."""
TOLERANCE = 1e-6
"""Share of a cell below which nothing is there. Outlines and the arithmetic of their shares are exact to some 1e-7."""
_FINE_BITS = 40
"""Shares are added as multiples of 2 to the minus 40: sums of whole numbers do not depend on where an array was cut."""
BY_CENTRE, BY_AREA = "centre", "area"
"""Rules by which a cell on a border counts, as the metadata of a table names them."""
NOTE = (
    "A cell on a border between regions counts for each of them by the share of its area that lies in it, to 1/65536 of a cell. "
    "Estimates from a sample are made from whole cells, which belong to the region of their centre, and refer to the same areas."
)
"""What a reader of a table with shared cells must know."""


def is_shared(package: Mapping[str, Any]) -> bool:
    """Tell from the metadata of a table whether any of its vintages shares the cells on borders.

    >>> is_shared({"parameters": {"border_cells": "centre"}, "earlier": [{"datapackage": {"parameters": {"border_cells": "area"}}}]})
    True
    """
    packages = [package, *(record["datapackage"] for record in package.get("earlier", ()))]
    return any(one.get("parameters", {}).get("border_cells") == BY_AREA for one in packages)


@dataclass(frozen=True)
class BorderCells:
    """Cells that borders cross, each once, and the regions that share them: entries of cell, level and region."""

    rows: np.ndarray
    """(cell,), absolute row."""
    cols: np.ndarray
    """(cell,), absolute column."""
    centres: np.ndarray
    """(level, cell), category of the region that holds the centre, 0 = none."""
    cell: np.ndarray
    """(entry,), place of the cell in `rows`; entries of levels without a border in the cell are missing."""
    level: np.ndarray
    """(entry,), number of the level."""
    category: np.ndarray
    """(entry,), category of the region."""
    share: np.ndarray
    """(entry,), share of the cell inside the region, above 0 and at most 1."""

    def where(self, chosen: np.ndarray) -> BorderCells:
        """Return some of the cells, and their entries. chosen : array (cell,), bool"""
        kept = chosen[self.cell]
        place = np.cumsum(chosen) - 1
        return BorderCells(
            self.rows[chosen], self.cols[chosen], self.centres[:, chosen],
            place[self.cell[kept]], self.level[kept], self.category[kept], self.share[kept],
        )  # fmt: skip

    @classmethod
    def join(cls, parts: Sequence[BorderCells], levels: int) -> BorderCells:
        """Return all cells of parts that have none in common."""
        starts = np.cumsum([0, *(len(part.rows) for part in parts)])
        moved = [part.cell + start for part, start in zip(parts, starts, strict=False)]
        empty = cls.empty(levels)
        joined = {
            one.name: np.concatenate([getattr(part, one.name) for part in (empty, *parts)], axis=-1)
            for one in fields(cls)
        }
        return cls(**{**joined, "cell": np.concatenate([empty.cell, *moved])})

    @classmethod
    def empty(cls, levels: int) -> BorderCells:
        """Return no cells."""
        none = np.zeros(0, np.int64)
        return cls(none, none, np.zeros((levels, 0), np.int64), none, none, none, np.zeros(0))


@dataclass(frozen=True)
class Pieces:
    """Parts of cells, each in one region or none of every level."""

    cell: np.ndarray
    """(piece,), place of the cell; pieces of a cell stand together."""
    categories: np.ndarray
    """(level, piece), category of the region, 0 = none."""
    weight: np.ndarray
    """(piece,), share of the cell, a multiple of 1 / PARTS; the pieces of a cell add up to 1."""


def find_border_cells(
    shares: Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]], centres: np.ndarray, first_row: int, first_col: int
) -> BorderCells:
    """Choose the cells that a border crosses from the cells of outlines.

    shares : (level, category) to the cells of a region in a block: arrays (cell,) of the place in the flattened block, and of the share
    centres : array (level, row, col), regions by the centres of the cells of the block
    first_row, first_col : absolute place of the block
    """
    levels, height, width = centres.shape
    crossed = np.zeros((levels, height * width), bool)
    for (level, _category), (place, share) in shares.items():
        crossed[level, place[(share > TOLERANCE) & (share < 1 - TOLERANCE)]] = True
    cells = np.flatnonzero(crossed.any(axis=0))
    number = np.full(height * width, -1)
    number[cells] = np.arange(len(cells))
    none = np.zeros(0, np.int64)
    found: list[tuple[np.ndarray, ...]] = [(none, none, none, np.zeros(0))]
    for (level, category), (place, share) in shares.items():
        kept = crossed[level, place] & (share > TOLERANCE)
        at = number[place[kept]]
        found.append((at, np.full(len(at), level), np.full(len(at), category), np.minimum(share[kept], 1)))
    entries = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    rows, cols = np.divmod(cells, width)
    at_centres = centres.reshape(levels, -1)[:, cells].astype(np.int64)
    return BorderCells(rows + first_row, cols + first_col, at_centres, *entries)


def cut_cells(cells: BorderCells, ranks: np.ndarray) -> Pieces:
    """Cut cells into pieces.

    ranks : array (category,), order of the regions, in which those of one parent stand together

    A cell that two regions of a level and two of another cross, the upper one in the middle and the lower one at a quarter:

    >>> one = np.array([0])
    >>> shared = BorderCells(one, one, np.array([[1], [3]]), np.zeros(4, int), np.array([0, 0, 1, 1]),
    ...                      np.array([1, 2, 3, 4]), np.array([0.5, 0.5, 0.25, 0.75]))
    >>> pieces = cut_cells(shared, np.arange(5))
    >>> pieces.categories.tolist(), pieces.weight.tolist()
    ([[1, 1, 2], [3, 4, 4]], [0.25, 0.25, 0.5])
    """
    size, span = len(cells.rows), 2 * PARTS
    # The end of each region within a cell is a key: cell * span + running total in parts.
    whole = np.arange(size) * span + PARTS
    ends, below = [], whole
    for level in reversed(range(len(cells.centres))):
        cell, category, total = _running_totals(cells, level, ranks)
        keys = _snapped(cell * span + total, below)
        below = np.union1d(below, keys)
        ends.append((keys, cell, category))
    cut = below[below % span > 0]
    at, end = np.divmod(cut, span)
    begin = np.where(np.r_[False, at[1:] == at[:-1]], np.r_[0, end[:-1]], 0) if len(cut) else end
    categories = np.zeros((len(cells.centres), len(cut)), np.int64)
    for level, (keys, cell, category) in enumerate(reversed(ends)):
        place = np.searchsorted(keys, cut)
        held = place < len(keys)
        held[held] = cell[place[held]] == at[held]
        categories[level, held] = category[place[held]]
    return Pieces(at, categories, (end - begin) / PARTS)


def _running_totals(cells: BorderCells, level: int, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the regions of one level in each cell, in their order, with the running total of their shares.

    Returns: arrays (entry,) of the cell, the category and the total in 1 / PARTS
    """
    size, of_level = len(cells.rows), cells.level == level
    cell, category, share = cells.cell[of_level], cells.category[of_level], cells.share[of_level]
    total = np.bincount(cell, share, size)
    rest = 1 - total
    # What no border region has belongs to the region of the centre, unless that is one of them; then it lies in none.
    centre = cells.centres[level]
    known = np.bincount(cell, category == centre[cell], size) > 0
    taken = np.flatnonzero((centre > 0) & ~known & (rest > TOLERANCE))
    cell = np.concatenate([cell, taken])
    category, share = np.concatenate([category, centre[taken]]), np.concatenate([share, rest[taken]])
    total[taken] = 1
    # Slivers that two outlines have in common are divided in proportion.
    share = share / np.where(total > 1 - TOLERANCE, total, 1)[cell]
    order = np.lexsort((ranks[category], cell))
    cell, category = cell[order], category[order]
    fine = np.rint(share[order] * 2.0**_FINE_BITS).astype(np.int64)
    running = np.cumsum(fine)
    before = np.searchsorted(cell, cell)
    running -= np.where(before > 0, running[before - 1], 0) if len(cell) else 0
    shift = _FINE_BITS - (PARTS.bit_length() - 1)
    return cell, category, np.minimum((running + (1 << (shift - 1))) >> shift, PARTS)


def _snapped(keys: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Move keys to those of the levels below that differ by one part, the rounding of two sums of the same shares."""
    near = below[np.minimum(np.searchsorted(below, keys - 1), len(below) - 1)] if len(below) else keys
    equal = below[np.minimum(np.searchsorted(below, keys), len(below) - 1)] == keys if len(below) else keys == keys
    return np.where(~equal & (np.abs(near - keys) <= 1), near, keys)


def rank_zones(zones: Iterable[Zone]) -> np.ndarray:
    """Return the order in which regions share a cell, by category: those of one parent stand together.

    >>> rank_zones([Zone("B", 1, 0, ""), Zone("A", 2, 0, ""), Zone("X", 3, 1, "", "B"), Zone("Y", 4, 1, "", "A")]).tolist()
    [0, 3, 1, 4, 2]
    """
    by_code = {zone.geo: zone for zone in zones}

    def path(zone: Zone) -> tuple[str, ...]:
        above = by_code.get(zone.parent)
        return (*(path(above) if above and above.level < zone.level else ()), zone.geo)

    ranks = np.zeros(1 + max((zone.cat for zone in by_code.values()), default=0), np.int64)
    for rank, zone in enumerate(sorted(by_code.values(), key=path), start=1):
        ranks[zone.cat] = rank
    return ranks


def blocks_met(outline: Outline, cells: int = BLOCK, res_m: int = RES_M) -> set[tuple[int, int]]:
    """Return the absolute blocks of `cells` cells a side that the border of a region may cross: (column, row) counted from the origin, northwards.

    >>> sorted(blocks_met([[np.array([(10, 10), (50, 10), (10, 10)])]], cells=1))
    [(0, 0), (1, 0), (2, 0)]
    """
    step, found = cells * res_m, set()
    for ring in (ring for rings in outline for ring in rings):
        at = np.floor(ring / step).astype(np.int64)
        low, high = np.minimum(at[:-1], at[1:]), np.maximum(at[:-1], at[1:])
        for west, south, east, north in np.unique(np.hstack([low, high]), axis=0).tolist():
            found |= set(product(range(west, east + 1), range(south, north + 1)))
    return found


def hosts_of_cells(cells: BorderCells, categories: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Tell in which regions of higher levels those lie that hold no centre of a cell: by the centres of the cells that they share.

    Returns: array (place, level) of categories, 0 = none or a lower level; array (place,), cells
    """
    kept = np.isin(cells.category, list(categories))
    level, category = cells.level[kept], cells.category[kept]
    rows = cells.centres[:, cells.cell[kept]].T.copy()
    rows[np.arange(rows.shape[1]) >= level[:, np.newaxis]] = 0
    rows[np.arange(len(rows)), level] = category
    return rows, cells.share[kept]
