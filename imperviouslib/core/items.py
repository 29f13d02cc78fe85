"""Items of STAC catalogues: the scene and its objects.

Catalogues use different names and properties. Items of CDSE, Earth Search, Planetary Computer and stactools can be parsed.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urljoin

from imperviouslib.core.bands import SCL, Band, parse_band
from imperviouslib.core.baseline import Baseline, Processing, format_baseline, parse_baseline
from imperviouslib.core.errors import CatalogueError, _
from imperviouslib.core.footprint import Ring, is_near_tile, parse_rings
from imperviouslib.core.grid import RES_M
from imperviouslib.core.options import TILE


@dataclass(frozen=True)
class Asset:
    """One object of a scene."""

    href: str
    """s3://bucket/key, http(s) address, or local path."""
    size: int | None = None
    """Bytes the object must have, where the catalogue says."""
    checksum: str | None = None
    """Multihash in hex: 1620... SHA3-256, 1220... SHA-256."""
    res_m: float = RES_M
    """Pixel size of the object."""


@dataclass(frozen=True)
class Scene:
    """One acquisition of one tile."""

    id: str
    tile: str
    """MGRS tile without T, e.g. 31UDS."""
    sensed_utc: str
    """ISO 8601, to the second, ending in Z."""
    platform: str
    datatake: str
    """Datatake without its baseline, or the second of sensing."""
    datastrip: str
    """Start of the datastrip's sensing; empty where the catalogue does not give it."""
    baseline: Baseline
    """Processing baseline: (5, 10) is 05.10."""
    cloud_pct: float
    """Share of cloud in the valid pixels, per cent."""
    nodata_pct: float | None
    """Share of the tile without data, per cent; None where the catalogue does not give it."""
    footprint: tuple[Ring, ...]
    """Outer rings of the valid data, longitude and latitude."""
    assets: Mapping[str, Asset] = field(hash=False)
    """Band to object."""
    offset_applied: bool | None = None
    """What the catalogue claims: whether the offset is already applied to the pixels (Earth Search); None where it claims nothing."""
    metadata: Asset | None = None
    """The product's own metadata, MTD_MSIL2A.xml, where the catalogue links it."""

    @property
    def year(self) -> int:
        """Year of sensing."""
        return int(self.sensed_utc[:4])

    @property
    def day(self) -> date:
        """Day of sensing (UTC)."""
        return date.fromisoformat(self.sensed_utc[:10])

    @property
    def baseline_text(self) -> str:
        """Baseline as ESA writes it."""
        return format_baseline(self.baseline)

    @property
    def processing(self) -> Processing:
        """Which processing of which acquisition it is."""
        return Processing(self.tile, self.datatake, self.datastrip, self.baseline, self.id)


def parse_item(item: Mapping[str, Any], base: str = "") -> Scene:
    """Parse a STAC item of Sentinel-2 L2A from any known catalogue.

    base : folder or address to which relative links belong
    Raises CatalogueError if a required property is missing.
    """
    name = str(item.get("id", "without id"))

    def fail(found: str, expected: str) -> CatalogueError:
        return CatalogueError(
            _("Item {}").format(_shown(name)),
            found=_shown(found),
            expected=expected,
            then=_("Use a STAC catalogue of Sentinel-2 L2A. The item is left out."),
        )

    if item.get("type") != "Feature" or not isinstance(item.get("properties"), Mapping):
        raise fail(_("JSON that is not a STAC item"), _("a Feature with properties and assets"))
    if "stac_version" not in item or not isinstance(item.get("assets"), Mapping):
        legacy = "productIdentifier" in item["properties"] or "S3Path" in item
        raise fail(
            _("an answer of the old OpenSearch catalogue") if legacy else _("no stac_version and assets"),
            _("a STAC item, such as https://stac.dataspace.copernicus.eu/v1 gives"),
        )
    try:
        return _parse_item(item, name, base, fail)
    except _LinkError as err:
        raise fail(
            _("a link with {}").format(err), _("links that begin with s3, http or https, or files beside the items")
        ) from err
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError) as err:
        raise fail(
            _("a field that cannot be understood ({})").format(type(err).__name__), _("a STAC item of Sentinel-2 L2A")
        ) from err


def _shown(text: str) -> str:
    """Return a text of a catalogue as a message can contain it: one line of a length that can be read."""
    return "".join(c if c.isprintable() else " " for c in text[:120])


