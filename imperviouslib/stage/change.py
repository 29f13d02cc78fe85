"""r.impervious.change: change maps, and the table of stocks and flows per region.

The recipe: resolve the yearly maps and the regions, write the change maps with r.mapcalc, count every map by zone with r.stats, write
the sums into a copy of the zones map with v.rast.stats and hold them against the counts, turn counts into rows and check them. Only
then do maps, columns and folder appear, in place of older ones; a run that fails before leaves what was.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import change, mapnames, table
from imperviouslib.core.consistency import persistent_expressions
from imperviouslib.core.errors import GridError, InputError, TableError, _
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.legend import (
    CLASSES,
    DEFAULT_DEFINITION,
    GREEN,
    Legend,
    landcover_codes,
)
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.options import parse_years
from imperviouslib.core.outline import count_cells
from imperviouslib.core.provenance import ChangeProvenance, PredictionProvenance
from imperviouslib.core.table import MAPPED_METHODS, Flow, Row, Run, Stock, Table, Zone
from imperviouslib.edge import grass, tablefile, zones
from imperviouslib.edge.files import check_place
from imperviouslib.edge.legendfile import read_legend
from imperviouslib.edge.zones import ZonesMap

RAW, CONSISTENT = MAPPED_METHODS
SHARES_DEFINITION = "artificial"
"""What a share of sealed land is, unless the user says otherwise."""
_FINE_ENOUGH = 1_000_000
"""Scale denominator up to which outlines are fit for figures."""
_SLIVER = 0.001
"""Share of a region's cells that another region of its level may take; the outlines of GISCO overlap by slivers at some borders."""
_METHOD_NOTES = [
    "mapped_raw counts the cells seen (flows: seen in both years). Nothing is filled, smoothed or expanded.",
    "mapped_consistent counts after a persistence rule: a change holds if the next year in which the cell was seen confirms it; cells "
    "unseen in a year take their class from the other years; land never seen takes the region's shares. Blank where coverage is "
    f"below {table.COVERAGE_MIN}. Changes into the last year are not confirmed yet.",
    "Both are sums of mapped cells, which have no interval: without a reference sample none is given.",
    "COVERAGE is the share of the cells of the whole outline, lakes and sea within it included, that was really seen.",
]


@dataclass(frozen=True)
class Series:
    """The maps of the years."""

    kind: str
    """classes or shares."""
    years: tuple[int, ...]
    maps: tuple[str, ...]
    """Maps to compute with, one a year: classes 1-4, or shares 0-1."""
    sources: tuple[str, ...]
    """The maps that the user named, one a year."""


class Figures(Protocol):
    """What a region's cells add up to."""

    def stock(self, cat: int, definition: str, method: str, year: int) -> Stock:
        """Return the stock of a year."""
        ...

    def flow(self, cat: int, definition: str, method: str, pair: tuple[int, int]) -> Flow:
        """Return the flow between two years."""
        ...


