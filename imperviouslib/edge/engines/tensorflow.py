"""TensorFlow, which also trains."""

from __future__ import annotations

from pathlib import Path

from imperviouslib.core.errors import InputError, _
from imperviouslib.edge.engine import SERIES, Compute, Engine, with_planes_first


def files(net: str) -> tuple[str, ...]:
    """Return the file of a net in a model folder."""
    return (f"{net}.keras",)


def load(folder: Path, net: str, threads: int, fast: bool, margin: int, at_once: int) -> Compute:
    """Load a net of a model folder. TensorFlow shares its threads out to any number of callers."""
    from imperviouslib.edge.unet import load_net, run_net

    if fast:
        raise InputError(
            _("Flag -f: engine tensorflow computes in float32 only"), then=_("Use engine=openvino, or leave out -f.")
        )
    compute = run_net(load_net(folder / files(net)[0], threads=threads))
    if net == SERIES:
        return with_planes_first(compute)
    return (lambda seen: compute(seen)[:, margin:-margin, margin:-margin]) if margin else compute


ENGINE = Engine(name="tensorflow", package="tensorflow", rank=20, files=files, load=load)
