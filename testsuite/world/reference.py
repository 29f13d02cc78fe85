"""Reference samples of a world: points with a class for each year, as an interpreter would write them down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from testsuite.world.files import write_csv
from testsuite.world.reading import read_truth, read_world
from testsuite.world.spec import RES_M, Spec
from testsuite.world.truth import Truth

STRATA = ("artificial", "natural", "green", "other", "near_sealed", "gain", "loss")


def make_strata(truth: dict[int, Truth]) -> np.ndarray:
    """Divide the place into the strata of the reference sample. Returns: array (row, col), uint8, index into STRATA."""
    years = list(truth)
    first, last = truth[years[0]].majority, truth[years[-1]].majority
    out = (last - 1).astype(np.uint8)
    sealed = last == 1
    out[ndimage.binary_dilation(sealed, iterations=3) & ~sealed & (last == 3)] = 4
    out[(first != 1) & (last == 1)] = 5
    out[(first == 1) & (last != 1)] = 6
    return out


def draw_points(spec: Spec, truth: dict[int, Truth], each: int, draw: int, error_rate: float) -> list[list[object]]:
    """Draw a stratified reference sample with a label for each year.

    each : points in each stratum (all cells, if a stratum has fewer); draw : number of the draw, each has other points
    error_rate : share of labels that the interpreter gets wrong, 0-1
    Returns: rows of points.csv
    """
    rng = spec.rng("reference", draw)
    kind = make_strata(truth)
    west, _, _, north = spec.bounds
    rows: list[list[object]] = []
    for number, name in enumerate(STRATA):
        cells = np.flatnonzero(kind == number)
        picked = np.sort(rng.choice(cells, min(each, len(cells)), replace=False)) if len(cells) else cells
        for cell in picked:
            row, col = divmod(int(cell), kind.shape[1])
            labels = [_interpreted_label(int(t.majority[row, col]), rng, error_rate) for t in truth.values()]
            at = (west + col * RES_M + RES_M // 2, north - row * RES_M - RES_M // 2)
            rows.append([len(rows) + 1, *at, name, len(cells), len(picked), *labels])
    return rows


def _interpreted_label(truth: int, rng: np.random.Generator, error_rate: float) -> int:
    """Return the class that an interpreter writes down: the true one, or by chance another."""
    if error_rate and rng.random() < error_rate:
        return int(rng.choice([c for c in (1, 2, 3, 4) if c != truth]))
    return truth


def write_reference(folder: Path, spec: Spec, truth: dict[int, Truth], each: int, error_rate: float) -> None:
    """Write points.csv (a stratified sample) and grid.csv (a regular grid, as LUCAS uses)."""
    labels = [f"label_{year}" for year in truth]
    header = ["id", "x", "y", "stratum", "stratum_cells", "stratum_points", *labels]
    write_csv(folder / "points.csv", header, draw_points(spec, truth, each, 0, error_rate))
    west, south, east, north = spec.bounds
    rng = spec.rng("grid")
    step = max(RES_M, round((east - west) / 40 / RES_M) * RES_M)
    rows = []
    half = RES_M // 2
    # At the centres of cells, so that every tool finds the same cell there.
    for y in range(-(-south // step) * step + half, north, step):
        for x in range(-(-west // step) * step + half, east, step):
            row, col = (north - y) // RES_M, (x - west) // RES_M
            rows.append(
                [
                    len(rows) + 1,
                    x,
                    y,
                    *(_interpreted_label(int(t.majority[row, col]), rng, error_rate) for t in truth.values()),
                ]
            )
    write_csv(folder / "grid.csv", ["id", "x", "y", *labels], rows)


def draw_samples(world: Path, number: int, to: Path, each: int | None = None, error_rate: float | None = None) -> None:
    """Draw more reference samples of a world, each as draw_<number>/points.csv, to judge intervals over many draws.

    each, error_rate : points in each stratum, and share of wrong labels; None takes the values that the world was made with
    """
    facts, _ = read_world(world)
    each = facts["points"] if each is None else each
    error_rate = facts["interpreter_error_rate"] if error_rate is None else error_rate
    settings = {**facts["settings"], "years": tuple(facts["settings"]["years"])}
    spec = Spec(**settings)
    truth = {y: Truth(np.zeros(0), read_truth(world, y), {}, {}) for y in spec.years}
    header = ["id", "x", "y", "stratum", "stratum_cells", "stratum_points", *(f"label_{y}" for y in spec.years)]
    for k in range(1, number + 1):
        write_csv(to / f"draw_{k:03d}" / "points.csv", header, draw_points(spec, truth, each, k, error_rate))
