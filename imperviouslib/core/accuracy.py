"""How well a map agrees with its reference: counts first, then every figure from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imperviouslib.core.legend import CLASSES

BINS = 15
"""Bins of confidence for the calibration error."""
_N = len(CLASSES)


@dataclass(frozen=True)
class ClassAccuracy:
    """Figures of one class; a figure is None if no cell of the class allows to compute it."""

    reference_cells: int
    mapped_cells: int
    iou: float | None
    """Intersection over union of reference and map, 0-1."""
    users_accuracy: float | None
    """Share of the mapped cells that are right, 0-1."""
    producers_accuracy: float | None
    """Share of the reference cells that are mapped, 0-1."""
    area_bias_pct: float | None
    """Mapped area minus reference area, in per cent of the reference area; mapped = the most probable class."""
    expected_area_bias_pct: float | None
    """The same with the sum of the probabilities as area."""


@dataclass(frozen=True)
class Accuracy:
    """Figures of all classes together, and of each."""

    cells: int
    """Cells compared."""
    overall_accuracy: float | None
    """Share of the cells mapped right, 0-1; None without cells, as the next two."""
    log_loss: float | None
    """Mean of -log of the probability of the reference class."""
    calibration_error: float | None
    """Expected calibration error, 0-1."""
    classes: dict[str, ClassAccuracy]
    """Class key to its figures."""


def unmapped(tests: Mapping[str, Accuracy]) -> list[str]:
    """Return the classes that test ground has, in all periods together, and that the model does not map once on it."""
    right: dict[str, list[float]] = {}
    for accuracy in tests.values():
        for key, row in accuracy.classes.items():
            if row.reference_cells:
                right.setdefault(key, []).append(row.producers_accuracy or 0.0)
    return [key for key, shares in right.items() if not any(shares)]


@dataclass
class Tally:
    """Counts of agreement that are summed up part by part, so that memory does not grow with the area."""

    confusion: np.ndarray = field(default_factory=lambda: np.zeros((_N, _N), np.int64))
    """Array (reference class, mapped class), int64, cells."""
    expected: np.ndarray = field(default_factory=lambda: np.zeros(_N))
    """Array (class,), float64: sum of the probabilities of each class, an area in cells."""
    confidence: np.ndarray = field(default_factory=lambda: np.zeros((BINS, 3)))
    """Array (bin, 3), float64: cells, cells mapped right, sum of the probabilities of the mapped class."""
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
        """Number of cells counted."""
        return int(self.confusion.sum())

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: sum over bins of their share x |share mapped right - mean confidence|; None without cells."""
        if not self.cells:
            return None
        return float(np.abs(self.confidence[:, 1] - self.confidence[:, 2]).sum() / self.cells)

    def accuracy(self) -> Accuracy:
        """Return all figures, rounded to six digits."""
        reference, mapped = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        hits = np.diag(self.confusion)
        classes = {}
        for index, land in enumerate(CLASSES):
            hit, true, drawn = int(hits[index]), int(reference[index]), int(mapped[index])
            classes[land.key] = ClassAccuracy(
                reference_cells=true,
                mapped_cells=drawn,
                iou=_ratio(hit, true + drawn - hit),
                users_accuracy=_ratio(hit, drawn),
                producers_accuracy=_ratio(hit, true),
                area_bias_pct=_ratio(100.0 * (drawn - true), true),
                expected_area_bias_pct=_ratio(100.0 * (float(self.expected[index]) - true), true),
            )
        error = self.calibration_error
        return Accuracy(
            cells=self.cells,
            overall_accuracy=_ratio(int(hits.sum()), self.cells),
            log_loss=_ratio(self.log_loss, self.cells),
            calibration_error=None if error is None else round(error, 6),
            classes=classes,
        )


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def confusion_table(confusion: np.ndarray) -> list[list[str]]:
    """Return the counts as rows of a CSV file: rows are the reference, columns the map.

    confusion : array (reference class, mapped class), int, cells
    """
    keys = [c.key for c in CLASSES]
    return [
        ["reference", *keys],
        *([key, *(str(int(n)) for n in row)] for key, row in zip(keys, confusion, strict=True)),
    ]
