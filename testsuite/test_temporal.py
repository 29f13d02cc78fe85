"""Registering maps in a space-time dataset, also where a temporal tool of GRASS does not end."""

from __future__ import annotations

import signal
import threading
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
    """Tell whether the process that the shim left goes, or waits for its parent to take note of that."""
    number = int(mark.read_text())
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{number}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def never_ending(folder, monkeypatch, *, first_only):
    """Put a program in the place of the one that registers: it does the work and then does not end, as GRASS's own tools do on a busy machine.

    first_only : it ends at all calls but the first
    Returns: path of a file that holds the process that does not end; written before the work is done, however long that takes
    """
    from imperviouslib.edge.grass import temporal

    folder.mkdir()
    shim, mark = folder / "job.py", folder / "called"
    shim.write_text(
        f"""
import os, subprocess, sys
real = [sys.executable, {str(temporal._JOB)!r}]
if {first_only} and os.path.exists({str(mark)!r}):
    os.execv(sys.executable, real)
sleeper = subprocess.Popen(["sleep", "300"])
with open({str(mark)!r} + ".new", "w") as file:
    file.write(str(sleeper.pid))
os.rename({str(mark)!r} + ".new", {str(mark)!r})
if {first_only}:
    subprocess.run(real)
sleeper.wait()
"""
    )
    monkeypatch.setattr(temporal, "_JOB", shim)
    return mark


def test_maps_keep_their_place_and_more_can_come(maps):
    from imperviouslib.edge import grass

    grass.register("years", "Years", maps[:1])
    grass.register("years", "Years", maps)
    assert registered() == ["first", "second"]
    assert registered("start_time") == ["2010-01-01 00:00:00", "2011-01-01 00:00:00"]
    # A map that replaces another one of its name has no timestamp until it is registered again.
    grass.remove(["first"])
    grass.run("r.mapcalc", expression="first = 2")
    assert [grass.has_timestamp(name) for name in ("first", "second")] == [False, True]
    grass.register("years", "Years", maps)
    assert grass.has_timestamp("first") and registered() == ["first", "second"]


def test_a_map_made_anew_of_another_time_takes_its_new_place(maps):
    from imperviouslib.edge import grass

    second = "second|2011-01-01|2011-12-01"
    grass.register("years", "Years", ["first|2010-01-01|2010-10-01", second])
    grass.register("years", "Years", ["first|2010-05-01|2010-09-01", second])
    assert registered("name,start_time,end_time") == [
        "first|2010-05-01 00:00:00|2010-09-01 00:00:00",
        "second|2011-01-01 00:00:00|2011-12-01 00:00:00",
    ]


def test_work_that_is_done_and_does_not_end_is_ended(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grass

    mark = never_ending(tmp_path / "shim", monkeypatch, first_only=True)
    # The work itself must end in this time, also where the machine is busy with others.
    monkeypatch.setattr("imperviouslib.edge.grass.temporal.TEMPORAL_S", 15.0)
    start = time.monotonic()
    grass.register("years", "Years", maps)
    assert 15 < time.monotonic() - start < 250
    assert gone(mark)
    assert registered() == ["first", "second"]


def test_work_that_never_ends_is_reported(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grass

    mark = never_ending(tmp_path / "shim", monkeypatch, first_only=False)
    monkeypatch.setattr("imperviouslib.edge.grass.temporal.TEMPORAL_S", 3.0)
    with pytest.raises(InputError, match="did not end"):
        grass.register("years", "Years", maps)
    assert gone(mark)


def test_a_dataset_that_cannot_be_made_is_an_error(maps, capfd):
    from grass.exceptions import CalledModuleError

    from imperviouslib.edge import grass

    with pytest.raises(CalledModuleError):
        grass.register("years", "Years", ["first|2010-01-01", "absent|2011-01-01"])
    assert "absent" in capfd.readouterr().err


def test_a_run_that_is_terminated_leaves_no_process(maps, tmp_path, monkeypatch):
    from imperviouslib.edge import grass

    mark = never_ending(tmp_path / "shim", monkeypatch, first_only=False)

    def end(*_):
        raise KeyboardInterrupt

    def send_signal():
        until = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < until:
            time.sleep(0.02)
        # The program runs before Python knows of it.
        time.sleep(0.5)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, end)
    sender = threading.Thread(target=send_signal)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            grass.register("years", "Years", maps)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert gone(mark)
