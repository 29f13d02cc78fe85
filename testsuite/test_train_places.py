"""The ground of one or more places: which net it allows, how it is split, and how places lie side by side in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from imperviouslib.core import ground as grounds
from imperviouslib.core.errors import TrainingError
from imperviouslib.core.ground import ENOUGH_CELLS, GOOD_SPLIT, ROLES, TEST, TRAIN, UNUSED, VALIDATION, Ground
from imperviouslib.core.network import net_halo
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.stage.train.places import Data, Places, resolve_periods, split_ground
from testsuite.unet_ground import grid_at, make_classes

WANTED = TrainSettings(Path("a.nc"), Path("m"))
MARGIN, UNIT = net_halo(3), WANTED.window


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What the tool tells the user; there is no GRASS session here."""
    told = []
    for kind in ("warning", "message"):
        monkeypatch.setattr(f"imperviouslib.edge.grass.{kind}", told.append)
    return told


def place(row, col, height, width, seed=1, classes=None):
    """A place with labels in all cells, as `read_places` makes it."""
    part = grid_at(row, col, height, width)
    outer = part.snapped_out(UNIT).grown(MARGIN)
    label = np.zeros(outer.shape, np.uint8)
    label[part.slices_in(outer)] = make_classes(part.shape, seed) if classes is None else classes
    features = np.where(label[..., np.newaxis] > 0, 1000, 0).astype(np.uint16)
    return Ground(outer, (features,), label, np.zeros(outer.shape, np.uint8))


def places(*grounds_of):
    data = Data(grounds_of[0], ("2017",), ("B04_p50",), 20, 2017, "s2glc", "ab")
    return Places(tuple(grounds_of), data)


def numbers(ground, label=None):
    return grounds.count_roles(ground.label if label is None else label, ground.roles)


# Which net the ground allows


@pytest.mark.parametrize(("side", "deepest"), [(96, 1), (160, 2), (300, 3), (1000, 3)])
def test_the_net_is_as_deep_as_the_ground_allows(side, deepest):
    chosen, data, split = split_ground(places(place(150_003, 200_005, side, side)), WANTED)
    assert 1 <= chosen.depth <= deepest and chosen.patch == 16
    assert split.gap == net_halo(chosen.depth) == chosen.halo
    counts = numbers(data.ground)
    assert {name: int(counts[role].sum()) for name, role in ROLES.items()} == split.cells
    if side >= 300:
        assert (counts[[VALIDATION, TEST]] >= ENOUGH_CELLS / 2).all()
    if side == 1000:
        assert grounds.split_shortage(counts, 0.2) < GOOD_SPLIT
        assert (chosen.depth, chosen.patch) == (3, 16)


def test_what_is_given_is_not_changed(said):
    given = replace(WANTED, depth=2, patch=16)
    chosen, data, split = split_ground(places(place(0, 0, 160, 160)), given)
    assert (chosen.depth, chosen.patch, split.gap) == (2, 16, 24)
    # That leaves thin ground, and the tool says so.
    thin = [n for role in (VALIDATION, TEST) for n in numbers(data.ground)[role] if n < ENOUGH_CELLS]
    assert len([line for line in said if "its figures of this class are uncertain" in line]) == len(thin) > 0


@pytest.mark.parametrize("side", [20, 40, 47])
def test_ground_that_allows_no_net_is_refused(side):
    with pytest.raises(TrainingError, match=r"expected at least|Use a larger region"):
        split_ground(places(place(0, 0, side, side)), WANTED)


@pytest.mark.parametrize(
    ("validation", "test", "refused"),
    [
        ([300, 300, 900, 300], [300, 300, 900, 300], None),
        ([100, 100, 299, 0], [900, 900, 900, 900], "Validation ground outside the gaps: found 499 cells, expected at least 500"),
        ([900, 900, 900, 900], [0, 0, 0, 12], "Test ground outside the gaps: found 12 cells"),
        ([900, 12, 900, 0], [900, 900, 900, 199], []),
        ([0, 0, 755, 0], [900, 900, 900, 900], []),
    ],
)  # fmt: skip
def test_thin_ground_is_refused_or_said(validation, test, refused):
    counts = np.array([[0] * 4, [9000] * 4, validation, test])
    if isinstance(refused, str):
        with pytest.raises(TrainingError, match=refused):
            grounds.check_thin(counts)
    else:
        said = grounds.check_thin(counts)
        assert len(said) == sum(number < ENOUGH_CELLS for number in (*validation, *test))
        assert all("figures of this class are uncertain" in sentence for sentence in said)


def test_a_class_that_the_ground_lacks_is_not_missed():
    counts = np.array([[0] * 4, [9000, 0, 9000, 9000], [900, 0, 900, 900], [900, 0, 900, 900]])
    assert grounds.check_thin(counts) == []
    assert grounds.split_shortage(counts, 0.2) < GOOD_SPLIT


