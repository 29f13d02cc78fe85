"""Figures of accuracy, worked out on paper."""

import numpy as np
import pytest

from imperviouslib.core.accuracy import Tally, confusion_table, unmapped
from imperviouslib.core.probability import encode_prediction, resolve_temperature, softmax


def tally(pairs):
    """A tally of (reference, mapped, probability of the mapped class)."""
    result = Tally()
    for reference, mapped, top in pairs:
        probability = np.full((1, 4), (1 - top) / 3)
        probability[0, mapped] = top
        result.add(probability, np.array([reference]))
    return result


def test_figures_are_those_of_the_counts():
    found = tally([(0, 0, 0.9)] * 6 + [(0, 2, 0.9)] * 2 + [(2, 0, 0.9)] * 4 + [(2, 2, 0.9)] * 8)
    assert found.confusion[0, 0] == 6 and found.confusion[0, 2] == 2 and found.confusion[2, 0] == 4
    accuracy = found.accuracy()
    artificial = accuracy.classes["artificial"]
    assert accuracy.cells == 20
    assert accuracy.overall_accuracy == pytest.approx((6 + 8) / 20)
    assert artificial.iou == pytest.approx(6 / (6 + 2 + 4))
    assert artificial.users_accuracy == pytest.approx(6 / (6 + 4))
    assert artificial.producers_accuracy == pytest.approx(6 / (6 + 2))
    assert artificial.area_bias_pct == pytest.approx(100 * (10 - 8) / 8)
    expected = 10 * 0.9 + 10 * 0.1 / 3
    assert artificial.expected_area_bias_pct == pytest.approx(100 * (expected - 8) / 8, abs=1e-5)


def test_a_class_without_cells_has_no_figures():
    natural = tally([(0, 0, 0.9)]).accuracy().classes["natural"]
    assert natural.reference_cells == natural.mapped_cells == 0
    assert natural.iou is natural.users_accuracy is natural.producers_accuracy is natural.area_bias_pct is None


def test_nothing_counted_is_no_accuracy():
    assert Tally().accuracy().overall_accuracy is None
    assert Tally().calibration_error is None
    assert Tally().accuracy().calibration_error is None


def test_calibration_error_is_the_distance_of_confidence_and_hits():
    assert tally([(0, 0, 0.8)] * 3 + [(1, 0, 0.8)] * 2).calibration_error == pytest.approx(abs(3 / 5 - 0.8))


def test_parts_add_up():
    pairs = [(0, 0, 0.9), (1, 3, 0.6), (2, 2, 0.7)]
    whole, parts = tally(pairs), Tally()
    for pair in pairs:
        one = tally([pair])
        parts.confusion += one.confusion
    assert (whole.confusion == parts.confusion).all()


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_temperature_that_made_the_labels_is_found(true):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (40_000, 4))
    drawn = (softmax(logits / true).cumsum(axis=1) < rng.random((40_000, 1))).sum(axis=1)
    assert resolve_temperature(logits, np.minimum(drawn, 3)) == pytest.approx(true, rel=0.05)


def test_temperature_stays_within_bounds():
    logits = np.array([[9.0, 0, 0, 0]])
    assert resolve_temperature(logits, np.array([0])) == pytest.approx(0.2, rel=1e-4)
    assert resolve_temperature(logits, np.array([1])) == pytest.approx(5, rel=1e-4)
    assert resolve_temperature(np.zeros((0, 4)), np.zeros(0, int)) == 1.0


def test_the_table_names_both_sides():
    table = confusion_table(np.arange(16).reshape(4, 4))
    assert table[0] == ["reference", "artificial", "natural", "green", "other"]
    assert table[2] == ["natural", "4", "5", "6", "7"]


def test_no_data_is_no_class_and_no_probability():
    probability = np.array([0.7, 0.1, 0.2, 0.0]).reshape(4, 1, 1).repeat(2, axis=2)
    classes, scaled = encode_prediction(probability, np.array([[True, False]]))
    assert classes.tolist() == [[1, 0]]
    assert scaled[:, 0].tolist() == [[7000, 0], [1000, 0], [2000, 0], [1, 0]]
    sure = np.array([1.0, 0, 0, 0]).reshape(4, 1, 1)
    assert encode_prediction(sure, np.array([[True]]))[1].ravel().tolist() == [9999, 1, 1, 1]


@pytest.mark.parametrize("order", ["classes first", "classes last"])
def test_the_class_is_the_first_of_the_most_likely_ones(order):
    """Quarters, so that many cells have two or more that are equally likely; unknown cells may hold anything."""
    rng = np.random.default_rng(4)
    probability, known = rng.integers(0, 5, (4, 30, 20)).astype(np.float32) / 4, rng.random((30, 20)) > 0.1
    probability[:, ~known] = np.nan
    if order == "classes last":
        probability = np.moveaxis(np.ascontiguousarray(np.moveaxis(probability, 0, -1)), -1, 0)
    before = probability.copy()
    classes, scaled = encode_prediction(probability, known)
    assert (classes[known] == probability[:, known].argmax(axis=0) + 1).all() and not classes[~known].any()
    assert (scaled[:, known] == np.clip(10_000 * probability[:, known], 1, 9999)).all() and not scaled[:, ~known].any()
    assert np.array_equal(probability, before, equal_nan=True)


def test_classes_of_the_ground_that_are_never_mapped_are_named():
    """Natural land is mapped nowhere, other land in one of the years, and green land is not on the ground."""
    first = tally([(0, 0, 0.9), (1, 0, 0.9), (3, 0, 0.9)]).accuracy()
    second = tally([(0, 0, 0.9), (1, 0, 0.9), (3, 3, 0.9)]).accuracy()
    assert unmapped({"2017": first, "2018": second}) == ["natural"]
    assert unmapped({}) == []
