"""r.unet.train: learn the classes of the label year from analysis-ready data.

The recipe: read the ground into memory, part it by blocks, fit on random patches, calibrate on validation ground, judge on test
ground, write the model folder. Everything that can be refused is refused before TensorFlow is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import patches
from imperviouslib.core.accuracy import Tally, confusion_table, resolve_temperature, softmax
from imperviouslib.core.card import Card
from imperviouslib.core.errors import InputError, TrainingError, _
from imperviouslib.core.legend import CLASS_KEYS, CLASSES
from imperviouslib.core.options import parse_years
from imperviouslib.core.patches import TEST, TRAIN, VALIDATION, Ground
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.files import check_place
from imperviouslib.edge.modelfile import check_model_free, write_model
from imperviouslib.edge.split import split_blocks

_WINDOW = 256
"""Cells a side of validation and test windows at least, without halo."""
_WINDOW_BATCH = 4
_CALIBRATION_CELLS = 400_000
"""Validation cells at most that the temperature is fitted to: one number needs no more."""


def main(options: dict[str, str], flags: dict[str, bool]) -> int:
    """Run the tool."""
    patch, depth, filters = int(options["patch"]), int(options["depth"]), int(options["filters"])
    epochs, batch, seed, test = (
        int(options["epochs"]),
        int(options["batch"]),
        int(options["seed"]),
        float(options["test"]),
    )
    anchor, halo = patches.net_anchor(depth), patches.net_halo(depth)
    if patch % anchor:
        raise InputError(
            _("Option <patch>"),
            found=str(patch),
            expected=_("a multiple of 2^depth = {} cells").format(anchor),
            then=_("Take {}.").format(max(anchor, patch // anchor * anchor)),
        )
    # Validation and test windows are larger than patches: less of them is halo.
    size = patch * max(1, _WINDOW // patch)
    folder = Path(options["output"]).expanduser()
    check_place(folder, "output")
    check_model_free(folder, overwrite=grass.overwrite())
    with ArdFile.open(options["input"]) as ard:
        periods = _resolve_periods(ard, options["years"])
        ground = _read_ground(ard, periods, margin=halo, unit=size)
        described = {
            "features": ard.features, "res_m": ard.grid.res_m, "label_year": ard.label_year, "legend": ard.legend,
            "ard_digest": ard.digest,
        }  # fmt: skip
    thing = f"File '{options['input']}' within the current region"
    patches.check_classes(_usable(ground), thing=thing)
    ground, split = _part(ground, patch=patch, halo=halo, test=test, seed=seed)
    for index, period in enumerate(periods):
        _check_cells(ground, index, period)
    patches.check_classes(np.where(ground.roles == TRAIN, _usable(ground), 0), thing="Training ground")
    draw = patches.resolve_draw(ground, patch=patch, anchor=anchor)
    mean, deviation = patches.feature_scaling(ground)
    shares = patches.class_shares(np.where(ground.roles == TRAIN, _usable(ground), 0))
    absent = [c.title for c, share in zip(CLASSES, shares, strict=True) if not share]
    if absent:
        grass.warning(f"No training cell of: {', '.join(absent)}. The model knows the class but has never seen it.")
    grass.message(
        f"Training on {split['cells']['training']} cells, validating on {split['cells']['validation']}, "
        f"testing on {split['cells']['test']} of {', '.join(periods)}; blocks of {split['block']} cells, gap {halo}..."
    )

    from imperviouslib.edge import unet  # TensorFlow comes with its first call.

    unet.seed_everything(seed)
    net = unet.build_unet(unet.NetSpec(len(described["features"]), mean, deviation, depth, filters))
    validation = list(_batches(ground, VALIDATION, size=size, halo=halo))
    cells = sum(ground.cells(TRAIN, index) for index in range(len(periods)))
    # An epoch sees about twice as much ground as there is, in whichever period, and is never so short that its validation tells little.
    steps = int(np.clip(2 * cells // len(periods) // (patch * patch * batch), 12, 1000))
    plan = unet.FitPlan(epochs, steps, seed)
    history = unet.fit(
        net,
        plan,
        lambda rng: patches.cut_batch(ground, draw, rng, batch=batch, patch=patch),
        validation,
        grass.percent,
    )
    best = min(history, key=lambda row: row["val_loss"])
    if not np.isfinite(best["val_loss"]):
        raise TrainingError(
            _("Training"),
            found=_("a loss that is no number"),
            expected=_("one that falls"),
            then=_("Try another seed=, or fewer filters=."),
        )

    run = unet.run_net(net)
    temperature, before = _calibrate(run, validation)
    calibrated = unet.with_probabilities(net, temperature)
    run = unet.run_net(calibrated)
    metrics, whole = {}, Tally()
    for name, role in (("validation", VALIDATION), ("test", TEST)):
        metrics[name] = {}
        for index, period in enumerate(periods):
            tally = Tally()
            for x, y, counts in _batches(ground, role, size=size, halo=halo, periods=(index,)):
                tally.add(run(x)[counts > 0], y[counts > 0])
            metrics[name][period] = tally.summary()
            if role == TEST:
                whole.confusion += tally.confusion
    after = metrics["validation"][periods[0]]["calibration_error"]

    from imperviouslib.edge.plot import plot_training

    card = Card(
        version=__version__,
        scaling={"mean": list(mean), "deviation": list(deviation), "nodata": 0, "where": "inside the net"},
        patch=patch, depth=depth, filters=filters, halo=halo, anchor=anchor, split=split, seed=seed,
        years=tuple(sorted({int(period[:4]) for period in periods})), metrics=metrics,
        prior={key: round(share, 6) for key, share in zip(CLASS_KEYS, shares, strict=True)},
        calibration={"temperature": temperature, "error_before": before, "error_after": after, "ground": "validation"},
        settings={
            "periods": list(periods), "epochs": epochs, "epochs_run": len(history), "epoch_kept": best["epoch"],
            "batch": batch, "steps": steps, "learning_rate": plan.rate, "absent_classes": absent, **unet.versions(),
        },
        **described,
    )  # fmt: skip
    title = f"Training curves, labels of {card.label_year}, features of {', '.join(periods)}"
    card = write_model(
        folder, card, save_net=lambda path: unet.save_net(calibrated, path), history=history,
        save_curves=lambda path: plot_training(path, history, best_epoch=int(best["epoch"]), title=title),
        confusion=confusion_table(whole.confusion),
    )  # fmt: skip
    _report(card, periods, folder, options["format"])
    return 0


def _resolve_periods(ard: ArdFile, text: str) -> tuple[str, ...]:
    """Choose the periods whose features are trained on: all, or those of the years asked for.

    The labels are those of one year, but the land changes by a fraction of a per cent a year, while weather and phenology change the
    picture of all of it: a net that saw one year alone maps another year's dry fields as sealed.
    """
    if ard.label_year is None:
        raise TrainingError(
            _("File '{}'").format(ard.path),
            found=_("no labels"),
            expected=_("labels of one year"),
            then=_("Write it again with labels= of r.s2.ard."),
        )
    years = parse_years(text) if text else ard.years
    periods = tuple(period for period, year in zip(ard.periods, ard.years, strict=True) if year in years)
    missing = sorted({*years, *(() if text else (ard.label_year,))} - set(ard.years))
    if missing:
        raise TrainingError(
            _("File '{}'").format(ard.path),
            found=_("no features of {}").format(missing[0]) + ("" if text else _(", the year of the labels")),
            expected=_("features of the years to train on, here ") + ", ".join(map(str, sorted(set(ard.years)))),
            then=_("Give years= that it has, or write it again with r.s2.ard."),
        )
    return periods


def _read_ground(ard: ArdFile, periods: tuple[str, ...], *, margin: int, unit: int) -> Ground:
    """Read the part of the file within the current region into memory, with a margin without data."""
    part = patches.resolve_part(ard.grid, grass.region_grid(ard.grid.res_m), name=str(ard.path))
    outer = part.snapped_out(unit).grown(margin)
    inside = part.slices_in(outer)
    features = []
    for period in periods:
        # The net's batches have the feature last, and cutting patches from such an array is more than twice as fast.
        plane = np.zeros((*outer.shape, len(ard.features)), dtype=np.uint16)
        plane[inside] = np.moveaxis(ard.read(period, part), 0, -1)
        features.append(plane)
    label = np.zeros(outer.shape, dtype=np.uint8)
    label[inside] = ard.read_label(part)
    return Ground(outer, tuple(features), label, np.zeros(outer.shape, dtype=np.uint8))


def _usable(ground: Ground) -> np.ndarray:
    """Return the labels of cells that have all features in some period: array (row, col), uint8, 0 = cannot be used."""
    seen = np.zeros(ground.label.shape, dtype=bool)
    for features in ground.features:
        seen |= (features > 0).all(axis=-1)
    return np.where(seen, ground.label, 0)


def _part(ground: Ground, *, patch: int, halo: int, test: float, seed: int) -> tuple[Ground, dict]:
    """Part the ground into training, validation and test blocks with gaps as wide as the halo; say how."""
    label = _usable(ground)
    block = patches.resolve_block(label, ground.outer, patch=patch, halo=halo)
    numbers = patches.block_numbers(ground.outer, block)
    rows, cols = patches.lattice(ground.outer, size=patch, stride=patch)
    counts = patches.count_classes(label, rows, cols, patch)
    used = counts.sum(axis=1) > 0
    rows, cols, counts = rows[used], cols[used], counts[used]
    roles = split_blocks(patches.resolve_strata(counts), numbers[rows, cols], counts, test=test, seed=seed)
    wanted = np.zeros(int(numbers.max()) + 1, dtype=np.uint8)
    for number, role in roles.items():
        wanted[number] = role
    ground = Ground(ground.outer, ground.features, ground.label, patches.part_roles(wanted[numbers], halo))
    first_row, first_col = ground.outer.first_row // block, ground.outer.first_col // block
    across = int(numbers[0, -1]) + 1
    named = {"training": TRAIN, "validation": VALIDATION, "test": TEST}
    split = {
        "block": block, "gap": halo, "test": test, "seed": seed,
        "blocks": {
            name: sorted([first_row + n // across, first_col + n % across] for n, r in roles.items() if r == role)
            for name, role in named.items()
        },
        "cells": {name: int(((ground.roles == role) & (label > 0)).sum()) for name, role in named.items()},
    }  # fmt: skip
    return ground, split


def _check_cells(ground: Ground, index: int, period: str) -> None:
    """Raise TrainingError where a use of the ground has too few cells in a period."""
    for name, role in (("training", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        if not ground.cells(role, index):
            raise TrainingError(
                _("{} ground of {}").format(name.capitalize(), period),
                found=_("no cell with label and features, once the gaps are taken out"),
                expected=_("some"),
                then=_("Take more ground, a smaller depth= (a narrower gap), or another test= or seed=."),
            )


def _batches(
    ground: Ground, role: int, *, size: int, halo: int, periods: tuple[int, ...] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give the windows of a role with their halo, batch by batch, as `Ground.cut` gives one."""
    wanted = [
        (period, row, col)
        for period in (range(len(ground.features)) if periods is None else periods)
        for row, col in patches.role_windows(ground, role, size=size, halo=halo)
    ]
    for start in range(0, len(wanted), _WINDOW_BATCH):
        parts = [
            patches.cut_core(ground, period, row, col, size=size, halo=halo, role=role)
            for period, row, col in wanted[start : start + _WINDOW_BATCH]
        ]
        x, y, counts = (np.stack(arrays) for arrays in zip(*parts, strict=True))
        yield x, y, counts


