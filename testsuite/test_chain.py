"""The whole chain with the installed tools: a made world on loopback, from the catalogue to the table and the dashboard.

The commands are those of doc/tutorial.md, in a smaller world and with a smaller sample, run by `grass --exec`; and those of the job of doc/jobs,
by grass-session. Both runs must give the same table.
"""

import csv
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import rasterio

from imperviouslib.core.design import parse_design
from imperviouslib.core.indicators import UNITS
from imperviouslib.core.legend import DEFAULT_DEFINITION
from imperviouslib.edge.ardfile import ArdFile
from testsuite import TOP
from testsuite.doc_commands import changed, commands_of, is_grass
from testsuite.world.make import main as make_main
from testsuite.world.make import make_world
from testsuite.world.serve import serve
from testsuite.world.spec import Spec

YEARS = (2017, 2018)
SPEC = Spec(seed=3, years=YEARS, size_km=6.0, dates=4)
WAYS = ("exec", "session")


TUTORIAL, JOBS = TOP / "doc" / "tutorial.md", TOP / "doc" / "jobs"
READER = ["python3", "-m", "testsuite.world.interpreter"]
CHART = ["python3", "-m", "testsuite.chart"]
SMALL = {
    "r.s2.fetch": {"clouds": "100"},
    "r.unet.train": {"patch": "32", "depth": "1", "filters": "4", "epochs": "1"},
    "r.impervious.sample": {"points": "40", "windows": "10", "loss_points": "10", "stock": "40"},
    "r.impervious.change": {"vintage": "2026-01-01"},
}
"""Options that differ from the tutorial, so that it is soon done. The model is small, because its accuracy is not tested here."""
ELSEWHERE = ("tools/setup.sh", "make", "eval", "export", "mkdir", "cd", "grass")
"""Commands of the tutorial that prepare the session; fixtures do their work here."""


def commands(stac):
    """Return the commands of the tutorial within the GRASS session, for this world."""
    found = []
    for words in commands_of(TUTORIAL):
        if is_grass(words):
            years = {"years": "2017-2018"} if any(word.startswith("years=") for word in words) else {}
            words = changed([word.replace("$STAC", stac) for word in words], years | SMALL.get(words[0], {}))
            found.append(tuple(word.replace("_2023", "_2018") for word in words))
        elif words[:3] in (READER, CHART) or words[0] == "grep":
            found.append(tuple(words))
        else:
            assert words[0] in ELSEWHERE or words[:3] == ["python3", "-m", "testsuite.world.make"], words
    return found


def writes(words):
    """Tell whether a command makes something that a later one needs, and does not only show it."""
    shows = words[0].startswith("d.") or words[0] in ("r.stats", "r.out.gdal", "grep") or list(words[:3]) == CHART
    return not shows and "-l" not in words


def command(stac, tool):
    """Return the first command of a tool."""
    return next(words for words in commands(stac) if words[0] == tool)


