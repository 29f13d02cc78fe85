"""Benchmark of r.impervious.change: exact counts per region against v.rast.stats, which gives the same sums."""

from __future__ import annotations

from testsuite.bench import best_of, case, grass_session


@case("change", "counts of 3 maps in 200 regions against v.rast.stats, seconds", target=0.5)
def region_counts() -> tuple[float, float | None]:
    """Count 1000 x 1000 cells: the zones once and r.stats for each map, against v.rast.stats on the three maps."""
    with grass_session():
        import grass.script as gs

        from imperviouslib.core.grid import Grid
        from imperviouslib.edge import zones

        grid = Grid(3_000_000, 3_000_000, 3_020_000, 3_020_000)
        gs.run_command("g.region", n=grid.north, s=grid.south, w=grid.west, e=grid.east, res=grid.res_m)
        gs.run_command("v.mkgrid", map="blocks", grid=(20, 10), quiet=True)
        gs.run_command("v.db.addcolumn", map="blocks", columns="NUTS_ID text", quiet=True)
        gs.run_command("v.db.update", map="blocks", column="NUTS_ID", query_column="'Z' || cat", quiet=True)
        maps = [f"map{n}" for n in range(3)]
        for n, name in enumerate(maps):
            gs.run_command("r.mapcalc", expression=f"{name} = rand(0, 2)", seed=n, quiet=True)
        source = zones.read_zones("blocks", "NUTS_ID")
        found = []

        def ours() -> None:
            zones.rasterise(source, 0, "zones", grid)
            found[:] = [zones.count("zones", [name], grid) for name in maps]

        def theirs() -> None:
            zones.upload_sums(source, "blocks", [0], {name: name for name in maps})

        seconds = best_of(ours), best_of(theirs)
        sums = zones.read_columns("blocks", source.key, [f"{name}_sum" for name in maps])
        for name, counts in zip(maps, found, strict=True):
            if any(sums[cat][f"{name}_sum"] != cells.get((1,), 0) for cat, cells in counts.items()):
                raise AssertionError(f"v.rast.stats and r.stats differ on {name}")
        return seconds
