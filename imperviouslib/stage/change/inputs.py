"""The yearly maps: found, checked, and brought to classes 1-4 or to shares 0-1."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core import change, mapkinds, mapnames
from imperviouslib.core.design import Design, parse_design
from imperviouslib.core.errors import GridError, InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.interpreters import settle
from imperviouslib.core.legend import CLASSES, Legend
from imperviouslib.core.mapkinds import SHARES, HistoryMaps, MapKind, OutputMap, resolve_histories
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.methods import methods_for
from imperviouslib.core.provenance import PredictionProvenance, SeriesProvenance
from imperviouslib.core.readings import Reading, parse_readings
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.survey import Survey, check_population
from imperviouslib.edge import grass, zones
from imperviouslib.edge.files import read_text
from imperviouslib.edge.legendfile import read_legend
from imperviouslib.stage.change.maps import Scratch


@dataclass(frozen=True)
class Series:
    """The yearly maps of a run."""

    kind: MapKind
    years: tuple[int, ...]
    """Ascending."""
    maps: tuple[str, ...]
    """Maps to compute with, one a year: classes 1-4, or shares 0-1."""
    sources: tuple[str, ...]
    """Full names of the maps that the user named, one a year."""
    histories: HistoryMaps | None = None
    """The maps of histories, where there are some and a method needs them."""
    share_scale: int | None = None
    """Value of a full share in `sources`; None for maps of classes."""

    def sources_of(self, one: OutputMap) -> dict[str, str]:
        """Return the maps that an output is made from: year, or pair of years as 2017-2018, to full name."""
        if not one.layer.source:
            source = dict(zip(self.years, self.sources, strict=True))
            return {str(year): source[year] for year in one.made_from}
        return self._between[one.layer.source]

    @functools.cached_property
    def _between(self) -> dict[str, dict[str, str]]:
        """For each kind of maps between years: pair of years to full name. It is kept, because GRASS starts a process to find a map."""
        assert self.histories is not None
        return {
            kind: {f"{a}-{b}": grass.find_map(name) for (a, b), name in self.histories.between(kind).items()}
            for kind in (mapnames.SEALING, mapnames.UNSEALING)
        }


def resolve_series(settings: ChangeSettings, grid: Grid, scratch: Scratch) -> Series:
    """Find and check the yearly maps; raise InputError or GridError if they do not fit."""
    years, names = settings.years, settings.maps
    if settings.input:
        years, names = _find_predicted(settings.input, settings.years)
    option = "years" if settings.input else settings.kind.name
    sources = tuple(grass.find_map(name, option=option) for name in names)
    for name in sources:
        # Raises GridError where a map is off the grid.
        grass.map_grid(name)
    scale = None
    if settings.kind is SHARES:
        scale = _share_scale(sources, settings.share_scale, grid)
        maps = _scale_shares(sources, years, scale, grid, scratch)
    else:
        maps = sources
        if settings.legend:
            legend = read_legend(settings.legend)
            outs = [scratch.raster("class", year) for year in years]
            maps = tuple(_reclass(name, legend, grid, out) for name, out in zip(sources, outs, strict=True))
        _check_classes(maps, sources, grid)
    histories = _find_histories(settings, years) if settings.input else None
    # Without maps of histories, those of r.unet.predict are class maps as any other.
    kind = mapkinds.CLASSES if settings.input and histories is None else settings.kind
    return Series(kind, years, maps, sources, histories, scale)


def read_survey(settings: ChangeSettings, years: Sequence[int], grid: Grid) -> Survey | None:
    """Read and check the sample of a run; None without one. Raises InputError for a sample that does not fit."""
    if settings.design is None:
        return None
    for path in (settings.design, *settings.readings):
        if not path.is_file():
            raise InputError(
                _("There is no file '{}'").format(path),
                then=_("Check options <design> and <sample>."),
            )
    design = parse_design(read_text(settings.design, _("Design file")), str(settings.design))
    common = [year for year in design.years if year in years]
    if len(common) < 2:
        raise InputError(
            _("Design file '{}'").format(settings.design),
            found=_("years {}").format(", ".join(map(str, design.years))),
            expected=_("two years or more of the run, {}").format(", ".join(map(str, years))),
            then=_("Choose the years with years=, or draw a sample of these years."),
        )
    stock_map = grass.find_map(
        str(design.made_from.get("stock_map")),
        option="design",
        then=_("It was made by r.impervious.sample; restore it."),
    )
    grass.map_grid(stock_map)
    check_population(design, grass.count_codes(stock_map, grid), stock_map)
    readings = _read_readings(settings.readings, design)
    survey = Survey(design, settle(design, readings), stock_map)
    unread = len(design.units) - survey.settled.agreement.units
    if unread:
        grass.message(_("{} of {} units of the sample were not read.").format(unread, len(design.units)))
    once = survey.settled.agreement.units - survey.settled.agreement.twice
    if once:
        grass.warning(
            _("Units of the sample that were read once only: {}. The errors of such readings are not known: do not publish these figures.").format(once)
        )  # fmt: skip
    return survey


def _read_readings(paths: Sequence[Path], design: Design) -> list[Reading]:
    """Read files of readings; raise InputError where none of them has a unit that was read, because then nothing can be estimated."""
    found: list[Reading] = []
    for path in paths:
        text = read_text(path, _("File of readings"))
        readings = parse_readings(text, design.kinds, design.years, name=str(path))
        if not readings and len(paths) > 1:
            grass.warning(_("File of readings '{}' has no unit that was read.").format(path))
        found += readings
    if not found:
        raise InputError(
            _("Option <sample>: file '{}'").format(paths[0]),
            found=_("no unit that was read"),
            expected=_("readings of the {} units of the sample").format(len(design.units)),
            then=_("Give the file that was filled in, or leave out <design> and <sample>."),
        )
    return found


def _find_histories(settings: ChangeSettings, years: tuple[int, ...]) -> HistoryMaps | None:
    """Return the maps of histories; None where no method of the run needs them, or where some are missing and no method was named."""
    plain = methods_for(mapkinds.CLASSES, sample=True)
    needing = [method for method in settings.methods or methods_for(settings.kind) if method not in plain]
    # Estimates from a sample use the histories where there are some.
    wanted = needing or settings.design is not None
    if not wanted:
        return None
    try:
        histories = resolve_histories(grass.search_rasters(mapnames.pattern(settings.input)), settings.input, years)
    except InputError as err:
        if settings.methods and needing:
            raise
        if not needing:
            return None
        grass.message(_("Figures of {} are left out. {}").format(", ".join(method.code for method in needing), err))
        return None
    for name in histories.names:
        grass.map_grid(name)
    _check_same_run(histories, settings.input)
    return histories


def _check_same_run(histories: HistoryMaps, prefix: str) -> None:
    """Raise InputError where the history of cells was not computed from the yearly maps that exist now; maps without a record pass."""
    for year, name in histories.sealed.items():
        yearly = PeriodMap(prefix, str(year), mapnames.CLASS).name
        series, made = grass.read_provenance(name), grass.read_provenance(yearly)
        known = isinstance(series, SeriesProvenance) and isinstance(made, PredictionProvenance)
        if known and not series.contains(made):
            raise InputError(
                _("Map <{}> was not computed from <{}>: one of them was made again later").format(name, yearly),
                then=_("Run r.unet.predict with all years and --overwrite, so that all maps belong together."),
            )


def _find_predicted(prefix: str, years: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return years and names of the class maps of r.unet.predict; maps of months, seasons and other periods are not used."""
    if not years:
        listed = grass.search_rasters(mapnames.pattern(prefix, layer=mapnames.CLASS))
        found = mapnames.parse_period_maps(listed, prefix, layer=mapnames.CLASS)
        years = tuple(sorted({int(one.period) for one in found if one.period.isdigit()}))
        if not years:
            raise InputError(
                _("Option <input>: there is no map <{}_YEAR_class> of r.unet.predict").format(prefix),
                then=_("Check the prefix with g.list, or name maps of another system with classes=."),
            )
    return years, tuple(PeriodMap(prefix, str(year), mapnames.CLASS).name for year in years)


