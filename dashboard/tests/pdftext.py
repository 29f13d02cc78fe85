"""Read the text of a PDF that Chromium printed: only what its writer, Skia, uses."""

import re
import zlib


def _objects(content: bytes) -> dict[int, bytes]:
    return {int(n): body for n, body in re.findall(rb"(\d+) 0 obj\b(.*?)\bendobj", content, re.DOTALL)}


def _stream(body: bytes) -> bytes:
    """Return the unpacked stream of an object, empty where it has none."""
    match = re.search(rb"stream\r?\n(.*)endstream", body, re.DOTALL)
    if not match:
        return b""
    return zlib.decompressobj().decompress(match[1]) if b"FlateDecode" in body[: match.start()] else match[1]


def _letters(cmap: bytes) -> dict[int, str]:
    """Read which letter each glyph of a font stands for."""
    letters = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for glyph, text in re.findall(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            letters[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", cmap, re.DOTALL):
        for first, last, text in re.findall(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            start = int(text, 16)
            for i in range(int(last, 16) - int(first, 16) + 1):
                letters[int(first, 16) + i] = chr(start + i)
    return letters


def pages(content: bytes) -> int:
    """Count the pages."""
    return len(re.findall(rb"/Type\s*/Page\b", content))


def text(content: bytes) -> str:
    """Return all text in the order in which it was drawn, without spaces, which a PDF need not hold."""
    objects = _objects(content)
    fonts = {}
    for number, body in objects.items():
        unicode_map = re.search(rb"/ToUnicode (\d+) 0 R", body)
        if unicode_map:
            fonts[number] = _letters(_stream(objects[int(unicode_map[1])]))
    names = {
        name: fonts[int(number)] for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", content) if int(number) in fonts
    }
    said = []
    for data in map(_stream, objects.values()):
        if b" Tf" not in data:
            continue
        letters: dict[int, str] = {}
        for font, glyphs in re.findall(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>", data):
            if font:
                letters = names[font]
            else:
                said += [letters.get(int(glyphs[i : i + 4], 16), "") for i in range(0, len(glyphs), 4)]
    # Fonts draw "fi" and "fl" as one letter.
    return re.sub(r"\s", "", "".join(said)).replace("\ufb01", "fi").replace("\ufb02", "fl")
