"""What a worker of a cluster does with a task: it tells whether it fits the run, and then does it.

This and the modules of `work` are the library's part on a worker, where there is neither GRASS nor its database.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import pickle
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import ClusterError, _

PACKAGES = ("numpy", "distributed")
"""Distributions that must be the same on all workers, whatever the work."""


@dataclass(frozen=True)
class Demand:
    """What a run asks of each worker."""

    run: str
    """Tells runs apart, so that each is checked anew."""
    versions: tuple[tuple[str, str], ...]
    """Name and version of Python and of packages."""
    shared: tuple[tuple[str, int | None], ...]
    """Path of each file and folder that the work reads or writes, and the size of a file in bytes."""


def demand(run: str, shared: Iterable[Path], packages: Iterable[str]) -> Demand:
    """Describe what this process has, as the demand of a run."""
    paths = [path.expanduser().absolute() for path in shared]
    return Demand(
        run,
        tuple((name, version_of(name)) for name in ("Python", *PACKAGES, *packages)),
        tuple((str(path), path.stat().st_size if path.is_file() else None) for path in paths),
    )


def version_of(name: str) -> str:
    """Return the version of a distribution, or of Python without its last part; empty where it is not installed."""
    if name == "Python":
        return platform.python_version().rpartition(".")[0]
    # TensorFlow for processors is a distribution of another name.
    for distribution in (name, f"{name}-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return ""


@functools.lru_cache(maxsize=16)
def misfit(demand: Demand, worker: str) -> ClusterError | None:
    """Return why this worker cannot take part in a run; None if it can. It is asked once a run."""
    for name, version in demand.versions:
        if (found := version_of(name)) != version:
            return ClusterError(
                _("Worker '{}'").format(worker),
                found=f"{name} {found}" if found else _("no {}").format(name),
                expected=f"{name} {version}",
                then=_("Start the workers with the packages that this session has."),
            )
    for path, size in demand.shared:
        here = Path(path)
        if not here.exists():
            return ClusterError(
                _("Worker '{}' does not see '{}'").format(worker, path),
                then=_("Put it on storage that all workers share, under the same path."),
            )
        if size is not None and here.stat().st_size != size:
            return ClusterError(
                _("Worker '{}', file '{}'").format(worker, path),
                found=_("{} bytes").format(here.stat().st_size),
                expected=_("the {} bytes that this session sees").format(size),
                then=_("Put it on storage that all workers share, under the same path."),
            )
    return None


def do_packed(packed: bytes, worker: str) -> Any:
    """Do a task. packed : pickled demand, function and task. Returns: the result, or the exception, so that no log shows the task"""
    demand, work, task = pickle.loads(packed)
    if error := misfit(demand, worker):
        return error
    try:
        return work(task)
    except ModuleNotFoundError as err:
        return ClusterError(
            _("Worker '{}': Python package <{}> is not installed").format(worker, err.name),
            then=_("Start the workers with the packages that this session has."),
        )
    except Exception as err:  # noqa: BLE001 - kept as a value, as all crews do
        return err


def fits(packed: bytes, worker: str) -> ClusterError | None:
    """Return why this worker cannot take part in a run. packed : pickled demand"""
    return misfit(pickle.loads(packed), worker)
