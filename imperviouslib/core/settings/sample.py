"""The settings of r.impervious.sample."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imperviouslib.core import mapnames
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import (
    FORMATS,
    Flags,
    Options,
    check_choice,
    parse_integer,
    parse_number,
    parse_years,
    split_words,
)
from imperviouslib.core.sample import Sizes, sizes_for

_SCORES = ("gain", "loss", "sealed")
_FEATURES = ("B12_p50", "B11_p50", "B04_p50")


@dataclass(frozen=True)
class SampleSettings:
    """What to draw, from which maps, and how much of it."""

    output: Path
    """Folder of the sample."""
    input: str = ""
    """Prefix of r.unet.predict; or else the three maps of another system."""
    gain: str = ""
    """Map of a score that is higher where gain is more likely."""
    loss: str = ""
    """The same for loss."""
    sealed: str = ""
    """Map of the mean probability of sealing, 0-1."""
    prefix: str = "sample"
    """Prefix of the maps of strata."""
    years: tuple[int, ...] = ()
    """Years to be read, ascending; empty = all that `input` has."""
    sizes: Sizes = field(default_factory=Sizes)
    zones: str = ""
    """Vector map of regions, each of which gets a sample of its own; empty = one sample of the computational region."""
    column: str = "NUTS_ID"
    level: int = 0
    """Level of these regions."""
    stock_points: str = ""
    """Vector map of points, such as those of LUCAS, that are the stock points; empty = drawn at random."""
    stock_columns: Mapping[int, str] = field(default_factory=dict)
    """Year to its column of 1 sealed, 0 not sealed."""
    seed: int = 1
    composites: str = ""
    """Prefix of r.s2.yearly, whose composites are shown in the labelling sheet."""
    features: tuple[str, ...] = _FEATURES
    """Features shown as red, green and blue."""
    rasters: Mapping[str, str] = field(default_factory=dict)
    """Name of a picture to the map that it shows in its colours; `{year}` in the name of the map stands for each year."""
    services: Mapping[str, str] = field(default_factory=dict)
    """Name to address of web map services that a reader may open in the sheet."""
    sheet: bool = False
    """Write the labelling sheet."""
    list_only: bool = False
    """Print what would be drawn, and write nothing."""
    format: str = "plain"
    """Form of what is printed."""

    def __post_init__(self) -> None:
        given = [key for key in _SCORES if getattr(self, key)]
        if bool(self.input) == bool(given) or (given and len(given) < len(_SCORES)):
            raise InputError(
                _("Options <input>, <gain>, <loss>, <sealed>"),
                found=", ".join((["input"] if self.input else []) + given) or _("none of them"),
                expected=_("input alone, or gain, loss and sealed together"),
                then=_("Correct them."),
            )
        if given and len(self.years) < 2:
            raise InputError(
                _("Option <years>: the years to be read are not known from these maps"),
                then=_("Give two years or more, such as years=2018-2024."),
            )
        if self.sheet and not (self.composites or self.list_only):
            raise InputError(
                _("Flag -s: the labelling sheet shows composites, and option <composites> is not set"),
                then=_("Give the prefix of r.s2.yearly."),
            )
        if (self.rasters or self.services) and not (self.sheet or self.list_only):
            raise InputError(
                _("Options <rasters> and <wms> are for the labelling sheet, and flag -s is not set"),
                then=_("Set -s, or leave them out."),
            )
        if self.stock_columns and not self.stock_points:
            raise InputError(
                _("Option <stock_columns> is set and <stock_points> is not"),
                then=_("Give the vector map that has these columns."),
            )
        if len(self.features) != 3:
            raise InputError(
                _("Option <features>"),
                found=_("{} features").format(len(self.features)),
                expected=_("3, for red, green and blue"),
                then=_("Give three, such as {}.").format(",".join(_FEATURES)),
            )
        for key, value in vars(self.sizes).items():
            least = 0 if key in ("windows", "loss") else 20
            if value < least:
                raise InputError(
                    _("Option <{}>").format(key), found=str(value), expected=_("{} or more").format(least), then=_("Correct it.")
                )  # fmt: skip
        if self.seed < 0:
            raise InputError(_("Option <seed>"), found=str(self.seed), expected=_("0 or more"), then=_("Correct it."))
        mapnames.check_prefix(self.prefix, "prefix")
        check_choice("format", self.format, FORMATS)

    @property
    def scores(self) -> tuple[str, str, str]:
        """The maps of another system: of gain, loss, and sealed land."""
        return self.gain, self.loss, self.sealed

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> SampleSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid."""
        return cls(
            output=Path(options["output"]).expanduser(),
            input=options["input"],
            gain=options["gain"],
            loss=options["loss"],
            sealed=options["sealed"],
            prefix=options["prefix"],
            years=parse_years(options["years"]) if options["years"] else (),
            sizes=_parse_sizes(options),
            zones=options["zones"],
            column=options["column"],
            level=parse_integer(options["level"], "level"),
            stock_points=options["stock_points"],
            stock_columns=_parse_columns(options["stock_columns"]),
            seed=parse_integer(options["seed"], "seed"),
            composites=options["composites"],
            features=split_words(options["features"]),
            rasters=_parse_rasters(options["rasters"]),
            services=_parse_services(options["wms"]),
            sheet=flags["s"],
            list_only=flags["l"],
            format=options["format"],
        )


