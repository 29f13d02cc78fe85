"""The series net: for each pair of neighbouring years it compares what a cell and its surroundings were before and after.

One net serves all pairs, so a model fits series of any length, and a new year needs no new model. Its four outputs for a pair are log-odds
of: unsealed, sealed, sealed at this pair, unsealed at this pair. The first two are averaged over the pairs; together they give one logit for
each history of core/series.py, and training compares all histories of a cell at once, so the net also learns to tell years apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import numpy as np

from imperviouslib.core import splice
from imperviouslib.core.splice import LabelledSeries
from imperviouslib.core.training import check_loss
from imperviouslib.edge.checkpoint import Checkpoint
from imperviouslib.edge.overlap import read_ahead
from imperviouslib.edge.unet import import_keras, interruptible, seed_everything

OUTPUTS = 4
WIDTHS = (96, 96, 48)
"""Units of the hidden layers."""
RATE = 2e-3
"""Learning rate at the start; it falls to a hundredth of it along a cosine."""
_PARTS = 16
"""Steps of each batch: examples of several patches are mixed, and each step takes a part of them. Drawing them takes longer than learning."""
_SAVED = 20
"""Batches after which the state is saved: a few seconds of work."""


def build_net(planes: int) -> Any:
    """Build the net: (cell, plane) float32, the planes of `splice.pair_features` for one pair, to (cell, 4) logits."""
    keras = import_keras()
    layers = keras.layers
    seen = keras.Input((planes,), name="pair")
    x = seen
    for number, width in enumerate(WIDTHS):
        x = layers.Dense(width, activation="relu", name=f"hidden{number}")(x)
    return keras.Model(seen, layers.Dense(OUTPUTS, name="logits")(x), name="series")


def fit(
    series: LabelledSeries,
    *,
    seed: int,
    steps: int,
    patches: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Any, np.ndarray]:
    """Fit a net to spliced series.

    steps, patches : number of batches, and of patches that each is drawn from
    progress : called after each batch with the number of batches done and their total
    checkpoint : where the state is saved from time to time, and from where a fit that was killed continues
    Returns: the net; and the shares in the training data, array (4,), in the order of its outputs
    Raises TrainingError if the loss is not a number in the end.
    """
    keras = import_keras()
    import tensorflow as tf

    seed_everything(seed)
    pairs = len(series.features) - 1
    planes = splice.planes(len(series.mean))
    net = build_net(planes)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps * _PARTS, alpha=0.01))
    optimizer.build(net.trainable_variables)
    counts, loss, first = np.zeros(2 + 2 * pairs), float("nan"), 0
    if checkpoint and (saved := checkpoint.load()):
        _restore([*net.variables, *optimizer.variables], saved)
        counts, loss, first = saved["counts"], float(saved["loss"]), int(saved["step"])

    def learn(seen: Any, history: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.reshape(net(tf.reshape(seen, (-1, planes)), training=True), (pairs, -1, OUTPUTS))
            stable = tf.reduce_mean(logits[..., :2], axis=0)
            changed = tf.reshape(tf.transpose(logits[..., 2:], (1, 2, 0)), (-1, 2 * pairs))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(history, tf.concat([stable, changed], -1))
            loss = tf.reduce_mean(loss)
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)
        return loss

    # One graph for batches of all sizes: those of a fit that continues come in another order, and must be computed alike. It takes all steps
    # of a batch, so Python is free meanwhile for the thread that draws the next one.
    @tf.function(
        input_signature=[
            tf.TensorSpec((pairs, planes, None), tf.float32), tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.int64),
        ]
    )  # fmt: skip
    def learn_batch(seen: Any, history: Any, order: Any, bounds: Any) -> Any:
        cells, loss = tf.transpose(seen, (0, 2, 1)), tf.constant(0.0)
        for part in tf.range(tf.size(bounds) - 1):
            some = order[bounds[part] : bounds[part + 1]]
            loss = learn(tf.gather(cells, some, axis=1), tf.gather(history, some))
        return loss

    def draw(step: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        rng = np.random.default_rng([seed, step])
        drawn = [splice.draw_examples(series, rng) for _patch in range(patches)]
        return np.concatenate([one.features for one in drawn], axis=2), np.concatenate([o.history for o in drawn]), rng

    with interruptible() as raise_if_interrupted, closing(read_ahead(map(draw, range(first, steps)))) as batches:
        for step, (seen, history, rng) in enumerate(batches, first):
            if len(history):
                counts += np.bincount(history, minlength=len(counts))
                parts = np.array_split(rng.permutation(len(history)), min(_PARTS, len(history)))
                bounds = np.cumsum([0, *map(len, parts)])
                loss = float(learn_batch(seen, history, np.concatenate(parts), bounds))
            progress(step + 1, steps)
            if checkpoint and ((step + 1) % _SAVED == 0 or step + 1 == steps):
                state = {
                    f"variable{n}": np.asarray(one) for n, one in enumerate([*net.variables, *optimizer.variables])
                }
                checkpoint.save(state | {"counts": counts, "loss": np.array(loss), "step": np.array(step + 1)})
            raise_if_interrupted()
    check_loss(loss)
    shares = counts / counts.sum()
    return net, np.array([shares[0], shares[1], shares[2 : 2 + pairs].mean(), shares[2 + pairs :].mean()])


def _restore(variables: list[Any], saved: Mapping[str, np.ndarray]) -> None:
    """Give a net and its optimizer the values that were saved."""
    for number, variable in enumerate(variables):
        variable.assign(saved[f"variable{number}"])


def pair_logits(compute: Callable[[np.ndarray], np.ndarray], seen: np.ndarray) -> np.ndarray:
    """Compute a net for each pair of years: from array (pair, plane, row, col), float32, to logits (pair, 4, row, col), float32.

    compute : the net as `edge.engine.open_series` loads it
    """
    pairs, planes, *shape = seen.shape
    return compute(seen.reshape(pairs, planes, -1)).reshape(pairs, OUTPUTS, *shape)
