"""Tests of r.s2.yearly with the test framework of GRASS."""

import hashlib
import json
import os
import shutil
import tempfile

import grass.script as gs
from grass.gunittest.case import TestCase
from grass.gunittest.main import test

NAME = "S2A_MSIL2A_20180{0}01T102031_N0213_R065_T32UPD_20180{0}01T152758"


class TestYearly(TestCase):
    @classmethod
    def setUpClass(cls):
        """Write three scenes of 40 x 30 cells: 100, 200 and 400 in B12, the last one cloudy in its northern half."""
        cls.use_temp_region()
        cls.runModule("g.region", w=4450800, s=3282000, e=4451600, n=3282600, res=20)
        cls.folder = tempfile.mkdtemp()
        for month, value in ((5, 100), (6, 200), (7, 400)):
            scene = os.path.join(cls.folder, "32UPD", "2018", NAME.format(month))
            os.makedirs(scene)
            cls.write(scene, month, "B12", f"{value}")
            cls.write(scene, month, "SCL", "if(row() <= 15, 9, 5)" if month == 7 else "5")

    @classmethod
    def write(cls, scene, month, band, value):
        path = os.path.join(scene, f"{band}.tif")
        gs.mapcalc(f"part = int({value})", overwrite=True)
        gs.run_command(
            "r.out.gdal", input="part", output=path, type="Byte" if band == "SCL" else "UInt16", nodata=0, flags="cm",
            createopt="TILED=YES,COMPRESS=DEFLATE", quiet=True,
        )  # fmt: skip
        with open(path, "rb") as file:
            content = file.read()
        sidecar = {
            "sidecar": 1, "scene": NAME.format(month), "tile": "32UPD", "band": band, "sensed_utc": f"2018-0{month}-01T10:20:31Z",
            "datatake": f"GS2A_{month}", "baseline": "02.13", "cloud_pct": 10.0, "valid_cells": 1200,
            "offset": {"dn": 0, "rule": "baseline 02.13 is before 04.00"}, "source": {"size": 1000},
            "output": {"file": f"{band}.tif", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
            "grid": {"bounds": [4450800, 3282000, 4451600, 3282600], "res_m": 20},
        }  # fmt: skip
        with open(os.path.join(scene, f"{band}.json"), "w", encoding="utf-8") as file:
            json.dump(sidecar, file)

    @classmethod
    def tearDownClass(cls):
        cls.runModule("g.remove", flags="f", type="raster", pattern="s2_*,part")
        cls.runModule("g.remove", flags="f", type="group", pattern="s2_*")
        cls.runModule("t.remove", flags="f", type="strds", inputs="s2,s2_all")
        cls.del_temp_region()
        shutil.rmtree(cls.folder)

    def test_median_of_what_is_clear(self):
        self.assertModule(
            "r.s2.yearly", input=self.folder, output="s2", bands="B12", dilate=0, mask="scl", overwrite=True
        )
        self.assertRasterMinMax("s2_2018_B12_p50", 150, 200)
        self.assertRasterFitsUnivar("s2_2018_B12_p50", {"mean": (15 * 150 + 15 * 200) / 30, "n": 1200}, precision=1e-9)
        self.assertRasterFitsUnivar("s2_2018_count", {"mean": (15 * 2 + 15 * 3) / 30, "n": 1200}, precision=1e-9)

    def test_statistics_beside_the_median(self):
        self.assertModule(
            "r.s2.yearly",
            input=self.folder,
            output="s2_all",
            bands="B12",
            statistics="min,p75,max",
            dilate=0,
            mask="scl",
            overwrite=True,
        )
        for statistic, north, south in (("p50", 150, 200), ("min", 100, 100), ("p75", 175, 300), ("max", 200, 400)):
            self.assertRasterFitsUnivar(
                f"s2_all_2018_B12_{statistic}", {"mean": (north + south) / 2, "n": 1200}, precision=1e-9
            )

    def test_check_passes(self):
        self.assertModule("r.s2.yearly", flags="c", input=self.folder)

    def test_year_that_is_not_there_fails(self):
        self.assertModuleFail("r.s2.yearly", input=self.folder, output="other", bands="B12", years="2019")


if __name__ == "__main__":
    test()