def run_exec(mapset, steps, env, cwd):
    """Run each command by its own `grass --exec`, but those that follow each other and only show something by one. Returns: command to its messages."""
    subprocess.run(["grass", "-c", "EPSG:3035", "-e", mapset.parent], check=True, capture_output=True)
    subprocess.run(["grass", "-c", "-e", mapset], check=True, capture_output=True)
    said = {}
    for key, group in itertools.groupby(steps, key=lambda step: step if writes(step) or not is_grass(step) else "show"):
        # A monitor of the display lives as long as its session.
        lines = "\n".join(shlex.join(step) for step in group)
        words = ("bash", "-ec", lines) if key == "show" else key
        done = subprocess.run(
            ["grass", mapset, "--exec", *words] if key == "show" or is_grass(words) else words,
            cwd=cwd,
            env={**env, "PYTHONPATH": os.pathsep.join([str(TOP), env["PYTHONPATH"]])},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        said[words[0]] = said.get(words[0], "") + done.stdout + done.stderr
    return said


def settings_of_job(folder, served, **changes):
    """Write the settings of a job that does what the tutorial does, in a folder. Returns: the file."""
    outlines, labels = served.out / "regions" / "nuts.gpkg", next((served.out / "labels").glob("s2glc_*.tif"))
    west, south, east, north = SPEC.bounds
    more = {tool.rpartition(".")[2].upper(): options for tool, options in SMALL.items()}
    settings = {
        "WORK": folder, "GRASSDB": folder / "grassdata", "LOCATION": "eu", "MAPSET": "work", "STAC": served.stac_url,
        "REGION": f"n={north} s={south} w={west} e={east}", "YEARS": "2017-2018", "LABELS": labels, "LEGEND": "s2glc",
        "LABEL_YEAR": 2017, "OUTLINES": outlines, "COLUMN": "NUTS_ID", "NPROCS": 2,
        **{name: " ".join(f"{key}={value}" for key, value in options.items()) for name, options in more.items()}, **changes,
    }  # fmt: skip
    settings["SAMPLE"] = f"level=0 {settings['SAMPLE']}"
    file = folder / "settings.sh"
    file.write_text("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()))
    return file


def run_job(command, folder, env, *, kill_at="", **variables):
    """Run a job; with `kill_at`, kill all its processes as soon as a file exists. Returns: exit status and messages."""
    job = subprocess.Popen(
        [*command, folder / "settings.sh"], cwd=folder, env={**env, **variables}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 600
    while kill_at and not (folder / kill_at).exists():
        assert job.poll() is None, f"the job ended before it was killed: {job.stderr.read()}"
        assert time.monotonic() < until
        time.sleep(0.02)
    if kill_at:
        os.killpg(job.pid, signal.SIGKILL)
    _out, said = job.communicate(timeout=600)
    return job.returncode, said


def state_of(folder):
    return json.loads((folder / "job.json").read_text())


def run_session(folder, served, env):
    """Run the job of doc/jobs/chain.py, which uses grass-session: killed between two steps, run again, and once more with the readings."""
    settings_of_job(folder, served)
    job = [sys.executable, JOBS / "chain.py"]
    assert run_job(job, folder, env, kill_at="log/yearly.txt")[0] == -signal.SIGKILL
    before = (folder / "done" / "fetch").stat().st_mtime_ns
    status, said = run_job(job, folder, env)
    assert status == 0, said
    assert (folder / "done" / "fetch").stat().st_mtime_ns == before and "fetch:" not in said
    assert state_of(folder)["state"] == "finished"
    read = next(words for words in commands(served.stac_url) if words[:3] == tuple(READER))
    subprocess.run(read, cwd=folder, env={**env, "PYTHONPATH": str(TOP)}, check=True, capture_output=True)
    settings_of_job(folder, served, READINGS="readings.csv")
    status, said = run_job(job, folder, env)
    assert status == 0 and [line.split(":")[0] for line in said.splitlines() if ": r." in line] == ["change"], said


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    out = make_world(tmp_path_factory.mktemp("chain") / "world", SPEC)
    with serve(out) as server:
        yield server


@pytest.fixture(scope="module")
def chain_env(installed, grass_env, served):
    env = {k: v for k, v in grass_env.items() if k != "GRASS_ADDON_PATH" and not k.startswith("AWS_")}
    return {**env, **served.environment(), "GRASS_ADDON_BASE": str(installed)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, served, chain_env):
    """Folder and messages of both runs, by the way of running."""
    out = {}
    for way in WAYS:
        folder = tmp_path_factory.mktemp(way)
        (folder / "world").symlink_to(served.out)
        if way == "session":
            out[way] = folder, run_session(folder, served, chain_env)
        else:
            out[way] = (
                folder,
                run_exec(folder / "grassdata" / "eu" / "work", commands(served.stac_url), chain_env, folder),
            )
    return out


@pytest.fixture(scope="module")
def chain(runs):
    return runs["exec"][0]


def in_mapset(folder, env, *command):
    return subprocess.run(
        ["grass", folder / "grassdata" / "eu" / "work", "--exec", *command],
        cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip


def table(folder):
    return pq.read_table(folder / "table" / "impervious_nuts.parquet").to_pylist()


pytestmark = pytest.mark.slow


def test_both_ways_of_scripting_give_the_same_table(runs):
    one, other = (runs[way][0] / "table" / "impervious_nuts.csv" for way in WAYS)
    assert one.read_bytes() == other.read_bytes()


def test_the_reports_of_a_job_are_json(runs):
    folder = runs["session"][0]
    reports = {path.stem: json.loads(path.read_text()) for path in (folder / "reports").glob("*.json")}
    assert {"fetch", "yearly", "ard", "train", "sample", "change"} <= set(reports)
    assert set(state_of(folder)["seconds"]) == {path.name for path in (folder / "done").iterdir()}


def test_a_job_of_the_shell_goes_on_after_a_kill_and_says_how_it_ended(served, chain_env, tmp_path):
    """Up to the HDF5 file, whose content does not depend on the kill; the other steps are in the soak form."""
    job, steps = ["bash", JOBS / "chain.sh"], {"STEPS": "labels regions fetch yearly ard"}
    file = settings_of_job(tmp_path, served)
    assert run_job(job, tmp_path, chain_env, kill_at="log/fetch.txt", **steps)[0] == -signal.SIGKILL
    status, said = run_job(job, tmp_path, chain_env, **steps)
    assert status == 0, said
    assert "labels:" not in said and "fetch:" in said and "train:" not in said
    assert state_of(tmp_path) | {"seconds": {}} == {
        "state": "finished",
        "step": "",
        "status": 0,
        "error": "",
        "seconds": {},
    }
    with ArdFile.open(tmp_path / "place.nc") as ard:
        assert ard.years == YEARS
    assert json.loads((tmp_path / "reports" / "fetch.json").read_text())
    # Other settings of a step: it and all later ones are done again; a step that fails ends the job.
    settings_of_job(tmp_path, served, ARD="features=B99_p50")
    status, said = run_job(job, tmp_path, chain_env, **steps)
    assert status == 1 and "Step ard failed" in said and "yearly:" not in said
    ended = state_of(tmp_path)
    assert (ended["state"], ended["step"], ended["status"]) == ("failed", "ard", 1) and "B99_p50" in ended["error"]
    file.write_text(file.read_text().replace("STAC=", "STUCK="))
    status, said = run_job(job, tmp_path, chain_env)
    assert status == 2 and "STAC is not set" in said


@pytest.mark.soak
def test_a_job_of_the_shell_gives_the_table_of_the_other_ways(runs, served, chain_env, tmp_path):
    """Killed in the middle of each step; without readings, so the rows of the methods that need a sample are left out."""
    settings_of_job(tmp_path, served)
    job = ["bash", JOBS / "chain.sh"]
    for step in ("labels", "fetch", "yearly", "ard", "train", "predict", "sample", "change"):
        run_job(job, tmp_path, chain_env, kill_at=f"log/{step}.txt")
    status, said = run_job(job, tmp_path, chain_env)
    assert status == 0, said
    mapped = [
        [r for r in table(folder) if r["method"].startswith("mapped") and r["definition"] == DEFAULT_DEFINITION]
        for folder in (tmp_path, runs["exec"][0])
    ]
    assert mapped[0] == [row for row in mapped[1] if row in mapped[0]] and mapped[0]


def test_every_file_of_the_archive_has_its_sidecar_and_nothing_is_left_over(chain):
    files = sorted(p for p in (chain / "scenes").rglob("*") if p.is_file())
    tiffs, sidecars = ({p.with_suffix("") for p in files if p.suffix == s} for s in (".tif", ".json"))
    assert tiffs == sidecars and tiffs
    assert not [p for p in files if p.suffix not in (".tif", ".json")]
    for file in files:
        if file.suffix == ".json":
            sidecar = json.loads(file.read_text())
            assert sidecar["source"]["checksum"]
            assert "127.0.0.1" in sidecar["catalogue"]


def test_no_secret_stands_in_any_file(chain, served):
    secret = served.secret_key.encode()
    kinds = (".json", ".csv", ".py", ".geojson", ".parquet", ".h5", ".tif", "")
    found = [
        p
        for p in chain.rglob("*")
        if p.is_file() and p.suffix in kinds and "world" not in p.parts and secret in p.read_bytes()
    ]
    assert not found


def test_ard_holds_composites_and_labels_on_the_grid(chain):
    with ArdFile.open(chain / "tutorial.nc") as ard:
        assert ard.years == YEARS
        assert ard.grid.bounds == SPEC.bounds
        cells = ard.read("2018", ard.grid)
        assert cells.shape == (3, 300, 300)
        # Reflectance x 10000 in the range of land: the offset was removed exactly once.
        red = cells[list(ard.features).index("B04_p50")]
        assert 200 < np.median(red[red > 0]) < 1500
        assert set(np.unique(ard.read_label(ard.grid))) <= {0, 1, 2, 3, 4}


def test_xarray_opens_the_file_georeferenced(chain):
    import xarray

    with xarray.open_dataset(chain / "tutorial.nc") as data:
        assert dict(data.sizes)["time"] == 2
        assert data["x"].values[0] == SPEC.bounds[0] + 10
        assert 0.005 < float(data["B04_p50"].median()) < 0.2


def test_null_stays_null_from_composite_to_class(chain, chain_env):
    both = in_mapset(
        chain, chain_env, "r.mapcalc", "expression=odd = isnull(s2_2018_B12_p50) != isnull(lc_2018_class)", "--o"
    )
    assert both.returncode == 0, both.stderr
    counted = in_mapset(chain, chain_env, "r.stats", "-cn", "input=odd", "--q").stdout.split()
    assert counted == ["0", "90000"]


def test_maps_carry_classes_and_provenance(chain, chain_env):
    said = in_mapset(chain, chain_env, "r.category", "map=lc_2017_class", "separator=pipe").stdout
    # r.category lists only classes in the range of the map.
    assert "3|Green" in said
    found = list((chain / "grassdata" / "eu" / "work" / "cell_misc" / "lc_2017_class").glob("*.json"))
    assert found and json.loads(found[0].read_text())["version"]


def test_regions_sum_to_the_whole(chain):
    """The level 3 regions of a country have together as many cells as the country, in each stock."""
    rows = [
        r for r in table(chain)
        if r["lc_flow"] == "STK" and r["method"] == "mapped_raw" and r["unit"] == "KM2" and r["TIME_PERIOD"] == 2018
        and r["definition"] == "artificial_natural"
    ]  # fmt: skip
    for cover in ("IMP", "GRN", "OTH"):
        by_geo = {r["geo"]: r["N_PIX"] for r in rows if r["landcover"] == cover}
        for country in ("XA", "XB"):
            leaves = sum(n for geo, n in by_geo.items() if geo.startswith(country) and len(geo) == 5)
            assert leaves == by_geo[country] > 0


def test_covers_of_a_region_sum_to_the_cells_seen(chain):
    rows = [
        r
        for r in table(chain)
        if r["lc_flow"] == "STK" and r["method"] == "mapped_raw" and r["unit"] == "KM2" and r["geo"] == "XA"
    ]
    for definition in {r["definition"] for r in rows}:
        for year in YEARS:
            mine = [r for r in rows if r["definition"] == definition and r["TIME_PERIOD"] == year]
            assert sum(r["OBS_VALUE"] for r in mine) == pytest.approx(mine[0]["N_PIX"] * 0.0004)


def test_csv_and_parquet_hold_the_same_rows(chain):
    with (chain / "table" / "impervious_nuts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["geo"], r["lc_flow"], int(r["TIME_PERIOD"])) for r in rows] == [
        (r["geo"], r["lc_flow"], r["TIME_PERIOD"]) for r in table(chain)
    ]


def test_the_sample_is_read_and_estimated(chain):
    """Each country has estimates with intervals; regions within it have stocks with intervals, and gains without."""
    design = parse_design((chain / "sample" / "design.json").read_text(), "design.json")
    assert [area.geo for area in design.areas] == ["XA", "XB"]
    assert (chain / "sample" / "sheet.html").is_file()
    rows = [
        r for r in table(chain) if r["unit"] == "KM2" and r["TIME_PERIOD"] == 2018 and r["definition"] == "artificial"
    ]
    found = {(r["method"], r["geo"], r["lc_flow"]): r for r in rows if r["landcover"] == "IMP"}
    for flow in ("STK", "GAIN", "LOSS", "NET"):
        row = found["estimated", "XA", flow]
        assert row["OBS_LCI95"] <= row["OBS_VALUE"] <= row["OBS_UCI95"]
    inside = next(geo for method, geo, _ in found if method == "assisted" and geo.startswith("XA") and len(geo) == 5)
    assert found["assisted", inside, "STK"]["OBS_LCI95"] is not None
    assert found["assisted", inside, "GAIN"]["OBS_LCI95"] is None
    assert found["estimated", inside, "GAIN"]["MISSING_REASON"] == "NO_SAMPLE"


def test_the_rows_that_the_tutorial_prints_are_there(runs):
    _folder, said = runs["exec"]
    assert said["grep"].count(",estimated,KM2,XA,") > 4
    assert "IMP_JOB,artificial,estimated,M2_JOB,XA" in said["grep"]
    assert ",mapped_series,KM2,XA," in said["grep"]


def test_the_pictures_of_the_tutorial_are_made(chain):
    """Each has its size and shows more than one colour; the class map for others is a cloud-optimised GeoTIFF with the cells of the map."""
    for name, least in (("pictures/composite_2018.png", 100), ("sealing.png", 5), ("estimates.png", 5)):
        with PIL.Image.open(chain / name) as picture:
            assert min(picture.size) >= 400, name
            colours = picture.convert("RGB").getcolors(2**24)
        assert len(colours) >= least and max(n for n, _ in colours) < 0.98 * picture.size[0] * picture.size[1], name
    with rasterio.open(chain / "lc_2018.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (file.nodata, file.dtypes[0], file.shape) == (0, "uint8", (300, 300))
        assert set(np.unique(file.read(1))) <= {0, 1, 2, 3, 4}


def test_the_tables_of_the_world_become_indicators(chain):
    rows = pq.read_table(chain / "table" / "impervious_indicators.parquet").to_pylist()
    values = {
        row["indicator"]: row["OBS_VALUE"]
        for row in rows
        if row["geo"] == "XA" and row["method"] == "mapped_consistent"
    }
    assert set(values) == set(UNITS)
    with (chain / "world" / "regions" / "jobs.csv").open(newline="") as file:
        jobs = next(int(row["jobs"]) for row in csv.DictReader(file) if (row["geo"], row["year"]) == ("XA", "2018"))
    stock = next(
        row["OBS_VALUE"]
        for row in table(chain)
        if (row["geo"], row["lc_flow"], row["landcover"], row["unit"]) == ("XA", "STK", "IMP", "KM2")
        if (row["TIME_PERIOD"], row["method"], row["definition"]) == (2018, "mapped_consistent", "artificial")
    )
    per_job = next(
        row["OBS_VALUE"]
        for row in rows
        if (row["indicator"], row["geo"], row["TIME_PERIOD"]) == ("IMP_JOB", "XA", 2018)
        if (row["method"], row["definition"]) == ("mapped_consistent", "artificial")
    )
    assert per_job == pytest.approx(1e6 * stock / jobs)


def test_the_world_of_the_tutorial_can_be_made(tmp_path):
    """The options are those of the maker; a place of 1 km and one year are enough to see that it accepts them."""
    words = next(words for words in commands_of(TUTORIAL) if words[:3] == ["python3", "-m", "testsuite.world.make"])
    at = {"world": str(tmp_path / "world"), "16": "2", "2017-2023": "2017", "8": "1"}
    assert make_main([*(at.get(word, word) for word in words[3:]), "--truth-only"]) == 0


def test_fetch_again_fetches_nothing(chain, chain_env, served):
    before = {p: p.stat().st_mtime_ns for p in (chain / "scenes").rglob("*.tif")}
    step = command(served.stac_url, "r.s2.fetch")
    done = in_mapset(chain, chain_env, *step, "--o")
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in (chain / "scenes").rglob("*.tif")} == before


def test_wrong_key_stops_fetch_in_one_line_and_leaves_nothing(chain, chain_env, served):
    step = [w.replace("output=scenes", "output=elsewhere") for w in command(served.stac_url, "r.s2.fetch")]
    done = in_mapset(chain, {**chain_env, "AWS_SECRET_ACCESS_KEY": "wrong"}, *step, "-n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ERROR:" in done.stderr and "expected" in done.stderr
    assert not [p for p in (chain / "elsewhere").rglob("*") if p.is_file()]


def test_change_again_gives_the_same_bytes(chain, chain_env, served):
    before = (chain / "table" / "impervious_nuts.csv").read_bytes()
    done = in_mapset(chain, chain_env, *command(served.stac_url, "r.impervious.change"), "--o")
    assert done.returncode == 0, done.stderr
    assert (chain / "table" / "impervious_nuts.csv").read_bytes() == before


def test_dashboard_opens_the_table(chain):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--data", chain / "table", "--port", str(port)],
        cwd=TOP,
        stdout=subprocess.DEVNULL,
    )
    try:
        page = _get(f"http://127.0.0.1:{port}/", process)
        assert "<html" in page
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _get(url, process, seconds=30):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + seconds
    while True:
        assert process.poll() is None, "the dashboard has ended"
        try:
            with opener.open(url, timeout=10) as answer:
                assert answer.status == 200
                return answer.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
