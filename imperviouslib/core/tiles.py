"""Which tiles the composites of several years are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import parse_tile_list, split_words

TileChoice = Literal["common", "all"] | tuple[str, ...]
"""Tiles that all years have, all tiles, or a list of tiles without their leading T."""
Hole = tuple[int, str]
"""Year and a tile that it lacks."""


def parse_tiles(text: str) -> TileChoice:
    """Parse option <tiles>.

    >>> parse_tiles("common"), parse_tiles("T31UDS,31ues")
    ('common', ('31UDS', '31UES'))
    """
    if text == "common":
        return "common"
    if text == "all":
        return "all"
    if "common" in text.lower() or "all" in split_words(text.lower()):
        raise InputError(
            _("Option <tiles>"),
            found=f"'{text}'",
            expected=_("common or all in small letters and alone, or MGRS tiles such as 31UDS"),
            then=_("Correct it."),
        )
    return parse_tile_list(text)


def format_tiles(choice: TileChoice) -> str:
    """Return the option's text.

    >>> format_tiles("common"), format_tiles(("31UDS", "31UES"))
    ('common', '31UDS,31UES')
    """
    return choice if isinstance(choice, str) else ",".join(choice)


def find_holes(tiles: Mapping[int, set[str]]) -> list[Hole]:
    """Return (year, tile) for each tile that a year lacks and another year has.

    tiles : year to its tiles

    >>> find_holes({2017: {"31UDS"}, 2018: {"31UDS", "31UES"}})
    [(2017, '31UES')]
    """
    every: set[str] = set().union(*tiles.values())
    return [(year, tile) for year in sorted(tiles) for tile in sorted(every - tiles[year])]


def resolve_tiles(choice: TileChoice, tiles: Mapping[int, set[str]]) -> set[str]:
    """Return the tiles to use; raise InputError if there are none, or if a tile of the list does not exist.

    tiles : year to its tiles

    >>> sorted(resolve_tiles("common", {2017: {"31UDS"}, 2018: {"31UDS", "31UES"}}))
    ['31UDS']
    """
    every: set[str] = set().union(*tiles.values())
    if choice == "all":
        return every
    if choice == "common":
        common = every.intersection(*tiles.values())
        if not common:
            listed = "; ".join(f"{year}: {', '.join(sorted(of_year))}" for year, of_year in tiles.items())
            raise InputError(
                _("No tile has scenes in every year ({})").format(listed),
                then=_("Fetch the missing tiles with r.s2.fetch, or use tiles=all."),
            )
        return common
    unknown = sorted(set(choice) - every)
    if unknown:
        raise InputError(
            _("Option <tiles>"),
            found=", ".join(unknown),
            expected=_("tiles of the archive: {}").format(", ".join(sorted(every))),
            then=_("Correct the list, or fetch the tile with r.s2.fetch."),
        )
    return set(choice)
