"""Composites on arrays: medians, masks, overpasses, methods, periods, tiles, features, shifts."""

import itertools
import warnings
from datetime import date as day_of

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.cloudmask import (
    by_overpass,
    clear,
    cloud_distance,
    dilate,
    false_alarms,
    margin,
    opened,
)
from imperviouslib.core.composite import METHODS, STATISTICS, Observations, median, medoid, network, percentiles
from imperviouslib.core.errors import InputError
from imperviouslib.core.feature import Feature, find_variable, in_order
from imperviouslib.core.periods import parse_periods, resolve_periods
from imperviouslib.core.recipe import Recipe
from imperviouslib.core.shift import find_shift
from imperviouslib.core.tiles import find_holes, parse_tiles, resolve_tiles
from imperviouslib.core.window import parse_window
from testsuite.archive_ground import smooth_ground


def _nanmedian(stack):
    """What NumPy says: halves up, 0 where nothing is clear."""
    values = np.where(stack > 0, stack, np.nan).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(values, axis=0)
    return np.where(np.isnan(middle), 0, np.floor(middle + 0.5)).astype(np.uint16)


@pytest.mark.parametrize("scenes", range(1, 26))
def test_median_equals_numpy(scenes):
    rng = np.random.default_rng(scenes)
    stack = rng.integers(1, 65536, (scenes, 37, 23)).astype(np.uint16)
    stack[rng.random(stack.shape) < rng.random((37, 23))] = 0
    stack[:, 0, 0] = 0
    stack[:, 0, 1] = 65535
    expected = _nanmedian(stack)
    assert np.array_equal(median(stack), expected)
    assert expected[0, 0] == 0 and expected[0, 1] == 65535


@pytest.mark.parametrize("n", range(1, 10))
def test_network_sorts_all_zeros_and_ones(n):
    # Knuth's 0-1 principle: a network that sorts these sorts everything.
    for word in itertools.product((0, 1), repeat=n):
        values = list(word)
        for i, j in network(n):
            values[i], values[j] = min(values[i], values[j]), max(values[i], values[j])
        assert values == sorted(word)


