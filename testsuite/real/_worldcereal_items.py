"""Write the dates of a WorldCereal Sentinel-2 extract as one-band GeoTIFFs, with STAC items in the form of CDSE.

The extract (WorldCereal/worldcereal-classification, MIT, `S2_L2A_10m_*.nc` and `S2_L2A_20m_*.nc`) has 118 dates of L2A reflectance with
SCL over 640 m x 640 m of Belgium, tile 31UDS, 2017-08 to 2018-11. Its values carry no offset, as baselines before 04.00 do.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import xarray as xr

TILE = "31UDS"
_CRS = "EPSG:32631"
_BANDS = {"B12": "swir22", "B11": "swir16", "B04": "red", "SCL": None}


def _write(path: Path, data: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict:
    """Write one band. Returns: its entries for the item."""
    res = float(x[1] - x[0])
    transform = rasterio.Affine(res, 0, float(x[0]) - res / 2, 0, -res, float(y[0]) + res / 2)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=len(y),
        width=len(x),
        count=1,
        dtype=data.dtype,
        crs=_CRS,
        transform=transform,
        nodata=0,
    ) as out:
        out.write(data, 1)
    content = path.read_bytes()
    return {
        "proj:code": _CRS, "proj:shape": [len(y), len(x)], "proj:transform": list(transform)[:6], "gsd": res, "nodata": 0,
        "file:size": len(content), "file:checksum": "1620" + hashlib.sha3_256(content).hexdigest(), "type": "image/tiff",
    }  # fmt: skip


def write_items(source: Path, folder: Path) -> Path:
    """Write all dates into `folder`. Returns: the path of the item collection."""
    coarse = xr.open_dataset(next(source.glob("S2_L2A_20m_*.nc")), mask_and_scale=False)
    fine = xr.open_dataset(next(source.glob("S2_L2A_10m_*.nc")), mask_and_scale=False)
    to_degrees = pyproj.Transformer.from_crs(_CRS, "EPSG:4326", always_xy=True)
    x, y = coarse.x.values, coarse.y.values
    west, east, south, north = x.min() - 10, x.max() + 10, y.min() - 10, y.max() + 10
    ring = [
        to_degrees.transform(*corner)
        for corner in ((west, north), (east, north), (east, south), (west, south), (west, north))
    ]
    features = []
    for t, when in enumerate(coarse.timestamp.values):
        stamp = np.datetime_as_string(when, unit="s")
        compact = stamp.replace("-", "").replace(":", "")
        name = f"S2X_MSIL2A_{compact}_N0206_R051_T{TILE}_{compact}"
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        scl = coarse.SCL.values[t]
        valid = scl > 0
        cloud = np.isin(scl, (8, 9, 10)).sum() / max(valid.sum(), 1)
        assets = {}
        for band, common in _BANDS.items():
            cube = fine if band == "B04" else coarse
            described = _write(target / f"{band}.tif", cube[band].values[t], cube.x.values, cube.y.values)
            key = f"{band}_{int(described['gsd'])}m"
            assets[key] = {"href": f"{name}/{band}.tif", "roles": ["data"], **described}
            if common:
                # CDSE writes this offset in every item, also if the baseline has none.
                assets[key] |= {
                    "bands": [{"name": band, "eo:common_name": common}],
                    "raster:scale": 1e-4,
                    "raster:offset": -0.1,
                }
        features.append(
            {
                "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": "sentinel-2-l2a", "links": [],
                "bbox": [min(p[0] for p in ring), min(p[1] for p in ring), max(p[0] for p in ring), max(p[1] for p in ring)],
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "datetime": f"{stamp}Z", "platform": "sentinel-2", "grid:code": f"MGRS-{TILE}", "processing:version": "02.06",
                    "eo:cloud_cover": round(100 * float(cloud), 4), "statistics": {"nodata": round(100 * float((~valid).mean()), 4)},
                    "eopf:datatake_id": f"GS2X_{compact}_000000_N02.06", "eopf:datastrip_id": f"S2X_OPER_MSI_L2A_DS_XXXX_{compact}_S{compact}_N02.06",
                },
                "assets": assets,
            }
        )  # fmt: skip
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def write_labels(source: Path, folder: Path) -> tuple[Path, Path]:
    """Write the extract's land cover as a GeoTIFF, and a legend for it; return both paths.

    Codes as seen in the extract: 11 and 13 crops, 60 built-up, 99 not mapped.
    """
    cover = xr.open_dataset(next(source.glob("OUTPUT_*_10m_*.nc")), mask_and_scale=False)
    labels, legend = folder / "cover.tif", folder / "cover.txt"
    _write(labels, cover.LC.values.astype("uint8"), cover.x.values, cover.y.values)
    legend.write_text("11 green crops\n13 green crops\n60 artificial built-up\n99 nodata\n", encoding="utf-8")
    return labels, legend
