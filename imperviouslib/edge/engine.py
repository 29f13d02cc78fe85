"""Inference engines: what each offers, which there are, and which one is used.

An engine is a file in edge/engines/ that sets ENGINE; nothing else lists them but the option's choices in r.unet.predict.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imperviouslib.core.errors import InputError, _

AUTO = "auto"
"""Choice of the first engine that is installed."""
Infer = Callable[[np.ndarray], np.ndarray]
"""Array (feature, row, col) uint16, 0 = no data, sides multiples of the anchor -> (class, row, col) float32, sums 1."""


@dataclass(frozen=True)
class Engine:
    """A library that computes the network."""

    name: str
    """Choice of the option engine=."""
    package: str
    """Python package that it needs."""
    rank: int
    """Order of preference with engine=auto; the lowest is tried first."""
    open: Callable[[Path, int], Infer]
    """From a model folder and a number of threads (0 = all cores) to the network, ready for use. Imports the package."""

    @property
    def installed(self) -> bool:
        """Whether its package is installed; does not import it."""
        return importlib.util.find_spec(self.package) is not None


@functools.cache
def engines() -> tuple[Engine, ...]:
    """Return all engines, in order of preference."""
    from imperviouslib.edge import engines as folder

    names = (f"{folder.__name__}.{module.name}" for module in pkgutil.iter_modules(folder.__path__))
    found: list[Engine] = [importlib.import_module(name).ENGINE for name in names]
    return tuple(sorted(found, key=lambda engine: engine.rank))


def resolve_engine(name: str) -> Engine:
    """Return the engine of a name; `auto` is the first that is installed. Raise InputError if there is none of that name."""
    if name == AUTO:
        # If none is installed, opening the first one says which package is missing.
        return next((engine for engine in engines() if engine.installed), engines()[0])
    for engine in engines():
        if engine.name == name:
            return engine
    raise InputError(
        _("Option <engine>"),
        found=f"'{name}'",
        expected=_("one of {}").format(", ".join([AUTO, *(engine.name for engine in engines())])),
        then=_("Choose one of these."),
    )
