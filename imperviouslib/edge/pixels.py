"""The pixels of an object that a window needs: from the whole object, or from the JPEG 2000 tiles or TIFF blocks that meet it.

A part of an object is read where that takes less than half of the bytes. The tiles or blocks come by ranged GETs and are put into a file in
memory that lacks all others, and only then decoded: so no decoder reads from the network, where some lose errors. Decoding a tile or
block that is missing raises an error. If anything is not as expected (the form of the file, the chain of its tiles,
the version of the object, a part that cannot be decoded), the whole object is read and verified by its checksum. The content of a
part cannot be verified, except for blocks of deflate, which contain a checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imperviouslib.core import jp2
from imperviouslib.core.errors import FetchError, ImperviousError
from imperviouslib.core.items import Asset
from imperviouslib.core.resample import PixelWindow, Source
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge.objects import PartsError, Remote, get_object, is_remote
from imperviouslib.edge.rasterobject import Blocks, decode_object, describe_object, tiff_blocks

_HEAD_BYTES = 1 << 14
"""Bytes from the beginning that contain the header: about 3,000 of a JPEG 2000 band of ESA's, 3,500 of a GeoTIFF of 121 blocks."""
_SMALL_BYTES = 1 << 20
"""An object of no more bytes is always read whole."""
_REQUEST_BYTES = 1 << 16
"""Bytes that take as long to download as one more request."""

Needed = Callable[[Source], PixelWindow | None]
"""Returns the pixels of a source that are needed; None if none are needed."""


@dataclass(frozen=True)
class Pixels:
    """Pixels of an object, and the number of bytes that were read for them."""

    source: Source
    """Geometry of the whole object."""
    window: PixelWindow | None
    """Which pixels; None where none are needed."""
    values: np.ndarray | None
    """array (row, col) over `window`, of the object's type, or None."""
    size: int
    """Bytes of the whole object."""
    bytes_read: int
    """Bytes that came over the network or from the disk."""
    part: str
    """Which part of the object was read: whole or window."""

    def __str__(self) -> str:
        return f"{self.part}, {self.bytes_read / 1e6:.1f} of {self.size / 1e6:.1f} MB"

    def without_values(self) -> Pixels:
        """Return the same without the values, so that their memory can be freed."""
        return replace(self, values=None)


def decode(content: bytes, name: str, needed: Needed, threads: int = 1, bytes_read: int | None = None) -> Pixels:
    """Return the pixels that a window needs of a whole object; raises FetchError if they cannot be decoded.

    name : for messages
    bytes_read : default: the bytes of `content`
    """
    source = describe_object(content, name)
    window = needed(source)
    values = None if window is None else decode_object(content, name, *window, threads=threads)
    return Pixels(source, window, values, len(content), len(content) if bytes_read is None else bytes_read, "whole")


def get_pixels(asset: Asset, name: str, needed: Needed, retry: RetryPolicy, threads: int = 1) -> Pixels:
    """Return the pixels that a window needs of an object, with the fewest bytes; raises as `get_object` and `decode` do."""
    if not is_remote(asset) or (asset.size is not None and asset.size <= _SMALL_BYTES):
        return decode(get_object(asset, retry), name, needed, threads)
    remote = Remote(asset, retry)
    try:
        found = _read_window(remote, name, needed, threads)
    except PartsError:
        found = None
    return found or decode(remote.whole(), name, needed, threads, remote.bytes_read)


def _read_window(remote: Remote, name: str, needed: Needed, threads: int) -> Pixels | None:
    """Read only what a window needs; None where the whole object must be read, or is cheaper to read."""
    head = remote.begin(_HEAD_BYTES)
    header, size = jp2.parse_header(head), remote.size or 0
    try:
        source = describe_object(head, name)
        window = needed(source)
        if window is None:
            return Pixels(source, None, None, size, remote.bytes_read, "window")
        blocks = None if header else tiff_blocks(head, name, *window)
    except ImperviousError:
        return None
    if header:
        content = _read_jp2_tiles(remote, head, header, header.tiles_meeting(*window))
    elif blocks:
        content = _read_tiff_blocks(remote, head, blocks)
    else:
        return None
    if content is None:
        return None
    try:
        values = decode_object(content, name, *window, threads=threads)
    except FetchError:
        return None
    return Pixels(source, window, values, size, remote.bytes_read, "window")


def _read_jp2_tiles(remote: Remote, head: bytes, header: jp2.Header, tiles: list[int]) -> bytes | None:
    """Read some tiles, and return a JP2 file that holds only these; None where that is not cheaper, or the file is of an unusual form.

    tiles : ascending numbers

    Where the header does not list the lengths of the tile-parts, each part's beginning up to the last wanted tile is read. A wanted tile
    comes together with the beginning of the next.
    """
    expected_bytes = header.area_share(tiles) * (remote.size or 0)
    if not _is_cheaper(remote, expected_bytes, 2 * len(tiles) if header.lengths else tiles[-1] + 1):
        return None
    parts, position, sot = {}, header.first_part, b""
    for tile in range(tiles[-1] + 1):
        if header.lengths and tile not in tiles:
            position, sot = position + header.lengths[tile], b""
            continue
        sot = sot or _read(remote, head, position, position + jp2.SOT_SIZE)
        length = jp2.parse_tile_part(sot, tile)
        if length is None or (header.lengths and length != header.lengths[tile]):
            return None
        sot = b""
        if tile in tiles:
            part = _read(remote, head, position, position + length + jp2.SOT_SIZE)
            parts[tile], sot = part[:length], part[length:]
            if not jp2.is_next_part(sot, tile, header.tiles):
                return None
        position += length
    return jp2.assemble(header, parts)


def _read_tiff_blocks(remote: Remote, head: bytes, blocks: Blocks) -> bytes | None:
    """Read some blocks, and return a file with them in their places and zeros elsewhere, which neither deflate nor zstd decodes to pixels.

    Returns: None where that is not cheaper, or a block's own checksum is wrong
    """
    runs: list[tuple[int, int]] = []
    for start, stop in sorted(blocks.places):
        if runs and start - runs[-1][1] <= _REQUEST_BYTES:
            start = runs.pop()[0]
        runs.append((start, stop))
    if not _is_cheaper(remote, sum(stop - start for start, stop in runs), len(runs)):
        return None
    content = bytearray(max(len(head), runs[-1][1]))
    content[: len(head)] = head
    for start, stop in runs:
        content[start:stop] = _read(remote, head, start, stop)
    if blocks.deflate:
        # GDAL does not test the checksum at the end of a block.
        try:
            for start, stop in blocks.places:
                zlib.decompress(content[start:stop])
        except zlib.error:
            return None
    return bytes(content)


def _is_cheaper(remote: Remote, expected_bytes: float, requests: int) -> bool:
    """Tell whether reading a part takes less than half of what the whole takes."""
    return expected_bytes + requests * _REQUEST_BYTES < (remote.size or 0) / 2


def _read(remote: Remote, head: bytes, start: int, stop: int) -> bytes:
    """Return bytes start:stop of an object, from its beginning where that holds them."""
    return head[start:stop] if stop <= len(head) else remote.part(start, stop)