def _calibrate(run, validation) -> tuple[float, float]:
    """Fit the temperature on validation ground; return it with the calibration error before."""
    logits, reference, before = [], [], Tally()
    share = max(1, sum(int(counts.sum()) for _, _, counts in validation) // _CALIBRATION_CELLS)
    for x, y, counts in validation:
        values, known = run(x)[counts > 0], y[counts > 0]
        before.add(softmax(values), known)
        logits.append(values[::share])
        reference.append(known[::share])
    temperature = resolve_temperature(np.concatenate(logits), np.concatenate(reference))
    return temperature, round(before.calibration_error or 0.0, 6)


def _report(card: Card, periods: tuple[str, ...], folder: Path, form: str) -> None:
    """Print what the model can do on test ground."""
    tests = card.metrics["test"]
    if form == "json":
        print(
            json.dumps({"model": str(folder), "sha256": card.model_sha256, "test": tests, "split": card.split["cells"]})
        )
        return
    for period in periods:
        figures = tests[period]
        print(
            f"Test ground, {period}: {figures['cells']} cells, overall accuracy {figures['overall_accuracy']:.3f}, "
            f"calibration error {figures['calibration_error']:.3f}"
        )
        print(f"{'class':<12}{'cells':>10}{'IoU':>8}{'user':>8}{'producer':>10}{'area bias':>12}")
        for key, row in figures["classes"].items():
            print(
                f"{key:<12}{row['reference_cells']:>10}{_figure(row['iou'], 8)}{_figure(row['users_accuracy'], 8)}"
                f"{_figure(row['producers_accuracy'], 10)}{_figure(row['area_bias_pct'], 10, 1)} %"
            )
    print(
        f"Model '{folder}': epoch {card.settings['epoch_kept']} kept, of {card.settings['epochs_run']}, sha256 {card.model_sha256[:12]}"
    )


def _figure(value: float | None, width: int, digits: int = 3) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"
