"""The U-Net (Keras on TensorFlow): build, fit, save, load. Nothing here knows GRASS, HDF5 or the model folder.

TensorFlow is imported by the first call, not with this file: it takes seconds and half a gigabyte.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import ModelError, _
from imperviouslib.core.legend import CLASSES

CONVOLUTIONS = 2
"""3 x 3 convolutions a level; core.patches.net_halo counts on it."""


@dataclass(frozen=True)
class NetSpec:
    """Sizes of a net."""

    features: int
    """Input features."""
    mean: tuple[float, ...]
    """Mean of each feature in stored units; taken off inside the net."""
    deviation: tuple[float, ...]
    """Standard deviation of each feature in stored units; divided by inside the net."""
    depth: int = 3
    """Poolings; the deepest level has cells of 2^depth."""
    filters: int = 16
    """Filters of the first level; they double with each level."""

    def __post_init__(self) -> None:
        if not (len(self.mean) == len(self.deviation) == self.features and self.depth >= 1 and self.filters >= 1):
            raise ModelError(
                _("Net"),
                found=f"{self}",
                expected=_("a mean and a deviation a feature, depth and filters of 1 or more"),
                then=_("Check the options."),
            )


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Hold back what C++ code prints while TensorFlow starts (build remarks); show it where the start fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        shown = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(shown, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def import_keras(threads: int = 0) -> Any:
    """Import Keras on TensorFlow and return it.

    threads : int, threads within an operation; 0 leaves TensorFlow's choice (all cores). Only the first call decides.
    """
    # A user's keras.json may name another backend or channel order; our nets are of this one.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _hushed():
        import keras
        import tensorflow as tf

        keras.config.set_image_data_format("channels_last")
        if threads > 0:
            # RuntimeError: TensorFlow has started with another number, and keeps it; results are the same.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        # The first operation starts the runtime, which prints remarks of its own.
        tf.constant(0.0) + 1.0
    return keras


def versions() -> dict[str, str]:
    """Return the versions and the number of threads that, with the seed, decide the weights."""
    keras = import_keras()
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    return {"keras": keras.version(), "tensorflow": tf.__version__, "threads": str(threads)}


def build_unet(spec: NetSpec) -> Any:
    """Build a mini U-Net: raw uint16 in, one logit a class out.

    Input (batch, row, col, feature) uint16, reflectance x 10000, 0 = no data; sides are multiples of 2^depth. A cell that
    misses any feature enters as mean values, and a further plane says so to the net.
    Output (batch, row, col, class) float32, logits in the order of CLASSES.
    """
    keras = import_keras()
    layers, ops = keras.layers, keras.ops

    def block(x: Any, filters: int, name: str) -> Any:
        for step in range(CONVOLUTIONS):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{step}")(x)
            # The usual momentum of 0.99 lags behind a training of few hundred steps.
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{step}")(x)
            x = layers.ReLU(name=f"{name}_relu{step}")(x)
        return x

    stored = keras.Input((None, None, spec.features), dtype="uint16", name="stored")
    known = ops.cast(ops.all(ops.not_equal(stored, 0), axis=-1, keepdims=True), "float32")
    variance = [deviation**2 for deviation in spec.deviation]
    scaled = layers.Normalization(mean=list(spec.mean), variance=variance, name="scaling")(ops.cast(stored, "float32"))
    x = layers.Concatenate(name="input")([scaled * known, known])
    skips = []
    for level in range(spec.depth):
        x = block(x, spec.filters * 2**level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
    x = block(x, spec.filters * 2**spec.depth, "bottom")
    for level in reversed(range(spec.depth)):
        filters = spec.filters * 2**level
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"rise{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([skips[level], x])
        x = block(x, filters, f"up{level}")
    logits = layers.Conv2D(len(CLASSES), 1, name="logits")(x)
    return keras.Model(stored, logits, name="unet")


def with_probabilities(net: Any, temperature: float) -> Any:
    """Return the net with calibrated probabilities as output: softmax(logits / temperature)."""
    keras = import_keras()
    cooled = keras.layers.Rescaling(1.0 / temperature, name="temperature")(net.output)
    return keras.Model(net.input, keras.layers.Softmax(name="probability")(cooled), name="unet")


Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features uint16, class indices uint8, weights float32; the first axis counts patches."""


