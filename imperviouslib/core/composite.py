"""Composites: which observations are clear, and the median of those that are."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

CLOUDY = (3, 8, 9, 10)
"""SCL: cloud shadow, cloud of medium and of high probability, thin cirrus. These are widened by dilation."""
UNUSABLE = (0, 1, *CLOUDY, 11)
"""SCL: these, no data, saturated, and snow, which hides the ground."""
STATISTIC = "p50"
NO_SCENE = 255
"""In counts: no scene covers the cell."""
_ROWS = 32
"""Rows sorted at a time: small enough to stay in the processor's cache."""


def dilate(mask: np.ndarray, cells: int) -> np.ndarray:
    """Widen the true cells of a mask by a square of `cells` on every side.

    >>> dilate(np.array([[0, 0, 1]], bool), 1).tolist()
    [[False, True, True]]
    """
    result = mask.copy()
    for axis in range(2):
        source = result.copy()
        for shift in range(1, cells + 1):
            head = tuple(slice(None, -shift) if a == axis else slice(None) for a in range(2))
            tail = tuple(slice(shift, None) if a == axis else slice(None) for a in range(2))
            result[head] |= source[tail]
            result[tail] |= source[head]
    return result


def opened(mask: np.ndarray) -> np.ndarray:
    """Drop the parts of a mask that are narrower than three cells (erosion and dilation by one).

    >>> opened(np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], bool)).any()
    np.False_
    """
    return dilate(~dilate(~mask, 1), 1) & mask


def clear(scl: np.ndarray, cells: int) -> np.ndarray:
    """Tell which cells show the ground.

    scl : array (row, col), uint8, scene classification, 0 = no data
    cells : int, by which clouds and their shadows are widened
    Returns: array (row, col), bool

    Clouds narrower than three cells (60 m) are not widened: SCL calls many bright roofs cloud, and widening each of them would take
    a town away in exactly the class that is measured.
    """
    bad = np.isin(scl, UNUSABLE)
    return ~(bad | dilate(opened(np.isin(scl, CLOUDY)), cells)) if cells else ~bad


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


def median(stack: np.ndarray) -> np.ndarray:
    """Return the median of the valid values of each cell.

    stack : array (scene, row, col), uint16, 0 = not clear; it is used as working memory and holds nothing of use afterwards
    Returns: array (row, col), uint16, 0 = no valid value; of an even number the mean of the middle two, halves up
    """
    n, height, width = stack.shape
    out = np.zeros((height, width), dtype=np.uint16)
    if not n:
        return out
    for start in range(0, height, _ROWS):
        part = stack[:, start : start + _ROWS]
        # 0 becomes 65535 by unsigned wrap-around, so what is not clear sorts behind all that is.
        part -= 1
        low = np.empty_like(part[0])
        for i, j in network(n):
            np.minimum(part[i], part[j], out=low)
            np.maximum(part[i], part[j], out=part[j])
            part[i] = low
        count = (part != np.uint16(65535)).sum(axis=0, dtype=np.int64)
        first = np.take_along_axis(part, np.maximum(count - 1, 0)[np.newaxis] // 2, axis=0)[0].astype(np.uint32)
        second = np.take_along_axis(part, np.minimum(count // 2, n - 1)[np.newaxis], axis=0)[0].astype(np.uint32)
        middle = (first + second + 3) // 2  # both carry one less than the value; 3 = 2 x 1 + 1 to round halves up
        out[start : start + _ROWS] = np.where(count > 0, np.minimum(middle, 65535), 0)
    return out


def resolve_common_tiles(tiles: Mapping[int, set[str]]) -> tuple[set[str], list[tuple[int, str]]]:
    """Return the tiles that every year has, and the holes (year, tile) of those that only some years have.

    >>> resolve_common_tiles({2017: {"31UDS"}, 2018: {"31UDS", "31UES"}})
    ({'31UDS'}, [(2017, '31UES')])
    """
    every = set.union(*tiles.values()) if tiles else set()
    holes = [(year, tile) for year in sorted(tiles) for tile in sorted(every - tiles[year])]
    return {tile for tile in every if all(tile in of_year for of_year in tiles.values())}, holes


def merge_overpasses(stack: np.ndarray, overpass: Sequence[str]) -> np.ndarray:
    """Let each overpass count once a cell: of its tiles that overlap, the first with a clear value is taken.

    stack : array (scene, row, col), uint16, 0 = not clear
    overpass : one name a scene; scenes of one name are the same overpass seen in neighbouring tiles
    Returns: array (overpass, row, col), uint16

    >>> merge_overpasses(np.array([[[0, 5]], [[7, 6]], [[3, 0]]], "u2"), ["a", "a", "b"]).tolist()
    [[[7, 5]], [[3, 0]]]
    """
    names = list(dict.fromkeys(overpass))
    out = np.zeros((len(names), *stack.shape[1:]), dtype=stack.dtype)
    for layer, name in zip(stack, overpass, strict=True):
        target = out[names.index(name)]
        np.copyto(target, layer, where=target == 0)
    return out
