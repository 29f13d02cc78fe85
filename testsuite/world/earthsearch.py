"""The same acquisitions in the form of Earth Search: cloud-optimised GeoTIFFs, in two collections with different errors in their metadata.

`sentinel-2-l2a`: the offset is already removed from the numbers, but raster:bands still says -0.1, and the flag
`earthsearch:boa_offset_applied` is wrong on some items. `sentinel-2-c1-l2a`: Collection-1 only, numbers with offset, correct metadata.
Unlike in the real Earth Search, red has 20 m.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.shutil import copy
from rasterio.transform import from_origin

from testsuite.world.materials import BANDS
from testsuite.world.products import Product, digital_numbers, footprint
from testsuite.world.sensor import Scene
from testsuite.world.spec import RES_M

HOST = "https://earth-search.invalid"
"""The address in the items on disk; the server replaces it by its own."""
KEYS = {
    "B04": ("red", "Red"),
    "B11": ("swir16", "SWIR 1.6μm"),
    "B12": ("swir22", "SWIR 2.2μm"),
    "B8A": ("nir08", "NIR 2 - 20m"),
    "SCL": ("scl", "Scene classification map (SCL)"),
}
EXTENSIONS = (
    "eo/v1.1.0", "file/v2.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "processing/v1.1.0", "projection/v1.1.0", "raster/v1.1.0",
    "sentinel-2/v1.0.0", "view/v1.0.0",
)  # fmt: skip


def write_cog(path: Path, data: np.ndarray, product: Product) -> None:
    """Write a cloud-optimised GeoTIFF. data : array (row, col), uint16 or uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    west, _, _, north = product.window.bounds
    memory = {
        "driver": "MEM", "height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype.name, "nodata": 0,
        "crs": f"EPSG:{product.window.tile.epsg}", "transform": from_origin(west, north, RES_M, RES_M),
    }  # fmt: skip
    part = path.with_name(f".{path.name}.part")
    env = rasterio.Env(GDAL_NUM_THREADS=1, GDAL_PAM_ENABLED=False)
    with env, rasterio.MemoryFile() as held, held.open(**memory) as file:
        file.write(data, 1)
        copy(file, part, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE="512", PREDICTOR="2", OVERVIEWS="NONE")
    part.replace(path)


def write_items(root: Path, product: Product, scene: Scene, collection: str, wrong_flag: bool) -> dict[str, Any]:
    """Write the GeoTIFFs of one scene for one collection. Returns: the STAC 1.0 item.

    wrong_flag : for sentinel-2-l2a, say that the offset was not applied although it was
    """
    first = collection == "sentinel-2-l2a"
    tile, w = product.window.tile.name, product.when
    name = (
        f"S2{w.satellite}_{tile}_{w.sensed:%Y%m%d}_0_L2A" if first else f"S2{w.satellite}_T{tile}_{product.sensing}_L2A"
    )
    folder = f"{collection}/{tile[:2]}/{tile[2]}/{tile[3:]}/{w.sensed.year}/{w.sensed.month}/{name}"
    # The offset in the numbers: 0 where the catalogue removed it, 1000 in Collection-1.
    offset = 0 if first else product.offset_dn
    n = np.bincount(scene.scl.ravel(), minlength=12)
    n_valid = max(1, int(n[1:].sum()))
    ring = footprint(scene.valid, product.window)
    lons, lats = [c[0] for c in ring], [c[1] for c in ring]
    west, _, _, north = product.window.bounds
    grid = {
        "proj:shape": [product.window.height, product.window.width],
        "proj:transform": [RES_M, 0, west, 0, -RES_M, north],
        "gsd": RES_M,
    }
    assets: dict[str, Any] = {}
    for band, (key, title) in KEYS.items():
        data = scene.scl if band == "SCL" else digital_numbers(scene.bands[BANDS.index(band)], scene.valid, offset)
        path = root / "objects-http" / folder / f"{band}.tif"
        write_cog(path, data, product)
        raster: dict[str, Any] = {"nodata": 0, "data_type": data.dtype.name, "spatial_resolution": RES_M}
        asset: dict[str, Any] = {
            "href": f"{HOST}/{folder}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "title": title,
            **grid,
            "raster:bands": [raster],
            "roles": ["data"],
        }
        if band != "SCL":
            raster |= {"scale": 0.0001, "offset": -0.1}
            asset |= {"eo:bands": [{"name": band, "common_name": key}], "roles": ["data", "reflectance"]}
        if not first:
            raw = path.read_bytes()
            asset |= {"file:size": len(raw), "file:checksum": "1220" + hashlib.sha256(raw).hexdigest()}
        assets[key] = asset
    stamp = f"{w.sensed:%Y-%m-%dT%H:%M:%S}.024000Z"
    properties: dict[str, Any] = {
        "datetime": stamp, "created": f"{product.processed:%Y-%m-%dT%H:%M:%S}.000Z", "updated": f"{product.processed:%Y-%m-%dT%H:%M:%S}.000Z",
        "platform": f"sentinel-2{w.satellite.lower()}", "constellation": "sentinel-2", "instruments": ["msi"],
        "eo:cloud_cover": round(100 * float(n[8] + n[9] + n[10]) / n_valid, 6), "proj:epsg": product.window.tile.epsg,
        "mgrs:utm_zone": int(tile[:2]), "mgrs:latitude_band": tile[2], "mgrs:grid_square": tile[3:], "grid:code": f"MGRS-{tile}",
        "s2:nodata_pixel_percentage": round(100 * float(n[0]) / scene.scl.size, 6), "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": product.baseline, "s2:product_uri": f"{product.id}.SAFE", "s2:datatake_id": product.datatake,
        "s2:datastrip_id": product.datastrip, "s2:datatake_type": "INS-NOBS",
        "s2:generation_time": f"{product.processed:%Y-%m-%dT%H:%M:%S}.000000Z",
        "s2:thin_cirrus_percentage": round(100 * float(n[10]) / n_valid, 6), "s2:cloud_shadow_percentage": round(100 * float(n[3]) / n_valid, 6),
    }  # fmt: skip
    if first:
        properties |= {"s2:sequence": "0", "earthsearch:boa_offset_applied": product.offset_dn > 0 and not wrong_flag}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{e}/schema.json" for e in EXTENSIONS],
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [round(min(lons), 6), round(min(lats), 6), round(max(lons), 6), round(max(lats), 6)],
        "properties": properties,
        "links": [{"rel": "collection", "type": "application/json", "href": f"{HOST}/v1/collections/{collection}"}],
        "assets": assets,
    }
