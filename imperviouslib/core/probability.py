"""From the numbers that the network returns to calibrated probabilities, and to the codes that the maps hold."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis.

    >>> softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities as maps store them, which are never 0 or 1; NaN stays NaN."""
    known = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(known / (1 - known))


def resolve_temperature(logits: np.ndarray, reference: np.ndarray) -> float:
    """Return the temperature T for which softmax(logits / T) has the least log loss.

    With b = 1/T the slope of the log loss is mean(sum_k p_k z_k - z_reference). It grows with b, so bisection finds its zero. T stays
    within 0.2 to 5: a value beyond that means that training failed.

    logits : array (cell, class), float
    reference : array (cell,), class index
    """
    if not len(reference):
        return 1.0
    logits = logits.astype(np.float64)
    right = np.take_along_axis(logits, reference.astype(np.int64)[:, np.newaxis], axis=1)[:, 0].mean()
    low, high = 0.2, 5.0
    for _step in range(40):
        middle = (low * high) ** 0.5
        slope = (softmax(logits * middle) * logits).sum(axis=1).mean() - right
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(round(1.0 / (low * high) ** 0.5, 6))


MOST_SHIFT = 1.0
"""Most that `resolve_shift` adds or takes off. Made worlds needed 0.2 to 0.4; more would only deny what a net is sure of."""


def resolve_shift(logit: np.ndarray, share: float) -> float:
    """Return what to add to log-odds so that this share of them is above 0, or as nearly so as a shift of at most 1 comes.

    Where no shift at all puts the same values above 0, nothing is added: so it is where a net is sure of all land.

    >>> round(resolve_shift(np.linspace(-1, 1, 201), 0.25), 2)
    -0.5
    >>> resolve_shift(np.array([-6.0, -5.0, 5.0, 6.0]), 0.25)
    0.0
    """
    if not logit.size:
        return 0.0
    cut = float(np.clip(np.quantile(logit, 1 - share), -MOST_SHIFT, MOST_SHIFT))
    # Any cut from the one value to below the next parts the values alike.
    low, high = logit[logit <= cut].max(initial=-MOST_SHIFT), logit[logit > cut].min(initial=MOST_SHIFT)
    return 0.0 if low <= 0 < high else -float(low if low > 0 else (low + high) / 2)


def encode_prediction(probability: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn probabilities into the values of the maps.

    probability : array (class, row, col), float, sums to 1
    known : array (row, col), bool, false where a feature has no data
    Returns: class (row, col), uint8, 1-4; probability x 10000 (class, row, col), uint16, 1-9999, because no class is ever impossible or
    certain. Both are 0 where not known.
    """
    # Nets return the classes of a cell side by side. NumPy's argmax over so few takes five times as long as these comparisons.
    planes = np.array(probability, order="C")
    classes, best = np.ones(known.shape, np.uint8), planes[0].copy()
    for code, plane in enumerate(planes[1:], 2):
        greater = (plane > best).view(np.uint8)
        greater *= np.uint8(code)
        np.maximum(classes, greater, out=classes)
        np.maximum(best, plane, out=best)
    planes *= 10_000
    np.clip(np.rint(planes, out=planes), 1, 9999, out=planes)
    if not known.all():
        classes *= known
        planes[:, ~known] = 0
    return classes, planes.astype(np.uint16)
