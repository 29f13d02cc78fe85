"""Windows, patches and the parting of ground for the net; arrays and grids only.

A net with pooling is not shift-invariant: moving its windows by one cell changes up to 1.6 % of the classes. So every window,
in training and in prediction, begins at an absolute multiple of `anchor` = 2^depth cells, and prediction adds a halo as wide as
the receptive field. A cell's class then depends on the ground around it, never on how an area was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imperviouslib.core.errors import GridError, TrainingError, _
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.legend import CLASSES, DEFAULT_DEFINITION, DEFINITIONS

UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
"""What a cell of ground is used for; unused cells lie in a gap."""
WINDOW = 512
"""Cells a side of the inner part of a prediction window. Windows always have this size, so that every cell of every run is
computed by the same arithmetic, bit for bit."""
FEWEST_BLOCKS = 10
ENOUGH_BLOCKS = 16
_SHARE_BINS = (0.0, 0.05, 0.2, 0.5)


def net_anchor(depth: int) -> int:
    """Return the cells a side that one cell of the deepest level covers."""
    return 2**depth


def net_halo(depth: int, convolutions: int = 2) -> int:
    """Return how many cells around a window may touch the result, rounded up to whole anchors.

    A convolution reaches one cell of its level further. The walk goes down from the first cell of a window through the
    decoder, and up again through the encoder: position // 2 going down, position * 2 going up.

    >>> [net_halo(depth) for depth in (1, 2, 3, 4)]
    [8, 24, 48, 96]
    """
    position = 0
    for _level in range(depth):
        position = (position - convolutions) // 2
    position -= convolutions
    for _level in range(depth):
        position = position * 2 - convolutions
    anchor = net_anchor(depth)
    return -(position // anchor) * anchor


def windows(part: Grid, *, halo: int, size: int = WINDOW) -> Iterator[tuple[Grid, Grid]]:
    """Cut `part` at absolute multiples of `size` cells and give each core with the window that computes it.

    The window is the whole square of `size` cells, grown by the halo, also where the core is only a part of it.

    >>> [(core.shape, window.shape) for core, window in windows(Grid(0, 0, 200, 80), halo=8, size=8)]
    [((4, 8), (24, 24)), ((4, 2), (24, 24))]
    """
    for core in part.blocks(size):
        yield core, core.snapped_out(size).grown(halo)


def resolve_part(grid: Grid, region: Grid, *, name: str) -> Grid:
    """Return the cells of a file's grid that lie within the region; raise GridError where there are none."""
    part = grid.intersection(region)
    if part is None:
        west, south, east, north = grid.bounds
        raise GridError(
            _("Current region"),
            found=_("no cell of '{}'").format(name),
            expected=_("some"),
            then=_("Set it with g.region n={} s={} e={} w={} res={}.").format(north, south, east, west, grid.res_m),
        )
    return part


