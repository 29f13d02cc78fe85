"""The GRASS database: region, maps, their metadata, messages. Only the session's own process uses this file.

The user's region and mask are never changed: every call that reads or writes cells gets its own region by environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grass.script as gs
import numpy as np
from grass.exceptions import CalledModuleError

from imperviouslib import __version__
from imperviouslib.core.errors import GridError, InputError, _
from imperviouslib.core.grid import EPSG, RES_M, Grid, snap_out
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.files import alone, remove_folder

message = gs.message
verbose = gs.verbose
warning = gs.warning

_PROVENANCE = "impervious.json"
_LINKED = "linked"
_ONE_AT_A_TIME = threading.Lock()
TEMPORAL_S, TEMPORAL_TRIES = 60.0, 3
"""How long a temporal tool may take (they take one to two seconds; registering is given a second more a map), and how often it is tried."""


def percent(done: int, total: int) -> None:
    """Show progress, also at the very end."""
    gs.percent(done, max(total, 1), 1)


def overwrite() -> bool:
    """Tell whether the user allowed existing maps to be replaced (--overwrite or GRASS_OVERWRITE)."""
    return gs.overwrite() or os.environ.get("GRASS_OVERWRITE") == "1"


def region_grid(res_m: int = RES_M) -> Grid:
    """Return the current region as a Grid; raise GridError where it is not EPSG:3035 or off the grid."""
    check_projection()
    region = gs.region()
    if any(abs(region[key] - res_m) > 1e-9 for key in ("nsres", "ewres")):
        raise GridError(
            _("Current region"),
            found=_("cells of {:g} x {:g} m").format(region["ewres"], region["nsres"]),
            expected=f"{res_m} x {res_m} m",
            then=_("Set it with g.region -a res={}.").format(res_m),
        )
    edges = [region[key] for key in ("w", "s", "e", "n")]
    if any(edge % res_m for edge in edges):
        raise GridError(
            _("Current region"),
            found=_("edges ") + " ".join(f"{edge:g}" for edge in edges),
            expected=_("multiples of {} m").format(res_m),
            then=_("Align it with g.region -a res={}.").format(res_m),
        )
    return Grid(*(int(edge) for edge in edges), res_m)


def check_projection() -> None:
    """Raise GridError unless the location is EPSG:3035."""
    info = gs.parse_command("g.proj", flags="g")
    # An own definition of the same projection carries no code, so the parameters decide where the code is missing.
    same = (
        info.get("srid", "").upper() == f"EPSG:{EPSG}"
        or info.get("epsg") == str(EPSG)
        or (
            info.get("proj") == "laea"
            and all(
                abs(float(info.get(key, "nan")) - value) < 1e-6
                for key, value in {"lat_0": 52, "lon_0": 10, "x_0": 4321000, "y_0": 3210000}.items()
            )
        )
    )
    if not same:
        raise GridError(
            _("Location <{}>").format(gs.gisenv()["LOCATION_NAME"]),
            found=info.get("srid") or info.get("name") or "another projection",
            expected=_("EPSG:{}").format(EPSG),
            then=_("Create one with grass -c EPSG:{} -e DIR/NAME and start the tool there.").format(EPSG),
        )


def environment(grid: Grid) -> dict[str, str]:
    """Return the environment of a GRASS call that shall work on `grid` and nowhere else; a mask of the user holds."""
    env = os.environ.copy()
    env["GRASS_REGION"] = gs.region_env(
        n=grid.north, s=grid.south, e=grid.east, w=grid.west, nsres=grid.res_m, ewres=grid.res_m
    )
    return env


def run(tool: str, *, grid: Grid | None = None, stdin: str | None = None, **options: Any) -> None:
    """Run a GRASS tool quietly on `grid` (else the current region); raise CalledModuleError where it fails."""
    env = environment(grid) if grid else os.environ.copy()
    options.setdefault("quiet", True)
    if stdin is None:
        gs.run_command(tool, env=env, **options)
    else:
        gs.write_command(tool, stdin=stdin, env=env, **options)


def read(tool: str, *, grid: Grid | None = None, masked: bool = True, **options: Any) -> str:
    """Run a GRASS tool and return what it prints.

    masked : bool, whether a mask of the user holds; where it does not, maps must be named with their mapset
    """
    options.setdefault("quiet", True)
    env = environment(grid) if grid else os.environ.copy()
    with contextlib.nullcontext(env) if masked or not exists("MASK") else _unmasked(env) as env:
        return gs.read_command(tool, env=env, **options)


@contextlib.contextmanager
def _unmasked(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give an environment in which no mask holds. The mask itself is not touched, so a run that is killed leaves it set.

    GRASS looks for a mask in the current mapset alone: here that is an empty one, with links to the real ones beside it. Their folder
    is not among GRASS's temporary files, whose clearing away might follow the links.
    """
    here = gs.gisenv()
    location = Path(here["GISDBASE"], here["LOCATION_NAME"]).absolute()
    with tempfile.TemporaryDirectory(prefix="impervious_") as folder:
        empty = Path(folder, location.name, f"{here['MAPSET']}_unmasked")
        empty.mkdir(parents=True)
        shutil.copy(location / here["MAPSET"] / "WIND", empty)
        for mapset in {"PERMANENT", here["MAPSET"]}:
            empty.with_name(mapset).symlink_to(location / mapset)
        session = Path(folder, "rc")
        session.write_text(
            f"GISDBASE: {folder}\nLOCATION_NAME: {location.name}\nMAPSET: {empty.name}\nGUI: text\n", encoding="utf-8"
        )
        yield {**env, "GISRC": str(session)}


