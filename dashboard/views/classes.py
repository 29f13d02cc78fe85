"""Classes of the map: round limits, the same for all years, so that a colour means the same in each year."""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np

COLOUR_COUNTS = {"imp": 6, "grn": 5, "net": 8, "netgrn": 8}
"""Number of colours of each palette; www/dashboard.css has the colours. Half of those of a net change are for losses."""

_ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)

FEW = 30
"""Below this number of regions the classes are even: quantiles would split values that hardly differ."""


def round_limit(value: float) -> float:
    """Return the nearest round number: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.

    >>> round_limit(0.0127), round_limit(-47.0), round_limit(0.0)
    (0.015, -50.0, 0.0)
    """
    if value == 0:
        return 0.0
    size = 10.0 ** floor(log10(abs(value)))
    nearest = min(_ROUND, key=lambda one: abs(one - abs(value) / size))
    return float(f"{nearest * size:.6g}") * (1 if value > 0 else -1)


def _even(low: float, high: float, count: int) -> list[float]:
    """Return round limits in even steps above low and below high, at most count - 1."""
    rough = (high - low) / count
    if rough <= 0:
        return []
    size = 10.0 ** floor(log10(rough))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)
    first = floor(low / step + 1e-9) + 1
    return [float(f"{i * step:.6g}") for i in range(first, ceil(high / step - 1e-9))]


def _limits(values: np.ndarray, count: int, low: float, regions: int) -> list[float]:
    """Return limits between low and the largest value."""
    high = float(values.max())
    if regions < FEW:
        return _even(low, high, count)
    found = {round_limit(float(q)) for q in np.quantile(values, np.arange(1, count) / count)}
    return sorted(limit for limit in found if low < limit <= high)


def class_limits(values: np.ndarray, palette: str) -> tuple[list[float], list[int]]:
    """Choose the limits between classes, and the colour of each class.

    values : array (region, period), NaN = empty
    Returns: ascending limits; colours, one more than limits. 0 is always a limit of a net change
    """
    count, regions = COLOUR_COUNTS[palette], len(values)
    known = values[np.isfinite(values)]
    if not known.size:
        return [], [count // 2]
    if not palette.startswith("net"):
        low = float(known.min())
        limits = _limits(known, count, 0.0 if low >= 0 and regions < FEW else low, regions)
        classes = len(limits) + 1
        return limits, [count // 2] if classes == 1 else [
            round(i * (count - 1) / (classes - 1)) for i in range(classes)
        ]
    half = count // 2
    # The same limits on both sides, so that a gain and a loss of the same size have colours of the same strength.
    sides = _limits(np.abs(known), half, 0.0, regions)[: half - 1]
    limits = [*(-limit for limit in reversed(sides)), 0.0, *sides]
    colours = [*range(half - 1 - len(sides), half), *range(half, half + len(sides) + 1)]
    lowest, highest = float(known.min()), float(known.max())
    while limits[-1] > 0 and highest < limits[-1]:
        limits, colours = limits[:-1], colours[:-1]
    while limits[0] < 0 and lowest >= limits[0]:
        limits, colours = limits[1:], colours[1:]
    return limits, colours
