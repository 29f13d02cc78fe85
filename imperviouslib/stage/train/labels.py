"""What probabilities of all periods say of the labels: which they contradict, where the land has changed since, and how much is sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from imperviouslib.core import patches
from imperviouslib.core.ground import TRAIN, Ground
from imperviouslib.core.legend import ARTIFICIAL, NODATA
from imperviouslib.core.probability import log_odds, resolve_shift
from imperviouslib.core.series import likely_steps

THRESHOLD = 0.5
"""Mean probability from which a label should be artificial."""
_MOST_WRONG = 0.5
"""Share of the labels of sealed land, or of other land, beyond which the probability is not believed, but the labels."""
_MOST_CHANGED = 0.1
"""Share of land beyond which change is not believed: where towns grow by 3 % a year, ten times as much as usual, 5 % of land changes in seven years."""
_BATCH = 4
"""Windows that are predicted at once."""
_LEVEL_CELLS = 4_000_000
"""Cells of all periods, about, from which the level is measured."""
Net = Callable[[np.ndarray], np.ndarray]
"""Array (window, row, col, feature) uint16 -> (window, row, col, class) probabilities."""


def mean_probability(
    probability_of: Net, ground: Ground, periods: Sequence[int], *, size: int, halo: int
) -> np.ndarray:
    """Return the mean over periods of the probability that a cell is artificial: array (row, col), float32, NaN outside training ground.

    periods : indices of the ground's features
    size, halo : cells a side of a window, and of its margin
    """
    corners = patches.role_windows(ground, TRAIN, size=size, halo=halo)
    return _mean(_planes(probability_of, ground, corners, periods, size=size, halo=halo), ground)


def find_steps(probability_of: Net, ground: Ground, years: Sequence[int], *, size: int, halo: int) -> np.ndarray:
    """Tell by the step test where and when training ground was probably sealed or unsealed: array (row, col), int8, as of `likely_steps`.

    Its labels are true in one year only, and a net that is fitted long to the looks of all years learns that new sealed land is none.

    probability_of : the net that was fitted briefly, and so has hardly learnt this
    years : indices of the ground's features
    """
    yearly = np.stack([mean_probability(probability_of, ground, [year], size=size, halo=halo) for year in years])
    label = ground.training_label()
    return likely_steps(log_odds(yearly), float((label[label > 0] == ARTIFICIAL).mean()))


def find_doubtful_step(steps: np.ndarray, cells: int) -> int | None:
    """Return the number of the year from which on most of the steps are, if more land steps than can have changed; else None.

    steps : as of `likely_steps`
    cells : cells that were judged
    """
    changed = np.abs(steps[steps != 0])
    return int(np.bincount(changed).argmax()) if len(changed) > _MOST_CHANGED * cells else None


def find_level(
    brief: Net, joint: Net, ground: Ground, periods: int, *, size: int, halo: int
) -> tuple[float, float, float]:
    """Find the share of sealed land that the maps of the training ground get, and the shift of log-odds that gives it to them.

    Long fits learn the errors of the labels too, and 10 m labels call gardens and edges sealed. A brief fit has learnt what most labels agree
    on, so the cells that its mean over all periods calls sealed tell the level; the long fits tell better which cells these are.

    brief, joint : the net that was fitted briefly, and that of the maps
    periods : number of the ground's periods
    Returns: share, shift, and the share of sealed land that the labels of the same cells have: large ground is judged by a part of its windows.
    The shift is 0 where the brief fit contradicts most labels. The share is what the maps have after the shift, which is bounded.
    """
    corners = patches.role_windows(ground, TRAIN, size=size, halo=halo)
    corners = corners[:: max(1, round(len(corners) * periods * size**2 / _LEVEL_CELLS))]
    every = range(periods)
    mean = _mean(_planes(brief, ground, corners, every, size=size, halo=halo), ground)
    sealed = mean[~np.isnan(mean)] > THRESHOLD
    judged, wrong = _compare(ground.label, mean)
    found = [plane[~np.isnan(plane)] for _core, plane in _planes(joint, ground, corners, every, size=size, halo=halo)]
    logit = log_odds(np.concatenate(found))
    shift = 0.0 if _is_mostly(wrong, judged, ground.label) else resolve_shift(logit, float(sealed.mean()))
    return float((logit + shift > 0).mean()), shift, float((ground.label[judged] == ARTIFICIAL).mean())


Core = tuple[slice, slice]
"""Rows and columns of the ground's arrays."""


def _planes(
    probability_of: Net,
    ground: Ground,
    corners: Sequence[tuple[int, int]],
    periods: Sequence[int],
    *,
    size: int,
    halo: int,
) -> Iterator[tuple[Core, np.ndarray]]:
    """Yield windows of training ground, period by period, with the probability that a cell is artificial, float32; NaN where that is not known."""
    for period in periods:
        for start in range(0, len(corners), _BATCH):
            some = corners[start : start + _BATCH]
            cut = [ground.features[period][r : r + size + 2 * halo, c : c + size + 2 * halo] for r, c in some]
            found = probability_of(np.stack(cut))[:, halo : halo + size, halo : halo + size, ARTIFICIAL - 1]
            for (row, col), stored, plane in zip(some, cut, found, strict=True):
                core = slice(row + halo, row + halo + size), slice(col + halo, col + halo + size)
                known = (stored[halo : halo + size, halo : halo + size] > 0).all(axis=-1) & (
                    ground.roles[core] == TRAIN
                )
                yield core, np.where(known, plane, np.float32(np.nan))


def _mean(planes: Iterator[tuple[Core, np.ndarray]], ground: Ground) -> np.ndarray:
    """Return the mean of planes in each cell: array (row, col), float32, NaN where there is none."""
    total = np.zeros(ground.label.shape, np.float32)
    number = np.zeros(ground.label.shape, np.uint16)
    for core, plane in planes:
        known = ~np.isnan(plane)
        total[core] += np.where(known, plane, 0)
        number[core] += known
    return np.where(number > 0, total / np.maximum(number, 1), np.float32(np.nan))


def believed(label: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Leave out the labels of training ground that the mean contradicts: errors of the map, and land that has changed since.

    label : array (row, col), uint8, class 1-4, 0 = no data
    mean : as `mean_probability` gives it; cells of NaN keep their label
    Returns: the labels, 0 where they are left out. All are kept if the mean contradicts most of either kind, as that of a net does which has
    not learnt a rare class yet.
    """
    judged, wrong = _compare(label, mean)
    return label if _is_mostly(wrong, judged, label) else np.where(wrong, np.uint8(NODATA), label)


def _compare(label: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels have a mean, and which of these it contradicts: arrays (row, col), bool."""
    judged = (label != NODATA) & ~np.isnan(mean)
    return judged, judged & ((label == ARTIFICIAL) != (mean > THRESHOLD))


def _is_mostly(wrong: np.ndarray, judged: np.ndarray, label: np.ndarray) -> bool:
    """Tell whether most labels of sealed land, or of other land, are contradicted: then the net has not learnt what sealed land is."""
    sealed = label == ARTIFICIAL
    return any((wrong & kind).sum() > _MOST_WRONG * (judged & kind).sum() for kind in (sealed, ~sealed))
