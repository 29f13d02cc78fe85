"""Progress, and the temporary folder: things for which GRASS starts a process each time."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def shown(mapset, monkeypatch):
    """What is shown of the progress."""
    from imperviouslib.edge.grass import calls

    lines = []
    monkeypatch.setenv("GRASS_VERBOSE", "2")
    monkeypatch.setattr(calls.gs, "percent", lambda done, total, step: lines.append((done, total, step)))
    monkeypatch.setattr(calls, "_shown", -1)
    return lines


def test_progress_rises_in_steps_to_the_end_and_starts_again(shown):
    from imperviouslib.edge import grass

    for _work in range(2):
        for done in range(1, 421):
            grass.percent(done, 420)
    assert shown == [(step, 100, 1) for step in range(0, 101, 2)] * 2


def test_little_work_shows_what_there_is(shown):
    from imperviouslib.edge import grass

    for done in range(1, 4):
        grass.percent(done, 3)
    grass.percent(1, 1)
    grass.percent(0, 0)
    assert [done for done, _total, _step in shown] == [32, 66, 100, 100, 0]


def test_quiet_work_shows_nothing(shown, monkeypatch):
    from imperviouslib.edge import grass

    monkeypatch.setenv("GRASS_VERBOSE", "0")
    grass.percent(1, 2)
    assert shown == []


def test_a_process_has_one_temporary_folder_and_makes_it_again_if_it_is_gone(mapset):
    from imperviouslib.edge import grass

    folder = grass.temporary_folder()
    assert folder.is_dir()
    assert grass.temporary_folder() == folder
    folder.rmdir()
    assert grass.temporary_folder().is_dir()
