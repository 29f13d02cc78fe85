"""Write real pixels of any form as local STAC items in the form of CDSE, so that r.s2.fetch can read them.

A pack without a scene classification gets an artificial one, and its script says so: class 5 (not vegetated) where there are pixels. Then no
cloud is masked, so such a pack tests nothing about clouds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyproj
import rasterio

NOT_VEGETATED = 5
COMMON = {"B12": "swir22", "B11": "swir16", "B04": "red"}


@dataclass(frozen=True)
class Band:
    """The pixels of one band, or a file with them."""

    cells: np.ndarray | None
    """(row, col); None if `file` is used unchanged."""
    crs: str
    transform: rasterio.Affine
    res_m: int
    """10 or 20, as in the name of the product; the pixels may have another size on the ground."""
    file: Path | None = None
    shape: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.shape if self.cells is None else self.cells.shape


def read_band(path: Path, res_m: int, band: int = 1) -> Band:
    """Read a band of a raster file."""
    with rasterio.open(path) as dataset:
        return Band(dataset.read(band), dataset.crs.to_string(), dataset.transform, res_m)


def file_band(path: Path, res_m: int) -> Band:
    """Use a raster file unchanged as a band."""
    with rasterio.open(path) as dataset:
        return Band(None, dataset.crs.to_string(), dataset.transform, res_m, path, dataset.shape)


def made_classes(like: Band) -> Band:
    """Make an artificial scene classification on the pixels of a band: not vegetated where there is data."""
    assert like.cells is not None
    return Band(np.where(like.cells > 0, NOT_VEGETATED, 0).astype("uint8"), like.crs, like.transform, 20)


def tile_of(lon: float, lat: float) -> str:
    """Return the 100 km square of MGRS in which a place lies (zones of the usual width, 80 S to 84 N).

    >>> tile_of(2.35, 48.85), tile_of(-1.65, 48.1)
    ('31UDQ', '30UWU')
    """
    zone = int((lon + 180) // 6) + 1
    band = "CDEFGHJKLMNPQRSTUVWXX"[int((lat + 80) // 8)]
    epsg = (32600 if lat >= 0 else 32700) + zone
    east, north = pyproj.Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True).transform(lon, lat)
    column = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")[zone % 3][int(east // 100_000) - 1]
    rows = "ABCDEFGHJKLMNPQRSTUV"
    return f"{zone}{band}{column}{rows[(int(north // 100_000) + (0 if zone % 2 else 5)) % 20]}"


def ring(band: Band) -> list[tuple[float, float]]:
    """Return the outline of a band's pixels, longitude and latitude."""
    rows, cols = band.size
    corners = [band.transform * corner for corner in ((0, 0), (cols, 0), (cols, rows), (0, rows), (0, 0))]
    to_degrees = pyproj.Transformer.from_crs(band.crs, "EPSG:4326", always_xy=True)
    return [to_degrees.transform(*corner) for corner in corners]


def write_item(
    folder: Path,
    bands: Mapping[str, Band],
    *,
    sensed: str,
    baseline: str,
    tile: str = "",
    outline: Sequence[tuple[float, float]] = (),
    geometry: bool = True,
) -> dict:
    """Write the bands of one scene into `folder`. Returns: its item.

    bands : band to pixels, SCL among them
    sensed : second of sensing, ISO 8601
    baseline : processing baseline, such as 02.04
    geometry : whether the item has the pixel sizes of its objects, as in catalogues; without them r.s2.fetch uses the sizes in their names
    """
    shape = list(outline) or ring(bands["SCL"])
    lon, lat = (float(np.mean([corner[axis] for corner in shape])) for axis in (0, 1))
    tile = tile or tile_of(lon, lat)
    compact = sensed.replace("-", "").replace(":", "")
    name = f"S2X_MSIL2A_{compact}_N{baseline.replace('.', '')}_R000_T{tile}_{compact}"
    (folder / name).mkdir(parents=True, exist_ok=True)
    assets = {}
    for key, band in bands.items():
        if band.file is None:
            path = folder / name / f"{key}.tif"
            with rasterio.open(
                path, "w", driver="GTiff", height=band.size[0], width=band.size[1], count=1, dtype=band.cells.dtype,
                crs=band.crs, transform=band.transform, nodata=0,
            ) as out:  # fmt: skip
                out.write(band.cells, 1)
        else:
            path = band.file.resolve()
        content = path.read_bytes()
        assets[f"{key}_{band.res_m}m"] = {
            "href": str(path), "roles": ["data"], "gsd": band.res_m, "proj:code": band.crs, "nodata": 0, "file:size": len(content),
            "file:checksum": "1620" + hashlib.sha3_256(content).hexdigest(),
            **({"proj:shape": list(band.size), "proj:transform": list(band.transform)[:6]} if geometry else {}),
            **({"bands": [{"name": key, "eo:common_name": COMMON[key]}]} if key in COMMON else {}),
        }  # fmt: skip
    lons, lats = zip(*shape, strict=True)
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": "sentinel-2-l2a", "links": [],
        "bbox": [min(lons), min(lats), max(lons), max(lats)], "geometry": {"type": "Polygon", "coordinates": [[list(c) for c in shape]]},
        "properties": {
            "datetime": f"{sensed}Z", "platform": "sentinel-2", "grid:code": f"MGRS-{tile}", "processing:version": baseline,
            "eo:cloud_cover": 0.0, "eopf:datatake_id": f"GS2X_{compact}_000000_N{baseline}",
            "eopf:datastrip_id": f"S2X_OPER_MSI_L2A_DS_XXXX_{compact}_S{compact}_N{baseline}",
        },
        "assets": assets,
    }  # fmt: skip


