"""How the towns of a world change year by year.

Towns grow at their edges and along the roads that lead out of them: housing estates, commercial estates that fill over several years, rows of
houses, farm halls, new roads, and houses in the gardens of the town. The ground is stripped half a year to two years before it is sealed.
Some sealed ground is rebuilt and stays sealed; some is cleared, lies bare, and becomes green.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from testsuite.world.materials import CLASS, CODE, CROPS, MATERIALS
from testsuite.world.plan import COARSE_M, STEP, LandPlan, Mix, Road
from testsuite.world.spec import FINE_M, Spec

if TYPE_CHECKING:
    from testsuite.world.land import Land

KINDS = {"works": 0.50, "homes": 0.38, "row": 0.02, "infill": 0.015, "road": 0.05, "farm": 0.035}
"""What is built, as shares of the newly sealed land of an average year: so that it lies together as in real maps of change (newland.py)."""
CLEARED = 0.12
"""Sealed land that becomes green in a year, as a share of the net growth."""
REBUILT = 0.35
"""Sealed land that gets another sealed surface in a year, as a share of the net growth."""
TRIES = 80
"""After so many failures in a row, one kind of building is not built any more in a year."""
AHEAD = 2
"""The sites of so many years after the last are made too, so that the last years have as much bare ground as the others."""
CHANGED = 255
"""Stands for the material of a cell that changes already."""
HALL_ROOFS = Mix(
    ("roof_membrane", "roof_gravel", "hall", "roof_metal", "roof_solar", "roof_bright"),
    (0.27, 0.21, 0.20, 0.12, 0.12, 0.08),
)
HOME_ROOFS = Mix(("roof_dark", "roof_tile", "roof_gravel", "roof_solar", "roof_metal"), (0.42, 0.30, 0.12, 0.10, 0.06))
YARDS = Mix(("asphalt_new", "pavers", "concrete", "paving"), (0.48, 0.28, 0.14, 0.10))
GREENS = Mix(("natural_grass", "lawn", "shrub"), (0.5, 0.4, 0.1))
Cells = tuple[np.ndarray, np.ndarray]
"""Rows and columns of 5 m cells."""


def _is_any(names: tuple[str, ...]) -> np.ndarray:
    """Make a table that is true for the codes of some materials. Returns: array (256), bool."""
    return np.isin(np.arange(256), [CODE[n] for n in names])


BUILDABLE = _is_any(
    (*(MATERIALS[c].name for c in CROPS), "meadow", "natural_grass", "vineyard", "shrub", "garden", "lawn")
)
SEALED = _is_any(tuple(m.name for m, c in zip(MATERIALS, CLASS, strict=True) if c == 1))
WORKS = _is_any(("hall", "roof_bright", "roof_white", "roof_metal", "concrete"))


def grow(land: Land, spec: Spec, plan: LandPlan) -> None:
    """Let the towns grow, and rebuild and clear some sealed ground; changes `land`."""
    builder = Builder(land, spec, plan)
    for year in range(spec.years[0] + 1, spec.years[-1] + 1 + AHEAD):
        builder.build(year)
        if year <= spec.years[-1] + 1:
            # Rubble lies there for some months before.
            builder.renew(year, spec.growth * REBUILT, clear=False)
        if year <= spec.years[-1]:
            builder.renew(year, spec.growth * CLEARED, clear=True)
    builder.changes.write(land)


class Changes:
    """The surfaces that change, to be added to the tables of the land."""

    def __init__(self, land: Land) -> None:
        self.surface = land.surface
        self.before = np.r_[land.before, np.uint8(CHANGED)]
        self.parcel = land.parcel
        self.rows: list[tuple[float, ...]] = []
        self.n_lots = int(land.parcel.max()) + 1

    def material(self, cells: Cells) -> np.ndarray:
        """Return the material of the first year, or CHANGED. Returns: array (cell), uint8."""
        return self.before[np.minimum(self.surface[cells], len(self.before) - 1)]

    def add(self, cells: Cells, new: np.ndarray, year: int, site: str, site_from: float, site_until: float) -> None:
        """Let cells change together, as one lot. new : array (cell), uint8, materials from `year` on; site : material of the building site."""
        pairs, inverse = np.unique(self.surface[cells].astype(np.int64) * len(MATERIALS) + new, return_inverse=True)
        self.surface[cells] = (len(self.parcel) + len(self.rows) + inverse).astype(np.int32)
        for was, becomes in zip(*np.divmod(pairs, len(MATERIALS)), strict=True):
            self.rows.append(
                (self.before[was], becomes, year, self.parcel[was], self.n_lots, CODE[site], site_from, site_until)
            )
        self.n_lots += 1

    def write(self, land: Land) -> None:
        """Add the surfaces to the land."""
        names = ("before", "after", "since", "parcel", "lot", "site", "site_from", "site_until")
        for name, column in zip(names, zip(*self.rows, strict=True), strict=bool(self.rows)):
            table = getattr(land, name)
            setattr(land, name, np.r_[table, np.array(column, table.dtype)])


@dataclass(frozen=True)
class Frame:
    """Axes of a piece of ground: u ahead, v to the right, in metres from its origin."""

    x: float
    """Metres east of the land's north-west corner."""
    y: float
    """Metres south of it."""
    turn: float
    """Angle from east to the axis u, towards south, radians."""

    def moved(self, u: float, v: float, turn: float = 0.0) -> Frame:
        """Return axes whose origin lies at u, v, and that are turned further."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return Frame(self.x + u * c - v * s, self.y + u * s + v * c, self.turn + turn)

    def cells(self, shape: tuple[int, int], length: float, depth: float) -> tuple[Cells, np.ndarray, np.ndarray]:
        """Find the 5 m cells with 0 <= u < length and 0 <= v < depth. Returns: rows and columns, u, v; arrays (cell)."""
        ends = [self.moved(u, v) for u in (0, length) for v in (0, depth)]
        spans = [
            (min(max(int(min(at) // FINE_M), 0), n), min(max(int(max(at) // FINE_M) + 1, 0), n))
            for at, n in zip(([e.y for e in ends], [e.x for e in ends]), shape, strict=True)
        ]
        row, col = (a.ravel() for a in np.mgrid[slice(*spans[0]), slice(*spans[1])])
        dx, dy = (col + 0.5) * FINE_M - self.x, (row + 0.5) * FINE_M - self.y
        c, s = math.cos(self.turn), math.sin(self.turn)
        u, v = dx * c + dy * s, dy * c - dx * s
        at = (u >= 0) & (u < length) & (v >= 0) & (v < depth)
        return (row[at], col[at]), u[at], v[at]


@dataclass(frozen=True)
class Lot:
    """A piece of ground that is built upon at once."""

    frame: Frame
    """Origin at a corner beside the street; u runs along the street, v away from it."""
    length: float
    depth: float
    draw: Callable[[np.ndarray, np.ndarray, Lot, np.random.Generator], np.ndarray]
    """Draws what is built. u, v : arrays (cell), metres. Returns: materials, array (cell), uint8"""
    ready: int
    """First year in which it can be complete."""
    stripped: float
    """When its ground becomes bare, in years, at the earliest."""
    free: float = 0.85
    """Share of the ground that must be free of buildings, water and trees."""
    road: Road | None = None
    """A road that is built instead of a rectangle."""


# ----- what is built on a lot


def _one(mix: Mix, rng: np.random.Generator) -> int:
    """Choose one material."""
    return int(mix.pick(np.array(rng.random())))


def draw_street(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Pave everything with fresh asphalt."""
    return np.full(len(u), CODE["asphalt_new"], np.uint8)


