"""Inference engines: what each offers, which there are, which one is used, and whether it computes what TensorFlow computed.

An engine is a file in edge/engines/ that sets ENGINE; nothing else lists them but the option's choices in r.unet.predict.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, ModelError, _

AUTO = "auto"
"""Choice of the first engine that is installed and whose files the model has."""
UNET, SERIES = "unet", "series"
"""The nets of a model folder; their files begin with these names."""
CHECK = "check.npz"
"""File of a model folder: an input and TensorFlow's output for each net, as <net>_input and <net>_output."""
Compute = Callable[[np.ndarray], np.ndarray]
"""A net: its input, first axis batch, to its output, float32."""
Infer = Callable[[np.ndarray], np.ndarray]
"""Array (feature, row, col) uint16, 0 = no data, sides multiples of the anchor and of 4 -> (class, row, col) float32, sums 1; of the window without its halo."""
TOLERANCE = {UNET: 1e-4, SERIES: 1e-2}
"""How far an engine's output may lie from TensorFlow's: probabilities, and log-odds. What is rounding stays below 1e-6 and 1e-4."""
_FAST_TOLERANCE = 0.05
"""How far probabilities in bf16 may lie apart that are computed in another order."""


@dataclass(frozen=True)
class Engine:
    """A library that computes networks."""

    name: str
    """Choice of the option engine=."""
    package: str
    """Python package that it needs."""
    rank: int
    """Order of preference with engine=auto; the lowest is tried first."""
    files: Callable[[str], tuple[str, ...]]
    """Name of a net to its files in a model folder."""
    load: Callable[[Path, str, int, bool, int, int], Compute]
    """From a model folder, the name of a net, a number of threads (0 = all cores), whether to use bf16, a number of rows and columns to leave
    out at each side of the output, and how many callers share the threads, to the net ready for use; the files of the series net map (cell, plane)
    to (cell, output), what is loaded maps (pair, plane, cell) to (pair, output, cell). Imports the package. Raises InputError where the processor
    has no bf16."""
    export: Callable[[Any, Path, str], None] | None = None
    """Write a Keras model as these files; None where r.unet.train writes them anyway."""

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


def resolve_engine(name: str, files: Collection[str], nets: Collection[str] = (UNET,)) -> Engine:
    """Return the engine of a name; `auto` is the first that is installed and whose files a model has.

    files : names of the files of the model
    nets : nets that the engine is to compute

    Raises InputError if there is no engine of that name, ModelError if the model has no files for it.
    """
    if name == AUTO:
        able = [engine for engine in engines() if _has_files(engine, files, nets)]
        # If none is installed, opening the last one says which package is missing: TensorFlow, whose files each model has.
        return next((engine for engine in able if engine.installed), able[-1])
    for engine in engines():
        if engine.name == name:
            missing = [file for net in nets for file in engine.files(net) if file not in files]
            if missing:
                raise ModelError(
                    _("Option <engine>: the model has no {}, which {} needs").format(missing[0], name),
                    then=_("Train it again where {} is installed, or use engine={}.").format(engine.package, AUTO),
                )
            return engine
    raise InputError(
        _("Option <engine>"),
        found=f"'{name}'",
        expected=_("one of {}").format(", ".join([AUTO, *(engine.name for engine in engines())])),
        then=_("Choose one of these."),
    )


def _has_files(engine: Engine, files: Collection[str], nets: Collection[str]) -> bool:
    return all(file in files for net in nets for file in engine.files(net))


def open_unet(
    engine: Engine, folder: Path, threads: int, *, fast: bool = False, halo: int = 0, at_once: int = 1
) -> tuple[Infer, float]:  # fmt: skip
    """Load the U-Net of a model folder.

    halo : width in cells of the margin of a window that only its other cells need
    at_once : how many windows are computed at a time, each by a part of the threads
    Returns: the net; and the share of the cells of the model's fixed patch that get the class that TensorFlow gave them, 0-1
    Raises ModelError where the probabilities are not TensorFlow's, unless they are `fast`.
    """
    compute = engine.load(folder, UNET, threads, fast, 0, 1 if halo else at_once)
    agreement = _compare(compute, engine, folder, UNET, fast=fast)
    if halo:
        whole, compute = compute, engine.load(folder, UNET, threads, fast, halo, at_once)
        _compare_inner(compute, whole, engine, folder, halo, fast=fast)
    return lambda stored: np.moveaxis(compute(np.moveaxis(stored, 0, -1)[np.newaxis])[0], -1, 0), agreement


