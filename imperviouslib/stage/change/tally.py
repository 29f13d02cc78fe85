"""One pass over the maps of a run, in bands of rows side by side, for all that kinds and methods ask for."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imperviouslib.core.borders import BorderCells
from imperviouslib.core.grid import Grid
from imperviouslib.core.tally import Measure, Strip, Units, make_strip, share_cells
from imperviouslib.edge import grass
from imperviouslib.edge.schedule import Alone, Crew
from imperviouslib.stage.change.borders import Borders
from imperviouslib.work.tally import StripTask, add_strip

_STRIP_CELLS = 2**22
"""Cells of all maps together that a strip and the buffers of their readers may hold: 16 to 32 MiB."""
_BUFFERED_ROWS = 4
"""Rows, about, that the reader of a map keeps in its own buffers. They are taken off the strip, so that wide maps need no more memory than narrow ones."""
_BAND_ROWS = 1024
"""Rows of a band. Each band opens all maps again; their sums do not depend on the number of processes, because bands do not."""


@dataclass(frozen=True)
class Band:
    """The rows that one process adds up."""

    grid: Grid
    zone_maps: tuple[str, ...]
    measures: tuple[Measure, ...]
    """Empty."""
    masked: bool
    """Whether a mask of the user applies."""
    borders: Borders | None = None
    """The cells on borders; None: no cell is shared."""


class Tally:
    """What was asked for, and its sums."""

    def __init__(
        self,
        zone_maps: Mapping[int, str],
        grid: Grid,
        crew: Crew | None = None,
        *,
        masked: bool = True,
        borders: Borders | None = None,
    ) -> None:
        mapset = grass.mapset_folder().name
        self._zone_maps = tuple(f"{name}@{mapset}" for name in zone_maps.values())
        self._grid, self._crew, self._masked = grid, crew or Alone(), masked
        self._borders = borders
        self.units = Units(len(zone_maps))
        self.measures: list[Measure] = []
        """What is not added up yet."""
        self.members: Mapping[int, Sequence[int]] = {}
        """Units of each region, by category."""

    def run(self) -> None:
        """Add up all that was asked for since the last pass; memory is that of a strip and of the sums."""
        if not self.measures:
            return
        measures, self.measures = self.measures, []
        empty = copy.deepcopy(tuple(measures))
        parts = self._grid.parts(_BAND_ROWS)
        bands = [Band(part, self._zone_maps, empty, self._masked, self._borders) for part in parts]
        added = _add_remotely(bands, self._crew) if self._crew.is_remote else self._crew.in_order(add_band, bands)
        # Bands are added from north to south, whichever is ready first: floating-point sums depend on the order.
        for number, (_band, (units, found)) in enumerate(added):
            numbers = self.units.merge(units)
            for measure, part in zip(measures, found, strict=True):
                measure.merge(part, numbers)
            grass.percent(number + 1, len(bands))
        self.members = self.units.members()


Added = tuple[Units, tuple[Measure, ...]]
"""Units of a band, and its measures."""


def add_band(band: Band) -> Added:
    """Add up the cells of a band. Returns: its units, and the measures."""
    added = Units(len(band.zone_maps)), copy.deepcopy(band.measures)
    for task in _read_strips(band, added[0]):
        _merge(added, add_strip(task))
    return added


def _merge(added: Added, parts: Sequence[Measure]) -> None:
    """Add the measures of a strip to those of its band. Floating-point sums depend on the order, so strips are added one by one everywhere."""
    units, measures = added
    for measure, part in zip(measures, parts, strict=True):
        measure.merge(part, np.arange(len(units.table)))


def _add_remotely(bands: Iterable[Band], crew: Crew) -> Iterator[tuple[Band, Added]]:
    """Add up bands as `add_band` does, in the same order, but this process reads the strips and workers of a cluster add up their cells."""
    begun: deque[tuple[Band, Added]] = deque()

    def tasks() -> Iterator[StripTask]:
        for band in bands:
            units = Units(len(band.zone_maps))
            begun.append((band, (units, copy.deepcopy(band.measures))))
            yield from _read_strips(band, units)

    for task, parts in crew.in_order(add_strip, tasks()):
        band, added = begun[0]
        _merge(added, parts)
        if task.strip.grid.south == band.grid.south:
            yield begun.popleft()


def _read_strips(band: Band, units: Units) -> Iterator[StripTask]:
    """Read the cells of a band from the GRASS database, and number their units."""
    codes = dict.fromkeys(name for one in band.measures for name in one.codes)
    values: dict[str, str] = {}
    for one in band.measures:
        for name in one.values:
            values[name] = max(values.get(name, "f4"), "f8" if one.precise else "f4")
    wanted = [*((name, "i4") for name in (*band.zone_maps, *codes)), *values.items()]
    rows = max(1, _STRIP_CELLS // (band.grid.width * len(wanted)) - _BUFFERED_ROWS)
    on_borders = band.borders.read(band.grid) if band.borders else None
    for part, cells in grass.read_maps(wanted, band.grid, rows, masked=band.masked):
        categories = np.stack([cells[name, "i4"] for name in band.zone_maps])
        strip = make_strip(
            part, categories, units, {name: cells[name, "i4"] for name in codes},
            {name: cells[name, dtype] for name, dtype in values.items()},
        )  # fmt: skip
        yield StripTask(strip, _share(strip, units, band.borders, on_borders), band.measures)


def _share(strip: Strip, units: Units, borders: Borders | None, cells: BorderCells | None) -> tuple[Strip, ...]:
    """Cut those of the border cells of a band that lie in a strip; return nothing where it has none."""
    if borders is None or cells is None:
        return ()
    row = cells.rows - strip.grid.first_row
    inside = (row >= 0) & (row < strip.grid.height)
    return share_cells(strip, units, cells.where(inside), borders.ranks) if inside.any() else ()
