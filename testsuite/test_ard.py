"""r.s2.ard in a real GRASS session: maps and labels in, one file out."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from imperviouslib.core.errors import InputError
from imperviouslib.core.grid import Grid
from imperviouslib.core.settings.ard import ArdSettings, LabelSettings
from imperviouslib.edge.ardcheck import check_ard
from imperviouslib.edge.ardfile import ArdFile
from testsuite.archive_ground import even_scene, write_scene
from testsuite.cluster_ground import cluster, losing_cluster

GRID = Grid(4_450_800, 3_282_000, 4_450_800 + 40 * 20, 3_282_000 + 30 * 20)


@pytest.fixture
def grass(mapset):
    """Commands in a session of this process; region on GRID. `ok` says what is expected; `.said` is the message on one line."""

    def run(*command, ok=True, **env):
        done = subprocess.run(
            [str(word) for word in command], env={**os.environ, **env}, capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        done.said = " ".join(done.stderr.split())
        assert (done.returncode == 0) == ok, done.stderr + done.stdout
        return done

    run("g.region", f"w={GRID.west}", f"s={GRID.south}", f"e={GRID.east}", f"n={GRID.north}", "res=20")
    return run


def _composites(grass, years=(2017, 2018), prefix="s2"):
    """Composites as r.s2.yearly names them, by r.mapcalc: values by row and column, one NULL, one never seen."""
    for year in years:
        for number, band in enumerate(("B12", "B11", "B04")):
            grass(
                "r.mapcalc",
                f"expression={prefix}_{year}_{band}_p50 = if(row() == 1, null(), {year} + {100 * number} + 3 * row() + col())",
            )
        grass("r.mapcalc", f"expression={prefix}_{year}_count = if(row() == 1, if(col() == 1, null(), 0), 2)")


def _labels(grass, path, codes, res_m=10, name="s2glc", west=GRID.west, north=GRID.north):
    profile = {
        "driver": "GTiff", "height": codes.shape[0], "width": codes.shape[1], "count": 1, "dtype": "uint8", "crs": "EPSG:3035",
        "transform": rasterio.Affine(res_m, 0, west, 0, -res_m, north),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(codes.astype("uint8"), 1)
    grass("r.in.gdal", f"input={path}", f"output={name}", "--o", "--q")


OPTIONS = {
    "input": "s2", "output": "a.h5", "years": "", "features": "", "stack": "", "labels": "", "label_year": "2017", "legend": "s2glc",
    "rules": "", "clean": "", "clean_legend": "corine", "ties": "balanced", "plot": "", "format": "plain",
    "scheduler": "",
}  # fmt: skip
"""What g.parser gives of a call with the defaults."""


def _parse(given="", **changes):
    return ArdSettings.parse({**OPTIONS, **changes}, {flag: flag in given for flag in "cf"})


def test_defaults_of_the_options_are_those_of_the_settings():
    assert _parse() == ArdSettings("s2", Path("a.h5"))
    assert _parse(labels="map").labels == LabelSettings("map")


def test_options_are_parsed_once():
    parsed = _parse(
        "f", years="2017-2018", features="B12_p50, B04_p50", stack="year,07", labels="map", label_year="2018", legend="clcplus",
        rules="r.txt", clean="second", clean_legend="worldcover", ties="lowest", plot="images", format="json",
        scheduler="tcp://10.0.0.1:8786",
    )  # fmt: skip
    labels = LabelSettings("map", 2018, "clcplus", "lowest", "second", "worldcover", Path("r.txt"))
    assert parsed == ArdSettings(
        "s2", Path("a.h5"), (2017, 2018), ("B12_p50", "B04_p50"), ("year", "07"), labels, Path("images"), "json", as_float=True,
        scheduler="tcp://10.0.0.1:8786",
    )  # fmt: skip
    assert _parse("c", input="a.h5", output="") == ArdSettings(check=Path("a.h5"))


@pytest.mark.parametrize("option", ["clean", "rules"])
def test_options_of_labels_without_labels_are_refused(option):
    with pytest.raises(InputError, match=f"Option <{option}> needs option <labels>. Give labels="):
        _parse(**{option: "x"})


def test_settings_name_an_output_or_a_file_to_check():
    for changes in ({}, {"output": Path("a.h5"), "check": Path("a.h5")}):
        with pytest.raises(InputError, match="Give output="):
            ArdSettings("s2", **changes)


def test_a_cluster_compresses_to_the_same_chunks(grass, tmp_path):
    """The last one loses a worker on the way."""
    _composites(grass)
    found = {}
    for flag in ("-f", ""):
        grass("r.s2.ard", *filter(None, [flag]), "input=s2", f"output={tmp_path / f'here{flag}.h5'}")
    with cluster(tmp_path / "c") as dask:
        for flag in ("-f", ""):
            more = (f"output={tmp_path / f'far{flag}.h5'}", f"scheduler={dask.address}")
            grass("r.s2.ard", *filter(None, [flag]), "input=s2", *more)
    # Lost in the second year.
    with losing_cluster(tmp_path / "d", "compress", 5) as dask:
        grass("r.s2.ard", "input=s2", f"output={tmp_path / 'cut.h5'}", f"scheduler={dask.address}")
    for name in ("here", "here-f", "far", "far-f", "cut"):
        path = tmp_path / f"{name}.h5"
        assert check_ard(path, GRID)["findings"] == []
        with h5py.File(path) as file:
            stored = {key: one.id.read_direct_chunk((0,) * one.ndim) for key, one in file.items() if one.chunks}
            found[name] = stored, file.attrs["metadata_digest"], file["time"].attrs["digests"]
        found[name] += (path.stat().st_size,)
    # Two files written at two times differ in the times that HDF5 itself keeps.
    assert found["here"] == found["far"] == found["cut"] and found["here-f"] == found["far-f"]
    assert len(found["far"][0]) == 4


def test_maps_and_labels_into_one_file(grass, tmp_path):
    from imperviouslib.edge import grass as database

    _composites(grass)
    codes = np.random.default_rng(1).choice([62, 75, 82, 121, 162, 0, 255], (60, 80))
    _labels(grass, tmp_path / "labels.tif", codes)
    path, rules = tmp_path / "made.h5", tmp_path / "rules.txt"
    command = ("r.s2.ard", "input=s2", "labels=s2glc", f"output={path}")
    done = grass(*command, f"rules={rules}", f"plot={tmp_path / 'plots'}", "format=json")
    report = json.loads(done.stdout)
    assert report["periods"] == ["2017", "2018"] and report["features"] == ["B12_p50", "B11_p50", "B04_p50"]
    assert check_ard(path, GRID)["findings"] == []
    rows, cols = np.mgrid[1:31, 1:41]
    with ArdFile.open(path) as ard:
        expected = np.where(rows == 1, 0, 2018 + 100 + 3 * rows + cols)
        assert np.array_equal(ard.read("2018", GRID)[1], expected)
        count = ard.read_count("2018", GRID)
        assert count[0, 0] == 255 and (count[0, 1:] == 0).all() and (count[1:] == 2).all()
        label = ard.read_label(GRID)
        green, purity = ard.read_share("green", GRID), ard.read_purity(GRID)
        assert ard.provenance["labels"]["codes"]["62"] == 1 and ard.provenance["labels"]["ties"] == "balanced"
    assert report["labels"]["cells"]["green"] == (label == 3).sum()
    images = sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert images == ["composite_2017.png", "composite_2018.png", "count_2017.png", "count_2018.png", "labels.png"]
    assert not list(tmp_path.glob(".*"))

    # GRASS itself, reclassing by the very rules and counting cells, finds the same shares and, where one class leads, the same label.
    grass("r.reclass", "input=s2glc", "output=classes", f"rules={rules}")
    fine = Grid(*GRID.bounds, 10)
    classes = database.read_cells("classes", fine)
    parts = np.stack([classes[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    counts = np.stack([(parts == c).sum(axis=0) for c in (1, 2, 3, 4)])
    known, ordered = counts.sum(axis=0), np.sort(counts, axis=0)
    leads = (ordered[-1] > ordered[-2]) & (known >= 2)
    assert np.array_equal(label[leads], (counts.argmax(axis=0) + 1)[leads]) and leads.sum() > 500
    assert np.array_equal(green[known >= 2], np.rint(100 * counts[2] / np.maximum(known, 1))[known >= 2])
    assert (label[known < 2] == 0).all() and (purity[known < 2] == 255).all()

    # The rules, edited, are a legend; a second map that calls all green other leaves no green label.
    rules.write_text(rules.read_text().replace("121 = 2", "121 = 1"))
    grass("r.mapcalc", "expression=second = if(row() > 15, 512, 312)")
    done = grass(*command, f"legend={rules}", "clean=second", "--overwrite")
    with ArdFile.open(path) as ard:
        cleaned = ard.read_label(GRID)
    assert 2 not in cleaned and set(np.unique(cleaned[:15])) == {0, 3} and set(np.unique(cleaned[15:])) == {0, 4}
    assert "left out because the second map disagrees: artificial" in done.stdout and "(100.0 %)" in done.stdout
    assert not grass("g.list", "type=raster", "pattern=*labels*").stdout


def test_composites_within_a_year_stack_as_its_features(grass, tmp_path):
    """Cell values tell year, part and band; the year's count is the least of what is stacked."""
    for year in (2017, 2018):
        for number, part in enumerate(("", "_spring", "_07")):
            for band, base in (("B12", 100), ("B04", 200)):
                grass("r.mapcalc", f"expression=s2_{year}{part}_{band}_p50 = {year} + {1000 * number + base}")
            grass(
                "r.mapcalc", f"expression=s2_{year}{part}_count = if(col() == 1 && {number} == 1, null(), {3 - number})"
            )
    path = tmp_path / "made.h5"
    done = grass("r.s2.ard", "input=s2", "stack=year,spring,07", f"output={path}", "format=json")
    features = ["B12_p50", "B04_p50", "B12_p50_spring", "B04_p50_spring", "B12_p50_07", "B04_p50_07"]
    report = json.loads(done.stdout)
    assert (report["periods"], report["features"]) == (["2017", "2018"], features)
    with ArdFile.open(path) as ard:
        assert ard.read("2018", GRID)[:, 5, 5].tolist() == [2118, 2218, 3118, 3218, 4118, 4218]
        count = ard.read_count("2018", GRID)
        assert (count[:, 0] == 255).all() and (count[:, 1:] == 1).all()
        assert set(ard.provenance["2018"]["stack"]) == {"year", "spring", "07"}
    assert check_ard(path, GRID)["findings"] == []
    grass("r.s2.ard", "input=s2", "stack=07", "features=B04_p50", "years=2018", f"output={path}", "--overwrite")
    with ArdFile.open(path) as ard:
        assert ard.features == ("B04_p50_07",) and ard.periods == ("2018",)
    # Without a stack each composite is a period of its own, in the order of their middles, because an axis of time must increase.
    grass("r.s2.ard", "input=s2", "years=2018", f"output={path}", "--overwrite")
    with ArdFile.open(path) as ard:
        assert ard.periods == ("2018-spring", "2018", "2018-07")
    said = grass("r.s2.ard", "input=s2", "stack=07,autumn", f"output={path}", "--overwrite", ok=False).said
    assert "Option <stack>: prefix s2 has no composite 2017-autumn. Run r.s2.yearly" in said


