"""Footprints of items: which rings count, and where they lie."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.choice import covers_any
from imperviouslib.core.errors import CatalogueError
from imperviouslib.core.footprint import is_near_tile, parse_rings
from imperviouslib.core.items import parse_item
from testsuite.scene_ground import item


def box(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


A, B = box(12, 50, 13, 51), box(14, 50, 15, 51)
HOLE = box(12.2, 50.2, 12.4, 50.4)


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def collection(*members):
    return {"type": "GeometryCollection", "geometries": list(members)}


def as_ring(corners):
    return tuple((float(x), float(y)) for x, y, *_ in corners)


@pytest.mark.parametrize(
    ("geometry", "bbox", "rings"),
    [
        (polygon(A), None, [A]),
        (polygon(A, HOLE), None, [A]),
        ({"type": "MultiPolygon", "coordinates": [[A], [B, HOLE]]}, None, [A, B]),
        ({"type": "MultiPolygon", "coordinates": [[], [B]]}, None, [B]),
        (collection(polygon(A), collection({"type": "Point", "coordinates": [1, 2]}, polygon(B))), None, [A, B]),
        (polygon([[x, y, 310.5] for x, y in A]), None, [A]),
        (polygon([[str(x), str(y)] for x, y in A]), None, [A]),
        (None, [12, 50, 13, 51], [A]),
        ({}, [12, 50, -5, 13, 51, 900], [A]),
        (polygon(), ["12", "50", "13", "51"], [A]),
        (collection(), [12, 50, 13, 51], [A]),
        ({"type": "LineString", "coordinates": A}, [12, 50, 13, 51], [A]),
        # Without an extent: a ring of one corner, and one of which all corners lie on a line.
        (polygon(A[:1]), [12, 50, 13, 51], [A]),
        (polygon([[12, 50], [13, 51], [12, 50]]), [12, 50, 13, 51], [A]),
        (None, None, []),
        (None, [12, 50, 12, 51], []),
        (None, [178, 50, -178, 51], [box(178, 50, 182, 51)]),
        (polygon(box(178, 50, -178, 51)), None, [box(178, 50, 182, 51)]),
        (polygon([[-179, 50], [179, 50], [179, 51], [-179, 51], [-179, 50]]), None, [[[-179, 50], [-181, 50], [-181, 51], [-179, 51], [-179, 50]]]),
    ],
)  # fmt: skip
def test_all_outer_rings_count_and_the_box_where_there_are_none(geometry, bbox, rings):
    assert parse_rings(geometry, bbox) == tuple(map(as_ring, rings))


@pytest.mark.parametrize(
    "geometry",
    [
        polygon([["a", 1], [2, 3], [4, 5]]), polygon([[float("nan"), 1], [2, 3], [4, 5]]), polygon(box(12, 91, 13, 92)), polygon(box(400, 50, 401, 51)),
        polygon([[1], [2], [3]]), polygon([None, None]), {"type": "Polygon", "coordinates": 5}, {"type": "MultiPolygon", "coordinates": [7]},
    ],
)  # fmt: skip
def test_numbers_that_are_no_degrees_are_refused(geometry):
    with pytest.raises((TypeError, ValueError, LookupError)):
        parse_rings(geometry)
    odd = item() | {"geometry": geometry}
    with pytest.raises(CatalogueError, match="a field that cannot be understood"):
        parse_item(odd)


@pytest.mark.parametrize(
    "bbox", [[12], [12, 50, 13], [12, 50, 0, 13, 51], [12, 50, 13, 51, 0], [12, 50, 0, 13, 51, 9, 7]]
)
def test_a_box_of_another_number_of_values_is_refused(bbox):
    with pytest.raises(ValueError, match="12"):
        parse_rings(None, bbox)
    with pytest.raises(CatalogueError, match="a field that cannot be understood"):
        parse_item(item() | {"geometry": None, "bbox": bbox})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"geometry": None}, "neither an area nor a box"),
        ({"geometry": None, "bbox": [12, 50, 12, 51]}, "neither an area nor a box"),
        ({"geometry": polygon([[y, x] for x, y in A])}, "an area far from its tile 33UUU"),
        ({"geometry": polygon(box(-168, 50, -167, 51))}, "an area far from its tile 33UUU"),
        ({"geometry": polygon(box(12, 20, 13, 21))}, "an area far from its tile 33UUU"),
    ],
)
def test_an_item_without_a_place_is_refused(change, found):
    with pytest.raises(CatalogueError, match=found):
        parse_item(item() | change)


def test_a_collection_too_deep_has_no_rings():
    deep = polygon(A)
    for _level in range(5000):
        deep = collection(deep)
    assert parse_rings(deep, [12, 50, 13, 51]) == (as_ring(A),)


degrees = st.integers(-1799, 1799).map(lambda n: n / 10)


@given(degrees, st.integers(-80, 79), st.sampled_from([0.5, 1.0, 2.0]), st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_ring_keeps_its_extent_on_both_sides_of_the_date_line(west, south, size, is_wrapped):
    """The same box, with longitudes beyond 180 or brought back to -180..180, covers the same ground."""
    corners = box(west, south, west + size, south + size)
    if is_wrapped:
        corners = [[(x + 180) % 360 - 180, y] for x, y in corners]
    (ring,) = parse_rings(polygon(corners))
    assert max(x for x, _ in ring) - min(x for x, _ in ring) == pytest.approx(size)
    zone = int((west + size / 2 + 180) % 360 // 6) + 1
    band = "CDEFGHJKLMNPQRSTUVWX"[min(19, int(south + size / 2 + 80) // 8)]
    assert is_near_tile(ring, f"{zone:02d}{band}AA")


def test_points_in_any_of_several_rings_are_covered():
    import numpy as np

    rings = parse_rings({"type": "MultiPolygon", "coordinates": [[A], [box(12.5, 50, 15, 51)]]})
    points = np.array([(12.1, 50.5), (12.7, 50.5), (14.5, 50.5), (15.5, 50.5)])
    assert covers_any(rings, points).tolist() == [True, True, True, False]
