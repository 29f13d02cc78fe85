"""Benchmarks of the default world: time, size, and whether it is as difficult as real land. They take four minutes."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

from testsuite.bench import case

_FOLDER = tempfile.TemporaryDirectory(prefix="bench_world")


@functools.cache
def _world() -> tuple[Path, float]:
    """Make the default world by its command. Returns: the folder, and the time in seconds."""
    from testsuite.world.make import main

    world, start = Path(_FOLDER.name) / "world", time.perf_counter()
    if main([str(world)]):
        raise AssertionError("the default world was not made")
    return world, time.perf_counter() - start


@case("world", "the default world made on 2 cores, seconds", target=120)
def seconds() -> tuple[float, None]:
    return _world()[1], None


@case("world", "the default world on disk, MB", target=400)
def megabytes() -> tuple[float, None]:
    return sum(512 * p.stat().st_blocks for p in _world()[0].rglob("*")) / 1e6, None


@case("world", "bounds of difficulty that the default world misses, of three", target=0)
def bounds_missed() -> tuple[float, None]:
    from testsuite.world import difficulty

    result = difficulty.measure(_world()[0])
    print("\n".join(difficulty.summary_lines(result)))
    return sum(not met for met in result["met"].values()), None
