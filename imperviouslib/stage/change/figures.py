"""The work on the maps of a run: what methods may ask for, and the maps that it makes with GRASS."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imperviouslib.core import change, mapnames
from imperviouslib.core.borders import PARTS
from imperviouslib.core.figures import Counts, Figures, Sums, YearPair
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import landcover_codes
from imperviouslib.core.mapkinds import Later, OutputMap
from imperviouslib.core.methods.sampled import SampledLand, SeenLand
from imperviouslib.core.survey import MappedLand, Survey
from imperviouslib.core.tally import CodeCounts, Measure, ValueSums
from imperviouslib.edge import grass
from imperviouslib.edge.schedule import Crew
from imperviouslib.stage.change.borders import Borders
from imperviouslib.stage.change.inputs import Series
from imperviouslib.stage.change.maps import Scratch
from imperviouslib.stage.change.tally import Tally

_BLOCK_CELLS = 2**22
"""Cells of all maps together that a strip may hold: 16 MiB."""


@dataclass(frozen=True)
class Column:
    """A column of sums in the zones map."""

    name: str
    """Name without the `_sum` that v.rast.stats adds."""
    raster: str
    """Map whose cells are summed."""
    counted: Callable[[int], float]
    """Category of a region to the sum that the table's counts give."""


class Computation:
    """The work on the maps of one run: the `Work` of core/mapkinds.py, by r.mapcalc, and by one pass over the maps."""

    def __init__(
        self,
        series: Series,
        definition: str,
        outputs: Mapping[OutputMap, str],
        zone_maps: Mapping[int, str],
        grid: Grid,
        scratch: Scratch,
        survey: Survey | None = None,
        last_category: int = 0,
        crew: Crew | None = None,
        borders: Borders | None = None,
    ) -> None:
        self.kind, self.years = series.kind, series.years
        self.pairs, self._mapped = change.resolve_spans(series.years), change.resolve_pairs(series.years)
        self.maps: Mapping[int, str] = dict(zip(series.years, series.maps, strict=True))
        self.histories = series.histories
        self.zone_maps = zone_maps
        self._definition = definition
        self._impervious = landcover_codes(definition)["IMP"]
        self.grid, self.last_category = grid, last_category
        self._outputs, self._scratch = outputs, scratch
        self._survey = survey
        self._land: Later[tuple[Survey, MappedLand]] | None = None
        self._named = {(one.layer.name, one.first, one.last): name for one, name in outputs.items()}
        self._compared: dict[tuple[str, str, str], str] = {}
        self._made: set[str] = set()
        self._observed: Later[Figures] | None = None
        self._counted: dict[tuple[str, ...], Later[Counts]] = {}
        self.cell_parts = PARTS if borders else 1
        self._tally, self._crew = Tally(zone_maps, grid, crew, borders=borders), crew

    def observed(self) -> Later[Figures]:
        """Ask for the figures of the yearly maps as they were given."""
        if self._observed is None:
            self._observed = self.figures(self.maps)
        return self._observed

    def figures(self, maps: Mapping[int, str]) -> Later[Figures]:
        """Ask for the figures of yearly maps of the run's kind."""
        return self.kind.figures(self, maps)

    def survey(self) -> Later[tuple[Survey, MappedLand]]:
        """Ask for the reference sample, and what the maps say of its land; they are read once."""
        survey = self._survey
        assert survey is not None
        if self._land is None:
            land, seen = SampledLand(self, survey), SeenLand(self, survey)
            members, members_seen = self.measure(land), self.measure(seen)

            def combine() -> tuple[Survey, MappedLand]:
                found = land.land(members(), self._tally.units.table)
                return survey, replace(found, observed=seen.cells(members_seen()))

            self._land = functools.cache(combine)
        return self._land

    def output(self, one: OutputMap) -> str:
        """Return the temporary name of a map that the run keeps."""
        return self._outputs[one]

    def mapcalc(self, expressions: Mapping[str, str]) -> None:
        """Run expressions in one call of r.mapcalc."""
        grass.mapcalc(expressions, self.grid)

    def apply(self, rule: Callable[[np.ndarray], np.ndarray], outs: Sequence[str]) -> None:
        """Compute class maps of all years with a NumPy rule, in strips of at most `_BLOCK_CELLS` cells, or of one row."""
        rows = max(1, _BLOCK_CELLS // (self.grid.width * len(self.maps)))
        folder = grass.temporary_folder()
        files = [folder / f"{out}.bin" for out in outs]
        for file in files:
            file.unlink(missing_ok=True)
        try:
            for block, _ in grass.read_strips(list(self.maps.values()), (), self.grid, rows):
                for file, cells in zip(files, rule(block), strict=True):
                    with file.open("ab") as handle:
                        handle.write(cells.astype("uint8").tobytes())
            for out, file in zip(outs, files, strict=True):
                grass.import_bands(file, out, "uint8", 1, self.grid)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def measure(self, measure: Measure) -> Later[Mapping[int, Sequence[int]]]:
        """Ask for a measure to be added up; what is returned gives the units of each region once that is done."""
        self._tally.measures.append(measure)

        def members() -> Mapping[int, Sequence[int]]:
            self._tally.run()
            return self._tally.members

        return members

    def count(self, name: str) -> Later[Counts]:
        """Ask for the cells of each code of an integer map by region."""
        return self._counts(name)

    def count_pairs(self, before: str, now: str) -> Later[Counts]:
        """Ask for the cells of each class pair by region."""
        return self._counts(before, now)

    def _counts(self, *names: str) -> Later[Counts]:
        if names not in self._counted:
            counts = CodeCounts(*names)
            members = self.measure(counts)
            self._counted[names] = functools.cache(lambda: counts.counts(members()))
        return self._counted[names]

    def total(self, name: str) -> Later[Sums]:
        """Ask for the sum of a map by region."""
        sums = ValueSums(name)
        members = self.measure(sums)
        return lambda: sums.sums(members())

    def write_changes(self) -> None:
        """Write the change maps of the run, those of its neighbouring years and of the whole time."""
        self.compare([layer.name for layer in self.kind.layers], self.maps, self._mapped)

    def compare(
        self, layers: Sequence[str], maps: Mapping[int, str], pairs: Sequence[YearPair]
    ) -> dict[tuple[str, YearPair], str]:
        """Make layers of change between years of maps in one call of r.mapcalc, unless an earlier call made them.

        Layers of the run's own maps get the names of its outputs, all others are temporary.
        """
        names, expressions = {}, {}
        for a, b in pairs:
            for layer in layers:
                key = layer, maps[a], maps[b]
                # A map may stand for several years: then two pairs have equal cells and an output each.
                own = self._named.get((layer, a, b)) if maps == self.maps else None
                out = own or self._compared.get(key) or self._scratch.raster(layer, a, b, len(self._compared))
                if out not in self._made:
                    expressions[out] = self.kind.expression(layer, out, maps[b], maps[a], self._impervious)
                    self._made.add(out)
                self._compared[key] = names[layer, (a, b)] = out
        self.mapcalc(expressions)
        return names

    def columns(self) -> list[Column]:
        """Make the maps whose sums go into the zones map: impervious cells of each year, new and lost ones of each pair that has maps."""
        stock_maps, expressions = dict(self.maps), {}
        for year, name in self.maps.items():
            out = self._scratch.raster("imp", year)
            expression = self.kind.stock_expression(out, name, self._impervious)
            if expression is not None:
                stock_maps[year] = out
                expressions[out] = expression
        self.mapcalc(expressions)
        whole = self._of_whole_cells()
        columns = [Column(mapnames.column("imp", y, y), name, whole._stock_of(y)) for y, name in stock_maps.items()]
        made = self.compare(["gain", "loss"], self.maps, self._mapped)
        for pair in self._mapped:
            columns.append(Column(mapnames.column("new", *pair), made["gain", pair], whole._flow_of(pair, "gain")))
            columns.append(Column(mapnames.column("lost", *pair), made["loss", pair], whole._flow_of(pair, "loss")))
        return columns

    def _of_whole_cells(self) -> Computation:
        """Return work on the same maps in which cells are whole, as they are to v.rast.stats."""
        if self.cell_parts == 1:
            return self
        whole = copy.copy(self)
        whole.cell_parts, whole._tally = 1, Tally(self.zone_maps, self.grid, self._crew)
        whole._counted, whole._observed, whole._land = {}, None, None
        return whole

    def _stock_of(self, year: int) -> Callable[[int], float]:
        return lambda cat: self.observed()().stock(cat, self._definition, year).cover["IMP"]

    def _flow_of(self, pair: YearPair, direction: str) -> Callable[[int], float]:
        return lambda cat: getattr(self.observed()().flow(cat, self._definition, pair), direction)["IMP"]
