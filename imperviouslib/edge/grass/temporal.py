"""The temporal database of the mapset: maps registered in space-time raster datasets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import grass.script as gs
from grass.exceptions import CalledModuleError

from imperviouslib.core.errors import InputError, _
from imperviouslib.edge.files import exclusive_lock
from imperviouslib.edge.grass.calls import telling_of_room, warning
from imperviouslib.edge.grass.place import mapset_folder
from imperviouslib.edge.grass.workspace import shared_folder, temporary_folder

_JOB = Path(__file__).with_name("temporal_job.py")
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
    # With its mapset, GRASS starts no process to find each map.
    at = f"@{mapset_folder().name}|"
    path.write_text("".join(f"{line.replace('|', at, 1)}\n" for line in lines), encoding="utf-8")
    try:
        _with_retries(
            lambda: _run(
                gs.make_command("t.register", type="raster", file=str(path), overwrite=True), more_s=len(lines)
            ),
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
    job = {
        "dataset": dataset,
        "mapset": mapset_folder().name,
        "title": sql_text(title),
        "lines": [(line, has_timestamp(line.split("|")[0])) for line in lines],
    }
    _run([sys.executable, str(_JOB)], stdin=json.dumps(job), more_s=len(lines))


def has_timestamp(name: str) -> bool:
    """Tell whether a map of the current mapset has a timestamp, which it gets when it is registered."""
    return (mapset_folder() / "cell_misc" / name / "timestamp").exists()


def _run(command: Sequence[str], *, stdin: str = "", more_s: float = 0.0) -> None:
    """Run a program that works on the temporal database; kill it and raise TimeoutExpired if it does not end.

    On a busy machine one call in some hundreds does its work and then never ends: a watcher thread of GRASS restarts the database
    process while Python waits for it to end. Every call made here can be repeated safely.
    """
    # What it says is shown only if it fails. At the level -1, GRASS 8.4 would not even say why.
    env = {**os.environ, "GRASS_VERBOSE": "0"}
    # The program and its helper processes get a session of their own, so that all can be killed together.
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _out, err = process.communicate(stdin.encode(), timeout=TEMPORAL_S + more_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        sys.stderr.write(err.decode(errors="replace"))
        with telling_of_room("t.register"):
            raise CalledModuleError("t.register", " ".join(command), process.returncode, err.decode(errors="replace"))
