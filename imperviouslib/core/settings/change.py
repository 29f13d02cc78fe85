"""The settings of r.impervious.change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from imperviouslib.core import mapnames
from imperviouslib.core.change import SHARE_SCALES
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.indicators import KINDS, Kind
from imperviouslib.core.legend import DEFINITIONS
from imperviouslib.core.mapkinds import CLASSES, PREDICTED, SHARES, MapKind
from imperviouslib.core.methods import METHODS, SAMPLE_DEFINITION, Method, known_methods, methods_for
from imperviouslib.core.options import (
    FORMATS,
    Flags,
    Options,
    check_choice,
    parse_nprocs,
    parse_scheduler,
    parse_years,
    split_words,
)
from imperviouslib.core.zones import one_line


@dataclass(frozen=True)
class ChangeSettings:
    """What to compare, how to compute the figures, and where to write them."""

    zones: str
    """Vector map of the regions."""
    output: Path
    """Folder of the table."""
    vintage: date
    """Date of the table; default: today, UTC."""
    input: str = ""
    """Prefix of the class maps of r.unet.predict; one of `input`, `classes` and `shares` is given."""
    classes: tuple[str, ...] = ()
    """Class maps of another system, one a year."""
    shares: tuple[str, ...] = ()
    """Maps of the share of sealed land, one a year."""
    share_scale: int | None = None
    """Value of a full share in the maps of `shares`; None: their values tell it."""
    years: tuple[int, ...] = ()
    """Ascending; with `input` empty for all years found."""
    legend: str = ""
    """Name or file of the legend of `classes`; empty: the codes are the four classes."""
    column: str = "NUTS_ID"
    """Column with the regions' codes."""
    parent: str = ""
    """Column with the codes of the regions' parents; empty: `PARENT` where there is one."""
    nuts_version: str = "2024"
    """Version of the regions."""
    prefix: str = "change"
    """Prefix of the change maps."""
    definitions: tuple[str, ...] = ()
    """What counts as impervious; maps and columns follow the first. Default: that of the kind of maps."""
    methods: tuple[Method, ...] = ()
    """How figures are made, the least preferred first. Empty: all that the maps allow."""
    design: Path | None = None
    """Design file of r.impervious.sample."""
    readings: tuple[Path, ...] = ()
    """Readings of the sample, one CSV file or more; given with `design`."""
    numbers: Mapping[Kind, Path] = field(default_factory=dict)
    """CSV of the regions' inhabitants, jobs or floor space, for the indicators."""
    previous: Path | None = None
    """Folder of an earlier table, whose rows are kept and compared."""
    write_columns: bool = True
    """Whether to write sums into the table of the zones map."""
    contact: str = ""
    """Whom to ask about the table: a name, with or without an e-mail address in <>."""
    licence: str = ""
    """Licence of the table, such as CC-BY-4.0."""
    schedule: str = ""
    """When figures appear."""
    share_borders: bool = False
    """Whether cells on borders count for each region by their share in it; else for the region that holds their centre."""
    nprocs: int = 1
    """Processes that add up the maps."""
    scheduler: str = ""
    """Address of the Dask scheduler whose workers do the work; empty = this machine."""
    format: str = "plain"
    """Form of the printed summary: plain or json."""

    def __post_init__(self) -> None:
        given = [option for option in ("input", "classes", "shares") if getattr(self, option)]
        if len(given) != 1:
            raise InputError(
                _("{} of the options <input>, <classes> and <shares> are set").format(len(given)),
                then=_("Give exactly one of them."),
            )
        check_choice("format", self.format, FORMATS)
        if self.legend and not self.classes:
            raise InputError(
                _("Option <legend> cannot be used with <{}>").format(given[0]),
                then=_("Leave it out, because the codes of these maps are known."),
            )
        if self.share_scale is not None and not self.shares:
            raise InputError(
                _("Option <share_scale> cannot be used with <{}>").format(given[0]),
                then=_("Leave it out, because it is the scale of the maps of <shares>."),
            )
        if not self.input and len(self.years) != len(self.maps):
            raise InputError(
                _("Option <years>"),
                found=_("{} years for {} maps").format(len(self.years), len(self.maps)),
                expected=_("one year per map, in the same order"),
                then=_("List the year of each map."),
            )
        mapnames.check_prefix(self.prefix, "prefix")
        if bool(self.design) != bool(self.readings):
            raise InputError(
                _("Options <design> and <sample>: only one of them is set"),
                then=_("Give the design file of r.impervious.sample and the readings of the sample together."),
            )
        self._check_definitions()
        self._check_methods()

    def _check_definitions(self) -> None:
        # A frozen dataclass sets a default that depends on other fields this way.
        default = (self.kind.default_definition, *((SAMPLE_DEFINITION,) if self.design else ()))
        object.__setattr__(self, "definitions", self.definitions or tuple(dict.fromkeys(default)))
        unknown = [name for name in self.definitions if name not in DEFINITIONS]
        if unknown:
            raise InputError(
                _("Option <definition>"),
                found=f"'{unknown[0]}'",
                expected=_("one or more of {}").format(", ".join(DEFINITIONS)),
                then=_("Choose from these."),
            )
        if len(self.definitions) > 1 and not self.kind.several_definitions:
            raise InputError(
                _(
                    "Option <definition>: {} definitions cannot be used with <{}>, whose maps fit one definition only"
                ).format(len(self.definitions), self.kind.name),
                then=_("Choose one."),
            )

    def _check_methods(self) -> None:
        usable = methods_for(self.kind, sample=self.design is not None)
        unfit = [method.code for method in self.methods if method not in usable]
        if unfit:
            raise InputError(
                _("Option <method>: {} cannot be computed from the maps of <{}>").format(unfit[0], self.kind.name),
                then=_("Choose from: {}.").format(", ".join(method.code for method in usable)),
            )
        sampled = [method.code for method in self.methods or usable if method.needs_sample]
        if self.design and self.definitions and SAMPLE_DEFINITION not in self.definitions and sampled:
            raise InputError(
                _("Option <definition>: {} speaks of artificial surfaces, which is what people read").format(
                    sampled[0]
                ),
                then=_("Add '{}' to it.").format(SAMPLE_DEFINITION),
            )

    @property
    def kind(self) -> MapKind:
        """Kind of the yearly maps; those of `input` may turn out to be plain class maps."""
        return SHARES if self.shares else PREDICTED if self.input else CLASSES

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that the user named; empty with `input`."""
        return self.classes or self.shares

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> ChangeSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid."""
        return cls(
            zones=options["zones"],
            output=Path(options["output"]).expanduser(),
            vintage=_parse_vintage(options["vintage"]),
            input=options["input"],
            classes=_split_maps(options["classes"]),
            shares=_split_maps(options["shares"]),
            share_scale=_parse_share_scale(options.get("share_scale", "")),
            years=parse_years(options["years"]) if options["years"] else (),
            legend=options["legend"],
            column=options["column"],
            nuts_version=options["nuts_version"],
            parent=options.get("parent", ""),
            prefix=options["prefix"],
            definitions=split_words(options["definition"]),
            methods=_parse_methods(options["method"]),
            design=Path(options["design"]).expanduser() if options["design"] else None,
            readings=tuple(Path(name).expanduser() for name in split_words(options["sample"])),
            numbers={kind: Path(options[kind.option]).expanduser() for kind in KINDS if options.get(kind.option)},
            previous=Path(options["previous"]).expanduser() if options["previous"] else None,
            contact=one_line(options.get("contact", "")),
            licence=_parse_licence(options.get("licence", "")),
            schedule=one_line(options.get("schedule", "")),
            write_columns=not flags["n"],
            share_borders=flags.get("b", False),
            nprocs=parse_nprocs(options.get("nprocs", "1")),
            scheduler=parse_scheduler(options.get("scheduler", "")),
            format=options["format"],
        )


