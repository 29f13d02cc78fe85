"""Scenes: what a catalogue's item means, which offset its pixels need, which scenes to take.

Everything here is a rule on plain values. Catalogues differ in names and claims: CDSE, Earth Search, Planetary Computer and items made by
stactools are understood. Where they mislead (CDSE writes the same raster:offset on every item), the rule says what is believed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np

from imperviouslib.core.errors import CatalogueError, InputError, OffsetError, _

SCL = "SCL"
DEFAULT_BANDS = ("B12", "B11", "B04")
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
_COMMON_NAMES = {
    "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06", "rededge3": "B07", "nir": "B08",
    "nir08": "B8A", "swir16": "B11", "swir22": "B12", "scl": SCL,
}  # fmt: skip
OFFSET_DN = -1000
"""BOA_ADD_OFFSET of processing baseline 04.00 and later."""
RES_M = 20


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
    """Start of the datastrip's sensing, or empty where the catalogue does not tell."""
    baseline: tuple[int, int]
    """Processing baseline: (5, 10) is 05.10."""
    cloud_pct: float
    """Cloud as per cent of the valid pixels."""
    nodata_pct: float | None
    """Pixels without data as per cent of the tile."""
    footprint: tuple[tuple[float, float], ...]
    """Outer ring of the valid data, longitude and latitude."""
    assets: Mapping[str, Asset] = field(hash=False)
    """Band to object."""
    offset_applied: bool | None = None
    """What the catalogue claims: offset already removed (Earth Search), or nothing."""
    product_size: int | None = None
    """Bytes of the whole product, where told."""
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
        return f"{self.baseline[0]:02d}.{self.baseline[1]:02d}"


def parse_baseline(text: str) -> tuple[int, int]:
    """Parse a processing baseline, however it is written.

    >>> parse_baseline("05.10"), parse_baseline("4.0"), parse_baseline("N0212"), parse_baseline("0400")
    ((5, 10), (4, 0), (2, 12), (4, 0))
    """
    match = re.fullmatch(r"N?(\d{1,2})\.(\d{1,2})|N?(\d{2})(\d{2})", str(text).strip())
    if not match:
        raise OffsetError(
            _("Processing baseline"),
            found=f"'{text}'",
            expected=_("a form like 05.10"),
            then=_("Exclude the scene or correct the catalogue."),
        )
    major, minor = (match[1], match[2]) if match[1] else (match[3], match[4])
    return int(major), int(minor)


def resolve_offset(
    baseline: tuple[int, int], applied: bool | None = None, metadata_dn: int | None = None
) -> tuple[int, str]:
    """Tell which offset the pixels of a scene still need, and by which rule.

    baseline : (major, minor); (99, 99) is an old trial run of the archive without an offset
    applied : True where the catalogue says that the offset was already removed from the pixels
    metadata_dn : BOA_ADD_OFFSET of the product's own metadata where it was read (0 where it has none), must agree
    Returns: (offset in DN to add, rule in words); raises OffsetError where metadata and baseline contradict each other

    >>> resolve_offset((2, 12))
    (0, 'baseline 02.12 is before 04.00')
    >>> resolve_offset((5, 0))
    (-1000, 'baseline 05.00 is 04.00 or later')
    """
    text = f"{baseline[0]:02d}.{baseline[1]:02d}"
    if baseline == (99, 99):
        offset, rule = 0, "baseline 99.99 has no offset"
    elif baseline >= (4, 0):
        offset, rule = OFFSET_DN, f"baseline {text} is 04.00 or later"
    else:
        offset, rule = 0, f"baseline {text} is before 04.00"
    if metadata_dn is not None and metadata_dn != offset:
        raise OffsetError(
            _("Scene of baseline {}").format(text),
            found=_("BOA_ADD_OFFSET {} in its metadata").format(metadata_dn),
            expected=_("{} by its baseline").format(offset),
            then=_("Report the product; exclude it until this is settled."),
        )
    if applied and offset:
        return 0, f"{rule}, and the catalogue has applied it"
    return offset, rule


