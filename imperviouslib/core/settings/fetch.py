"""The settings of r.s2.fetch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imperviouslib.core import choice, mapnames, resample
from imperviouslib.core.bands import BANDS, DEFAULT_BANDS
from imperviouslib.core.choice import SceneFilter
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import (
    FORMATS,
    Flags,
    Options,
    check_choice,
    parse_integer,
    parse_nprocs,
    parse_number,
    parse_scheduler,
    parse_tile_list,
    parse_years,
)
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.core.window import Window, parse_window

LonLatBox = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


@dataclass(frozen=True)
class FetchSettings:
    """What to fetch, from where, and how."""

    archive: Path
    """Folder of the archive, as the user named it."""
    years: tuple[int, ...]
    """Ascending."""
    stac: str = "cdse"
    """Name of a known catalogue, address of a STAC API, or path of a file with items."""
    collection: str | None = None
    """Collection of the catalogue; None = the catalogue's own of Sentinel-2 L2A."""
    area: str | None = None
    """Vector map over whose areas scenes are fetched."""
    bbox: LonLatBox | None = None
    """Box over which scenes are fetched. Neither area nor bbox = the current region."""
    window: Window = field(default_factory=lambda: Window((4, 15), (10, 15)))
    """Part of each year, both days included."""
    bands: tuple[str, ...] = DEFAULT_BANDS
    """Bands with reflectance; SCL is always fetched as well."""
    tiles: tuple[str, ...] = ()
    """MGRS tiles without T, sorted; empty = all."""
    max_cloud_pct: float = 60.0
    """Maximum cloud cover of a scene, in per cent of its valid pixels, 0-100."""
    max_scenes: int = 6
    """Maximum number of scenes per tile and year."""
    choice: str = "clear"
    """How to choose among scenes: clear (the most clear ground) or bytes (the largest files)."""
    resampling: str = "cubic"
    """Resampling of the bands: nearest, bilinear or cubic."""
    prefix: str = "scenes"
    """Prefix of the maps, and name of their space-time dataset."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Attempts and waits per object."""
    nprocs: int = 1
    """Processors to use."""
    scheduler: str = ""
    """Address of the Dask scheduler whose workers do the work; empty = this machine."""
    format: str = "plain"
    """Format of what is printed: plain or json."""
    list_only: bool = False
    """List what would be fetched, and fetch nothing."""
    no_maps: bool = False
    """Fill the archive only; leave the mapset as it is."""
    import_maps: bool = False
    """Copy the scenes into the mapset instead of linking their files."""
    keep_going: bool = False
    """End with status 0 even if some files could not be fetched."""

    def __post_init__(self) -> None:
        if self.area and self.bbox:
            raise InputError(_("Options <area> and <bbox> exclude each other"), then=_("Give only one of them."))
        exclusive = {"-l": self.list_only, "-n": self.no_maps, "-i": self.import_maps}
        given = [flag for flag, value in exclusive.items() if value]
        if len(given) > 1:
            raise InputError(_("Flags {} exclude each other").format(" ".join(given)), then=_("Give only one of them."))
        check_choice("choice", self.choice, choice.METHODS)
        check_choice("resampling", self.resampling, resample.METHODS)
        check_choice("format", self.format, FORMATS)
        _check_bands(self.bands)
        if not self.no_maps:
            mapnames.check_prefix(self.prefix, "prefix")

    @property
    def scene_filter(self) -> SceneFilter:
        """Conditions that a scene must meet."""
        return SceneFilter(self.years, self.window, self.bands, self.max_cloud_pct, self.tiles)

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> FetchSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid."""
        return cls(
            archive=Path(options["output"]),
            years=parse_years(options["years"]),
            stac=options["stac"],
            collection=options["collection"] or None,
            area=options["area"] or None,
            bbox=_parse_bbox(options["bbox"]) if options["bbox"] else None,
            window=parse_window(options["window"]),
            bands=_parse_bands(options["bands"]),
            tiles=tuple(sorted(parse_tile_list(options["tiles"]))),
            max_cloud_pct=parse_number(options["clouds"], "clouds"),
            max_scenes=parse_integer(options["scenes"], "scenes"),
            choice=options["choice"],
            resampling=options["resampling"],
            prefix=options["prefix"],
            retry=RetryPolicy(
                tries=parse_integer(options["tries"], "tries"), timeout_s=parse_number(options["timeout"], "timeout")
            ),
            nprocs=parse_nprocs(options["nprocs"]),
            scheduler=parse_scheduler(options["scheduler"]),
            format=options["format"],
            list_only=flags["l"],
            no_maps=flags["n"],
            import_maps=flags["i"],
            keep_going=flags["k"],
        )


def _parse_bands(text: str) -> tuple[str, ...]:
    """Return the bands in capitals; repeated bands are kept, so that `_check_bands` finds them."""
    return tuple(word.strip().upper() for word in text.split(",") if word.strip())


def _check_bands(bands: tuple[str, ...]) -> None:
    unknown = [band for band in bands if band not in BANDS]
    if unknown or len(set(bands)) != len(bands) or not bands:
        raise InputError(
            _("Option <bands>"),
            found=f"'{','.join(bands)}'",
            expected=_("one or more of {}, each once").format(", ".join(BANDS)),
            then=_("Correct the list. SCL is always fetched as well."),
        )


def _parse_bbox(text: str) -> LonLatBox:
    try:
        west, south, east, north = (float(word) for word in text.split(","))
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError
    except ValueError as err:
        raise InputError(
            _("Option <bbox>"),
            found=f"'{text}'",
            expected=_("west,south,east,north in degrees"),
            then=_("Write for example 4.2,50.7,4.6,51.0."),
        ) from err
    return west, south, east, north
