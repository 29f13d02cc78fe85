"""Nets over windows of an HDF5 file: classes and probabilities of a period, and the evidence of the series net.

A worker opens file and net once, and computes one window at a time.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core import series, splice
from imperviouslib.core.card import Scaling
from imperviouslib.core.errors import ArdError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.probability import encode_prediction
from imperviouslib.core.windows import window_size, windows
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.engine import Compute, Engine, Infer, open_series, open_unet, resolve_engine
from imperviouslib.edge.overlap import do_each, do_in_order, read_ahead, resolve_threads
from imperviouslib.edge.seriesnet import pair_logits

_lock = threading.Lock()
"""A net, and HDF5, serve one thread at a time."""

Evidence = tuple[np.ndarray, np.ndarray]
"""Evidence of each history, array (history, row, col), float32; and which years were seen, array (year, row, col), bool."""
_BLOCK, _NET_CELLS = 64, 1024
"""Cells a side of the blocks, and cells of the batches, in which evidence is computed."""
Planes = tuple[np.ndarray, np.ndarray]
"""Classes (row, col) uint8 and probabilities x 10000 (class, row, col) uint16; 0 = no data."""


@dataclass(frozen=True)
class Model:
    """The nets of a model folder, and how they are computed."""

    folder: Path
    sha256: str
    """Of the U-Net: it tells models apart that were trained into the same folder."""
    engine: str
    threads: int
    """Threads of the engine; 0 = all cores."""
    fast: bool
    """Compute the U-Net in bf16."""
    halo: int
    """Cells read around a window."""


@dataclass(frozen=True)
class Source:
    """An HDF5 file."""

    path: Path
    digest: str
    """Of its data."""


@dataclass(frozen=True)
class WindowTask:
    """A window of a period."""

    source: Source
    model: Model
    period: str
    core: Grid
    """Cells to map."""
    window: Grid
    """Cells that the net sees."""


@dataclass(frozen=True)
class EvidenceTask:
    """A window of all years."""

    source: Source
    model: Model
    years: tuple[int, ...]
    scaling: Scaling
    shares: tuple[float, ...]
    """Shares of the four outputs of the series net in the data of its training."""
    window: Grid


def window_tasks(
    source: Source, model: Model, ard: ArdFile, period: str, halo: int, part: Grid
) -> Iterator[WindowTask]:
    """Yield the windows of a period. halo : cells read around a window"""
    for core, window in windows(part, file=ard.grid, halo=halo, size=window_size(ard.grid)):
        yield WindowTask(source, model, period, core, window)


def predict_window(task: WindowTask) -> Planes | None:
    """Compute the cells of a window; None where no cell has all features."""
    with _lock:
        stored = _file(task.source).read(task.period, task.window)
        planes = _compute(stored, task.core, task.window, _unet(task.model)[0])
        return planes and encode_prediction(*planes)


def find_agreement(model: Model) -> float:
    """Return the share of the cells of the model's fixed patch that get the class that TensorFlow gave them, 0-1."""
    with _lock:
        return _unet(model)[1]


Results = Generator[tuple[Grid, Planes | None], None, None]
"""Cells of windows with what was computed for them; None where no cell is known."""


def open_here(
    engine: Engine, folder: Path, threads: int, *, fast: bool, halo: int
) -> tuple[Callable[[ArdFile, str, int, Grid], Results], float]:
    """Load the U-Net of a model folder for this process.

    In bf16 two windows are computed at a time, each by half of the threads: all threads of a window wait for the slowest one, and what is read
    and written meanwhile slows down one window only. A tile then needs 1.3 GB; one window in float32 needs 1.0 GB.

    Returns: what `predict_here` does, from its arguments after the first; and what `open_unet` finds about the fixed patch
    """
    at_once = min(2, resolve_threads(threads)) if fast else 1
    infer, agreement = open_unet(engine, folder, threads, fast=fast, halo=halo, at_once=at_once)
    return functools.partial(predict_here, infer, at_once=at_once), agreement


def predict_here(
    infer: Infer, ard: ArdFile, period: str, halo: int, part: Grid, *, size: int = 0, at_once: int = 1
) -> Results:
    """Compute the windows of a period in this process; meanwhile the next one is read, and the last one encoded.

    Yields: cells, and what `predict_window` gives for them

    size : cells a side of a window without its halo; 0 = by the file
    at_once : how many windows are computed at a time
    """
    reading = (
        (core, window, ard.read(period, window))
        for core, window in windows(part, file=ard.grid, halo=halo, size=size or window_size(ard.grid))
    )

    def compute(item: tuple[Grid, Grid, np.ndarray]) -> tuple[Grid, tuple[np.ndarray, np.ndarray] | None]:
        core, window, stored = item
        return core, _compute(stored, core, window, infer)

    with closing(read_ahead(reading)) as read, closing(do_in_order(compute, read, at_once)) as found:
        for core, planes in found:
            yield core, planes and encode_prediction(*planes)


