"""The application: the page, the routes beside it, static files and headers put together.

The browser draws map, ranking, tiles and chart from JSON answers. Shiny makes the page and its lists, and renders the texts that depend
on them. Both read the same query (state.py). The page loads nothing from other servers.
"""

from __future__ import annotations

import os
from pathlib import Path

from shiny import App
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dashboard.data import read_table
from dashboard.guards import PageOnly, ReadOnly
from dashboard.headers import SecurityHeaders, content_policy
from dashboard.page import page
from dashboard.routes import api_routes
from dashboard.server import make_server
from dashboard.table import Table

WWW = Path(__file__).resolve().parent / "www"


def create_app(table: Table) -> Starlette:
    """Return the application that shows a table."""
    shiny = App(lambda request: page(table, request), make_server(table))
    shiny.sanitize_errors = True
    # The inline scripts are the same for every request, so one page shows all that the policy must allow.
    blank = Request({"type": "http", "query_string": b"", "path": "/", "headers": [], "server": ("127.0.0.1", 80)})
    policy = content_policy(page(table, blank).render(lib_prefix=shiny.lib_prefix)["html"])
    return Starlette(
        routes=[*api_routes(table), Mount("/static", StaticFiles(directory=WWW)), Mount("/", PageOnly(shiny))],
        middleware=[
            Middleware(SecurityHeaders, policy=policy),
            Middleware(ReadOnly),
            Middleware(GZipMiddleware, minimum_size=800, compresslevel=6),
        ],
        lifespan=shiny.starlette_app.router.lifespan_context,
    )


def from_environment() -> Starlette:
    """Return the application of the folder in IMPERVIOUS_TABLE, for `uvicorn --factory dashboard.app:from_environment`."""
    return create_app(read_table(os.environ.get("IMPERVIOUS_TABLE")))
