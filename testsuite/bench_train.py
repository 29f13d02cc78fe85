"""Benchmark of r.unet.train: patches drawn from the ground while the net is fitted, against plain fit on arrays in memory."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from testsuite.bench import NotMeasuredError, case

SIDE, PATCH, BATCH, STEPS, EPOCHS = 512, 16, 32, 60, 6
LARGE_BATCH = 240
"""Patches per batch on a GPU, which small batches leave idle."""


def make_batches() -> tuple[Any, Any, Any]:
    """Return the sizes of the net, what draws a batch from made ground, and a batch for validation."""
    from imperviouslib.core import patches
    from imperviouslib.core.ground import TRAIN, Ground
    from imperviouslib.core.network import NetSpec
    from testsuite.unet_ground import grid_at, make_classes, make_features

    label = make_classes((SIDE, SIDE))
    features = np.moveaxis(make_features(label), 0, -1)
    ground = Ground(grid_at(0, 0, SIDE, SIDE), (features,), label, np.full(label.shape, TRAIN, np.uint8))
    draw = patches.resolve_draw(ground, patch=PATCH, anchor=8)
    spec = NetSpec(3, (1600.0, 2000.0, 800.0), (700.0, 800.0, 500.0))

    def cut(rng: np.random.Generator, batch: int = BATCH) -> Any:
        return patches.cut_batch(ground, draw, rng, batch=batch)

    return spec, cut, cut(np.random.default_rng(1))


def fit_drawn(*, mixed: bool = False, batch: int = BATCH) -> float:
    """Fit the U-Net as r.unet.train does. Returns: seconds of the fastest epoch of STEPS batches of BATCH patches, or fewer larger ones, but the first,
    which builds the graph"""
    from imperviouslib.core.training import FitPlan
    from imperviouslib.edge import unet

    spec, cut, validation = make_batches()
    ends: list[float] = []
    steps = STEPS * BATCH // batch

    def note(done: int, _total: int) -> None:
        if done % steps == 0:
            ends.append(time.perf_counter())

    unet.seed_everything(1)
    with unet.mixed_precision() if mixed else nullcontext():
        net = unet.build_unet(spec)
    unet.fit(net, FitPlan(EPOCHS, steps, 1), lambda rng: cut(rng, batch), [validation], note)
    return float(min(np.diff(ends)))


@case(
    "train", "epochs of 60 batches, patches drawn from the ground, against fit on arrays in memory, seconds", target=1
)
def epochs() -> tuple[float, float]:
    """The same net, batch and number of steps, in turns. The first epoch of each turn, which builds the graph, is not counted."""
    from imperviouslib.edge import unet

    keras = unet.import_keras()
    spec, cut, validation = make_batches()
    batches = [cut(np.random.default_rng(n)) for n in range(STEPS)]
    x, y, weight = (np.concatenate(parts) for parts in zip(*batches, strict=True))

    def theirs() -> float:
        starts: list[float] = []

        class Clock(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
                starts.append(time.perf_counter())

        unet.seed_everything(1)
        net = unet.build_unet(spec)
        # Both tell the accuracy of each epoch, as curves of a training need it.
        net.compile(
            "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), weighted_metrics=["accuracy"], jit_compile=False,
        )  # fmt: skip
        net.fit(
            x, y, sample_weight=weight, batch_size=BATCH, epochs=EPOCHS + 1, verbose=0, callbacks=[Clock()],
            validation_data=validation,
        )  # fmt: skip
        return float(min(np.diff(starts[1:])))

    # In turns, as the speed of a machine changes while other programs run.
    turns = [(fit_drawn(), theirs()) for _ in range(2)]
    return min(one for one, _ in turns), min(other for _, other in turns)


@case(
    "train", "the same patches on a GPU, mixed precision and batches of 240, against the processor, seconds", target=1
)
def on_gpu() -> tuple[float, float]:
    from imperviouslib.edge import unet

    if not unet.gpu_details():
        raise NotMeasuredError("TensorFlow finds no GPU")
    import tensorflow as tf

    ours = fit_drawn(mixed=True, batch=LARGE_BATCH)
    with tf.device("/CPU:0"):
        return ours, fit_drawn()
