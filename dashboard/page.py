"""The page: its lists and panels, which Shiny and www/ fill."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

from htmltools import Tag, TagChild, tags
from shiny import ui
from starlette.requests import Request

from dashboard import texts
from dashboard.choices import SHOWN, choices
from dashboard.state import MAX_REGIONS, State, parse_query
from dashboard.table import Table
from dashboard.views.elements import document, svg
from dashboard.views.facts import facts_json
from dashboard.views.plain import plain_table


def controls(table: Table, state: State) -> Tag:
    """Make the row of lists, each with the choices that the table has."""
    offered = choices(table)

    def column_list(column: str, label: str) -> Tag:
        options = {choice.key: choice.label for choice in offered[column].values()}
        chosen = offered[column].get(getattr(state.measure, column))
        return ui.input_select(column, label, options, selected=chosen.key if chosen else None)

    levels = {str(level): texts.level_name(level) for level in table.levels}
    return tags.form(
        tags.button(
            "Choose the figures",
            id="filters",
            type="button",
            aria_expanded="false",
            aria_controls="lists",
            class_="narrow-only",
        ),
        tags.div(
            ui.input_select("level", "Regions", levels, selected=str(state.level)),
            column_list("landcover", "Land cover"),
            column_list("lc_flow", "Measure"),
            column_list("unit", "Unit"),
            column_list("definition", "Impervious includes"),
            column_list("method", "Method"),
            id="lists",
            class_="lists",
        ),
        class_="controls",
        aria_label="Choose the figures",
    )


def period_control() -> Tag:
    """Make the period: one handle for a stock, two for a flow. Both are native sliders, which every screen reader supports."""

    def handle(name: str, label: str) -> Tag:
        slider = tags.input(
            {"id": name, "type": "range", "data-shiny-no-bind-input": ""},
            min=0,
            max=0,
            step=1,
            value=0,
            autocomplete="off",
        )
        return tags.label(tags.span(label, id=f"{name}-label"), slider, class_="handle")

    return tags.div(
        tags.button("Play", id="play", type="button", aria_pressed="false"),
        tags.div(
            handle("from", "From"),
            handle("to", "To"),
            tags.div(id="year-labels", class_="year-labels", aria_hidden="true"),
            class_="slider",
        ),
        tags.div(id="spans", class_="spans", role="group", aria_label="Periods of the table"),
        class_="time",
    )


def map_panel(state: State) -> Tag:
    """Make the panel of the map; www/map.js draws the map into it."""
    shown = tags.select(
        [
            tags.option(choice.label, value=choice.key, selected="selected" if code == state.shown else None)
            for code, choice in SHOWN.items()
        ],
        {"id": "shown", "data-shiny-no-bind-input": "", "autocomplete": "off"},
    )
    return tags.section(
        tags.div(
            tags.div(tags.h2(id="map-title", aria_live="polite"), tags.p(id="map-method", class_="note")),
            tags.div(
                tags.label(tags.span("Map shows"), shown, class_="choice-shown"),
                tags.button("+", id="zoom-in", type="button", aria_label="Zoom in"),
                tags.button("−", id="zoom-out", type="button", aria_label="Zoom out"),
                tags.button("⤢", id="zoom-all", type="button", aria_label="Show the whole map"),
                class_="zoom",
            ),
            class_="heading",
        ),
        tags.div(
            svg(
                "svg",
                id="map",
                role="application",
                tabindex="0",
                aria_labelledby="map-title",
                aria_describedby="summary map-help",
                aria_roledescription="map",
            ),
            tags.p(id="map-empty", class_="empty", hidden=True),
            class_="map-box",
        ),
        tags.p(
            "Arrow keys go to the nearest region, Page Down and Page Up to the next and the previous code. "
            "Enter chooses a region, plus and minus zoom, 0 shows the whole map.",
            id="map-help",
            class_="hidden",
        ),
        tags.p(id="readout", class_="readout", aria_live="polite"),
        tags.div(id="legend", class_="legend"),
        period_control(),
        tags.p(id="summary", class_="note"),
        tags.p(
            "Picture: ",
            tags.button("PNG", id="map-png", type="button", class_="link", aria_label="Map as PNG"),
            " ",
            tags.button("SVG", id="map-svg", type="button", class_="link", aria_label="Map as SVG"),
            " · ",
            tags.button("Copy link to this view", id="copy", type="button", class_="link"),
            class_="note take no-embed",
        ),
        class_="panel map-panel",
        aria_labelledby="map-title",
    )


def region_panel(table: Table, state: State) -> Tag:
    """Make the panel of the chosen regions."""
    second = table.seen_method.title_in_sentence if table.seen_method else "a second method"

    def check(name: str, text: str, checked: bool) -> Tag:
        return tags.label(
            tags.input(
                {"id": name, "type": "checkbox", "data-shiny-no-bind-input": ""},
                checked="checked" if checked else None,
                autocomplete="off",
            ),
            tags.span(text),
            class_="check",
        )

    return tags.section(
        tags.div(
            tags.div(
                tags.label("Find a region", {"for": "search"}),
                tags.input(
                    {"id": "search", "type": "text", "role": "combobox", "data-shiny-no-bind-input": ""},
                    placeholder="Name or code",
                    autocomplete="off",
                    aria_expanded="false",
                    aria_controls="found",
                    aria_autocomplete="list",
                ),
                tags.ul(id="found", role="listbox", aria_label="Regions found", hidden=True),
                tags.p(id="not-found", class_="note", hidden=True),
                class_="search",
            ),
            check("keep", f"Compare up to {MAX_REGIONS} regions", len(state.geos) > 1),
            class_="find",
        ),
        tags.ul(id="chosen", class_="chosen-list", aria_label="Chosen regions"),
        tags.div(id="beside-regions", class_="spans", role="group", aria_label="Compare with"),
        tags.p(id="said", class_="hidden", role="status"),
        tags.div(id="tiles"),
        check("beside", f"Compare with {second}", state.compare_method),
        tags.div(id="chart"),
        tags.p(
            "Picture: ",
            tags.button("PNG", id="chart-png", type="button", class_="link", aria_label="Chart as PNG"),
            " ",
            tags.button("SVG", id="chart-svg", type="button", class_="link", aria_label="Chart as SVG"),
            class_="note take",
        ),
        tags.details(
            tags.summary("Figures of the chart"),
            tags.div(id="figures", class_="scroll", tabindex="0", role="region", aria_label="Figures of the chart"),
        ),
        class_="panel region-panel",
        aria_label="Chosen regions",
    )


def page(table: Table, request: Request) -> ui.page_html:
    """Make the whole page for the state in the address."""
    state = parse_query(request.url.query, table)
    return _page_of(table, state, request.query_params.get("embed") == "1")


# Made once for all readers who open the same view: a page takes some ten times as long to make as to send.
@lru_cache(maxsize=128)
def _page_of(table: Table, state: State, embedded: bool) -> ui.page_html:
    title = str(table.package.get("title") or "Impervious land by region")
    body = [
        tags.a("Skip to the figures", href="#figures", class_="skip"),
        tags.header(
            tags.div(
                tags.h1(title),
                tags.p(
                    "Sealed land in each region, its change from year to year, and how reliable the figures are",
                    class_="lead",
                ),
            ),
            tags.div(
                tags.p("Experimental statistics", class_="chip"),
                tags.p(f"Vintage {table.vintage or 'not given'} · NUTS {table.nuts_version}", class_="note"),
            ),
            class_="top",
        ),
        tags.div(id="notice", class_="notice", role="alert", hidden=True),
        tags.main(
            controls(table, state),
            tags.noscript(
                tags.p("This page draws its map and charts with a script. Without it, here are the figures."),
                plain_table(table, replace(state, year_from=None)),
            ),
            tags.div(
                tags.div(
                    map_panel(state),
                    tags.section(tags.div(id="spread"), class_="panel no-embed", aria_label="Distribution"),
                    class_="stack",
                ),
                region_panel(table, state),
                class_="two",
            ),
            tags.div(
                tags.section(tags.div(id="ranking"), class_="panel", aria_label="Ranking"),
                tags.div(
                    tags.section(tags.div(id="changes"), class_="panel", aria_label="Land cover changes"),
                    tags.section(tags.h2("Downloads"), ui.output_ui("downloads"), class_="panel no-print"),
                    tags.section(tags.h2("Method and sources"), ui.output_ui("about"), class_="panel"),
                    class_="stack",
                ),
                class_="two",
                id="figures",
                tabindex="-1",
            ),
        ),
        tags.div(id="tooltip", class_="tooltip", aria_hidden="true", hidden=True),
        # No text of the table can end the script, because none has a "<".
        tags.script(json.dumps(facts_json(table, state)).replace("<", "\\u003c"), id="facts", type="application/json"),
    ]
    head: list[TagChild] = [
        tags.meta(name="shiny-dependency-placeholder", content=""),
        tags.script(src="static/main.js", type="module"),
    ]
    tree = document(title, body, head=head, class_="embed" if embedded else "")
    text = "<!DOCTYPE html>\n" + tree.render()["html"]
    return ui.page_html(text, deps_replace_pattern=str(head[0]))
