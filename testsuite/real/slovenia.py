"""Real run: a square kilometre of Slovenia, 2015 to 2017, with labels of another legend.

Data, in DATA: `s2_l1c_slovenia_eopatch/REFERENCE_SCENES_2015.npy`, `LULC.npy`, `bbox.geojson` (sentinel-hub/eo-learn, MIT): five dates of L1C reflectance 0-1 in pixels of about
10 m, EPSG:32633, two of them all cloud, and land use and cover: 1 cultivated, 2 forest, 3 grassland, 4 shrub, 8 artificial, 0 none. Only the three clear dates are used,
so the artificial classification (not vegetated) hides no cloud. The labels have their own legend file. A square of 50 cells is too small for training, which r.unet.train must refuse.
The model of the demo predicts the place, and its agreement with the labels is printed, but not judged.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import rasterio

from imperviouslib.edge.ardfile import ArdFile
from testsuite.real._chain import Session, demo_model
from testsuite.real._items import Band, made_classes, set_region, share_in_cells, write_collection, write_item

PACK = "s2_l1c_slovenia_eopatch"
CLEAR = {2: "2015-09-09", 3: "2015-08-30", 4: "2015-07-11"}
"""Index of a clear date to its date."""
_AXIS = {"B12": 12, "B11": 11, "B04": 3}
_GREEN, _ARTIFICIAL = (1, 2, 3, 4), 8


def main(data_dir: Path, work_dir: Path) -> int:
    """Run the chain up to the labels, try to train, and predict. Returns: 0 if the labels are right and training is refused in one line."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    source = data_dir / PACK
    scenes = np.load(source / "REFERENCE_SCENES_2015.npy", allow_pickle=False)
    lulc = np.load(source / "LULC.npy", allow_pickle=False)[..., 0]
    ring = json.loads((source / "bbox.geojson").read_text())["coordinates"][0]
    west, south = (min(p[axis] for p in ring) for axis in (0, 1))
    east, north = (max(p[axis] for p in ring) for axis in (0, 1))
    rows, cols = scenes.shape[1:3]
    transform = rasterio.Affine((east - west) / cols, 0, west, 0, -(north - south) / rows, north)

    def band(cells: np.ndarray, res_m: int = 20) -> Band:
        return Band(cells, "EPSG:32633", transform, res_m)

    items = []
    for index, day in CLEAR.items():
        reflectance = np.clip(np.rint(np.nan_to_num(scenes[index]) * 10000), 0, 65535).astype("uint16")
        bands = {name: band(reflectance[..., axis]) for name, axis in _AXIS.items()}
        bands["SCL"] = made_classes(bands["B12"])
        items.append(write_item(work_dir / "items", bands, sensed=f"{day}T10:00:00", baseline="02.00", tile="33TWM"))
    catalogue = write_collection(work_dir / "items.json", items)
    legend = work_dir / "lulc.txt"
    legend.write_text(
        "0 nodata\n1 green cultivated\n2 green forest\n3 green grassland\n4 green shrub\n8 artificial artificial surface\n"
    )
    cover = work_dir / "lulc.tif"
    with rasterio.open(
        cover,
        "w",
        driver="GTiff",
        height=rows,
        width=cols,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=transform,
    ) as out:
        out.write(lulc.astype("uint8"), 1)
    session = Session(work_dir)
    set_region(session, [bands["B12"]])
    session.run(
        "r.s2.fetch", f"stac={catalogue}", "output=archive", "years=2015", "window=01-01/12-31", "clouds=100", "-n"
    )
    session.run("r.s2.yearly", "input=archive", "output=s2", "years=2015")
    session.run(
        "r.import", f"input={cover}", "output=lulc", "resolution=value", "resolution_value=5", "extent=region", "--q"
    )
    printed = session.run(
        "r.s2.ard", "input=s2", "output=place.h5", "labels=lulc", f"legend={legend}", "label_year=2015"
    )
    print(printed.strip())
    short = work_dir / "short.txt"
    short.write_text("0 nodata\n2 green forest\n")
    print(
        f"a legend without all codes: {session.fail('r.s2.ard', 'input=s2', 'output=none.h5', 'labels=lulc', f'legend={short}')}"
    )
    refusal = session.fail("r.unet.train", "input=place.h5", "output=model", "patch=32", "depth=1")
    print(f"r.unet.train refuses: {refusal}")
    session.run("r.unet.predict", "input=place.h5", f"model={demo_model()}", "output=lc")
    session.run("r.out.gdal", "-c", "input=lc_2015_class", f"output={work_dir}/lc.tif", "nodata=0", "type=Byte", "--q")
    with rasterio.open(work_dir / "lc.tif") as dataset:
        classes = dataset.read(1)
    with ArdFile.open(work_dir / "place.h5") as ard:
        label, bounds = ard.read_label(ard.grid), ard.grid.bounds
    both = (label > 0) & (classes > 0)
    print(
        f"model of the demo compared with the labels: equal in {(label == classes)[both].mean():.3f} of {int(both.sum())} cells"
    )
    for code, name in ((1, "artificial"), (3, "green")):
        here = both & (label == code)
        print(
            f"  {name}: labelled {int(here.sum())}, mapped {int((both & (classes == code)).sum())}, both {int((here & (classes == code)).sum())}"
        )
    good = "found" in refusal and "expected" in refusal and not (work_dir / "model").exists()
    return 0 if good and labels_agree(lulc, band(lulc), label, bounds) else 1


def labels_agree(lulc: np.ndarray, like: Band, label: np.ndarray, bounds: tuple[int, int, int, int]) -> bool:
    """Compare the labels with the shares of the native pixels: a cell must have the class with the largest share, where that share is clearly larger."""
    green = share_in_cells(np.isin(lulc, _GREEN), like, bounds, label.shape)
    artificial = share_in_cells(lulc == _ARTIFICIAL, like, bounds, label.shape)
    wrong = 0
    for share, other, code in ((green, artificial, 3), (artificial, green, 1)):
        sure = (share > 0.6) & (share - other > 0.3)
        wrong += int((label[sure] != code).sum())
        print(
            f"class {code}: {int(sure.sum())} cells with a clear majority, {int((label[sure] != code).sum())} labelled otherwise"
        )
    return wrong == 0


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
