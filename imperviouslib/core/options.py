"""Values of options that several tools share, parsed in one way."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Collection, Mapping

from imperviouslib.core.errors import InputError, _, without_secrets

Options = Mapping[str, str]
"""What g.parser gives: option to text, empty where it was not given."""
Flags = Mapping[str, bool]
TILE = r"\d{2}[C-X][A-Z]{2}"
"""Code of an MGRS tile: UTM zone, band of latitude, square of 100 km."""


FORMATS = ("plain", "json")
"""Formats of what the tools print."""


def check_choice(option: str, value: str, known: Collection[str]) -> None:
    """Raise InputError if a value is none of the known ones. Settings built in Python have no parser that refuses it."""
    if value not in known:
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{value}'",
            expected=_("one of {}").format(", ".join(known)),
            then=_("Choose one of these."),
        )


def split_words(text: str) -> tuple[str, ...]:
    """Split a list of values at its commas; each value once, without blanks around it.

    >>> split_words("B12, B11,B12,")
    ('B12', 'B11')
    """
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def parse_integer(text: str, option: str) -> int:
    """Parse a whole number; raise InputError otherwise: g.parser takes a text whose beginning is a number, such as 2.5 or 1e3, for one.

    >>> parse_integer(" 20", "epochs")
    20
    """
    text = text.strip()
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{text}'",
            expected=_("a whole number such as 8"),
            then=_("Correct it."),
        )
    return int(text)


def parse_number(text: str, option: str) -> float:
    """Parse a finite number; raise InputError otherwise: g.parser takes a text whose beginning is a number, such as 0,2, for one.

    >>> parse_number("0.25", "test")
    0.25
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{text}'",
            expected=_("a number with a decimal point, such as 0.5"),
            then=_("Correct it."),
        )
    return number


def resolve_nprocs(wanted: int, processors: int) -> int:
    """Return how many processes or threads a number of **nprocs** means, by the rule of GRASS.

    Above 0 it is the number itself; 0 means all processors, -1 all but one, and so on, but at least one.
    processors : how many there are

    >>> [resolve_nprocs(wanted, 8) for wanted in (3, 0, -1, -20)]
    [3, 8, 7, 1]
    """
    return wanted if wanted > 0 else max(1, processors + wanted)


def parse_nprocs(text: str) -> int:
    """Parse option <nprocs> to a number of at least 1, by the processors that this process may use; raise InputError otherwise."""
    return resolve_nprocs(parse_integer(text, "nprocs"), len(os.sched_getaffinity(0)))


def parse_tile_list(text: str) -> tuple[str, ...]:
    """Parse a list of MGRS tiles, with or without the leading T, each once; raise InputError for what is not the code of a tile.

    >>> parse_tile_list("T31UDS,31ues")
    ('31UDS', '31UES')
    """
    tiles = tuple(dict.fromkeys(word.upper().removeprefix("T") for word in split_words(text)))
    wrong = [tile for tile in tiles if not re.fullmatch(TILE, tile)]
    if wrong:
        raise InputError(
            _("Option <tiles>"),
            found=f"'{wrong[0]}'",
            expected=_("MGRS tiles such as 31UDS"),
            then=_("Correct the list."),
        )
    return tiles


def parse_years(text: str, option: str = "years") -> tuple[int, ...]:
    """Parse years and ranges of years, ascending and each once; raise InputError otherwise.

    >>> parse_years("2017-2019,2021")
    (2017, 2018, 2019, 2021)
    """
    years: list[int] = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*([12][0-9]{3})(?:\s*-\s*([12][0-9]{3}))?\s*", word)
        if not match:
            raise InputError(
                _("Option <{}>").format(option),
                found=f"'{word.strip()}'",
                expected=_("years such as 2017-2019 or 2017,2019"),
                then=_("Correct it."),
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(
                _("Option <{}>").format(option),
                found=f"'{word.strip()}'",
                expected=_("the earlier year first"),
                then=_("Correct it."),
            )
        years.extend(range(first, last + 1))
    if any(b <= a for a, b in itertools.pairwise(years)):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{text}'",
            expected=_("years in ascending order, each once"),
            then=_("Sort them."),
        )
    return tuple(years)


def parse_scheduler(text: str) -> str:
    """Parse the address of a Dask scheduler, empty for this machine; raise InputError for what is not one.

    >>> parse_scheduler(" tcp://10.0.0.1:8786"), parse_scheduler("")
    ('tcp://10.0.0.1:8786', '')
    """
    address = text.strip()
    if address and not re.fullmatch(r"(tcp|tls|ucx|ws|wss)://[^\s/@?#]+:\d+/?", address):
        raise InputError(
            _("Option <scheduler>"),
            found=f"'{without_secrets(address)}'",
            expected=_("the address of a Dask scheduler such as tcp://10.0.0.1:8786, without a user name or password"),
            then=_("Correct it, or leave it out to work on this machine."),
        )
    return address
