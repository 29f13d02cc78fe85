"""Windows at absolute multiples of a size, so that a cell lies in the same window however an area is cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imperviouslib.core.errors import GridError, _
from imperviouslib.core.grid import Grid

WINDOW, WIDE_WINDOW = 512, 1024
"""Cells a side of a prediction window, without halo, and that of large files."""
_EDGE = 64
"""Windows at the edges of a file end at absolute multiples of so many cells: a multiple of the anchor of every net."""


def window_size(grid: Grid) -> int:
    """Return the size of all windows of a file, so that every cell of every run is computed by the same arithmetic, bit for bit.

    A halo of 48 cells costs 41 % more work with windows of 512 cells and 20 % with those of 1024, which need some 700 MB.

    >>> window_size(Grid(0, 0, 20_000, 90_000)), window_size(Grid(0, 0, 50_000, 50_000))
    (512, 1024)
    """
    return WIDE_WINDOW if min(grid.shape) >= 2 * WIDE_WINDOW else WINDOW


def windows(part: Grid, *, file: Grid, halo: int, size: int) -> Iterator[tuple[Grid, Grid]]:
    """Cut `part` at absolute multiples of `size` cells; yield each core with the window that computes it.

    The window is what the square of `size` cells and the file have in common, grown by the halo, also where the core is only a part of that.
    So the window of a cell depends on the file alone, and not on the region.

    part : cells to compute, which lie in `file`

    >>> file = Grid(0, 0, 3000, 2560)
    >>> [(core.shape, window.shape) for core, window in windows(Grid(0, 0, 2600, 80), file=file, halo=8, size=128)]
    [((4, 128), (144, 144)), ((4, 2), (144, 80))]
    """
    covered = file.snapped_out(_EDGE)
    for core in part.blocks(size):
        window = core.snapped_out(size).intersection(covered)
        assert window is not None  # The core lies in both.
        yield core, window.grown(halo)


def window_corners(outer: Grid, *, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row and column, in `outer`, of every window of `size` cells at absolute multiples of `stride`.

    Returns: two arrays (window,), int64; every window lies completely in `outer`
    """
    rows = np.arange(-outer.first_row % stride, outer.height - size + 1, stride)
    cols = np.arange(-outer.first_col % stride, outer.width - size + 1, stride)
    grid_rows, grid_cols = np.meshgrid(rows, cols, indexing="ij")
    return grid_rows.ravel(), grid_cols.ravel()


def resolve_part(grid: Grid, region: Grid, *, name: str) -> Grid:
    """Return the cells of a file's grid that lie in the region; raise GridError if there are none.

    name : the file, for the message
    """
    part = grid.intersection(region)
    if part is None:
        west, south, east, north = grid.bounds
        raise GridError(
            _("The current region has no cell of '{}'").format(name),
            then=_("Set it with g.region n={} s={} e={} w={} res={}.").format(north, south, east, west, grid.res_m),
        )
    return part
