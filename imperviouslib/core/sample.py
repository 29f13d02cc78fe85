"""The reference sample: strata, and the points and windows drawn from them. Rules on arrays, without input or output.

The land of an area is cut in two ways. *Cells* with a high score of change are *hot*: strata of gain by rank of the score, G1 to G3, and of loss,
L1 and L2. A part of them is read as points. *Windows* of 25 x 25 cells, on one lattice over all land, are drawn by how much
suspect land they hold; in them every changed cell outside the hot strata is marked. So points say how much of the hot land changed, windows
how much of all other land did, and no land is left out. Stock points are drawn by strata of the mean probability of sealing. Where
no windows are wanted, points are drawn from all strata of cells.

A rank is the share of the area's land with a higher score. Scores are smoothed a little, because change has neighbours. Ties are
settled by a hash of the cell's place, so the strata do not depend on how the land was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import tie_hash
from imperviouslib.core.readings import SIDE

Purpose = Literal["gain", "loss", "stock", "windows"]
WINDOW = SIDE
"""Cells a side of a window: 25, which are 500 m."""
SMOOTHING = 0.8
"""Standard deviation of the smoothing of scores, in cells."""
STRATA = ("G1", "L1", "G2", "L2", "G3", "G4", "mixed", "sealed", "U1", "U2")
"""Strata of cells; the code of a stratum is its place here plus 1, and 0 is land outside the area."""
HOT_GAIN, HOT_LOSS = ("G1", "G2", "G3"), ("L1", "L2")
_GAIN_RANKS = {"G1": 0.003, "G2": 0.01, "G3": 0.04, "G4": 0.15}
_LOSS_RANKS = {"L1": 0.001, "L2": 0.005}
_ORDER = ("L1", "G1", "L2", "G2", "G3", "G4")
"""Strata by rank, in the order in which they take cells."""
_MIXED, _SEALED, _UPPER = 0.3, 0.7, 0.5
"""Mean probability of sealing from which land is mixed, and sealed; rank that parts the rest."""
_SUSPECT = {"G4": 5.0, "U1": 1.0, "U2": 0.1, "L1": 2.0, "L2": 2.0}
"""What a cell of a stratum adds to the suspicion of its window. U1 and U2 count by rank alone, without mixed and sealed land."""
WINDOW_RANKS = (0.15, 0.50, 1.0)
"""Strata of windows: the most suspect 15 %, the next 35 %, the rest."""
STOCK_CUTS = (0.02, 0.1, 0.3, 0.7, 0.95)
"""Mean probabilities of sealing that part the strata of stock points."""
GAIN_SHARES = {"G1": 0.14, "G2": 0.36, "G3": 0.50}
LOSS_SHARES = {"L1": 0.5, "L2": 0.5}
WINDOW_SHARES = (0.4, 0.4, 0.2)
STOCK_DEVIATIONS = (0.10, 0.30, 0.40, 0.45, 0.45, 0.30)
"""Expected deviation of the map's errors in each stratum of stock points; points are shared out by land times deviation."""
POINT_SHARES = {
    "G1": 0.05, "G2": 0.12, "L1": 0.04, "G3": 0.18, "L2": 0.05, "G4": 0.18, "mixed": 0.07, "sealed": 0.08, "U1": 0.12, "U2": 0.11,
}  # fmt: skip
"""Shares of the points of each kind that a stratum gets; measured, see doc/statistics.md. POINT_SHARES are those of a sample without windows."""
COLD_RATES = {"G4": 0.05, "U1": 0.03, "U2": 0.03, "mixed": 0.01, "sealed": 0.005, "L1": 0.005, "L2": 0.005}
"""Prior share of gain of the strata that are not hot, for a sample without windows; see `core.estimate.point_change`."""


@dataclass(frozen=True)
class Sizes:
    """How many units an area gets."""

    points: int = 600
    """Points for gain, in the hot strata; in all strata where there are no windows."""
    windows: int = 240
    """0 = points alone."""
    loss: int = 150
    """Points for loss in the hot strata of loss; none where there are no windows."""
    stock: int = 300


POINT_S, WINDOW_S = 30, 150
"""Seconds that a point and a window take. The time for a window is an assumption; the labelling sheet records the real one."""


def reading_hours(points: int, windows: int) -> float:
    """Return the hours that one reading of so many units takes.

    >>> reading_hours(600, 240)
    15.0
    """
    return (points * POINT_S + windows * WINDOW_S) / 3600


