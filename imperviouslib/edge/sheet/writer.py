"""Write the labelling sheet: the page, the pictures of all units, and a policy by which a browser loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.readings import POINT, SIDE, WINDOW, SheetUnit
from imperviouslib.edge.files import atomic_write

CONTEXT = {POINT: 12, WINDOW: 6}
"""Cells shown around a unit on each side: 25 x 25 cells for a point, 37 x 37 for a window."""
CELL_M = 20
"""Side of a cell, for the ground that a web map service is asked for."""
Chips = Callable[[SheetUnit], Sequence[np.ndarray]]
_HERE = Path(__file__).parent


def write_sheet(
    path: Path,
    *,
    title: str,
    years: Sequence[int],
    units: Sequence[SheetUnit],
    chips: Chips,
    digest: str,
    layers: Sequence[str] = ("false colour",),
    context: Mapping[str, int] = CONTEXT,
    wms: Mapping[str, str] | None = None,
) -> None:
    """Write the sheet; the pictures of one unit at a time are in memory.

    years : ascending, two or more
    units : of the sample; the page shows them in an order of its own for each reader
    chips : gives the pictures of a unit: for each layer those of all years, arrays (row, col, 3), uint8, with `context` cells around it
    digest : of the design; the page keeps answers apart by it
    layers : names of the picture layers
    context : kind of unit to cells shown around it
    wms : name to address of web map services that the reader may switch on; `{year}` in an address becomes the year shown. Only
        then does the page ask a network.
    Raises InputError for an address that is no web address.
    """
    if (
        len(years) < 2
        or list(years) != sorted(set(years))
        or not layers
        or not units
        or not re.fullmatch(r"[\w.-]+", digest)
    ):
        raise ValueError(f"years {list(years)}, layers {list(layers)}, {len(units)} units, digest {digest!r}")
    if len({unit.id for unit in units}) < len(units):
        raise ValueError("two units have the same id")
    services = {name: _check_address(name, address) for name, address in (wms or {}).items()}
    script, style = ((_HERE / name).read_text(encoding="utf-8") for name in ("sheet.js", "sheet.css"))
    design = {
        "title": title,
        "digest": digest,
        "years": list(years),
        "layers": list(layers),
        "units": [{"id": u.id, "kind": u.kind, "lon": round(u.lon, 6), "lat": round(u.lat, 6)} for u in units],
        "side": SIDE,
        "cell_m": CELL_M,
        "context": dict(context),
        "wms": [{"name": name, "address": address} for name, address in services.items()],
    }
    parts = {
        "policy": html.escape(_policy(script, style, services.values())),
        "title": html.escape(title),
        "style": style,
        "script": script,
        "texts": _json(json.loads((_HERE / "texts.json").read_text(encoding="utf-8"))),
        "design": _json(design),
    }
    page = re.split(r"\{\{(\w+)\}\}", (_HERE / "sheet.html").read_text(encoding="utf-8"))
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(page):
            if number % 2 == 0:
                file.write(text)
            elif text == "chips":
                _write_chips(file, units, chips, len(years), len(layers), context)
            else:
                file.write(parts[text])


def _write_chips(
    file: IO[str], units: Sequence[SheetUnit], chips: Chips, years: int, layers: int, context: Mapping[str, int]
) -> None:
    for number, unit in enumerate(units):
        size = (1 if unit.kind == POINT else SIDE) + 2 * context[unit.kind]
        pictures = list(chips(unit))
        shapes = {(np.asarray(one).shape, np.asarray(one).dtype) for one in pictures}
        if len(pictures) != years * layers or shapes != {((size, size, 3), np.dtype(np.uint8))}:
            raise ValueError(
                f"unit {unit.id}: {len(pictures)} pictures {shapes}, expected {years * layers} of {size} x {size} x 3, uint8"
            )
        for layer in range(layers):
            strip = np.concatenate(pictures[layer * years : (layer + 1) * years], axis=1)
            text = base64.b64encode(_png(strip)).decode("ascii")
            # Kept as plain text, which a browser neither runs nor decodes until the unit is shown.
            file.write(f'<script type="text/plain" id="chips-{number}-{layer}">{text}</script>\n')


def _png(picture: np.ndarray) -> bytes:
    """Encode an array (row, col, 3), uint8, as PNG; each row as its difference to the row above, which compresses best here."""
    rows, cols, bands = picture.shape
    lines = np.zeros((rows, 1 + cols * bands), np.uint8)
    flat = picture.reshape(rows, -1)
    lines[:, 0] = 2
    lines[0, 1:] = flat[0]
    lines[1:, 1:] = flat[1:] - flat[:-1]
    head = struct.pack(">IIBBBBB", cols, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(head, zlib.compress(lines.tobytes(), 9)))


def _chunks(head: bytes, body: bytes) -> Iterator[bytes]:
    for kind, data in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b"")):
        yield struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _json(value: object) -> str:
    """Write JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(script: str, style: str, addresses: Iterable[str]) -> str:
    """Allow this script and this style by their hashes, pictures of this file, and those of the services named; nothing else."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (script, style)
    ]
    origins = sorted({f"{urlsplit(address).scheme}://{urlsplit(address).netloc}" for address in addresses})
    return (
        f"default-src 'none'; script-src {hashes[0]}; style-src {hashes[1]}; img-src {' '.join(['data:', *origins])}; "
        "base-uri 'none'; form-action 'none'"
    )


def _check_address(name: str, address: str) -> str:
    pattern = r"https?://[A-Za-z0-9.\-]+(:[0-9]+)?(/[^\s\"'<>;,]*)?(\?[^\s\"'<>]*)?"
    if not re.fullmatch(pattern, address):
        raise InputError(
            _("Web map service '{}'").format(name),
            found=f"'{address}'",
            expected=_("an address that begins with http:// or https://, without a name of a user"),
            then=_("Correct the address."),
        )
    return address
