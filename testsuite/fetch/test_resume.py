"""A second fetch: complete files are kept, others are fetched again, and files are extended with the area."""

import dataclasses
import json
import os

import pytest

from imperviouslib.core.grid import Grid
from imperviouslib.edge.archivefile import fetch_scene, missing_bands
from testsuite.fetch_ground import ALL_BANDS, area, digests, parts_of, task_of


def test_a_second_fetch_sends_no_request(keys, world, tmp_path, expected):
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
def test_incomplete_files_and_those_with_other_settings_are_fetched_again(keys, world, tmp_path, harm):
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
    again = {"another resampling": ("B12", "B11", "B04"), "a larger area": ALL_BANDS}.get(harm, ("B11",))
    assert missing_bands(task) == again
    keys.s3.reset_counts()
    fetch_scene(task)
    assert missing_bands(task) == ()
    assert sum(path.endswith(".jp2") for path in keys.s3.counts()["by_path"]) == len(again)


def test_a_second_region_extends_the_files_of_the_first(keys, world, tmp_path, expected):
    west, east, whole = parts_of(world)
    tasks = [task_of(world, tmp_path, area=part) for part in (west, east)]
    for task in tasks:
        assert missing_bands(task) == ALL_BANDS
        assert not any(outcome.error for outcome in fetch_scene(task))
    # One rectangle holds both and the cells between them, which are what one fetch of it all gives.
    assert digests(tmp_path) == expected
    keys.s3.reset_counts()
    assert [missing_bands(task) for task in (*tasks, task_of(world, tmp_path, area=whole))] == [()] * 3
    assert not any(outcome.error for task in tasks for outcome in fetch_scene(task))
    assert keys.s3.counts()["requests"] == 0


def test_a_file_with_other_settings_does_not_extend_the_new_one(keys, world, tmp_path):
    west, east, _ = parts_of(world)
    fetch_scene(task_of(world, tmp_path, area=west, resampling="bilinear"))
    os.truncate(next(tmp_path.rglob("SCL.tif")), 100)
    fetch_scene(task_of(world, tmp_path, area=east))
    for sidecar in tmp_path.rglob("*.json"):
        assert Grid(*json.loads(sidecar.read_text())["grid"]["bounds"]) == east
    assert len(digests(tmp_path)) == 4
