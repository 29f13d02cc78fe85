"""The network and the model folder: training, exactness of windows, engines, refusals."""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imperviouslib.core.card import SeriesRecord, check_fit, parse_card
from imperviouslib.core.errors import InputError, ModelError, TrainingError
from imperviouslib.core.network import NetSpec, net_halo
from imperviouslib.core.training import Epoch, FitPlan, best_epoch, resolve_steps
from imperviouslib.core.windows import windows
from imperviouslib.edge import engine, seriesnet, unet
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.checkpoint import Checkpoint, Checkpoints
from imperviouslib.edge.engine import (
    CHECK,
    SERIES,
    UNET,
    Engine,
    engines,
    export_nets,
    open_series,
    open_unet,
    resolve_engine,
)
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.modelfile import CARD, NET, check_model_free, read_model, write_model
from imperviouslib.stage.predict.yearly import write_period
from imperviouslib.work.predict import predict_here
from testsuite import TOP
from testsuite.test_fuzz import change_bytes, change_json
from testsuite.unet_ground import FEATURES, grid_at, make_card, make_classes, make_features, write_ard

MEAN, DEVIATION = (1600.0, 2000.0, 800.0), (700.0, 800.0, 500.0)
KEYS = ("p_artificial", "p_natural", "p_green", "p_other", "class")
FILES = ["unet.keras", "unet.xml", "unet.bin"]
EPOCH = Epoch(1, 1.0, 0.5, 1.0, 0.5)


def small_spec(depth=2, filters=4):
    return NetSpec(3, MEAN, DEVIATION, depth, filters)


def scrambled(depth=2, filters=4, seed=3):
    """A network with random weights and batch statistics, so that no term can hide a fault."""
    unet.seed_everything(seed)
    net = unet.build_unet(small_spec(depth, filters))
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        if "norm" in layer.name:
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma.shape),
                    rng.normal(0, 0.5, beta.shape),
                    rng.normal(0, 0.5, mean.shape),
                    rng.uniform(0.3, 1.5, variance.shape),
                ]
            )
    return net


def scrambled_pixel_net(depth):
    """The same of the pixel net: a trained net has biases, a new one has none."""
    net, rng = unet.build_pixel_net(small_spec(depth, 4)), np.random.default_rng(2)
    net.set_weights([one + rng.normal(0, 0.3, one.shape) * (one.ndim == 1) for one in net.get_weights()])
    return net


def toy(seed, size=32, patches=4):
    classes = np.stack([make_classes((size, size), seed=seed + index) for index in range(patches)])
    features = np.stack([np.moveaxis(make_features(c, seed=seed + i), 0, -1) for i, c in enumerate(classes)])
    return features, classes - 1, np.ones(classes.shape, np.float32)


class KilledError(Exception):
    """A fit that ends in the middle."""


def test_a_fit_that_was_killed_continues_to_the_same_weights(tmp_path):
    """Ended in the second of three epochs: the first one is not run again, and history and weights are those of a fit that was not ended."""

    def run(last=None, saved=None):
        unet.seed_everything(1)
        net = unet.build_unet(small_spec(depth=1))
        steps = []

        def progress(done, _total):
            if last and done > last:
                raise KilledError
            steps.append(done)

        draw = lambda rng: toy(int(rng.integers(1000)), size=16)  # noqa: E731
        return net, unet.fit(net, FitPlan(3, 4, 1), draw, [toy(50)], progress, saved), steps

    saved = Checkpoint(tmp_path / "state" / "unet.npz", "key")
    with pytest.raises(KilledError):
        run(last=6, saved=saved)
    net, history, steps = run(saved=saved)
    assert steps == [*range(5, 13), 1]
    whole, expected, _steps = run()
    assert history == expected and same_weights(net, whole)
    # A fit that was finished is not run again.
    again, history, steps = run(saved=saved)
    assert steps == [1] and history == expected and same_weights(again, whole)


@pytest.mark.skipif(not unet.has_bf16(), reason="this processor has no bf16")
def test_mixed_precision_computes_in_bf16_what_does_not_need_more_and_learns_the_same():
    losses = {}
    for name, precision in (("float32", contextlib.nullcontext), ("bfloat16", unet.mixed_precision)):
        unet.seed_everything(1)
        with precision():
            nets = unet.build_unet(small_spec(depth=1)), unet.build_pixel_net(small_spec(depth=1))
        for net in nets:
            layers = {layer.name: layer for layer in net.layers}
            hidden = layers.get("down0_conv0") or layers["hidden0"]
            assert hidden.compute_dtype == name
            assert {layers[exact].compute_dtype for exact in ("scaling", "logits")} == {"float32"}
            assert {weights.dtype for weights in net.get_weights()} == {np.dtype("float32")}
        history = unet.fit(nets[0], FitPlan(4, 8, 1), lambda rng: toy(int(rng.integers(1000)), size=16), [toy(50)])
        losses[name] = [epoch.loss for epoch in history]
    assert losses["bfloat16"] != losses["float32"]
    assert np.allclose(losses["bfloat16"], losses["float32"], rtol=0.1)
    assert losses["float32"][-1] < losses["float32"][0]
    assert unet.build_unet(small_spec(depth=1)).layers[-2].compute_dtype == "float32"


