"""How many cells of the grid lie in an outline, without a raster.

A zone's shares refer to its whole outline, but the current GRASS region may hold only a part of it, and a raster of the rest
could have billions of cells. A cell lies in an outline if its centre does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from imperviouslib.core.grid import RES_M, Grid

Ring = Sequence[Sequence[float]]
"""Corners (x, y) in metres, EPSG:3035; the first corner may be repeated at the end."""


def count_cells(polygons: Iterable[Sequence[Ring]], window: Grid | None = None, res_m: int = RES_M) -> int:
    """Count the cells whose centre lies in polygons that do not overlap.

    polygons : each a list of rings, the outer one first, then its holes, as in GeoJSON
    window : Grid or None; count only its cells
    res_m : int, cell size in metres

    >>> count_cells([[[(0, 0), (60, 0), (60, 40), (0, 40)]]])
    6
    >>> count_cells([[[(0, 0), (60, 0), (60, 40), (0, 40)]]], Grid(20, 0, 400, 20))
    2
    """
    return sum(
        sum((-1 if hole else 1) * _count_ring(ring, window, res_m) for hole, ring in enumerate(rings))
        for rings in polygons
    )


def _count_ring(ring: Ring, window: Grid | None, res_m: int) -> int:
    """Count the centres within one ring.

    Along a row of centres, the number of centres west of each crossing, added where the ring goes up and subtracted where it
    goes down, gives the centres between the crossings; with k centres west of x, k = ceil(x / res - 1/2).
    """
    corners = np.asarray(ring, "float64")[:, :2]
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    # Rows count northwards here: the centre of row j lies at (j + 1/2) * res. An edge crosses the rows low <= j < high.
    low = np.ceil(np.minimum(y0, y1) / res_m - 0.5).astype("int64")
    high = np.ceil(np.maximum(y0, y1) / res_m - 0.5).astype("int64")
    if window is not None:
        first, last = window.south // res_m, window.north // res_m
        low, high = np.clip(low, first, last), np.clip(high, first, last)
    crossings = high - low
    edge = np.repeat(np.arange(len(low)), crossings)
    if not edge.size:
        return 0
    step = np.arange(edge.size) - np.repeat(np.cumsum(crossings) - crossings, crossings)
    y = (low[edge] + step + 0.5) * res_m
    x = x0[edge] + (y - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    west = np.ceil(x / res_m - 0.5).astype("int64")
    if window is not None:
        west = np.clip(west, window.west // res_m, window.east // res_m)
    return int(abs(np.sum(np.where(y1[edge] > y0[edge], west, -west))))


def measure_area(polygons: Iterable[Sequence[Ring]]) -> float:
    """Return the area of polygons that do not overlap, in square metres.

    >>> measure_area([[[(0, 0), (60, 0), (60, 40), (0, 40)], [(10, 10), (20, 10), (20, 20), (10, 20)]]])
    2300.0
    """
    return sum(sum((-1 if hole else 1) * _ring_area(ring) for hole, ring in enumerate(rings)) for rings in polygons)


def _ring_area(ring: Ring) -> float:
    corners = np.asarray(ring, "float64")[:, :2]
    # From a corner of its own: products of coordinates of millions of metres would lose a square metre.
    (x0, y0), (x1, y1) = (corners - corners[0]).T, (np.roll(corners, -1, axis=0) - corners[0]).T
    return float(abs(np.sum(x0 * y1 - x1 * y0)) / 2)