PRECISION = ((0.17, 1000, 300), (0.22, 600, 240), (0.25, 600, 120), (0.33, 320, 60))
"""Half-width of the interval of a gain of six years, as a share of it, that so many points and windows reached on made worlds with a good score."""


def sizes_for(half_width: float) -> tuple[int, int]:
    """Return the points and windows with which a half-width was reached; raise InputError where no sample tried was so precise.

    half_width : of the gain over the whole time, as a share of it

    >>> sizes_for(0.25), sizes_for(0.5)
    ((600, 120), (320, 60))
    """
    for reached, points, windows in reversed(PRECISION):
        if reached <= half_width:
            return points, windows
    raise InputError(
        _("Option <halfwidth>"),
        found=f"{half_width:g}",
        expected=_("{:g} or more").format(PRECISION[0][0]),
        then=_("Give the numbers with points= and windows= instead: twice the precision takes four times as many."),
    )


@dataclass(frozen=True)
class Scores:
    """What the sample is drawn by, on one grid; NaN where there is no data."""

    gain: np.ndarray
    """(row, col), any number that is higher where gain is more likely; the probability of gain over the whole time is one."""
    loss: np.ndarray
    """(row, col), the same for loss."""
    sealed: np.ndarray
    """(row, col), mean probability of sealing over the years, 0-1."""

    @property
    def known(self) -> np.ndarray:
        """Where there is data: array (row, col), bool."""
        return ~(np.isnan(self.gain) | np.isnan(self.loss) | np.isnan(self.sealed))


