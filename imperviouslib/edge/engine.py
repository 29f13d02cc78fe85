"""Inference engines behind one function. TensorFlow is the one there is; another takes a place in ENGINES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.edge.modelfile import NET

Infer = Callable[[np.ndarray], np.ndarray]
"""Array (feature, row, col) uint16, 0 = no data, sides multiples of the anchor -> (class, row, col) float32, sums 1."""


def _open_tensorflow(folder: Path, threads: int) -> Infer:
    from imperviouslib.edge.unet import load_net, run_net

    run = run_net(load_net(folder / NET, threads=threads))
    return lambda stored: np.moveaxis(run(np.moveaxis(stored, 0, -1)[np.newaxis])[0], -1, 0)


ENGINES: dict[str, Callable[[Path, int], Infer]] = {"tensorflow": _open_tensorflow}


def open_engine(folder: Path, *, engine: str = "auto", threads: int = 0) -> Infer:
    """Open the net of a model folder for prediction.

    engine : str, a key of ENGINES, or auto for the first of them
    threads : int, threads to use; 0 = all cores
    """
    name = next(iter(ENGINES)) if engine == "auto" else engine
    if name not in ENGINES:
        raise InputError(
            _("Option <engine>"),
            found=f"'{engine}'",
            expected=_("auto or ") + ", ".join(ENGINES),
            then=_("Choose one of these."),
        )
    return ENGINES[name](folder, threads)
