"""Chunks of the HDF5 file, compressed apart from it: a worker does that as well as the writer, with the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from imperviouslib.edge.ardfile.contract import FILTERS


@dataclass(frozen=True)
class ChunkTask:
    """A strip of one variable, which is a row of chunks."""

    variable: str
    place: tuple[int, ...]
    """Place of its first cell in the variable: (time,) row, col."""
    cells: np.ndarray
    """array (row, col), as the file holds them; the last strip may be lower than a chunk."""
    chunk: tuple[int, int]
    """Rows and columns of a chunk."""
    fill: float
    """What stands in the part of a chunk that lies beyond the variable."""


Chunk = tuple[int, int, bytes]
"""First column, mask of the filters that were left out, and content."""


def compress(task: ChunkTask) -> list[Chunk]:
    """Compress the chunks of a strip. HDF5 itself does it, in a file in memory, because another zlib would give other bytes."""
    (rows, cols), columns = task.chunk, task.cells.shape[1]
    with h5py.File("chunks", "w", driver="core", backing_store=False) as memory:
        whole = (rows, -(-columns // cols) * cols)
        variable = memory.create_dataset(
            "cells", whole, dtype=task.cells.dtype, chunks=task.chunk, fillvalue=task.fill, **FILTERS
        )
        variable[: len(task.cells), :columns] = task.cells
        chunks = []
        for column in range(0, columns, cols):
            mask, content = variable.id.read_direct_chunk((0, column))
            chunks.append((column, mask, content))
        return chunks