def _stack(seed, scenes, gaps, shape=(35, 3)):
    """Values with gaps, with many ties where the seed is odd. Cells differ in their number of gaps; some have no value at all."""
    rng = np.random.default_rng(seed)
    known = [1, 2, 3, 900, 65535] if seed % 2 else np.arange(1, 65536)
    stack = rng.choice(known, (scenes, *shape)).astype(np.uint16)
    stack[rng.random(stack.shape) < gaps * rng.random(shape)] = 0
    stack[:, 0, 0] = 0
    return stack


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 25),
    st.sampled_from([0.0, 0.6, 2.0]),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_percentiles_equal_numpy(seed, scenes, gaps, percents):
    stack = _stack(seed, scenes, gaps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        exact = np.nanpercentile(np.where(stack > 0, stack, np.nan), percents, axis=0, method="linear")
    found = percentiles(stack.copy(), percents).astype(float)
    assert np.array_equal(found == 0, np.isnan(exact)) and (found[:, 0, 0] == 0).all()
    # Rounded, halves up; NumPy's own floating point leaves some room at a half.
    apart = np.where(found == 0, 0, found - np.nan_to_num(exact))
    assert apart.min() > -0.5 - 1e-6 and apart.max() <= 0.5 + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_extremes_and_median_are_exact_and_percentiles_ascend(seed, scenes):
    stack = _stack(seed, scenes, 1.5)
    found = percentiles(stack.copy(), range(101))
    smallest = np.where(stack > 0, stack.astype(int), 10**6).min(axis=0)
    assert np.array_equal(found[0], np.where(smallest == 10**6, 0, smallest))
    assert np.array_equal(found[100], stack.max(axis=0))
    assert np.array_equal(found[50], median(stack.copy()))
    assert (np.diff(found.astype(int), axis=0) >= 0).all()
    assert np.array_equal(percentiles(stack[:, :, ::-1].copy(), [25])[0], found[25, :, ::-1])


def test_a_percentile_is_interpolated_by_the_rule():
    cells = np.array([[10, 20, 40, 0, 0], [7, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 5, 0, 0, 6]], np.uint16).T.copy()
    found = percentiles(cells.reshape(5, 1, 4), [0, 25, 30, 90, 100])[:, 0].T.tolist()
    # Places 0.5, 0.6 and 1.8 of three values; 0.25, 0.3 and 0.9 of two.
    assert found[0] == [10, 15, 16, 20 + round(0.8 * 20), 40]
    assert found[1] == [7] * 5 and found[2] == [0] * 5
    assert found[3] == [5, 5, 5, 6, 6]


def test_percentiles_of_no_scene_are_no_data():
    assert not percentiles(np.zeros((0, 3, 4), np.uint16), [0, 50]).any()


def test_median_of_no_scene_is_no_data():
    assert not median(np.zeros((0, 3, 4), np.uint16)).any()


def test_dilation_widens_by_a_square():
    mask = np.zeros((7, 9), bool)
    mask[3, 4] = True
    for cells in (0, 1, 2, 3):
        expected = np.zeros_like(mask)
        expected[3 - cells : 4 + cells, 4 - cells : 5 + cells] = True
        assert np.array_equal(dilate(mask, cells), expected)


def test_only_clouds_of_three_cells_are_widened():
    scl = np.full((20, 20), 5, np.uint8)
    scl[2:4, 2:12] = 9  # two cells wide, a roof
    scl[10:13, 10:13] = 8  # three cells, a cloud
    mask = ~clear(scl, 1)
    expected = np.zeros_like(mask)
    expected[2:4, 2:12] = True
    expected[9:14, 9:14] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("code", range(12))
def test_classes_that_show_the_ground(code):
    shown = clear(np.full((3, 3), code, np.uint8), 0)
    assert shown.all() == (code in (2, 4, 5, 6, 7)) and shown.any() == shown.all()


def test_opening_keeps_what_holds_a_square_of_three():
    mask = np.zeros((12, 12), bool)
    mask[1:4, 1:4] = True
    mask[6, :] = True
    assert opened(mask).sum() == 9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.sampled_from(["scl", "dates"]), st.integers(0, 2**32 - 1))
def test_masks_do_not_depend_on_the_cut(cells, mask, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 3, 4, 5, 8, 9], (4, 14, 14), p=[0.05, 0.1, 0.35, 0.3, 0.1, 0.1])
    scl = coarse.repeat(5, axis=1).repeat(5, axis=2).astype(np.uint8)

    def masks(part):
        alarms = false_alarms(part) if mask == "dates" else [None] * len(part)
        return np.stack([clear(s, cells, a) for s, a in zip(part, alarms, strict=True)])

    whole, far = masks(scl), margin(cells, mask)
    inner = slice(30, 40)
    around = slice(30 - far, 40 + far)
    cut = masks(scl[:, around, around])
    assert np.array_equal(cut[:, far : far + 10, far : far + 10], whole[:, inner, inner])


def test_mask_by_dates_keeps_a_roof_and_drops_a_cloud():
    scl = np.full((6, 60, 60), 5, np.uint8)
    scl[:, 30:34, 30:34] = 9  # a roof: cloud on each date
    for date in range(6):
        scl[date, 5 + 6 * date : 9 + 6 * date, 5:9] = 9  # a cloud that moves
    scl[5, :, 40:] = 9  # a bank of cloud, far enough from the roof's surroundings to leave them quiet
    alarms = false_alarms(scl)
    assert alarms[:, 30:34, 30:34].all()
    expected = np.zeros_like(alarms)
    expected[:, 30:34, 30:34] = True
    assert np.array_equal(alarms, expected)
    assert clear(scl[0], 1, alarms[0])[28:36, 28:36].all()
    assert not clear(scl[0], 1)[29:35, 29:35].any()


