"""Composites: which observations are clear, and what is made of those that are."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

CLOUDY = (3, 8, 9, 10)
"""SCL: cloud shadow, cloud of medium and of high probability, thin cirrus. These are widened by dilation."""
UNUSABLE = (0, 1, *CLOUDY, 11)
"""SCL: these, no data, saturated, and snow, which hides the ground."""
STATISTICS = {"median": "p50", "medoid": "medoid", "best": "best", "latest": "latest", "largest": "one"}
"""Method of a composite to the second part of its features' names."""
MASKS = ("scl", "dates")
NO_SCENE = 255
"""In counts: no scene covers the cell."""
NEAR = 10
"""Cells on every side of the surroundings by which `false_alarms` tells a cloud from a roof."""
FAR = 25
"""Cells from which on the distance to the next cloud no longer matters to the score."""
_QUIET, _OFTEN, _DATES = 0.3, 0.7, 3
_ROWS = 32
"""Rows sorted at a time: small enough to stay in the processor's cache."""


def margin(cells: int, mask: str, *, scored: bool = False) -> int:
    """Return how many cells around a part must be read, so that its result does not depend on how the area was cut."""
    reach = cells + 2 if cells else 0
    return max(reach, FAR if scored else 0) + (NEAR if mask == "dates" else 0)


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


def _is_one_of(codes: tuple[int, ...], scl: np.ndarray) -> np.ndarray:
    """Tell which cells have one of the codes; comparing with each run of codes is several times quicker than a table."""
    found = np.zeros(scl.shape, bool)
    for low, high in _runs(codes):
        # Below the run the difference wraps around, so one comparison does for both ends.
        found |= np.subtract(scl, np.uint8(low)) <= np.uint8(high - low)
    return found


