"""Estimates from a reference sample: published examples to their printed digits, and intervals that hold the truth."""

import re

import numpy as np
import pytest
from scipy.stats import t

from imperviouslib.core import interpreters, sample, survey
from imperviouslib.core.estimate import (
    GAIN,
    LOSS,
    Estimate,
    HotPoints,
    StockSample,
    Windows,
    accuracy,
    combined_change,
    composite,
    difference_stock,
    net_change,
    point_change,
    regional_stocks,
)
from imperviouslib.core.table import RELIABLE
from imperviouslib.core.tableschema import COVERAGE_MIN, RARE_SHARE
from testsuite import TOP


def floats(*values):
    return np.array(values, float)


def expand(rows):
    """Turn (stratum, map class, reference class, number) into three arrays."""
    rows = np.array(rows)
    return np.repeat(rows[:, :3], rows[:, 3], axis=0).T


def test_points_alone_equal_an_example_computed_by_hand():
    points = HotPoints(floats(0.01, 0.09, 0.9), floats(50, 50, 100), floats(30, 2, 0))
    found = point_change(points, floats(0, 0, 0.03))
    assert (round(found.value, 8), round(found.low, 8), round(found.high, 8)) == (0.01002863, 0.00584772, 0.01576893)


def test_points_and_windows_equal_an_example_computed_by_hand():
    points = HotPoints(floats(0.003, 0.007, 0.03), floats(84, 216, 300), floats(63, 32, 3))
    windows = Windows(
        floats(0.15, 0.35, 0.5), floats(96, 96, 48), 625 * floats(96, 96, 48), floats(40, 6, 0), floats(700, 36, 0)
    )
    found = combined_change(points, windows, GAIN)
    assert (round(found.value, 8), round(found.low, 8), round(found.high, 8)) == (0.00382745, 0.00325402, 0.00450381)


def test_accuracy_equals_olofsson_2014():
    """Olofsson et al. 2014, doi 10.1016/j.rse.2014.02.015: a map of forest change, whose classes are the strata; pixels of 0.09 ha."""
    counts = [(66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313)]
    pixels = floats(200_000, 150_000, 3_200_000, 6_450_000)
    rows = [(i, i, j, n) for i, row in enumerate(counts) for j, n in enumerate(row)]
    found = accuracy(pixels, *expand(rows))
    hectares = pixels.sum() * 0.09
    assert [round(a * hectares) for a, _ in found.areas] == [21158, 11686, 285770, 581386]
    # The paper rounds the standard errors before it multiplies them by 1.96.
    assert [1.96 * se * hectares for _, se in found.areas] == pytest.approx([6158, 3756, 15510, 16282], abs=1)
    assert round(found.overall[0], 4) == 0.9465
    assert round(1.96 * found.overall[1], 4) == 0.0185
    assert [round(p, 4) for p, _ in found.producers] == [0.7487, 0.8472, 0.9345, 0.9616]


def test_accuracy_equals_stehman_2014():
    """Stehman 2014, doi 10.1080/01431161.2014.930207, table 2: the strata are not the classes of the map. Classes A to D are 1 to 4."""
    rows = [
        *[(0, 1, 1)] * 5, (0, 1, 3), (0, 1, 2), (0, 2, 1), (0, 2, 2), (0, 2, 3),
        (1, 1, 1), *[(1, 2, 2)] * 5, *[(1, 2, 1)] * 2, *[(1, 2, 2)] * 2,
        *[(2, 2, 3)] * 2, *[(2, 3, 3)] * 3, *[(2, 3, 4)] * 2, (2, 3, 2), (2, 2, 2), (2, 2, 1),
        *[(3, 4, 4)] * 7, *[(3, 4, 3)] * 2, (3, 4, 2),
    ]  # fmt: skip
    found = accuracy(floats(40_000, 30_000, 20_000, 10_000), *np.array(rows).T)

    def close(pair, value, error):
        assert [round(n, 4) for n in pair] == [value, error]

    close(found.areas[0], 0.35, 0.0822)
    close(found.areas[2], 0.2, 0.0643)
    close(found.overall, 0.63, 0.0846)
    close(found.users[1], 0.5745, 0.1248)
    close(found.producers[1], 0.7941, 0.1165)


def test_a_class_that_is_not_mapped_has_no_users_accuracy():
    found = accuracy(floats(10, 10), np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1]), np.array([1, 1, 2, 2]))
    assert np.isnan(found.users[1][0]) and found.producers[1][0] == 0
    assert found.matrix.sum() == pytest.approx(1)


def test_net_is_gain_less_loss():
    found = net_change(Estimate(5, 4, 7), Estimate(2, 1, 4))
    assert found.value == 3
    assert found.low == pytest.approx(3 - np.hypot(1, 2))
    assert found.high == pytest.approx(3 + np.hypot(2, 1))


