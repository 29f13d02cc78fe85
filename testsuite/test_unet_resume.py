"""r.unet.train and r.unet.predict are killed and run again: the result is that of a run that was not, and what was finished is not repeated."""

import glob
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from testsuite.grass_session import Session
from testsuite.unet_ground import grid_at, make_classes, write_ard

GRID = grid_at(150_003, 200_005, 128, 144)
SMALL = ("patch=16", "depth=1", "filters=4", "epochs=5", "batch=4")
FITS = (
    "brief.npz", "changed.npz", "unet.npz", "pixel.npz", "level.npz", "series_labels.npz", "series.npz",
)  # fmt: skip
"""The states of a training that leaves out no label, in the order in which they are written."""
YEARS = (2017, 2018, 2019)


@pytest.fixture(scope="module")
def ard(tmp_path_factory):
    """A file of land of which a part is sealed in the second year."""
    path = tmp_path_factory.mktemp("ard") / "ard.h5"
    classes = {year: make_classes(GRID.shape) for year in YEARS}
    for year in YEARS:
        classes[year][20:60, 20:60] = 3 if year == YEARS[0] else 1
    write_ard(path, GRID, years=YEARS, classes=classes)
    return path


@pytest.fixture(scope="module")
def session(location, grass_env):
    result = Session(location / "resume", grass_env)
    result.region(GRID)
    return result


@pytest.fixture(scope="module")
def model(session, ard, tmp_path_factory):
    """A model whose training was not interrupted."""
    folder = tmp_path_factory.mktemp("models") / "model"
    session("r.unet.train", f"input={ard}", f"output={folder}", *SMALL)
    return folder


def kill_when(session, happened, *words):
    """Run a command in the session, and kill all its processes as soon as something has happened."""
    run = subprocess.Popen(
        ["grass", session.mapset, "--exec", *map(str, words)],
        env=session.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 200
    while not happened():
        assert run.poll() is None, "it ended before it was killed"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "killed_at",
    [("unet.npz", "series.npz"), pytest.param((*FITS, ".*.part/unet.keras"), marks=pytest.mark.soak)],
)
def test_a_training_that_was_killed_gives_the_same_model(session, ard, model, tmp_path, killed_at):
    """Killed once or more; in the last form in each part, and while the model is written."""
    folder, states = tmp_path / "model", tmp_path / "model.unfinished"
    words = ("r.unet.train", f"input={ard}", f"output={folder}", *SMALL)
    seen = {}
    for name in killed_at:
        place = states if name in FITS else tmp_path
        kill_when(session, lambda place=place, name=name: [*place.glob(name)], *words)
        assert not folder.exists()
        found = {path.name: path.stat().st_mtime_ns for path in states.glob("[!.]*.npz")}
        # All but the last one that was under way are finished, and no finished one is written again.
        done = list(seen)[:-1]
        assert [found[one] for one in done] == [seen[one] for one in done]
        seen = {one: found[one] for one in FITS if one in found}
    session(*words)
    assert not states.exists() and [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(folder) == contents(model)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_prediction_that_was_killed_makes_the_same_maps(session, ard, model, tmp_path):
    """Killed after the first year, while the histories are gathered, and while their maps are imported: each year is computed once."""
    words = ("r.unet.predict", f"input={ard}", f"model={model}")
    session(*words, "output=whole")
    cells = session.mapset / "cell"
    year_maps = lambda: {year: cells / f"cut_{year}_class" for year in YEARS}  # noqa: E731
    stamps = {}
    for happened in (
        lambda: year_maps()[2017].exists(),
        # Path.glob fails where a folder goes meanwhile.
        lambda: glob.glob(str(session.mapset / ".tmp" / "**" / "evidence.*.bin"), recursive=True),  # noqa: PTH207
        lambda: [*cells.glob("cut_*_p_sealed_*")],
    ):
        kill_when(session, happened, *words, "output=cut")
        finished = {year: path.stat().st_mtime_ns for year, path in year_maps().items() if path.exists()}
        assert stamps.items() <= finished.items()
        stamps = finished
    assert list(stamps) == list(YEARS)
    done = session(*words, "output=cut")
    assert all(f"Period {year} exists already" in done.said for year in YEARS)
    assert {year: path.stat().st_mtime_ns for year, path in year_maps().items()} == stamps
    maps = session.maps()
    expected = [name for name in maps if name.startswith("whole_")]
    assert sorted(maps) == sorted([*expected, *(name.replace("whole_", "cut_") for name in expected)])
    assert not [*session.mapset.glob(".tmp/**/*.tif"), *session.mapset.glob(".tmp/**/*.bin")]
    for name in expected:
        one, two = (read(session, each, tmp_path / "a.tif") for each in (name, name.replace("whole_", "cut_")))
        assert np.array_equal(one, two, equal_nan=True), name


def read(session, name, path):
    """Cells of a map as floating-point numbers, -1 = NULL."""
    import rasterio

    session("r.out.gdal", f"input={name}", f"output={path}", "type=Float64", "nodata=-1", "-f", "--o", "--q")
    with rasterio.open(path) as dataset:
        return dataset.read(1)