@functools.lru_cache(maxsize=8)
def _runs(codes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return first and last of each run of codes.

    >>> _runs((0, 1, 3))
    ((0, 1), (3, 3))
    """
    firsts = [code for code in sorted(codes) if code - 1 not in codes]
    lasts = [code for code in sorted(codes) if code + 1 not in codes]
    return tuple(zip(firsts, lasts, strict=True))


def clear(scl: np.ndarray, cells: int, alarms: np.ndarray | None = None) -> np.ndarray:
    """Tell which cells show the ground.

    scl : array (row, col), uint8, scene classification, 0 = no data
    cells : int, by which clouds and their shadows are widened
    alarms : array (row, col), bool, where a cloud of `scl` is none (see `false_alarms`)
    Returns: array (row, col), bool

    Clouds narrower than three cells (60 m) are not widened: SCL calls many bright roofs cloud, and widening each of them would take
    a town away in exactly the class that is measured.
    """
    bad = _is_one_of(UNUSABLE, scl)
    if not cells and alarms is None:
        return ~bad
    cloudy = _is_one_of(CLOUDY, scl)
    if alarms is not None:
        bad &= ~(alarms & cloudy)
        cloudy &= ~alarms
    return ~(bad | dilate(opened(cloudy), cells)) if cells else ~bad


def _box_sum(values: np.ndarray, cells: int) -> np.ndarray:
    """Sum a square of `cells` on every side around each cell; outside the array there is nothing."""
    for axis in range(2):
        total = np.cumsum(values, axis=axis, dtype=np.int32)
        n = total.shape[axis]
        after = np.minimum(np.arange(n) + cells, n - 1)
        before = np.arange(n) - cells - 1
        edge = [1, 1]
        edge[axis] = n
        values = np.take(total, after, axis) - np.where(
            (before >= 0).reshape(edge), np.take(total, np.maximum(before, 0), axis), 0
        )
    return values


def by_overpass(scl: np.ndarray, overpasses: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    """Lay the scenes of one overpass over each other: a cell is what the first scene that saw it calls it.

    scl : array (scene, row, col), uint8, 0 = no data; overpasses : name of each scene's overpass
    Returns: array (overpass, row, col), uint8, and for each scene the number of its overpass
    """
    number = {name: n for n, name in enumerate(dict.fromkeys(overpasses))}
    out = np.zeros((len(number), *scl.shape[1:]), np.uint8)
    for layer, name in zip(scl, overpasses, strict=True):
        of_all = out[number[name]]
        np.copyto(of_all, layer, where=of_all == 0)
    return out, [number[name] for name in overpasses]


def false_alarms(scl: np.ndarray) -> np.ndarray:
    """Give a second opinion over many dates: find what SCL calls cloud or shadow on each date because of the ground itself.

    scl : array (date, row, col), uint8, scene classifications, 0 = no data, one layer an overpass (`by_overpass`)
    Returns: array (date, row, col), bool: the cell is called cloud or shadow, and is not

    A cloud moves, a bright roof stays. A date is quiet at a cell where less than 30 % of the surroundings (NEAR cells on every side) is called cloud
    or shadow. A cell that is called so in at least 70 % of its quiet dates, and in three or more of them, is no cloud on any quiet date.
    """
    seen = np.zeros(scl.shape[1:], np.uint16)
    flagged = np.zeros(scl.shape[1:], np.uint16)
    quiet = np.empty(scl.shape, bool)
    for layer, still in zip(scl, quiet, strict=True):
        known, cloudy = layer > 0, _is_one_of(CLOUDY, layer)
        np.less(_box_sum(cloudy, NEAR), _QUIET * _box_sum(known, NEAR), out=still)
        still &= known
        seen += still
        flagged += still & cloudy
    always = (flagged >= _DATES) & (flagged >= _OFTEN * seen)
    quiet &= always
    for layer, still in zip(scl, quiet, strict=True):
        still &= _is_one_of(CLOUDY, layer)
    return quiet


def cloud_distance(scl: np.ndarray, alarms: np.ndarray | None = None) -> np.ndarray:
    """Return how far each cell is from the next cloud or shadow, in cells (the larger of rows and columns), at most FAR.

    scl : array (row, col), uint8; alarms : as in `clear`
    Returns: array (row, col), uint8; 0 in the cloud itself
    """
    cloudy = _is_one_of(CLOUDY, scl)
    if alarms is not None:
        cloudy &= ~alarms
    cloudy = opened(cloudy)
    out = np.full(scl.shape, FAR, np.uint8)
    if not cloudy.any():
        return out
    for far in range(FAR):
        np.minimum(out, far, out=out, where=cloudy)
        cloudy = dilate(cloudy, 1)
    return out


def score(distance: np.ndarray, day: float) -> np.ndarray:
    """Say how much a clear observation is worth: half for its distance to clouds, half for its closeness to the middle of the period.

    distance : array, cells, as `cloud_distance` gives it
    day : 0 in the middle of the period, 1 at its ends
    Returns: array, uint8, 1-200, the greater the better

    >>> score(np.array([0, 25]), 0.5).tolist()
    [50, 150]
    """
    return np.clip(np.rint(100 * (distance / FAR) + 100 * (1 - day)), 1, 200).astype(np.uint8)


class Observations:
    """The clear observations of one part of the grid.

    One overpass counts once a cell: where two tiles of it overlap, the first with clear values is taken. A cell is clear in all bands or in none.

    cube : array (band, overpass, row, col), uint16, reflectance x 10000, 0 = not clear
    score : array (overpass, row, col), uint8, 0 = not clear; None where no score is kept
    """

    def __init__(self, bands: int, overpasses: Sequence[str], shape: tuple[int, int], *, scored: bool = False) -> None:
        self.overpasses = tuple(dict.fromkeys(overpasses))
        self.cube = np.zeros((bands, len(self.overpasses), *shape), np.uint16)
        self.score = np.zeros((len(self.overpasses), *shape), np.uint8) if scored else None

    def add(
        self, overpass: str, planes: Sequence[np.ndarray], mask: np.ndarray, worth: np.ndarray | None = None
    ) -> None:
        """Add one scene.

        planes : array (row, col) of each band, uint16, 0 = no data
        mask : array (row, col), bool, clear
        worth : array (row, col), uint8, as `score` gives it
        """
        at = self.overpasses.index(overpass)
        target = self.cube[:, at]
        take = mask & (target[0] == 0)
        for plane in planes:
            take &= plane > 0
        # A product with 0 or 1 is several times quicker than a masked copy; what is taken is 0 so far.
        factor, taken = take.astype(np.uint16), np.empty(take.shape, np.uint16)
        for plane, layer in zip(planes, target, strict=True):
            layer += np.multiply(plane, factor, out=taken)
        if self.score is not None and worth is not None:
            np.copyto(self.score[at], worth, where=take)

    def count(self) -> np.ndarray:
        """Return how many overpasses are clear: array (row, col), int64."""
        return np.count_nonzero(self.cube[0], axis=0)

    def spread(self, days: Sequence[int]) -> np.ndarray:
        """Return the days between the first and the last clear overpass; array (row, col), uint16, 65535 = never clear.

        days : day of each overpass, on any count of days
        """
        first = np.full(self.cube.shape[2:], 2**31 - 1, np.int64)
        last = np.full(self.cube.shape[2:], -(2**31), np.int64)
        for layer, day in zip(self.cube[0], days, strict=True):
            seen = layer > 0
            np.minimum(first, day, out=first, where=seen)
            np.maximum(last, day, out=last, where=seen)
        return np.where(last >= first, last - first, 65535).astype(np.uint16)

    def quality(self) -> np.ndarray:
        """Return 100 (1 - 1 / (1 + S)), S the sum of the clear observations' scores in 0-1; array (row, col), uint8, 255 = never clear.

        One perfect observation gives 50, four give 80, nine give 90.
        """
        total = self.score.sum(axis=0, dtype=np.int64) / 200
        return np.where(total > 0, np.rint(100 - 100 / (1 + total)), 255).astype(np.uint8)

    def compose(self, method: str) -> np.ndarray:
        """Make the composite; what the observations held is used up by it.

        method : median, medoid, best (needs scores) or latest (overpasses in order of time)
        Returns: array (band, row, col), uint16, 0 = never clear
        """
        if method == "median":
            return np.stack([median(stack) for stack in self.cube])
        if method == "medoid":
            chosen = medoid(self.cube)
        elif method == "best":
            chosen = self.score.argmax(axis=0)
        else:
            n = self.cube.shape[1]
            chosen = n - 1 - (self.cube[0, ::-1] > 0).argmax(axis=0)
        return np.take_along_axis(self.cube, chosen[np.newaxis, np.newaxis], axis=1)[:, 0]


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


@functools.lru_cache(maxsize=64)
def middle_network(n: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """Return what of `network` the two values about the middle, (n - 1) // 2 and the next, depend on.

    Returns: (i, j, low, high) each: compare i and j, and keep the lesser at i where `low`, the greater at j where `high`

    >>> middle_network(3)
    ((0, 2, True, True), (0, 1, False, True), (1, 2, True, True))
    """
    wanted, steps = {(n - 1) // 2, (n - 1) // 2 + 1}, []
    for i, j in reversed(network(n)):
        if {i, j} & wanted:
            steps.append((i, j, i in wanted, j in wanted))
            wanted |= {i, j}
    return tuple(reversed(steps))


def median(stack: np.ndarray) -> np.ndarray:
    """Return the median of the valid values of each cell.

    stack : array (scene, row, col), uint16, 0 = not clear; it is used as working memory and holds nothing of use afterwards
    Returns: array (row, col), uint16, 0 = no valid value; of an even number the mean of the middle two, halves up

    Every other value that is not clear is made the greatest there is, the others stay the least. So the middle of what is clear lies at the
    same place in each cell, and only that place need be sorted out.
    """
    n, height, width = stack.shape
    out = np.zeros((height, width), dtype=np.uint16)
    for start in range(0, height, _ROWS) if n else ():
        layers = list(stack[:, start : start + _ROWS])
        shape = layers[0].shape
        # 1 where the next value that is not clear is to be the greatest; in the end, where two values share the middle.
        turn = np.full(shape, 1 - n % 2, np.uint16)
        for layer in layers:
            missing = (layer == 0).astype(np.uint16)
            layer -= missing & turn  # 0 - 1 is 65535
            turn ^= missing
        spare = np.empty(shape, np.uint16)
        for i, j, low, high in middle_network(n):
            a, b = layers[i], layers[j]
            if low and high:
                np.minimum(a, b, out=spare)
                np.maximum(a, b, out=b)
                layers[i], spare = spare, a
            elif low:
                np.minimum(a, b, out=a)
            else:
                np.maximum(a, b, out=b)
        first = layers[(n - 1) // 2]
        if n > 1:
            # Where nothing is clear this is 65535 - 0 + 1, which is 0.
            half = layers[(n - 1) // 2 + 1] - first + 1
            half >>= 1
            half *= turn
            first = first + half
        out[start : start + _ROWS] = first
    return out


def medoid(cube: np.ndarray) -> np.ndarray:
    """Choose the observation whose spectrum is nearest to all others: the least sum of Euclidean distances (Flood 2013).

    cube : array (band, scene, row, col), uint16, 0 = not clear
    Returns: array (row, col), int64, its index; of equals the first. Where nothing is clear it is 0. Time grows with the square of the scenes.
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


def resolve_common_tiles(tiles: Mapping[int, set[str]]) -> tuple[set[str], list[tuple[int, str]]]:
    """Return the tiles that every year has, and the holes (year, tile) of those that only some years have.

    >>> resolve_common_tiles({2017: {"31UDS"}, 2018: {"31UDS", "31UES"}})
    ({'31UDS'}, [(2017, '31UES')])
    """
    every = set.union(*tiles.values()) if tiles else set()
    holes = [(year, tile) for year in sorted(tiles) for tile in sorted(every - tiles[year])]
    return {tile for tile in every if all(tile in of_year for of_year in tiles.values())}, holes
