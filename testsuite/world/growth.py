"""How the towns of a world grow year by year, and where sealed ground becomes green again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testsuite.world.materials import CLASS, CODE, CROPS
from testsuite.world.plan import STEP, LandPlan
from testsuite.world.spec import FINE_M, Spec

if TYPE_CHECKING:
    from testsuite.world.land import Land


def grow(land: Land, spec: Spec, plan: LandPlan) -> None:
    """Let the towns grow each year by new halls and houses, and turn some sealed ground green; changes `land`."""
    rng = spec.rng("growth")
    area = np.bincount(land.surface.ravel(), minlength=len(land.before)) * FINE_M**2
    sealed_m2 = float(area[CLASS[land.before] == 1].sum())
    buildable = np.isin(
        np.arange(32), [*CROPS, *(CODE[n] for n in ("meadow", "natural_grass", "vineyard", "shrub", "garden", "lawn"))]
    )
    rim = (plan.town > -0.55) & (plan.town < 0.1)
    sites = {
        "homes": np.flatnonzero(rim),
        "hall": np.flatnonzero(plan.near_road & (plan.town < 0) & (plan.town > -2.5)),
        "infill": np.flatnonzero(plan.town >= 0.1),
    }
    tables = SurfaceTables(land)
    for year in spec.years[1:]:
        goal, done = spec.growth * 1.12 * sealed_m2, 0.0
        for _ in range(4000):
            if done >= goal * 0.97:
                break
            kind = str(rng.choice(["homes", "hall", "infill"], p=[0.38, 0.52, 0.10]))
            if not len(sites[kind]):
                continue
            at = int(rng.choice(sites[kind]))
            side = {"homes": rng.uniform(35, 130), "hall": rng.uniform(60, 230), "infill": rng.uniform(15, 45)}[kind]
            side = max(11.0, min(side, np.sqrt((goal - done) / 0.6)))
            done += _build(tables, land, plan, rng, at, side, kind, year, buildable)
        goal, done = spec.growth * 0.12 * sealed_m2, 0.0
        for _ in range(2000):
            if done >= goal * 0.9 or not len(sites["infill"]):
                break
            side = max(11.0, min(rng.uniform(15, 70), np.sqrt((goal - done) / 0.45)))
            done += _unseal(tables, land, plan, rng, int(rng.choice(sites["infill"])), side, year)
    tables.write(land)


class SurfaceTables:
    """The tables of surfaces of the land, to which changed surfaces are added."""

    def __init__(self, land: Land) -> None:
        self.known = len(land.before)
        self.more: list[tuple[int, int, int, int, bool]] = []
        self.before = land.before
        self.n_parcels = int(land.parcel.max()) + 1

    def split(self, old: np.ndarray, new: np.ndarray, year: int, dug: bool) -> np.ndarray:
        """Add a surface for each pair of old surface and new material. Returns: the new surfaces, same shape."""
        pairs, inverse = np.unique(old.astype(np.int64) * 32 + new, return_inverse=True)
        for pair in pairs:
            self.more.append((int(self.before[pair // 32]), int(pair % 32), year, self.n_parcels, dug))
        self.n_parcels += 1
        return (self.known + len(self.more) - len(pairs) + inverse.reshape(old.shape)).astype(np.int32)

    def write(self, land: Land) -> None:
        """Add the new surfaces to the land."""
        if not self.more:
            return
        before, after, since, parcel, dug = (np.array(c) for c in zip(*self.more, strict=True))
        land.before = np.r_[land.before, before.astype(np.uint8)]
        land.after = np.r_[land.after, after.astype(np.uint8)]
        land.since = np.r_[land.since, since.astype(np.int16)]
        land.parcel = np.r_[land.parcel, parcel.astype(np.int32)]
        land.dug = np.r_[land.dug, dug.astype(bool)]


def _site_window(plan: LandPlan, rng, at: int, side: float, turn: float, stretch: float):
    """Cut the lattice around a site. Returns: row and column slices, and coordinates along the axes of the site, -1 to 1 within it."""
    row, col = np.unravel_index(at, plan.town.shape)
    row, col = (int((v + rng.random()) * STEP) for v in (row, col))
    reach = int(side * stretch / FINE_M) + 2
    r = slice(max(0, row - reach), min(plan.shape[0], row + reach))
    c = slice(max(0, col - reach), min(plan.shape[1], col + reach))
    dr, dc = np.mgrid[r, c]
    x, y = (dc - col) * FINE_M, (row - dr) * FINE_M
    u = (x * np.cos(turn) + y * np.sin(turn)) / (side * stretch / 2)
    v = (y * np.cos(turn) - x * np.sin(turn)) / (side / stretch / 2)
    return r, c, u, v


def _build(tables, land, plan, rng, at: int, side: float, kind: str, year: int, buildable: np.ndarray) -> float:
    """Build on one site, if the ground is free. Returns: newly sealed area, m2."""
    stretch = rng.uniform(1.0, 1.5)
    turn = plan.town_turn[plan.which.flat[at]] + (rng.uniform(0, np.pi) if kind == "hall" else 0)
    r, c, u, v = _site_window(plan, rng, at, side, turn, stretch)
    inside = (np.abs(u) < 1) & (np.abs(v) < 1)
    surface = land.surface[r, c]
    free = inside & (surface < tables.known)
    free &= buildable[tables.before[np.minimum(surface, tables.known - 1)]]
    if free.sum() < (0.9 if kind == "hall" else 0.55) * max(1, inside.sum()):
        return 0.0
    new = np.full(surface.shape, CODE["garden"], np.uint8)
    ground = int(rng.choice([CODE["asphalt"], CODE["concrete"], CODE["paving"]], p=[0.5, 0.25, 0.25]))
    if kind == "hall":
        new[:] = ground
        new[(np.abs(u) > 0.92) | (np.abs(v) > 0.92)] = CODE["lawn"]
        new[(np.abs(u) < 0.72) & (np.abs(v) < 0.66)] = int(
            rng.choice([CODE["hall"], CODE["roof_bright"], CODE["roof_dark"]], p=[0.5, 0.3, 0.2])
        )
    elif side < 50:
        new[:] = ground
        new[(np.abs(u) < 0.75) & (np.abs(v) < 0.7)] = int(
            rng.choice([CODE["roof_tile"], CODE["roof_dark"], CODE["roof_bright"]])
        )
    else:
        pu, pv = u * side * stretch / 2 % 22, v * side / stretch / 2 % 26
        new[(pu > 4) & (pu < 15) & (pv > 6) & (pv < 18)] = int(rng.choice([CODE["roof_tile"], CODE["roof_dark"]]))
        new[(pu <= 4) | (pv <= 6)] = ground
    free &= new != tables.before[np.minimum(surface, tables.known - 1)]
    gained = free & (CLASS[new] == 1)
    if not gained.any():
        return 0.0
    land.surface[r, c][free] = tables.split(surface[free], new[free], year, dug=bool(rng.random() < 0.6))
    return float(gained.sum() * FINE_M**2)


def _unseal(tables, land, plan, rng, at: int, side: float, year: int) -> float:
    """Turn the sealed ground of one site green. Returns: unsealed area, m2."""
    r, c, u, v = _site_window(plan, rng, at, side, plan.town_turn[plan.which.flat[at]], 1.2)
    surface = land.surface[r, c]
    old = tables.before[np.minimum(surface, tables.known - 1)]
    sealed = (np.abs(u) < 1) & (np.abs(v) < 1) & (surface < tables.known) & (CLASS[old] == 1)
    if sealed.sum() < 4:
        return 0.0
    new = np.full(int(sealed.sum()), CODE["lawn"] if rng.random() < 0.6 else CODE["natural_grass"], np.uint8)
    land.surface[r, c][sealed] = tables.split(surface[sealed], new, year, dug=False)
    return float(sealed.sum() * FINE_M**2)
