"""r.s2.yearly on small archives of arrays: blocks, NULL and 0, tiles, resume, the check; in a real GRASS session."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from imperviouslib.core.errors import InputError
from imperviouslib.core.grid import Grid
from imperviouslib.core.periods import parse_periods, resolve_periods
from imperviouslib.core.recipe import Recipe
from imperviouslib.core.settings.yearly import YearlySettings
from imperviouslib.edge.alignment import check_archive
from imperviouslib.edge.archivefile import read_archive
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.rasterfile import OpenRasters
from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks, resolve_years, tiles_by_year
from imperviouslib.work.compose import compose_block
from testsuite import mounts
from testsuite.archive_ground import BANDS, even_scene, smooth_ground, write_scene
from testsuite.cluster_ground import cluster, losing_cluster

GRID = Grid(4_450_800, 3_282_000, 4_450_800 + 60 * 20, 3_282_000 + 50 * 20)
WEST, EAST = (
    Grid(GRID.west, GRID.south, GRID.west + 800, GRID.north),
    Grid(GRID.west + 600, GRID.south, GRID.east, GRID.north),
)
"""Two tiles that share ten columns; WEST has 40, EAST 30."""


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


def _cells(name, grid=GRID, nodata=-1):
    from imperviouslib.edge import grass

    return grass.read_cells(name, grid, nodata=nodata)


def _two_years(folder):
    """2018 in both tiles, 2019 only in the western one."""
    for month in (5, 6, 7):
        write_scene(folder, "32UPD", f"2018-{month:02d}-01", WEST, even_scene(WEST, 1000 + month), overpass=f"o{month}")
        write_scene(folder, "33UUU", f"2018-{month:02d}-01", EAST, even_scene(EAST, 1000 + month), overpass=f"o{month}")
    write_scene(folder, "32UPD", "2019-06-01", WEST, even_scene(WEST, 1500))
    return folder


def _composed(archive, area, *, period="2018", kind="year", variables=BANDS, **options):
    """Composite an archive without GRASS, block by block: layer to array (row, col)."""
    recipe = Recipe(tiles="all", variables=variables, **options)
    scenes = read_scenes(archive, recipe.bands, area)
    tasks = resolve_tasks(resolve_periods([2018], parse_periods(kind)), scenes, recipe, area)
    task = next(task for task in tasks if task.period.name == period)
    out = {}
    with OpenRasters(most=5) as rasters:
        for block in area.blocks():
            for layer, plane in compose_block(block, task, rasters).items():
                out.setdefault(layer, np.zeros(area.shape, plane.dtype))[block.slices_in(area)] = plane
    return out


def test_overlapping_tiles_of_an_overpass_count_once(tmp_path):
    made = _composed(_two_years(tmp_path), GRID)
    assert (made["count"] == 3).all() and (made["B12_p50"] == 1006).all() and (made["B04_p50"] == 1026).all()


def test_only_the_newest_processing_of_an_acquisition_counts(tmp_path):
    # Written in the order in which an archive grows; by its name the newest would come last.
    for value, baseline in ((1000, "02.13"), (2000, "05.00"), (3000, "99.99")):
        write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, value), baseline=baseline)
    made = _composed(tmp_path, WEST)
    assert (made["count"] == 1).all() and (made["B12_p50"] == 2000).all()


def test_the_tiles_of_an_overpass_are_one_date_of_the_mask(tmp_path):
    # A cloud in the same place on two dates, each in two tiles: four scenes show it, but only two dates.
    scl = np.full(GRID.shape, 4, np.uint8)
    scl[20:26, 20:26] = 9
    for day in (1, 11):
        for tile in ("32UPD", "33UUU"):
            write_scene(tmp_path, tile, f"2018-06-{day:02d}", GRID, even_scene(GRID, 1000, scl), overpass=f"o{day}")
    assert (_composed(tmp_path, GRID, dilate=0)["count"][21:25, 21:25] == 0).all()
    for tile in ("32UPD", "33UUU"):
        write_scene(tmp_path, tile, "2018-07-01", GRID, even_scene(GRID, 1000, scl), overpass="o21")
    assert (_composed(tmp_path, GRID, dilate=0)["count"][21:25, 21:25] == 3).all()


@pytest.mark.parametrize(
    "options",
    [
        {"method": "median", "mask": "scl"},
        {"statistics": ("min", "p20", "max")},
        {"method": "medoid"},
        {"method": "best", "quality": True},
        {"method": "latest", "dilate": 3, "quality": True},
    ],
)
def test_a_part_of_the_region_has_the_same_cells(tmp_path, options):
    # The place lies across a corner of the absolute blocks, so that the whole is made of four of them.
    grid = Grid(4_444_160 - 1200, 3_276_800 - 1000, 4_444_160 + 1400, 3_276_800 + 1200)
    assert len(list(grid.blocks())) == 4
    rng = np.random.default_rng(5)
    for number in range(5):
        scl = rng.choice([3, 4, 5, 9], (11, 13), p=[0.1, 0.4, 0.4, 0.1]).repeat(10, 0).repeat(10, 1).astype(np.uint8)
        planes = {band: rng.integers(1, 5000, grid.shape).astype(np.uint16) for band in BANDS}
        write_scene(tmp_path, "32UPD", f"2018-0{number + 4}-01", grid, {**planes, "SCL": scl})
    part = Grid(grid.west + 700, grid.south + 300, grid.east - 900, grid.north - 500)
    whole, cut = _composed(tmp_path, grid, **options), _composed(tmp_path, part, **options)
    assert whole.keys() == cut.keys()
    for layer, plane in whole.items():
        assert np.array_equal(plane[part.slices_in(grid)], cut[layer])
        assert len(np.unique(cut[layer])) > 2


def test_more_layers_than_fit_a_block_give_the_same(tmp_path, monkeypatch):
    archive = _two_years(tmp_path)
    whole = _composed(archive, GRID)
    monkeypatch.setattr("imperviouslib.work.compose._LAYERS", 1)
    monkeypatch.setattr("imperviouslib.work.compose.BLOCK", 64)
    assert all(np.array_equal(whole[layer], plane) for layer, plane in _composed(archive, GRID).items())


def test_roofs_that_scl_calls_cloud_are_kept(tmp_path):
    for month in (5, 6, 7, 8):
        scl = np.full(WEST.shape, 5, np.uint8)
        scl[20:26, 20:26] = 9
        write_scene(tmp_path, "32UPD", f"2018-{month:02d}-01", WEST, even_scene(WEST, 2000, scl))
    assert (_composed(tmp_path, WEST)["count"] == 4).all()
    assert (_composed(tmp_path, WEST, mask="scl")["count"][19:27, 19:27] == 0).all()
    # A month has too few dates of its own, so the mask uses those of the whole year.
    assert (_composed(tmp_path, WEST, period="2018-06", kind="month")["count"] == 1).all()


def test_life_of_a_composite(grass, tmp_path):
    from imperviouslib.edge.grass import read_provenance

    scl = np.full(WEST.shape, 5, np.uint8)
    scl[:, :5] = 9  # never clear, but seen
    scl[:, 5:8] = 0  # outside every scene
    write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, 1000, scl))
    write_scene(tmp_path, "32UPD", "2018-07-01", WEST, even_scene(WEST, 1100, scl))
    command = ("r.s2.yearly", f"input={tmp_path}", "output=s2", "dilate=0", "-l")
    done = grass(*command)
    assert (
        f"2018: 2 scenes, {100 * 32 / 60:.1f} % of the region seen, {2 * 32 / 60:.1f} clear observations a cell"
        in done.stdout
    )

    # 0 is seen and never clear, NULL is outside every scene.
    count, b12 = _cells("s2_2018_count"), _cells("s2_2018_B12_p50")
    assert (count[:, :5] == 0).all() and (b12[:, :5] == -1).all()
    assert (count[:, 5:8] == -1).all() and (b12[:, 5:8] == -1).all()
    assert (count[:, 8:40] == 2).all() and (b12[:, 8:40] == 1050).all()
    assert (count[:, 40:] == -1).all()
    assert (_cells("s2_2018_B11_p50")[:, 8:40] == 1060).all() and (_cells("s2_2018_B04_p50")[:, 8:40] == 1070).all()

    record = read_provenance("s2_2018_B12_p50")
    assert record.period == "2018" and record.settings["method"] == "median" and len(record.scenes) == 2
    assert record.scenes[0].baseline == "02.13" and record.scenes[0].rule
    info = grass("r.info", "map=s2_2018_B12_p50").stdout
    assert "Median of B12" in info and "S2_12" in info and "S2A_MSIL2A_20180601" in info
    assert not list(tmp_path.glob("composites*"))  # -l links files in the mapset: the archive may be read-only

    # The same again changes nothing; anything else is refused without --overwrite.
    assert "Composite of 2018 already exists." in grass(*command).said
    done = grass(*command, "mask=scl", ok=False)
    assert "Map <s2_2018_B12_p50> already exists, made from other scenes" in done.said and "--overwrite" in done.said

    # What a kill between two maps leaves: some have their name, one is under its temporary one.
    grass("g.rename", "raster=s2_2018_count,s2_2018_count_part")
    grass("g.remove", "-f", "type=raster", "name=s2_2018_B04_p50")
    grass(*command)
    assert (_cells("s2_2018_count") == count).all() and (_cells("s2_2018_B04_p50")[:, 8:40] == 1070).all()
    assert "_part" not in grass("g.list", "type=raster").stdout


def test_statistics_and_an_index_from_scenes_to_the_file_of_features(grass, tmp_path):
    from imperviouslib.edge.ardfile import ArdFile
    from imperviouslib.edge.grass import read_provenance

    archive = _green_scenes(tmp_path / "archive", GRID)
    command = ("r.s2.yearly", f"input={archive}", "output=s2", "period=year,season", "bands=B12,NDVI")
    grass(*command)
    # A run without statistics continues; the same prefix with statistics is refused without --overwrite.
    assert "Composite of 2018 already exists." in grass(*command).said
    assert "already exists, made from other" in grass(*command, "statistics=min,max", ok=False).said
    grass(*command, "statistics=min,max", "--overwrite")
    assert "Composite of 2018 already exists." in grass(*command, "statistics=max,min").said

    assert [_cells(f"s2_2018_B12_{s}").ravel()[1] for s in ("p50", "min", "max")] == [1200, 1000, 1500]
    found = [_cells(f"s2_2018_NDVI_{s}").ravel()[1] for s in ("p50", "min", "max")]
    assert found == [_ndvi(near, 1000) for near in (2000, 500, 3000)]
    # In the first column July does not count, in no feature.
    assert [_cells(f"s2_2018_{f}").ravel()[0] for f in ("B12_p50", "NDVI_min", "count")] == [1250, _ndvi(2000, 1000), 2]

    record = read_provenance("s2_2018_B12_max")
    assert record.feature == "B12_max" and record.settings["statistics"] == "min,max"
    info = grass("r.info", "map=s2_2018_NDVI_min").stdout
    assert "Minimum of NDVI" in info and "(NDVI + 1) x 10000" in info and "S2_NDVI_min" in info
    assert "statistics=min,max" in info
    group = grass("i.group", "-l", "-g", "group=s2_2018_summer").stdout.split()
    features = [f"{variable}_{s}" for variable in ("B12", "NDVI") for s in ("p50", "min", "max")]
    assert {name.partition("@")[0] for name in group} == {f"s2_2018_summer_{name}" for name in features}

    ard = tmp_path / "place.h5"
    grass("r.s2.ard", "input=s2", f"output={ard}", "stack=year,summer")
    order = [f"{variable}_{s}" for s in ("p50", "min", "max") for variable in ("B12", "NDVI")]
    with ArdFile.open(ard) as data:
        assert list(data.features) == [*order, *(f"{name}_summer" for name in order)]
        assert data.read("2018", GRID)[:, 0, 1].tolist() == 2 * [1200, found[0], 1000, found[1], 1500, found[2]]
    assert "0 findings" in grass("r.s2.ard", "-c", f"input={ard}").stdout


def test_common_tiles_leave_holes_out_and_say_so(grass, tmp_path):
    archive = _two_years(tmp_path / "archive")
    report = tmp_path / "report.json"
    done = grass("r.s2.yearly", f"input={archive}", "output=s2", f"report={report}", "tilemap=tiles")
    assert "Tile 33UUU is missing in 2019. It is left out of all years." in done.said
    assert "tiles: 32UPD\ntile 33UUU is missing in 2019\n" in done.stdout
    content = json.loads(report.read_text())
    assert content["tiles"] == ["32UPD"] and content["holes"] == [{"year": 2019, "tile": "33UUU"}]
    assert content["scenes"] == {"2018": {"32UPD": 3, "33UUU": 3}, "2019": {"32UPD": 1}}
    assert (_cells("s2_2018_count")[:, 40:] == -1).all()
    table = grass("v.db.select", "map=tiles", "columns=tile,used,scenes,years,lacks", "-c").stdout
    assert sorted(table.split()) == ["32UPD|1|4|2018,2019|", "33UUU|0|3|2018|2019"]


def _green_scenes(folder, grid):
    """Three months in which B12 rises and B8A changes; B8A lacks data in the first column in July."""
    for month, near, b12 in ((6, 3000, 1000), (7, 500, 1200), (8, 2000, 1500)):
        planes = {"B12": b12, "B8A": near, "B04": 1000, "SCL": 5}
        planes = {band: np.full(grid.shape, value) for band, value in planes.items()}
        planes["B8A"][:, 0] *= month != 7
        write_scene(folder, "32UPD", f"2018-{month:02d}-01", grid, planes)
    return folder


def _ndvi(near, red):
    return 10000 + round(1e4 * (near - red) / (near + red))


def test_an_index_is_computed_from_each_scene(tmp_path):
    """NDVI of each scene, then its median; stored as (NDVI + 1) x 10000, so that values below 0 can be stored."""
    made = _composed(_green_scenes(tmp_path, WEST), WEST, variables=("NDVI", "B04"))
    assert list(made) == ["NDVI_p50", "B04_p50", "count"] and (made["B04_p50"] == 1000).all()
    assert (made["NDVI_p50"][:, 1:] == _ndvi(2000, 1000)).all() and (made["count"][:, 1:] == 3).all()
    # Without B8A there is no NDVI, so the observation is not clear: half of 0.5 + 1/3 remains.
    assert (made["NDVI_p50"][:, 0] == (_ndvi(3000, 1000) + _ndvi(2000, 1000) + 1) // 2).all()
    assert (made["count"][:, 0] == 2).all()
    with pytest.raises(InputError, match="cannot compute the index NDVI"):
        YearlySettings(tmp_path, "s2", recipe=Recipe("largest", variables=("NDVI",)))


def _options(**changes):
    """What g.parser gives of a call with the defaults."""
    given = {
        "input": "scenes", "output": "s2", "years": "", "period": "year", "bands": "B12,B11,B04", "tiles": "common", "method": "median", "statistics": "",
        "mask": "dates", "dilate": "1", "report": "", "tilemap": "", "nprocs": "1", "scheduler": "", "format": "plain",
    }  # fmt: skip
    return {**given, **changes}


def _flags(given=""):
    return {flag: flag in given for flag in "clq"}


def test_defaults_of_the_options_are_those_of_the_settings():
    assert YearlySettings.parse(_options(), _flags()) == YearlySettings(Path("scenes"), "s2")


def test_options_are_parsed_once():
    given = _options(
        years="2017-2018", period="month,leaf:05-01/09-30", bands="b8a, B04,B04", tiles="T31uds,31UES", method="best",
        report="r.json", tilemap="tiles", nprocs="3", scheduler="tcp://10.0.0.1:8786", dilate="2", mask="scl", format="json",
    )  # fmt: skip
    parsed = YearlySettings.parse(given, _flags("lq"))
    recipe = Recipe("best", "scl", 2, ("31UDS", "31UES"), ("B8A", "B04"), quality=True)
    assert parsed == YearlySettings(
        Path("scenes"), "s2", (2017, 2018), parse_periods("month,leaf:05-01/09-30"), recipe, Path("r.json"), "tiles", 3, "json", link=True,
        scheduler="tcp://10.0.0.1:8786",
    )  # fmt: skip
    assert parsed.recipe.settings == {"method": "best", "mask": "scl", "dilate": 2, "tiles": "31UDS,31UES"}
    assert YearlySettings.parse(_options(output=""), _flags("c")).check_only
    given = YearlySettings.parse(_options(statistics="min, p10,max,min", bands="b12,ndvi"), _flags())
    assert given.recipe == Recipe(statistics=("min", "p10", "max"), variables=("B12", "NDVI"))


@pytest.mark.parametrize(
    ("changes", "flags", "said"),
    [
        ({"output": "9 lives"}, "", "Option <output>"),
        ({"bands": ""}, "", "Option <bands>"),
        ({"bands": "B04,SCL"}, "", "Option <bands>"),
        ({"method": "largest"}, "q", "Flag -q"),
        ({"method": "largest", "bands": "NDVI"}, "", "cannot compute the index NDVI"),
        ({"method": "medoid", "statistics": "min"}, "", "Option <statistics> can only be used with"),
        ({"statistics": "p50"}, "", "Option <statistics>: found 'p50'"),
        ({"years": "2018,2017"}, "", "Option <years>"),
        ({"period": "leaf:05-01/05-09,leaf:06-01/06-09"}, "", "two windows named leaf"),
    ],
)
def test_contradictory_options_are_refused(changes, flags, said):
    with pytest.raises(InputError, match=said):
        YearlySettings.parse(_options(**changes), _flags(flags))


def test_years_and_tiles_of_an_archive(tmp_path):
    scenes = read_scenes(_two_years(tmp_path), BANDS, GRID)
    assert tiles_by_year(scenes, [2018, 2019]) == {2018: {"32UPD", "33UUU"}, 2019: {"32UPD"}}
    assert resolve_years((), scenes, tmp_path) == (2018, 2019) and resolve_years((2019,), scenes, tmp_path) == (2019,)


def test_bad_input_is_one_clear_line(grass, tmp_path):
    archive = _two_years(tmp_path / "archive")
    for options, said in [
        (["years=2017-2019"], "has no complete scene over the region in 2017. Fetch 2017 with r.s2.fetch"),
        (["tiles=31UDS"], "Option <tiles>: found 31UDS, expected tiles of the archive: 32UPD, 33UUU."),
        (["bands=B8A"], "has no scene with all of"),
        (["period=week"], "Option <period>: found 'week'"),
        (["bands=SCL"], "Option <bands>"),
        (["method=largest", "-q"], "Flag -q"),
        (["bands=NDVI"], "has no scene with all of B8A, B04, SCL"),
        (["method=best", "statistics=min"], "Leave out statistics=, or use method=median."),
        ([f"input={tmp_path / 'none'}"], "has no complete scene of r.s2.fetch"),
    ]:  # fmt: skip
        done = grass(
            "r.s2.yearly", *options, *([] if "input" in options[0] else [f"input={archive}"]), "output=s2", ok=False
        )
        assert said in done.said and "Traceback" not in done.stderr
    grass("g.region", "w=4000000", "e=4001000", "s=3000000", "n=3001000", "res=20")
    assert "none of them in the region" in grass("r.s2.yearly", f"input={archive}", "output=s2", ok=False).said
    grass("g.region", "w=4000010", "e=4001010", "s=3000000", "n=3001000", "res=20")
    assert "expected multiples of 20 m" in grass("r.s2.yearly", f"input={archive}", "output=s2", ok=False).said
    assert not grass("g.list", "type=raster").stdout


def test_several_periods_in_one_dataset(grass, tmp_path):
    for month in (4, 6, 7, 9):
        write_scene(tmp_path, "32UPD", f"2018-{month:02d}-15", WEST, even_scene(WEST, 100 * month))
    done = grass(
        "r.s2.yearly",
        f"input={tmp_path}",
        "output=s2",
        "period=year,leaf:05-01/09-30,frost:01-01/02-28",
        "bands=B12",
        "-q",
    )
    for period, value, count, spread in (("2018", 650, 4, 153), ("2018_leaf", 700, 3, 92)):
        assert (_cells(f"s2_{period}_B12_p50", WEST) == value).all()
        assert (_cells(f"s2_{period}_count", WEST) == count).all()
        assert (_cells(f"s2_{period}_spread", WEST) == spread).all()
        assert (_cells(f"s2_{period}_quality")[:, 40:] == -1).all() and _cells(f"s2_{period}_quality", WEST).min() > 50
    assert "No scene in 2018-frost" in done.said
    listed = grass("t.rast.list", "input=s2", "columns=name,start_time,end_time", "-u").stdout
    assert "s2_2018_leaf_count|2018-05-01 00:00:00|2018-10-01 00:00:00" in listed
    assert "s2_2018_B12_p50" in grass("i.group", "-l", "-g", "group=s2_2018").stdout


def test_a_killed_run_leaves_no_map_and_can_start_again(grass, tmp_path):
    archive = _two_years(tmp_path)
    command = ["r.s2.yearly", f"input={archive}", "output=s2", "years=2018", "tilemap=tiles"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not grass("g.list", "type=raster").stdout and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for name in grass("g.list", "type=raster").stdout.split():
        assert name.endswith("_part") or _cells(name).min() > 0
    grass(*command)
    assert (_cells("s2_2018_count") == 3).all() and (_cells("s2_2018_B12_p50") == 1006).all()


def test_the_file_of_a_linked_map_stays_as_long_as_the_map(grass, tmp_path):
    import grass.script as gs

    archive = _two_years(tmp_path)
    command = ["r.s2.yearly", f"input={archive}", "output=s2", "years=2018", "-l"]
    grass(*command)
    folder = Path(gs.gisenv()["GISDBASE"], gs.gisenv()["LOCATION_NAME"], gs.gisenv()["MAPSET"], "linked")
    count = len(list(folder.iterdir()))
    before = _cells("s2_2018_B12_p50")
    grass("g.rename", "raster=s2_2018_B12_p50,kept")
    # What killed runs left; and the group of a run that was stopped just before it.
    for left in (".s2_2018_count.0a.part.tif", "s2_2018_count.tif", "s2_2018_count.01234567.tif"):
        (folder / left).write_bytes(b"x")
    grass("g.remove", "type=group", "name=s2_2018", "-f")
    grass(*command, "--overwrite", "dilate=3", "method=latest")
    assert (_cells("kept") == before).all() and _cells("s2_2018_B12_latest", WEST).min() > 0
    # Three more features; the count replaces the old one.
    assert len(list(folder.iterdir())) == count + 3
    # Where all maps exist, a run still makes the group and removes old files.
    grass("g.remove", "type=group", "name=s2_2018", "-f")
    (folder / "s2_2018_count.89abcdef.tif").write_bytes(b"x")
    assert "already exists" in grass(*command, "dilate=3", "method=latest").said
    assert "s2_2018_B12_latest" in grass("i.group", "-l", "-g", "group=s2_2018").stdout
    assert len(list(folder.iterdir())) == count + 3
    # Imported composites, and mosaics, replace linked ones.
    grass("r.s2.yearly", f"input={archive}", "output=s2", "years=2018", "--overwrite")
    assert not list(folder.glob("s2_2018_count*")) and list(folder.glob("s2_2018_B12_latest*"))
    grass(*command, "--overwrite", "dilate=3", "method=latest")
    assert list(folder.glob("s2_2018_count*"))
    grass("r.s2.yearly", f"input={archive}", "output=s2", "years=2018", "method=largest", "--overwrite")
    assert not list(folder.glob("s2_2018_count*"))


def test_the_file_of_a_linked_map_stays_where_the_mapset_is_reached_by_another_path(grass, tmp_path):
    import grass.script as gs

    from imperviouslib.edge import grass as database

    env = gs.gisenv()
    other, session = tmp_path / "other", tmp_path / "rc"
    other.symlink_to(env["GISDBASE"])
    session.write_text(
        f"GISDBASE: {other}\nLOCATION_NAME: {env['LOCATION_NAME']}\nMAPSET: {env['MAPSET']}\nGUI: text\n"
    )
    words = (f"input={_two_years(tmp_path / 'archive')}", "years=2018")
    code = "from imperviouslib.edge import grass; grass.remove_superseded(['one_2018_count', 'two_2018_count'])"
    grass("r.s2.yearly", *words, "output=one", "-l")
    grass("r.s2.yearly", *words, "output=two", "-l", GISRC=str(session))
    for gisrc in (os.environ["GISRC"], str(session)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(database.__file__).parents[3], env={**os.environ, "GISRC": gisrc}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (_cells("one_2018_count") == 3).all() and (_cells("two_2018_count") == 3).all()


@pytest.mark.parametrize("tiles", [1, 2])
def test_largest_scene_of_each_tile(grass, tmp_path, tiles):
    # Unmasked as the prototype did: the larger one is chosen although it is all cloud.
    write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, 1000), size=1000)
    write_scene(tmp_path, "32UPD", "2018-07-01", WEST, even_scene(WEST, 2000, 9), size=1001)
    if tiles == 2:
        planes = even_scene(EAST, 3000)
        planes["B12"][:, 5] = 0
        write_scene(tmp_path, "33UUU", "2018-06-01", EAST, planes, size=1000)
    command = ("r.s2.yearly", f"input={tmp_path}", "output=one", "method=largest", "bands=B12")
    grass(*command)
    b12, count = _cells("one_2018_B12_one"), _cells("one_2018_count")
    assert (b12[:, :30] == 2000).all() and (count[:, :40] == 1).all()
    # The last tile lies on top, but its NULL does not hide what is below.
    assert (b12[:, 30:40] == (3000 if tiles == 2 else 2000)).sum() == 500 - 50 * (tiles == 2) and (
        b12[:, 35] == 2000
    ).all()
    assert (b12[:, 40:] == (3000 if tiles == 2 else -1)).all()
    assert (count[:, 40:] == (1 if tiles == 2 else -1)).all()
    # A run that was stopped at the end did not make the group.
    grass("g.remove", "type=group", "name=one_2018", "-f")
    assert "already exists" in grass(*command).said
    assert "one_2018_B12_one" in grass("i.group", "-l", "-g", "group=one_2018").stdout


def _broken(path, how):
    """Break one file of an archive in one way; where it is rewritten, size and checksum in the sidecar are put right."""
    with rasterio.open(path) as source:
        profile, data = source.profile, source.read(1)
    t = profile["transform"]
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
        return
    if how == "changed":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        return
    if how == "gone":
        path.unlink()
        return
    if how == "shifted":
        profile["transform"] = rasterio.Affine(t.a, 0, t.c + 10, 0, t.e, t.f)
    elif how == "one cell off":
        profile["transform"] = rasterio.Affine(t.a, 0, t.c + 20, 0, t.e, t.f)
    elif how == "re-typed":
        profile |= {"dtype": "float32", "predictor": 1}
    elif how == "foreign CRS":
        profile["crs"] = "EPSG:32632"
    elif how == "other no data":
        profile["nodata"] = 65535
    elif how == "coarser":
        profile["transform"] = rasterio.Affine(30, 0, t.c, 0, -30, t.f)
    with rasterio.open(path, "w", **profile) as out:
        out.write(data.astype(profile["dtype"]), 1)
    sidecar = path.with_suffix(".json")
    content = json.loads(sidecar.read_text())
    content["output"] |= {"size": path.stat().st_size, "sha256": sha256_file(path)}
    sidecar.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", "as in its sidecar"), ("changed", "its bytes changed"), ("gone", "the file is missing"), ("shifted", "multiples of 20 m"),
        ("one cell off", "as in its sidecar"), ("re-typed", "type float32, expected uint16"), ("foreign CRS", "EPSG:32632"),
        ("other no data", "no data is 65535.0, expected 0"), ("coarser", "cells of 30 x 30 m"),
    ],
)  # fmt: skip
def test_the_check_finds_what_is_wrong_with_one_file(tmp_path, how, said):
    write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, 1000))
    assert check_archive(tmp_path, lambda done, total: None)[1] == []
    path = next(tmp_path.glob("*/*/*/B11.tif"))
    _broken(path, how)
    findings = check_archive(tmp_path, lambda done, total: None)[1]
    assert findings and all(str(path) in finding for finding in findings)
    assert any(said in finding for finding in findings)


def test_the_check_finds_files_that_were_never_finished(tmp_path):
    write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, 1000))
    path = next(tmp_path.glob("*/*/*/B11.json"))
    path.write_text("{")
    assert [f for f in check_archive(tmp_path, lambda d, t: None)[1] if "not a sidecar that this version can read" in f]
    path.unlink()
    assert [f for f in check_archive(tmp_path, lambda d, t: None)[1] if "never finished" in f]


def test_the_check_passes_a_crs_that_only_looks_different(tmp_path):
    write_scene(tmp_path, "32UPD", "2018-06-01", WEST, even_scene(WEST, 1000))
    for path in sorted(tmp_path.glob("*/*/*/*.tif")):
        with rasterio.open(path) as source:
            profile, data = source.profile, source.read(1)
        # The same projection, its ellipsoid rounded by another system.
        profile["crs"] = rasterio.CRS.from_wkt(
            profile["crs"]
            .to_wkt()
            .replace("298.257222101", "298.257222101004")
            .replace(',AUTHORITY["EPSG","7019"]', "")
            .replace(',AUTHORITY["EPSG","3035"]', "")
        )
        with rasterio.open(path, "w", **profile) as out:
            out.write(data, 1)
        with rasterio.open(path) as again:
            assert again.crs != rasterio.CRS.from_epsg(3035)
        content = json.loads(path.with_suffix(".json").read_text())
        content["output"] |= {"size": path.stat().st_size, "sha256": sha256_file(path)}
        path.with_suffix(".json").write_text(json.dumps(content))
    assert check_archive(tmp_path, lambda done, total: None)[1] == []


def test_the_check_finds_a_year_that_is_shifted(grass, tmp_path):
    # Half a year's files are right in every respect but lie 0.75 cells off in their content.
    grid = Grid(4_450_800, 3_282_000, 4_450_800 + 400 * 20, 3_282_000 + 280 * 20)
    ground = smooth_ground((280, 400)).astype(float)
    for year, shift in ((2017, 0.0), (2018, 0.1), (2019, 0.75)):
        wave = np.fft.fftfreq(400)[None] * shift
        plane = np.fft.ifft2(np.fft.fft2(ground) * np.exp(-2j * np.pi * wave)).real.clip(1, 65535).astype(np.uint16)
        write_scene(
            tmp_path,
            "32UPD",
            f"{year}-06-01",
            grid,
            {**dict.fromkeys(BANDS, plane), "SCL": np.full(grid.shape, 5, np.uint8)},
        )
    done = grass("r.s2.yearly", "-c", f"input={tmp_path}", "format=json", ok=False)
    report = json.loads(done.stdout)
    assert len(report["findings"]) == 1 and "2019 is shifted" in report["findings"][0]
    columns = {row["year"]: row["cols"] for row in report["shifts"]}
    assert columns == pytest.approx({2018: 0.1, 2019: 0.75}, abs=0.1)
    shutil.rmtree(tmp_path / "32UPD" / "2019")
    assert "8 files, 0 findings" in grass("r.s2.yearly", "-c", f"input={tmp_path}").stdout


def test_processes_and_a_cluster_write_the_same_files(grass, tmp_path):
    """Two blocks, of two years; the second run with the cluster needs no worker. The last one loses a worker in its second block."""
    from imperviouslib.edge import grass as database

    _two_years(tmp_path / "archive")
    grass("g.region", f"e={GRID.west + 1100 * 20}")
    words = ("r.s2.yearly", f"input={tmp_path / 'archive'}", "tiles=all", "-l")
    grass(*words, "output=one")
    grass(*words, "output=two", "nprocs=2")
    with cluster(tmp_path / "c") as found:
        grass(*words, "output=far", f"scheduler={found.address}")
    done = grass(*words, "output=far", f"scheduler={found.address}")
    assert "Composite of 2018 already exists." in done.said
    with losing_cluster(tmp_path / "d", "compose") as found:
        grass(*words, "output=cut", f"scheduler={found.address}")
    digests = {prefix: {} for prefix in ("one", "two", "far", "cut")}
    for path in database.linked_folder().iterdir():
        prefix, _, layer = path.name.partition("_")
        digests[prefix][layer.partition(".")[0]] = sha256_file(path)
    assert len(digests["one"]) == 8 and digests["one"] == digests["two"] == digests["far"] == digests["cut"]


@pytest.mark.parametrize("room", ["12K", pytest.param("64K", marks=pytest.mark.soak)])
def test_a_full_disk_leaves_nothing_and_the_same_command_continues(grass, grass_env, mapset, tmp_path, room):
    """Full where the session writes what a worker sent, or where it imports that."""
    if reason := mounts.missing():
        pytest.skip(f"this system gives no disk to fill: {reason}")
    words = ("r.s2.yearly", f"input={_two_years(tmp_path / 'archive')}", "output=s2", "years=2018", "tiles=all")
    grass(*words)
    (tmp_path / "new").mkdir()
    shutil.copy(mapset / "WIND", tmp_path / "new")
    full = mapset.with_name(f"{mapset.name}_full")
    with cluster(tmp_path / "c", workers=1) as found:
        place = (full, tmp_path / "new", tmp_path / "out", room)
        tried = mounts.try_full_disk(*place, *words, f"scheduler={found.address}", env=grass_env)
    mounts.check_tried(tried)
    assert not [name for name in tried.left if "s2_2018" in name]
    assert ("cannot be written" in tried.said) == (room == "12K")
    for layer in ("B12_p50", "B11_p50", "B04_p50", "count"):
        assert np.array_equal(_cells(f"s2_2018_{layer}@{full.name}"), _cells(f"s2_2018_{layer}@{mapset.name}"))


def test_periods_and_archive_agree_on_days(tmp_path):
    name = write_scene(tmp_path, "32UPD", "2018-12-31", WEST, even_scene(WEST, 1000))
    (period,) = resolve_periods([2018], parse_periods("year"))
    sidecars = list(read_archive(tmp_path))
    assert len(sidecars) == 4 and all(s.scene == name and period.holds(s.sensed_utc) for s in sidecars)
