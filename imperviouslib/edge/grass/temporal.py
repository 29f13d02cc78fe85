"""The temporal database of the mapset: maps registered in space-time raster datasets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grass.script as gs
from grass.exceptions import CalledModuleError

from imperviouslib.core.errors import InputError, _
from imperviouslib.edge.files import exclusive_lock
from imperviouslib.edge.grass.workspace import shared_folder, temporary_folder

TEMPORAL_S, TEMPORAL_TRIES = 60.0, 3
"""How long a temporal tool may take (they take one to two seconds; registering is given a second more a map), and how often it is tried."""


def reregister(lines: Sequence[str]) -> None:
    """Let the temporal database read times and extents of maps again, and the datasets that hold them theirs.

    lines : "name|time", as `register` takes them
    """
    path = temporary_folder() / f"renew_{os.getpid()}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        _with_retries(
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
        _with_retries(lambda: _register(dataset, title, lines), f"maps registered in <{dataset}>")


def _with_retries(work: Callable[[], object], expected: str) -> None:
    """Do something with the mapset's temporal database, which takes one writer at a time; what does not end is tried again."""
    with exclusive_lock(shared_folder() / "registering", "Temporal database", wait=True):
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


def _temporal(tool: str, *, more_s: float = 0.0, may_fail: bool = False, **parameters: Any) -> str:
    """Run a temporal tool and return what it prints; raise TimeoutExpired where it does not end, and end it.

    On a busy machine one of some hundreds never ends, its work done: its watcher starts the database's helper anew while Python waits
    for the helper's end. All that is asked here can be asked again.
    """
    # The first call in a mapset makes its temporal database, and warns that there is none.
    env = {**os.environ, "GRASS_VERBOSE": "-1"}
    # A session of its own holds the tool and its helpers, so that all end together, also where this run is told to end.
    process = subprocess.Popen(
        gs.make_command(tool, **parameters),
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
        raise CalledModuleError(tool, f"{tool} {parameters}", process.returncode, err.decode(errors="replace"))
    return out.decode()
