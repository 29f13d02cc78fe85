"""Cells on borders between regions: on paper, and against intersections of polygons by shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.borders import (
    PARTS,
    BorderCells,
    blocks_met,
    cut_cells,
    find_border_cells,
    rank_zones,
)
from imperviouslib.core.change import PAIR_BASE
from imperviouslib.core.grid import Grid
from imperviouslib.core.outline import measure_area
from imperviouslib.core.tally import CellCounts, CodeCounts, Units, ValueSums, add_cells, make_strip, share_cells
from imperviouslib.core.zones import Zone
from imperviouslib.edge.coverage import cell_shares

CELL_M2 = 400


def outline_of(shape):
    """Return a shape of shapely as an outline."""
    polygons = getattr(shape, "geoms", [shape])
    return [[np.array(ring.coords) for ring in (one.exterior, *one.interiors)] for one in polygons]


def boxes(grid):
    """Return the cells of a grid as shapes, (row, col)."""
    row, col = np.mgrid[: grid.height, : grid.width]
    west, north = grid.west + 20.0 * col, grid.north - 20.0 * row
    return shapely.box(west, north - 20, west + 20, north)


def centres_of(shapes, levels, grid):
    """Return the regions that hold the centres of cells, (level, row, col)."""
    centre = shapely.centroid(boxes(grid))
    planes = np.zeros((levels, *grid.shape), np.int32)
    for (level, category), shape in shapes.items():
        planes[level][shapely.contains_properly(shape, centre)] = category
    return planes


def border_cells(shapes, grid, levels):
    """Find the border cells of regions, (level, category) to shape. Returns: these, and the regions of the centres."""
    centres = centres_of(shapes, levels, grid)
    shares = {key: cell_shares(outline_of(shape), grid) for key, shape in shapes.items()}
    return find_border_cells(shares, centres, grid.first_row, grid.first_col), centres


def shares_of(shapes, grid, levels=1, ranks=None):
    """Return the share of each cell in each region: category to array (row, col)."""
    cells, centres = border_cells(shapes, grid, levels)
    found = {category: (centres[level] == category).astype(float) for level, category in shapes}
    at = cells.rows - grid.first_row, cells.cols - grid.first_col
    for plane in found.values():
        plane[at] = 0
    pieces = cut_cells(cells, np.arange(100) if ranks is None else ranks)
    row, col = (place[pieces.cell] for place in at)
    for categories in pieces.categories:
        for category, plane in found.items():
            np.add.at(plane, (row, col), np.where(categories == category, pieces.weight, 0))
    return found


# On paper


def test_a_triangle_over_four_cells():
    triangle = shapely.Polygon([(5, 5), (35, 5), (20, 35)])
    # Its left edge is x = 5 + (y - 5) / 2: below y = 20 the left half has 15 * 15 - 15**2 / 4 square metres, above it 7.5 * 15 / 2.
    below, above = (15 * 15 - 15**2 / 4) / CELL_M2, (7.5 * 15 / 2) / CELL_M2
    found = shares_of({(0, 1): triangle}, Grid(0, 0, 40, 40))[1]
    assert found.tolist() == [[above, above], [below, below]]


def test_a_triangle_where_coordinates_are_millions_of_metres():
    grid = Grid(4_000_000, 3_000_000, 4_000_040, 3_000_040)
    triangle = shapely.Polygon([(4_000_005, 3_000_005), (4_000_035, 3_000_005), (4_000_020, 3_000_035)])
    assert shares_of({(0, 1): triangle}, grid)[1].tolist() == [[0.140625, 0.140625], [0.421875, 0.421875]]


def test_neighbours_share_a_cell_and_land_outside_is_in_none():
    shapes = {(0, 1): shapely.box(0, 0, 25, 20), (0, 2): shapely.box(25, 0, 55, 20)}
    found = shares_of(shapes, Grid(0, 0, 80, 20))
    assert found[1].tolist() == [[1, 5 / 20, 0, 0]]
    assert found[2].tolist() == [[0, 15 / 20, 15 / 20, 0]]


def test_a_hole_and_the_island_in_it():
    ring = shapely.box(0, 0, 100, 100) - shapely.box(30, 30, 70, 70)
    shapes = {(0, 1): ring, (0, 2): shapely.box(45, 45, 55, 55)}
    found = shares_of(shapes, Grid(0, 0, 100, 100))
    # Corners of the hole: a quarter of the cell is water. Its sides: half of the cell.
    assert found[1][1].tolist() == [1, 0.75, 0.5, 0.75, 1] and found[1][2].tolist() == [1, 0.5, 0, 0.5, 1]
    assert found[2][2].tolist() == [0, 0, (10 * 10) / CELL_M2, 0, 0] and found[2].sum() == 0.25


def test_a_region_smaller_than_a_cell_counts():
    shapes = {(0, 1): shapely.box(0, 0, 40, 20) - shapely.box(2, 2, 4, 4), (0, 2): shapely.box(2, 2, 4, 4)}
    found = shares_of(shapes, Grid(0, 0, 40, 20))
    # 4 of 400 m2, to a part of a cell.
    assert found[2][0, 0] == pytest.approx(0.01, abs=1 / PARTS) and found[2][0, 1] == 0
    assert (found[1] + found[2]).tolist() == [[1, 1]]


def test_a_border_along_cells_cuts_none():
    shapes = {(0, 1): shapely.box(0, 0, 40, 40), (0, 2): shapely.box(40, 0, 80, 40)}
    cells, _centres = border_cells(shapes, Grid(0, 0, 80, 40), 1)
    assert len(cells.rows) == 0


def test_slivers_that_two_outlines_have_in_common_are_divided():
    # Three quarters of the cell belong to the one, half of it to the other: 3 to 2.
    shapes = {(0, 1): shapely.box(0, 0, 15, 20), (0, 2): shapely.box(10, 0, 20, 20)}
    found = shares_of(shapes, Grid(0, 0, 20, 20))
    assert found[1][0, 0] == pytest.approx(3 / 5, abs=1 / PARTS) and found[1] + found[2] == 1


def test_what_no_border_region_has_belongs_to_the_region_of_the_centre():
    """The border of a region that takes a sliver of another one whose own border is far away."""
    grid, small = Grid(0, 0, 40, 20), shapely.box(0, 0, 5, 20)
    shares = {(0, 1): cell_shares(outline_of(small), grid)}
    cells = find_border_cells(shares, np.array([[[2, 2]]]), grid.first_row, grid.first_col)
    pieces = cut_cells(cells, np.arange(3))
    assert (pieces.categories.tolist(), pieces.weight.tolist()) == ([[1, 2]], [0.25, 0.75])


def test_a_level_without_a_border_in_the_cell_has_the_region_of_the_centre():
    shapes = {
        (0, 9): shapely.box(-60, -60, 60, 60),
        (1, 1): shapely.box(0, 0, 15, 20),
        (1, 2): shapely.box(15, 0, 40, 20),
    }
    cells, _centres = border_cells(shapes, Grid(0, 0, 40, 20), 2)
    pieces = cut_cells(cells, np.arange(10))
    assert (pieces.categories.tolist(), pieces.weight.tolist()) == ([[9, 9], [1, 2]], [0.75, 0.25])


def test_parents_are_cut_together_with_their_parts():
    """Thirds are no multiples of a part. The order is that of the parents, not that of the categories."""
    zones = [Zone("A", 1, 0, ""), Zone("B", 2, 0, "")]
    zones += [Zone(geo, cat, 1, "", parent) for geo, cat, parent in (("P", 3, "B"), ("Q", 4, "A"), ("R", 5, "A"))]
    one = np.zeros(5, int)
    third = 1 / 3
    cells = BorderCells(
        one[:1], one[:1], np.array([[1], [4]]), one, np.array([0, 0, 1, 1, 1]), np.array([1, 2, 3, 4, 5]),
        np.array([2 * third, third, third, third + 4e-8, third - 4e-8]),
    )  # fmt: skip
    pieces = cut_cells(cells, rank_zones(zones))
    assert pieces.categories.tolist() == [[1, 1, 2], [4, 5, 3]]
    assert pieces.weight.sum() == 1 and (pieces.weight * PARTS % 1 == 0).all()


def test_a_sum_that_is_rounded_otherwise_than_its_parts_takes_over_their_total():
    """20.499 parts of a cell in the lower level, 20.501 in the upper one: what two computations of the same shares may give."""
    one = np.zeros(5, int)
    lower = np.array([10.25, 10.249]) / PARTS
    upper = 20.501 / PARTS
    cells = BorderCells(
        one[:1], one[:1], np.array([[2], [5]]), one, np.array([0, 0, 1, 1, 1]), np.array([1, 2, 3, 4, 5]),
        np.array([upper, 1 - upper, *lower, 1 - lower.sum()]),
    )  # fmt: skip
    pieces = cut_cells(cells, np.arange(6))
    assert pieces.categories.tolist() == [[1, 1, 2], [3, 4, 5]]
    assert (pieces.weight * PARTS).tolist() == [10, 10, PARTS - 20]


def test_blocks_that_a_border_meets():
    diagonal = [[np.array([(5.0, 5.0), (95.0, 65.0), (5.0, 65.0), (5.0, 5.0)])]]
    met = blocks_met(diagonal, cells=2)
    assert {(0, 0), (1, 0), (1, 1), (2, 1), (0, 1)} <= met <= {(col, row) for col in range(3) for row in range(2)}


def test_area_of_an_outline_far_from_the_origin():
    square = [[[(4e6, 3e6), (4e6 + 30, 3e6), (4e6 + 30, 3e6 + 0.5), (4e6, 3e6 + 0.5)]]]
    assert measure_area(square) == 15


class WholeCells(CellCounts):
    whole = True


def test_a_measure_of_whole_cells_counts_them_by_their_centres():
    shapes = {(0, 1): shapely.box(0, 0, 25, 20), (0, 2): shapely.box(25, 0, 60, 20)}
    grid, units = Grid(0, 0, 60, 20), Units(1)
    cells, centres = border_cells(shapes, grid, 1)
    strip = make_strip(grid, centres, units, {}, {})
    shared, whole = CellCounts(), WholeCells()
    add_cells([shared, whole], strip, share_cells(strip, units, cells, np.arange(3)))
    members = units.members()
    assert [one.cells[members[category]].tolist() for one in (shared, whole) for category in (1, 2)] == [
        [1.25],
        [1.75],
        [1],
        [2],
    ]
    assert whole.cells.dtype == np.int64


# Against shapely


def mosaic(points, hole):
    """Return regions of two levels over a box: cells of Voronoi, and those west and east of its middle together; a lake is in none.

    Returns: (level, category) to shape, zones
    """
    everything = shapely.box(13, 17, 287, 243)
    if hole:
        everything -= shapely.Polygon([(100, 100), (171, 103), (140, 166)])
    parts = shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=everything).geoms
    parts = [one for one in (shapely.intersection(part, everything) for part in parts) if one.area > 0]
    parts = [
        shapely.MultiPolygon([p for p in getattr(one, "geoms", [one]) if p.geom_type == "Polygon"]) for one in parts
    ]
    west = [shapely.centroid(part).x < 150 for part in parts]
    shapes, zones = {}, []
    for category, side in ((1, True), (2, False)):
        if mine := [part for part, is_west in zip(parts, west, strict=True) if is_west == side]:
            shapes[0, category] = shapely.union_all(mine)
            zones.append(Zone(f"L{category}", category, 0, ""))
    for number, (part, is_west) in enumerate(zip(parts, west, strict=True)):
        shapes[1, 10 + number] = part
        zones.append(Zone(f"P{number}", 10 + number, 1, "", "L1" if is_west else "L2"))
    return shapes, zones


def add_up(shapes, zones, grid, codes, values, cuts):
    """Add up maps by region, in strips cut at some rows. Returns: cells, counts of codes, and sums of values, each by region."""
    cells, centres = border_cells(shapes, grid, 2)
    units, ranks = Units(2), rank_zones(zones)
    measures = CellCounts(), CodeCounts("a"), CodeCounts("a", "b"), ValueSums("v")
    for top, bottom in zip([0, *cuts], [*cuts, grid.height], strict=True):
        part = Grid(grid.west, grid.north - 20 * bottom, grid.east, grid.north - 20 * top)
        cut = ({name: plane[top:bottom] for name, plane in maps.items()} for maps in (codes, values))
        strip = make_strip(part, centres[:, top:bottom], units, *cut)
        row = cells.rows - grid.first_row
        shared = share_cells(strip, units, cells.where((row >= top) & (row < bottom)), ranks)
        add_cells(measures, strip, shared)
    members, (count, single, pairs, sums) = units.members(), measures
    whole = {category: count.cells[numbers].sum() for category, numbers in members.items()}
    return whole, single.counts(members), pairs.counts(members), sums.sums(members)


seeds_of_regions = st.lists(
    st.tuples(st.integers(0, 1200), st.integers(0, 1040)).map(lambda at: (at[0] / 4, at[1] / 4)), min_size=2, max_size=8, unique=True
).filter(lambda found: shapely.MultiPoint(found).envelope.area > 0)  # fmt: skip
"""Points around which regions lie; shapely makes none around points on a line of the grid."""


@settings(max_examples=40, deadline=None)
@given(
    seeds_of_regions,
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.sets(st.integers(1, 12)).map(sorted),
)
def test_sums_of_regions_are_those_of_exact_intersections(points, hole, seed, cuts):
    grid = Grid(0, 0, 300, 260)
    shapes, zones = mosaic(points, hole)
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, 4, grid.shape).astype(np.int32) for name in "ab"}
    values = {"v": np.where(rng.random(grid.shape) < 0.2, np.nan, rng.normal(size=grid.shape))}
    whole, single, pairs, sums = add_up(shapes, zones, grid, codes, values, [])

    cells = boxes(grid)
    exact = {
        category: shapely.area(shapely.intersection(shape, cells)) / CELL_M2
        for (_level, category), shape in shapes.items()
    }
    for category, share in exact.items():
        # Two roundings to a part of a cell, and what is left out below the tolerance.
        error = 2 / PARTS * ((share > 0) & (share < 1)).sum() + 1e-6
        assert whole.get(category, 0) == pytest.approx(share.sum(), abs=error)
        for code in range(1, 4):
            expected = share[codes["a"] == code].sum()
            assert single.get(category, {}).get(code, 0) == pytest.approx(expected, abs=error)
            both = share[(codes["a"] == code) & (codes["b"] == 1)].sum()
            assert pairs.get(category, {}).get(PAIR_BASE * code + 1, 0) == pytest.approx(both, abs=error)
        known = ~np.isnan(values["v"])
        found = sums.get(category, (0, 0))
        assert found[0] == pytest.approx(share[known].sum(), abs=error)
        assert found[1] == pytest.approx((share * np.nan_to_num(values["v"])).sum(), abs=5 * error)

    # A whole is the sum of its parts, exactly; and cuts change nothing.
    by_code = {zone.geo: zone for zone in zones}
    for parent in (zone for zone in zones if zone.level == 0):
        parts = [zone.cat for zone in zones if by_code.get(zone.parent) is parent]
        assert sum(whole.get(cat, 0) for cat in parts) == whole.get(parent.cat, 0)
        for code in range(1, 4):
            together = sum(single.get(cat, {}).get(code, 0) for cat in parts)
            assert together == single.get(parent.cat, {}).get(code, 0)
    again = add_up(shapes, zones, grid, codes, values, cuts)
    assert again[:3] == (whole, single, pairs)


@settings(max_examples=25, deadline=None)
@given(seeds_of_regions, st.booleans())
def test_the_shares_of_a_cell_add_up_to_what_the_level_covers(points, hole):
    grid = Grid(0, 0, 300, 260)
    shapes, zones = mosaic(points, hole)
    found = shares_of(shapes, grid, levels=2, ranks=rank_zones(zones))
    for level in (0, 1):
        mine = [key[1] for key in shapes if key[0] == level]
        total = sum(found[category] for category in mine)
        covered = (
            sum(shapely.area(shapely.intersection(shapes[level, category], boxes(grid))) for category in mine) / CELL_M2
        )
        assert (total[covered > 1 - 1e-7] == 1).all()
        assert total == pytest.approx(covered, abs=2 / PARTS)
        assert all((plane >= 0).all() for plane in found.values())
