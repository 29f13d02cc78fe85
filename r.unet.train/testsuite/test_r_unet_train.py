"""Tests of r.unet.train with the test framework of GRASS."""

import json
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
    os.path.join(os.environ.get("GRASS_ADDON_BASE", ""), "etc", "r.unet.train"),
]
SIDE = 160


def write_ard(path, codes):
    """Write an HDF5 file of the suite with classes of different brightness."""
    from imperviouslib.core.grid import Grid
    from imperviouslib.edge.ardfile import ArdWriter

    rng = np.random.default_rng(1)
    squares = rng.choice(codes, size=(SIDE // 8, SIDE // 8))
    label = np.kron(squares, np.ones((8, 8))).astype(np.uint8)
    levels = np.array([0, 3000, 4500, 1500, 300])[label]
    features = (levels + rng.integers(0, 200, (2, SIDE, SIDE))).astype(np.uint16)
    with ArdWriter(path, Grid(0, 0, SIDE * 20, SIDE * 20), ["2017"], ["B12_p50", "B04_p50"]) as out:
        out.start_label(year=2017, legend="s2glc")
        for part in out.strips():
            shares = np.stack([np.where(label == code, 100, 0) for code in (1, 2, 3, 4)]).astype(np.uint8)
            out.write_period("2017", part, features, np.full(part.shape, 5, np.uint8))
            out.write_label(part, label, np.full(part.shape, 100, np.uint8), shares)
        out.finish({"2017": {"scenes": []}})


class TestTrain(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.use_temp_region()
        cls.runModule("g.region", n=SIDE * 20, s=0, w=0, e=SIDE * 20, res=20)
        cls.folder = tempfile.mkdtemp()

    @classmethod
    def tearDownClass(cls):
        cls.del_temp_region()
        shutil.rmtree(cls.folder)

    def test_model_folder_is_whole(self):
        ard, model = (os.path.join(self.folder, name) for name in ("ard.h5", "model"))
        write_ard(ard, [1, 2, 3, 3, 3, 4])
        self.assertModule("r.unet.train", input=ard, output=model, patch=32, depth=1, filters=4, epochs=4, batch=4)
        # The files of other engines are there where these are installed.
        self.assertLessEqual(
            {"card.json", "check.npz", "confusion.csv", "curves.png", "history.csv", "unet.keras"},
            set(os.listdir(model)),
        )
        with open(os.path.join(model, "card.json")) as handle:
            card = json.load(handle)
        self.assertEqual(card["features"], ["B12_p50", "B04_p50"])
        self.assertGreater(card["metrics"]["test"]["2017"]["overall_accuracy"], 0.6)

    def test_one_class_is_refused(self):
        ard, model = (os.path.join(self.folder, name) for name in ("one.h5", "none"))
        write_ard(ard, [3])
        done = subprocess.run(
            ["r.unet.train", f"input={ard}", f"output={model}"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("only class 3", done.stderr)
        self.assertFalse(os.path.exists(model))


if __name__ == "__main__":
    test()
