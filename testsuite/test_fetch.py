"""r.s2.fetch on a small world served on loopback: objects, faults, kills, offsets, keys; the tool itself in GRASS sessions."""

import dataclasses
import functools
import hashlib
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from imperviouslib.core.errors import AccessError, CatalogueError, FetchError, InputError, shown
from imperviouslib.core.grid import Grid
from imperviouslib.core.scenes import Asset, parse_item
from imperviouslib.edge import archivefile, objects, pixels, pool, stac
from imperviouslib.edge.archivefile import Task, fetch_scene, in_use, missing_bands
from imperviouslib.edge.objects import RetryPolicy, get_object, s3_settings
from imperviouslib.stage import fetch
from testsuite import TOP
from testsuite.fetch_ground import area, earth_search, items, local_items, reprocessed, small_world
from testsuite.world.faults import Fault
from testsuite.world.serve import serve

BANDS = ("B12", "B11", "B04", "SCL")
QUICK = RetryPolicy(tries=4, wait_s=0.01, timeout_s=1.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world(tmp_path_factory.mktemp("world") / "w")


@pytest.fixture(scope="module")
def served(world):
    with serve(world) as found:
        yield found


@pytest.fixture
def keys(served, monkeypatch):
    """The served world with its keys in the environment and no faults."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/nonexistent")
    for gate in (served.s3, served.stac):
        gate.rules = []
        gate.reset_counts()
    yield served
    served.s3.rules, served.stac.rules = [], []


def scene_of(world, word):
    return parse_item(next(item for item in items(world) if word in item["id"]))


def task_of(world, archive, word="N0500_R022_T33UUU", **changes):
    task = Task(scene_of(world, word), BANDS, Path(archive), area(world, 2), "cubic", "test", QUICK)
    return dataclasses.replace(task, **changes)


def digests(archive):
    """Return band files, relative, to their checksums; each must have a sidecar that agrees."""
    found = {}
    for path in sorted(Path(archive).rglob("[!.]*.tif")):
        content = json.loads(path.with_suffix(".json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert content["output"] == {"file": path.name, "size": path.stat().st_size, "sha256": digest}
        found[str(path.relative_to(archive))] = digest
    return found


@pytest.fixture(scope="module")
def expected(world, served, tmp_path_factory):
    """Checksums of one scene's files when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in served.environment().items():
            patch.setenv(name, value)
        assert not any(outcome.error for outcome in fetch_scene(task_of(world, folder)))
    found = digests(folder)
    assert len(found) == 4
    return found


# --- objects


def test_an_object_comes_whole_by_one_request(keys, world):
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.reset_counts()
    content = get_object(asset, QUICK)
    assert len(content) == asset.size
    assert "1620" + hashlib.sha3_256(content).hexdigest() == asset.checksum
    assert keys.s3.counts()["requests"] == 1


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_an_object_may_be_a_file(world, prefix):
    item = local_items(world, items(world)[:1])[0]
    asset = parse_item(item).assets["B12"]
    assert len(get_object(dataclasses.replace(asset, href=prefix + asset.href), QUICK)) == asset.size
    with pytest.raises(FetchError, match="checksum"):
        get_object(dataclasses.replace(asset, checksum="1620" + "0" * 64), QUICK)
    with pytest.raises(FetchError, match="No such file"):
        get_object(Asset(asset.href + "x"), QUICK)
    with pytest.raises(InputError, match="scheme ftp"):
        get_object(Asset("ftp://x/y"), QUICK)


def test_an_object_may_come_by_http(world):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=world / "objects"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
        link = asset.href.replace("s3://", f"http://127.0.0.1:{server.server_port}/")
        assert len(get_object(dataclasses.replace(asset, href=link), QUICK)) == asset.size
        with pytest.raises(FetchError, match="HTTP status 404") as caught:
            get_object(Asset(link + "x?sig=TOPSECRET"), QUICK)
        assert "TOPSECRET" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("address", "as_told"),
    [
        ("https://me:PLANTED@host:8080/v1?token=SECRET#SECRET", "https://host:8080/v1"), ("http://SECRET@host", "http://host"),
        ("http://me:SEC@RET@host/a@b.jp2", "http://host/a@b.jp2"), ("s3://bucket/a.jp2?sig=PLANTED", "s3://bucket/a.jp2"),
        ("/data/a#1@b.jp2", "/data/a#1@b.jp2"), ("cdse", "cdse"),
    ],
)  # fmt: skip
def test_an_address_is_told_without_its_secrets(address, as_told):
    assert shown(address) == as_told


