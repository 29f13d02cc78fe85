"""The page: its lists and panels, which Shiny and www/dashboard.js fill."""

from __future__ import annotations

import json

from htmltools import Tag, TagChild, tags
from shiny import ui
from starlette.requests import Request

from dashboard import texts
from dashboard.choices import choices
from dashboard.state import MAX_REGIONS, PARAMETERS, State, parse_query
from dashboard.table import Table
from dashboard.views.elements import document, svg


def select(key: str, label: str, options: dict[str, str], chosen: str) -> Tag:
    """Make a labelled list. It is the native control of the browser, which every screen reader supports."""
    return tags.label(
        tags.span(label),
        tags.select(
            [
                tags.option(text, value=value, selected="selected" if value == chosen else None)
                for value, text in options.items()
            ],
            {"id": f"choose-{key}", "data-query": key, "data-shiny-no-bind-input": "", "autocomplete": "off"},
        ),
        class_=f"choice choice-{key}",
    )


def controls(table: Table, state: State) -> Tag:
    """Make the row of lists, each with the choices that the table has."""
    offered = choices(table)

    def column_list(column: str, label: str) -> Tag:
        options = {choice.key: choice.label for choice in offered[column].values()}
        chosen = offered[column].get(getattr(state.measure, column))
        return select(PARAMETERS[column], label, options, chosen.key if chosen else "")

    levels = {str(level): texts.level_name(level) for level in table.levels}
    return tags.form(
        select("l", "Regions", levels, str(state.level)),
        column_list("landcover", "Land cover"),
        column_list("lc_flow", "Measure"),
        column_list("unit", "Unit"),
        column_list("definition", "Impervious includes"),
        column_list("method", "Method"),
        class_="controls",
        aria_label="Choose the figures",
    )


def map_panel() -> Tag:
    """Make the panel of the map; www/dashboard.js draws the map into it."""
    return tags.section(
        tags.div(
            tags.div(tags.h2(id="map-title", aria_live="polite"), tags.p(id="map-method", class_="note")),
            tags.div(
                tags.button("+", id="zoom-in", type="button", aria_label="Zoom in"),
                tags.button("−", id="zoom-out", type="button", aria_label="Zoom out"),
                tags.button("⤢", id="zoom-all", type="button", aria_label="Show the whole map"),
                class_="zoom",
            ),
            class_="heading",
        ),
        tags.div(
            svg("svg", id="map", role="img", aria_labelledby="map-title", aria_describedby="summary"),
            tags.p(
                "No figures for this choice. Try another measure, unit or method.",
                id="map-empty",
                class_="empty",
                hidden=True,
            ),
            class_="map-box",
        ),
        tags.div(id="legend", class_="legend"),
        tags.div(
            tags.button("Play", id="play", type="button", aria_pressed="false"),
            tags.div(
                tags.input(
                    id="year", type="range", min=0, max=0, step=1, value=0, aria_label="Period", autocomplete="off"
                ),
                tags.div(id="year-labels", class_="year-labels", aria_hidden="true"),
                class_="slider",
            ),
            class_="time",
        ),
        ui.output_ui("summary", class_="note"),
        class_="panel map-panel",
        aria_labelledby="map-title",
    )


def region_panel(table: Table, state: State) -> Tag:
    """Make the panel of the chosen regions."""
    second = table.seen_method.title_in_sentence if table.seen_method else "a second method"
    return tags.section(
        tags.div(
            tags.label(
                tags.span("Find a region"),
                tags.input(
                    {"id": "search", "list": "regions", "type": "search", "data-shiny-no-bind-input": ""},
                    placeholder="Name or code",
                    autocomplete="off",
                ),
            ),
            tags.datalist(id="regions"),
            tags.label(
                tags.input(
                    {"id": "keep", "type": "checkbox", "data-shiny-no-bind-input": ""},
                    checked="checked" if len(state.geos) > 1 else None,
                    autocomplete="off",
                ),
                tags.span(f"Compare up to {MAX_REGIONS} regions"),
                class_="check",
            ),
            class_="find",
        ),
        tags.ul(id="chosen", class_="chosen-list", aria_label="Chosen regions"),
        tags.p(id="said", class_="hidden", role="status"),
        ui.output_ui("headline"),
        tags.label(
            tags.input(
                {"id": "beside", "type": "checkbox", "data-shiny-no-bind-input": ""},
                checked="checked" if state.compare_method else None,
                autocomplete="off",
            ),
            tags.span(f"Compare with {second}"),
            class_="check",
        ),
        ui.output_ui("chart"),
        tags.details(
            tags.summary("Figures of the chart"),
            tags.div(
                ui.output_ui("figures"), class_="scroll", tabindex="0", role="region", aria_label="Figures of the chart"
            ),
        ),
        class_="panel",
        aria_label="Chosen regions",
    )


def page(table: Table, request: Request) -> ui.page_html:
    """Make the whole page for the state in the address."""
    state = parse_query(request.url.query, table)
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
        tags.main(
            controls(table, state),
            tags.div(map_panel(), region_panel(table, state), class_="two"),
            tags.div(
                tags.div(
                    tags.section(ui.output_ui("ranking"), class_="panel", aria_label="Ranking"),
                    tags.section(ui.output_ui("changes"), class_="panel", aria_label="Land cover changes"),
                    class_="stack",
                ),
                tags.div(
                    tags.section(tags.h2("Downloads"), ui.output_ui("downloads"), class_="panel"),
                    tags.section(tags.h2("Method and sources"), ui.output_ui("about"), class_="panel"),
                    class_="stack",
                ),
                class_="two",
                id="figures",
                tabindex="-1",
            ),
        ),
        tags.div(id="tooltip", class_="tooltip", aria_hidden="true", hidden=True),
        # What no list holds, for www/dashboard.js. These are checked codes and numbers, so no text can end the script.
        tags.script(
            json.dumps({"year": state.year, "chosen": state.geos, "order": state.order}),
            id="state",
            type="application/json",
        ),
    ]
    head: list[TagChild] = [
        tags.meta(name="shiny-dependency-placeholder", content=""),
        tags.meta(name="table-digest", content=table.digest),
        tags.script(src="static/dashboard.js", type="module"),
    ]
    tree = document(title, body, head=head)
    text = "<!DOCTYPE html>\n" + tree.render()["html"]
    return ui.page_html(text, deps_replace_pattern=str(head[0]))
