"""Reading, computing and writing side by side, by threads: the next item is read and the last one is written while the caller computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")
_MOST = 8
"""Things done at a time where the user does not say how many: each takes memory, and Python itself serves one at a time."""


def resolve_threads(threads: int) -> int:
    """Return how many things are done at a time. threads : as the user says; 0 = as many as this process may use processors, at most `_MOST`"""
    return threads or min(_MOST, len(os.sched_getaffinity(0)))


def do_each(work: Callable[[Item], object], items: Iterable[Item], threads: int) -> None:
    """Do something with each item, several at a time; raise the first error, and then begin no other item.

    threads : how many at a time, as for `resolve_threads`
    """
    with ThreadPoolExecutor(resolve_threads(threads)) as pool:
        for _done in pool.map(work, items):
            pass


def do_in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result, None, None]:
    """Yield what `work` returns for each item, in the order of the items; the next ones are worked on meanwhile.

    An error is raised where the item's result would come.

    threads : how many are worked on at a time; one more is taken from `items`, so that no thread waits for it
    """
    pool = ThreadPoolExecutor(threads)
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(begun) > threads:
                yield begun.popleft().result()
            begun.append(pool.submit(work, item))
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield items in their order; a thread makes the next one meanwhile, and begins with the first at once.

    An error of the source is raised where its item would come.
    """
    reading = _read_ahead(items)
    next(reading)
    return reading


def _read_ahead(items: Iterable[Any]) -> Generator[Any, None, None]:
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming: Future[Any] = thread.submit(next, source, end)
        yield  # Begun.
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item


class Behind:
    """Do one thing after the other in a thread, while the caller goes on; at most one thing waits.

    An error is raised by the next call of `do`, or at the end of the `with` block.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Behind:
        return self

    def do(self, work: Callable[..., None], *arguments: object) -> None:
        """Wait for what was asked before, and then start this."""
        if self._last:
            self._last.result()
        self._last = self._thread.submit(work, *arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if self._last and error is None:
            self._last.result()
