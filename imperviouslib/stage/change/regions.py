"""The regions of a run: their cells and outlines, and the columns of sums in the zones map."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.borders import rank_zones
from imperviouslib.core.errors import InputError, TableError, _
from imperviouslib.core.figures import YearPair
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.outline import count_cells, measure_area
from imperviouslib.core.tableschema import COVERAGE_MIN
from imperviouslib.core.tally import CellCounts
from imperviouslib.core.zones import SLIVER, Zone, cells_inside, compare_parts, describe_parts, resolve_parents
from imperviouslib.edge import grass, zones
from imperviouslib.edge.schedule import Crew
from imperviouslib.edge.zones import Polygons, ZonesMap
from imperviouslib.stage.change.borders import Borders, find_borders, hosts_of, regions_met
from imperviouslib.stage.change.figures import Column
from imperviouslib.stage.change.tally import Tally

FINE_SCALE = 1_000_000
"""Scale denominator up to which outlines are fine enough for figures."""


def warn_of_scale(source: ZonesMap) -> None:
    """Warn where the outlines are known to be too coarse for figures."""
    if is_coarse(source):
        grass.warning(
            _("Zones map <{}> has outlines at 1:{:,}, which are for drawing. For figures use 1:{:,} or finer.").format(
                source.name, source.scale, FINE_SCALE
            )
        )


def is_coarse(source: ZonesMap) -> bool:
    """Tell whether the outlines are known to be too coarse for figures."""
    return bool(source.scale and source.scale > FINE_SCALE)


@dataclass(frozen=True)
class Regions:
    """The regions of a run."""

    zones: list[Zone]
    """Those with a cell in the computational region, with their parents and the cells of their outlines."""
    shapes: dict[int, Polygons]
    """Category to outline."""
    centred: frozenset[int]
    """Categories of those that hold the centre of a cell."""
    borders: Borders | None = None
    """The cells that they share; None where cells are whole."""


def measure_zones(
    source: ZonesMap, rasters: Mapping[int, str], grid: Grid, crew: Crew | None = None, shared: Path | None = None
) -> Regions:
    """Write the zones' rasters, and measure the zones with a cell in the region, or with a part of one where cells on borders are shared.

    Cells in the region are counted in the rasters, so that coverage cannot exceed 1; cells beyond it are counted from the outline.

    rasters : level to the name of its raster
    crew : who counts; None = this process
    shared : folder for the cells on borders, if they are shared; None: cells are whole
    """
    for level, raster in rasters.items():
        zones.rasterise(source, level, raster, grid)
    # A cell that a mask hides belongs to the region all the same; it counts as not seen.
    units, cells, inside = _count_inside(rasters, grid, crew)
    overlaps = [pair for pair in zones.read_overlaps(source) if any(zone.cat in inside for zone in pair)]
    chosen = [zone for zone in source.zones if zone.cat in inside]
    wanted = source.zones if shared else {*chosen, *itertools.chain(*overlaps)}
    shapes = zones.outlines(source, list(wanted), grass.temporary_folder())
    _check_disjoint(source, overlaps, shapes, inside, grid)
    centred, borders = frozenset(inside), None
    if shared:
        borders, chosen = _find_borders(source, rasters, shapes, centred, grid, shared, crew)
        if small := {zone.cat for zone in chosen} - centred:
            rows, parts = hosts_of(borders, grid, small)
            units, cells = np.concatenate([units, rows]), np.concatenate([cells, parts])
    parents = resolve_parents(chosen, cells_inside(chosen, units, cells))
    chosen = [replace(zone, parent=parents[zone.geo]) for zone in chosen]
    if borders:
        borders = replace(borders, ranks=rank_zones(chosen))
        inside = _count_inside(rasters, grid, crew, borders)[2]
        chosen = [zone for zone in chosen if inside.get(zone.cat)]
    if not chosen:
        raise InputError(
            _("Zones map <{}> has no region with a cell in the current region").format(source.name),
            then=_("Set the region with g.region -a vector={} res={}, or name other zones.").format(
                source.name, grid.res_m
            ),
        )
    left = len(source.zones) - len(chosen)
    if left:
        grass.message(
            _("{} of {} regions have no cell in the current region and are left out.").format(left, len(source.zones))
        )
    measured = [
        replace(zone, cells=_cells_of(shapes[zone.cat], inside[zone.cat], grid, shared=bool(shared))) for zone in chosen
    ]
    # Where most of a parent lies outside of the region, its values for the whole are blank.
    measured = [
        zone if inside[zone.cat] >= COVERAGE_MIN * zone.cells else replace(zone, parts_cells=None)
        for zone in compare_parts(measured)
    ]
    if told := describe_parts(measured, grid.cell_area_m2):
        grass.warning(told)
    return Regions(measured, shapes, centred, borders)


def _count_inside(
    rasters: Mapping[int, str], grid: Grid, crew: Crew | None, borders: Borders | None = None
) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Count the cells of regions within the computational region. Returns: units, as `Units.table`; their cells; category to cells."""
    tally, counts = Tally(rasters, grid, crew, masked=False, borders=borders), CellCounts()
    tally.measures.append(counts)
    tally.run()
    inside = {cat: counts.cells[units].sum().item() for cat, units in tally.members.items()}
    return tally.units.table, counts.cells, inside


