"""The page, its server, and the routes beside it.

The browser paints the map by itself from one cube (all years of one measure); Shiny renders what must be told in words, charts and
tables. Both work from the same short query (state.py). No widget library, no tiles, nothing from outside.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from htmltools import HTML, Tag, TagChild, TagList, tags
from shiny import App, Inputs, Outputs, Session, reactive, render, req, ui
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import exports, views, words
from dashboard.data import Table, read_table
from dashboard.shapes import draw_map
from dashboard.state import COVERS, DEFINITIONS, FLOWS, METHODS, UNITS, State, parse_query

CSV = "text/csv; charset=utf-8"
WWW = Path(__file__).resolve().parent / "www"


def select(key: str, label: str, options: dict[str, str], chosen: str) -> Tag:
    """Make a labelled native list; the browser's own control is the one that every reader of screens knows."""
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
    """Make the row of choices, each from the codes that the table has."""

    def options(column: str, codes: dict[str, str], names: dict[str, str]) -> dict[str, str]:
        return {codes[code]: names[code] for code in codes if code in table.codes(column)}

    m = state.measure
    return tags.form(
        select("l", "Regions", {str(level): words.level_name(level) for level in table.levels}, str(state.level)),
        select("c", "Land", options("landcover", COVERS, words.COVER_NAMES), COVERS[m.landcover]),
        select("i", "Measure", options("lc_flow", FLOWS, words.FLOW_NAMES), FLOWS[m.lc_flow]),
        select("u", "Unit", options("unit", UNITS, words.UNIT_NAMES), UNITS[m.unit]),
        select(
            "d",
            "Impervious means",
            options("definition", DEFINITIONS, words.DEFINITION_NAMES),
            DEFINITIONS[m.definition],
        ),
        select("m", "Method", options("method", METHODS, words.METHOD_NAMES), METHODS[m.method]),
        class_="controls",
        aria_label="Choose the figures",
    )