def encode_prediction(probability: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn probabilities into what the maps hold.

    probability : array (class, row, col), float, sums to 1
    known : array (row, col), bool, false where a feature is no data
    Returns: class (row, col) uint8, 1-4; probability x 10000 (class, row, col) uint16, 1..9999, for a map never knows a class
    to be impossible or sure. Both are 0 where not known.
    """
    classes = np.where(known, probability.argmax(axis=0) + 1, 0).astype(np.uint8)
    scaled = np.clip(np.rint(probability * 10_000), 1, 9999)
    return classes, np.where(known, scaled, 0).astype(np.uint16)


def block_numbers(outer: Grid, size: int) -> np.ndarray:
    """Return the number of the absolute block of `size` cells in which each cell lies: array (row, col), int64.

    Numbers count from 0 within `outer`; equal numbers are the same square of ground.
    """
    rows = (outer.first_row + np.arange(outer.height)) // size
    cols = (outer.first_col + np.arange(outer.width)) // size
    rows, cols = rows - rows[0], cols - cols[0]
    return rows[:, np.newaxis] * (cols[-1] + 1) + cols[np.newaxis, :]


def resolve_block(label: np.ndarray, outer: Grid, *, patch: int, halo: int) -> int:
    """Choose the side of the blocks of ground that are trained or tested on: large ones waste least ground to gaps.

    label : array (row, col), uint8, 0 = cannot be used
    Returns: int, cells; patch times a power of two, at most 1024 or the patch, giving 16 blocks where the ground allows it
    """
    height, width = extent_of(label != 0)
    ask = "Take more ground, or a smaller patch= or depth=."
    side = patch + 2 * halo
    if min(height, width) < patch:
        raise TrainingError(
            _("Ground with labels and features"),
            found=_("{} x {} cells").format(height, width),
            expected=_("at least {} x {} for patches of {} cells with a halo and gap of {}").format(
                side * 3, side * 3, patch, halo
            ),
            then=ask,
        )
    block = patch
    while block * 2 <= BLOCK:
        block *= 2
    while True:
        numbers = block_numbers(outer, block)
        cells = np.bincount(numbers[label != 0], minlength=1)
        # A sliver of a block at the border is no block of its own.
        blocks = int((cells >= block * block // 8).sum())
        if blocks >= ENOUGH_BLOCKS or (block == patch and blocks >= FEWEST_BLOCKS):
            return block
        if block == patch:
            raise TrainingError(
                _("Ground with labels and features"),
                found=_("{} x {} cells, {} blocks of {}").format(height, width, blocks, patch),
                expected=_("at least {} blocks, to part training from test ground by {} cells").format(
                    FEWEST_BLOCKS, halo
                ),
                then=ask,
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


def widen(mask: np.ndarray, cells: int) -> np.ndarray:
    """Grow true cells by `cells` in all eight directions: array (row, col), bool.

    >>> widen(np.array([[0, 0, 0, 1]], bool), 2).astype(int)
    array([[0, 1, 1, 1]])
    """
    for axis in (0, 1):
        length = mask.shape[axis]
        total = np.concatenate(
            [np.zeros_like(mask.take([0], axis), dtype=np.int32), mask.cumsum(axis, dtype=np.int32)], axis
        )
        first = np.clip(np.arange(length) - cells, 0, length)
        last = np.clip(np.arange(length) + cells + 1, 0, length)
        mask = total.take(last, axis) > total.take(first, axis)
    return mask


def part_roles(wanted: np.ndarray, gap: int) -> np.ndarray:
    """Leave a gap between grounds of different use; test ground stays whole, validation and training ground give way.

    wanted : array (row, col), uint8, TRAIN, VALIDATION, TEST or UNUSED
    Returns: array (row, col), uint8; two cells of different use are more than `gap` cells apart
    """
    test = wanted == TEST
    validation = (wanted == VALIDATION) & ~widen(test, gap)
    train = (wanted == TRAIN) & ~widen(test | validation, gap)
    roles = np.zeros(wanted.shape, dtype=np.uint8)
    roles[test], roles[validation], roles[train] = TEST, VALIDATION, TRAIN
    return roles


def lattice(outer: Grid, *, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first rows and columns in `outer` of all windows of `size` cells at absolute multiples of `stride`.

    Returns: two arrays (window), int64; every window lies in `outer` whole
    """
    rows = np.arange(-outer.first_row % stride, outer.height - size + 1, stride)
    cols = np.arange(-outer.first_col % stride, outer.width - size + 1, stride)
    grid_rows, grid_cols = np.meshgrid(rows, cols, indexing="ij")
    return grid_rows.ravel(), grid_cols.ravel()


def count_classes(label: np.ndarray, rows: np.ndarray, cols: np.ndarray, size: int) -> np.ndarray:
    """Count the cells of each class in windows: array (window, class), int64, in the order of CLASSES.

    label : array (row, col), uint8, 0 = not counted
    """
    counts = np.zeros((len(rows), len(CLASSES)), dtype=np.int64)
    for index, land in enumerate(CLASSES):
        total = np.zeros((label.shape[0] + 1, label.shape[1] + 1), dtype=np.int64)
        (label == land.code).cumsum(0, dtype=np.int64).cumsum(1, out=total[1:, 1:])
        counts[:, index] = (
            total[rows + size, cols + size] - total[rows, cols + size] - total[rows + size, cols] + total[rows, cols]
        )
    return counts


def resolve_strata(counts: np.ndarray) -> np.ndarray:
    """Name the stratum of each window: dominant class x bin of the impervious share; a window without labels is 0.

    counts : array (window, class)
    Returns: array (window,), int64, 10 x class + bin

    >>> resolve_strata(np.array([[0, 0, 9, 0], [2, 0, 8, 0], [9, 0, 1, 0], [0, 0, 0, 0]]))
    array([30, 32, 14,  0])
    """
    impervious = [code - 1 for code in DEFINITIONS[DEFAULT_DEFINITION]]
    known = counts.sum(axis=1)
    share = counts[:, impervious].sum(axis=1) / np.maximum(known, 1)
    bins = np.searchsorted(_SHARE_BINS, share, side="left")
    return np.where(known > 0, (counts.argmax(axis=1) + 1) * 10 + bins, 0)


def balance(strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say how often to draw each window, and which weight makes up for it.

    A stratum is drawn in proportion to the square root of its frequency, so that rare ground is seen more often; the weight
    natural / drawn frequency restores the natural share of every class in the loss, without which areas come out too large.

    Returns: two arrays (window,), float64: probability of being drawn, and weight in the loss with mean 1 over draws
    """
    _, index, members = np.unique(strata, return_inverse=True, return_counts=True)
    drawn = (np.sqrt(members) / np.sqrt(members).sum() / members)[index]
    return drawn, (1.0 / len(strata)) / drawn


def turn(array: np.ndarray, way: int) -> np.ndarray:
    """Flip and rotate an array (row, col, ...) in one of the eight ways, 0-7; 0 changes nothing."""
    array = np.rot90(array, way % 4)
    return array[:, ::-1] if way >= 4 else array


@dataclass(frozen=True)
class Ground:
    """Everything that a net learns from, in memory."""

    outer: Grid
    """Grid of the arrays: the ground and a margin without data."""
    features: tuple[np.ndarray, ...]
    """A period each: array (row, col, feature), uint16, 0 = no data."""
    label: np.ndarray
    """Array (row, col), uint8, class 1-4, 0 = no data."""
    roles: np.ndarray
    """Array (row, col), uint8, use of each cell."""

    def cut(self, period: int, row: int, col: int, size: int, role: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut a patch: features (row, col, feature) uint16; class index 0-3 uint8; 1 where a cell counts, else 0, float32.

        A cell counts where it has the role, a label, and all features.
        """
        where = slice(row, row + size), slice(col, col + size)
        x, label = self.features[period][where], self.label[where]
        counts = (self.roles[where] == role) & (label > 0) & (x > 0).all(axis=-1)
        return x, np.where(counts, label - 1, 0).astype(np.uint8), counts.astype(np.float32)

    def cells(self, role: int, period: int = 0) -> int:
        """Count the cells that a role can use in a period."""
        return int(((self.roles == role) & (self.label > 0) & (self.features[period] > 0).all(axis=-1)).sum())


@dataclass(frozen=True)
class Draw:
    """The windows from which training patches are drawn."""

    rows: np.ndarray
    """First row of each window in the ground's arrays."""
    cols: np.ndarray
    """First column of each window."""
    probability: np.ndarray
    """How often each is drawn; sums to 1."""
    weight: np.ndarray
    """Its weight in the loss."""


def resolve_draw(ground: Ground, *, patch: int, anchor: int) -> Draw:
    """List the windows with training cells, half a patch apart, and how to draw them.

    A window with less than an eighth of a patch to learn from is left out, unless all are like that.
    """
    stride = max(anchor, patch // 2 // anchor * anchor)
    rows, cols = lattice(ground.outer, size=patch, stride=stride)
    counts = count_classes(np.where(ground.roles == TRAIN, ground.label, 0), rows, cols, patch)
    known = counts.sum(axis=1)
    keep = known >= patch * patch // 8
    if not keep.any():
        keep = known > 0
    if not keep.any():
        raise TrainingError(
            _("Training ground"),
            found=_("no cell once test and validation ground and their gaps are taken out"),
            expected=_("ground to learn from"),
            then=_("Take more ground, a smaller depth= (a narrower gap), or a smaller test=."),
        )
    probability, weight = balance(resolve_strata(counts[keep]))
    return Draw(rows[keep], cols[keep], probability, weight)


def cut_batch(
    ground: Ground, draw: Draw, rng: np.random.Generator, *, batch: int, patch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a batch of training patches, turned at random.

    Returns: features (patch, row, col, feature) uint16, class index (patch, row, col) uint8, weight (patch, row, col) float32
    """
    chosen = rng.choice(len(draw.rows), size=batch, p=draw.probability)
    parts = []
    for index in chosen:
        period, way = int(rng.integers(len(ground.features))), int(rng.integers(8))
        x, y, counts = ground.cut(period, int(draw.rows[index]), int(draw.cols[index]), patch, TRAIN)
        parts.append((turn(x, way), turn(y, way), turn(counts * np.float32(draw.weight[index]), way)))
    x, y, weight = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return x, y, weight


def role_windows(ground: Ground, role: int, *, size: int, halo: int) -> list[tuple[int, int]]:
    """List the first rows and columns of windows of size + 2 halo cells whose cores of `size` cover all cells of a role.

    Cores lie at absolute multiples of `size`; the ground's margin must be at least size + halo.
    """
    rows, cols = lattice(ground.outer, size=size, stride=size)
    used = count_classes(np.where(ground.roles == role, ground.label, 0), rows, cols, size).sum(axis=1) > 0
    return [(int(row) - halo, int(col) - halo) for row, col in zip(rows[used], cols[used], strict=True)]


def cut_core(
    ground: Ground, period: int, row: int, col: int, *, size: int, halo: int, role: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a window with its halo, as `Ground.cut`; only cells of the core count."""
    x, y, counts = ground.cut(period, row, col, size + 2 * halo, role)
    inner = np.zeros_like(counts)
    inner[halo : halo + size, halo : halo + size] = 1
    return x, y, counts * inner


def feature_scaling(ground: Ground) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each feature over the training cells of all periods, in stored units.

    The deviation is at least 1, so that a feature that never varies does no harm.
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
    """Return the share of each class among labelled cells; zeros where there is none."""
    cells = np.bincount(label[label > 0].ravel(), minlength=len(CLASSES) + 1)[1:]
    return tuple(float(v) for v in cells / max(int(cells.sum()), 1))


def check_classes(label: np.ndarray, *, thing: str) -> None:
    """Raise TrainingError where there are no labels or only one class."""
    present: Sequence[int] = [c.code for c in CLASSES if (label == c.code).any()]
    if len(present) < 2:
        found = f"only class {present[0]}" if present else "no labelled cell with features"
        raise TrainingError(
            thing,
            found=found,
            expected=_("two classes or more"),
            then=_("Take other ground, or other labels or features in r.s2.ard."),
        )
