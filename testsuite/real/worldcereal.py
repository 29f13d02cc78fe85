"""Real run: the whole chain on 118 real L2A dates of a place in Belgium, to the table rows of BE253.

Data, in DATA: `s2_l2a_worldcereal_be/S2_L2A_10m_*.nc` and `S2_L2A_20m_*.nc` (WorldCereal/worldcereal-classification, MIT; 2017-08 to
2018-11, tile 31UDS) and `nuts/NUTS_RG_20M_2024_3035.shp` (GISCO). The place has 32 x 32 pixels, too few to measure accuracy. The composites must
equal a NumPy median of the same clear pixels, the areas must add up to the observed area, and training on such a small place must be refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import rasterio

from testsuite.real._chain import Session, demo_model, rows
from testsuite.real._worldcereal_items import write_items, write_labels

PACK = "s2_l2a_worldcereal_be"
ZONE = "BE253"
YEARS = (2017, 2018)
_BOUNDS_UTM = (501360, 5629040, 502000, 5629680)


def main(data_dir: Path, work_dir: Path) -> int:
    """Run the chain and print its rows. Returns: 0 if all figures are consistent."""
    nuts = data_dir / "nuts" / "NUTS_RG_20M_2024_3035.shp"
    items = write_items(data_dir / PACK, work_dir / "items")
    model = demo_model()
    session = Session(work_dir)
    to_grid = pyproj.Transformer.from_crs("EPSG:32631", "EPSG:3035", always_xy=True)
    west, south, east, north = to_grid.transform_bounds(*_BOUNDS_UTM)
    session.run("g.region", "-a", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20")
    years = "-".join(map(str, YEARS))
    print(
        session.run(
            "r.s2.fetch",
            f"stac={items}",
            "output=archive",
            f"years={years}",
            "window=01-01/12-31",
            "clouds=100",
            "scenes=200",
            "nprocs=2",
            "-n",
        ).strip()
    )
    print(session.run("r.s2.yearly", "-c", "input=archive").strip())
    print(session.run("r.s2.yearly", "input=archive", "output=s2", f"years={years}", "mask=scl").strip())
    labels, legend = write_labels(data_dir / PACK, work_dir)
    session.run(
        "r.import", f"input={labels}", "output=cover", "resolution=value", "resolution_value=10", "extent=region", "--q"
    )
    print(
        session.run(
            "r.s2.ard",
            "input=s2",
            "output=place.h5",
            f"years={years}",
            "labels=cover",
            f"legend={legend}",
            "label_year=2018",
            "--o",
        ).strip()
    )
    print(session.run("r.s2.ard", "-c", "input=place.h5").strip())
    refusal = session.fail("r.unet.train", "input=place.h5", "output=model", "patch=64", "depth=3")
    print(f"r.unet.train refuses: {refusal}")
    session.run("r.unet.predict", "input=place.h5", f"model={model}", "output=lc", f"years={years}")
    session.run("v.in.ogr", f"input={nuts}", "output=nuts", "where=CNTR_CODE = 'BE'", "--q")
    session.run(
        "r.impervious.change", "input=lc", f"years={years}", "zones=nuts", "column=NUTS_ID", "output=table", "--o"
    )
    found = rows(work_dir / "table", geo=ZONE, unit="KM2", method="mapped_raw")
    for row in found:
        print(",".join(row.values()))
    return 0 if _medians_agree(session, work_dir) and _areas_add_up(session, found) else 1


def _areas_add_up(session: Session, found: list[dict[str, str]]) -> bool:
    """Compare the stocks of a year with the cells seen in it, and the net change with gain minus loss."""
    good = bool(found)
    for year in YEARS:
        stocks = [row for row in found if row["lc_flow"] == "STK" and row["TIME_PERIOD"] == str(year)]
        area = sum(float(row["OBS_VALUE"]) for row in stocks)
        observed = {int(row["N_PIX"]) for row in stocks}
        good &= len(stocks) == 3 and len(observed) == 1 and abs(area - observed.pop() * 0.0004) < 1e-9
        print(f"{ZONE} {year}: classes add up to {area:.4f} km2")
    for cover in ("IMP", "GRN", "OTH"):
        flow = {
            row["lc_flow"]: float(row["OBS_VALUE"])
            for row in found
            if row["landcover"] == cover and row["lc_flow"] != "STK"
        }
        good &= abs(flow["GAIN"] - flow["LOSS"] - flow["NET"]) < 1e-9
    print(f"worldcereal: areas {'add up' if good else 'DO NOT add up'}")
    return good


def _medians_agree(session: Session, work: Path) -> bool:
    """Compare each cell of the composites with NumPy's median of the clear pixels in the archive."""
    worst, cells = 0.0, 0
    for year in YEARS:
        for band in ("B12", "B11", "B04"):
            values = []
            for path in sorted((work / "archive" / "31UDS" / str(year)).glob(f"*/{band}.tif")):
                with rasterio.open(path) as dataset, rasterio.open(path.with_name("SCL.tif")) as classes:
                    data, scl = dataset.read(1).astype(float), classes.read(1)
                cloudy = np.isin(scl, (3, 8, 9, 10))
                clear = (data > 0) & ~np.isin(scl, (0, 1, 11)) & ~cloudy & ~_grown(_opened(cloudy))
                values.append(np.where(clear, data, np.nan))
            stack = np.stack(values)
            known = ~np.isnan(stack).all(axis=0)
            plain = np.full(stack.shape[1:], 0.0)
            plain[known] = np.floor(np.nanmedian(stack[:, known], axis=0) + 0.5)
            session.run(
                "r.out.gdal",
                f"input=s2_{year}_{band}_p50",
                f"output={work}/median.tif",
                "nodata=0",
                "type=UInt16",
                "--o",
                "--q",
            )
            with rasterio.open(work / "median.tif") as dataset:
                made = dataset.read(1)
            with rasterio.open(path) as dataset:
                # Files are cut to the tile and maps to the region; here both must be the same place.
                same = dataset.bounds == rasterio.open(work / "median.tif").bounds
            if not same:
                print(f"worldcereal: {path} and the composite have other bounds")
                return False
            worst = max(worst, float(np.abs(made - plain).max()))
            cells += made.size
    print(f"worldcereal: {cells} composite cells against a NumPy median: largest difference {worst:g}")
    return worst == 0


def _grown(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).any(axis=(2, 3))


def _opened(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return mask & _grown(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).all(axis=(2, 3)))


if __name__ == "__main__":
    import sys

    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