def _parse_sizes(options: Options) -> Sizes:
    points, windows = parse_integer(options["points"], "points"), parse_integer(options["windows"], "windows")
    if options["halfwidth"]:
        points, windows = sizes_for(parse_number(options["halfwidth"], "halfwidth"))
    return Sizes(
        points, windows, parse_integer(options["loss_points"], "loss_points"), parse_integer(options["stock"], "stock")
    )


def _parse_columns(text: str) -> dict[int, str]:
    """Parse year=column of states.

    >>> _parse_columns("2018=lc_2018,2022=lc_2022")
    {2018: 'lc_2018', 2022: 'lc_2022'}
    """
    found: dict[int, str] = {}
    for word in split_words(text):
        match = re.fullmatch(r"(\d{4})=([A-Za-z]\w*)", word)
        if not match or int(match[1]) in found:
            raise InputError(
                _("Option <stock_columns>"),
                found=f"'{word}'",
                expected=_("YEAR=COLUMN, such as 2018=sealed_2018, each year once"),
                then=_("Correct it."),
            )
        found[int(match[1])] = match[2]
    return found


def _parse_rasters(text: str) -> dict[str, str]:
    """Parse name=map of rasters to show.

    >>> _parse_rasters("Sealing layer=hrl_{year}@eea")
    {'Sealing layer': 'hrl_{year}@eea'}
    """
    found: dict[str, str] = {}
    for word in split_words(text):
        match = re.fullmatch(r"([^=]+)=([\w.@{}-]+)", word)
        name = match[1].strip() if match else ""
        if not (match and name) or name in found or re.search(r"[{}]", match[2].replace("{year}", "")):
            raise InputError(
                _("Option <rasters>"),
                found=f"'{word}'",
                expected=_("NAME=MAP, each name once; {year} in a map's name stands for each year"),
                then=_("Correct it, for example: rasters=Sealing layer=hrl_{year}."),
            )
        found[name] = match[2]
    return found


def _parse_services(text: str) -> dict[str, str]:
    """Parse name=address of web map services.

    >>> _parse_services("Orthophotos=https://maps.example.org/wms?layers=ortho")
    {'Orthophotos': 'https://maps.example.org/wms?layers=ortho'}
    """
    found = {}
    for word in split_words(text):
        match = re.fullmatch(r"([^=]+)=(https?://\S+)", word)
        if not match:
            raise InputError(
                _("Option <wms>"),
                found=f"'{word}'",
                expected=_("NAME=ADDRESS, and an address that begins with https:// or http://"),
                then=_("Correct it."),
            )
        found[match[1].strip()] = match[2]
    return found
