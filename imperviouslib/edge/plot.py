"""Training curves as a picture (Matplotlib, without a display)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from imperviouslib.core.training import Epoch


def plot_training(path: Path, history: Sequence[Epoch], *, best_epoch: int, title: str) -> None:
    """Draw loss and accuracy by epoch, for training and validation ground, as PNG.

    best_epoch : int, the epoch whose weights were kept; marked by a line
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row.epoch for row in history]
    left, right = figure.subplots(1, 2)
    for axes, key, label in zip(
        (left, right), ("loss", "accuracy"), ("Loss (cross-entropy)", "Accuracy (share of cells)"), strict=True
    ):
        axes.plot(epochs, [getattr(row, key) for row in history], marker=".", color="#2166ac", label="training ground")
        axes.plot(
            epochs,
            [getattr(row, f"val_{key}") for row in history],
            marker=".",
            color="#b2182b",
            label="validation ground",
        )
        axes.axvline(best_epoch, color="0.5", linewidth=0.8, linestyle="--", label=f"kept: epoch {best_epoch}")
        axes.set_xlabel("Epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    # The loss falls by orders of magnitude. The upper middle of its axes is always empty.
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(NullFormatter())
    left.legend(loc="upper center", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