class Temporary:
    """Names for maps that are gone when the run ends."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.vectors: list[str] = []

    def name(self, *stem: object) -> str:
        """Return a free name for a raster."""
        self.names.append(grass.temporary_name("_".join(["impervious", *map(str, stem)])))
        return self.names[-1]

    def vector(self, stem: str) -> str:
        """Return a free name for a vector map."""
        self.vectors.append(grass.temporary_name(f"impervious_{stem}"))
        return self.vectors[-1]

    def remove(self) -> None:
        """Remove the maps, the latest first: a reclassified map goes before the map it shows."""
        grass.remove(reversed(self.names))
        grass.remove(self.vectors, "vector")


def main(options: dict[str, str], flags: dict[str, bool]) -> int:
    """Run the tool."""
    grid = grass.region_grid()
    output = Path(options["output"]).expanduser()
    mapnames.check_prefix(options["prefix"], "prefix")
    _check_output(output)
    temporary = Temporary()
    with contextlib.ExitStack() as stack:
        stack.enter_context(grass.lock_maps(options["prefix"]))
        grass.remove_abandoned("impervious_")
        stack.callback(temporary.remove)
        series = _resolve_series(options, grid, temporary)
        definitions, methods = _resolve_definitions(options, series), _resolve_methods(options, series)
        run = Run(series.years, options["nuts_version"], _resolve_vintage(options["vintage"]), grid.cell_area_m2)
        source = zones.read_zones(options["zones"], options["column"])
        _tell_scale(source)

        prefix, pairs = options["prefix"], change.resolve_pairs(series.years)
        if not pairs:
            grass.message(f"One year only, {series.years[0]}: the table holds stocks and no change.")
        maps = _output_maps(prefix, series, pairs, methods)
        grass.check_free(maps.values(), option="prefix")
        parts = {key: temporary.name("out", *key) for key in maps}
        if not flags["n"]:
            if zones.is_own(source):
                stack.enter_context(grass.lock_vector(source.name.partition("@")[0]))
            _check_free_columns(source, prefix, series.years, pairs)

        rasters = {level: temporary.name("zones", level) for level in sorted({zone.level for zone in source.zones})}
        chosen, shapes = _measure_zones(source, rasters, grid)

        grass.message("Writing the change maps...")
        figures, columns = _WRITERS[series.kind](
            series, pairs, parts, definitions[0], methods, grid, temporary, rasters
        )
        _describe(parts, series, pairs, definitions[0])
        if not flags["n"]:
            copy = temporary.vector("zones")
            values = _sum_columns(source, copy, chosen, columns, figures, definitions[0])

        rows = _rows(chosen, figures, run, definitions, methods, pairs)
        table.check_table(rows, grid.cell_area_m2)
        package = _package(options, series, run, source, definitions, methods, grid)
        # Last and at once, when all is made and checked: the maps' names, the columns, the folder. What fails until then leaves what was.
        with (
            tablefile.writing_folder(output, rows, _collection(chosen, shapes), package),
            _appearing({part: maps[key] for key, part in parts.items()}, temporary),
        ):
            if not flags["n"]:
                _publish_columns(source, copy, prefix, columns, values)
    _report(rows, chosen, run, pairs, output, list(maps.values()), options["format"])
    return 0


def _check_output(output: Path) -> None:
    """Raise InputError where the folder may not be written: better now than after the work."""
    if output.exists() and not output.is_dir():
        raise InputError(
            _("Option <output>, '{}'").format(output),
            found=_("a file"),
            expected=_("a folder"),
            then=_("Choose another name."),
        )
    if output.exists():
        tablefile.check_replaceable(output)
        if not grass.overwrite():
            raise InputError(
                _("Folder '{}'").format(output),
                found=_("that it exists"),
                expected=_("a new name"),
                then=_("Use --overwrite to replace it."),
            )
    check_place(output, "output")


# The maps of the years


def _resolve_series(options: Mapping[str, str], grid: Grid, temporary: Temporary) -> Series:
    kind = next(key for key in ("input", "classes", "shares") if options[key])
    if options["legend"] and kind != "classes":
        raise InputError(
            _("Option <legend>"),
            found=_("it beside <{}>").format(kind),
            expected=_("it with <classes> only"),
            then=_("Leave it out: the codes are known."),
        )
    if kind == "input":
        years, sources = _find_predicted(options["input"], options["years"])
    else:
        sources = tuple(options[kind].split(","))
        years = parse_years(options["years"]) if options["years"] else ()
        if len(years) != len(sources):
            raise InputError(
                _("Option <years>"),
                found=_("{} years for {} maps").format(len(years), len(sources)),
                expected=_("one year a map, in their order"),
                then=_("List them."),
            )
    option = "years" if kind == "input" else kind
    sources = tuple(grass.find_map(name, option=option) for name in sources)
    for name in sources:
        grass.map_grid(name)
    if kind == "shares":
        return Series(kind, years, _scale_shares(sources, years, grid, temporary), sources)
    maps = sources
    if options["legend"]:
        legend = read_legend(options["legend"])
        maps = tuple(
            _reclassed(name, legend, grid, temporary.name("class", y)) for name, y in zip(sources, years, strict=True)
        )
    _check_classes(maps, sources, grid)
    return Series("classes", years, maps, sources)


def _find_predicted(prefix: str, years: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return years and class maps of r.unet.predict; periods other than years are left aside."""
    if years:
        wanted = parse_years(years)
    else:
        listed = grass.read("g.list", type="raster", pattern=mapnames.pattern(prefix, layer=mapnames.CLASS)).split()
        found = mapnames.parse_period_maps(listed, prefix, layer=mapnames.CLASS)
        wanted = tuple(sorted({int(one.period) for one in found if one.period.isdigit()}))
        if not wanted:
            raise InputError(
                _("Option <input>"),
                found=_("no map <{}_YEAR_class>").format(prefix),
                expected=_("class maps of r.unet.predict"),
                then=_("Check the prefix with g.list, or name maps of another system with classes=."),
            )
    return wanted, tuple(PeriodMap(prefix, str(year), mapnames.CLASS).name for year in wanted)


