"""Which share of each cell lies in an outline, by exactextract."""

from __future__ import annotations

import numpy as np
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource

from imperviouslib.core.borders import Outline
from imperviouslib.core.grid import Grid


def cell_shares(outline: Outline, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of a grid that lie in an outline, at least in part.

    Coordinates are counted from the corner of the grid, so that products of them stay small and their sums exact to some 1e-7 of a cell.
    Memory is that of all cells of the grid: give it blocks.

    Returns: array (cell,), int64, place in the flattened grid; array (cell,), float64, share of the cell
    """
    corner = np.array([grid.west, grid.south])
    polygons = [[(ring - corner).tolist() for ring in rings] for rings in outline]
    shape = {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": polygons}}
    # exactextract reads values of a raster; here it only needs its cells.
    none = np.broadcast_to(np.uint8(0), grid.shape)
    raster = NumPyRasterSource(none, 0, 0, grid.east - grid.west, grid.north - grid.south)
    found = exact_extract(raster, [shape], ["cell_id", "coverage"])[0]["properties"]
    return np.asarray(found["cell_id"], np.int64), np.asarray(found["coverage"], np.float64)
