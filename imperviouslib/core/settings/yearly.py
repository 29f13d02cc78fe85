"""Settings of r.s2.yearly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imperviouslib.core import mapnames
from imperviouslib.core.bands import SCL
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import (
    FORMATS,
    Flags,
    Options,
    check_choice,
    parse_integer,
    parse_nprocs,
    parse_scheduler,
    parse_years,
    split_words,
)
from imperviouslib.core.periods import PeriodKind, parse_periods
from imperviouslib.core.recipe import Recipe
from imperviouslib.core.tiles import parse_tiles


@dataclass(frozen=True)
class YearlySettings:
    """Which composites to make of which archive; or, with `check_only`, which archive to check."""

    archive: Path
    """Folder of the archive, as the user named it."""
    output: str = ""
    """Prefix of the maps, and name of their space-time dataset; not needed for a check."""
    years: tuple[int, ...] = ()
    """Ascending; empty = all years of the archive."""
    periods: tuple[PeriodKind, ...] = (PeriodKind("year"),)
    """What to divide each year into."""
    recipe: Recipe = field(default_factory=Recipe)
    """How to make a composite of its scenes."""
    report: Path | None = None
    """JSON file for the report; None = no report."""
    tilemap: str | None = None
    """Vector map to draw the tiles in; None = no map."""
    nprocs: int = 1
    """Processes that compute blocks."""
    format: str = "plain"
    """Format of what is printed: plain or json."""
    check_only: bool = False
    """Check the archive and make nothing."""
    link: bool = False
    """Link the maps to GeoTIFFs in the mapset instead of importing them."""
    scheduler: str = ""
    """Address of the Dask scheduler whose workers do the work; empty = this machine."""

    def __post_init__(self) -> None:
        if not self.check_only:
            mapnames.check_prefix(self.output, "output")
        if self.tilemap:
            mapnames.check_vector_name(self.tilemap, "tilemap")
        check_choice("format", self.format, FORMATS)
        recipe = self.recipe
        if not recipe.variables or SCL in recipe.variables:
            raise InputError(
                _("Option <bands>"),
                found=f"'{','.join(recipe.variables)}'",
                expected=_("bands with reflectance such as B12,B11,B04"),
                then=_("Correct the list."),
            )
        if recipe.how.joins_scenes and recipe.quality:
            raise InputError(
                _("Flag -q cannot be used with method={}, which does not choose among several scenes").format(
                    recipe.method
                ),
                then=_("Leave out -q, or choose another method."),
            )
        if recipe.how.joins_scenes and (index := next((v.name for v in recipe.observed if not v.is_band), None)):
            raise InputError(
                _("Option <method>: {} joins whole bands and cannot compute the index {}").format(recipe.method, index),
                then=_("Leave out the index, or choose another method."),
            )

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> YearlySettings:
        """Parse what g.parser gives; raise InputError if an option is invalid or options contradict each other."""
        return cls(
            archive=Path(options["input"]),
            output=options["output"],
            years=parse_years(options["years"]) if options["years"] else (),
            periods=parse_periods(options["period"]),
            recipe=Recipe(
                method=options["method"],
                mask=options["mask"],
                dilate=parse_integer(options["dilate"], "dilate"),
                tiles=parse_tiles(options["tiles"]),
                variables=split_words(options["bands"].upper()),
                statistics=split_words(options["statistics"]),
                quality=flags["q"],
            ),
            report=Path(options["report"]) if options["report"] else None,
            tilemap=options["tilemap"] or None,
            nprocs=parse_nprocs(options["nprocs"]),
            scheduler=parse_scheduler(options["scheduler"]),
            format=options["format"],
            check_only=flags["c"],
            link=flags["l"],
        )