def test_the_split_is_judged_after_the_gaps_are_cut():
    whole = [[0] * 4, [7000] * 4, [1000] * 4, [2000] * 4]
    assert grounds.split_shortage(np.array(whole), 0.2) == 0
    # The gap took nearly all green of the validation ground: the shares no longer agree.
    cut = np.array([[0, 0, 988, 0], whole[1], [1000, 1000, 12, 1000], whole[3]])
    assert grounds.split_shortage(cut, 0.2) > GOOD_SPLIT
    # Every class has enough cells, but most of the validation ground is of one class.
    skewed = np.array([[0, 500, 500, 500], whole[1], [2500, 500, 500, 500], whole[3]])
    assert grounds.split_shortage(skewed, 0.2) > GOOD_SPLIT


# Several places


def test_small_places_far_apart_are_blocks_of_their_own():
    far = [place(20 * 1024 * n + 300, 5 * 1024 * n + 77, 50, 50, seed=n) for n in range(1, 21)]
    chosen, _data, split = split_ground(places(*far), WANTED)
    assert split.block == 1024 and (chosen.depth, chosen.patch) == (3, 16)
    assert {name: sum(split.cells.values()) for name in split.cells} == dict.fromkeys(ROLES, 20 * 2500), (
        "no gap is needed"
    )
    assert len({block for blocks in split.blocks.values() for block in blocks}) == 20


def test_the_gap_reaches_from_one_file_into_the_next():
    side = 320
    whole = place(0, 0, side, 2 * side)
    halves = [place(0, 0, side, side), place(0, side, side, side)]
    roles = {
        int(grounds.block_key(row, col)): (TEST if (row + col) % 3 == 0 else TRAIN)
        for row in range(6)
        for col in range(11)
    }

    def cut(one):
        found = grounds.cell_roles(one.outer, 64, roles, gap=24)
        return np.where(one.label > 0, found, 9)[one.outer.intersection(one.outer).slices_in(one.outer)]

    inside = [cut(one)[one.label > 0].reshape(side, -1) for one in (whole, *halves)]
    assert (np.hstack(inside[1:]) == inside[0]).all()


def test_ground_that_two_files_share_has_one_role():
    first, second = place(0, 0, 400, 400), place(200, 200, 400, 400)
    _, data, _ = split_ground(places(first, second), WANTED)
    height = -(-first.outer.height // UNIT) * UNIT
    parts = [
        data.ground.roles[start : start + g.outer.height, : g.outer.width]
        for start, g in ((0, first), (height, second))
    ]
    shared = grid_at(200, 200, 200, 200)
    one, two = (part[shared.slices_in(g.outer)] for part, g in zip(parts, (first, second), strict=True))
    both = (one != UNUSED) & (two != UNUSED)
    assert both.any() and (one == two)[both].all()


spots = st.lists(
    st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000), st.integers(1, 300), st.integers(1, 300)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(spots)
def test_packed_places_keep_their_cells_and_their_position_in_windows(found):
    read = [place(*spot, seed=n) for n, spot in enumerate(found)]
    packed = grounds.pack(read, unit=UNIT)
    start = 0
    for one in read:
        height, width = one.outer.shape
        part = packed.label[start : start + height, :width]
        assert (part == one.label).all() and (
            packed.features[0][start : start + height, :width] == one.features[0]
        ).all()
        assert (packed.outer.first_row + start - one.outer.first_row) % UNIT == 0
        assert (packed.outer.first_col - one.outer.first_col) % UNIT == 0
        start += -(-height // UNIT) * UNIT
    assert (packed.label > 0).sum() == sum((one.label > 0).sum() for one in read)
    if len(read) > 1:
        # No window of one place sees a cell of another.
        numbered = np.zeros(packed.label.shape, int)
        start = 0
        for n, one in enumerate(read, start=1):
            numbered[start : start + one.outer.height, : one.outer.width][one.label > 0] = n
            start += -(-one.outer.height // UNIT) * UNIT
        for n in range(1, len(read) + 1):
            others = (numbered > 0) & (numbered != n)
            if others.any():
                assert distance_transform_cdt(~others, metric="chessboard")[numbered == n].min() > MARGIN


@pytest.mark.parametrize("row", [-70_000, -1, 0, 1, 2_000_000])
@pytest.mark.parametrize("col", [-70_000, -1, 0, 300_000])
def test_a_block_has_one_number(row, col):
    assert grounds.block_of(int(grounds.block_key(row, col))) == (row, col)


class _File:
    def __init__(self, *periods):
        self.path, self.periods, self.years = "x.nc", periods, tuple(int(p[:4]) for p in periods)


@pytest.mark.parametrize(
    ("files", "years", "expected"),
    [
        ([_File("2017", "2018")], (), ("2017", "2018")),
        ([_File("2017", "2018"), _File("2018", "2017", "2019")], (), ("2017", "2018")),
        ([_File("2017", "2018"), _File("2017", "2018", "2019")], (2018,), ("2018",)),
        ([_File("2017", "2018"), _File("2018")], (), "no features of 2017, the year of the labels"),
        ([_File("2017", "2018"), _File("2017")], (2018,), "no features of 2018"),
        ([_File("2017-summer"), _File("2017")], (), "No period occurs in all files"),
    ],
)
def test_periods_are_those_of_all_files(files, years, expected):
    if isinstance(expected, str):
        with pytest.raises(TrainingError, match=expected):
            resolve_periods(files, 2017, years)
    else:
        assert resolve_periods(files, 2017, years) == expected
