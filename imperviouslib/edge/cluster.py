"""The workers of a Dask scheduler (distributed).

The scheduler needs no library of ours: it passes on tasks and results as bytes. Each worker, also one that comes later, gets a copy of this
library from the session, so it needs only the packages. Where a worker is lost, the scheduler gives its tasks to others. A task is left after it
lost several workers, as many as the scheduler's own setting `allowed-failures` says.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import pickle
import socket
import ssl
import time
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dask
import distributed

import imperviouslib
from imperviouslib.core.errors import ClusterError, _
from imperviouslib.edge import grass
from imperviouslib.edge.schedule import Result, Task, Team, WorkerDiedError
from imperviouslib.edge.worker import Demand, demand

_CONNECT_S = 10
"""How long the scheduler may take to answer."""
_MOST_GREETING = 2**20
"""Bytes of the first message of any version of Dask, at most."""
_COUNT_S, _WAIT_S = 5.0, 30.0
"""How often workers are counted, and after how long without a result the user is told that there are none."""
_MOST_BYTES = 2**30
"""Bytes of all tasks that wait or are done, where there is more than one: this process and the scheduler hold them."""
_LOGGERS = ("distributed", "tornado", "asyncio")
_NO_LIBRARY = "no library"
"""Names the error that a worker without the library returns; it knows no class of ours."""
_SUFFIXES = (".py", ".json", ".html", ".css", ".js")
"""Files of the library."""


class Cluster(Team):
    """The workers of a scheduler."""

    is_remote = True

    def __init__(self, client: distributed.Client, address: str, library: str, asked: Demand) -> None:
        self._client, self._address, self._library, self._asked = client, address, library, asked
        self._executor = client.get_executor(pure=False)
        self._do = _job("do_packed", library)
        self._counted_s = 0.0
        self._bytes: WeakKeyDictionary[Future[Any], int] = WeakKeyDictionary()

    def _count(self) -> None:
        with self._connected():
            self.at_once = max(1, sum(self._client.nthreads().values()))
        self._counted_s = time.monotonic()

    def _ahead(self) -> int:
        # Workers come and go.
        if time.monotonic() > self._counted_s + _COUNT_S:
            self._count()
        return 2 * self.at_once

    def _accepts(self, waiting: Iterable[Future[Any]]) -> bool:
        return sum(self._bytes[future] for future in waiting) < _MOST_BYTES

    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Any]:
        packed = pickle.dumps((self._asked, work, task), protocol=pickle.HIGHEST_PROTOCOL)
        with self._connected():
            found: Future[Any] = self._executor.submit(self._do, packed, key=f"{work.__name__}-{uuid.uuid4().hex}")
        self._bytes[found] = len(packed)
        return found

    def _wait(self, futures: Sequence[Future[Any]]) -> Future[Any]:
        while not (done := wait(futures, _WAIT_S, "FIRST_COMPLETED").done):
            self.await_worker()
        return done.pop()

    def _result(self, work: Callable[[Task], Result], task: Task, future: Future[Any]) -> Any:
        try:
            with self._connected():
                result = future.result()
        except distributed.KilledWorker:
            return WorkerDiedError()
        _check_answer(result)
        return result

    def await_worker(self) -> None:
        """Wait until the scheduler has a worker, and say so."""
        with self._connected():
            if not self._client.nthreads():
                grass.message(_("Scheduler '{}' has no worker. Waiting for one...").format(self._address))
                self._client.wait_for_workers(1)

    def welcome(self, plugin: distributed.WorkerPlugin) -> None:
        """Give the library to all workers; raise ClusterError if one of them does not fit this run. Waits for the first worker."""
        self.await_worker()
        with self._connected():
            self._check_versions()
            self._client.register_plugin(plugin, name=self._library)
            answers = self._client.run(_job("fits", self._library), pickle.dumps(self._asked))
        for answer in answers.values():
            _check_answer(answer)
        self._count()

    def _check_versions(self) -> None:
        """Compare what must agree before any code can be sent."""
        found = self._client.get_versions()
        wanted = dict(self._asked.versions)
        others = {_("Scheduler '{}'").format(self._address): found["scheduler"]}
        others |= {_("Worker '{}'").format(name): each for name, each in found["workers"].items()}
        for who, each in others.items():
            have = {"Python": ".".join(each["packages"]["python"].split(".")[:2]), **each["packages"]}
            for name in ("Python", "distributed"):
                if have[name] != wanted[name]:
                    raise ClusterError(
                        who,
                        found=f"{name} {have[name]}",
                        expected=f"{name} {wanted[name]}",
                        then=_("Start scheduler and workers with the packages that this session has."),
                    )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn the errors of a lost scheduler into one."""
        try:
            yield
        except distributed.KilledWorker:
            raise
        except (CancelledError, distributed.client.FutureCancelledError, OSError, TimeoutError) as err:
            raise ClusterError(
                _("The connection to scheduler '{}' was lost").format(self._address),
                then=_("Finished work is kept. Run the same command again when the scheduler is back."),
            ) from err
        except Exception as err:  # a task returns its own exceptions; what comes here is of Dask, of any type
            raise ClusterError(
                _("Scheduler '{}' or a worker failed ({}: {})").format(self._address, type(err).__name__, err),
                then=_("Read the log of the worker, and restart the workers."),
            ) from err