def test_check_of_a_file_from_the_command_line(grass, tmp_path):
    _composites(grass, years=(2017,))
    path = tmp_path / "made.h5"
    grass("r.s2.ard", "input=s2", f"output={path}", "-f")
    done = grass("r.s2.ard", "-c", f"input={path}", "format=json")
    assert json.loads(done.stdout)["findings"] == [] and json.loads(done.stdout)["type"] == "float32"
    assert "0 findings" in grass("r.s2.ard", "-c", f"input={path}").stdout
    content = bytearray(path.read_bytes())
    with ArdFile.open(path) as ard:
        at = ard._file["B11_p50"].id.get_chunk_info(0).byte_offset
    content[at + 50] ^= 1
    path.write_bytes(content)
    done = grass("r.s2.ard", "-c", f"input={path}", ok=False)
    assert "1 findings" in done.stdout and "a damaged part in variable /B11_p50" in done.stdout
    path.write_bytes(content[:1000])
    assert "is not a complete HDF5 file" in grass("r.s2.ard", "-c", f"input={path}", ok=False).said


def test_bad_input_is_one_clear_line(grass, tmp_path):
    output = f"output={tmp_path / 'a.h5'}"
    assert "no map <s2_*_count>" in grass("r.s2.ard", "input=s2", output, ok=False).said
    _composites(grass, years=(2017,))
    _labels(grass, tmp_path / "labels.tif", np.full((60, 80), 99))
    _labels(grass, tmp_path / "far.tif", np.full((60, 80), 62), name="far", west=GRID.west + 100_000)
    _labels(grass, tmp_path / "empty.tif", np.full((60, 80), 255), name="empty")
    grass("r.mapcalc", "expression=floating = 62.0")
    twice = tmp_path / "twice.txt"
    twice.write_text("99 1\n99 3\n")
    for options, said in [
        (["years=2017,2019"], "has no composite of 2019"),
        (["features=B08_p50"], "s2_2017_B08_p50"),
        (["labels=nothing"], "Option <labels>: there is no raster map <nothing>"),
        (["labels=s2glc"], "code 99, expected a code of the legend 's2glc'"),
        (["labels=far"], "no cell within the region"),
        (["labels=empty"], "only no data within the region"),
        (["labels=floating"], "expected an integer map (CELL)"),
        (["labels=s2glc", f"legend={twice}"], "code 99 a second time"),
        (["labels=s2glc", "legend=clc"], "Option <legend>: found 'clc'"),
        (["clean=s2glc"], "Option <clean> needs option <labels>"),
        (["labels=empty", "legend=clcplus", "clean=nothing"], ""),
    ]:  # fmt: skip
        done = grass("r.s2.ard", "input=s2", output, *options, ok=False)
        assert said in done.said and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".*"))
    grass("g.region", "res=10")
    assert "expected 20 x 20 m" in grass("r.s2.ard", "input=s2", output, ok=False).said


