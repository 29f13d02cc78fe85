"""Nets over windows of an HDF5 file: classes and probabilities of a period, and the evidence of the series net.

A worker opens file and net once, and computes one window at a time.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Generator, Iterator, Sequence
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
from imperviouslib.edge.engine import Compute, Infer, open_series, open_unet, resolve_engine
from imperviouslib.edge.overlap import do_each, read_ahead
from imperviouslib.edge.seriesnet import pair_logits

_lock = threading.Lock()
"""A net, and HDF5, serve one thread at a time."""

_BLOCK, _NET_CELLS = 128, 1024
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
        return map_window(
            _file(task.source).read(task.period, task.window), task.core, task.window, _unet(task.model)[0]
        )


def find_agreement(model: Model) -> float:
    """Return the share of the cells of the model's fixed patch that get the class that TensorFlow gave them, 0-1."""
    with _lock:
        return _unet(model)[1]


def predict_here(
    infer: Infer, ard: ArdFile, period: str, halo: int, part: Grid, *, size: int = 0
) -> Generator[tuple[Grid, Planes | None], None, None]:
    """Compute the windows of a period in this process, while the next one is read. Yields: cells, and what `predict_window` gives for them

    size : cells a side of a window without its halo; 0 = by the file
    """
    reading = (
        (core, window, ard.read(period, window))
        for core, window in windows(part, file=ard.grid, halo=halo, size=size or window_size(ard.grid))
    )
    with closing(read_ahead(reading)) as read:
        for core, window, stored in read:
            yield core, map_window(stored, core, window, infer)


def map_window(stored: np.ndarray, core: Grid, window: Grid, infer: Infer) -> Planes | None:
    """Compute the cells `core` of a window from its features; None where no cell has all of them.

    stored : array (feature, row, col), uint16, 0 = no data
    """
    rows, cols = core.slices_in(window)
    known = (stored[:, rows, cols] > 0).all(axis=0)
    return encode_prediction(infer(stored)[:, rows, cols], known) if known.any() else None


def find_evidence(task: EvidenceTask) -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence of the series net: array (history, row, col); and which years were seen: array (year, row, col), bool.

    The window is computed in blocks that fit into the processor's cache, several at a time.
    """
    with _lock:
        ard, net = _file(task.source), _series(task.model)
        around = task.window.grown(splice.HALO)
        stored = [ard.read(str(year), around) for year in task.years]
        seen = np.empty((len(task.years), *task.window.shape), bool)
        evidence = np.empty((len(series.Histories(task.years)), *task.window.shape), np.float32)

        def compute(block: Grid) -> None:
            place = (slice(None), *block.slices_in(task.window))
            evidence[place], seen[place] = _block_evidence(task, net, stored, around, block)

        do_each(compute, task.window.parts(_BLOCK, _BLOCK), task.model.threads)
        return evidence, seen


def _block_evidence(
    task: EvidenceTask, net: Compute, stored: Sequence[np.ndarray], around: Grid, block: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `find_evidence` returns, for a block of the window.

    stored : features of each year on `around`
    """
    near = block.grown(splice.HALO)
    planes = [np.moveaxis(plane[(slice(None), *near.slices_in(around))], 0, -1) for plane in stored]
    values = splice.scaled(planes, np.array(task.scaling.mean), np.array(task.scaling.deviation))
    inner = (slice(None), *block.slices_in(near))
    seen = ~np.isnan(values[inner][..., 0])
    values = splice.surroundings(values)[inner]
    rows = max(1, _NET_CELLS // block.width)
    logits = [
        pair_logits(net, splice.pair_features(values[:, top : top + rows])) for top in range(0, block.height, rows)
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
    return open_unet(_engine(model), model.folder, model.threads, fast=model.fast)


@functools.lru_cache(maxsize=1)
def _series(model: Model) -> Compute:
    return open_series(_engine(model), model.folder, model.threads)


def _engine(model: Model) -> Any:
    return resolve_engine(model.engine, [path.name for path in model.folder.iterdir()], ())
