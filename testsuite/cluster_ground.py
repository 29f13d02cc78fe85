"""A real Dask scheduler with its workers on loopback, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PATIENCE_S = 60
_NO_DASHBOARD = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""A server for numbers is there all the same; the tests allow it on loopback only."""


def wait_until(what: Callable[[], object], patience_s: float = _PATIENCE_S) -> None:
    """Wait until something is true."""
    until = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def meanwhile(work: Callable[[], object], when: Callable[[], object]) -> threading.Thread:
    """Do something in a thread once something is true. Returns: the thread, which has begun"""

    def run() -> None:
        wait_until(when)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def has_stopped(process: subprocess.Popen) -> bool:
    """Tell whether a process is held by SIGSTOP."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Cluster:
    """A scheduler and its workers, each a process of its own.

    address : of the scheduler
    log : what scheduler and workers said
    """

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        self.folder, self.workers, self.words = folder, [], words
        self.file, self.log = folder / "scheduler.json", folder / "log.txt"
        self.address = ""

    def start_scheduler(self) -> None:
        """Start the scheduler, the second time at the same address."""
        self.file.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        self.scheduler = self._start("scheduler", "--port", port, "--scheduler-file", str(self.file), env={})
        wait_until(self._read_address)

    def _read_address(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            self.address = json.loads(self.file.read_text())["address"]
            return True
        return False

    def start_worker(
        self, *words: str, env: dict[str, str] | None = None, before: tuple[str, ...] = ()
    ) -> subprocess.Popen:
        """Start a worker with one thread, and wait until it has joined. before : words before its command line"""
        joined = self.log.read_text().count("Registered to:")
        place = ("--local-directory", str(self.folder))
        worker = self._start(
            "worker", self.address, "--no-nanny", "--nthreads", "1", *place, *words, env=env or {}, before=before
        )
        self.workers.append(worker)
        wait_until(lambda: self.log.read_text().count("Registered to:") > joined)
        return worker

    def start_halting_worker(self, work: str, after: int) -> subprocess.Popen:
        """Start a worker that SIGSTOP holds while it has a task of a function, as soon as it has finished some of that function before."""
        preload = Path(__file__).with_name("halting_worker.py")
        return self.start_worker("--preload", str(preload), env={"HALT_AT": f"{work} {after}"})

    def _start(self, *words: str, env: dict[str, str], before: tuple[str, ...] = ()) -> subprocess.Popen:
        # Secrets of the tests reach only those workers that are given them; and of Python's path they have the guard alone, not GRASS.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GIS", "GRASS"))}
        plain["PYTHONPATH"] = str(Path(__file__).parent / "guard")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "dask", words[0], *words[1:], "--host", "127.0.0.1", *_NO_DASHBOARD, *self.words],
                env={**plain, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", **env},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def stop(self) -> None:
        """End all processes."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextlib.contextmanager
def cluster(folder: Path, workers: int = 2, words: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """Yield a scheduler with some workers. words : further ones of the command lines of all of them"""
    folder.mkdir(parents=True, exist_ok=True)
    found = Cluster(folder, words)
    found.start_scheduler()
    try:
        for _worker in range(workers):
            found.start_worker()
        yield found
    finally:
        found.stop()


@contextlib.contextmanager
def losing_cluster(folder: Path, work: str, after: int = 1) -> Iterator[Cluster]:
    """Yield a scheduler with one worker, which is killed while it has a task, after it finished some; another one joins just before that.

    work : name of the function of the tasks
    after : how many of these the worker finishes
    """
    with cluster(folder, workers=0) as found:
        lost = found.start_halting_worker(work, after)
        killer = meanwhile(lambda: (found.start_worker(), lost.kill()), lambda: has_stopped(lost))
        yield found
        killer.join()
        assert lost.wait(10) == -signal.SIGKILL
