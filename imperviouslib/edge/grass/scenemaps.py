"""Scenes as maps: thousands of files, linked or imported, each with title, history, semantic label and colours."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core.bands import SCL, semantic_label
from imperviouslib.edge.grass.calls import percent, run
from imperviouslib.edge.grass.maps import describe, import_tiff, link_file
from imperviouslib.edge.grass.place import mapset_folder, read_header
from imperviouslib.edge.grass.workspace import linked_file

_SCL_COLOURS = (
    "1 255:0:0\n2 47:47:47\n3 100:50:0\n4 0:160:0\n5 255:230:90\n6 0:0:255\n7 128:128:128\n8 192:192:192\n9 255:255:255\n"
    "10 100:200:255\n11 255:150:255\n"
)
"""The usual colours of the scene classes."""


@dataclass(frozen=True)
class SceneMap:
    """A raster file of a scene, and the name and metadata of its map."""

    path: Path
    name: str
    title: str
    history: str
    semantic_label: str
    bounds: tuple[int, int, int, int]
    """Extent of the file: (west, south, east, north) in metres."""


def outdated(scenes: Sequence[SceneMap], *, link: bool) -> list[SceneMap]:
    """Return the scenes that have no map in the current mapset, or one that does not match the file as it is now.

    A linked map keeps its old extent when its file is replaced by one of another extent. Where links are wanted, an imported copy
    also counts as a match, if the file is not newer. The check looks at three small files per map, because a GRASS call for each of thousands of
    maps would take minutes.
    """
    mapset = mapset_folder()

    def is_current(scene: SceneMap) -> bool:
        header = mapset / "cellhd" / scene.name
        found, target = read_header(header), linked_file(mapset, scene.name)
        try:
            same = tuple(float(found[edge]) for edge in ("west", "south", "east", "north")) == scene.bounds
            # Colours come last: without them a run was stopped before it had described the map.
            if not (mapset / "colr" / scene.name).exists():
                return False
            if target is None:
                return same and header.stat().st_mtime >= scene.path.stat().st_mtime
        except (KeyError, ValueError, OSError):
            return False
        return same and link and target == str(scene.path)

    return [scene for scene in scenes if not is_current(scene)]


def import_scenes(scenes: Sequence[SceneMap], nprocs: int, *, link: bool) -> None:
    """Link or import the files of scenes, with title, history, semantic label and colours."""
    mapset = mapset_folder()
    present = [p.name for p in scenes if (mapset / "cellhd" / p.name).exists()]
    # GRASS would still read a copy through the link of the map that it replaces.
    others = [name for name in present if (linked_file(mapset, name) is not None) != link]
    for start in range(0, len(others), 500):
        run("g.remove", type="raster", name=",".join(others[start : start + 500]), flags="f")

    def import_one(scene: SceneMap) -> None:
        if link:
            link_file(scene.path, scene.name)
        else:
            import_tiff(scene.path, scene.name, replace=True)
        describe(scene.name, title=scene.title, history=scene.history, semantic_label=scene.semantic_label)

    # Each map takes two short GRASS calls, which mostly wait for their start: several run at once.
    with ThreadPoolExecutor(max(2, nprocs)) as threads:
        for number, _done in enumerate(threads.map(import_one, scenes), start=1):
            percent(number, len(scenes))
    classes = [p.name for p in scenes if p.semantic_label == semantic_label(SCL)]
    bands = [p.name for p in scenes if p.semantic_label != semantic_label(SCL)]
    for names, rules in ((bands, "0 black\n4000 white\n65535 white\n"), (classes, _SCL_COLOURS)):
        # The length of a command line is limited.
        for start in range(0, len(names), 500):
            run("r.colors", map=",".join(names[start : start + 500]), rules="-", stdin=rules)
