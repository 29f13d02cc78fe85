"""r.unet.train and r.unet.predict run as commands in a real GRASS session."""

import html
import json
import re
import shutil
import sys
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from imperviouslib.core.network import net_halo
from imperviouslib.core.windows import window_size, windows
from imperviouslib.edge import unet
from imperviouslib.edge.modelfile import read_model
from testsuite import TOP, mounts
from testsuite.cluster_ground import cluster, has_stopped, losing_cluster, meanwhile
from testsuite.grass_session import Session
from testsuite.unet_ground import grid_at, make_classes, scene_of, write_ard

GRID = grid_at(150_003, 200_005, 161, 174)
HOLE = (slice(20, 30), slice(40, 60))
SMALL = ("patch=32", "depth=1", "filters=8", "epochs=12", "batch=4")
KEYS = ("class", "p_artificial", "p_natural", "p_green", "p_other")


@pytest.fixture(scope="module")
def session(location, grass_env):
    result = Session(location / "unet", grass_env)
    result.region(GRID)
    return result


@pytest.fixture(scope="module")
def ard(tmp_path_factory):
    path = tmp_path_factory.mktemp("ard") / "ard.h5"
    write_ard(path, GRID, years=(2017, 2018), holes=[HOLE])
    return path


@pytest.fixture(scope="module")
def trained(session, ard, tmp_path_factory):
    """A trained model, and what the tool printed."""
    folder = tmp_path_factory.mktemp("models") / "model"
    done = session("r.unet.train", f"input={ard}", f"output={folder}", "format=json", *SMALL)
    return folder, done


@pytest.fixture(scope="module")
def mapped(session, ard, trained):
    session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=lc", "nprocs=2")
    return "lc"


