"""The table of a run: its rows, its metadata, and the summary that is printed."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import table
from imperviouslib.core.borders import BY_AREA, BY_CENTRE, NOTE
from imperviouslib.core.errors import _
from imperviouslib.core.figures import Figures, YearPair
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.legend import CLASSES, landcover_codes
from imperviouslib.core.methods import METHODS, SAMPLE_DEFINITION, Method
from imperviouslib.core.provenance import PredictionProvenance
from imperviouslib.core.rows import Row, Rows
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.survey import MappedLand
from imperviouslib.core.table import Run, Table
from imperviouslib.core.tableschema import (
    COVERAGE_MIN,
    RARE_SHARE,
    REGIONS,
    TRANSITIONS,
    VALUES,
    WHOLE_REGION,
    method_facts,
)
from imperviouslib.core.zones import Zone, describe_parts
from imperviouslib.edge import grass, tablefile
from imperviouslib.edge.zones import ZonesMap
from imperviouslib.stage.change.inputs import Series
from imperviouslib.stage.change.regions import FINE_SCALE, is_coarse

_NAMED = 10
"""Regions that a warning names."""


def make_table(
    chosen: Sequence[Zone],
    observed: Figures,
    figures: Mapping[str, Figures],
    run: Run,
    definitions: Sequence[str],
    pairs: Sequence[YearPair],
) -> dict[str, Rows]:
    """Return all rows of the table, sorted.

    observed : figures of the maps as they were given; their cells are those seen, but for methods with a sample, which has land of its own
    figures : code of a method to its figures
    """
    values, transitions = Rows(VALUES), Rows(TRANSITIONS)
    for zone in chosen:
        made: list[Row] = []
        moved: list[Row] = []
        for definition in definitions:
            for method, found in figures.items():
                of_maps = not METHODS[method].needs_sample
                for year in run.years:
                    stock = found.stock(zone.cat, definition, year)
                    if of_maps:
                        stock = replace(stock, seen=observed.stock(zone.cat, definition, year).seen)
                    made += table.stock_rows(zone, stock, run, definition, method, year)
                for pair in pairs:
                    flow = found.flow(zone.cat, definition, pair)
                    if of_maps:
                        flow = replace(flow, seen=observed.flow(zone.cat, definition, pair).seen)
                    made += table.flow_rows(zone, flow, run, definition, method, pair)
                    moved += table.transition_rows(zone, flow, run, definition, method, pair)
        # Rows of one region are dicts at a time: a table of Europe would need gigabytes.
        values.add(made)
        transitions.add(moved)
    regions = Rows.of(REGIONS, (table.region_row(zone, run) for zone in chosen))
    return {rows.name: table.sort_rows(rows, rows.name) for rows in (values, transitions, regions)}


def warn_of_sample(chosen: Sequence[Zone], observed: Figures, land: MappedLand, years: Sequence[int]) -> None:
    """Warn of regions that the maps saw well enough for figures, and of which the land of the sample has too little."""

    def is_enough(zone: Zone, seen: float) -> bool:
        return seen >= COVERAGE_MIN * zone.cells

    def is_left(zone: Zone, year: int) -> bool:
        # A region without any land of the sample has no figures in any case, and a reason of its own.
        inside, seen = land.cells_seen(zone.cat, year), observed.stock(zone.cat, SAMPLE_DEFINITION, year).seen
        return bool(inside) and is_enough(zone, seen) and not is_enough(zone, inside)

    left = [zone.geo for zone in chosen if any(is_left(zone, year) for year in years)]
    if left:
        named = ", ".join(left[:_NAMED]) + (", ..." if len(left) > _NAMED else "")
        grass.warning(
            _("Regions of which the maps saw half or more, but less than half lies in the land of the sample: {} ({}). Their figures from the sample are blank. Draw the sample from all land of these regions to have them.").format(len(left), named)
        )  # fmt: skip


def method_notes(methods: Sequence[Method]) -> list[str]:
    """Return how the figures were made, for the metadata."""
    notes = [note for method in methods for note in method.notes]
    without = [method.code for method in methods if not method.facts.interval]
    if without:
        notes.append(
            f"No interval is given for {' and '.join(without)}: sums of mapped cells have none without a reference sample."
        )
    notes.append(
        "COVERAGE is the share of the cells of the whole outline, lakes and sea within it included, that was really seen."
    )
    sampled = [method.code for method in methods if method.needs_sample]
    if sampled:
        notes.append(
            f"COVERAGE of {' and '.join(sampled)} counts only those of these cells that lie in the land that the sample was drawn from."
        )
    return notes


def describe_package(
    settings: ChangeSettings, series: Series, run: Run, source: ZonesMap, chosen: Sequence[Zone], grid: Grid
) -> dict[str, Any]:  # fmt: skip
    """Return what the data package says of the whole table: how it was made, and from what."""
    scale = f"1:{source.scale:,}" if source.scale else "not known"
    note = f"for drawing; figures need 1:{FINE_SCALE:,} or finer" if is_coarse(source) else ""
    methods = settings.methods
    return {
        "profile": "data-package",
        "name": tablefile.NAME,
        "title": f"Impervious land per region, {run.years[0]}-{run.years[-1]}",
        "version": __version__,
        "created": f"{run.vintage}T00:00:00Z",
        "status": "experimental",
        "description": "Stocks, gains, losses and transitions of impervious, green and other land per region and year.",
        **_describe_publisher(settings),
        "citation": f"Impervious land per region, {run.years[0]}-{run.years[-1]}, vintage {run.vintage}. Made with r.impervious {__version__}.",
        "method": [
            *method_notes(methods),
            *([NOTE] if settings.share_borders else []),
            *([parts] if (parts := describe_parts(chosen, grid.cell_area_m2)) else []),
        ],
        "flags": (
            "A value without a reference sample has flag u. So has, with one, change of fewer than three years where less than "
            f"{RARE_SHARE:.0%} of the cells counted were gained and lost: take the spans of three years and of the whole time."
        ),
        "years": list(run.years),
        "definitions": {
            name: {cover: list(codes) for cover, codes in landcover_codes(name).items()} for name in settings.definitions
        },
        "classes": {str(c.code): c.title for c in CLASSES},
        "unit_of_area": series.kind.unit_of_area,
        "grid": {"crs": f"EPSG:{EPSG}", "res_m": grid.res_m, "bounds": list(grid.bounds)},
        "regions": {"nuts_version": run.nuts_version, "outlines": source.name, "scale": scale, "note": note},
        "provenance": {
            str(year): _describe_source(name) for year, name in zip(series.years, series.sources, strict=True)
        },
        **_describe_histories(series),
        "parameters": {
            **_given(settings),
            "definition": list(settings.definitions),
            "method": [method.code for method in methods],
            "coverage_min": COVERAGE_MIN,
            **({"share_scale": series.share_scale} if series.share_scale else {}),
            "border_cells": BY_AREA if settings.share_borders else BY_CENTRE,
        },
        "software": {
            "r.impervious": __version__, "GRASS": grass.read("g.version").split()[1], "Python": platform.python_version(),
            "NumPy": np.__version__, "PyArrow": tablefile.VERSION,
        },
    }  # fmt: skip


def _describe_source(name: str) -> dict[str, Any]:
    """Return what is recorded of a source map; a map of another system has no record, so its number of scenes is not known."""
    known = grass.read_provenance(name)
    counted = {"scene_count": len(known.scenes)} if isinstance(known, PredictionProvenance) else {}
    return {"map": name, **counted, **(known.to_json() if known else {})}


def _describe_histories(series: Series) -> dict[str, Any]:
    """Return what is recorded of the maps of histories, by pair of years; nothing where no method used them."""
    if series.histories is None:
        return {}
    found = {f"{a}-{b}": _describe_source(grass.find_map(name)) for (a, b), name in series.histories.sealing.items()}
    return {"provenance_between_years": found}


def _describe_publisher(settings: ChangeSettings) -> dict[str, Any]:
    """Return whom to ask, under which licence and when the figures appear, what of these was given."""
    name, email = re.fullmatch(r"(.*?)\s*(?:<([^<>\s]+@[^<>\s]+)>)?", settings.contact).groups()
    person = {key: text for key, text in (("title", name or email), ("email", email)) if text}
    found = {
        "contact": [person] if person else [],
        "licenses": [{"name": settings.licence}] if settings.licence else [],
        "schedule": settings.schedule,
    }
    return {key: value for key, value in found.items() if value}


def _given(settings: ChangeSettings) -> dict[str, str]:
    """Return the options that name maps, regions and files, those that were given."""
    values = {
        "input": settings.input, "classes": ",".join(settings.classes), "shares": ",".join(settings.shares),
        "legend": settings.legend, "zones": settings.zones, "column": settings.column, "prefix": settings.prefix,
        # Names alone: a published table must not tell where its makers keep their files.
        **{kind.option: path.name for kind, path in settings.numbers.items()},
        "previous": settings.previous.name if settings.previous else "",
    }  # fmt: skip
    return {key: value for key, value in values.items() if value}


def print_summary(settings: ChangeSettings, rows: Table, made: Table, chosen: Sequence[Zone], maps: list[str]) -> None:
    """Print the impervious stock and change of the regions in view, as plain text or JSON.

    rows, made : the table as written, and the figures of this run alone
    """
    summary = summarise(made, chosen, [method.code for method in settings.methods])
    if settings.format == "json":
        counts = {name: len(part) for name, part in rows.items()}
        content = {"output": str(settings.output), "rows": counts, "maps": maps, "summary": summary}
        print(json.dumps(content, ensure_ascii=False))
        return
    lines = list(summary_lines(summary))
    for line in lines:
        print(line)
    seen = dict.fromkeys(part["method"] for part in summary if method_facts(part["method"]).ground != WHOLE_REGION)
    if seen:
        print(_("{}: of the cells that were seen; the others: of the whole region").format(", ".join(seen)))
    if any(shown("stock", None) in line for line in lines):
        print(_blank_note(settings.methods))
    print(_("{} rows in '{}'").format(sum(map(len, rows.values())), settings.output))


def summary_lines(summary: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one table a region and definition, with the methods side by side. All other figures are in the written table.

    Stock of the first and the last year, gain of each year and of all years, loss and net of all years.

    summary : as `summarise` returns it
    """
    for _key, group in groupby(summary, key=lambda part: (part["geo"], part["definition"])):
        parts = list(group)
        first = parts[0]
        name = "" if first["name"] == first["geo"] else f" {first['name']}"
        yield f"{first['geo']}{name}: impervious ({first['definition']}), km2"
        widths = [max(10, len(part["method"]) + 1) for part in parts]
        heads = (f"{part['method']:>{width}}" for part, width in zip(parts, widths, strict=True))
        yield f"{'':15}{''.join(heads)}  coverage"
        for what, period in _main_periods(list(first["stock"])):
            values = (
                f"{shown(what, part[what].get(period)):>{width}}" for part, width in zip(parts, widths, strict=True)
            )
            yield f"{what:<6}{period:<9}{''.join(values)}{first['coverage'][period]:>10.3f}"


