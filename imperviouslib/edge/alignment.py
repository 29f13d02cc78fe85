"""The alignment check of an archive's files: CRS, cells, origin, size, type, no data, and the bytes themselves."""

from __future__ import annotations

import rasterio.errors

from imperviouslib.core.archive import Sidecar
from imperviouslib.core.errors import ImperviousError
from imperviouslib.core.scenes import SCL
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.rasterfile import open_on_grid


def check_file(sidecar: Sidecar) -> list[str]:
    """Return what is wrong with one file; empty where all is well."""
    findings = []
    try:
        with open_on_grid(sidecar.path, sidecar.grid.res_m) as (dataset, grid):
            if grid != sidecar.grid:
                findings.append(f"{sidecar.path}: cells {grid.bounds}, its sidecar says {sidecar.grid.bounds}")
            wanted = "uint8" if sidecar.band == SCL else "uint16"
            if dataset.dtypes != (wanted,):
                findings.append(f"{sidecar.path}: type {', '.join(dataset.dtypes)}, expected {wanted}")
            if dataset.nodata != 0:
                findings.append(f"{sidecar.path}: no data is {dataset.nodata}, expected 0")
    except (ImperviousError, rasterio.errors.RasterioError) as err:
        findings.append(str(err))
    if sha256_file(sidecar.path) != sidecar.output_sha256:
        findings.append(f"{sidecar.path}: its bytes are not those that were written")
    return findings
