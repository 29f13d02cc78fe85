"""The kinds of yearly maps that change is computed from: class maps, with or without maps of histories, and maps of the share of sealed land.

A kind defines the layers that two years of its maps give, how r.mapcalc computes them, and how figures come from them. `Work` is what a
kind or a method may use to compute with maps; the stage implements it with GRASS.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import numpy as np

from imperviouslib.core import change, legend, mapnames
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.figures import ClassFigures, Counts, Figures, ShareFigures, Sums, YearPair
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import ARTIFICIAL, DEFAULT_DEFINITION, GREEN
from imperviouslib.core.mapnames import PeriodMap

if TYPE_CHECKING:
    from imperviouslib.core.survey import MappedLand, Survey
    from imperviouslib.core.tally import Measure

_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


class Content(Enum):
    """What the cells of a map hold."""

    CLASSES = auto()
    """Classes 1-4."""
    PAIRS = auto()
    """Class pairs."""
    TRUTH = auto()
    """1 true, 0 false."""
    SHARES = auto()
    """Shares 0-1."""
    PROBABILITIES = auto()
    """Probabilities 0-1."""
    YEARS = auto()
    """Years in which something happened."""


@dataclass(frozen=True)
class Layer:
    """A layer of maps that the tool writes."""

    name: str
    """Last part of the maps' names."""
    title: str
    """Title for people, without the years."""
    content: Content
    colour: str = ""
    """Colour of true or certain cells, red:green:blue; for TRUTH and PROBABILITIES only."""
    of_definition: bool = False
    """Whether the cells depend on the definition of impervious."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """Colours from the first to the last year; for YEARS only."""
    source: str = ""
    """Kind of the maps between neighbouring years that it is made from, SEALING or UNSEALING; empty: the yearly maps."""


@dataclass(frozen=True)
class OutputMap:
    """A map that the tool writes."""

    layer: Layer
    first: int
    """Year, or the earlier one of a pair."""
    last: int
    """The later year of a pair; equal to `first` for a map of one year."""
    made_from: tuple[int, ...]
    """The years whose maps it was computed from."""

    @property
    def title(self) -> str:
        """The title with its years."""
        return f"{self.layer.title}, {self.first}" + (f" to {self.last}" if self.last != self.first else "")

    def name(self, prefix: str) -> str:
        """Return the map's name under a prefix."""
        if self.first == self.last:
            return PeriodMap(prefix, str(self.first), self.layer.name).name
        return mapnames.change_map(prefix, (self.first, self.last), self.layer.name)


@dataclass(frozen=True)
class HistoryMaps:
    """The maps of when cells were sealed and unsealed, which r.unet.predict makes from all years together."""

    years: tuple[int, ...]
    """Years of the prediction from the first to the last year of the run, ascending; they may be more than those of the run."""
    sealed: Mapping[int, str]
    """Year to the probability that a cell is sealed."""
    sealing: Mapping[YearPair, str]
    """Pair of neighbouring years to the probability that a cell was sealed between them."""
    unsealing: Mapping[YearPair, str]
    """Pair of neighbouring years to the probability that a cell was unsealed between them."""
    classes: Mapping[int, tuple[str, ...]]
    """Class, other than artificial, to its probability in each year of the whole prediction, x 10000."""

    @property
    def names(self) -> tuple[str, ...]:
        """All maps."""
        between = (*self.sealed.values(), *self.sealing.values(), *self.unsealing.values())
        return (*between, *(name for names in self.classes.values() for name in names))

    def between(self, kind: str) -> Mapping[YearPair, str]:
        """Return the maps between neighbouring years of one kind, SEALING or UNSEALING."""
        return {mapnames.SEALING: self.sealing, mapnames.UNSEALING: self.unsealing}[kind]


