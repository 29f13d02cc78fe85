"""Worker processes: if one dies, only its task fails; none outlives a run that is left early."""

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from imperviouslib.edge.pool import Processes
from imperviouslib.edge.schedule import WorkerDiedError


def _write_slowly(path: Path) -> Path:
    """Hold a file half-written for a minute, but for the first one."""
    if path.name == "0":
        return path
    try:
        path.touch()
        time.sleep(60)
    finally:
        path.unlink()
    return path


class _Slow:
    """Python drops, with a traceback, whatever is raised while this is cleared away."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __del__(self) -> None:
        self.path.touch()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            pass


def _clear_away_and_sleep(path: Path) -> Path:
    if path.name != "0":
        _Slow(path)
        time.sleep(60)
    return path


def test_a_worker_ends_even_during_its_cleanup(tmp_path, capfd):
    started = time.monotonic()
    with contextlib.closing(
        Processes(2).as_finished(_clear_away_and_sleep, [tmp_path / str(n) for n in range(2)])
    ) as results:
        assert next(results)[1] == tmp_path / "0"
        while not list(tmp_path.iterdir()) and time.monotonic() < started + 30:
            time.sleep(0.01)
    assert time.monotonic() < started + 40 and not multiprocessing.active_children()
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_that_is_left_early_ends_at_once_and_removes_its_files(tmp_path):
    """Of two workers one is idle and ends; the other leaves its task, and must not wait for one that never comes."""
    started = time.monotonic()
    with (
        Processes(2) as pool,
        contextlib.closing(pool.as_finished(_write_slowly, [tmp_path / str(n) for n in range(2)])) as results,
    ):
        assert next(results)[1] == tmp_path / "0"
        while not list(tmp_path.iterdir()) and time.monotonic() < started + 30:
            time.sleep(0.01)
        assert list(tmp_path.iterdir())
    assert time.monotonic() < started + 40
    assert not list(tmp_path.iterdir()) and not multiprocessing.active_children()


def _square(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_when_a_worker_dies_only_its_task_fails():
    with Processes(2) as pool:
        results = dict(pool.as_finished(_square, list(range(12))))
    assert isinstance(results.pop(3), WorkerDiedError)
    assert results == {n: n * n for n in range(12) if n != 3}


def _square_slowly(number):
    time.sleep(0.3 if number == 0 else 0)
    return _square(number)


def test_results_in_order_whichever_is_ready_first():
    tasks = [number for number in range(12) if number != 3]
    with Processes(2) as pool:
        assert list(pool.in_order(_square_slowly, iter(tasks))) == [(n, n * n) for n in tasks]
        # The same processes do the tasks of a further call.
        workers = {child.pid for child in multiprocessing.active_children()}
        assert list(pool.in_order(_square, tasks)) == [(n, n * n) for n in tasks]
        assert {child.pid for child in multiprocessing.active_children()} == workers and len(workers) == 2
    assert not multiprocessing.active_children()


def test_tasks_are_taken_only_as_they_are_needed():
    taken = []
    with (
        Processes(2) as pool,
        contextlib.closing(pool.in_order(abs, (taken.append(n) or n for n in range(50)))) as results,
    ):
        for number, (_task, result) in enumerate(results):
            assert result == number and len(taken) <= number + 4
    assert len(taken) == 50


def test_the_first_error_in_order_is_raised_and_names_a_way_out():
    with (
        Processes(2) as pool,
        pytest.raises(WorkerDiedError, match=r"killed.*Run the same command again"),
    ):
        list(pool.in_order(_square, list(range(6))))
    assert not multiprocessing.active_children()
