"""Tests of r.s2.fetch with the test framework of GRASS: an item collection whose objects are files of this test."""

import json
import os
import shutil
import sys
import tempfile

import numpy as np
from grass.gunittest.case import TestCase
from grass.gunittest.main import test

HERE = os.path.dirname(os.path.realpath(__file__))
# The library lies in the source tree, or where the installed tool has its copy.
sys.path[:0] = [
    os.path.join(HERE, "..", ".."),
    os.path.join(os.environ.get("GRASS_ADDON_BASE", ""), "etc", "r.s2.fetch"),
]
BANDS = {"B12": 2500, "B11": 3000, "B04": 900, "SCL": 5}
WEST, NORTH, SIDE = 320000, 5850000, 120
"""A square of 120 pixels in UTM zone 33, near 12.4 degrees east and 52.8 degrees north."""


def write_item(folder, name, baseline, offset):
    """Write the objects of a scene of even values and return its item."""
    import rasterio
    from rasterio.transform import from_origin

    assets = {}
    for band, value in BANDS.items():
        path = os.path.join(folder, f"{name}_{band}.tif")
        pixels = np.full(
            (SIDE, SIDE), value + (offset if band != "SCL" else 0), np.uint16 if band != "SCL" else np.uint8
        )
        with rasterio.open(
            path, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype=pixels.dtype, crs="EPSG:32633",
            transform=from_origin(WEST, NORTH, 20, 20),
        ) as file:  # fmt: skip
            file.write(pixels, 1)
        assets[f"{band}_20m"] = {
            "href": os.path.basename(path),
            "gsd": 20,
            "file:size": os.path.getsize(path),
            "raster:offset": -0.1,
        }
    ring = [[12.30, 52.76], [12.38, 52.76], [12.38, 52.80], [12.30, 52.80], [12.30, 52.76]]
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "datetime": "2018-06-01T10:10:31Z", "grid:code": "MGRS-33UUU", "processing:version": baseline, "eo:cloud_cover": 2.0,
            "eopf:datatake_id": f"{name}_N{baseline}", "statistics": {"nodata": 0.0},
        },
        "assets": assets,
    }  # fmt: skip


class TestFetch(TestCase):
    """Two scenes of the same ground, one with the reflectance offset in its numbers."""

    @classmethod
    def setUpClass(cls):
        cls.use_temp_region()
        cls.folder = tempfile.mkdtemp()
        items = [
            write_item(cls.folder, "before_000001", "02.06", 0),
            write_item(cls.folder, "after_000002", "05.00", 1000),
        ]
        cls.stac = os.path.join(cls.folder, "items.json")
        with open(cls.stac, "w", encoding="utf-8") as file:
            json.dump({"type": "FeatureCollection", "features": items}, file)
        cls.archive = os.path.join(cls.folder, "archive")
        # The middle of the square.
        from imperviouslib.edge.warp import transformer

        x, y = transformer("EPSG:32633", "EPSG:3035").transform(WEST + 10 * SIDE, NORTH - 10 * SIDE)
        west, south = round(x / 20) * 20 - 600, round(y / 20) * 20 - 600
        cls.runModule("g.region", w=west, s=south, e=west + 1200, n=south + 1200, res=20)

    @classmethod
    def tearDownClass(cls):
        cls.runModule("g.remove", flags="f", type="raster", pattern="fetchtest_*")
        cls.runModule("t.remove", flags="rf", inputs="fetchtest", type="strds")
        cls.del_temp_region()
        shutil.rmtree(cls.folder)

    def test_scenes_before_and_after_the_offset_have_the_same_reflectance(self):
        options = {"stac": self.stac, "output": self.archive, "years": "2018", "prefix": "fetchtest"}
        self.assertModule("r.s2.fetch", flags="l", **options)
        self.assertFalse(os.path.exists(self.archive))
        self.assertModule("r.s2.fetch", **options)
        for scene in ("000001", "000002"):
            for band, value in BANDS.items():
                name = f"fetchtest_33UUU_2018_06_01T101031_{scene}_{band}"
                self.assertRasterExists(name)
                self.assertRasterMinMax(name, refmin=value, refmax=value)
        # Again: nothing is fetched, nothing fails.
        self.assertModule("r.s2.fetch", **options)

    def test_years_without_scenes_are_an_error(self):
        self.assertModuleFail("r.s2.fetch", stac=self.stac, output=self.archive, years="2016")


if __name__ == "__main__":
    test()