def test_mixed_precision_is_refused_without_bf16(monkeypatch, tmp_path):
    cpu = tmp_path / "cpuinfo"
    monkeypatch.setattr(unet, "_CPU", cpu)
    for content in (None, "flags : fpu avx2 avx512f"):
        if content:
            cpu.write_text(content)
        with pytest.raises(InputError, match="Flag -f: the processor has no bf16"):
            unet.check_bf16()
    cpu.write_text("flags : fpu avx2 avx512_bf16")
    unet.check_bf16()
    # Where there is a GPU, nets are fitted on it.
    for capability, able in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        details = {"device_name": "Some GPU", "compute_capability": capability}
        monkeypatch.setattr(unet, "gpu_details", lambda details=details: details)
        assert unet.versions()["device"] == "Some GPU"
        with contextlib.nullcontext() if able else pytest.raises(InputError, match="Flag -f: the Some GPU has no bf16"):
            unet.check_bf16()


def test_what_was_computed_once_is_not_computed_again(tmp_path):
    states = Checkpoints.beside(tmp_path / "model", "key")
    calls = []

    def compute():
        calls.append(1)
        return {"label": np.arange(4, dtype=np.uint8), "kept": 0.1 + 0.2}

    for _again in range(2):
        found = states.of("labels").once(compute)
        assert found["label"].tolist() == [0, 1, 2, 3] and float(found["kept"]) == 0.1 + 0.2
    assert len(calls) == 1
    Checkpoints.beside(tmp_path / "model", "another").of("labels").once(compute)
    assert len(calls) == 2


def test_a_state_of_another_fit_or_a_damaged_one_is_not_read(tmp_path):
    states = Checkpoints.beside(tmp_path / "model", "key")
    one = states.of("unet")
    assert one.load() is None
    one.save({"a": np.arange(3)})
    assert one.load()["a"].tolist() == [0, 1, 2]
    assert states.of("pixel").load() is None
    assert Checkpoint(one.path, "other unet").load() is None
    whole = one.path.read_bytes()
    for damaged in (b"", whole[:40], whole[:-30], b"\x80\x04K\x05."):
        one.path.write_bytes(damaged)
        assert one.load() is None
    states.remove()
    assert list(tmp_path.iterdir()) == []


def fitted(seed=1, epochs=2, batch=None):
    unet.seed_everything(seed)
    net = unet.build_unet(small_spec(depth=1))
    batch = batch or toy(1)
    history = unet.fit(net, FitPlan(epochs, 4, seed), lambda rng: batch, [toy(50)])
    return net, history


def same_weights(one, two):
    return all((a == b).all() for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


@pytest.mark.parametrize("depth", [1, 3])
def test_the_network_returns_a_logit_per_class_for_every_cell(depth):
    net = unet.build_unet(small_spec(depth))
    assert net.input.dtype == "uint16"
    out = unet.run_net(net)(toy(1)[0])
    assert out.shape == (4, 32, 32, 4) and out.dtype == np.float32
    assert np.isfinite(out).all()


def test_fitting_lowers_the_loss_and_keeps_the_best_epoch():
    net, history = fitted(epochs=16)
    assert history[-1].loss < history[0].loss * 0.8
    features, y, _ = toy(50)
    logits = unet.run_net(net)(features).astype(np.float64)
    powers = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[..., np.newaxis].astype(int), -1)[..., 0]
    assert powers.mean() == pytest.approx(min(epoch.val_loss for epoch in history), rel=1e-3)


def test_same_seed_same_weights_and_another_seed_others():
    assert same_weights(fitted()[0], fitted()[0])
    assert not same_weights(fitted()[0], fitted(seed=2)[0])


@pytest.mark.parametrize("at_once", [3, 8])
def test_steps_that_tensorflow_takes_at_once_give_the_same_weights_and_losses(at_once, monkeypatch):
    """An epoch has 4 steps, so one group of them is not full."""

    def fit(number):
        monkeypatch.setattr(unet, "_STEPS_AT_ONCE", number)
        unet.seed_everything(1)
        net, done = unet.build_unet(small_spec(depth=1)), []
        plan = FitPlan(2, 4, 1)
        history = unet.fit(net, plan, lambda rng: toy(int(rng.integers(9))), [toy(50)], lambda n, _of: done.append(n))
        return net, history, done

    monkeypatch.setattr(unet, "_LEAST_STEPS", 1)
    (net, history, done), (other, others, groups) = fit(1), fit(at_once)
    assert same_weights(net, other) and history == others
    assert done == [*range(1, 9), 1] and groups == {3: [3, 4, 7, 8, 1], 8: [4, 8, 1]}[at_once]


