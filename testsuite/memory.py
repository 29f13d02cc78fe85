"""The most memory that a process and those it started had at a time, from Linux's own count."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PAUSE_S = 0.05


def peak_of(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Run a command. Returns: the most memory of all its processes together, MB; that of the process itself alone, MB.

    Memory is the proportional share (PSS): what several processes map, such as a library, counts once. It is looked at every 50 ms, so
    shorter peaks are missed. The memory of the process alone is the kernel's own high-water mark (VmHWM), which misses none.
    """
    with subprocess.Popen(command, env=env) as process:
        together = alone = 0.0
        try:
            while process.poll() is None:
                together = max(together, sum(map(_share_of, _family(process.pid))))
                alone = max(alone, _field(Path("/proc", str(process.pid), "status"), "VmHWM:"))
                time.sleep(_PAUSE_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return together / 1e3, alone / 1e3


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all below it that have not ended meanwhile."""
    yield pid
    below: list[str] = []
    with contextlib.suppress(OSError):
        for thread in Path("/proc", str(pid), "task").iterdir():
            below += (thread / "children").read_text().split()
    for child in map(int, below):
        # A process that was begun and does not run its program yet still has the memory of the one that began it.
        if _command(child) != _command(pid):
            yield from _family(child)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes()
    return b""


def _share_of(pid: int) -> float:
    return _field(Path("/proc", str(pid), "smaps_rollup"), "Pss:")


def _field(path: Path, name: str) -> float:
    """Return a figure in kB; 0 for a process that has ended."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(name)), 0.0)