def map_panel() -> Tag:
    """Make the empty map; the browser fills it."""
    return tags.section(
        tags.div(
            tags.div(tags.h2(id="map-title", aria_live="polite"), tags.p(id="map-method", class_="note")),
            tags.div(
                tags.button("+", id="zoom-in", type="button", aria_label="Enlarge the map"),
                tags.button("−", id="zoom-out", type="button", aria_label="Reduce the map"),
                tags.button("⤢", id="zoom-all", type="button", aria_label="Show the whole map"),
                class_="zoom",
            ),
            class_="heading",
        ),
        tags.div(
            views.svg("svg", id="map", role="img", aria_labelledby="map-title", aria_describedby="summary"),
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


def region_panel(state: State) -> Tag:
    """Make the panel of the chosen regions."""
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
                tags.span("Compare up to 5"),
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
            tags.span("Show raw map counts beside the chosen method"),
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
    """Write the whole page for the state that the address names."""
    state = parse_query(request.url.query, table)
    title = str(table.package.get("title") or "Impervious land by region")
    body = [
        tags.a("Skip to the figures", href="#figures", class_="skip"),
        tags.header(
            tags.div(
                tags.h1(title),
                tags.p("How much land was sealed, region by region, and how sure we are", class_="lead"),
            ),
            tags.div(
                tags.p("Experimental statistics", class_="chip"),
                tags.p(f"Vintage {table.vintage or 'not given'} · NUTS {table.nuts_version}", class_="note"),
            ),
            class_="top",
        ),
        tags.main(
            controls(table, state),
            tags.div(map_panel(), region_panel(state), class_="two"),
            tags.div(
                tags.div(
                    tags.section(ui.output_ui("ranking"), class_="panel", aria_label="Ranking"),
                    tags.section(ui.output_ui("changes"), class_="panel", aria_label="What became what"),
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
        # The parts of the state that are no control's value; codes only, so nothing in it can end the script.
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
    tree = views.document(title, body, head=head)
    text = "<!DOCTYPE html>\n" + tree.render()["html"]
    return ui.page_html(text, deps_replace_pattern=str(head[0]))


def make_server(table: Table) -> Callable[[Inputs, Outputs, Session], None]:
    """Return the server of one session: one state, and what is told about it."""

    @lru_cache(maxsize=1024)
    def told(view: Callable[..., TagList], state: State, **options: bool) -> HTML:
        # Tags become text here, once for all sessions that look at the same; a tag escapes whatever is in it.
        return HTML(view(table, state, **options).render()["html"])

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        state: reactive.Value[State] = reactive.Value()
        lasting: reactive.Value[State] = reactive.Value()  # the same without what a year or a sort changes

        @reactive.effect
        def _read_query() -> None:
            new = parse_query(req(input.query()), table)
            # A reactive value wakes its readers even where the new value equals the old one.
            with reactive.isolate():
                for value, content in ((state, new), (lasting, replace(new, year=0, order="desc"))):
                    if not value.is_set() or value() != content:
                        value.set(content)

        @render.ui
        def headline() -> HTML:
            return told(views.headline, state())

        @render.ui
        def chart() -> HTML:
            return told(views.chart, state(), narrow=bool(input.narrow()))

        @render.ui
        def figures() -> HTML:
            return told(views.figures, lasting())

        @render.ui
        def ranking() -> HTML:
            return told(views.ranking, state())

        @render.ui
        def changes() -> HTML:
            return told(views.changes, state())

        @render.ui
        def downloads() -> HTML:
            return told(views.downloads, lasting())

        @render.ui
        def about() -> HTML:
            return told(views.about, lasting())

        @render.ui
        def summary() -> HTML:
            return told(views.map_summary, state())

    return server


class SafeHeaders:
    """Add the headers that keep a page from doing what it was not made for."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass all on, with the headers on each answer."""

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with if scope["type"] == "http" else send)


def content_policy(html: str) -> str:
    """Allow this server's files and, by their hashes, the page's own inline scripts; nothing else runs."""
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(["'self'", *(f"'sha256-{one}'" for one in hashes)])
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def api_routes(table: Table) -> list[Route]:
    """Make the stateless routes; each works from the request alone, so any worker may answer."""

    def pack(content: object) -> bytes:
        # Compressed once, not for each reader.
        return gzip.compress(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(), 6, mtime=0)

    maps = {level: pack(draw_map(table, level)) for level in table.levels}
    names = pack([[region.geo, region.name, region.level] for region in table.regions.values()])

    @lru_cache(maxsize=256)
    def cube_of(state: State) -> bytes:
        return pack(views.cube_json(table, state))

    def answer_packed(request: Request, packed: bytes) -> Response:
        # The page puts the table's digest into these addresses, so what is kept is never mixed with a new table.
        headers = {"cache-control": "public, max-age=86400", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type="application/json", headers={**headers, "content-encoding": "gzip"})
        return Response(gzip.decompress(packed), media_type="application/json", headers=headers)

    def get_map(request: Request) -> Response:
        level = request.path_params["level"]
        return (
            answer_packed(request, maps[level]) if level in maps else PlainTextResponse("Level: not in the table.", 404)
        )

    def get_names(request: Request) -> Response:
        return answer_packed(request, names)

    def get_cube(request: Request) -> Response:
        state = parse_query(request.url.query, table)
        return answer_packed(request, cube_of(replace(state, year=0, geos=(), order="desc")))

    def attachment(content: bytes | Iterator[bytes], name: str, media_type: str) -> Response:
        kind = Response if isinstance(content, bytes) else StreamingResponse
        return kind(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})

    def get_data(request: Request) -> Response:
        form = request.path_params["form"]
        try:
            filters = exports.parse_filters(parse_qsl(request.url.query, keep_blank_values=True), table)
            if form == "geojson":
                return attachment(exports.to_geojson(table, filters), "impervious_nuts.geojson", "application/geo+json")
            rows = exports.select(table, filters)
        except exports.BadRequestError as err:
            return PlainTextResponse(str(err), 400)
        if form == "csv":
            return attachment(exports.to_csv(rows), "impervious_nuts.csv", CSV)
        if form == "sdmx.csv":
            content = exports.to_sdmx_csv(rows, table.schema)
            return attachment(
                content, "impervious_nuts.sdmx.csv", "application/vnd.sdmx.data+csv; version=2.0.0; charset=utf-8"
            )
        if form == "parquet":
            return attachment(exports.to_parquet(rows), "impervious_nuts.parquet", "application/vnd.apache.parquet")
        return PlainTextResponse("Format: expected csv, sdmx.csv, parquet or geojson.", 404)

    def get_regions(request: Request) -> Response:
        return attachment(exports.to_csv(table.regions_table), "nuts_regions.csv", CSV)

    def get_transitions(request: Request) -> Response:
        return attachment(exports.to_csv(table.transitions), "impervious_nuts_transitions.csv", CSV)

    def get_package(request: Request) -> Response:
        content = json.dumps(table.package, ensure_ascii=False, indent=1).encode()
        return attachment(content, "datapackage.json", "application/json")

    def get_region(request: Request) -> Response:
        geo = request.path_params["geo"]
        if geo not in table.regions:
            return PlainTextResponse("Region: not in the table.", 404)
        state = parse_query(request.url.query, table)
        state = State(table.regions[geo].level, state.measure, state.year, (geo,), True, state.order)
        return HTMLResponse("<!DOCTYPE html>\n" + views.region_page(table, state).render()["html"])

    def get_health(request: Request) -> Response:
        return PlainTextResponse("ok")

    return [
        Route("/api/v1/map/{level:int}.json", get_map),
        Route("/api/v1/names.json", get_names),
        Route("/api/v1/cube.json", get_cube),
        Route("/api/v1/data.{form}", get_data),
        Route("/api/v1/regions.csv", get_regions),
        Route("/api/v1/transitions.csv", get_transitions),
        Route("/api/v1/datapackage.json", get_package),
        Route("/region/{geo}", get_region),
        Route("/healthz", get_health),
    ]


def create_app(folder: str | Path | None) -> Starlette:
    """Read a table folder and return the application; raise TableFolderError where the folder is not as the schema says."""
    table = read_table(folder)
    shiny = App(lambda request: page(table, request), make_server(table))
    shiny.sanitize_errors = True
    blank = Request({"type": "http", "query_string": b"", "path": "/", "headers": [], "server": ("127.0.0.1", 80)})
    policy = content_policy(page(table, blank).render(lib_prefix=shiny.lib_prefix)["html"])
    return Starlette(
        routes=[*api_routes(table), Mount("/static", StaticFiles(directory=WWW)), Mount("/", shiny)],
        middleware=[
            Middleware(SafeHeaders, policy=policy),
            Middleware(GZipMiddleware, minimum_size=800, compresslevel=6),
        ],
        lifespan=shiny.starlette_app.router.lifespan_context,
    )


def from_environment() -> Starlette:
    """Return the application of the folder in IMPERVIOUS_TABLE, for `uvicorn --factory dashboard.app:from_environment`."""
    return create_app(os.environ.get("IMPERVIOUS_TABLE"))
