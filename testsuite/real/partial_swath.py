"""Real run: the edge of a swath, where the coverage by pixels must equal the coverage by footprint.

Data, in DATA: `s2_l1c_partial_swath_19UDP/B04|B11|B12.jp2` (cogeotiff/rio-tiler, BSD-3): overviews of 900 m of one tile, 37.6-37.9 % without data, GeoTIFFs in spite of
their names, without a no-data tag; the three bands end at slightly different pixels. The place lies in North America, where EPSG:3035 is still defined. The footprint is drawn around
the pixels that all bands have, as in a catalogue. The SCL is artificial: not vegetated everywhere.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyproj
import rasterio

from testsuite.real._chain import Session
from testsuite.real._items import Band, read_band, set_region, write_collection, write_item

PACK = "s2_l1c_partial_swath_19UDP"
TOLERANCE = 0.03
"""Largest accepted difference of the shares: the edge is known only to a pixel of 900 m, on a part 36 km wide."""
_PART = 40
"""Side of the part that is fetched, pixels."""


def main(data_dir: Path, work_dir: Path) -> int:
    """Fetch a part that the edge crosses. Returns: 0 if footprint, pixels, sidecars and composite agree."""
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    whole = {name: read_band(data_dir / PACK / f"{name}.jp2", 20) for name in ("B12", "B11", "B04")}
    seen = np.all([band.cells > 0 for band in whole.values()], axis=0)
    print(
        ", ".join(f"{name} without data {100 * (band.cells == 0).mean():.2f} %" for name, band in whole.items()),
        end=", ",
    )
    print(f"any {100 * (~seen).mean():.2f} %")
    first = whole["B12"]
    whole["SCL"] = Band(np.where(seen, 5, 0).astype("uint8"), first.crs, first.transform, 20)
    outline = footprint(seen, first)
    row, col = best_part(seen)
    part = Band(
        first.cells[row : row + _PART, col : col + _PART],
        first.crs,
        first.transform * rasterio.Affine.translation(col, row),
        20,
    )
    session = Session(work_dir)
    set_region(session, [part])
    item = write_item(
        work_dir / "items",
        whole,
        sensed="2017-07-29T15:30:00",
        baseline="02.05",
        tile="19UDP",
        outline=outline,
        geometry=False,
    )
    catalogue = write_collection(work_dir / "items.json", [item])
    words = (f"stac={catalogue}", "output=archive", "years=2017", "window=01-01/12-31", "clouds=100", "-n")
    session.run("r.s2.fetch", *words)
    valid = {}
    for path in sorted((work_dir / "archive").glob("*/*/*/*.json")):
        content = json.loads(path.read_text())
        with rasterio.open(path.with_suffix(".tif")) as dataset:
            cells, bounds = dataset.read(1), dataset.bounds
        valid[content["band"]] = float((cells > 0).mean())
        print(
            f"{content['band']}: {cells.shape}, {100 * valid[content['band']]:.2f} % with data, sidecar {content['valid_pct']} %"
        )
    by_footprint = inside(outline, bounds)
    session.run("r.s2.yearly", "input=archive", "output=s2", "years=2017")
    count = session.run("r.univar", "-g", "map=s2_2017_B12_p50")
    cells = dict(line.split("=") for line in count.split())
    print(
        f"by footprint {100 * by_footprint:.2f} %; composite {cells['n']} cells with data, {cells['null_cells']} without"
    )
    composite = int(cells["n"]) / (int(cells["n"]) + int(cells["null_cells"]))
    good = (
        all(abs(share - by_footprint) < TOLERANCE for share in (*valid.values(), composite))
        and 0.2 < by_footprint < 0.8
    )
    return 0 if good else 1


def best_part(seen: np.ndarray) -> tuple[int, int]:
    """Return row and column of the part in which the share of seen pixels is nearest to one half."""
    total = np.pad(seen.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[_PART:, _PART:] - total[:-_PART, _PART:] - total[_PART:, :-_PART] + total[:-_PART, :-_PART]
    row, col = np.unravel_index(np.abs(sums / _PART**2 - 0.5).argmin(), sums.shape)
    return int(row), int(col)


def footprint(seen: np.ndarray, band: Band) -> list[tuple[float, float]]:
    """Return a ring around the seen pixels, row by row: longitude and latitude."""
    left, right = [], []
    for row in np.flatnonzero(seen.any(axis=1)):
        cols = np.flatnonzero(seen[row])
        for edge in (row, row + 1):
            left.append((cols[0], edge))
            right.append((cols[-1] + 1, edge))
    corners = [band.transform * (float(x), float(y)) for x, y in left + right[::-1] + left[:1]]
    to_degrees = pyproj.Transformer.from_crs(band.crs, "EPSG:4326", always_xy=True)
    return [to_degrees.transform(*corner) for corner in corners]


def inside(outline: list[tuple[float, float]], bounds: rasterio.coords.BoundingBox) -> float:
    """Return the share of a box in EPSG:3035 that a footprint covers, by the suite's own rule."""
    from imperviouslib.core.choice import covers
    from imperviouslib.edge.warp import footprint_on_grid

    x, y = np.meshgrid(np.linspace(bounds.left, bounds.right, 200), np.linspace(bounds.bottom, bounds.top, 200))
    points = np.column_stack((x.ravel(), y.ravel()))
    return float(np.mean(covers(footprint_on_grid(tuple(outline)), points)))


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