def test_labels_coarser_than_the_grid_and_off_it(grass, tmp_path):
    _composites(grass, years=(2017,))
    codes = np.array([[111, 312], [512, 331]]).repeat(4, 0).repeat(4, 1)[:6] // 10  # 100 m, by number below
    numbers = np.where(codes == 11, 1, np.where(codes == 31, 24, np.where(codes == 51, 41, 30)))
    _labels(grass, tmp_path / "corine.tif", numbers, res_m=100, name="corine")
    path = tmp_path / "a.h5"
    done = grass("r.s2.ard", "input=s2", "labels=corine", "legend=corine", "label_year=2018", f"output={path}")
    assert "The labels show 2018, but there is no composite of that year" in done.said
    with ArdFile.open(path) as ard:
        label = ard.read_label(GRID)
    assert (label[:20, :20] == 1).all() and (label[:20, 20:] == 3).all() and (label[20:, :20] == 4).all()
    _labels(grass, tmp_path / "off.tif", np.full((70, 90), 62), name="off", west=GRID.west - 33, north=GRID.north + 33)
    done = grass("r.s2.ard", "input=s2", "labels=off", f"output={path}", "--overwrite")
    assert "are not aligned with the cells of the grid" in done.said


def test_a_file_is_written_where_a_link_leads(grass, tmp_path):
    _composites(grass, years=(2017,))
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.h5").symlink_to(tmp_path / "disk" / "b.h5")
    grass("r.s2.ard", "input=s2", f"output={tmp_path / 'a.h5'}")
    assert (tmp_path / "a.h5").is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.h5", "b.h5", "disk"]