def _codes(name: str, source: str, grid: Grid) -> list[int]:
    """Return the codes of an integer map in the region."""
    if grass.read("r.info", map=name, flags="g").find("datatype=CELL") < 0:
        raise InputError(
            _("Map <{}>").format(source),
            found=_("floating-point cells"),
            expected=_("whole class codes"),
            then=_("Make whole numbers with r.mapcalc and int(), or give shares of sealed land with shares=."),
        )
    return [int(code) for code in grass.read("r.stats", grid=grid, flags="n", input=name).split()]


def _reclassed(name: str, legend: Legend, grid: Grid, out: str) -> str:
    unknown = [code for code in _codes(name, name, grid) if code not in legend.codes]
    if unknown:
        raise InputError(
            _("Map <{}>").format(name),
            found=_("code {}").format(unknown[0]),
            expected=_("codes of legend '{}'").format(legend.name),
            then=_("Add the code to a legend file, or choose another legend."),
        )
    grass.run("r.reclass", input=name, output=out, rules="-", stdin=legend.rules())
    return out


def _check_classes(maps: Sequence[str], sources: Sequence[str], grid: Grid) -> None:
    seen = False
    for name, source in zip(maps, sources, strict=True):
        codes = _codes(name, source, grid)
        wrong = [code for code in codes if code not in {c.code for c in CLASSES}]
        if wrong:
            raise InputError(
                _("Map <{}>").format(source),
                found=_("code {}").format(wrong[0]),
                expected=_("classes 1 to 4 and NULL"),
                then=_("Name a legend with legend=, and set no data with r.null."),
            )
        seen = seen or bool(codes)
    if not seen:
        raise _nothing_seen()


def _nothing_seen() -> GridError:
    return GridError(
        _("Current region"),
        found=_("no cell of any year's map"),
        expected=_("some"),
        then=_("Set it with g.region raster=MAP."),
    )


def _scale_shares(sources: Sequence[str], years: Sequence[int], grid: Grid, temporary: Temporary) -> tuple[str, ...]:
    """Write shares as fractions 0-1, whatever the maps hold."""
    limits = [zones.limits(name, grid) for name in sources]
    if not any(cells for cells, _, _ in limits):
        raise _nothing_seen()
    scale = change.resolve_share_scale(min(low for _, low, _ in limits), max(high for _, _, high in limits))
    outs = tuple(temporary.name("share", year) for year in years)
    _mapcalc({out: change.scaled_expression(out, name, scale) for out, name in zip(outs, sources, strict=True)}, grid)
    return outs


def _resolve_definitions(options: Mapping[str, str], series: Series) -> tuple[str, ...]:
    if options["definition"]:
        chosen = tuple(dict.fromkeys(options["definition"].split(",")))
    else:
        chosen = (SHARES_DEFINITION if series.kind == "shares" else DEFAULT_DEFINITION,)
    if series.kind == "shares" and len(chosen) > 1:
        raise InputError(
            _("Option <definition>"),
            found=_("two with <shares>"),
            expected=_("one: a share map knows one kind of sealed land"),
            then=_("Choose one."),
        )
    return chosen


def _resolve_methods(options: Mapping[str, str], series: Series) -> tuple[str, ...]:
    methods = tuple(method for method in MAPPED_METHODS if method in options["method"].split(","))
    if series.kind == "shares" and CONSISTENT in methods:
        grass.message(f"The persistence rule needs classes: with <shares> the table holds {RAW} only.")
        return (RAW,)
    return methods


def _resolve_vintage(text: str) -> str:
    if not text:
        return datetime.now(UTC).date().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as err:
        raise InputError(
            _("Option <vintage>"), found=f"'{text}'", expected=_("a date, YYYY-MM-DD"), then=_("Correct it.")
        ) from err


# The regions


def _tell_scale(source: ZonesMap) -> None:
    if source.scale and source.scale > _FINE_ENOUGH:
        grass.warning(
            f"Zones map <{source.name}>: outlines at 1:{source.scale:,} are for drawing. For figures take 1:1,000,000 or finer."
        )


def _tally(
    rasters: Iterable[str], maps: Sequence[str], grid: Grid, *, masked: bool = True
) -> dict[int, dict[tuple[int, ...], int]]:
    """Count by zone over all levels; a category lies in one level only."""
    return {cat: cells for raster in rasters for cat, cells in zones.count(raster, maps, grid, masked=masked).items()}


