"""Write the rasters and tables of a world."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin


def write_tif(path: Path, data: np.ndarray, west: float, north: float, res_m: float, nodata: float | None) -> None:
    """Write a GeoTIFF in EPSG:3035. data : array (row, col)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype.name, "crs": "EPSG:3035",
        "transform": from_origin(west, north, res_m, res_m), "tiled": True, "blockxsize": 256, "blockysize": 256,
        "compress": "deflate", "nodata": nodata,
    }  # fmt: skip
    with rasterio.Env(GDAL_NUM_THREADS=1, GDAL_PAM_ENABLED=False), rasterio.open(path, "w", **profile) as file:
        file.write(data, 1)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
