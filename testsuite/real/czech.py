"""Real run: three places in Czechia in September 2019 and 2020, from pixels in EPSG:3857 with irregular edges to a change table of real regions.

Data, in DATA: `s2_l2a_czech_2019_2020/2019-09|2020-09/geojson_ID.tif` (CrickCrock28/bark-bettle-damage-mapping-sentinel2, no licence file: for trials only), 12 bands of L2A, 10 m of
EPSG:3857 (about 6.5 m on the ground), 0 outside a polygon; and `nuts/NUTS_RG_20M_2024_3035.shp` (GISCO). The pack has no scene classification and no day: an artificial classification
has not vegetated everywhere, and the day is the first of September. There is no truth of sealed land. So the run verifies what must be true for any land: the area of the polygons is kept, no data
stays no data, and the sums over classes, years and regions agree.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyproj
import rasterio

from testsuite.real._chain import Session, demo_model, rows
from testsuite.real._items import (
    PLAIN,
    Band,
    bilinear,
    halved,
    made_classes,
    read_band,
    set_region,
    write_collection,
    write_item,
)

PACK = "s2_l2a_czech_2019_2020"
PLACES = (208748, 208874, 249298)
"""Less than 14 km from each other."""
YEARS = (2019, 2020)
_BANDS = {"B12": 12, "B11": 11, "B04": 4}
AREA_TOLERANCE = 0.02
"""Largest accepted difference between the area with data and the area of the valid pixels; the edges of a few hundred cells are irregular."""


def main(data_dir: Path, work_dir: Path) -> int:
    """Run the chain, and print areas and rows. Returns: 0 if all is as expected."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    nuts = data_dir / "nuts" / "NUTS_RG_20M_2024_3035.shp"
    model = demo_model()
    items, every = [], {}
    for year in YEARS:
        for number, place in enumerate(PLACES):
            path = data_dir / PACK / f"{year}-09" / f"geojson_{place}.tif"
            bands = {name: read_band(path, 10, band) for name, band in _BANDS.items()}
            bands["SCL"] = made_classes(bands["B12"])
            every[year, place] = bands
            # All are of one month; a second between them makes them separate scenes.
            items.append(
                write_item(work_dir / "items", bands, sensed=f"{year}-09-01T10:00:{number:02d}", baseline="02.13")
            )
    catalogue = write_collection(work_dir / "items.json", items)
    session = Session(work_dir)
    set_region(session, [bands["B12"] for bands in every.values()])
    years = ",".join(map(str, YEARS))
    fetched = session.run("r.s2.fetch", f"stac={catalogue}", "output=archive", f"years={years}", "scenes=100", *PLAIN)
    print(fetched.strip())
    session.run("r.s2.yearly", "input=archive", "output=s2", f"years={years}", "tiles=all")
    session.run("r.s2.ard", "input=s2", "output=place.h5", f"years={years}")
    session.run("r.unet.predict", "input=place.h5", f"model={model}", "output=lc")
    session.run("v.in.ogr", f"input={nuts}", "output=nuts", "where=CNTR_CODE = 'CZ'", "--q")
    session.run("r.impervious.change", "input=lc", f"years={years}", "zones=nuts", "output=table", "prefix=ch")
    good = check_values(session, work_dir, every)
    return 0 if check_table(work_dir) and good else 1


def check_values(session: Session, work: Path, every: dict) -> bool:
    """Compare area and values of the composites with the pixels, and the no data of the classes with that of the composites."""
    good = True
    for year in YEARS:
        for name in ("s2_{}_B12_p50", "lc_{}_class"):
            session.run(
                "r.out.gdal",
                "-c",
                f"input={name.format(year)}",
                f"output={work}/{name[:2]}.tif",
                "nodata=0",
                "type=UInt16",
                "--o",
                "--q",
            )
        with rasterio.open(work / "s2.tif") as dataset, rasterio.open(work / "lc.tif") as classes:
            mine, bounds, known = dataset.read(1), dataset.bounds, classes.read(1) > 0
        native = sum(valid_area_m2(every[year, place]["B12"]) for place in PLACES)
        area = float((mine > 0).sum()) * 400
        worst, cells = 0.0, 0
        for place in PLACES:
            twin = bilinear(halved(every[year, place]["B12"]), bounds, mine.shape)
            both = (mine > 0) & ~np.isnan(twin)
            worst, cells = max(worst, float(np.abs(mine - twin)[both].max())), cells + int(both.sum())
        print(
            f"{year}: valid pixels {native / 1e6:.4f} km2, cells with data {area / 1e6:.4f} km2 ({100 * (area / native - 1):+.2f} %); "
            f"{cells} cells against the bilinear formula, largest difference {worst:.3f} DN; "
            f"class and composite differ in no data in {int((known != (mine > 0)).sum())} cells"
        )
        good &= abs(area / native - 1) < AREA_TOLERANCE and worst <= 1.0 and bool((known == (mine > 0)).all())
    return good


def valid_area_m2(band: Band) -> float:
    """Return the area of the valid pixels of a band, from their corners in the equal-area projection, m2."""
    rows, cols = np.mgrid[0 : band.size[0] + 1, 0 : band.size[1] + 1]
    x, y = band.transform * (cols, rows)
    x, y = pyproj.Transformer.from_crs(band.crs, "EPSG:3035", always_xy=True).transform(x, y)
    # Half the cross product of the diagonals.
    first = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    second = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    areas = np.abs(first[0] * second[1] - first[1] * second[0]) / 2
    return float(areas[band.cells > 0].sum())


def check_table(work: Path) -> bool:
    """Print the rows of the regions, and verify the sums."""
    found = rows(work / "table", unit="KM2", method="mapped_raw")
    leaves = sorted({row["geo"] for row in found if len(row["geo"]) == 5})
    good = bool(leaves)
    for geo in leaves:
        for row in (r for r in found if r["geo"] == geo and r["landcover"] == "IMP"):
            print(",".join(row.values()))
    for year in map(str, YEARS):
        stocks = [row for row in found if row["lc_flow"] == "STK" and row["TIME_PERIOD"] == year]
        for cover in ("IMP", "GRN", "OTH"):
            cells = {row["geo"]: float(row["OBS_VALUE"] or 0) for row in stocks if row["landcover"] == cover}
            good &= abs(sum(cells[geo] for geo in leaves) - cells["CZ"]) < 1e-9
        for geo in leaves:
            mine = [row for row in stocks if row["geo"] == geo]
            good &= abs(sum(float(row["OBS_VALUE"] or 0) for row in mine) - int(mine[0]["N_PIX"]) * 0.0004) < 1e-9
    flows = {
        row["lc_flow"]: float(row["OBS_VALUE"])
        for row in found
        if row["geo"] == "CZ" and row["landcover"] == "IMP" and row["lc_flow"] != "STK"
    }
    good &= abs(flows["GAIN"] - flows["LOSS"] - flows["NET"]) < 1e-9
    print(f"czech: sums over classes, regions and flows {'agree' if good else 'DO NOT agree'} ({', '.join(leaves)})")
    return good


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
