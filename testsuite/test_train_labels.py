"""Labels that are not believed, on ground of a few cells."""

import numpy as np

from imperviouslib.core.ground import TEST, TRAIN, Ground
from imperviouslib.stage.train.labels import believed, mean_probability
from testsuite.unet_ground import grid_at


def test_labels_that_the_mean_contradicts_are_left_out():
    label = np.array([[1, 1, 1, 3, 3, 4, 2, 0]], np.uint8)
    mean = np.array([[0.9, 0.2, 0.8, 0.1, 0.7, 0.3, np.nan, 0.9]])
    kept, share = believed(label, mean)
    assert kept.tolist() == [[1, 0, 1, 3, 0, 4, 2, 0]]
    assert share == 1 - 2 / 6


def test_a_net_that_knows_no_sealed_land_is_not_believed():
    label = np.array([[1, 1, 3, 3, 3, 3]], np.uint8)
    kept, share = believed(label, np.full(label.shape, 0.1))
    assert (kept == label).all() and share == 1


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