def resolve_claim(scene: Scene, low_dn: int, metadata_dn: int | None = None) -> tuple[int, str]:
    """Tell which offset the pixels of a scene still need, and by which rule, after testing the catalogue's claim against them.

    low_dn : the value below which a thousandth of the valid pixels lies, in the darkest of the scene's bands at hand
    metadata_dn : BOA_ADD_OFFSET of the product's own metadata, None where it was not read
    Returns: (offset in DN to add, rule in words); raises OffsetError where catalogue and pixels cannot both be right

    With the offset still in them, pixels lie at about 1000 and above; without it, dark ground lies far below. A catalogue that
    denies a correction which the pixels show is known and is set right (earth-search issues 66 and 71). One that claims a correction which
    the pixels do not show, or says nothing of one that they show, is not believed, and nothing is guessed in its place.
    """
    offset, rule = resolve_offset(scene.baseline, scene.offset_applied, metadata_dn)
    needed, why = resolve_offset(scene.baseline)
    if not needed:
        return offset, rule
    if scene.offset_applied is False and low_dn < 800:
        return 0, f"{why}; the catalogue denies that it is applied, pixels from {low_dn} show that it is"
    if scene.offset_applied and low_dn >= 1000:
        says, expected = "claims an applied offset", "some below 1000"
    elif scene.offset_applied is None and low_dn < 500:
        says, expected = "tells of no applied offset", "hardly any below 1000"
    else:
        return offset, rule
    raise OffsetError(
        _("Scene {}").format(scene.id),
        found=_("pixels from {} where the catalogue {}").format(low_dn, says),
        expected=expected,
        then=_("Report it to the catalogue and exclude the scene, or use another catalogue."),
    )


def parse_metadata_offset(text: bytes) -> tuple[tuple[int, int], int]:
    """Read processing baseline and BOA_ADD_OFFSET from a product's MTD_MSIL2A.xml.

    Returns: ((major, minor), offset in DN), 0 where the product has none; raises OffsetError where it is not such a file, or where
    the bands do not share one offset
    """

    def fail(found: str, expected: str) -> OffsetError:
        return OffsetError(
            _("Metadata MTD_MSIL2A.xml"),
            found=found,
            expected=expected,
            then=_("Report the product; exclude it until this is settled."),
        )

    if b"<!ENTITY" in text:
        raise fail("entity declarations", "plain XML")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise fail("no whole XML", "a product's metadata") from err

    # Namespaces differ between baselines; the names of elements do not.
    def texts(name: str) -> list[str]:
        return [(element.text or "").strip() for element in root.iter() if element.tag.rsplit("}", 1)[-1] == name]

    baselines, offsets = texts("PROCESSING_BASELINE"), texts("BOA_ADD_OFFSET")
    if len(set(baselines)) != 1:
        raise fail(f"{len(set(baselines))} processing baselines", "one")
    try:
        values = {int(value) for value in offsets}
    except ValueError as err:
        raise fail(f"offsets {', '.join(offsets)[:60]}", "whole numbers") from err
    if len(values) > 1:
        raise fail(f"offsets {sorted(values)}", "the same for all bands")
    return parse_baseline(baselines[0]), values.pop() if values else 0


def parse_item(item: Mapping[str, Any], base: str = "") -> Scene:
    """Parse a STAC item of Sentinel-2 L2A from any known catalogue.

    base : folder or address against which relative links count
    Raises CatalogueError where something needed is missing.
    """
    name = str(item.get("id", "without id"))

    def fail(found: str, expected: str) -> CatalogueError:
        return CatalogueError(
            _("Item {}").format(name),
            found=found,
            expected=expected,
            then=_("Exclude it, or use a STAC catalogue of Sentinel-2 L2A."),
        )

    if item.get("type") != "Feature" or not isinstance(item.get("properties"), Mapping):
        raise fail("no STAC item", "a Feature with properties and assets")
    if "stac_version" not in item or not isinstance(item.get("assets"), Mapping):
        legacy = "productIdentifier" in item["properties"] or "S3Path" in item
        raise fail(
            "an answer of the old OpenSearch catalogue" if legacy else "no stac_version and assets",
            "a STAC item, as of https://stac.dataspace.copernicus.eu/v1",
        )
    try:
        return _parse_item(item, name, base, fail)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
        raise fail(
            f"a field that cannot be understood ({type(err).__name__})", "a STAC item of Sentinel-2 L2A"
        ) from err