def _parse_item(item: Mapping[str, Any], name: str, base: str, fail: Callable[[str, str], CatalogueError]) -> Scene:
    properties: Mapping[str, Any] = item["properties"]

    def first(*keys: str) -> Any:
        return next((properties[key] for key in keys if properties.get(key) is not None), None)

    product = str(first("s2:product_uri", "sentinel:product_id") or name)
    if "MSIL1C" in product or str(item.get("collection", "")).endswith("l1c"):
        raise fail(
            _("a product of Level-1C"), _("Level-2A, which has surface reflectance and the scene classification SCL")
        )
    # Id and tile become names of folders in the archive, so they must be safe.
    if not re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,200}", name):
        raise fail(
            _("an id that cannot be the name of a folder"), _("letters, digits and ._- only, at most 200 of them")
        )
    tile = _parse_tile(properties, product)
    if tile is None or not re.fullmatch(TILE, tile, flags=re.ASCII):
        raise fail(
            _("tile {}").format(tile) if tile else _("no MGRS tile"),
            _("a tile such as 31UFS in grid:code or s2:mgrs_tile"),
        )
    when = first("datetime", "start_datetime")
    if not isinstance(when, str):
        raise fail(_("no date"), _("one in datetime"))
    version = first("processing:version", "s2:processing_baseline")
    in_name = re.search(r"_N(\d{4})_", product)
    # Numbers have lost the form of the baseline; the product's name has kept it.
    if in_name and (version is None or isinstance(version, int | float)):
        version = in_name[1]
    if version is None:
        raise fail(_("no processing baseline"), _("one in processing:version or s2:processing_baseline"))
    if properties.get("eo:cloud_cover") is None:
        raise fail(_("no eo:cloud_cover"), _("the share of cloud in per cent, by which scenes are chosen"))
    cloud_pct = _parse_percent(properties["eo:cloud_cover"])
    if cloud_pct is None:
        raise fail(
            _("eo:cloud_cover {}").format(str(properties["eo:cloud_cover"])[:20]),
            _("the share of cloud, 0 to 100 per cent"),
        )
    footprint = parse_rings(item.get("geometry"), item.get("bbox"))
    if not footprint:
        raise fail(_("neither an area nor a box"), _("a polygon in geometry, or bbox, by which scenes are found"))
    if not any(is_near_tile(ring, tile) for ring in footprint):
        raise fail(
            _("an area far from its tile {}").format(tile), _("longitude before latitude, in degrees, within the tile")
        )
    assets = _parse_assets(item, base)
    if SCL not in assets:
        raise fail(_("no scene classification SCL at 20 m"), _("one among the assets, because clouds are masked by it"))
    sensed = parse_time(str(when))
    datatake = str(first("eopf:datatake_id", "s2:datatake_id") or "")
    datastrip = str(first("eopf:datastrip_id", "s2:datastrip_id") or "")
    # The identifiers end with the baseline, and a datastrip's also holds the time of processing: only what is the same in every
    # reprocessing identifies the acquisition.
    strip_start = re.search(r"_S(\d{8}T\d{6})", datastrip)
    return Scene(
        id=name,
        tile=tile,
        sensed_utc=sensed,
        platform=str(properties.get("platform") or "").lower(),
        datatake=re.sub(r"_N\d\d\.\d\d$", "", datatake) or sensed,
        datastrip=strip_start[1] if strip_start else "",
        baseline=parse_baseline(version),
        cloud_pct=cloud_pct,
        nodata_pct=_parse_nodata(properties),
        footprint=footprint,
        assets=assets,
        offset_applied=_parse_claim(first("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")),
        metadata=_parse_metadata_asset(item, base),
    )


