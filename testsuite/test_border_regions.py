"""r.impervious.change -b in a real session: figures worked out by hand, and what must not depend on processes, strips and extents."""

import itertools
import json
import re
import subprocess

import grass.script as gs
import numpy as np
import pytest

from imperviouslib.core.borders import PARTS
from imperviouslib.core.grid import Grid
from testsuite import TOP
from testsuite.doc_commands import changed, commands_of
from testsuite.history_ground import random_maps
from testsuite.test_change import cells, import_zones, region, rows_of, square, tool, value, write

PAGE = TOP / "r.impervious.change" / "r.impervious.change.md"
# 6 x 4 cells that four absolute blocks of 1024 x 1024 cells have in common.
WEST, SOUTH = 20480 - 60, 20480 - 40
GRID = Grid(WEST, SOUTH, WEST + 120, SOUTH + 80)


def at(west, south, east, north):
    return square(WEST + west, SOUTH + south, WEST + east, SOUTH + north)


# The border of XX1 and XX2 leaves a quarter of the third column to XX1. XX3 lies in a hole of XX2 and has 16 of the 400 m2 of a cell.
# XX and XX2 have 6 m beyond the region, where no cell has its centre in them. XX4 ends beside the region.
TINY = (62, 2, 66, 6)
REGIONS = (
    ("XX", 0, "Land", at(0, 0, 126, 80)),
    ("XX1", 1, "West", at(0, 0, 45, 80)),
    ("XX2", 1, "East", at(45, 0, 126, 80)),
    ("XX3", 1, "Enclave", at(*TINY)),
    ("XX4", 1, "Beside", at(0, 80, 126, 99)),
)
ENCLAVE = round(4 * 4 / 400 * PARTS) / PARTS


def import_regions(folder):
    """XX2 has a hole, which import_zones does not know."""
    import_zones(folder, "nuts", REGIONS)
    text = json.loads((folder / "nuts.geojson").read_text("utf-8"))
    text["features"][2]["geometry"]["coordinates"].append(at(*TINY))
    (folder / "nuts.geojson").write_text(json.dumps(text), encoding="utf-8")
    gs.run_command("v.in.ogr", input=folder / "nuts.geojson", output="nuts", overwrite=True, quiet=True)


@pytest.fixture
def two_years(mapset, tmp_path):
    """The third column is sealed, and the fourth one from 2018 on, but for its cell in the south, which is always sealed."""
    region(GRID)
    stack = np.full((2, 4, 6), 3)
    stack[:, :, 2] = 1
    stack[:, 3, 3] = 1
    stack[1, :, 3] = 1
    for year, classes in zip((2017, 2018), stack, strict=True):
        write(f"lc_{year}_class", classes)
    import_regions(tmp_path)
    return tmp_path


WORDS = ("input=lc", "zones=nuts", "vintage=2026-01-01", "method=mapped_raw")


def run_tool(folder, name, *words):
    done = tool(*WORDS, f"output={folder / name}", f"prefix={name}", *words)
    assert done.returncode == 0, done.stderr
    return rows_of(folder / name)


