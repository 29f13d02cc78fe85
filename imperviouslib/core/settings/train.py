"""The settings of r.unet.train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.network import net_anchor, net_halo
from imperviouslib.core.options import FORMATS, Flags, Options, check_choice, parse_years

_WINDOW = 256
"""Least cells a side of the windows of validation and test ground, without halo."""


@dataclass(frozen=True)
class TrainSettings:
    """What to train on, what to build, and how to fit it."""

    input: Path
    """HDF5 file of r.s2.ard with labels."""
    output: Path
    """Model folder to write."""
    years: tuple[int, ...] = ()
    """Years whose features are trained on, ascending; empty = all of the file."""
    patch: int = 64
    """Side of a training patch in cells; a multiple of 2^depth."""
    filters: int = 16
    """Filters of the first level."""
    depth: int = 3
    """Number of poolings."""
    epochs: int = 20
    """Maximum number of epochs."""
    batch: int = 8
    """Patches per batch."""
    test: float = 0.2
    """Share of the ground to test on, 0-1; validation takes half as much."""
    seed: int = 1
    """Seed of the split, the first weights and the patches."""
    format: str = "plain"
    """Format of the printed figures: plain or json."""

    def __post_init__(self) -> None:
        check_choice("format", self.format, FORMATS)
        if self.patch % self.anchor:
            raise InputError(
                _("Option <patch>"),
                found=str(self.patch),
                expected=_("a multiple of 2^depth = {} cells").format(self.anchor),
                then=_("Use {}.").format(max(self.anchor, self.patch // self.anchor * self.anchor)),
            )

    @property
    def anchor(self) -> int:
        """Windows begin at absolute multiples of this many cells."""
        return net_anchor(self.depth)

    @property
    def halo(self) -> int:
        """Width in cells of the margin around a window, and of the gap between ground of different use."""
        return net_halo(self.depth)

    @property
    def window(self) -> int:
        """Cells a side of the windows of validation and test ground, without halo: larger than patches, so that less of them is halo."""
        return self.patch * max(1, _WINDOW // self.patch)

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> TrainSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid or options contradict each other."""
        return cls(
            input=Path(options["input"]),
            output=Path(options["output"]).expanduser(),
            years=parse_years(options["years"]) if options["years"] else (),
            patch=int(options["patch"]),
            filters=int(options["filters"]),
            depth=int(options["depth"]),
            epochs=int(options["epochs"]),
            batch=int(options["batch"]),
            test=float(options["test"]),
            seed=int(options["seed"]),
            format=options["format"],
        )
