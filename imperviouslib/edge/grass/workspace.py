"""Locks between runs, temporary names and folders in the mapset, and removal of what killed runs left behind."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import grass.script as gs

from imperviouslib.edge.files import exclusive_lock, remove_folder
from imperviouslib.edge.grass.calls import run
from imperviouslib.edge.grass.place import mapset_folder, read_header

_ONE_AT_A_TIME = threading.Lock()
_folders: dict[tuple[str, int], Path] = {}
"""The temporary folder of each session and process: GRASS starts a process to make one."""


def temporary_folder() -> Path:
    """Return a folder for files of this process within the mapset, removed by GRASS when the session ends."""
    key = os.environ["GISRC"], os.getpid()
    # GRASS numbers these folders by process only, so two threads must not ask for one at the same time.
    with _ONE_AT_A_TIME:
        if key not in _folders or not _folders[key].is_dir():
            _folders[key] = Path(gs.tempdir())
        return _folders[key]


def shared_folder() -> Path:
    """Return the folder for temporary files that all processes of this mapset share."""
    return temporary_folder().parent


def temporary_name(stem: str) -> str:
    """Return a map name that no other process uses; remove the map with `remove` when done."""
    return gs.append_node_pid(stem)


def _runs(process: str) -> bool:
    """Tell whether a process of this machine still runs. One that has ended, and that its parent has not noticed yet, does not."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _abandoned(names: Iterable[str], stem: str) -> list[str]:
    """Return the temporary names under `stem` whose process no longer runs on this machine.

    Some have an ending: `_<number>` are the bands of one file, and v.rast.stats names its temporary raster after the map it reads, followed
    by `_<process>.<number>`.
    """
    ending = temporary_name("").removesuffix(str(os.getpid()))
    pattern = re.compile(re.escape(stem) + ".*" + re.escape(ending) + r"(\d+)(?:_\d*(?:\.\d+)?)?")
    found = (pattern.fullmatch(name) for name in names)
    return [match[0] for match in found if match and not _runs(match[1])]


def remove_abandoned(stem: str) -> None:
    """Remove the temporary maps under `stem`, and the temporary folders, that killed runs left: their process no longer runs on this machine."""
    _remove_abandoned_folders()
    for element in ("raster", "vector"):
        listed = gs.list_grouped(element, pattern=f"{stem}*").get(mapset_folder().name, [])
        gone = _abandoned(listed, stem)
        for name in gone:
            # A run killed while it began a vector map leaves a folder that g.remove cannot read.
            if element == "vector" and not (_vector_folder(name) / "head").is_file():
                remove_folder(_vector_folder(name))
        remove(gone, element)


def _remove_abandoned_folders() -> None:
    """Remove the temporary folders of killed runs. GRASS removes files there, but no folders, and one may hold as much as all maps of a run."""
    for folder in shared_folder().iterdir():
        process = re.fullmatch(r"(\d+)\.\d+", folder.name)
        if process and folder.is_dir() and not _runs(process[1]):
            remove_folder(folder)


def _vector_folder(name: str) -> Path:
    """Return the folder of a vector map of the current mapset."""
    return mapset_folder() / "vector" / name


def linked_folder() -> Path:
    """Return a folder within the mapset for GeoTIFFs that maps are linked to; it stays as long as the mapset."""
    folder = mapset_folder() / _LINKED
    folder.mkdir(exist_ok=True)
    return folder


_LINKED = "linked"


@contextlib.contextmanager
def lock_maps(prefix: str) -> Iterator[None]:
    """Lock the maps `<prefix>_*` of the current mapset for this process; raise InputError if another run holds them."""
    with exclusive_lock(shared_folder() / f"writing_{prefix}", f"Maps <{prefix}_*>"):
        yield


@contextlib.contextmanager
def lock_vector(name: str) -> Iterator[None]:
    """Lock a vector map of the current mapset for this process; raise InputError if another run holds it."""
    with exclusive_lock(shared_folder() / f"vector_{name}", f"Vector map <{name}>"):
        yield


def remove_superseded(names: Iterable[str]) -> None:
    """Remove linked files of these maps that no map of the mapset uses any more.

    Such files belonged to earlier maps of the same names, or to killed runs. A map that was renamed keeps its file.
    """
    mapset, folder = mapset_folder(), mapset_folder() / _LINKED
    if not folder.is_dir():
        return
    # Resolved, because a mapset can be reached by several paths and each map stores the path it was linked by.
    targets = (linked_file(mapset, metadata.name) for metadata in mapset.glob("cell_misc/*"))
    linked = {Path(target).resolve() for target in targets if target}
    for name in names:
        for pattern in (f"{name}.tif", f"{name}.????????.tif", f".{name}.*part.tif"):
            for path in folder.glob(pattern):
                if path.resolve() not in linked:
                    path.unlink(missing_ok=True)


def exists(name: str, element: str = "raster") -> bool:
    """Tell whether a map exists in the current mapset, the only one written to."""
    return (mapset_folder() / {"raster": "cell"}.get(element, element) / name.partition("@")[0]).exists()


def remove(names: Iterable[str], element: str = "raster") -> None:
    """Remove maps of the current mapset that exist."""
    present = [name for name in names if exists(name, element)]
    if present:
        run("g.remove", type=element, name=",".join(present), flags="f")


def linked_file(mapset: Path, name: str) -> str | None:
    """Return the file to which a map is linked, or None."""
    return read_header(mapset / "cell_misc" / name / "gdal").get("file")
