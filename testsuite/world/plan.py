"""The land of the first year: relief, river, forest, fields, towns, roads, pits and lakes.

`LandPlan` draws everything once on 40 m cells and in tables. `LandPlan.strip` then makes any rows of 5 m cells from them, so that memory
stays small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from testsuite.world.fields import exp, fractal_noise, interpolate_rows, ranks
from testsuite.world.materials import CODE, CROP_SHARES, CROPS
from testsuite.world.spec import FINE_M, Spec

COARSE_M = 40
STEP = COARSE_M // FINE_M
PARCEL_KEYS, BLOCK_KEYS = 64 * 64, 64 * 64
NEAR_DISTRICTS = 4
"""So many districts of towns are compared to find the nearest one of a cell."""


@dataclass(frozen=True)
class Mix:
    """Materials and how frequent they are."""

    names: tuple[str, ...]
    shares: tuple[float, ...]
    """Sum to 1."""

    def pick(self, chance: np.ndarray) -> np.ndarray:
        """Choose materials by their shares. chance : array, 0-1, uniformly distributed. Returns: codes, same shape."""
        codes = np.array([CODE[n] for n in self.names], np.uint8)
        return codes[np.minimum(np.searchsorted(np.cumsum(self.shares), chance, "right"), len(codes) - 1)]


@dataclass(frozen=True)
class Road:
    """The middle line of a road, with a point every 2.5 m or a little more."""

    x: np.ndarray
    """(point) metres east of the land's north-west corner."""
    y: np.ndarray
    """(point) metres south of it."""
    half_m: float

    def cells(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Find the 5 m cells of the road. shape : rows and columns of the land. Returns: rows, columns; a cell may occur several times."""
        reach = int(np.ceil(self.half_m / FINE_M))
        rows, cols = [], []
        for dr in range(-reach, reach + 1):
            for dc in range(-reach, reach + 1):
                row, col = np.floor(self.y / FINE_M).astype(int) + dr, np.floor(self.x / FINE_M).astype(int) + dc
                ok = (col >= 0) & (row >= 0) & (col < shape[1]) & (row < shape[0])
                ok &= np.hypot((col + 0.5) * FINE_M - self.x, (row + 0.5) * FINE_M - self.y) <= self.half_m
                rows.append(row[ok])
                cols.append(col[ok])
        return np.concatenate(rows), np.concatenate(cols)


@dataclass(frozen=True)
class Blocks:
    """Where cells of a town lie in its blocks of houses. All fields: array (cell)."""

    big: np.ndarray
    """bool, the block belongs to a town, not to a village."""
    number: np.ndarray
    """int64, key of the block."""
    u: np.ndarray
    """Metres from the block's edge, along its first axis; the street lies at the edge."""
    v: np.ndarray
    """The same along its second axis."""
    pitch_u: np.ndarray
    """Metres, length of the block with its street."""
    pitch_v: np.ndarray
    border: np.ndarray
    """Metres to the border of the district."""

    @property
    def street(self) -> np.ndarray:
        """(cell) bool, the cell lies in a street: between two blocks, or between two districts."""
        return (self.u < 7) | (self.v < 6) | (self.border < 4)

    @property
    def quarter(self) -> np.ndarray:
        """(cell) int64, key of the quarter of the block."""
        return self.number * 4 + 2 * (self.u > self.pitch_u / 2) + (self.v > self.pitch_v / 2)


HOUSE_ROOFS = Mix(
    ("roof_tile", "roof_cement", "roof_dark", "roof_metal", "roof_bright", "roof_gravel", "roof_solar"),
    (0.56, 0.11, 0.18, 0.06, 0.04, 0.02, 0.03),
)
WORKS_ROOFS = Mix(
    ("hall", "roof_bright", "roof_white", "roof_metal", "roof_dark", "roof_membrane", "roof_gravel", "roof_solar"),
    (0.46, 0.12, 0.04, 0.13, 0.14, 0.04, 0.04, 0.03),
)
YARDS = Mix(("asphalt_new", "asphalt", "concrete", "pavers", "paving"), (0.04, 0.31, 0.13, 0.06, 0.46))
CAR_PARKS = Mix(("asphalt_new", "asphalt", "concrete", "pavers"), (0.08, 0.62, 0.24, 0.06))
STREETS = Mix(("asphalt_new", "asphalt", "paving"), (0.08, 0.72, 0.20))
RESURFACED = 0.08
"""Share of the roads of the first year that have fresh asphalt. Like the few new roofs and pavers above it is an estimate."""


class LandPlan:
    """The coarse plan of the land: drawn once, it can make any strip of 5 m rows."""

    def __init__(self, spec: Spec) -> None:
        west, south, east, north = spec.land_bounds
        self.west, self.north = west, north
        self.shape = (north - south) // FINE_M, (east - west) // FINE_M
        coarse = -(-self.shape[0] // STEP), -(-self.shape[1] // STEP)
        rng = spec.rng("plan")
        self.spec = spec
        self.height = (
            55
            + 28 * fractal_noise(rng, coarse, COARSE_M, 7000, 3.4)
            + 3 * fractal_noise(rng, coarse, COARSE_M, 900, 2.5)
        )
        self.stamps = np.zeros(self.shape, np.uint8)
        y = north - (np.arange(coarse[0]) + 0.5) * COARSE_M
        x = west + (np.arange(coarse[1]) + 0.5) * COARSE_M
        gx, gy = np.meshgrid(x, y)
        river, self.bank = self._river(rng, gx, gy)
        valley = exp(-np.abs(river) / 1500)
        self.height = (self.height * (1 - 0.75 * valley)).astype(np.float32)
        self.river = river
        self.wet = ranks(-self.height + 9 * fractal_noise(rng, coarse, COARSE_M, 1200, 2.6) + 25 * valley)
        self.forest = ranks(fractal_noise(rng, coarse, COARSE_M, 3500, 2.9) + 0.012 * self.height - 0.8 * valley)
        self.conifer = fractal_noise(rng, coarse, COARSE_M, 1800, 2.8)
        self.patch = ranks(fractal_noise(rng, coarse, COARSE_M, 500, 2.6))
        self.ragged = fractal_noise(rng, coarse, COARSE_M, 250, 2.2)
        self._place_towns(rng, gx, gy)
        self._dig_pits_and_lakes(rng)
        self._parcels(rng, gx, gy)

    def _river(self, rng: np.random.Generator, gx: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw one river and two brooks. Returns: distance to the nearest bank, metres, negative in the water; and how stony the bank is."""
        wide, tall = float(np.ptp(gx)) + COARSE_M, float(np.ptp(gy)) + COARSE_M
        x0, y0 = gx.min(), gy.min()
        best = np.full(gx.shape, np.inf)
        for number, half in enumerate((28.0, 7.0, 5.0)):
            n = 400
            t = np.linspace(0, 1, n)
            bend = np.cumsum(ndimage.gaussian_filter1d(rng.standard_normal(n), 14)) * 0.012
            bend -= np.linspace(bend[0], bend[-1], n)
            wiggle = ndimage.gaussian_filter1d(rng.standard_normal(n), 4) * 0.02
            a, b = rng.uniform(0.2, 0.8, 2)
            along, across = x0 + t * wide, y0 + (a + (b - a) * t + 0.5 * bend + wiggle) * tall
            if number:
                along, across = x0 + (a + (b - a) * t + 0.5 * bend + wiggle) * wide, y0 + t * tall
            fine = np.linspace(0, 1, max(2000, int(max(wide, tall) / 8)))
            line = np.column_stack([np.interp(fine, t, along), np.interp(fine, t, across)])
            # Compact nodes make the search four times slower for points far from the line (measured).
            tree = cKDTree(line, compact_nodes=False)
            away = tree.query(np.column_stack([gx.ravel(), gy.ravel()]), workers=2)[0].reshape(gx.shape)
            best = np.minimum(best, away - half)
        stony = fractal_noise(rng, gx.shape, COARSE_M, 1500, 2.5)
        return best.astype(np.float32), stony

    def _place_towns(self, rng: np.random.Generator, gx: np.ndarray, gy: np.ndarray) -> None:
        """Place the towns and villages, and draw their outlines, roads and railway."""
        area_km2 = self.shape[0] * self.shape[1] * FINE_M**2 / 1e6
        n_towns = max(1, round(area_km2 / 66))
        n_villages = max(2, round(area_km2 / 8))
        good = (self.river > 150) & (self.wet < 0.80) & (self.forest < 0.80)
        open_land = np.flatnonzero(good) if good.any() else np.arange(gx.size)
        placed: list[tuple[float, float, float]] = []
        scale = min(1.0, np.sqrt(area_km2 / 60))
        # Sizes are evenly spaced, so that all worlds have about the same share of built-up land.
        sizes = np.r_[
            rng.permutation(np.linspace(1700, 2600, n_towns)), rng.permutation(np.linspace(200, 520, n_villages))
        ]
        for number, radius in enumerate(scale * sizes):
            big = number < n_towns
            others = np.array(placed).reshape(-1, 3)
            for _ in range(300):
                at = rng.choice(open_land)
                x, y = float(gx.flat[at]), float(gy.flat[at])
                inside = min(x - gx.min(), gx.max() - x, y - gy.min(), gy.max() - y) > (0.6 * radius if big else 0)
                free = np.hypot(x - others[:, 0], y - others[:, 1]) > 1.3 * (radius + others[:, 2])
                if inside and free.all():
                    placed.append((x, y, radius))
                    break
        self.towns = np.array(placed, np.float32)
        # 1 in the centre of a town, 0 at its edge, and -9 from ten radii on.
        inside = np.full(gx.shape, -9.0, np.float32)
        which = np.zeros(gx.shape, np.int16)
        for number, (x, y, radius) in enumerate(placed):
            rows = np.flatnonzero(np.abs(gy[:, 0] - y) < 10 * radius)
            cols = np.flatnonzero(np.abs(gx[0] - x) < 10 * radius)
            near = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
            d = 1 - np.hypot(gx[near] - x, gy[near] - y) / radius
            which[near][d > inside[near]] = number
            inside[near] = np.maximum(inside[near], d)
        self.town = inside + 0.33 * self.ragged * np.clip(1 - np.abs(inside), 0, 1)
        self.which = which
        town_turn = rng.uniform(0, np.pi / 2, len(placed))
        self._districts(gx, gy, town_turn, 400 * scale)
        # Roads: the shortest tree that connects all towns, and some more.
        p = self.towns[:, :2].astype(float)
        d = np.hypot(*(p[:, None] - p[None]).transpose(2, 0, 1))
        # By Prim's algorithm: the order of the pairs must stay, because each road takes the next random numbers.
        pairs = []
        nearest, away = np.zeros(len(p), int), d[0].copy()
        unconnected = np.arange(len(p)) > 0
        while unconnected.any():
            j = int(np.where(unconnected, away, np.inf).argmin())
            pairs.append((int(nearest[j]), j))
            unconnected[j] = False
            closer = d[j] < away
            nearest[closer], away[closer] = j, d[j][closer]
        for i in range(len(p)):
            j = int(np.argsort(d[i])[min(2, len(p) - 1)])
            if j != i and rng.random() < 0.5:
                pairs.append((i, j))
        self.roads: list[Road] = []
        for i, j in pairs:
            self._draw_road(rng, p[i], p[j], 5.5 if max(self.towns[[i, j], 2]) > 900 else 3.6, 1)
        edge = np.array(
            [
                [gx.min() - 20, gy.min() + rng.random() * np.ptp(gy)],
                [gx.max() + 20, gy.min() + rng.random() * np.ptp(gy)],
            ]
        )
        for end in edge:
            self._draw_road(rng, p[0], end, 6.5, 1)
            self._draw_road(rng, p[0] + 150, end + np.array([0, 1500]), 5.0, 2)

    def _draw_road(self, rng, start, end, half_m: float, code: int) -> None:
        """Stamp a winding road (code 1, with fresh asphalt 5; also kept in `roads`) or railway (2) of half width `half_m` into the 5 m lattice."""
        length = float(np.hypot(*(end - start)))
        t = np.linspace(0, 1, max(8, int(length / 2.5)))
        knots = np.linspace(0, 1, 9)
        sway = np.interp(t, knots, np.r_[0, rng.normal(0, 0.035, 7), 0] * length)
        sway = ndimage.gaussian_filter1d(sway, len(t) / 30, mode="nearest") * np.clip(8 * np.minimum(t, 1 - t), 0, 1)
        ahead = (end - start) / max(length, 1)
        x = start[0] + t * (end[0] - start[0]) - ahead[1] * sway
        y = start[1] + t * (end[1] - start[1]) + ahead[0] * sway
        road = Road(x - self.west, self.north - y, half_m)
        self.stamps[road.cells(self.shape)] = code
        if code == 1:
            self._resurface(road)
            self.roads.append(road)

    def _resurface(self, road: Road) -> None:
        """Give some stretches of a road fresh asphalt."""
        rng = self.spec.rng("resurfaced", len(self.roads))
        first = 0
        while first < len(road.x):
            points = int(rng.uniform(80, 400))
            if rng.random() < RESURFACED:
                part = slice(first, first + points)
                self.stamps[Road(road.x[part], road.y[part], road.half_m).cells(self.shape)] = 5
            first += points

    def _dig_pits_and_lakes(self, rng: np.random.Generator) -> None:
        """Stamp quarries (3, some with water, 4) and lakes (4) into the 5 m lattice."""
        area_km2 = self.shape[0] * self.shape[1] * FINE_M**2 / 1e6
        for kind, number in (("pit", max(1, round(area_km2 / 22))), ("lake", max(1, round(area_km2 / 30)))):
            for _ in range(number):
                radius = rng.uniform(90, 320) if kind == "pit" else rng.uniform(80, 520)
                radius *= min(1.0, np.sqrt(area_km2 / 60))
                for _ in range(50):
                    row, col = rng.integers(0, self.shape[0]), rng.integers(0, self.shape[1])
                    if (
                        self.town[min(row // STEP, self.town.shape[0] - 1), min(col // STEP, self.town.shape[1] - 1)]
                        < -0.6
                    ):
                        break
                reach = int(1.6 * radius / FINE_M)
                r = slice(max(0, row - reach), min(self.shape[0], row + reach))
                c = slice(max(0, col - reach), min(self.shape[1], col + reach))
                if r.stop <= r.start or c.stop <= c.start:
                    continue
                dr, dc = np.mgrid[r, c]
                angle = np.arctan2(dr - row, dc - col)
                a = rng.uniform(0, 2 * np.pi, 3)
                rim = (
                    radius
                    / FINE_M
                    * (
                        1
                        + 0.22 * np.sin(angle + a[0])
                        + 0.14 * np.sin(2 * angle + a[1])
                        + 0.07 * np.sin(5 * angle + a[2])
                    )
                )
                d = np.hypot(dr - row, dc - col) / rim
                part = self.stamps[r, c]
                part[d < 1] = 3 if kind == "pit" else 4
                if kind == "pit" and rng.random() < 0.5:
                    part[d < 0.35] = 4

    def _parcels(self, rng: np.random.Generator, gx: np.ndarray, gy: np.ndarray) -> None:
        """Draw districts, each with fields of one size and direction, and the random tables for parcels and blocks."""
        area_km2 = gx.size * COARSE_M**2 / 1e6
        n = max(3, round(area_km2 / 3.2))
        pad = 500
        self.centres = np.column_stack(
            [rng.uniform(gx.min() - pad, gx.max() + pad, n), rng.uniform(gy.min() - pad, gy.max() + pad, n)]
        )
        self.tree = cKDTree(self.centres)
        self.turn = rng.uniform(0, np.pi, n)
        self.width = rng.uniform(75, 210, n)
        self.length = rng.uniform(140, 400, n)
        self.n_parcels = n * PARCEL_KEYS
        self.n_keys = self.n_parcels + len(self.district_at) * BLOCK_KEYS * 4
        self.crop = rng.choice(CROPS, self.n_parcels, p=CROP_SHARES).astype(np.uint8)
        self.luck = rng.random(self.n_parcels, np.float32)
        self.block = rng.random((4, len(self.district_at) * BLOCK_KEYS), np.float32)
        self.house = rng.random(1 << 16, np.float32)

    def strip(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Make rows of 5 m cells. Returns: object key (row, col) int32, and material (row, col) uint8."""
        cols = self.shape[1]
        x = self.west + (np.arange(cols, dtype=np.float32) + 0.5) * FINE_M - self.centres[:, 0].mean()
        y = self.north - (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * FINE_M - self.centres[:, 1].mean()
        mx, my = self.centres.mean(axis=0)
        # The district of each 20 m square, then its own coordinates.
        qx, qy = np.meshgrid(x[1::4], y[1::4])
        district = self.tree.query(np.column_stack([qx.ravel() + mx, qy.ravel() + my]))[1].astype(np.int32)
        district = district.reshape(qx.shape).repeat(4, 0).repeat(4, 1)[: len(y), :cols]
        cx = (self.centres[:, 0] - mx).astype(np.float32)[district]
        cy = (self.centres[:, 1] - my).astype(np.float32)[district]
        dx, dy = x[None, :] - cx, y[:, None] - cy
        cos, sin = np.cos(self.turn).astype(np.float32)[district], np.sin(self.turn).astype(np.float32)[district]
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        del cx, cy, dx, dy, cos, sin
        width, length = self.width.astype(np.float32)[district], self.length.astype(np.float32)[district]
        pc = np.floor(u / width)
        v += (np.abs(pc) % 3) * length * 0.37
        pr = np.floor(v / length)
        parcel = district * PARCEL_KEYS
        parcel += (np.clip(pc + 32, 0, 63).astype(np.int32)) * 64 + np.clip(pr + 32, 0, 63).astype(np.int32)
        edge = np.minimum(u - pc * width, v - pr * length)
        material = self._open_land(rows, parcel, edge)
        del u, v, pc, pr, width, length, edge, district
        key = self._town(rows, parcel, material)
        self._apply_stamps(rows, material)
        return key, material

    def _open_land(self, rows: slice, parcel: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Make the land cover without towns: fields, grass, forest, heath, wetland, river. Returns: material (row, col) uint8."""
        cols = self.shape[1]
        luck = self.luck[parcel]
        material = self.crop[parcel]
        wet = interpolate_rows(self.wet, rows, STEP, cols)
        patch = interpolate_rows(self.patch, rows, STEP, cols)
        ragged = interpolate_rows(self.ragged, rows, STEP, cols)
        material[luck > 0.93 - 0.42 * wet] = CODE["meadow"]
        material[(luck < 0.012) & (wet < 0.45)] = CODE["vineyard"]
        material[(patch > 0.975) & (wet < 0.8)] = CODE["natural_grass"]
        hedge = (edge < 5) & (luck * 7 % 1 < 0.16)
        material[hedge] = CODE["shrub"]
        forest = interpolate_rows(self.forest, rows, STEP, cols) + 0.035 * ragged + 0.05 * (luck - 0.5)
        wood = forest > 0.72
        conifer = interpolate_rows(self.conifer, rows, STEP, cols) + 0.9 * (luck - 0.5) + 0.3 * ragged > -0.15
        material[wood] = np.where(conifer[wood], CODE["conifer"], CODE["broadleaf"])
        material[wood & (patch < 0.035)] = CODE["moor"]
        material[wood & (patch > 0.97)] = CODE["natural_grass"]
        marsh = (wet + 0.02 * ragged > 0.928) & (patch > 0.25)
        material[marsh] = CODE["marsh"]
        material[marsh & (patch > 0.80)] = CODE["peatbog"]
        river = interpolate_rows(self.river, rows, STEP, cols)
        material[(river < 14) & (patch > 0.35)] = CODE["broadleaf"]
        stony = interpolate_rows(self.bank, rows, STEP, cols)
        material[(river < 16) & (stony > 0.9)] = CODE["gravel_bank"]
        material[river < 0] = CODE["water"]
        return material

    def _districts(self, gx: np.ndarray, gy: np.ndarray, town_turn: np.ndarray, village_m: float) -> None:
        """Divide the towns into districts, each with blocks of its own direction and size, and draw how streets bend.

        village_m : greatest radius of a place that is built like a village
        """
        rng = self.spec.rng("districts")
        radius = self.towns[:, 2].astype(float)
        self.is_town = radius > village_m
        number = np.where(self.is_town, np.maximum(1, np.rint((radius / 420) ** 2)), 1).astype(int)
        town = np.repeat(np.arange(len(radius)), number)
        # The first district of each town lies in its centre, the others around it.
        first = np.r_[True, town[1:] != town[:-1]]
        away, angle = radius[town] * np.sqrt(rng.uniform(0.02, 1.1, len(town))), rng.uniform(0, 2 * np.pi, len(town))
        away[first] = 0
        self.district_town = town
        self.district_at = self.towns[town, :2] + away[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        self.district_turn = town_turn[town] + np.where(first, 0, rng.normal(0, 0.45, len(town)))
        size = rng.uniform(0.8, 1.25, (2, len(town)))
        self.pitch = np.where(self.is_town[town], [[96.0], [66.0]], [[120.0], [74.0]]) * size
        # Streets bend by some tens of metres over some hundreds.
        self.bend = [22 * fractal_noise(rng, gx.shape, COARSE_M, 900, 4.0) for _ in range(2)]
        # The nearest districts of each coarse cell, of its own town.
        self.near_district = np.zeros((NEAR_DISTRICTS, *gx.shape), np.int32)
        for number in range(len(radius)):
            own, at = np.flatnonzero(town == number), self.which == number
            nearest = cKDTree(self.district_at[own]).query(
                np.column_stack([gx[at], gy[at]]), list(range(1, NEAR_DISTRICTS + 1))
            )[1]
            # Where a town has fewer districts, its last one is repeated.
            self.near_district[:, at] = own[np.minimum(nearest, len(own) - 1)].T

    def blocks(self, row: np.ndarray, col: np.ndarray) -> Blocks:
        """Find the blocks of houses of the nearest town at 5 m cells. row, col : array (cell), int."""
        shape = self.which.shape
        coarse = np.minimum(row // STEP, shape[0] - 1), np.minimum(col // STEP, shape[1] - 1)
        place = np.stack([(row + 0.5) / STEP - 0.5, (col + 0.5) / STEP - 0.5])
        bend = [ndimage.map_coordinates(b, place, order=1, mode="nearest") for b in self.bend]
        x = self.west + (col + 0.5) * FINE_M + bend[0]
        y = self.north - (row + 0.5) * FINE_M + bend[1]
        near = self.near_district[:, *coarse]
        away = np.hypot(x - self.district_at[near, 0], y - self.district_at[near, 1])
        order = away.argmin(axis=0)[None]
        district = np.take_along_axis(near, order, 0)[0]
        least = np.take_along_axis(away, order, 0)[0]
        others = np.where(near == district, np.inf, away)
        nearest = others.argmin(axis=0)[None]
        other = np.take_along_axis(near, nearest, 0)[0]
        # The border between two districts is the line at equal distances.
        apart = np.hypot(*(self.district_at[district] - self.district_at[other]).T)
        second = np.take_along_axis(others, nearest, 0)[0]
        border = np.where(np.isinf(second), np.inf, (second**2 - least**2) / np.maximum(2 * apart, 1))
        dx, dy = x - self.district_at[district, 0], y - self.district_at[district, 1]
        cos, sin = np.cos(self.district_turn)[district], np.sin(self.district_turn)[district]
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        pitch_u, pitch_v = self.pitch[:, district]
        bc, br = np.floor(u / pitch_u), np.floor(v / pitch_v)
        number = district * BLOCK_KEYS + (np.clip(bc + 32, 0, 63) * 64 + np.clip(br + 32, 0, 63)).astype(np.int64)
        big = self.is_town[self.district_town[district]]
        return Blocks(big, number, u - bc * pitch_u, v - br * pitch_v, pitch_u, pitch_v, border)

    def turn_at(self, x: float, y: float) -> float:
        """Return the angle from east to the first axis of the blocks, towards south, at a point. x, y : metres from the north-west corner."""
        row, col = (np.array([int(n / FINE_M)]) for n in (y, x))
        return -float(self.district_turn[self.blocks(row, col).number // BLOCK_KEYS][0])

    def _town(self, rows: slice, parcel: np.ndarray, material: np.ndarray) -> np.ndarray:
        """Build the towns over the open land; changes `material`. Returns: object key (row, col) int32."""
        cols = self.shape[1]
        town = interpolate_rows(self.town, rows, STEP, cols)
        fill = (town > 0) & (material != CODE["water"])
        key = parcel
        r, c = np.nonzero(fill)
        if not len(r):
            return key
        depth = town[r, c]
        blocks = self.blocks(rows.start + r, c)
        big, block, bu, bv = blocks.big, blocks.number, blocks.u, blocks.v
        kind, second, third, fourth = self.block[:, block]
        # Kinds of blocks: dense in the centre, works (industry), parks, car parks; all others have houses with gardens.
        dense = big & (depth > 0.62 + 0.15 * second)
        works = ~dense & (kind < np.where(big, 0.13, 0.07))
        park = ~dense & (kind > 0.945)
        lot = ~park & ~works & (kind > 0.92)
        old = material[r, c]
        out = np.full(len(r), CODE["garden"], np.uint8)
        tint = self.house[(block * 31 + 7) % len(self.house)]
        # Houses on a lattice within the block.
        cell_u = np.where(works, 44.0, np.where(dense, 21.0, 24.0))
        cell_v = np.where(works, 62.0, np.where(dense, 19.0, 27.0))
        hu, hv = np.floor(bu / cell_u), np.floor(bv / cell_v)
        dice = self.house[((block * 131 + hu * 17 + hv * 5).astype(np.int64)) % len(self.house)]
        # A block has either terraced houses and flats with paved yards, or single houses with gardens.
        close = (second > 0.50) & big
        half_u = np.where(works, 19.0, np.where(dense, 9.0, np.where(close, 8.1, 5.0))) * (0.8 + 0.4 * dice)
        half_v = np.where(works, 27.0, np.where(dense, 7.5, np.where(close, 7.7, 5.4))) * (0.8 + 0.4 * dice)
        du, dv = np.abs(bu - (hu + 0.5) * cell_u), np.abs(bv - (hv + 0.5) * cell_v)
        house = (
            (du < half_u)
            & (dv < half_v)
            & (dice > np.where(works, 0.22, np.where(dense | close, 0.10, 0.21 + 0.30 * third)))
        )
        yard = (du < half_u + 7) & (dv < half_v + 5)
        paved = np.where(
            works,
            fourth < 0.8,
            np.where(dense, ~house & (third < 0.75), yard & (dice * 13 % 1 < np.where(close, 0.73, 0.09))),
        )
        out[(dice * 29 % 1 < 0.22) & ~works] = CODE["broadleaf"]
        out[works] = CODE["lawn"]
        # The yard of a works has one pavement; each house has its own.
        make = np.where(works, tint, dice * 7 % 1)[paved]
        out[paved] = YARDS.pick(make)
        roof = np.where(works, WORKS_ROOFS.pick(tint), HOUSE_ROOFS.pick(dice))
        out[house] = roof[house]
        out[lot] = CAR_PARKS.pick(second[lot])
        court = park & (second > 0.85) & (np.abs(bu - 60) < 22) & (np.abs(bv - 36) < 14)
        green = park & (du + dv > 6)
        out[green] = np.where(
            tint[green] < 0.5, CODE["lawn"], np.where(dice[green] < 0.5, CODE["broadleaf"], CODE["garden"])
        )
        out[court] = CODE["court"]
        # Some blocks at the edge stay fields.
        gap = (depth < 0.16) & (fourth < 0.30)
        street = blocks.street & ~gap
        out[street] = STREETS.pick(tint[street])
        out[gap] = old[gap]
        material[r, c] = out
        # Each quarter of a block is an object of its own, even if a roof lies in two of them. Fields keep their parcel.
        key[r[~gap], c[~gap]] = (self.n_parcels + blocks.quarter[~gap]).astype(np.int32)
        return key

    def _apply_stamps(self, rows: slice, material: np.ndarray) -> None:
        """Put roads, railway, quarries and lakes over the land; changes `material`. A road over the river is a bridge."""
        stamp = self.stamps[rows]
        material[stamp == 3] = CODE["rock"]
        material[stamp == 4] = CODE["water"]
        material[stamp == 1] = CODE["asphalt"]
        material[stamp == 5] = CODE["asphalt_new"]
        material[stamp == 2] = CODE["rail"]
