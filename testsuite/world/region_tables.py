"""Tables of the regions of a world: their true areas, and how many people and jobs are there, and how much floor space is built."""

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


def write_numbers(folder: Path, spec: Spec, regions: Regions, truth: dict[int, Truth]) -> None:
    """Write population.csv, jobs.csv and floor.csv, as r.impervious.change reads them.

    People live where ground is sealed; their number changes by less than 1 % a year in most regions. There are jobs for about two of five
    of them, and in half of the regions the jobs change faster. Floor space is finished in proportion to what is newly sealed, and some is
    added on land that was sealed before.
    """
    rng = spec.rng("population")
    n = int(max(p for r in regions.all for p in r.parts)) + 1
    first = next(iter(truth.values()))

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(regions.cells.ravel(), weights=values.ravel().astype(float), minlength=n) * FINE_M**2

    sealed = total(first.counts[0])
    people = sealed / 1e6 * 2300 * rng.lognormal(0, 0.25, n) + rng.integers(200, 900, n)
    trend = rng.normal(0.002, 0.006, n)
    rng = spec.rng("jobs and floor space")
    jobs = people * rng.uniform(0.25, 0.6, n)
    job_trend = np.where(rng.random(n) < 0.5, trend, rng.normal(0.01, 0.01, n))
    floor_share, on_sealed = rng.uniform(0.3, 0.8, n), sealed * rng.uniform(0, 0.0005, n)
    by_name = {
        "population": ("persons", lambda k, _year: people * (1 + trend) ** k),
        "jobs": ("jobs", lambda k, _year: jobs * (1 + job_trend) ** k),
        "floor": ("floor_m2", lambda _k, year: total(truth[year].gained["artificial"]) * floor_share + on_sealed),
    }
    for name, (column, number) in by_name.items():
        rows = []
        for k, year in enumerate(truth):
            now = np.rint(number(k, year)).astype(int)
            rows += [[r.code, r.level, year, int(now[list(r.parts)].sum())] for r in regions.all]
        write_csv(folder / f"{name}.csv", ["geo", "level", "year", column], rows)
