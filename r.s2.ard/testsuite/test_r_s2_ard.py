"""Tests of r.s2.ard with the test framework of GRASS."""

import os
import shutil
import tempfile

import grass.script as gs
from grass.gunittest.case import TestCase
from grass.gunittest.main import test


class TestArd(TestCase):
    @classmethod
    def setUpClass(cls):
        """Make composites of two years and labels of 10 m: a western half of artificial surfaces, an eastern one of fields."""
        cls.use_temp_region()
        cls.runModule("g.region", w=4450800, s=3282000, e=4451600, n=3282600, res=20)
        cls.folder = tempfile.mkdtemp()
        for year in (2017, 2018):
            for band in ("B12", "B11", "B04"):
                gs.mapcalc(f"ard_{year}_{band}_p50 = {year} + col()", overwrite=True)
            gs.mapcalc(f"ard_{year}_count = 3", overwrite=True)
        cls.runModule("g.region", res=10)
        gs.mapcalc("ard_labels = if(col() <= 40, 62, 73)", overwrite=True)
        cls.runModule("g.region", res=20)

    @classmethod
    def tearDownClass(cls):
        cls.runModule("g.remove", flags="f", type="raster", pattern="ard_*")
        cls.del_temp_region()
        shutil.rmtree(cls.folder)

    def test_file_is_written_and_passes_the_check(self):
        path, rules = os.path.join(self.folder, "a.h5"), os.path.join(self.folder, "rules.txt")
        self.assertModule("r.s2.ard", input="ard", output=path, labels="ard_labels", rules=rules, overwrite=True)
        self.assertFileExists(path)
        self.assertModule("r.s2.ard", flags="c", input=path)
        with open(rules, encoding="utf-8") as file:
            self.assertIn("62 = 1 Artificial surfaces", file.read())

    def test_damage_is_found(self):
        path = os.path.join(self.folder, "b.h5")
        self.assertModule("r.s2.ard", input="ard", output=path, overwrite=True)
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        self.assertModuleFail("r.s2.ard", flags="c", input=path)

    def test_label_codes_that_the_legend_lacks_fail(self):
        path = os.path.join(self.folder, "c.h5")
        self.assertModuleFail("r.s2.ard", input="ard", output=path, labels="ard_labels", legend="worldcover")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    test()
