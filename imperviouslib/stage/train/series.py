"""The series model: fitted on the training ground of the U-Net, to series that are spliced from its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from imperviouslib.core import series, splice
from imperviouslib.core.card import Scaling, SeriesRecord
from imperviouslib.core.errors import _
from imperviouslib.core.ground import TRAIN, Ground
from imperviouslib.core.legend import ARTIFICIAL, NATURAL, NODATA
from imperviouslib.core.probability import log_odds
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.edge import grass
from imperviouslib.edge.checkpoint import Checkpoints
from imperviouslib.stage.train.labels import believed, mean_probability

_STEPS, _PATCHES = 20, 8
"""Batches of the series net for each epoch of the U-Net, and patches that each is drawn from."""


@dataclass(frozen=True)
class FittedSeries:
    """A series net, and how it was fitted."""

    net: Any
    """Keras model."""
    record: SeriesRecord
    example: np.ndarray
    """Cells of spliced series as the net sees them, array (cell, plane), float32."""


_EXAMPLES = 500
"""Cells of that."""


def fit_series(
    probability_of: Callable[[np.ndarray], np.ndarray],
    ground: Ground,
    periods: tuple[str, ...],
    scaling: Scaling,
    level: float,
    settings: TrainSettings,
    checkpoints: Checkpoints,
) -> FittedSeries | None:
    """Fit the series net; None where there are not two years or more, or no training ground of both kinds.

    probability_of : the calibrated network, array (window, row, col, feature) uint16 to (window, row, col, class)
    level : share of sealed land that its probabilities assume
    checkpoints : where the state is saved, and from where a run that was killed continues
    """
    from imperviouslib.edge import seriesnet

    years = [index for index, period in enumerate(periods) if period.isdigit()]
    if len(years) < 2:
        return None
    taught = checkpoints.of("series_labels").once(lambda: _label_series(probability_of, ground, years, level, settings))
    label, kept = taught["label"], float(taught["kept"])
    examples = splice.LabelledSeries(
        tuple(ground.features[index] for index in years),
        np.where(label > 0, label == ARTIFICIAL, splice.UNKNOWN).astype(np.int8),
        ground.roles == TRAIN,
        np.array(scaling.mean),
        np.array(scaling.deviation),
        bare=label == NATURAL,
        begun=taught["begun"],
    )
    if not all(len(cells) for cells in examples.sources):
        grass.warning(_("The training ground has no sealed cells, or only sealed ones: the model maps no histories."))
        return None
    grass.message(_("Fitting the series model to spliced series of {} years...").format(len(years)))
    steps = _STEPS * settings.epochs
    net, shares = seriesnet.fit(
        examples, seed=settings.seed, steps=steps, patches=_PATCHES, progress=grass.percent,
        checkpoint=checkpoints.of("series"),
    )  # fmt: skip
    record = SeriesRecord(
        sha256="",
        years=tuple(int(periods[index]) for index in years),
        shares=tuple(round(float(share), 8) for share in shares),
        kept=round(kept, 6),
        steps=steps,
    )
    return FittedSeries(net, record, _example(examples, settings.seed))


def _example(examples: splice.LabelledSeries, seed: int) -> np.ndarray:
    """Draw the cells by which engines are compared. A patch may have no known cell at all, so several are tried."""
    drawn = (splice.draw_examples(examples, np.random.default_rng([seed, number])).features for number in count())
    found = next(one for one in drawn if one.size)
    return np.concatenate(np.moveaxis(found, 1, 2))[:_EXAMPLES]


def _label_series(
    probability_of: Callable[[np.ndarray], np.ndarray],
    ground: Ground,
    years: Sequence[int],
    level: float,
    settings: TrainSettings,
) -> Mapping[str, np.ndarray]:
    """Look at the yearly maps of the training ground for what its labels do not say.

    years : indices of the ground's features
    Returns: `label`, the labels that the maps do not contradict, of cells that have not probably changed; `kept`, their share; `begun`, the sites that began, as LabelledSeries.begun
    """
    yearly = np.stack(
        [mean_probability(probability_of, ground, [year], size=settings.window, halo=settings.halo) for year in years]
    )
    label = ground.training_label()
    step = series.likely_steps(log_odds(yearly), level)
    begun = np.where((label == NODATA) | (label == ARTIFICIAL), np.int8(0), np.maximum(step, 0))
    # What has changed is no example of land that does not: where much changes, the net would learn that this is how stable land looks.
    stable = np.where(step == 0, label, np.uint8(NODATA))
    seen = ~np.isnan(yearly)
    mean = np.where(seen.any(axis=0), np.nansum(yearly, axis=0) / np.maximum(seen.sum(axis=0), 1), np.nan)
    left = believed(stable, mean.astype(np.float32))
    kept = np.count_nonzero(left) / max(1, np.count_nonzero(label))
    return {"label": left, "kept": np.array(kept), "begun": begun}
