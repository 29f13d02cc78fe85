"""The routes beside the page: data for the map, downloads, and the report of a region."""

from __future__ import annotations

import gzip
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from htmltools import tags
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from dashboard import exports
from dashboard.shapes import draw_map
from dashboard.state import State, parse_query
from dashboard.table import Table
from dashboard.views.api import api_page
from dashboard.views.elements import document
from dashboard.views.report import region_report
from dashboard.views.slices import region_json, slice_json
from dashboard.words import LANGUAGES, _, accepted_language, speaking

CSV = "text/csv; charset=utf-8"
MEDIA_TYPES = {
    "csv": CSV,
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "sdmx.csv": "application/vnd.sdmx.data+csv; version=2.0.0; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "geojson": "application/geo+json",
}
"""Suffix of a download -> its media type."""


NO_PAGE, NO_LEVEL, NO_REGION = (
    "There is no such page.",
    "The table has no regions of this level.",
    "The table has no such region.",
)


def language_of(request: Request) -> str:
    """Return the language that the address names, else the one that the browser likes best."""
    named = request.query_params.get("lang", "")
    return named if named in LANGUAGES else accepted_language(request.headers.get("accept-language", ""))


def not_found(request: Request, text: str = NO_PAGE) -> Response:
    """Answer 404: as a page where a browser asks, else as text."""
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(text, 404)
    base = "../" * (request.url.path.count("/") - 1)
    with speaking(language_of(request)):
        body = [
            tags.main(
                tags.h1(_("Not found")),
                tags.p(_(text)),
                tags.p(tags.a(_("To the map and the figures"), href=base or "./")),
                class_="panel",
            )
        ]
        return HTMLResponse("<!DOCTYPE html>\n" + document(_("Not found"), body, base=base).render()["html"], 404)


def api_routes(table: Table) -> list[Route]:
    """Return the routes. Each answers from the request alone, so any worker process can answer any request."""

    def pack(content: object) -> bytes:
        # Compressed once, not for each request.
        return gzip.compress(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(), 6, mtime=0)

    maps = {level: pack(draw_map(table, level)) for level in table.levels}
    names = pack([[r.geo, r.name, r.level, r.parent, r.country, r.area_km2] for r in table.regions.values()])

    @lru_cache(maxsize=512)
    def slice_of(state: State) -> bytes:
        return pack(slice_json(table, state))

    @lru_cache(maxsize=512)
    def region_of(geo: str, landcover: str, definition: str) -> bytes:
        return pack(region_json(table, geo, landcover, definition))

    def answer_packed(request: Request, packed: Callable[[], bytes]) -> Response:
        """Answer with packed JSON; an address that names another table gets 409, so that a page never mixes two tables."""
        if request.query_params.get("v", table.digest) != table.digest:
            return PlainTextResponse("The table has changed. Load the page again.", 409)
        headers = {"cache-control": "public, max-age=86400", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed(), media_type="application/json", headers={**headers, "content-encoding": "gzip"})
        return Response(gzip.decompress(packed()), media_type="application/json", headers=headers)

    def get_map(request: Request) -> Response:
        level = next((level for level in table.levels if str(level) == request.path_params["level"]), None)
        if level is None:
            return not_found(request, NO_LEVEL)
        return answer_packed(request, lambda: maps[level])

    def get_names(request: Request) -> Response:
        return answer_packed(request, lambda: names)

    def get_slice(request: Request) -> Response:
        state = parse_query(request.url.query, table)
        # What the figures do not depend on is left out, so that equal answers are made once.
        bare = State(state.level, state.measure, state.year, state.year_from, (), True, "desc", "value", ())
        return answer_packed(request, lambda: slice_of(bare))

    def get_figures(request: Request) -> Response:
        geo = request.path_params["geo"]
        if geo not in table.regions:
            return not_found(request, NO_REGION)
        measure = parse_query(request.url.query, table).measure
        return answer_packed(request, lambda: region_of(geo, measure.landcover, measure.definition))

    def attachment(content: bytes | Iterator[bytes], name: str, media_type: str) -> Response:
        kind = Response if isinstance(content, bytes) else StreamingResponse
        return kind(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})

    # The whole table is written once and sent from a file: made anew for each request, it would hold up all other requests.
    spool = tempfile.TemporaryDirectory(prefix="dashboard-")
    spooling = threading.Lock()

    def whole(suffix: str, content: Callable[[], bytes | Iterator[bytes]]) -> Path:
        path = Path(spool.name) / suffix
        with spooling:
            if not path.exists():
                parts = content()
                with path.with_suffix(".part").open("wb") as sink:
                    for part in [parts] if isinstance(parts, bytes) else parts:
                        sink.write(part)
                path.with_suffix(".part").rename(path)
        return path

    def get_data(request: Request) -> Response:
        suffix = request.path_params["suffix"]
        if suffix not in exports.FORMATS:
            return not_found(request, f"Unknown format. Use one of {', '.join(exports.FORMATS)}.")
        try:
            filters = exports.parse_filters(parse_qsl(request.url.query, keep_blank_values=True), table)
            name, kind = exports.file_name(filters, suffix), MEDIA_TYPES[suffix]

            def content() -> bytes | Iterator[bytes]:
                if suffix == "geojson":
                    return exports.to_geojson(table, filters)
                rows = exports.select(table, filters)
                if suffix == "xlsx":
                    return exports.to_xlsx(table, rows)
                if suffix == "sdmx.csv":
                    return exports.to_sdmx_csv(rows, table.schema)
                return exports.to_parquet(rows) if suffix == "parquet" else exports.to_csv(rows)

            if filters:
                return attachment(content(), name, kind)
            return FileResponse(whole(suffix, content), media_type=kind, filename=name)
        except exports.BadRequestError as err:
            return PlainTextResponse(str(err), 400)

    def get_regions(request: Request) -> Response:
        return attachment(exports.to_csv(table.regions_table), "nuts_regions.csv", CSV)

    def get_transitions(request: Request) -> Response:
        return attachment(exports.to_csv(table.transitions), "impervious_nuts_transitions.csv", CSV)

    def get_package(request: Request) -> Response:
        return attachment(table.package_text, "datapackage.json", "application/json")

    def get_region(request: Request) -> Response:
        geo = request.path_params["geo"]
        if geo not in table.regions:
            return not_found(request, NO_REGION)
        state = parse_query(request.url.query, table, language_of(request))
        state = replace(state, level=table.regions[geo].level, geos=(geo,))
        with speaking(state.language):
            return HTMLResponse("<!DOCTYPE html>\n" + region_report(table, state).render()["html"])

    def get_api(request: Request) -> Response:
        with speaking(language_of(request)):
            return HTMLResponse("<!DOCTYPE html>\n" + api_page(table).render()["html"])

    def get_health(request: Request) -> Response:
        return PlainTextResponse("ok")

    return [
        # A level is text here: a converter to a number would fail on very long ones.
        Route("/api/v1/map/{level}.json", get_map),
        Route("/api/v1/names.json", get_names),
        Route("/api/v1/slice.json", get_slice),
        Route("/api/v1/region/{geo}.json", get_figures),
        Route("/api/v1/data.{suffix}", get_data),
        Route("/api/v1/regions.csv", get_regions),
        Route("/api/v1/transitions.csv", get_transitions),
        Route("/api/v1/datapackage.json", get_package),
        Route("/api/", get_api),
        Route("/api", lambda request: RedirectResponse("api/")),
        Route("/region/{geo}", get_region),
        Route("/healthz", get_health),
    ]
