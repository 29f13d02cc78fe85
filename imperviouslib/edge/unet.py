"""The U-Net (Keras on TensorFlow): build, fit, save, load. It knows neither GRASS nor HDF5 nor the model folder.

The functions import TensorFlow when they are called: that takes seconds and half a gigabyte of memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, ModelError, _
from imperviouslib.core.legend import ARTIFICIAL, CLASSES
from imperviouslib.core.network import CONVOLUTIONS, NetSpec
from imperviouslib.core.patches import Batch
from imperviouslib.core.training import Epoch, FitPlan
from imperviouslib.edge.checkpoint import Checkpoint

_precision = ContextVar("precision", default="float32")
"""Keras's policy for the layers of nets that are built."""
_CPU, _GPU_WITH_BF16 = Path("/proc/cpuinfo"), (8, 0)
"""Linux's list of processors, and NVIDIA's least compute capability with bf16."""
_MOST_BYTES = 2**30
"""Bytes that the parts of a .keras file may have together: 250 million weights."""
_STEPS_AT_ONCE, _LEAST_STEPS = 8, 500
"""Training steps that TensorFlow takes before it returns to Python: the weights are the same, and small batches take a tenth less time. A fit of fewer
than `_LEAST_STEPS` steps takes them one by one, because building the graph of eight takes longer than it saves there."""
_DAMAGE = (
    ValueError, OSError, TypeError, KeyError, AttributeError, IndexError, ImportError, EOFError, ArithmeticError, NotImplementedError, RuntimeError,
    MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What Keras, zipfile and HDF5 raise at a file that is damaged; RuntimeError includes RecursionError."""


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Hide what C++ code prints to stderr while TensorFlow starts; show it only if the start fails."""
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


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Hide what a user set for Keras while it is imported: a keras.json or a variable may name another type, backend, or number of epochs.

    One seed then gives one net on every account.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("KERAS_")}
    # Off or on, these kernels round in another order.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    with tempfile.TemporaryDirectory() as empty:
        os.environ |= {"KERAS_HOME": empty, "KERAS_BACKEND": "tensorflow"}
        try:
            yield
        finally:
            del os.environ["KERAS_HOME"]
            os.environ |= hidden
            os.environ["KERAS_BACKEND"] = "tensorflow"


def import_keras(threads: int = 0) -> Any:
    """Import Keras on TensorFlow and return it.

    threads : int, threads per operation; 0 = TensorFlow's default, all cores. Only the first call can set it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_start():
        with _own_settings():
            import keras
            import tensorflow as tf

        # Another part of this process may have imported Keras before, with the user's settings.
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_dtype_policy(_precision.get())
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
        if threads > 0:
            # RuntimeError: TensorFlow has already started with another number and keeps it; the results are the same.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        for device in tf.config.list_physical_devices("GPU"):
            # TensorFlow would take all of its memory, also where other jobs use it. RuntimeError: it is in use already.
            with contextlib.suppress(RuntimeError):
                tf.config.experimental.set_memory_growth(device, True)
        # It warns of functions that are compiled often, which is what a training of several nets does.
        tf.get_logger().setLevel("ERROR")
        # The first operation starts the runtime, which prints messages too.
        tf.constant(0.0) + 1.0
    return keras


def versions() -> dict[str, str]:
    """Return `keras`, `tensorflow`, `threads` and `device`: versions, number of threads, and where nets are fitted (CPU, or the model of a GPU).

    With the seed, they determine the weights; on a GPU nearly so.
    """
    keras = import_keras()
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    device = str(gpu_details().get("device_name", "CPU"))
    return {"keras": keras.version(), "tensorflow": tf.__version__, "threads": str(threads), "device": device}


def check_bf16() -> None:
    """Raise InputError where what nets are fitted on, a GPU or the processor, does not compute in bf16."""
    gpu = gpu_details()
    able = gpu.get("compute_capability", (0,)) >= _GPU_WITH_BF16 if gpu else has_bf16()
    if not able:
        raise InputError(
            _("Flag -f: the {} has no bf16").format(gpu["device_name"] if gpu else _("processor")),
            then=_("Leave out -f."),
        )


def gpu_details() -> dict[str, Any]:
    """Return TensorFlow's description of the GPU that nets are fitted on; empty where there is none."""
    import_keras()
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return {"device_name": "GPU", **tf.config.experimental.get_device_details(found[0])} if found else {}