def _reclass(name: str, legend: Legend, grid: Grid, out: str) -> str:
    legend.check_codes(_read_codes(name, grid), name)
    grass.run("r.reclass", input=name, output=out, rules="-", stdin=legend.rules())
    return out


def _read_codes(name: str, grid: Grid) -> list[int]:
    return grass.codes(name, grid, alternative=_("Or give maps of the share of sealed land with shares=."))


def _check_classes(maps: Sequence[str], sources: Sequence[str], grid: Grid) -> None:
    seen = False
    for name, source in zip(maps, sources, strict=True):
        codes = _read_codes(name, grid)
        wrong = [code for code in codes if code not in {c.code for c in CLASSES}]
        if wrong:
            raise InputError(
                _("Map <{}>").format(source),
                found=_("code {}").format(wrong[0]),
                expected=_("classes 1 to {} and NULL").format(len(CLASSES)),
                then=_("Name a legend with legend=, and set no data with r.null."),
            )
        seen = seen or bool(codes)
    if not seen:
        raise _nothing_seen()


def _nothing_seen() -> GridError:
    return GridError(
        _("Current region: no map has a cell in it"),
        then=_("Set it with g.region raster=MAP."),
    )


def _share_scale(sources: Sequence[str], given: int | None, grid: Grid) -> int:
    """Return the value of a full share in the maps, and say it. given : what the user says of it"""
    limits = {name: zones.limits(name, grid) for name in sources}
    if not any(cells for cells, _low, _high in limits.values()):
        raise _nothing_seen()
    whole = [name for name in sources if grass.holds_integers(name)]
    found = {name: (low, high) for name, (_cells, low, high) in limits.items()}
    scale = change.resolve_share_scale(found, whole=whole, given=given)
    grass.message(_("Maps of shares: {} is a cell that is sealed as a whole.").format(scale))
    return scale


def _scale_shares(
    sources: Sequence[str], years: Sequence[int], scale: int, grid: Grid, scratch: Scratch
) -> tuple[str, ...]:
    """Write shares as fractions 0-1. scale : value of a full share"""
    outs = tuple(scratch.raster("share", year) for year in years)
    grass.mapcalc(
        {out: change.scaled_expression(out, name, scale) for out, name in zip(outs, sources, strict=True)}, grid
    )
    return outs