def test_figures_by_share_beside_columns_of_whole_cells(two_years):
    rows = run_tool(two_years, "shared", "-b")
    in_cells = {geo: [cells(rows, geo, "STK", year) for year in (2017, 2018)] for geo in ("XX", "XX1", "XX2", "XX3")}
    assert in_cells["XX1"] == pytest.approx([4 * 0.25, 4 * 0.25])
    assert in_cells["XX2"] == pytest.approx([4 * 0.75 + 1 - ENCLAVE, 4 * 0.75 + 4 - ENCLAVE])
    assert in_cells["XX3"] == pytest.approx([ENCLAVE, ENCLAVE])
    assert in_cells["XX"] == pytest.approx([5, 8]) and np.sum(
        [in_cells[f"XX{n}"] for n in (1, 2, 3)], 0
    ) == pytest.approx([5, 8])
    assert cells(rows, "XX2", "GAIN", 2018, time_from=2017) == pytest.approx(3)
    assert [value(rows, geo, "STK", 2017, column="N_PIX") for geo in ("XX1", "XX2", "XX3")] == ["9", "15", "0"]
    # A fifth of the cells of XX and XX2 beyond the region: 6 of 20 m.
    assert float(value(rows, "XX2", "STK", 2017, column="COVERAGE")) == pytest.approx(
        (15 - ENCLAVE) / (15 - 16 / 400 + 4 * 0.3)
    )
    assert [value(rows, geo, "STK", 2017, column="COVERAGE") for geo in ("XX1", "XX3")] == ["1.0", "1.0"]
    assert value(rows, "XX3", "STK", 2017, unit="PC") == "100.0"
    regions = {
        row["geo"]: (row["parent"], float(row["area_km2"])) for row in rows_of(two_years / "shared", "nuts_regions")
    }
    assert regions == {
        "XX": ("", pytest.approx(126 * 80 / 1e6)), "XX1": ("XX", pytest.approx(45 * 80 / 1e6)),
        "XX2": ("XX", pytest.approx((81 * 80 - 16) / 1e6)), "XX3": ("XX", pytest.approx(ENCLAVE * 400 / 1e6)),
    }  # fmt: skip
    package = json.loads((two_years / "shared" / "datapackage.json").read_text("utf-8"))
    assert package["parameters"]["border_cells"] == "area"
    assert any("share of its area" in note for note in package["method"])
    moves = rows_of(two_years / "shared", "impervious_nuts_transitions")
    moved = [
        row
        for row in moves
        if (row["geo"], row["unit"], row["landcover_from"], row["landcover_to"]) == ("XX2", "KM2", "GRN", "IMP")
    ]
    assert [float(row["OBS_VALUE"]) for row in moved] == [3 * 400 / 1e6]

    text = gs.read_command("v.db.select", map="nuts", columns="NUTS_ID,imp_2017_sum,new_2017_2018_sum", format="json")
    sums = {row["NUTS_ID"]: (row["imp_2017_sum"], row["new_2017_2018_sum"]) for row in json.loads(text)["records"]}
    assert sums == {"XX": (5, 3), "XX1": (0, 0), "XX2": (5, 3), "XX3": (None, None), "XX4": (None, None)}