def test_the_parts_of_a_span_add_up_to_the_whole():
    """Ten hits in each of six years: the estimates of the years add up to that of the span, nearly."""
    n, share = floats(84, 216, 300), floats(0.003, 0.007, 0.03)
    windows, cells = floats(96, 96, 48), 625 * floats(96, 96, 48)
    whole = (
        HotPoints(share, n, floats(42, 18, 6)),
        Windows(floats(0.15, 0.35, 0.5), windows, cells, floats(36, 6, 6), floats(360, 12, 12)),
    )
    year = (
        HotPoints(share, n, floats(7, 3, 1)),
        Windows(floats(0.15, 0.35, 0.5), windows, cells, floats(6, 1, 1), floats(60, 2, 2)),
    )
    parts = combined_change(*year, GAIN, part=1 / 6, whole=whole)
    span = combined_change(*whole, GAIN)
    assert 6 * parts.value == pytest.approx(span.value, rel=0.05)
    assert 6 * parts.half_width > span.half_width


def test_more_windows_and_points_give_a_narrower_interval():
    def interval(times, direction):
        points = HotPoints(floats(0.001, 0.004), times * floats(75, 75), times * floats(30, 3))
        windows = Windows(
            floats(0.15, 0.35, 0.5), times * floats(96, 96, 48), times * 625 * floats(96, 96, 48), times * floats(9, 3, 1),
            times * floats(27, 5, 1),
        )  # fmt: skip
        return combined_change(points, windows, direction)

    for direction in (GAIN, LOSS):
        assert interval(4, direction).half_width < 0.7 * interval(1, direction).half_width


def test_a_stratum_that_changed_for_the_most_part_is_mirrored():
    points = HotPoints(floats(0.5, 0.5), floats(100, 100), floats(90, 10))
    found = point_change(points, floats(0, 0))
    assert found.value == pytest.approx(0.5, abs=0.005)
    assert found.low < 0.47 and found.high > 0.53


def test_stock_is_the_map_plus_its_mean_error():
    sample = StockSample(floats(0.8, 0.2), np.array([0, 0, 0, 0, 1, 1]), floats(0.1, 0.1, -0.1, -0.1, 0.2, 0.4))
    found = difference_stock(0.1, sample)
    assert found.value == pytest.approx(0.1 + 0.2 * 0.3)
    variance = 0.64 * (0.04 / 3) / 4 + 0.04 * 0.02 / 2
    assert found.half_width == pytest.approx(1.959964 * variance**0.5)


def test_a_stratum_without_a_seen_error_is_not_certain():
    sample = StockSample(floats(1), np.zeros(100, int), np.zeros(100))
    assert difference_stock(0.2, sample).half_width == pytest.approx(1.959964 * 0.01)


def test_regional_stocks_of_regions_that_are_alike_stay_synthetic_and_of_odd_ones_do_not():
    rng = np.random.default_rng(1)
    region = np.repeat(np.arange(6), 100)
    stratum = rng.integers(0, 2, 600)
    land = np.full((6, 2), 1 / 12)
    alike = StockSample(floats(0.5, 0.5), stratum, rng.normal(0.05, 0.1, 600))
    found, weight = regional_stocks(np.full(6, 0.2), land, alike, region)
    assert [one.value for one in found] == pytest.approx([0.25] * 6, abs=0.02)
    odd = StockSample(alike.share, stratum, alike.error + np.where(region == 5, 0.3, 0))
    other, more = regional_stocks(np.full(6, 0.2), land, odd, region)
    assert other[5].value > found[5].value + 0.2 and more[5] > weight[5]
    assert other[5].low < 0.55 < other[5].high


def test_a_region_with_few_points_of_its_own_is_not_given_the_word_of_the_map():
    """A small region that the map has far too high: its few points are right, and too few to count in the composite."""
    rng = np.random.default_rng(2)
    region = np.repeat(np.arange(6), [100, 100, 100, 100, 100, 4])
    land = np.append(np.full((5, 1), 0.196), [[0.02]], axis=0)
    error = rng.normal(0, 0.25, 504) + np.where(region == 5, -0.09, 0)
    mapped = floats(0.3, 0.25, 0.2, 0.25, 0.3, 0.1)
    found, weight = regional_stocks(mapped, land, StockSample(floats(1), np.zeros(504, int), error), region)
    assert weight[5] == 1 and (weight[:5] < 1).all()
    assert found[5].low <= 0.01 <= found[5].high and found[5].value >= 0
    assert found[5].high - found[5].low > 1.5 * (found[0].high - found[0].low)


def test_composite_gives_the_figures_of_fay_and_herriot_for_milk():
    # Expenditure on milk: direct estimates and errors of the first three of 43 areas, with the model that REML fits to all of them
    # (Arora and Lahiri 1997; the data come with the R package sae). The first major area has the intercept alone. The model is known
    # to eight digits, which moves the last digit of the estimates.
    value, _weight = composite(
        np.full(3, 0.96818899),
        floats(1.099, 1.075, 1.105),
        np.full(3, 0.01855033),
        np.square(floats(0.163, 0.080, 0.083)),
    )
    assert value == pytest.approx([1.0219705, 1.0476020, 1.0679514], abs=1e-7)


