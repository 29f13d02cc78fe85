"""The ranking: the regions of the map in order of their figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from htmltools import Tag, TagList, tags

from dashboard import texts
from dashboard.choices import UNITS
from dashboard.state import State
from dashboard.table import Cell, Measure, Table, cells_of
from dashboard.views.elements import svg
from dashboard.views.figures import current, decimals_of, note, palette, ranked

TOP = 25
"""Rows of the ranking; chosen regions of lower rank follow below."""


@dataclass(frozen=True)
class _Ranking:
    """What all rows of the ranking need."""

    table: Table
    state: State
    cells: Mapping[str, Cell]
    """Figures of the period by region."""
    rank: Mapping[str, int]
    """Rank of each region with a value, from 1."""
    decimals: int
    largest: float
    """Largest absolute value, the length of a full bar; 1 where all values are 0."""
    has_intervals: bool
    common_flags: str
    """Flags that all figures have; they are named once above the table."""


def ranking(table: Table, state: State) -> TagList:
    """Rank the regions of the map: the first 25, then the other chosen regions with their rank."""
    cube, period = current(table, state)
    if period is None:
        return TagList(tags.p("There are no figures to rank.", class_="empty"))
    cells = cells_of(cube, period)
    order = ranked(cells, state.order)
    flags = {cells[geo].flags for geo in order}
    whole = _Ranking(
        table=table,
        state=state,
        cells=cells,
        rank={geo: i + 1 for i, geo in enumerate(order)},
        decimals=decimals_of(table, state.measure, state.level),
        largest=max((abs(cells[geo].value or 0) for geo in order), default=0) or 1,
        has_intervals=cube.has_intervals,
        common_flags="".join(f for f in table.schema["codes"]["OBS_FLAG"] if flags and all(f in one for one in flags)),
    )
    shown = order[:TOP]
    extra = [geo for geo in state.geos if geo in cells and geo not in shown]
    extra.sort(key=lambda geo: whole.rank.get(geo, len(order) + 1))
    rows = [_row(whole, geo) for geo in shown]
    if extra:
        columns = 6 if whole.has_intervals else 5
        rows.append(tags.tr(tags.td("Your other chosen regions", colspan=columns), class_="divider"))
        rows += [_row(whole, geo) for geo in extra]
    measure = state.measure
    return TagList(
        tags.h2(f"{texts.title(table, measure)}, {texts.unit_phrase(measure)}, {period.title}"),
        tags.p(_caption(whole), class_="note"),
        tags.table(
            tags.caption(f"Ranking of {texts.level_short(state.level)} regions", class_="hidden"),
            tags.thead(tags.tr(_head(whole))),
            tags.tbody(rows),
            class_="ranking",
        )
        if rows
        else tags.p("No region of this level has a figure for this period.", class_="empty"),
    )


def _caption(whole: _Ranking) -> str:
    valued, total = len(whole.rank), len(whole.cells)
    text = f"{min(TOP, valued)} of {valued} ranked {'region' if valued == 1 else 'regions'}"
    if total > valued:
        text += f"; {total - valued} without a figure"
    flags = texts.flag_words(whole.common_flags, whole.table.schema)
    return f"{text}." + (f" All figures: {flags}." if flags else "")


def _head(whole: _Ranking) -> list[Tag]:
    measure, descending = whole.state.measure, whole.state.order == "desc"
    head = [
        tags.th("Rank", scope="col", class_="num"),
        tags.th("Region", scope="col"),
        tags.th(
            tags.button(
                UNITS[measure.unit].label,
                tags.span(" ▾" if descending else " ▴", aria_hidden="true"),
                {"data-order": "asc" if descending else "desc", "data-key": "order", "type": "button"},
                aria_label=f"{texts.unit_phrase(measure)}, reverse the order",
            ),
            scope="col",
            class_="num",
            aria_sort="descending" if descending else "ascending",
            colspan=2,
        ),
    ]
    if whole.has_intervals:
        head.append(tags.th("95 % interval", scope="col", class_="num"))
    head.append(tags.th("Seen", tags.span(" / note", class_="wide-only"), scope="col"))
    return head


def _row(whole: _Ranking, geo: str) -> Tag:
    cell, measure = whole.cells[geo], whole.state.measure
    chosen = geo in whole.state.geos
    row = [
        tags.td(str(whole.rank.get(geo, "–")), class_="num"),
        tags.th(
            tags.button(
                tags.span(whole.table.regions[geo].name, class_="name"),
                " ",
                tags.span(geo, class_="code"),
                {"data-geo": geo, "data-key": f"rank-{geo}", "type": "button"},
                aria_pressed="true" if chosen else "false",
            ),
            scope="row",
        ),
        tags.td(texts.number(cell.value, whole.decimals, signed=measure.is_net), class_="num"),
        tags.td(_bar(cell, whole.largest, measure), class_="bar", aria_hidden="true"),
    ]
    if whole.has_intervals:
        row.append(tags.td(texts.interval(cell, whole.decimals) or "none", class_="num soft"))
    row.append(tags.td(*note(whole.table, cell, whole.common_flags), class_="soft"))
    return tags.tr(row, class_="chosen" if chosen else None)


def _bar(cell: Cell, largest: float, measure: Measure) -> Tag | None:
    """Draw a bar of 60 units; that of a net change starts in the middle."""
    if cell.value is None:
        return None
    two_sided = measure.is_net
    length = abs(cell.value) / largest * (30 if two_sided else 60)
    x = 0 if not two_sided else 30 if cell.value >= 0 else 30 - length
    kind = palette(measure) + ("-minus" if cell.value < 0 else "")
    return svg(
        "svg",
        svg("rect", x=f"{x:.1f}", y=0, width=f"{length:.1f}", height=10),
        class_=f"fill-{kind}",
        viewBox="0 0 60 10",
    )
