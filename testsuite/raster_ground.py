"""Rasters that tests write whole, and where cells lie in a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.core.resample import Source
from imperviouslib.edge import warp
from imperviouslib.edge.rasterfile import TiffWriter


def write_tiff(path: Path, array: np.ndarray, grid: Grid, *, nodata: float | None = 0) -> None:
    """Write an array (row, col) on the grid as a GeoTIFF, in the form in which the tools write theirs."""
    with TiffWriter(path, grid, str(array.dtype), nodata=nodata) as out:
        out.write(array, grid)


def cell_positions(source: Source, part: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return where the centres of the cells of `part` lie in a source.

    Returns: (row, col), two arrays (row, col) of float64, in pixels from the source's outer corner; 0.5 is the first pixel's centre
    """
    rows, cols = np.empty(part.shape), np.empty(part.shape)
    found = warp.coordinates(source)
    for block in found.blocks(part):
        of_rows, of_cols = found.of_block(block.row, block.col)
        rows[block.in_part], cols[block.in_part] = of_rows[block.in_block], of_cols[block.in_block]
    return rows, cols
