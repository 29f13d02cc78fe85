"""Labels that are not believed, on ground of a few cells."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core.ground import TEST, TRAIN, Ground
from imperviouslib.core.probability import resolve_shift
from imperviouslib.stage.train.labels import believed, find_doubtful_step, find_level, find_steps, mean_probability
from imperviouslib.stage.train.series import _label_series
from testsuite.unet_ground import grid_at


def test_labels_that_the_mean_contradicts_are_left_out():
    label = np.array([[1, 1, 1, 3, 3, 4, 2, 0]], np.uint8)
    mean = np.array([[0.9, 0.2, 0.8, 0.1, 0.7, 0.3, np.nan, 0.9]])
    assert believed(label, mean).tolist() == [[1, 0, 1, 3, 0, 4, 2, 0]]


def test_a_net_that_knows_no_sealed_land_is_not_believed():
    label = np.array([[1, 1, 3, 3, 3, 3]], np.uint8)
    assert (believed(label, np.full(label.shape, 0.1)) == label).all()


def test_the_mean_is_that_of_the_periods_in_which_a_training_cell_was_seen():
    grid = grid_at(64, 64, 24, 24)
    first = np.full((24, 24, 1), 3000, np.uint16)
    second = np.full((24, 24, 1), 9000, np.uint16)
    second[10, 10], first[11, 11], second[11, 11] = 0, 0, 0
    roles = np.full((24, 24), TRAIN, np.uint8)
    roles[:, 16:] = TEST
    ground = Ground(grid, (first, second), np.ones((24, 24), np.uint8), roles)

    def probability_of(stored):
        return np.repeat(stored / np.float32(10_000), 4, axis=-1)

    mean = mean_probability(probability_of, ground, (0, 1), size=8, halo=0)
    assert np.isnan(mean[:, 16:]).all() and np.isnan(mean[11, 11])
    assert np.isclose(mean[10, 10], 0.3) and np.isclose(mean[0, 0], 0.6)


def changing_ground():
    """The third year of four brings a new place, and clears another. Returns: the ground, and which of its cells change and are training ground"""
    features = [np.full((40, 40, 1), 1000, np.uint16) for _year in range(4)]
    for year, plane in enumerate(features):
        plane += np.random.default_rng(year).integers(0, 200, plane.shape, np.uint16)
        plane[20:, :10] = 9000
        plane[:6, :8] = 9000 if year >= 2 else 1000
        plane[30:33, :5] = 1000 if year >= 2 else 9000
        # Test ground changes too.
        plane[:6, 36:] = 9000 if year >= 2 else 1000
    roles = np.full((40, 40), TRAIN, np.uint8)
    roles[:, 32:] = TEST
    label = np.full((40, 40), 3, np.uint8)
    label[20:, :10] = 1
    changed = np.zeros((40, 40), bool)
    changed[:6, :8] = changed[30:33, :5] = True
    return Ground(grid_at(64, 64, 40, 40), tuple(features), label, roles), changed


def as_stored(stored):
    """A net whose probabilities are what is stored."""
    return np.repeat(stored / np.float32(10_000), 4, axis=-1)


@pytest.mark.parametrize("years", [[0, 1, 2, 3], [0, 1, 3]])
def test_land_that_changed_is_found_on_training_ground_alone(years):
    """A period that is no year is not looked at."""
    ground, changed = changing_ground()
    steps = find_steps(as_stored, ground, years, size=8, halo=0)
    assert ((steps != 0) == changed).all()
    assert (steps[:6, :8] == 2).all() and (steps[30:33, :5] == -2).all()


def test_more_change_than_can_be_is_doubted():
    steps = np.zeros((10, 20), np.int8)
    assert find_doubtful_step(steps, 200) is None
    steps[0, :12], steps[1, :8] = -3, 1
    assert find_doubtful_step(steps, 200) is None
    assert find_doubtful_step(steps, 199) == 3


def test_the_series_net_is_not_taught_that_land_which_changed_is_stable():
    ground, changed = changing_ground()
    taught = _label_series(as_stored, ground, [0, 1, 2, 3], 0.2, SimpleNamespace(window=8, halo=0))
    training = ground.roles == TRAIN
    assert not taught["label"][changed].any()
    assert (taught["label"] == ground.label)[training & ~changed].all()
    assert taught["kept"] == 1 - changed.sum() / training.sum()
    # Bare ground is cut from where sites began, so their place is kept.
    assert (taught["begun"][:6, :8] == 2).all() and np.count_nonzero(taught["begun"]) == 48


# The level


def a_town(rows, label_share):
    """Ground of one row of windows; labels call the first columns sealed. Each cell knows its column, 1 to 100. Returns: the ground"""
    column = np.tile(np.arange(1, 101, dtype=np.uint16), (rows, 1))
    label = np.where(column <= 100 * label_share, np.uint8(1), np.uint8(3))
    roles = np.where(column % 10 == 0, np.uint8(TEST), np.uint8(TRAIN))
    return Ground(grid_at(0, 0, rows, 100), (column[..., np.newaxis],) * 2, label, roles)


def sealed_up_to(last, sharpness=1.0):
    """A net that calls columns up to `last` sealed."""

    def probability_of(stored):
        p = 1 / (1 + np.exp(sharpness * (stored[..., 0].astype(float) - last - 0.5) / 10))
        return np.stack([p, 0 * p, 1 - p, 0 * p], axis=-1).astype(np.float32)

    return probability_of


@pytest.mark.parametrize("sharpness", [0.3, 1.0])
def test_maps_get_the_share_of_sealed_land_of_the_brief_fit(sharpness):
    ground, joint = a_town(100, 0.45), sealed_up_to(38, sharpness)
    share, shift, labelled = find_level(sealed_up_to(30), joint, ground, 2, size=20, halo=0)
    assert share == pytest.approx(27 / 90) and shift < -0.1 and labelled == pytest.approx(41 / 90)
    p = mean_probability(joint, ground, (0, 1), size=20, halo=0)
    shifted = np.log(p / (1 - p)) + shift
    # Test ground has no part in it.
    assert np.isnan(shifted[:, 9]).all()
    assert np.mean(shifted[~np.isnan(shifted)] > 0) == pytest.approx(share, abs=1 / 90)


def test_a_brief_fit_that_knows_no_sealed_land_sets_no_level():
    share, shift, _labelled = find_level(sealed_up_to(-50), sealed_up_to(50), a_town(40, 0.4), 2, size=20, halo=0)
    assert share == pytest.approx(45 / 90) and shift == 0


def test_the_level_is_what_the_maps_have_after_a_shift_that_is_not_enough():
    share, shift, _labelled = find_level(sealed_up_to(25), sealed_up_to(50), a_town(40, 0.4), 2, size=20, halo=0)
    # One log-odd less moves the border by ten columns.
    assert share == pytest.approx(36 / 90) and -1 <= shift < -0.9


def test_a_level_from_a_part_of_the_windows_is_about_that_of_all(monkeypatch):
    monkeypatch.setattr("imperviouslib.stage.train.labels._LEVEL_CELLS", 5000)
    calls = []

    def counted(stored):
        calls.append(len(stored))
        return sealed_up_to(30)(stored)

    share, _shift, _labelled = find_level(counted, sealed_up_to(38), a_town(200, 0.45), 2, size=20, halo=0)
    assert share == pytest.approx(27 / 90, abs=0.1)
    assert sum(calls) == 2 * 7, "of 50 windows each seventh or eighth is enough"


def test_a_shift_is_bounded():
    even = np.linspace(-3, 3, 6001, dtype=np.float32)
    assert resolve_shift(even, 0.05) == pytest.approx(-1, abs=1e-3) and resolve_shift(even, 0.95) == pytest.approx(
        1, abs=1e-3
    )
    assert resolve_shift(np.array([]), 0.5) == 0
    assert resolve_shift(even, 0.5) == pytest.approx(0, abs=1e-3)


@given(st.lists(st.integers(-900, 900), min_size=1, max_size=40), st.floats(0, 1))
def test_a_shift_gives_its_share_and_is_none_where_none_is_needed(hundredths, share):
    logit = np.array(hundredths) / 100
    shift = resolve_shift(logit, share)
    assert abs(shift) <= 1
    wanted = logit > np.clip(np.quantile(logit, 1 - share), -1, 1)
    # Rounding must not decide about a value that lies at the cut itself.
    assert (logit + shift > 1e-9)[wanted].all() and not (logit + shift > 1e-9)[~wanted].any()
    assert shift == 0 or ((logit > 0) != wanted).any()
