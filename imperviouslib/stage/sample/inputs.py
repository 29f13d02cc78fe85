"""What the sample is drawn from: maps of scores, areas, and composites to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.provenance import CompositeProvenance
from imperviouslib.core.sample import Scores
from imperviouslib.core.settings.sample import SampleSettings
from imperviouslib.edge import grass, zones
from imperviouslib.stage.sample.maps import TITLES

_TOLERANCE = 1e-5
"""By how much a probability may lie outside 0-1: floating-point error of sums."""


@dataclass(frozen=True)
class Source:
    """The maps of scores."""

    years: tuple[int, ...]
    """Years to be read."""
    gain: str
    loss: str
    sealed: tuple[str, ...]
    """One map, or one a year, whose mean is taken."""

    @property
    def described(self) -> dict[str, Any]:
        """What is known of the maps, for the design."""
        return {
            key: _described(name)
            for key, name in (("gain", self.gain), ("loss", self.loss), ("sealed", self.sealed[0]))
        }


def _described(name: str) -> dict[str, Any]:
    known = grass.read_provenance(name)
    return {"map": name, **(known.to_json() if known else {})}


def resolve_source(settings: SampleSettings) -> Source:
    """Find the maps of scores; raise InputError or GridError where one is missing or off the grid."""
    if settings.input:
        source = _find_predicted(settings.input, settings.years)
    else:
        full = (
            grass.find_map(name, option=key)
            for key, name in zip(("gain", "loss", "sealed"), settings.scores, strict=True)
        )
        gain, loss, sealed = full
        source = Source(settings.years, gain, loss, (sealed,))
    for name in (source.gain, source.loss, *source.sealed):
        grass.map_grid(name)
    return source


def _find_predicted(prefix: str, years: tuple[int, ...]) -> Source:
    listed = grass.search_rasters(mapnames.pattern(prefix, layer=mapnames.SEALED))
    found = mapnames.parse_period_maps(listed, prefix, layer=mapnames.SEALED)
    there = tuple(sorted(int(one.period) for one in found if one.period.isdigit()))
    if len(there) < 2:
        raise InputError(
            _("Option <input>: there are no maps <{}_YEAR_{}> of two years or more").format(prefix, mapnames.SEALED),
            then=_("Run r.unet.predict with all years and a model that has a series model."),
        )
    strange = [year for year in years if year not in there]
    if strange or (years and (years[0], years[-1]) != (there[0], there[-1])):
        raise InputError(
            _("Option <years>"),
            found=",".join(map(str, years)),
            expected=_("years from {} to {}, both of them included").format(there[0], there[-1]),
            then=_("Correct it, or predict those years alone under another prefix."),
        )
    span = there[0], there[-1]
    change = [
        grass.find_map(mapnames.change_map(prefix, span, kind)) for kind in (mapnames.SEALING, mapnames.UNSEALING)
    ]
    sealed = tuple(grass.find_map(PeriodMap(prefix, str(year), mapnames.SEALED).name) for year in there)
    return Source(years or there, change[0], change[1], sealed)


def read_scores(source: Source, grid: Grid) -> Scores:
    """Read the scores; raise InputError where probabilities lie outside 0-1."""
    gain, loss = (_read(name, grid) for name in (source.gain, source.loss))
    sealed = np.zeros(grid.shape, np.float32)
    for number, name in enumerate(source.sealed):
        part = _read(name, grid)
        if ((part < -_TOLERANCE) | (part > 1 + _TOLERANCE)).any():
            raise InputError(
                _("Map <{}>").format(name),
                found=_("values from {:g} to {:g}").format(np.nanmin(part), np.nanmax(part)),
                expected=_("probabilities or shares 0-1"),
                then=_("Divide per cents by 100 with r.mapcalc."),
            )
        sealed += part
        grass.percent(number + 1, len(source.sealed))
    return Scores(gain, loss, sealed / len(source.sealed))


def _read(name: str, grid: Grid) -> np.ndarray:
    """Read a map as array (row, col), float32, NaN = NULL."""
    return next(iter(grass.read_strips([], [name], grid, grid.height)))[1][0]


def find_areas(settings: SampleSettings, grid: Grid) -> dict[str, np.ndarray]:
    """Return the areas that get a sample of their own: code to array (row, col), bool; one without a code is all land."""
    if not settings.zones:
        return {"": np.ones(grid.shape, bool)}
    source = zones.read_zones(settings.zones, settings.column)
    chosen = [zone for zone in source.zones if zone.level == settings.level]
    if not chosen:
        raise InputError(
            _("Option <level>"),
            found=str(settings.level),
            expected=_("one of {}").format(", ".join(map(str, sorted({zone.level for zone in source.zones})))),
            then=_("Choose one of these."),
        )
    raster = grass.temporary_name(f"{mapnames.TEMPORARY}zones")
    try:
        zones.rasterise(source, settings.level, raster, grid)
        cats = grass.read_cells(raster, grid)
    finally:
        grass.remove([raster])
    areas = {zone.geo: cats == zone.cat for zone in chosen}
    return {geo: area for geo, area in areas.items() if area.any()}


@dataclass(frozen=True)
class StockPoints:
    """Points of a user that are the stock points."""

    cells: np.ndarray
    """Flat indices of their cells in the region, ascending, each once."""
    states: Mapping[int, tuple[int | None, ...]]
    """Flat index to 1 sealed, 0 not sealed, None not known, a value a year; empty where the map has no such columns."""


def read_stock_points(settings: SampleSettings, years: tuple[int, ...], grid: Grid) -> StockPoints | None:
    """Read the points that the user names; None without. Of several points in a cell the first counts."""
    if not settings.stock_points:
        return None
    name = grass.find_map(settings.stock_points, option="stock_points", element="vector")
    foreign = sorted(set(settings.stock_columns) - set(years))
    if foreign:
        raise InputError(
            _("Option <stock_columns>"),
            found=_("year {}").format(foreign[0]),
            expected=_("years of the sample, {}").format(", ".join(map(str, years))),
            then=_("Leave the others out."),
        )
    columns = [settings.stock_columns[year] for year in years if year in settings.stock_columns]
    states: dict[int, tuple[int | None, ...]] = {}
    for x, y, *words in grass.read_points(name, columns):
        row, col = int((grid.north - y) // grid.res_m), int((x - grid.west) // grid.res_m)
        if 0 <= row < grid.height and 0 <= col < grid.width:
            told = dict(zip(columns, (_state(word, name) for word in words), strict=True))
            seen = tuple(told.get(settings.stock_columns.get(year, "")) for year in years)
            states.setdefault(row * grid.width + col, seen)
    if not states:
        raise InputError(
            _("Vector map <{}> has no point in the current region").format(name),
            then=_("Check option <stock_points> and the region."),
        )
    return StockPoints(np.array(sorted(states)), states if columns else {})


def _state(word: str, name: str) -> int | None:
    if word.strip() in ("", "*"):
        return None
    if word.strip() not in ("0", "1"):
        raise InputError(
            _("Vector map <{}>").format(name),
            found=_("'{}' in a column of <stock_columns>").format(word),
            expected=_("1 sealed, 0 not sealed, or nothing"),
            then=_("Make such a column with v.db.update."),
        )
    return int(word)


def find_rasters(settings: SampleSettings, source: Source) -> Mapping[str, tuple[str, ...]]:
    """Return the maps to show beside the composites: name of the picture to a map a year.

    Raises InputError for scores, strata, and maps that the suite predicts: an interpreter who sees them is led by them.
    """
    scores = {grass.find_map(name) for name in (source.gain, source.loss, *source.sealed)}
    found = {}
    for title, pattern in settings.rasters.items():
        names = [grass.find_map(pattern.replace("{year}", str(year)), option="rasters") for year in source.years]
        for name in sorted(set(names)):
            predicted = not isinstance(grass.read_provenance(name), CompositeProvenance | None)
            if name in scores or predicted or grass.read_title(name) in TITLES.values():
                raise InputError(
                    _("Option <rasters>: map <{}> shows what the maps say, which interpreters must not see").format(
                        name
                    ),
                    then=_("Leave it out."),
                )
        found[title] = tuple(names)
    return found


def find_composites(settings: SampleSettings, years: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Return the maps to show as red, green and blue, for each year."""
    return [
        tuple(
            grass.find_map(PeriodMap(settings.composites, str(year), feature).name, option="composites")
            for feature in settings.features
        )
        for year in years
    ]
