"""Zones in GRASS: the sums that v.rast.stats writes are the counts that feed the table, slivers between outlines included."""

import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from imperviouslib.core.tally import CellCounts, CodeCounts, ValueSums

# A square of 5 x 5 cells, and a neighbour's sliver 2 m wide within it: the sliver holds no cell's centre, but its centroid lies in a cell.
OUTLINES = """\
B 5
 0 0
 0 100
 100 100
 100 0
 0 0
B 5
 41 5
 41 95
 43 95
 43 5
 41 5
C 1 1
 80 50
 1 1
C 1 1
 42 50
 1 2
"""


def tally(rasters, grid, measure):
    """Add up a measure by zone."""
    from imperviouslib.stage.change.tally import Tally

    found = Tally(rasters, grid)
    found.measures.append(measure)
    found.run()
    return found


@pytest.fixture
def square_with_a_sliver(mapset, tmp_path):
    import grass.script as gs

    (tmp_path / "outlines.txt").write_text(OUTLINES)
    gs.run_command(
        "v.in.ascii", input=tmp_path / "outlines.txt", output="regions", format="standard", flags="n", quiet=True
    )
    gs.run_command("v.db.addtable", map="regions", columns="NUTS_ID text", quiet=True)
    gs.run_command("v.db.update", map="regions", column="NUTS_ID", query_column="'Z' || cat", quiet=True)
    gs.run_command("g.region", n=100, s=0, w=0, e=100, res=20, quiet=True)
    gs.mapcalc("ones = 1", quiet=True)
    return "regions"


def test_sums_do_not_depend_on_the_number_of_processes(square_with_a_sliver, monkeypatch):
    """Three bands in one and in two processes: the same bits, and a map that cannot be read is an error in both."""
    import grass.script as gs

    from imperviouslib.core.errors import InputError
    from imperviouslib.core.grid import Grid
    from imperviouslib.edge import zones
    from imperviouslib.edge.schedule import open_crew
    from imperviouslib.stage.change import tally as module

    monkeypatch.setattr(module, "_BAND_ROWS", 2)
    grid = Grid(0, 0, 100, 100)
    zones.rasterise(zones.read_zones(square_with_a_sliver, "NUTS_ID"), 0, "zones", grid)
    gs.mapcalc("values = 1.0 / (3 * row() + 7 * col())", quiet=True)
    found = []
    for nprocs in (1, 2):
        with open_crew(nprocs) as crew:
            sums, counts = ValueSums("values"), CodeCounts("ones")
            run = module.Tally({0: "zones"}, grid, crew)
            run.measures += [sums, counts]
            run.run()
            found.append((sums.sums(run.members), counts.counts(run.members)))
            run = module.Tally({0: "zones"}, grid, crew)
            run.measures.append(CodeCounts("gone"))
            with pytest.raises(InputError, match="gone"):
                run.run()
    assert found[0] == found[1]
    assert found[0][0][1] == (25, pytest.approx(sum(1 / (3 * r + 7 * c) for r in range(1, 6) for c in range(1, 6))))


def test_the_centroid_of_a_sliver_takes_no_cell_from_its_neighbour(square_with_a_sliver):
    from imperviouslib.core.grid import Grid
    from imperviouslib.edge import zones

    grid = Grid(0, 0, 100, 100)
    source = zones.read_zones(square_with_a_sliver, "NUTS_ID")
    zones.rasterise(source, 0, "zones", grid)
    counts = CodeCounts("ones")
    assert counts.counts(tally({0: "zones"}, grid, counts).members) == {1: {1: 5 * 5}}
    zones.upload_sums(source, "regions", [0], {"one": "ones"})
    assert zones.read_columns("regions", source.key, ["one_sum"])[1]["one_sum"] == 5 * 5


def test_a_tool_that_fails_says_why(square_with_a_sliver, capfd):
    """Its warnings are hidden, and not its error."""
    from grass.exceptions import CalledModuleError

    from imperviouslib.core.grid import Grid
    from imperviouslib.edge import zones

    source = dataclasses.replace(zones.read_zones(square_with_a_sliver, "NUTS_ID"), name="absent")
    with pytest.raises(CalledModuleError):
        zones.rasterise(source, 0, "out", Grid(0, 0, 100, 100))
    assert "absent" in capfd.readouterr().err


