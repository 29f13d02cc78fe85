"""r.unet.train: train a U-Net to classify the land cover of the label year from analysis-ready data.

The recipe: read the ground into memory, split it into blocks, leave out what has probably changed since the labels, fit on random patches,
calibrate on validation ground, fit the series model if there are two years or more, measure the accuracy on test ground, write the model folder. All checks of the input run before TensorFlow is
imported. Of a run that was killed, the next one repeats nothing but what was under way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import ground as grounds
from imperviouslib.core import patches, training
from imperviouslib.core.accuracy import Accuracy, Tally, confusion_table, unmapped
from imperviouslib.core.card import CONTRACT, Calibration, Card, Metrics, Scaling, Split, TrainingRecord
from imperviouslib.core.errors import _
from imperviouslib.core.ground import ROLES, TEST, TRAIN, VALIDATION, Ground
from imperviouslib.core.legend import CLASS_KEYS, CLASSES, NODATA
from imperviouslib.core.network import NetSpec
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.patches import Batch, Draw
from imperviouslib.core.probability import resolve_temperature, softmax
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.core.training import Epoch, FitPlan
from imperviouslib.edge import grass
from imperviouslib.edge.checkpoint import Checkpoint, Checkpoints
from imperviouslib.edge.files import check_place
from imperviouslib.edge.modelfile import check_model_free, write_model
from imperviouslib.stage.train.labels import find_doubtful_step, find_level, find_steps
from imperviouslib.stage.train.places import Data, read_places, split_ground
from imperviouslib.stage.train.series import fit_series

_CALIBRATION_CELLS = 400_000
"""Most validation cells to which the temperature is fitted: one number needs no more."""
_EXAMPLE_SIDE = 128
"""Cells a side of the patch by which engines are compared."""
_BRIEF_EPOCHS, _BRIEF_STEPS, _BRIEF_CELLS = 5, 30, 2**15
"""Epochs of the brief fit of the pixel net, most batches of an epoch, and cells of a batch: it must not depend on the size of the ground."""
_PIXEL_PATCH, _PIXEL_BATCH = 8, 64
"""Cells a side of a patch, and patches per batch, in the long fit of the pixel net: small batches of many places."""
_RECIPE = 4
"""Raised with each change of the recipe, so that a run does not continue what an earlier recipe has begun."""
Net = Callable[[np.ndarray], np.ndarray]
"""Array (patch, row, col, feature) uint16 -> (patch, row, col, class) float32."""


@dataclass(frozen=True)
class Sample:
    """Patches, scaling and class shares of the training ground."""

    draw: Draw
    """The patches."""
    scaling: Scaling
    prior: tuple[float, ...]
    """Share of each class, in the order of CLASSES."""

    @property
    def absent(self) -> tuple[str, ...]:
        """Titles of the classes without a training cell."""
        return tuple(c.title for c, share in zip(CLASSES, self.prior, strict=True) if not share)


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of its best epoch."""

    net: Any
    """Keras model from stored values to logits."""
    plan: FitPlan
    history: Sequence[Epoch]
    best: Epoch


@dataclass(frozen=True)
class Evaluation:
    """Accuracy of the calibrated network."""

    metrics: Metrics
    confusion: np.ndarray
    """Array (reference class, mapped class), int64, cells of test ground in all periods."""


def main(options: Options, flags: Flags) -> int:
    """Run the tool."""
    return run(TrainSettings.parse(options, flags))


