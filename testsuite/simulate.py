"""`make simulate`: what a continent costs, from measurements on made worlds, and what works with its full number of cells.

Two parts, both in build/simulate.json:

- The chain runs on worlds of several sizes, each stage in a process of its own, whose processor time and memory are measured. Stages whose
  cost grows in proportion to the land have the same time per million cells and year at all sizes; those whose memory is bounded have a
  flat last column. The world before the largest is also made with more years: a cost that grows in proportion to them has the same time a year.
- The extent of the prototype (67,006 x 57,664 cells, 200 tiles, 7 years) is planned, and those parts of the library that see all of it at once
  really run on it: windows, and counts by region of 3.9 billion cells.

doc/scaling.md has the figures of one machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.grid import Grid
from testsuite import TOOLS, TOP

SIZES_KM, YEARS, DATES = (5, 10, 20), (2017, 2018), 4
LONGER = (2017, 2018, 2019, 2020), (2017, 2018, 2019, 2020, 2021, 2022)
"""Years of the worlds that show what a year costs."""
WIDTH, HEIGHT, TILES, ALL_YEARS = 67_006, 57_664, 200, 7
"""Extent of the prototype in cells, Sentinel-2 tiles, and years."""
TILE_MB, SCENES = {"B12": 30.1, "B11": 30.1, "B04": 33.9, "SCL": 0.3}, 6
"""Size of the objects of a tile, MB, from the catalogue of CDSE in 2026; scenes of a tile and year."""
DECODE_S = 4.6
"""Processor time to decode one such object, measured on an object of its size; worlds are too small to show it."""
QUOTA_MB, CONNECTIONS_MB_S = 12e6, 4 * 20
"""What CDSE allows an account in 30 days, and at a time."""
CORES = (1, 16, 256)
BY_SCENE = ("fetch", "yearly")
"""Steps whose cost grows with the scenes of a year too; the worlds have fewer than the plan."""
LEAST_GROWTH_S = 1.0
"""Processor seconds by which a stage must grow between two worlds to tell what a cell costs."""


def chain() -> Any:
    """Return the job of doc/jobs/chain.py as a module."""
    spec = importlib.util.spec_from_file_location("chain_job", TOP / "doc" / "jobs" / "chain.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_STARTER = """
import json, os, subprocess, sys, time
began, log = time.monotonic(), open(sys.argv[1], "w")
_pid, status, used = os.wait4(subprocess.Popen(sys.argv[2:], stdout=log, stderr=log).pid, 0)
print(json.dumps([status, used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1024]))
"""
"""A process so small that the memory it had before it became another program does not count."""


def run_measured(command: list[str], log: Path) -> dict[str, float]:
    """Run a command. Returns: processor seconds, seconds, and the most memory of its largest process in MB."""
    starter = [sys.executable, "-S", "-c", _STARTER, str(log), *command]
    status, *figures = json.loads(subprocess.run(starter, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if status:
        raise SystemExit(f"Command {' '.join(command)} failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return dict(zip(("cpu_s", "wall_s", "rss_mb"), figures, strict=True))


def size_mb(path: Path) -> float:
    """Return the size of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    return sum(one.stat().st_size for one in files) / 1e6


def measure(size_km: int, period: tuple[int, ...], folder: Path) -> dict[str, dict[str, Any]]:
    """Run the chain on a world of a size, in some years. Returns: `steps`: step to what it cost; `storage_mb`."""
    from imperviouslib.edge.session import open_session
    from testsuite.world.make import make_world
    from testsuite.world.serve import serve
    from testsuite.world.spec import Spec

    tools = folder / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(TOP / tool / f"{tool}.py")
    spec = Spec(seed=1, years=period, size_km=float(size_km), dates=DATES)
    world = make_world(folder / "world", spec)
    west, south, east, north = spec.bounds
    years = f"{period[0]}-{period[-1]}"
    with serve(world) as served:
        settings = {
            "STAC": served.stac_url, "YEARS": years, "LABELS": world / "labels" / f"s2glc_{period[0]}.tif", "LEGEND": "s2glc",
            "LABEL_YEAR": period[0], "OUTLINES": world / "regions" / "nuts.gpkg", "COLUMN": "NUTS_ID", "NPROCS": 1, "FETCH": "clouds=100",
            # The number of epochs is the same, the number of batches grows with the land.
            "TRAIN": "epochs=5 patch=64 depth=3", "SAMPLE": "",
        }  # fmt: skip
        os.environ |= {**served.environment(), "GRASS_ADDON_PATH": str(tools)}
        os.environ["PATH"] = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
        found = {}
        with open_session(folder / "grassdata" / "eu" / "work"):
            os.chdir(folder)
            subprocess.run(["g.region", f"n={north}", f"s={south}", f"w={west}", f"e={east}", "res=20"], check=True)
            for name, command, _kept in chain().steps({key: str(value) for key, value in settings.items()}):
                found[name] = run_measured(command, folder / f"{name}.txt")
    kept = {"archive": "scenes", "hdf5": "place.nc", "maps": "grassdata"}
    return {"steps": found, "storage_mb": {what: size_mb(folder / path) for what, path in kept.items()}}


