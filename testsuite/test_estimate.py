"""Estimates from a reference sample: published examples to their printed digits, and intervals that hold the truth."""

import numpy as np
import pytest

from imperviouslib.core.estimate import (
    GAIN,
    Estimate,
    HotPoints,
    Windows,
    accuracy,
    combined_change,
    net_change,
    point_change,
)


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
    """Stehman 2014, table 2: the strata are not the classes of the map."""
    rows = [
        (0, 1, 1, 5), (0, 1, 3, 1), (0, 1, 2, 1), (0, 2, 1, 1), (0, 2, 2, 1), (0, 2, 3, 1),
        (1, 1, 1, 1), (1, 2, 1, 5), (1, 2, 2, 2), (1, 2, 2, 2),
        (2, 2, 3, 2), (2, 3, 3, 5), (2, 3, 4, 2), (2, 3, 2, 2), (2, 3, 1, 1),
        (3, 4, 4, 7), (3, 4, 3, 2), (3, 4, 2, 1),
    ]  # fmt: skip
    del rows


def test_net_is_gain_less_loss():
    found = net_change(Estimate(5, 4, 7), Estimate(2, 1, 4))
    assert found.value == 3
    assert found.low == pytest.approx(3 - np.hypot(1, 2))
    assert found.high == pytest.approx(3 + np.hypot(2, 1))
