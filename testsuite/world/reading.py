"""Read a world from its folder, by plain rasterio and JSON: no code of the suite runs here, so that it can judge the suite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from testsuite.world.materials import CLASS_OF_S2GLC
from testsuite.world.products import multihash

BANDS = ("B04", "B11", "B12")
MASKED = (0, 1, 3, 8, 9, 10, 11)


@dataclass(frozen=True)
class Place:
    """The grid of a world."""

    west: int
    south: int
    east: int
    north: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of 20 m cells."""
        return (self.north - self.south) // 20, (self.east - self.west) // 20


def read_facts(out: Path) -> dict[str, Any]:
    """Read world.json."""
    path = out / "world.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"World '{out}' has no file world.json, so it is not a finished world. Make one with python -m testsuite.world.make."
        )
    return json.loads(path.read_text())


def read_world(out: Path) -> tuple[dict[str, Any], Place]:
    """Read world.json. Returns: its facts and the grid."""
    facts = read_facts(out)
    return facts, Place(*facts["bounds"])


def read_items(out: Path, year: int) -> list[dict[str, Any]]:
    """Return the items of a year; only the newest baseline of an acquisition that was processed twice."""
    items = json.loads((out / "stac" / "items.json").read_text())["features"]
    best: dict[tuple, dict[str, Any]] = {}
    for item in items:
        p = item["properties"]
        if not p["datetime"].startswith(str(year)):
            continue
        key = (p["grid:code"], p["datetime"], p["eopf:datastrip_id"].split("_S")[-1].split("_N")[0])
        if key not in best or float(p["processing:version"]) > float(best[key]["properties"]["processing:version"]):
            best[key] = item
    return sorted(best.values(), key=lambda i: i["id"])


def read_scene(out: Path, item: dict[str, Any], place: Place) -> np.ndarray | None:
    """Read a scene onto the grid of the place, with the offset removed and masked by its classification.

    Returns: array (band, row, col), float32, reflectance 0-1, NaN where not clear; None if an object is missing or corrupt
    """
    transform = from_origin(place.west, place.north, 20, 20)

    paths = {b: out / "objects" / item["assets"][f"{b}_20m"]["href"].removeprefix("s3://") for b in (*BANDS, "SCL")}
    for band, path in paths.items():
        # A corrupt object can be decoded without an error; only its checksum shows it.
        if not path.is_file() or multihash(path.read_bytes()) != item["assets"][f"{band}_20m"]["file:checksum"]:
            return None

    def warped(band: str, how: Resampling, kind: str) -> np.ndarray:
        path = paths[band]
        # One thread: with more, GDAL reads a broken object as zeros without an error.
        with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(path) as file:
            data = np.zeros(place.shape, kind)
            values = file.read(1).astype(kind)
            reproject(
                values, data, src_transform=file.transform, src_crs=file.crs, dst_transform=transform, dst_crs="EPSG:3035",
                src_nodata=0, dst_nodata=0, resampling=how,
            )  # fmt: skip
            return data

    scl = warped("SCL", Resampling.nearest, "uint8")
    bands = np.stack([warped(b, Resampling.bilinear, "float32") for b in BANDS])
    offset = 1000 if float(item["properties"]["processing:version"]) >= 4 else 0
    clear = ~np.isin(scl, MASKED) & (bands > 0).all(axis=0)
    return np.where(clear, (bands - offset) / 10000, np.nan).astype(np.float32)


def read_truth(out: Path, year: int) -> np.ndarray:
    """Return the true majority class of a year, (row, col) uint8."""
    with rasterio.open(out / "truth" / f"class_{year}.tif") as file:
        return file.read(1)


def read_labels(out: Path, year: int) -> np.ndarray:
    """Return the label map as classes on 20 m cells, by majority; 0 where there is none or a tie. (row, col) uint8."""
    table = np.zeros(256, np.uint8)
    for code, target in CLASS_OF_S2GLC.items():
        table[code] = target
    with rasterio.open(out / "labels" / f"s2glc_{year}.tif") as file:
        fine = table[file.read(1)]
    parts = np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    votes = np.stack([(parts == c).sum(axis=0) for c in (1, 2, 3, 4)])
    best = np.sort(votes, axis=0)
    return np.where((best[-1] > best[-2]) & (best[-1] > 1), votes.argmax(axis=0) + 1, 0).astype(np.uint8)
