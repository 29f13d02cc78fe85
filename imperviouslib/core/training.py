"""The plan by which a network is fitted, and the history of its epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imperviouslib.core.errors import TrainingError, _


@dataclass(frozen=True)
class FitPlan:
    """How to fit."""

    epochs: int
    """Maximum number of epochs; fitting stops early if the validation loss has not fallen for a quarter of them."""
    steps: int
    """Batches per epoch."""
    seed: int
    """Determines the first weights and all random draws."""
    rate: float = 3e-3
    """Learning rate at the start; it falls to a hundredth of it along a cosine."""


@dataclass(frozen=True)
class Epoch:
    """Losses of one epoch; only cells that count are included."""

    epoch: int
    """From 1."""
    loss: float
    """Weighted mean cross-entropy on training patches."""
    accuracy: float
    """Share of training cells classified right, 0-1."""
    val_loss: float
    """Mean cross-entropy on validation ground."""
    val_accuracy: float
    """Share of validation cells classified right, 0-1."""


def resolve_steps(cells: int, *, periods: int, patch: int, batch: int) -> int:
    """Return the number of batches per epoch: about two passes over the training cells of one period, between 12 and 1000.

    Epochs of fewer batches would make the validation loss too noisy to choose the best one.

    cells : training cells of all periods together

    >>> resolve_steps(3_000_000, periods=3, patch=64, batch=8)
    61
    """
    return min(max(2 * cells // periods // (patch * patch * batch), 12), 1000)


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the least validation loss, whose weights are kept; raise TrainingError if that is not a number."""
    best = min(history, key=lambda epoch: epoch.val_loss)
    check_loss(best.val_loss)
    return best


def check_loss(loss: float) -> None:
    """Raise TrainingError if a loss is not a number."""
    if not math.isfinite(loss):
        raise TrainingError(
            _("Training failed: the loss is not a number"), then=_("Try another seed=, or fewer filters=.")
        )
