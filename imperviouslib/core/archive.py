"""The archive folder between r.s2.fetch and r.s2.yearly: its names, the sidecars, and which cells of a band are still to be fetched.

Each GeoTIFF of a band has a sidecar, a JSON file beside it. The sidecar is written after its GeoTIFF was verified, so a GeoTIFF without one
does not count. This module alone knows the keys of a sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from imperviouslib.core.bands import SCL
from imperviouslib.core.errors import OffsetError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene

SIDECAR = 1
"""Version of the sidecar's form."""
SUFFIX = ".json"
SIDECARS = f"[!.]*{SUFFIX}"
"""Pattern of sidecars within a scene's folder: names that begin with a dot are files that a killed run did not finish."""


def band_path(archive: Path, scene: Scene, band: str) -> Path:
    """Return the path of a band's GeoTIFF."""
    return archive / scene.tile / str(scene.year) / scene.id / f"{band}.tif"


def sidecar_path(path: Path) -> Path:
    """Return the path of the sidecar of a GeoTIFF."""
    return path.with_suffix(SUFFIX)


@dataclass(frozen=True)
class WarpSettings:
    """How a band is warped onto the grid; a file with other settings is made again."""

    resampling: str
    """nearest, bilinear or cubic."""
    res_m: int
    """Cell size in metres."""


def resolve_warp_settings(band: str, resampling: str, res_m: int) -> WarpSettings:
    """Return the settings of a band: classes are never averaged."""
    return WarpSettings("nearest" if band == SCL else resampling, res_m)


@dataclass(frozen=True)
class Offset:
    """The offset that was added to the pixels of a band, and why."""

    dn: int
    """Digital numbers, 0 or negative."""
    rule: str
    """The reason in words."""
    confirmed: bool = False
    """Whether the product's own metadata confirmed it."""


NO_OFFSET = Offset(0, "classes have none")
"""The offset of SCL."""


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What the archive records about one band of one scene."""

    path: Path
    """The GeoTIFF; its folder is not stored."""
    scene: str
    """Id of the scene."""
    tile: str
    """MGRS tile without T."""
    band: str
    sensed_utc: str
    """ISO 8601, to the second, ending in Z."""
    platform: str
    datatake: str
    datastrip: str
    """Start of the datastrip's sensing. Where the sidecar has none it is the scene's id, so that the scene is an acquisition of its own."""
    baseline: str
    """Processing baseline as ESA writes it, e.g. 05.10."""
    cloud_pct: float
    nodata_pct: float | None
    """Cloud cover of the whole tile in per cent, from the catalogue; None if the catalogue has none."""
    valid_cells: int
    """Cells with data in the file."""
    offset_dn: int
    """What was added to the pixels, digital numbers, 0 or negative."""
    offset_rule: str
    """The reason in words."""
    offset_confirmed: bool
    """Whether the product's own metadata confirmed it."""
    source_href: str
    """Address of the object, without user, password, query and fragment."""
    source_size: int
    """Bytes of the whole object."""
    source_checksum: str | None
    """Multihash in hex; None where the catalogue gives none."""
    source_read: str
    """Which part of the object was read: whole or window."""
    source_bytes_read: int
    source_invalid: int = 0
    """Pixels that were read and count as no data, because they are saturated or have a value that no reflectance has."""
    output_size: int
    """Bytes of the GeoTIFF."""
    output_sha256: str
    """SHA-256 of the GeoTIFF, in hex."""
    grid: Grid
    """Cells of the file."""
    extent: Grid | None
    """Cells that the whole source covers; None where the sidecar does not say."""
    settings: WarpSettings | None
    """None where the sidecar does not say, or has settings that are not known here."""
    catalogue: str
    version: str
    """Version of the software."""
    fetched_utc: str
    """ISO 8601, to the second, ending in Z."""

    @property
    def year(self) -> int:
        """Year of sensing."""
        return int(self.sensed_utc[:4])

    @property
    def month(self) -> int:
        """Month of sensing."""
        return int(self.sensed_utc[5:7])

    @property
    def history(self) -> str:
        """One line for the history of the scene's map."""
        return f"{self.scene}, baseline {self.baseline}, offset {self.offset_dn} ({self.offset_rule})"


def format_sidecar(sidecar: Sidecar) -> dict[str, Any]:
    """Return the content of a sidecar's file: values that JSON knows. `parse_sidecar` is its inverse."""
    content: dict[str, Any] = {
        "sidecar": SIDECAR, "scene": sidecar.scene, "tile": sidecar.tile, "band": sidecar.band, "sensed_utc": sidecar.sensed_utc,
        "platform": sidecar.platform, "datatake": sidecar.datatake, "datastrip": sidecar.datastrip,
        "baseline": sidecar.baseline, "cloud_pct": sidecar.cloud_pct, "nodata_pct": sidecar.nodata_pct,
        "valid_cells": sidecar.valid_cells,
        "valid_pct": round(100 * sidecar.valid_cells / (sidecar.grid.height * sidecar.grid.width), 4),
        "offset": {"dn": sidecar.offset_dn, "rule": sidecar.offset_rule, "metadata_read": sidecar.offset_confirmed},
        "source": {
            "href": sidecar.source_href, "size": sidecar.source_size, "checksum": sidecar.source_checksum,
            "read": sidecar.source_read, "read_bytes": sidecar.source_bytes_read, "invalid_pixels": sidecar.source_invalid,
        },
        "output": {"file": sidecar.path.name, "size": sidecar.output_size, "sha256": sidecar.output_sha256},
        "grid": {"bounds": list(sidecar.grid.bounds), "res_m": sidecar.grid.res_m},
        "catalogue": sidecar.catalogue, "version": sidecar.version, "fetched_utc": sidecar.fetched_utc,
    }  # fmt: skip
    if sidecar.extent:
        content["extent"] = list(sidecar.extent.bounds)
    if sidecar.settings:
        content["settings"] = {"resampling": sidecar.settings.resampling, "res_m": sidecar.settings.res_m}
    return content


