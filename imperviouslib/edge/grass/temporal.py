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
from imperviouslib.edge.grass.calls import warning
from imperviouslib.edge.grass.workspace import mapset_folder, read_header, shared_folder, temporary_folder

TEMPORAL_S, TEMPORAL_TRIES = 60.0, 3
"""Seconds that a temporal tool may take (usually one or two; registering gets one more per map), and how often it is tried."""


def sql_text(text: str) -> str:
    """Return a text that can stand in an SQL statement of a temporal tool, some versions of which do not quote what they are given.

    >>> sql_text("Scenes in L'Aquila")
    'Scenes in L’Aquila'
    """
    return "".join(c if c.isprintable() else " " for c in text).replace("'", "\u2019")


def reregister(lines: Sequence[str]) -> None:
    """Register maps again whose time or extent has changed, and update the datasets that hold them.

    lines : "name|time", as `register` takes them
    """
    path = temporary_folder() / f"renew_{os.getpid()}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        _with_retries(
            lambda: _temporal("t.register", more_s=len(lines), type="raster", file=str(path), overwrite=True),
            "registering maps again",
        )
    finally:
        path.unlink()


def register(dataset: str, title: str, lines: Sequence[str]) -> None:
    """Register maps in a space-time raster dataset, which is created if it does not exist.

    dataset : name; a dot in it becomes `_`, because what follows a dot is a semantic label to the temporal tools
    lines : `map|start time`, or `map|start time|end time`; maps already registered at that time are left as they are
    """
    dataset = dataset.replace(".", "_")
    if lines:
        _with_retries(lambda: _register(dataset, title, lines), f"registering maps in <{dataset}>")


def register_finished(dataset: str, title: str, lines: Sequence[str]) -> None:
    """Register maps as `register` does; where that fails, warn, because the maps are complete all the same."""
    try:
        register(dataset, title, lines)
    except (InputError, CalledModuleError) as err:
        warning(
            _("The maps are complete, but are not registered in space-time dataset <{}>: {}").format(
                dataset, " ".join(str(err).split())[:300]
            )
        )


def _with_retries(work: Callable[[], object], work_name: str) -> None:
    """Run work on the temporal database of the mapset, which allows one writer at a time; repeat it when a tool does not end."""
    with exclusive_lock(shared_folder() / "registering", "Temporal database", wait=True):
        for _attempt in range(TEMPORAL_TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                work()
                return
    raise InputError(
        _("The temporal database was not updated: a GRASS tool did not end within {:g} s ({})").format(
            TEMPORAL_S, work_name
        ),
        then=_("Run the same command again. All maps are complete."),
    )


def _register(dataset: str, title: str, lines: Sequence[str]) -> None:
    # A mapset on the search path may hold a dataset of the same name.
    mapset = mapset_folder().name
    listed = _temporal("t.list", type="strds", columns="name,mapset") if _may_have_datasets() else ""
    present = {tuple(line.split("|")) for line in listed.splitlines()}
    if (dataset, mapset) not in present:
        text = sql_text(title)
        _temporal("t.create", type="strds", temporaltype="absolute", output=dataset, title=text, description=text)
        listed = ""
    else:
        # t.rast.list fails on an empty dataset, which simply has no maps.
        listed = _temporal(
            "t.rast.list",
            may_fail=True,
            input=f"{dataset}@{mapset}",
            columns="name,start_time,end_time",
            separator="pipe",
            flags="u",
        )
    known = {_time_key(line) for line in listed.splitlines()}
    # A map that replaced another one of its name is known, and has no timestamp yet.
    lines = [line for line in lines if _time_key(line) not in known or not has_timestamp(line.split("|")[0])]
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


def _may_have_datasets() -> bool:
    """Tell whether the mapset may hold datasets: a temporal tool takes two seconds to find that a new mapset has none.

    The first tool makes a database in the mapset, unless t.connect has named another one in the file VAR.
    """
    folder = mapset_folder()
    return (folder / "tgis" / "sqlite.db").exists() or any("TGIS" in key for key in read_header(folder / "VAR"))


def has_timestamp(name: str) -> bool:
    """Tell whether a map of the current mapset has a timestamp, which it gets when it is registered."""
    return (mapset_folder() / "cell_misc" / name / "timestamp").exists()


def _time_key(line: str) -> tuple[str, ...]:
    """Return map and times of a line in one form: midnight is written out, and an instant has no end."""
    name, *times = line.split("|")
    return name, *(t if len(t) > 10 else f"{t} 00:00:00" for t in times if t not in ("", "None"))


def _temporal(tool: str, *, more_s: float = 0.0, may_fail: bool = False, **parameters: Any) -> str:
    """Run a temporal tool and return what it prints; kill it and raise TimeoutExpired if it does not end.

    On a busy machine one call in some hundreds does its work and then never ends: a watcher thread of GRASS restarts the database
    process while Python waits for it to end. Every call made here can be repeated safely.
    """
    # The first call in a mapset creates the temporal database and warns that there was none.
    env = {**os.environ, "GRASS_VERBOSE": "-1"}
    # The tool and its helper processes get a session of their own, so that all can be killed together.
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
