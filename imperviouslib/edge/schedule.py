"""Where the tasks of a run are done: in this process, in processes of this machine, or by the workers of a cluster.

A stage opens a `Crew`, and gives it a function that a worker can import and tasks: frozen plain values, mostly a block or a strip of the grid
and what to make of it. It is the same for all crews, and so are the results, bit for bit. Only the process of the stage touches the GRASS
database, but for processes of this machine, which may read it. Tasks hold no secrets: a worker reads keys from its own environment.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, TypeVar

from imperviouslib.core.errors import ImperviousError, _

Task = TypeVar("Task")
Result = TypeVar("Result")
_END: Any = object()


class WorkerDiedError(ImperviousError):
    """The worker process of a task died, also when the task was repeated."""

    def __init__(self, thing: str = "", **parts: str) -> None:
        super().__init__(
            thing or _("The worker process of a task was killed, also when the task was repeated"),
            **(parts or {"then": _("Run the same command again, with fewer processes or more memory for each.")}),
        )


class Crew(ABC):
    """Those who do the tasks of a run."""

    at_once = 1
    """Tasks that are done at a time."""
    is_remote = False
    """Whether workers may be on other machines, where there is no GRASS database."""

    def in_order(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Generator[tuple[Task, Result], None, None]:
        """Yield each task with its result, in the order of the tasks; raise the first error.

        Tasks are taken as they are needed. Only a few results wait for their turn, so memory stays bounded.
        """
        with contextlib.closing(self._run(work, tasks, 0, in_order=True)) as results:
            for task, result in results:
                if isinstance(result, Exception):
                    raise result
                yield task, result

    def as_finished(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], most: int = 0
    ) -> Generator[tuple[Task, Result | Exception], None, None]:
        """Yield each task with its result, or with the exception it raised, in the order in which they finish.

        most : tasks that may be done at a time; 0 = as many as the crew can
        """
        return self._run(work, tasks, most, in_order=False)

    @abstractmethod
    def _run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], most: int, *, in_order: bool
    ) -> Generator[tuple[Task, Result | Exception], None, None]:
        """Do the tasks, as `in_order` and `as_finished` say."""


class Alone(Crew):
    """This process, which does one task after the other."""

    def _run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], most: int, *, in_order: bool
    ) -> Generator[tuple[Task, Result | Exception], None, None]:
        for task in tasks:
            try:
                result: Result | Exception = work(task)
            except Exception as err:  # noqa: BLE001 - kept as a value, so that the other tasks finish
                result = err
            yield task, result


class Team(Crew):
    """Workers that are given a few tasks ahead. Memory: that of the tasks and results of twice as many tasks as are done at a time."""

    def _run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], most: int, *, in_order: bool
    ) -> Generator[tuple[Task, Result | Exception], None, None]:
        source = iter(tasks)
        waiting: dict[Future[Any], Task] = {}
        with self._session():
            try:
                while True:
                    while len(waiting) < min(most or self._ahead(), self._ahead()) and self._accepts(waiting):
                        if (task := next(source, _END)) is _END:
                            break
                        waiting[self._submit(work, task)] = task
                    if not waiting:
                        return
                    future = self._wait([next(iter(waiting))] if in_order else list(waiting))
                    task = waiting.pop(future)
                    yield task, self._result(work, task, future)
            finally:
                for future in waiting:
                    future.cancel()

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """Surround the tasks of a call; left by an exception where the caller does not want the rest."""
        yield

    def _ahead(self) -> int:
        return 2 * self.at_once

    def _accepts(self, waiting: Iterable[Future[Any]]) -> bool:
        """Tell whether a further task may be given to a worker now."""
        return True

    def _wait(self, futures: Sequence[Future[Any]]) -> Future[Any]:
        """Wait until one of the futures is done, and return it."""
        return next(iter(wait(futures, return_when=FIRST_COMPLETED).done))

    @abstractmethod
    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Any]:
        """Give a task to a worker."""

    @abstractmethod
    def _result(self, work: Callable[[Task], Result], task: Task, future: Future[Any]) -> Any:
        """Return what a finished task gave, or the exception it raised."""


@contextlib.contextmanager
def open_crew(
    nprocs: int = 1, scheduler: str = "", *, shared: Sequence[Path] = (), packages: Sequence[str] = ()
) -> Iterator[Crew]:
    """Yield those who do the tasks: the workers of a scheduler if one is given, else `nprocs` processes, or this one.

    scheduler : address of a Dask scheduler; empty = this machine
    shared : files and folders that each worker of a cluster must see under these paths
    packages : names of the distributions besides NumPy whose versions decide the result; they must be the same on each worker
    """
    if scheduler:
        from imperviouslib.edge.cluster import open_cluster

        with open_cluster(scheduler, shared, packages) as cluster:
            yield cluster
    elif nprocs > 1:
        from imperviouslib.edge.pool import Processes

        with Processes(nprocs) as processes:
            yield processes
    else:
        yield Alone()
