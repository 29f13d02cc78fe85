"""Worker processes for plain functions of plain values.

A worker that dies (out of memory, a crash in a decoder) costs its own task, not the run: the few tasks that were under way are each tried
once more alone, which finds the one that kills, and the rest goes on in a new pool.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDiedError(Exception):
    """A task whose worker died every time."""


def run_all(
    work: Callable[[Task], Result], tasks: Sequence[Task], nprocs: int
) -> Iterator[tuple[Task, Result | Exception]]:
    """Yield each task with its result, or with the exception it raised, in the order in which they finish."""
    if nprocs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, _attempt(work, task)
        return
    left = deque(tasks)
    while left:
        suspects: list[Task] = []
        with _pool(min(nprocs, len(left))) as pool:
            pending: dict[Future[Any], Task] = {}
            while (left or pending) and not suspects:
                # No more are handed over than keep the workers busy: these are all that a crash brings into doubt.
                with contextlib.suppress(BrokenProcessPool):
                    while left and len(pending) <= nprocs:
                        pending[pool.submit(_run, work, left[0])] = left[0]
                        left.popleft()
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    if isinstance(future.exception(), BrokenProcessPool):
                        suspects = list(pending.values())
                        break
                    yield pending.pop(future), _result(future)
        for suspect in suspects:
            with _pool(1) as pool:
                future = pool.submit(_run, work, suspect)
                wait([future])
                died = isinstance(future.exception(), BrokenProcessPool)
                yield suspect, WorkerDiedError("its worker process died") if died else _result(future)


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error if error is not None else future.result()


@contextlib.contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end with the block, at once where the block is left early."""
    # "spawn": the tools' process holds threads and GRASS state that a fork would copy half-way.
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))
    before = {child.pid for child in multiprocessing.active_children()}
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            if child.pid not in before:
                child.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """Set up a worker: Ctrl-C is the parent's business, its word to end cleans up, and its death is the worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGALRM, _leave)
    sys.unraisablehook = _again
    with contextlib.suppress(OSError, AttributeError):
        # Linux: a worker of a killed parent would wait for its next task for ever.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_state = {"working": False, "ending": False}
"""Of a worker process: in the midst of a task; told to end."""


def _leave(*_: object) -> None:
    """End the worker; leave a task by an exception, so that files half-written are removed on the way."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _state["working"]:
        os._exit(1)
    _state["ending"] = True
    raise SystemExit(1)


def _again(dropped: sys.UnraisableHookArgs) -> None:
    """Raise `_leave`'s exception once more in a moment: within a finalizer Python prints and drops it."""
    if dropped.exc_type is SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(dropped)


def _run(work: Callable[[Task], Result], task: Task) -> Result:
    """Do one task in a worker; the executor would take the exception of `_leave` for a result and go on waiting."""
    _state["working"] = True
    try:
        return work(task)
    finally:
        _state["working"] = False
        if _state["ending"]:
            os._exit(1)


def _attempt(work: Callable[[Task], Result], task: Task) -> Result | Exception:
    try:
        return work(task)
    except Exception as err:  # noqa: BLE001 - kept as a value, so that the other tasks finish
        return err
