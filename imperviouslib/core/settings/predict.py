"""The settings of r.unet.predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imperviouslib.core import mapnames
from imperviouslib.core.options import Flags, Options, parse_integer, parse_nprocs, parse_scheduler, parse_years


@dataclass(frozen=True)
class PredictSettings:
    """What to map, with which model, and under which names."""

    input: Path
    """HDF5 file of r.s2.ard."""
    model: Path
    """Model folder of r.unet.train."""
    output: str
    """Prefix of the maps."""
    years: tuple[int, ...] = ()
    """Years to map, ascending; empty = all of the file."""
    engine: str = "auto"
    """Name of the inference engine; auto = the first that is installed."""
    threads: int = 1
    """Threads of the engine; 0 = all processors of the machine that computes."""
    scheduler: str = ""
    """Address of the Dask scheduler whose workers do the work; empty = this machine."""
    fast: bool = False
    """Compute the U-Net in bf16."""
    link: bool = False
    """Link the maps to GeoTIFFs in the mapset instead of importing them."""

    @property
    def precision(self) -> str:
        """Numbers that the U-Net is computed with."""
        return "bfloat16" if self.fast else "float32"

    def __post_init__(self) -> None:
        mapnames.check_prefix(self.output, "output")

    @classmethod
    def parse(cls, options: Options, flags: Flags) -> PredictSettings:
        """Parse what g.parser gives; raise InputError if an option is invalid."""
        return cls(
            input=Path(options["input"]),
            model=Path(options["model"]).expanduser(),
            output=options["output"],
            years=parse_years(options["years"]) if options["years"] else (),
            engine=options["engine"],
            # 0 stays 0, so that each worker of a scheduler uses all processors of its own machine.
            threads=parse_integer(options["nprocs"], "nprocs") and parse_nprocs(options["nprocs"]),
            scheduler=parse_scheduler(options["scheduler"]),
            fast=flags["f"],
            link=flags["l"],
        )
