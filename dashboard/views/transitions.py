"""The transitions: which land cover became which other one in a region."""

from __future__ import annotations

from dataclasses import replace
from math import floor, log10

import numpy as np
from htmltools import Tag, TagList, tags

from dashboard import texts
from dashboard.state import State
from dashboard.table import NO_CELL, Table


def transitions(table: Table, state: State) -> TagList:
    """Show the transitions in the first chosen region as a matrix, in km²."""
    if not state.geos:
        return TagList(tags.h2("Land cover changes"), tags.p("Choose a region first.", class_="empty"))
    geo = state.geos[0]
    region = table.regions[geo]
    measure = replace(state.measure, lc_flow="NET", unit="KM2")
    periods = table.cube(measure, region.level).periods
    period = min(periods, key=lambda p: abs(p.year - state.year), default=None)
    found = table.transitions_of(geo, measure.definition, measure.method, "KM2", period) if period else {}
    heading = tags.h2(f"Land cover changes in {region.name}, km²" + (f", {period.title}" if period else ""))
    if found and all(cell.value is None for cell in found.values()):
        return TagList(heading, tags.p("Too little of the region was seen in both years.", class_="empty"))
    if not found:
        return TagList(
            heading, tags.p("The table has no land cover changes for this region, method and period.", class_="empty")
        )
    covers = [c for c in table.schema["codes"]["landcover"] if any(c in pair for pair in found)]
    names = table.schema["codes"]["landcover"]
    sizes = [abs(c.value) for c in found.values() if c.value]
    decimals = int(np.clip(2 - floor(log10(np.median(sizes))), 0, 4)) if sizes else 1

    def cell(start: str, end: str) -> Tag:
        if start == end:
            return tags.td("·", class_="num soft")
        one = found.get((start, end), NO_CELL)
        return tags.td(texts.number(one.value, decimals), class_="num")

    return TagList(
        heading,
        tags.table(
            tags.caption("Rows: land cover before. Columns: land cover after.", class_="note"),
            tags.thead(
                tags.tr(
                    tags.td("from / to", class_="soft"), [tags.th(names[c], scope="col", class_="num") for c in covers]
                )
            ),
            tags.tbody([tags.tr(tags.th(names[a], scope="row"), [cell(a, b) for b in covers]) for a in covers]),
            class_="changes",
        ),
    )