def _parse_item(item: Mapping[str, Any], name: str, base: str, fail: Callable[[str, str], CatalogueError]) -> Scene:
    properties: Mapping[str, Any] = item["properties"]

    def first(*keys: str) -> Any:
        return next((properties[key] for key in keys if properties.get(key) is not None), None)

    product = str(first("s2:product_uri", "sentinel:product_id") or name)
    if "MSIL1C" in product or str(item.get("collection", "")).endswith("l1c"):
        raise fail("a product of Level-1C", "Level-2A, which has surface reflectance and the classes SCL")
    # Both become folders of the archive.
    if not re.fullmatch(r"(?!\.)[A-Za-z0-9._-]+", name):
        raise fail("an id that is no name of a folder", "letters, digits and ._- alone")
    tile = _parse_tile(properties, product)
    if tile is None or not re.fullmatch(r"\d{2}[C-X][A-Z]{2}", tile):
        raise fail(f"{f'tile {tile}' if tile else 'no MGRS tile'}", "a tile such as 31UFS in grid:code or s2:mgrs_tile")
    when = first("datetime", "start_datetime")
    if when is None:
        raise fail("no date", "datetime")
    version = first("processing:version", "s2:processing_baseline")
    in_name = re.search(r"_N(\d{4})_", product)
    if version is None and in_name is None:
        raise fail("no processing baseline", "processing:version or s2:processing_baseline")
    sensed = parse_time(str(when))
    datatake = str(first("eopf:datatake_id", "s2:datatake_id") or "")
    datastrip = str(first("eopf:datastrip_id", "s2:datastrip_id") or "")
    # The identifiers end with the baseline, and a datastrip's also holds the time of processing: only what is the same in every
    # reprocessing identifies the acquisition.
    strip_start = re.search(r"_S(\d{8}T\d{6})", datastrip)
    if properties.get("eo:cloud_cover") is None:
        raise fail("no eo:cloud_cover", "the share of cloud in per cent, by which scenes are chosen")
    nodata = first("s2:nodata_pixel_percentage")
    if nodata is None:
        nodata = (properties.get("statistics") or {}).get("nodata")
    if nodata is None and first("data_coverage", "sentinel:data_coverage") is not None:
        nodata = 100 - float(first("data_coverage", "sentinel:data_coverage"))
    product_asset = item["assets"].get("Product")
    whole = product_asset.get("file:size") if isinstance(product_asset, Mapping) else None
    assets = _parse_assets(item, base)
    if SCL not in assets:
        raise fail("no scene classification SCL at 20 m", "one among the assets, since clouds are masked by it")
    return Scene(
        id=name,
        tile=tile,
        sensed_utc=sensed,
        platform=str(properties.get("platform", "")).lower(),
        datatake=re.sub(r"_N\d\d\.\d\d$", "", datatake) or sensed,
        datastrip=strip_start[1] if strip_start else "",
        baseline=parse_baseline(str(version) if version is not None else in_name[1]),
        cloud_pct=float(properties["eo:cloud_cover"]),
        nodata_pct=None if nodata is None else float(nodata),
        footprint=_parse_footprint(item.get("geometry") or {}),
        assets=assets,
        offset_applied=first("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"),
        product_size=int(whole) if whole else None,
        metadata=_parse_metadata_asset(item, base),
    )