def _measure_zones(source: ZonesMap, rasters: Mapping[int, str], grid: Grid) -> tuple[list[Zone], dict[int, Any]]:
    """Write the zones' rasters, and give the zones with a cell in the region their parents and the cells of their outlines.

    Cells in the region are those of the rasters, so that coverage cannot exceed 1; those beyond it are counted from the outline.

    rasters : level to the name of its raster
    Returns: zones; category to outline
    """
    for level, raster in rasters.items():
        zones.rasterise(source, level, raster, grid)
    # What a mask hides is part of the region all the same: a cell not seen.
    inside = _tally(rasters.values(), [], grid, masked=False)
    chosen = [zone for zone in source.zones if zone.cat in inside]
    if not chosen:
        raise InputError(
            _("Zones map <{}>").format(source.name),
            found=_("no region with a cell in the current region"),
            expected=_("at least one"),
            then=_("Set the region with g.region -a vector={} res={}, or name other zones.").format(
                source.name, grid.res_m
            ),
        )
    left = len(source.zones) - len(chosen)
    if left:
        grass.message(f"{left} of {len(source.zones)} regions have no cell in the current region; left out.")
    parents = table.resolve_parents(chosen)
    overlaps = [pair for pair in zones.read_overlaps(source) if any(zone.cat in inside for zone in pair)]
    shapes = zones.outlines(source, list({*chosen, *itertools.chain(*overlaps)}), grass.temporary_folder())
    _check_disjoint(source, overlaps, shapes, inside, grid)
    measured = []
    for zone in chosen:
        beyond = count_cells(shapes[zone.cat]) - count_cells(shapes[zone.cat], grid)
        measured.append(replace(zone, parent=parents[zone.geo], cells=inside[zone.cat][()] + beyond))
    return measured, shapes


def _check_disjoint(
    source: ZonesMap,
    overlaps: Sequence[tuple[Zone, Zone]],
    shapes: Mapping[int, Any],
    inside: Mapping[int, Mapping],
    grid: Grid,
) -> None:
    """Raise InputError where one region takes more than a sliver of another one's cells: a cell is counted once a level."""
    for pair in overlaps:
        for zone in pair:
            own = count_cells(shapes[zone.cat], grid)
            lost = own - inside.get(zone.cat, {(): 0})[()]
            if lost > max(1, own * _SLIVER):
                raise InputError(
                    _("Zones map <{}>").format(source.name),
                    found=_("overlapping regions {} and {} of level {}, by {} cells of {}").format(
                        pair[0].geo, pair[1].geo, zone.level, lost, zone.geo
                    ),
                    expected=_("regions of one level that do not overlap"),
                    then=_("Correct the outlines, or tell levels apart with a column {}.").format(zones.LEVEL_COLUMN),
                )


def _collection(chosen: Sequence[Zone], shapes: Mapping[int, Any]) -> dict[str, Any]:
    """Return the outlines as GeoJSON, to the centimetre."""
    return {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{EPSG}"}},
        "features": [
            {
                "type": "Feature",
                "properties": {"geo": zone.geo, "level": zone.level, "name": zone.name},
                "geometry": {
                    "type": "MultiPolygon",
                    "coordinates": [
                        [np.round(np.asarray(ring)[:, :2], 2).tolist() for ring in rings] for rings in shapes[zone.cat]
                    ],
                },
            }
            for zone in chosen
        ],
    }


# The change maps and the counts


@contextlib.contextmanager
def _appearing(parts: Mapping[str, str], temporary: Temporary) -> Iterator[None]:
    """Give maps their final names, and take them back where the block fails; maps that carried these names get them back."""
    older = {final: temporary.name("older", final) for final in parts.values() if grass.exists(final)}
    try:
        grass.rename({**older, **parts})
        yield
    except BaseException:
        grass.remove(final for part, final in parts.items() if not grass.exists(part))
        grass.rename({kept: final for final, kept in older.items() if grass.exists(kept)})
        raise


def _output_maps(
    prefix: str, series: Series, pairs: Sequence[tuple[int, int]], methods: Sequence[str]
) -> dict[tuple[str, int, int], str]:
    """Return (kind, from, to) to the map's name; consistent maps have the same year twice."""
    kinds = ("fromto", "gain", "loss", "greengain") if series.kind == "classes" else ("gain", "loss")
    names = {(kind, a, b): mapnames.change_map(prefix, (a, b), kind) for a, b in pairs for kind in kinds}
    if CONSISTENT in methods:
        names |= {("consistent", y, y): PeriodMap(prefix, str(y), "consistent").name for y in series.years}
    return names


