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
from dashboard.state import MAX_REGIONS, State, format_query, parse_query
from dashboard.table import Table
from dashboard.views.elements import document, svg
from dashboard.views.facts import facts_json
from dashboard.views.plain import plain_table
from dashboard.words import LANGUAGES, _, accepted_language, speaking


def controls(table: Table, state: State) -> Tag:
    """Make the row of lists, each with the choices that the table has."""
    offered = choices(table)

    def column_list(column: str, label: str) -> Tag:
        options = {choice.key: _(choice.label) for choice in offered[column].values()}
        chosen = offered[column].get(getattr(state.measure, column))
        return ui.input_select(column, label, options, selected=chosen.key if chosen else None)

    levels = {str(level): texts.level_name(level) for level in table.levels}
    return tags.form(
        tags.button(
            _("Choose the figures"),
            id="filters",
            type="button",
            aria_expanded="false",
            aria_controls="lists",
            class_="narrow-only",
        ),
        tags.div(
            ui.input_select("level", _("Regions"), levels, selected=str(state.level)),
            column_list("landcover", _("Land cover")),
            column_list("lc_flow", _("Measure")),
            column_list("unit", _("Unit")),
            column_list("definition", _("Impervious includes")),
            column_list("method", _("Method")),
            id="lists",
            class_="lists",
        ),
        class_="controls",
        aria_label=_("Choose the figures"),
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
        tags.button(_("Play"), id="play", type="button", aria_pressed="false"),
        tags.div(
            handle("from", _("From")),
            handle("to", _("To")),
            tags.div(id="year-labels", class_="year-labels", aria_hidden="true"),
            class_="slider",
        ),
        tags.div(id="spans", class_="spans", role="group", aria_label=_("Periods of the table")),
        class_="time",
    )


def map_panel(state: State) -> Tag:
    """Make the panel of the map; www/map.js draws the map into it."""
    shown = tags.select(
        [
            tags.option(_(choice.label), value=choice.key, selected="selected" if code == state.shown else None)
            for code, choice in SHOWN.items()
        ],
        {"id": "shown", "data-shiny-no-bind-input": "", "autocomplete": "off"},
    )
    return tags.section(
        tags.div(
            tags.div(tags.h2(id="map-title", aria_live="polite"), tags.p(id="map-method", class_="note")),
            tags.div(
                tags.label(tags.span(_("Map shows")), shown, class_="choice-shown"),
                tags.button("+", id="zoom-in", type="button", aria_label=_("Zoom in")),
                tags.button("−", id="zoom-out", type="button", aria_label=_("Zoom out")),
                tags.button("⤢", id="zoom-all", type="button", aria_label=_("Show the whole map")),
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
                aria_roledescription=_("map"),
            ),
            tags.p(id="map-empty", class_="empty", hidden=True),
            class_="map-box",
        ),
        tags.p(
            _(
                "Arrow keys go to the nearest region, Page Down and Page Up to the next and the previous code. "
                "Enter chooses a region, plus and minus zoom, 0 shows the whole map."
            ),
            id="map-help",
            class_="hidden",
        ),
        tags.p(id="readout", class_="readout", aria_live="polite"),
        tags.div(id="legend", class_="legend"),
        period_control(),
        tags.p(id="summary", class_="note"),
        tags.p(
            _("Picture:"),
            " ",
            tags.button("PNG", id="map-png", type="button", class_="link", aria_label=_("Map as PNG")),
            " ",
            tags.button("SVG", id="map-svg", type="button", class_="link", aria_label=_("Map as SVG")),
            " · ",
            tags.button(_("Copy link to this view"), id="copy", type="button", class_="link"),
            class_="note take no-embed",
        ),
        class_="panel map-panel",
        aria_labelledby="map-title",
    )


