"""Real run: CLC+ Backbone 2018 of Brussels, 10 to 20 m, by mode and by share.

Data, in DATA: `labels_clcplus2018_brussels_3035/*.tif` (CLC+ Backbone 2018, Copernicus Land Monitoring Service): 13 tiles of 10 m. Their
CRS is described in other words than EPSG:3035, but it is the same. The pack has no scenes, so the composites are constants, and only the
labels are tested. Each of three classes (impervious, green, other) must keep its area to 2 % by mode, and exactly by share. The areas with
a rule for ties that prefers one class, and those of the four classes, are printed for comparison.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.merge import merge

from imperviouslib.core.legend import CLASSES, CLCPLUS, parse_legend
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.rasterfile import open_on_grid
from testsuite.real._chain import Session

PACK = "labels_clcplus2018_brussels_3035"
_THREE = "1 = 1\n2 thru 7 = 3\n8 thru 11 = 4\n"


def main(data_dir: Path, work_dir: Path) -> int:
    """Resample the labels to the grid by several rules. Returns: 0 if the areas are as expected."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    tiles = sorted((data_dir / PACK).glob("*.tif"))
    with rasterio.open(tiles[0]) as first:
        print(f"the CRS of the tiles has the code {first.crs.to_epsg()}, and its parameters are those of EPSG:3035")
    for path in tiles:
        with open_on_grid(path, 10):
            pass
    mosaic, transform = merge(tiles, nodata=0)
    codes = mosaic[0]
    session = Session(work_dir)
    west, north = round(transform.c), round(transform.f)
    south, east = north - 10 * codes.shape[0], west + 10 * codes.shape[1]
    for number, path in enumerate(tiles):
        session.run("r.in.gdal", f"input={path}", f"output=tile{number}", "--q")
    session.run("g.region", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=10")
    session.run("r.patch", "input=" + ",".join(f"tile{n}" for n in range(len(tiles))), "output=clcplus", "--q")
    session.run("g.region", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20", "-a")
    for name, value in (("s2_2018_B04_p50", 1000), ("s2_2018_count", 1)):
        session.run("r.mapcalc", f"expression={name} = {value}")
    (work_dir / "three.txt").write_text(_THREE)
    good = True
    for legend, ties in (("three.txt", "balanced"), ("three.txt", "lowest"), ("clcplus", "balanced")):
        session.run("r.s2.ard", "input=s2", "features=B04_p50", "labels=clcplus", "label_year=2018", f"legend={legend}", f"ties={ties}", "output=place.h5", "--overwrite")  # fmt: skip
        table = np.zeros(256, int)
        for code, target in (CLCPLUS if legend == "clcplus" else parse_legend(_THREE, legend)).codes.items():
            table[code] = target
        with ArdFile.open(work_dir / "place.h5") as ard:
            grid = ard.grid
            fine = np.zeros((2 * grid.height, 2 * grid.width), int)
            row, col = (grid.north - north) // 10, (west - grid.west) // 10
            fine[row : row + codes.shape[0], col : col + codes.shape[1]] = table[codes]
            parts = np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)])
            # At the edge of the tiles, cells that are only partly known have no 10 m area to compare with.
            whole = (parts > 0).all(axis=0)
            label = ard.read_label(grid)
            for c in CLASSES:
                native = float((parts == c.code).sum(axis=0)[whole].sum()) * 1e-4
                if not native:
                    continue
                by_mode = float((label == c.code)[whole].sum()) * 4e-4
                by_share = float(ard.read_share(c.key, grid)[whole].sum(dtype=float)) * 4e-6
                off_mode, off_share = 100 * (by_mode / native - 1), 100 * (by_share / native - 1)
                print(
                    f"{legend:<10}{ties:<9}{c.key:<11} 10 m {native:8.4f} km2   mode {by_mode:8.4f} ({off_mode:+.2f} %)   share {by_share:8.4f} ({off_share:+.4f} %)"
                )
                if legend != "clcplus" and ties == "balanced":
                    good &= abs(off_mode) <= 2
                good &= abs(off_share) <= 0.01
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