def has_bf16() -> bool:
    """Tell whether Linux's list of the processor's features has bf16; elsewhere there is no list."""
    return _CPU.is_file() and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(_CPU.read_text().split()))


@contextlib.contextmanager
def mixed_precision() -> Iterator[None]:
    """Let nets that are built meanwhile compute in bf16 what does not need more: not the scaling, the logits, the statistics and the weights.

    bf16 has the range of float32, so losses need no scaling.
    """
    token = _precision.set("mixed_bfloat16")
    try:
        yield
    finally:
        _precision.reset(token)
        import_keras()


_PIXEL_WIDTHS = (64, 32)
"""Units of the hidden layers of the pixel net."""


def build_unet(spec: NetSpec) -> Any:
    """Build a small U-Net from stored values to one logit per class.

    Input (batch, row, col, feature) uint16, reflectance x 10000, 0 = no data; sides are multiples of 2^depth. A cell without any one of
    the features enters with the means of all, and one more plane marks it as unknown.
    Output (batch, row, col, class) float32, logits in the order of CLASSES.
    """
    keras = import_keras()
    stored, values, known = _scaled_input(spec)
    x = connect_levels(keras.layers.Concatenate(name="input")([values, known]), spec.filters, spec.depth)
    logits = keras.layers.Conv2D(len(CLASSES), 1, name="logits", dtype="float32")(x)
    return keras.Model(stored, logits, name="unet")


def build_pixel_net(spec: NetSpec) -> Any:
    """Build a classifier of single cells, which sees a cell and the mean of 3 x 3 cells; input and output as those of `build_unet`.

    It cannot learn the shapes in which labels are wrong, as the U-Net does, and errs elsewhere than that.
    """
    keras = import_keras()
    layers, ops = keras.layers, keras.ops
    stored, values, known = _scaled_input(spec)
    near, share = (layers.AveragePooling2D(3, 1, "same", dtype="float32")(x) for x in (values, known))
    x = layers.Concatenate(name="input")([values, near / ops.maximum(share, 1 / 9), known])
    for number, width in enumerate(_PIXEL_WIDTHS):
        x = layers.Conv2D(width, 1, activation="relu", name=f"hidden{number}")(x)
    return keras.Model(stored, layers.Conv2D(len(CLASSES), 1, name="logits", dtype="float32")(x), name="pixel")


def _scaled_input(spec: NetSpec) -> tuple[Any, Any, Any]:
    """Return the input of stored values, the scaled values (0 where unknown), and a plane of 1 where all features are known."""
    keras = import_keras()
    ops = keras.ops
    stored = keras.Input((None, None, spec.features), dtype="uint16", name="stored")
    known = ops.cast(ops.all(ops.not_equal(stored, 0), axis=-1, keepdims=True), "float32")
    variance = [deviation**2 for deviation in spec.deviation]
    scaling = keras.layers.Normalization(mean=list(spec.mean), variance=variance, name="scaling", dtype="float32")
    return stored, scaling(ops.cast(stored, "float32")) * known, known


def join_nets(nets: Sequence[Any]) -> Any:
    """Return the network whose logits are the means of those of some nets with the same input."""
    keras = import_keras()
    stored = keras.Input(nets[0].input.shape[1:], dtype="uint16", name="stored")
    return keras.Model(stored, keras.layers.Average(name="logits")([net(stored) for net in nets]), name="joint")