@pytest.fixture
def no_tensorflow(tmp_path):
    """Environment in which importing TensorFlow or Keras fails, so a test can show that a tool stopped before the import."""
    for name in ("tensorflow", "keras"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text("raise RuntimeError('imported too early')\n")
    return {"PYTHONPATH": str(tmp_path / "poison")}


def test_training_learns_the_classes_and_prints_the_accuracy(trained):
    folder, done = trained
    printed = json.loads(done.stdout)
    figures = printed["test"]["2017"]
    assert figures["overall_accuracy"] > 0.8
    assert figures["cells"] == printed["split"]["test"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json", "check.npz", "confusion.csv", "curves.png", "history.csv", "series.bin", "series.keras", "series.xml",
        "unet.bin", "unet.keras", "unet.xml",
    ]  # fmt: skip


def test_the_level_is_in_the_card_and_is_told(trained):
    folder, done = trained
    calibration = json.loads((folder / "card.json").read_text())["calibration"]
    assert 0 < calibration["level"] < 1 and abs(calibration["shift"]) <= 1
    said = re.search(
        r"by the labels, and ([\d.]+) % in the maps: the log-odds are shifted by ([-+]\d\.\d\d)",
        " ".join(done.said.split()),
    )
    assert said, done.said
    assert float(said[1]) == pytest.approx(100 * calibration["level"], abs=0.06)
    assert float(said[2]) == pytest.approx(calibration["shift"], abs=0.006)


def test_the_card_says_what_the_model_was_made_from(trained, ard):
    card = read_model(trained[0])
    assert card.features == ("B12_p50", "B11_p50", "B04_p50")
    assert (card.halo, card.anchor, card.depth, card.filters, card.patch) == (net_halo(1), 2, 1, 8, 32)
    assert (card.years, card.label_year, card.legend, card.res_m) == ((2017, 2018), 2017, "s2glc", 20)
    assert sum(card.prior.values()) == pytest.approx(1, abs=1e-5)
    assert 0.2 <= card.calibration.temperature <= 5
    assert int(card.settings.threads) >= 1 and card.settings.keras and card.settings.tensorflow
    assert card.settings.epochs >= card.settings.epochs_run and card.settings.steps >= 12
    used = [tuple(block) for blocks in card.split.blocks.values() for block in blocks]
    assert len(used) == len(set(used)), "a block has two roles"
    history = (trained[0] / "history.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy" and len(history) == 1 + card.settings.epochs_run
    table = np.loadtxt(trained[0] / "confusion.csv", delimiter=",", skiprows=1, usecols=range(1, 5))
    assert table.sum() == sum(card.metrics.test[year].cells for year in ("2017", "2018"))


@pytest.mark.soak
def test_the_same_seed_gives_the_same_model(session, ard, trained, tmp_path):
    """In a fresh process: figures, history and weights."""
    session("r.unet.train", f"input={ard}", f"output={tmp_path / 'again'}", *SMALL)
    one, two = read_model(trained[0]), read_model(tmp_path / "again")
    assert one.exports == two.exports
    assert (one.metrics, one.split, one.calibration) == (two.metrics, two.split, two.calibration)
    assert (trained[0] / "history.csv").read_bytes() == (tmp_path / "again" / "history.csv").read_bytes()


@pytest.mark.skipif(not unet.has_bf16(), reason="this processor has no bf16")
def test_mixed_precision_gives_a_model_in_float32(session, ard, trained, tmp_path):
    session("r.unet.train", "-f", f"input={ard}", f"output={tmp_path / 'm'}", "years=2017", *SMALL[:3], "epochs=1")
    precisions = [read_model(folder).settings.precision for folder in (tmp_path / "m", trained[0])]
    assert precisions == ["mixed_bfloat16", "float32"]
    with zipfile.ZipFile(tmp_path / "m" / "unet.keras") as saved:
        assert b"bfloat16" not in saved.read("config.json")


def test_the_years_to_train_on_can_be_chosen(session, ard, tmp_path):
    done = session(
        "r.unet.train",
        f"input={ard}",
        f"output={tmp_path / 'm'}",
        "years=2017",
        "format=json",
        *SMALL[:3],
        "epochs=1",
    )
    assert set(json.loads(done.stdout)["test"]) == {"2017"}
    assert read_model(tmp_path / "m").years == (2017,)


def test_a_class_without_labels_is_a_warning_and_no_error(session, tmp_path):
    path, grid = tmp_path / "three.h5", grid_at(0, 0, 160, 160)
    write_ard(path, grid, years=(2017,), classes=make_classes(grid.shape, classes=(1, 4)))
    session.region(grid)
    try:
        done = session("r.unet.train", f"input={path}", f"output={tmp_path / 'm'}", *SMALL[:3], "epochs=2")
        assert "No training cell has the class: Natural material surfaces." in done.said
        card = read_model(tmp_path / "m")
        assert card.settings.absent_classes == ("Natural material surfaces",)
        assert card.metrics.test["2017"].classes["natural"].producers_accuracy is None
    finally:
        session.region(GRID)


def test_years_between_which_too_much_changes_are_named(session, tmp_path):
    """In the last year all land has the colours of towns."""
    classes, years = make_classes(GRID.shape), range(2017, 2023)
    odd = {year: classes if year < 2022 else np.ones_like(classes) for year in years}
    write_ard(tmp_path / "ard.h5", GRID, years=tuple(years), classes=odd)
    small = (*SMALL[:3], "epochs=1", "batch=4")
    done = session("r.unet.train", f"input={tmp_path / 'ard.h5'}", f"output={tmp_path / 'model'}", *small)
    assert re.search(r"\d+ % of the training cells seem to have changed, most of them between 2021 and 2022", done.said)


@pytest.mark.parametrize(
    ("shape", "how", "options", "found"),
    [
        ((32, 32), {}, (), "blocks of 16, expected at least 10 blocks"),
        ((96, 96), {}, ("patch=16", "depth=1", "test=0.05"), "Validation ground outside the gaps: found"),
        ((40, 40), {}, ("patch=16", "depth=1"), "blocks of 16, expected at least 10 blocks"),
        ((96, 96), {}, ("patch=16", "depth=3"), "Training ground of 2017 has no cell with a label and all features outside the gaps"),
        ((96, 96), {"labels": False}, (), "has no labels. Write it again with labels= of r.s2.ard."),
        ((96, 96), {"label_year": 2015}, (), "no features of 2015, the year of the labels"),
        ((96, 96), {"classes": np.full((96, 96), 3, np.uint8)}, (), "only class 3, expected two classes or more"),
        ((96, 96), {"classes": np.zeros((96, 96), np.uint8)}, (), "no cell with a label and all features"),
        ((96, 96), {"holes": [(slice(None), slice(None))]}, (), "no cell with a label and all features"),
        ((96, 96), {}, ("patch=20", "depth=3"), "Option <patch>: found 20, expected a multiple of 2^depth = 8 cells. Use 16."),
        ((96, 96), {}, ("years=2016",), "no features of 2016"),
        ((96, 96), {}, ("years=20l7",), "Option <years>"),
    ],
)  # fmt: skip
def test_ground_that_cannot_train_is_refused_before_tensorflow(
    session, tmp_path, no_tensorflow, shape, how, options, found
):
    path, grid = tmp_path / "a.h5", grid_at(GRID.first_row, GRID.first_col, *shape)
    write_ard(path, grid, **how)
    done = session("r.unet.train", f"input={path}", f"output={tmp_path / 'm'}", *options, ok=False, **no_tensorflow)
    assert found in done.said
    assert done.said.count("ERROR:") == 1 and "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_region_elsewhere_or_of_another_resolution_is_refused(session, ard, trained, tmp_path, no_tensorflow):
    try:
        session.region(grid_at(10, 10, 50, 50))
        done = session("r.unet.train", f"input={ard}", f"output={tmp_path / 'm'}", ok=False, **no_tensorflow)
        assert "no cell of" in done.said and "g.region n=" in done.said
        session("g.region", "res=10")
        done = session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=x", ok=False, **no_tensorflow)
        assert "expected 20 x 20 m" in done.said
    finally:
        session.region(GRID)


def test_an_existing_model_is_kept_without_overwrite(session, ard, trained, no_tensorflow):
    before = read_model(trained[0])
    done = session("r.unet.train", f"input={ard}", f"output={trained[0]}", *SMALL, ok=False, **no_tensorflow)
    assert "--overwrite" in done.said
    assert read_model(trained[0]) == before


def test_each_period_has_its_class_and_probability_maps(session, mapped):
    expected = {f"lc_{year}_{key}" for year in (2017, 2018) for key in KEYS}
    assert expected <= set(session.maps())
    assert not [name for name in session.maps() if name.rsplit("_", 1)[-1].isdigit()], "temporary maps remain"


def test_null_is_where_a_feature_is_no_data_and_nowhere_else(session, mapped, tmp_path):
    known = np.ones(GRID.shape, bool)
    known[HOLE] = False
    for key in KEYS:
        assert ((session.cells(f"lc_2018_{key}", GRID, tmp_path / "a.tif") > 0) == known).all()


def test_the_map_agrees_with_the_ground(session, mapped, tmp_path):
    found, truth = session.cells("lc_2017_class", GRID, tmp_path / "a.tif"), make_classes(GRID.shape)
    assert (found == truth)[found > 0].mean() > 0.8


def test_the_class_is_the_one_of_most_probability(session, mapped, tmp_path):
    classes = session.cells("lc_2017_class", GRID, tmp_path / "a.tif")
    stack = np.stack([session.cells(f"lc_2017_{key}", GRID, tmp_path / "a.tif") for key in KEYS[1:]])
    chosen = np.take_along_axis(stack, np.maximum(classes, 1)[np.newaxis].astype(int) - 1, axis=0)[0]
    assert (chosen == stack.max(axis=0))[classes > 0].all()


def test_maps_have_title_colours_history_and_provenance(session, mapped, ard, trained):
    info = session("r.info", "map=lc_2018_class").stdout
    assert "Land cover class, 2018" in info and "r.unet.predict: net" in info
    assert "1 Jan 2018 00:00:00 / 1 Jan 2019 00:00:00" in info
    assert "r.unet.predict input=" in info and "output=lc nprocs=2" in " ".join(info.replace("|", " ").split())
    listed = session("t.rast.list", "input=lc.class", "columns=name").stdout.split()
    assert listed == ["name", "lc_2017_class", "lc_2018_class"]
    assert "1\tArtificial surfaces" in session("r.category", "map=lc_2018_class").stdout
    assert "1 178:24:43" in session("r.colors.out", "map=lc_2018_class").stdout
    assert (
        "probability x 10000"
        in session("r.info", "-e", "map=lc_2018_p_green").stdout + session("r.info", "map=lc_2018_p_green").stdout
    )
    stored = json.loads((session.mapset / "cell_misc" / "lc_2018_p_green" / "impervious.json").read_text())
    assert stored["model"] == read_model(trained[0]).model_sha256
    assert stored["period"] == "2018"
    assert stored["scenes"] == [asdict(scene_of(2018))]
    # The record of a scene from another system: what is known of it stays, what the suite has no place for goes.
    foreign = json.loads((session.mapset / "cell_misc" / "lc_2017_class" / "impervious.json").read_text())
    assert foreign["scenes"] == [{"id": "scene of 2017"}]
    assert stored["ard"] and stored["version"]


def test_a_period_that_exists_is_kept(session, ard, trained, mapped, no_tensorflow):
    done = session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=lc", **no_tensorflow)
    assert "Period 2017 exists already" in done.said and "Period 2018 exists already" in done.said


def test_a_killed_run_continues(session, ard, trained, mapped):
    """Killed between the renames of a period, before its class map: that period is made again, the other is kept."""
    stamp = session.mapset / "cell" / "lc_2017_class"
    before = stamp.stat().st_mtime_ns
    session("g.remove", "-f", "type=raster", "name=lc_2018_class,lc_2018_p_other", "--q")
    done = session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=lc")
    assert "Period 2017 exists already" in done.said and "Period 2018 exists already" not in done.said
    assert stamp.stat().st_mtime_ns == before
    test_each_period_has_its_class_and_probability_maps(session, mapped)


def test_maps_of_another_model_are_not_touched(session, ard, trained, mapped, tmp_path, no_tensorflow):
    folder = tmp_path / "other"
    shutil.copytree(trained[0], folder)
    with (folder / "unet.keras").open("ab") as handle:
        handle.write(b" ")
    done = session("r.unet.predict", f"input={ard}", f"model={folder}", "output=lc", ok=False, **no_tensorflow)
    assert "the checksum of unet.keras differs" in done.said
    from imperviouslib.edge.files import sha256_file

    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "model_sha256": sha256_file(folder / "unet.keras")}))
    done = session("r.unet.predict", f"input={ard}", f"model={folder}", "output=lc", ok=False, **no_tensorflow)
    assert "different: model" in done.said and "--overwrite" in done.said