def test_labels_of_weight_zero_change_nothing():
    features, y, weight = toy(1)
    weight[:, :, 20:] = 0
    other = y.copy()
    other[:, :, 20:] = 3 - other[:, :, 20:]
    one, two = fitted(batch=(features, y, weight))[0], fitted(batch=(features, other, weight))[0]
    assert same_weights(one, two)
    assert not same_weights(one, fitted(batch=(features, other, np.ones_like(weight)))[0])


def test_a_cell_without_one_feature_is_treated_as_without_all():
    run = unet.run_net(scrambled())
    features = toy(1)[0]
    features[:, 10:20, 10:20, 1] = 0
    changed = features.copy()
    changed[:, 10:20, 10:20, 0] = 9999
    assert (run(features) == run(changed)).all()
    features[:, 10:20, 10:20] = 0
    assert (run(features) == run(changed)).all()


def test_equal_nets_give_equal_files_whatever_the_time_and_the_settings_of_keras(tmp_path, monkeypatch):
    keras = unet.import_keras()
    digests = []
    for number, (floatx, layout) in enumerate([("float32", "channels_last"), ("float16", "channels_first")]):
        # What a keras.json with these settings leaves behind.
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(floatx)
        keras.config.set_image_data_format(layout)
        keras.utils.clear_session()
        unet.seed_everything(7)
        unet.save_net(unet.build_unet(small_spec(depth=1)), tmp_path / f"{number}.keras")
        digests.append(sha256_file(tmp_path / f"{number}.keras"))
    assert len(set(digests)) == 1
    assert unet.load_net(tmp_path / "1.keras").dtype == "float32"


def test_settings_that_another_part_of_the_process_left_are_set_back():
    config = unet.import_keras().config
    config.set_image_data_format("channels_first")
    config.set_floatx("float16")
    config.set_dtype_policy("float16")
    config.set_epsilon(1e-3)
    config.set_max_epochs(1)
    config.set_max_steps_per_epoch(1)
    unet.import_keras()
    assert (config.image_data_format(), config.floatx(), config.dtype_policy().name) == (
        "channels_last",
        "float32",
        "float32",
    )
    assert (config.epsilon(), config.max_epochs(), config.max_steps_per_epoch()) == (1e-7, None, None)


def test_what_a_user_set_for_keras_is_hidden_while_it_is_imported(monkeypatch):
    mine = {
        "KERAS_HOME": "/nonexistent/mine",
        "KERAS_BACKEND": "torch",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_NNX_ENABLED": "true",
    }
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with unet._own_settings():
        seen = {name: value for name, value in os.environ.items() if name.startswith("KERAS_")}
        assert seen.keys() == {"KERAS_HOME", "KERAS_BACKEND"}
        assert seen["KERAS_BACKEND"] == "tensorflow"
        assert not any(Path(seen["KERAS_HOME"]).iterdir())
        assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert os.environ["KERAS_HOME"] == "/nonexistent/mine"


def test_no_data_everywhere_is_finite():
    assert np.isfinite(unet.run_net(scrambled())(np.zeros((1, 32, 32, 3), np.uint16))).all()


def test_save_and_load_give_the_same_answer(tmp_path):
    net = unet.with_probabilities(scrambled(), 1.7)
    unet.save_net(net, tmp_path / "a.keras")
    features = toy(1)[0]
    one, two = unet.run_net(net)(features), unet.run_net(unet.load_net(tmp_path / "a.keras"))(features)
    assert (one == two).all()
    assert one.sum(axis=-1) == pytest.approx(1, abs=1e-5)


def test_a_shift_moves_the_log_odds_of_sealed_land_alone(tmp_path):
    net, features = scrambled(), toy(1)[0]
    unet.save_net(unet.with_probabilities(net, 2.0, shift=-0.7), tmp_path / "a.keras")
    before, after = (
        unet.run_net(unet.with_probabilities(net, 2.0))(features),
        unet.run_net(unet.load_net(tmp_path / "a.keras"))(features),
    )
    odds = [p[..., 0] / (1 - p[..., 0]) for p in (before, after)]
    assert np.allclose(odds[1], odds[0] * np.exp(-0.7), rtol=1e-3)
    assert np.allclose(after[..., 1] / after[..., 2], before[..., 1] / before[..., 2], rtol=1e-3)


