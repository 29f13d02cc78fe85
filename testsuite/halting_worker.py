"""Loaded by a worker of Dask for a test: it sends itself SIGSTOP in the midst of its work, so that the test can do something at that moment.

`HALT_AT` names a function and a number, as "compose 1": the worker halts when it begins a task of this function after it has finished that many.
"""

import os
import signal

from distributed import WorkerPlugin

_WORK, _AFTER = os.environ["HALT_AT"].split()


class Halt(WorkerPlugin):
    """Counts tasks."""

    finished = 0

    def transition(self, key, start, finish, **_more):
        """Follow a task: its key begins with the name of its function."""
        if not str(key).startswith(f"{_WORK}-"):
            return
        if start == "executing" and finish == "memory":
            self.finished += 1
        if finish == "executing" and self.finished >= int(_AFTER):
            os.kill(os.getpid(), signal.SIGSTOP)


async def dask_setup(worker):
    """Begin to count."""
    await worker.plugin_add(Halt(), name="halt")
