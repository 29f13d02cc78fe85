"""The figures as a plain table, for browsers without scripts and for readers who want the bare numbers."""

from __future__ import annotations

from htmltools import Tag, TagList, tags

from dashboard import texts
from dashboard.state import State
from dashboard.table import Table
from dashboard.words import _

MAX_ROWS = 120
"""Rows of the plain table; a level with more regions is replaced by the next coarser one."""


def plain_table(table: Table, state: State) -> TagList:
    """Write the figures of a measure and period as a table, with intervals and notes."""
    fitting = [level for level in table.levels if level <= state.level]
    level = next(
        (one for one in reversed(fitting) if sum(r.level == one for r in table.regions.values()) <= MAX_ROWS),
        table.levels[0],
    )
    measure = state.measure
    cube = table.cube(measure, level)
    period = cube.nearest(state.year, state.year_from)
    if period is None:
        return TagList(tags.p(_("The table has no figures for this choice.")))
    heading = f"{texts.title(table, measure)}, {texts.unit_phrase(measure)}, {texts.period_title(period)}"
    rows: list[Tag] = []
    for geo in cube.geos:
        cell = cube.cell(geo, period)
        remarks = [texts.flag_words(cell.flags, table.schema)]
        if cell.reason:
            remarks.insert(0, texts.reasons(table.schema)[cell.reason])
        span = (
            ""
            if cell.low is None or cell.high is None
            else _("{low} to {high}").format(low=texts.number(cell.low, 3), high=texts.number(cell.high, 3))
        )
        rows.append(
            tags.tr(
                tags.th(table.regions[geo].name, " ", tags.span(geo, class_="code"), scope="row"),
                tags.td(texts.number(cell.value, 3, signed=measure.is_net), class_="num"),
                tags.td(span, class_="num soft"),
                tags.td("; ".join(filter(None, remarks)), class_="soft"),
            )
        )
    heads = (_("Region"), texts.unit_phrase(measure), _("95 % interval"), _("Note"))
    return TagList(
        tags.h2(heading),
        tags.p(
            _("Method: {method}").format(method=_(table.known_methods[measure.method].title_in_sentence)) + ".",
            class_="note",
        ),
        tags.div(
            tags.table(
                tags.caption(heading, class_="hidden"),
                tags.thead(tags.tr([tags.th(head, scope="col") for head in heads])),
                tags.tbody(rows),
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=heading,
        ),
    )