def test_passwords_of_addresses_are_neither_told_nor_stored(world, tmp_path, monkeypatch):
    assert (
        objects.scrub("no answer of 'http://me:PLANTED@host:1/x', PLANTED") == "no answer of 'http://host:1/x', PLANTED"
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    for scheme in ("http", "ftp", "s3"):
        with pytest.raises((FetchError, InputError, AccessError)) as caught:
            get_object(Asset(f"{scheme}://me:PLANTED@127.0.0.1:9/x.jp2"), dataclasses.replace(QUICK, tries=1))
        assert "PLANTED" not in str(caught.value) and "127.0.0.1:9" in str(caught.value)
    catalogue = "http://me:PLANTED@127.0.0.1:9/"
    monkeypatch.setattr(stac, "_search_once", lambda *_: (_ for _ in ()).throw(stac._IncompleteError(catalogue)))
    with pytest.raises(CatalogueError, match=r"'http://127\.0\.0\.1:9/'") as caught:
        stac.search(catalogue, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert "PLANTED" not in str(caught.value)

    said = []
    for name in ("verbose", "percent"):
        monkeypatch.setattr(fetch.grass, name, lambda *words: said.append(str(words)))
    monkeypatch.setattr(stac, "search", lambda *_: [])
    options = {
        "stac": catalogue,
        "collection": "",
        "years": "2021",
        "window": "04-15/10-31",
        "clouds": "9",
        "tiles": "",
    }
    with pytest.raises(CatalogueError, match=r"Search in 'http://127\.0\.0\.1:9/'") as caught:
        fetch._find(options, fetch.Area(area(world), np.ones((1, 1), bool)), [2021], ["B04"])
    assert said and "PLANTED" not in str(said) + str(caught.value)

    # An object whose address holds a password, as the archive keeps it.
    scene = parse_item(local_items(world, [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]])[0])
    content = Path(scene.assets["B11"].href).read_bytes()
    remote = dataclasses.replace(scene.assets["B11"], href="http://me:PLANTED@127.0.0.1:9/x.jp2?token=PLANTED")
    monkeypatch.setattr(pixels, "get_object", lambda *_: content)
    scene = dataclasses.replace(scene, assets={**scene.assets, "B11": remote})
    (outcome,) = fetch_scene(task_of(world, tmp_path, scene=scene, bands=("B11",), catalogue=catalogue))
    assert outcome.error == ""
    sidecar = json.loads(next(tmp_path.rglob("B11.json")).read_text())
    assert sidecar["source"]["href"] == "http://127.0.0.1:9/x.jp2" and sidecar["catalogue"] == "http://127.0.0.1:9/"


def test_a_server_that_names_a_wait_gets_it_and_waits_grow(keys, world):
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.rules = [Fault("429", "B12", times=1, seconds=7), Fault("503", "B12", times=3)]
    waits = []
    get_object(asset, dataclasses.replace(QUICK, tries=6, wait_s=1.0), sleep=waits.append)
    assert len(waits) == 4
    assert waits[0] >= 7
    # 2, 4 and 8 s, each with a fifth of chance.
    assert all(abs(wait - 2 ** (n + 1)) <= 0.2 * 2 ** (n + 1) for n, wait in enumerate(waits[1:]))


def test_a_cut_body_is_gone_on_with(keys, world, monkeypatch):
    monkeypatch.setattr(objects, "_CHUNK", 512)
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.rules = [Fault("cut", "B12", times=2)]
    assert len(get_object(asset, QUICK)) == asset.size
    # Half, half of the rest, the rest: at most a chunk of each came twice.
    assert keys.s3.counts()["requests"] == 3
    assert asset.size <= keys.s3.counts()["bytes"] <= asset.size + 2 * 512


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch"), ("AWS_ACCESS_KEY_ID", "unknown", "InvalidAccessKeyId"),
        ("AWS_ACCESS_KEY_ID", "", "no keys in the environment"),
    ],
)  # fmt: skip
def test_wrong_or_missing_keys_are_told_at_once(keys, world, monkeypatch, name, value, found):
    monkeypatch.setenv(name, value)
    waits = []
    with pytest.raises(AccessError, match=found):
        get_object(scene_of(world, "N0500_R022_T33UUU").assets["B12"], QUICK, sleep=waits.append)
    assert waits == []


def test_keys_may_come_from_a_profile_file(keys, world, monkeypatch, tmp_path):
    env = keys.environment()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(
        f"[mine]\naws_access_key_id = {env['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {env['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    asset = scene_of(world, "N0500_R022_T33UUU").assets["SCL"]
    assert len(get_object(asset, QUICK)) == asset.size
    file.write_text("aws_secret_access_key = PLANTED\n")
    with pytest.raises(AccessError, match="no profile file") as caught:
        get_object(asset, QUICK)
    assert "PLANTED" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("env", "endpoint", "path_style"),
    [
        ({}, None, False), ({"AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu"}, "https://eodata.dataspace.copernicus.eu", True),
        ({"AWS_S3_ENDPOINT": "http://data.cloudferro.com/"}, "http://data.cloudferro.com", True),
        ({"AWS_S3_ENDPOINT": "h:1", "AWS_HTTPS": "NO"}, "http://h:1", True),
        ({"AWS_S3_ENDPOINT": "h", "AWS_VIRTUAL_HOSTING": "TRUE"}, "https://h", False),
        ({"AWS_VIRTUAL_HOSTING": "FALSE"}, None, True),
    ],
)  # fmt: skip
def test_the_aws_variables_mean_what_they_mean_to_gdal(env, endpoint, path_style):
    found = s3_settings({**env, "HOME": "/nonexistent"})
    assert (found.endpoint, found.path_style, found.region) == (endpoint, path_style, "default")


# --- scenes


def test_a_second_fetch_asks_for_nothing(keys, world, tmp_path, expected):
    task = task_of(world, tmp_path)
    fetch_scene(task)
    keys.s3.reset_counts()
    assert missing_bands(task) == ()
    assert not any(outcome.error for outcome in fetch_scene(task))
    assert keys.s3.counts()["requests"] == 0
    assert digests(tmp_path) == expected


@pytest.mark.parametrize(
    "harm", ["truncate", "remove", "sidecar", "half a sidecar", "another resampling", "a larger area"]
)
def test_what_is_not_whole_or_not_as_wanted_is_fetched_again(keys, world, tmp_path, harm):
    task = task_of(world, tmp_path, area=area(world, 1))
    fetch_scene(task)
    file = next(tmp_path.rglob("B11.tif"))
    if harm == "truncate":
        os.truncate(file, file.stat().st_size - 1)
    elif harm == "remove":
        file.unlink()
    elif harm == "sidecar":
        file.with_suffix(".json").unlink()
    elif harm == "half a sidecar":
        os.truncate(file.with_suffix(".json"), 200)
    elif harm == "another resampling":
        task = dataclasses.replace(task, resampling="bilinear")
    else:
        task = dataclasses.replace(task, area=area(world, 2))
    again = {"another resampling": ("B12", "B11", "B04"), "a larger area": BANDS}.get(harm, ("B11",))
    assert missing_bands(task) == again
    keys.s3.reset_counts()
    fetch_scene(task)
    assert missing_bands(task) == ()
    assert sum(path.endswith(".jp2") for path in keys.s3.counts()["by_path"]) == len(again)


