"""TensorFlow, which also trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imperviouslib.edge.engine import Engine, Infer
from imperviouslib.edge.modelfile import NET


def open_model(folder: Path, threads: int) -> Infer:
    """Load the network of a model folder; it computes one window per call."""
    from imperviouslib.edge.unet import load_net, run_net

    run = run_net(load_net(folder / NET, threads=threads))
    return lambda stored: np.moveaxis(run(np.moveaxis(stored, 0, -1)[np.newaxis])[0], -1, 0)


ENGINE = Engine(name="tensorflow", package="tensorflow", rank=10, open=open_model)
