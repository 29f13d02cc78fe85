"""Outlines as SVG paths; they are drawn once when the server starts.

All coordinates are rounded to the same lattice of half pixels, and repeated points are dropped. Neighbouring regions share the
points of their border, so they still share them after rounding: there are no gaps and no slivers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.outlines import polygons
from dashboard.table import Table

WIDTH = 2000
"""Width of the drawing in half pixels; the page shows the map at most about 1000 pixels wide."""

_EUROPE = (2_400_000, 1_300_000, 7_500_000, 5_500_000)
"""West, south, east, north of the main frame, metres; regions outside it are drawn in an inset."""

_INSET = 190
"""Side of an inset in half pixels."""

_INSET_LETTERS = 13
"""Letters of a name that fit above an inset."""

_AROUND = 0.6
"""How far beyond the frame neighbours are drawn, as a share of its sides: a panel may be wider or higher than the frame."""


@dataclass(frozen=True)
class Frame:
    """A rectangle in EPSG:3035 and its place in the drawing."""

    west: float
    north: float
    scale: float
    """Half pixels per metre."""
    left: float = 0
    top: float = 0

    def to_lattice(self, points: np.ndarray) -> np.ndarray:
        """Round metres to half pixels.

        points : array (point, 2), x and y in metres
        Returns: array (point, 2), int, x right and y down
        """
        x = (points[:, 0] - self.west) * self.scale + self.left
        y = (self.north - points[:, 1]) * self.scale + self.top
        return np.column_stack([np.rint(x), np.rint(y)]).astype(np.int64)


def simplify(ring: np.ndarray) -> np.ndarray:
    """Drop repeated points, the closing point, and points on a straight line between their neighbours.

    Own code, because Shapely's simplify with tolerance 0 keeps spikes (there and back), which rounding makes of narrow parts.

    ring : array (point, 2), int
    Returns: array (point, 2), int, not closed; fewer than 3 points where no area is left

    >>> simplify(np.array([[0, 0], [0, 0], [1, 0], [2, 0], [2, 2], [0, 0]])).tolist()
    [[0, 0], [2, 0], [2, 2]]
    """
    while len(ring) > 2:
        ahead = np.roll(ring, -1, axis=0)
        ring = ring[(ring != ahead).any(axis=1)]
        if len(ring) < 3:
            break
        step = np.roll(ring, -1, axis=0) - ring
        before = ring - np.roll(ring, 1, axis=0)
        straight = step[:, 0] * before[:, 1] == step[:, 1] * before[:, 0]
        # A spike (there and back) is straight too. Never drop two neighbours at once: the test of a point needs its neighbours.
        straight[1:] &= ~straight[:-1]
        if not straight.any():
            return ring
        ring = ring[~straight]
    return ring[:2]


def path(rings: Sequence[np.ndarray]) -> str:
    """Return closed rings as the `d` of an SVG path, with relative steps.

    >>> path([np.array([[0, 0], [4, 0], [4, 4]])])
    'M0 0l4 0 0 4z'
    """
    text = []
    for ring in rings:
        steps = np.diff(ring, axis=0)
        text.append(f"M{ring[0, 0]} {ring[0, 1]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps.tolist()) + "z")
    return "".join(text)


def inner_borders(countries: Sequence[Sequence[Sequence[np.ndarray]]], frame: Frame) -> list[str]:
    """Return the lines that lie between two countries, as the `d` of SVG paths; coasts are left out.

    countries : for each its parts, each a list of rings in metres; countries share the points of their border
    """
    owners: dict[tuple[tuple[int, int], tuple[int, int]], set[int]] = {}
    for number, parts in enumerate(countries):
        for ring in (ring for part in parts for ring in part):
            points = [tuple(point) for point in frame.to_lattice(ring).tolist()]
            for a, b in itertools.pairwise([*points, points[0]]):
                if a != b:
                    owners.setdefault((min(a, b), max(a, b)), set()).add(number)
    follow: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for (a, b), known in owners.items():
        if len(known) > 1:
            follow.setdefault(a, set()).add(b)
            follow.setdefault(b, set()).add(a)
    lines = []
    # Start at the ends of lines and where several meet; what is left are closed lines.
    starts = sorted(point for point, ahead in follow.items() if len(ahead) != 2)
    for start in [*starts, *sorted(follow)]:
        while follow[start]:
            line = [start]
            while follow[line[-1]] and (len(line) == 1 or len(follow[line[-1]]) == 1):
                ahead = follow[line[-1]].pop()
                follow[ahead].discard(line[-1])
                line.append(ahead)
            steps = np.diff(np.array(line), axis=0).tolist()
            lines.append(f"M{start[0]} {start[1]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps))
    return lines


def _area(ring: np.ndarray) -> float:
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _centre(ring: np.ndarray) -> tuple[int, int]:
    area = _area(ring)
    if not area:
        return int(ring[:, 0].mean()), int(ring[:, 1].mean())
    origin = ring[0]
    x, y = (ring - origin)[:, 0].astype(float), (ring - origin)[:, 1].astype(float)
    cross = x * np.roll(y, -1) - y * np.roll(x, -1)
    cx = ((x + np.roll(x, -1)) @ cross) / (6 * area) + origin[0]
    cy = ((y + np.roll(y, -1)) @ cross) / (6 * area) + origin[1]
    return round(cx), round(cy)


def draw_region(parts: Sequence[Sequence[np.ndarray]], frame: Frame) -> tuple[str, tuple[int, int]]:
    """Return the path and the centre of a region; a region too small for the lattice becomes a dot of one pixel."""
    rings = [simplify(frame.to_lattice(ring)) for part in parts for ring in part]
    kept = [ring for ring in rings if len(ring) > 2]
    if not kept:
        x, y = frame.to_lattice(parts[0][0]).mean(axis=0).round().astype(int).tolist()
        kept = [np.array([[x - 1, y - 1], [x + 1, y - 1], [x + 1, y + 1], [x - 1, y + 1]])]
    return path(kept), _centre(max(kept, key=lambda ring: abs(_area(ring))))


def _bounds(parts: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    points = np.concatenate([part[0] for part in parts])
    return np.array([*points.min(axis=0), *points.max(axis=0)])


def _within_europe(part: Sequence[np.ndarray]) -> bool:
    west, south, east, north = _bounds([part])
    return west >= _EUROPE[0] and south >= _EUROPE[1] and east <= _EUROPE[2] and north <= _EUROPE[3]


def _frame(
    bounds: np.ndarray, width: float, height: float, left: float = 0, top: float = 0, margin: float = 0.02
) -> Frame:
    west, south, east, north = bounds
    scale = min(width / max(east - west, 1), height / max(north - south, 1)) * (1 - 2 * margin)
    left += (width - (east - west) * scale) / 2
    top += (height - (north - south) * scale) / 2
    return Frame(west, north, scale, left, top)


SPECKS = 0.004
"""Share of the area that may lie outside the frame: islands far away would make the map small."""


def _main_box(parts: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return west, south, east, north of the parts without the specks that are farthest from the middle."""
    bounds = np.array([_bounds([part]) for part in parts])
    areas = np.array([abs(_area(part[0])) for part in parts])
    middles = (bounds[:, :2] + bounds[:, 2:]) / 2
    centre = (middles * areas[:, None]).sum(axis=0) / max(areas.sum(), 1)
    order = np.argsort(np.hypot(*(middles - centre).T))
    within = np.cumsum(areas[order]) <= areas.sum() * (1 - SPECKS)
    # The part that crosses the limit belongs to the frame too.
    kept = order[: int(within.sum()) + 1]
    return np.array([*bounds[kept, :2].min(axis=0), *bounds[kept, 2:].max(axis=0)])


