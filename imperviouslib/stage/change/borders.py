"""The cells on borders between the regions of a run, found once, block by block, and kept in files for the passes over the maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from imperviouslib.core.borders import BorderCells, Outline, blocks_met, find_border_cells, hosts_of_cells
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.edge import grass
from imperviouslib.edge.schedule import Alone, Crew


@dataclass(frozen=True)
class Borders:
    """The cells on borders, in files."""

    folder: Path
    """Has a file for each absolute block with such cells."""
    levels: int
    ranks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """As for `cut_cells`."""

    def read(self, part: Grid) -> BorderCells:
        """Return the border cells within a part of the computational region; memory is that of its borders."""
        found = []
        for block in part.blocks():
            path = _file_of(self.folder, block)
            if path.exists():
                with np.load(path) as arrays:
                    cells = BorderCells(**arrays)
                row, col = cells.rows - block.first_row, cells.cols - block.first_col
                inside = (row >= 0) & (row < block.height) & (col >= 0) & (col < block.width)
                found.append(cells.where(inside))
        return BorderCells.join(found, self.levels)


@dataclass(frozen=True)
class _Task:
    """A block, and the outlines that have a border in it."""

    block: Grid
    """The whole of an absolute block, so that shares do not depend on the computational region."""
    part: Grid
    """What of it lies in the computational region."""
    zone_maps: tuple[str, ...]
    outlines: Sequence[tuple[int, int, Outline]]
    """Level, category and outline of each region."""
    folder: Path


def find_borders(
    outlines: Mapping[int, Outline],
    levels: Mapping[int, int],
    zone_maps: Sequence[str],
    grid: Grid,
    folder: Path,
    crew: Crew | None = None,
) -> Borders:
    """Find the cells on borders, and the share of each region in them; memory is that of the outlines and of a block for each process.

    outlines : category to outline
    levels : category to the place of its level among `zone_maps`
    zone_maps : the raster of the regions of each level, with its mapset
    folder : where to write their files
    crew : who looks for them; None = this process, as on a cluster, whose workers have no GRASS database
    """
    at: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for category, outline in outlines.items():
        for place in blocks_met(outline):
            at[place].append(category)
    tasks, step = [], BLOCK * grid.res_m
    for (col, row), categories in sorted(at.items()):
        block = Grid(col * step, row * step, (col + 1) * step, (row + 1) * step, grid.res_m)
        if part := block.intersection(grid):
            chosen = [(levels[category], category, outlines[category]) for category in sorted(categories)]
            tasks.append(_Task(block, part, tuple(zone_maps), chosen, folder))
    near = crew if crew and not crew.is_remote else Alone()
    for number, _done in enumerate(near.in_order(_find_in_block, tasks)):
        grass.percent(number + 1, len(tasks))
    return Borders(folder, len(zone_maps))


def _find_in_block(task: _Task) -> None:
    """Write the border cells of a block into its file."""
    # Runs of whole cells do not need the package behind it.
    from imperviouslib.edge.coverage import cell_shares

    # A cell that a mask hides belongs to its region all the same.
    wanted = [(name, "i4") for name in task.zone_maps]
    ((_part, planes),) = grass.read_maps(wanted, task.part, task.part.height, masked=False)
    centres = np.zeros((len(task.zone_maps), *task.block.shape), np.int32)
    inside = task.part.slices_in(task.block)
    for level, key in enumerate(wanted):
        centres[level][inside] = planes[key]
    shares = {(level, category): cell_shares(outline, task.block) for level, category, outline in task.outlines}
    cells = find_border_cells(shares, centres, task.block.first_row, task.block.first_col)
    row, col = cells.rows - task.part.first_row, cells.cols - task.part.first_col
    cells = cells.where((row >= 0) & (row < task.part.height) & (col >= 0) & (col < task.part.width))
    with _file_of(task.folder, task.block).open("wb") as file:
        np.savez(file, **{one.name: getattr(cells, one.name) for one in fields(cells)})


def _file_of(folder: Path, part: Grid) -> Path:
    """Return the file of the block that holds a part of the grid."""
    return folder / f"{part.first_row // BLOCK}_{part.first_col // BLOCK}.npz"


def regions_met(borders: Borders, grid: Grid) -> set[int]:
    """Return the categories of all regions that share a border cell."""
    found: set[int] = set()
    for block in grid.blocks():
        found |= set(borders.read(block).category.tolist())
    return found


def hosts_of(borders: Borders, grid: Grid, categories: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """Tell in which regions of higher levels those lie that hold no centre of a cell, as `hosts_of_cells` does."""
    found = [hosts_of_cells(borders.read(block), categories) for block in grid.blocks()]
    rows, cells = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(cells)