def parse_sidecar(content: Mapping[str, Any], path: Path) -> Sidecar | None:
    """Read the content of a sidecar's file.

    path : of the sidecar or of its GeoTIFF
    Returns: None if the content has another form or is incomplete; the band then counts as not fetched. Keys that no decision needs may be
        missing
    """
    try:
        if content["sidecar"] != SIDECAR:
            return None
        offset, source, output = content["offset"], content["source"], content["output"]
        grid = Grid.from_bounds(content["grid"]["bounds"], content["grid"]["res_m"])
        return Sidecar(
            path=path.with_name(str(PurePosixPath(output["file"]).name)),
            scene=content["scene"],
            tile=content["tile"],
            band=content["band"],
            sensed_utc=content["sensed_utc"],
            platform=content.get("platform", ""),
            datatake=content["datatake"],
            datastrip=content.get("datastrip", content["scene"]),
            baseline=content["baseline"],
            cloud_pct=float(content["cloud_pct"]),
            nodata_pct=content.get("nodata_pct"),
            valid_cells=int(content["valid_cells"]),
            offset_dn=int(offset["dn"]),
            offset_rule=offset["rule"],
            offset_confirmed=offset.get("metadata_read", False),
            source_href=source.get("href", ""),
            source_size=int(source["size"]),
            source_checksum=source.get("checksum"),
            source_read=source.get("read", ""),
            source_bytes_read=source.get("read_bytes", 0),
            source_invalid=source.get("invalid_pixels", 0),
            output_size=int(output["size"]),
            output_sha256=output["sha256"],
            grid=grid,
            extent=Grid.from_bounds(content["extent"], grid.res_m) if "extent" in content else None,
            settings=_parse_settings(content.get("settings")),
            catalogue=content.get("catalogue", ""),
            version=content.get("version", ""),
            fetched_utc=content.get("fetched_utc", ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _parse_settings(content: Mapping[str, Any] | None) -> WarpSettings | None:
    if content is None or content.keys() != {"resampling", "res_m"}:
        return None
    return WarpSettings(content["resampling"], content["res_m"])


def is_whole(sidecar: Sidecar | None, size: int | None) -> bool:
    """Tell whether the archive has the complete GeoTIFF of a band.

    sidecar : None if there is none or it cannot be read
    size : bytes of the GeoTIFF; None if it does not exist
    """
    return sidecar is not None and size is not None and sidecar.output_size == size


def resolve_kept(sidecar: Sidecar | None, size: int | None, scene: Scene, settings: WarpSettings) -> Grid | None:
    """Return the cells of a band whose file is complete and was made with the same settings; None if there is no such file.

    sidecar, size : see `is_whole`
    """
    if sidecar is None or not is_whole(sidecar, size):
        return None
    same = sidecar.baseline == scene.baseline_text and sidecar.settings == settings
    return sidecar.grid if same else None


def is_missing(sidecar: Sidecar | None, size: int | None, scene: Scene, settings: WarpSettings, area: Grid) -> bool:
    """Tell whether a band must be fetched: its file is incomplete, has other settings, or does not cover the scene's part of the area.

    sidecar, size : see `is_whole`
    """
    if sidecar is not None and sidecar.extent is not None:
        # A file never extends beyond its tile, so it need only cover the part of the area that lies in the tile.
        wanted = area.intersection(sidecar.extent)
        if wanted is None:
            return False
        area = wanted
    kept = resolve_kept(sidecar, size, scene, settings)
    return kept is None or not kept.contains(area)


def resolve_target(area: Grid, extent: Grid, kept: Grid | None) -> Grid | None:
    """Return the cells to write: the part of the area that a source covers and the cells that are kept, as one rectangle.

    extent : cells that the whole source covers
    kept : cells that the archive already has; they are kept when another region is fetched
    Returns: None where the source does not meet the area

    >>> resolve_target(Grid(0, 0, 40, 40), Grid(20, 0, 100, 100), Grid(60, 60, 80, 80)).bounds
    (20, 0, 80, 80)
    """
    target = area.intersection(extent)
    return target.union(kept).intersection(extent) if target and kept else target


def check_metadata_baseline(scene: Scene, baseline: tuple[int, int]) -> None:
    """Raise OffsetError where the product's own metadata has another processing baseline than the catalogue says."""
    if baseline != scene.baseline:
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("baseline {:02d}.{:02d} in its metadata").format(*baseline),
            expected=_("{} as in the catalogue").format(scene.baseline_text),
            then=_("Report it to the catalogue. Flag -k continues without this scene."),
        )


def check_one_offset(scene: Scene, offset_dn: int, sidecars: Iterable[Sidecar], archive: Path) -> None:
    """Raise OffsetError where another band of the scene was made with another offset.

    sidecars : of the scene's folder; SCL and those of another baseline do not count
    archive : for the message
    """
    others = {
        sidecar.offset_dn
        for sidecar in sidecars
        if sidecar.band != SCL and sidecar.baseline == scene.baseline_text and sidecar.offset_dn != offset_dn
    }
    if others:
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("offset {} for one band and {} for another").format(offset_dn, others.pop()),
            expected=_("the same offset for all bands"),
            then=_("Remove the folder of the scene in '{}' and fetch it again.").format(archive),
        )