def resolve_histories(listed: Iterable[str], prefix: str, years: Sequence[int]) -> HistoryMaps:
    """Choose the maps of histories under a prefix that the years of a run need; raise InputError where one is missing.

    Years that are neighbours in the run need not be neighbours in the prediction; the maps are those between all years of the prediction.

    listed : names of all maps
    """
    listed = set(listed)
    found = mapnames.parse_period_maps(listed, prefix, layer=mapnames.SEALED)
    # A year of the run without a map is in the list too, so that its map is found to be missing.
    predicted = sorted({int(one.period) for one in found if one.period.isdigit()} | set(years))
    within = tuple(year for year in predicted if years[0] <= year <= years[-1])

    def between(kind: str) -> dict[YearPair, str]:
        return {pair: mapnames.change_map(prefix, pair, kind) for pair in pairwise(within)}

    def yearly(layer: str, years: Sequence[int]) -> dict[int, str]:
        return {year: PeriodMap(prefix, str(year), layer).name for year in years}

    classes = {
        land.code: tuple(yearly(mapnames.probability_layer(land.key), predicted).values())
        for land in legend.CLASSES
        if land.code != ARTIFICIAL
    }
    maps = HistoryMaps(
        within, yearly(mapnames.SEALED, within), between(mapnames.SEALING), between(mapnames.UNSEALING), classes
    )
    missing = next((name for name in maps.names if name not in listed), None)
    if missing:
        raise InputError(
            _("Map <{}> does not exist").format(missing),
            then=_("Run r.unet.predict with all years and a model that has a series model."),
        )
    return maps


Later = Callable[[], _Result]
"""What was asked for. All that methods ask for is added up in one pass over the maps, when the first of it is called."""


class Work(Protocol):
    """What a kind or a method may use to compute with maps. All names are of maps in the current mapset or given by the user."""

    years: tuple[int, ...]
    """Years of the run, ascending."""
    pairs: tuple[YearPair, ...]
    """Pairs of years between which change is counted: neighbours, and spans of several years."""
    maps: Mapping[int, str]
    """Year to the yearly map as it was given."""
    histories: HistoryMaps | None
    """The maps of histories; None where there are none, or no method of the run needs them."""
    zone_maps: Mapping[int, str]
    """Level to the raster of its regions' categories."""
    last_category: int
    """The highest category of a region."""
    grid: Grid
    """The computational region."""
    kind: MapKind
    """Kind of the yearly maps."""
    cell_parts: int
    """Parts of a cell that are told apart: 1 where cells count as wholes."""

    def survey(self) -> Later[tuple[Survey, MappedLand]]:
        """Ask for the reference sample of the run, and what the maps say of its land."""
        ...

    def observed(self) -> Later[Figures]:
        """Ask for the figures of the yearly maps as they were given."""
        ...

    def figures(self, maps: Mapping[int, str]) -> Later[Figures]:
        """Ask for the figures of other yearly maps of the same kind."""
        ...

    def output(self, one: OutputMap) -> str:
        """Return the name under which to write a map that the tool keeps."""
        ...

    def mapcalc(self, expressions: Mapping[str, str]) -> None:
        """Run expressions of r.mapcalc, by the map that each makes, in one call and in their order."""
        ...

    def apply(self, rule: Callable[[np.ndarray], np.ndarray], outs: Sequence[str]) -> None:
        """Compute class maps with a NumPy rule.

        rule : array (year, row, col) of classes, 0 no data, to an array of the same shape
        outs : names of the maps to write, one a year
        """
        ...

    def measure(self, measure: Measure) -> Later[Mapping[int, Sequence[int]]]:
        """Ask for a measure to be added up. Returns: what gives the units of each region (core/tally.py) once that is done."""
        ...

    def count(self, name: str) -> Later[Counts]:
        """Ask for the cells of each code of an integer map by region."""
        ...

    def total(self, name: str) -> Later[Sums]:
        """Ask for the sum of a map by region."""
        ...

    def count_pairs(self, before: str, now: str) -> Later[Counts]:
        """Ask for the cells of each class pair of two class maps by region: code 10 * from + to, to cells."""
        ...

    def compare(
        self, layers: Sequence[str], maps: Mapping[int, str], pairs: Sequence[YearPair]
    ) -> dict[tuple[str, YearPair], str]:
        """Make layers of change between years of maps of this kind; return (layer, pair of years) to the map's name."""
        ...


