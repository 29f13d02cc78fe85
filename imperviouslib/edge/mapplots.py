"""Images of maps (matplotlib), for a look at the data before training."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.files import atomic_write

mpl.use("Agg")
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

LARGEST = 1500
"""Pixels a side of an image, at most; the caller thins larger arrays."""
_NO_DATA = (0.85, 0.85, 0.85)


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110, bbox_inches="tight", metadata={"Software": None})


def _axes(title: str, grid: Grid) -> tuple[Figure, Axes, tuple[float, float, float, float]]:
    """Return a figure with axes in kilometres of EPSG:3035, and the extent of its image."""
    tall = grid.height / grid.width
    figure = Figure(figsize=(8 / max(1.0, tall) + 1, 8 * min(1.0, tall) + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel("east, km")
    axes.set_ylabel("north, km")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.locator_params(nbins=6)
    axes.set_facecolor(_NO_DATA)
    return figure, axes, (grid.west / 1000, grid.east / 1000, grid.south / 1000, grid.north / 1000)


def false_colour(path: Path, planes: np.ndarray, title: str, grid: Grid) -> None:
    """Draw three features as red, green and blue, each stretched from its 2nd to its 98th percentile; no data is grey.

    planes : array (3, row, col), uint16, 0 = no data
    """
    known = (planes > 0).all(axis=0)
    image = np.empty((*planes.shape[1:], 3))
    for channel, plane in enumerate(planes):
        low, high = np.percentile(plane[known], (2, 98)) if known.any() else (0, 1)
        image[..., channel] = np.clip((plane - low) / max(high - low, 1), 0, 1)
    image[~known] = _NO_DATA
    figure, axes, extent = _axes(title, grid)
    axes.imshow(image, interpolation="nearest", extent=extent)
    _save(figure, path)


def counts(path: Path, count: np.ndarray, title: str, grid: Grid) -> None:
    """Draw clear observations; array (row, col), uint8, 255 = no scene, which is grey."""
    figure, axes, extent = _axes(title, grid)
    known = count[count < 255]
    top = int(known.max()) if known.size else 1
    # A colour for each count where there are few, else 20 steps.
    steps = np.arange(top + 2) - 0.5 if top <= 20 else np.linspace(0, top, 21)
    drawn = axes.imshow(
        np.ma.masked_equal(count, 255),
        cmap="viridis",
        norm=BoundaryNorm(steps, 256),
        interpolation="nearest",
        extent=extent,
    )
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label="clear observations")
    if top <= 20:
        bar.set_ticks(range(top + 1))
    _save(figure, path)


def classes(path: Path, label: np.ndarray, title: str, grid: Grid) -> None:
    """Draw classes, with each class's share of the labelled cells in the legend; array (row, col), 1-4, 0 = no data."""
    colours = [_NO_DATA, *(tuple(v / 255 for v in c.colour) for c in CLASSES)]
    figure, axes, extent = _axes(title, grid)
    axes.imshow(
        label, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(CLASSES) + 0.5, interpolation="nearest", extent=extent
    )
    known = max(1, np.count_nonzero(label))
    texts = ["no data", *(f"{c.title}, {100 * np.count_nonzero(label == c.code) / known:.1f} %" for c in CLASSES)]
    handles = [Patch(color=colour, label=text) for colour, text in zip(colours, texts, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    _save(figure, path)