def test_attribute_tables_of_any_content_are_read_or_refused(square_with_a_sliver):
    import grass.script as gs

    from imperviouslib.core.errors import InputError
    from imperviouslib.core.grid import Grid
    from imperviouslib.edge import zones

    def execute(sql):
        gs.run_command("db.execute", sql=sql, quiet=True)

    gs.run_command("v.db.addcolumn", map="regions", columns="NAME_LATN text,LEVL_CODE text,PARENT text", quiet=True)
    execute(
        "UPDATE regions SET NAME_LATN = 'Linie' || char(11) || 'Bruch \"ö\" L''Aquila' || char(10), LEVL_CODE = cat - 1"
    )
    source = zones.read_zones("regions", "NUTS_ID")
    assert [(zone.name, zone.level) for zone in source.zones] == [
        ('Linie Bruch "ö" L\'Aquila', level) for level in (0, 1)
    ]
    grid = Grid(0, 0, 100, 100)
    rasters = {level: f"level{level}" for level in (0, 1)}
    for level, raster in rasters.items():
        zones.rasterise(source, level, raster, grid)
    # The sliver holds no cell.
    cells = CellCounts()
    assert (tally(rasters, grid, cells).members, cells.cells.tolist()) == ({1: [1]}, [0, 25])
    execute("UPDATE regions SET PARENT = 'Z1' WHERE cat = 2")
    for column in ("", "PARENT"):
        assert [zone.parent for zone in zones.read_zones("regions", "NUTS_ID", column).zones] == ["", "Z1"]
    with pytest.raises(
        InputError, match=r"expected a column ABOVE with codes of parents\. Name your column with parent="
    ):
        zones.read_zones("regions", "NUTS_ID", "ABOVE")
    execute("UPDATE regions SET NAME_LATN = CAST(x'4dfc6e' AS text)")
    with pytest.raises(InputError, match="found text in another encoding than UTF-8"):
        zones.read_zones("regions", "NUTS_ID")


@pytest.mark.parametrize(
    ("levels", "columns", "texts", "clause"),
    [
        ((0, 1), ("LEVL_CODE",), (), "LEVL_CODE = 1"), ((0, 1), ("LEVL_CODE",), ("0", "1"), "LEVL_CODE = '1'"),
        ((0, 1), ("LEVL_CODE",), ("0", " 1", "1", "1.0"), "LEVL_CODE = ' 1' OR LEVL_CODE = '1' OR LEVL_CODE = '1.0'"),
        ((0, 1), (), (), "cat IN (2)"), ((1,) * 50_000, (), (), None), ((1,) * 50_000, ("LEVL_CODE",), (), None),
    ],
)  # fmt: skip
def test_a_level_is_selected_by_a_clause_that_fits_on_a_command_line(levels, columns, texts, clause):
    from imperviouslib.core.zones import Zone
    from imperviouslib.edge import zones

    chosen = tuple(Zone(f"a{number}", number, level, "") for number, level in enumerate(levels, start=1))
    source = zones.ZonesMap("z@PERMANENT", "cat", ("cat", *columns), chosen, None, texts)
    assert zones.where_level(source, 1) == clause


def test_cells_are_read_back_as_written(mapset):
    import grass.script as gs

    from imperviouslib.core.grid import Grid
    from imperviouslib.edge import grass

    gs.run_command("g.region", n=60, s=0, w=0, e=60, res=20, quiet=True)
    gs.mapcalc("numbers = if(row() == 2 && col() == 2, null(), 10 * row() + col())", quiet=True)
    assert np.array_equal(grass.read_cells("numbers", Grid(0, 0, 60, 60)), [[11, 12, 13], [21, 0, 23], [31, 32, 33]])


def test_a_process_that_ended_unnoticed_is_gone_too():
    from imperviouslib.edge.grass import workspace

    with subprocess.Popen(["true"]) as ended:
        # Waited for without taking notice of it: it stays in /proc.
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert Path("/proc", str(ended.pid)).exists() and not workspace._runs(str(ended.pid))
    assert workspace._runs(str(os.getpid())) and not workspace._runs(str(2**22 + 1))


def test_maps_of_processes_that_are_gone_are_removed_vectors_too(mapset, square_with_a_sliver):
    import grass.script as gs

    from imperviouslib.edge import grass

    own = grass.temporary_name("impervious_outline")
    # No process has these numbers: Linux counts to 2^22 at most.
    gone, begun = (f"{own.removesuffix(str(os.getpid()))}{2**22 + more}" for more in (1, 2))
    for name in (own, gone, begun, "impervious_outline_of_the_user"):
        gs.run_command("g.copy", vector=f"{square_with_a_sliver},{name}", quiet=True)
        gs.run_command("g.copy", raster=f"ones,{name}", quiet=True)
    (mapset / "vector" / begun / "head").unlink()
    grass.remove_abandoned("impervious_")
    for element in ("raster", "vector"):
        listed = gs.read_command("g.list", type=element, pattern="impervious_*").split()
        assert sorted(listed) == sorted([own, "impervious_outline_of_the_user"])