def parts_of(world):
    """Return two parts of the world's middle that share no cell, and the middle."""
    whole = area(world, 2)
    west = Grid(whole.west, whole.south + 400, whole.west + 600, whole.north)
    return west, Grid(west.east + 200, whole.south, whole.east, whole.north - 600), whole


def test_a_second_region_extends_what_the_first_has_fetched(keys, world, tmp_path, expected):
    west, east, whole = parts_of(world)
    tasks = [task_of(world, tmp_path, area=part) for part in (west, east)]
    for task in tasks:
        assert missing_bands(task) == BANDS
        assert not any(outcome.error for outcome in fetch_scene(task))
    # One rectangle holds both and the cells between them, which are what one fetch of it all gives.
    assert digests(tmp_path) == expected
    keys.s3.reset_counts()
    assert [missing_bands(task) for task in (*tasks, task_of(world, tmp_path, area=whole))] == [()] * 3
    assert not any(outcome.error for task in tasks for outcome in fetch_scene(task))
    assert keys.s3.counts()["requests"] == 0


def test_what_was_made_otherwise_does_not_make_a_file_larger(keys, world, tmp_path):
    west, east, _ = parts_of(world)
    fetch_scene(task_of(world, tmp_path, area=west, resampling="bilinear"))
    os.truncate(next(tmp_path.rglob("SCL.tif")), 100)
    fetch_scene(task_of(world, tmp_path, area=east))
    for sidecar in tmp_path.rglob("*.json"):
        assert Grid(*json.loads(sidecar.read_text())["grid"]["bounds"]) == east
    assert len(digests(tmp_path)) == 4


def meanwhile(monkeypatch, work):
    """Do `work(number)` each time that a file is written and not yet put in place, by another run as it were."""
    verify, done, busy = archivefile._verify, [], []

    def verified(*arguments):
        verify(*arguments)
        if not busy:
            busy.append(True)
            done.append(work(len(done)))
            busy.clear()

    monkeypatch.setattr(archivefile, "_verify", verified)
    return done


@pytest.mark.parametrize("other", ["apart", "around"])
def test_two_runs_with_different_regions_lose_neither(keys, world, tmp_path, monkeypatch, expected, other):
    west, east, whole = parts_of(world)
    mine = task_of(world, tmp_path, area=west, bands=("B11",))
    theirs = dataclasses.replace(mine, area=east if other == "apart" else whole)
    done = meanwhile(monkeypatch, lambda _: fetch_scene(theirs))
    (outcome,) = fetch_scene(mine)
    assert outcome.error == "" and not any(o.error for outcomes in done for o in outcomes)
    assert missing_bands(mine) == missing_bands(theirs) == ()
    ((name, digest),) = digests(tmp_path).items()
    assert expected[name] == digest
    assert not list(tmp_path.rglob("*.part*"))
    # What lies around all that is wanted is not made again.
    assert len(done) == (2 if other == "apart" else 1)


def test_a_file_that_others_make_larger_without_end_is_told(keys, world, tmp_path, monkeypatch):
    west, east, _ = parts_of(world)
    mine = task_of(world, tmp_path, area=west, bands=("B11",))

    def larger(number):
        grid = dataclasses.replace(east, west=east.west + 200, east=east.west + 220 + 20 * number)
        return fetch_scene(dataclasses.replace(mine, area=grid))

    done = meanwhile(monkeypatch, larger)
    (outcome,) = fetch_scene(mine)
    assert "B11: found a file that other runs made larger" in outcome.error and "Run the same command" in outcome.error
    assert len(done) == archivefile._GROWTHS
    # What the others fetched stays.
    assert len(digests(tmp_path)) == 1 and missing_bands(mine) == ("B11",)
    assert not list(tmp_path.rglob("*.part*"))


def test_what_killed_runs_left_goes_once_no_other_run_is_at_work(tmp_path):
    folder = tmp_path / "T33UUU" / "2018" / "scene"
    folder.mkdir(parents=True)
    whole, *left = (folder / name for name in ("B11.tif", ".B11.0a.part.tif", "..B11.0a.part.1b.part.json"))
    for file in (whole, *left):
        file.write_bytes(b"x")
    with in_use(tmp_path):
        assert list(folder.iterdir()) == [whole]
        left[0].write_bytes(b"x")
        with in_use(tmp_path):
            assert left[0].exists()
    with in_use(tmp_path):
        assert list(folder.iterdir()) == [whole]


KINDS = ("429", "503", "403", "404", "reset", "cut", "short", "corrupt", "hang")


def assert_never_wrong(archive, outcomes, expected):
    """Each band is as it must be, or is reported and not there."""
    found = digests(archive)
    for outcome in outcomes:
        name = next(name for name in expected if name.endswith(f"/{outcome.band}.tif"))
        assert (name in found) == (not outcome.error)
    assert found.items() <= expected.items()
    assert not list(Path(archive).rglob("*.part*"))


@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_at_the_first_a_middle_or_the_last_read_is_overcome(keys, world, tmp_path, expected, kind):
    for skip in (0, 2, 4):
        archive = tmp_path / str(skip)
        keys.s3.rules = [Fault(kind, "jp2|xml", times=1, skip=skip, seconds=2)]
        retry = dataclasses.replace(QUICK, timeout_s=0.3) if kind == "hang" else QUICK
        outcomes = fetch_scene(task_of(world, archive, retry=retry))
        assert [outcome.error for outcome in outcomes] == [""] * 4
        assert digests(archive) == expected
        assert keys.s3.counts()["faults"][kind] >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_faults_give_right_pixels_or_a_report(keys, world, tmp_path, expected, kind):
    keys.s3.rules = [Fault(kind, "jp2", probability=0.4, seconds=0.4)]
    retry = dataclasses.replace(QUICK, timeout_s=0.2) if kind == "hang" else QUICK
    assert_never_wrong(tmp_path, fetch_scene(task_of(world, tmp_path, retry=retry)), expected)
    keys.s3.rules = []
    assert not any(outcome.error for outcome in fetch_scene(task_of(world, tmp_path)))
    assert digests(tmp_path) == expected


