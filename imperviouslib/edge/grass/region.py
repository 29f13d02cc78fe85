"""The current region, its projection and the user's mask. None of them is ever changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import grass.script as gs

from imperviouslib.core.errors import GridError, _
from imperviouslib.core.grid import EPSG, RES_M, Grid, is_grid_projection
from imperviouslib.edge.grass.place import mapset_folder


@contextlib.contextmanager
def unmasked(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield an environment without a mask. The mask itself is not touched, so a killed run leaves it in place.

    GRASS looks for a mask in the current mapset only. This environment names an empty mapset, with links to the real ones beside it.
    Its folder lies outside of GRASS's temporary files, because GRASS might follow the links when it cleans these up.
    """
    mapset = mapset_folder().absolute()
    location = mapset.parent
    with tempfile.TemporaryDirectory(prefix="impervious_") as folder:
        empty = Path(folder, location.name, f"{mapset.name}_unmasked")
        empty.mkdir(parents=True)
        shutil.copy(mapset / "WIND", empty)
        for name in {"PERMANENT", mapset.name}:
            empty.with_name(name).symlink_to(location / name)
        session = Path(folder, "rc")
        session.write_text(
            f"GISDBASE: {folder}\nLOCATION_NAME: {location.name}\nMAPSET: {empty.name}\nGUI: text\n", encoding="utf-8"
        )
        yield {**{key: value for key, value in env.items() if key != "GRASS_MASK"}, "GISRC": str(session)}


def mask_name() -> str:
    """Return the name of the map that hides cells: GRASS 8.4 reads another one than MASK from the environment."""
    return os.environ.get("GRASS_MASK") or "MASK"


def has_mask() -> bool:
    """Tell whether a raster mask of the user hides cells."""
    name, _at, mapset = mask_name().partition("@")
    here = mapset_folder()
    return (here.with_name(mapset or here.name) / "cell" / name).exists()


def region_grid(res_m: int = RES_M) -> Grid:
    """Return the current region as a Grid; raise GridError if it is not in EPSG:3035 or not on the grid."""
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
            found=_("edges {}").format(" ".join(f"{edge:g}" for edge in edges)),
            expected=_("multiples of {} m").format(res_m),
            then=_("Align it with g.region -a res={}.").format(res_m),
        )
    return Grid(*(int(edge) for edge in edges), res_m)


def has_grid_region() -> bool:
    """Tell whether the current region lies on the grid, in EPSG:3035."""
    try:
        region_grid()
    except GridError:
        return False
    return True


def check_projection() -> None:
    """Raise GridError unless the location is EPSG:3035."""
    info = gs.parse_command("g.proj", flags="g")
    if not is_grid_projection(info):
        raise GridError(
            _("Location <{}>").format(gs.gisenv()["LOCATION_NAME"]),
            found=info.get("srid") or info.get("name") or _("another projection"),
            expected=_("EPSG:{}").format(EPSG),
            then=_("Create one with grass -c EPSG:{} -e DIR/NAME and start the tool there.").format(EPSG),
        )