def test_mask_by_dates_changes_nothing_under_a_closed_cloud_or_on_few_dates():
    closed = np.full((6, 40, 40), 9, np.uint8)
    assert not false_alarms(closed).any()
    few = np.full((2, 40, 40), 5, np.uint8)
    few[:, 10:13, 10:13] = 9
    assert not false_alarms(few).any()
    # A roof under a cloud is not visible: only its quiet dates count.
    roof = np.full((5, 60, 60), 5, np.uint8)
    roof[:, 30:33, 30:33] = 9
    roof[4] = 9
    assert false_alarms(roof)[:4, 30:33, 30:33].all() and not false_alarms(roof)[4].any()


def test_distance_to_clouds():
    scl = np.full((60, 60), 5, np.uint8)
    scl[:, :3] = 9
    assert np.array_equal(cloud_distance(scl)[30], np.minimum(np.maximum(np.arange(60) - 2, 0), 25))
    assert (cloud_distance(np.full((5, 5), 4, np.uint8)) == 25).all()


def test_distance_to_clouds_is_that_of_dilations():
    coarse = np.random.default_rng(7).choice([5, 9], (12, 12), p=[0.9, 0.1])
    scl = coarse.repeat(6, 0).repeat(6, 1).astype(np.uint8)
    found, cloudy = cloud_distance(scl), opened(scl == 9)
    for cells in range(25):
        assert np.array_equal(found <= cells, dilate(cloudy, cells))
    assert found.dtype == np.uint8 and found.max() <= 25


def _observations(values, overpasses=None, scores=None):
    """Observations of one cell in three bands."""
    names = overpasses or [str(i) for i in range(len(values))]
    made = Observations(3, names, (1, 1), scored=scores is not None)
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        planes = np.array(value, np.uint16).reshape(3, 1, 1)
        worth = np.full((1, 1), scores[i], np.uint8) if scores else None
        made.add(name, planes, np.ones((1, 1), bool), worth)
    return made


def test_an_overpass_counts_once_where_tiles_overlap():
    made = _observations([(5, 5, 5), (9, 9, 9), (7, 7, 7)], overpasses=["a", "a", "b"])
    assert made.count().item() == 2
    assert METHODS["median"].compose(made)[:, 0, 0].tolist() == [6, 6, 6]


def test_the_second_tile_fills_what_the_first_does_not_see():
    made = _observations([(0, 0, 0), (9, 8, 7)], overpasses=["a", "a"])
    assert made.count().item() == 1
    assert METHODS["median"].compose(made)[:, 0, 0].tolist() == [9, 8, 7]


def test_a_cell_without_one_band_is_not_clear_in_any():
    made = _observations([(5, 0, 5), (7, 7, 7)])
    assert made.count().item() == 1
    assert METHODS["median"].compose(made)[:, 0, 0].tolist() == [7, 7, 7]


def test_methods_choose_their_observation():
    values = [(10, 10, 10), (12, 11, 10), (11, 10, 11), (90, 80, 70), (0, 0, 0)]
    scores = [50, 60, 55, 200, 150]

    def composed(method, values):
        return METHODS[method].compose(_observations(values, scores=scores[: len(values)]))[:, 0, 0].tolist()

    assert composed("best", values) == composed("latest", values) == [90, 80, 70]
    assert composed("medoid", values) == [11, 10, 11]
    for method in ("median", "medoid", "best", "latest"):
        assert composed(method, [(0, 0, 0), (0, 0, 0)]) == [0, 0, 0]


def test_medoid_equals_a_search_through_all_pairs():
    rng = np.random.default_rng(3)
    cube = rng.integers(1, 4000, (3, 7, 40, 5)).astype(np.uint16)
    cube[:, rng.random((7, 40, 5)) < 0.4] = 0
    found = medoid(cube)
    for row, col in np.ndindex(40, 5):
        seen = np.flatnonzero(cube[0, :, row, col])
        if len(seen):
            spectra = cube[:, seen, row, col].astype(float)
            sums = [np.sqrt(((spectra - spectra[:, [k]]) ** 2).sum(axis=0)).sum() for k in range(len(seen))]
            assert sums[list(seen).index(found[row, col])] == pytest.approx(min(sums), rel=1e-5)


