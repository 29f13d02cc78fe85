"""The land of a world, for all its years.

The model is a lattice of 5 m cells. Each cell belongs to a *surface*: a piece of one material within one object (a parcel, or a quarter
of a block in a town). So neighbours in one field or block look alike, and fields differ. A surface that is built upon carries the
material before the change, the material after it, the year of the change, and how long it is a building site; therefore one lattice serves
all years.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from testsuite.world.growth import grow
from testsuite.world.materials import MATERIALS
from testsuite.world.plan import LandPlan
from testsuite.world.spec import FINE_M, MARGIN_M, Spec

NEVER = 9999
STRIP = 256
"""Rows of 5 m cells that are made at once; this bounds the memory."""


@dataclass
class Land:
    """The land of a world. Lattices are (row, col) of 5 m cells from the north-west corner of `Spec.land_bounds`."""

    surface: np.ndarray
    """(row, col) int32, index into the tables below."""
    before: np.ndarray
    """(surface) uint8, material until the change; a crop stands for a field with a crop rotation."""
    after: np.ndarray
    """(surface) uint8, material from the change on."""
    since: np.ndarray
    """(surface) int16, first year of the new state, NEVER where nothing changes."""
    parcel: np.ndarray
    """(surface) int32, number of the object that the surface belongs to until the change."""
    lot: np.ndarray
    """(surface) int32, number of the object that it belongs to from the change on, and as a building site; equal to `parcel` without a change."""
    site: np.ndarray
    """(surface) uint8, material of the building site."""
    site_from: np.ndarray
    """(surface) float32, when the building site begins, in years: 2019.5 is July 2019; NEVER where there is none."""
    site_until: np.ndarray
    """(surface) float32, when it ends."""
    height: np.ndarray
    """(row, col) float32 on 40 m cells, metres above sea level."""
    towns: np.ndarray
    """(town, 3) float32: x, y, radius in metres."""

    @property
    def place_surface(self) -> np.ndarray:
        """The part of `surface` within the place, without the margin: (row, col) of 5 m cells."""
        cut = MARGIN_M // FINE_M
        return self.surface[cut:-cut, cut:-cut]

    def material(self, year: int) -> np.ndarray:
        """Return the material of each surface in a year, (surface) uint8. A building site counts as what was there before, or what comes after."""
        return np.where(self.since <= year, self.after, self.before)

    def on_day(self, year: int, day: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what lies there on a day of the year. Returns: material, object; arrays (surface)."""
        now = year + (day - 0.5) / 366
        dug = (self.site_from <= now) & (now < self.site_until)
        material = np.where(dug, self.site, self.material(year))
        return material, np.where(dug | (self.since <= year), self.lot, self.parcel)

    def save(self, folder: Path) -> None:
        """Write the arrays, for the processes that make the scenes."""
        for f in fields(self):
            np.save(folder / f"{f.name}.npy", getattr(self, f.name))

    @classmethod
    def load(cls, folder: Path) -> Land:
        """Open what `save` wrote, memory-mapped."""
        return cls(**{f.name: np.load(folder / f"{f.name}.npy", mmap_mode="r") for f in fields(cls)})


def make_land(spec: Spec) -> Land:
    """Make the land of a world; the same settings give the same land."""
    plan = LandPlan(spec)
    rows = plan.shape[0]
    objects = np.empty(plan.shape, np.int32)
    material = np.empty(plan.shape, np.uint8)

    def strip(first: int) -> None:
        part = slice(first, min(first + STRIP, rows))
        objects[part], material[part] = plan.strip(part)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(strip, range(0, rows, STRIP)))

    # Number the objects from 0 without gaps, then the surfaces.
    there = np.zeros(plan.n_keys, bool)
    there[objects] = True
    number = (np.cumsum(there) - 1).astype(np.int32)
    key = number[objects]
    key *= len(MATERIALS)
    key += material
    there = np.zeros(int(number[-1] + 1) * len(MATERIALS), bool)
    there[key] = True
    keys = np.flatnonzero(there)
    number = (np.cumsum(there) - 1).astype(np.int32)
    surface = number[key]
    before = (keys % len(MATERIALS)).astype(np.uint8)
    parcel = (keys // len(MATERIALS)).astype(np.int32)
    never = np.full(len(keys), NEVER, np.float32)
    land = Land(
        surface=surface,
        before=before,
        after=before.copy(),
        since=never.astype(np.int16),
        parcel=parcel,
        lot=parcel.copy(),
        site=before.copy(),
        site_from=never,
        site_until=never.copy(),
        height=plan.height,
        towns=plan.towns,
    )
    grow(land, spec, plan)
    return land
