"""Real run: r.s2.fetch on native JPEG 2000 files of Cerdanya, compared with the bilinear formula.

Data, in DATA: `s2_l1c_jp2_cerdanya/IMG_DATA/T31TDH_20150726T105026_B04|B11|B12.jp2` (gadomski/s2cloudless-optimized, CC BY-SA 4.0): 3 km x 3 km, EPSG:32631.
They are L1C, so they have no SCL; an artificial one has not vegetated everywhere. The files are fetched unchanged and verified by size and
checksum. Then a file without its last byte must be refused.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from testsuite.real._chain import Session
from testsuite.real._items import (
    PLAIN,
    bilinear,
    file_band,
    halved,
    made_classes,
    read_band,
    set_region,
    write_collection,
    write_item,
)

PACK = "s2_l1c_jp2_cerdanya"
SENSED = "2015-07-26T10:50:26"
_WORDS = ("years=2015", "tries=1", *PLAIN)


def main(data_dir: Path, work_dir: Path) -> int:
    """Fetch and compare; then damage a file and fetch again. Returns: 0 if all is as expected."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    source = data_dir / PACK / "IMG_DATA"
    files = {name: source / f"T31TDH_20150726T105026_{name}.jp2" for name in ("B12", "B11", "B04")}
    bands = {name: file_band(path, 10 if name == "B04" else 20) for name, path in files.items()}
    bands["SCL"] = made_classes(read_band(files["B12"], 20))
    session = Session(work_dir)
    set_region(session, [bands["B12"]])
    item = write_item(work_dir / "items", bands, sensed=SENSED, baseline="01.06", tile="31TDH")
    session.run("r.s2.fetch", f"stac={write_collection(work_dir / 'items.json', [item])}", "output=archive", *_WORDS)
    good = True
    for name in ("B12", "B11", "B04"):
        path = next((work_dir / "archive").glob(f"31TDH/2015/*/{name}.tif"))
        with rasterio.open(path) as dataset:
            mine, bounds = dataset.read(1), dataset.bounds
        offset = json.loads(path.with_suffix(".json").read_text())["offset"]["dn"]
        twin = bilinear(halved(read_band(files[name], 20)) if name == "B04" else bands[name], bounds, mine.shape)
        both = (mine > 0) & ~np.isnan(twin)
        worst = float(np.abs(mine[both] - twin[both]).max())
        print(
            f"{name}: {int(both.sum())} cells from JPEG 2000, offset {offset}, largest difference from the bilinear formula {worst:.3f} DN"
        )
        good &= worst <= 1.0 and offset == 0 and both.sum() > 20_000
    cut = work_dir / "cut.jp2"
    cut.write_bytes(files["B11"].read_bytes()[:-1])
    harmed = {**bands, "B11": replace(bands["B11"], file=cut)}
    item = write_item(work_dir / "harmed", harmed, sensed=SENSED, baseline="01.06", tile="31TDH")
    catalogue = write_collection(work_dir / "harmed.json", [item])
    line = session.fail("r.s2.fetch", f"stac={catalogue}", "output=damaged_archive", *_WORDS)
    print(f"without its last byte: {line}")
    return 0 if good and "decoded" in line and not list((work_dir / "damaged_archive").rglob("B11.tif")) else 1


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
