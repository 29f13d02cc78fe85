"""Windows, patches and the split of ground."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from imperviouslib.core import ground as grounds
from imperviouslib.core import patches
from imperviouslib.core.errors import GridError, TrainingError
from imperviouslib.core.ground import TEST, TRAIN, UNUSED, VALIDATION, Ground
from imperviouslib.core.network import net_anchor, net_halo
from imperviouslib.core.patches import Draw
from imperviouslib.core.windows import resolve_part, window_corners, windows
from imperviouslib.edge.split import split_blocks
from testsuite.unet_ground import grid_at, make_classes

places = st.builds(
    grid_at, st.integers(-200_000, 200_000), st.integers(-50, 400_000), st.integers(1, 70), st.integers(1, 70)
)


@given(part=places, depth=st.integers(1, 3), factor=st.integers(1, 5))
def test_windows_cut_and_stitched_give_the_array(part, depth, factor):
    anchor, halo = net_anchor(depth), net_halo(depth)
    size = anchor * factor
    array = np.arange(part.height * part.width).reshape(part.shape)
    stitched = np.full(part.shape, -1)
    for core, window in windows(part, file=part, halo=halo, size=size):
        assert window.first_row % anchor == window.first_col % anchor == 0
        assert window.contains(core.grown(halo))
        assert (stitched[core.slices_in(part)] == -1).all(), "a cell is computed twice"
        stitched[core.slices_in(part)] = array[core.slices_in(part)]
        assert max(window.shape) <= size + 2 * halo, "memory is that of a square"
        assert part.snapped_out(64).grown(halo).contains(window), "cells far outside of the file are computed"
    assert (stitched == array).all()


@given(part=places, factor=st.integers(1, 5), cut=st.integers(1, 40))
def test_a_cell_has_the_same_window_however_the_area_is_cut(part, factor, cut):
    size = 8 * factor
    whole = {core.bounds: window for core, window in windows(part, file=part, halo=48, size=size)}
    smaller = part.intersection(grid_at(part.first_row + cut // 2, part.first_col + cut // 3, 70, 70))
    if smaller is None:
        return
    for core, window in windows(smaller, file=part, halo=48, size=size):
        assert window in whole.values()
        assert window.contains(core)


@given(
    blocks=st.lists(
        st.lists(st.sampled_from([UNUSED, TRAIN, VALIDATION, TEST]), min_size=4, max_size=4), min_size=1, max_size=5
    ),
    side=st.integers(1, 6),
    gap=st.integers(1, 9),
)
def test_no_cell_lies_within_the_gap_of_a_cell_of_another_role(blocks, side, gap):
    wanted = np.kron(np.array(blocks, np.uint8), np.ones((side, side), np.uint8))
    roles = grounds.separate_roles(wanted, gap)
    assert ((roles == wanted) | (roles == UNUSED)).all()
    assert ((roles == TEST) == (wanted == TEST)).all(), "test ground must stay whole"
    for one, other in ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)):
        if (roles == other).any() and (roles == one).any():
            distance = distance_transform_cdt(roles != other, metric="chessboard")
            assert distance[roles == one].min() > gap


def test_the_gap_takes_no_more_than_it_must():
    wanted = np.array([[TEST] + [TRAIN] * 6], np.uint8)
    assert grounds.separate_roles(wanted, 2).tolist() == [[TEST, UNUSED, UNUSED, TRAIN, TRAIN, TRAIN, TRAIN]]


@given(outer=places, size=st.integers(1, 20), stride=st.integers(1, 12))
def test_every_patch_lies_in_the_ground_at_an_absolute_multiple(outer, size, stride):
    rows, cols = window_corners(outer, size=size, stride=stride)
    assert (rows >= 0).all() and (rows + size <= outer.height).all()
    assert (cols >= 0).all() and (cols + size <= outer.width).all()
    assert not ((outer.first_row + rows) % stride).any() and not ((outer.first_col + cols) % stride).any()
    assert len(set(zip(rows, cols, strict=True))) == len(rows)


def test_classes_are_counted_as_by_hand():
    label = make_classes((20, 30), seed=4)
    label[3:9, 5:11] = 0
    rows, cols = window_corners(grid_at(0, 0, 20, 30), size=7, stride=3)
    counts = patches.count_classes(label, rows, cols, 7)
    for row, col, found in zip(rows, cols, counts, strict=True):
        part = label[row : row + 7, col : col + 7]
        assert found.tolist() == [(part == code).sum() for code in (1, 2, 3, 4)]


@given(st.lists(st.sampled_from([12, 30, 31, 34, 40]), min_size=1, max_size=60))
def test_weights_restore_what_balanced_drawing_distorts(strata):
    strata = np.array(strata)
    drawn, weight = patches.balance(strata)
    assert drawn.sum() == pytest.approx(1)
    for name in np.unique(strata):
        natural = (strata == name).mean()
        assert (drawn * weight)[strata == name].sum() == pytest.approx(natural)


def test_rare_ground_is_drawn_more_often_than_it_occurs():
    strata = np.array([30] * 99 + [14])
    drawn, _ = patches.balance(strata)
    assert drawn[99] == pytest.approx(1 / (1 + 99**0.5))


def test_the_eight_flips_and_rotations_are_different_and_keep_cells():
    array = np.arange(4).reshape(2, 2)
    turns = {tuple(patches.flip_rotate(array, way).ravel()) for way in range(8)}
    assert len(turns) == 8
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)


def small_ground(roles, label, features):
    return Ground(grid_at(0, 0, *label.shape), (features,), label, roles)


def test_a_cell_counts_only_with_role_label_and_all_features():
    label = np.array([[1, 1, 0, 1]], np.uint8)
    roles = np.array([[TRAIN, TRAIN, TRAIN, TEST]], np.uint8)
    features = np.array([[[5, 5], [5, 0], [5, 5], [5, 5]]], np.uint16)
    _, y, counts = small_ground(roles, label, features).cut(0, 0, 0, 4, TRAIN)
    assert counts.tolist() == [[1, 0, 0, 0]]
    assert y.tolist() == [[0, 0, 0, 0]]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_batch_never_shows_a_label_of_test_ground(seed):
    label = np.full((32, 32), 3, np.uint8)
    roles = np.full((32, 32), TRAIN, np.uint8)
    label[:, 16:], roles[:, 16:] = 4, TEST
    ground = small_ground(roles, label, np.full((32, 32, 1), 9, np.uint16))
    draw = patches.resolve_draw(ground, patch=8, anchor=2)
    _, y, weight = patches.cut_batch(ground, draw, np.random.default_rng(seed), batch=4)
    assert set(np.unique(y[weight > 0])) <= {2}
    assert weight.sum() > 0


def test_a_batch_is_the_same_for_the_same_generator():
    label = make_classes((32, 32))
    features = np.random.default_rng(1).integers(1, 999, (32, 32, 2)).astype(np.uint16)
    ground = small_ground(np.full((32, 32), TRAIN, np.uint8), label, features)
    draw = patches.resolve_draw(ground, patch=8, anchor=2)
    one, two = (patches.cut_batch(ground, draw, np.random.default_rng(7), batch=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_features_and_labels_turn_together():
    label = make_classes((16, 16))
    features = np.repeat(label[..., np.newaxis].astype(np.uint16), 2, -1)
    ground = small_ground(np.full((16, 16), TRAIN, np.uint8), label, features)
    draw = Draw(16, np.array([0]), np.array([0]), np.array([1.0]), np.array([1.0]))
    x, y, _ = patches.cut_batch(ground, draw, np.random.default_rng(2), batch=16)
    assert (x[..., 0] == y + 1).all()


def test_a_batch_is_made_of_the_patches_that_were_drawn():
    """Each patch is one of its windows in one period, turned; all windows, periods and ways occur, as often as they should."""
    rng = np.random.default_rng(4)
    periods = tuple(rng.integers(1, 60_000, (12, 12, 2)).astype(np.uint16) for _ in range(3))
    label = make_classes((12, 12))
    ground = Ground(grid_at(0, 0, 12, 12), periods, label, np.full((12, 12), TRAIN, np.uint8))
    draw = Draw(4, np.array([0, 2, 8]), np.array([0, 6, 8]), np.array([0.5, 0.3, 0.2]), np.array([0.8, 1.1, 1.4]))
    expected = {}
    for index, (row, col) in enumerate(zip(draw.rows, draw.cols, strict=True)):
        for period in range(3):
            for way in range(8):
                arrays = ground.cut(period, row, col, 4, TRAIN)
                x, y, counts = (patches.flip_rotate(array, way) for array in arrays)
                expected[x.tobytes()] = index, period, way, y, counts * np.float32(draw.weight[index])
    found = []
    for x, y, weight in zip(*patches.cut_batch(ground, draw, rng, batch=4000), strict=True):
        index, period, way, right, share = expected[x.tobytes()]
        assert (y == right).all() and np.array_equal(weight, share)
        found.append((index, period, way))
    for part, shares in enumerate(([0.5, 0.3, 0.2], [1 / 3] * 3, [1 / 8] * 8)):
        counted = np.bincount([one[part] for one in found]) / len(found)
        assert counted == pytest.approx(shares, abs=0.04)


@pytest.mark.parametrize("shape", [(32, 32), (63, 900)])
def test_ground_smaller_than_a_patch_is_refused(shape):
    with pytest.raises(
        TrainingError, match=rf"{shape[0]} x {shape[1]} cells, expected at least 480 x 480 for patches of 64"
    ):
        grounds.resolve_block(np.ones(shape, np.uint8), grid_at(0, 0, *shape), patch=64, halo=48)


def test_ground_of_too_few_blocks_is_refused():
    with pytest.raises(TrainingError, match="4 blocks of 32, expected at least 10 blocks"):
        grounds.resolve_block(np.ones((64, 64), np.uint8), grid_at(0, 0, 64, 64), patch=32, halo=8)


def test_blocks_are_as_large_as_the_ground_allows():
    for side, block in ((128, 32), (256, 64), (1024, 256), (5000, 1024)):
        label = np.ones((side, side), np.uint8)
        assert grounds.resolve_block(label, grid_at(0, 0, side, side), patch=32, halo=8) == block


def test_one_class_and_no_label_are_refused():
    for label, found in (
        (np.full((3, 3), 3, np.uint8), "only class 3"),
        (np.zeros((3, 3), np.uint8), "no cell with a label and all features"),
    ):
        with pytest.raises(TrainingError, match=found):
            grounds.check_classes(label, thing="Ground")


def test_a_region_elsewhere_is_refused_and_the_message_says_how_to_set_it():
    with pytest.raises(GridError, match=r"g\.region n=1000 s=0 e=2000 w=0 res=20"):
        resolve_part(grid_at(-50, 0, 50, 100), grid_at(0, 0, 5, 5), name="a.h5")


def units(seed=0, blocks=16, each=9):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, (blocks * each, 4)) * [1, 0, 5, 1]
    return patches.resolve_strata(counts), np.repeat(np.arange(blocks), each), counts


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), blocks=st.integers(10, 40), test=st.sampled_from([0.1, 0.2, 0.33, 0.5]))
def test_blocks_stay_whole_and_every_role_gets_some(seed, blocks, test):
    strata, numbers, counts = units(seed, blocks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roles = split_blocks(strata, numbers, counts, test=test, seed=seed)
    assert set(roles) == set(range(blocks))
    assert set(roles.values()) == {TRAIN, VALIDATION, TEST}
    assert roles == split_blocks(strata, numbers, counts, test=test, seed=seed)


def test_rare_strata_do_not_stop_the_split():
    strata = np.array([30] * 30 + [14, 40])
    counts = np.array([[0, 0, 9, 0]] * 30 + [[9, 0, 0, 0], [0, 0, 0, 9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roles = split_blocks(strata, np.arange(32) // 2, counts, test=0.2, seed=1)
    assert sorted(set(roles.values())) == [TRAIN, VALIDATION, TEST]
