"""The routes beside the page: data for the map, downloads, and the report of a region."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard import exports
from dashboard.shapes import draw_map
from dashboard.state import State, parse_query
from dashboard.table import Table
from dashboard.views.map import cube_json
from dashboard.views.report import region_report

CSV = "text/csv; charset=utf-8"


def api_routes(table: Table) -> list[Route]:
    """Return the routes. Each answers from the request alone, so any worker process can answer any request."""

    def pack(content: object) -> bytes:
        # Compressed once, not for each request.
        return gzip.compress(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(), 6, mtime=0)

    maps = {level: pack(draw_map(table, level)) for level in table.levels}
    names = pack([[region.geo, region.name, region.level] for region in table.regions.values()])

    @lru_cache(maxsize=256)
    def cube_of(state: State) -> bytes:
        return pack(cube_json(table, state))

    def answer_packed(request: Request, packed: bytes) -> Response:
        # The page adds the digest of the table to these addresses, so a cached answer never mixes with a new table.
        headers = {"cache-control": "public, max-age=86400", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type="application/json", headers={**headers, "content-encoding": "gzip"})
        return Response(gzip.decompress(packed), media_type="application/json", headers=headers)

    def get_map(request: Request) -> Response:
        level = request.path_params["level"]
        return (
            answer_packed(request, maps[level])
            if level in maps
            else PlainTextResponse("The table has no regions of this level.", 404)
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
        suffix = request.path_params["suffix"]
        try:
            filters = exports.parse_filters(parse_qsl(request.url.query, keep_blank_values=True), table)
            if suffix == "geojson":
                return attachment(exports.to_geojson(table, filters), "impervious_nuts.geojson", "application/geo+json")
            rows = exports.select(table, filters)
        except exports.BadRequestError as err:
            return PlainTextResponse(str(err), 400)
        if suffix == "csv":
            return attachment(exports.to_csv(rows), "impervious_nuts.csv", CSV)
        if suffix == "sdmx.csv":
            content = exports.to_sdmx_csv(rows, table.schema)
            return attachment(
                content, "impervious_nuts.sdmx.csv", "application/vnd.sdmx.data+csv; version=2.0.0; charset=utf-8"
            )
        if suffix == "parquet":
            return attachment(exports.to_parquet(rows), "impervious_nuts.parquet", "application/vnd.apache.parquet")
        return PlainTextResponse(f"Unknown format. Use one of {', '.join(exports.FORMATS)}.", 404)

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
            return PlainTextResponse("The table has no such region.", 404)
        state = parse_query(request.url.query, table)
        state = State(table.regions[geo].level, state.measure, state.year, (geo,), True, state.order)
        return HTMLResponse("<!DOCTYPE html>\n" + region_report(table, state).render()["html"])

    def get_health(request: Request) -> Response:
        return PlainTextResponse("ok")

    return [
        Route("/api/v1/map/{level:int}.json", get_map),
        Route("/api/v1/names.json", get_names),
        Route("/api/v1/cube.json", get_cube),
        Route("/api/v1/data.{suffix}", get_data),
        Route("/api/v1/regions.csv", get_regions),
        Route("/api/v1/transitions.csv", get_transitions),
        Route("/api/v1/datapackage.json", get_package),
        Route("/region/{geo}", get_region),
        Route("/healthz", get_health),
    ]