@dataclass(frozen=True)
class FitPlan:
    """How to fit."""

    epochs: int
    """Passes at most; fitting stops early once the validation loss has not fallen for a quarter of them."""
    steps: int
    """Batches a pass."""
    seed: int
    """Decides first weights and everything that is drawn."""
    rate: float = 3e-3
    """Learning rate at the start; it falls to a hundredth of it on a cosine."""


def seed_everything(seed: int) -> None:
    """Seed Keras, NumPy and Python; call before build_unet, which draws the first weights."""
    import_keras().utils.set_random_seed(seed)


def fit(
    net: Any,
    plan: FitPlan,
    draw: Callable[[np.random.Generator], Batch],
    validation: Sequence[Batch],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, float]]:
    """Fit a net; it ends with the weights of the epoch of least validation loss.

    draw : gives a training batch from a generator of random numbers; the same generator, the same batch
    validation : batches, the same in every epoch
    Returns: a dict an epoch: epoch, loss, accuracy, val_loss, val_accuracy (only cells of weight > 0 count)
    """
    keras = import_keras()

    class Drawn(keras.utils.PyDataset):
        """Batches that are drawn when asked for; number and epoch decide them, not the order of asking."""

        epoch = 0

        def __len__(self) -> int:
            return plan.steps

        def __getitem__(self, index: int) -> Batch:
            return draw(np.random.default_rng([plan.seed, self.epoch, index]))

        def on_epoch_end(self) -> None:
            self.epoch += 1

    class Fixed(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(validation)

        def __getitem__(self, index: int) -> Batch:
            return validation[index]

    class Progress(keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            progress(self.epoch * plan.steps + batch + 1, plan.epochs * plan.steps)
            end_if_told()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            end_if_told()

    net.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(plan.rate, plan.epochs * plan.steps, alpha=0.01)
        ),
        # The weighted mean: cells of weight 0 change neither the loss nor its scale.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # XLA on a CPU is slower here than plain TensorFlow, and compiling takes longer than a small training.
        jit_compile=False,
    )
    stop = keras.callbacks.EarlyStopping("val_loss", patience=max(5, plan.epochs // 4), restore_best_weights=True)
    with _ending_between_batches() as end_if_told:
        told = net.fit(
            Drawn(), epochs=plan.epochs, validation_data=Fixed(), callbacks=[stop, Progress()], verbose=0, shuffle=False
        ).history
    progress(1, 1)
    keys = ("loss", "accuracy", "val_loss", "val_accuracy")
    return [
        {"epoch": epoch, **{key: float(told[key][epoch - 1]) for key in keys}}
        for epoch in range(1, len(told["loss"]) + 1)
    ]


@contextlib.contextmanager
def _ending_between_batches() -> Iterator[Callable[[], None]]:
    """Hold back the word to end (Ctrl-C, SIGTERM) until the function that this gives is called: raised within TensorFlow it crashed Python."""
    told: list[int] = []
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    # Another thread may set no handler; who ignores a signal goes on doing so.
    mine = threading.current_thread() is threading.main_thread()
    held = [n for n, handler in before.items() if mine and handler is not signal.SIG_IGN]

    def end_if_told() -> None:
        if told:
            raise KeyboardInterrupt

    for number in held:
        signal.signal(number, lambda *_: told.append(1))
    try:
        yield end_if_told
        end_if_told()
    finally:
        for number in held:
            signal.signal(number, before[number])


def run_net(net: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a net for use: array (batch, row, col, feature) uint16 -> its output, float32."""
    import tensorflow as tf

    features = net.input.shape[-1]
    signature = [tf.TensorSpec((None, None, None, features), tf.uint16)]
    graph = tf.function(lambda stored: net(stored, training=False), input_signature=signature)
    return lambda stored: graph(tf.constant(stored)).numpy()


def save_net(net: Any, path: Path) -> None:
    """Write a net as a .keras file, without its optimizer."""
    net.save(path, include_optimizer=False)


def load_net(path: Path, *, threads: int = 0) -> Any:
    """Read a .keras file for prediction."""
    keras = import_keras(threads)
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as err:
        raise ModelError(
            _("File '{}'").format(path),
            found=_("a net that cannot be loaded ({})").format(str(err).splitlines()[0][:80]),
            expected=_("one saved by r.unet.train with a Keras of this version or older"),
            then=_("Train it again, or install the Keras named in the model's card.json."),
        ) from err
