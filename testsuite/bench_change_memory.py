"""Memory of r.impervious.change: regions are rasterised and all maps of all methods added up, on 25 and on 100 million cells; and a whole run
whose table has as many regions.

`python3 -m testsuite.bench_change_memory SIDE` is what is measured: it works in the GRASS session around it.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from testsuite.bench import case, grass_session
from testsuite.memory import peak_of

SIDES = 5_000, 10_000
YEARS = tuple(range(2017, 2024))
LEVELS = 4
TOLERANCE = 1.0
"""What the large extent may take of the memory of the small one: buffers of a row grow with its length, and strips become smaller."""
MOST_MB = 1000
NUMBERS = {"population": "persons", "jobs": "jobs", "floor": "floor_m2"}
TABLE_SIDE = 538
"""Cells a side of the map whose table is written: regions set the memory of a table, whatever their size."""


def grid_of(side: int) -> Any:
    """Return a square of some cells a side."""
    from imperviouslib.core.grid import Grid

    return Grid(3_000_000, 3_000_000, 3_000_000 + side * 20, 3_000_000 + side * 20)


def class_maps(prefix: str) -> dict[int, str]:
    """Return the yearly class maps of a method."""
    return {year: f"{prefix}_{year}_class" for year in YEARS}


def make_maps(side: int) -> None:
    """Make 1,345 regions, and all maps that the methods read; cells repeat along a row, so that little is written."""
    import grass.script as gs

    grid = grid_of(side)
    gs.run_command("g.region", n=grid.north, s=grid.south, w=grid.west, e=grid.east, res=grid.res_m)
    gs.run_command("v.mkgrid", map="blocks", grid=(269, 5), quiet=True)
    gs.run_command("v.db.addcolumn", map="blocks", columns="NUTS_ID text", quiet=True)
    gs.run_command("v.db.update", map="blocks", column="NUTS_ID", query_column="'Z' || cat", quiet=True)
    expressions = [f"lc_{year}_class = 1 + (col() / 50 + {year}) % 4" for year in YEARS]
    # The land is half sealed at first; in each step a hundredth is sealed, and half as much is unsealed.
    expressions += ["sealing = float(0.01)", "unsealing = float(0.005)", "land = 3000", "stock = 1 + (col() / 50) % 3"]
    expressions += [f"lc_{year}_p_sealed = float(0.5 + 0.005 * {number})" for number, year in enumerate(YEARS)]
    gs.write_command("r.mapcalc", file="-", stdin="\n".join(expressions), quiet=True)
    copies = [(f"lc_{year}_class", f"kept_{year}_class") for year in YEARS]
    copies += [("land", f"lc_{year}_p_{key}") for year in YEARS for key in ("natural", "green", "other")]
    copies += [
        (kind, f"lc_{a}_{b}_p_{name}")
        for a, b in pairwise(YEARS)
        for kind, name in (("sealing", "gain"), ("unsealing", "loss"))
    ]
    for source, target in copies:
        gs.run_command("g.copy", raster=f"{source},{target}", quiet=True)


def add_up(side: int) -> None:
    """Rasterise the regions and add up all maps, as the tool does for all its methods with a sample."""
    import grass.script as gs
    from grass.script import core  # noqa: F401 - GRASS 8.2 does not load it by itself

    from imperviouslib.core.mapkinds import PREDICTED, resolve_histories
    from imperviouslib.core.methods.mapped_series import HistoryCells
    from imperviouslib.edge import grass, zones
    from imperviouslib.stage.change.figures import Computation
    from imperviouslib.stage.change.inputs import Series
    from imperviouslib.stage.change.maps import Scratch

    grid = grid_of(side)
    zones.rasterise(zones.read_zones("blocks", "NUTS_ID"), 0, "zones3", grid)
    # Regions of three more levels, each of some of those below it.
    levels = {
        f"zones{level}": f"zones{level} = {level + 2}000 + (zones3 - 1) / {5 * 10 ** (2 - level)}"
        for level in range(LEVELS - 1)
    }
    grass.mapcalc(levels, grid)
    maps = class_maps("lc")
    histories = resolve_histories(gs.read_command("g.list", type="raster").split(), "lc", YEARS)
    series = Series(PREDICTED, YEARS, tuple(maps.values()), tuple(maps.values()), histories)
    # Of a sample, a pass asks for its areas, its years and its points of stock.
    design = SimpleNamespace(years=YEARS, areas=("",), units=())
    sample: Any = SimpleNamespace(design=design, stock_map="stock")
    zone_maps = {level: f"zones{level}" for level in range(LEVELS)}
    work = Computation(series, "artificial", {}, zone_maps, grid, Scratch(), sample, 5000)
    asked = [work.observed(), work.figures(class_maps("kept"))]
    cells = HistoryCells(histories)
    members = work.measure(cells)
    land = work.survey()
    for one in asked:
        one()
    if not (len(cells.expected(members())) > 1345 and land()[1].cells[0].sum() == side * side):
        raise AssertionError("not all regions and cells were added up")


@case(
    "change",
    "peak memory of the pass for all methods, 1,345 regions in 4 levels, 7 years: 100 against 25 million cells, MB",
    target=TOLERANCE,
)
def pass_memory() -> tuple[float, float]:
    """All processes together. It takes some minutes, most of them to add up 6 billion cells."""
    found = []
    for side in SIDES:
        with grass_session():
            make_maps(side)
            together, alone = peak_of([sys.executable, "-m", "testsuite.bench_change_memory", str(side)])
        print(f"    {side} x {side} cells: {together:.0f} MB in all processes, {alone:.0f} MB in the tool", flush=True)
        if together > MOST_MB:
            raise AssertionError(f"{together:.0f} MB, at most {MOST_MB}")
        found.append(together)
    return found[1], found[0]


@case(
    "change",
    "peak memory of a whole run, 1,345 regions, 7 years, 3 methods, 2 definitions, all indicators, MB",
    target=MOST_MB,
)
def table_memory() -> tuple[float, None]:
    """All processes together; four million rows are written."""
    with grass_session() as mapset:
        make_maps(TABLE_SIDE)
        given = [write_numbers(mapset, option, column) for option, column in NUMBERS.items()]
        # What it prints has a line for each of 300,000 figures.
        together, alone = peak_of(
            [
                "sh", "-c", 'exec "$@" > /dev/null', "sh", "r.impervious.change", "-n", "input=lc", "zones=blocks", "column=NUTS_ID",
                f"output={mapset / 'table'}", "definition=artificial_natural,artificial", "nprocs=1", *given,
            ]
        )  # fmt: skip
    print(f"    {together:.0f} MB in all processes, {alone:.0f} MB in the tool", flush=True)
    return together, None


def write_numbers(folder: Path, option: str, column: str) -> str:
    """Write a number for each region and year. Returns: the option that names the file"""
    path = folder / f"{option}.csv"
    lines = [f"Z{cat},{year},{100 * cat + year}" for cat in range(1, 1346) for year in YEARS]
    path.write_text("\n".join([f"geo,year,{column}", *lines, ""]), encoding="utf-8")
    return f"{option}={path}"


if __name__ == "__main__":
    add_up(int(sys.argv[1]))