def run(settings: TrainSettings) -> int:
    """Train and write the model folder; return the exit status."""
    check_place(settings.output, "output")
    check_model_free(settings.output, overwrite=grass.overwrite())
    settings, data, split = split_ground(read_places(settings), settings)
    sample = sample_ground(data.ground, settings)
    _announce(data, split, sample, settings)

    from imperviouslib.edge import unet  # It imports TensorFlow when it is used.

    if settings.mixed:
        unet.check_bf16()
    validation = list(_windows(data.ground, VALIDATION, settings, periods=range(len(data.periods))))
    checkpoints = Checkpoints.beside(settings.output, _fit_key(data, split, settings, unet.versions()))
    brief = fit_briefly(data, sample, validation, settings, checkpoints.of("brief"))
    lasting = leave_out_changes(data, brief, settings, checkpoints)
    if lasting is not data:
        brief = fit_briefly(lasting, sample, validation, settings, checkpoints.of("brief_again"))
    fitted = fit(lasting, sample, validation, settings, checkpoints)
    pixel = fit_pixels(lasting, sample, validation, settings, checkpoints)
    net = unet.join_nets([fitted.net, pixel])
    temperature, error_before = calibrate(unet.run_net(net), validation)

    level, shift = resolve_level(brief, net, temperature, data, settings, checkpoints)
    calibrated = unet.with_probabilities(net, temperature, shift)
    probability_of = unet.run_net(calibrated)
    series = fit_series(probability_of, data.ground, data.periods, sample.scaling, level, settings, checkpoints)
    # After the last fit: a run that was killed there has nothing else to repeat.
    evaluation = evaluate(probability_of, data, settings)
    calibration = Calibration(
        temperature, error_before, evaluation.metrics.validation[data.periods[0]].calibration_error, level, shift
    )
    card = make_card(settings, data, split, sample, fitted, calibration, evaluation.metrics, unet.versions())
    card = replace(card, series=series.record if series else None)

    from imperviouslib.edge.engine import SERIES, UNET, export_nets
    from imperviouslib.edge.plot import plot_training

    examples = {UNET: (calibrated, probability_of, example_patch(validation, settings))}
    if series:
        examples[SERIES] = (series.net, unet.run_net(series.net), series.example)

    title = f"Training curves, labels of {card.label_year}, features of {', '.join(data.periods)}"
    card = write_model(
        settings.output, card, history=fitted.history, confusion=confusion_table(evaluation.confusion),
        save_net=lambda path: unet.save_net(calibrated, path),
        save_series=(lambda path: unet.save_net(series.net, path)) if series else None,
        export=lambda folder: export_nets(examples, folder),
        save_curves=lambda path: plot_training(path, fitted.history, best_epoch=fitted.best.epoch, title=title),
    )  # fmt: skip
    checkpoints.remove()
    _report(card, settings)
    return 0


def _fit_key(data: Data, split: Split, settings: TrainSettings, versions: Mapping[str, str]) -> str:
    """Return a digest of all that determines the weights."""
    parts = [__version__, CONTRACT, _RECIPE, data.digest, data.periods, asdict(split), asdict(settings), versions]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def sample_ground(ground: Ground, settings: TrainSettings) -> Sample:
    """Choose the training patches, and measure the features and classes of training ground."""
    label = ground.training_label()
    grounds.check_classes(label, thing=_("Training ground"))
    draw = patches.resolve_draw(ground, patch=settings.patch, anchor=settings.anchor)
    return Sample(draw, Scaling(*grounds.feature_scaling(ground)), grounds.class_shares(label))


def _announce(data: Data, split: Split, sample: Sample, settings: TrainSettings) -> None:
    """Tell the user what is trained on."""
    if sample.absent:
        grass.warning(
            _("No training cell has the class: {}. The model cannot learn it.").format(", ".join(sample.absent))
        )
    grass.message(
        _(
            "Training on {} cells, validating on {}, testing on {}. Periods: {}. Blocks of {} x {} cells, gap of {} cells; depth {}, patches of {} cells..."
        ).format(
            *(split.cells[name] for name in ROLES), ", ".join(data.periods), split.block, split.block, split.gap,
            settings.depth, settings.patch,
        )
    )  # fmt: skip


def fit(
    data: Data, sample: Sample, validation: Sequence[Batch], settings: TrainSettings, checkpoints: Checkpoints
) -> Fitted:
    """Build the U-Net and fit it."""
    from imperviouslib.edge import unet

    spec = _net_spec(data, sample, settings)
    grass.message(_("Fitting the U-Net, at most {} epochs...").format(settings.epochs))
    checkpoint = checkpoints.of("unet")
    return _fit(
        lambda: unet.build_unet(spec), data, sample.draw, validation, settings, checkpoint, epochs=settings.epochs
    )


