"""Settings of r.s2.ard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.labels import TIES
from imperviouslib.core.options import (
    FORMATS,
    Flags,
    Options,
    check_choice,
    parse_scheduler,
    parse_years,
    split_words,
)


@dataclass(frozen=True)
class LabelSettings:
    """Which land cover maps become labels, and how."""

    map: str
    """Land cover map, of any resolution."""
    year: int = 2017
    """Year that it shows."""
    legend: str = "s2glc"
    """Name of a legend, or path of a legend file."""
    ties: str = "balanced"
    """Which class a tied cell gets: balanced, lowest or highest."""
    clean: str | None = None
    """Second land cover map: labels that it contradicts are left out; None = keep all."""
    clean_legend: str = "corine"
    """Legend of the second map."""
    rules: Path | None = None
    """File for the legend as rules of r.reclass; None = do not write it."""

    def __post_init__(self) -> None:
        check_choice("ties", self.ties, TIES)


@dataclass(frozen=True)
class ArdSettings:
    """Which maps to write to which file; or, with `check`, which file to check."""

    prefix: str = ""
    """Prefix of the composites of r.s2.yearly."""
    output: Path | None = None
    """HDF5 file to write."""
    years: tuple[int, ...] = ()
    """Ascending; empty = all years of the prefix."""
    features: tuple[str, ...] = ()
    """Features in the order of the model's input; empty = all features of the composites."""
    stack: tuple[str, ...] = ()
    """Parts of a year (year, a season, month or window) that become features of that year; empty = each composite is a period."""
    labels: LabelSettings | None = None
    """None = write no labels."""
    plot: Path | None = None
    """Folder for images of the periods and labels; None = draw none."""
    format: str = "plain"
    """Format of what is printed: plain or json."""
    as_float: bool = False
    """Write float32 with NaN instead of uint16."""
    scheduler: str = ""
    """Address of the Dask scheduler whose workers do the work; empty = this machine."""
    check: Path | None = None
    """HDF5 file to check; None = write a file."""

    def __post_init__(self) -> None:
        if (self.output is None) == (self.check is None):
            raise InputError(
                _("Exactly one of an output file and a file to check is needed"),
                then=_("Give output=, or -c with the file as input=."),
            )
        check_choice("format", self.format, FORMATS)

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> ArdSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid or options contradict each other."""
        if flags["c"]:
            return cls(check=Path(options["input"]), format=options["format"])
        return cls(
            prefix=options["input"],
            output=Path(options["output"]),
            years=parse_years(options["years"]) if options["years"] else (),
            features=split_words(options["features"]),
            stack=split_words(options["stack"]),
            labels=_parse_labels(options),
            plot=Path(options["plot"]) if options["plot"] else None,
            format=options["format"],
            as_float=flags["f"],
            scheduler=parse_scheduler(options["scheduler"]),
        )


def _parse_label_year(text: str) -> int:
    years = parse_years(text.strip(), "label_year")
    if len(years) > 1:
        raise InputError(_("Option <label_year>"), found=f"'{text}'", expected=_("one year"), then=_("Correct it."))
    return years[0]


def _parse_labels(options: Options) -> LabelSettings | None:
    if options["labels"]:
        return LabelSettings(
            map=options["labels"],
            year=_parse_label_year(options["label_year"]),
            legend=options["legend"],
            ties=options["ties"],
            clean=options["clean"] or None,
            clean_legend=options["clean_legend"],
            rules=Path(options["rules"]) if options["rules"] else None,
        )
    unused = next((key for key in ("clean", "rules") if options[key]), None)
    if unused:
        raise InputError(
            _("Option <{}> needs option <labels>").format(unused),
            then=_("Give labels=, or leave out {}=.").format(unused),
        )
    return None
