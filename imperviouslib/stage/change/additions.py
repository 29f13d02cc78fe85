"""What a run adds to its own figures: indicators, and the rows of an earlier table with the revisions of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imperviouslib.core import indicators, revisions
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.indicators import Kind, Numbers
from imperviouslib.core.rows import Rows
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.table import sort_rows
from imperviouslib.core.tableschema import INDICATORS, REGIONS, REVISIONS, VALUES
from imperviouslib.edge import grass, tablefile
from imperviouslib.edge.files import read_text, sha256_file
from imperviouslib.edge.tablefile import TableFolder


@dataclass(frozen=True)
class Additions:
    """The files that a run was given beside its maps; None where an option was not set."""

    numbers: tuple[Numbers, ...] = ()
    sources: Mapping[Kind, dict[str, Any]] = field(default_factory=dict)
    """Name, digest and count of numbers of each file of numbers."""
    previous: TableFolder | None = None

    def add_to(self, table: dict[str, Rows]) -> dict[str, Rows]:
        """Return a table with indicators, with the rows of the earlier table, and with revisions."""
        if self.numbers:
            for numbers in self.numbers:
                _check_numbers(numbers, table)
            rows = indicators.indicator_rows(table[VALUES], self.numbers)
            table = {**table, INDICATORS: sort_rows(rows, INDICATORS)}
        if self.previous:
            joined = revisions.with_earlier(self.previous.table, table)
            grass.message(revisions.summarise(self.previous.table, table, joined[REVISIONS]))
            return joined
        return table

    def add_outlines(self, collection: dict[str, Any]) -> dict[str, Any]:
        """Return outlines with those of regions that only the earlier table has."""
        if not self.previous:
            return collection
        known = {feature["properties"]["geo"] for feature in collection["features"]}
        earlier = self.previous.outlines["features"]
        kept = [feature for feature in earlier if feature["properties"]["geo"] not in known]
        return {**collection, "features": [*collection["features"], *kept]}

    def describe(self) -> dict[str, Any]:
        """Return what the data package says of the additions; of an earlier table all that was said of it."""
        found: dict[str, Any] = {kind.option: source for kind, source in self.sources.items()}
        if self.previous:
            package = {**self.previous.package}
            older = package.pop("earlier", [])
            package.pop("resources")
            vintage = revisions.newest_vintage(self.previous.table)
            record = {"vintage": vintage, "datapackage_sha256": self.previous.digest, "datapackage": package}
            found["earlier"] = [record, *older]
        return found


def read_additions(settings: ChangeSettings, cell_area_m2: int) -> Additions:
    """Read and check the files that a run was given beside its maps, before any work is done."""
    previous = None
    numbers, sources = [], {}
    for kind, path in settings.numbers.items():
        if not path.is_file():
            raise InputError(
                _("Option <{}>: file '{}' does not exist").format(kind.option, path), then=_("Check the name.")
            )
        numbers.append(indicators.parse_numbers(read_text(path, kind.option.capitalize()), path.name, kind))
        sources[kind] = {"file": path.name, "sha256": sha256_file(path), "numbers": len(numbers[-1].values)}
    if settings.previous:
        previous = tablefile.read_folder(settings.previous, cell_area_m2)
        vintage = revisions.newest_vintage(previous.table)
        if vintage >= settings.vintage.isoformat():
            raise revisions.not_earlier(vintage, settings.vintage.isoformat())
    return Additions(tuple(numbers), sources, previous)


def _check_numbers(numbers: Numbers, table: Mapping[str, Rows]) -> None:
    """Raise InputError where no region and year of the table has a number; say how many regions of the file the table lacks."""
    geos = set(table[REGIONS]["geo"].distinct())
    years = table[VALUES]["TIME_PERIOD"].distinct()
    # Floor space is needed for the years between those of the table too.
    between = range(min(years, default=0), max(years, default=0) + 1)
    if not any(geo in geos and year in between for geo, year in numbers.values):
        raise InputError(
            _("Option <{}>").format(numbers.kind.option),
            found=_("no line of a region and a year of the table"),
            expected=_("codes such as {} and years such as {}").format(min(geos), min(years)),
            then=_("Check codes and years of the file."),
        )
    unknown = numbers.geos - geos
    if unknown:
        text = _("{} of {} regions of <{}> are not among those of the table and are left out.")
        grass.message(text.format(len(unknown), len(numbers.geos), numbers.kind.option))
