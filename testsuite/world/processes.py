"""Processes that depend on each other (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import signal
from pathlib import Path


def die_with_parent() -> None:
    """Let the kernel end this process when the thread that started it ends, even if that thread is killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def is_listening(pid: int, port: int) -> bool:
    """Tell whether this very process listens on a port of IPv4; another process may have taken the port before it."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    sockets = {f"socket:[{r[9]}]" for r in rows if r[3] == "0A" and int(r[1].rpartition(":")[2], 16) == port}
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(handle.readlink()) in sockets:
                    return True
    return False