@pytest.mark.parametrize("kind", [*KINDS, "expired"])
def test_a_fault_for_good_is_reported_and_a_second_run_mends_just_that(keys, world, tmp_path, expected, kind):
    keys.s3.rules = [Fault(kind, "B11_20m", seconds=0.4)]
    retry = dataclasses.replace(QUICK, tries=3, timeout_s=0.2) if kind == "hang" else QUICK
    outcomes = {outcome.band: outcome for outcome in fetch_scene(task_of(world, tmp_path, retry=retry))}
    assert outcomes["B11"].error
    assert "\n" not in outcomes["B11"].error
    denied = kind in ("403", "expired")
    assert outcomes["B11"].denied == denied
    # After keys were refused nothing more is tried; after any other fault all the rest finishes.
    assert [bool(outcomes[band].error) for band in BANDS] == [False, True, denied, denied]
    assert_never_wrong(tmp_path, outcomes.values(), expected)
    keys.s3.rules = []
    keys.s3.reset_counts()
    assert not any(outcome.error for outcome in fetch_scene(task_of(world, tmp_path)))
    assert digests(tmp_path) == expected
    assert sum("jp2" in path for path in keys.s3.counts()["by_path"]) == (3 if denied else 1)


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda content: content[: len(content) // 2], "pixels that cannot be decoded|no raster"),
        (lambda content: b"<html>Log in</html>", "no raster"), (lambda content: b"", "0 bytes"),
        (lambda content: content[:300], "no raster|cannot be decoded"),
    ],
)  # fmt: skip
def test_an_object_that_is_no_whole_raster_is_refused_even_without_a_checksum(world, tmp_path, harm, found):
    item = local_items(world, items(world)[:1])[0]
    asset = item["assets"]["B12_20m"]
    broken = tmp_path / "broken.jp2"
    broken.write_bytes(harm(Path(asset["href"]).read_bytes()))
    item["assets"]["B12_20m"] = {"href": str(broken)}
    task = task_of(world, tmp_path / "a", scene=parse_item(item))
    outcomes = {outcome.band: outcome.error for outcome in fetch_scene(task)}
    import re

    assert re.search(found, outcomes["B12"])
    assert not list((tmp_path / "a").rglob("B12*"))
    assert [bool(outcomes[band]) for band in ("B11", "B04", "SCL")] == [False] * 3


def test_a_write_that_fails_leaves_no_file(world, tmp_path):
    """A limit on the size of files stands for a full disk."""
    script = (
        "import resource, sys, pickle\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        "from imperviouslib.edge.archivefile import fetch_scene\n"
        "try:\n    print([o.error for o in fetch_scene(pickle.loads(sys.stdin.buffer.read()))])\n"
        "except OSError as err:\n    print('OSError', err)\n"
    )
    import pickle

    item = local_items(world, [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]])[0]
    task = task_of(world, tmp_path, scene=parse_item(item))
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(task), capture_output=True, cwd=TOP)
    # Each of the four bands is reported.
    assert done.stdout.count(b"Make room on the disk") == 4, done.stdout
    assert "B12.tif" not in {path.name for path in tmp_path.rglob("*")}
    assert not list(tmp_path.rglob("*.part*"))
    assert "B12" in missing_bands(task)


