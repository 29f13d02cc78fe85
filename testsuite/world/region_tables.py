"""Tables of the regions of a world: their true areas, and how many people live there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from testsuite.world.files import write_csv
from testsuite.world.regions import Regions
from testsuite.world.spec import FINE_M, RES_M, Spec
from testsuite.world.truth import DEFINITIONS, Truth

REGION_COLUMNS = (
    "sealed_artificial_m2", "sealed_artificial_natural_m2", "green_m2", "other_m2", "gain_artificial_m2", "loss_artificial_m2",
    "gain_artificial_natural_m2", "loss_artificial_natural_m2",
)  # fmt: skip


def write_region_truth(path: Path, regions: Regions, truth: dict[int, Truth]) -> None:
    """Write the true areas of each region and year, m2.

    Basis `share` sums 5 m cells, basis `majority` sums 20 m cells by their majority class. area_m2 is the part of the region within the place.
    """
    n = int(max(p for r in regions.all for p in r.parts)) + 1
    at = regions.cells.ravel()
    cell, fine = RES_M**2, FINE_M**2

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(at, weights=values.ravel().astype(float), minlength=n)

    area = np.bincount(at, minlength=n) * cell
    rows: list[list[object]] = []
    last: Truth | None = None
    for year, t in truth.items():
        per: dict[str, dict[str, np.ndarray]] = {"share": {}, "majority": {}}
        for name, classes in DEFINITIONS.items():
            per["share"][f"sealed_{name}_m2"] = total(sum(t.counts[c - 1].astype(int) for c in classes)) * fine
            per["share"][f"gain_{name}_m2"] = total(t.gained[name]) * fine
            per["share"][f"loss_{name}_m2"] = total(t.lost[name]) * fine
            now = np.isin(t.majority, classes)
            before = now if last is None else np.isin(last.majority, classes)
            per["majority"][f"sealed_{name}_m2"] = total(now) * cell
            per["majority"][f"gain_{name}_m2"] = total(now & ~before) * cell
            per["majority"][f"loss_{name}_m2"] = total(~now & before) * cell
        per["share"]["green_m2"], per["share"]["other_m2"] = total(t.counts[2]) * fine, total(t.counts[3]) * fine
        per["majority"]["green_m2"], per["majority"]["other_m2"] = (
            total(t.majority == 3) * cell,
            total(t.majority == 4) * cell,
        )
        for region in regions.all:
            parts = list(region.parts)
            for basis in ("share", "majority"):
                values = [round(float(per[basis][c][parts].sum())) for c in REGION_COLUMNS]
                rows.append([region.code, region.level, year, basis, int(area[parts].sum()), *values])
        last = t
    write_csv(path, ["geo", "level", "year", "basis", "area_m2", *REGION_COLUMNS], rows)


def write_population(path: Path, spec: Spec, regions: Regions, truth: dict[int, Truth]) -> None:
    """Write the number of people in each region and year. People live where ground is sealed; their number changes by less than 1 % a year."""
    rng = spec.rng("population")
    n = int(max(p for r in regions.all for p in r.parts)) + 1
    first = next(iter(truth.values()))
    sealed = np.bincount(regions.cells.ravel(), weights=first.counts[0].ravel().astype(float), minlength=n) * FINE_M**2
    people = sealed / 1e6 * 2300 * rng.lognormal(0, 0.25, n) + rng.integers(200, 900, n)
    trend = rng.normal(0.002, 0.006, n)
    rows = []
    for k, year in enumerate(truth):
        now = np.rint(people * (1 + trend) ** k).astype(int)
        rows += [[r.code, r.level, year, int(now[list(r.parts)].sum())] for r in regions.all]
    write_csv(path, ["geo", "level", "year", "people"], rows)
