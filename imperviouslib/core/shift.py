"""How far two images of the same ground are shifted against each other: phase correlation, to a fraction of a cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

WINDOW = 128
"""Side in cells of the windows that are compared."""
_KNOWN = 0.7
"""Share of cells with data that a window needs."""
_FINE = 50
"""Resolution of a shift: parts of a cell."""


@dataclass(frozen=True)
class Shift:
    """The shift of one image against another, as the median of many windows."""

    rows: float
    """Cells southwards."""
    cols: float
    """Cells eastwards."""
    scatter: float
    """Median distance of the windows' shifts from it, in cells: a small one means a reliable shift."""
    windows: int
    """Windows compared."""


def window_shift(reference: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return (rows, cols) by which `other` lies south and east of `reference`.

    reference, other : array (row, col) of equal shape, float, without gaps

    The peak of the correlation is found first in whole cells, then in fractions by a matrix product (Guizar-Sicairos et al. 2008). Only
    the lower half of the frequencies is used, because the upper half is noise and aliased 10 m detail.
    """
    height, width = reference.shape
    # Flat in the middle: a taper with a peak, being the same for both images, would bias every shift towards zero.
    taper = np.minimum(1, 2 * np.hanning(height))[:, np.newaxis] * np.minimum(1, 2 * np.hanning(width))
    first, second = (np.fft.fft2((a - a.mean()) * taper) for a in (reference, other))
    power = second * np.conj(first)
    rows, cols = np.fft.fftfreq(height)[:, np.newaxis], np.fft.fftfreq(width)[np.newaxis]
    low = (np.hypot(rows, cols) < 0.25) & (np.abs(power) > 0)
    phase = np.where(low, power / np.where(low, np.abs(power), 1), 0)
    surface = np.fft.ifft2(phase).real
    at = np.unravel_index(surface.argmax(), surface.shape)
    coarse = [(i + n // 2) % n - n // 2 for i, n in zip(at, surface.shape, strict=True)]
    steps = np.arange(-_FINE, _FINE + 1) / _FINE
    by_row = np.exp(2j * np.pi * (coarse[0] + steps)[:, np.newaxis] * rows.T)
    by_col = np.exp(2j * np.pi * cols.T * (coarse[1] + steps)[np.newaxis])
    fine = (by_row @ phase @ by_col).real
    row, col = np.unravel_index(fine.argmax(), fine.shape)
    return float(coarse[0] + steps[row]), float(coarse[1] + steps[col])


def _windows(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for row in range(0, shape[0] - WINDOW + 1, WINDOW):
        for col in range(0, shape[1] - WINDOW + 1, WINDOW):
            yield slice(row, row + WINDOW), slice(col, col + WINDOW)


def find_shift(reference: np.ndarray, other: np.ndarray) -> Shift | None:
    """Compare two images window by window; None if no window has enough data in both.

    reference, other : array (row, col), 0 = no data
    """
    found = []
    for window in _windows(reference.shape):
        a, b = reference[window].astype(float), other[window].astype(float)
        known = (a > 0) & (b > 0)
        if known.mean() < _KNOWN or a[known].std() == 0 or b[known].std() == 0:
            continue
        found.append(window_shift(*(np.where(known, x, x[known].mean()) for x in (a, b))))
    if not found:
        return None
    shifts = np.array(found)
    middle = np.median(shifts, axis=0)
    scatter = np.median(np.hypot(*(shifts - middle).T))
    return Shift(float(middle[0]), float(middle[1]), float(scatter), len(found))
