"""Pictures of maps (matplotlib), to be looked at before numbers are believed."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.files import appearing

mpl.use("Agg")
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_LARGEST = 1500
"""Pixels a side; larger arrays are thinned."""
_NO_DATA = (0.85, 0.85, 0.85)


def _thin(plane: np.ndarray) -> np.ndarray:
    step = max(1, -(-max(plane.shape[-2:]) // _LARGEST))
    return plane[..., ::step, ::step]


def _save(figure: Figure, path: Path) -> None:
    with appearing(path) as part:
        figure.savefig(part, dpi=110, bbox_inches="tight", metadata={"Software": None})


def _axes(title: str) -> tuple[Figure, object]:
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure, axes


def false_colour(path: Path, planes: np.ndarray, title: str) -> None:
    """Draw three features as red, green and blue, each stretched from its 2nd to its 98th percentile.

    planes : array (3, row, col), uint16, 0 = no data
    """
    planes = _thin(planes)
    known = (planes > 0).all(axis=0)
    picture = np.empty((*planes.shape[1:], 3))
    for channel, plane in enumerate(planes):
        low, high = np.percentile(plane[known], (2, 98)) if known.any() else (0, 1)
        picture[..., channel] = np.clip((plane - low) / max(high - low, 1), 0, 1)
    picture[~known] = _NO_DATA
    figure, axes = _axes(title)
    axes.imshow(picture, interpolation="nearest")
    _save(figure, path)


def counts(path: Path, count: np.ndarray, title: str) -> None:
    """Draw clear observations; array (row, col), uint8, 255 = no scene."""
    count = _thin(count)
    figure, axes = _axes(title)
    axes.set_facecolor(_NO_DATA)
    drawn = axes.imshow(np.ma.masked_equal(count, 255), cmap="viridis", interpolation="nearest", vmin=0)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="clear observations")
    _save(figure, path)


def classes(path: Path, label: np.ndarray, title: str) -> None:
    """Draw classes with their legend; array (row, col), 1-4, 0 = no data."""
    colours = [_NO_DATA, *(tuple(v / 255 for v in c.colour) for c in CLASSES)]
    figure, axes = _axes(title)
    axes.imshow(_thin(label), cmap=ListedColormap(colours), vmin=-0.5, vmax=len(CLASSES) + 0.5, interpolation="nearest")
    handles = [
        Patch(color=colour, label=text)
        for colour, text in zip(colours, ("no data", *(c.title for c in CLASSES)), strict=True)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3, frameon=False)
    _save(figure, path)