def test_spread_and_quality():
    made = _observations([(5, 5, 5), (0, 0, 0), (7, 7, 7)], scores=[200, 0, 200])
    assert made.spread([100, 130, 160]).item() == 60
    assert made.quality().item() == 67  # 100 (1 - 1 / (1 + 2))
    empty = _observations([(0, 0, 0)], scores=[0])
    assert (empty.spread([100]).item(), empty.quality().item()) == (65535, 255)


def test_methods_that_need_scores_say_so():
    for method in METHODS.values():
        if method.compose is not None and not method.needs_scores:
            method.compose(_observations([(5, 5, 5)]))
    for use in (METHODS["best"].compose, Observations.quality):
        with pytest.raises(ValueError, match="no scores"):
            use(_observations([(5, 5, 5)]))


def test_common_tiles_and_holes():
    years = {2017: {"A", "B"}, 2018: {"B"}, 2019: {"B", "C"}}
    assert resolve_tiles("common", years) == {"B"} and resolve_tiles("all", years) == {"A", "B", "C"}
    assert resolve_tiles(("B", "C"), years) == {"B", "C"}
    assert parse_tiles("T31uds,31UES") == ("31UDS", "31UES")
    assert find_holes(years) == [(2017, "C"), (2018, "A"), (2018, "C"), (2019, "A")]
    assert find_holes({2018: {"A"}, 2019: set()}) == [(2019, "A")]


def test_no_common_tile_says_which_year_has_which():
    with pytest.raises(InputError, match="No tile has scenes in every year \\(2018: A; 2019: B\\)"):
        resolve_tiles("common", {2018: {"A"}, 2019: {"B"}})
    with pytest.raises(InputError, match="Option <tiles>: found C, expected tiles of the archive: A, B"):
        resolve_tiles(("A", "C"), {2018: {"A"}, 2019: {"B"}})


def test_a_feature_has_all_metadata_of_files_and_maps():
    found = Feature.parse("B8A_medoid")
    assert (found.variable.bands, found.variable.semantic_label, found.variable.scale) == (("B8A",), "S2_8A", 1e-4)
    assert (found.title, found.long_name) == (
        "Medoid of B8A, reflectance x 10000",
        "surface reflectance, B8A_medoid",
    )
    for name in ("B12_p50", "B12_p50_summer", "B12_max_summer", "NDVI_p10", "B04_one", "ndvi"):
        assert Feature.parse(name).name == name
    ndvi = Feature.parse("NDVI_p90")
    assert (ndvi.title, ndvi.semantic_label) == ("Percentile 90 of NDVI, (NDVI + 1) x 10000", "S2_NDVI_p90")
    assert (ndvi.variable.bands, ndvi.variable.offset) == (("B8A", "B04"), -1)
    assert [Feature.parse(f"B04_{s}").title.split(",")[0] for s in ("p50", "min", "max")] == [
        "Median of B04", "Minimum of B04", "Maximum of B04",
    ]  # fmt: skip


def test_features_come_in_the_order_of_the_model():
    names = ["B02_p50", "B04_p50", "B11_p50", "B12_best", "B12_p50"]
    assert in_order(names) == ("B12_best", "B12_p50", "B11_p50", "B04_p50", "B02_p50")
    names = [f"{variable}_{s}" for variable in ("B04", "B12", "NDVI") for s in ("max", "min", "p10", "p50", "p9")]
    assert in_order(names) == tuple(
        f"{variable}_{s}" for s in ("p50", "min", "p9", "p10", "max") for variable in ("B12", "B04", "NDVI")
    )


def test_ndvi_of_cells_worked_out_by_hand():
    ndvi = find_variable("NDVI")
    near = np.array([[3000, 1000, 2500, 0, 700, 0, 1, 65535, 1]], np.uint16)
    red = np.array([[1000, 3000, 2500, 900, 0, 0, 65535, 1, 65534]], np.uint16)
    stored = ndvi.compute([near, red])
    assert stored.dtype == np.uint16
    # 0.5, -0.5 and 0; no data in one band or both; -1 is stored as the smallest number that is not no data; 1.
    assert stored.tolist() == [[15000, 5000, 10000, 0, 0, 0, 1, 20000, 1]]
    assert ndvi.values(stored[:, :3]).ravel().tolist() == pytest.approx([0.5, -0.5, 0], abs=1e-7)


