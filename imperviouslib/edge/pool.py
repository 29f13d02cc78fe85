"""Worker processes of this machine.

If a worker dies (out of memory, a crash in a decoder), only its own task fails, not the run: each task that was running is repeated in a
pool of its own, which finds the one that kills its worker, and the rest continues in a new pool.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import operator
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from imperviouslib.edge.schedule import Alone, Result, Task, Team, WorkerDiedError


class Processes(Team):
    """Processes of this machine. They start as tasks need them, and end with the `with` block."""

    def __init__(self, nprocs: int) -> None:
        self.at_once = nprocs
        self._stack = contextlib.ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool = None
        self._stack.__exit__(kind, error, trace)

    def _run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], most: int, *, in_order: bool
    ) -> Generator[tuple[Task, Result | Exception], None, None]:
        # One task is done sooner than a process has started.
        few = most == 1 or operator.length_hint(tasks, 2) < 2
        return (Alone() if few else super())._run(work, tasks, most, in_order=in_order)

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        try:
            yield
        except BaseException as err:
            self.__exit__(type(err), err, err.__traceback__)
            raise

    def _ahead(self) -> int:
        # Only as many as keep the workers busy: after a crash, each of these must be repeated.
        return self.at_once + 1

    def _accepts(self, waiting: Iterable[Future[Any]]) -> bool:
        return not any(map(_is_broken, waiting))

    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Any]:
        if self._pool is None:
            self._pool = self._stack.enter_context(_pool(self.at_once))
        try:
            return self._pool.submit(_run, work, task)
        except BrokenProcessPool as err:
            broken: Future[Any] = Future()
            broken.set_exception(err)
            return broken

    def _result(self, work: Callable[[Task], Result], task: Task, future: Future[Any]) -> Any:
        if not _is_broken(future):
            return _result(future)
        self.__exit__(None, None, None)
        with _pool(1) as pool:
            again = pool.submit(_run, work, task)
            wait([again])
            return WorkerDiedError() if _is_broken(again) else _result(again)


def _is_broken(future: Future[Any]) -> bool:
    """Tell whether the worker of a task, or one beside it, has died."""
    return future.done() and not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)


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
