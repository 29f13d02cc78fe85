"""The archive folder between r.s2.fetch and r.s2.yearly: names, and when a file counts as there.

The set of sidecars is the ledger. A sidecar is written after its GeoTIFF was verified, so a GeoTIFF without one does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene

SIDECAR = 1
"""Version of the sidecar's form."""
SUFFIX = ".json"
SIDECARS = f"[!.]*{SUFFIX}"
"""Pattern of sidecars within a scene's folder: names that begin with a dot are what killed runs left half-written."""


def band_path(archive: Path, scene: Scene, band: str) -> Path:
    """Return where a band of a scene lies; its sidecar has the ending .json instead."""
    return archive / scene.tile / str(scene.year) / scene.id / f"{band}.tif"


@dataclass(frozen=True)
class Sidecar:
    """What yearly needs to know of one band of one scene."""

    path: Path
    """The GeoTIFF."""
    scene: str
    tile: str
    band: str
    sensed_utc: str
    datatake: str
    datastrip: str
    baseline: str
    offset_dn: int
    offset_rule: str
    cloud_pct: float
    valid_cells: int
    source_size: int
    output_size: int
    output_sha256: str
    grid: Grid

    @property
    def year(self) -> int:
        """Year of sensing."""
        return int(self.sensed_utc[:4])

    @property
    def month(self) -> int:
        """Month of sensing."""
        return int(self.sensed_utc[5:7])


def parse_sidecar(content: Mapping[str, Any], path: Path) -> Sidecar | None:
    """Read a sidecar's content; None where it is of another form or incomplete, which counts as not fetched."""
    try:
        if content["sidecar"] != SIDECAR:
            return None
        return Sidecar(
            path.with_name(str(PurePosixPath(content["output"]["file"]).name)),
            content["scene"],
            content["tile"],
            content["band"],
            content["sensed_utc"],
            content["datatake"],
            # Where it is not told, a scene is an acquisition of its own.
            content.get("datastrip", content["scene"]),
            content["baseline"],
            int(content["offset"]["dn"]),
            content["offset"]["rule"],
            float(content["cloud_pct"]),
            int(content["valid_cells"]),
            int(content["source"]["size"]),
            int(content["output"]["size"]),
            content["output"]["sha256"],
            Grid(*content["grid"]["bounds"], content["grid"]["res_m"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def resolve_action(
    content: Mapping[str, Any] | None, size: int | None, wanted: Grid, settings: Mapping[str, Any], scene: Scene
) -> str:
    """Decide what to do with one band: keep what is whole and as wanted, else fetch.

    content : the sidecar, or None where there is none
    size : bytes of the GeoTIFF, or None where there is none
    wanted : the cells asked for; a file that holds more is kept
    Returns: "keep" or "fetch"
    """
    if content is None or size is None:
        return "fetch"
    sidecar = parse_sidecar(content, Path("x"))
    same = (
        sidecar is not None
        and sidecar.output_size == size
        and sidecar.baseline == scene.baseline_text
        and dict(content.get("settings", {})) == dict(settings)
        and sidecar.grid.contains(wanted)
    )
    return "keep" if same else "fetch"