def _mapcalc(expressions: Mapping[str, str], grid: Grid) -> None:
    """Run expressions, given by the map that each makes, in one call of r.mapcalc.

    An expression may not read a map that another one of the call makes. r.mapcalc ends with status 0 where any expression but the
    last is in error, and leaves its map as it was; so the maps go first and must be there afterwards.
    """
    if not expressions:
        return
    if grass.overwrite():
        grass.remove(expressions)
    grass.run("r.mapcalc", grid=grid, file="-", stdin="\n".join(expressions.values()) + "\n")
    made = set(grass.read("g.list", type="raster", mapset=".").split())
    missing = [name for name in expressions if name not in made]
    if missing:
        raise InputError(
            _("GRASS tool <r.mapcalc>"),
            found=_("no map <{}>").format(missing[0]),
            expected=_("it to be made"),
            then=_("Read its message above."),
        )


@dataclass(frozen=True)
class ClassFigures:
    """Counts of classes and of pairs of classes."""

    stocks: Mapping[tuple[str, int], Mapping[int, Mapping[tuple[int, ...], int]]]
    """(method, year) to category to (class,) to cells."""
    flows: Mapping[tuple[str, tuple[int, int]], Mapping[int, Mapping[tuple[int, ...], int]]]
    """(method, pair of years) to category to (pair code,) to cells."""

    def stock(self, cat: int, definition: str, method: str, year: int) -> Stock:
        """Return the stock of a year."""
        seen = sum(self.stocks[RAW, year].get(cat, {}).values())
        return table.stock_of(_flat(self.stocks[method, year], cat), definition, seen)

    def flow(self, cat: int, definition: str, method: str, pair: tuple[int, int]) -> Flow:
        """Return the flow between two years."""
        seen = sum(self.flows[RAW, pair].get(cat, {}).values())
        return table.flow_of(_flat(self.flows[method, pair], cat), definition, seen)


def _flat(counts: Mapping[int, Mapping[tuple[int, ...], int]], cat: int) -> dict[int, int]:
    return {values[0]: cells for values, cells in counts.get(cat, {}).items()}


def _write_classes(
    series: Series,
    pairs: Sequence[tuple[int, int]],
    maps: Mapping[tuple[str, int, int], str],
    definition: str,
    methods: Sequence[str],
    grid: Grid,
    temporary: Temporary,
    rasters: Mapping[int, str],
) -> tuple[ClassFigures, dict[str, tuple[str, tuple[int, int]]]]:
    """Write the maps of a class series and count them.

    Returns: figures; column prefix to (map, years) for v.rast.stats
    """
    of_year = dict(zip(series.years, series.maps, strict=True))
    impervious = landcover_codes(definition)["IMP"]
    truth = {year: temporary.name("imp", year) for year in series.years}
    _mapcalc({name: change.belongs_expression(name, of_year[year], impervious) for year, name in truth.items()}, grid)
    expressions = {}
    for a, b in pairs:
        fromto, gain, loss, green = (maps[kind, a, b] for kind in ("fromto", "gain", "loss", "greengain"))
        expressions[fromto] = change.fromto_expression(fromto, of_year[b], of_year[a])
        expressions[gain] = change.newly_expression(gain, truth[b], truth[a])
        expressions[loss] = change.newly_expression(loss, truth[a], truth[b])
        expressions[green] = change.newly_of_expression(green, of_year[b], of_year[a], (GREEN,))
    _mapcalc(expressions, grid)
    stocks = {(RAW, year): _tally(rasters.values(), [of_year[year]], grid) for year in series.years}
    flows = {(RAW, pair): _tally(rasters.values(), [maps["fromto", *pair]], grid) for pair in pairs}
    if CONSISTENT in methods:
        consistent = {year: maps["consistent", year, year] for year in series.years}
        outs = list(consistent.values())
        _mapcalc(dict(zip(outs, persistent_expressions(outs, series.maps), strict=True)), grid)
        scratch = {pair: temporary.name("fromto", *pair) for pair in pairs}
        _mapcalc(
            {name: change.fromto_expression(name, consistent[b], consistent[a]) for (a, b), name in scratch.items()},
            grid,
        )
        stocks |= {(CONSISTENT, year): _tally(rasters.values(), [consistent[year]], grid) for year in series.years}
        flows |= {(CONSISTENT, pair): _tally(rasters.values(), [scratch[pair]], grid) for pair in pairs}
    return ClassFigures(stocks, flows), _columns(truth, maps, pairs)