def test_a_disk_that_fills_in_the_midst_of_a_file_is_told_as_well(tmp_path):
    """Whole tiles go to the disk at once, and fail there."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from imperviouslib.core.errors import InputError\n"
        "from imperviouslib.core.grid import Grid\n"
        "from imperviouslib.edge.rasterfile import TiffWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "cells = np.random.default_rng(1).integers(1, 9999, (512, 512), np.uint16)\n"
        "grid = Grid(0, 0, 10240, 10240)\n"
        "try:\n    with TiffWriter(Path(sys.argv[1]), grid, 'uint16') as out:\n        out.write(cells, grid)\n"
        "except InputError as err:\n    print(err)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "cells.tif"], capture_output=True, text=True, cwd=TOP
    )
    assert f"File in '{tmp_path}'" in done.stdout and "Make room on the disk" in done.stdout, done
    assert list(tmp_path.iterdir()) == []


# --- the offset: one acquisition as it was made first, and processed again with the offset in the numbers


@pytest.fixture(scope="module")
def reflectance(world, tmp_path_factory):
    """Fetch a scene from local links and return its B12 and B04, and what the sidecar tells of the offset."""

    def fetch(item):
        folder = tmp_path_factory.mktemp("offset")
        task = task_of(world, folder, scene=parse_item(item))
        assert [o.error for o in fetch_scene(task)] == [""] * 4
        planes = []
        for band in ("B12", "B04"):
            path = next(folder.rglob(f"{band}.tif"))
            with rasterio.open(path) as file:
                planes.append(file.read(1))
        return np.array(planes), json.loads(path.with_suffix(".json").read_text())["offset"]

    return fetch


def test_reprocessed_with_an_offset_is_the_same_reflectance(world, reflectance):
    both = reprocessed(world)
    first = min(both)
    assert float(first) < 4 < float(max(both))
    (old, old_offset), (new, new_offset) = (reflectance(local_items(world, [both[v]])[0]) for v in (first, "05.00"))
    assert (old_offset["dn"], new_offset["dn"]) == (0, -1000)
    assert old_offset["metadata_read"] and new_offset["metadata_read"]
    assert (old == new).all() and old.max() > 0


def test_no_false_step_at_the_change_of_baseline(world, tmp_path):
    """From 04.00 on the objects' numbers are 1000 higher than reflectance; the files' are not. Pixels are looked up by pyproj."""
    from pyproj import Transformer

    for version, step in (("N0301", 0), ("N0400", 1000)):
        item = local_items(world, [i for i in items(world) if f"{version}_R022_T32UPD_20" in i["id"]])[-1]
        task = task_of(world, tmp_path, scene=parse_item(item), resampling="nearest")
        assert [o.error for o in fetch_scene(task)] == [""] * 4
        folder = next(tmp_path.rglob(f"{item['id']}"))
        for band in ("B12", "B11", "B04"):
            with rasterio.open(folder / f"{band}.tif") as file:
                found, transform = file.read(1), file.transform
            with rasterio.open(item["assets"][f"{band}_20m"]["href"]) as file:
                raw, to_pixel, crs = file.read(1), ~file.transform, file.crs
            rows, cols = np.mgrid[: found.shape[0], : found.shape[1]]
            x, y = transform.c + 20 * (cols + 0.5), transform.f - 20 * (rows + 0.5)
            east, north = Transformer.from_crs(3035, crs, always_xy=True).transform(x, y)
            pixel_cols, pixel_rows = to_pixel.a * east + to_pixel.c, to_pixel.e * north + to_pixel.f
            inside = (pixel_rows > 0) & (pixel_rows < raw.shape[0]) & (pixel_cols > 0) & (pixel_cols < raw.shape[1])
            expected = raw[pixel_rows[inside].astype(int), pixel_cols[inside].astype(int)].astype(int)
            expected = np.where(expected > 0, np.maximum(expected - step, 1), 0)
            assert inside.mean() > 0.9
            assert (found[inside] == expected).all()


@pytest.mark.parametrize(
    ("collection", "applied", "claims"),
    [("sentinel-2-c1-l2a", False, None), ("sentinel-2-l2a", True, True), ("sentinel-2-l2a", True, False), ("sentinel-2-l2a", False, False)],
)  # fmt: skip
@pytest.mark.parametrize("again", [False, True])
def test_earth_search_with_its_lying_offsets_gives_the_same_reflectance(
    world, reflectance, tmp_path, collection, applied, claims, again
):
    both = reprocessed(world)
    chosen = [both[max(both) if again else min(both)]]
    cdse, _ = reflectance(local_items(world, chosen)[0])
    path = earth_search(world, tmp_path, chosen, collection=collection, applied=applied, claims=claims)
    found, offset = reflectance(json.loads(path.read_text())["features"][0])
    assert offset["dn"] == (-1000 if again and not applied else 0)
    assert (found == cdse).all()


def test_a_claim_that_the_pixels_refute_and_metadata_that_contradict_are_errors(world, tmp_path):
    chosen = [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]]
    path = earth_search(world, tmp_path / "es", chosen, collection="sentinel-2-l2a", applied=False, claims=True)
    scene = parse_item(json.loads(path.read_text())["features"][0])
    outcomes = fetch_scene(task_of(world, tmp_path / "a", scene=scene))
    assert all("claims an applied offset" in o.error for o in outcomes if o.band != "SCL")
    # An item that names another baseline than the product's own metadata.
    item = local_items(world, chosen)[0]
    item["properties"]["processing:version"] = "03.00"
    outcomes = fetch_scene(task_of(world, tmp_path / "b", scene=parse_item(item)))
    assert all("baseline 05.00 in its metadata" in o.error for o in outcomes if o.band != "SCL")
    assert {p.name for p in tmp_path.rglob("B*.tif") if "es" not in p.parts} == set()


# --- workers


def _square(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_worker_that_dies_costs_its_own_task_alone():
    results = dict(pool.run_all(_square, list(range(12)), 2))
    assert isinstance(results.pop(3), pool.WorkerDiedError)
    assert results == {n: n * n for n in range(12) if n != 3}


FETCH_ALL = """
import pickle, sys
from pathlib import Path
from imperviouslib.edge import archivefile, pool
if __name__ == "__main__":
    tasks = pickle.loads(Path(sys.argv[1]).read_bytes())
    due = [p for t in tasks for p in t.parts() if archivefile.missing_bands(p)]
    archivefile.check_writable(tasks[0].archive)
    with archivefile.in_use(tasks[0].archive):
        for _, result in pool.run_all(archivefile.fetch_scene, due, 2):
            assert not isinstance(result, Exception) and not any(o.error for o in result), result
