"""The archive folder on disk: sidecars read and written, scenes made from objects.

`fetch_scene` is a plain function of plain values: a worker process, or later a cluster's task, runs it on its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core.archive import SIDECAR, SUFFIX, Sidecar, band_path, parse_sidecar, resolve_action
from imperviouslib.core.errors import FetchError, sentence
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.scenes import SCL, Scene, check_claim, resolve_offset
from imperviouslib.edge import warp
from imperviouslib.edge.files import sha256_file, write_json
from imperviouslib.edge.objects import Patience, get_object
from imperviouslib.edge.rasterfile import TiffWriter, decode_object, describe_object, open_on_grid


@dataclass(frozen=True)
class Task:
    """One scene to fetch."""

    scene: Scene
    bands: tuple[str, ...]
    """Bands still to be had."""
    archive: Path
    area: Grid
    """Cells asked for; what of them the scene's tile meets is written."""
    resampling: str
    catalogue: str
    patience: Patience = field(default_factory=Patience)

    @property
    def settings(self) -> dict[str, Any]:
        """What a kept file must have been made with."""
        return {"resampling": self.resampling, "res_m": self.area.res_m}


@dataclass(frozen=True)
class Outcome:
    """What became of one band."""

    scene: str
    band: str
    error: str = ""
    """Empty where all is well."""
    read_bytes: int = 0
    valid_cells: int = 0
    outside: bool = False
    """The scene has no cell in the area: nothing was written, nothing is wrong."""


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Read a sidecar; None where there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def read_archive(archive: Path) -> Iterator[Sidecar]:
    """Yield the sidecars whose GeoTIFF is there with the size it had, by tile, year, scene and band."""
    for path in sorted(archive.glob(f"*/*/*/*{SUFFIX}")):
        content = read_sidecar(path)
        sidecar = parse_sidecar(content, path) if content else None
        if sidecar and sidecar.path.is_file() and sidecar.path.stat().st_size == sidecar.output_size:
            yield sidecar


def missing_bands(task: Task) -> tuple[str, ...]:
    """Return the bands of a task that are not there whole, as wanted and over the scene's part of the area."""
    missing = []
    for band in task.bands:
        path = band_path(task.archive, task.scene, band)
        content = read_sidecar(path.with_suffix(SUFFIX))
        size = path.stat().st_size if path.is_file() else None
        wanted = task.area
        if content and "extent" in content:
            # A file never holds more than its tile, so only the part of the area that the tile meets is asked of it.
            wanted = task.area.intersection(Grid(*content["extent"], task.area.res_m))
            if wanted is None:
                continue
        if resolve_action(content, size, wanted, task.settings, task.scene) == "fetch":
            missing.append(band)
    return tuple(missing)


def fetch_scene(task: Task) -> list[Outcome]:
    """Fetch the bands of one scene: get, verify, decode, warp, correct, write, verify, and only then write the sidecar.

    Returns: one outcome a band; raises AccessError where keys are refused, since then no other scene will come either
    """
    outcomes = []
    for band in task.bands:
        try:
            outcomes.append(_fetch_band(task, band))
        except FetchError as err:
            outcomes.append(Outcome(task.scene.id, band, error=str(err)))
    return outcomes


def _fetch_band(task: Task, band: str) -> Outcome:
    scene = task.scene
    asset = scene.assets.get(band)
    if asset is None:
        raise FetchError(
            sentence(
                f"Scene {scene.id}",
                f"no object for {band}",
                ", ".join(scene.assets),
                "Leave the band out, or exclude the scene.",
            )
        )
    content = get_object(asset, task.patience)
    name = asset.href.split("?", 1)[0].rsplit("/", 1)[-1]
    source = describe_object(content, name)
    extent = warp.extent(source)
    target = task.area.intersection(extent)
    window = warp.source_window(source, target, margin=6) if target else None
    if target is None or window is None:
        return Outcome(scene.id, band, read_bytes=len(content), outside=True)
    (row, row_end), (col, col_end) = window
    # Whole pairs of pixels, so that halving 10 m pixels meets the same pairs in every window.
    row, col = row // 2 * 2, col // 2 * 2
    pixels = decode_object(content, name, (row, row_end), (col, col_end))
    method, offset_dn, rule = task.resampling, 0, "classes have none"
    if band == SCL:
        method = "nearest"
    else:
        offset_dn, rule = resolve_offset(scene.baseline, scene.offset_applied)
        valid = pixels[pixels > 0]
        if valid.size:
            check_claim(scene.id, offset_dn, scene.offset_applied, int(np.percentile(valid, 0.1)), scene.baseline)
    if warp.is_fine(source):
        pixels, source = warp.halve(pixels), warp.halved(source)
        row, col = row // 2, col // 2

    path = band_path(task.archive, scene, band)
    valid_cells = 0
    path.with_suffix(SUFFIX).unlink(missing_ok=True)
    with TiffWriter(path, target, "uint8" if band == SCL else "uint16") as out:
        for part in target.blocks(BLOCK):
            rows, cols = warp.source_coordinates(source, part)
            values = warp.resample(pixels, rows - row, cols - col, method)
            if band != SCL:
                # Valid is never 0: results below 1 become 1.
                values = np.where(values > 0, np.clip(np.rint(values) + offset_dn, 1, 65535), 0).astype(np.uint16)
            valid_cells += int(np.count_nonzero(values))
            out.write(values, part)
    _verify(path, target, valid_cells)
    write_json(
        path.with_suffix(SUFFIX),
        {
            "sidecar": SIDECAR, "scene": scene.id, "tile": scene.tile, "band": band, "sensed_utc": scene.sensed_utc,
            "platform": scene.platform, "datatake": scene.datatake, "datastrip": scene.datastrip,
            "baseline": scene.baseline_text, "cloud_pct": scene.cloud_pct, "nodata_pct": scene.nodata_pct,
            "valid_cells": valid_cells, "valid_pct": round(100 * valid_cells / (target.height * target.width), 4),
            "offset": {"dn": offset_dn, "rule": rule},
            "source": {"href": asset.href.split("?", 1)[0], "size": len(content), "checksum": asset.checksum},
            "output": {"file": path.name, "size": path.stat().st_size, "sha256": sha256_file(path)},
            "grid": {"bounds": target.bounds, "res_m": target.res_m}, "extent": extent.bounds,
            "settings": task.settings, "catalogue": task.catalogue, "version": __version__,
            "fetched_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )  # fmt: skip
    return Outcome(scene.id, band, read_bytes=len(content), valid_cells=valid_cells)


def _verify(path: Path, target: Grid, valid_cells: int) -> None:
    """Read the written file in full; a disk that loses bytes must not leave a sidecar."""
    found = 0
    with open_on_grid(path, target.res_m) as (dataset, grid):
        for _, window in dataset.block_windows(1):
            found += int(np.count_nonzero(dataset.read(1, window=window)))
    if grid != target or found != valid_cells:
        raise FetchError(
            sentence(
                f"File '{path}'",
                f"{found} valid cells on {grid.bounds}",
                f"{valid_cells} on {target.bounds}",
                "Check the disk and run the same command again.",
            )
        )


def describe_sidecar(content: Mapping[str, Any]) -> str:
    """Write one line of history for a linked scene."""
    offset = content["offset"]
    return f"{content['scene']}, baseline {content['baseline']}, offset {offset['dn']} ({offset['rule']})"