def test_maps_that_killed_runs_left_are_removed(grass, tmp_path):
    from imperviouslib.edge import grass as database

    ended = subprocess.Popen(["true"])
    ended.wait()
    own = database.temporary_name("labels")
    left = [
        f"{stem}{own.removeprefix('labels').removesuffix(str(os.getpid()))}{ended.pid}"
        for stem in ("labels", "fetch_area")
    ]
    # As v.rast.stats names what it makes for a map.
    left.append(f"{left[0]}_26797.0")
    for name in [*left, own]:
        grass("r.mapcalc", f"expression={name} = 1")
    write_scene(tmp_path, "32UPD", "2017-06-01", GRID, even_scene(GRID, 1000))
    grass("r.s2.yearly", f"input={tmp_path}", "output=s2")
    _labels(grass, tmp_path / "map.tif", np.full((80, 80), 62), name="map")
    grass("r.s2.ard", "input=s2", "labels=map", f"output={tmp_path / 'made.h5'}")
    grass("v.in.region", "output=here")
    database.vector_area("here")
    # Those of a run that is under way stay.
    assert {own, *left} & database.list_rasters("*") == {own}


def stopped_run(grass, tmp_path):
    """Composites of three years, and a run that was killed after the first. Returns: its command, file and folder of parts."""
    archive = tmp_path / "archive"
    for year in (2017, 2018, 2019):
        write_scene(archive, "32UPD", f"{year}-06-01", GRID, even_scene(GRID, year))
    grass("r.s2.yearly", f"input={archive}", "output=s2", "-l")
    path = tmp_path / "made.h5"
    command = ["r.s2.ard", "input=s2", f"output={path}"]
    parts = tmp_path / ".made.h5.parts"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (parts / "2017.h5").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists() and (parts / "2017.h5").exists()
    return command, path, parts