def _overlaps(part: Sequence[np.ndarray], box: np.ndarray) -> bool:
    west, south, east, north = _bounds([part])
    return bool(west < box[2] and east > box[0] and south < box[3] and north > box[1])


def _inset_name(table: Table, geos: Sequence[str]) -> str:
    """Name an inset after its only region, else after the region that holds all of them."""
    if len(geos) == 1:
        return table.regions[geos[0]].name
    parent = table.regions.get(table.regions[geos[0]].parent)
    return parent.name if parent else table.regions[geos[0]].name


def short_name(name: str) -> str:
    """Return a name that fits above an inset: the end of a long one, which tells regions of a kind apart.

    >>> short_name("Svalbard"), short_name("Região Autónoma da Madeira"), short_name("Llanfairpwllgwyngyll")
    ('Svalbard', '… da Madeira', 'Llanfairpwll…')
    """
    if len(name) <= _INSET_LETTERS:
        return name
    words = name.split()
    kept = next(
        (" ".join(words[i:]) for i in range(1, len(words)) if len(" ".join(words[i:])) <= _INSET_LETTERS - 2), ""
    )
    return f"… {kept}" if kept else f"{name[: _INSET_LETTERS - 1].rstrip()}…"


def draw_map(table: Table, level: int) -> dict[str, Any]:
    """Draw the regions of a level, the borders between countries where these are another level, and the land around.

    Regions outside the frame are drawn in insets, one for all codes with the same first four letters.
    Returns: {"width", "height", "regions": [{"geo", "d", "x", "y"}], "borders": [d], "ground": [d],
    "insets": [{"x", "y", "w", "h", "name", "short"}]}
    """
    everything = {geo: polygons(geometry) for geo, geometry in table.outlines.items()}
    here = {geo: parts for geo, parts in everything.items() if table.regions[geo].level == level}
    main: Mapping[str, list] = {geo: [p for p in parts if _within_europe(p)] for geo, parts in here.items()}
    if not any(main.values()):
        main = here
    whole = [part for parts in main.values() for part in parts]
    box = _main_box(whole) if whole else np.array([0.0, 0.0, 1.0, 1.0])
    main = {geo: [p for p in parts if _overlaps(p, box)] for geo, parts in main.items()}
    ratio = (box[3] - box[1]) / max(box[2] - box[0], 1)
    height = int(np.clip(WIDTH * ratio, WIDTH * 0.3, WIDTH * 1.3))
    frame = _frame(box, WIDTH, height)
    groups: dict[str, dict[str, list]] = {}
    drawn = {}
    for geo, parts in here.items():
        if main[geo]:
            drawn[geo] = draw_region(main[geo], frame)
        else:
            groups.setdefault(geo[:4], {})[geo] = parts
    top = table.levels[0]
    borders = []
    if level != top:
        countries = {geo: parts for geo, parts in everything.items() if table.regions[geo].level == top}
        inside = [kept for parts in countries.values() if (kept := [part for part in parts if _overlaps(part, box)])]
        # Outlines that share no points, and a country alone, get their whole outline.
        borders = inner_borders(inside, frame) or [draw_region(parts, frame)[0] for parts in inside]
    side = _AROUND * np.array([box[2] - box[0], box[3] - box[1]])
    wide = box + np.array([-side[0], -side[1], side[0], side[1]])
    around = [[p for p in polygons(geometry) if _overlaps(p, wide)] for geometry in table.neighbours]
    ground = [draw_region(parts, frame)[0] for parts in around if parts]
    insets = []
    across = WIDTH // (_INSET + 10)
    for i, group in enumerate(groups.values()):
        x, y = (i % across) * (_INSET + 10), height + 10 + (i // across) * (_INSET + 10)
        bounds = [_bounds(parts) for parts in group.values()]
        outer = np.array([*np.min(bounds, axis=0)[:2], *np.max(bounds, axis=0)[2:]])
        inset = _frame(outer, _INSET, _INSET - 30, x, y + 30, 0.08)
        name = _inset_name(table, list(group))
        insets.append({"x": x, "y": y, "w": _INSET, "h": _INSET, "name": name, "short": short_name(name)})
        drawn.update({geo: draw_region(parts, inset) for geo, parts in group.items()})
    rows = -(-len(groups) // across)
    return {
        "width": WIDTH,
        "height": height + rows * (_INSET + 10) + (10 if rows else 0),
        "regions": [{"geo": geo, "d": d, "x": x, "y": y} for geo, (d, (x, y)) in sorted(drawn.items())],
        "borders": borders,
        "ground": ground,
        "insets": insets,
    }