def write_collection(path: Path, items: Sequence[dict]) -> Path:
    """Write an item collection. Returns: its path."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}), encoding="utf-8")
    return path


def bounds_on_grid(bands: Sequence[Band]) -> tuple[float, float, float, float]:
    """Return the common bounds of bands: west, south, east, north in EPSG:3035."""
    boxes = []
    for band in bands:
        rows, cols = band.size
        west, north = band.transform * (0, 0)
        east, south = band.transform * (cols, rows)
        to_grid = pyproj.Transformer.from_crs(band.crs, "EPSG:3035", always_xy=True)
        boxes.append(to_grid.transform_bounds(west, south, east, north, densify_pts=21))
    return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))


def set_region(session, bands: Sequence[Band]) -> None:
    """Set the region to the pixels of bands."""
    west, south, east, north = bounds_on_grid(bands)
    session.run("g.region", "-a", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20")


def cell_centres(bounds: Sequence[float], shape: tuple[int, int], crs: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the centres of 20 m cells in another CRS, each computed by PROJ."""
    x, y = bounds[0] + 20 * (np.arange(shape[1]) + 0.5), bounds[3] - 20 * (np.arange(shape[0]) + 0.5)
    return pyproj.Transformer.from_crs("EPSG:3035", crs, always_xy=True).transform(*np.meshgrid(x, y))


PLAIN = ("window=01-01/12-31", "clouds=100", "resampling=bilinear", "-n")
"""Options of r.s2.fetch that fetch every scene of a year with the resampling that `bilinear` below computes, and make no maps."""


def bilinear(band: Band, bounds: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
    """Resample a band at the centres of cells by the bilinear formula, to verify the values of r.s2.fetch.

    GDAL's bilinear method cannot be used: it widens its kernel with the ratio of pixel and cell size.
    Returns: array (row, col), float64, NaN where one of the four pixels has no data
    """
    cells = band.cells
    if cells is None:
        with rasterio.open(band.file) as dataset:
            cells = dataset.read(1)
    values = np.where(cells > 0, cells, np.nan).astype(float)
    col, row = ~band.transform * cell_centres(bounds, shape, band.crs)
    row, col = row - 0.5, col - 0.5
    top, left = np.floor(row).astype(int), np.floor(col).astype(int)
    inside = (top >= 0) & (left >= 0) & (top < values.shape[0] - 1) & (left < values.shape[1] - 1)
    top, left, down, right = top[inside], left[inside], (row % 1)[inside], (col % 1)[inside]
    upper = values[top, left] * (1 - right) + values[top, left + 1] * right
    lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
    out = np.full(shape, np.nan)
    out[inside] = upper * (1 - down) + lower * down
    return out


def share_in_cells(
    truth: np.ndarray, band: Band, bounds: Sequence[float], shape: tuple[int, int], parts: int = 8
) -> np.ndarray:
    """Return the share of each 20 m cell that a mask of pixels covers, sampled at parts x parts points; NaN outside of the mask."""
    step = 20 / parts
    fine = (shape[0] * parts, shape[1] * parts)
    x = bounds[0] + step * (np.arange(fine[1]) + 0.5)
    y = bounds[3] - step * (np.arange(fine[0]) + 0.5)
    points = pyproj.Transformer.from_crs("EPSG:3035", band.crs, always_xy=True).transform(*np.meshgrid(x, y))
    col, row = (np.floor(part).astype(int) for part in ~band.transform * points)
    inside = (row >= 0) & (col >= 0) & (row < truth.shape[0]) & (col < truth.shape[1])
    out = np.full(fine, np.nan)
    out[inside] = truth[row[inside], col[inside]]
    return out.reshape(shape[0], parts, shape[1], parts).mean(axis=(1, 3))


def halved(band: Band) -> Band:
    """Average a 10 m band to 20 m, as r.s2.fetch does before it warps; 0 where one of the four pixels has no data."""
    cells = band.cells.astype(float)
    rows, cols = (n // 2 for n in cells.shape)
    parts = cells[: 2 * rows, : 2 * cols].reshape(rows, 2, cols, 2)
    mean = np.where((parts > 0).all(axis=(1, 3)), parts.mean(axis=(1, 3)), 0)
    return replace(band, cells=mean, transform=band.transform * rasterio.Affine.scale(2))


def check(session, *words: object) -> tuple[int, str]:
    """Run a check of r.s2.yearly or r.s2.ard; exit status 1 means that it found something. Returns: status and standard output."""
    done = session._grass(str(session._mapset), "--exec", *map(str, words))
    if "ERROR" in done.stderr or done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}")
    return done.returncode, done.stdout.strip()
