"""Killed runs and simultaneous runs: nothing is lost or fetched twice, and no process remains."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imperviouslib.core.items import parse_item
from imperviouslib.edge import archivefile
from imperviouslib.edge.archivefile import Task, fetch_scene, in_use, missing_bands
from testsuite import TOP
from testsuite.fetch_ground import ALL_BANDS, QUICK, area, digests, items, parts_of, task_of
from testsuite.world.faults import Fault


def meanwhile(monkeypatch, work):
    """Call `work(number)` each time that a file is written but not yet renamed, as another run might."""
    write, done, busy = archivefile._write_cells, [], []

    def written(*arguments, **more):
        cells = write(*arguments, **more)
        if not busy:
            busy.append(True)
            done.append(work(len(done)))
            busy.clear()
        return cells

    monkeypatch.setattr(archivefile, "_write_cells", written)
    return done


@pytest.mark.parametrize("other", ["apart", "around"])
def test_two_runs_with_different_regions_keep_both(keys, world, tmp_path, monkeypatch, expected, other):
    west, east, whole = parts_of(world)
    mine = task_of(world, tmp_path, area=west, bands=("B11",))
    theirs = dataclasses.replace(mine, area=east if other == "apart" else whole)
    done = meanwhile(monkeypatch, lambda _: fetch_scene(theirs))
    (outcome,) = fetch_scene(mine)
    assert outcome.error is None and not any(o.error for outcomes in done for o in outcomes)
    assert missing_bands(mine) == missing_bands(theirs) == ()
    ((name, digest),) = digests(tmp_path).items()
    assert expected[name] == digest
    assert not list(tmp_path.rglob("*.part*"))
    # The file already covers all wanted cells, so it is not made again.
    assert len(done) == (2 if other == "apart" else 1)


def test_a_file_that_other_runs_keep_extending_is_reported(keys, world, tmp_path, monkeypatch):
    west, east, _ = parts_of(world)
    mine = task_of(world, tmp_path, area=west, bands=("B11",))

    def larger(number):
        grid = dataclasses.replace(east, west=east.west + 200, east=east.west + 220 + 20 * number)
        return fetch_scene(dataclasses.replace(mine, area=grid))

    done = meanwhile(monkeypatch, larger)
    (outcome,) = fetch_scene(mine)
    assert "B11: other runs extended the file" in str(outcome.error)
    assert "Run the same command" in str(outcome.error)
    assert len(done) == archivefile._GROWTHS
    # The files of the other runs are kept.
    assert len(digests(tmp_path)) == 1 and missing_bands(mine) == ("B11",)
    assert not list(tmp_path.rglob("*.part*"))


def test_files_of_killed_runs_are_removed_when_no_other_run_is_active(tmp_path):
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


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_run_that_fails_removes_what_its_workers_left_unless_another_run_is_active(tmp_path, is_shared):
    folder = tmp_path / "T33UUU" / "2018" / "scene"
    folder.mkdir(parents=True)
    whole, left = folder / "B11.tif", folder / "..B11.0a.part.1b.part.tif"

    def fail():
        with in_use(tmp_path):
            whole.write_bytes(b"x")
            left.write_bytes(b"x")
            raise OSError(28, "full")

    with in_use(tmp_path) if is_shared else contextlib.nullcontext(), pytest.raises(OSError, match="full"):
        fail()
    assert whole.exists() and left.exists() == is_shared


FETCH_ALL = """
import pickle, sys
from pathlib import Path
from imperviouslib.edge import archivefile
from imperviouslib.edge.pool import Processes
if __name__ == "__main__":
    tasks = pickle.loads(Path(sys.argv[1]).read_bytes())
    due = [p for t in tasks for p in t.parts() if archivefile.missing_bands(p)]
    archivefile.check_writable(tasks[0].archive)
    with archivefile.in_use(tasks[0].archive), Processes(2) as pool:
        for _, result in pool.as_finished(archivefile.fetch_scene, due):
            assert not isinstance(result, Exception) and not any(o.error for o in result), result
"""


@pytest.fixture
def all_scenes(world, tmp_path):
    """A command that fetches every scene of the world with two workers, and the archive into which it does."""
    archive = tmp_path / "archive"
    tasks = [Task(parse_item(i), ALL_BANDS, archive, area(world, 2), "cubic", "test", QUICK) for i in items(world)]
    (tmp_path / "tasks").write_bytes(pickle.dumps(tasks))
    (tmp_path / "fetch.py").write_text(FETCH_ALL)
    command = [sys.executable, str(tmp_path / "fetch.py"), str(tmp_path / "tasks")]
    return command, archive, len(tasks) * len(ALL_BANDS)


def run_in_source_tree(command):
    return subprocess.Popen(command, cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)})


@pytest.mark.parametrize("rounds", [4, pytest.param(200, marks=pytest.mark.soak)])
def test_a_run_killed_at_random_continues_without_fetching_complete_files_again(keys, all_scenes, rounds):
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
            # All files exist before the last kill: remove half of them and start again.
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
