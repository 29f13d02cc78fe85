"""Windows at absolute multiples of a size, so that a cell lies in the same window however an area is cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imperviouslib.core.errors import GridError, _
from imperviouslib.core.grid import Grid

WINDOW, WIDE_WINDOW = 512, 1024
"""Cells a side of a prediction window, without halo, and that of large files."""


def window_size(grid: Grid) -> int:
    """Return the size of all windows of a file, so that every cell of every run is computed by the same arithmetic, bit for bit.

    A halo of 48 cells costs 41 % more work with windows of 512 cells and 20 % with those of 1024, which would waste work at the edges of a small
    place and need some 700 MB.

    >>> window_size(Grid(0, 0, 20_000, 90_000)), window_size(Grid(0, 0, 50_000, 50_000))
    (512, 1024)
    """
    return WIDE_WINDOW if min(grid.shape) >= 2 * WIDE_WINDOW else WINDOW


def windows(part: Grid, *, halo: int, size: int) -> Iterator[tuple[Grid, Grid]]:
    """Cut `part` at absolute multiples of `size` cells; yield each core with the window that computes it.

    The window is the whole square of `size` cells, grown by the halo, also where the core is only a part of the square.

    >>> [(core.shape, window.shape) for core, window in windows(Grid(0, 0, 200, 80), halo=8, size=8)]
    [((4, 8), (24, 24)), ((4, 2), (24, 24))]
    """
    for core in part.blocks(size):
        yield core, core.snapped_out(size).grown(halo)


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
