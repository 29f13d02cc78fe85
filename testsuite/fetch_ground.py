"""Helpers for the tests of r.s2.fetch: small worlds, their Earth Search twin, tasks over one place, and what is in an archive or a mapset."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene, parse_item
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge.archivefile import Task
from testsuite.world.make import make_world
from testsuite.world.spec import Spec

ALL_BANDS = ("B12", "B11", "B04", "SCL")
QUICK = RetryPolicy(tries=4, wait_s=0.01, timeout_s=1.0)


def small_world(folder: Path, **settings: Any) -> Path:
    """Make a world of 3 km with two dates a year before 2022 and after, in both of which one place is seen."""
    spec = Spec(**{"seed": 5, "years": (2021, 2022), "size_km": 3.0, "dates": 2, **settings})
    return make_world(folder, spec, jobs=2, points=1)


def area(world: Path, km: float | None = None) -> Grid:
    """Return the world's place, or its middle."""
    west, south, east, north = json.loads((world / "world.json").read_text())["bounds"]
    if km is None:
        return Grid(west, south, east, north)
    half, x, y = round(km * 500 / 20) * 20, (west + east) // 40 * 20, (south + north) // 40 * 20
    return Grid(x - half, y - half, x + half, y + half)


def items(world: Path) -> list[dict[str, Any]]:
    """Return the world's items."""
    return json.loads((world / "stac" / "items.json").read_text())["features"]


def local_items(world: Path, chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return items whose links are paths on this machine."""
    local = copy.deepcopy(chosen)
    for item in local:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace("s3://", f"{world / 'objects'}/")
    return local


def earth_search(
    world: Path, folder: Path, chosen: list[dict[str, Any]], *, collection: str, applied: bool, claims: bool | None
) -> Path:
    """Write items and objects as Earth Search has them: GeoTIFFs, red at 10 m, its own names, and its raster:offset of -0.1.

    applied : whether the offset was removed from the pixels; claims : what the items say about it, None if nothing
    Returns: the item collection; only those of c1 have checksums
    """
    out = []
    for item in chosen:
        facts = item["properties"]
        baseline, name = (
            facts["processing:version"],
            f"S2_{item['id'][11:26]}_{facts['grid:code']}_{facts['processing:version'][:2]}",
        )
        assets = {}
        for key, band, res in (("swir22", "B12", 20), ("swir16", "B11", 20), ("red", "B04", 10), ("scl", "SCL", 20)):
            source = world / "objects" / item["assets"][f"{band}_20m"]["href"].removeprefix("s3://")
            with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(source) as file:
                pixels, profile = file.read(1), file.profile
            if band != "SCL" and applied and baseline >= "04":
                pixels = np.where(pixels > 0, np.clip(pixels.astype(int) - 1000, 1, None), 0).astype(np.uint16)
            transform = profile["transform"]
            if res == 10:
                pixels, transform = pixels.repeat(2, 0).repeat(2, 1), transform @ rasterio.Affine.scale(0.5)
            path = folder / name / f"{band}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                path, "w", driver="COG", height=pixels.shape[0], width=pixels.shape[1], count=1, dtype=pixels.dtype, nodata=0,
                crs=profile["crs"], transform=transform, compress="deflate", blocksize=512,
            ) as file:  # fmt: skip
                file.write(pixels, 1)
            content = path.read_bytes()
            assets[key] = {
                "href": str(path), "type": "image/tiff; application=geotiff; profile=cloud-optimized", "gsd": res,
                "proj:transform": [res, 0, transform.c, 0, -res, transform.f], "eo:bands": [{"name": key, "common_name": key}],
                # The same on every item, even if the offset was removed from the pixels.
                "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1, "spatial_resolution": res}],
            }  # fmt: skip
            if collection == "sentinel-2-c1-l2a":
                assets[key] |= {
                    "file:size": len(content),
                    "file:checksum": "1220" + hashlib.sha256(content).hexdigest(),
                }
        out.append(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "geometry": item["geometry"],
                "properties": {
                    "datetime": facts["datetime"], "platform": facts["platform"], "grid:code": facts["grid:code"],
                    "eo:cloud_cover": facts["eo:cloud_cover"], "s2:nodata_pixel_percentage": facts["statistics"]["nodata"],
                    "s2:processing_baseline": baseline, "s2:product_uri": item["id"] + ".SAFE",
                    "s2:datatake_id": facts["eopf:datatake_id"], "s2:datastrip_id": facts["eopf:datastrip_id"],
                    **({} if claims is None else {"earthsearch:boa_offset_applied": claims}),
                },
                "links": [], "assets": assets,
            }
        )  # fmt: skip
    path = folder / f"{collection}.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": out}))
    return path


def reprocessed(world: Path, tile: str = "33UUU") -> dict[str, dict[str, Any]]:
    """Return the two items of the acquisition that was processed twice, by their processing baseline."""
    of_tile = [i for i in items(world) if i["properties"]["grid:code"] == f"MGRS-{tile}"]
    again = next(i for i in of_tile if "_N0500_" in i["id"])
    same = [i for i in of_tile if i["properties"]["datetime"] == again["properties"]["datetime"]]
    return {i["properties"]["processing:version"]: i for i in same}


def scene_of(world: Path, word: str) -> Scene:
    """Return the world's scene whose id holds a word."""
    return parse_item(next(item for item in items(world) if word in item["id"]))


def task_of(world: Path, archive: Path, word: str = "N0500_R022_T33UUU", **changes: Any) -> Task:
    """Return the task to fetch all bands of a scene over the world's middle."""
    task = Task(scene_of(world, word), ALL_BANDS, Path(archive), area(world, 2), "cubic", "test", QUICK)
    return dataclasses.replace(task, **changes)


def digests(archive: Path) -> dict[str, str]:
    """Return band files, relative, to their checksums; each must have a sidecar that agrees."""
    found = {}
    for path in sorted(Path(archive).rglob("[!.]*.tif")):
        content = json.loads(path.with_suffix(".json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert content["output"] == {"file": path.name, "size": path.stat().st_size, "sha256": digest}
        found[str(path.relative_to(archive))] = digest
    return found


def parts_of(world: Path) -> tuple[Grid, Grid, Grid]:
    """Return two parts of the world's middle that share no cell, and the middle."""
    whole = area(world, 2)
    west = Grid(whole.west, whole.south + 400, whole.west + 600, whole.north)
    return west, Grid(west.east + 200, whole.south, whole.east, whole.north - 600), whole


def maps() -> list[str]:
    """Return the raster maps of the current mapset."""
    import grass.script as gs

    return sorted(name.split("@")[0] for name in gs.list_strings("raster"))