def region_panel(table: Table, state: State) -> Tag:
    """Make the panel of the chosen regions."""
    second = _(table.seen_method.title_in_sentence) if table.seen_method else _("a second method")

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
                tags.label(_("Find a region"), {"for": "search"}),
                tags.input(
                    {"id": "search", "type": "text", "role": "combobox", "data-shiny-no-bind-input": ""},
                    placeholder=_("Name or code"),
                    autocomplete="off",
                    aria_expanded="false",
                    aria_controls="found",
                    aria_autocomplete="list",
                ),
                tags.ul(id="found", role="listbox", aria_label=_("Regions found"), hidden=True),
                tags.p(id="not-found", class_="note", hidden=True),
                class_="search",
            ),
            check("keep", _("Compare up to {count} regions").format(count=MAX_REGIONS), len(state.geos) > 1),
            class_="find",
        ),
        tags.ul(id="chosen", class_="chosen-list", aria_label=_("Chosen regions")),
        tags.div(id="beside-regions", class_="spans", role="group", aria_label=_("Compare with")),
        tags.p(id="said", class_="hidden", role="status"),
        tags.div(id="tiles"),
        check("beside", _("Compare with {method}").format(method=second), state.compare_method),
        tags.div(id="chart"),
        tags.p(
            _("Picture:"),
            " ",
            tags.button("PNG", id="chart-png", type="button", class_="link", aria_label=_("Chart as PNG")),
            " ",
            tags.button("SVG", id="chart-svg", type="button", class_="link", aria_label=_("Chart as SVG")),
            class_="note take",
        ),
        tags.details(
            tags.summary(_("Figures of the chart")),
            tags.div(id="figures", class_="scroll", tabindex="0", role="region", aria_label=_("Figures of the chart")),
        ),
        class_="panel region-panel",
        aria_label=_("Chosen regions"),
    )


def language_links(table: Table, state: State) -> Tag:
    """Make a link to this view in each other language, named in that language."""
    links = [
        tags.a(
            language.name,
            href=f"?{format_query(replace(state, language=code, language_chosen=True), table)}",
            hreflang=code,
            lang=code,
        )
        for code, language in LANGUAGES.items()
        if code != state.language
    ]
    return tags.nav(links, id="languages", aria_label=_("Language"), class_="note no-print")


def page(table: Table, request: Request) -> ui.page_html:
    """Make the whole page for the state in the address."""
    state = parse_query(request.url.query, table, accepted_language(request.headers.get("accept-language", "")))
    with speaking(state.language):
        return _page_of(table, state, request.query_params.get("embed") == "1")


# Made once for all readers who open the same view: a page takes some ten times as long to make as to send.
@lru_cache(maxsize=128)
def _page_of(table: Table, state: State, embedded: bool) -> ui.page_html:
    title = texts.table_title(table)
    body = [
        tags.a(_("Skip to the figures"), href="#figures", class_="skip"),
        tags.header(
            tags.div(
                tags.h1(title),
                tags.p(
                    _("Sealed land in each region, its change from year to year, and how reliable the figures are"),
                    class_="lead",
                ),
            ),
            tags.div(
                tags.p(_("Experimental statistics"), class_="chip"),
                tags.p(
                    f"{_('Vintage {vintage}').format(vintage=table.vintage or _('not given'))} · NUTS {table.nuts_version}",
                    class_="note",
                ),
                language_links(table, state),
            ),
            class_="top",
        ),
        tags.div(id="notice", class_="notice", role="alert", hidden=True),
        tags.main(
            controls(table, state),
            tags.noscript(
                tags.p(_("This page draws its map and charts with a script. Without it, here are the figures.")),
                plain_table(table, replace(state, year_from=None)),
            ),
            tags.div(
                tags.div(
                    map_panel(state),
                    tags.section(tags.div(id="spread"), class_="panel no-embed", aria_label=_("Distribution")),
                    class_="stack",
                ),
                region_panel(table, state),
                class_="two",
            ),
            tags.div(
                tags.section(tags.div(id="ranking"), class_="panel", aria_label=_("Ranking")),
                tags.div(
                    tags.section(tags.div(id="changes"), class_="panel", aria_label=_("Land cover changes")),
                    tags.section(tags.h2(_("Downloads")), ui.output_ui("downloads"), class_="panel no-print"),
                    tags.section(tags.h2(_("Method and sources")), ui.output_ui("about"), class_="panel"),
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