def _split_maps(text: str) -> tuple[str, ...]:
    """Split a list of maps; one map may stand for several years."""
    return tuple(text.split(",")) if text else ()


def _parse_share_scale(text: str) -> int | None:
    if text and text not in map(str, SHARE_SCALES):
        raise InputError(
            _("Option <share_scale>"),
            found=f"'{text}'",
            expected=_("one of {}").format(", ".join(map(str, SHARE_SCALES))),
            then=_("Choose from these."),
        )
    return int(text) if text else None


def _parse_methods(text: str) -> tuple[Method, ...]:
    codes = split_words(text)
    unknown = [code for code in codes if code not in METHODS]
    if unknown:
        raise InputError(
            _("Option <method>"),
            found=f"'{unknown[0]}'",
            expected=_("one or more of {}").format(", ".join(method.code for method in known_methods())),
            then=_("Choose from these."),
        )
    return tuple(method for method in known_methods() if method.code in codes)


def _parse_licence(text: str) -> str:
    """Return the name of a licence; the format of the metadata allows no others."""
    if text and not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", text):
        raise InputError(
            _("Option <licence>"),
            found=f"'{text[:40]}'",
            expected=_("the name of a licence in one word, such as CC-BY-4.0"),
            then=_("Take its name from spdx.org/licenses."),
        )
    return text


def _parse_vintage(text: str) -> date:
    if not text:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as err:
        raise InputError(
            _("Option <vintage>"), found=f"'{text}'", expected=_("a date, YYYY-MM-DD"), then=_("Correct it.")
        ) from err
