"""Measure how new sealed land lies together: in how large objects, and how much of its cells is built upon.

Real maps of change are compared with the made world by these figures. Such a map shows pixels of 10 m, not gardens and drives: so the made
world is first made a map of 10 m too. All figures are shares of the newly sealed 20 m cells, which are those of which half and more became
sealed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from testsuite.world.land import Land
from testsuite.world.materials import CLASS

SIZES = (5, 10, 25)
"""Objects of fewer 20 m cells than this; cells touch also at a corner."""
BOUNDS = {
    "in objects of < 5": (0.0, 0.12), "in objects of < 10": (0.02, 0.30), "in objects of < 25": (0.12, 0.55),
    "built, mean": (0.79, 0.92), "wholly built": (0.48, 0.76),
}  # fmt: skip
"""The range of the real maps, widened by what different worlds of 20 km scatter."""


def lying(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Measure new land between two maps. before, after : arrays (row, col) of 10 m pixels, bool, sealed. Returns: shares of the new 20 m cells; {} if there are none."""
    first, last = (_halved(np.asarray(at, np.float32)) for at in (before, after))
    new = (last >= 0.5) & (first < 0.5)
    if not new.any():
        return {}
    objects = ndimage.label(new, np.ones((3, 3)))[0]
    cells = np.bincount(objects.ravel())[1:]
    shares = [float(cells[cells < size].sum() / cells.sum()) for size in SIZES]
    return dict(zip(BOUNDS, (*shares, float(last[new].mean()), float((last[new] == 1).mean())), strict=True))


def as_mapped(land: Land, year: int) -> np.ndarray:
    """Return the sealed land of a made world as a map of 10 m shows it: array (row, col), bool; half of a pixel and more is sealed."""
    return _halved((CLASS[land.material(year)] == 1)[land.place_surface].astype(np.float32)) >= 0.5


def periods(years: tuple[int, ...], length: int) -> Iterator[tuple[int, int]]:
    """Yield first and last year of all periods of some years that do not overlap.

    >>> list(periods((2017, 2018, 2019, 2020, 2021), 2))
    [(2017, 2019), (2019, 2021)]
    """
    for first in range(years[0], years[-1] - length + 1, length):
        yield first, first + length


def _halved(share: np.ndarray) -> np.ndarray:
    """Average 2 x 2 cells; an odd row or column at the end is left out."""
    rows, cols = (n // 2 for n in share.shape)
    return share[: 2 * rows, : 2 * cols].reshape(rows, 2, cols, 2).mean(axis=(1, 3))
