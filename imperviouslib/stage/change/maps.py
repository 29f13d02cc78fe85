"""The maps of a run: temporary names, r.mapcalc, metadata, and final names."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import change, mapnames
from imperviouslib.core.mapkinds import Content, OutputMap
from imperviouslib.core.provenance import ChangeProvenance
from imperviouslib.edge import grass
from imperviouslib.edge.overlap import do_each

if TYPE_CHECKING:
    from imperviouslib.stage.change.inputs import Series


class Scratch:
    """Names of temporary maps, which are removed when the run ends."""

    def __init__(self) -> None:
        self._rasters: list[str] = []
        self._vectors: list[str] = []

    def raster(self, *stem: object) -> str:
        """Return an unused name for a raster map."""
        self._rasters.append(grass.temporary_name(mapnames.TEMPORARY + mapnames.joined(*map(str, stem))))
        return self._rasters[-1]

    def vector(self, stem: str) -> str:
        """Return an unused name for a vector map."""
        self._vectors.append(grass.temporary_name(mapnames.TEMPORARY + stem))
        return self._vectors[-1]

    def remove(self) -> None:
        """Remove the maps, the latest first: a reclassified map must go before the map that it refers to."""
        grass.remove(reversed(self._rasters))
        grass.remove(self._vectors, "vector")


@contextlib.contextmanager
def publishing(names: Mapping[str, str], scratch: Scratch) -> Iterator[None]:
    """Give maps their final names; where the block fails, undo that and restore the maps that had these names before.

    names : temporary name to final name
    """
    older = {final: scratch.raster("older", final) for final in names.values() if grass.exists(final)}
    try:
        grass.rename(older)
        grass.give_names(names)
        yield
    except BaseException:
        grass.remove(final for part, final in names.items() if not grass.exists(part))
        grass.give_names({kept: final for final, kept in older.items() if grass.exists(kept)})
        raise


def describe(names: Mapping[OutputMap, str], series: Series, definition: str, threads: int = 1) -> None:
    """Write title, history, provenance, categories and colours of the maps. threads : maps at a time, as `do_each` takes them"""
    classes: list[str] = []
    colours: dict[str, list[str]] = defaultdict(list)
    categories: list[tuple[str, Mapping[int, str]]] = []
    for one, name in names.items():
        layer = one.layer
        if layer.content is Content.CLASSES:
            classes.append(name)
        elif layer.content is Content.PAIRS:
            categories.append((name, change.pair_titles()))
        elif layer.content is Content.TRUTH:
            categories.append((name, {0: "No", 1: layer.title}))
            colours[f"0 235:235:235\n1 {layer.colour}\n"].append(name)
        elif layer.content is Content.PROBABILITIES:
            colours[f"0 255:255:255\n1 {layer.colour}\n"].append(name)
        elif layer.content is Content.YEARS:
            years = [int(key.rpartition("-")[2]) for key in series.sources_of(one)]
            categories.append((name, {year: str(year) for year in years}))
            colours[year_colours(years, layer.palette)].append(name)
    grass.style_classes(classes, threads)
    do_each(lambda pair: _write_categories(*pair), categories, threads)
    for rules, maps in colours.items():
        grass.colour(maps, rules)

    def write(one: OutputMap) -> None:
        layer, made_from = one.layer, series.sources_of(one)
        provenance = ChangeProvenance(
            layer.name, one.made_from, made_from, __version__, definition if layer.of_definition else None
        )
        grass.describe(
            names[one],
            title=one.title,
            units="probability" if layer.content is Content.PROBABILITIES else None,
            semantic_label=layer.name,
            history=f"r.impervious.change: {layer.title.lower()} of {', '.join(made_from.values())}",
            provenance=provenance,
            sources=list(made_from.values()),
        )

    # After the categories, because r.category removes the title.
    do_each(write, names, threads)


def year_colours(years: Sequence[int], palette: Sequence[tuple[int, int, int]]) -> str:
    """Write the rules of r.colors that spread a palette evenly over the time between the first and the last year.

    >>> year_colours((2018, 2019, 2022), [(255, 255, 0), (55, 55, 0), (15, 15, 0)])
    '2018 255:255:0\\n2019 155:155:0\\n2022 15:15:0\\n'
    """
    stops = np.linspace(years[0], years[-1], len(palette))
    bands = [np.interp(years, stops, band).round().astype(int) for band in np.transpose(palette)]
    return "".join(f"{year} {red}:{green}:{blue}\n" for year, red, green, blue in zip(years, *bands, strict=True))


def _write_categories(name: str, titles: Mapping[int, str]) -> None:
    rules = "".join(f"{code}|{title}\n" for code, title in titles.items())
    grass.run("r.category", map=name, separator="pipe", rules="-", stdin=rules)
