"""Counts and sums of maps by region, computed with GRASS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imperviouslib.core import change, mapnames
from imperviouslib.core.figures import Counts, Figures, Sums, YearPair
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import landcover_codes
from imperviouslib.core.mapkinds import OutputMap
from imperviouslib.core.methods.sampled import measure_land
from imperviouslib.core.survey import MappedLand, Survey
from imperviouslib.edge import grass, zones
from imperviouslib.stage.change.inputs import Series
from imperviouslib.stage.change.maps import Scratch, import_codes

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
    """The work on the maps of one run: the `Work` of core/mapkinds.py, by r.mapcalc, r.stats and r.univar."""

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
        self._land: MappedLand | None = None
        self._named = {(one.layer.name, one.first, one.last): name for one, name in outputs.items()}
        self._compared: dict[tuple[str, str, str], str] = {}
        self._made: set[str] = set()
        self._observed: Figures | None = None

    def observed(self) -> Figures:
        """Return the figures of the yearly maps as they were given."""
        if self._observed is None:
            self._observed = self.figures(self.maps)
        return self._observed

    def figures(self, maps: Mapping[int, str]) -> Figures:
        """Return the figures of yearly maps of the run's kind."""
        return self.kind.figures(self, maps)

    def survey(self) -> tuple[Survey, MappedLand]:
        """Return the reference sample, and what the maps say of its land; they are read once."""
        assert self._survey is not None
        if self._land is None:
            self._land = measure_land(self, self._survey)
        return self._survey, self._land

    def output(self, one: OutputMap) -> str:
        """Return the temporary name of a map that the run keeps."""
        return self._outputs[one]

    def mapcalc(self, expressions: Mapping[str, str]) -> None:
        """Run expressions in one call of r.mapcalc."""
        grass.mapcalc(expressions, self.grid)

    def blocks(self, codes: Sequence[str], values: Sequence[str] = ()) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the cells of integer and of floating-point maps in strips, as `Work` says.

        Memory is bounded by `_BLOCK_CELLS`, or by one row of all maps.
        """
        rows = max(1, _BLOCK_CELLS // (self.grid.width * (len(codes) + len(values))))
        return grass.read_strips(codes, values, self.grid, rows)

    def apply(self, rule: Callable[[np.ndarray], np.ndarray], outs: Sequence[str]) -> None:
        """Compute class maps of all years with a NumPy rule, strip by strip."""
        folder = grass.temporary_folder()
        files = [folder / f"{out}.bin" for out in outs]
        for file in files:
            file.unlink(missing_ok=True)
        try:
            for block, _ in self.blocks(list(self.maps.values())):
                for file, cells in zip(files, rule(block), strict=True):
                    with file.open("ab") as handle:
                        handle.write(cells.astype("uint8").tobytes())
            for out, file in zip(outs, files, strict=True):
                import_codes(file, out, self.grid)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def count(self, name: str) -> Counts:
        """Count the codes of an integer map by region with r.stats."""
        # A category lies in one level only.
        counted = (zones.count(raster, [name], self.grid) for raster in self.zone_maps.values())
        return {cat: {code: n for (code,), n in cells.items()} for part in counted for cat, cells in part.items()}

    def count_pairs(self, before: str, now: str) -> Counts:
        """Count class pairs by region with r.stats: those of the map where the run has made one, else of the two maps side by side."""
        made = self._compared.get(("fromto", before, now))
        if made:
            return self.count(made)
        counted = (zones.count(raster, [before, now], self.grid) for raster in self.zone_maps.values())
        return {
            cat: {change.PAIR_BASE * a + b: n for (a, b), n in cells.items()}
            for part in counted
            for cat, cells in part.items()
        }

    def total(self, name: str) -> Sums:
        """Sum a map by region with r.univar."""
        parts = (zones.total(raster, name, self.grid) for raster in self.zone_maps.values())
        return {cat: found for part in parts for cat, found in part.items()}

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
        columns = [Column(mapnames.column("imp", y, y), name, self._stock_of(y)) for y, name in stock_maps.items()]
        made = self.compare(["gain", "loss"], self.maps, self._mapped)
        for pair in self._mapped:
            columns.append(Column(mapnames.column("new", *pair), made["gain", pair], self._flow_of(pair, "gain")))
            columns.append(Column(mapnames.column("lost", *pair), made["loss", pair], self._flow_of(pair, "loss")))
        return columns

    def _stock_of(self, year: int) -> Callable[[int], float]:
        return lambda cat: self.observed().stock(cat, self._definition, year).cover["IMP"]

    def _flow_of(self, pair: YearPair, direction: str) -> Callable[[int], float]:
        return lambda cat: getattr(self.observed().flow(cat, self._definition, pair), direction)["IMP"]
