"""The reference sample in a real GRASS session: drawn, read by script, estimated, and written into the table."""

import base64
import csv
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from imperviouslib.core.design import parse_design
from imperviouslib.core.readings import columns, format_readings, parse_readings
from testsuite.grass_session import Session
from testsuite.sample_ground import GRID, YEARS, composite_maps, make_place, predicted_maps, zones_collection
from testsuite.world.interpreter import Errors, read_sample

pytestmark = pytest.mark.slow
SIZES = ("points=300", "windows=40", "loss_points=60", "stock=120")
KM2 = 0.0004


@pytest.fixture(scope="module")
def place():
    return make_place()


@pytest.fixture(scope="module")
def session(location, grass_env, place, tmp_path_factory):
    result = Session(location / "sample", grass_env)
    result.region(GRID)
    folder = tmp_path_factory.mktemp("maps")
    lines = []
    for name, cells in {**predicted_maps(place), **composite_maps(place)}.items():
        profile = {"driver": "GTiff", "height": GRID.height, "width": GRID.width, "count": 1, "dtype": cells.dtype}
        with rasterio.open(
            folder / f"{name}.tif", "w", crs="EPSG:3035", transform=rasterio.Affine(*GRID.transform), **profile
        ) as out:
            out.write(cells, 1)
        lines.append(f"r.in.gdal input={folder / name}.tif output={name} --q")
    (folder / "zones.geojson").write_text(json.dumps(zones_collection()))
    lines.append("r.mapcalc expression='built = if(col() % 2, 1, null())' --q")
    lines.append("echo 1 200:100:50 | r.colors map=built rules=- --q")
    lines.append(f"v.in.ogr input={folder / 'zones.geojson'} output=nuts --q")
    (folder / "import.sh").write_text("set -e\n" + "\n".join(lines) + "\n")
    result("bash", folder / "import.sh")
    return result


@pytest.fixture(scope="module")
def drawn(session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "sample"
    shown = "rasters=Built-up=built,Infrared=s2_{year}_B12_p50"
    session("r.impervious.sample", "input=lc", f"output={folder}", *SIZES, "composites=s2", "-s", shown)
    return folder


def read_design(folder):
    return parse_design((folder / "design.json").read_text(), "design.json")


def test_the_folder_has_all_that_people_and_programs_need(session, drawn):
    design = read_design(drawn)
    with (drawn / "units.csv").open() as file:
        units = list(csv.DictReader(file))
    assert len(units) == len(design.units) == 520
    # The weights of the points of a purpose add up to its land.
    for purpose in ("gain", "loss", "stock"):
        weight = sum(float(unit["weight"]) for unit in units if unit["purpose"] == purpose)
        land = sum(stratum.cells for stratum in design.areas[0].strata[purpose])
        assert weight == pytest.approx(land, rel=1e-4)
    assert parse_readings((drawn / "readings.csv").read_text(), design.kinds, design.years) == []
    with sqlite3.connect(drawn / "sample.gpkg") as db:
        assert db.execute("select count(*) from points").fetchone() == (480,)
        names = [row[1] for row in db.execute("pragma table_info(windows)")]
    # The columns of readings, in their order; a file of readings can be exported from it.
    assert names[2:] == columns(YEARS)
    page = (drawn / "sheet.html").read_text()
    assert design.units[0].id in page and "stratum" not in page.split("<script")[-2]
    assert sorted(name for name in session.maps() if name.startswith("sample_")) == ["sample_stock", "sample_strata"]


def test_other_maps_are_shown_in_their_colours(drawn):
    page = (drawn / "sheet.html").read_text()
    assert '"layers":["false colour (B12_p50, B11_p50, B04_p50)","Built-up","Infrared"]' in page
    strip = re.search(r'id="chips-0-1">([^<]+)<', page)[1]
    cells = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip))))
    # A colour is shown one step brighter, because black is no data. Every second column is NULL.
    assert {tuple(map(int, cell)) for cell in cells.reshape(-1, 3)} == {(0, 0, 0), (201, 101, 51)}


@pytest.mark.parametrize("name", [f"lc_{YEARS[0]}_{YEARS[-1]}_p_gain", f"lc_{YEARS[0]}_p_sealed", "sample_strata"])
def test_a_map_that_the_sample_is_drawn_by_is_not_shown(session, drawn, tmp_path, name):
    done = session(
        "r.impervious.sample", "input=lc", f"output={tmp_path / 'led'}", *SIZES, "composites=s2", "-s", f"rasters=Hint={name}",
        "prefix=led", ok=False,
    )  # fmt: skip
    assert f"map <{name}@sample> shows what the maps say" in done.said and "must not see" in done.said
    assert not (tmp_path / "led").exists()


