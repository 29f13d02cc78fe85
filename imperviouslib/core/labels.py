"""Labels on the grid: the majority class of each cell, its purity, and the share of each class.

Classes are counted after reclassification, so that towns and quarries add up before they compete with fields. Where two classes are equally
frequent, a hash of the cell's absolute row and column decides: no class is favoured, and the result does not depend on the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES, NODATA

TIES = ("balanced", "lowest", "highest")
"""Which of the equally frequent classes a cell gets: one by the hash, that of the lowest code, or of the highest."""
NO_SHARE = 255
"""In purity and shares: no data."""
_FINEST = 20
"""Most pixels read per cell and side."""


@dataclass(frozen=True)
class Labels:
    """Labels of the cells of one part of the grid."""

    label: np.ndarray
    """(row, col), uint8, class 1-4, 0 = no data: fewer than half of the cell's pixels are known."""
    purity: np.ndarray
    """(row, col), uint8, share of the label's class among the known pixels, per cent, 255 = no data."""
    shares: np.ndarray
    """(class, row, col), uint8, share of each class among the known pixels, per cent, 255 = no data."""
    tied: int
    """Cells with a label in which two or more classes were equally frequent."""

    def without(self, drop: np.ndarray) -> Labels:
        """Return the labels with no data where a mask (row, col) is true."""
        return Labels(
            np.where(drop, NODATA, self.label).astype(np.uint8),
            np.where(drop, NO_SHARE, self.purity).astype(np.uint8),
            np.where(drop, NO_SHARE, self.shares).astype(np.uint8),
            self.tied,
        )


def tie_hash(part: Grid) -> np.ndarray:
    """Return a hash for each cell that depends only on its absolute row and column.

    Returns: array (row, col), uint64 (finalizer of SplitMix64, Steele et al. 2014, over both indices)
    """
    rows = (part.first_row + np.arange(part.height, dtype=np.int64)).astype(np.uint64)[:, np.newaxis]
    cols = (part.first_col + np.arange(part.width, dtype=np.int64)).astype(np.uint64)[np.newaxis, :]
    with np.errstate(over="ignore"):
        z = rows * np.uint64(0x9E3779B97F4A7C15) + cols * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def resolve_factor(res_m: int, pixel_m: float) -> int:
    """Return how many pixels per cell and side to read from a map: the largest number that divides the cell into whole metres.

    >>> resolve_factor(20, 10), resolve_factor(20, 100), resolve_factor(20, 0.5), resolve_factor(20, 7)
    (2, 1, 20, 2)
    """
    finest = min(_FINEST, max(1, round(res_m / pixel_m)))
    return next(factor for factor in range(finest, 0, -1) if res_m % factor == 0)


def majority(classes: np.ndarray, part: Grid, factor: int, ties: str = "balanced") -> Labels:
    """Aggregate classes of finer pixels to the cells of `part`.

    classes : array (row * factor, col * factor), 1-4, 0 = no data
    factor : int, pixels a cell and side
    ties : balanced (by hash), lowest or highest class

    >>> two = np.array([[1, 3], [3, 1]], "u1")
    >>> [majority(two, Grid(0, 0, 20, 20), 2, t).label.item() for t in ("lowest", "highest")]
    [1, 3]
    """
    counts = np.zeros((len(CLASSES), *part.shape), np.int32)
    for row in range(factor):
        for col in range(factor):
            pixels = classes[row::factor, col::factor]
            for count, c in zip(counts, CLASSES, strict=True):
                count += pixels == c.code
    known = counts.sum(axis=0)
    most = counts.max(axis=0)
    leading = (counts == most) & (most > 0)
    leaders = leading.sum(axis=0)
    if ties == "lowest":
        place = np.zeros(part.shape, np.int64)
    elif ties == "highest":
        place = np.maximum(leaders - 1, 0).astype(np.int64)
    elif ties == "balanced":
        place = (tie_hash(part) % np.maximum(leaders, 1).astype(np.uint64)).astype(np.int64)
    else:
        raise ValueError(f"ties '{ties}', expected one of {', '.join(TIES)}")
    # Choose the class whose rank among the leaders equals `place`.
    rank = np.cumsum(leading, axis=0) - 1
    index = np.argmax(leading & (rank == place), axis=0)
    valid = (known * 2 >= factor * factor) & (known > 0)
    codes = np.array([c.code for c in CLASSES], np.uint8)

    def percent(count: np.ndarray) -> np.ndarray:
        return np.where(valid, np.rint(100 * count / np.maximum(known, 1)), NO_SHARE).astype(np.uint8)

    return Labels(
        np.where(valid, codes[index], NODATA).astype(np.uint8),
        percent(most),
        np.stack([percent(count) for count in counts]),
        int(np.count_nonzero(valid & (leaders > 1))),
    )
