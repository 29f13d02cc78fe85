"""Registering maps in a space-time dataset, also where a temporal tool of GRASS does not end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from imperviouslib.core.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture
def maps(mapset):
    """Two maps in a new mapset."""
    import grass.script as gs

    gs.run_command("g.region", w=0, s=0, e=40, n=40, res=20, quiet=True)
    names = ["first", "second"]
    for name in names:
        gs.run_command("r.mapcalc", expression=f"{name} = 1", quiet=True)
    return [f"{name}|201{number}-01-01" for number, name in enumerate(names)]


def registered(column="name"):
    import grass.script as gs

    return gs.read_command("t.rast.list", input="years", columns=column, flags="u", quiet=True).splitlines()


def gone(mark):
    """Tell whether the process that the shim left is gone, or waits for its parent to take note of that."""
    try:
        state = Path(f"/proc/{mark.read_text().strip()}/stat").read_text()
    except FileNotFoundError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


def never_ending(tool, folder, monkeypatch, *, first_only):
    """Put a tool on PATH that does its work and then does not end, as GRASS's own does on a busy machine; at its first call or at each."""
    folder.mkdir()
    shim, mark = folder / tool, folder / "called"
    again = f'if [ -e "{mark}" ]; then exec "{shutil.which(tool)}" "$@"; fi; ' if first_only else ""
    shim.write_text(
        f'#!/bin/sh\n{again}touch "{mark}"\n"{shutil.which(tool)}" "$@"\nsleep 300 &\necho $! > "{mark}"\nwait\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return mark


def test_maps_keep_their_place_and_more_can_come(maps):
    from imperviouslib.edge import grassdb

    grassdb.register("years", "Years", maps[:1])
    grassdb.register("years", "Years", maps)
    assert registered() == ["first", "second"]
    assert registered("start_time") == ["2010-01-01 00:00:00", "2011-01-01 00:00:00"]


def test_a_map_made_anew_of_another_time_takes_its_new_place(maps):
    from imperviouslib.edge import grassdb

    second = "second|2011-01-01|2011-12-01"
    grassdb.register("years", "Years", ["first|2010-01-01|2010-10-01", second])
    grassdb.register("years", "Years", ["first|2010-05-01|2010-09-01", second])
    assert registered("name,start_time,end_time") == [
        "first|2010-05-01 00:00:00|2010-09-01 00:00:00",
        "second|2011-01-01 00:00:00|2011-12-01 00:00:00",
    ]


@pytest.mark.parametrize("tool", ["t.list", "t.create", "t.register"])
def test_a_tool_that_does_its_work_and_does_not_end_is_ended(tool, maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grassdb

    mark = never_ending(tool, tmp_path / "shim", monkeypatch, first_only=True)
    monkeypatch.setattr(grassdb, "TEMPORAL_S", 6.0)
    start = time.monotonic()
    grassdb.register("years", "Years", maps)
    assert 6 < time.monotonic() - start < 60
    assert gone(mark)
    assert registered() == ["first", "second"]


def test_one_that_never_ends_is_told(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grassdb

    mark = never_ending("t.list", tmp_path / "shim", monkeypatch, first_only=False)
    monkeypatch.setattr(grassdb, "TEMPORAL_S", 3.0)
    with pytest.raises(InputError, match="did not end"):
        grassdb.register("years", "Years", maps)
    assert gone(mark)


def test_a_run_that_is_told_to_end_leaves_no_tool_behind(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grassdb

    mark = never_ending("t.list", tmp_path / "shim", monkeypatch, first_only=False)

    def end(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 4)
    try:
        with pytest.raises(KeyboardInterrupt):
            grassdb.register("years", "Years", maps)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert gone(mark)
