"""Faults of servers, objects and disks: correct pixels or an error, and never a wrong file."""

import dataclasses
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imperviouslib.core.errors import AccessError
from imperviouslib.core.items import parse_item
from imperviouslib.edge.archivefile import fetch_scene, missing_bands
from testsuite import TOP
from testsuite.fetch_ground import ALL_BANDS, QUICK, digests, items, local_items, task_of
from testsuite.world.faults import Fault

KINDS = ("429", "503", "403", "404", "reset", "cut", "short", "corrupt", "hang")


def assert_never_wrong(archive, outcomes, expected):
    """Each band is correct, or it is reported and has no file."""
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
        assert [outcome.error for outcome in outcomes] == [None] * 4
        assert digests(archive) == expected
        assert keys.s3.counts()["faults"][kind] >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_faults_give_correct_pixels_or_an_error(keys, world, tmp_path, expected, kind):
    keys.s3.rules = [Fault(kind, "jp2", probability=0.4, seconds=0.4)]
    retry = dataclasses.replace(QUICK, timeout_s=0.2) if kind == "hang" else QUICK
    assert_never_wrong(tmp_path, fetch_scene(task_of(world, tmp_path, retry=retry)), expected)
    keys.s3.rules = []
    assert not any(outcome.error for outcome in fetch_scene(task_of(world, tmp_path)))
    assert digests(tmp_path) == expected


@pytest.mark.parametrize("kind", [*KINDS, "expired"])
def test_a_permanent_fault_is_reported_and_a_second_run_fetches_only_missing_files(
    keys, world, tmp_path, expected, kind
):
    keys.s3.rules = [Fault(kind, "B11_20m", seconds=0.4)]
    retry = dataclasses.replace(QUICK, tries=3, timeout_s=0.2) if kind == "hang" else QUICK
    outcomes = {outcome.band: outcome for outcome in fetch_scene(task_of(world, tmp_path, retry=retry))}
    assert outcomes["B11"].error
    assert "\n" not in str(outcomes["B11"].error)
    denied = kind in ("403", "expired")
    assert isinstance(outcomes["B11"].error, AccessError) == denied
    # After the keys were refused nothing more is tried; after any other fault all other bands finish.
    assert [bool(outcomes[band].error) for band in ALL_BANDS] == [False, True, denied, denied]
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
def test_an_incomplete_raster_is_refused_even_without_a_checksum(world, tmp_path, harm, found):
    item = local_items(world, items(world)[:1])[0]
    asset = item["assets"]["B12_20m"]
    broken = tmp_path / "broken.jp2"
    broken.write_bytes(harm(Path(asset["href"]).read_bytes()))
    item["assets"]["B12_20m"] = {"href": str(broken)}
    task = task_of(world, tmp_path / "a", scene=parse_item(item))
    outcomes = {outcome.band: outcome.error for outcome in fetch_scene(task)}
    assert re.search(found, str(outcomes["B12"]))
    assert not list((tmp_path / "a").rglob("B12*"))
    assert [bool(outcomes[band]) for band in ("B11", "B04", "SCL")] == [False] * 3


def test_a_write_that_fails_leaves_no_file(world, tmp_path):
    """A limit on the size of files stands for a full disk."""
    script = (
        "import resource, sys, pickle\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        "from imperviouslib.edge.archivefile import fetch_scene\n"
        "try:\n    print([str(o.error) for o in fetch_scene(pickle.loads(sys.stdin.buffer.read()))])\n"
        "except OSError as err:\n    print('OSError', err)\n"
    )
    item = local_items(world, [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]])[0]
    task = task_of(world, tmp_path, scene=parse_item(item))
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(task), capture_output=True, cwd=TOP)
    # Each of the four bands is reported.
    assert done.stdout.count(b"Make room on the disk") == 4, done.stdout
    assert "B12.tif" not in {path.name for path in tmp_path.rglob("*")}
    assert not list(tmp_path.rglob("*.part*"))
    assert "B12" in missing_bands(task)


@pytest.mark.parametrize(("cells", "room"), [(512, 20_000), (100, 2_000), (100, 0)])
def test_a_disk_that_fills_in_the_middle_of_a_file_is_reported_as_well(tmp_path, cells, room):
    """Whole tiles go to the disk at once, and fail there; a small file goes there when it is closed, and rasterio says nothing if that fails."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from imperviouslib.core.errors import InputError\n"
        "from imperviouslib.core.grid import Grid\n"
        "from imperviouslib.edge.rasterfile import TiffWriter\n"
        "side, room = map(int, sys.argv[2:])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))\n"
        "cells = np.random.default_rng(1).integers(1, 9999, (side, side), np.uint16)\n"
        "grid = Grid(0, 0, 20 * side, 20 * side)\n"
        "try:\n    with TiffWriter(Path(sys.argv[1]), grid, 'uint16') as out:\n        out.write(cells, grid)\n"
        "except InputError as err:\n    print(err)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "cells.tif", str(cells), str(room)],
        capture_output=True, text=True, cwd=TOP,
    )  # fmt: skip
    assert f"File '{tmp_path}/cells.tif'" in done.stdout and "Make room on the disk" in done.stdout, done
    assert list(tmp_path.iterdir()) == []
