"""Real run: r.impervious.change on two real maps of impervious land around Parma, compared with counts of their native cells.

Data, in DATA: `labels_impervious_parma_2012_2015/parma_consumo_suolo_2012.tif` and `..._2015.tif`, 10 m, EPSG:32632, 1
impervious, 0 not (the national soil consumption map of ISPRA, as published by meteosalute/Parma_urban_imperviousness), and
`nuts/NUTS_RG_20M_2024_3035.shp` (GISCO). The maps lie in the provinces of Parma, ITH52, and Reggio, ITH53.

Each 20 m cell of EPSG:3035 is sampled at 5 x 5 points, so its share of impervious land is correct to a few per cent of a cell, and the sum
over a region is much better. The tool runs on these shares, and on the classes by majority, whose bias is printed.

    python3 testsuite/real/parma.py DATA WORK
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

PACK = "labels_impervious_parma_2012_2015"
YEARS = (2012, 2015)
REGION = "ITH52"
NATIVE_STOCK_HA, NATIVE_CHANGE_HA = 9438.6, 44.10
"""Impervious land in 2012, and its change to 2015: counts of native cells x 100 m2, outline drawn in EPSG:32632."""
STOCK_TOLERANCE, CHANGE_TOLERANCE_HA = 0.005, 1.0
SUBCELLS = 5


def main(data_dir, work_dir):
    """Run the comparison and print it. Returns: 0 if the figures agree, 1 if they do not or a file is missing."""
    data, work = Path(data_dir).resolve(), Path(work_dir).resolve()
    sources = {year: data / PACK / f"parma_consumo_suolo_{year}.tif" for year in YEARS}
    nuts = data / "nuts" / "NUTS_RG_20M_2024_3035.shp"
    missing = [path for path in (*sources.values(), nuts) if not path.is_file()]
    if missing:
        print(f"parma: file '{missing[0]}' is missing. Complete the pack; see doc/real.md for its source.")
        return 1
    work.mkdir(parents=True, exist_ok=True)
    for year, source in sources.items():
        prepare(source, work / f"share_{year}.tif", work / f"class_{year}.tif")
    run_tool(nuts, work)
    shares, classes = (read_figures(work / name) for name in ("shares", "classes"))
    return report(shares, classes)


def prepare(source, share_path, class_path):
    """Write the share of impervious land (0-1) and the majority class (1 artificial, 3 green) of 20 m cells.

    A cell counts if at least half of it lies on the source; a cell beyond has no data.
    """
    import numpy as np
    import rasterio
    import rasterio.warp

    from imperviouslib.core.grid import snap_out
    from testsuite.raster_ground import write_tiff

    with rasterio.open(source) as dataset:
        values = dataset.read(1)
        grid = snap_out(*rasterio.warp.transform_bounds(dataset.crs, "EPSG:3035", *dataset.bounds, densify_pts=51))
        fine_m = grid.res_m // SUBCELLS
        fine = np.full((grid.height * SUBCELLS, grid.width * SUBCELLS), 255, "uint8")
        rasterio.warp.reproject(
            np.where(values > 0.5, 1, 0).astype("uint8"),
            fine,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            dst_transform=rasterio.Affine(fine_m, 0, grid.west, 0, -fine_m, grid.north),
            dst_crs="EPSG:3035",
            dst_nodata=255,
            resampling=rasterio.warp.Resampling.nearest,
            tolerance=0,
        )
    cells = fine.reshape(grid.height, SUBCELLS, grid.width, SUBCELLS)
    known = (cells != 255).sum(axis=(1, 3))
    impervious = (cells == 1).sum(axis=(1, 3))
    seen = known * 2 >= SUBCELLS**2
    share = np.where(seen, impervious / np.maximum(known, 1), -1.0)
    majority = np.where(seen, np.where(impervious * 2 > known, 1, 3), 0).astype("uint8")
    write_tiff(share_path, share, grid, nodata=-1.0)
    write_tiff(class_path, majority, grid, nodata=0)


def run_tool(nuts, work):
    """Import maps and regions into a location of EPSG:3035 and run the tool on shares and on classes."""
    tools, location = work / "tools", work / "grassdata" / "eu"
    shutil.rmtree(tools, ignore_errors=True)
    shutil.rmtree(location.parent, ignore_errors=True)
    tools.mkdir()
    location.parent.mkdir()
    (tools / "r.impervious.change").symlink_to(TOP / "r.impervious.change" / "r.impervious.change.py")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIS", "GRASS_"))}
    env |= {"GRASS_ADDON_PATH": str(tools), "PATH": os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])}
    years = ",".join(map(str, YEARS))
    commands = [["-c", "EPSG:3035", "-e", location]]
    commands += [["v.in.ogr", f"input={nuts}", "output=nuts", "where=CNTR_CODE = 'IT'", "--q"]]
    for kind, name in (("shares", "share"), ("classes", "class")):
        maps = [f"{name}_{year}" for year in YEARS]
        commands += [["r.in.gdal", f"input={work / m}.tif", f"output={m}", "--q"] for m in maps]
        commands += [
            ["g.region", f"raster={maps[0]}"],
            ["r.impervious.change", f"{kind}={','.join(maps)}", f"years={years}", "zones=nuts", f"output={work / kind}",
             f"prefix={kind}", "definition=artificial", "--o"],
        ]  # fmt: skip
    for command in commands:
        words = command if command[0] == "-c" else [location / "PERMANENT", "--exec", *command]
        done = subprocess.run(["grass", *words], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"grass {' '.join(map(str, words))}: {done.stderr}")


def read_figures(folder):
    """Return the observed figures of the region in hectares: stock of each year, gain, loss, net; and its rows."""
    with (folder / "impervious_nuts.csv").open(encoding="utf-8", newline="") as handle:
        rows = [
            row
            for row in csv.DictReader(handle)
            if (row["geo"], row["landcover"], row["method"], row["unit"]) == (REGION, "IMP", "mapped_raw", "KM2")
        ]
    package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    values = {(row["lc_flow"], int(row["TIME_PERIOD"])): 100 * float(row["OBS_VALUE"]) for row in rows}
    return {
        "stock": values["STK", YEARS[0]],
        "gain": values["GAIN", YEARS[1]],
        "loss": values["LOSS", YEARS[1]],
        "net": values["NET", YEARS[1]],
        "coverage": float(rows[0]["COVERAGE"]),
        "outline": package["regions"]["scale"],
        "rows": rows,
    }


def report(shares, classes):
    """Print the figures with the native ones, and judge those by share."""
    print(
        f"{REGION}, impervious land, hectares; outline {shares['outline']}, {shares['coverage']:.1%} of it on the maps"
    )
    print(f"{'':14}{'stock ' + str(YEARS[0]):>12}{'gain':>10}{'loss':>10}{'net':>10}")
    print(f"{'native cells':14}{NATIVE_STOCK_HA:12.1f}{'':>20}{NATIVE_CHANGE_HA:+10.2f}")
    for name, part in (("by share", shares), ("by majority", classes)):
        print(f"{name:14}{part['stock']:12.1f}{part['gain']:10.2f}{part['loss']:10.2f}{part['net']:+10.2f}")
    bias = {name: classes[name] - shares[name] for name in ("stock", "net")}
    print(f"bias by majority: stock {bias['stock'] / shares['stock']:+.2%}, change {bias['net']:+.2f} ha")
    for row in shares["rows"]:
        print(",".join(row.values()))
    off = abs(shares["stock"] / NATIVE_STOCK_HA - 1)
    drift = abs(shares["net"] - NATIVE_CHANGE_HA)
    good = off <= STOCK_TOLERANCE and drift <= CHANGE_TOLERANCE_HA
    verdict = "agrees" if good else "FAILS"
    print(
        f"parma: {verdict}: stock off by {off:.3%} (at most {STOCK_TOLERANCE:.1%}), change by {drift:.2f} ha (at most 1)"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