def find_map(
    name: str, *, option: str = "input", element: str = "raster", then: str = "Check the name with g.list."
) -> str:
    """Return the full name (map@mapset) of an existing map, or raise InputError."""
    found = gs.find_file(name, element={"raster": "cell"}.get(element, element))
    if not found.get("file"):
        raise InputError(
            _("Option <{}>").format(option),
            found=_("no {} map <{}>").format(element, name),
            expected=_("an existing map"),
            then=then,
        )
    return found["fullname"]


def exists(name: str, element: str = "raster") -> bool:
    """Tell whether a map exists in the current mapset, the only one written to."""
    mapset = gs.gisenv()["MAPSET"]
    return bool(gs.find_file(name, element={"raster": "cell"}.get(element, element), mapset=mapset).get("file"))


def check_free(names: Iterable[str], element: str = "raster", option: str = "output") -> None:
    """Raise InputError where an output exists and may not be replaced; `option` is the one that names it."""
    if overwrite():
        return
    taken = [name for name in names if exists(name, element)]
    if taken:
        raise InputError(
            _("Map <{}>").format(taken[0]),
            found=_("that it exists"),
            expected=_("a new name"),
            then=_("Use --overwrite to replace it, or another {}=.").format(option),
        )


def check_prefix(prefix: str, option: str) -> None:
    """Raise InputError where maps cannot be named after a prefix: r.mapcalc takes letters, digits, `_` and `.` only."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", prefix):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{prefix}'",
            expected=_("a name of letters, digits, _ and . that begins with a letter"),
            then=_("Choose such a name."),
        )


def map_name(*parts: str) -> str:
    """Join parts to a map name that r.mapcalc can read: `-` of a period becomes `_`.

    >>> map_name("s2", "2019-06", "B12_p50")
    's2_2019_06_B12_p50'
    """
    return "_".join(part.replace("-", "_") for part in parts)


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
    raw = _pipe("r.out.bin", grid, flags="i", input=name, output="-", bytes=4, null=nodata)
    return np.frombuffer(raw, dtype="<i4").reshape(grid.shape)


def read_values(name: str, grid: Grid) -> np.ndarray:
    """Read a floating-point raster map on `grid`.

    Returns: array (row, col), float64, NaN = NULL
    """
    raw = _pipe("r.out.bin", grid, flags="f", input=name, output="-", bytes=8, null="nan")
    return np.frombuffer(raw, dtype="<f8").reshape(grid.shape)


def _pipe(tool: str, grid: Grid, **options: Any) -> bytes:
    process = gs.pipe_command(tool, quiet=True, env=environment(grid), **options)
    raw = process.communicate()[0]
    if process.returncode:
        raise InputError(
            _("Map <{}>").format(options.get("input")),
            found=_("cells that cannot be read"),
            expected=_("a readable map"),
            then=_("Check it with r.info."),
        )
    return raw


def import_tiff(path: Path, name: str, *, link: bool = False, replace: bool = False) -> None:
    """Bring a GeoTIFF on the grid into the current mapset: a copy, or a link to the file.

    replace : bool, also where the user did not ask for it: for names of our own
    """
    run("r.external" if link else "r.in.gdal", input=str(path), output=name, overwrite=(replace or overwrite()) or None)


def rename(names: Mapping[str, str], element: str = "raster") -> None:
    """Give maps of the current mapset other names, old to new, in this order and in one call; maps of these names are replaced."""
    if names:
        pairs = ",".join(f"{old},{new}" for old, new in names.items())
        run("g.rename", overwrite=True, **{element: pairs})


def import_polygons(features: Sequence[Mapping[str, Any]], name: str) -> None:
    """Bring GeoJSON features, with coordinates in metres of EPSG:3035, into the current mapset as a vector map."""
    path = temporary_folder() / f"polygons_{os.getpid()}.geojson"
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{EPSG}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": list(features)}), encoding="utf-8")
    try:
        run("v.in.ogr", input=str(path), output=name, flags="o", overwrite=overwrite() or None)
    finally:
        path.unlink()


def describe(
    name: str,
    *,
    title: str,
    history: str,
    provenance: Mapping[str, Any] | None = None,
    units: str | None = None,
    semantic_label: str | None = None,
    sources: Sequence[str] = (),
) -> None:
    """Write title, history, units and semantic label of a map, and its provenance as JSON beside its metadata."""
    # A history file replaces the generic line of the tool that made the map; lines of 80 are what r.info shows whole.
    text = temporary_folder() / f"history_{os.getpid()}_{name}.txt"
    text.write_text("\n".join(textwrap.wrap(f"{history} (r.impervious {__version__})", 76)) + "\n", encoding="utf-8")
    options: dict[str, Any] = {"map": name, "title": title, "loadhistory": str(text)}
    if units:
        options["units"] = units
    if semantic_label:
        options["semantic_label"] = semantic_label
    if sources:
        options["source1"] = " ".join(sources)[:200]
    try:
        run("r.support", **options)
    finally:
        text.unlink()
    if provenance is not None:
        path = _metadata_folder(name, gs.gisenv()["MAPSET"]) / _PROVENANCE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(provenance, indent=1, sort_keys=True), encoding="utf-8")


def read_provenance(name: str) -> dict[str, Any]:
    """Return what `describe` wrote for a map in any mapset; empty where the map has none."""
    found = gs.find_file(name, element="cell")
    path = _metadata_folder(found["name"], found["mapset"]) / _PROVENANCE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _metadata_folder(name: str, mapset: str) -> Path:
    env = gs.gisenv()
    return Path(env["GISDBASE"], env["LOCATION_NAME"], mapset, "cell_misc", name)


@dataclass(frozen=True)
class Picture:
    """A raster file of a scene that shall be a map."""

    path: Path
    name: str
    title: str
    history: str
    semantic_label: str
    bounds: tuple[int, int, int, int]
    """Extent of the file: (west, south, east, north) in metres."""


def not_shown(pictures: Sequence[Picture], *, link: bool) -> list[Picture]:
    """Return the pictures that no map of the current mapset shows as the file is now: a map keeps its extent when the file gets another.

    Copies do where links are wanted, as long as the file is not newer. Two short files of the mapset tell of each map, since thousands
    of maps would take minutes with a program each.
    """
    mapset = _mapset_folder()

    def shows(picture: Picture) -> bool:
        header = mapset / "cellhd" / picture.name
        found, target = _lines(header), _link(mapset, picture.name)
        try:
            same = tuple(float(found[edge]) for edge in ("west", "south", "east", "north")) == picture.bounds
            if target is None:
                return same and header.stat().st_mtime >= picture.path.stat().st_mtime
        except (KeyError, ValueError, OSError):
            return False
        return same and link and target == str(picture.path)

    return [picture for picture in pictures if not shows(picture)]


def _mapset_folder() -> Path:
    env = gs.gisenv()
    return Path(env["GISDBASE"], env["LOCATION_NAME"], env["MAPSET"])


def _link(mapset: Path, name: str) -> str | None:
    """Return the file to which a map is linked, or None."""
    return _lines(mapset / "cell_misc" / name / "gdal").get("file")


def _lines(path: Path) -> dict[str, str]:
    """Read a file of lines "key: value"; empty where there is none."""
    try:
        pairs = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in pairs}


def show_scenes(pictures: Sequence[Picture], nprocs: int, *, link: bool) -> None:
    """Bring files of scenes into the current mapset, linked or copied, with title, history, semantic label and colours."""
    mapset = _mapset_folder()
    there = [p.name for p in pictures if (mapset / "cellhd" / p.name).exists()]
    # A copy made over a link would still be read through the link.
    others = [name for name in there if (_link(mapset, name) is not None) != link]
    for start in range(0, len(others), 500):
        run("g.remove", type="raster", name=",".join(others[start : start + 500]), flags="f")

    def show(picture: Picture) -> None:
        if link:
            link_file(picture.path, picture.name)
        else:
            import_tiff(picture.path, picture.name, replace=True)
        describe(picture.name, title=picture.title, history=picture.history, semantic_label=picture.semantic_label)

    # Each map takes two short programs; several at once shorten the wait for their start.
    with ThreadPoolExecutor(max(2, nprocs)) as threads:
        for number, _ in enumerate(threads.map(show, pictures), start=1):
            percent(number, len(pictures))
    classes = [p.name for p in pictures if p.semantic_label == "S2_SCL"]
    bands = [p.name for p in pictures if p.semantic_label != "S2_SCL"]
    for names, rules in ((bands, "0 black\n4000 white\n65535 white\n"), (classes, _SCL_COLOURS)):
        # A command line holds only so many names.
        for start in range(0, len(names), 500):
            run("r.colors", map=",".join(names[start : start + 500]), rules="-", stdin=rules)


_SCL_COLOURS = (
    "1 255:0:0\n2 47:47:47\n3 100:50:0\n4 0:160:0\n5 255:230:90\n6 0:0:255\n7 128:128:128\n8 192:192:192\n9 255:255:255\n"
    "10 100:200:255\n11 255:150:255\n"
)


def vector_area(name: str) -> tuple[Grid, np.ndarray]:
    """Return the grid around the areas of a vector map and where they lie in it.

    Returns: (grid, array (row, col) of bool with at most some 200 cells a side over the grid)
    """
    check_projection()
    full = find_map(name, option="area", element="vector")
    info = gs.vector_info(full)
    if not info["areas"]:
        raise InputError(
            _("Vector map <{}>").format(name),
            found=_("no areas"),
            expected=_("areas"),
            then=_("Make them with v.centroids or v.type."),
        )
    grid = snap_out(*(float(info[key]) for key in ("west", "south", "east", "north")))
    step = max(1, -(-max(grid.shape) // 200))
    coarse = Grid(*grid.bounds, RES_M)
    coarse = Grid(*coarse.snapped_out(step).bounds, RES_M * step)
    remove_abandoned("fetch_area")
    raster = temporary_name("fetch_area")
    mask = np.zeros(coarse.shape, bool)
    # An area is where cell centres lie in it; its outline, densely drawn, adds slivers, its centroid what is smaller than a cell.
    for kind, flags in (("area", ""), ("boundary", "d"), ("centroid", "")):
        try:
            run("v.to.rast", grid=coarse, flags=flags, input=full, type=kind, output=raster, use="val", value=1)
            mask |= read_cells(raster, coarse) == 1
        finally:
            remove([raster])
    return Grid(*coarse.bounds, RES_M), mask


def dress_classes(name: str) -> None:
    """Give a class map its categories and colours."""
    run("r.category", map=name, separator="pipe", rules="-", stdin="".join(f"{c.code}|{c.title}\n" for c in CLASSES))
    colours = "".join(f"{c.code} {c.colour[0]}:{c.colour[1]}:{c.colour[2]}\n" for c in CLASSES)
    run("r.colors", map=name, rules="-", stdin=colours)


def list_rasters(pattern: str) -> set[str]:
    """Return the names of raster maps of the current mapset that match a pattern with * and ?."""
    return set(gs.list_grouped("raster", pattern=pattern).get(gs.gisenv()["MAPSET"], []))


def search_rasters(pattern: str) -> list[str]:
    """Return the names of raster maps of all mapsets on the search path that match a pattern with * and ?."""
    return sorted({name for names in gs.list_grouped("raster", pattern=pattern).values() for name in names})


def has_grid_region() -> bool:
    """Tell whether the current region lies on the grid."""
    try:
        region_grid()
    except GridError:
        return False
    return True


def codes(name: str, grid: Grid) -> list[int]:
    """Return the codes that an integer map has within a grid, ascending; raise InputError where the map is not an integer one."""
    if gs.raster_info(name)["datatype"] != "CELL":
        raise InputError(
            _("Map <{}>").format(name),
            found=_("type {}").format(gs.raster_info(name)["datatype"]),
            expected=_("an integer map (CELL)"),
            then=_("Convert it with r.mapcalc."),
        )
    # Aligned to the map itself, so that each of its pixels within the grid is met, whatever their size.
    env = os.environ.copy()
    env["GRASS_REGION"] = gs.region_env(align=name, n=grid.north, s=grid.south, e=grid.east, w=grid.west)
    return sorted(int(word) for word in gs.read_command("r.stats", env=env, flags="n", input=name, quiet=True).split())


def nests(name: str, res_m: int) -> bool:
    """Tell whether a map's pixels are `res_m` metres, or a multiple of that, and lie at multiples of their own size."""
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