def test_maps_of_another_region_or_origin_are_not_touched(session, ard, trained, mapped, no_tensorflow):
    try:
        session.region(grid_at(GRID.first_row, GRID.first_col, 80, 80))
        done = session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=lc", ok=False, **no_tensorflow)
        assert "different: region" in done.said
        session("r.mapcalc", "expression=mine_2017_class = 1", "--q")
        done = session(
            "r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=mine", ok=False, **no_tensorflow
        )
        assert "different: origin" in done.said
    finally:
        session.region(GRID)


def test_the_region_cuts_without_changing_a_cell(session, ard, trained, mapped, tmp_path):
    part = grid_at(GRID.first_row + 11, GRID.first_col + 17, 70, 90)
    try:
        session.region(part)
        session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=cut", "years=2017")
        assert f"rows={part.height}" in session("r.info", "-g", "map=cut_2017_class").stdout
        for key in KEYS:
            whole = session.cells(f"lc_2017_{key}", GRID, tmp_path / "a.tif")[part.slices_in(GRID)]
            assert (session.cells(f"cut_2017_{key}", part, tmp_path / "a.tif") == whole).all()
        assert "cut_2018_class" not in session.maps()
    finally:
        session.region(GRID)


def test_linked_maps_equal_imported_ones_and_overwrite_replaces_them(session, ard, trained, mapped, tmp_path):
    predict = ("r.unet.predict", "-l", f"input={ard}", f"model={trained[0]}", "output=far", "years=2017")
    for again in ((), ("--overwrite",)):
        session(*predict, *again)
        assert len(list((session.mapset / "linked").glob("far_2017_*.tif"))) == len(KEYS)
    # Files that a killed run left are removed even if all maps exist.
    (session.mapset / "linked" / "far_2017_class.01234567.tif").write_bytes(b"x")
    assert "exists already, from this model" in session(*predict).stderr
    assert len(list((session.mapset / "linked").glob("far_2017_*.tif"))) == len(KEYS)
    for key in ("class", "p_other"):
        linked = session.cells(f"far_2017_{key}", GRID, tmp_path / "a.tif")
        assert (linked == session.cells(f"lc_2017_{key}", GRID, tmp_path / "b.tif")).all()


