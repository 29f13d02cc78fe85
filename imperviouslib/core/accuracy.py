"""How well a map agrees with its reference: counts first, every figure from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imperviouslib.core.legend import CLASSES

BINS = 15
"""Bins of confidence for the calibration error."""
_N = len(CLASSES)


@dataclass
class Tally:
    """Counts that can be added up part by part, so that memory does not grow with the ground."""

    confusion: np.ndarray = field(default_factory=lambda: np.zeros((_N, _N), np.int64))
    """Array (reference class, mapped class), int64, cells."""
    expected: np.ndarray = field(default_factory=lambda: np.zeros(_N))
    """Sum of the probabilities of each class: the area that they promise, in cells."""
    confidence: np.ndarray = field(default_factory=lambda: np.zeros((BINS, 3)))
    """A bin each: cells, cells mapped rightly, sum of the mapped class's probability."""
    log_loss: float = 0.0
    """Sum of -log of the probability of the reference class."""

    def add(self, probability: np.ndarray, reference: np.ndarray) -> None:
        """Count some cells.

        probability : array (cell, class), float, rows sum to 1
        reference : array (cell,), class index 0-3
        """
        if not len(reference):
            return
        mapped = probability.argmax(axis=1)
        top = probability.max(axis=1)
        self.confusion += np.bincount(reference.astype(np.int64) * _N + mapped, minlength=_N * _N).reshape(_N, _N)
        self.expected += probability.sum(axis=0, dtype=np.float64)
        bins = np.minimum((top * BINS).astype(np.int64), BINS - 1)
        for column, weights in enumerate((None, mapped == reference, top)):
            self.confidence[:, column] += np.bincount(bins, weights=weights, minlength=BINS)
        right = np.take_along_axis(probability, reference.astype(np.int64)[:, np.newaxis], axis=1)
        self.log_loss += float(-np.log(np.maximum(right, 1e-12), dtype=np.float64).sum())

    @property
    def cells(self) -> int:
        """Cells counted."""
        return int(self.confusion.sum())

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: sum over bins of their share x |share mapped rightly - mean confidence|."""
        if not self.cells:
            return None
        return float(np.abs(self.confidence[:, 1] - self.confidence[:, 2]).sum() / self.cells)

    def summary(self) -> dict:
        """Return all figures, ready for JSON; None where a class has no cells to judge it by.

        Bias is in per cent of the reference area: mapped (by the most probable class) and expected (by the probabilities).
        """
        total = self.cells
        reference, mapped = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        hits = np.diag(self.confusion)
        classes = {}
        for index, land in enumerate(CLASSES):
            hit, true, drawn = int(hits[index]), int(reference[index]), int(mapped[index])
            classes[land.key] = {
                "reference_cells": true,
                "mapped_cells": drawn,
                "iou": _ratio(hit, true + drawn - hit),
                "users_accuracy": _ratio(hit, drawn),
                "producers_accuracy": _ratio(hit, true),
                "area_bias_pct": _ratio(100.0 * (drawn - true), true),
                "expected_area_bias_pct": _ratio(100.0 * (float(self.expected[index]) - true), true),
            }
        return {
            "cells": total,
            "overall_accuracy": _ratio(int(hits.sum()), total),
            "log_loss": _ratio(self.log_loss, total),
            "calibration_error": None if not total else round(self.calibration_error or 0.0, 6),
            "classes": classes,
        }


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis.

    >>> softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def resolve_temperature(logits: np.ndarray, reference: np.ndarray) -> float:
    """Return the temperature T that makes softmax(logits / T) fit best (least log loss).

    With b = 1/T the slope of the log loss is mean(sum_k p_k z_k - z_reference), which grows with b, so halving an interval
    finds its zero. T stays within 0.2 to 5: beyond that the net has failed, and a number would hide it.

    logits : array (cell, class), float; reference : array (cell,), class index
    """
    if not len(reference):
        return 1.0
    logits = logits.astype(np.float64)
    right = np.take_along_axis(logits, reference.astype(np.int64)[:, np.newaxis], axis=1)[:, 0].mean()
    low, high = 0.2, 5.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        slope = (softmax(logits * middle) * logits).sum(axis=1).mean() - right
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(round(1.0 / (low * high) ** 0.5, 6))


def confusion_table(confusion: np.ndarray) -> list[list[str]]:
    """Lay the counts out for a CSV file: rows are the reference, columns the map."""
    keys = [c.key for c in CLASSES]
    return [
        ["reference", *keys],
        *([key, *(str(int(n)) for n in row)] for key, row in zip(keys, confusion, strict=True)),
    ]