def link_file(path: Path, name: str) -> None:
    """Link a raster file as a map; the file stays where it is."""
    run("r.external", input=str(path), output=name, overwrite=True)


def mosaic(parts: Sequence[str], name: str, *, replace: bool = False) -> None:
    """Join maps into a virtual map (r.buildvrt), or name a single one; where maps overlap, the last that is not NULL counts."""
    overwriting = (replace or overwrite()) or None
    if len(parts) > 1:
        run("r.buildvrt", input=",".join(parts), output=name, overwrite=overwriting)
    else:
        run("g.rename", raster=f"{parts[0]},{name}", overwrite=overwriting)


def remove_superseded(names: Iterable[str]) -> None:
    """Remove the files of these maps in the folder of linked files to which no map of the mapset is linked.

    That is what older maps of the names were linked to, and what killed runs left; a map that was renamed keeps its file.
    """
    mapset, folder = _mapset_folder(), _mapset_folder() / _LINKED
    if not folder.is_dir():
        return
    # Resolved, because a mapset can be reached by several paths and a map keeps the one it was linked by.
    targets = (_link(mapset, metadata.name) for metadata in mapset.glob("cell_misc/*"))
    linked = {Path(target).resolve() for target in targets if target}
    for name in names:
        for pattern in (f"{name}.tif", f"{name}.????????.tif", f".{name}.*part.tif"):
            for path in folder.glob(pattern):
                if path.resolve() not in linked:
                    path.unlink(missing_ok=True)