def test_a_killed_run_leaves_nothing_and_can_run_again(session, drawn, tmp_path):
    folder = tmp_path / "killed"
    words = ["r.impervious.sample", "input=lc", f"output={folder}", *SIZES, "prefix=killed"]
    command = ["grass", str(session.mapset), "--exec", *words]
    process = subprocess.Popen(command, env=session.env, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(session.mapset.glob("cell/impervious_strata*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (session.mapset / ".gislock").unlink(missing_ok=True)
    # The tool is no child of this process: it is gone when the system has taken note of its end.
    pids = [path.name.rpartition("_")[2] for path in session.mapset.glob("cell/impervious_strata*")]
    while any(Path("/proc", pid).exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not folder.exists() and not {"killed_strata", "killed_stock"} & set(session.maps())
    session(*words)
    assert read_design(folder).units == read_design(drawn).units
    assert [path.name for path in tmp_path.iterdir()] == ["killed"]
    assert [name for name in session.maps() if "impervious" in name] == []


def test_a_list_writes_nothing(session, tmp_path):
    done = session(
        "r.impervious.sample", "input=lc", f"output={tmp_path / 'none'}", *SIZES, "prefix=dry", "-l", "format=json"
    )
    found = json.loads(done.stdout)
    assert found["points"] == 480
    assert found["hours"] == round((found["points"] * 30 + found["windows"] * 150) / 3600, 1)
    assert not (tmp_path / "none").exists() and "dry_stock" not in session.maps()


@pytest.fixture(scope="module")
def table(session, place, drawn, tmp_path_factory):
    design = read_design(drawn)
    readings = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    folder = tmp_path_factory.mktemp("table")
    (folder / "read.csv").write_text(format_readings(readings, design.years))
    session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={folder / 'table'}", f"design={drawn / 'design.json'}",
        f"sample={folder / 'read.csv'}", "vintage=2026-01-01", "-n",
    )  # fmt: skip
    return folder / "table"


def rows_of(table):
    with (table / "impervious_nuts.csv").open() as file:
        return list(csv.DictReader(file))


def figure(table, **key):
    found = [row for row in rows_of(table) if all(row[name] == str(value) for name, value in key.items())]
    assert len(found) == 1, (key, len(found))
    return found[0]


def test_the_table_has_estimates_whose_intervals_hold_the_truth(place, table):
    truth = place[0]
    key = {"geo": "XX", "unit": "KM2", "landcover": "IMP", "method": "estimated", "definition": "artificial"}
    gain = figure(table, lc_flow="GAIN", time_from=2017, TIME_PERIOD=2018, **key)
    true = (~truth[0] & truth[1]).sum() * KM2
    assert float(gain["OBS_LCI95"]) <= true <= float(gain["OBS_UCI95"])
    stock = figure(table, lc_flow="STK", TIME_PERIOD=2020, **key)
    assert float(stock["OBS_LCI95"]) <= truth[2].sum() * KM2 <= float(stock["OBS_UCI95"])
    net = figure(table, lc_flow="NET", time_from=2017, TIME_PERIOD=2018, **key)
    loss = figure(table, lc_flow="LOSS", time_from=2017, TIME_PERIOD=2018, **key)
    assert float(net["OBS_VALUE"]) == pytest.approx(float(gain["OBS_VALUE"]) - float(loss["OBS_VALUE"]))


def test_regions_have_stocks_with_intervals_and_gains_without(place, table):
    truth = place[0]
    x, y = GRID.width // 2, GRID.height // 2
    quarters = {"XX1": truth[2, :y, :x], "XX2": truth[2, :y, x:], "XX3": truth[2, y:, :x], "XX4": truth[2, y:, x:]}
    gains = 0.0
    for geo, part in quarters.items():
        key = {"geo": geo, "unit": "KM2", "landcover": "IMP", "definition": "artificial"}
        stock = figure(table, lc_flow="STK", TIME_PERIOD=2020, method="assisted", **key)
        assert float(stock["OBS_LCI95"]) <= part.sum() * KM2 <= float(stock["OBS_UCI95"])
        gain = figure(table, lc_flow="GAIN", time_from=2018, TIME_PERIOD=2020, method="assisted", **key)
        assert gain["OBS_LCI95"] == "" and "u" in gain["OBS_FLAG"]
        gains += float(gain["OBS_VALUE"])
        assert figure(table, lc_flow="STK", TIME_PERIOD=2020, method="estimated", **key)["OBS_VALUE"] == ""
    whole = figure(
        table, geo="XX", unit="KM2", landcover="IMP", definition="artificial", method="estimated", lc_flow="GAIN", time_from=2018, TIME_PERIOD=2020,
    )  # fmt: skip
    assert gains == pytest.approx(float(whole["OBS_VALUE"]))


def test_with_shared_borders_estimates_are_shares_of_whole_cells_and_refer_to_areas_by_share(
    session, drawn, table, tmp_path
):
    """The border between west and east is 5 m further east, where it takes no centre of a cell and a quarter of a column."""
    shifted = zones_collection()
    for one in shifted["features"][1:]:
        for corner in one["geometry"]["coordinates"][0]:
            corner[0] += 5 * (GRID.west < corner[0] < GRID.east)
    (tmp_path / "shifted.geojson").write_text(json.dumps(shifted))
    session("v.in.ogr", f"input={tmp_path / 'shifted.geojson'}", "output=shifted")
    session(
        "r.impervious.change", "input=lc", "zones=shifted", f"output={tmp_path / 'table'}", f"design={drawn / 'design.json'}",
        f"sample={table.parent / 'read.csv'}", "vintage=2026-01-01", "-n", "-b", "prefix=shifted",
    )  # fmt: skip
    area = {}
    for name, folder in (("whole", table), ("shared", tmp_path / "table")):
        with (folder / "nuts_regions.csv").open() as file:
            area[name] = {row["geo"]: float(row["area_km2"]) for row in csv.DictReader(file)}
    assert area["shared"]["XX1"] - area["whole"]["XX1"] == pytest.approx(5 * GRID.height / 2 * 20 / 1e6)
    for geo, method in (("XX", "estimated"), ("XX1", "assisted"), ("XX2", "assisted")):
        key = {
            "geo": geo,
            "unit": "KM2",
            "landcover": "IMP",
            "definition": "artificial",
            "method": method,
            "lc_flow": "STK",
            "TIME_PERIOD": 2020,
        }
        whole, shared = (figure(folder, **key) for folder in (table, tmp_path / "table"))
        for column in ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95"):
            share = float(whole[column]) / area["whole"][geo]
            assert float(shared[column]) / area["shared"][geo] == pytest.approx(share)
        assert shared["N_PIX"] == whole["N_PIX"]
    # The sample has all land that the maps saw, so all methods saw the same, in cells or in shares of them.
    for folder in (table, tmp_path / "table"):
        seen = {}
        for row in rows_of(folder):
            seen.setdefault((row["geo"], row["time_from"], row["TIME_PERIOD"]), set()).add(row["COVERAGE"])
        assert len(seen) == 5 * (3 + 3) and all(len(values) == 1 for values in seen.values())


def test_estimates_can_be_traced_and_the_map_is_judged(table, drawn):
    found = json.loads((table / "estimates.json").read_text())
    assert found["design"]["digest"] == read_design(drawn).digest
    assert found["interpreters"]["interpreters"] == ["reader 1"]
    area = found["areas"][0]
    assert area["units"] == area["read"] == 520
    span = next(one for one in area["change"] if (one["from"], one["to"]) == (2017, 2020))
    assert span["gain"]["low"] < span["gain"]["km2"] < span["gain"]["high"] < area["km2"]
    assert 0.5 < area["stock"][0]["accuracy"]["overall"]["share"] <= 1
    package = json.loads((table / "datapackage.json").read_text())
    assert "estimates.json" in [resource["path"] for resource in package["resources"]]


@pytest.mark.parametrize("small", ["mask", "region"])
def test_coverage_of_estimates_is_what_lies_in_the_land_of_the_sample(session, place, tmp_path, small):
    """The sample was drawn with a mask, or in a smaller region, and the table is made without: the sample has half or less of some regions."""
    west, _south, east, north = GRID.bounds
    rows, cols = np.indices(GRID.shape)
    if small == "mask":
        inside = cols >= np.where(rows < GRID.height // 2, 60, 110)
        session("r.mapcalc", f"expression=drawn_from = if(col() > if(row() <= {GRID.height // 2}, 60, 110), 1, null())")
        session("r.mask", "raster=drawn_from")
    else:
        inside = (rows < 170) & (cols >= 60)
        session("g.region", f"w={west + 60 * 20}", f"s={north - 170 * 20}", f"e={east}", f"n={north}", "res=20")
    session("r.impervious.sample", "input=lc", f"output={tmp_path / 'part'}", *SIZES, f"prefix=part_{small}")
    if small == "mask":
        session("r.mask", "-r")
    session.region(GRID)
    design = read_design(tmp_path / "part")
    assert design.areas[0].cells == inside.sum()
    readings = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    (tmp_path / "read.csv").write_text(format_readings(readings, design.years))
    done = session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={tmp_path / 'table'}", f"design={tmp_path / 'part' / 'design.json'}",
        f"sample={tmp_path / 'read.csv'}", "method=estimated,assisted,mapped_raw", f"prefix=part_{small}", "-n",
    )  # fmt: skip
    x, y = GRID.width // 2, GRID.height // 2
    quarters = {"XX1": inside[:y, :x], "XX2": inside[:y, x:], "XX3": inside[y:, :x], "XX4": inside[y:, x:]}
    share = {"XX": inside.mean(), **{geo: part.mean() for geo, part in quarters.items()}}
    low = sorted(geo for geo in share if share[geo] < 0.5)
    assert low == (["XX3"] if small == "mask" else ["XX3", "XX4"])
    assert f"in the land of the sample: {len(low)} ({', '.join(low)})" in done.said
    of_land = {"unit": "KM2", "landcover": "IMP", "definition": "artificial"}
    for geo in share:
        method = "estimated" if geo == "XX" else "assisted"
        for key in (
            {"lc_flow": "STK", "TIME_PERIOD": 2020},
            {"lc_flow": "GAIN", "time_from": 2017, "TIME_PERIOD": 2020},
        ):
            row = figure(tmp_path / "table", geo=geo, method=method, **key, **of_land)
            assert float(row["COVERAGE"]) == pytest.approx(share[geo])
            assert (row["OBS_VALUE"] == "") == (geo in low)
            if geo in low:
                assert row["MISSING_REASON"] == "LOW_COVERAGE"
            else:
                assert ("e" in row["OBS_FLAG"]) == (share[geo] < 1)
            raw = figure(tmp_path / "table", geo=geo, method="mapped_raw", **key, **of_land)
            assert float(raw["COVERAGE"]) == 1 and raw["OBS_VALUE"]
    # What was estimated for the land of the sample is scaled to the outline.
    estimates = json.loads((tmp_path / "table" / "estimates.json").read_text())["areas"][0]
    stock = next(one for one in estimates["stock"] if one["year"] == 2020)
    row = figure(tmp_path / "table", geo="XX", method="estimated", lc_flow="STK", TIME_PERIOD=2020, **of_land)
    for column, key in (("OBS_VALUE", "km2"), ("OBS_LCI95", "low"), ("OBS_UCI95", "high")):
        assert float(row[column]) == pytest.approx(stock[key] / share["XX"])


def test_a_region_of_its_own_gets_a_sample_of_its_own(session, place, tmp_path):
    session(
        "r.impervious.sample", "input=lc", f"output={tmp_path / 'own'}", "points=60", "windows=20", "loss_points=20", "stock=40",
        "zones=nuts", "level=1", "prefix=own",
    )  # fmt: skip
    design = read_design(tmp_path / "own")
    assert [area.geo for area in design.areas] == ["XX1", "XX2", "XX3", "XX4"]
    readings = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    (tmp_path / "read.csv").write_text(format_readings(readings, design.years))
    session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={tmp_path / 'table'}", f"design={tmp_path / 'own' / 'design.json'}",
        f"sample={tmp_path / 'read.csv'}", "method=estimated", "definition=artificial", "prefix=own", "-n",
    )  # fmt: skip
    key = {"unit": "KM2", "landcover": "IMP", "lc_flow": "GAIN", "time_from": 2018, "TIME_PERIOD": 2020}
    assert all(figure(tmp_path / "table", geo=f"XX{n}", **key)["OBS_LCI95"] for n in (1, 2, 3, 4))
    assert figure(tmp_path / "table", geo="XX", **key)["OBS_VALUE"] == ""


def test_points_of_another_survey_serve_as_stock_points(session, place, tmp_path):
    truth, rows = place[0], range(6, GRID.height, 12)
    lines = []
    for row in rows:
        for col in range(5, GRID.width, 13):
            x, y = GRID.west + 20 * col + 7, GRID.north - 20 * row - 3
            lines.append(f"{x}|{y}|{len(lines) + 1}|{int(truth[1, row, col])}")
    (tmp_path / "points.txt").write_text("\n".join(lines) + "\n")
    session(
        "v.in.ascii",
        f"input={tmp_path / 'points.txt'}",
        "output=lucas",
        "columns=x int, y int, cat int, sealed int",
        "cat=3",
        "--q",
    )
    session(
        "r.impervious.sample", "input=lc", f"output={tmp_path / 'sample'}", *SIZES[:3], "stock_points=lucas", "stock_columns=2018=sealed", "prefix=lucas",
    )  # fmt: skip
    refused = session(
        "r.impervious.sample", "input=lc", f"output={tmp_path / 'none'}", "stock_points=lucas", "stock_columns=2016=sealed", "prefix=none",
        ok=False,
    )  # fmt: skip
    line = (
        "Option <stock_columns>: found year 2016, expected years of the sample, 2017, 2018, 2020. Leave the others out."
    )
    assert line in refused.said
    design = read_design(tmp_path / "sample")
    assert sum(unit.purpose == "stock" for unit in design.units) == len(lines) == 400
    readings = parse_readings((tmp_path / "sample" / "readings_stock.csv").read_text(), design.kinds, design.years)
    by_id = {unit.id: unit for unit in design.units}
    assert len(readings) == 400
    for one in readings:
        unit = by_id[one.id]
        assert one.states == (None, int(truth[1, unit.row - GRID.first_row, unit.col - GRID.first_col]), None)


def test_readings_that_disagree_are_refused_by_name(session, place, drawn, tmp_path):
    design = read_design(drawn)
    first = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    second = list(read_sample(design, place[0], Errors(missed=0.5), np.random.default_rng(2), reading=2))
    (tmp_path / "read.csv").write_text(format_readings([*first, *second], YEARS))
    done = session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={tmp_path / 'table'}", f"design={drawn / 'design.json'}",
        f"sample={tmp_path / 'read.csv'}", "prefix=no", "-n", ok=False,
    )  # fmt: skip
    assert "no third one settles them" in done.said and not (tmp_path / "table").exists()


@pytest.mark.parametrize("files", [["header"], ["unread"], ["header", "unread"], ["header", "read"]])
def test_files_in_which_nothing_was_read_are_refused(session, drawn, table, tmp_path, files):
    """A file that has been read beside one that has not is enough, and a warning names the other."""
    unread = (drawn / "readings.csv").read_text()
    text = {"header": unread.splitlines()[0] + "\n", "unread": unread, "read": (table.parent / "read.csv").read_text()}
    for name in files:
        (tmp_path / f"{name}.csv").write_text(text[name])
    given = ",".join(str(tmp_path / f"{name}.csv") for name in files)
    ok = "read" in files
    done = session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={tmp_path / 'table'}", f"design={drawn / 'design.json'}",
        f"sample={given}", "method=estimated", "definition=artificial", "prefix=none", "-n", ok=ok,
    )  # fmt: skip
    assert (tmp_path / "table").exists() == ok
    if ok:
        assert f"{tmp_path / 'header.csv'}' has no unit that was read" in done.said
    else:
        assert (
            f"ERROR: Option <sample>: file '{tmp_path / files[0]}.csv': found no unit that was read, expected readings of the 520 units of the sample."
            in done.said
        )


def test_another_region_than_that_of_the_sample_is_refused(session, drawn, table, tmp_path):
    west, south, east, north = GRID.bounds
    done = session(
        "r.impervious.change", "input=lc", "zones=nuts", f"output={tmp_path / 'table'}", f"design={drawn / 'design.json'}",
        f"sample={table.parent / 'read.csv'}", "prefix=no", "-n", ok=False,
        GRASS_REGION=f"proj: 99; zone: 0; north: {north}; south: {south}; east: {east - 200}; west: {west}; cols: {GRID.width - 10}; "
        f"rows: {GRID.height}; e-w resol: 20; n-s resol: 20;",
    )  # fmt: skip
    assert "cells that the sample was drawn from" in done.said, done.stderr


def test_a_sample_is_not_overwritten_by_chance(session, drawn):
    done = session("r.impervious.sample", "input=lc", f"output={drawn}", *SIZES, "prefix=again", ok=False)
    assert "already exists" in done.said and "again_stock" not in session.maps()
