"""Composites of the clear observations of a period.

`METHODS` is the one table of methods. To add a method, write its function and add a row. `STATISTICS` are those that a run can make
beside the median.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NO_SCENE = 255
"""In counts: no scene covers the cell."""
_ROWS = 32
"""Rows sorted at a time: few enough to stay in the processor's cache."""


class Observations:
    """The clear observations of one part of the grid.

    An overpass counts once per cell: where two of its tiles overlap, the first with clear values is used. A cell is clear in all
    variables or in none.

    overpasses : name of the overpass of each scene that will be added; a name may repeat
    cube : array (variable, overpass, row, col), uint16, as stored (see core/feature.py), 0 = not clear
    score : array (overpass, row, col), uint8, 0 = not clear; None if scores are not kept
    """

    def __init__(
        self, variables: int, overpasses: Sequence[str], shape: tuple[int, int], *, scored: bool = False
    ) -> None:
        self.overpasses = tuple(dict.fromkeys(overpasses))
        self.cube = np.zeros((variables, len(self.overpasses), *shape), np.uint16)
        self.score = np.zeros((len(self.overpasses), *shape), np.uint8) if scored else None

    def add(
        self, overpass: str, planes: Sequence[np.ndarray], mask: np.ndarray, scores: np.ndarray | None = None
    ) -> None:
        """Add one scene.

        planes : array (row, col) of each variable, uint16, 0 = no data
        mask : array (row, col), bool, True = clear
        scores : array (row, col), uint8, as core/cloudmask.score gives them
        """
        at = self.overpasses.index(overpass)
        target = self.cube[:, at]
        take = mask & (target[0] == 0)
        for plane in planes:
            take &= plane > 0
        # A product with 0 or 1 is several times as fast as a masked copy; the target cells are still 0.
        factor, taken = take.astype(np.uint16), np.empty(take.shape, np.uint16)
        for plane, layer in zip(planes, target, strict=True):
            layer += np.multiply(plane, factor, out=taken)
        if self.score is not None and scores is not None:
            np.copyto(self.score[at], scores, where=take)

    def count(self) -> np.ndarray:
        """Return how many overpasses are clear: array (row, col), int64."""
        return np.count_nonzero(self.cube[0], axis=0)

    def spread(self, days: Sequence[int]) -> np.ndarray:
        """Return the days between the first and the last clear overpass; array (row, col), uint16, 65535 = never clear.

        days : day of each overpass, as a day number (any epoch)
        """
        first = np.full(self.cube.shape[2:], 2**31 - 1, np.int64)
        last = np.full(self.cube.shape[2:], -(2**31), np.int64)
        for layer, day in zip(self.cube[0], days, strict=True):
            seen = layer > 0
            np.minimum(first, day, out=first, where=seen)
            np.maximum(last, day, out=last, where=seen)
        return np.where(last >= first, last - first, 65535).astype(np.uint16)

    def quality(self) -> np.ndarray:
        """Return 100 (1 - 1 / (1 + S)), where S is the sum of the scores, scaled to 0-1; array (row, col), uint8, 255 = never clear.

        One perfect observation gives 50, four give 80, nine give 90. Raises ValueError if scores are not kept.
        """
        if self.score is None:
            raise ValueError("no scores are kept")
        total = self.score.sum(axis=0, dtype=np.int64) / 200
        return np.where(total > 0, np.rint(100 - 100 / (1 + total)), 255).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def network(n: int) -> tuple[tuple[int, int], ...]:
    """Return the comparisons of Batcher's merge exchange (Knuth 5.2.2 M), which sort n values in place.

    >>> network(3)
    ((0, 2), (0, 1), (1, 2))
    """
    pairs = []
    top = 1 << max(n - 1, 0).bit_length() - 1 if n > 1 else 0
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return tuple(pairs)


Step = tuple[int, int, bool, bool]
"""(i, j, low, high): compare layers i and j, and keep the smaller at i if `low`, the larger at j if `high`."""


