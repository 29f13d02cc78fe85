"""The GeoTIFFs of one period: blocks computed in threads and written in order, in bounded memory."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.edge import grass
from imperviouslib.edge.rasterfile import OpenRasters, TiffWriter
from imperviouslib.stage.yearly.compose import compose_block
from imperviouslib.stage.yearly.scenes import PeriodTask

A = TypeVar("A")
B = TypeVar("B")


def write_planes(paths: Mapping[str, Path], task: PeriodTask, threads: int) -> None:
    """Write the GeoTIFF of each layer. Only a few blocks are in memory at a time, whatever the extent.

    paths : layer to its file
    """
    threads = max(1, threads)
    blocks = list(_blocks(task.area))
    with contextlib.ExitStack() as stack:
        rasters = stack.enter_context(OpenRasters())
        writers = {
            layer.name: stack.enter_context(TiffWriter(paths[layer.name], task.area, layer.dtype, nodata=layer.nodata))
            for layer in task.recipe.layers
        }
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        done = map_in_order(pool, lambda block: compose_block(block, task, rasters), blocks, threads + 1)
        for number, (block, planes) in enumerate(zip(blocks, done, strict=True), start=1):
            for name, writer in writers.items():
                writer.write(planes[name], block)
            grass.percent(number, len(blocks))


def map_in_order(pool: ThreadPoolExecutor, work: Callable[[A], B], parts: Iterable[A], ahead: int) -> Iterator[B]:
    """Yield the results in the order of the parts. At most `ahead` are computed or waiting, so memory stays bounded."""
    waiting: deque[Future[B]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _blocks(area: Grid) -> Iterator[Grid]:
    """Cut an area into blocks from its own north-western corner: the tiles of files cut to it begin there, so fewer are decoded twice."""
    return area.parts(BLOCK, BLOCK)