def test_a_cluster_maps_the_same_cells(session, ard, trained, mapped, tmp_path):
    """Periods and histories; a model that workers do not see as this session does is refused."""
    with cluster(tmp_path / "c") as found:
        words = ("r.unet.predict", f"input={ard}", f"model={trained[0]}", "nprocs=2", f"scheduler={found.address}")
        done = session(*words, "output=far")
        assert "far_2018_class>, and the probability of each class" in done.said, done.stderr
        assert session(*words[:-1], "scheduler=tcp://127.0.0.1:9", "output=far").returncode == 0, "all maps exist"
    check_same(session, "far")
    session("g.remove", "type=raster", "pattern=far_*", "-f")


def check_same(session, prefix, mapset="."):
    """Check that the maps of a prefix in a mapset have the cells of <lc> in the mapset of the session."""
    there = mapset if mapset != "." else session.mapset.name
    listed = session("g.list", "type=raster", f"mapset={mapset}", f"pattern={prefix}_*").stdout.split()
    names = [name.removeprefix(f"{prefix}_") for name in listed]
    assert {"2017_class", "2018_p_other", "2017_2018_p_gain", "2018_p_sealed"} <= set(names)
    # NULL is a value of its own here.
    pairs = [(f"{prefix}_{name}@{there}", f"lc_{name}@{session.mapset.name}") for name in names]
    differs = [" != ".join(f"if(isnull({name}), -1, {name})" for name in pair) for pair in pairs]
    session("r.mapcalc", f"expression=differs = {' || '.join(differs)}", "--o")
    info = session("r.univar", "-g", "map=differs").stdout
    assert "max=0" in info and f"n={GRID.height * GRID.width}" in info
    session("g.remove", "type=raster", "name=differs", "-f")


