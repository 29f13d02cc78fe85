"""Small archives like those of r.s2.fetch, written by the tests: arrays in, GeoTIFFs with sidecars out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.edge.files import sha256_file
from testsuite.raster_ground import write_tiff

BANDS = ("B12", "B11", "B04")


def write_scene(
    archive: Path,
    tile: str,
    when: str,
    grid: Grid,
    planes: dict[str, np.ndarray],
    *,
    overpass: str = "",
    size: int = 1000,
    baseline: str = "02.13",
) -> str:
    """Write one scene; return its id.

    when : YYYY-MM-DD
    planes : band to array (row, col), reflectance x 10000, and SCL
    overpass : the same for all tiles of one overpass; default: an overpass of its own
    size : bytes of the source objects
    baseline : processing baseline; one acquisition may have several
    """
    compact = when.replace("-", "")
    name = f"S2A_MSIL2A_{compact}T102031_N{baseline.replace('.', '')}_R065_T{tile}_{compact}T152758"
    folder = Path(archive) / tile / when[:4] / name
    for band, plane in planes.items():
        path = folder / f"{band}.tif"
        write_tiff(path, plane.astype("uint8" if band == "SCL" else "uint16"), grid)
        valid = int(np.count_nonzero(plane))
        sidecar = {
            "sidecar": 1, "scene": name, "tile": tile, "band": band, "sensed_utc": f"{when}T10:20:31Z", "platform": "sentinel-2a",
            "datatake": overpass or f"GS2A_{compact}_{tile}", "datastrip": f"{compact}T102134", "baseline": baseline, "cloud_pct": 10.0,
            "valid_pct": 100.0, "valid_cells": valid, "offset": {"dn": 0, "rule": "baseline 02.13 is before 04.00"},
            "source": {"href": f"{name}/{band}.jp2", "size": size, "checksum": ""},
            "output": {"file": path.name, "size": path.stat().st_size, "sha256": sha256_file(path)},
            "grid": {"bounds": grid.bounds, "res_m": grid.res_m}, "settings": {"resampling": "bilinear", "res_m": 20}, "version": "0.1.0",
        }  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(sidecar), encoding="utf-8")
    return name


def even_scene(grid: Grid, value: int, scl: int | np.ndarray = 5) -> dict[str, np.ndarray]:
    """Return planes of one value, B11 10 more and B04 20 more, all of one classification."""
    planes = {band: np.full(grid.shape, value + 10 * number, np.uint16) for number, band in enumerate(BANDS)}
    return {**planes, "SCL": np.broadcast_to(np.asarray(scl, np.uint8), grid.shape)}


def smooth_ground(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Return ground with structure at all lengths above some cells: array (row, col), uint16, about 300-3000."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.normal(size=shape))
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]
    distance = np.hypot(rows, cols)
    ground = np.fft.ifft2(spectrum * np.exp(-((distance / 0.15) ** 2)) / np.maximum(distance, 0.02) ** 0.5).real
    return (1500 + 350 * ground / ground.std()).clip(300, 3000).astype(np.uint16)