def test_ndvi_equals_the_formula():
    rng = np.random.default_rng(4)
    near, red = rng.integers(1, 12000, (2, 200, 50)).astype(np.uint16)
    exact = (near.astype(float) - red) / (near.astype(float) + red)
    assert np.abs(find_variable("NDVI").values(find_variable("NDVI").compute([near, red])) - exact).max() < 0.501e-4


def test_values_and_stored_numbers_convert_both_ways():
    stored = np.array([0, 1, 5000, 65535], np.uint16)
    variable = find_variable("B12")
    values = variable.values(stored)
    assert values.dtype == np.float32 and np.isnan(values[0]) and values[2] == np.float32(0.5)
    assert np.array_equal(variable.stored(values), stored)


@pytest.mark.parametrize("method", METHODS)
def test_layers_of_a_recipe(method):
    recipe = Recipe(method, variables=("B12", "B04"), quality=method != "largest")
    statistic = METHODS[method].statistic
    names = [layer.name for layer in recipe.layers]
    assert names[:3] == [f"B12_{statistic}", f"B04_{statistic}", "count"]
    assert names[3:] == ([] if method == "largest" else ["spread", "quality"])
    assert ("mask" in recipe.settings) == (method != "largest") and recipe.bands == ("B12", "B04")


def test_statistics_are_features_beside_the_median():
    recipe = Recipe(variables=("B12", "NDVI"), statistics=("max", "min"))
    assert [layer.name for layer in recipe.layers] == [
        "B12_p50", "B12_max", "B12_min", "NDVI_p50", "NDVI_max", "NDVI_min", "count",
    ]  # fmt: skip
    labels = [layer.semantic_label for layer in recipe.layers if layer.semantic_label]
    assert (
        len(set(labels)) == 7
        and (labels[0], labels[-1]) == ("S2_12", "count")
        and recipe.bands == ("B12", "B8A", "B04")
    )
    # The same statistics in another order make the same cells. Without statistics the record is that of earlier versions.
    assert recipe.settings["statistics"] == "min,max"
    assert Recipe().settings == {"method": "median", "mask": "dates", "dilate": 1, "tiles": "common"}


def test_statistics_of_observations_are_those_of_each_variable():
    made = _observations([(10, 5, 9), (0, 0, 0), (14, 2, 30), (12, 3, 30)])
    found = Recipe(statistics=("min", "p25", "max")).compose(made)[:, 0, 0].reshape(3, 4).tolist()
    assert found == [[12, 10, 11, 14], [3, 2, 3, 5], [30, 9, 20, 30]]
    made = _observations([(10, 5, 9), (0, 0, 0)])
    assert Recipe().compose(made)[:, 0, 0].tolist() == [10, 5, 9]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "median"])
def test_other_methods_make_no_statistics(method):
    with pytest.raises(InputError, match=f"Option <statistics> can only be used with .* not with method={method}"):
        Recipe(method, statistics=("min",))


@pytest.mark.parametrize("statistic", ["p0", "p50", "p100", "p05", "mean", "MAX"])
def test_unknown_statistics_are_refused(statistic):
    assert statistic not in STATISTICS
    with pytest.raises(InputError, match=f"Option <statistics>: found '{statistic}', expected min, max or percentiles"):
        Recipe(statistics=("min", statistic))


