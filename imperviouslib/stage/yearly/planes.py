"""The GeoTIFFs of one period: blocks computed by a crew and written in order, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from imperviouslib.core.grid import BLOCK
from imperviouslib.edge import grass
from imperviouslib.edge.overlap import read_ahead
from imperviouslib.edge.rasterfile import TiffWriter
from imperviouslib.edge.schedule import Alone, Crew
from imperviouslib.work.compose import PeriodTask, block_task, compose


def write_planes(paths: Mapping[str, Path], task: PeriodTask, crew: Crew) -> None:
    """Write the GeoTIFF of each layer. Only a few blocks are in memory at a time, whatever the extent.

    paths : layer to its file
    """
    # Blocks begin at the area's own north-western corner: the tiles of files cut to it begin there, so fewer are decoded twice.
    tasks = [block_task(block, task) for block in task.area.parts(BLOCK, BLOCK)]
    with contextlib.ExitStack() as stack:
        writers = {
            layer.name: stack.enter_context(TiffWriter(paths[layer.name], task.area, layer.dtype, nodata=layer.nodata))
            for layer in task.recipe.layers
        }
        done = stack.enter_context(contextlib.closing(crew.in_order(compose, tasks)))
        if isinstance(crew, Alone):
            # A thread computes the next block while this one is written.
            done = stack.enter_context(contextlib.closing(read_ahead(done)))
        for number, (one, planes) in enumerate(done, start=1):
            for name, writer in writers.items():
                writer.write(planes[name], one.block)
            grass.percent(number, len(tasks))
