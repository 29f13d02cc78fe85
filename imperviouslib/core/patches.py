"""Batches of patches and windows for the network: which training patches are drawn, and how they are cut from the ground."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from imperviouslib.core.errors import TrainingError, _
from imperviouslib.core.ground import TRAIN, Ground
from imperviouslib.core.legend import CLASSES, DEFAULT_DEFINITION, DEFINITIONS
from imperviouslib.core.windows import window_corners

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features (patch, row, col, feature) uint16, class index (patch, row, col) uint8, weight (patch, row, col) float32."""
_SHARE_BINS = (0.0, 0.05, 0.2, 0.5)
_WINDOW_BATCH = 4
"""Windows per batch."""


def count_classes(label: np.ndarray, rows: np.ndarray, cols: np.ndarray, size: int) -> np.ndarray:
    """Count the cells of each class in windows: array (window, class), int64, in the order of CLASSES.

    label : array (row, col), uint8, 0 = not counted
    rows, cols : arrays (window,), first row and column of each window
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
    """Return the stratum of each window: dominant class x bin of the impervious share; 0 for a window without labels.

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
    """Return how often to draw each window, and the weight in the loss that compensates for it.

    A stratum is drawn in proportion to the square root of its frequency, so that rare ground is drawn more often. The weight
    natural / drawn frequency restores the natural share of every class in the loss; without it the mapped areas of rare classes would be
    too large.

    Returns: two arrays (window,), float64: probability of being drawn, and weight in the loss with mean 1 over draws
    """
    _, index, members = np.unique(strata, return_inverse=True, return_counts=True)
    drawn = (np.sqrt(members) / np.sqrt(members).sum() / members)[index]
    return drawn, (1.0 / len(strata)) / drawn


@dataclass(frozen=True)
class Draw:
    """The windows from which training patches are drawn."""

    patch: int
    """Cells a side of a patch."""
    rows: np.ndarray
    """Array (window,), first row in the ground's arrays."""
    cols: np.ndarray
    """Array (window,), first column."""
    probability: np.ndarray
    """Array (window,), probability of being drawn; sums to 1."""
    weight: np.ndarray
    """Array (window,), weight in the loss."""
    _until: np.ndarray = field(init=False, repr=False)
    """Array (window,), probability that this window or one before it is drawn: large ground has half a million windows, too many to add up for each batch."""

    def __post_init__(self) -> None:
        total = np.cumsum(self.probability)
        object.__setattr__(self, "_until", total / total[-1])

    def choose(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """Draw windows: array (number,), int64."""
        return self._until.searchsorted(rng.random(number), side="right")


def resolve_draw(ground: Ground, *, patch: int, anchor: int) -> Draw:
    """Return the windows with training cells, half a patch apart, and how to draw them.

    Windows with training cells in less than an eighth of their area are left out, unless there are no others.
    """
    stride = max(anchor, patch // 2 // anchor * anchor)
    rows, cols = window_corners(ground.outer, size=patch, stride=stride)
    counts = count_classes(np.where(ground.roles == TRAIN, ground.label, 0), rows, cols, patch)
    known = counts.sum(axis=1)
    keep = known >= patch * patch // 8
    if not keep.any():
        keep = known > 0
    if not keep.any():
        raise TrainingError(
            _("No training ground is left beside test ground, validation ground and the gaps"),
            then=_("Use a larger region, a smaller depth= for a narrower gap, or a smaller test=."),
        )
    probability, weight = balance(resolve_strata(counts[keep]))
    return Draw(patch, rows[keep], cols[keep], probability, weight)


def flip_rotate(array: np.ndarray, way: int) -> np.ndarray:
    """Flip and rotate an array (row, col, ...) in one of eight ways, 0-7; 0 changes nothing."""
    array = np.rot90(array, way % 4)
    return array[:, ::-1] if way >= 4 else array


def cut_batch(ground: Ground, draw: Draw, rng: np.random.Generator, *, batch: int) -> Batch:
    """Draw a batch of training patches, each flipped and rotated at random. batch : number of patches"""
    chosen = draw.choose(rng, batch)
    periods, ways = rng.integers(len(ground.features), size=batch), rng.integers(8, size=batch)
    turned_rows, turned_cols = _turned(draw.patch)
    rows = draw.rows[chosen][:, np.newaxis, np.newaxis] + turned_rows[ways]
    cols = draw.cols[chosen][:, np.newaxis, np.newaxis] + turned_cols[ways]
    x = np.empty((*rows.shape, ground.features[0].shape[-1]), np.uint16)
    y, weight = np.empty(rows.shape, np.uint8), np.empty(rows.shape, np.float32)
    for period in np.unique(periods):
        some = periods == period
        x[some], y[some], weight[some] = ground.look(int(period), (rows[some], cols[some]), TRAIN)
    return x, y, weight * draw.weight[chosen].astype(np.float32)[:, np.newaxis, np.newaxis]


@functools.cache
def _turned(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the cells of a square, flipped and rotated in all ways: two arrays (way, row, col), int64."""
    rows, cols = (np.stack([flip_rotate(plane, way) for way in range(8)]) for plane in np.indices((size, size)))
    return rows, cols


def role_windows(ground: Ground, role: int, *, size: int, halo: int) -> list[tuple[int, int]]:
    """Return the first row and column of windows of size + 2 halo cells whose cores of `size` cover all cells of a role.

    Cores lie at absolute multiples of `size`; the ground's margin must be at least size + halo.
    """
    rows, cols = window_corners(ground.outer, size=size, stride=size)
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


def role_batches(ground: Ground, role: int, *, size: int, halo: int, periods: Sequence[int]) -> Iterator[Batch]:
    """Yield all windows of a role in these periods, with their halo, batch by batch; weight is 1 where a cell counts, else 0."""
    corners = role_windows(ground, role, size=size, halo=halo)
    wanted = [(period, row, col) for period in periods for row, col in corners]
    for start in range(0, len(wanted), _WINDOW_BATCH):
        parts = [
            cut_core(ground, period, row, col, size=size, halo=halo, role=role)
            for period, row, col in wanted[start : start + _WINDOW_BATCH]
        ]
        x, y, counts = (np.stack(arrays) for arrays in zip(*parts, strict=True))
        yield x, y, counts
