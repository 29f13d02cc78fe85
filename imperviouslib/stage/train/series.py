"""The series model: fitted on the training ground of the U-Net, to series that are spliced from its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core import patches, splice
from imperviouslib.core.card import Scaling, SeriesRecord
from imperviouslib.core.errors import _
from imperviouslib.core.ground import TRAIN, Ground
from imperviouslib.core.legend import ARTIFICIAL
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.edge import grass

_BATCH = 4
"""Windows that are predicted at once."""
_STEPS = 20
"""Batches of the series net for each epoch of the U-Net."""


@dataclass(frozen=True)
class FittedSeries:
    """A series net, and how it was fitted."""

    net: Any
    """Keras model."""
    record: SeriesRecord


def mean_probability(
    probability_of: Callable[[np.ndarray], np.ndarray], ground: Ground, years: list[int], *, size: int, halo: int
) -> np.ndarray:
    """Return the mean over the years of the probability that a cell is artificial: array (row, col), float32, NaN outside training ground.

    years : indices of the ground's features
    size, halo : cells a side of a window, and of its margin
    """
    total = np.zeros(ground.label.shape, np.float32)
    number = np.zeros(ground.label.shape, np.uint8)
    corners = patches.role_windows(ground, TRAIN, size=size, halo=halo)
    for year in years:
        for start in range(0, len(corners), _BATCH):
            some = corners[start : start + _BATCH]
            cut = [ground.features[year][r : r + size + 2 * halo, c : c + size + 2 * halo] for r, c in some]
            found = probability_of(np.stack(cut))[:, halo : halo + size, halo : halo + size, ARTIFICIAL - 1]
            for (row, col), stored, plane in zip(some, cut, found, strict=True):
                known = (stored[halo : halo + size, halo : halo + size] > 0).all(axis=-1)
                core = slice(row + halo, row + halo + size), slice(col + halo, col + halo + size)
                total[core] += np.where(known, plane, 0)
                number[core] += known
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def prune_labels(label: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, float]:
    """Leave out labels that the mean probability of all years contradicts: map errors, and land that had changed by the year of the labels.

    label : array (row, col), uint8, class 1-4, 0 = no data
    mean : array (row, col), float32, as `mean_probability`
    Returns: array (row, col), int8, 1 sealed, 0 not sealed, UNKNOWN; and the share of labels that is kept
    """
    known = (label > 0) & ~np.isnan(mean)
    sealed = label == ARTIFICIAL
    kept = known & (sealed == (mean > SeriesRecord.threshold))
    pruned = np.where(kept, sealed, splice.UNKNOWN).astype(np.int8)
    return pruned, float(kept.sum() / max(known.sum(), 1))


def fit_series(
    probability_of: Callable[[np.ndarray], np.ndarray],
    ground: Ground,
    periods: tuple[str, ...],
    scaling: Scaling,
    settings: TrainSettings,
) -> FittedSeries | None:
    """Fit the series net; None where there are not two years or more, or no training ground of both kinds.

    probability_of : the calibrated U-Net, array (window, row, col, feature) uint16 to (window, row, col, class)
    """
    from imperviouslib.edge import seriesnet

    years = [index for index, period in enumerate(periods) if period.isdigit()]
    if len(years) < 2:
        return None
    mean = mean_probability(probability_of, ground, years, size=settings.window, halo=settings.halo)
    label, kept = prune_labels(np.where(ground.roles == TRAIN, ground.label, 0), mean)
    series = splice.LabelledSeries(
        tuple(ground.features[index] for index in years),
        label,
        ground.roles == TRAIN,
        np.array(scaling.mean),
        np.array(scaling.deviation),
    )
    if not all(len(cells) for cells in series.sources):
        grass.warning(_("The training ground has no sealed cells, or only sealed ones: the model maps no histories."))
        return None
    grass.message(_("Fitting the series model to spliced series of {} years...").format(len(years)))
    steps = _STEPS * settings.epochs
    net, shares = seriesnet.fit(series, seed=settings.seed, steps=steps, patches=settings.batch, progress=grass.percent)
    record = SeriesRecord(
        sha256="",
        years=tuple(int(periods[index]) for index in years),
        shares=tuple(round(float(share), 8) for share in shares),
        kept=round(kept, 6),
        steps=steps,
    )
    return FittedSeries(net, record)