def connect_levels(x: Any, filters: int, depth: int) -> Any:
    """Add the levels of a U-Net: `depth` poolings, twice the filters at each, and back with skip connections. x : Keras tensor, float32."""
    layers = import_keras().layers

    def block(x: Any, filters: int, name: str) -> Any:
        for step in range(CONVOLUTIONS):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{step}")(x)
            # The default momentum of 0.99 is too slow for a few hundred steps.
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{step}")(x)
            x = layers.ReLU(name=f"{name}_relu{step}")(x)
        return x

    skips = []
    for level in range(depth):
        x = block(x, filters * 2**level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool{level}")(x)
    x = block(x, filters * 2**depth, "bottom")
    for level in reversed(range(depth)):
        wide = filters * 2**level
        x = layers.Conv2DTranspose(wide, 2, strides=2, name=f"rise{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([skips[level], x])
        x = block(x, wide, f"up{level}")
    return x


def with_probabilities(net: Any, temperature: float, shift: float = 0.0) -> Any:
    """Return the network with calibrated probabilities as output: softmax(logits / temperature + shift of artificial land)."""
    keras = import_keras()
    offset = [shift if land.code == ARTIFICIAL else 0.0 for land in CLASSES]
    scaled = keras.layers.Rescaling(1.0 / temperature, offset, name="temperature")(net.output)
    return keras.Model(net.input, keras.layers.Softmax(name="probability")(scaled), name="unet")


def seed_everything(seed: int) -> None:
    """Seed Keras, NumPy and Python; call it before build_unet, which draws the first weights."""
    import_keras().utils.set_random_seed(seed)


def fit(
    net: Any,
    plan: FitPlan,
    draw: Callable[[np.random.Generator], Batch],
    validation: Sequence[Batch],
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: Checkpoint | None = None,
) -> list[Epoch]:
    """Fit a network. Afterwards it has the weights of the epoch with the least validation loss.

    draw : returns a training batch from a random generator; equal generators must give equal batches
    validation : batches, the same in every epoch
    progress : called after each batch with the number of batches done and their total
    checkpoint : where the state is saved after each epoch, and from where a fit that was killed continues
    Returns: one Epoch per epoch that was run; only cells of weight > 0 count
    """
    keras = import_keras()
    net.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(plan.rate, plan.epochs * plan.steps, alpha=0.01)
        ),
        # The weighted mean: cells of weight 0 change neither the loss nor its scale.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # XLA on a CPU is slower here than plain TensorFlow, and compiling takes longer than a small training.
        jit_compile=False,
        steps_per_execution=_STEPS_AT_ONCE if plan.epochs * plan.steps >= _LEAST_STEPS else 1,
    )
    net.optimizer.build(net.trainable_variables)
    state = _FitState(net, max(5, plan.epochs // 4))
    if checkpoint and (saved := checkpoint.load()):
        state.restore(saved)

    class Drawn(keras.utils.PyDataset):
        """Batches drawn on request; they depend on index and epoch, not on the order of the requests."""

        epoch = len(state.history)

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
            # Keras tells the last step of a group, also where the epoch has fewer.
            progress(self.epoch * plan.steps + min(batch + 1, plan.steps), plan.epochs * plan.steps)
            raise_if_interrupted()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise_if_interrupted()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            keys = ("loss", "accuracy", "val_loss", "val_accuracy")
            state.add(Epoch(epoch + 1, *(float(logs[key]) for key in keys)))
            if checkpoint:
                checkpoint.save(state.arrays())
            net.stop_training = state.is_over

    with interruptible() as raise_if_interrupted:
        if not state.is_over and len(state.history) < plan.epochs:
            net.fit(
                Drawn(), epochs=plan.epochs, initial_epoch=len(state.history), validation_data=Fixed(),
                callbacks=[Progress()], verbose=0, shuffle=False,
            )  # fmt: skip
    net.set_weights(state.best_weights)
    progress(1, 1)
    return state.history


class _FitState:
    """How far a fit is: the epochs, the best weights, and what the next epoch starts from."""

    def __init__(self, net: Any, patience: int) -> None:
        self._net, self._patience = net, patience
        self.history: list[Epoch] = []
        self.best_weights: list[np.ndarray] = []

    @property
    def is_over(self) -> bool:
        """Whether the validation loss has not fallen for so many epochs that the fit ends."""
        return len(self.history) - 1 - self._best_index() >= self._patience

    def _best_index(self) -> int:
        losses = [epoch.val_loss for epoch in self.history]
        # A loss that is not a number is never the best one.
        return int(np.argmin(np.nan_to_num(losses, nan=np.inf))) if losses else 0

    def add(self, epoch: Epoch) -> None:
        """Add an epoch, after which the net has the weights of this moment."""
        self.history.append(epoch)
        if self._best_index() == len(self.history) - 1:
            self.best_weights = self._net.get_weights()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        parts = {
            "weight": self._net.get_weights(), "best": self.best_weights,
            "optimizer": [np.asarray(one) for one in self._net.optimizer.variables],
            "history": [np.array([list(asdict(epoch).values()) for epoch in self.history])],
        }  # fmt: skip
        return {f"{name}{number}": one for name, several in parts.items() for number, one in enumerate(several)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Bring the net and its optimizer to a state of `arrays`."""

        def several(name: str) -> list[np.ndarray]:
            return [arrays[f"{name}{n}"] for n in range(len(arrays)) if f"{name}{n}" in arrays]

        self._net.set_weights(several("weight"))
        for variable, value in zip(self._net.optimizer.variables, several("optimizer"), strict=True):
            variable.assign(value)
        self.best_weights = several("best")
        self.history = [Epoch(int(number), *map(float, rest)) for number, *rest in arrays["history0"]]


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Delay Ctrl-C and SIGTERM until the function that this yields is called: KeyboardInterrupt within TensorFlow crashes Python."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Only the main thread may set handlers; signals that are ignored stay ignored.
    main = threading.current_thread() is threading.main_thread()
    delayed = [number for number, handler in before.items() if main and handler is not signal.SIG_IGN]

    def raise_if_interrupted() -> None:
        if received:
            raise KeyboardInterrupt

    for number in delayed:
        signal.signal(number, lambda *_: received.append(1))
    try:
        yield raise_if_interrupted
        raise_if_interrupted()
    finally:
        for number in delayed:
            signal.signal(number, before[number])


def run_net(net: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a network into a function from its input, first axis batch, to its output, float32.

    The input of a U-Net is array (batch, row, col, feature) uint16.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec(net.input.shape, net.input.dtype)]
    graph = tf.function(lambda seen: net(seen, training=False), input_signature=signature)
    return lambda seen: graph(tf.constant(seen)).numpy()


def save_net(net: Any, path: Path) -> None:
    """Write a network as a .keras file, without its optimizer.

    Equal networks give equal bytes, so that the digest of the file tells whether two are equal: neither the time of writing nor addresses in memory,
    by which Keras names what layers share, are in it.
    """
    net.save(path, include_optimizer=False)
    with zipfile.ZipFile(path) as saved:
        contents = {name: saved.read(name) for name in sorted(saved.namelist())}
    metadata = json.loads(contents["metadata.json"])
    metadata.pop("date_saved", None)
    contents["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    numbers: dict[bytes, int] = {}
    contents["config.json"] = re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda found: found[1] + str(numbers.setdefault(found[2], len(numbers))).encode(),
        contents["config.json"],
    )
    with zipfile.ZipFile(path, "w") as out:
        for name, content in contents.items():
            out.writestr(zipfile.ZipInfo(name), content)


def load_net(path: Path, *, threads: int = 0) -> Any:
    """Read a .keras file for prediction; raise ModelError if Keras cannot read it.

    threads : int, as in `import_keras`
    """
    keras = import_keras(threads)
    try:
        _check_size(path)
        # In safe mode, Keras refuses code in the file (Lambda layers, pickles).
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except _DAMAGE as err:
        reason = " ".join(str(err).split())[:80] or type(err).__name__
        raise ModelError(
            _("File '{}' cannot be loaded as a network ({})").format(path, reason),
            then=_("Train it again with r.unet.train, or install the Keras version named in card.json."),
        ) from err


def _check_size(path: Path) -> None:
    """Raise ValueError where the parts of a .keras file would unpack to more than any network of the suite has."""
    with zipfile.ZipFile(path) as saved:
        size = sum(part.file_size for part in saved.infolist())
    if size > _MOST_BYTES:
        raise ValueError(_("its parts would unpack to {} MB").format(size // 2**20))
