"""Outlines as paths: shared borders stay shared, and no region disappears."""

import re
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard.outlines import polygons
from dashboard.shapes import WIDTH, Frame, draw_map, draw_region, inner_borders, path, simplify

FRAME = Frame(4_000_000, 3_100_000, WIDTH / 150_000)


def points_of(d):
    """Return the corners of a path with relative steps."""
    corners = []
    for x, y, rest in re.findall(r"M(-?\d+) (-?\d+)l([^z]*)z", d):
        at = np.array([int(x), int(y)])
        steps = np.array(rest.split(), dtype=int).reshape(-1, 2)
        corners += [tuple(at), *map(tuple, at + np.cumsum(steps, axis=0))]
    return corners


def test_neighbours_share_their_rounded_border(table):
    left, right = (polygons(table.outlines[geo])[0][0] for geo in ("XA111", "XA112"))
    shared = {tuple(p) for p in left} & {tuple(p) for p in right}
    assert len(shared) > 5
    drawn = [{tuple(p) for p in FRAME.to_lattice(ring).tolist()} for ring in (left, right)]
    border = {tuple(p) for p in FRAME.to_lattice(np.array(sorted(shared))).tolist()}
    assert border <= drawn[0] and border <= drawn[1]


def test_path_holds_the_ring():
    ring = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    assert points_of(path([ring])) == [(0, 0), (4, 0), (4, 4), (0, 4)]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_simplified_ring_has_the_same_area_and_no_repeats(points):
    ring = np.array([*points, points[0]])

    def area(r):
        return r[:, 0] @ np.roll(r[:, 1], -1) - r[:, 1] @ np.roll(r[:, 0], -1)

    simple = simplify(ring)
    if len(simple) > 2:
        assert area(simple) == area(ring)
        assert (simple != np.roll(simple, 1, axis=0)).any(axis=1).all()
    else:
        assert area(ring) == 0


def test_region_smaller_than_half_a_pixel_is_a_dot():
    speck = np.array([[4_050_000, 3_050_000], [4_050_001, 3_050_000], [4_050_001, 3_050_001]], dtype=float)
    d, (x, y) = draw_region([[speck]], FRAME)
    assert len(points_of(d)) == 4
    assert (x, y) == tuple(FRAME.to_lattice(speck)[0])


def test_every_region_of_a_level_is_drawn_within_the_drawing(table):
    for level, count in ((0, 1), (1, 4), (2, 16), (3, 24)):
        drawing = draw_map(table, level)
        assert len(drawing["regions"]) == count
        for region in drawing["regions"]:
            corners = np.array(points_of(region["d"]))
            assert (corners >= 0).all() and (corners <= [drawing["width"], drawing["height"]]).all()


def test_far_region_is_drawn_in_an_inset(table):
    far = {"type": "Polygon", "coordinates": [[[-2e6, 1e5], [-1.9e6, 1e5], [-1.9e6, 2e5], [-2e6, 1e5]]]}
    drawing = draw_map(replace(table, outlines={**table.outlines, "XA111": far}), 3)
    (box,) = drawing["insets"]
    assert box["name"] == "Aldermoor"
    corners = np.array(points_of(next(r["d"] for r in drawing["regions"] if r["geo"] == "XA111")))
    assert (corners >= [box["x"], box["y"]]).all() and (corners <= [box["x"] + box["w"], box["y"] + box["h"]]).all()
    assert box["y"] + box["h"] <= drawing["height"]


def test_inset_of_several_regions_has_the_name_of_the_region_that_holds_them(table):
    def far(shift):
        return {"type": "Polygon", "coordinates": [[[shift, 1e5], [shift + 1e5, 1e5], [shift, 2e5], [shift, 1e5]]]}

    (box,) = draw_map(replace(table, outlines={**table.outlines, "XA111": far(-2e6), "XA112": far(-1.8e6)}), 3)[
        "insets"
    ]
    assert box["name"] == "Province 11"


def test_speck_far_away_does_not_make_the_map_small(table):
    """An island within Europe but far from the rest: its region is drawn without it, and the frame stays as it is."""
    whole = table.outlines["XA111"]
    island = [[[3.0e6, 1.5e6], [3.005e6, 1.5e6], [3.005e6, 1.505e6], [3.0e6, 1.5e6]]]
    spotted = {"type": "MultiPolygon", "coordinates": [*whole["coordinates"], island]}
    drawing = draw_map(replace(table, outlines={**table.outlines, "XA111": spotted}), 3)
    assert drawing == draw_map(table, 3)


def test_borders_are_drawn_below_the_level_of_countries(large_table):
    # Three countries in a row and two below: four lines, as those between the left and the middle ones are one.
    assert len(draw_map(large_table, 3)["borders"]) == 4 and draw_map(large_table, 0)["borders"] == []


def square(west, south, side):
    """Return the ring of a square, closed."""
    return np.array(
        [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]], float
    )


def test_borders_lie_between_countries_and_leave_the_coasts_out():
    frame = Frame(0, 4, 1)
    # Four squares of side 2 around a point: two countries on the left and one on the right, which has the two others.
    a, b, c, d = (square(x, y, 2) for x, y in ((0, 0), (0, 2), (2, 0), (2, 2)))
    lines = inner_borders([[[a]], [[b]], [[c], [d]]], frame)
    # From the left to the middle, and from top to bottom; the edge between c and d lies within one country.
    assert sorted(lines) == ["M0 2l2 0", "M2 0l0 2 0 2"]
    assert inner_borders([[[a]], [[d]]], frame) == []


def test_border_of_an_enclave_is_closed():
    outer, inner = square(0, 0, 6), square(2, 2, 2)
    (line,) = inner_borders([[[outer, inner[::-1]]], [[inner]]], Frame(0, 6, 1))
    x, y, rest = re.match(r"M(\d+) (\d+)l(.*)", line).groups()
    steps = np.array(rest.split(), dtype=int).reshape(-1, 2)
    assert len(steps) == 4 and (steps.sum(axis=0) == 0).all() and (int(x), int(y)) == (2, 2)


def test_country_alone_has_its_outline_as_border(table):
    (border,) = draw_map(table, 3)["borders"]
    assert border.endswith("z")


def test_land_around_is_drawn_and_far_land_is_not(table):
    def land(shift):
        return {"type": "Polygon", "coordinates": [square(4_000_000 + shift, 3_000_000, 50_000).tolist()]}

    assert draw_map(table, 3)["ground"] == []
    drawing = draw_map(replace(table, neighbours=[land(-60_000), land(-3_000_000)]), 3)
    assert len(drawing["ground"]) == 1
    # The frame stays that of the regions.
    assert [drawing[side] for side in ("width", "height")] == [draw_map(table, 3)[side] for side in ("width", "height")]


def test_long_name_of_an_inset_is_cut(table):
    far = {"type": "Polygon", "coordinates": [[[-2e6, 1e5], [-1.9e6, 1e5], [-1.9e6, 2e5], [-2e6, 1e5]]]}
    geo = next(geo for geo, region in table.regions.items() if region.name.endswith("Saint Waldeburg"))
    (box,) = draw_map(replace(table, outlines={**table.outlines, geo: far}), 3)["insets"]
    assert box["name"] == table.regions[geo].name
    assert box["short"] == "… Waldeburg"
