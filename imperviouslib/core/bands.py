"""The bands of Sentinel-2 that the suite can use. To add one, add a row to `TABLE`; no other file of the library lists bands."""

from __future__ import annotations

from dataclasses import dataclass

from imperviouslib.core.grid import RES_M

SCL = "SCL"
"""The scene classification of Level-2A: classes, not reflectance. It comes with every fetch, because clouds are masked by it."""


@dataclass(frozen=True)
class Band:
    """One band of the instrument MSI."""

    name: str
    """Name in ESA's products, e.g. B12."""
    common_name: str
    """Name in STAC (`eo:common_name`); Earth Search uses it as the asset's key."""
    finest_m: int
    """Size in metres of the finest pixels in which it is delivered; used if a catalogue does not give the size."""


TABLE = (
    Band("B02", "blue", 10),
    Band("B03", "green", 10),
    Band("B04", "red", 10),
    Band("B05", "rededge1", 20),
    Band("B06", "rededge2", 20),
    Band("B07", "rededge3", 20),
    Band("B08", "nir", 10),
    Band("B8A", "nir08", 20),
    Band("B11", "swir16", 20),
    Band("B12", "swir22", 20),
    Band(SCL, "scl", RES_M),
)
BANDS = tuple(band.name for band in TABLE if band.name != SCL)
"""Bands with reflectance."""
DEFAULT_BANDS = ("B12", "B11", "B04")
"""Bands that the tools use where none are chosen, in the order of the net's input."""
_BY_NAME = {band.name: band for band in TABLE}
_BY_COMMON_NAME = {band.common_name: band for band in TABLE}


def parse_band(name: str) -> Band | None:
    """Find a band by its own name, in capitals or not, or by its common name; None where it is not in `TABLE`.

    >>> parse_band("b8a").name, parse_band("nir08").name, parse_band("SCL").name, parse_band("B10")
    ('B8A', 'B8A', 'SCL', None)
    """
    return _BY_NAME.get(name.upper()) or _BY_COMMON_NAME.get(name)


def semantic_label(name: str) -> str:
    """Return the semantic label of a band's maps in GRASS: S2_ and the band's number. The band may be one that is not in `TABLE`.

    >>> semantic_label("B04"), semantic_label("B8A"), semantic_label("SCL")
    ('S2_4', 'S2_8A', 'S2_SCL')
    """
    return "S2_" + name.removeprefix("B").lstrip("0")
