"""The settings of r.unet.train and r.unet.predict: parsed once, and refused where they contradict each other."""

import re
from pathlib import Path

import pytest

from imperviouslib.core.errors import InputError
from imperviouslib.core.settings.predict import PredictSettings
from imperviouslib.core.settings.train import TrainSettings
from testsuite import TOP


def answers(tool):
    """Option to default of a tool's header."""
    header = (TOP / tool / f"{tool}.py").read_text(encoding="utf-8")
    return dict(re.findall(r"# % key: (\w+)\n(?:# % (?!key|answer).*\n)*# % answer: (.*)\n", header))


TRAIN = {"input": "ard.h5", "output": "model", "years": "", **answers("r.unet.train")}
PREDICT = {
    "input": "ard.h5",
    "model": "model",
    "output": "lc",
    "years": "",
    "nprocs": "1",
    "scheduler": "",
    **answers("r.unet.predict"),
}


def test_the_defaults_of_train_are_those_of_the_options():
    assert set(TRAIN) - {"input", "output", "years"} == {
        "patch", "filters", "depth", "epochs", "batch", "test", "seed", "format",
    }  # fmt: skip
    assert TrainSettings.parse(TRAIN, {"f": False}) == TrainSettings(Path("ard.h5"), Path("model"))


def test_train_reads_every_option():
    given = {
        "input": "a.h5, b.nc", "output": "~/m", "years": "2017-2019", "patch": "32", "filters": "4", "depth": "1", "epochs": "2",
        "batch": "3", "test": "0.5", "seed": "7", "format": "json",
    }  # fmt: skip
    assert TrainSettings.parse(given, {"f": True}) == TrainSettings(
        Path("a.h5"), Path.home() / "m", (Path("b.nc"),), years=(2017, 2018, 2019), patch=32, filters=4, depth=1, epochs=2, batch=3, test=0.5,
        seed=7, format="json", mixed=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "depth", "step"),
    [
        ("17", "1", "Use 16"),
        ("33", "3", "Use 32"),
        ("8", "4", "Use 16"),
        ("100", "4", "Use 96"),
        ("4", "0", "Use 8"),
        ("33", "0", "Use 32"),
    ],
)
def test_a_patch_that_is_no_multiple_of_the_anchor_is_refused(patch, depth, step):
    with pytest.raises(InputError, match=f"Option <patch>: found {patch}, expected a multiple of .*{step}"):
        TrainSettings.parse({**TRAIN, "patch": patch, "depth": depth}, {"f": False})


@pytest.mark.parametrize(
    ("patch", "depth", "shapes"),
    [
        (0, 0, [(3, 16), (2, 16), (1, 16)]),
        (0, 4, [(4, 16)]),
        (0, 5, [(5, 32)]),
        (20, 0, [(2, 20), (1, 20)]),
        (64, 3, [(3, 64)]),
    ],
)
def test_depth_and_patch_that_are_not_given_are_chosen_from_what_fits(patch, depth, shapes):
    settings = TrainSettings(Path("a"), Path("b"), patch=patch, depth=depth)
    assert list(settings.shapes) == shapes
    assert len({TrainSettings(Path("a"), Path("b"), patch=p, depth=d).window for d, p in shapes}) == 1


@pytest.mark.parametrize(("patch", "window"), [(64, 256), (96, 192), (256, 256), (512, 512)])
def test_windows_are_whole_patches(patch, window):
    assert TrainSettings(Path("a"), Path("b"), patch=patch).window == window


def test_predict_reads_every_option():
    assert PredictSettings.parse(PREDICT, {"l": False, "f": False}) == PredictSettings(
        Path("ard.h5"), Path("model"), "lc"
    )
    given = {
        "input": "a.h5",
        "model": "~/m",
        "output": "x",
        "years": "2017,2019",
        "engine": "tensorflow",
        "nprocs": "3",
        "scheduler": "tls://cluster:8786",
    }
    assert PredictSettings.parse(given, {"l": True, "f": True}) == PredictSettings(
        Path("a.h5"),
        Path.home() / "m",
        "x",
        years=(2017, 2019),
        engine="tensorflow",
        threads=3,
        scheduler="tls://cluster:8786",
        fast=True,
        link=True,
    )


@pytest.mark.parametrize("prefix", ["1lc", "a-b", "a b", ""])
def test_a_prefix_that_cannot_begin_a_map_name_is_refused(prefix):
    with pytest.raises(InputError, match="Option <output>"):
        PredictSettings.parse({**PREDICT, "output": prefix}, {"l": False, "f": False})


@pytest.mark.parametrize(("parse", "options"), [(TrainSettings.parse, TRAIN), (PredictSettings.parse, PREDICT)])
def test_years_that_are_no_years_are_refused(parse, options):
    with pytest.raises(InputError, match="Option <years>"):
        parse({**options, "years": "20l7"}, {"l": False, "f": False})
