"""Worker processes for plain functions of plain values.

A worker that dies (out of memory, a crash in a decoder) costs its own task, not the run: the pool is made anew and what was not finished is
given to it once more, each task alone if need be.
"""

from __future__ import annotations

import multiprocessing
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
    left = list(tasks)
    alone = False
    while left:
        batch, left = (left[:1], left[1:]) if alone else (left, [])
        unfinished = []
        # "spawn": the tools' process holds threads and GRASS state that a fork would copy half-way.
        with ProcessPoolExecutor(
            max_workers=min(nprocs, len(batch)), mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            futures: dict[Future[Any], Task] = {pool.submit(work, task): task for task in batch}
            pending = set(futures)
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        error = future.exception()
                        if isinstance(error, BrokenProcessPool):
                            unfinished.append(futures[future])
                        else:
                            yield futures[future], error if isinstance(error, Exception) else future.result()
            except (GeneratorExit, KeyboardInterrupt):
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if unfinished and len(batch) == 1:
            yield unfinished[0], WorkerDiedError("its worker process died")
        elif unfinished:
            # Which of them killed the worker is unknown: from here on each runs by itself.
            left, alone = unfinished, True


def _attempt(work: Callable[[Task], Result], task: Task) -> Result | Exception:
    try:
        return work(task)
    except Exception as err:  # noqa: BLE001 - kept as a value, so that the other tasks finish
        return err