def _parse_footprint(geometry: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return the outer ring of a polygon, the largest where there are several."""
    rings = geometry.get("coordinates") or ()
    if geometry.get("type") == "MultiPolygon":
        ring = max((polygon[0] for polygon in rings), key=_ring_area, default=())
    else:
        ring = rings[0] if rings else ()
    return tuple((float(point[0]), float(point[1])) for point in ring)


def _ring_area(ring: Sequence[Sequence[float]]) -> float:
    """Return the area of a ring in square degrees; good enough to tell the larger of two."""
    pairs = zip(ring, (*ring[1:], ring[0]), strict=True)
    return abs(math.fsum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def _parse_metadata_asset(item: Mapping[str, Any], base: str) -> Asset | None:
    for key in ("product_metadata", "product-metadata", "metadata"):
        asset = item["assets"].get(key)
        if asset and str(asset.get("href", "")).split("?", 1)[0].endswith(("MTD_MSIL2A.xml", "product_metadata.xml")):
            size = asset.get("file:size")
            return Asset(_absolute(str(asset["href"]), base), int(size) if size else None, asset.get("file:checksum"))
    return None


def _parse_tile(properties: Mapping[str, Any], product: str) -> str | None:
    if properties.get("grid:code"):
        return str(properties["grid:code"]).removeprefix("MGRS-").zfill(5)
    if properties.get("s2:mgrs_tile"):
        return str(properties["s2:mgrs_tile"]).zfill(5)
    match = re.search(r"_T(\d{2}[C-X][A-Z]{2})(?:_|\.|$)", product)
    return match[1] if match else None


def parse_time(text: str) -> str:
    """Bring a time to UTC and to the second.

    >>> parse_time("2022-02-17T18:34:31.024000Z")
    '2022-02-17T18:34:31Z'
    """
    when = datetime.fromisoformat(text)
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_assets(item: Mapping[str, Any], base: str) -> dict[str, Asset]:
    """Find each band's object: at 20 m where offered, else at 10 m; GeoTIFF before JPEG 2000 of the same band."""
    best: dict[str, tuple[tuple[int, int], Asset]] = {}
    for key, asset in item["assets"].items():
        href = asset.get("href") if isinstance(asset, Mapping) else None
        band = _parse_band(key, asset)
        if band is None or not href:
            continue
        res_m = _parse_resolution(key, asset)
        if res_m > RES_M:
            continue
        rank = (0 if res_m == RES_M else 1, 1 if key.endswith("-jp2") else 0)
        size = asset.get("file:size")
        found = Asset(_absolute(str(href), base), int(size) if size else None, asset.get("file:checksum"), res_m)
        if band not in best or rank < best[band][0]:
            best[band] = rank, found
    return {band: asset for band, (_, asset) in best.items()}


def _parse_band(key: str, asset: Mapping[str, Any]) -> str | None:
    bare = re.sub(r"(_\d+m|-jp2)$", "", key)
    if bare.upper() in (*BANDS, SCL):
        return bare.upper()
    if bare in _COMMON_NAMES:
        return _COMMON_NAMES[bare]
    if "overview" in (asset.get("roles") or ()) or "visual" in key:
        return None
    described = asset.get("bands") or asset.get("eo:bands") or ()
    if len(described) == 1 and isinstance(described[0], Mapping):
        name = str(described[0].get("name", "")).upper()
        common = described[0].get("eo:common_name") or described[0].get("common_name")
        return name if name in BANDS else _COMMON_NAMES.get(str(common))
    return None


def _parse_resolution(key: str, asset: Mapping[str, Any]) -> float:
    transform = asset.get("proj:transform")
    if transform:
        return abs(float(transform[0]))
    named = re.search(r"_(\d+)m$", key)
    return float(named[1]) if named else float(asset.get("gsd") or RES_M)


def _absolute(href: str, base: str) -> str:
    if not base or re.match(r"^[a-z][a-z0-9+.-]*://", href) or href.startswith("/"):
        return href
    return base.rstrip("/") + "/" + href.removeprefix("./")


def resolve_newest(scenes: Iterable[Scene]) -> list[Scene]:
    """Keep one scene per acquisition (tile, datatake, datastrip): the newest baseline, among equals the last id.

    Two halves of a split tile share tile and time but not the datastrip, so both stay. The trial baseline 99.99 is the oldest of all.
    """
    best: dict[tuple[str, str, str], Scene] = {}
    for scene in scenes:
        key = scene.tile, scene.datatake, scene.datastrip
        other = best.get(key)
        if other is None or age(scene.baseline, scene.id) > age(other.baseline, other.id):
            best[key] = scene
    return sorted(best.values(), key=lambda s: (s.tile, s.sensed_utc, s.id))


def age(baseline: tuple[int, int], name: str) -> tuple[tuple[int, int], str]:
    """Return what is larger the newer the processing of one acquisition is."""
    return ((0, 0) if baseline == (99, 99) else baseline), name


@dataclass(frozen=True)
class Window:
    """A part of every year, from month-day to month-day, both included; it may pass the turn of the year."""

    start: tuple[int, int] = (4, 15)
    end: tuple[int, int] = (10, 15)

    def days(self, year: int) -> tuple[date, date]:
        """Return first and last day in a year; a window past the turn of the year ends in the next one."""
        last = date(year + (self.end < self.start), *self.end)
        return date(year, *self.start), last

    def holds(self, day: date, year: int) -> bool:
        """Tell whether a day lies in the window of `year`."""
        first, last = self.days(year)
        return first <= day <= last


def parse_window(text: str) -> Window:
    """Parse mm-dd/mm-dd.

    >>> parse_window("05-01/06-01").days(2018)[1].isoformat()
    '2018-06-01'
    """
    match = re.fullmatch(r"(\d\d)-(\d\d)/(\d\d)-(\d\d)", text.strip())
    try:
        if not match:
            raise ValueError
        numbers = [int(group) for group in match.groups()]
        # 2001 has no 29 February, so every accepted day exists in every year.
        date(2001, *numbers[:2]), date(2001, *numbers[2:])
    except ValueError as err:
        raise InputError(
            _("Option <window>"),
            found=f"'{text}'",
            expected=_("mm-dd/mm-dd, days of every year"),
            then=_("Write e.g. 04-15/10-15."),
        ) from err
    return Window((numbers[0], numbers[1]), (numbers[2], numbers[3]))


def covers(ring: Sequence[tuple[float, float]], points: np.ndarray) -> np.ndarray:
    """Tell which points lie in a ring (even-odd rule).

    points : array (point, 2), float64, x and y
    Returns: array (point), bool
    """
    inside = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in itertools.pairwise((*ring, *ring[:1])):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def resolve_best(scenes: Sequence[Scene], covered: np.ndarray, count: int, bins: int = 3) -> list[Scene]:
    """Choose at most `count` scenes of one tile and period: clear, together covering the ground, spread over the season.

    covered : array (scene, point), bool: which of a set of points spread evenly over the tile's part of the area a scene covers
    bins : int, equal parts of the period's observed span over which scenes are spread

    Scenes are taken one by one. A scene's worth is its clear share, times the mean over the points it covers of 1 / (1 + n),
    n = clear observations expected there so far, times 1 / (1 + scenes already taken in its part of the season). So a second orbit that
    covers what the first leaves out comes before a third look at the same half. Equal worth is settled by the id.
    """
    # By id from behind, so that the first of equal worth is the last id.
    order = sorted((i for i in range(len(scenes)) if covered[i].any()), key=lambda i: scenes[i].id, reverse=True)
    if not order:
        return []
    usable = [scenes[i] for i in order]
    seen_by = covered[order].astype(np.float64)
    days = np.array([s.day.toordinal() for s in usable])
    part = (days - days.min()) * bins // (days.max() - days.min() + 1)
    clear = np.array([1 - s.cloud_pct / 100 for s in usable])
    observed = np.zeros(seen_by.shape[1])
    per_bin = np.zeros(bins, int)
    left = np.ones(len(usable), bool)
    chosen: list[Scene] = []
    while left.any() and len(chosen) < count:
        gain = seen_by @ (1 / (1 + observed)) / len(observed)
        worth = np.round(clear * gain / (1 + per_bin[part]), 12)
        best = int(np.argmax(np.where(left, worth, -1.0)))
        left[best] = False
        chosen.append(usable[best])
        per_bin[part[best]] += 1
        observed += seen_by[best] * clear[best]
    return sorted(chosen, key=lambda s: (s.sensed_utc, s.id))


def resolve_largest(scenes: Sequence[Scene], bands: Sequence[str], count: int) -> list[Scene]:
    """Choose the `count` scenes with the most bytes in the given bands: the prototype's way, kept under its name.

    Bytes follow cloud texture as well as area (610 MB at 60 % of a tile, 1063 MB at 100 %), so this is not the default.
    """
    size = {s.id: sum(s.assets[b].size or 0 for b in bands if b in s.assets) for s in scenes}
    return sorted(scenes, key=lambda s: (-size[s.id], s.id))[:count]