@dataclass(frozen=True)
class ShareFigures:
    """Sums of shares, in cells."""

    sums: Mapping[tuple[str, int, int], Mapping[int, tuple[int, float]]]
    """(stock, year, year) and (before, gain or loss, from, to) to category to (cells, sum)."""

    def stock(self, cat: int, definition: str, method: str, year: int) -> Stock:
        """Return the stock of a year."""
        cells, value = self.sums["stock", year, year].get(cat, (0, 0.0))
        return Stock(cells, cells, {"IMP": value})

    def flow(self, cat: int, definition: str, method: str, pair: tuple[int, int]) -> Flow:
        """Return the flow between two years."""
        cells, gain = self.sums["gain", *pair].get(cat, (0, 0.0))
        loss, before = (self.sums[kind, *pair].get(cat, (0, 0.0))[1] for kind in ("loss", "before"))
        return Flow(cells, cells, {"IMP": before}, {"IMP": gain}, {"IMP": loss})


def _write_shares(
    series: Series,
    pairs: Sequence[tuple[int, int]],
    maps: Mapping[tuple[str, int, int], str],
    definition: str,
    methods: Sequence[str],
    grid: Grid,
    temporary: Temporary,
    rasters: Mapping[int, str],
) -> tuple[ShareFigures, dict[str, tuple[str, tuple[int, int]]]]:
    """Write the maps of a share series and sum them; the same shape as _write_classes."""
    of_year = dict(zip(series.years, series.maps, strict=True))
    before = {pair: temporary.name("before", *pair) for pair in pairs}
    expressions = {}
    for a, b in pairs:
        gain, loss, kept = maps["gain", a, b], maps["loss", a, b], before[a, b]
        expressions[gain] = change.grown_share_expression(gain, of_year[b], of_year[a])
        expressions[loss] = change.grown_share_expression(loss, of_year[a], of_year[b])
        expressions[kept] = change.kept_share_expression(kept, of_year[a], of_year[b])
    _mapcalc(expressions, grid)
    to_sum = {("stock", year, year): name for year, name in of_year.items()}
    to_sum |= {("before", *pair): name for pair, name in before.items()}
    to_sum |= {key: name for key, name in maps.items() if key[0] in ("gain", "loss")}
    sums = {
        key: {cat: found for raster in rasters.values() for cat, found in zones.total(raster, name, grid).items()}
        for key, name in to_sum.items()
    }
    return ShareFigures(sums), _columns(of_year, maps, pairs)


_WRITERS = {"classes": _write_classes, "shares": _write_shares}


def _columns(
    truth: Mapping[int, str], maps: Mapping[tuple[str, int, int], str], pairs: Sequence[tuple[int, int]]
) -> dict[str, tuple[str, tuple[int, int]]]:
    names = {("imp", year, year): name for year, name in truth.items()}
    for a, b in pairs:
        names |= {("new", a, b): maps["gain", a, b], ("lost", a, b): maps["loss", a, b]}
    return {mapnames.column(*key): (name, key[1:]) for key, name in names.items()}


def _describe(
    maps: Mapping[tuple[str, int, int], str], series: Series, pairs: Sequence[tuple[int, int]], definition: str
) -> None:
    titles = {
        "fromto": "Class pairs", "gain": "New impervious", "loss": "Lost impervious", "greengain": "New green",
        "consistent": "Classes after the persistence rule",
    }  # fmt: skip
    source = dict(zip(series.years, series.sources, strict=True))
    for (kind, a, b), name in maps.items():
        years = series.years if kind == "consistent" else (a, b)
        provenance = ChangeProvenance(
            kind, tuple(years), {str(year): source[year] for year in years}, __version__,
            definition if kind in ("gain", "loss") else None,
        )  # fmt: skip
        grass.describe(
            name,
            title=f"{titles[kind]}, {a}" + (f" to {b}" if b != a else ""),
            history=f"r.impervious.change: {titles[kind].lower()} of {', '.join(source[year] for year in years)}",
            provenance=provenance,
            sources=[source[year] for year in years],
        )
        if kind == "consistent":
            grass.style_classes(name)
        elif kind == "fromto":
            _categories(name, change.pair_titles())
        elif series.kind == "classes":
            _categories(name, {0: "No", 1: titles[kind]})
            colour = "77:146:33" if kind == "greengain" else "178:24:43" if kind == "gain" else "33:102:172"
            grass.run("r.colors", map=name, rules="-", stdin=f"0 235:235:235\n1 {colour}\n")


def _categories(name: str, titles: Mapping[int, str]) -> None:
    rules = "".join(f"{code}|{title}\n" for code, title in titles.items())
    grass.run("r.category", map=name, separator="pipe", rules="-", stdin=rules)


