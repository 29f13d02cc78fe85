"""OpenVINO: it starts in a third of a second and needs a tenth of TensorFlow's disk; r.unet.train writes its files beside the Keras nets."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import InputError, ModelError, _
from imperviouslib.edge.engine import Compute, Engine


def files(net: str) -> tuple[str, ...]:
    """Return the files of a net in a model folder: structure, and weights."""
    return f"{net}.xml", f"{net}.bin"


def _import() -> Any:
    """Import OpenVINO without its telemetry, which would report each import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def load(folder: Path, net: str, threads: int, fast: bool) -> Compute:
    """Load a net of a model folder."""
    ov = _import()
    core = ov.Core()
    if fast and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError(_("Flag -f: this processor has no bf16"), then=_("Leave out -f."))
    # By itself, OpenVINO computes in bf16 where the processor can, which changes classes; and it binds its threads to the first processors,
    # so that two jobs or workers on one machine wait for the same ones.
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if fast else "f32", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    if threads > 0:
        settings["INFERENCE_NUM_THREADS"] = threads
    path = folder / files(net)[0]
    try:
        compiled = core.compile_model(path, "CPU", settings)
    except RuntimeError as err:
        reason = " ".join(str(err).split())[:80]
        raise ModelError(
            _("File '{}' cannot be loaded as a network ({})").format(path, reason),
            then=_("Use engine=tensorflow, or train again with the OpenVINO that is installed here."),
        ) from err
    request = compiled.create_infer_request()
    return lambda seen: request.infer(seen, share_inputs=True)[0]


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
