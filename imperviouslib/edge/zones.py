"""Zones: the vector map of the regions in GRASS, its raster, and its attribute columns.

Regions of several levels overlap in one map, but a raster holds one zone a cell. So everything here works on one level at a time,
selected by a WHERE clause on the map's table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import grass.script as gs
from grass.exceptions import CalledModuleError

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.mapnames import TEMPORARY
from imperviouslib.core.zones import PARENT_COLUMN, Zone, parse_level, parse_zones, resolve_outline_scale
from imperviouslib.edge import grass
from imperviouslib.edge.overlap import do_each

Polygons = list[list[list[list[float]]]]
"""Polygons of an outline, each a list of rings, the outer ring first; corners in metres, EPSG:3035."""
LEVEL_COLUMN = "LEVL_CODE"
_NAME_COLUMNS = ("NAME_LATN", "NUTS_NAME", "name")
_SHARED_DRIVER = "sqlite"
"""Database that several processes may write to: each waits for the others. Not tried with other servers, and a dBase file is written whole by each."""


@dataclass(frozen=True)
class ZonesMap:
    """A checked vector map of regions."""

    name: str
    """Full name, map@mapset."""
    key: str
    """Column of the category."""
    columns: tuple[str, ...]
    """All columns of its table."""
    zones: tuple[Zone, ...]
    """Its regions, sorted by code, without parents and cells."""
    scale: int | None
    """Scale denominator of the outlines; None where it is not known."""
    level_texts: tuple[str, ...] = ()
    """What its column of levels holds where that is text."""


def read_zones(name: str, column: str, parent: str = "") -> ZonesMap:
    """Read and check the regions of a vector map.

    column, parent : columns of the codes, and of the parents' codes; without the latter a column `PARENT` is read where there is one

    Raises InputError where the map has no areas, no table or no such column, where a code is missing, occurs twice or is not valid, or
    where coordinates look like degrees.
    """
    full = grass.find_map(name, option="zones", element="vector")
    thing = _("Zones map <{}>").format(full)
    info = _pairs(grass.read("v.info", map=full, flags="gte"))
    if not int(info["areas"]):
        raise InputError(
            _("Zones map <{}> has no areas").format(full),
            then=_("Import polygons with v.in.ogr."),
        )
    limits = {"west": 180, "east": 180, "south": 90, "north": 90}
    if all(abs(float(info[edge])) <= limit for edge, limit in limits.items()):
        raise InputError(
            thing,
            found=_("coordinates that look like degrees"),
            expected=_("metres of EPSG:{}").format(EPSG),
            then=_("Import it with v.import, which reprojects; v.in.ogr -o does not."),
        )
    # Each line: layer/name table key database driver.
    links = [line.split("|") for line in grass.read("v.db.connect", map=full, flags="g", separator="pipe").splitlines()]
    key = next((link[2] for link in links if link[0].split("/")[0] == "1"), None)
    if key is None:
        raise InputError(
            _("Zones map <{}> has no attribute table in layer 1").format(full),
            then=_("Make one with column {} by v.db.addtable.").format(column),
        )
    columns = columns_of(full)
    for wanted, what, option in ((column, _("region codes"), "column"), (parent, _("codes of parents"), "parent")):
        if wanted and wanted not in columns:
            raise InputError(
                thing,
                found=_("columns {}").format(", ".join(columns)),
                expected=_("a column {} with {}").format(wanted, what),
                then=_("Name your column with {}=.").format(option),
            )
    level = LEVEL_COLUMN if LEVEL_COLUMN in columns else None
    title = next((c for c in _NAME_COLUMNS if c in columns), None)
    above = parent or (PARENT_COLUMN if PARENT_COLUMN in columns else None)
    chosen = ",".join(dict.fromkeys(c for c in (key, column, level, title, above) if c))
    # v.db.select writes control characters as they are.
    records = json.loads(grass.read("v.db.select", map=full, columns=chosen, format="json"), strict=False)["records"]
    if any("\ufffd" in str(record.get(c)) for record in records for c in (column, title) if c):
        raise InputError(
            thing,
            found=_("text in another encoding than UTF-8"),
            expected=_("UTF-8 in columns {}").format(chosen),
            then=_("Import the file again with v.in.ogr encoding=, which names the encoding of the file."),
        )
    zones = parse_zones(records, key=key, column=column, level=level, name=title, parent=above)
    history = grass.read("v.info", map=full, flags="h")
    scale = info.get("scale", "1:1").rpartition(":")[2]
    texts = {record[level] for record in records} if level else set()
    level_texts = tuple(sorted(text for text in texts if isinstance(text, str)))
    outline_scale = resolve_outline_scale(f"{full} {history}", int(float(scale)))
    return ZonesMap(full, key, columns, tuple(zones), outline_scale, level_texts)


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def read_overlaps(source: ZonesMap) -> list[tuple[Zone, Zone]]:
    """Return the pairs of zones of one level that have an area in common, slivers between two outlines included."""
    by_cat = {zone.cat: zone for zone in source.zones}
    pairs = set()
    # Each line holds the categories of one area: 3 or 1/3.
    text = grass.read("v.category", input=source.name, option="print", type="centroid", layer=1)
    for line in set(text.splitlines()):
        cats = sorted({int(word) for word in line.split("/") if word} & by_cat.keys())
        pairs |= {(a, b) for a, b in combinations(cats, 2) if by_cat[a].level == by_cat[b].level}
    return [(by_cat[a], by_cat[b]) for a, b in sorted(pairs)]


def where_level(source: ZonesMap, level: int) -> str | None:
    """Return the WHERE clause that selects the zones of one level; None where the map has no other.

    Without it tens of thousands of categories would not fit on a command line.
    """
    if all(zone.level == level for zone in source.zones):
        return None
    if LEVEL_COLUMN in source.columns:
        # Each driver compares text with text only.
        texts = [f"'{text}'" for text in source.level_texts if parse_level(text) == level]
        return " OR ".join(f"{LEVEL_COLUMN} = {value}" for value in texts or [level])
    return f"{source.key} IN ({','.join(str(zone.cat) for zone in source.zones if zone.level == level)})"


def _run_silently(tool: str, *, grid: Grid | None = None, **options: Any) -> None:
    """Run a tool without its warnings about categories of other levels and centroids of joined parts; show what it says if it fails."""
    env = grass.environment(grid) if grid else os.environ.copy()
    process = gs.start_command(tool, env=env, stderr=subprocess.PIPE, quiet=True, **options)
    said = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        sys.stderr.write(said)
        raise CalledModuleError(tool, "", process.returncode, said)


def rasterise(source: ZonesMap, level: int, out: str, grid: Grid) -> None:
    """Write the zones of one level as a raster of their categories; a cell belongs to the zone that contains its centre."""
    _run_silently(
        "v.to.rast", grid=grid, input=source.name, type="area", use="cat", where=where_level(source, level), output=out,
        overwrite=True,
    )  # fmt: skip


def limits(name: str, grid: Grid) -> tuple[int, float, float]:
    """Return (cells that are not NULL, smallest value, largest value) of a raster; 0, 0.0, 0.0 where all cells are NULL."""
    found = _pairs(grass.read("r.univar", grid=grid, flags="g", map=name))
    cells = int(found.get("n", 0))
    return (cells, float(found["min"]), float(found["max"])) if cells else (0, 0.0, 0.0)


def outlines(source: ZonesMap, zones: Sequence[Zone], folder: Path) -> dict[int, Polygons]:
    """Return the outlines of zones by category, without the boundaries of other levels within them.

    folder : where to write temporary files
    """
    found: dict[int, Polygons] = {}
    for level in sorted({zone.level for zone in zones}):
        picked = grass.temporary_name(f"{TEMPORARY}outline")
        cats, file = folder / f"cats{level}.txt", folder / f"outline{level}.geojson"
        cats.write_text("".join(f"{zone.cat}\n" for zone in zones if zone.level == level), encoding="utf-8")
        try:
            _run_silently(
                "v.extract", flags="d", input=source.name, type="area", file=str(cats), output=picked,
                overwrite=True,
            )  # fmt: skip
            _run_silently(
                "v.out.ogr", flags="m", input=picked, type="area", output=str(file), format="GeoJSON",
                overwrite=True,
            )  # fmt: skip
        finally:
            grass.remove([picked], "vector")
        for feature in json.loads(file.read_text(encoding="utf-8", errors="replace"), strict=False)["features"]:
            shape = feature["geometry"]
            polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
            found.setdefault(int(feature["properties"].get(source.key) or feature["properties"]["cat"]), []).extend(
                polygons
            )
        cats.unlink()
        file.unlink()
    return found


def is_own(source: ZonesMap) -> bool:
    """Tell whether the zones map is in the current mapset; the tools write to no other."""
    return source.name.partition("@")[2] == grass.mapset_folder().name


def copy(source: ZonesMap, out: str) -> None:
    """Copy the zones map and its table into the current mapset."""
    grass.run("g.copy", vector=f"{source.name},{out}")


def upload_sums(
    source: ZonesMap, target: str, levels: Sequence[int], columns: Mapping[str, str], *, threads: int = 1
) -> None:
    """Write sums of rasters into columns <prefix>_sum of a copy of the zones map with v.rast.stats, in the current region.

    levels : levels with a cell in the region
    columns : prefix to raster
    threads : levels at a time, as `do_each` takes them; one at a time where the table is not in SQLite
    """
    names = [f"{column}_sum" for column in columns]
    present = [name for name in names if name in columns_of(target)]
    link = gs.vector_db(target)[1]
    # One call for all columns, where v.rast.stats needs one a column. Values of an earlier run are removed first: otherwise they would
    # stay in the rows of regions that this run leaves out.
    if present:
        grass.run("db.execute", sql=f"UPDATE {link['table']} SET " + ", ".join(f"{name} = NULL" for name in present))
    if len(present) < len(names):
        types = ",".join(f"{name} double precision" for name in names if name not in present)
        grass.run("v.db.addcolumn", map=target, columns=types)

    def upload(level: int) -> None:
        # Areas only: by default v.rast.stats rasterises centroids too, and the centroid of an area without a cell centre takes a cell
        # from its neighbour.
        _run_silently(
            "v.rast.stats", map=target, type="area", where=where_level(source, level), raster=",".join(columns.values()),
            column_prefix=",".join(columns), method="sum", flags="c",
        )  # fmt: skip

    do_each(upload, levels, threads if link["driver"] == _SHARED_DRIVER else 1)


def write_columns(source: ZonesMap, columns: Sequence[str], values: Mapping[int, Mapping[str, float | None]]) -> None:
    """Write numbers into columns of a zones map of the current mapset, in one transaction; columns that are missing are added.

    columns : names; rows without a value become empty
    values : category to column to value
    """
    name = source.name.partition("@")[0]
    link = gs.vector_db(name)[1]
    present, table = columns_of(name), link["table"]
    statements = [f"ALTER TABLE {table} ADD COLUMN {c} double precision" for c in columns if c not in present]
    statements.append(f"UPDATE {table} SET " + ", ".join(f"{column} = NULL" for column in columns))
    for cat, found in values.items():
        # repr writes all digits of a number.
        assigned = ", ".join(f"{c} = {float(value)!r}" for c in columns if (value := found[c]) is not None)
        if assigned:
            statements.append(f"UPDATE {table} SET {assigned} WHERE {source.key} = {cat}")
    # One transaction, where the database has them: a run that is killed leaves the table unchanged.
    begin, commit = gs.db_begin_transaction(link["driver"]), gs.db_commit_transaction(link["driver"])
    lines = [line for line in (begin, *statements, commit) if line]
    grass.run(
        "db.execute", input="-", stdin="".join(f"{line};\n" for line in lines), driver=link["driver"], database=link["database"]
    )  # fmt: skip


def columns_of(name: str) -> tuple[str, ...]:
    """Return the names of the columns of a vector map's table."""
    text = grass.read("v.info", map=name, flags="c")
    return tuple(line.split("|", 1)[1] for line in text.splitlines() if "|" in line)


def read_columns(target: str, key: str, columns: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return attribute values by category."""
    text = grass.read("v.db.select", map=target, columns=",".join([key, *columns]), format="json")
    return {int(record[key]): record for record in json.loads(text, strict=False)["records"]}
