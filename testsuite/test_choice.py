"""Which scenes are taken: the newest processing, the best of a tile and year, and what covers what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core import baseline
from imperviouslib.core.baseline import Processing
from imperviouslib.core.choice import (
    Area,
    SceneFilter,
    covers,
    resolve_best,
    resolve_choices,
    resolve_largest,
    resolve_newest,
)
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset, parse_item
from imperviouslib.core.window import Window
from testsuite.scene_ground import SQUARE, item, load, real_folder, scene


@pytest.fixture(scope="session")
def real():
    return real_folder()


def test_the_newest_baseline_of_an_acquisition_wins():
    old, new = scene("N0206", baseline=(2, 6)), scene("N0500", baseline=(5, 0))
    assert resolve_newest([old, new]) == resolve_newest([new, old]) == [new]


def test_the_trial_baseline_is_the_oldest():
    trial, old = scene("N9999", baseline=(99, 99)), scene("N0206", baseline=(2, 6))
    assert resolve_newest([trial, old]) == [old]


def test_both_halves_of_a_split_tile_stay():
    first, second = scene("a", datastrip="20180601T101133"), scene("b", datastrip="20180601T101145")
    again = scene("c", datastrip="20180601T101145", baseline=(5, 0))
    assert resolve_newest([first, second, again]) == [first, again]


def test_tiles_and_datatakes_are_acquisitions_of_their_own():
    scenes = [scene("a"), scene("b", tile="32UPD"), scene("c", datatake="GS2B_2")]
    assert len(resolve_newest(scenes)) == 3


def test_identifiers_that_carry_baseline_and_processing_time_still_meet():
    """The same datatake as ESA names it in 2018 and in the reprocessing of 2023."""
    items = [
        item("old", "02.06", "GS2A_20180601T101031_015402_N02.06", "S2A_OPER_MSI_L2A_DS_EPAE_20180601T152000_S20180601T101133_N02.06"),
        item("new", "05.00", "GS2A_20180601T101031_015402_N05.00", "S2A_OPER_MSI_L2A_DS_S2RP_20230612T214223_S20180601T101133_N05.00"),
    ]  # fmt: skip
    assert [s.id for s in resolve_newest(parse_item(i) for i in items)] == ["new"]


def test_points_on_paper_lie_in_a_ring_or_not():
    points = np.array([(5, 5), (-1, 5), (11, 5), (5, -1), (5, 11), (9.9, 0.1)])
    assert covers(SQUARE, points).tolist() == [True, False, False, False, False, True]
    # The ring need not be closed, and none covers nothing.
    assert covers(SQUARE[:-1], points).tolist() == covers(SQUARE, points).tolist()
    assert not covers((), points).any()


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=20))
def test_a_triangle_covers_what_its_three_edges_keep_inside(points):
    (ax, ay), (bx, by), (cx, cy) = ring = ((-20.0, -10.0), (30.0, -5.0), (5.0, 40.0))
    p = np.array(points)
    sides = [
        (x1 - x0) * (p[:, 1] - y0) - (y1 - y0) * (p[:, 0] - x0)
        for (x0, y0), (x1, y1) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
    ]
    clear = np.min(np.abs(sides), axis=0) > 1e-6
    assert (covers(ring, p) == np.all(np.array(sides) > 0, axis=0))[clear].all()


LEFT, RIGHT, ALL = [True, True, False, False], [False, False, True, True], [True] * 4


def test_a_second_orbit_that_covers_the_rest_comes_before_another_look_at_the_same_half():
    scenes = [scene("a", cloud_pct=0.0), scene("b", cloud_pct=1.0), scene("c", cloud_pct=30.0)]
    assert [s.id for s in resolve_best(scenes, np.array([LEFT, LEFT, RIGHT]), 2)] == ["a", "c"]


def test_scenes_are_spread_over_the_season():
    days = ["05-01", "05-03", "05-05", "07-10", "09-20"]
    scenes = [scene(day, sensed_utc=f"2018-{day}T10:10:31Z", cloud_pct=float(i)) for i, day in enumerate(days)]
    assert [s.id for s in resolve_best(scenes, np.array([ALL] * 5), 3)] == ["05-01", "07-10", "09-20"]


def test_no_more_than_asked_for_and_none_that_covers_nothing():
    scenes = [scene("a"), scene("b"), scene("c")]
    covered = np.array([ALL, [False] * 4, ALL])
    assert [s.id for s in resolve_best(scenes, covered, 9)] == ["a", "c"]
    assert len(resolve_best(scenes, covered, 1)) == 1
    assert resolve_best([], np.zeros((0, 4), bool), 3) == []


def test_the_choice_does_not_depend_on_the_order_of_the_items():
    rng = np.random.default_rng(3)
    scenes = [
        scene(f"s{i:02d}", cloud_pct=float(c), sensed_utc=f"2018-0{5 + i % 4}-10T10:10:31Z")
        for i, c in enumerate(rng.integers(0, 60, 20))
    ]
    covered = rng.random((20, 30)) < 0.6
    first = resolve_best(scenes, covered, 6)
    for _ in range(5):
        order = rng.permutation(20)
        assert resolve_best([scenes[i] for i in order], covered[order], 6) == first


def test_the_prototypes_choice_is_by_bytes():
    scenes = [
        scene("a", assets={"B12": Asset("x", 5)}),
        scene("b", assets={"B12": Asset("x", 9)}),
        scene("c", assets={"B11": Asset("x", 99)}),
    ]
    assert [s.id for s in resolve_largest(scenes, ("B12",), 2)] == ["b", "a"]


GRID = Grid(0, 0, 200, 100)
YEAR = Window((1, 1), (12, 31))


def test_points_are_spread_over_the_areas_part_of_a_box():
    points = Area.whole(GRID).points(100, -50, 900, 50)
    assert len(points) == 256
    assert points.min(axis=0).tolist() == [100 + 100 / 32, 50 / 32]
    assert points.max(axis=0).tolist() == [200 - 100 / 32, 50 - 50 / 32]
    assert Area.whole(GRID).points(300, 0, 400, 100).shape == (0, 2)


def test_points_of_a_masked_area_are_the_cells_of_its_mask():
    area = Area(GRID, np.array([[True, False], [False, True]]))
    assert area.points(-9, -9, 999, 999).tolist() == [[50, 75], [150, 25]]
    assert area.points(0, 0, 100, 100).tolist() == [[50, 75]]


def ring(west, east):
    return ((west, 0), (east, 0), (east, 100), (west, 100))


def test_choices_are_made_for_each_tile_and_year_with_their_coverage():
    filter_ = SceneFilter((2018, 2019), YEAR, ("B12",), 100.0)
    scenes = [
        scene("half"), scene("other half", datatake="b"), scene("next year", sensed_utc="2019-06-01T10:10:31Z"),
        scene("far", tile="32UPD"), scene("second tile", tile="31UFS"),
    ]  # fmt: skip
    rings = {
        "half": [ring(0, 100)],
        "other half": [ring(100, 200)],
        "next year": [ring(0, 100)],
        "far": [ring(900, 999)],
        # In two parts that overlap.
        "second tile": [ring(0, 120), ring(80, 200)],
    }
    found = resolve_choices(scenes, rings, Area.whole(GRID), filter_, count=6)
    assert [(c.tile, c.year, [s.id for s in c.scenes], c.covered_pct) for c in found] == [
        ("31UFS", 2018, ["second tile"], 100.0), ("33UUU", 2018, ["half", "other half"], 100.0), ("33UUU", 2019, ["next year"], 50.0),
    ]  # fmt: skip
    assert [len(c.scenes) for c in resolve_choices(scenes, rings, Area.whole(GRID), filter_, count=1)] == [1, 1, 1]


def test_choices_by_bytes_take_the_largest_file():
    scenes = [
        scene("small", assets={"B12": Asset("x", 5)}),
        scene("large", assets={"B12": Asset("x", 9)}, cloud_pct=90.0),
    ]
    rings = {s.id: [ring(0, 200)] for s in scenes}
    filter_ = SceneFilter((2018,), YEAR, ("B12",), 100.0)
    for method, expected in (("bytes", "large"), ("clear", "small")):
        (choice,) = resolve_choices(scenes, rings, Area.whole(GRID), filter_, count=1, method=method)
        assert [s.id for s in choice.scenes] == [expected]


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True), ({"cloud_pct": 20.0}, True), ({"cloud_pct": 20.1}, False), ({"tile": "31UFS"}, False),
        ({"sensed_utc": "2018-04-14T10:10:31Z"}, False), ({"sensed_utc": "2019-06-01T10:10:31Z"}, False),
    ],
)  # fmt: skip
def test_a_filter_holds_day_cloud_and_tile(changes, accepted):
    filter_ = SceneFilter((2017, 2018), Window((4, 15), (10, 15)), ("B12",), 20.0, ("33UUU",))
    assert filter_.accepts(scene(**changes)) == accepted


def test_a_filter_names_the_bands_that_a_scene_lacks():
    filter_ = SceneFilter((2018,), YEAR, ("B12", "B08"), 20.0)
    assert filter_.missing_bands(scene(assets={"B12": Asset("x")})) == ("B08", "SCL")


def test_the_newest_processing_keeps_the_order_of_acquisitions_whatever_is_chosen_from():
    names = {"a1": ("a", (2, 6)), "b9": ("b", (99, 99)), "a5": ("a", (5, 0)), "a5x": ("a", (5, 0)), "b0": ("b", (0, 1))}
    found = baseline.resolve_newest(names, lambda n: Processing("31UFS", names[n][0], "", names[n][1], n))
    assert found == ["a5x", "b0"]


def test_real_footprints_cover_what_the_catalogue_says_they_do(real):
    """Of tile 29UNU an orbit sees 60.06 % (39.94 % no data), by the shares of the footprint in the tile's square in UTM."""
    from pyproj import Transformer

    raw = load(real / "stac" / "more" / "cdse_live_2026-09-01_29UNU_29UNT.json")
    ring = Transformer.from_crs(4326, 32629, always_xy=True).itransform(raw["geometry"]["coordinates"][0])
    steps = 499980 + 109800 * (np.arange(400) + 0.5) / 400, 5900040 - 109800 * (np.arange(400) + 0.5) / 400
    points = np.column_stack([a.ravel() for a in np.meshgrid(*steps)])
    assert covers(tuple(ring), points).mean() * 100 == pytest.approx(
        100 - raw["properties"]["statistics"]["nodata"], abs=0.3
    )