def _find_borders(
    source: ZonesMap,
    rasters: Mapping[int, str],
    shapes: Mapping[int, Polygons],
    centred: frozenset[int],
    grid: Grid,
    folder: Path,
    crew: Crew | None,
) -> tuple[Borders, list[Zone]]:
    """Find the cells on borders, and the zones with a cell or a part of one in the computational region."""
    outlines = {
        category: [[np.array(ring, float)[:, :2] for ring in rings] for rings in polygons]
        for category, polygons in shapes.items()
    }
    mapset, places = grass.mapset_folder().name, {level: place for place, level in enumerate(rasters)}
    levels = {zone.cat: places[zone.level] for zone in source.zones}
    maps = [f"{name}@{mapset}" for name in rasters.values()]
    borders = find_borders(outlines, levels, maps, grid, folder, crew)
    met = regions_met(borders, grid) | centred
    return borders, [zone for zone in source.zones if zone.cat in met]


def _cells_of(shape: Polygons, inside: float, grid: Grid, *, shared: bool) -> float:
    """Return the cells of a region's whole outline. inside : those within the computational region"""
    if not shared:
        return inside + count_cells(shape) - count_cells(shape, grid)
    corners = np.concatenate([np.array(ring, float)[:, :2] for rings in shape for ring in rings])
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    if grid.west <= west and grid.south <= south and east <= grid.east and north <= grid.north:
        return inside
    return max(inside, measure_area(shape) / grid.cell_area_m2)


def _check_disjoint(
    source: ZonesMap,
    overlaps: Sequence[tuple[Zone, Zone]],
    shapes: Mapping[int, Polygons],
    inside: Mapping[int, float],
    grid: Grid,
) -> None:
    """Raise InputError where one region takes more than a sliver of another one's cells: a level counts each cell once."""
    for pair in overlaps:
        for zone in pair:
            own = count_cells(shapes[zone.cat], grid)
            lost = own - inside.get(zone.cat, 0)
            if lost > max(1, own * SLIVER):
                raise InputError(
                    _("Zones map <{}>: regions {} and {} of level {} overlap, by {} cells of region {}").format(
                        source.name, pair[0].geo, pair[1].geo, zone.level, lost, zone.geo
                    ),
                    then=_("Correct the outlines, or give the levels in a column {}.").format(zones.LEVEL_COLUMN),
                )


def outline_collection(chosen: Sequence[Zone], shapes: Mapping[int, Polygons]) -> dict[str, Any]:
    """Return the outlines as GeoJSON in EPSG:3035, to the centimetre."""
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


# The columns of the zones map


def column_names(years: Sequence[int], pairs: Sequence[YearPair]) -> list[str]:
    """Return the names of the columns of a run, without `_sum`."""
    keys = [("imp", year, year) for year in years] + [(kind, *pair) for pair in pairs for kind in ("new", "lost")]
    return [mapnames.column(*key) for key in keys]


def check_free_columns(source: ZonesMap, prefix: str, names: Sequence[str]) -> None:
    """Raise InputError if columns, or the copy of the zones map that would have them, exist and may not be replaced.

    Or if the copy, which is made of a map of another mapset, cannot have its name.
    """
    if not zones.is_own(source):
        mapnames.check_vector_name(prefix, "prefix")
        grass.check_free([mapnames.zones_copy(prefix)], "vector", option="prefix")
        return
    # Read the columns again: the map is locked now, so no other run adds any.
    present = zones.columns_of(source.name)
    taken = [f"{name}_sum" for name in names if f"{name}_sum" in present]
    if taken and not grass.overwrite():
        raise InputError(
            _("Zones map <{}> already has column {}").format(source.name, taken[0]),
            then=_("Use --overwrite to replace it, or flag -n to write no columns."),
        )


def sum_columns(
    source: ZonesMap, copy: str, regions: Regions, columns: Sequence[Column], threads: int = 1
) -> dict[int, dict[str, float | None]]:
    """Write sums into a copy of the zones map with v.rast.stats; return them by category and name of column.

    They are sums of whole cells. threads : levels at a time. Raises TableError where a sum differs from what was counted.
    """
    zones.copy(source, copy)
    levels = sorted({zone.level for zone in regions.zones if zone.cat in regions.centred})
    zones.upload_sums(source, copy, levels, {column.name: column.raster for column in columns}, threads=threads)
    values = zones.read_columns(copy, source.key, [f"{column.name}_sum" for column in columns])
    for zone in regions.zones:
        for column in columns:
            # v.rast.stats leaves a zone without a value empty. Sums of shares differ by the order of addition.
            found, expected = values[zone.cat][f"{column.name}_sum"] or 0, column.counted(zone.cat)
            if abs(found - expected) > 1e-9 * max(expected, 1):
                raise TableError(
                    _("Region {}, column {}_sum").format(zone.geo, column.name),
                    found=_("{} from v.rast.stats").format(found),
                    expected=_("{} as counted").format(expected),
                    then=_("Report this bug. Nothing was written."),
                )
    return values


def publish_columns(
    source: ZonesMap, copy: str, prefix: str, columns: Iterable[str], values: Mapping[int, Mapping[str, float | None]]
) -> None:
    """Write the sums into the zones map; where that lies in another mapset, keep the copy instead."""
    names, target = [f"{column}_sum" for column in columns], source.name
    if zones.is_own(source):
        zones.write_columns(source, names, values)
    else:
        target = mapnames.zones_copy(prefix)
        grass.rename({copy: target}, "vector")
    grass.message(
        _("Columns {} (in cells) were written to <{}>. They agree with the figures of the table.").format(", ".join(names), target)
    )  # fmt: skip
