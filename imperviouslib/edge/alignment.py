"""The alignment check of an archive: each file by itself (CRS, cells, origin, size, type, no data, bytes), and the years against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.errors

from imperviouslib.core.archive import SIDECARS, Sidecar, sidecar_path
from imperviouslib.core.bands import SCL
from imperviouslib.core.composite import clear
from imperviouslib.core.errors import ImperviousError
from imperviouslib.core.grid import Grid
from imperviouslib.core.shift import find_shift
from imperviouslib.edge.archivefile import read_sidecar
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.rasterfile import open_on_grid, read_part

LARGEST_SHIFT = 0.5
"""Cells; a median shift above it between two years is a finding."""
_LARGEST_SCATTER = 0.5
_COMPARED = 1024
"""Cells a side, at most, of the ground on which two years are compared."""


def check_archive(
    archive: Path, percent: Callable[[int, int], None]
) -> tuple[list[Sidecar], list[str], list[dict[str, Any]]]:
    """Check all files of an archive.

    Returns: the sidecars that could be read, what is wrong, and the shifts of years (tile, year, reference, rows, cols, scatter, windows)
    """
    sidecars, findings = [], []
    paths = sorted(archive.glob(f"*/*/*/{SIDECARS}"))
    for number, path in enumerate(paths, start=1):
        sidecar = read_sidecar(path)
        if sidecar is None:
            findings.append(f"{path}: no sidecar of this form")
        else:
            sidecars.append(sidecar)
            findings += check_file(sidecar)
        percent(number, len(paths))
    known = {sidecar.path for sidecar in sidecars}
    findings += [
        f"{path}: no sidecar, so it was never finished"
        for path in sorted(archive.glob("*/*/*/[!.]*.tif"))
        if path not in known and not sidecar_path(path).exists()
    ]
    broken = {finding.split(": ")[0] for finding in findings}
    shifts = _shifts([sidecar for sidecar in sidecars if str(sidecar.path) not in broken])
    findings += [
        f"tile {s['tile']}: {s['year']} lies {s['rows']:+.2f} rows and {s['cols']:+.2f} columns off {s['reference']}"
        for s in shifts
        if s["judged"] and np.hypot(s["rows"], s["cols"]) > LARGEST_SHIFT
    ]
    return sidecars, findings, shifts


def check_file(sidecar: Sidecar) -> list[str]:
    """Return what is wrong with one file; empty where all is well."""
    path = sidecar.path
    if not path.is_file():
        return [f"{path}: no such file, though it has a sidecar"]
    findings = []
    try:
        with open_on_grid(path, sidecar.grid.res_m) as (dataset, grid):
            if grid != sidecar.grid:
                findings.append(f"{path}: cells {grid.bounds}, its sidecar says {sidecar.grid.bounds}")
            wanted = "uint8" if sidecar.band == SCL else "uint16"
            if dataset.dtypes != (wanted,):
                findings.append(f"{path}: type {', '.join(dataset.dtypes)}, expected {wanted}")
            if dataset.nodata != 0:
                findings.append(f"{path}: no data is {dataset.nodata}, expected 0")
    except (ImperviousError, rasterio.errors.RasterioError) as err:
        findings.append(f"{path}: {err}")
    if path.stat().st_size != sidecar.output_size:
        findings.append(f"{path}: {path.stat().st_size} bytes, its sidecar says {sidecar.output_size}")
    elif sha256_file(path) != sidecar.output_sha256:
        findings.append(f"{path}: its bytes are not those that were written")
    return findings


def _shifts(sidecars: Sequence[Sidecar]) -> list[dict[str, Any]]:
    """Compare the clearest scene of each year with that of the tile's first year."""
    scenes: dict[tuple[str, str], dict[str, Sidecar]] = defaultdict(dict)
    for sidecar in sidecars:
        scenes[sidecar.tile, sidecar.scene][sidecar.band] = sidecar
    best: dict[tuple[str, int], dict[str, Sidecar]] = {}
    for (tile, _), bands in sorted(scenes.items()):
        if SCL not in bands or len(bands) < 2:
            continue
        key = (tile, bands[SCL].year)
        if key not in best or _worth(bands) > _worth(best[key]):
            best[key] = bands
    out = []
    for tile in sorted({tile for tile, _ in best}):
        first, *others = sorted(year for t, year in best if t == tile)
        for year in others:
            one, two = best[tile, first], best[tile, year]
            # The red band has the sharpest picture: 10 m pixels of towns and roads.
            band = "B04" if "B04" in one and "B04" in two else sorted((one.keys() & two.keys()) - {SCL})[0]
            area = one[band].grid.intersection(two[band].grid)
            if area is None:
                continue
            area = _middle(area)
            shift = find_shift(_clear_part(one, band, area), _clear_part(two, band, area))
            row: dict[str, Any] = {"tile": tile, "year": year, "reference": first, "band": band, "judged": False}
            if shift:
                row |= {
                    "rows": round(shift.rows, 3),
                    "cols": round(shift.cols, 3),
                    "scatter": round(shift.scatter, 3),
                    "windows": shift.windows,
                    # Windows that disagree measure the change of the land and the clouds, not a shift.
                    "judged": shift.scatter <= _LARGEST_SCATTER and shift.windows >= 3,
                }
            out.append(row)
    return out


def _worth(bands: dict[str, Sidecar]) -> float:
    scl = bands[SCL]
    return scl.valid_cells * (100 - scl.cloud_pct)


def _middle(area: Grid) -> Grid:
    """Cut the middle out of a large area: some dozens of windows settle a shift."""
    rows, cols = max(0, area.height - _COMPARED) // 2, max(0, area.width - _COMPARED) // 2
    north, west = area.north - rows * area.res_m, area.west + cols * area.res_m
    height, width = min(area.height, _COMPARED), min(area.width, _COMPARED)
    return Grid(west, north - height * area.res_m, west + width * area.res_m, north, area.res_m)


def _clear_part(bands: dict[str, Sidecar], band: str, area: Grid) -> np.ndarray:
    planes = []
    for name in (SCL, band):
        with open_on_grid(bands[name].path, area.res_m) as (dataset, grid):
            planes.append(read_part(dataset, grid, area))
    return np.where(clear(planes[0], 1), planes[1], 0)
