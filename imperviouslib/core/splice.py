"""Training examples of lasting change, spliced from one year of labels.

Real change is rare and unlabelled. But the labels of one year say which places are sealed and which are not, and almost all of them stay so.
So a change is made by *splicing*: from some year on, a small piece of the series of one place is laid over the series of another. Laid over
green land, a piece of a town is land that was sealed in that year; the reverse is unsealed land; a piece of the same class is a change that
must not count, such as a new crop or a new roof. Sources are all cells with a label, not those that a model recognises: new halls look like
nothing that it knows. Splices are far more frequent than change, so their shares never set the rates (core/series.py).

A building site is bare for a year or two before it is sealed, and then looks more like a town than like a field. Quarries, banks and other
ground without plants, which the labels tell, look like a site. So does, more closely, land of the region itself in the year in which the
yearly maps begin to call it sealed. Pieces of these are laid over the years before many of the sealings, and after unsealings: a change is
then dated by the end of the bare ground. Other pieces are bare for a time and never sealed. The towns of the
label year lack some of the roofs and pavements that are built today, so the looks of some pieces are moved away from those of usual towns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNKNOWN = -1
"""Label of cells that nothing is learnt from."""
CONTEXT = (3, 9)
"""Sides in cells of the surroundings whose means are features; each is three times the one before."""
HALO = max(CONTEXT) // 2
"""Cells around a cell that its features depend on."""
PATCH, STABLE = 64, 400
"""Side of a patch that is spliced, and how many of its cells that do not change become examples."""
_TRIES = 24.0
"""Mean number of splices that are tried in a patch."""
_CHANGES = 0.65
"""Share of splices whose source is of the other class."""
_LEAST_CELLS, _MOST_CELLS = 1.2, 14.0
"""Sides of the spliced pieces."""
_BARE, _BARE_ALONE = 0.8, 0.5
"""Share of changes with bare ground before a sealing or after an unsealing; and of the other splices of unsealed land, those that are bare ground alone."""
_MOST_BARE = 2
"""Years that ground is bare, at most."""
_BEGUN = 0.7
"""Share of the bare pieces that come from sites begun in the series, where there are such and other bare ground."""
_UNUSUAL, _MOST_UNUSUAL = 0.5, 2.0
"""Share of sealings that look unusual, and how many times their distance from the mean of sealed land is enlarged at most."""
_POINTS = 4
"""Points along a side of a cell from which its cover is counted."""
_BLUR = np.exp(-0.5 * (np.arange(-2, 3) / 0.45) ** 2)
"""Weights of the light that a cell has from itself and from its neighbours, along rows and along columns."""
_MOST_SOURCES, _MEAN_SOURCES = 500_000, 5_000
"""Cells from which pieces are taken, and cells whose mean is taken, at most."""


Place = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class LabelledSeries:
    """The series of an area of at least PATCH cells a side, in memory."""

    features: tuple[np.ndarray, ...]
    """One array per year: (row, col, feature), uint16, 0 = no data."""
    label: np.ndarray
    """Array (row, col), int8: 1 sealed, 0 not sealed, UNKNOWN, as all cells outside the ground are made to be."""
    ground: np.ndarray
    """Array (row, col), bool: where patches and sources may come from."""
    mean: np.ndarray
    """Mean of each feature in stored units."""
    deviation: np.ndarray
    """Standard deviation of each feature."""
    bare: np.ndarray | None = None
    """Array (row, col), bool: unsealed ground without plants; None where the labels do not tell."""
    begun: np.ndarray | None = None
    """Array (row, col), int8: the number of the year in which a site probably began on land that was not sealed; 0 elsewhere."""
    sources: tuple[np.ndarray, np.ndarray] = field(init=False)
    """Positions (row, col) of cells that are not sealed, and of cells that are."""
    is_bare: np.ndarray = field(init=False)
    """`bare` on unsealed ground; False everywhere where it is None."""
    sites: np.ndarray = field(init=False)
    """Positions of bare cells."""
    starts: np.ndarray = field(init=False)
    """Positions of the cells of sites that began."""
    unseen: np.ndarray = field(init=False)
    """Array (year, row, col), bool: cells without any one of the features; to look for them in each piece takes as long as to scale it."""
    usual: np.ndarray = field(init=False)
    """Array (year, feature), float32: mean of the scaled features of sealed land; 0 where none was seen."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", np.where(self.ground, self.label, np.int8(UNKNOWN)))
        cells = [np.argwhere(self.label == kind) for kind in (0, 1)]
        object.__setattr__(self, "sources", tuple(c[:: max(1, len(c) // _MOST_SOURCES)] for c in cells))
        bare = np.zeros(self.label.shape, bool) if self.bare is None else self.bare & (self.label == 0)
        object.__setattr__(self, "is_bare", bare)
        object.__setattr__(self, "sites", np.argwhere(bare))
        begun = np.zeros(self.label.shape, np.int8) if self.begun is None else np.where(self.ground, self.begun, 0)
        object.__setattr__(self, "begun", begun)
        object.__setattr__(self, "starts", np.argwhere(begun > 0))
        object.__setattr__(self, "unseen", np.stack([(plane == 0).any(axis=-1) for plane in self.features]))
        object.__setattr__(self, "usual", self._mean_of_sealed())

    def _mean_of_sealed(self) -> np.ndarray:
        """Return the mean of the scaled features of some sealed cells: array (year, feature), float32."""
        some = self.sources[1][:: max(1, len(self.sources[1]) // _MEAN_SOURCES)]
        values = scaled([plane[some[:, 0], some[:, 1]] for plane in self.features], self.mean, self.deviation)
        seen = ~np.isnan(values)
        return np.where(seen, values, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)

    def values(self, place: Place, first: int = 0) -> np.ndarray:
        """Return the scaled features of a place from a year on: array (year, row, col, feature), float32, NaN = no data."""
        stored = [plane[place] for plane in self.features[first:]]
        return scaled(stored, self.mean, self.deviation, unseen=self.unseen[(slice(first, None), *place)])

    def holds(self, place: Place) -> bool:
        """Return whether a place lies within the area."""
        return all(part.start >= 0 and part.stop <= n for part, n in zip(place, self.label.shape, strict=True))


@dataclass(frozen=True)
class Examples:
    """Cells of one patch whose history is known."""

    features: np.ndarray
    """Array (pair, plane, cell), float32, as `pair_features` gives it."""
    history: np.ndarray
    """Array (cell,), int, index as in core/series.Histories."""


@dataclass(frozen=True)
class Piece:
    """The form of what is laid: a turned rectangle or ellipse. Its cover is only computed where it can be laid."""

    half: np.ndarray
    """Half of its sides, cells."""
    turn: float
    """Radians."""
    shift: np.ndarray
    """Rows and columns from the middle of a cell."""
    is_box: bool
    """A rectangle, otherwise an ellipse."""
    is_blurred: bool
    """Its cells share light with their neighbours."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Piece:
        """Draw size, proportions, direction and place at random; three of five are rectangles, seven of ten are blurred."""
        size, stretch = np.exp(rng.uniform(np.log(_LEAST_CELLS), np.log(_MOST_CELLS))), np.exp(rng.normal(0, 0.25))
        half = size / 2 * np.array([stretch, 1 / stretch])
        turn, shift = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5, 2)
        return cls(half, turn, shift, rng.random() < 0.6, rng.random() < 0.7)

    def cover(self) -> np.ndarray:
        """Return the share of each cell that it covers: array (row, col), float32, 0-1, odd sides, centred."""
        half, turn, (down, right) = self.half, self.turn, self.shift
        reach = int(np.ceil(half.max() * np.sqrt(2))) + 2
        along = (np.arange((2 * reach + 1) * _POINTS) + 0.5) / _POINTS - reach - 0.5
        y, x = (along - down)[:, np.newaxis], (along - right)[np.newaxis, :]
        u, v = (x * np.cos(turn) + y * np.sin(turn)) / half[0], (y * np.cos(turn) - x * np.sin(turn)) / half[1]
        # An ellipse of the same area as the rectangle.
        inside = (np.abs(u) < 1) & (np.abs(v) < 1) if self.is_box else u * u + v * v < 4 / np.pi
        # Numbers of points, first of columns; NumPy's mean of four axes takes three times as long.
        points = inside.view(np.uint8).reshape(2 * reach + 1, _POINTS, -1).sum(axis=1, dtype=np.uint8)
        points = points.reshape(len(points), -1, _POINTS).sum(axis=2, dtype=np.uint8)
        cover = points.astype(np.float32) / np.float32(_POINTS**2)
        if self.is_blurred:
            from scipy.ndimage import correlate1d

            # Neighbouring cells share light.
            for axis in (0, 1):
                cover = correlate1d(cover, _BLUR / _BLUR.sum(), axis)
            cover[cover < 0.02] = 0
        return cover


def scaled(
    stored_planes: Sequence[np.ndarray], mean: np.ndarray, deviation: np.ndarray, *, axis: int = -1,
    unseen: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Scale stored features: array (year, ...), float32, NaN where any feature of the year has no data.

    stored_planes : for each year array (row, col, feature), uint16; or with the features in another place
    axis : place of the features in the result
    unseen : array (year, row, col), bool, where any one has no data, if that is known
    """
    values = np.stack(stored_planes, dtype=np.float32)
    gaps = (values == 0).any(axis=axis) if unseen is None else unseen
    shape = [1] * values.ndim
    shape[axis] = -1
    values -= mean.astype(np.float32).reshape(shape)
    values /= deviation.astype(np.float32).reshape(shape)
    if gaps.any():
        np.copyto(values, np.float32(np.nan), where=np.expand_dims(gaps, axis))
    return values


def planes(features: int) -> int:
    """Return how many numbers the series net sees of a cell and a pair, for a number of features."""
    return 2 * features * (1 + len(CONTEXT)) + 2 * features + 2


def surroundings(values: np.ndarray, cells: Place | tuple[np.ndarray, np.ndarray] = (slice(None),) * 2) -> np.ndarray:
    """Return the features of cells and the means of their surroundings, without cells of no data.

    values : array (year, feature, row, col), float32, NaN = no data, with HALO more cells at each side
    cells : rows and columns to return, without that margin; all of them by default
    Returns: array (year, 3 x feature, *cells), float32: the cell, and the means of 3 x 3 and 9 x 9 cells; NaN where the cell has no data
    """
    seen = ~np.isnan(values[:, :1])
    total, count = np.where(seen, values, np.float32(0)), seen.astype(np.float32)
    shape = tuple(n - 2 * HALO for n in values.shape[2:])

    def pick(planes: np.ndarray) -> np.ndarray:
        return planes[_middle(planes, shape)][(..., *cells)]

    own, features = pick(values), values.shape[1]
    result = np.empty((len(values), features * (1 + len(CONTEXT)), *own.shape[2:]), np.float32)
    result[:, :features] = own
    step = 1
    for number, side in enumerate(CONTEXT):
        total, count, step = _sum_near(total, step), _sum_near(count, step), side
        near = result[:, features * (1 + number) : features * (2 + number)]
        np.divide(pick(total), np.maximum(pick(count), 1), out=near)
    if not seen.all():
        np.copyto(result, np.float32(np.nan), where=~pick(seen))
    return result


def _sum_near(values: np.ndarray, step: int) -> np.ndarray:
    """Add up 3 x 3 cells `step` apart: array (..., row, col), without `step` cells at each side.

    The sums of three sums of three are those of nine. SciPy's uniform_filter takes three times as long, and its rounding depends on where
    the array begins.
    """
    rows = values[..., : -2 * step, :] + values[..., step:-step, :]
    rows += values[..., 2 * step :, :]
    result = rows[..., : -2 * step] + rows[..., step:-step]
    result += rows[..., 2 * step :]
    return result


def _middle(values: np.ndarray, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the index of the middle rows and columns of an array (..., row, col)."""
    margins = [(n - size) // 2 for n, size in zip(values.shape[-2:], shape, strict=True)]
    return ..., *(slice(m, m + size) for m, size in zip(margins, shape, strict=True))


def pair_features(values: np.ndarray, own: int) -> np.ndarray:
    """Return what the series net sees of each pair of neighbouring years.

    values : array (year, plane, ...), float32, NaN = no data; the features of the cell come first
    own : number of features
    Returns: array (pair, 2 x plane + 2 x own + 2, ...), float32: the means of the years before and after; of the features of the cell itself the
    last year seen before, and the first seen after; and the numbers of years seen before and after (as shares of the years); 0 where nothing
    was seen
    """
    seen = ~np.isnan(values[:, :1])
    if seen.all():
        known, last, following = values, values[:, :own], values[:, :own]
    else:
        known = np.where(seen, values, np.float32(0))
        last, following = known[:, :own].copy(), known[:, :own].copy()
        for year in range(1, len(values)):
            np.copyto(last[year], last[year - 1], where=~seen[year])
            np.copyto(following[-1 - year], following[-year], where=~seen[-1 - year])
    number = np.cumsum(seen, axis=0, dtype=np.float32)
    before, after = number[:-1], number[-1] - number[:-1]
    count, years = values.shape[1], np.float32(len(values))
    result = np.empty((len(values) - 1, 2 * count + 2 * own + 2, *values.shape[2:]), np.float32)
    low, high, nearest, next_, _numbers = np.split(result, np.cumsum([count, count, own, own]), axis=1)
    # Sums first. NumPy's cumsum along the first axis takes three times as long.
    low[0] = known[0]
    for pair in range(1, len(result)):
        np.add(low[pair - 1], known[pair], out=low[pair])
    np.subtract(low[-1] + known[-1], low, out=high)
    low *= 1 / np.maximum(before, 1)
    high *= 1 / np.maximum(after, 1)
    nearest[:], next_[:] = last[:-1], following[1:]
    result[:, -2:-1], result[:, -1:] = before / years, after / years
    return result


def draw_examples(series: LabelledSeries, rng: np.random.Generator) -> Examples:
    """Cut a patch from the ground, splice pieces of other places into it, and take all changed cells and some of the others."""
    chosen = _choose_patch(series, rng)
    values, label = series.values(chosen), series.label[chosen]
    changes = len(values) - 1
    now, since = label.copy(), np.zeros(label.shape, np.int64)
    touched, bare_alone = np.zeros((2, *label.shape), bool)
    for _try in range(rng.poisson(_TRIES)):
        form, at = Piece.draw(rng), rng.integers(0, PATCH, 2)
        kind, year = int(label[tuple(at)]), int(rng.integers(1, changes + 1))
        changing, bare = rng.random() < _CHANGES, rng.random()
        if not len(series.sites) + len(series.starts):
            bare = 1.0
        if kind == UNKNOWN:
            continue
        piece = form.cover()
        reach = len(piece) // 2
        place = _around(at, reach)
        cover = piece[_shifted(place, reach - at)]
        if touched[place][cover > 0].any():
            continue
        if kind == 0 and not changing and bare < _BARE_ALONE:
            _lay_bare(series, rng, values, place, at, cover, int(rng.integers(0, changes + 1)))
            touched[place] |= cover > 0
            bare_alone[place] |= cover >= 0.5
            continue
        sources = series.sources[1 - kind if changing else kind]
        if not len(sources):
            continue
        origin = _shifted(place, sources[rng.integers(len(sources))] - at)
        if not series.holds(origin):
            continue
        source = series.values(origin, year)
        if kind == 0 and changing and rng.random() < _UNUSUAL:
            usual = series.usual[year:, np.newaxis, np.newaxis]
            source = usual + (source - usual) * np.float32(np.exp(rng.uniform(0, np.log(_MOST_UNUSUAL))))
        _lay(values[year:, *place], source, cover)
        if changing and bare < _BARE:
            _lay_bare(series, rng, values, place, at, cover, year, before=kind == 0)
        most = cover >= 0.5
        now[place][most] = series.label[origin][most]
        since[place][most] = year
        touched[place] |= cover > 0
    changed = (since > 0) & (now != label)
    history = np.where(changed, 1 + since + np.where(label == 1, changes, 0), label == 1)
    counts = (label != UNKNOWN) & (now != UNKNOWN) & ~np.isnan(values[..., 0]).all(axis=0)
    # Cells at the border of the patch do not see their surroundings.
    middle = (slice(HALO, -HALO),) * 2
    history, counts, changed, bare_alone = (plane[middle] for plane in (history, counts, changed, bare_alone))
    stable = rng.permutation(np.flatnonzero(counts & ~changed & ~bare_alone))[:STABLE]
    cells = np.concatenate([np.flatnonzero(counts & changed), stable, np.flatnonzero(counts & bare_alone)])
    around = surroundings(np.moveaxis(values, -1, 1), np.divmod(cells, counts.shape[1]))
    return Examples(pair_features(around, values.shape[-1]), history.ravel()[cells])


def _lay(target: np.ndarray, source: np.ndarray, cover: np.ndarray) -> None:
    """Lay a piece over a place; edge cells see both kinds of land. NaN of either stays NaN.

    target, source : arrays (year, row, col, feature); the first is changed
    cover : array (row, col), 0-1
    """
    share = cover[..., np.newaxis]
    target += np.where(share > 0, source - target, 0) * share


def _lay_bare(
    series: LabelledSeries, rng: np.random.Generator, values: np.ndarray, place: Place, at: np.ndarray, cover: np.ndarray,
    year: int, *, before: bool = False,
) -> None:  # fmt: skip
    """Lay bare ground over a place, for one year or more from a year on, or before it."""
    length = int(rng.integers(1, _MOST_BARE + 1))
    first, end = (max(0, year - length), year) if before else (year, min(len(values), year + length))
    begun = len(series.starts) and (not len(series.sites) or rng.random() < _BEGUN)
    sites = series.starts if begun else series.sites
    site = sites[rng.integers(len(sites))]
    origin = _shifted(place, site - at)
    assert series.begun is not None  # Set by __post_init__.
    if not series.holds(origin) or first == end:
        return
    if begun:
        # Only the year in which a site begins is surely bare, so that year is laid over all.
        start = int(series.begun[tuple(site)])
        like, source = series.begun[origin] == start, series.values(origin, start)[:1].repeat(end - first, axis=0)
    else:
        like, source = series.is_bare[origin], series.values(origin)[first:end]
    # Quarries, banks and sites are small: what lies beside them is not laid.
    _lay(values[first:end, *place], source, cover * like)


def _choose_patch(series: LabelledSeries, rng: np.random.Generator) -> Place:
    """Choose a patch around a cell of the ground; half of them around sealed cells, which are rare."""
    cells = series.sources[int(rng.random() < 0.5)]
    if not len(cells):
        cells = max(series.sources, key=len)
    at = cells[rng.integers(len(cells))]
    row, col = (
        int(np.clip(a - rng.integers(PATCH), 0, n - PATCH)) for a, n in zip(at, series.label.shape, strict=True)
    )
    return slice(row, row + PATCH), slice(col, col + PATCH)


def _around(at: np.ndarray, reach: int) -> Place:
    """Return the cells around one, as far as they lie in the patch."""
    row, col = (int(a) for a in at)
    return slice(max(0, row - reach), min(PATCH, row + reach + 1)), slice(
        max(0, col - reach), min(PATCH, col + reach + 1)
    )


def _shifted(place: Place, by: np.ndarray) -> Place:
    """Move a place by rows and columns."""
    rows, cols = (slice(part.start + int(cells), part.stop + int(cells)) for part, cells in zip(place, by, strict=True))
    return rows, cols
