"""r.impervious.sample in a session of its own, on scores whose ranks are known."""

import csv
import json
import os
import shutil
import tempfile

import grass.script as gs
from grass.gunittest.case import TestCase
from grass.gunittest.gmodules import SimpleModule
from grass.gunittest.main import test


class TestSample(TestCase):
    """100 x 100 cells in 16 windows. The score of gain falls from the north-west by rows, the west is sealed."""

    gain = "sample_test_gain"
    loss = "sample_test_loss"
    sealed = "sample_test_sealed"
    prefix = "sample_test"

    @classmethod
    def setUpClass(cls):
        cls.use_temp_region()
        cls.runModule("g.region", n=3002000, s=3000000, w=4000000, e=4002000, res=20)
        cls.runModule(
            "r.mapcalc", expression=f"{cls.gain} = float(10100 - 100 * row() - col()) / 10000", overwrite=True
        )
        cls.runModule("r.mapcalc", expression=f"{cls.loss} = float(100 * row() + col()) / 10200", overwrite=True)
        # The last row was not seen in any year.
        rule = "if(row() == 100, null(), if(col() <= 20, 0.9, 0.01))"
        cls.runModule("r.mapcalc", expression=f"{cls.sealed} = {rule}", overwrite=True)

    @classmethod
    def tearDownClass(cls):
        cls.runModule("g.remove", type="raster", pattern="sample_test_*", flags="f")
        cls.del_temp_region()

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.output = os.path.join(self.folder, "sample")

    def tearDown(self):
        shutil.rmtree(self.folder)
        self.runModule("g.remove", type="raster", name=f"{self.prefix}_strata,{self.prefix}_stock", flags="f")

    def tool(self, **options):
        """The tool with three maps, and a small sample."""
        given = {
            "gain": self.gain, "loss": self.loss, "sealed": self.sealed, "years": "2017-2019", "output": self.output,
            "prefix": self.prefix, "points": 30, "windows": 8, "loss_points": 10, "stock": 20, **options,
        }  # fmt: skip
        return SimpleModule("r.impervious.sample", **given)

    def design(self):
        with open(os.path.join(self.output, "design.json"), encoding="utf-8") as handle:
            return json.load(handle)

    def test_list_prints_the_strata_and_writes_nothing(self):
        module = self.tool(flags="l", format="json")
        self.assertModule(module)
        found = json.loads(module.outputs.stdout)
        # 9900 cells have data; 0.3 % of them are 30 cells, rounded up.
        land = {(line["purpose"], line["stratum"]): (line["units"], line["drawn"]) for line in found["strata"]}
        self.assertEqual(land["gain", "G1"][0], 30)
        self.assertEqual(sum(units for (purpose, _), (units, _) in land.items() if purpose == "windows"), 16)
        self.assertEqual((found["points"], found["windows"], found["output"]), (60, 8, None))
        self.assertFalse(os.path.exists(self.output))
        self.assertRasterDoesNotExist(f"{self.prefix}_strata")

    def test_sample_and_maps_cover_the_land(self):
        self.assertModule(self.tool())
        design = self.design()
        self.assertEqual((design["years"], design["seed"], len(design["units"])), ([2017, 2018, 2019], 1, 68))
        self.assertEqual([(area["geo"], area["cells"]) for area in design["areas"]], [("", 9900)])
        self.assertEqual(design["made_from"]["gain"]["map"].split("@")[0], self.gain)
        with open(os.path.join(self.output, "units.csv"), encoding="utf-8", newline="") as handle:
            units = list(csv.DictReader(handle))
        # The weights of stock points add up to all land, and the first stratum of gain lies in the first row.
        weights = sum(float(unit["weight"]) for unit in units if unit["purpose"] == "stock")
        self.assertAlmostEqual(weights, 9900, delta=1)
        rows = {(3002000 - float(unit["y"])) // 20 for unit in units if unit["stratum"] == "G1"}
        self.assertEqual(rows, {0})
        with open(os.path.join(self.output, "readings.csv"), encoding="utf-8") as handle:
            header = handle.readline().strip()
        self.assertEqual(header, "id,cell,2017,2018,2019,certainty,interpreter,reading,seconds,note")
        # One area: codes 1 to 6, sealed land (0.7-0.95) is 5.
        self.assertRasterFitsUnivar(
            f"{self.prefix}_stock", reference={"n": 9900, "null_cells": 100, "min": 1, "max": 5}, precision=1e-9
        )
        sealed = gs.read_command("r.stats", input=f"{self.prefix}_stock", flags="cn", quiet=True)
        self.assertEqual(sealed.split(), ["1", str(80 * 99), "5", str(20 * 99)])
        self.assertRasterFitsUnivar(f"{self.prefix}_strata", reference={"n": 9900, "null_cells": 100}, precision=1e-9)

    def test_the_same_seed_gives_the_same_sample_and_none_is_replaced_by_chance(self):
        self.assertModule(self.tool())
        digest = self.design()["digest"]
        self.assertModuleFail(self.tool(seed=2))
        self.assertEqual(self.design()["digest"], digest)
        self.assertModule(self.tool(overwrite=True))
        self.assertEqual(self.design()["digest"], digest)
        self.assertModule(self.tool(overwrite=True, seed=2))
        self.assertNotEqual(self.design()["digest"], digest)

    def test_a_score_without_the_others_stops_the_tool(self):
        self.assertModuleFail(
            "r.impervious.sample", gain=self.gain, years="2017-2019", output=self.output, prefix=self.prefix
        )
        self.assertFalse(os.path.exists(self.output))


if __name__ == "__main__":
    test()
