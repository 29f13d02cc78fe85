"""Counts and sums by region in one pass: against plain sums of each region, for levels that nest and for those that do not."""

import numpy as np
import pytest

from imperviouslib.core.change import PAIR_BASE
from imperviouslib.core.grid import Grid
from imperviouslib.core.tally import CellCounts, CodeCounts, Units, UnitSums, ValueSums, make_strip

ROWS, COLS = 24, 31


def ground(seed, *, nested):
    """Categories of three levels (level, row, col), and maps: a country, its halves, squares; slivers and gaps if not nested."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:ROWS, :COLS]
    levels = np.stack([np.ones((ROWS, COLS), int), 2 + cols // 16, 10 + rows // 5 * 7 + cols // 6])
    levels[1] = 2 + (cols // 6 >= 3)
    if not nested:
        levels[:, rng.random((ROWS, COLS)) < 0.1] = 0
        levels[1][rng.random((ROWS, COLS)) < 0.1] = 99
        levels[2][rng.random((ROWS, COLS)) < 0.2] = 0
    codes = {name: rng.integers(0, 5, (ROWS, COLS)).astype(np.int32) for name in "ab"}
    values = {"v": np.where(rng.random((ROWS, COLS)) < 0.2, np.nan, rng.normal(size=(ROWS, COLS)))}
    return levels, codes, values


def strips(units, levels, codes, values, cuts):
    """Cut the ground at these rows."""
    for top, bottom in zip([0, *cuts], [*cuts, ROWS], strict=True):
        grid = Grid(0, -20 * bottom, 20 * COLS, -20 * top)
        parts = ({name: plane[top:bottom] for name, plane in maps.items()} for maps in (codes, values))
        yield make_strip(grid, levels[:, top:bottom], units, *parts)


def measures():
    return CodeCounts("a"), CodeCounts("a", "b"), ValueSums("v"), CellCounts()


def check(levels, codes, values, members, found):
    """Hold all figures of all regions against masks."""
    one, two, sums, cells = found
    assert set(members) == set(np.unique(levels)) - {0}
    counts, pairs, totals = one.counts(members), two.counts(members), sums.sums(members)
    for category in members:
        inside = (levels == category).any(axis=0)
        a, b, v = codes["a"][inside], codes["b"][inside], values["v"][inside]
        assert counts.get(category, {}) == {c: n for c in range(1, 5) if (n := int((a == c).sum()))}
        expected = {(i, j): int(((a == i) & (b == j)).sum()) for i in range(1, 5) for j in range(1, 5)}
        assert pairs.get(category, {}) == {PAIR_BASE * i + j: n for (i, j), n in expected.items() if n}
        assert totals[category] == (int((~np.isnan(v)).sum()), pytest.approx(np.nansum(v)))
        assert cells.cells[members[category]].sum() == inside.sum()


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("cuts", [(), (1, 7, 8, 20)])
def test_figures_of_every_region_are_those_of_its_cells(nested, cuts):
    levels, codes, values = ground(3, nested=nested)
    units, found = Units(3), measures()
    for strip in strips(units, levels, codes, values, cuts):
        for one in found:
            one.add(strip)
    check(levels, codes, values, units.members(), found)


@pytest.mark.parametrize("nested", [True, False])
def test_bands_that_are_added_up_apart_give_the_same(nested):
    """Each band numbers its units in its own order."""
    levels, codes, values = ground(4, nested=nested)
    units, found = Units(3), measures()
    for band in reversed([(0, 9), (9, 10), (10, ROWS)]):
        own, apart = Units(3), measures()
        part = slice(*band)
        grid = Grid(0, -20 * band[1], 20 * COLS, -20 * band[0])
        cut = ({name: plane[part] for name, plane in maps.items()} for maps in (codes, values))
        strip = make_strip(grid, levels[:, part], own, *cut)
        for one in apart:
            one.add(strip)
        numbers = units.merge(own)
        for one, other in zip(found, apart, strict=True):
            one.merge(other, numbers)
    check(levels, codes, values, units.members(), found)


def test_units_keep_their_numbers():
    units = Units(2)
    first = units.number(np.array([[1, 1, 2], [5, 6, 7]]))
    again = units.number(np.array([[2, 1, 1], [7, 5, 8]]))
    assert (first.tolist(), again.tolist()) == ([1, 2, 3], [3, 1, 4])
    assert units.table.tolist() == [[0, 0], [1, 5], [1, 6], [2, 7], [1, 8]]


def test_sums_grow_with_units_and_codes():
    sums = UnitSums(np.int64)
    sums.add(np.array([[1, 2]]), np.array([1]))
    sums.add(np.array([[1, 1, 5], [2, 2, 2]]), np.array([0, 3]))
    assert sums.array.tolist() == [[1, 1, 5], [1, 2, 0], [0, 0, 0], [2, 2, 2]]
    assert sums.of([0, 3, 9]).tolist() == [3, 3, 7]


def test_counts_beyond_32_bits():
    """The sums are 64 bit: a count that was merged from many bands passes 2^31."""
    counts, other = CodeCounts("a"), CodeCounts("a")
    units = Units(1)
    other.add(make_strip(Grid(0, 0, 20, 20), np.ones((1, 1, 1), int), units, {"a": np.ones((1, 1), np.int32)}, {}))
    other._sums.array *= 2**31
    for _band in range(2):
        counts.merge(other, np.arange(2))
    assert counts.counts(units.members()) == {1: {1: 2**32}}


def test_land_in_no_region_and_maps_of_no_data_count_nothing():
    units, found = Units(1), measures()
    empty = np.zeros((ROWS, COLS), np.int32)
    for strip in strips(units, empty[np.newaxis], {"a": empty, "b": empty}, {"v": np.full(empty.shape, np.nan)}, ()):
        for one in found:
            one.add(strip)
    assert units.members() == {} and found[2].sums({}) == {}
    assert found[0].counts({7: [0]}) == {} and found[2].sums({7: [0]}) == {7: (0, 0.0)}