def has_mask() -> bool:
    """Tell whether a raster mask of the user hides cells."""
    return bool(gs.find_file(os.environ.get("GRASS_MASK", "MASK"), element="cell")["name"])


def renew_registered(lines: Sequence[str]) -> None:
    """Let the temporal database read times and extents of maps again, and the datasets that hold them theirs.

    lines : "name|time", as `register` takes them
    """
    path = temporary_folder() / f"renew_{os.getpid()}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        _patiently(
            lambda: _temporal("t.register", more_s=len(lines), type="raster", file=str(path), overwrite=True),
            "times and extents read again",
        )
    finally:
        path.unlink()


def register(dataset: str, title: str, lines: Sequence[str]) -> None:
    """Register maps in a space-time raster dataset, made where it is not there yet.

    lines : `map|start time`, or `map|start time|end time`; maps that are registered at that time already keep their place
    """
    if lines:
        _patiently(lambda: _register(dataset, title, lines), f"maps registered in <{dataset}>")


def _patiently(work: Callable[[], object], expected: str) -> None:
    """Do something with the mapset's temporal database, which takes one writer at a time; what does not end is tried again."""
    with alone(_shared_folder() / "registering", "Temporal database", wait=True):
        for _attempt in range(TEMPORAL_TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                work()
                return
    raise InputError(
        _("Temporal database"),
        found=_("GRASS tools that did not end"),
        expected=_("{} within {:g} s").format(expected, TEMPORAL_S),
        then=_("Run it again: all maps are there, and those registered keep their place."),
    )


def _register(dataset: str, title: str, lines: Sequence[str]) -> None:
    # Another mapset on the search path may have one of the same name; ours is in the current one.
    mapset = gs.gisenv()["MAPSET"]
    listed = _temporal("t.list", type="strds", columns="name,mapset")
    present = {tuple(line.split("|")) for line in listed.splitlines()}
    if (dataset, mapset) not in present:
        _temporal("t.create", type="strds", temporaltype="absolute", output=dataset, title=title, description=title)
    # An empty dataset is an error to t.rast.list; it has no maps, and that is all that counts here.
    listed = _temporal(
        "t.rast.list",
        may_fail=True,
        input=f"{dataset}@{mapset}",
        columns="name,start_time,end_time",
        separator="pipe",
        flags="u",
    )
    known = {_time_key(line) for line in listed.splitlines()}
    lines = [line for line in lines if _time_key(line) not in known]
    if not lines:
        return
    path = temporary_folder() / f"register_{os.getpid()}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        _temporal(
            "t.register",
            more_s=len(lines),
            input=f"{dataset}@{mapset}",
            type="raster",
            file=str(path),
            overwrite=True,
        )
    finally:
        path.unlink()


