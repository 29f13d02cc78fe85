"""Which scenes to take: the filter that a scene must pass, and the choice among those that pass.

A scene's coverage is judged by points spread evenly over the tile's part of the area; a point is covered if it lies in the scene's footprint.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imperviouslib.core import baseline
from imperviouslib.core.bands import SCL
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene
from imperviouslib.core.window import Window

Ring = Sequence[tuple[float, float]]
"""Corners (x, y); the last need not repeat the first."""
METHODS = ("clear", "bytes")
"""How to choose: `resolve_best` or `resolve_largest`."""
_SAMPLES = 16
"""Points a side over a tile's part of the area by which coverage is judged."""


@dataclass(frozen=True)
class Area:
    """Where scenes are wanted."""

    grid: Grid
    """The cells to be fetched."""
    mask: np.ndarray
    """array (row, col), bool, over `grid` at any coarser resolution: where scenes are looked for."""

    @classmethod
    def whole(cls, grid: Grid) -> Area:
        """Return the area that covers a whole grid."""
        return cls(grid, np.ones((1, 1), bool))

    def points(self, west: float, south: float, east: float, north: float) -> np.ndarray:
        """Spread points evenly over the area's part of a box. Returns: array (point, 2), float64, x and y in metres."""
        g = self.grid
        west, south, east, north = max(west, g.west), max(south, g.south), min(east, g.east), min(north, g.north)
        if west >= east or south >= north:
            return np.empty((0, 2))
        if self.mask.all():
            steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
            x, y = (a.ravel() for a in np.meshgrid(west + steps * (east - west), south + steps * (north - south)))
            return np.column_stack((x, y))
        # Small areas would fall between points spread over the box: the mask's own cells are the points.
        rows, cols = np.nonzero(self.mask)
        x = g.west + (cols + 0.5) * (g.east - g.west) / self.mask.shape[1]
        y = g.north - (rows + 0.5) * (g.north - g.south) / self.mask.shape[0]
        inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
        points = np.column_stack((x, y))[inside]
        return points[:: max(1, len(points) // (4 * _SAMPLES**2))]


@dataclass(frozen=True)
class SceneFilter:
    """Conditions that a scene must meet. The catalogue filters by them too, but its answer is filtered again."""

    years: tuple[int, ...]
    """Ascending."""
    window: Window
    """Part of each year."""
    bands: tuple[str, ...]
    """Bands with reflectance that it must offer, beside SCL."""
    max_cloud_pct: float
    """Maximum cloud cover in per cent of the valid pixels."""
    tiles: tuple[str, ...] = ()
    """MGRS tiles without T; empty = all."""

    @property
    def all_bands(self) -> tuple[str, ...]:
        """Return the bands and SCL."""
        return (*self.bands, SCL)

    def missing_bands(self, scene: Scene) -> tuple[str, ...]:
        """Return the bands that a scene does not offer."""
        return tuple(band for band in self.all_bands if band not in scene.assets)

    def accepts(self, scene: Scene) -> bool:
        """Tell whether day, cloud cover and tile of a scene meet the conditions."""
        return (
            any(self.window.holds(scene.day, year) for year in self.years)
            and scene.cloud_pct <= self.max_cloud_pct
            and (not self.tiles or scene.tile in self.tiles)
        )


@dataclass(frozen=True)
class Choice:
    """The scenes of one tile in one year."""

    tile: str
    year: int
    scenes: tuple[Scene, ...]
    covered_pct: float
    """Share of the tile's part of the area that they cover, whether cloudy or not."""


def resolve_newest(scenes: Iterable[Scene]) -> list[Scene]:
    """Keep one scene per acquisition, the newest processing; by tile, time and id."""
    newest = baseline.resolve_newest(scenes, lambda scene: scene.processing)
    return sorted(newest, key=lambda s: (s.tile, s.sensed_utc, s.id))


def resolve_choices(
    scenes: Sequence[Scene],
    footprints: Mapping[str, Sequence[Ring]],
    area: Area,
    wanted: SceneFilter,
    *,
    count: int,
    method: str = "clear",
) -> list[Choice]:
    """Choose the scenes of each tile and year that meet the area, by tile and year.

    footprints : scene id to the rings of its valid data, in metres of the area's grid
    count : maximum number of scenes per tile and year
    method : one of `METHODS`
    """
    by_tile: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_tile[scene.tile].append(scene)
    choices = []
    for tile, of_tile in sorted(by_tile.items()):
        rings = [footprints[scene.id] for scene in of_tile]
        corners = np.array([corner for of_scene in rings for ring in of_scene for corner in ring]).reshape(-1, 2)
        points = area.points(*corners.min(axis=0), *corners.max(axis=0)) if len(corners) else np.empty((0, 2))
        covered = np.array([covers_any(of_scene, points) for of_scene in rings])
        # Only the points that the tile meets in any year count for it.
        covered = covered[:, covered.any(axis=0)]
        for year in wanted.years:
            here = [i for i, s in enumerate(of_tile) if wanted.window.holds(s.day, year) and covered[i].any()]
            candidates = [of_tile[i] for i in here]
            if method == "bytes":
                chosen = resolve_largest(candidates, wanted.bands, count)
            else:
                chosen = resolve_best(candidates, covered[here], count)
            if chosen:
                ids = {scene.id for scene in chosen}
                share = covered[[i for i in here if of_tile[i].id in ids]].any(axis=0).mean()
                choices.append(Choice(tile, year, tuple(chosen), round(100 * float(share), 1)))
    return choices


def covers(ring: Ring, points: np.ndarray) -> np.ndarray:
    """Tell which points lie in a ring (even-odd rule).

    points : array (point, 2), float64, x and y
    Returns: array (point), bool
    """
    inside = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in itertools.pairwise((*ring, *ring[:1])):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def covers_any(rings: Sequence[Ring], points: np.ndarray) -> np.ndarray:
    """Tell which points lie in any of several rings, which may overlap. Parameters and result as of `covers`."""
    inside = np.zeros(len(points), bool)
    for ring in rings:
        inside |= covers(ring, points)
    return inside


def resolve_best(scenes: Sequence[Scene], covered: np.ndarray, count: int, bins: int = 3) -> list[Scene]:
    """Choose at most `count` scenes of one tile and period: clear, together covering the ground, spread over the season.

    covered : array (scene, point), bool: which of a set of points spread evenly over the tile's part of the area a scene covers
    bins : int, equal parts of the period's observed span over which scenes are spread

    Scenes are taken one by one. A scene's worth is its clear share, times the mean over the points it covers of 1 / (1 + n),
    n = clear observations expected there so far, times 1 / (1 + scenes already taken in its part of the season). So a second orbit that
    covers what the first leaves out comes before a third scene of the same half. Of equal worth, the last id comes first.
    """
    # Sorted from the last id down, because argmax takes the first of equal worth.
    order = sorted((i for i in range(len(scenes)) if covered[i].any()), key=lambda i: scenes[i].id, reverse=True)
    if not order:
        return []
    usable = [scenes[i] for i in order]
    seen_by = covered[order].astype(np.float64)
    days = np.array([s.day.toordinal() for s in usable])
    part = (days - days.min()) * bins // (days.max() - days.min() + 1)
    clear = np.array([1 - s.cloud_pct / 100 for s in usable])
    observed = np.zeros(seen_by.shape[1])
    per_bin = np.zeros(bins, int)
    left = np.ones(len(usable), bool)
    chosen: list[Scene] = []
    while left.any() and len(chosen) < count:
        gain = seen_by @ (1 / (1 + observed)) / len(observed)
        worth = np.round(clear * gain / (1 + per_bin[part]), 12)
        best = int(np.argmax(np.where(left, worth, -1.0)))
        left[best] = False
        chosen.append(usable[best])
        per_bin[part[best]] += 1
        observed += seen_by[best] * clear[best]
    return sorted(chosen, key=lambda s: (s.sensed_utc, s.id))


def resolve_largest(scenes: Sequence[Scene], bands: Sequence[str], count: int) -> list[Scene]:
    """Choose the `count` scenes with the most bytes in the given bands: the rule of the prototype (2025).

    Bytes follow cloud texture as well as area (610 MB at 60 % of a tile, 1063 MB at 100 %), so this is not the default.
    """
    size = {s.id: sum(s.assets[b].size or 0 for b in bands if b in s.assets) for s in scenes}
    return sorted(scenes, key=lambda s: (-size[s.id], s.id))[:count]
