"""Commands that stand in pages of the documentation, so that tests can run them and compare them with the tools."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

GRASS = re.compile(r"[dgrv](\.\w+)+")
"""Name of a GRASS tool."""


def commands_of(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in the `sh` blocks of a page, without comments; a line that ends with a backslash goes on."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def is_grass(words: list[str]) -> bool:
    """Tell whether a command is a GRASS tool."""
    return bool(GRASS.fullmatch(words[0]))


def changed(words: list[str], options: dict[str, str]) -> list[str]:
    """Return a command with other values of options; those that it does not have are added.

    >>> changed(["r.a", "-l", "x=1", "y=2"], {"y": "3", "z": "4"})
    ['r.a', '-l', 'x=1', 'y=3', 'z=4']
    """
    rest = dict(options)
    out = [f"{key}={rest.pop(key)}" if (key := word.split("=")[0]) in rest else word for word in words]
    return out + [f"{key}={value}" for key, value in rest.items()]
