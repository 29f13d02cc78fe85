"""Calls of GRASS tools, with a region of their own, and messages to the user."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grass.script as gs
from grass.exceptions import CalledModuleError

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.edge.grass.region import has_mask, unmasked

message = gs.message

verbose = gs.verbose

warning = gs.warning


_STEP = 2
"""Steps in which progress is shown, in per cent."""
_shown = -1


def percent(done: int, total: int) -> None:
    """Show progress in steps, also at the very end. Nothing is shown twice, because GRASS starts a process for each line."""
    global _shown
    step = 100 * done // max(total, 1) // _STEP
    if step != _shown and gs.verbosity() > 0:
        gs.percent(step * _STEP, 100, 1)
    # The next work starts again.
    _shown = -1 if done >= total else step


def overwrite() -> bool:
    """Tell whether existing outputs may be replaced (--overwrite or GRASS_OVERWRITE)."""
    return gs.overwrite() or os.environ.get("GRASS_OVERWRITE") == "1"


def environment(grid: Grid) -> dict[str, str]:
    """Return the environment of a GRASS call that works on `grid`; a mask of the user applies."""
    return {**os.environ, "GRASS_REGION": _region(grid, os.environ["GISRC"])}


@functools.lru_cache
def _region(grid: Grid, session: str) -> str:
    """Return the value of GRASS_REGION of a grid in a session. It is kept, because GRASS starts a process to make it."""
    return str(gs.region_env(n=grid.north, s=grid.south, e=grid.east, w=grid.west, nsres=grid.res_m, ewres=grid.res_m))


def run(tool: str, *, grid: Grid | None = None, stdin: str | None = None, **parameters: Any) -> None:
    """Run a GRASS tool quietly on `grid` (else the current region).

    Raises CalledModuleError where it fails, InputError where the disk is full then.
    """
    env = environment(grid) if grid else os.environ.copy()
    parameters.setdefault("quiet", True)
    with telling_of_room(tool):
        if stdin is None:
            gs.run_command(tool, env=env, **parameters)
        else:
            gs.write_command(tool, stdin=stdin, env=env, **parameters)


@contextlib.contextmanager
def telling_of_room(tool: str) -> Iterator[None]:
    """Raise InputError where a GRASS tool fails and the disk of the mapset is full: the tools fail in many ways then, and few say why."""
    try:
        yield
    except CalledModuleError as err:
        session = gs.gisenv()
        mapset = Path(session["GISDBASE"], session["LOCATION_NAME"], session["MAPSET"])
        if (free := shutil.disk_usage(mapset).free) >= _LEAST_ROOM:
            raise
        raise InputError(
            _("GRASS tool <{}> failed, and the disk of mapset '{}' has {} kB left").format(tool, mapset, free // 1000),
            then=_("Make room and run the same command again."),
        ) from err


_LEAST_ROOM = 2**22
"""Bytes free on a disk with which it counts as full: what a tool wrote before it failed may be gone already."""


def read(tool: str, *, grid: Grid | None = None, masked: bool = True, **parameters: Any) -> str:
    """Run a GRASS tool and return what it prints.

    masked : bool, whether a mask of the user applies; without it, maps must be named with their mapset
    """
    parameters.setdefault("quiet", True)
    env = environment(grid) if grid else os.environ.copy()
    with contextlib.nullcontext(env) if masked or not has_mask() else unmasked(env) as env:
        # Tables hold bytes of any encoding; what is not UTF-8 becomes U+FFFD, which readers of names refuse.
        return gs.read_command(tool, env=env, encoding=None, **parameters).decode("utf-8", "replace")


def read_bytes(tool: str, grid: Grid, **parameters: Any) -> bytes:
    """Run a GRASS tool on `grid` and return the bytes that it writes; raise InputError where it fails."""
    process = gs.pipe_command(tool, quiet=True, env=environment(grid), **parameters)
    raw = process.communicate()[0]
    if process.returncode:
        raise unreadable(parameters["input"])
    return raw


def unreadable(name: str) -> InputError:
    """Return the error of a map that exists but has cells that cannot be read."""
    return InputError(_("Map <{}> has cells that cannot be read").format(name), then=_("Check it with r.info."))
