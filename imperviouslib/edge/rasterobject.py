"""Rasters in memory (rasterio): the bytes of an object, whole or in part, and the pixels that are decoded from them.

GDAL decodes JPEG 2000 in several threads by default, and an error in one of them comes out of rasterio as zeros without an
exception. Here each thread has an open file of its own with one GDAL thread, in which a failed read raises.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import rasterio
import rasterio.errors
import rasterio.io
from rasterio.enums import Compression
from rasterio.windows import Window

from imperviouslib.core.errors import FetchError, _
from imperviouslib.core.resample import Source
from imperviouslib.edge.rasterfile import READ_SETTINGS


def describe_object(content: bytes, name: str) -> Source:
    """Read the header of a raster object; raises FetchError where it is no raster.

    content : the object, or as much of its beginning as holds the header
    name : for messages
    """
    with _open_memory(content, name) as dataset:
        return Source(
            dataset.crs.to_string() if dataset.crs else "",
            tuple(dataset.transform)[:6],
            dataset.height,
            dataset.width,
            dataset.dtypes[0],
            dataset.count,
            # NaN is never data, whatever the header says.
            None if dataset.nodata is None or np.isnan(dataset.nodata) else dataset.nodata,
            dataset.scales[0],
        )


def decode_object(
    content: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int], *, threads: int = 1
) -> np.ndarray:
    """Decode pixels rows[0]:rows[1], cols[0]:cols[1] of an object's first band; only the tiles that meet them are decoded.

    name : for messages
    threads : int, rows of tiles decoded at the same time
    Returns: array (row, col) of the object's type; raises FetchError where any of it cannot be decoded
    """
    with _open_memory(content, name) as dataset:
        height, dtype = dataset.block_shapes[0][0], dataset.dtypes[0]
    # Whichever thread is free takes the next row of tiles.
    cuts = [rows[0], *range((rows[0] // height + 1) * height, rows[1], height), rows[1]]
    out = np.empty((rows[1] - rows[0], cols[1] - cols[0]), dtype)

    def decode(strip: tuple[int, int]) -> None:
        _decode(content, name, strip, cols, out[strip[0] - rows[0] : strip[1] - rows[0]])

    if threads == 1 or len(cuts) == 2:
        decode(rows)
        return out
    with ThreadPoolExecutor(threads) as pool:
        for _done in pool.map(decode, itertools.pairwise(cuts)):
            pass
    return out


def _decode(content: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int], out: np.ndarray) -> None:
    with _open_memory(content, name) as dataset:
        try:
            dataset.read(1, window=Window.from_slices(rows, cols), out=out)
        except rasterio.errors.RasterioIOError as err:
            raise FetchError(
                _("Object '{}' has pixels that cannot be decoded").format(name),
                then=_("Run r.s2.fetch again. If the error occurs again, flag -k continues without this file."),
            ) from err


@dataclass(frozen=True)
class Blocks:
    """Where some blocks of a GeoTIFF lie."""

    places: tuple[tuple[int, int], ...]
    """(start, stop) of each in bytes."""
    deflate: bool
    """Each is a zlib stream, which ends with a checksum."""


def tiff_blocks(head: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int]) -> Blocks | None:
    """Find the blocks of a GeoTIFF that pixels rows[0]:rows[1], cols[0]:cols[1] meet.

    head : the beginning of the file
    Returns: None where the file is no GeoTIFF, `head` does not list all of these blocks, some block is not stored, or the
    compression might decode zeros to pixels
    """
    with _open_memory(head, name) as dataset:
        if dataset.driver != "GTiff" or dataset.compression not in (Compression.deflate, Compression.zstd):
            return None
        (height, width), found = dataset.block_shapes[0], []
        for row in range(rows[0] // height, -(-rows[1] // height)):
            for col in range(cols[0] // width, -(-cols[1] // width)):
                start, size = (
                    dataset.get_tag_item(f"BLOCK_{item}_{col}_{row}", "TIFF", bidx=1) for item in ("OFFSET", "SIZE")
                )
                if not start or not size:
                    return None
                found.append((int(start), int(start) + int(size)))
        return Blocks(tuple(found), dataset.compression == Compression.deflate)


@contextlib.contextmanager
def _open_memory(content: bytes, name: str) -> Iterator[rasterio.io.DatasetReader]:
    with rasterio.Env(**READ_SETTINGS), rasterio.io.MemoryFile(content) as memory:
        try:
            dataset = memory.open()
        except rasterio.errors.RasterioIOError as err:
            raise FetchError(
                _("Object '{}'").format(name),
                found=_("{} bytes that are no raster").format(len(content)),
                expected=_("a JPEG 2000 or GeoTIFF image"),
                then=_("Check the link in the catalogue."),
            ) from err
        with dataset:
            yield dataset