def test_the_mean_of_nets_is_that_of_their_logits():
    one, two, features = scrambled(), unet.build_pixel_net(small_spec(1, 4)), toy(2)[0]
    nets = one, two
    parts = [np.asarray(net(features)) for net in nets]
    assert np.allclose(np.asarray(unet.join_nets(nets)(features)), (parts[0] + parts[1]) / 2, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_halo_is_the_receptive_field_of_the_network(depth):
    """Cells beyond the halo change nothing; a halo one anchor narrower would be too small."""
    halo, anchor = net_halo(depth), 2**depth
    side = anchor + 2 * (halo + anchor)
    features = np.full((1, side, side, 3), 1500, np.uint16)
    first = halo + anchor
    core = slice(first, first + anchor)
    run = unet.run_net(scrambled(depth))
    before = run(features)[:, core, core]

    def changes(distance):
        other = features.copy()
        other[:, first - distance, core] = other[:, core, first - distance] = (9000, 60, 4000)
        other[:, core, first + anchor - 1 + distance] = (60, 9000, 4000)
        return not (run(other)[:, core, core] == before).all()

    assert not changes(halo + 1)
    assert changes(halo - anchor + 1)


def map_period(ard, infer_inner, area, *, size, at_once=1):
    """Return layer to array (row, col) of the maps of an area."""
    found = {key: np.zeros(area.shape, np.uint8 if key == "class" else np.uint16) for key in KEYS}

    def write(layer, cells, part):
        found[layer][part.slices_in(area)] = cells

    write_period(predict_here(infer_inner, ard, "2017", 48, area, size=size, at_once=at_once), write)
    return found


@pytest.fixture(scope="module")
def odd_ard(tmp_path_factory):
    """An ARD file whose extent is no multiple of any anchor, with holes; and its grid."""
    path = tmp_path_factory.mktemp("odd") / "odd.h5"
    grid = grid_at(-151_003, 20_005, 83, 107)
    holes = [(slice(10, 22), slice(30, 41)), (slice(80, 83), slice(0, 50))]
    write_ard(path, grid, years=(2017,), holes=holes)
    return path, grid


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder of depth 3 with random weights."""
    folder = tmp_path_factory.mktemp("model") / "model"
    return write_random_model(folder)


def write_random_model(folder):
    net = unet.with_probabilities(scrambled(3), 1.5)
    write_model(
        folder, make_card(3), save_net=lambda path: unet.save_net(net, path), history=[EPOCH],
        save_curves=lambda path: path.write_bytes(b""), confusion=[["reference"]],
        export=lambda part: export_nets({UNET: (net, unet.run_net(net), toy(9)[0])}, part),
    )  # fmt: skip
    return folder


@pytest.fixture(params=["openvino", "tensorflow"])
def infer(request, model):
    """The network of the random model, by each engine."""
    return open_unet(resolve_engine(request.param, FILES), model, 0)[0]


@pytest.fixture(params=["openvino", "tensorflow"])
def infer_inner(request, model):
    """The same, for windows whose halo is not asked for."""
    return open_unet(resolve_engine(request.param, FILES), model, 0, halo=48)[0]


def test_tiled_equals_whole(odd_ard, infer, infer_inner):
    """Probabilities to a millionth and classes exactly, for the whole at once and for two ways of cutting it."""
    path, grid = odd_ard
    with ArdFile.open(path) as ard:
        around = grid.snapped_out(8).grown(48)
        whole = infer(ard.read("2017", around))[(slice(None), *grid.slices_in(around))]
        assert len(np.unique(whole.argmax(axis=0))) > 1, "a map of one class could hide a shift"
        for size in (16, 40, 64):
            pieces = np.zeros_like(whole)
            for core, window in windows(grid, file=grid, halo=48, size=size):
                part = infer(ard.read("2017", window))[(slice(None), *core.slices_in(window))]
                pieces[(slice(None), *core.slices_in(grid))] = part
            assert np.abs(pieces - whole).max() <= 1e-6
            assert (pieces.argmax(axis=0) == whole.argmax(axis=0)).all()
        maps = {size: map_period(ard, infer_inner, grid, size=size) for size in (16, 64)}
    assert (maps[16]["class"] == maps[64]["class"]).all()
    for key in KEYS[:4]:
        assert np.abs(maps[16][key].astype(int) - maps[64][key]).max() <= 1


def test_a_narrower_halo_would_show(odd_ard, infer):
    """The counterpart of the test above, which shows that it can fail."""
    path, grid = odd_ard
    with ArdFile.open(path) as ard:
        around = grid.snapped_out(8).grown(48)
        whole = infer(ard.read("2017", around))[(slice(None), *grid.slices_in(around))]
        core, window = next(iter(windows(grid, file=grid, halo=8, size=16)))
        part = infer(ard.read("2017", window))[(slice(None), *core.slices_in(window))]
        assert np.abs(part - whole[(slice(None), *core.slices_in(grid))]).max() > 1e-4


def test_part_of_the_area_equals_the_same_cells_of_the_whole(odd_ard, infer_inner):
    """The halo comes from the file where the region cuts it, and windows have one size, so the maps are equal bit for bit."""
    path, grid = odd_ard
    part = grid_at(grid.first_row + 13, grid.first_col + 21, 37, 44)
    with ArdFile.open(path) as ard:
        whole, cut = (map_period(ard, infer_inner, area, size=64) for area in (grid, part))
    for key in KEYS:
        assert (cut[key] == whole[key][part.slices_in(grid)]).all()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_windows_computed_two_at_a_time_give_the_same_maps(odd_ard, model, name, fast):
    path, grid = odd_ard
    engine, maps = resolve_engine(name, FILES), []
    with ArdFile.open(path) as ard:
        for at_once in (1, 2):
            try:
                infer, _agreement = open_unet(engine, model, 2, fast=fast, halo=48, at_once=at_once)
            except InputError as err:
                assert "this processor has no bf16" in str(err) or name == "tensorflow"
                return
            maps.append(map_period(ard, infer, grid, size=16, at_once=at_once))
    for key in KEYS:
        assert (maps[0][key] == maps[1][key]).all()


def test_no_data_stays_no_data_and_data_stays_data(odd_ard, infer_inner):
    path, grid = odd_ard
    with ArdFile.open(path) as ard:
        known = (ard.read("2017", grid) > 0).all(axis=0)
        found = map_period(ard, infer_inner, grid, size=64)
    for key in KEYS:
        assert ((found[key] > 0) == known).all()
    assert found["class"].max() <= 4
    sums = sum(found[key].astype(int) for key in KEYS[:4])[known]
    assert abs(sums - 10_000).max() <= 6, "four roundings and clips"


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match="found 'abacus', expected one of auto, openvino, tensorflow"):
        resolve_engine("abacus", FILES)


def test_the_choices_of_the_option_are_the_engines():
    script = (TOP / "r.unet.predict" / "r.unet.predict.py").read_text(encoding="utf-8")
    choices = re.search(r"key: engine\n(?:# %.*\n)*?# % options: (.*)\n", script)[1]
    assert choices.split(",") == ["auto", *(one.name for one in engines())]


@pytest.fixture
def another_engine(tmp_path, monkeypatch):
    """An engine file whose package is or is not installed, in the folder of engines."""
    from imperviouslib.edge import engines as folder

    def write(package, rank):
        (tmp_path / "abacus.py").write_text(
            "from imperviouslib.edge.engine import Engine\n"
            f"ENGINE = Engine('abacus', {package!r}, {rank}, lambda net: (net + '.beads',), print)\n"
        )
        monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
        engines.cache_clear()

    yield write
    engines.cache_clear()
    sys.modules.pop("imperviouslib.edge.engines.abacus", None)


def test_an_engine_is_one_file(another_engine):
    another_engine("json", 30)
    assert [one.name for one in engines()] == ["openvino", "tensorflow", "abacus"]
    assert resolve_engine("abacus", ["unet.beads"]).name == "abacus"
    assert resolve_engine("auto", [*FILES, "unet.beads"]).name == "openvino"


@pytest.mark.parametrize(
    ("package", "files", "chosen"),
    [
        ("json", [*FILES, "unet.beads"], "abacus"),
        ("json", FILES, "openvino"),
        ("json", ["unet.keras"], "tensorflow"),
        ("no_such_package", [*FILES, "unet.beads"], "openvino"),
    ],
)
def test_auto_is_the_preferred_engine_that_is_installed_and_has_its_files(another_engine, package, files, chosen):
    another_engine(package, 1)
    assert resolve_engine("auto", files).name == chosen


def test_auto_needs_the_files_of_all_nets():
    assert resolve_engine("auto", [*FILES, "series.keras"], [UNET, SERIES]).name == "tensorflow"


def test_without_any_engine_the_last_one_names_the_missing_package(monkeypatch):
    none = (Engine("one", "no_such_package", 1, lambda net: (), print),)
    monkeypatch.setattr(engine, "engines", lambda: none)
    assert resolve_engine("auto", FILES).name == "one"


def test_a_model_without_the_files_of_an_engine_is_refused():
    with pytest.raises(ModelError, match=r"the model has no unet\.xml, which openvino needs"):
        resolve_engine("openvino", ["unet.keras"])
    with pytest.raises(ModelError, match=r"the model has no series\.xml, which openvino needs"):
        resolve_engine("openvino", FILES, [UNET, SERIES])


def test_engines_give_the_same_probabilities(model):
    """Also for several windows at once, and for one without data."""
    seen = np.concatenate([toy(5)[0], np.zeros((1, 32, 32, 3), np.uint16)])
    one, two = (
        resolve_engine(name, FILES).load(model, UNET, 0, False, 0, 1)(seen) for name in ("openvino", "tensorflow")
    )
    assert one.shape == two.shape == (5, 32, 32, 4)
    assert np.abs(one - two).max() < 1e-5
    assert len(np.unique(one.argmax(axis=-1))) > 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_engines_compute_the_series_net_for_several_callers(tmp_path, name, activation):
    """Planes first; also a net of other layers than the suite builds, which OpenVINO is not told to compute that way."""
    unet.seed_everything(1)
    net, rng = seriesnet.build_net(10), np.random.default_rng(2)
    net.set_weights([rng.normal(0, 0.3, weights.shape) for weights in net.get_weights()])
    for layer in net.layers[1:-1]:
        layer.activation = unet.import_keras().activations.get(activation)
    export_nets({SERIES: (net, unet.run_net(net), rng.normal(size=(50, 10)).astype(np.float32))}, tmp_path)
    unet.save_net(net, tmp_path / "series.keras")
    compute = open_series(resolve_engine(name, [file.name for file in tmp_path.iterdir()], [SERIES]), tmp_path, 2)
    seen = [rng.normal(size=(3, 10, cells)).astype(np.float32) for cells in (1, 40, 700, 41) * 3]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compute, seen))
    for one, logits in zip(seen, found, strict=True):
        expected = unet.run_net(net)(np.moveaxis(one, 1, 2).reshape(-1, 10)).reshape(3, one.shape[2], 4)
        assert logits.shape == (3, 4, one.shape[2])
        assert np.abs(logits - np.moveaxis(expected, 2, 1)).max() < 1e-5


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_a_net_without_the_halo_gives_the_inner_probabilities(tmp_path, name, depth):
    halo = net_halo(depth)
    joint = unet.join_nets([scrambled(depth), scrambled_pixel_net(depth)])
    net = unet.with_probabilities(joint, 0.7, shift=-0.4)
    unet.save_net(net, tmp_path / "unet.keras")
    export_nets({UNET: (net, unet.run_net(net), toy(9)[0])}, tmp_path)
    engine = resolve_engine(name, FILES)
    whole, inner = (open_unet(engine, tmp_path, 0, halo=cells)[0] for cells in (0, halo))
    seen = np.random.default_rng(depth).integers(0, 5000, (3, 2 * halo + 32, 2 * halo + 64)).astype(np.uint16)
    found, expected = inner(seen), whole(seen)[:, halo:-halo, halo:-halo]
    assert found.shape == expected.shape == (4, 32, 64)
    assert np.abs(found - expected).max() < 1e-5
    assert np.ptp(expected) > 0.1, "an even map could hide a shift"


def test_openvino_leaves_the_halo_out_early_and_turns_nothing(tmp_path):
    """What it computes is tested above; a net that it does not know is computed as a whole, which is right too, and slower."""
    import openvino

    from imperviouslib.edge.engines.openvino import leave_out

    joint = unet.with_probabilities(unet.join_nets([scrambled(3), scrambled_pixel_net(3)]), 0.7)
    export_nets({UNET: (joint, unet.run_net(joint), toy(9)[0])}, tmp_path)
    net = openvino.Core().read_model(tmp_path / "unet.xml")
    assert leave_out(net, 48)
    kinds = [node.get_type_name() for node in net.get_ordered_ops()]
    assert not {"Transpose", "AvgPool"} & set(kinds)
    assert kinds.index("Slice") < kinds.index("ConvolutionBackpropData")


def test_a_net_whose_halo_cannot_be_left_out_is_refused(model, monkeypatch):
    engine = resolve_engine("openvino", FILES)
    faulty = replace(
        engine, load=lambda *asked: lambda seen: np.roll(engine.load(*asked)(seen), bool(asked[-2]), axis=1)
    )
    open_unet(faulty, model, 1)
    with pytest.raises(ModelError, match="without its halo that differ from those of the whole net by up to 0"):
        open_unet(faulty, model, 1, halo=48)


@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_an_engine_that_computes_something_else_is_refused(model, tmp_path, name):
    """Held against what TensorFlow gave when the model was made; the output of another net stands for a faulty engine."""
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    stored = dict(np.load(folder / CHECK))
    stored["unet_output"] = np.roll(stored["unet_output"], 1, axis=1)
    np.savez(folder / CHECK, **stored)
    with pytest.raises(ModelError, match="outputs that differ from those of the training by up to 0"):
        open_unet(resolve_engine(name, FILES), folder, 1)


def test_a_model_without_cells_to_compare_engines_by_is_refused(model, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    stored = dict(np.load(folder / CHECK))
    stored["unet_input"] = stored["unet_input"][:0]
    np.savez(folder / CHECK, **stored)
    with pytest.raises(ModelError, match=r"no input for the net 'unet'.*Train again"):
        open_unet(resolve_engine("openvino", FILES), folder, 1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor only")
@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_leaves_the_choice_of_the_processor_to_the_system(model, threads):
    """It would bind its threads to the first processors, those of another job on the machine to the same ones, and leave the rest idle."""
    free = os.sched_getaffinity(0)
    infer, _agreement = open_unet(resolve_engine("openvino", FILES), model, threads)
    infer(np.moveaxis(toy(5)[0][0], -1, 0))
    assert {frozenset(os.sched_getaffinity(int(thread.name))) for thread in Path("/proc/self/task").iterdir()} == {
        frozenset(free)
    }


def test_fast_numbers_agree_nearly_and_are_openvinos(model):
    engine = resolve_engine("openvino", FILES)
    try:
        infer, agreement = open_unet(engine, model, 1, fast=True)
    except InputError as err:
        assert "this processor has no bf16" in str(err)
        return
    exact = open_unet(engine, model, 1)[0]
    seen = np.moveaxis(toy(5)[0][0], -1, 0)
    apart = np.abs(infer(seen) - exact(seen)).max()
    assert 0 < apart < 0.1 and 0.9 < agreement <= 1
    with pytest.raises(InputError, match="computes in float32 only"):
        open_unet(resolve_engine("tensorflow", FILES), model, 1, fast=True)


def test_openvino_is_imported_without_its_telemetry_and_without_tensorflow(model):
    code = (
        "import sys; from pathlib import Path\n"
        "from imperviouslib.edge.engine import open_unet, resolve_engine\n"
        f"open_unet(resolve_engine('openvino', {FILES}), Path({str(model)!r}), 1)\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name in ('tensorflow', 'keras', 'openvino_telemetry') if sys.modules.get(name)])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=TOP, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_a_damaged_file_of_an_engine_is_refused_in_one_line(model, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    (folder / "unet.xml").write_text((folder / "unet.xml").read_text()[:2000])
    with pytest.raises(ModelError, match=r"checksum of unet\.xml differs"):
        read_model(folder)
    with pytest.raises(ModelError, match=r"unet.xml' cannot be loaded as a network") as caught:
        open_unet(resolve_engine("openvino", FILES), folder, 1)
    assert "\n" not in str(caught.value)


def test_a_card_that_names_files_elsewhere_is_refused(model, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    edit(folder, exports={"../unet.xml": "ab" * 32})
    with pytest.raises(ModelError, match=r"names a file '\.\./unet.xml'"):
        read_model(folder)


def test_a_whole_model_is_read(model):
    card = read_model(model)
    assert card.features == FEATURES
    assert card.classes == {"artificial": 1, "natural": 2, "green": 3, "other": 4}
    check_fit(card, name="m", features=list(FEATURES), res_m=20, data="d")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            lambda folder: (folder / NET).write_bytes((folder / NET).read_bytes()[:-100]),
            "the checksum of unet.keras differs",
        ),
        (lambda folder: (folder / NET).unlink(), "has no unet.keras"),
        (lambda folder: (folder / CARD).unlink(), "has no card.json"),
        (lambda folder: (folder / CARD).write_text((folder / CARD).read_text()[:100]), "text that is not JSON"),
        (lambda folder: (folder / CARD).write_text("[]"), "no contract number"),
        (lambda folder: edit(folder, contract=1), "contract 1, expected contract 2"),
        (lambda folder: edit(folder, halo=40), "halo 40 and anchor 8 for depth 3, expected 48 and 8"),
        (lambda folder: edit(folder, anchor=4), "anchor 4"),
        (lambda folder: edit(folder, features=None), "a damaged card"),
        (lambda folder: edit(folder, depth="three"), "a damaged card"),
        (lambda folder: edit(folder, depth=99, halo=10**40, anchor=2**99), r"a damaged card \(depth 99\)"),
        (lambda folder: edit(folder, metrics={"test": {}}), "a damaged card"),
        (lambda folder: edit(folder, calibration={}), "a damaged card"),
        (shutil.rmtree, "There is no model folder"),
    ],
)
def test_a_half_copied_or_foreign_model_is_refused_in_one_line(model, tmp_path, spoil, found):
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=found) as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)


def edit(folder, **changes):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def test_a_field_of_a_later_version_does_no_harm(model):
    values = json.loads((model / CARD).read_text())
    values["settings"]["weather"] = "fair"
    assert parse_card(json.dumps({**values, "colour": "blue"}), "card") == read_model(model)


def test_a_card_is_read_as_it_was_written():
    card = make_card()
    assert parse_card(json.dumps(card.to_json()), "card") == card


@pytest.mark.parametrize(
    ("part", "changes", "found"),
    [
        ("calibration", {"level": "much"}, "level much"),
        ("calibration", {"level": 7}, "level 7"),
        ("calibration", {"level": -0.1}, "level -0.1"),
        ("calibration", {"level": True}, "level True"),
        ("scaling", {"mean": [None, 1, 1]}, "mean None"),
        ("scaling", {"mean": [1e999, 1, 1]}, "mean inf"),
        ("scaling", {"mean": [1, 1]}, "scaling of 2 features"),
        ("scaling", {"deviation": [1, 1, -1]}, "deviation -1"),
        ("scaling", {"deviation": [1, "wide", 1]}, "deviation wide"),
        ("series", {"shares": [0.2, 0.2, 0.2, 1.5]}, "shares 1.5"),
        ("series", {"shares": [0.2, 0.8]}, "2 shares"),
    ],
)
def test_a_number_of_the_card_that_maps_would_be_computed_with_is_checked(part, changes, found):
    series = SeriesRecord("5e", (2017, 2018), (0.4, 0.3, 0.2, 0.1), 0.9, 400)
    values = replace(make_card(), series=series).to_json()
    assert parse_card(json.dumps(values), "card").series == series
    values[part] |= changes
    with pytest.raises(ModelError, match=re.escape(f"a damaged card ({found})")):
        parse_card(json.dumps(values), "card")


def test_the_card_has_the_keys_of_the_contract():
    """Written out, because readers outside the suite rely on them."""
    content = make_card().to_json()
    assert set(content) == {
        "anchor", "ard_digest", "calibration", "classes", "contract", "depth", "exports", "features", "filters", "halo", "label_year",
        "legend", "metrics", "model_sha256", "patch", "prior", "res_m", "scaling", "seed", "series", "settings", "split", "version", "years",
    }  # fmt: skip
    assert set(content["scaling"]) == {"mean", "deviation", "nodata", "where"}
    assert set(content["split"]) == {"block", "gap", "test", "seed", "blocks", "cells"}
    assert set(content["calibration"]) == {"temperature", "error_before", "error_after", "ground", "level", "shift"}
    assert set(content["settings"]) == {
        "periods", "epochs", "epochs_run", "epoch_kept", "batch", "steps", "learning_rate", "absent_classes", "keras", "tensorflow",
        "threads", "device", "precision",
    }  # fmt: skip
    assert set(content["metrics"]) == {"validation", "test"}
    assert set(content["metrics"]["test"]["2017"]) == {
        "cells", "overall_accuracy", "log_loss", "calibration_error", "classes",
    }  # fmt: skip
    assert set(content["metrics"]["test"]["2017"]["classes"]["green"]) == {
        "reference_cells", "mapped_cells", "iou", "users_accuracy", "producers_accuracy", "area_bias_pct", "expected_area_bias_pct",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"features": ("B12_p50", "B04_p50", "B11_p50")},
            "features B12_p50,B04_p50,B11_p50, expected B12_p50,B11_p50,B04_p50",
        ),
        ({"features": ("B12_p50",)}, "features B12_p50, expected"),
        ({"res_m": 10}, "cells of 10 m, expected 20 m"),
        (
            {"classes": {"artificial": 1, "green": 2, "other": 3}},
            "classes 1 artificial,2 green,3 other, expected 1 artificial",
        ),
    ],
)
def test_a_model_for_other_data_is_refused(model, changes, found):
    with pytest.raises(ModelError, match=found):
        check_fit(replace(read_model(model), **changes), name="m", features=FEATURES, res_m=20, data="d.h5")


def test_a_model_that_fails_midway_leaves_the_old_one(model, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    before = read_model(folder)

    def fail(path: Path):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_model(folder, before, save_net=fail, save_curves=fail, history=[EPOCH], confusion=[])
    assert read_model(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_model_is_replaced_only_on_request(model, tmp_path):
    with pytest.raises(InputError, match=r"already exists.*Use --overwrite"):
        check_model_free(model, overwrite=False)
    check_model_free(model, overwrite=True)
    check_model_free(tmp_path / "new", overwrite=False)


def test_a_folder_that_is_no_model_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    # An empty folder is free, in all tools.
    check_model_free(tmp_path / "photos", overwrite=False)
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match="not a model folder"):
        check_model_free(tmp_path / "photos", overwrite=True)


def test_a_file_that_is_no_net_is_refused(tmp_path):
    (tmp_path / "x.keras").write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="cannot be loaded as a network"):
        unet.load_net(tmp_path / "x.keras")


def test_a_net_that_holds_code_is_refused(tmp_path):
    keras = unet.import_keras()
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)]).save(tmp_path / "x.keras")
    with pytest.raises(ModelError, match="cannot be loaded as a network") as caught:
        unet.load_net(tmp_path / "x.keras")
    assert "\n" not in str(caught.value)


def test_a_file_that_would_unpack_to_gigabytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(unet, "_MOST_BYTES", 3 * 2**20)
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("model.weights.h5", bytes(4 * 2**20))
    assert (tmp_path / "x.keras").stat().st_size < 2**14
    with pytest.raises(ModelError, match="would unpack to 4 MB"):
        unet.load_net(tmp_path / "x.keras")


@pytest.mark.parametrize(
    "number", [*range(12), *(pytest.param(number, marks=pytest.mark.soak) for number in range(12, 600))]
)
def test_a_damaged_file_of_a_net_is_read_or_refused_in_one_line(tmp_path_factory, number):
    folder = tmp_path_factory.getbasetemp() / "nets"
    if not folder.exists():
        folder.mkdir()
        unet.save_net(unet.build_unet(small_spec(depth=1)), folder / "sound.keras")
    rng = random.Random(number)
    with zipfile.ZipFile(folder / "sound.keras") as sound:
        parts = {name: sound.read(name) for name in sound.namelist()}
    name = rng.choice(sorted(parts))
    damaged = change_json(json.loads(parts[name]), rng) if name.endswith(".json") else change_bytes(parts[name], rng)
    with zipfile.ZipFile(folder / "x.keras", "w") as out:
        for part, content in (parts | {name: damaged}).items():
            out.writestr(part, content)
    if rng.random() < 0.2:
        (folder / "x.keras").write_bytes(change_bytes((folder / "x.keras").read_bytes(), rng))
    try:
        unet.load_net(folder / "x.keras")
    except ModelError as err:
        assert "cannot be loaded as a network" in str(err) and "\n" not in str(err)


def test_a_loss_that_is_not_a_number_is_refused():
    nan = replace(EPOCH, val_loss=float("nan"))
    with pytest.raises(TrainingError, match="the loss is not a number"):
        best_epoch([nan, nan])


def test_an_epoch_is_about_two_passes_within_bounds():
    assert resolve_steps(2 * 10 * 64 * 64 * 8, periods=2, patch=64, batch=8) == 20
    assert resolve_steps(1, periods=1, patch=64, batch=8) == 12
    assert resolve_steps(10**12, periods=1, patch=64, batch=8) == 1000