def _main_periods(years: Sequence[str]) -> list[tuple[str, str]]:
    """Return what `summary_lines` shows of which periods.

    >>> _main_periods(["2017", "2018"])
    [('stock', '2017'), ('stock', '2018'), ('gain', '2017-2018'), ('loss', '2017-2018'), ('net', '2017-2018')]
    >>> _main_periods(["2017"])
    [('stock', '2017')]
    """
    if len(years) == 1:
        return [("stock", years[0])]
    whole = f"{years[0]}-{years[-1]}"
    gains = dict.fromkeys([*(f"{a}-{b}" for a, b in pairwise(years)), whole])
    stocks = [("stock", years[0]), ("stock", years[-1])]
    return [*stocks, *(("gain", period) for period in gains), ("loss", whole), ("net", whole)]


def shown(what: str, value: float | None) -> str:
    """Write a figure for people; what rounds to nothing has no sign of loss.

    >>> shown("stock", None), shown("net", 0.5), shown("net", -0.00001)
    ('blank', '+0.5000', '+0.0000')
    """
    return "blank" if value is None else f"{value:+z.4f}" if what == "net" else f"{value:z.4f}"


def _blank_note(methods: Sequence[Method]) -> str:
    if any(method.needs_sample for method in methods):
        return _(
            "blank: less than half of the region was seen, or lies in the land of the sample; or the sample has no figure"
        )
    return _("blank: less than half of the region was seen")


def summarise(rows: Table, chosen: Sequence[Zone], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return impervious stock and change in km2 of the regions in view, one entry a region, definition and method.

    methods : codes, in the order in which to list them
    """
    kept = {zone.geo: zone for zone in table.in_view(rows, chosen)}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    values = Rows.of(VALUES, rows[VALUES])
    of_land = values["landcover"].among("IMP") & values["unit"].among("KM2")
    for row in values.take(of_land & values["geo"].where(kept.__contains__)):
        key = (row["geo"], row["definition"], row["method"])
        if key not in found:
            found[key] = {
                "geo": key[0], "name": kept[key[0]].name, "definition": key[1], "method": key[2], "unit": "KM2",
                "stock": {}, "gain": {}, "loss": {}, "net": {}, "coverage": {},
            }  # fmt: skip
        stock = row["lc_flow"] == "STK"
        period = str(row["TIME_PERIOD"]) if stock else f"{row['time_from']}-{row['TIME_PERIOD']}"
        found[key]["stock" if stock else row["lc_flow"].lower()][period] = row["OBS_VALUE"]
        found[key]["coverage"][period] = row["COVERAGE"]
    return sorted(found.values(), key=lambda part: (part["geo"], part["definition"], methods.index(part["method"])))
