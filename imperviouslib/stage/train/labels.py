"""Labels that are not believed: those that the mean probability of all periods contradicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from imperviouslib.core import patches
from imperviouslib.core.ground import TRAIN, Ground
from imperviouslib.core.legend import ARTIFICIAL, NODATA

THRESHOLD = 0.5
"""Mean probability from which a label should be artificial."""
_MOST_WRONG = 0.5
"""Share of the labels of sealed land, or of other land, beyond which the probability is not believed, but the labels."""
_BATCH = 4
"""Windows that are predicted at once."""


def mean_probability(
    probability_of: Callable[[np.ndarray], np.ndarray], ground: Ground, periods: Sequence[int], *, size: int, halo: int
) -> np.ndarray:
    """Return the mean over periods of the probability that a cell is artificial: array (row, col), float32, NaN outside training ground.

    probability_of : array (window, row, col, feature) uint16 to (window, row, col, class)
    periods : indices of the ground's features
    size, halo : cells a side of a window, and of its margin
    """
    total = np.zeros(ground.label.shape, np.float32)
    number = np.zeros(ground.label.shape, np.uint8)
    corners = patches.role_windows(ground, TRAIN, size=size, halo=halo)
    for period in periods:
        for start in range(0, len(corners), _BATCH):
            some = corners[start : start + _BATCH]
            cut = [ground.features[period][r : r + size + 2 * halo, c : c + size + 2 * halo] for r, c in some]
            found = probability_of(np.stack(cut))[:, halo : halo + size, halo : halo + size, ARTIFICIAL - 1]
            for (row, col), stored, plane in zip(some, cut, found, strict=True):
                known = (stored[halo : halo + size, halo : halo + size] > 0).all(axis=-1)
                core = slice(row + halo, row + halo + size), slice(col + halo, col + halo + size)
                total[core] += np.where(known, plane, 0)
                number[core] += known
    mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return np.where(ground.roles == TRAIN, mean, np.nan)


def believed(label: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, float]:
    """Leave out the labels of training ground that the mean contradicts: errors of the map, and land that has changed since.

    label : array (row, col), uint8, class 1-4, 0 = no data
    mean : as `mean_probability` gives it; cells of NaN keep their label
    Returns: the labels, 0 where they are left out; and the share of labels with a mean that is kept. All are kept if the mean contradicts most
    of either kind, as that of a net does which has not learnt a rare class yet.
    """
    judged = (label != NODATA) & ~np.isnan(mean)
    sealed = label == ARTIFICIAL
    wrong = judged & (sealed != (mean > THRESHOLD))
    if any((wrong & kind).sum() > _MOST_WRONG * (judged & kind).sum() for kind in (sealed, ~sealed)):
        return label, 1.0
    return np.where(wrong, np.uint8(NODATA), label), 1 - float(wrong.sum()) / max(int(judged.sum()), 1)
