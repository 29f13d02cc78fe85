"""The ground that a network is trained and tested on, and its split into blocks of different use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core.errors import TrainingError, _
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.legend import CLASSES

UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
"""Role of a cell; unused cells lie in a gap between grounds of different role."""
ROLES = {"training": TRAIN, "validation": VALIDATION, "test": TEST}
"""Name of each role in messages and in the card."""
_MIN_BLOCKS = 10
_ENOUGH_BLOCKS = 16
_COLUMNS = 2**24
"""More columns of blocks than any grid has."""
ENOUGH_CELLS = 200
"""Cells of a class from which its accuracy is known to some per cent."""
_FEWEST_CELLS = 500
"""Least cells of validation and of test ground."""
_KEPT, _COMMON = 0.5, 0.01
"""Share of a role's ground that gaps should leave, and share of all ground from which a class is common."""
GOOD_SPLIT = 0.3
"""Largest `split_shortage` of a split that needs no smaller net."""


@dataclass(frozen=True)
class Ground:
    """Features, labels and roles of an area, in memory."""

    outer: Grid
    """Grid of the arrays: the area, and a margin without data."""
    features: tuple[np.ndarray, ...]
    """One array per period: (row, col, feature), uint16, 0 = no data."""
    label: np.ndarray
    """Array (row, col), uint8, class 1-4, 0 = no data."""
    roles: np.ndarray
    """Array (row, col), uint8, role of each cell."""

    def cut(self, period: int, row: int, col: int, size: int, role: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut a square: features (row, col, feature) uint16; class index 0-3, uint8; 1 where a cell counts, else 0, float32.

        A cell counts if it has the role, a label and all features.
        """
        return self.look(period, (slice(row, row + size), slice(col, col + size)), role)

    def look(self, period: int, where: tuple[Any, Any], role: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what `cut` gives for rows and columns: two slices, or two arrays of one shape (...), whose shape the results have."""
        x, label = self.features[period][where], self.label[where]
        counts = (self.roles[where] == role) & (label > 0) & (x > 0).all(axis=-1)
        return x, np.where(counts, label - 1, 0).astype(np.uint8), counts.astype(np.float32)

    def cells(self, role: int, period: int = 0) -> int:
        """Return the number of cells of a role that count in a period."""
        return int(((self.roles == role) & (self.label > 0) & (self.features[period] > 0).all(axis=-1)).sum())

    def usable_label(self) -> np.ndarray:
        """Return the labels of cells that have all features in at least one period: array (row, col), uint8, 0 = not usable."""
        seen = np.zeros(self.label.shape, dtype=bool)
        for features in self.features:
            seen |= (features > 0).all(axis=-1)
        return np.where(seen, self.label, 0)

    def training_label(self) -> np.ndarray:
        """Return the usable labels of training cells: array (row, col), uint8, 0 elsewhere."""
        return np.where(self.roles == TRAIN, self.usable_label(), 0)


def block_numbers(outer: Grid, size: int) -> np.ndarray:
    """Return the number of the absolute block of `size` cells in which each cell lies: array (row, col), int64.

    Numbers count from 0 in `outer`, row by row of blocks.
    """
    rows = (outer.first_row + np.arange(outer.height)) // size
    cols = (outer.first_col + np.arange(outer.width)) // size
    rows, cols = rows - rows[0], cols - cols[0]
    return rows[:, np.newaxis] * (cols[-1] + 1) + cols[np.newaxis, :]


def resolve_block(label: np.ndarray, outer: Grid, *, patch: int, halo: int) -> int:
    """Choose the side of the blocks into which one place is split; as `resolve_blocks`."""
    return resolve_blocks([(label, outer)], patch=patch, halo=halo)


def resolve_blocks(places: Sequence[tuple[np.ndarray, Grid]], *, patch: int, halo: int) -> int:
    """Choose the side of the blocks into which the ground of some places is split: large blocks lose least ground to gaps.

    places : label, array (row, col), uint8, 0 = not usable, and its grid
    Returns: int, cells; patch times a power of two, at most 1024 or the patch, so that there are 16 blocks if the ground allows it
    """
    height, width = (max(sizes) for sizes in zip(*(extent_of(label != 0) for label, _outer in places), strict=True))
    more = _("Use a larger region, more files, or a smaller patch= or depth=.")
    if min(height, width) < patch and len(places) == 1:
        side = 3 * (patch + 2 * halo)
        raise TrainingError(
            _("Ground with labels and features"),
            found=_("{} x {} cells").format(height, width),
            expected=_("at least {} x {} for patches of {} cells with a halo of {}").format(side, side, patch, halo),
            then=more,
        )
    block = patch
    while block * 2 <= BLOCK:
        block *= 2
    while True:
        cells = np.concatenate([_cells_of_blocks(label, outer, block) for label, outer in places])
        # A block at the border with less than an eighth of the cells of a block within does not count.
        blocks = int((cells >= max(1, cells.max(initial=0) // 8)).sum())
        if blocks >= _ENOUGH_BLOCKS or (block == patch and blocks >= _MIN_BLOCKS):
            return block
        if block == patch:
            raise TrainingError(
                _("Ground with labels and features"),
                found=_("{} x {} cells, {} blocks of {}").format(height, width, blocks, patch),
                expected=_("at least {} blocks, to keep training and test ground {} cells apart").format(
                    _MIN_BLOCKS, halo
                ),
                then=more,
            )
        block //= 2


def _cells_of_blocks(label: np.ndarray, outer: Grid, block: int) -> np.ndarray:
    """Count the cells with a label in each block that has some."""
    return np.bincount(block_numbers(outer, block)[label != 0], minlength=1)


def extent_of(mask: np.ndarray) -> tuple[int, int]:
    """Return (rows, columns) of the smallest rectangle that holds all true cells.

    >>> extent_of(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 2)
    """
    sizes = []
    for axis in (1, 0):
        where = np.flatnonzero(mask.any(axis=axis))
        sizes.append(int(where[-1] - where[0] + 1) if where.size else 0)
    return sizes[0], sizes[1]


def block_key(row: int | np.ndarray, col: int | np.ndarray) -> Any:
    """Return one number for the row and the column of an absolute block, also of arrays of them; `block_of` reads it.

    >>> block_of(block_key(-3210, 4))
    (-3210, 4)
    """
    return row * _COLUMNS + col + _COLUMNS // 2


def block_of(key: int) -> tuple[int, int]:
    """Return the row and the column of the block that a number of `block_key` stands for."""
    return key // _COLUMNS, key % _COLUMNS - _COLUMNS // 2


def cell_roles(outer: Grid, block: int, roles: Mapping[int, int], *, gap: int) -> np.ndarray:
    """Give each cell of a place the role of its absolute block, and leave gaps between different roles.

    Blocks of other places count too: where places lie side by side, the gap reaches from one into the other.

    block : cells a side of a block
    roles : `block_key` to role; other blocks are unused
    Returns: array (row, col), uint8
    """
    rows = (outer.first_row + np.arange(outer.height)) // block
    cols = (outer.first_col + np.arange(outer.width)) // block
    table = np.array(
        [
            [roles.get(int(block_key(row, col)), UNUSED) for col in range(cols[0], cols[-1] + 1)]
            for row in range(rows[0], rows[-1] + 1)
        ],
        dtype=np.uint8,
    )
    return separate_roles(table[rows - rows[0]][:, cols - cols[0]], gap)


def count_roles(label: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """Count labelled cells by role and class.

    label : array (row, col), uint8, 0 = not usable
    Returns: array (role, class), int64; roles 0 (unused) to 3
    """
    n = len(CLASSES)
    known = label > 0
    pairs = roles[known].astype(np.int64) * n + label[known] - 1
    return np.bincount(pairs, minlength=4 * n).reshape(4, n)


def split_shortage(counts: np.ndarray, test: float) -> float:
    """Tell how far a split, after its gaps are cut, is from what was asked for; 0 is best, below `GOOD_SPLIT` is good.

    The sum of, for each role, the missing share of its cells beyond one half, and for validation and test the largest difference of a class
    share from that of all ground, and the missing share of `ENOUGH_CELLS` of each class that makes up a hundredth of the ground.

    counts : array (role, class), as `count_roles` gives it
    test : share of the ground to test on; validation takes half as much
    """
    whole = counts.sum(axis=0)
    total = max(int(whole.sum()), 1)
    shortage = 0.0
    for role, share in ((TRAIN, 1 - 1.5 * test), (VALIDATION, test / 2), (TEST, test)):
        cells = int(counts[role].sum())
        shortage += max(0.0, 1 - cells / (_KEPT * share * total))
        if role == TRAIN:
            continue
        shortage += float(np.abs(counts[role] / max(cells, 1) - whole / total).max())
        common = whole >= _COMMON * total
        shortage += float(np.maximum(0, 1 - counts[role][common] / ENOUGH_CELLS).sum())
    return shortage


def check_thin(counts: np.ndarray) -> list[str]:
    """Raise TrainingError where validation or test ground is too thin to measure anything; return what else is thin, as sentences.

    counts : array (role, class), as `count_roles` gives it
    """
    whole = counts.sum(axis=0)
    said = []
    for role, title in ((VALIDATION, _("Validation ground")), (TEST, _("Test ground"))):
        cells = int(counts[role].sum())
        if cells < _FEWEST_CELLS:
            raise TrainingError(
                _("{} outside the gaps").format(title),
                found=_("{} cells").format(cells),
                expected=_("at least {}").format(_FEWEST_CELLS),
                then=_(
                    "Use a larger region, more files in input=, a smaller depth= for a narrower gap, or a larger test=."
                ),
            )
        for land, number in zip(CLASSES, counts[role], strict=True):
            if number < ENOUGH_CELLS and whole[land.code - 1]:
                said.append(
                    _("{} has only {} cells of the class {}, of {}: its figures of this class are uncertain.").format(
                        title, int(number), land.title, cells
                    )
                )
    return said


def pack(places: Sequence[Ground], *, unit: int) -> Ground:
    """Lay the ground of several places below each other in one, without data between them.

    Each place keeps its position within a square of `unit` cells, so windows at multiples of it (and of its divisors) are those of the place.
    The outer grids must begin at the same position of such a square; the result stands at no place on the Earth.
    """
    if len(places) == 1:
        return places[0]
    starts, height = [], 0
    for place in places:
        starts.append(height)
        height += -(-place.outer.height // unit) * unit
    width = max(place.outer.width for place in places)
    res_m, row, col = places[0].outer.res_m, places[0].outer.first_row % unit, places[0].outer.first_col % unit
    outer = Grid(col * res_m, -(row + height) * res_m, (col + width) * res_m, -row * res_m, res_m)

    def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
        whole = np.zeros((height, width, *arrays[0].shape[2:]), arrays[0].dtype)
        for start, array in zip(starts, arrays, strict=True):
            whole[start : start + array.shape[0], : array.shape[1]] = array
        return whole

    return Ground(
        outer,
        tuple(joined(arrays) for arrays in zip(*(place.features for place in places), strict=True)),
        joined([place.label for place in places]),
        joined([place.roles for place in places]),
    )


def separate_roles(wanted: np.ndarray, gap: int) -> np.ndarray:
    """Leave a gap between different roles: test ground stays whole, then validation ground, and training ground loses most.

    wanted : array (row, col), uint8, TRAIN, VALIDATION, TEST or UNUSED
    Returns: array (row, col), uint8; two cells of different roles are more than `gap` cells apart
    """
    from scipy.ndimage import maximum_filter

    def near(mask: np.ndarray) -> np.ndarray:
        return maximum_filter(mask, size=2 * gap + 1, mode="constant")

    test = wanted == TEST
    validation = (wanted == VALIDATION) & ~near(test)
    train = (wanted == TRAIN) & ~near(test | validation)
    roles = np.zeros(wanted.shape, dtype=np.uint8)
    roles[test], roles[validation], roles[train] = TEST, VALIDATION, TRAIN
    return roles


def feature_scaling(ground: Ground) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each feature over the training cells of all periods, in stored units.

    The deviation is at least 1, so that a constant feature causes no division by zero.
    """
    number = total = squares = 0.0
    for features in ground.features:
        x = features[(ground.roles == TRAIN) & (ground.label > 0) & (features > 0).all(axis=-1)]
        number += len(x)
        total = total + x.sum(axis=0, dtype=np.float64)
        squares = squares + np.einsum("nf,nf->f", x, x, dtype=np.float64, casting="unsafe")
    mean = np.asarray(total) / max(number, 1)
    deviation = np.sqrt(np.maximum(np.asarray(squares) / max(number, 1) - mean**2, 1.0))
    return tuple(float(v) for v in mean), tuple(float(v) for v in deviation)


def class_shares(label: np.ndarray) -> tuple[float, ...]:
    """Return the share of each class among labelled cells, in the order of CLASSES; zeros without labels."""
    cells = np.bincount(label[label > 0].ravel(), minlength=len(CLASSES) + 1)[1:]
    return tuple(float(v) for v in cells / max(int(cells.sum()), 1))


def check_classes(label: np.ndarray, *, thing: str) -> None:
    """Raise TrainingError if there are fewer than two classes.

    label : array (row, col), uint8, 0 = not usable
    thing : where the labels come from, for the message
    """
    present = [c.code for c in CLASSES if (label == c.code).any()]
    if len(present) < 2:
        raise TrainingError(
            thing,
            found=_("only class {}").format(present[0]) if present else _("no cell with a label and all features"),
            expected=_("two classes or more"),
            then=_("Use another region, or write the file with other labels or features in r.s2.ard."),
        )


def check_cells(ground: Ground, periods: Sequence[str]) -> None:
    """Raise TrainingError if a role has no cell in a period.

    periods : names, in the order of the ground's features
    """
    titles = {"training": _("Training ground"), "validation": _("Validation ground"), "test": _("Test ground")}
    for index, period in enumerate(periods):
        for name, role in ROLES.items():
            if not ground.cells(role, index):
                raise TrainingError(
                    _("{} of {} has no cell with a label and all features outside the gaps").format(
                        titles[name], period
                    ),
                    then=_("Use a larger region, a smaller depth= for a narrower gap, or another test= or seed=."),
                )