def test_regional_stocks_ignore_points_outside_all_regions():
    sample = StockSample(floats(1), np.zeros(4, int), floats(0.1, 0.1, 0.1, 0.1))
    found, _weight = regional_stocks(floats(0.2), np.array([[0.5]]), sample, np.array([0, 0, -1, -1]))
    assert found[0].value == pytest.approx(0.3)


# ----- the page for statisticians

PAGE = (TOP / "doc" / "statistics.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.split("## 7. A worked example")[1].split("## ")[0]


def _column(header, name):
    """Return a column of the table of the example that has these headings."""
    rows = re.search(rf"^\| stratum \| {re.escape(header)} \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", EXAMPLE, re.M)[
        1
    ].splitlines()
    return floats(*(row.split("|")[2 + header.split(" | ").index(name)] for row in rows))


def _printed(name):
    """Return the numbers that stand after the last = of a line of the example."""
    return floats(*re.search(rf"^{re.escape(name)} += (?:.*= )?(.+?)$", EXAMPLE, re.M)[1].split(", "))


def test_the_worked_example_of_the_page_equals_the_code():
    share, n, hits = (_column("W | n | x", name) for name in ("W", "n", "x"))
    land, windows, changed, squares = (_column("w | m | X | Q", name) for name in ("w", "m", "X", "Q"))
    points, drawn = HotPoints(share, n, hits), Windows(land, windows, 625 * windows, changed, squares)
    found = combined_change(points, drawn, GAIN)
    # Six digits are printed.
    assert _printed("M") == pytest.approx(found.value, rel=2e-6)
    assert _printed("low") == pytest.approx(found.low, rel=2e-6)
    assert max(_printed("high_k2"), _printed("high_t")) == pytest.approx(found.high, rel=2e-6)
    rate = (hits + 1 / 4) / (n + 1 / 2)
    hot, hot_variance = share @ rate, share**2 @ (rate * (1 - rate) / (n + 1))
    patch = (squares.sum() + 60) / (changed.sum() + 6)
    prior = np.array(GAIN.cold_rates) * hot / land
    a, b = 1 / 2 + changed / patch, 1 / 2 / prior + 625 * windows / patch
    direct = hot + land @ (changed / (625 * windows))
    spread = (squares - changed**2 / windows) / (windows - 1)
    error = (hot_variance + land**2 @ (spread * windows / (625 * windows) ** 2)) ** 0.5
    by_hand = {
        "q": rate, "W q": share * rate, "E_hot": hot, "V_hot": hot_variance, "d": patch, "mu": prior, "a": a, "b": b,
        "w a/b": land * a / b, "V": hot_variance + land**2 @ (a / b**2), "high_t": direct * np.exp(t.ppf(0.975, 500) * error / direct),
    }  # fmt: skip
    for name, value in by_hand.items():
        assert _printed(name) == pytest.approx(value, rel=1e-5), name
    km2 = [
        float(number) for number in re.search(r"that is ([\d.]+) km2, from ([\d.]+) to ([\d.]+) km2", EXAMPLE).groups()
    ]
    assert km2 == [round(5000 * share, 1) for share in (found.value, found.low, found.high)]


def test_the_page_names_the_constants_of_the_code():
    text = " ".join(PAGE.split())

    def listed(shares, last=" and "):
        *first, end = (f"{100 * share:g}" for share in shares)
        return ", ".join(first) + last + end + " %"

    said = [
        f"**more than {100 * interpreters.MOST_FALSE:g} %** of the stable points",
        f"**more than {100 * interpreters.MOST_REPEATED:g} %** of the calls of change that the third reading rejected",
        f"judged from {interpreters.LEAST_REJECTED} rejected calls on",
        f"half-width more than {RELIABLE:g} of the value; or coverage below {COVERAGE_MIN:g}; or change of fewer than three years of less than {100 * RARE_SHARE:g} %",
        *(f"| {100 * share:.0f} % |" for share in sample.GAIN_SHARES.values()),
        ", ".join(f"{one:g}" for one in sample.STOCK_DEVIATIONS[:-1]) + f" and {sample.STOCK_DEVIATIONS[-1]:g}.",
        f"fewer than {survey.LEAST_FOR_PART} points nothing shorter",
        listed(sample.WINDOW_SHARES) + " of the windows",
        listed(sample.POINT_SHARES.values()) + " of the points",
        ", ".join(f"{cut:g}" for cut in sample.STOCK_CUTS[:-1]) + f" and {sample.STOCK_CUTS[-1]:g}",
        f"Gaussian of {sample.SMOOTHING:g} cells",
        f"at {sample.POINT_S} s a point and {sample.WINDOW_S} s a window",
        f"s = {', '.join(f'{rate:.2f}' for rate in GAIN.cold_rates)}",
        f"s = {', '.join(f'{rate:.2f}' for rate in LOSS.cold_rates)}",
        f"max({LOSS.least_patch:g}, (Q + {LOSS.patch_cells * LOSS.patch_weight:g}) / (X + {LOSS.patch_weight:g}))",
        f"max({GAIN.least_patch:g}, (Q + {GAIN.patch_cells * GAIN.patch_weight:g}) / (X + {GAIN.patch_weight:g}))",
    ]
    assert [words for words in said if words not in text] == []
