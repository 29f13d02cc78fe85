"""r.impervious.change in a session of its own, against cells counted by hand."""

import csv
import os
import shutil
import tempfile

import grass.script as gs
from grass.gunittest.case import TestCase
from grass.gunittest.main import test


class TestChange(TestCase):
    """Two years of 10 x 10 cells in two regions of 50 cells."""

    before = "change_test_2017"
    now = "change_test_2018"
    zones = "change_test_zones"

    @classmethod
    def setUpClass(cls):
        cls.use_temp_region()
        cls.runModule("g.region", n=3000200, s=3000000, w=4000000, e=4000200, res=20)
        cls.runModule("r.mapcalc", expression=f"{cls.before} = if(col() < 4, 1, 3)", overwrite=True)
        # One column more is sealed in 2018, of which one cell was not seen.
        rule = "if(row() == 1 && col() == 4, null(), if(col() < 5, 1, 3))"
        cls.runModule("r.mapcalc", expression=f"{cls.now} = {rule}", overwrite=True)
        cls.runModule("v.mkgrid", map=cls.zones, grid=(1, 2), overwrite=True)
        cls.runModule("v.db.addcolumn", map=cls.zones, columns="NUTS_ID text")
        cls.runModule("v.db.update", map=cls.zones, column="NUTS_ID", query_column="'XX' || cat")

    @classmethod
    def tearDownClass(cls):
        cls.runModule("g.remove", type="raster", pattern="change_test_*", flags="f")
        cls.runModule("g.remove", type="vector", name=cls.zones, flags="f")
        cls.del_temp_region()

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.output = os.path.join(self.folder, "table")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def run_tool(self, **options):
        self.assertModule(
            "r.impervious.change", classes=[self.before, self.now], years="2017,2018", zones=self.zones,
            output=self.output, prefix="change_test", overwrite=True, **options,
        )  # fmt: skip

    def test_gain_is_counted_where_both_years_are_known(self):
        self.run_tool(vintage="2026-01-01")
        name = "change_test_2017_2018_gain"
        self.assertRasterExists(name)
        self.assertRasterFitsUnivar(name, reference={"n": 99, "null_cells": 1, "sum": 9}, precision=1e-9)
        with open(os.path.join(self.output, "impervious_nuts.csv"), encoding="utf-8", newline="") as handle:
            rows = [
                row
                for row in csv.DictReader(handle)
                if (row["lc_flow"], row["landcover"], row["method"], row["unit"])
                == ("GAIN", "IMP", "mapped_raw", "KM2")
            ]
        self.assertEqual(
            {row["geo"]: (float(row["OBS_VALUE"]), row["N_PIX"], row["COVERAGE"]) for row in rows},
            {"XX1": (9 * 400 / 1e6, "49", "0.98"), "XX2": (0.0, "50", "1.0")},
        )

    def test_columns_equal_the_counts(self):
        self.run_tool()
        values = gs.vector_db_select(self.zones, columns="NUTS_ID,imp_2018_sum,new_2017_2018_sum")["values"]
        self.assertEqual(
            {geo: (float(stock), float(new)) for geo, stock, new in values.values()}, {"XX1": (39, 9), "XX2": (0, 0)}
        )

    def test_missing_column_stops_the_tool(self):
        self.assertModuleFail(
            "r.impervious.change", classes=[self.before, self.now], years="2017,2018", zones=self.zones,
            column="CODE", output=self.output, prefix="change_test_other",
        )  # fmt: skip
        self.assertFalse(os.path.exists(self.output))
        self.assertRasterDoesNotExist("change_test_other_2017_2018_gain")


if __name__ == "__main__":
    test()
