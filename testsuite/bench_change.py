"""Benchmark of r.impervious.change: all figures of all regions in one pass, against v.rast.stats, which gives the same sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testsuite.bench import best_of, case, grass_session

SIDE, YEARS = 5000, tuple(range(2017, 2024))
REGIONS = (269, 5)


@contextmanager
def country() -> Iterator[tuple[Any, Any, dict[int, str]]]:
    """Make 1,345 regions and a class map for each of seven years, 5000 x 5000 cells. Yields: the zones map, the grid, and year to map."""
    with grass_session():
        import grass.script as gs

        from imperviouslib.core.grid import Grid
        from imperviouslib.edge import zones

        side = SIDE * 20
        grid = Grid(3_000_000, 3_000_000, 3_000_000 + side, 3_000_000 + side)
        gs.run_command("g.region", n=grid.north, s=grid.south, w=grid.west, e=grid.east, res=grid.res_m)
        gs.run_command("v.mkgrid", map="blocks", grid=REGIONS, quiet=True)
        gs.run_command("v.db.addcolumn", map="blocks", columns="NUTS_ID text", quiet=True)
        gs.run_command("v.db.update", map="blocks", column="NUTS_ID", query_column="'Z' || cat", quiet=True)
        maps = {year: f"lc_{year}_class" for year in YEARS}
        gs.run_command("r.mapcalc", expression="field = rand(0.0, 1.0)", seed=1, quiet=True)
        for number, name in enumerate(maps.values()):
            # One cell in a hundred changes in a year.
            gs.run_command(
                "r.mapcalc",
                expression=f"{name} = int(1 + 4 * (field + {number} * 0.01 - int(field + {number} * 0.01)))",
                quiet=True,
            )
        source = zones.read_zones("blocks", "NUTS_ID")
        zones.rasterise(source, 0, "zones", grid)
        yield source, grid, maps


def count_all(grid: Any, maps: dict[int, str]) -> dict[tuple[str, ...], Any]:
    """Count the classes of all years and the class pairs of all neighbours, of two methods. Returns: maps to counts by region."""
    from itertools import pairwise

    from imperviouslib.core.tally import CodeCounts
    from imperviouslib.stage.change.tally import Tally

    tally = Tally({0: "zones"}, grid)
    # The second method has maps of its own, which here are the same in reverse order.
    years = [list(maps.values()), list(maps.values())[::-1]]
    asked = [CodeCounts(*names) for of_one in years for names in [*((name,) for name in of_one), *pairwise(of_one)]]
    tally.measures += asked
    tally.run()
    return {one.codes: one.counts(tally.members) for one in asked}


@case(
    "change",
    "classes and class pairs of 7 years, 2 methods, 1,345 regions, 25 million cells, against v.rast.stats",
    target=1 / 8,
)
def region_counts() -> tuple[float, float]:
    """All counts in one pass, against a call of v.rast.stats for each map and class and for each map of gain and loss; three calls are timed."""
    with country() as (source, grid, maps):
        import grass.script as gs

        from imperviouslib.edge import zones

        found: dict[tuple[str, ...], Any] = {}

        def ours() -> None:
            found.update(count_all(grid, maps))

        (first, second), classes = list(maps.values())[:2], range(1, 5)
        gs.mapcalc(f"one = {first} == 1", quiet=True)
        gs.mapcalc(f"two = {second} == 2", quiet=True)
        gs.mapcalc(f"new = {first} != 1 && {second} == 1", quiet=True)

        def theirs() -> None:
            for name in ("one", "two", "new"):
                zones.upload_sums(source, "blocks", [0], {name: name})

        calls = 2 * (len(YEARS) * len(classes) + 2 * (len(YEARS) - 1))
        seconds = best_of(ours, 1), best_of(theirs, 1) / 3 * calls
        sums = zones.read_columns("blocks", source.key, ["one_sum", "two_sum", "new_sum"])
        for cat, row in sums.items():
            pairs = found[first, second][cat]
            counted = found[first,][cat][1], found[second,][cat][2], sum(pairs.get(10 * c + 1, 0) for c in (2, 3, 4))
            if tuple(row[f"{name}_sum"] for name in ("one", "two", "new")) != counted:
                raise AssertionError(f"v.rast.stats and the pass differ in region {cat}: {row}, {counted}")
        return seconds
