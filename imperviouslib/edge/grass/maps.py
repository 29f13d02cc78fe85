"""Raster and vector maps: find, read, import, rename, describe, remove."""

from __future__ import annotations

import contextlib
import json
import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import grass.script as gs
import numpy as np

from imperviouslib import __version__
from imperviouslib.core.errors import GridError, InputError, _, command_without_secrets
from imperviouslib.core.grid import EPSG, RES_M, Grid, snap_out
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.provenance import Provenance, parse_provenance
from imperviouslib.edge.files import naming, remove_folder
from imperviouslib.edge.grass.calls import environment, overwrite, read, read_bytes, run, unreadable
from imperviouslib.edge.grass.place import mapset_folder
from imperviouslib.edge.grass.region import check_projection, has_mask, unmasked
from imperviouslib.edge.grass.workspace import (
    exists,
    remove,
    remove_abandoned,
    temporary_folder,
    temporary_name,
)
from imperviouslib.edge.overlap import do_each

_PROVENANCE = "impervious.json"


def find_map(
    name: str, *, option: str = "input", element: str = "raster", then: str = "Check the name with g.list."
) -> str:
    """Return the full name (map@mapset) of an existing map, or raise InputError."""
    found = gs.find_file(name, element={"raster": "cell"}.get(element, element))
    if not found.get("file"):
        raise InputError(
            _("Option <{}>: there is no {} map <{}>").format(option, element, name),
            then=then,
        )
    return found["fullname"]


def check_free(names: Iterable[str], element: str = "raster", option: str = "output") -> None:
    """Raise InputError if an output exists and --overwrite is not set.

    option : the option that names the output, for the message
    """
    if overwrite():
        return
    taken = [name for name in names if exists(name, element)]
    if taken:
        raise InputError(
            _("Map <{}> already exists").format(taken[0]),
            then=_("Use --overwrite to replace it, or choose another {}=.").format(option),
        )


def map_grid(name: str, res_m: int = RES_M) -> Grid:
    """Return the extent of a raster map as a Grid; raise GridError where the map is off the grid."""
    info = gs.raster_info(name)
    edges = [info[key] for key in ("west", "south", "east", "north")]
    if (
        abs(info["nsres"] - res_m) > 1e-6
        or abs(info["ewres"] - res_m) > 1e-6
        or any(abs(e - round(e / res_m) * res_m) > 1e-6 for e in edges)
    ):
        raise GridError(
            _("Map <{}>").format(name),
            found=_("cells of {:g} x {:g} m from west {:.10g}, north {:.10g}").format(
                info["ewres"], info["nsres"], edges[0], edges[3]
            ),
            expected=_("{} m cells at multiples of {} m").format(res_m, res_m),
            then=_("Resample it onto the grid with r.resamp.stats or r.resamp.interp."),
        )
    return Grid(*(round(edge) for edge in edges), res_m)


def read_cells(name: str, grid: Grid, nodata: int = 0) -> np.ndarray:
    """Read an integer raster map on `grid`.

    nodata : int, value that stands for NULL and for cells outside the map
    Returns: array (row, col), int32; GRASS samples the nearest cell where the map has another resolution
    """
    raw = read_bytes("r.out.bin", grid, flags="i", input=name, output="-", bytes=4, null=nodata)
    return np.frombuffer(raw, dtype="<i4").reshape(grid.shape)


def mapcalc(expressions: Mapping[str, str], grid: Grid) -> None:
    """Run expressions in one call of r.mapcalc.

    expressions : map to the expression that makes it. No expression may read a map that the same call makes.

    r.mapcalc ends with status 0 where an expression other than the last fails, and then leaves an older map of that name. So the maps
    are removed first and must exist afterwards.
    """
    if not expressions:
        return
    if overwrite():
        remove(expressions)
    run("r.mapcalc", grid=grid, file="-", stdin="\n".join(expressions.values()) + "\n")
    made = list_rasters("*")
    missing = [name for name in expressions if name not in made]
    if missing:
        raise InputError(
            _("GRASS tool <r.mapcalc> did not make map <{}>").format(missing[0]),
            then=_("Read its message above."),
        )