@contextlib.contextmanager
def open_cluster(address: str, shared: Sequence[Path], packages: Sequence[str]) -> Iterator[Cluster]:
    """Connect to a scheduler, and give its workers the library. Raises ClusterError if it does not answer or a worker does not fit."""
    # Dask and its event loop tell of retries and lost connections in many lines; Dask sets the level of each of its loggers.
    for logger in [name for name in logging.Logger.manager.loggerDict if name.partition(".")[0] in _LOGGERS]:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    name, content = _pack_library()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        # A task holds the cells of a strip at most.
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}))
        try:
            _check_is_dask(address)
            client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False, name="r.impervious")
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as err:
            raise ClusterError(
                _("Option <scheduler>: '{}' does not answer ({})").format(address, type(err).__name__),
                expected=_("the address that 'dask scheduler' prints when it starts"),
                then=_("Start it, or correct the address."),
            ) from err
        stack.callback(_close, client)
        crew = Cluster(client, address, name, demand(uuid.uuid4().hex, shared, packages))
        crew.welcome(_plugin(name, content))
        yield crew


def _check_answer(answer: Any) -> None:
    """Raise ClusterError where this is the answer of a worker that does not fit the run."""
    if isinstance(answer, ClusterError):
        raise answer
    if isinstance(answer, ImportError) and answer.name == _NO_LIBRARY:
        raise ClusterError(
            _("Worker '{}' cannot unpack the library in '{}' ({})").format(*answer.args),
            then=_("Make room there, or start the worker with another --local-directory."),
        )


def _check_is_dask(address: str) -> None:
    """Raise OSError where a port is not one of Dask: its client would wait for minutes for another program's greeting."""
    scheme, mark, _rest = address.partition("://")
    if scheme not in ("tcp", "tls") or not mark:
        return
    host, port = distributed.comm.get_address_host_port(address)
    until = time.monotonic() + _CONNECT_S
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(socket.create_connection((host, port), timeout=_CONNECT_S))
        if scheme == "tls":
            probe = stack.enter_context(_tls_context(address).wrap_socket(probe, server_hostname=host))
        # Dask speaks first, and begins with the length of what follows.
        greeting = b""
        while len(greeting) < 8:
            probe.settimeout(max(0.001, until - time.monotonic()))
            if not (more := probe.recv(8 - len(greeting))):
                raise ConnectionError
            greeting += more
    if not 0 < int.from_bytes(greeting, "little") < _MOST_GREETING:
        raise ConnectionError


def _tls_context(address: str) -> ssl.SSLContext:
    """Return what Dask connects with; raise ClusterError where its configuration names no files for that."""
    why = _("they are not set")
    try:
        if context := distributed.Security().get_connection_args("client")["ssl_context"]:
            return context
    except (OSError, ValueError) as err:
        why = str(err)
    raise ClusterError(
        _("Option <scheduler>: '{}' needs the session's files for TLS ({})").format(address, why),
        then=_("Set {} to their paths.").format(
            ", ".join(f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in _TLS_FILES)
        ),
    )


_TLS_FILES = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")


def _close(client: distributed.Client) -> None:
    """Leave the scheduler, which may be gone."""
    with contextlib.suppress(OSError, TimeoutError, RuntimeError, CancelledError):
        client.close(timeout=5)


def _pack_library() -> tuple[str, bytes]:
    """Return the library as a zip file, and a name that holds the digest of its content."""
    top = Path(imperviouslib.__file__).parent
    content, digest = io.BytesIO(), hashlib.sha256()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in top.rglob("*") if path.suffix in _SUFFIXES):
            name, text = str(path.relative_to(top.parent)), path.read_bytes()
            digest.update(f"{name} {len(text)} ".encode() + text)
            archive.writestr(name, text)
    return f"imperviouslib-{digest.hexdigest()[:16]}", content.getvalue()


def _plugin(name: str, content: bytes) -> distributed.WorkerPlugin:
    """Return what unpacks the library on each worker. It is sent with its code, because a class of ours could not be imported there."""

    class Library(distributed.WorkerPlugin):
        def __init__(self, name: str, content: bytes) -> None:
            self.name, self.content, self.failure = name, content, ()

        def setup(self, worker: Any) -> None:
            import importlib
            import io
            import shutil
            import sys
            import zipfile
            from pathlib import Path

            folder = Path(worker.local_directory) / self.name
            part = folder.with_suffix(".part")
            try:
                # Tasks of another run may be reading it.
                if not folder.exists():
                    zipfile.ZipFile(io.BytesIO(self.content)).extractall(part)
                    part.rename(folder)
            except OSError as err:
                # Kept for the first task: Dask does not tell the session of what fails on a worker that comes later.
                self.failure = worker.local_directory, str(err.strerror)
                shutil.rmtree(part, ignore_errors=True)
                return
            sys.path.insert(0, str(folder))
            importlib.invalidate_caches()

    return Library(name, content)


def _job(function: str, library: str) -> Callable[[bytes], Any]:
    """Return what calls a function of edge/worker.py on a worker; sent with its code, because the scheduler could not import it.

    A worker that has loaded another library keeps it until it ends, and must not be used.
    """
    no_library = _NO_LIBRARY

    def job(packed: bytes, dask_worker: Any = None) -> Any:
        import distributed

        # Dask fills the argument of this name, except in tasks.
        me = dask_worker or distributed.get_worker()
        name = me.name if isinstance(me.name, str) and me.name != me.address else me.address
        if failure := getattr(me.plugins.get(library), "failure", ()):
            return ImportError(name, *failure, name=no_library)
        import imperviouslib
        from imperviouslib.core.errors import ClusterError, _
        from imperviouslib.edge import worker

        if library not in str(imperviouslib.__file__):
            return ClusterError(
                _("Worker '{}'").format(name),
                found=_("another version of the library ('{}')").format(imperviouslib.__path__[0]),
                expected=_("that of this session"),
                then=_("Restart the worker."),
            )
        return getattr(worker, function)(packed, name)

    return job
