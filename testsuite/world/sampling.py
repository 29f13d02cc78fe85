"""Judge estimates from reference samples: many samples of one place whose truth is known, drawn, read by script, and estimated.

A scripted interpreter (interpreter.py) reads them. Everything else is the code that offices run: core/sample, core/design, core/interpreters,
core/survey.

    python -m testsuite.world.sampling --run WORLD RUN [--run WORLD RUN ...] [--draws 200] [--points 600 --windows 240 --loss 150 --stock 300] [--json FILE]

WORLD is the folder of a made world, RUN a folder with the maps of r.unet.predict, as the judge reads them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio

from imperviouslib.core.design import draw
from imperviouslib.core.errors import InputError
from imperviouslib.core.estimate import Estimate, regional_stocks
from imperviouslib.core.grid import Grid
from imperviouslib.core.interpreters import settle
from imperviouslib.core.sample import Frame, Scores, Sizes
from imperviouslib.core.survey import Survey
from testsuite.world.interpreter import Errors, read_sample, read_twice
from testsuite.world.judge import read_sealing
from testsuite.world.reading import read_facts


@dataclass(frozen=True)
class Place:
    """A place whose truth is known."""

    years: tuple[int, ...]
    truth: np.ndarray
    """(year, row, col), bool: truly sealed."""
    scores: Scores
    sealed: np.ndarray
    """(year, row, col), probability of sealing by the map."""
    zones: np.ndarray
    """(row, col), number of the region, 0 outside."""
    grid: Grid

    @classmethod
    def read(cls, world: Path, run: Path) -> Place:
        """Read a place; raise ValueError where the run has no maps of histories."""
        found = read_sealing(world, run)
        if found is None or found.p_sealed is None:
            raise ValueError(f"Run '{run}' has no maps of histories. Export all maps of r.unet.predict.")
        scores = Scores(found.gain["series"].span, found.loss["series"].span, found.p_sealed.mean(axis=0))
        with rasterio.open(world / "truth" / "zones.tif") as dataset:
            zones = dataset.read(1)
        return cls(
            found.years, found.truth, scores, found.p_sealed, zones, Grid.from_bounds(read_facts(world)["bounds"])
        )


NO_ERRORS = Errors()


# ----- many samples


@dataclass
class Tally:
    """How estimates of one quantity fared over many samples."""

    truth: float
    found: list[Estimate]

    def line(self) -> dict[str, float | int | None]:
        """Return coverage, the share missed on each side, and half-width, bias and error as shares of the truth."""
        low, high, value = (np.array([getattr(one, key) for one in self.found]) for key in ("low", "high", "value"))
        base = abs(self.truth) or np.nan
        return {
            "draws": len(self.found),
            "coverage": float(np.mean((low <= self.truth) & (self.truth <= high))),
            "above": float(np.mean(low > self.truth)),
            "below": float(np.mean(high < self.truth)),
            "half_width": float(np.median(high - low) / 2 / base),
            "bias": float((value.mean() - self.truth) / base),
            "rmse": float(np.sqrt(np.mean(np.square(value - self.truth))) / base),
            "truth": self.truth,
        }


def simulate(
    place: Place, sizes: Sizes, draws: int, *, seed: int = 1, errors: Errors = NO_ERRORS, twice: bool = False
) -> dict[str, dict]:
    """Draw, read and estimate many samples of a place. Returns: quantity to what `Tally.line` gives; `refused`, samples that may not be published."""
    known = place.scores.known
    frame = Frame.of(place.scores, np.ones(known.shape, bool), place.grid)
    land = frame.cells > 0
    first, last = place.years[0], place.years[-1]
    middle = place.years[len(place.years) // 2]
    pairs = {"span": (first, last), "three": (middle - 1, middle + 2), "one": (middle, middle + 1)}
    state = dict(zip(place.years, place.truth & land, strict=True))
    cells = np.count_nonzero(land)
    truth = {}
    for name, (a, b) in pairs.items():
        if b not in state or a not in state:
            continue
        truth[f"gain {name}"] = float((~state[a] & state[b] & land).sum() / cells)
        truth[f"loss {name}"] = float((state[a] & ~state[b]).sum() / cells)
        truth[f"net {name}"] = truth[f"gain {name}"] - truth[f"loss {name}"]
    truth["stock"] = float(state[middle].sum() / cells)
    tallies = {name: Tally(value, []) for name, value in truth.items()}
    stock_code = frame.stock[land].astype(int) - 1
    zone = place.zones[land]
    numbers = np.unique(zone[zone > 0])
    place_of = np.full(int(zone.max()) + 1, -1)
    place_of[numbers] = np.arange(len(numbers))
    inside = zone > 0
    areas = np.zeros((len(numbers), 6))
    np.add.at(areas, (place_of[zone[inside]], stock_code[inside]), 1)
    year = place.years.index(middle)
    mapped_zone = np.bincount(place_of[zone[inside]], place.sealed[year][land][inside]) / areas.sum(axis=1)
    true_zone = np.bincount(place_of[zone[inside]], state[middle][land][inside]) / areas.sum(axis=1)
    regions = [Tally(float(value), []) for value in true_zone]
    rng = np.random.default_rng([seed, 31])
    refused, failed = 0, 0
    top, left = place.grid.first_row, place.grid.first_col
    for number in range(draws):
        design = draw({"": frame}, place.years, sizes, 1000 * seed + number, made_from={}, version="")
        readings = (
            read_twice(design, place.truth, errors, rng)
            if twice
            else list(read_sample(design, place.truth, errors, rng))
        )
        try:
            survey = Survey(design, settle(design, readings))
        except InputError:
            refused += 1
            survey = Survey(design, settle(design, [one for one in readings if one.reading != 2]))
        for name, pair in pairs.items():
            if f"gain {name}" not in tallies:
                continue
            change = survey.change(0, pair)
            if change is None:
                failed += 1
                continue
            tallies[f"gain {name}"].found.append(change.gain)
            if change.loss is not None and change.net is not None:
                tallies[f"loss {name}"].found.append(change.loss)
                tallies[f"net {name}"].found.append(change.net)
        mapped = {
            unit.id: float(place.sealed[year, unit.row - top, unit.col - left])
            for unit in design.units
            if unit.purpose == "stock"
        }
        tallies["stock"].found.append(survey.stock(0, middle, mapped, float(place.sealed[year][land].mean())))
        sample, units = survey.stock_sample(0, middle, mapped)
        at = place_of[[int(place.zones[unit.row - top, unit.col - left]) for unit in units]]
        kept = at >= 0
        part = replace(sample, stratum=sample.stratum[kept], error=sample.error[kept])
        found, _weight = regional_stocks(mapped_zone, areas / cells, part, at[kept])
        for tally, one in zip(regions, found, strict=True):
            tally.found.append(one)
    lines = {name: tally.line() for name, tally in tallies.items() if tally.found}
    by_region = [tally.line() for tally in regions]
    lines["regional stock"] = {
        "draws": draws,
        "coverage": float(np.mean([line["coverage"] for line in by_region])),
        "worst": float(min(line["coverage"] for line in by_region)),
        "half_width": float(np.median([line["half_width"] for line in by_region])),
    }
    return {**lines, "refused": refused, "no estimate": failed}


def print_lines(name: str, found: Mapping[str, object]) -> None:
    """Print the figures of a place."""
    print(name)
    for quantity, line in found.items():
        if isinstance(line, dict):
            shown = "  ".join(f"{key} {value:.3g}" for key, value in line.items() if value is not None)
            print(f"  {quantity:<15} {shown}")
        else:
            print(f"  {quantity:<15} {line}")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m testsuite.world.sampling", description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs=2, action="append", required=True, type=Path, metavar=("WORLD", "RUN"))
    parser.add_argument("--draws", type=int, default=200)
    for field, value in vars(Sizes()).items():
        parser.add_argument(f"--{field}", type=int, default=value)
    parser.add_argument("--false", type=float, default=0.0, help="chance that a stable point is called changed")
    parser.add_argument("--patches", type=float, default=0.0, help="false patches in a window")
    parser.add_argument("--missed", type=float, default=0.0, help="chance that a change is missed")
    parser.add_argument("--twice", action="store_true", help="two readings, and a third where they differ")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    sizes = Sizes(args.points, args.windows, args.loss, args.stock)
    errors = Errors(args.false, args.patches, args.missed)
    found = {}
    for world, run in args.run:
        name = str(world)
        found[name] = simulate(Place.read(world, run), sizes, args.draws, errors=errors, twice=args.twice)
        print_lines(name, found[name])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