# The columns of the zones map


def _check_free_columns(source: ZonesMap, prefix: str, years: Sequence[int], pairs: Sequence[tuple[int, int]]) -> None:
    """Raise InputError where columns, or the copy that would hold them, exist and may not be replaced."""
    if not zones.is_own(source):
        grass.check_free([mapnames.zones_copy(prefix)], "vector", option="prefix")
        return
    keys = [("imp", year, year) for year in years] + [(kind, *pair) for pair in pairs for kind in ("new", "lost")]
    # Read again, now that no other run writes them.
    present = zones.columns_of(source.name)
    taken = [name for name in (f"{mapnames.column(*key)}_sum" for key in keys) if name in present]
    if taken and not grass.overwrite():
        raise InputError(
            _("Zones map <{}>").format(source.name),
            found=_("column {}").format(taken[0]),
            expected=_("no such column yet"),
            then=_("Use --overwrite to replace it, or flag -n to leave the table alone."),
        )


def _sum_columns(
    source: ZonesMap,
    copy: str,
    chosen: Sequence[Zone],
    columns: Mapping[str, tuple[str, tuple[int, int]]],
    figures: Figures,
    definition: str,
) -> dict[int, dict[str, float | None]]:
    """Write the sums into a copy of the zones map with v.rast.stats and hold them against the counts; return them by category."""
    zones.copy(source, copy)
    levels = sorted({zone.level for zone in chosen})
    zones.upload_sums(source, copy, levels, {column: name for column, (name, _) in columns.items()})
    values = zones.read_columns(copy, source.key, [f"{column}_sum" for column in columns])
    _check_columns(values, chosen, columns, figures, definition)
    return values


def _publish_columns(
    source: ZonesMap, copy: str, prefix: str, columns: Iterable[str], values: Mapping[int, Mapping[str, float | None]]
) -> None:
    """Let the sums appear in the zones map, or where that lies in another mapset, in a copy of it."""
    names, target = [f"{column}_sum" for column in columns], source.name
    if zones.is_own(source):
        zones.write_columns(source, names, values)
    else:
        target = mapnames.zones_copy(prefix)
        grass.rename({copy: target}, "vector")
    grass.message(f"Columns {', '.join(names)} (cells) written to <{target}>; equal to the counts.")


def _check_columns(
    values: Mapping[int, Mapping[str, float | None]],
    chosen: Sequence[Zone],
    columns: Mapping[str, tuple[str, tuple[int, int]]],
    figures: Figures,
    definition: str,
) -> None:
    for zone in chosen:
        for column, (_map, years) in columns.items():
            kind = column.split("_", 1)[0]
            if kind == "imp":
                expected = figures.stock(zone.cat, definition, RAW, years[0]).cover["IMP"]
            else:
                flow = figures.flow(zone.cat, definition, RAW, years)
                expected = (flow.gain if kind == "new" else flow.loss)["IMP"]
            # v.rast.stats leaves a zone without a value empty; sums of shares differ by the order of addition.
            found = values[zone.cat][f"{column}_sum"] or 0
            if abs(found - expected) > 1e-9 * max(expected, 1):
                raise TableError(
                    _("Region {}, column {}_sum").format(zone.geo, column),
                    found=_("{} from v.rast.stats").format(found),
                    expected=_("{} as counted").format(expected),
                    then=_("This is a fault of the tool; nothing was written."),
                )


# The table


def _rows(
    chosen: Sequence[Zone],
    figures: Figures,
    run: Run,
    definitions: Sequence[str],
    methods: Sequence[str],
    pairs: Sequence[tuple[int, int]],
) -> Table:
    values: list[Row] = []
    moves: list[Row] = []
    for zone in chosen:
        for definition in definitions:
            for method in methods:
                for year in run.years:
                    stock = figures.stock(zone.cat, definition, method, year)
                    values += table.stock_rows(zone, stock, run, definition, method, year)
                for pair in pairs:
                    flow = figures.flow(zone.cat, definition, method, pair)
                    values += table.flow_rows(zone, flow, run, definition, method, pair)
                    moves += table.transition_rows(zone, flow, run, definition, method, pair)
    regions = [table.region_row(zone, run) for zone in chosen]
    rows = {table.VALUES: values, table.TRANSITIONS: moves, table.REGIONS: regions}
    return {name: table.sort_rows(part, name) for name, part in rows.items()}


