"""The ground that a network is trained and tested on, and its split into blocks of different use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        where = slice(row, row + size), slice(col, col + size)
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
    """Choose the side of the blocks into which ground is split: large blocks lose least ground to gaps.

    label : array (row, col), uint8, 0 = not usable
    Returns: int, cells; patch times a power of two, at most 1024 or the patch, so that there are 16 blocks if the ground allows it
    """
    height, width = extent_of(label != 0)
    more = _("Use a larger region, or a smaller patch= or depth=.")
    if min(height, width) < patch:
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
        numbers = block_numbers(outer, block)
        cells = np.bincount(numbers[label != 0], minlength=1)
        # A block at the border with less than an eighth of its cells does not count.
        blocks = int((cells >= block * block // 8).sum())
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


def cell_roles(numbers: np.ndarray, roles: Mapping[int, int], *, gap: int) -> np.ndarray:
    """Give each cell the role of its block, and leave gaps between different roles.

    numbers : array (row, col), int, block of each cell
    roles : block number to role; other blocks are unused
    Returns: array (row, col), uint8
    """
    wanted = np.zeros(int(numbers.max()) + 1, dtype=np.uint8)
    for number, role in roles.items():
        wanted[number] = role
    return separate_roles(wanted[numbers], gap)


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
