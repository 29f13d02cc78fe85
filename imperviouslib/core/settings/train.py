"""The settings of r.unet.train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.network import net_anchor, net_halo
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

_DEPTHS, _PATCH = (3, 2, 1), 16
"""Depths to choose from where none is given, and the patch: small patches from many places teach more than a few large ones."""
_LEAST_PATCH = 8
_WINDOW = 256
"""Least cells a side of the windows of validation and test ground, without halo."""


@dataclass(frozen=True)
class TrainSettings:
    """What to train on, what to build, and how to fit it."""

    input: Path
    """HDF5 file of r.s2.ard with labels."""
    output: Path
    """Model folder to write."""
    more: tuple[Path, ...] = ()
    """Further HDF5 files: other places."""
    years: tuple[int, ...] = ()
    """Years whose features are trained on, ascending; empty = all of the file."""
    patch: int = 0
    """Side of a training patch in cells; a multiple of 2^depth; 0 = 16, or 2^depth where that is more."""
    filters: int = 16
    """Filters of the first level."""
    depth: int = 0
    """Number of poolings; 0 = by the ground."""
    epochs: int = 20
    """Maximum number of epochs."""
    batch: int = 32
    """Patches per batch."""
    test: float = 0.2
    """Share of the ground to test on, 0-1; validation takes half as much."""
    seed: int = 1
    """Seed of the split, the first weights and the patches."""
    format: str = "plain"
    """Format of the printed figures: plain or json."""
    mixed: bool = False
    """Fit in mixed precision: bf16 where it is sufficient."""

    def __post_init__(self) -> None:
        check_choice("format", self.format, FORMATS)
        if not self.shapes or 0 < self.patch < _LEAST_PATCH:
            anchor = net_anchor(self.depth or 1)
            raise InputError(
                _("Option <patch>"),
                found=str(self.patch),
                expected=_("a multiple of 2^depth = {} cells").format(anchor),
                then=_("Use {}.").format(max(anchor, _LEAST_PATCH, self.patch // anchor * anchor)),
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """All HDF5 files."""
        return self.input, *self.more

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The (depth, patch) that the net may have, the most wanted first: that given, or the deepest that the ground allows."""
        depths = (self.depth,) if self.depth else _DEPTHS
        patches = ((depth, self.patch or max(_PATCH, net_anchor(depth))) for depth in depths)
        return tuple((depth, patch) for depth, patch in patches if patch % net_anchor(depth) == 0)

    @property
    def anchor(self) -> int:
        """Windows begin at absolute multiples of this many cells."""
        return net_anchor(self.shapes[0][0])

    @property
    def halo(self) -> int:
        """Width in cells of the margin around a window, and of the gap between ground of different use."""
        return net_halo(self.shapes[0][0])

    @property
    def window(self) -> int:
        """Cells a side of the windows of validation and test ground, without halo: larger than patches, so that less of them is halo."""
        patch = self.shapes[0][1]
        return patch * max(1, _WINDOW // patch)

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> TrainSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid or options contradict each other."""
        files = [Path(name).expanduser() for name in split_words(options["input"])]
        return cls(
            input=files[0],
            output=Path(options["output"]).expanduser(),
            more=tuple(files[1:]),
            years=parse_years(options["years"]) if options["years"] else (),
            patch=parse_integer(options["patch"], "patch"),
            filters=parse_integer(options["filters"], "filters"),
            depth=parse_integer(options["depth"], "depth"),
            epochs=parse_integer(options["epochs"], "epochs"),
            batch=parse_integer(options["batch"], "batch"),
            test=parse_number(options["test"], "test"),
            seed=parse_integer(options["seed"], "seed"),
            format=options["format"],
            mixed=flags["f"],
        )