"""


@pytest.fixture
def all_scenes(world, tmp_path):
    """A command that fetches every scene of the world with two workers, and the archive into which it does."""
    import pickle

    archive = tmp_path / "archive"
    tasks = [Task(parse_item(i), BANDS, archive, area(world, 2), "cubic", "test", QUICK) for i in items(world)]
    (tmp_path / "tasks").write_bytes(pickle.dumps(tasks))
    (tmp_path / "fetch.py").write_text(FETCH_ALL)
    command = [sys.executable, str(tmp_path / "fetch.py"), str(tmp_path / "tasks")]
    return command, archive, len(tasks) * len(BANDS)


def run_in_source_tree(command):
    return subprocess.Popen(command, cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)})


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.soak)])
def test_killed_at_random_moments_it_goes_on_without_fetching_what_is_whole(keys, all_scenes, rounds):
    command, archive, files = all_scenes
    keys.s3.rules = [Fault("slow", "jp2", seconds=0.1)]
    dice, kills = random.Random(4), 0
    asked: dict[str, int] = {}
    while kills < rounds:
        whole = {p.parent.name + p.stem for p in archive.rglob("[!.]*.json")}
        keys.s3.reset_counts()
        process = run_in_source_tree(command)
        # From the first request on, which comes late where the machine is busy.
        while keys.s3.counts()["requests"] == 0 and process.poll() is None:
            time.sleep(0.02)
        time.sleep(dice.random() * 1.2)
        done = process.poll() is not None
        process.kill()
        process.wait()
        kills += 1
        for path in keys.s3.counts()["by_path"]:
            if path.endswith(".jp2"):
                band, name = path.split("_")[-2], path.split(".SAFE")[0].rsplit("/", 1)[1]
                assert name + band not in whole, f"{band} of {name} was whole and fetched again"
                asked[path] = asked.get(path, 0) + 1
        digests_of_whole(archive)
        if done and kills < rounds:
            # All is there before the kills are spent: begin again with half of it gone.
            for sidecar in sorted(archive.rglob("[!.]*.json"))[::2]:
                sidecar.unlink()
    keys.s3.rules = []
    assert run_in_source_tree(command).wait() == 0
    assert len(digests(archive)) == files
    assert not list(archive.rglob("*.part*"))
    # The runs were killed in the midst of their work, not before it.
    assert sum(asked.values()) > rounds / 2


def digests_of_whole(archive):
    for sidecar in Path(archive).rglob("[!.]*.json"):
        content = json.loads(sidecar.read_text())
        assert hashlib.sha256(sidecar.with_suffix(".tif").read_bytes()).hexdigest() == content["output"]["sha256"]


def test_workers_of_a_killed_run_end_with_it(keys, all_scenes):
    command, _, _ = all_scenes
    keys.s3.rules = [Fault("slow", "jp2", seconds=20)]
    process = run_in_source_tree(command)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 20
    # Two workers and the tracker of shared resources.
    while len(children.read_text().split()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    workers = [int(pid) for pid in children.read_text().split()]
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) >= 3
    assert not any(_runs(pid) for pid in workers)


def _runs(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_two_runs_at_once_do_not_harm_each_other(keys, all_scenes):
    command, archive, files = all_scenes
    assert [p.wait() for p in [run_in_source_tree(command), run_in_source_tree(command)]] == [0, 0]
    assert len(digests(archive)) == files


# --- catalogues


def test_a_search_over_several_pages_is_whole(keys, monkeypatch):
    monkeypatch.setattr(stac, "PAGE", 3)
    found = stac.search(keys.stac_url, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert [item["id"] for item in found] == sorted(item["id"] for item in items(keys.out))
    assert len(keys.stac.counts()["by_path"]) >= 1


@pytest.mark.parametrize("kind", ["503", "429", "reset", "cut"])
def test_a_page_that_fails_is_asked_for_again(keys, monkeypatch, kind):
    monkeypatch.setattr(stac, "PAGE", 3)
    keys.stac.rules = [Fault(kind, "search", times=2, skip=1, seconds=0)]
    assert len(stac.search(keys.stac_url, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")) == len(items(keys.out))
    assert keys.stac.counts()["faults"][kind] == 2


def test_a_catalogue_that_is_cut_for_good_is_an_error(keys, monkeypatch):
    monkeypatch.setattr(stac, "_TRIES", 2)
    keys.stac.rules = [Fault("cut", "search")]
    with pytest.raises(CatalogueError, match="2 times") as caught:
        stac.search(keys.stac_url + "?token=TOPSECRET", None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert "\n" not in str(caught.value)


class _Lying(http.server.BaseHTTPRequestHandler):
    """A catalogue that gives ten items and no next page, whatever is asked for."""

    everything = ()

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(
            {
                "type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
                "links": [{"rel": "search", "href": f"http://{self.headers['Host']}/search", "method": "POST"}],
            }
        )  # fmt: skip

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first, last = asked["datetime"].split("/")
        found = [i for i in self.everything if first <= i["properties"]["datetime"] <= last]
        self.answer({"type": "FeatureCollection", "features": found[:10], "links": []})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_server_that_silently_ends_after_a_page_is_found_out(world, monkeypatch):
    monkeypatch.setattr(stac, "_TRIES", 1)
    monkeypatch.setattr(_Lying, "everything", items(world))
    assert len(items(world)) > 10
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Lying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(CatalogueError, match="only the first 10 items of a longer list"):
            stac.search(f"http://127.0.0.1:{server.server_port}/", None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("form", ["collection", "list", "lines", "one item", "indented"])
def test_an_item_list_has_several_forms(world, tmp_path, monkeypatch, form):
    monkeypatch.setattr(stac, "_PIECE", 700)
    all_items = items(world) if form != "one item" else items(world)[:1]
    collection = {
        "type": "FeatureCollection",
        "numberReturned": 7,
        "links": [{"rel": "self"}],
        "features": all_items,
        "note": {"a": [1, "}"]},
    }
    text = {
        "collection": json.dumps(collection), "list": json.dumps(all_items), "lines": "\n".join(json.dumps(i) for i in all_items),
        "one item": json.dumps(all_items[0]), "indented": json.dumps(collection, indent=2),
    }[form]  # fmt: skip
    path = tmp_path / "items.json"
    path.write_text(text)
    assert list(stac.read_collection(path)) == all_items


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"features": [', '{"features": [{}', '[{"a": 1},', "[1, 2]", "hello", '{"features": [{"a": 1}]', "[] x"],
)
def test_an_item_list_that_is_cut_or_none_is_refused(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(CatalogueError, match="expected a STAC item collection"):
        list(stac.read_collection(path))


# --- the tool in GRASS


@pytest.fixture
def tool(mapset, world, keys):
    """Run r.s2.fetch in a new mapset whose region is the middle of the world; returns (status, stdout, stderr)."""
    import grass.script as gs

    grid = area(world, 2)
    gs.run_command("g.region", w=grid.west, s=grid.south, e=grid.east, n=grid.north, res=20, quiet=True)

    def run(*words, env=None, **options):
        words = [*words, *(f"{key}={value}" for key, value in options.items())]
        done = subprocess.run(
            [sys.executable, TOP / "r.s2.fetch" / "r.s2.fetch.py", *words],
            capture_output=True, text=True, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def maps():
    import grass.script as gs

    return sorted(name.split("@")[0] for name in gs.list_strings("raster"))


def test_the_tool_lists_fetches_links_and_fetches_no_more(tool, keys, world, tmp_path, expected):
    import grass.script as gs

    options = {"stac": keys.stac_url, "output": tmp_path / "a", "clouds": 100, "window": "04-15/10-31", "nprocs": 2}
    status, out, err = tool("-l", years="2021-2022", format="json", **options)
    assert status == 0, err
    plan = json.loads(out)
    # Two dates a year of two tiles, one of them in two halves; of what was processed twice only the newer.
    assert len(plan["scenes"]) == 9
    assert plan["files"] == 36 and plan["bytes"] > 1e5 and plan["holes"] == []
    assert {(p["tile"], p["year"]) for p in plan["periods"]} == {
        (t, y) for t in ("32UPD", "33UUU") for y in (2021, 2022)
    }
    assert not (tmp_path / "a").exists() and maps() == []
    assert keys.s3.counts()["requests"] == 0
    status, out, err = tool("-l", years="2021", **options)
    assert "4 scenes, 16 files to fetch" in out

    status, out, err = tool(years="2021", **options)
    assert status == 0, err
    assert "4 scenes, 16 files: 16 fetched, 0 were there, 0 failed" in out
    found = digests(tmp_path / "a")
    assert expected.items() <= found.items()
    assert len(maps()) == 16
    # A longer period extends the archive and the space-time dataset; nothing that is there is asked for.
    keys.s3.reset_counts()
    status, out, err = tool(years="2021-2022", **options)
    assert status == 0 and "9 scenes, 36 files: 20 fetched, 16 were there, 0 failed" in out
    assert not any("2021/" in path for path in keys.s3.counts()["by_path"])
    assert len(maps()) == 36
    assert len(gs.read_command("t.rast.list", input="scenes", columns="name", flags="u").split()) == 36
    keys.s3.reset_counts()
    status, out, err = tool(years="2021-2022", format="json", **options)
    assert status == 0 and json.loads(out)["fetched"] == 0
    assert keys.s3.counts()["requests"] == 0

    when = datetime.fromisoformat(reprocessed(world)["05.00"]["properties"]["datetime"])
    name = next(m for m in maps() if f"33UUU_{when:%Y_%m_%d}" in m and m.endswith("B04"))
    info = gs.raster_info(name)
    assert (
        info["semantic_label"].strip('"') == "S2_4"
        and info["title"].strip('"') == f"B04 of 33UUU, {when:%Y-%m-%dT%H:%M:%S}Z"
    )
    history = gs.read_command("r.info", flags="h", map=name)
    assert "offset -1000 (baseline 05.00 is 04.00 or later)" in " ".join(history.split())
    assert gs.read_command("r.timestamp", map=name).strip() == f"{when.day} {when:%b %Y %H:%M:%S}"


def test_the_tool_fetches_for_a_vector_map_or_a_box_and_imports(tool, keys, world, tmp_path):
    import grass.script as gs

    grid = area(world, 1)
    gs.run_command("v.in.region", output="place", quiet=True)
    gs.run_command("g.region", n=40, s=0, w=0, e=40, res=20, quiet=True)
    options = {"stac": keys.stac_url, "years": "2021", "clouds": 100, "scenes": 1, "tiles": "33UUU", "bands": "B04"}
    status, _, err = tool("-i", area="place", output=tmp_path / "a", **options)
    assert status == 0, err
    sidecar = json.loads(next((tmp_path / "a").rglob("B04.json")).read_text())
    assert sidecar["grid"]["bounds"] == list(area(world, 2).bounds)
    assert len(maps()) == 2 and gs.raster_info(maps()[0])["maptype"] == "raster"
    from imperviouslib.edge.warp import lonlat_bounds

    box = ",".join(f"{degrees:.6f}" for degrees in lonlat_bounds(grid))
    status, _, err = tool("-n", bbox=box, output=tmp_path / "b", **options)
    assert status == 0, err
    sidecar = json.loads(next((tmp_path / "b").rglob("B04.json")).read_text())
    assert Grid(*sidecar["grid"]["bounds"]).contains(grid)
    assert len(maps()) == 2


def extents():
    """Return the extents of the mapset's maps, which are those of the maps and of the dataset's list of them."""
    import grass.script as gs

    edges = ("west", "south", "east", "north")
    of_maps = {name: tuple(int(gs.raster_info(name)[edge]) for edge in edges) for name in maps()}
    rows = gs.read_command("t.rast.list", input="scenes", columns=",".join(("name", *edges)), flags="u").split()
    assert {row.split("|")[0]: tuple(int(float(x)) for x in row.split("|")[1:]) for row in rows} == of_maps
    return set(of_maps.values())


def test_maps_follow_files_that_grow_and_become_copies_where_these_are_asked_for(tool, keys, world, tmp_path):
    import grass.script as gs

    west, east, whole = parts_of(world)
    options = {"stac": keys.stac_url, "years": "2021", "clouds": 100, "scenes": 1, "tiles": "33UUU", "bands": "B04"}

    def go(grid, *words, **more):
        gs.run_command("g.region", w=grid.west, s=grid.south, e=grid.east, n=grid.north, quiet=True)
        status, _, err = tool(*words, **{"output": tmp_path / "a", **options, **more})
        assert status == 0, err
        assert all(gs.read_command("r.timestamp", map=name).strip() for name in maps())
        return err

    def cells():
        from imperviouslib.edge.grass import read_cells

        return read_cells(next(name for name in maps() if name.endswith("B04")), whole)

    go(west)
    assert extents() == {west.bounds}
    assert "Linking 2 maps" in go(east)
    assert extents() == {whole.bounds}
    with rasterio.open(next((tmp_path / "a").rglob("B04.tif"))) as file:
        assert (cells() == file.read(1)).all() and cells().any()
    assert "Linking" not in go(west)
    # Copies in the place of links, of which nothing is left; they stay as they are.
    linked = cells()
    assert "Importing 2 maps" in go(west, "-i")
    (tmp_path / "a").rename(tmp_path / "b")
    assert (cells() == linked).all() and extents() == {whole.bounds}
    (tmp_path / "b").rename(tmp_path / "a")
    for words in (("-i",), ()):
        assert "maps..." not in go(west, *words)
    assert gs.raster_info(maps()[0])["maptype"] == "raster"
    # A copy of a file that was made anew.
    go(west, "-i", resampling="nearest")
    assert not (cells() == linked).all()
    # The same scenes in another archive: the links lead there.
    assert "Linking 2 maps" in go(west, output=tmp_path / "c")
    assert extents() == {west.bounds}
    assert "Linking" not in go(west, output=tmp_path / "c")


def test_the_tool_reports_what_failed_and_mends_it_with_the_next_run(tool, keys, world, tmp_path):
    options = {
        "stac": keys.stac_url,
        "output": tmp_path / "a",
        "clouds": 100,
        "years": "2021",
        "tries": 2,
        "nprocs": 2,
        "timeout": 1,
    }
    dates = {i["properties"]["datetime"] for i in items(world) if "_2021" in i["id"]}
    (once,) = dates - {i["properties"]["datetime"] for i in reprocessed(world).values()}
    keys.s3.rules = [Fault("404", f"{once[:10].replace('-', '')}.*B11_20m")]
    status, out, err = tool(**options)
    assert out, err
    assert status == 1 and "4 scenes, 16 files: 14 fetched, 0 were there, 2 failed" in out
    assert err.count("HTTP status 404") >= 2 and "Traceback" not in err
    status, out, err = tool("-k", **options)
    assert status == 0 and "0 fetched, 14 were there, 2 failed" in out
    keys.s3.rules = []
    status, out, err = tool(**options)
    assert status == 0 and "2 fetched, 14 were there, 0 failed" in out


def test_expired_keys_stop_the_run_and_keep_what_is_there(tool, keys, tmp_path):
    options = {"stac": keys.stac_url, "output": tmp_path / "a", "clouds": 100, "years": "2021"}
    keys.s3.rules = [Fault("expired", "jp2", skip=5)]
    status, out, err = tool(**options)
    assert status == 1 and "ExpiredToken" in err and "Set AWS_ACCESS_KEY_ID" in err
    asked = sum(n for path, n in keys.s3.counts()["by_path"].items() if "jp2" in path)
    assert asked <= 5 + 3
    keys.s3.rules = []
    status, out, err = tool(**options)
    assert status == 0 and "11 fetched, 5 were there" in out


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"years": "2021,2020"}, "Option <years>"), ({"window": "1-1/2-2"}, "Option <window>"), ({"bands": "B99"}, "Option <bands>"),
        ({"stac": "missing.json"}, "no file 'missing.json'"), ({"clouds": "0"}, "none left"), ({"years": "2019"}, "none left"),
        ({"stac": "http://127.0.0.1:9/"}, "Catalogue 'http://127.0.0.1:9/'"), ({"bbox": "1,2,3"}, "Option <bbox>"),
        ({"bbox": "0,0,1,1"}, "none left"), ({"area": "nothing"}, "vector map <nothing>"), ({"output": "/dev/null/x"}, "Option <output>, '/dev/null': found a file"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(tool, keys, monkeypatch, change, found):
    options = {"stac": keys.stac_url, "output": "/tmp/never", "years": "2021", "clouds": "100", **change}
    status, _, err = tool(**options)
    errors = [line for line in err.splitlines() if line.startswith("ERROR")]
    assert status == 1 and len(errors) == 1, err
    assert found in " ".join(err.split()) and "Traceback" not in err
    assert not Path("/tmp/never").exists()


def test_secrets_go_nowhere(tool, keys, tmp_path):
    """Planted keys, right and wrong, are looked for in maps, ledger, messages and tracebacks."""
    import grass.script as gs

    secrets = [keys.secret_key, keys.access_key, "PLANTEDSECRET", "PLANTEDTOKEN", "X-Amz-Signature"]
    options = {
        "stac": keys.stac_url,
        "output": tmp_path / "a",
        "clouds": 100,
        "years": "2021",
        "nprocs": 2,
        "tries": 1,
        "timeout": 1,
    }
    said = []
    said += tool("--debug", "--verbose", env={"AWS_SECRET_ACCESS_KEY": "PLANTEDSECRET"}, **options)[1:]
    for kind in ("503", "reset", "hang", "cut", "404", "corrupt"):
        keys.s3.rules = [Fault(kind, "B1", seconds=2)]
        said += tool("--debug", "--verbose", **options)[1:]
    keys.s3.rules = []
    said += tool("--debug", "--verbose", env={"AWS_SESSION_TOKEN": "PLANTEDTOKEN"}, **options)[1:]
    said += tool("--debug", "--verbose", **{**options, "stac": keys.stac_url + "/nothing?token=PLANTEDTOKEN"})[1:]
    assert any("Traceback" in text for text in said)
    env = gs.gisenv()
    for folder in (tmp_path / "a", Path(env["GISDBASE"], env["LOCATION_NAME"], env["MAPSET"])):
        said += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    assert maps()
    for secret in secrets:
        assert not [text[max(0, text.find(secret) - 80) : text.find(secret) + 20] for text in said if secret in text]
