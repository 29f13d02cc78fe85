"""Worker processes for plain functions of plain values.

If a worker dies (out of memory, a crash in a decoder), only its own task fails, not the run: each task that was running is repeated in a
pool of its own, which finds the one that kills its worker, and the rest continues in a new pool.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDiedError(Exception):
    """The worker process of a task died, also when the task was repeated."""


def run_all(
    work: Callable[[Task], Result], tasks: Sequence[Task], nprocs: int
) -> Generator[tuple[Task, Result | Exception], None, None]:
    """Yield each task with its result, or with the exception it raised, in the order in which they finish.

    work : a function that a worker process can import
    """
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
                # Only as many as keep the workers busy: after a crash, each of these must be repeated.
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
                yield suspect, WorkerDiedError("The worker process of a task died.") if died else _result(future)


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error if error is not None else future.result()


@contextlib.contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes end with the block, at once if the block is left early."""
    # "spawn": a fork would copy the locks of other threads, and the state of GRASS, as they are at that moment.
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"), _start_worker, (os.getpid(),))
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


def _start_worker(parent: int) -> None:
    """Set up a worker: it ignores Ctrl-C, which the parent handles; cleans up when the parent ends it; and dies with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_worker)
    signal.signal(signal.SIGALRM, _end_worker)
    sys.unraisablehook = _end_again
    with contextlib.suppress(OSError, AttributeError):
        # Linux: otherwise the worker of a killed parent would wait for a task for ever.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_state = {"working": False, "ending": False}
"""State of a worker process: whether it is working on a task, and whether it must end."""


def _end_worker(*_: object) -> None:
    """End the worker; a task is left by an exception, so that its half-written files are removed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _state["working"]:
        os._exit(1)
    _state["ending"] = True
    raise SystemExit(1)


def _end_again(dropped: sys.UnraisableHookArgs) -> None:
    """Raise the exception of `_end_worker` once more in a moment: where a finalizer is running, Python prints and drops it."""
    if dropped.exc_type is SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(dropped)


def _run(work: Callable[[Task], Result], task: Task) -> Result:
    """Do one task in a worker. It must end here: the executor would take the exception of `_end_worker` for a result and wait on."""
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