def draw_hall(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Draw a hall or a shop with its yard and car park, or a yard without a building, with strips of grass at its edges."""
    new = np.full(len(u), _one(YARDS, rng), np.uint8)
    edge, kind = rng.uniform(0, 6), rng.random()
    front = rng.uniform(0.40, 0.60) * lot.depth if kind < 0.3 else rng.uniform(8, 22)
    # The car park may have another pavement than the yard behind.
    new[v < front] = _one(YARDS, rng)
    if kind > 0.1:
        left, right, back = rng.uniform(edge, edge + 0.14 * lot.length, 3)
        new[(u > left) & (u < lot.length - right) & (v > front) & (v < lot.depth - back)] = _one(HALL_ROOFS, rng)
        if kind > 0.7:
            # Several small halls instead of one.
            new[(v > front) & (u % rng.uniform(28, 45) < 9)] = new[0]
            new[(v > front) & (u > left + 0.5 * lot.length)] = _one(YARDS, rng)
    grass = v > lot.depth - edge
    # On a side without grass the yard meets that of the neighbour.
    for side, share in ((u, 0.4), (lot.length - u, 0.4), (v, 0.3)):
        if rng.random() < share:
            grass |= side < edge
    new[grass] = _one(GREENS, rng)
    return new


def draw_home(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Draw a house with a paved drive or front yard, a garden behind, and sometimes a paved terrace."""
    new = np.full(len(u), CODE["garden"] if rng.random() < 0.7 else CODE["lawn"], np.uint8)
    front = rng.uniform(3, 7)
    wide, deep = min(lot.length - 1, rng.uniform(10, 16)), rng.uniform(10, 14)
    left = rng.uniform(0, max(0.5, lot.length - wide - 1))
    ground = _one(YARDS, rng)
    drive = lot.length if rng.random() < 0.65 else left + 5
    new[(u < drive) & (v < front)] = ground
    new[(u < left + 4) & (v < front + rng.uniform(4, 12))] = ground
    if rng.random() < 0.5:
        new[(u > left) & (u < left + wide) & (v > front + deep) & (v < front + deep + rng.uniform(3, 6))] = ground
    new[(u > left) & (u < left + wide) & (v > front) & (v < front + deep)] = _one(HOME_ROOFS, rng)
    return new


def draw_flats(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Draw a block of flats or terraced houses: one long roof, parking in front and sometimes behind, a lawn at the back."""
    new = np.full(len(u), CODE["lawn"] if rng.random() < 0.6 else CODE["garden"], np.uint8)
    front, deep = rng.uniform(5, 12), rng.uniform(10, 15)
    new[v < front] = _one(YARDS, rng)
    if rng.random() < 0.6:
        new[(v > front + deep) & (v < front + deep + rng.uniform(4, 10))] = _one(YARDS, rng)
    new[(v > front) & (v < front + deep)] = _one(HOME_ROOFS, rng)
    return new


def draw_barn(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Draw a farm hall and the ground before it."""
    new = np.full(len(u), CODE["natural_grass"], np.uint8)
    front = rng.uniform(8, 25)
    new[(v < front) & (u < lot.length * rng.uniform(0.6, 1))] = (
        CODE["concrete"] if rng.random() < 0.6 else CODE["pavers"]
    )
    new[(v > front) & (u > 3) & (u < lot.length - 3)] = _one(HALL_ROOFS, rng)
    return new


def draw_grass(u, v, lot: Lot, rng: np.random.Generator) -> np.ndarray:
    """Leave a lot without a building: its bare ground becomes green again."""
    return np.full(len(u), _one(GREENS, rng), np.uint8)


# ----- where it is built


class Builder:
    """Builds on the land, year by year."""

    def __init__(self, land: Land, spec: Spec, plan: LandPlan) -> None:
        self.spec, self.plan = spec, plan
        self.changes = Changes(land)
        area_m2 = np.bincount(land.surface.ravel(), minlength=len(land.before)) * FINE_M**2
        self.sealed_m2 = float(area_m2[CLASS[land.before] == 1].sum())
        self.waiting: dict[str, list[tuple[int, int, Lot]]] = {k: [] for k in KINDS}
        self.number = count()
        self.find = {
            "works": self._works, "homes": self._homes, "row": self._row, "infill": self._infill, "road": self._road, "farm": self._farm,
        }  # fmt: skip
        # A point every 10 m of all roads: the road, the number of its point, and where it lies.
        self.road = np.repeat(np.arange(len(plan.roads)), [len(r.x[::4]) for r in plan.roads])
        self.point = np.concatenate([np.arange(len(r.x))[::4] for r in plan.roads])
        self.x, self.y = (np.concatenate([getattr(r, n)[::4] for r in plan.roads]) for n in ("x", "y"))
        row, col = ((a / COARSE_M).astype(int) for a in (self.y, self.x))
        rows, cols = plan.town.shape
        there = (row >= 0) & (col >= 0) & (row < rows) & (col < cols)
        near = np.clip(row, 0, rows - 1), np.clip(col, 0, cols - 1)
        depth = np.where(there, plan.town[near], -9)
        main = np.array([r.half_m > 5 for r in plan.roads])[self.road]
        # Roads meet where two of them cross one square of 320 m.
        square = near[0] // 8 * cols + near[1] // 8
        met, roads = np.unique(np.unique(np.stack([square, self.road]), axis=1)[0], return_counts=True)
        meet = roads[np.searchsorted(met, square)] > 1
        weight = np.where(main, 1, 0.2) * np.where(meet, 3, 1) * np.where(plan.is_town[plan.which[near]], 1, 0.3)
        # How likely each is chosen. The depth in a town is 1 in its centre and 0 at its edge.
        self.near = {
            "works": weight * ((depth > -0.9) & (depth < 0.05)),
            "row": 1.0 * ((depth > -0.7) & (depth < 0.15)),
            "farm": 1.0 * ((depth > -6) & (depth < -0.5)),
            "road": 1.0 * ((depth > -2) & (depth < 0.3)),
        }
        self.rim = np.flatnonzero((plan.town > -0.18) & (plan.town < 0.12))
        self.gardens = np.flatnonzero(plan.town > 0.05)
        self.slope = np.gradient(plan.town)
        self.estates: list[Frame] = []
        self.roads: list[Road] = []

    def build(self, year: int) -> None:
        """Build until the new sealed land of the year is reached."""
        rng = self.spec.rng("growth", year)
        goal_m2 = self.spec.growth * (1 + CLEARED) * self.sealed_m2
        share = dict(zip(KINDS, rng.dirichlet(25 * np.array(list(KINDS.values()))), strict=True))
        gained, failed = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
        while (left_m2 := goal_m2 - sum(gained.values())) > 0.015 * goal_m2:
            possible = [k for k in KINDS if failed[k] < TRIES]
            if not possible:
                break
            kind = max(possible, key=lambda k: share[k] * goal_m2 - gained[k])
            queue = self.waiting[kind]
            if not queue or queue[0][0] > year:
                lots = self.find[kind](rng, year, left_m2)
                failed[kind] += not lots
                for lot in lots:
                    heapq.heappush(queue, (lot.ready, next(self.number), lot))
                continue
            lot = heapq.heappop(queue)[2]
            new_m2 = self._build(rng, lot, year, left_m2 + 0.01 * goal_m2)
            failed[kind] = 0 if new_m2 else failed[kind] + 1
            if new_m2 is None:
                # It is too large for what is left of this year.
                heapq.heappush(queue, (year + 1, next(self.number), lot))
            else:
                gained[kind] += new_m2

    def _build(self, rng: np.random.Generator, lot: Lot, year: int, most_m2: float) -> float | None:
        """Build on a lot. Returns: newly sealed area, m2, 0 if the ground is not free; None if it would be more than `most_m2`."""
        if lot.road is None:
            cells, u, v = lot.frame.cells(self.plan.shape, lot.length, lot.depth)
        else:
            cells = _unique(lot.road.cells(self.plan.shape), self.plan.shape)
            u = v = np.zeros(len(cells[0]))
        old = self.changes.material(cells)
        free = BUILDABLE[old]
        if free.sum() < lot.free * max(1, len(old)):
            return 0.0
        new = lot.draw(u, v, lot, rng)
        new_m2 = float((free & SEALED[new]).sum() * FINE_M**2)
        if new_m2 > most_m2:
            return None
        at = free & (new != old)
        if at.any():
            begin = max(lot.stripped, year - 2.0)
            # Ground on which nothing is built lies bare a year longer.
            until = float(year) + (lot.draw is draw_grass)
            self.changes.add((cells[0][at], cells[1][at]), new[at], year, "bare_soil", begin, until)
        return new_m2

    def _free(self, frame: Frame, length: float, depth: float) -> float:
        """Return the share of a rectangle that is free to build on, 0-1."""
        cells, _, _ = frame.cells(self.plan.shape, length, depth)
        n_cells = length * depth / FINE_M**2
        return float(BUILDABLE[self.changes.material(cells)].sum() / n_cells)

    def _on_road(self, rng: np.random.Generator, kind: str) -> int | None:
        """Choose a point on a road. Returns: its number in `road` and `point`."""
        sums = np.cumsum(self.near[kind])
        if not len(sums) or sums[-1] == 0:
            return None
        return int(np.searchsorted(sums, rng.random() * sums[-1], "right"))

    def _road_frame(self, at: int) -> Frame:
        """Return axes at a point of a road, u along it."""
        return _road_frame(self.plan.roads[self.road[at]], int(self.point[at]))

    def _works(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Lay out a commercial estate: a street that leaves a main road, with lots on both sides, built from the road on."""
        scale = float(np.clip(math.sqrt(left_m2 / 25_000), 0.3, 1))
        if self.estates and rng.random() < 0.3:
            # Beside an estate of earlier years.
            old = self.estates[int(rng.integers(len(self.estates)))]
            frame = old.moved(rng.uniform(0, 60), rng.choice([-1, 1]) * rng.uniform(120, 260) * scale)
        else:
            at = self._on_road(rng, "works")
            if at is None:
                return []
            frame = self._road_frame(at).moved(0, 0, rng.choice([-1, 1]) * math.pi / 2 + rng.normal(0, 0.06))
        length, depth = _between(rng, 50, 480) * scale, _between(rng, 45, 130) * scale
        frame = frame.moved(10, 0)
        if self._free(frame.moved(0, -depth - 5), length, 2 * depth + 10) < 0.8:
            return []
        self.estates.append(frame)
        span, begin = int(rng.integers(0, 6)), year - rng.uniform(0.5, 2.0)
        lots, paved = [], 0.0
        for side in (-1, 1):
            u = 0.0
            while u < length - 25 * scale:
                wide = float(np.clip(rng.gamma(3, 28) * scale, 30 * scale, 180 * scale))
                ready = year + int(span * u / length + rng.uniform(0, 0.8))
                corner = frame.moved(u, 5) if side > 0 else frame.moved(u + wide, -5, math.pi)
                draw = draw_grass if rng.random() < 0.08 else draw_hall
                if u + wide > paved:
                    lots.append(
                        Lot(frame.moved(paved - 1, -5), u + wide - paved + 1, 10, draw_street, ready, begin, 0.5)
                    )
                    paved = u + wide
                lots.append(Lot(corner, wide, depth * rng.uniform(0.75, 1), draw, ready, begin))
                u += wide + rng.choice([0, 0, 0, 8])
        return lots

    def _homes(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Lay out a housing estate at the edge of a town: bent streets with houses on both sides, which follow one to two years after the street."""
        row, col = np.unravel_index(int(rng.choice(self.rim)), self.plan.town.shape)
        scale = float(np.clip(math.sqrt(left_m2 / 12_000), 0.35, 1))
        # Along the edge of the town, or across it.
        turn = math.atan2(self.slope[0][row, col], self.slope[1][row, col]) + rng.choice([0, 1, 1]) * math.pi / 2
        flats = rng.random() < 0.5
        length, depth = _between(rng, 45, 300) * scale, rng.uniform(19, 26) if flats else rng.uniform(17, 22)
        streets = int(np.clip(rng.choice(4, p=(0.55, 0.25, 0.12, 0.08)) + 1, 1, 4 * scale))
        pitch = 2 * depth + 6
        frame = Frame((col + 0.5) * COARSE_M, (row + 0.5) * COARSE_M, turn + rng.normal(0, 0.15))
        frame = frame.moved(-length / 2, -streets * pitch / 2)
        if self._free(frame, length, streets * pitch) < 0.75:
            return []
        bend = rng.normal(0, 0.35) / length
        begin = year - rng.uniform(0.5, 2.0)
        draw = draw_flats if flats else draw_home
        lots = []
        for street in range(streets):
            first = year + int(street * rng.uniform(0, 1.2))
            middle = frame.moved(0, (street + 0.5) * pitch)
            reach = length * rng.uniform(0.75, 1)
            for u in np.arange(0, reach, 20):
                lots.append(Lot(_bent(middle, bend, u, -3), 21, 6, draw_street, first, begin, 0.5))
            if street:
                spine = _bent(frame, bend, 0, 0)
                lots.append(Lot(spine.moved(-3, (street - 0.5) * pitch), 6, pitch, draw_street, first, begin, 0.5))
            for side in (-1, 1):
                u, later = 4.0, 0
                while u < reach - 12:
                    wide = rng.uniform(30, 60) if flats else rng.uniform(13, 20)
                    # Neighbouring houses are mostly built together.
                    if u < 5 or rng.random() < wide / 90:
                        later = int(rng.choice(3, p=(0.7, 0.2, 0.1)))
                    at = _bent(middle, bend, u + wide / 2, 0)
                    corner = at.moved(-wide / 2, 3) if side > 0 else at.moved(wide / 2, -3, math.pi)
                    what = draw_grass if rng.random() < 0.05 else draw
                    lots.append(Lot(corner, wide, depth, what, first + later, begin, 0.8))
                    u += wide
        return lots

    def _row(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Lay out a row of houses along a road that leads out of a town or village."""
        start = self._on_road(rng, "row")
        if start is None:
            return []
        road = self.plan.roads[self.road[start]]
        lots = []
        sides = (-1, 1) if rng.random() < 0.4 else (int(rng.choice([-1, 1])),)
        for side in sides:
            at, ready = int(self.point[start]), year + int(rng.random() < 0.3)
            for _ in range(int(rng.integers(3, 10))):
                wide, depth = rng.uniform(15, 24), rng.uniform(22, 34)
                if at + 20 >= len(road.x):
                    break
                frame = _road_frame(road, at)
                v = road.half_m + 3
                corner = frame.moved(-wide / 2, v) if side > 0 else frame.moved(wide / 2, -v, math.pi)
                if self._free(corner, wide, depth) > 0.85:
                    lots.append(Lot(corner, wide, depth, draw_home, ready, ready - rng.uniform(0.5, 1.3)))
                at += int(wide / 2.5) + 1
        return lots

    def _infill(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Choose a place for a house in the gardens of a town."""
        if not len(self.gardens):
            return []
        row, col = np.unravel_index(int(rng.choice(self.gardens)), self.plan.town.shape)
        x, y = ((n + rng.random()) * COARSE_M for n in (col, row))
        wide = float(np.clip(rng.uniform(12, 36), 9, max(9, math.sqrt(2 * left_m2))))
        frame = Frame(x, y, self.plan.turn_at(x, y) + rng.integers(4) * math.pi / 2)
        draw = draw_flats if wide > 24 else draw_home
        return [Lot(frame, wide, 1.1 * wide, draw, year, year - rng.uniform(0.5, 1.0), 0.6)]

    def _farm(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Choose a place for a farm hall in the fields, not far from a road."""
        at = self._on_road(rng, "farm")
        if at is None:
            return []
        frame = self._road_frame(at).moved(0, rng.choice([-1, 1]) * rng.uniform(40, 250), rng.uniform(0, 2 * math.pi))
        return [Lot(frame, rng.uniform(20, 60), rng.uniform(40, 80), draw_barn, year, year - rng.uniform(0.5, 1.2))]

    def _road(self, rng: np.random.Generator, year: int, left_m2: float) -> list[Lot]:
        """Plan a new road between two roads near a town."""
        start = self._on_road(rng, "road")
        if start is None:
            return []
        x, y = self.x[start], self.y[start]
        far = np.hypot(self.x - x, self.y - y)
        other = np.flatnonzero((far > 200) & (far < 1300) & (self.near["road"] > 0) & (self.road != self.road[start]))
        if not len(other):
            return []
        end = int(rng.choice(other))
        ahead = np.array([self.x[end] - x, self.y[end] - y])
        length = float(np.hypot(*ahead))
        half = float(rng.choice([5, 7, 9]))
        if 2 * half * length > left_m2:
            return []
        t = np.linspace(0, 1, int(length / 2.5))
        sway = rng.normal(0, 0.12) * np.sin(np.pi * t) + rng.normal(0, 0.04) * np.sin(2 * np.pi * t)
        road = Road(x + t * ahead[0] - sway * ahead[1], y + t * ahead[1] + sway * ahead[0], half)
        # New roads do not run side by side.
        middle = len(t) // 2
        if any(np.hypot(r.x - road.x[middle], r.y - road.y[middle]).min() < 700 for r in self.roads):
            return []
        self.roads.append(road)
        return [Lot(self._road_frame(start), 0, 0, draw_street, year, year - rng.uniform(0.75, 1.75), 0.75, road)]

    # ----- sealed ground that changes

    def renew(self, year: int, share: float, *, clear: bool) -> None:
        """Change sealed ground of the towns. share : of the sealed land, in one year; clear : it becomes green, otherwise it is sealed again."""
        rng = self.spec.rng("growth", year, "clear" if clear else "rebuild")
        goal_m2, done_m2 = share * self.sealed_m2, 0.0
        for _ in range(100 * TRIES):
            if done_m2 >= 0.95 * goal_m2 or not len(self.gardens):
                break
            if not clear and rng.random() < 0.1:
                done_m2 += self._surface_road(rng, year, goal_m2 - done_m2)
            else:
                done_m2 += self._renew_block(rng, year, goal_m2 - done_m2, clear)

    def _renew_block(self, rng: np.random.Generator, year: int, left_m2: float, clear: bool) -> float:
        """Demolish the buildings and yards of a part of a block, and build anew or leave it to grass. Returns: area, m2."""
        row, col = np.unravel_index(rng.choice(self.gardens, 24), self.plan.town.shape)
        rows, cols = (n * STEP + rng.integers(0, STEP, 24) for n in (row, col))
        inside = (rows < self.plan.shape[0]) & (cols < self.plan.shape[1])
        rows, cols = rows[inside], cols[inside]
        # Halls and yards more often than houses.
        fit = (WORKS if rng.random() < 0.75 else SEALED)[self.changes.material((rows, cols))]
        if not fit.any():
            return 0.0
        middle = rows[fit][:1], cols[fit][:1]
        side = min(float(rng.uniform(15, 110)), math.sqrt(left_m2 / 0.6))
        x, y = ((float(n[0]) + 0.5) * FINE_M for n in middle[::-1])
        frame = Frame(x, y, self.plan.turn_at(x, y)).moved(-side / 2, -side / 2)
        cells, u, v = frame.cells(self.plan.shape, side, side)
        blocks, here = self.plan.blocks(*cells), self.plan.blocks(*middle)
        at = SEALED[self.changes.material(cells)] & ~blocks.street & (blocks.number == here.number[0])
        if at.sum() < 4:
            return 0.0
        cells, u, v = (cells[0][at], cells[1][at]), u[at], v[at]
        if clear:
            new = np.full(len(u), _one(GREENS, rng), np.uint8)
            self.changes.add(cells, new, year, "bare_soil", year, year + rng.uniform(0.5, 1.5))
        else:
            new = draw_hall(u, v, Lot(frame, side, side, draw_hall, year, 0), rng)
            new[~SEALED[new]] = _one(YARDS, rng)
            self.changes.add(cells, new, year, "rubble", year - rng.uniform(0.3, 1.0), year)
        return float(len(u) * FINE_M**2)

    def _surface_road(self, rng: np.random.Generator, year: int, left_m2: float) -> float:
        """Give a piece of an old road fresh asphalt. Returns: area, m2."""
        road = self.plan.roads[int(rng.integers(len(self.plan.roads)))]
        points = min(int(rng.uniform(100, 600)), int(left_m2 / (5 * road.half_m)))
        first = int(rng.integers(max(1, len(road.x) - points)))
        piece = Road(road.x[first : first + points], road.y[first : first + points], road.half_m)
        cells = _unique(piece.cells(self.plan.shape), self.plan.shape)
        at = self.changes.material(cells) == CODE["asphalt"]
        if at.sum() < 4:
            return 0.0
        new = np.full(int(at.sum()), CODE["asphalt_new"], np.uint8)
        self.changes.add((cells[0][at], cells[1][at]), new, year, "asphalt_new", year, year)
        return float(at.sum() * FINE_M**2)


def _between(rng: np.random.Generator, least: float, most: float) -> float:
    """Draw a size; small ones are as frequent as large ones for their logarithm."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def _road_frame(road: Road, point: int) -> Frame:
    """Return axes at a point of a road, u along it."""
    a, b = max(0, point - 4), min(len(road.x) - 1, point + 4)
    turn = math.atan2(road.y[b] - road.y[a], road.x[b] - road.x[a])
    return Frame(float(road.x[point]), float(road.y[point]), turn)


def _bent(frame: Frame, bend: float, u: float, v: float) -> Frame:
    """Return axes at u, v from a street that bends by `bend` u^2, v measured from the street."""
    return frame.moved(u, bend * u * u, math.atan(2 * bend * u)).moved(0, v)


def _unique(cells: Cells, shape: tuple[int, int]) -> Cells:
    """Return each cell once."""
    return np.unravel_index(np.unique(np.ravel_multi_index(cells, shape)), shape)