def test_the_example_of_the_manual_page(mapset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8").split("## EXAMPLE")[1]
    told = re.search(
        r"With \*\*-b\*\* the regions gain (\S+), (\S+)\s+and (\S+) km2; without it (\S+), (\S+) and (\S+) km2", text
    )
    every = list(commands_of(PAGE))
    shared = next(number for number, words in enumerate(every) if "-b" in words)
    whole = changed(every[shared], {"output": "whole_table", "prefix": "whole"})
    commands = [*every[: shared + 1], [*(word for word in whole if word != "-b"), "--overwrite"]]
    for words in commands:
        subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    folders = ["shared_table", "whole_table"]
    gains = [
        value(rows_of(tmp_path / folder), f"YY{n}", "GAIN", 2018, time_from=2017)
        for folder in folders
        for n in (1, 2, 3)
    ]
    assert [round(float(gain), 4) for gain in gains] == [float(number) for number in told.groups()]


def test_without_the_flag_cells_are_whole(two_years):
    """The publisher's words go into the metadata."""
    rows = run_tool(
        two_years,
        "whole",
        "contact=Land Statistics <land@example.org>",
        "licence=CC-BY-4.0",
        "schedule=Each year in June",
    )
    assert {row["geo"] for row in rows} == {"XX", "XX1", "XX2"}
    assert [cells(rows, geo, "STK", 2017) for geo in ("XX", "XX1", "XX2")] == pytest.approx([5, 0, 5])
    package = json.loads((two_years / "whole" / "datapackage.json").read_text("utf-8"))
    assert package["contact"] == [{"title": "Land Statistics", "email": "land@example.org"}]
    assert (package["licenses"], package["schedule"]) == ([{"name": "CC-BY-4.0"}], "Each year in June")
    assert package["parameters"]["border_cells"] == "centre" and not any("border" in note for note in package["method"])


def test_processes_and_strips_change_nothing(two_years, monkeypatch):
    from imperviouslib.core.settings.change import ChangeSettings
    from imperviouslib.stage.change import run, tally

    run_tool(two_years, "one", "-b", "-n")
    keys = ["classes", "shares", "years", "legend", "definition", "population", "previous", "design", "sample"]
    options = dict(word.split("=") for word in WORDS) | dict.fromkeys(keys, "")
    options |= {"column": "NUTS_ID", "nuts_version": "2024", "format": "plain", "output": str(two_years / "two")}
    # Bands and strips of one row.
    monkeypatch.setattr(tally, "_BAND_ROWS", 1)
    monkeypatch.setattr(tally, "_STRIP_CELLS", 1)
    assert run(ChangeSettings.parse({**options, "prefix": "two", "nprocs": "2"}, {"n": True, "b": True})) == 0
    for name in ("impervious_nuts", "impervious_nuts_transitions", "nuts_regions"):
        assert (two_years / "one" / f"{name}.csv").read_bytes() == (two_years / "two" / f"{name}.csv").read_bytes()


def test_parts_of_the_extent_add_up_to_the_whole(two_years):
    whole = run_tool(two_years, "whole", "-b", "-n")
    parts = []
    for name, west, east in (("west", 0, 60), ("east", 60, 120)):
        region(Grid(WEST + west, SOUTH, WEST + east, SOUTH + 80))
        parts.append(run_tool(two_years, name, "-b", "-n"))
    for geo, year in itertools.product(("XX", "XX1", "XX2", "XX3"), (2017, 2018)):
        found = [cells(rows, geo, "STK", year) for rows in parts if any(row["geo"] == geo for row in rows)]
        # Of numbers of cells that are multiples of 1 / PARTS; a table holds square kilometres.
        assert round(sum(found) * PARTS) == round(cells(whole, geo, "STK", year) * PARTS)


def test_masked_cells_on_a_border_count_as_not_seen(two_years):
    gs.run_command("r.mapcalc", expression="shown = if(row() > 1, 1, null())", quiet=True)
    gs.run_command("r.mask", raster="shown", quiet=True)
    rows = run_tool(two_years, "masked", "-b", "-n")
    assert cells(rows, "XX1", "STK", 2017) == pytest.approx(3 * 0.25)
    assert value(rows, "XX1", "STK", 2017, column="COVERAGE") == "0.75"


def test_probabilities_of_histories_and_shares_of_sealed_land(two_years):
    years = (2017, 2018)
    maps = random_maps(years, GRID.shape, 5)
    for name, array in maps.items():
        null, kind = (-1, "FCELL") if array.dtype == "float32" else (0, "CELL")
        write(name, np.where(np.isnan(array), -1, array), null=null, kind=kind)
    for year in years:
        write(f"lc_{year}_class", np.where(np.isnan(maps["lc_2017_p_sealed"]), 0, 3))
    done = tool(
        "input=lc", "zones=nuts", f"output={two_years / 'series'}", "prefix=series", "-b", "-n", "definition=artificial"
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(two_years / "series")
    weights = {"XX1": np.array([1, 1, 0.25, 0, 0, 0]), "XX2": np.array([0, 0, 0.75, 1, 1, 1])}
    for geo, by_column in weights.items():
        weight = np.tile(by_column, (4, 1))
        if geo == "XX2":
            weight[3, 3] -= ENCLAVE
        sealed = maps["lc_2018_p_sealed"]
        known = ~np.isnan(sealed)
        size = weight.sum() + (4 * 0.3 if geo == "XX2" else 0)
        expected = (weight * np.nan_to_num(sealed)).sum() * size / weight[known].sum()
        found = cells(rows, geo, "STK", 2018, method="mapped_series")
        assert found == pytest.approx(expected, rel=1e-4)
        gain = np.nansum(weight * maps["lc_2017_2018_p_gain"]) * size / weight[known].sum()
        assert cells(rows, geo, "GAIN", 2018, time_from=2017, method="mapped_series") == pytest.approx(gain, rel=1e-4)
    done = tool(
        "shares=lc_2017_p_sealed,lc_2018_p_sealed", "years=2017-2018", "zones=nuts", f"output={two_years / 'shares'}",
        "prefix=shares", "-b",
    )  # fmt: skip
    # The columns are held against sums of whole cells.
    assert done.returncode == 0, done.stderr
    first = np.tile(weights["XX1"], (4, 1)) * np.nan_to_num(maps["lc_2017_p_sealed"])
    assert cells(rows_of(two_years / "shares"), "XX1", "STK", 2017) == pytest.approx(first.sum(), rel=1e-6)


def test_a_table_with_shared_cells_can_be_continued(two_years):
    first = run_tool(two_years, "first", "-b", "-n")
    done = tool(
        *WORDS[:2], "vintage=2026-06-01", WORDS[3], f"output={two_years / 'next'}", "prefix=next", "-n",
        f"previous={two_years / 'first'}",
    )  # fmt: skip
    # Regions whose areas differ cannot be compared.
    assert done.returncode == 1 and "area" in done.stderr
    done = tool(
        *WORDS[:2], "vintage=2026-06-01", WORDS[3], f"output={two_years / 'next'}", "prefix=next", "-n", "-b",
        f"previous={two_years / 'first'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [row for row in rows_of(two_years / "next") if row["vintage"] == "2026-01-01"] == first