@pytest.mark.parametrize("work", ["predict_window", pytest.param("find_evidence", marks=pytest.mark.soak)])
def test_a_cluster_that_loses_a_worker_maps_the_same_cells(session, ard, trained, mapped, tmp_path, work):
    """Killed in the second window, or in the histories."""
    with losing_cluster(tmp_path / "c", work, int(work == "predict_window")) as found:
        session("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=left", f"scheduler={found.address}")
    check_same(session, "left")
    session("g.remove", "type=raster", "pattern=left_*", "-f")


def test_a_lost_scheduler_is_one_line_and_the_same_command_continues(session, ard, trained, mapped, tmp_path):
    """Lost in the second year, while a worker has a task of it."""
    before = set(session.maps())
    of_a_year = sum(1 for _ in windows(GRID, file=GRID, halo=read_model(trained[0]).halo, size=window_size(GRID)))
    with cluster(tmp_path / "c", workers=0) as found:
        words = ("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=left", f"scheduler={found.address}")
        worker = found.start_halting_worker("predict_window", of_a_year)
        killer = meanwhile(found.scheduler.kill, lambda: has_stopped(worker))
        done = session(*words, ok=False)
        killer.join()
        assert f"ERROR: The connection to scheduler '{found.address}' was lost. Finished work is kept." in done.said
        assert done.stderr.count("ERROR") == 1 and "Traceback" not in done.stderr
        # The first year is whole, and there is nothing of the second.
        assert set(session.maps()) - before == {f"left_2017_{key}" for key in KEYS}
        assert not list(session.mapset.glob(".tmp/**/*.tif"))
        worker.kill()
        found.start_scheduler()
        found.start_worker()
        assert "Period 2017 exists already" in session(*words).said
    check_same(session, "left")
    session("g.remove", "type=raster", "pattern=left_*", "-f")


