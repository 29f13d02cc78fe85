"""Labels of the cells from land cover maps of the mapset."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import Labels, majority, resolve_factor
from imperviouslib.core.legend import CLASSES, NODATA, Legend
from imperviouslib.core.settings.ard import LabelSettings
from imperviouslib.edge import grass
from imperviouslib.edge.files import atomic_write
from imperviouslib.edge.legendfile import read_legend


class ClassMap:
    """A land cover map in the classes of the suite: reclassified by GRASS, read at its own resolution."""

    def __init__(self, name: str, option: str, legend: Legend, area: Grid) -> None:
        self.name, self.legend = grass.find_map(name, option=option), legend
        _check_codes(self.name, grass.codes(self.name, area), legend)
        self.factor = resolve_factor(area.res_m, grass.cell_size(self.name))
        if not grass.is_aligned(self.name, area.res_m // self.factor):
            grass.warning(
                _(
                    "Map <{}>: its pixels are not aligned with the cells of the grid. Each cell uses the nearest pixels, which may be shifted by half a pixel."
                ).format(self.name)
            )
        grass.remove_abandoned(option)
        self._classes = grass.temporary_name(option)
        grass.run("r.reclass", input=self.name, output=self._classes, rules="-", stdin=legend.rules())

    def read(self, part: Grid) -> np.ndarray:
        """Return the classes of its pixels: array (row * factor, col * factor), int32, 1-4, 0 = no data."""
        return grass.read_cells(self._classes, Grid(*part.bounds, part.res_m // self.factor))

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what the file records of this map."""
        codes = {str(code): target for code, target in self.legend.codes.items()}
        return {"map": self.name, "legend": self.legend.name, "codes": codes, "factor": self.factor}

    def close(self) -> None:
        """Remove the reclassified map."""
        grass.remove([self._classes])


class LabelSource:
    """Labels by majority; with a second map, only labels on which both maps agree."""

    def __init__(self, settings: LabelSettings, first: ClassMap, second: ClassMap | None) -> None:
        self.first, self.second = first, second
        self.year, self.ties = settings.year, settings.ties
        self.dropped = dict.fromkeys((c.code for c in CLASSES), 0)
        """Class to the number of labels left out because the second map disagrees."""

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: LabelSettings | None, area: Grid) -> Iterator[LabelSource | None]:
        """Prepare the maps, and write the legend's rules if wanted; None without labels. Temporary maps go at the end."""
        if settings is None:
            yield None
            return
        legend = read_legend(settings.legend)
        other = read_legend(settings.clean_legend, "clean_legend") if settings.clean else None
        if settings.rules:
            _write_rules(settings.rules, legend)
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(contextlib.closing(ClassMap(settings.map, "labels", legend, area)))
            second = None
            if settings.clean and other:
                second = stack.enter_context(contextlib.closing(ClassMap(settings.clean, "clean", other, area)))
            yield cls(settings, first, second)

    def read(self, part: Grid) -> Labels:
        """Return the labels of a part of the grid."""
        found = majority(self.first.read(part), part, self.first.factor, self.ties)
        if self.second is None:
            return found
        other = majority(self.second.read(part), part, self.second.factor, self.ties).label
        drop = (found.label != other) & (found.label > 0) & (other > 0)
        for code in self.dropped:
            self.dropped[code] += int(np.count_nonzero(drop & (found.label == code)))
        return found.without(drop)

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what the file records of the labels."""
        record: dict[str, Any] = {**self.first.provenance, "ties": self.ties}
        if self.second:
            record["clean"] = self.second.provenance
        return record


def _write_rules(path: Path, legend: Legend) -> None:
    with atomic_write(path.expanduser().absolute()) as part:
        part.write_text(legend.rules(), encoding="utf-8")


def _check_codes(name: str, codes: list[int], legend: Legend) -> None:
    """Raise an error if a map has a code that the legend lacks, or no land cover at all."""
    legend.check_codes(codes, name)
    if not codes or all(legend.codes[code] == NODATA for code in codes):
        raise InputError(
            (
                _("Map <{}> has only no data within the region")
                if codes
                else _("Map <{}> has no cell within the region")
            ).format(name),
            then=_("Check the region with g.region -l."),
        )