def _time_key(line: str) -> tuple[str, ...]:
    """Return map and times of a line in one form: midnight is written out, and what has no end is an instant."""
    name, *times = line.split("|")
    return name, *(t if len(t) > 10 else f"{t} 00:00:00" for t in times if t not in ("", "None"))


def _temporal(tool: str, *, more_s: float = 0.0, may_fail: bool = False, **options: Any) -> str:
    """Run a temporal tool and return what it prints; raise TimeoutExpired where it does not end, and end it.

    On a busy machine one of some hundreds never ends, its work done: its watcher starts the database's helper anew while Python waits
    for the helper's end. All that is asked here can be asked again.
    """
    # The first call in a mapset makes its temporal database, and warns that there is none.
    env = {**os.environ, "GRASS_VERBOSE": "-1"}
    # A session of its own holds the tool and its helpers, so that all end together, also where this run is told to end.
    process = subprocess.Popen(
        gs.make_command(tool, **options),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=TEMPORAL_S + more_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode and not may_fail:
        sys.stderr.write(err.decode(errors="replace"))
        raise CalledModuleError(tool, f"{tool} {options}", process.returncode, err.decode(errors="replace"))
    return out.decode()


@contextlib.contextmanager
def writing(prefix: str) -> Iterator[None]:
    """Hold the maps `<prefix>_*` of the current mapset for this process; raise InputError where another run writes them now."""
    with alone(_shared_folder() / f"writing_{prefix}", f"Maps <{prefix}_*>"):
        yield


@contextlib.contextmanager
def writing_vector(name: str) -> Iterator[None]:
    """Hold a vector map of the current mapset for this process; raise InputError where another run writes it now."""
    with alone(_shared_folder() / f"vector_{name}", f"Vector map <{name}>"):
        yield


def _shared_folder() -> Path:
    """Return the folder for passing files that all processes of this mapset see."""
    return temporary_folder().parent


def temporary_name(stem: str) -> str:
    """Return a map name that no other process uses; remove the map with `remove` when done."""
    return gs.append_node_pid(stem)


def _abandoned(names: Iterable[str], stem: str) -> list[str]:
    """Return those of `temporary_name`'s names that begin with `stem` and whose process on this machine is gone.

    v.rast.stats names its own temporary raster after the map that it works on, with `_<process>.<number>` behind.
    """
    ending = temporary_name("").removesuffix(str(os.getpid()))
    pattern = re.compile(re.escape(stem) + ".*" + re.escape(ending) + r"(\d+)(?:_\d+\.\d+)?")
    found = (pattern.fullmatch(name) for name in names)
    return [match[0] for match in found if match and not Path("/proc", match[1]).exists()]


def remove_abandoned(stem: str) -> None:
    """Remove temporary maps whose names begin with `stem` and whose process on this machine is gone: killed runs leave them."""
    for element in ("raster", "vector"):
        listed = gs.list_grouped(element, pattern=f"{stem}*").get(gs.gisenv()["MAPSET"], [])
        gone = _abandoned(listed, stem)
        for name in gone:
            # A run killed at the very start of a vector leaves a folder that g.remove cannot read.
            if element == "vector" and not (_vector_folder(name) / "head").is_file():
                remove_folder(_vector_folder(name))
        remove(gone, element)


def _vector_folder(name: str) -> Path:
    """Return the folder of a vector map of the current mapset."""
    return _mapset_folder() / "vector" / name


def remove(names: Iterable[str], element: str = "raster") -> None:
    """Remove maps of the current mapset that exist."""
    present = [name for name in names if exists(name, element)]
    if present:
        run("g.remove", type=element, name=",".join(present), flags="f")


def temporary_folder() -> Path:
    """Return a folder for files of this process within the mapset, removed by GRASS when the session ends."""
    # GRASS numbers these folders by process alone, so two threads must not ask at once.
    with _ONE_AT_A_TIME:
        return Path(gs.tempdir())


def linked_folder() -> Path:
    """Return a folder within the mapset for GeoTIFFs that maps are linked to; it stays as long as the mapset."""
    folder = _mapset_folder() / _LINKED
    folder.mkdir(exist_ok=True)
    return folder
