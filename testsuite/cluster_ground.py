"""A real Dask scheduler with its workers on loopback, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
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

    def start_worker(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start a worker with one thread, and wait until it has joined."""
        joined = self.log.read_text().count("Registered to:")
        place = ("--local-directory", str(self.folder))
        worker = self._start("worker", self.address, "--no-nanny", "--nthreads", "1", *place, *words, env=env or {})
        self.workers.append(worker)
        wait_until(lambda: self.log.read_text().count("Registered to:") > joined)
        return worker

    def _start(self, *words: str, env: dict[str, str]) -> subprocess.Popen:
        # Secrets of the tests reach only those workers that are given them; and of Python's path they have the guard alone, not GRASS.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GIS", "GRASS"))}
        plain["PYTHONPATH"] = str(Path(__file__).parent / "guard")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", words[0], *words[1:], "--host", "127.0.0.1", *_NO_DASHBOARD, *self.words],
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
