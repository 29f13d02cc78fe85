"""Benchmark of r.unet.train: patches drawn from the ground while the net is fitted, against plain fit on arrays in memory."""

from __future__ import annotations

import time

import numpy as np

from testsuite.bench import case

SIDE, PATCH, BATCH, STEPS, EPOCHS = 512, 16, 32, 60, 6


@case(
    "train", "epochs of 60 batches, patches drawn from the ground, against fit on arrays in memory, seconds", target=1
)
def epochs() -> tuple[float, float]:
    """The same net, batch and number of steps, in turns. The first epoch of each turn, which builds the graph, is not counted."""
    from imperviouslib.core import patches
    from imperviouslib.core.ground import TRAIN, Ground
    from imperviouslib.core.network import NetSpec
    from imperviouslib.core.training import FitPlan
    from imperviouslib.edge import unet
    from testsuite.unet_ground import grid_at, make_classes, make_features

    keras = unet.import_keras()
    label = make_classes((SIDE, SIDE))
    features = np.moveaxis(make_features(label), 0, -1)
    ground = Ground(grid_at(0, 0, SIDE, SIDE), (features,), label, np.full(label.shape, TRAIN, np.uint8))
    draw = patches.resolve_draw(ground, patch=PATCH, anchor=8)
    spec = NetSpec(3, (1600.0, 2000.0, 800.0), (700.0, 800.0, 500.0))

    def cut(rng: np.random.Generator) -> patches.Batch:
        return patches.cut_batch(ground, draw, rng, batch=BATCH)

    validation = cut(np.random.default_rng(1))
    batches = [cut(np.random.default_rng(n)) for n in range(STEPS)]
    x, y, weight = (np.concatenate(parts) for parts in zip(*batches, strict=True))

    def ours() -> float:
        ends: list[float] = []

        def note(done: int, _total: int) -> None:
            if done % STEPS == 0:
                ends.append(time.perf_counter())

        unet.seed_everything(1)
        unet.fit(unet.build_unet(spec), FitPlan(EPOCHS, STEPS, 1), cut, [validation], note)
        return float(min(np.diff(ends)))

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
    turns = [(ours(), theirs()) for _ in range(2)]
    return min(one for one, _ in turns), min(other for _, other in turns)
