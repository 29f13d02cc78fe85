"""Real run: r.s2.fetch on pixels of baseline 04.00, which contain the offset of 1000: subtracted, or refused where the item names an older baseline.

Data, in DATA: `s2_l2a_majortom_N0400/S2A_MSIL2A_20220706T085611_N0400_*/B04|B11|B12.tif` and `cloud_mask.tif` (all clear), from rsim-tu-berlin/rico-hdl (MIT). The place lies in Africa.
Nobody would use EPSG:3035 there, but the projection is defined there, so r.s2.fetch can run unchanged. The SCL is artificial: not vegetated everywhere.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from testsuite.real._chain import Session
from testsuite.real._items import PLAIN, bilinear, made_classes, read_band, set_region, write_collection, write_item

PACK = "s2_l2a_majortom_N0400"
OFFSET = -1000


def main(data_dir: Path, work_dir: Path) -> int:
    """Fetch as baseline 04.00, and for comparison as 03.01. Returns: 0 if only the first removes the offset, and does so once."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    source = next((data_dir / PACK).glob("S2A_MSIL2A_*"))
    with rasterio.open(source / "cloud_mask.tif") as dataset:
        print(f"cloudy pixels in the mask of the pack: {int((dataset.read(1) > 0).sum())}")
    bands = {name: read_band(source / f"{name}.tif", 10 if name == "B04" else 20) for name in ("B12", "B11", "B04")}
    bands["SCL"] = made_classes(bands["B12"])
    session = Session(work_dir)
    # A part of 4 km is enough; rows and columns are those of 20 m pixels.
    part = {k: replace(b, cells=b.cells[: 200 * (20 // b.res_m), : 200 * (20 // b.res_m)]) for k, b in bands.items()}
    set_region(session, [part["B12"]])
    good = True
    for baseline, expected in (("04.00", OFFSET), ("03.01", 0)):
        item = write_item(work_dir / baseline, bands, sensed="2022-07-06T08:56:11", baseline=baseline, tile="33NZA")
        catalogue = write_collection(work_dir / f"{baseline}.json", [item])
        archive = work_dir / f"archive_{baseline}"
        fetch = ("r.s2.fetch", f"stac={catalogue}", f"output={archive}", "years=2022", *PLAIN)
        if not expected:
            # The offset is in the pixels, so an item of a baseline without it is refused.
            message = session.fail(*fetch)
            print(f"baseline {baseline}: {message}")
            good &= "no pixels below" in message
            continue
        session.run(*fetch)
        for name in ("B12", "B11"):
            path = next(archive.glob(f"*/2022/*/{name}.tif"))
            offset = json.loads(path.with_suffix(".json").read_text())["offset"]
            with rasterio.open(path) as dataset:
                mine, bounds = dataset.read(1), dataset.bounds
            twin = bilinear(bands[name], bounds, mine.shape) + expected
            both = (mine > 0) & ~np.isnan(twin)
            worst = float(np.abs(mine[both] - twin[both]).max())
            low = int(np.percentile(mine[both], 0.1))
            print(
                f"baseline {baseline}, {name}: {int(both.sum())} cells, offset {offset['dn']} ({offset['rule']}), 0.1 % quantile {low}, "
                f"largest difference from pixels {expected:+d} {worst:.3f} DN"
            )
            good &= offset["dn"] == expected and worst <= 1.0 and both.sum() > 10_000
    return 0 if good else 1


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
