"""How often and how long to try to get an object from a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try."""

    tries: int = 6
    """Attempts an object, the first included."""
    wait_s: float = 1.0
    """First wait; each further one is twice as long, plus or minus a random fifth."""
    longest_wait_s: float = 60.0
    """Longest wait of our own; a server that asks for more gets it, up to ten times this."""
    timeout_s: float = 120.0
    """An attempt ends if nothing comes for so long."""
