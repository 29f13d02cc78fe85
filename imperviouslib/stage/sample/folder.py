"""The folder of a sample: the design, the units for people and for other programs, empty readings, and the labelling sheet."""

from __future__ import annotations

import contextlib
import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imperviouslib.core.ceo import format_ceo_plots
from imperviouslib.core.design import FILE, Design, DesignUnit
from imperviouslib.core.errors import _
from imperviouslib.core.grid import EPSG, RES_M
from imperviouslib.core.qgisform import format_qgis_form
from imperviouslib.core.readings import KINDS, Reading, SheetUnit, empty_readings, format_readings
from imperviouslib.core.sample import WINDOW
from imperviouslib.core.settings.sample import SampleSettings
from imperviouslib.edge import grass, warp
from imperviouslib.edge.files import atomic_folder, write_json
from imperviouslib.edge.sheet import write_sheet
from imperviouslib.stage.sample.pictures import Pictures

UNITS, READINGS, PACKAGE, SHEET = "units.csv", "readings.csv", "sample.gpkg", "sheet.html"
STOCK_READINGS, FORM = "readings_stock.csv", "sample.qml"


def is_sample(path: Path) -> bool:
    """Tell whether a folder holds a sample."""
    return (path / FILE).is_file()


@contextlib.contextmanager
def writing(
    settings: SampleSettings,
    design: Design,
    pictures: Mapping[str, Pictures],
    known: Mapping[int, tuple[int | None, ...]],
) -> Iterator[None]:
    """Write the whole folder under a temporary name; it gets its own name if the block succeeds.

    pictures : what the labelling sheet shows: name of a layer to its pictures; empty without a sheet
    known : flat index of a cell to what the user's stock points say of it; empty without
    """
    units = sheet_units(design)
    with atomic_folder(settings.output) as part:
        write_json(part / FILE, design.to_json())
        (part / UNITS).write_text(_units_csv(design, units), encoding="utf-8")
        (part / READINGS).write_text(empty_readings(units, design.years), encoding="utf-8")
        if known:
            (part / STOCK_READINGS).write_text(_known_readings(design, known, settings.stock_points), encoding="utf-8")
        for kind in KINDS:
            (part / f"collect_earth_{kind}s.csv").write_text(format_ceo_plots(units, kind), encoding="utf-8")
        _write_geopackage(part / PACKAGE, design)
        (part / FORM).write_text(format_qgis_form(design.years), encoding="utf-8")
        if pictures:
            grass.message(_("Writing the labelling sheet..."))
            write_sheet(
                part / SHEET, title=_("Sample of {} units, {}-{}").format(len(units), design.years[0], design.years[-1]),
                years=design.years, units=units, digest=design.digest, layers=tuple(pictures), wms=settings.services,
                chips=lambda unit: [picture for layer in pictures.values() for picture in layer[unit.id]],
            )  # fmt: skip
        yield


def sheet_units(design: Design) -> list[SheetUnit]:
    """Return the units as interpreters may know them."""
    lons, lats = warp.transformer(f"EPSG:{EPSG}", "EPSG:4326").transform(
        *zip(*(unit.centre for unit in design.units), strict=True)
    )
    return [
        SheetUnit(unit.id, unit.kind, float(lon), float(lat))
        for unit, lon, lat in zip(design.units, lons, lats, strict=True)
    ]


def _units_csv(design: Design, units: Iterable[SheetUnit]) -> str:
    """Write all units with area, stratum and weight, for those who estimate; interpreters must not see it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "kind", "area", "purpose", "stratum", "weight", "x", "y", "lon", "lat"])
    for unit, place in zip(design.units, units, strict=True):
        stratum = design.areas[unit.area].strata[unit.purpose][unit.stratum]
        x, y = unit.centre
        # How many cells, or windows, of its stratum a unit stands for.
        row = [
            unit.id, unit.kind, design.areas[unit.area].geo, unit.purpose, stratum.name, f"{stratum.units / stratum.drawn:.6g}",
            f"{x:.0f}", f"{y:.0f}", f"{place.lon:.6f}", f"{place.lat:.6f}",
        ]  # fmt: skip
        writer.writerow(row)
    return text.getvalue()


def _known_readings(design: Design, known: Mapping[int, tuple[int | None, ...]], name: str) -> str:
    """Write what the user's stock points say as a first reading by their map."""
    grid = design.grid
    readings = []
    for unit in design.units:
        states = known.get((unit.row - grid.first_row) * grid.width + unit.col - grid.first_col)
        if unit.purpose == "stock" and states is not None and any(state is not None for state in states):
            readings.append(Reading(unit.id, None, states, "sure", name, 1))
    return format_readings(readings, design.years)


def _write_geopackage(path: Path, design: Design) -> None:
    """Write points and windows with the empty columns of readings, as two layers; nothing in it tells score or stratum."""
    empty = {
        "cell": "integer",
        **{f"y{year}": "integer" for year in design.years},
        "certainty": "varchar(10)", "interpreter": "varchar(80)", "reading": "integer", "seconds": "integer", "note": "varchar(200)",
    }  # fmt: skip
    features = {
        f"{kind}s": [
            {"type": "Feature", "properties": {"id": unit.id}, "geometry": _geometry(unit)}
            for unit in design.units
            if unit.kind == kind
        ]
        for kind in ("point", "window")
    }
    layers = {layer: found for layer, found in features.items() if found}
    grass.write_geopackage(path, layers, empty)
    # GRASS needs names that begin with a letter; the columns of readings are the years.
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for layer in layers:
            database.execute(f"ALTER TABLE {layer} DROP COLUMN cat")
            for year in design.years:
                database.execute(f'ALTER TABLE {layer} RENAME COLUMN y{year} TO "{year}"')


def _geometry(unit: DesignUnit) -> dict[str, Any]:
    """Return the centre of a point or the outline of a window as GeoJSON, in metres."""
    if unit.kind == "point":
        return {"type": "Point", "coordinates": list(unit.centre)}
    side, west, north = RES_M * WINDOW, unit.col * RES_M, -unit.row * RES_M
    corners = [(0, 0), (side, 0), (side, -side), (0, -side), (0, 0)]
    return {"type": "Polygon", "coordinates": [[[west + x, north + y] for x, y in corners]]}
