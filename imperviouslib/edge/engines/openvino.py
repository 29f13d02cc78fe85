"""OpenVINO: it starts in a third of a second and needs a tenth of TensorFlow's disk; r.unet.train writes its files beside the Keras nets."""

from __future__ import annotations

import functools
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, ModelError, _
from imperviouslib.edge.engine import SERIES, Compute, Engine, with_planes_first

_TILES = 4
"""Tiles a side of a window in which layers of single cells are computed."""
_END = 2**31 - 1
"""Where a slice reaches to the end."""


def files(net: str) -> tuple[str, ...]:
    """Return the files of a net in a model folder: structure, and weights."""
    return f"{net}.xml", f"{net}.bin"


def _import() -> Any:
    """Import OpenVINO without its telemetry, which would report each import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def load(folder: Path, net: str, threads: int, fast: bool, margin: int, at_once: int) -> Compute:
    """Load a net of a model folder."""
    ov = _import()
    core = ov.Core()
    if fast and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError(_("Flag -f: this processor has no bf16"), then=_("Leave out -f."))
    # By itself, OpenVINO computes in bf16 where the processor can, which changes classes; and it binds its threads to the first processors,
    # so that two jobs or workers on one machine wait for the same ones.
    precision = "bf16" if fast else "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": at_once, "ENABLE_CPU_PINNING": False}
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    path = folder / files(net)[0]
    try:
        model = core.read_model(path)
        is_inner = leave_out(model, margin)
        dense = _with_planes_first(model) if net == SERIES else None
        model = dense or model
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as err:
        reason = " ".join(str(err).split())[:80]
        raise ModelError(
            _("File '{}' cannot be loaded as a network ({})").format(path, reason),
            then=_("Use engine=tensorflow, or train again with the OpenVINO that is installed here."),
        ) from err
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin)) if margin and not is_inner else ...
    free: SimpleQueue[Any] = SimpleQueue()
    for _stream in range(at_once):
        free.put(compiled.create_infer_request())

    def compute(seen: np.ndarray) -> np.ndarray:
        request = free.get()
        try:
            if is_inner:
                return np.moveaxis(request.infer(np.moveaxis(seen, -1, 1), share_inputs=True)[0], 1, -1)
            return request.infer(seen, share_inputs=True)[0][inner]
        finally:
            free.put(request)

    return with_planes_first(compute) if net == SERIES and not dense else compute


def _with_planes_first(model: Any) -> Any:
    """Make of a net that maps (cell, plane) to (cell, output) one that maps (pair, plane, cell) to (pair, output, cell).

    Features come with the planes first, and turning them takes as long as the net. Returns None if this is another net than dense layers.
    """
    from openvino import opset13 as ops

    layers, node = [], model.get_result().input_value(0).get_node()
    while node.get_type_name() != "Parameter":
        is_cut = node.get_type_name() == "Relu"
        total = node.input_value(0).get_node() if is_cut else node
        if total.get_type_name() != "Add":
            return None
        product, bias = (total.input_value(number).get_node() for number in range(2))
        kinds = [one.get_type_name() for one in (product, bias)]
        if kinds != ["MatMul", "Constant"] or product.get_attributes() != {"transpose_a": False, "transpose_b": True}:
            return None
        weight = product.input_value(1).get_node()
        if weight.get_type_name() != "Constant":
            return None
        layers.append((weight.get_data(), bias.get_data().reshape(-1, 1), is_cut))
        node = product.input_value(0).get_node()
    seen = x = ops.parameter([-1, layers[-1][0].shape[1], -1], np.float32)
    for weight, bias, is_cut in reversed(layers):
        x = ops.add(ops.matmul(ops.constant(weight), x, False, False), ops.constant(bias))
        x = ops.relu(x) if is_cut else x
    return _import().Model([ops.result(x)], [seen], model.get_friendly_name())


def leave_out(model: Any, margin: int) -> bool:
    """Let a U-Net compute its output without `margin` rows and columns at each side, and take and give planes: (batch, plane, row, col).

    Its decoder then computes fewer cells, and nothing is turned from planes to cells and back.

    Returns: whether this is such a net as `r.unet.train` builds; others, and all where `margin` is 0, are left as they are
    """
    from openvino import opset13 as ops

    softmax = model.get_result().input_value(0).get_node()
    turned = softmax.input_value(0).get_node()
    if not margin or [node.get_type_name() for node in (softmax, turned)] != ["Softmax", "Transpose"]:
        return False
    stored = model.get_parameters()[0]
    entries = [(kind, turn) for kind in _users(stored) for turn in _users(kind)]
    if {(kind.get_type_name(), turn.get_type_name()) for kind, turn in entries} != {("Convert", "Transpose")}:
        return False
    output = ops.softmax(_inner(turned.input_value(0), margin), 1)
    planes = ops.parameter([-1, stored.get_partial_shape()[3], -1, -1], np.uint16)
    for kind, turn in entries:
        entry = ops.convert(planes, kind.get_attributes()["destination_type"]).output(0)
        for user in turn.output(0).get_target_inputs():
            user.replace_source_output(entry)
    model.get_result().input(0).replace_source_output(output.output(0))
    model.add_parameters([planes])
    model.remove_parameter(stored)
    model.validate_nodes_and_infer_types()
    return True


def _users(node: Any) -> list[Any]:
    return [user.get_node() for user in node.output(0).get_target_inputs()]


def _inner(value: Any, margin: int) -> Any:
    """Return a value of the graph, (batch, channel, row, col), without `margin` rows and columns at each side.

    The margin is left out as early as it can be: of the input of an operation, less the cells that this needs around a cell. What others
    use too, such as the encoder, is computed as a whole.
    """
    from openvino import opset13 as ops

    node = value.get_node()
    kind, inputs = node.get_type_name(), [node.input_value(number) for number in range(node.get_input_size())]
    # The size of a layer's output is asked for by the next one, which is made again here.
    users = [user for user in value.get_target_inputs() if user.get_node().get_type_name() != "ShapeOf"]
    if margin <= 0 or len(users) > 1:
        return _cut(value, margin)
    if kind == "Relu":
        return ops.relu(_inner(inputs[0], margin)).output(0)
    if kind in ("Add", "Multiply", "Maximum", "Divide", "Concat"):
        parts = [part if part.get_node().get_type_name() == "Constant" else _inner(part, margin) for part in inputs]
        if kind == "Concat":
            return ops.concat(parts, 1).output(0)
        make = {"Add": ops.add, "Multiply": ops.multiply, "Maximum": ops.maximum, "Divide": ops.divide}[kind]
        return make(*parts).output(0)
    if kind == "AvgPool" and node.get_attributes()["kernel"] == [3, 3]:
        return _inner_mean(inputs[0], margin)
    if kind == "Convolution":
        return _inner_cells(value, margin) or _inner_convolution(node, inputs, margin)
    if kind == "ConvolutionBackpropData" and list(node.get_attributes()["strides"]) == [2, 2]:
        source, kernel = inputs[0], inputs[1]
        rise = ops.convolution_backprop_data(_inner(source, margin // 2), kernel, [2, 2])
        return _cut(rise.output(0), margin % 2)
    return _cut(value, margin)


def _inner_mean(source: Any, margin: int) -> Any:
    """Return the mean of 3 x 3 cells without its margin, as a sum of shifted planes: pooling takes three times as long, and no cell lies at an edge."""
    from openvino import opset13 as ops

    total = _inner(source, margin - 1)
    for axis in (2, 3):
        first, middle, last = (
            ops.slice(total, [start], [stop], [1], [axis]) for start, stop in ((0, -2), (1, -1), (2, _END))
        )
        total = ops.add(ops.add(first, middle), last)
    return ops.multiply(total, ops.constant(np.float32(1 / 9))).output(0)


def _inner_cells(value: Any, margin: int) -> Any:
    """Return the output of several layers of single cells without its margin, computed tile by tile; None where there are not several.

    A whole window of their many planes does not fit into the processor's cache.
    """
    from openvino import opset13 as ops

    layers: list[Callable[[Any], Any]] = []
    convolutions = 0
    while len(value.get_target_inputs()) == 1:
        node = value.get_node()
        kind = node.get_type_name()
        constant = node.input_value(1) if kind in ("Add", "Convolution") else None
        if kind == "Relu":
            layers.append(ops.relu)
        elif kind == "Add" and constant.get_node().get_type_name() == "Constant":
            layers.append(functools.partial(ops.add, constant))
        elif kind == "Convolution" and constant.get_partial_shape()[2].get_length() == 1:
            convolutions += 1
            layers.append(functools.partial(_of_single_cells, kernel=constant))
        else:
            break
        value = node.input_value(0)
    if convolutions < 2:
        return None

    def of_tile(x: Any) -> Any:
        for layer in reversed(layers):
            x = layer(x)
        return x

    rows = ops.split(_inner(value, margin), 2, _TILES).outputs()
    tiles = [[of_tile(tile) for tile in ops.split(row, 3, _TILES).outputs()] for row in rows]
    return ops.concat([ops.concat(row, 3) for row in tiles], 2).output(0)


def _of_single_cells(x: Any, kernel: Any) -> Any:
    from openvino import opset13 as ops

    return ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])


def _inner_convolution(node: Any, inputs: Any, margin: int) -> Any:
    """Return the output of a convolution without its margin. That of joined values is the sum of theirs: so they need not be joined in memory."""
    from openvino import opset13 as ops

    source, kernel = inputs
    side = kernel.get_partial_shape()[2].get_length()
    joined = source.get_node()
    parts = [source]
    if joined.get_type_name() == "Concat" and side > 1:
        parts = [joined.input_value(number) for number in range(joined.get_input_size())]
    first, total = 0, None
    for part in parts:
        channels = part.get_partial_shape()[1].get_length()
        own = ops.slice(kernel, [first], [first + channels], [1], [1]) if len(parts) > 1 else kernel
        found = ops.convolution(_inner(part, margin - side // 2), own, [1, 1], [0, 0], [0, 0], [1, 1]).output(0)
        first, total = first + channels, found if total is None else ops.add(total, found).output(0)
    return total


def _cut(value: Any, margin: int) -> Any:
    from openvino import opset13 as ops

    if not margin:
        return value
    return ops.slice(value, [margin, margin], [-margin, -margin], [1, 1], [2, 3]).output(0)


def export(net: Any, folder: Path, name: str) -> None:
    """Write a Keras model in OpenVINO's form, in float32. Equal nets give equal bytes."""
    ov = _import()
    with tempfile.TemporaryDirectory() as saved:
        # Keras tells on stdout where it has saved the net; TensorFlow logs each step.
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            net.export(saved, format="tf_saved_model", verbose=False)
        finally:
            logger.setLevel(level)
        model = ov.convert_model(saved)
    # OpenVINO notes where it read the net: the temporary folder, another one in each run.
    model.set_rt_info(name, ["conversion_parameters", "input_model"])
    ov.save_model(model, folder / files(name)[0], compress_to_fp16=False)


ENGINE = Engine(name="openvino", package="openvino", rank=10, files=files, load=load, export=export)