@pytest.mark.parametrize(
    ("kind", "name", "day", "inside"),
    [
        ("year", "2020", "2020-01-01", True),
        ("year", "2020", "2020-12-31", True),
        ("year", "2020", "2021-01-01", False),
        ("month", "2020-02", "2020-02-29", True),
        ("month", "2020-12", "2020-12-31", True),
        ("season", "2020-summer", "2020-08-31", True),
        ("season", "2020-summer", "2020-09-01", False),
        ("leaf:05-01/09-30", "2020-leaf", "2020-09-30", True),
        ("leaf:05-01/09-30", "2020-leaf", "2020-04-30", False),
        ("snow:11-15/02-10", "2020-snow", "2020-11-14", False),
        ("snow:11-15/02-10", "2020-snow", "2020-11-15", True),
        ("snow:11-15/02-10", "2020-snow", "2021-02-10", True),
        ("snow:11-15/02-10", "2020-snow", "2021-02-11", False),
        ("snow:11-15/02-10", "2020-snow", "2020-02-10", False),
    ],
)
def test_periods_hold_their_days(kind, name, day, inside):
    period = next(p for p in resolve_periods([2020], parse_periods(kind)) if p.name == name)
    assert period.holds(f"{day}T10:20:31Z") is inside


@given(
    st.dates(day_of(2016, 1, 1), day_of(2026, 12, 31)), st.integers(1, 12), st.integers(1, 28), st.integers(1, 12), st.integers(1, 28)
)  # fmt: skip
def test_a_day_has_the_same_year_in_fetch_and_yearly(day, month, first, last_month, last):
    text = f"{month:02d}-{first:02d}/{last_month:02d}-{last:02d}"
    window, kinds = parse_window(text), parse_periods(f"part:{text}")
    for year in (day.year - 1, day.year, day.year + 1):
        (period,) = resolve_periods([year], kinds)
        assert window.holds(day, year) == period.holds(f"{day}T10:20:31Z")
        assert period.name == f"{year}-part" and period.year == year


def test_periods_follow_each_other_without_gap():
    months = resolve_periods([2019, 2020], parse_periods("month"))
    assert all(a.after == b.first for a, b in itertools.pairwise(months))
    assert months[0].first.isoformat() == "2019-01-01" and months[-1].after.isoformat() == "2021-01-01"


@pytest.mark.parametrize(
    "kind", ["week", "leaf:09-31/05-01", "leaf:05-01", "summer:05-01/09-30", "leaf:05-01/09-31", "Leaf:05-01/09-30"]
)
def test_unknown_periods_are_refused(kind):
    with pytest.raises(InputError, match="Option <period>"):
        parse_periods(kind)


def test_a_day_that_a_year_lacks_is_refused():
    kinds = parse_periods("frost:01-01/02-29")
    assert [period.name for period in resolve_periods([2020], kinds)] == ["2020-frost"]
    with pytest.raises(InputError, match="found 'frost:01-01/02-29'"):
        resolve_periods([2018], kinds)


@pytest.mark.parametrize(("rows", "cols"), [(0, 0), (0.3, -0.45), (1.25, 0.6), (-3.5, 2.1)])
def test_a_shift_is_found_to_a_tenth_of_a_cell(rows, cols):
    # Ground and its shifted copy, by the shift theorem: exact for any fraction.
    ground = smooth_ground((256, 384)).astype(float)
    wave = np.fft.fftfreq(256)[:, None] * rows + np.fft.fftfreq(384)[None] * cols
    other = np.fft.ifft2(np.fft.fft2(ground) * np.exp(-2j * np.pi * wave)).real
    other = other * 1.2 + 50 + np.random.default_rng(99).normal(0, 25, ground.shape)
    found = find_shift(ground, other)
    assert found.windows == 6
    assert (found.rows, found.cols) == pytest.approx((rows, cols), abs=0.1)


def test_ground_with_little_data_gives_no_shift():
    ground = smooth_ground((128, 128))
    ground[:, 60:] = 0
    assert find_shift(ground, ground) is None


def test_the_scenes_of_an_overpass_are_merged():
    scl = np.array([[[4, 0, 9]], [[5, 5, 5]], [[8, 6, 0]]], np.uint8)
    dates, of_scene = by_overpass(scl, ["b", "a", "b"])
    assert dates.tolist() == [[[4, 6, 9]], [[5, 5, 5]]] and of_scene == [0, 1, 0]