def _parse_percent(value: Any) -> float | None:
    """Return a share in per cent, also of a number in quotes; None where the value is no share. Sums of shares may miss 0 or 100 slightly.

    >>> _parse_percent("4.36"), _parse_percent(-1), _parse_percent(float("nan")), _parse_percent(100.00000001)
    (4.36, None, None, 100.0)
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(value, bool) or not -0.01 <= number <= 100.01:
        return None
    return min(max(number, 0.0), 100.0)


def _parse_nodata(properties: Mapping[str, Any]) -> float | None:
    """Return the share of the tile without data in per cent; version 0 of Earth Search gives the share with data instead."""
    nodata = properties.get("s2:nodata_pixel_percentage")
    if nodata is None:
        nodata = (properties.get("statistics") or {}).get("nodata")
    if nodata is not None:
        return _parse_percent(nodata)
    for key in ("data_coverage", "sentinel:data_coverage"):
        if properties.get(key) is not None:
            covered = _parse_percent(properties[key])
            return None if covered is None else 100 - covered
    return None


_CLAIMS = {"true": True, "1": True, "false": False, "0": False}


def _parse_claim(value: Any) -> bool | None:
    """Return a claim of the catalogue, also of one in quotes; None where it makes none. Raises ValueError for a word that is no claim.

    >>> _parse_claim("False"), _parse_claim(1), _parse_claim(None)
    (False, True, None)
    """
    if value is None:
        return None
    word = str(value).strip().lower()
    if word not in _CLAIMS:
        raise ValueError(value)
    return _CLAIMS[word]


def _parse_metadata_asset(item: Mapping[str, Any], base: str) -> Asset | None:
    for key in ("product_metadata", "product-metadata", "metadata"):
        asset = item["assets"].get(key)
        if asset and str(asset.get("href", "")).split("?", 1)[0].endswith(("MTD_MSIL2A.xml", "product_metadata.xml")):
            return _parse_asset(asset, base)
    return None


def _parse_asset(asset: Mapping[str, Any], base: str, res_m: float = RES_M) -> Asset:
    size, checksum = asset.get("file:size"), asset.get("file:checksum")
    number = int(size) if size else None
    if number is not None and not 0 < number < _MOST_BYTES:
        raise ValueError(size)
    return Asset(
        _absolute(str(asset["href"]), base), number, checksum if checksum and isinstance(checksum, str) else None, res_m
    )


def _parse_tile(properties: Mapping[str, Any], product: str) -> str | None:
    if properties.get("grid:code"):
        return str(properties["grid:code"]).removeprefix("MGRS-").zfill(5)
    if properties.get("s2:mgrs_tile"):
        return str(properties["s2:mgrs_tile"]).zfill(5)
    match = re.search(rf"_T({TILE})(?:_|\.|$)", product)
    return match[1] if match else None


def parse_time(text: str) -> str:
    """Convert a time to UTC, to the second.

    >>> parse_time("2022-02-17T18:34:31.024000Z")
    '2022-02-17T18:34:31Z'
    """
    when = datetime.fromisoformat(text)
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_assets(item: Mapping[str, Any], base: str) -> dict[str, Asset]:
    """Find each band's object: 20 m before 10 m, and GeoTIFF before JPEG 2000 of the same band."""
    best: dict[str, tuple[tuple[int, int], Mapping[str, Any], float]] = {}
    for key, asset in item["assets"].items():
        if not isinstance(asset, Mapping) or not asset.get("href"):
            continue
        band = _find_band(key, asset)
        if band is None:
            continue
        res_m = _parse_resolution(key, asset, band)
        if res_m > RES_M:
            continue
        rank = (0 if res_m == RES_M else 1, 1 if key.endswith("-jp2") else 0)
        if band.name not in best or rank < best[band.name][0]:
            best[band.name] = rank, asset, res_m
    return {name: _parse_asset(asset, base, res_m) for name, (_rank, asset, res_m) in best.items()}


def _find_band(key: str, asset: Mapping[str, Any]) -> Band | None:
    """Find the band of an asset by its key, else by the one band that it describes."""
    band = parse_band(re.sub(r"(_\d+m|-jp2)$", "", key))
    if band:
        return band
    if "overview" in (asset.get("roles") or ()) or "visual" in key:
        return None
    described: Sequence[Any] = asset.get("bands") or asset.get("eo:bands") or ()
    if len(described) != 1 or not isinstance(described[0], Mapping):
        return None
    common = described[0].get("eo:common_name") or described[0].get("common_name")
    return parse_band(str(described[0].get("name", ""))) or parse_band(str(common))


def _parse_resolution(key: str, asset: Mapping[str, Any], band: Band) -> float:
    transform = asset.get("proj:transform")
    if transform:
        # Rows and columns may be turned; the object's own header decides about that.
        res_m = math.hypot(float(transform[0]), float(transform[3]))
        if res_m >= 1:
            return res_m
    named = re.search(r"_(\d+)m$", key)
    return float(named[1]) if named else float(asset.get("gsd") or band.finest_m)


class _LinkError(Exception):
    """A link that may not be followed; its text says why."""


_MOST_BYTES = 10**12
"""No object is as large; a larger number is a mistake."""
_SCHEMES = ("s3", "http", "https")
"""What items of a service may link. Items of a file may link files too."""


def _absolute(href: str, base: str) -> str:
    """Resolve a link; raise _LinkError where it may not be followed.

    base : folder or address to which relative links belong; empty if there is none
    What a service answers never names a file of this machine; what a file links beside it lies in its folder.
    """
    if not href.isprintable():
        raise _LinkError(_("control characters"))
    if re.match(r"/+vsi", href):
        raise _LinkError(_("a path of GDAL's virtual file systems"))
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", href)
    scheme, served = (found[1].lower() if found else ""), "://" in base
    if scheme:
        if not href[len(scheme) + 1 :].startswith("//") or scheme not in (*_SCHEMES, *(() if served else ("file",))):
            raise _LinkError(_("scheme {}:").format(scheme))
        return scheme + href[len(scheme) :]
    if served:
        return urljoin(base.rstrip("/") + "/", href)
    if not base or href.startswith("/"):
        return href
    path = posixpath.normpath(f"{base}/{href}")
    if not path.startswith(base.rstrip("/") + "/"):
        raise _LinkError(_("a path that leaves the folder of the items"))
    return path
