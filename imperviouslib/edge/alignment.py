"""The check of an archive: each file by itself (CRS, cells, origin, size, type, no data, bytes), and the alignment of the years."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.errors

from imperviouslib.core.archive import SIDECARS, Sidecar, sidecar_path
from imperviouslib.core.bands import SCL
from imperviouslib.core.cloudmask import clear
from imperviouslib.core.errors import ImperviousError
from imperviouslib.core.grid import Grid
from imperviouslib.core.shift import find_shift
from imperviouslib.edge.archivefile import read_sidecar
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.rasterfile import open_on_grid, read_part

LARGEST_SHIFT = 0.5
"""Cells; a median shift above it between two years is a finding."""
_LARGEST_SCATTER = 0.5
"""Cells; windows that scatter more measure changes of land and clouds, not a shift."""
_FEWEST_WINDOWS = 3
_COMPARED = 1024
"""Cells a side, at most, of the ground on which two years are compared."""


def check_archive(
    archive: Path, percent: Callable[[int, int], None]
) -> tuple[list[Sidecar], list[str], list[dict[str, Any]]]:
    """Check all files of an archive.

    percent : reports progress, (done, total)
    Returns: the sidecars that could be read, the findings, and the shifts of years (tile, year, reference, band, judged, and if a shift was
    found rows, cols, scatter, windows)
    """
    sidecars, findings = [], []
    paths = sorted(archive.glob(f"*/*/*/{SIDECARS}"))
    for number, path in enumerate(paths, start=1):
        sidecar = read_sidecar(path)
        if sidecar is None:
            findings.append(f"{path}: not a sidecar that this version can read")
        else:
            sidecars.append(sidecar)
            findings += check_file(sidecar)
        percent(number, len(paths))
    known = {sidecar.path for sidecar in sidecars}
    findings += [
        f"{path}: has no sidecar, so it was never finished"
        for path in sorted(archive.glob("*/*/*/[!.]*.tif"))
        if path not in known and not sidecar_path(path).exists()
    ]
    broken = {finding.split(": ")[0] for finding in findings}
    shifts = _shifts([sidecar for sidecar in sidecars if str(sidecar.path) not in broken])
    findings += [
        f"tile {s['tile']}: {s['year']} is shifted by {s['rows']:+.2f} rows and {s['cols']:+.2f} columns against {s['reference']}"
        for s in shifts
        if s["judged"] and np.hypot(s["rows"], s["cols"]) > LARGEST_SHIFT
    ]
    return sidecars, findings, shifts


def check_file(sidecar: Sidecar) -> list[str]:
    """Return what is wrong with one file; empty if nothing is."""
    path = sidecar.path
    if not path.is_file():
        return [f"{path}: the file is missing, but its sidecar exists"]
    findings = []
    try:
        with open_on_grid(path, sidecar.grid.res_m) as (dataset, grid):
            if grid != sidecar.grid:
                findings.append(f"{path}: cells {grid.bounds}, expected {sidecar.grid.bounds} as in its sidecar")
            wanted = "uint8" if sidecar.band == SCL else "uint16"
            if dataset.dtypes != (wanted,):
                findings.append(f"{path}: type {', '.join(dataset.dtypes)}, expected {wanted}")
            if dataset.nodata != 0:
                findings.append(f"{path}: no data is {dataset.nodata}, expected 0")
    except (ImperviousError, rasterio.errors.RasterioError) as err:
        findings.append(f"{path}: {err}")
    if path.stat().st_size != sidecar.output_size:
        findings.append(f"{path}: {path.stat().st_size} bytes, expected {sidecar.output_size} as in its sidecar")
    elif sha256_file(path) != sidecar.output_sha256:
        findings.append(f"{path}: its bytes changed since it was written")
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
        if key not in best or _clear_cells(bands) > _clear_cells(best[key]):
            best[key] = bands
    out = []
    for tile in sorted({tile for tile, _ in best}):
        first, *others = sorted(year for t, year in best if t == tile)
        for year in others:
            one, two = best[tile, first], best[tile, year]
            # The red band is the sharpest: its pixels of 10 m show towns and roads.
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
                    "judged": shift.scatter <= _LARGEST_SCATTER and shift.windows >= _FEWEST_WINDOWS,
                }
            out.append(row)
    return out


def _clear_cells(bands: dict[str, Sidecar]) -> float:
    """Return a number that is larger the more clear cells a scene has."""
    scl = bands[SCL]
    return scl.valid_cells * (100 - scl.cloud_pct)


def _middle(area: Grid) -> Grid:
    """Cut the middle out of a large area: a few dozen windows are enough to measure a shift."""
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