def _package(
    options: Mapping[str, str],
    series: Series,
    run: Run,
    source: ZonesMap,
    definitions: Sequence[str],
    methods: Sequence[str],
    grid: Grid,
) -> dict[str, Any]:
    """Return what the data package says of the whole: what it is, how it was made and from what."""
    scale = f"1:{source.scale:,}" if source.scale else "not known"
    note = "for drawing; figures take 1:1,000,000 or finer" if source.scale and source.scale > _FINE_ENOUGH else ""
    provenance = {}
    for year, name in zip(series.years, series.sources, strict=True):
        known = grass.read_provenance(name)
        scenes = known.scenes if isinstance(known, PredictionProvenance) else ()
        provenance[str(year)] = {"map": name, "scene_count": len(scenes), **(known.to_json() if known else {})}
    return {
        "profile": "data-package",
        "name": tablefile.NAME,
        "title": f"Impervious land per region, {run.years[0]}-{run.years[-1]}",
        "version": __version__,
        "created": run.vintage,
        "status": "experimental",
        "description": "Stocks, gains, losses and transitions of impervious, green and other land per region and year.",
        "method": _METHOD_NOTES,
        "flags": "Every mapped value carries u: no reference sample stands behind it.",
        "years": list(run.years),
        "definitions": {
            name: {cover: list(codes) for cover, codes in landcover_codes(name).items()} for name in definitions
        },
        "classes": {str(c.code): c.title for c in CLASSES},
        "unit_of_area": "share of sealed land x cell area" if series.kind == "shares" else "cells by their class",
        "grid": {"crs": f"EPSG:{EPSG}", "res_m": grid.res_m, "bounds": list(grid.bounds)},
        "regions": {"nuts_version": run.nuts_version, "outlines": source.name, "scale": scale, "note": note},
        "provenance": provenance,
        "parameters": {
            **{key: options[key] for key in ("input", "classes", "shares", "legend", "zones", "column", "prefix") if options[key]},
            "definition": list(definitions),
            "method": list(methods),
            "coverage_min": table.COVERAGE_MIN,
        },
        "software": {
            "r.impervious": __version__, "GRASS": grass.read("g.version").split()[1], "Python": platform.python_version(),
            "NumPy": np.__version__, "PyArrow": tablefile.VERSION,
        },
    }  # fmt: skip


def _report(
    rows: Table,
    chosen: Sequence[Zone],
    run: Run,
    pairs: Sequence[tuple[int, int]],
    output: Path,
    maps: list[str],
    form: str,
) -> None:
    """Print the impervious stock and change of the top regions."""
    top = min(zone.level for zone in chosen)
    kept = {zone.geo: zone for zone in chosen if zone.level == top}
    summary: list[dict[str, Any]] = []
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows[table.VALUES]:
        if row["geo"] not in kept or row["landcover"] != "IMP" or row["unit"] != "KM2":
            continue
        key = (row["geo"], row["definition"], row["method"])
        if key not in found:
            found[key] = {
                "geo": key[0], "name": kept[key[0]].name, "definition": key[1], "method": key[2], "unit": "KM2",
                "stock": {}, "gain": {}, "loss": {}, "net": {}, "coverage": {},
            }  # fmt: skip
            summary.append(found[key])
        stock = row["lc_flow"] == "STK"
        period = str(row["TIME_PERIOD"]) if stock else f"{row['time_from']}-{row['TIME_PERIOD']}"
        found[key]["stock" if stock else row["lc_flow"].lower()][period] = row["OBS_VALUE"]
        found[key]["coverage"][period] = row["COVERAGE"]
    summary.sort(key=lambda part: (part["geo"], part["definition"], MAPPED_METHODS.index(part["method"])))
    if form == "json":
        counts = {name: len(part) for name, part in rows.items()}
        print(json.dumps({"output": str(output), "rows": counts, "maps": maps, "summary": summary}, ensure_ascii=False))
        return
    for part in summary:
        ground = "cells seen" if part["method"] == RAW else "whole region"
        name = "" if part["name"] == part["geo"] else f" {part['name']}"
        print(f"{part['geo']}{name}: impervious ({part['definition']}), {part['method']} ({ground}), km2")
        for what in ("stock", "gain", "loss", "net"):
            for period, value in part[what].items():
                shown = "blank" if value is None else f"{value:+.4f}" if what == "net" else f"{value:.4f}"
                print(f"  {what:<5} {period:<9} {shown:>14}   coverage {part['coverage'][period]:.3f}")
    if any(None in part[what].values() for part in summary for what in ("stock", "gain", "loss", "net")):
        print("blank: less than half of the region was seen")
    print(f"{sum(map(len, rows.values()))} rows in '{output}'")
