"""JPEG 2000 files: where the tiles of a codestream lie, and a file that holds only some of its tiles (ISO/IEC 15444-1, annexes A and I).

A codestream is a main header and then tile-parts, each of which begins with a marker SOT that holds its length. So the tiles are found
by going from one SOT to the next, or at once where the main header holds their lengths (markers TLM; in ESA's products from baseline 05.12 on).
Only the plain form that ESA writes is parsed, one tile-part a tile in order; for anything else the functions return None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SOT_SIZE = 12
"""Bytes of a marker SOT with its segment."""
_SOC, _SIZ, _TLM, _PPM, _SOT, _EOC = 0xFF4F, 0xFF51, 0xFF55, 0xFF60, 0xFF90, b"\xff\xd9"


@dataclass(frozen=True)
class Header:
    """What comes before the first tile."""

    boxes: bytes
    """The boxes before the codestream; they hold the georeferencing."""
    main: bytes
    """The main header of the codestream, without the markers TLM."""
    first_part: int
    """Where in the file the first tile-part begins, bytes."""
    height: int
    """Rows of the image."""
    width: int
    """Columns of the image."""
    tile_height: int
    """Rows of a tile; those of the last row of tiles may be fewer."""
    tile_width: int
    """Columns of a tile; those of the last column of tiles may be fewer."""
    lengths: tuple[int, ...] = ()
    """Bytes of each tile-part in order; empty where no markers TLM give them."""

    @property
    def tiles_across(self) -> int:
        """Tiles in a row of tiles."""
        return -(-self.width // self.tile_width)

    @property
    def tiles(self) -> int:
        """Tiles in all."""
        return self.tiles_across * -(-self.height // self.tile_height)

    def tiles_meeting(self, rows: tuple[int, int], cols: tuple[int, int]) -> list[int]:
        """Return the numbers of the tiles that pixels rows[0]:rows[1], cols[0]:cols[1] meet, ascending, counted row by row from 0."""
        down = range(rows[0] // self.tile_height, -(-rows[1] // self.tile_height))
        across = range(cols[0] // self.tile_width, -(-cols[1] // self.tile_width))
        return [row * self.tiles_across + col for row in down for col in across]

    def area_share(self, tiles: Iterable[int]) -> float:
        """Return the share of the image's pixels, 0-1, that lie in some tiles."""
        total = 0
        for tile in tiles:
            row, col = divmod(tile, self.tiles_across)
            height = min(self.tile_height, self.height - row * self.tile_height)
            total += height * min(self.tile_width, self.width - col * self.tile_width)
        return total / (self.height * self.width)


def parse_header(head: bytes) -> Header | None:
    """Parse the beginning of a JP2 file; None where it is no JP2 file, is cut before the first tile, or is of an unusual form."""
    try:
        return _parse_header(head)
    except (struct.error, IndexError, OverflowError):
        return None


def _parse_header(head: bytes) -> Header | None:
    start = _codestream(head)
    if start is None or struct.unpack_from(">H", head, start[1]) != (_SOC,):
        return None
    box, position = start
    main, size, lengths = head[position : position + 2], None, b""
    position += 2
    while True:
        marker, length = struct.unpack_from(">HH", head, position)
        segment = head[position : position + 2 + length]
        if marker == _SOT:
            break
        # Packet headers in the main header (PPM) cannot be split by tile.
        if marker < _SOC or marker == _PPM or len(segment) < 2 + length or length < 2:
            return None
        if marker == _TLM:
            if (part := _tile_lengths(segment, len(lengths) // 4)) is None:
                return None
            lengths += part
        else:
            main += segment
        if marker == _SIZ:
            size = struct.unpack_from(">8I", segment, 6)
        position += 2 + length
    if size is None:
        return None
    width, height, *origin, tile_width, tile_height, tile_x, tile_y = size
    if any(origin) or tile_x or tile_y or not (width and height and tile_width and tile_height):
        return None
    known = struct.unpack(f">{len(lengths) // 4}I", lengths)
    header = Header(head[:box], main, position, height, width, tile_height, tile_width, known)
    return header if len(known) in (0, header.tiles) else None


def _codestream(head: bytes) -> tuple[int, int] | None:
    """Return where the box of the codestream begins, and where its content begins, bytes; None if the file has another form."""
    if head[4:8] != b"jP  ":
        return None
    position = 0
    while True:
        length, kind = struct.unpack_from(">I4s", head, position)
        if kind == b"jp2c":
            return position, position + (16 if length == 1 else 8)
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, position + 8)
        if length < 8:
            return None
        position += length


def _tile_lengths(segment: bytes, first: int) -> bytes | None:
    """Return the lengths of a segment TLM as 32-bit numbers; None where its tiles are not in order from `first` on."""
    form = segment[5]
    index_size, length_size = form >> 4 & 3, 4 if form & 0x40 else 2
    step, entries = index_size + length_size, segment[6:]
    if index_size == 3 or len(entries) % step:
        return None
    out = b""
    for number, at in enumerate(range(0, len(entries), step), start=first):
        if index_size and int.from_bytes(entries[at : at + index_size]) != number:
            return None
        out += entries[at + index_size : at + step].rjust(4, b"\0")
    return out


def parse_tile_part(sot: bytes, tile: int) -> int | None:
    """Return the length in bytes of the tile-part that begins with `sot`; None where it is not the only part of `tile`."""
    if len(sot) < SOT_SIZE:
        return None
    marker, size, index, length, part, parts = struct.unpack_from(">HHHIBB", sot)
    plain = (marker, size, index, part) == (_SOT, 10, tile, 0) and parts in (0, 1) and length > SOT_SIZE + 2
    return length if plain else None


def is_next_part(content: bytes, tile: int, tiles: int) -> bool:
    """Tell whether the bytes after the part of a tile begin the next tile's part, or after the last tile end the codestream.

    tiles : number of tiles in all
    """
    if tile + 1 == tiles:
        return content.startswith(_EOC)
    return parse_tile_part(content, tile + 1) is not None


def assemble(header: Header, parts: Mapping[int, bytes]) -> bytes:
    """Make a JP2 file that holds only some tiles; decoding one of the others fails.

    parts : number of a tile to its tile-part, SOT included
    """
    content = b"".join(parts[tile] for tile in sorted(parts))
    # A box of length 0 reaches to the end of the file.
    return header.boxes + b"\0\0\0\0jp2c" + header.main + content + _EOC