def _compare_inner(compute: Compute, whole: Compute, engine: Engine, folder: Path, halo: int, *, fast: bool) -> None:
    """Raise ModelError where a net that leaves out the halo gives other probabilities than the whole net."""
    if not (folder / CHECK).is_file():
        return
    with np.load(folder / CHECK, allow_pickle=False) as stored:
        seen = stored[f"{UNET}_input"]
    times = 2 * halo // min(seen.shape[1:3]) + 1
    seen = np.tile(seen, (1, times, times, 1))
    found, expected = compute(seen), whole(seen)[:, halo:-halo, halo:-halo]
    apart = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not apart <= (_FAST_TOLERANCE if fast else TOLERANCE[UNET]):
        raise _deviates(engine, folder, apart, _FAST_TOLERANCE if fast else TOLERANCE[UNET], inner=True)


def open_series(engine: Engine, folder: Path, threads: int) -> Compute:
    """Load the series net of a model folder: (pair, plane, cell) float32 to (pair, 4, cell) logits.

    threads : how many call it at a time, 1 or more; each waits for its own numbers alone
    Raises ModelError as `open_unet` does.
    """
    net = engine.load(folder, SERIES, threads, False, 0, threads)
    _compare(lambda cells: net(cells.T[np.newaxis])[0].T, engine, folder, SERIES, fast=False)

    return net


def with_planes_first(compute: Compute) -> Compute:
    """Let a net that maps (cell, plane) to (cell, output) map (pair, plane, cell) to (pair, output, cell)."""

    def of_pairs(seen: np.ndarray) -> np.ndarray:
        pairs, planes, cells = seen.shape
        found = compute(np.moveaxis(seen, 1, 2).reshape(-1, planes))
        return np.moveaxis(found.reshape(pairs, cells, -1), 2, 1)

    return of_pairs


def _compare(compute: Compute, engine: Engine, folder: Path, net: str, *, fast: bool) -> float:
    """Hold a net against TensorFlow's output for the model's fixed input; return the share of equal classes."""
    if not (folder / CHECK).is_file():
        return 1.0  # The model is of a version that had no other engine than TensorFlow.
    with np.load(folder / CHECK, allow_pickle=False) as stored:
        seen, expected = stored[f"{net}_input"], stored[f"{net}_output"]
    if not seen.size:
        raise ModelError(
            _("Model '{}', {}").format(folder, CHECK),
            found=_("no input for the net '{}'").format(net),
            expected=_("some cells, by which engines are compared"),
            then=_("Train again."),
        )
    found = compute(seen)
    apart = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not fast and not apart <= TOLERANCE[net]:
        raise _deviates(engine, folder, apart, TOLERANCE[net])
    return float((found.argmax(axis=-1) == expected.argmax(axis=-1)).mean())


def _deviates(engine: Engine, folder: Path, apart: float, most: float, *, inner: bool = False) -> ModelError:
    """Make the error of outputs that differ. inner : they are those of the net without its halo, held against the whole net by the same engine"""
    found = (
        _("outputs of the net without its halo that differ from those of the whole net by up to {:.2g}")
        if inner
        else _("outputs that differ from those of the training by up to {:.2g}")
    )
    return ModelError(
        _("Model '{}', engine {}").format(folder, engine.name),
        found=found.format(apart),
        expected=_("at most {:.0e}").format(most),
        then=_("Use another engine=, or train again with the versions installed here."),
    )


def export_nets(nets: Mapping[str, tuple[Any, Compute, np.ndarray]], folder: Path) -> list[str]:
    """Write the files of all installed engines, and those that they are held against, into a model folder.

    nets : name to Keras model, the same compiled by TensorFlow, and an input
    Returns: names of the files
    """
    written = []
    for engine in engines():
        if engine.export and engine.installed:
            for name, (net, _compute, _seen) in nets.items():
                engine.export(net, folder, name)
                written += engine.files(name)
    arrays = {}
    for name, (_net, compute, seen) in nets.items():
        arrays |= {f"{name}_input": seen, f"{name}_output": compute(seen)}
    np.savez_compressed(folder / CHECK, **arrays)
    return [*written, CHECK]
