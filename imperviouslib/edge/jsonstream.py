"""Read the members of a large JSON list one after the other, so that only one of them is in memory.

This is the standard library's decoder on a window of the file. The library ijson is not used: it refuses NaN, which Python itself
writes, and integers above 64 bits; it takes twice the time; and it must know the form of a file beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

_PIECE = 1 << 20
"""Characters that are read at a time."""


def read_members(handle: TextIO, key: str) -> Iterator[Any]:
    """Yield the members of a JSON list, or those of the list `key` of an object, or whole values that follow one another.

    An object without a list `key` is itself yielded. Raises json.JSONDecodeError if the text is cut off or is not JSON.
    """
    text = _Text(handle)
    if text.peek() == "[":
        yield from _list(text)
        if text.peek():
            raise text.error("nothing after the end of the list")
        return
    while text.peek():
        yield from _object(text, key)


class _Text:
    """A window on a text, of which more is read as needed."""

    def __init__(self, handle: TextIO) -> None:
        self._handle, self._decoder = handle, json.JSONDecoder()
        self._buffer, self._at = "", 0

    def _read(self) -> bool:
        """Read the next piece and drop the text already decoded; False at the end of the file."""
        piece = self._handle.read(_PIECE)
        self._buffer, self._at = self._buffer[self._at :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at].isspace():
                self._at += 1
            if self._at < len(self._buffer) or not self._read():
                return self._buffer[self._at : self._at + 1]

    def error(self, expected: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(f"expected {expected}", self._buffer[self._at : self._at + 20], 0)

    def expect(self, characters: str) -> str:
        """Return the next character, which must be one of those given."""
        found = self.peek()
        if not found or found not in characters:
            raise self.error(f"one of {characters}")
        self._at += 1
        return found

    def value(self) -> Any:
        """Decode the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                if not self._read():
                    raise
                continue
            # A number at the end of the window may continue in the next piece.
            if end < len(self._buffer) or isinstance(value, (dict, list, str)) or not self._read():
                self._at = end
                return value


def _list(text: _Text) -> Iterator[Any]:
    """Yield the members of the next list."""
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    while True:
        yield text.value()
        if text.expect(",]") == "]":
            return


def _object(text: _Text, key: str) -> Iterator[Any]:
    """Yield the members of the list `key` of the next object, or the object itself where it has no such list."""
    text.expect("{")
    rest: dict[str, Any] = {}
    has_list = False
    end = text.expect("}") if text.peek() == "}" else ""
    while end != "}":
        name = text.value()
        if not isinstance(name, str):
            raise text.error("a name in quotes")
        text.expect(":")
        if name == key and text.peek() == "[":
            has_list = True
            yield from _list(text)
        else:
            rest[name] = text.value()
        end = text.expect(",}")
    if not has_list:
        yield rest