def fit_briefly(
    data: Data, sample: Sample, validation: Sequence[Batch], settings: TrainSettings, checkpoint: Checkpoint
) -> Any:
    """Build a pixel net and fit it briefly: it learns what most labels agree on, so it tells how much land is sealed, and what has changed."""
    grass.message(_("Fitting the net of single cells briefly..."))
    batch = max(1, _BRIEF_CELLS // sample.draw.patch**2)
    how = {"epochs": _BRIEF_EPOCHS, "batch": batch, "most_steps": _BRIEF_STEPS}
    return _fit_pixel_net(data, sample, sample.draw, validation, settings, checkpoint, **how)


def fit_pixels(
    data: Data, sample: Sample, validation: Sequence[Batch], settings: TrainSettings, checkpoints: Checkpoints
) -> Any:
    """Build the pixel net and fit it as long as the U-Net, in small batches."""
    grass.message(_("Fitting the net of single cells..."))
    draw = patches.resolve_draw(data.ground, patch=_PIXEL_PATCH, anchor=1)
    how = {"epochs": settings.epochs, "batch": _PIXEL_BATCH}
    return _fit_pixel_net(data, sample, draw, validation, settings, checkpoints.of("pixel"), **how)


def _fit_pixel_net(
    data: Data,
    sample: Sample,
    draw: Draw,
    validation: Sequence[Batch],
    settings: TrainSettings,
    checkpoint: Checkpoint,
    **how: int,
) -> Any:
    from imperviouslib.edge import unet

    spec = _net_spec(data, sample, settings)
    return _fit(lambda: unet.build_pixel_net(spec), data, draw, validation, settings, checkpoint, **how).net


def leave_out_changes(data: Data, brief: Any, settings: TrainSettings, checkpoints: Checkpoints) -> Data:
    """Take the labels of training cells away that were probably sealed or unsealed in the years of the data; of less than two years none.

    Where there are none, the same data are returned.

    brief : Keras model of logits
    """
    from imperviouslib.edge import unet

    ground, years = data.ground, [index for index, period in enumerate(data.periods) if period.isdigit()]
    if len(years) < 2:
        return data

    def find() -> dict[str, Any]:
        probability_of = unet.run_net(unet.with_probabilities(brief, 1.0))
        return {"steps": find_steps(probability_of, ground, years, size=settings.window, halo=settings.halo)}

    steps = checkpoints.of("changed").once(find)["steps"]
    changed, cells = np.count_nonzero(steps), np.count_nonzero(ground.training_label())
    grass.message(
        _("Left out of the fits, because the land has probably changed: {} of {} training cells.").format(
            changed, cells
        )
    )
    after = find_doubtful_step(steps, cells)
    if after is not None:
        grass.warning(
            _(
                "{:.0f} % of the training cells seem to have changed, most of them between {} and {}. So much is not likely. Look at the composites of these years: haze, snow or a wrong offset looks like this. Leave a year out with years= if it is wrong."
            ).format(100 * changed / cells, data.periods[years[after - 1]], data.periods[years[after]])
        )
    if not changed:
        return data
    return replace(data, ground=replace(ground, label=np.where(steps == 0, ground.label, np.uint8(NODATA))))


def _net_spec(data: Data, sample: Sample, settings: TrainSettings) -> NetSpec:
    scaling = sample.scaling
    return NetSpec(len(data.features), scaling.mean, scaling.deviation, settings.depth, settings.filters)


def _fit(
    build: Callable[[], Any],
    data: Data,
    draw: Draw,
    validation: Sequence[Batch],
    settings: TrainSettings,
    checkpoint: Checkpoint,
    *,
    epochs: int,
    batch: int | None = None,
    most_steps: int = 1000,
) -> Fitted:
    """Build a net and fit it to patches of a draw.

    batch : patches per batch; default: that of the settings
    most_steps : batches of an epoch
    """
    from imperviouslib.edge import unet

    ground, batch = data.ground, batch or settings.batch
    cells = sum(ground.cells(TRAIN, index) for index in range(len(data.periods)))
    steps = training.resolve_steps(cells, periods=len(data.periods), patch=draw.patch, batch=batch)
    plan = FitPlan(epochs, min(steps, most_steps), settings.seed)

    def drawn(rng: np.random.Generator) -> Batch:
        return patches.cut_batch(ground, draw, rng, batch=batch)

    # Seeding comes before building, which draws the first weights.
    unet.seed_everything(settings.seed)
    with unet.mixed_precision() if settings.mixed else nullcontext():
        net = build()
    history = unet.fit(net, plan, drawn, validation, grass.percent, checkpoint)
    if settings.mixed:
        # The weights are in float32 anyway, and maps are computed in it.
        weights, net = net.get_weights(), build()
        net.set_weights(weights)
    return Fitted(net, plan, history, training.best_epoch(history))


def _windows(ground: Ground, role: int, settings: TrainSettings, *, periods: Sequence[int]) -> Iterator[Batch]:
    """Yield the windows of a role in these periods, batch by batch."""
    return patches.role_batches(ground, role, size=settings.window, halo=settings.halo, periods=periods)


def example_patch(validation: Sequence[Batch], settings: TrainSettings) -> np.ndarray:
    """Return a part of the validation ground by which engines are compared: array (1, row, col, feature), uint16."""
    side = max(settings.anchor, _EXAMPLE_SIDE // settings.anchor * settings.anchor)
    return validation[0][0][:1, :side, :side]


def calibrate(logits_of: Net, validation: Sequence[Batch]) -> tuple[float, float]:
    """Fit the temperature on validation ground; return it with the calibration error before."""
    logits, reference, before = [], [], Tally()
    stride = max(1, sum(int(counts.sum()) for _x, _y, counts in validation) // _CALIBRATION_CELLS)
    for x, y, counts in validation:
        values, known = logits_of(x)[counts > 0], y[counts > 0]
        before.add(softmax(values), known)
        logits.append(values[::stride])
        reference.append(known[::stride])
    temperature = resolve_temperature(np.concatenate(logits), np.concatenate(reference))
    return temperature, round(before.calibration_error or 0.0, 6)


def resolve_level(
    brief: Any, joint: Any, temperature: float, data: Data, settings: TrainSettings, checkpoints: Checkpoints
) -> tuple[float, float]:
    """Return the share of sealed land that the maps of the training ground get, and the shift that gives it; tell the user.

    brief, joint : Keras models of logits: the pixel net that was fitted briefly, and the net of the maps
    """
    from imperviouslib.edge import unet

    def measure() -> dict[str, Any]:
        nets = (unet.run_net(unet.with_probabilities(n, t)) for n, t in ((brief, 1.0), (joint, temperature)))
        size, halo = settings.window, settings.halo
        level, shift, labelled = find_level(*nets, data.ground, len(data.periods), size=size, halo=halo)
        return {"level": level, "shift": shift, "labelled": labelled}

    found = checkpoints.of("level").once(measure)
    level, shift, labelled = (round(float(found[key]), 6) for key in ("level", "shift", "labelled"))
    grass.message(
        _(
            "Of the training ground, or a part of it, {:.1f} % are sealed by the labels, and {:.1f} % in the maps: the log-odds are shifted by {:+.2f}."
        ).format(100 * labelled, 100 * level, shift)
    )
    return level, shift


def evaluate(probability_of: Net, data: Data, settings: TrainSettings) -> Evaluation:
    """Measure the accuracy on validation and test ground, period by period."""
    metrics: dict[int, dict[str, Accuracy]] = {VALIDATION: {}, TEST: {}}
    confusion = Tally().confusion
    for role, accuracies in metrics.items():
        for index, period in enumerate(data.periods):
            tally = Tally()
            for x, y, counts in _windows(data.ground, role, settings, periods=(index,)):
                tally.add(probability_of(x)[counts > 0], y[counts > 0])
            accuracies[period] = tally.accuracy()
            if role == TEST:
                confusion += tally.confusion
    return Evaluation(Metrics(metrics[VALIDATION], metrics[TEST]), confusion)


def make_card(
    settings: TrainSettings,
    data: Data,
    split: Split,
    sample: Sample,
    fitted: Fitted,
    calibration: Calibration,
    metrics: Metrics,
    versions: Mapping[str, str],
) -> Card:
    """Describe the model; the checksum of its network is added when it is written.

    versions : what `unet.versions` returns
    """
    return Card(
        version=__version__, features=data.features, scaling=sample.scaling, res_m=data.res_m, patch=settings.patch,
        depth=settings.depth, filters=settings.filters, halo=settings.halo, anchor=settings.anchor, split=split,
        seed=settings.seed, years=tuple(sorted({int(period[:4]) for period in data.periods})), label_year=data.label_year,
        legend=data.legend, ard_digest=data.digest, metrics=metrics,
        prior={key: round(share, 6) for key, share in zip(CLASS_KEYS, sample.prior, strict=True)}, calibration=calibration,
        settings=TrainingRecord(
            periods=data.periods, epochs=settings.epochs, epochs_run=len(fitted.history), epoch_kept=fitted.best.epoch,
            batch=settings.batch, steps=fitted.plan.steps, learning_rate=fitted.plan.rate, absent_classes=sample.absent,
            precision="mixed_bfloat16" if settings.mixed else "float32",
            **versions,
        ),
    )  # fmt: skip


def _report(card: Card, settings: TrainSettings) -> None:
    """Print the accuracy on test ground."""
    folder, tests = str(settings.output), card.metrics.test
    if missing := unmapped(tests):
        grass.warning(
            _(
                "The model found no cell of these classes on the test ground, which has some: {}. Maps will hold hardly any. Train for more "
                "epochs=, or on more ground that has them."
            ).format(", ".join(missing))
        )
    if settings.format == "json":
        figures = {period: asdict(accuracy) for period, accuracy in tests.items()}
        print(
            json.dumps({"model": folder, "sha256": card.model_sha256, "test": figures, "split": dict(card.split.cells)})
        )
        return
    for period, accuracy in tests.items():
        print(
            f"Test ground, {period}: {accuracy.cells} cells, overall accuracy {accuracy.overall_accuracy:.3f}, "
            f"calibration error {accuracy.calibration_error:.3f}"
        )
        print(f"{'class':<12}{'cells':>10}{'IoU':>8}{'user':>8}{'producer':>10}{'area bias':>12}")
        for key, row in accuracy.classes.items():
            print(
                f"{key:<12}{row.reference_cells:>10}{_figure(row.iou, 8)}{_figure(row.users_accuracy, 8)}"
                f"{_figure(row.producers_accuracy, 10)}{_figure(row.area_bias_pct, 10, 1)} %"
            )
    print(
        f"Model '{folder}': epoch {card.settings.epoch_kept} kept, of {card.settings.epochs_run}, "
        f"sha256 {card.model_sha256[:12]}"
    )


def _figure(value: float | None, width: int, digits: int = 3) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"
