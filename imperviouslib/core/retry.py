"""How often and how long to try to download an object from a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try."""

    tries: int = 6
    """Attempts per object, including the first."""
    wait_s: float = 1.0
    """First wait; each further one is twice as long, plus or minus a random fifth."""
    longest_wait_s: float = 60.0
    """Longest wait in seconds that we choose; a wait that the server asks for may be up to ten times as long."""
    timeout_s: float = 120.0
    """Seconds without data after which an attempt ends."""
