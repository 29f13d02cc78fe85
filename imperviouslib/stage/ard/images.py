"""Images of a finished file, read from the file itself, so that they show what was written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.edge.ardfile import ArdFile


def draw(path: Path, folder: Path) -> None:
    """Draw each period in false colour, its count, and the labels."""
    from imperviouslib.edge import mapplots

    with ArdFile.open(path) as ard:
        thin = partial(_thinned, grid=ard.grid, cells=mapplots.LARGEST)
        for period in ard.periods:
            planes = thin(partial(ard.read, period))
            title = f"{period}: {', '.join(ard.features[:3])} as red, green, blue"
            if len(planes) < 3:
                title = f"{period}: {ard.features[0]}"
                planes = planes[[0, 0, 0]]
            mapplots.false_colour(folder / f"composite_{period}.png", planes[:3], title, ard.grid)
            count = thin(partial(ard.read_count, period))
            mapplots.counts(folder / f"count_{period}.png", count, f"{period}: clear observations", ard.grid)
        if ard.has_label:
            title = f"Labels of {ard.label_year} ({ard.legend})"
            mapplots.classes(folder / "labels.png", thin(ard.read_label), title, ard.grid)


def _thinned(read: Callable[[Grid], np.ndarray], *, grid: Grid, cells: int) -> np.ndarray:
    """Read every n-th row and column strip by strip, so that the longer side has at most `cells`."""
    step = max(1, -(-max(grid.shape) // cells))
    return np.concatenate([read(strip)[..., ::step, ::step] for strip in grid.parts(256 * step)], axis=-2)