_CELLS = {"i4": ("i", "0"), "f4": ("f", "nan"), "f8": ("f", "nan")}
"""Type of cells to the flag of r.out.bin and what it writes for NULL."""


def read_maps(
    wanted: Iterable[tuple[str, str]], grid: Grid, rows: int, *, masked: bool = True
) -> Iterator[tuple[Grid, dict[tuple[str, str], np.ndarray]]]:
    """Read maps side by side in strips of at most `rows` rows, from north to south. Each map is read by one process, which waits for the next strip.

    wanted : maps, each with the type of its cells: i4 for integer maps, 0 = NULL; f4 or f8 for maps of any type, NaN = NULL
    masked : whether a mask of the user applies; without it, maps must be named with their mapset
    Yields: the grid of the strip; and map and type to array (row, col)
    """
    # A linked map is read by GDAL, whose cache would otherwise grow to a share of the memory for each map. A row of its tiles must fit.
    env: Mapping[str, str] = {**environment(grid), "GDAL_CACHEMAX": str(16 + grid.width // 500)}
    with contextlib.ExitStack() as stack:
        if not masked and has_mask():
            env = stack.enter_context(unmasked(dict(env)))
        streams = {key: stack.enter_context(_open_cells(*key, env)) for key in dict.fromkeys(wanted)}
        for strip in grid.parts(rows):
            yield strip, {(name, dtype): _next_cells(name, one, strip, dtype) for (name, dtype), one in streams.items()}


def read_strips(
    codes: Sequence[str], values: Sequence[str], grid: Grid, rows: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read maps as `read_maps` does, in two arrays.

    codes, values : integer maps, and maps of any type to read as floating-point
    Yields: array (map, row, col), int32, 0 = NULL; array (map, row, col), float32, NaN = NULL
    """
    kinds = (codes, "i4"), (values, "f4")
    for strip, found in read_maps([(name, dtype) for names, dtype in kinds for name in names], grid, rows):
        first, second = (
            np.array([found[name, dtype] for name in names], dtype).reshape(len(names), *strip.shape)
            for names, dtype in kinds
        )
        yield first, second


@contextlib.contextmanager
def _open_cells(name: str, dtype: str, env: Mapping[str, str]) -> Iterator[IO[bytes]]:
    """Start to write the cells of a map to a pipe."""
    flag, null = _CELLS[dtype]
    process = gs.pipe_command(
        "r.out.bin", quiet=True, env=env, flags=flag, input=name, output="-", bytes=int(dtype[1]), null=null
    )
    try:
        yield process.stdout
    finally:
        process.terminate()
        process.communicate()


def _next_cells(name: str, stream: IO[bytes], strip: Grid, dtype: str) -> np.ndarray:
    size = int(dtype[1]) * strip.height * strip.width
    raw = stream.read(size)
    if len(raw) < size:
        raise unreadable(name)
    return np.frombuffer(raw, f"<{dtype}").reshape(strip.shape)


def import_tiff(path: Path, name: str, *, link: bool = False, replace: bool = False) -> None:
    """Bring a GeoTIFF on the grid into the current mapset: a copy, or a link to the file.

    replace : bool, overwrite even without --overwrite; for temporary names
    """
    run("r.external" if link else "r.in.gdal", input=str(path), output=name, overwrite=(replace or overwrite()) or None)


def import_bands(path: Path, output: str, dtype: str, bands: int, grid: Grid) -> None:
    """Import a file of bare numbers on `grid`, with one band after the other: 0 is NULL in maps of whole numbers, NaN in others.

    output : name of the map, if there is one band; else the maps are numbered from <output>1 on, with as many digits as `bands` has
    dtype : uint8, uint16 or float32
    """
    kind = np.dtype(dtype)
    run(
        "r.in.bin", input=str(path), output=output, flags="f" if kind.kind == "f" else "", bytes=kind.itemsize, bands=bands,
        anull="nan" if kind.kind == "f" else 0, overwrite=True, north=grid.north, south=grid.south, east=grid.east, west=grid.west,
        rows=grid.height, cols=grid.width,
    )  # fmt: skip


def link_file(path: Path, name: str) -> None:
    """Link a raster file as a map; the file stays where it is."""
    run("r.external", input=str(path), output=name, overwrite=True)


def rename(names: Mapping[str, str], element: str = "raster") -> None:
    """Rename maps of the current mapset, in this order and in one call; existing maps of the new names are replaced.

    names : old name to new name
    For maps that get their final names there is `give_names`.
    """
    if names:
        pairs = ",".join(f"{old},{new}" for old, new in names.items())
        run("g.rename", overwrite=True, **{element: pairs})


_ELEMENTS = ("cellhd", "cats", "colr", "hist", "cell_misc", "fcell", "cell")
"""Folders of a mapset with a file or folder for each raster map; the last two hold its cells, and by its file in the last one GRASS finds it."""


def give_names(names: Mapping[str, str]) -> None:
    """Give raster maps of the current mapset their final names, in this order; existing maps of these names are replaced.

    names : old name to new name; nothing may refer to a map by its old name
    A map is complete as soon as it is found under its new name. g.rename begins with the file by which a map is found, and a run that is killed
    while it works leaves a map without history, provenance and range.
    """
    remove(names.values())
    folder = mapset_folder()
    for old, new in names.items():
        for element in _ELEMENTS:
            source, target = folder / element / old, folder / element / new
            # Left by a run that was killed at this point.
            if target.is_dir():
                remove_folder(target)
            else:
                target.unlink(missing_ok=True)
            if source.exists() or element == "cell":
                source.rename(target)


def mosaic(parts: Sequence[str], name: str, *, replace: bool = False) -> None:
    """Join maps into a virtual map (r.buildvrt), or name a single one; where maps overlap, the last that is not NULL counts."""
    overwriting = (replace or overwrite()) or None
    if len(parts) > 1:
        run("r.buildvrt", input=",".join(parts), output=name, overwrite=overwriting)
    else:
        run("g.rename", raster=f"{parts[0]},{name}", overwrite=overwriting)


def import_polygons(features: Sequence[Mapping[str, Any]], name: str) -> None:
    """Bring GeoJSON features, with coordinates in metres of EPSG:3035, into the current mapset as a vector map."""
    path = temporary_folder() / f"polygons_{os.getpid()}.geojson"
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{EPSG}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": list(features)}), encoding="utf-8")
    try:
        run("v.in.ogr", input=str(path), output=name, flags="o", overwrite=overwrite() or None)
    finally:
        path.unlink()


def write_geopackage(path: Path, layers: Mapping[str, Sequence[Mapping[str, Any]]], columns: Mapping[str, str]) -> None:
    """Write GeoJSON features, with coordinates in metres of EPSG:3035, as the layers of a new GeoPackage.

    columns : name to SQL type of further columns, which are empty
    """
    flags = ""
    for layer, features in layers.items():
        name = temporary_name(layer)
        try:
            import_polygons(features, name)
            if columns:
                run(
                    "v.db.addcolumn", map=name, columns=",".join(f"{column} {kind}" for column, kind in columns.items())
                )
            kind = str(features[0]["geometry"]["type"]).lower().replace("polygon", "area")
            # Without overwrite, the tool refuses to add a layer to a file that exists.
            run(
                "v.out.ogr", flags=flags, input=name, type=kind, output=str(path), format="GPKG", output_layer=layer,
                overwrite=bool(flags) or None,
            )  # fmt: skip
        finally:
            remove([name], "vector")
        flags = "u"


def read_points(name: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield x, y in metres, and the texts of columns, of each point of a vector map; raise InputError where it has no such column."""
    have = (
        {line.split("|")[1] for line in read("v.info", map=name, flags="c").splitlines() if "|" in line}
        if columns
        else set()
    )
    missing = [column for column in columns if column not in have]
    if missing:
        raise InputError(
            _("Vector map <{}>").format(name),
            found=_("no column {}").format(missing[0]),
            expected=_("one of {}").format(", ".join(sorted(have))),
            then=_("Correct option <stock_columns>."),
        )
    given = {"columns": ",".join(columns)} if columns else {}
    text = read("v.out.ascii", input=name, type="point", format="point", separator="pipe", **given)
    for line in text.splitlines():
        x, y, *words = line.split("|")
        # The category comes before the columns.
        yield float(x), float(y), *(words[1:] if columns else ())


def vector_area(name: str) -> tuple[Grid, np.ndarray]:
    """Return the grid around the areas of a vector map, and a coarse mask of these areas.

    Returns: (grid, array (row, col) of bool with at most some 200 cells a side over the grid)
    """
    check_projection()
    full = find_map(name, option="area", element="vector")
    info = gs.vector_info(full)
    if not info["areas"]:
        raise InputError(
            _("Vector map <{}> has no areas").format(name),
            then=_("Make them with v.centroids or v.type."),
        )
    grid = snap_out(*(float(info[key]) for key in ("west", "south", "east", "north")))
    step = max(1, -(-max(grid.shape) // 200))
    coarse = Grid(*grid.bounds, RES_M)
    coarse = Grid(*coarse.snapped_out(step).bounds, RES_M * step)
    remove_abandoned("fetch_area")
    raster = temporary_name("fetch_area")
    mask = np.zeros(coarse.shape, bool)
    # Cell centres miss what is narrower or smaller than a cell: the boundary and the centroid add that.
    for kind, flags in (("area", ""), ("boundary", "d"), ("centroid", "")):
        try:
            run("v.to.rast", grid=coarse, flags=flags, input=full, type=kind, output=raster, use="val", value=1)
            mask |= read_cells(raster, coarse) == 1
        finally:
            remove([raster])
    return Grid(*coarse.bounds, RES_M), mask


def command_line() -> str:
    """Return the command line of the running tool without secrets, as GRASS's parser gives it; empty outside of a tool."""
    line = " ".join(os.environ.get("CMDLINE", "").split())
    program, space, rest = line.partition(" ")
    return command_without_secrets(
        f"{Path(program).stem if program.endswith('.py') else Path(program).name}{space}{rest}"
    )


def describe(
    name: str,
    *,
    title: str,
    history: str,
    provenance: Provenance | None = None,
    units: str | None = None,
    semantic_label: str | None = None,
    sources: Sequence[str] = (),
) -> None:
    """Write title, history, units and semantic label of a map, and its provenance as JSON beside its metadata.

    history : what the map was made from; the command line of the tool is added, without secrets
    """
    # A history file replaces the generic line of the tool that made the map; lines of 80 are what r.info shows in full.
    text = temporary_folder() / f"history_{os.getpid()}_{name}.txt"
    parts = [f"{history} (r.impervious {__version__})", command_line()]
    lines = [line for part in parts for line in textwrap.wrap(part, 76)]
    parameters: dict[str, Any] = {"map": name, "title": title, "loadhistory": str(text)}
    if units:
        parameters["units"] = units
    if semantic_label:
        parameters["semantic_label"] = semantic_label
    if sources:
        parameters["source1"] = " ".join(sources)[:200]
    try:
        with naming(text):
            text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        run("r.support", **parameters)
    finally:
        text.unlink(missing_ok=True)
    if provenance is not None:
        path = mapset_folder() / "cell_misc" / name / _PROVENANCE
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            path.write_text(json.dumps(provenance.to_json(), indent=1, sort_keys=True), encoding="utf-8")


def read_provenance(name: str) -> Provenance | None:
    """Return what `describe` wrote for a map in any mapset; None where the suite did not make the map."""
    found = gs.find_file(name, element="cell")
    path = mapset_folder().with_name(found["mapset"]) / "cell_misc" / found["name"] / _PROVENANCE
    return parse_provenance(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def read_title(name: str) -> str:
    """Return the title of a raster map; empty where it has none."""
    return gs.raster_info(name)["title"].strip('"')


def style_classes(names: Sequence[str], threads: int = 1) -> None:
    """Give class maps their categories and colours. threads : maps at a time, as `do_each` takes them"""
    titles = "".join(f"{c.code}|{c.title}\n" for c in CLASSES)
    do_each(lambda name: run("r.category", map=name, separator="pipe", rules="-", stdin=titles), names, threads)
    colour(names, "".join(f"{c.code} {c.colour[0]}:{c.colour[1]}:{c.colour[2]}\n" for c in CLASSES))


def colour(names: Sequence[str], rules: str) -> None:
    """Give maps a colour table, in one call. rules : lines as r.colors reads them"""
    if names:
        run("r.colors", map=",".join(names), rules="-", stdin=rules)


def list_rasters(pattern: str) -> set[str]:
    """Return the names of raster maps of the current mapset that match a pattern with * and ?."""
    return set(gs.list_grouped("raster", pattern=pattern).get(mapset_folder().name, []))


def search_rasters(pattern: str) -> list[str]:
    """Return the names of raster maps of all mapsets on the search path that match a pattern with * and ?."""
    return sorted({name for names in gs.list_grouped("raster", pattern=pattern).values() for name in names})


def holds_integers(name: str) -> bool:
    """Tell whether a raster is an integer map."""
    return str(gs.raster_info(name)["datatype"]) == "CELL"


def codes(name: str, grid: Grid, *, alternative: str = "") -> list[int]:
    """Return the codes that an integer map has within a grid, ascending; raise InputError if it is not an integer map.

    alternative : what else the user can do about such a map, a sentence for the message
    """
    if not holds_integers(name):
        raise InputError(
            _("Map <{}>").format(name),
            found=_("cells of type {}").format(gs.raster_info(name)["datatype"]),
            expected=_("an integer map (CELL)"),
            then=_("Make whole numbers with r.mapcalc and int(). {}").format(alternative).rstrip(),
        )
    # The region is aligned to the map, so that every pixel of the map is read, whatever its size.
    env = os.environ.copy()
    env["GRASS_REGION"] = gs.region_env(align=name, n=grid.north, s=grid.south, e=grid.east, w=grid.west)
    return sorted(int(word) for word in gs.read_command("r.stats", env=env, flags="n", input=name, quiet=True).split())


def count_codes(name: str, grid: Grid) -> dict[int, int]:
    """Count the cells of each code of an integer map within a grid, whatever mask is set."""
    lines = read("r.stats", grid=grid, masked=False, flags="cn", input=name, separator="comma").splitlines()
    return {int(code): int(cells) for code, cells in (line.split(",") for line in lines)}


def is_aligned(name: str, res_m: int) -> bool:
    """Tell whether a map's pixels measure a multiple of `res_m` metres and their edges lie at multiples of their own size."""
    info = gs.raster_info(name)
    sizes = (info["ewres"], info["nsres"])
    return all(abs(size - round(size)) < 1e-6 and round(size) % res_m == 0 for size in sizes) and all(
        abs(edge - round(edge / size) * size) < 1e-6
        for edge, size in ((info["west"], sizes[0]), (info["north"], sizes[1]))
    )


def cell_size(name: str) -> float:
    """Return the smaller side of a map's cells in metres."""
    info = gs.raster_info(name)
    return float(min(info["nsres"], info["ewres"]))
