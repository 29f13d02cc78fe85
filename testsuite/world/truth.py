"""The truth of a world: classes and areas, counted from the 5 m cells of the land."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from testsuite.world.files import write_tif
from testsuite.world.land import Land
from testsuite.world.materials import CLASS, MATERIALS
from testsuite.world.spec import FINE_M, RES_M, Spec

PER_CELL = (RES_M // FINE_M) ** 2
NO_SHARE = 65535


@dataclass
class Truth:
    """The truth of one year on 20 m cells of the place."""

    counts: np.ndarray
    """(4, row, col) uint8, how many of the sixteen 5 m cells have class 1-4."""
    majority: np.ndarray
    """(row, col) uint8, class 1-4 of most of the 5 m cells."""
    gained: dict[str, np.ndarray]
    """For each definition (row, col) uint8: number of 5 m cells newly sealed since the year before."""
    lost: dict[str, np.ndarray]
    """The same for cells that are no longer sealed."""


DEFINITIONS = {"artificial": (1,), "artificial_natural": (1, 2)}


def _per_cell(fine: np.ndarray) -> np.ndarray:
    """Count true 5 m cells in 20 m cells. Returns: array (row, col), uint8."""
    n = RES_M // FINE_M
    rows = fine.reshape(fine.shape[0] // n, n, fine.shape[1]).sum(axis=1, dtype=np.uint8)
    return rows.reshape(rows.shape[0], -1, n).sum(axis=2, dtype=np.uint8)


def make_truth(spec: Spec, land: Land) -> dict[int, Truth]:
    """Count the 5 m cells of the land for each year. Returns: year to truth."""
    surface = land.place_surface
    west, _, _, north = spec.bounds
    out: dict[int, Truth] = {}
    last: np.ndarray | None = None
    for year in spec.years:
        now = CLASS[land.material(year)]
        fine = now[surface]
        counts = np.stack([_per_cell(fine == c) for c in (1, 2, 3, 4)])
        row = -north // RES_M + np.arange(counts.shape[1])[:, None]
        col = west // RES_M + np.arange(counts.shape[2])[None, :]
        # The place of the cell on the absolute grid decides ties, so that no class is preferred.
        turn = (row * 7919 + col * 104729) % 4
        weight = counts.astype(np.int16) * 4
        for c in range(4):
            weight[c] += ((c + turn) % 4).astype(np.int16)
        gained, lost = {}, {}
        for name, classes in DEFINITIONS.items():
            sealed = np.isin(now, classes)
            before = sealed if last is None else np.isin(last, classes)
            gained[name] = (
                _per_cell((sealed & ~before)[surface]) if last is not None else np.zeros(counts.shape[1:], np.uint8)
            )
            lost[name] = (
                _per_cell((~sealed & before)[surface]) if last is not None else np.zeros(counts.shape[1:], np.uint8)
            )
        out[year] = Truth(counts, (weight.argmax(axis=0) + 1).astype(np.uint8), gained, lost)
        last = now
    return out


def write_truth(folder: Path, spec: Spec, truth: dict[int, Truth]) -> None:
    """Write class_<year>.tif and sealed_share_<year>.tif (share of class 1, x 10000; 65535 no data)."""
    west, _, _, north = spec.bounds
    for year, t in truth.items():
        write_tif(folder / f"class_{year}.tif", t.majority, west, north, RES_M, 0)
        share = np.rint(t.counts[0].astype(float) * 10000 / PER_CELL).astype(np.uint16)
        write_tif(folder / f"sealed_share_{year}.tif", share, west, north, RES_M, NO_SHARE)


def material_shares(land: Land, year: int) -> dict[str, float]:
    """Return the share of each material in the place, 0-1."""
    count = np.bincount(land.material(year)[land.place_surface].ravel(), minlength=len(MATERIALS))
    return {m.name: round(float(c) / count.sum(), 6) for m, c in zip(MATERIALS, count, strict=True)}