@functools.lru_cache(maxsize=64)
def middle_network(n: int) -> tuple[Step, ...]:
    """Return the part of `network` that the two middle values, at (n - 1) // 2 and the next place, depend on.

    >>> middle_network(3)
    ((0, 2, True, True), (0, 1, False, True), (1, 2, True, True))
    """
    wanted, steps = {(n - 1) // 2, (n - 1) // 2 + 1}, []
    for i, j in reversed(network(n)):
        if {i, j} & wanted:
            steps.append((i, j, i in wanted, j in wanted))
            wanted |= {i, j}
    return tuple(reversed(steps))


def _compare(layers: list[np.ndarray], steps: Iterable[Step]) -> None:
    """Compare layers cell by cell, in place."""
    spare = np.empty_like(layers[0])
    for i, j, low, high in steps:
        a, b = layers[i], layers[j]
        if low and high:
            np.minimum(a, b, out=spare)
            np.maximum(a, b, out=b)
            layers[i], spare = spare, a
        elif low:
            np.minimum(a, b, out=a)
        else:
            np.maximum(a, b, out=b)


def median(stack: np.ndarray) -> np.ndarray:
    """Return the median of the valid values of each cell.

    stack : array (scene, row, col), uint16, 0 = not clear; its content is destroyed, because it serves as working memory
    Returns: array (row, col), uint16, 0 = no valid value; of an even number the mean of the middle two, halves up

    Every second value that is not clear is set to the largest number, the others stay 0. So the middle of the clear values is at the same
    place of the sorted stack in every cell, and only that place has to be sorted.
    """
    n, height, width = stack.shape
    out = np.zeros((height, width), dtype=np.uint16)
    for start in range(0, height, _ROWS) if n else ():
        layers = list(stack[:, start : start + _ROWS])
        shape = layers[0].shape
        # 1 where the next value that is not clear becomes the largest number; in the end, 1 where the median is a mean of two.
        turn = np.full(shape, 1 - n % 2, np.uint16)
        for layer in layers:
            missing = (layer == 0).astype(np.uint16)
            layer -= missing & turn  # 0 - 1 is 65535
            turn ^= missing
        _compare(layers, middle_network(n))
        first = layers[(n - 1) // 2]
        if n > 1:
            # Where nothing is clear this is 65535 - 0 + 1, which is 0.
            half = layers[(n - 1) // 2 + 1] - first + 1
            half >>= 1
            half *= turn
            first = first + half
        out[start : start + _ROWS] = first
    return out


def percentiles(stack: np.ndarray, percents: Sequence[int]) -> np.ndarray:
    """Return several percentiles of the valid values of each cell, from one sort.

    stack : array (scene, row, col), uint16, 0 = not clear; its content is destroyed, because it serves as working memory
    percents : 0-100 each; 0 is the smallest value, 50 the median, 100 the largest
    Returns: array (percent, row, col), uint16, 0 = no valid value

    Percentile p of n sorted values lies at place p (n - 1) / 100, counted from 0: NumPy's method "linear". Between two places it is
    interpolated and rounded, halves up, in whole numbers and therefore exactly.

    >>> percentiles(np.array([30, 0, 10, 20], np.uint16).reshape(4, 1, 1), [0, 10, 50, 100]).ravel().tolist()
    [10, 12, 20, 30]
    """
    n, height, width = stack.shape
    out = np.zeros((len(percents), height, width), np.uint16)
    for start in range(0, height, _ROWS) if n else ():
        rows = slice(start, start + _ROWS)
        # Values that are not clear are 0 and come first. Where nothing is clear, the largest value is 0 too.
        last = (stack[:, rows] > 0).sum(axis=0, dtype=np.int32)
        np.subtract(last, 1, out=last, where=last > 0)
        layers = list(stack[:, rows])
        _compare(layers, [(i, j, True, True) for i, j in network(n)])
        ordered, cells = np.stack(layers).ravel(), last.size
        top = (n - 1) * cells + np.arange(cells).reshape(last.shape)
        for plane, percent in zip(out[:, rows], percents, strict=True):
            place = last * percent // 100
            at = top - (last - place) * cells
            plane[:] = ordered.take(at)
            if 0 < percent < 100:
                rest = last * percent - place * 100
                at += cells * (rest > 0)
                rise = ordered.take(at).astype(np.int32) - plane
                plane += ((rise * rest + 50) // 100).astype(np.uint16)
    return out


def medoid(cube: np.ndarray) -> np.ndarray:
    """Choose the observation whose spectrum is nearest to all others: the smallest sum of Euclidean distances (Flood 2013).

    cube : array (band, scene, row, col), uint16, 0 = not clear
    Returns: array (row, col), int64, its index; the first of equals, 0 where nothing is clear. Time grows with the square of the scenes.
    """
    _, n, height, width = cube.shape
    out = np.zeros((height, width), np.int64)
    for start in range(0, height, _ROWS):
        part = cube[:, :, start : start + _ROWS].astype(np.float32)
        seen = part[0] > 0
        total = np.where(seen, np.float32(0), np.float32(np.inf))
        for i in range(n):
            for j in range(i + 1, n):
                apart = np.sqrt(((part[:, i] - part[:, j]) ** 2).sum(axis=0))
                apart[~(seen[i] & seen[j])] = 0
                total[i] += apart
                total[j] += apart
        out[start : start + _ROWS] = total.argmin(axis=0)
    return out


def _take(observations: Observations, chosen: np.ndarray) -> np.ndarray:
    """Take one observation per cell. chosen : array (row, col), int, index of the overpass."""
    return np.take_along_axis(observations.cube, chosen[np.newaxis, np.newaxis], axis=1)[:, 0]


def _compose_median(observations: Observations) -> np.ndarray:
    return np.stack([median(stack) for stack in observations.cube])


def _compose_medoid(observations: Observations) -> np.ndarray:
    return _take(observations, medoid(observations.cube))


def _compose_best(observations: Observations) -> np.ndarray:
    if observations.score is None:
        raise ValueError("no scores are kept")
    return _take(observations, observations.score.argmax(axis=0))


def _compose_latest(observations: Observations) -> np.ndarray:
    last = observations.cube.shape[1] - 1
    return _take(observations, last - (observations.cube[0, ::-1] > 0).argmax(axis=0))


@dataclass(frozen=True)
class Method:
    """How a composite is made."""

    name: str
    """Value of option <method>."""
    statistic: str
    """Second part of the features' names, e.g. p50 of B12_p50."""
    title: str
    """Title of a feature's map, with {} for the band or index."""
    compose: Callable[[Observations], np.ndarray] | None
    """Make array (variable, row, col), uint16, 0 = never clear; destroys the observations. None = join whole scenes, unmasked."""
    needs_scores: bool = False
    """Whether observations must keep scores; if not, memory and time are saved."""

    @property
    def joins_scenes(self) -> bool:
        """Whether it joins whole scenes, without a mask, instead of choosing among observations."""
        return self.compose is None


METHODS = {
    method.name: method
    for method in (
        Method("median", "p50", "Median of {}", _compose_median),
        Method("medoid", "medoid", "Medoid of {}", _compose_medoid),
        Method("best", "best", "Best of {}", _compose_best, needs_scores=True),
        # Overpasses are added in order of time.
        Method("latest", "latest", "Latest of {}", _compose_latest),
        Method("largest", "one", "{} of the largest scenes", None),
    )
}
STATISTICS = {"min": 0, **{f"p{percent}": percent for percent in range(1, 100) if percent != 50}, "max": 100}
"""Values of option <statistics>, each with its percent: what a run can make of each variable beside its median."""
TITLES = {
    **{statistic: f"Percentile {percent} of {{}}" for statistic, percent in STATISTICS.items()},
    "min": "Minimum of {}",
    "max": "Maximum of {}",
    **{method.statistic: method.title for method in METHODS.values()},
}
"""Titles of features' maps by statistic, with {} for the band or index."""