def windows_of_all() -> dict[str, float]:
    """Cut the full extent into windows; hold their number and the sum of their cells against the extent."""
    from imperviouslib.core.windows import window_size, windows

    grid = Grid(0, 0, WIDTH * 20, HEIGHT * 20)
    began = time.process_time()
    cores = [core.width * core.height for core, _window in windows(grid, file=grid, halo=48, size=window_size(grid))]
    if sum(cores) != WIDTH * HEIGHT:
        raise AssertionError("windows do not cover the extent")
    return {"windows": len(cores), "cpu_s": time.process_time() - began}


def strips_of_all(rows: int) -> Iterator[tuple[Grid, np.ndarray, dict[str, np.ndarray]]]:
    """Yield the full extent in strips: categories of four levels in squares, and two years of classes that are known on paper."""
    col = np.arange(WIDTH)
    for top in range(0, HEIGHT, rows):
        grid = Grid(0, -20 * min(top + rows, HEIGHT), 20 * WIDTH, -20 * top)
        row = np.arange(top, top + grid.height)[:, np.newaxis]
        square = 1 + row // 2000 * 34 + col // 2000
        whole = np.ones(grid.shape, np.int64)
        levels = np.stack([whole, 2 + (square - 1) // 100, 20 + (square - 1) // 10, 200 + square])
        before = np.full(grid.shape, 3, np.int32)
        now = np.where(col % 100 == 0, 1, before).astype(np.int32)
        yield grid, levels, {"before": before, "now": now}


def counts_of_all() -> dict[str, float]:
    """Count classes and class pairs of all cells by region, four levels; hold the sums against those on paper, which pass 2^31."""
    from imperviouslib.core.tally import CodeCounts, Units, make_strip

    units, asked = Units(4), (CodeCounts("before"), CodeCounts("now"), CodeCounts("before", "now"))
    began = time.process_time()
    for grid, levels, codes in strips_of_all(8):
        strip = make_strip(grid, levels, units, codes, {})
        for one in asked:
            one.add(strip)
    members = units.members()
    gained = HEIGHT * len(range(0, WIDTH, 100))
    whole = WIDTH * HEIGHT
    expected = {3: whole}, {1: gained, 3: whole - gained}, {31: gained, 33: whole - gained}
    for counts, paper in zip(asked, expected, strict=True):
        if counts.counts(members)[1] != paper:
            raise AssertionError(f"{counts.counts(members)[1]} counted, {paper} expected")
    return {
        "cells": whole, "regions": len(members), "cpu_s": time.process_time() - began,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def plan(costs: dict[str, float], sizes_mb: dict[str, float]) -> dict[str, Any]:
    """Plan the full extent.

    costs : step to processor seconds for a million cells and year
    sizes_mb : what is kept, to MB for a million cells and year
    """
    mcells = WIDTH * HEIGHT / 1e6
    tile_years = TILES * ALL_YEARS
    objects = tile_years * SCENES * len(TILE_MB)
    volume_mb = tile_years * SCENES * sum(TILE_MB.values())
    seconds = {
        step: mcells * ALL_YEARS * cost * (SCENES / DATES if step in BY_SCENE else 1) for step, cost in costs.items()
    }
    seconds["decode"] = objects * DECODE_S
    return {
        "download_tb": volume_mb / 1e6, "share_of_quota": volume_mb / QUOTA_MB, "download_h": volume_mb / CONNECTIONS_MB_S / 3600,
        "hours": {cores: {step: s / cores / 3600 for step, s in seconds.items()} for cores in CORES},
        "storage_tb": {
            what: mcells * ALL_YEARS * mb * (SCENES / DATES if what == "archive" else 1) / 1e6 for what, mb in sizes_mb.items()
        },
    }  # fmt: skip


def print_plan(costs: dict[str, float], planned: dict[str, Any]) -> None:
    """Print what a tile and year costs, and what the full extent takes."""
    tile = WIDTH * HEIGHT / TILES / 1e6
    print(
        f"\nThe full extent: {WIDTH:,} x {HEIGHT:,} cells, {TILES} tiles of {tile:.1f} million cells, {ALL_YEARS} years, {SCENES} scenes a year"
    )
    print(f"{'':10}{'s a tile and year':>20}" + "".join(f"{f'hours, {cores} cores':>18}" for cores in CORES))
    for step in planned["hours"][1]:
        seconds = planned["hours"][1][step] * 3600 / TILES / ALL_YEARS
        print(f"{step:10}{seconds:20.1f}" + "".join(f"{planned['hours'][cores][step]:18.1f}" for cores in CORES))
    sums = {cores: sum(hours.values()) for cores, hours in planned["hours"].items()}
    print(f"{'all':10}{sums[1] * 3600 / TILES / ALL_YEARS:20.1f}" + "".join(f"{sums[cores]:18.1f}" for cores in CORES))
    storage = ", ".join(f"{name} {tb:.2f}" for name, tb in planned["storage_tb"].items())
    print(
        f"Download: {planned['download_tb']:.2f} TB, {planned['share_of_quota']:.2f} of the quota of 30 days, {planned['download_h']:.0f} hours by 4 connections. "
        f"Storage, TB: {storage}."
    )


def run_world(size_km: int, period: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Do what `measure` does in a process of its own, because the session changes the environment."""
    with tempfile.TemporaryDirectory(prefix="simulate") as folder:
        print(f"World of {size_km} x {size_km} km, {len(period)} years ...", flush=True)
        code = f"import json; from pathlib import Path; from testsuite.simulate import measure; print(json.dumps(measure({size_km}, {period}, Path({folder!r}))))"
        done = subprocess.run([sys.executable, "-c", code], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_years(size_km: int, runs: dict[int, dict[str, dict]], costs: dict[str, float]) -> None:
    """Print what more years cost on the same land, beside what more land costs.

    runs : number of years to the steps; costs : processor seconds for a million cells and year, from land
    """
    counts, mcells = sorted(runs), (size_km * 50) ** 2 / 1e6
    print(f"\n{size_km} x {size_km} km: processor seconds with {', '.join(map(str, counts))} years, and their growth")
    for step in runs[counts[0]]:
        times = [runs[count][step]["cpu_s"] for count in counts]
        growth = [
            (later - sooner) / (b - a)
            for (a, sooner), (b, later) in itertools.pairwise(zip(counts, times, strict=True))
        ]
        print(
            f"{step:10}" + "".join(f"{s:9.1f}" for s in times) + "   s a year:" + "".join(f"{g:8.2f}" for g in growth)
            + (f"   of these by its land:{mcells * costs[step]:8.2f}" if step in costs else "")
        )  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Measure, plan, print and write build/simulate.json."""
    parser = argparse.ArgumentParser(prog="make simulate", description="What a continent costs.")
    parser.add_argument(
        "--sizes", default=",".join(map(str, SIZES_KM)), help="sides of the worlds in km (default: %(default)s)"
    )
    args = parser.parse_args(words)
    sizes = [int(size) for size in args.sizes.split(",")]
    if len(sizes) < 2:
        parser.error("--sizes: two sizes or more are needed, because what a cell costs is the growth between them")
    found = {size: run_world(size, YEARS) for size in sizes}
    longer = {len(period): run_world(sizes[-2], period)["steps"] for period in LONGER}
    cells = {size: (size * 50) ** 2 * len(YEARS) / 1e6 for size in sizes}
    steps = list(found[sizes[0]]["steps"])
    print(f"\n{'':10}processor seconds, and their growth from size to size against that of the land; most memory in MB")
    for step in steps:
        times = [found[size]["steps"][step]["cpu_s"] for size in sizes]
        growth = [
            (later - sooner) / (cells[b] - cells[a])
            for (a, sooner), (b, later) in itertools.pairwise(zip(sizes, times, strict=True))
        ]
        memory = [found[size]["steps"][step]["rss_mb"] for size in sizes]
        print(
            f"{step:10}" + "".join(f"{s:9.1f}" for s in times) + "   s a Mcell and year:" + "".join(f"{g:8.2f}" for g in growth)
            + "   MB:" + "".join(f"{m:7.0f}" for m in memory)
        )  # fmt: skip
    small, large = sizes[-2:]
    after, before = found[large]["steps"], found[small]["steps"]
    grown = {step: after[step]["cpu_s"] - before[step]["cpu_s"] for step in steps}
    costs = {step: more / (cells[large] - cells[small]) for step, more in grown.items() if more >= LEAST_GROWTH_S}
    # A cost that the worlds are too small to show is left out, and not taken for nothing.
    unknown = [step for step in steps if step not in costs and step != "train"]
    if unknown:
        print(
            f"\nNot planned, because the time hardly grew from {small} to {large} km: {', '.join(unknown)}. Use larger --sizes."
        )
    print_years(small, {len(YEARS): before, **longer}, costs)
    # Training is of one region: its length is chosen, not given by the land that is mapped.
    costs.pop("train", None)
    kept, kept_before = found[large]["storage_mb"], found[small]["storage_mb"]
    sizes_mb = {what: (mb - kept_before[what]) / (cells[large] - cells[small]) for what, mb in kept.items()}
    result = {
        "sizes_km": sizes, "years": len(YEARS), "measured": found, "measured_more_years": longer, "costs": costs, "storage_mb": sizes_mb, "not_planned": unknown, "windows": windows_of_all(),
        "counts": counts_of_all(), "plan": plan(costs, sizes_mb),
    }  # fmt: skip
    print_plan(costs, result["plan"])
    windows_s, counts = result["windows"], result["counts"]
    print(
        f"\nReally run at {WIDTH:,} x {HEIGHT:,} cells: {windows_s['windows']:,} windows cut in {windows_s['cpu_s']:.1f} s; {counts['cells']:,} cells "
        f"counted for {counts['regions']:,} regions in {counts['cpu_s']:.0f} s of processor time and {counts['rss_mb']:.0f} MB"
    )
    (TOP / "build").mkdir(exist_ok=True)
    (TOP / "build" / "simulate.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