def smoothed(score: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Smooth a score with a Gaussian over cells with data. Returns: array (row, col), float32, 0 where there is no data."""
    from scipy.ndimage import gaussian_filter

    total = gaussian_filter(np.where(known, score, 0).astype(np.float32), SMOOTHING)
    weight = gaussian_filter(known.astype(np.float32), SMOOTHING)
    return np.where(known, total / np.maximum(weight, 1e-6), 0).astype(np.float32)


def ranks(score: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Return the share of cells with a higher score, 0 to below 1. score, tie : arrays (cell); the higher tie comes first among equals.

    >>> ranks(np.array([0.1, 0.9, 0.5, 0.5]), np.array([0, 0, 1, 2])).tolist()
    [0.75, 0.0, 0.5, 0.25]
    """
    order = np.lexsort((tie, score))[::-1]
    rank = np.empty(len(score))
    rank[order] = np.arange(len(score)) / max(1, len(score))
    return rank


def cell_strata(scores: Scores, area: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Cut the land of an area into the strata of cells.

    area : array (row, col), bool
    Returns: array (row, col), uint8, codes of STRATA, 0 outside the area and without data; array (row, col), float64, how suspect each cell makes its window
    """
    known = scores.known
    inside = area & known
    tie = tie_hash(grid)[inside]
    gain = ranks(smoothed(scores.gain, known)[inside], tie)
    loss = ranks(smoothed(scores.loss, known)[inside], tie)
    sealed = scores.sealed[inside]
    code = np.zeros(len(gain), np.uint8)
    for name in _ORDER:
        is_loss = name in _LOSS_RANKS
        chosen = (loss < _LOSS_RANKS[name]) & (loss < gain) if is_loss else gain < _GAIN_RANKS[name]
        code[(code == 0) & chosen] = 1 + STRATA.index(name)
    suspicion = np.zeros(len(gain))
    for name in ("G4", "L1", "L2"):
        suspicion[code == 1 + STRATA.index(name)] = _SUSPECT[name]
    rest = (code == 0) & (sealed <= _MIXED)
    for name, chosen in (("U1", rest & (gain < _UPPER)), ("U2", rest & (gain >= _UPPER))):
        code[chosen] = 1 + STRATA.index(name)
        suspicion[chosen] = _SUSPECT[name]
    code[code == 0] = np.where(sealed[code == 0] > _SEALED, 1 + STRATA.index("sealed"), 1 + STRATA.index("mixed"))
    strata, suspect = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape)
    strata[inside], suspect[inside] = code, suspicion
    return strata, suspect


def stock_strata(sealed: np.ndarray) -> np.ndarray:
    """Return the stratum of stock points of each cell, 0-5, by its mean probability of sealing. sealed : array, without NaN."""
    return np.digitize(sealed, STOCK_CUTS).astype(np.uint8)


@dataclass(frozen=True)
class Unit:
    """A point or a window of the sample, before it gets its id."""

    kind: Literal["point", "window"]
    purpose: Purpose
    """Which estimate it serves."""
    stratum: int
    """Index of its stratum among those of its purpose."""
    row: int
    col: int
    """Absolute row and column of the cell, of a window's north-western cell."""


@dataclass(frozen=True)
class Stratum:
    """A stratum of one area and purpose."""

    name: str
    cells: int
    """Cells of land."""
    units: int
    """Cells, or windows, to draw from."""
    drawn: int


@dataclass(frozen=True)
class AreaSample:
    """The sample of one area."""

    strata: Mapping[str, Sequence[Stratum]]
    """Purpose to its strata."""
    units: Sequence[Unit]


def split_number(number: int, shares: Sequence[float], available: Sequence[int]) -> list[int]:
    """Split a number by shares among strata, at most what each has and at least two where it has so many.

    >>> split_number(10, (0.5, 0.3, 0.2), (100, 2, 100))
    [6, 2, 2]
    >>> split_number(10, (0.7, 0.3), (0, 100))
    [0, 10]
    """
    if not number:
        return [0] * len(shares)
    have = np.array(available)
    drawn = np.minimum(have, 2)
    want = np.array(shares, float) * number
    # What a full or empty stratum cannot take goes to the others; each round fills one stratum at least.
    while drawn.sum() < min(number, have.sum()):
        lag = np.where(drawn < have, want - drawn, -np.inf)
        if lag.max() <= 0:
            want *= 1.05
            continue
        drawn[lag.argmax()] += 1
    return [int(n) for n in drawn]


@dataclass(frozen=True)
class Frame:
    """The land of one area cut into strata, from which samples are drawn."""

    grid: Grid
    cells: np.ndarray
    """(row, col), uint8, codes of STRATA, 0 outside the area and without data."""
    suspect: np.ndarray
    """(row, col), how suspect each cell makes its window."""
    stock: np.ndarray
    """(row, col), uint8, stratum of stock points plus 1, 0 outside the area and without data."""

    @classmethod
    def of(cls, scores: Scores, area: np.ndarray, grid: Grid) -> Frame:
        """Cut the land of an area; raise InputError where it has no data. area : array (row, col), bool."""
        cells, suspect = cell_strata(scores, area, grid)
        if not cells.any():
            raise InputError(
                _("The area of the sample has no cell with data"),
                then=_("Check the maps and the current region."),
            )
        stock = np.zeros(grid.shape, np.uint8)
        stock[cells > 0] = 1 + stock_strata(scores.sealed[cells > 0])
        return cls(grid, cells, suspect, stock)

    @cached_property
    def places(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The cells of each code of `cells` and of `stock`: flat indices."""

        def split(codes: np.ndarray, most: int) -> list[np.ndarray]:
            order = np.argsort(codes.ravel(), kind="stable")
            return np.split(order, np.cumsum(np.bincount(codes.ravel(), minlength=most + 1))[:-1])

        return split(self.cells, len(STRATA)), split(self.stock, len(STOCK_DEVIATIONS))

    @cached_property
    def windows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The windows that have land: row and column in windows from the grid's first, land cells, suspicion; arrays (window, 2), (window), (window)."""
        rows, cols = window_index(self.grid)
        across = int(cols[-1] - cols[0]) + 1
        index = (rows - rows[0])[:, np.newaxis] * across + (cols - cols[0])[np.newaxis, :]
        inside = self.cells > 0
        cells = np.bincount(index[inside])
        weight = np.bincount(index[inside], self.suspect[inside])
        there = np.flatnonzero(cells)
        return np.stack(np.divmod(there, across), axis=1), cells[there], weight[there]

    def draw(self, sizes: Sizes, rng: np.random.Generator, stock_cells: np.ndarray | None = None) -> AreaSample:
        """Draw points and windows.

        stock_cells : flat indices of cells that are the stock points, instead of cells drawn here; a random or systematic sample of the land
        """
        by_cells, by_stock = self.places
        by_points: dict[Purpose, tuple[Mapping[str, float], int]] = {"gain": (POINT_SHARES, sizes.points)}
        if sizes.windows:
            by_points = {"gain": (GAIN_SHARES, sizes.points), "loss": (LOSS_SHARES, sizes.loss)}
        found: dict[str, tuple[Stratum, ...]] = {}
        units: list[Unit] = []
        for purpose, (shares, number) in by_points.items():
            pools = [by_cells[1 + STRATA.index(name)] for name in shares]
            found[purpose] = self._draw_cells(purpose, list(shares), pools, list(shares.values()), number, rng, units)
        if sizes.windows:
            found["windows"] = self._draw_windows(sizes.windows, rng, units)
        limits = (0.0, *STOCK_CUTS, 1.0)
        names = [f"{a:g}-{b:g}" for a, b in pairwise(limits)]
        if stock_cells is None:
            weights = np.array([len(pool) for pool in by_stock[1:]]) * STOCK_DEVIATIONS
            by_land = [float(share) for share in weights / weights.sum()]
            found["stock"] = self._draw_cells("stock", names, by_stock[1:], by_land, sizes.stock, rng, units)
        else:
            found["stock"] = self._take_cells(names, by_stock[1:], stock_cells, units)
        return AreaSample(found, units)

    def _take_cells(
        self, names: Sequence[str], pools: Sequence[np.ndarray], cells: np.ndarray, units: list[Unit]
    ) -> tuple[Stratum, ...]:
        """Take given cells of this area as stock points, sorted into their strata."""
        codes = self.stock.ravel()[cells].astype(int)
        for cell, code in zip(cells[codes > 0], codes[codes > 0], strict=True):
            row, col = divmod(int(cell), self.grid.width)
            units.append(Unit("point", "stock", int(code) - 1, self.grid.first_row + row, self.grid.first_col + col))
        drawn = np.bincount(codes, minlength=len(pools) + 1)[1:]
        return tuple(
            Stratum(name, len(pool), len(pool), int(n)) for name, pool, n in zip(names, pools, drawn, strict=True)
        )

    def _draw_cells(
        self, purpose: Purpose, names: Sequence[str], pools: Sequence[np.ndarray], shares: Sequence[float], number: int,
        rng: np.random.Generator, units: list[Unit],
    ) -> tuple[Stratum, ...]:  # fmt: skip
        """Draw cells at random within strata, without replacement, and append them to `units`."""
        drawn = split_number(number, shares, [len(pool) for pool in pools])
        for index, (pool, n) in enumerate(zip(pools, drawn, strict=True)):
            rows, cols = np.unravel_index(rng.choice(pool, n, replace=False), self.grid.shape) if n else ((), ())
            units += [
                Unit("point", purpose, index, self.grid.first_row + int(row), self.grid.first_col + int(col))
                for row, col in zip(rows, cols, strict=True)
            ]
        return tuple(Stratum(name, len(pool), len(pool), n) for name, pool, n in zip(names, pools, drawn, strict=True))

    def _draw_windows(self, number: int, rng: np.random.Generator, units: list[Unit]) -> tuple[Stratum, ...]:
        """Draw windows at random within strata of suspicion, and append them to `units`; windows without land do not count."""
        places, cells, suspicion = self.windows
        # Windows with equal suspicion come in the order of a hash, as equal scores of cells do.
        tie = tie_hash(self.grid)[places[:, 0] % self.grid.height, places[:, 1] % self.grid.width]
        stratum = np.searchsorted(WINDOW_RANKS, ranks(suspicion, tie), side="right")
        members = [np.flatnonzero(stratum == s) for s in range(len(WINDOW_RANKS))]
        drawn = split_number(number, WINDOW_SHARES, [len(pool) for pool in members])
        first_row, first_col = (int(index[0]) for index in window_index(self.grid))
        for s, (pool, n) in enumerate(zip(members, drawn, strict=True)):
            for row, col in places[rng.choice(pool, n, replace=False)] if n else ():
                units.append(
                    Unit("window", "windows", s, (first_row + int(row)) * WINDOW, (first_col + int(col)) * WINDOW)
                )
        return tuple(
            Stratum(name, int(cells[pool].sum()), len(pool), n)
            for name, pool, n in zip(("high", "middle", "low"), members, drawn, strict=True)
        )


def window_index(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the absolute number of the window of each row and of each column of a grid."""
    rows = (grid.first_row + np.arange(grid.height)) // WINDOW
    cols = (grid.first_col + np.arange(grid.width)) // WINDOW
    return rows, cols
