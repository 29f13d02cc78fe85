"""What a method is: how yearly maps become the figures of regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from imperviouslib.core.figures import Figures
from imperviouslib.core.mapkinds import ClassMaps, Content, Later, Layer, MapKind, OutputMap, Work
from imperviouslib.core.tableschema import MethodFacts, method_facts


class Method(ABC):
    """A method of the table.

    What a reader of the table must know of it (titles, rank, whether its figures refer to the whole region, whether they may have
    intervals) is in the schema alone: see `facts`.
    """

    code: ClassVar[str]
    """Code in the table and its schema."""
    needs: ClassVar[tuple[type[MapKind], ...]]
    """The kinds of yearly maps that it can work from."""
    needs_sample: ClassVar[bool] = False
    """Whether it also needs a reference sample."""
    notes: ClassVar[tuple[str, ...]]
    """How its figures are made, for the metadata of the table."""

    @property
    def facts(self) -> MethodFacts:
        """What the schema says of it."""
        return method_facts(self.code)

    def outputs(self, years: Sequence[int]) -> list[OutputMap]:
        """Return the maps that it writes beside the change maps; none by default."""
        return []

    @abstractmethod
    def figures(self, work: Work) -> Later[Figures]:
        """Write the maps of `outputs`, and ask for what the figures of all regions need; return what makes the figures of it."""


class ClassRule(Method):
    """A method that gives each cell a class in each year, by a rule over the years, and counts these."""

    needs = (ClassMaps,)
    layer: ClassVar[str]
    """Last part of the names of its yearly class maps."""
    title: ClassVar[str]
    """Title of these maps."""

    @staticmethod
    @abstractmethod
    def rule(stack: np.ndarray) -> np.ndarray:
        """Return the classes of all years: array (year, row, col), class 1-4, 0 no data, in and out."""

    @staticmethod
    def expressions(outs: Sequence[str], maps: Sequence[str]) -> list[str] | None:
        """Write `rule` for r.mapcalc, one expression a year; None where it is computed with NumPy."""
        return None

    def outputs(self, years: Sequence[int]) -> list[OutputMap]:
        """Return a class map for each year, computed from all years."""
        layer = Layer(self.layer, self.title, Content.CLASSES)
        return [OutputMap(layer, year, year, tuple(years)) for year in years]

    def figures(self, work: Work) -> Later[Figures]:
        """Write the class maps, and ask for their counts."""
        names = {one.first: work.output(one) for one in self.outputs(work.years)}
        outs = list(names.values())
        expressions = self.expressions(outs, list(work.maps.values()))
        if expressions is None:
            work.apply(self.rule, outs)
        else:
            work.mapcalc(dict(zip(outs, expressions, strict=True)))
        return work.figures(names)


METHODS: dict[str, Method] = {}
"""Code to method, filled as the modules of methods are imported."""


def register(method: type[Method]) -> type[Method]:
    """Make a method known."""
    METHODS[method.code] = method()
    return method