@pytest.mark.parametrize(("finished", "room"), [(0, "100K"), (2, "100K")])
def test_a_full_disk_leaves_nothing_half_written_and_the_same_command_continues(
    session, ard, trained, mapped, tmp_path, finished, room
):
    """Full in the first year, where the session writes what a worker sent; or before the histories, whose evidence needs 224 KB."""
    if reason := mounts.missing():
        pytest.skip(f"this system gives no disk to fill: {reason}")
    before = Session(session.mapset.with_name(f"before_{finished}"), session.env)
    before.region(GRID)
    if finished:
        shutil.copytree(
            session.mapset, before.mapset, ignore=shutil.ignore_patterns(".*", "linked"), dirs_exist_ok=True
        )
        yearly = {f"lc_{year}_{key}" for year in (2017, 2018) for key in KEYS}
        before("g.remove", "type=raster", f"name={','.join({*before.maps()} - yearly)}", "-f")
    full = session.mapset.with_name(f"full_{finished}")
    words = ("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=lc")
    with cluster(tmp_path / "c", workers=1) as found:
        place = (full, before.mapset, tmp_path / "out", room)
        tried = mounts.try_full_disk(*place, *words, f"scheduler={found.address}", env=session.env)
    mounts.check_tried(tried)
    assert ("evidence" in tried.said) == bool(finished)
    assert sum(name.startswith("./cell/") for name in tried.left) == len(KEYS) * finished
    check_same(session, "lc", full.name)


def test_maps_that_another_run_writes_are_not_touched(session, ard, trained):
    holding = f"import subprocess, sys; sys.path.insert(0, {str(TOP)!r}); from imperviouslib.edge import grass\n"
    holding += "with grass.lock_maps('busy'): sys.exit(subprocess.call(sys.argv[1:]))"
    predict = ("r.unet.predict", f"input={ard}", f"model={trained[0]}", "output=busy")
    done = session(sys.executable, "-c", holding, *predict, ok=False)
    assert "Maps <busy_*>: in use by another run" in done.said


def test_a_failed_run_leaves_nothing(session, ard, trained, tmp_path):
    """The damage of the file is found in the middle of the work."""
    broken = tmp_path / "broken.h5"
    content = bytearray(ard.read_bytes())
    import h5py

    with h5py.File(ard) as handle:
        chunk = handle["B04_p50"].id.get_chunk_info(1)
    content[chunk.byte_offset + 40 : chunk.byte_offset + 60] = bytes(20)
    broken.write_bytes(content)
    before = session.maps()
    done = session("r.unet.predict", f"input={broken}", f"model={trained[0]}", "output=bad", "years=2018", ok=False)
    assert "a damaged part in variable /B04_p50" in done.said and "Traceback" not in done.stderr
    assert session.maps() == before
    assert not list(session.mapset.glob(".tmp/**/*.tif"))


def test_a_folder_of_another_kind_is_refused(session, ard, tmp_path, no_tensorflow):
    done = session("r.unet.predict", f"input={ard}", f"model={tmp_path}", "output=x", ok=False, **no_tensorflow)
    assert "no card.json" in done.said
    done = session(
        "r.unet.train", f"input={tmp_path / 'none.h5'}", f"output={tmp_path / 'm'}", ok=False, **no_tensorflow
    )
    assert f"There is no file '{tmp_path / 'none.h5'}'" in done.said
    (tmp_path / "notes.txt").touch()
    done = session("r.unet.train", f"input={ard}", f"output={tmp_path}", "--overwrite", ok=False, **no_tensorflow)
    assert "is not a model folder" in done.said


def test_the_examples_of_the_manual_pages_run(location, grass_env, ard, tmp_path):
    session = Session(location / "manual", grass_env)
    session.region(GRID)
    shutil.copy(ard, tmp_path / "ard.nc")
    lines = ["set -e", f"cd {tmp_path}"]
    for tool in ("r.unet.train", "r.unet.predict"):
        page = (TOP / tool / f"{tool}.html").read_text(encoding="utf-8")
        examples = re.findall(r"<pre>(.*?)</pre>", page.split("<h2>EXAMPLE</h2>")[1], re.DOTALL)
        assert examples
        lines += [html.unescape(example) for example in examples]
    assert "artificial" in session("bash", "-c", "\n".join(lines)).stdout


@pytest.mark.parametrize("tool", ["r.unet.train", "r.unet.predict"])
def test_help_needs_nothing_heavy(session, tool, tmp_path):
    for name in ("tensorflow", "keras", "h5py", "rasterio", "sklearn", "matplotlib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported too early')\n")
    done = session(tool, "--interface-description", PYTHONPATH=str(tmp_path))
    assert f'<task name="{tool}">' in done.stdout