def _compute(stored: np.ndarray, core: Grid, window: Grid, infer: Infer) -> tuple[np.ndarray, np.ndarray] | None:
    """Compute the cells `core` of a window from its features; None where no cell has all features.

    stored : array (feature, row, col), uint16, 0 = no data
    Returns: what `encode_prediction` takes
    """
    rows, cols = core.slices_in(window)
    known = (stored[:, rows, cols] > 0).all(axis=0)
    if not known.any():
        return None
    probability = infer(stored)
    inner = window.grown((probability.shape[1] - window.height) // 2)
    return probability[(slice(None), *core.slices_in(inner))], known


def find_evidence(task: EvidenceTask) -> Evidence:
    """Return the evidence of the series net in a window."""
    with _lock:
        return _evidence(task, _read_years(task))


def evidence_here(tasks: Iterable[EvidenceTask]) -> Generator[tuple[EvidenceTask, Evidence], None, None]:
    """Yield each task with what `find_evidence` gives for it, computed in this process; meanwhile the next window is read."""
    read = read_ahead((task, _read_years(task)) for task in tasks)
    return read_ahead((task, _evidence(task, stored)) for task, stored in read)


def _read_years(task: EvidenceTask) -> list[np.ndarray]:
    """Read the features of each year around a window: array (feature, row, col), uint16."""
    ard, around = _file(task.source), task.window.grown(splice.HALO)
    return [ard.read(str(year), around) for year in task.years]


def _evidence(task: EvidenceTask, stored: Sequence[np.ndarray]) -> Evidence:
    """Compute the evidence in blocks that fit into the processor's cache, several at a time."""
    net = _series(task.model)
    seen = np.empty((len(task.years), *task.window.shape), bool)
    evidence = np.empty((len(series.Histories(task.years)), *task.window.shape), np.float32)

    def compute(block: Grid) -> None:
        place = (slice(None), *block.slices_in(task.window))
        evidence[place], seen[place] = _block_evidence(task, net, stored, block)

    do_each(compute, task.window.parts(_BLOCK, _BLOCK), task.model.threads)
    return evidence, seen


def _block_evidence(task: EvidenceTask, net: Compute, stored: Sequence[np.ndarray], block: Grid) -> Evidence:
    """Return the evidence of a block of the window. stored : as `_read_years` gives it"""
    near, around = block.grown(splice.HALO), task.window.grown(splice.HALO)
    planes = [plane[(slice(None), *near.slices_in(around))] for plane in stored]
    values = splice.scaled(planes, np.array(task.scaling.mean), np.array(task.scaling.deviation), axis=1)
    own = values.shape[1]
    values = splice.surroundings(values)
    seen = ~np.isnan(values[:, 0])
    rows = max(1, _NET_CELLS // block.width)
    logits = [
        pair_logits(net, splice.pair_features(values[:, :, top : top + rows], own))
        for top in range(0, block.height, rows)
    ]
    return series.pair_evidence(np.concatenate(logits, axis=2), np.array(task.shares), seen), seen


@functools.lru_cache(maxsize=1)
def _open(source: Source) -> tuple[AbstractContextManager[ArdFile], ArdFile]:
    """Open a file, which stays open until another one is asked for."""
    opening: Any = ArdFile.open(source.path)
    ard = opening.__enter__()
    if ard.digest != source.digest:
        raise ArdError(
            _("File '{}' holds other data than when this run began").format(source.path),
            then=_("Run the same command again."),
        )
    return opening, ard


def _file(source: Source) -> ArdFile:
    return _open(source)[1]


@functools.lru_cache(maxsize=1)
def _unet(model: Model) -> tuple[Infer, float]:
    return open_unet(_engine(model), model.folder, model.threads, fast=model.fast, halo=model.halo)


@functools.lru_cache(maxsize=1)
def _series(model: Model) -> Compute:
    return open_series(_engine(model), model.folder, resolve_threads(model.threads))


def _engine(model: Model) -> Any:
    return resolve_engine(model.engine, [path.name for path in model.folder.iterdir()], ())
