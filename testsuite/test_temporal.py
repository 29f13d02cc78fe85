"""Registering maps in a space-time dataset, also where a temporal tool of GRASS does not end."""

from __future__ import annotations

import os
import shutil
import time

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


def registered():
    import grass.script as gs

    return gs.read_command("t.rast.list", input="years", columns="name", flags="u", quiet=True).split()


def never_ending(tool, folder, monkeypatch, *, first_only):
    """Put a tool on PATH that does its work and then does not end, as GRASS's own does on a busy machine; at its first call or at each."""
    folder.mkdir()
    shim, mark = folder / tool, folder / "called"
    again = f'if [ -e "{mark}" ]; then exec "{shutil.which(tool)}" "$@"; fi; ' if first_only else ""
    shim.write_text(f'#!/bin/sh\n{again}touch "{mark}"\n"{shutil.which(tool)}" "$@"\nsleep 300 & wait\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return mark


def test_maps_keep_their_place_and_more_can_come(maps):
    from imperviouslib.edge import grassdb

    grassdb.register("years", "Years", maps[:1])
    grassdb.register("years", "Years", maps)
    assert registered() == ["first", "second"]


@pytest.mark.parametrize("tool", ["t.list", "t.create", "t.register"])
def test_a_tool_that_does_its_work_and_does_not_end_is_ended(tool, maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grassdb

    mark = never_ending(tool, tmp_path / "shim", monkeypatch, first_only=True)
    monkeypatch.setattr(grassdb, "TEMPORAL_S", 6.0)
    start = time.monotonic()
    grassdb.register("years", "Years", maps)
    assert mark.exists() and time.monotonic() - start > 6
    assert registered() == ["first", "second"]


def test_one_that_never_ends_is_told(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grassdb

    never_ending("t.list", tmp_path / "shim", monkeypatch, first_only=False)
    monkeypatch.setattr(grassdb, "TEMPORAL_S", 3.0)
    with pytest.raises(InputError, match="did not end"):
        grassdb.register("years", "Years", maps)
