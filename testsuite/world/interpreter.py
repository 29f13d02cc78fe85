"""An interpreter who knows the truth: reads a sample of the made world, with errors on demand.

It calls stable points changed, marks false patches in windows, and misses true changes.

    python -m testsuite.world.interpreter WORLD DESIGN READINGS [--false 0.002] [--patches 0.005] [--missed 0.1] [--once] [--seed 1]

WORLD is the folder of a made world, DESIGN the design file of r.impervious.sample, READINGS the CSV file to write. Without --once every unit is
read twice with errors of their own, and a third time without errors where the two differ.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from imperviouslib.core.design import Design, parse_design
from imperviouslib.core.readings import Reading, format_readings
from imperviouslib.core.sample import WINDOW
from testsuite.world.sealing import ARTIFICIAL

POINT_S, WINDOW_S = 25, 120
"""Seconds that it says a point and a window took."""


@dataclass(frozen=True)
class Errors:
    """How an interpreter errs."""

    false: float = 0.0
    """Chance that a stable point is called changed."""
    patches: float = 0.0
    """False patches of four cells in a window, on average."""
    missed: float = 0.0
    """Chance that a true change is not seen: of a point, of a patch of a window."""


def read_sample(
    design: Design, truth: np.ndarray, errors: Errors, rng: np.random.Generator, *, reading: int = 1,
    only: Iterable[str] | None = None,
) -> Iterator[Reading]:  # fmt: skip
    """Answer a sample from the truth. truth : array (year, row, col), bool, on the design's grid; only : ids, all by default."""
    who = f"reader {reading}"
    years, top, left = len(design.years), design.grid.first_row, design.grid.first_col
    wanted = None if only is None else set(only)
    for unit in design.units:
        if wanted is not None and unit.id not in wanted:
            continue
        row, col = unit.row - top, unit.col - left
        if unit.kind == "point":
            seen = truth[:, row, col].astype(int)
            if seen.min() == seen.max() and rng.random() < errors.false:
                seen[rng.integers(1, years) :] ^= 1
            elif seen.min() != seen.max() and rng.random() < errors.missed:
                seen[:] = seen[0]
            yield Reading(unit.id, None, tuple(int(s) for s in seen), "sure", who, reading, POINT_S)
            continue
        yield Reading(unit.id, None, (None,) * years, "sure", who, reading, WINDOW_S)
        for cell, states in _window(truth, row, col, errors, rng).items():
            yield Reading(unit.id, cell, states, "sure", who, reading)


def _window(truth, row, col, errors, rng) -> dict[int, tuple[int, ...]]:
    """Return the changed cells of a window as an interpreter sees them."""
    part = np.zeros((len(truth), WINDOW, WINDOW), int)
    rows, cols = (slice(max(0, -a), min(WINDOW, n - a)) for a, n in zip((row, col), truth.shape[1:], strict=True))
    part[:, rows, cols] = truth[:, row + rows.start : row + rows.stop, col + cols.start : col + cols.stop]
    if errors.missed:
        from scipy.ndimage import label

        patches, number = label((part != part[0]).any(axis=0), np.ones((3, 3)))
        hidden = np.flatnonzero(rng.random(number) < errors.missed) + 1
        part = np.where(np.isin(patches, hidden), part[0], part)
    for _patch in range(rng.poisson(errors.patches) if errors.patches else 0):
        r, c = rng.integers(0, WINDOW - 2, 2)
        stable = (part[:, r : r + 2, c : c + 2] == part[0, r : r + 2, c : c + 2]).all(axis=0)
        part[rng.integers(1, len(truth)) :, r : r + 2, c : c + 2] ^= stable
    rows, cols = np.nonzero((part != part[0]).any(axis=0))
    return {int(r * WINDOW + c): tuple(int(s) for s in part[:, r, c]) for r, c in zip(rows, cols, strict=True)}


def read_twice(design: Design, truth: np.ndarray, errors: Errors, rng: np.random.Generator) -> list[Reading]:
    """Read a sample twice with errors of their own, and settle what differs by a third reading without errors."""
    first, second = (list(read_sample(design, truth, errors, rng, reading=n)) for n in (1, 2))
    seen: list[dict[str, dict[int | None, tuple]]] = []
    for readings in (first, second):
        by: dict[str, dict[int | None, tuple]] = defaultdict(dict)
        for one in readings:
            by[one.id][one.cell] = one.states
        seen.append(by)
    differing = [unit for unit in seen[0] if seen[0][unit] != seen[1][unit]]
    return [*first, *second, *read_sample(design, truth, Errors(), rng, reading=3, only=differing)]


def read_truth(world: Path, design: Design) -> np.ndarray:
    """Read the truth of a world on the grid of a design. Returns: array (year, row, col), bool, truly sealed."""
    west, south, east, north = design.grid.bounds
    truth = np.zeros((len(design.years), *design.grid.shape), bool)
    for number, year in enumerate(design.years):
        with rasterio.open(world / "truth" / f"class_{year}.tif") as dataset:
            window = dataset.window(west, south, east, north)
            truth[number] = dataset.read(1, window=window, boundless=True, fill_value=0) == ARTIFICIAL
    return truth


def main(words: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m testsuite.world.interpreter", description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("design", type=Path)
    parser.add_argument("readings", type=Path)
    parser.add_argument("--false", type=float, default=0.0, help="chance that a stable point is called changed")
    parser.add_argument("--patches", type=float, default=0.0, help="false patches of four cells in a window")
    parser.add_argument("--missed", type=float, default=0.0, help="chance that a change is not seen")
    parser.add_argument("--once", action="store_true", help="one reading only")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    design = parse_design(args.design.read_text(encoding="utf-8"), str(args.design))
    truth, errors, rng = (
        read_truth(args.world, design),
        Errors(args.false, args.patches, args.missed),
        np.random.default_rng(args.seed),
    )
    read = (lambda *of: list(read_sample(*of))) if args.once else read_twice
    readings = read(design, truth, errors, rng)
    args.readings.write_text(format_readings(readings, design.years), encoding="utf-8")
    print(
        f"{len(design.units)} units read in {len({one.reading for one in readings})} readings; written: {args.readings}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