class MapKind(ABC):
    """A kind of yearly maps."""

    name: ClassVar[str]
    """Option that takes maps of this kind."""
    layers: ClassVar[tuple[Layer, ...]]
    """Layers of change that the tool writes for each pair of years."""
    default_definition: ClassVar[str]
    """Definition of impervious unless the user names one."""
    several_definitions: ClassVar[bool]
    """Whether the maps can serve several definitions in one run."""
    unit_of_area: ClassVar[str]
    """How cells become area, for the metadata."""

    @abstractmethod
    def expression(self, layer: str, out: str, now: str, before: str, impervious: Sequence[int]) -> str:
        """Write a layer of change for r.mapcalc.

        impervious : the classes that count as impervious
        """

    @abstractmethod
    def stock_expression(self, out: str, name: str, impervious: Sequence[int]) -> str | None:
        """Write a map of a year's impervious land in cells for r.mapcalc; None where the yearly map itself is that."""

    @abstractmethod
    def figures(self, work: Work, maps: Mapping[int, str]) -> Later[Figures]:
        """Ask for the figures of yearly maps."""

    def outputs(self, pairs: Sequence[YearPair]) -> list[OutputMap]:
        """Return the change maps that the tool writes."""
        return [OutputMap(layer, *pair, pair) for pair in pairs for layer in self.layers]


class ClassMaps(MapKind):
    """Maps of the four classes."""

    name = "classes"
    layers = (
        Layer("fromto", "Class pairs", Content.PAIRS),
        Layer("gain", "New impervious", Content.TRUTH, "178:24:43", of_definition=True),
        Layer("loss", "Lost impervious", Content.TRUTH, "33:102:172", of_definition=True),
        Layer("greengain", "New green", Content.TRUTH, "77:146:33"),
    )
    default_definition = DEFAULT_DEFINITION
    several_definitions = True
    unit_of_area = "cells by their class"

    def expression(self, layer: str, out: str, now: str, before: str, impervious: Sequence[int]) -> str:
        """Write a layer of change for r.mapcalc."""
        expressions = {
            "fromto": change.fromto_expression(out, now, before),
            "gain": change.newly_expression(out, now, before, impervious),
            "loss": change.newly_expression(out, before, now, impervious),
            "greengain": change.newly_expression(out, now, before, (GREEN,)),
        }
        return expressions[layer]

    def stock_expression(self, out: str, name: str, impervious: Sequence[int]) -> str | None:
        """Write 1 where a cell is impervious, 0 where it is not."""
        return change.belongs_expression(out, name, impervious)

    def figures(self, work: Work, maps: Mapping[int, str]) -> Later[ClassFigures]:
        """Count the classes of each year, and the class pairs of each pair of years."""
        stocks = {year: work.count(name) for year, name in maps.items()}
        flows = {(a, b): work.count_pairs(maps[a], maps[b]) for a, b in work.pairs}
        return lambda: ClassFigures(_called(stocks), _called(flows), work.cell_parts)


class ShareMaps(MapKind):
    """Maps of the share of sealed land, 0-1."""

    name = "shares"
    layers = (
        Layer("gain", "New impervious", Content.SHARES, of_definition=True),
        Layer("loss", "Lost impervious", Content.SHARES, of_definition=True),
    )
    default_definition = "artificial"
    several_definitions = False
    unit_of_area = "share of sealed land x cell area"

    def expression(self, layer: str, out: str, now: str, before: str, impervious: Sequence[int]) -> str:
        """Write a layer of change for r.mapcalc."""
        expressions = {
            "gain": change.grown_share_expression(out, now, before),
            "loss": change.grown_share_expression(out, before, now),
            "before": change.kept_share_expression(out, before, now),
        }
        return expressions[layer]

    def stock_expression(self, out: str, name: str, impervious: Sequence[int]) -> str | None:
        """Return None: the share map itself holds cells of impervious land."""
        return None

    def figures(self, work: Work, maps: Mapping[int, str]) -> Later[ShareFigures]:
        """Sum the shares of each year, and growth and decline of each pair of years."""
        layers = ("before", "gain", "loss")
        made = work.compare(layers, maps, work.pairs)
        stocks = {year: work.total(name) for year, name in maps.items()}
        flows = [{pair: work.total(made[layer, pair]) for pair in work.pairs} for layer in layers]
        return lambda: ShareFigures(_called(stocks), *map(_called, flows))


class PredictedMaps(ClassMaps):
    """Class maps of r.unet.predict with the maps of the cells' histories beside them."""

    name = "input"


def _called(parts: Mapping[_Key, Later[_Result]]) -> dict[_Key, _Result]:
    return {key: part() for key, part in parts.items()}


CLASSES, SHARES, PREDICTED = ClassMaps(), ShareMaps(), PredictedMaps()
KINDS: dict[str, MapKind] = {kind.name: kind for kind in (CLASSES, SHARES, PREDICTED)}
