"""The HDF5 file: periods are written one by one into part files, which a stopped run leaves for the next one, and then joined."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import ArdError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import Labels
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge import grass
from imperviouslib.edge.ardcheck import check_ard
from imperviouslib.edge.ardfile import ArdFile, ArdWriter
from imperviouslib.edge.ardfile.chunks import ChunkTask, compress
from imperviouslib.edge.files import exclusive_lock, remove_folder
from imperviouslib.edge.schedule import Crew
from imperviouslib.stage.ard.labels import LabelSource
from imperviouslib.stage.ard.sources import Sources


@dataclass
class LabelTally:
    """How many cells have which label."""

    tied: int = 0
    """Labelled cells in which two or more classes were equally frequent."""
    cells: dict[int, int] = field(default_factory=lambda: dict.fromkeys((c.code for c in CLASSES), 0))
    """Class to its cells."""

    def add(self, labels: Labels) -> None:
        """Count the labels of a part."""
        self.tied += labels.tied
        for code in self.cells:
            self.cells[code] += int(np.count_nonzero(labels.label == code))

    @property
    def tied_share(self) -> float:
        """Return the share of tied cells among the labelled ones, 0-1."""
        return self.tied / max(1, sum(self.cells.values()))


def write_file(
    output: Path, area: Grid, sources: Sources, labels: LabelSource | None, crew: Callable[[], Crew], *, as_float: bool
) -> LabelTally:
    """Write the file.

    crew : returns those who compress; called only where there is something to do

    Each period is first written into a file of its own in a folder beside the output. A run that was stopped reuses these files, and
    joining them copies the compressed chunks as they are. The folder is removed when the output is complete.
    """
    folder = output.with_name(f".{output.name}.parts")
    with exclusive_lock(folder, f"Output '{output}'"):
        parts = {}
        # Writing a period takes about three times as long as joining it.
        steps = 4 * len(sources.periods)
        for number, period in enumerate(sources.periods, start=1):
            parts[period] = folder / f"{period}.h5"
            provenance = {period: sources.origin(period), "read": sources.content(period)}
            if _is_reusable(parts[period], area, period, sources, provenance, as_float=as_float):
                grass.message(_("Period {} was written by a run that was stopped, and is reused.").format(period))
            else:
                _write_part(parts[period], area, period, sources, provenance, crew(), as_float=as_float)
            grass.percent(3 * number, steps)
        whole = folder / "whole.h5"
        tally = _join(whole, parts, area, sources, labels, as_float=as_float)
        whole.replace(output)
        remove_folder(folder)
        grass.percent(steps, steps)
    return tally


def _write_part(
    path: Path,
    area: Grid,
    period: str,
    sources: Sources,
    provenance: Mapping[str, Any],
    crew: Crew,
    *,
    as_float: bool,
) -> None:
    with ArdWriter(path, area, [period], sources.features, as_float=as_float) as ard:

        def tasks() -> Iterator[ChunkTask]:
            for strip in ard.strips():
                planes = np.stack([grass.read_cells(sources.maps[period, name], strip) for name in sources.features])
                planes = np.clip(planes, 0, 65535).astype(np.uint16)
                yield from ard.chunk_tasks(period, strip, planes, _count(sources, period, strip))

        with contextlib.closing(crew.in_order(compress, tasks())) as results:
            for task, chunks in results:
                ard.write_chunks(task, chunks)
        ard.finish(provenance)


def _count(sources: Sources, period: str, strip: Grid) -> np.ndarray:
    """Return the smallest count of the stacked composites; 255 where one of them has no scene."""
    counts = np.stack([grass.read_cells(name, strip, nodata=255) for name in sources.counts[period]])
    smallest = np.where((counts == 255).any(axis=0), 255, counts.min(axis=0))
    return np.clip(smallest, 0, 255).astype(np.uint8)


def _is_reusable(
    path: Path, area: Grid, period: str, sources: Sources, provenance: Mapping[str, Any], *, as_float: bool
) -> bool:
    """Tell whether a stopped run wrote this period completely, from the same scenes.

    Maps without provenance are read again, because they may have changed. So are all maps under a mask, which may be another one now.
    """
    read = provenance["read"]
    if read["mask"] or not all("scenes" in origin for origin in read["maps"].values()) or not path.is_file():
        return False
    try:
        with ArdFile.open(path) as ard:
            if ard.has_checksums:
                # Its chunks could not be copied as they are.
                return False
            same = (ard.grid, ard.periods, ard.features, ard.is_float) == (area, (period,), sources.features, as_float)
            return same and ard.provenance == provenance and not check_ard(path)["findings"]
    except ArdError:
        return False


def _join(
    path: Path,
    parts: Mapping[str, Path],
    area: Grid,
    sources: Sources,
    labels: LabelSource | None,
    *,
    as_float: bool,
) -> LabelTally:
    """Join the parts and write the labels. Returns: the labels counted."""
    tally = LabelTally()
    provenance: dict[str, Any] = {period: sources.origin(period) for period in parts}
    with ArdWriter(path, area, sources.periods, sources.features, as_float=as_float) as ard:
        for part in parts.values():
            with ArdFile.open(part) as source:
                ard.copy_period(source)
        if labels:
            ard.start_label(year=labels.year, legend=labels.first.legend.name)
            for strip in ard.strips():
                found = labels.read(strip)
                ard.write_label(strip, found.label, found.purity, found.shares)
                tally.add(found)
            provenance["labels"] = labels.provenance
        ard.finish(provenance)
    return tally