def test_a_stopped_run_continues_with_the_periods_it_wrote(grass, tmp_path):
    command, path, parts = stopped_run(grass, tmp_path)
    done = grass(*command)
    assert "Period 2017 was written by a run that was stopped, and is reused." in done.said
    assert check_ard(path, GRID)["findings"] == [] and not parts.exists()
    with ArdFile.open(path) as ard:
        assert [int(ard.read(str(year), GRID)[0, 0, 0]) for year in (2017, 2018, 2019)] == [2017, 2018, 2019]
        assert ard.provenance["2018"]["scenes"][0]["id"].startswith("S2A_MSIL2A_2018")


def test_parts_of_a_stopped_run_are_not_reused_if_maps_changed(grass, tmp_path):
    command, path, _ = stopped_run(grass, tmp_path)
    # One feature of the first year comes from another scene by now, the first one stays.
    again = tmp_path / "again"
    write_scene(again, "32UPD", "2017-07-01", GRID, even_scene(GRID, 1234))
    grass("r.s2.yearly", f"input={again}", "output=other", "years=2017")
    grass("g.remove", "type=raster", "name=s2_2017_B04_p50", "-f")
    grass("g.copy", "raster=other_2017_B04_p50,s2_2017_B04_p50")
    done = grass(*command)
    assert "Period 2017 was written by a run" not in done.said
    with ArdFile.open(path) as ard:
        assert int(ard.read("2017", GRID)[ard.features.index("B04_p50"), 0, 0]) == 1254


def test_parts_of_a_stopped_run_are_not_reused_under_a_mask(grass, tmp_path):
    command, path, _ = stopped_run(grass, tmp_path)
    grass("r.mapcalc", "expression=half = if(col() > 10, 1, null())")
    grass("r.mask", "raster=half")
    try:
        assert "Period 2017 was written by a run" not in grass(*command).said
    finally:
        grass("r.mask", "-r")
    with ArdFile.open(path) as ard:
        assert (ard.read("2017", GRID)[:, :, :10] == 0).all() and (ard.read("2017", GRID)[:, :, 10:] >= 2017).all()
