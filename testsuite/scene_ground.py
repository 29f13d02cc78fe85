"""Scenes and items for tests: made in the test, or of real catalogues.

Items of real catalogues lie in $IMPERVIOUS_REAL (folders stac/ and safe_metadata/); without it their tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imperviouslib.core.items import Scene

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0))


def scene(name="a", **changes):
    facts = {
        "id": name, "tile": "33UUU", "sensed_utc": "2018-06-01T10:10:31Z", "platform": "sentinel-2a", "datatake": "GS2A_1",
        "datastrip": "20180601T101133", "baseline": (2, 6), "cloud_pct": 10.0, "nodata_pct": 0.0, "footprint": (SQUARE,), "assets": {},
    }  # fmt: skip
    return Scene(**{**facts, **changes})


def item(
    name="S2A_MSIL2A_20180601T101031_N0206_R022_T33UUU_20180601T152000",
    version="02.06",
    datatake="",
    datastrip="",
    **properties,
):
    band = {"proj:transform": [20, 0, 300000, 0, -20, 5900040]}
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[[12, 52], [13, 52], [13, 53], [12, 52]]]},
        "properties": {
            "datetime": "2018-06-01T10:10:31.024Z", "grid:code": "MGRS-33UUU", "processing:version": version, "eo:cloud_cover": 3.5,
            "eopf:datatake_id": datatake, "eopf:datastrip_id": datastrip, **properties,
        },
        "assets": {k: {"href": f"s3://eodata/{k}.jp2", **band} for k in ("B12_20m", "B11_20m", "B04_20m", "SCL_20m")},
    }  # fmt: skip


def real_folder() -> Path:
    """Return the folder of real items; skip the test where there is none."""
    folder = os.environ.get("IMPERVIOUS_REAL")
    if not folder:
        pytest.skip("IMPERVIOUS_REAL names no folder of real items")
    return Path(folder)


def load(path: Path, number: int = 0) -> dict[str, Any]:
    """Read one item of a file, or of a page of items."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content.get("features", [content])[number]
