"""Tests of r.unet.predict with the test framework of GRASS."""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from grass.gunittest.case import TestCase
from grass.gunittest.main import test

HERE = os.path.dirname(os.path.realpath(__file__))
# The library lies in the source tree, or where the installed tool has its copy.
sys.path[:0] = [
    os.path.join(HERE, "..", ".."),
    os.path.join(os.environ.get("GRASS_ADDON_BASE", ""), "etc", "r.unet.predict"),
]
SIDE = 40
HOLE = 6


def write_ard(path):
    """Write an HDF5 file of the suite without labels; its first rows have no data."""
    from imperviouslib.core.grid import Grid
    from imperviouslib.edge.ardfile import ArdWriter

    features = np.random.default_rng(1).integers(200, 4000, (2, SIDE, SIDE)).astype(np.uint16)
    features[0, :HOLE] = 0
    with ArdWriter(path, Grid(0, 0, SIDE * 20, SIDE * 20), ["2018"], ["B12_p50", "B04_p50"]) as out:
        for part in out.strips():
            out.write_period("2018", part, features, np.full(part.shape, 5, np.uint8))
        out.finish({"2018": {"scenes": []}})


def write_model(folder, features):
    """Write a model folder with a network of random weights."""
    from pathlib import Path

    from imperviouslib.core.card import Calibration, Card, Metrics, Scaling, Split, TrainingRecord
    from imperviouslib.core.network import NetSpec
    from imperviouslib.core.training import Epoch
    from imperviouslib.edge import modelfile, unet

    unet.seed_everything(1)
    scaling = Scaling((2000.0, 2000.0), (900.0, 900.0))
    net = unet.build_unet(NetSpec(2, scaling.mean, scaling.deviation, 1, 4))
    card = Card(
        version="0", features=features, scaling=scaling, res_m=20, patch=32, depth=1, filters=4, halo=8, anchor=2,
        split=Split(32, 8, 0.2, 1, blocks={}, cells={}), seed=1, years=(2017,), label_year=2017, legend="s2glc", ard_digest="",
        metrics=Metrics({}, {}), prior={}, calibration=Calibration(1.0, 0.1, 0.1, level=0.2, shift=0.0),
        settings=TrainingRecord(("2017",), 1, 1, 1, 8, 12, 3e-3, (), "", "", "1"),
    )  # fmt: skip
    modelfile.write_model(
        Path(folder), card, save_net=lambda path: unet.save_net(unet.with_probabilities(net, 1.0), path),
        save_curves=lambda path: path.write_bytes(b""), history=[Epoch(1, 1.0, 0.5, 1.0, 0.5)], confusion=[],
    )  # fmt: skip


class TestPredict(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.use_temp_region()
        cls.runModule("g.region", n=SIDE * 20, s=0, w=0, e=SIDE * 20, res=20)
        cls.folder = tempfile.mkdtemp()
        cls.ard, cls.model, cls.foreign = (os.path.join(cls.folder, name) for name in ("ard.h5", "model", "foreign"))
        write_ard(cls.ard)
        write_model(cls.model, ("B12_p50", "B04_p50"))
        write_model(cls.foreign, ("B12_p50", "B11_p50"))

    @classmethod
    def tearDownClass(cls):
        cls.del_temp_region()
        cls.runModule("g.remove", flags="f", type="raster", pattern="gu_*")
        shutil.rmtree(cls.folder)

    def test_maps_have_cells_where_there_is_data(self):
        self.assertModule("r.unet.predict", input=self.ard, model=self.model, output="gu")
        for name in ("class", "p_artificial", "p_natural", "p_green", "p_other"):
            self.assertRasterExists(f"gu_2018_{name}")
            self.assertRasterFitsUnivar(f"gu_2018_{name}", {"null_cells": HOLE * SIDE, "n": (SIDE - HOLE) * SIDE})
        self.assertRasterMinMax("gu_2018_class", 1, 4)
        self.assertRasterMinMax("gu_2018_p_green", 1, 9999)

    def test_model_of_other_features_is_refused(self):
        done = subprocess.run(
            ["r.unet.predict", f"input={self.ard}", f"model={self.foreign}", "output=gu_foreign"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertIn("B12_p50,B11_p50", done.stderr)
        self.assertRasterDoesNotExist("gu_foreign_2018_class")


if __name__ == "__main__":
    test()
