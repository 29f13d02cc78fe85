"""What the server refuses: requests that send something, and paths that no page has."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.routes import not_found

MAX_MESSAGE_BYTES = 64_000
"""Size of a message from a browser to its session; the page sends the values of its lists."""


class ReadOnly:
    """Middleware that refuses methods other than GET and HEAD, and bodies. Shiny would take uploads of 30 MB from any session."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it without reading its body."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if scope["method"] not in ("GET", "HEAD"):
                answer = PlainTextResponse("This server only answers GET.", 405, {"allow": "GET, HEAD"})
                return await answer(scope, receive, send)
            if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
                return await PlainTextResponse("A request must not have a body.", 400)(scope, receive, send)
        return await self.app(scope, receive, send)


class PageOnly:
    """Shiny's application without its routes for uploads and downloads of a session; other paths are not found."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the page, its libraries and the session's websocket on."""
        if scope["type"] == "http" and scope["path"] != "/" and not scope["path"].startswith("/lib/"):
            return await not_found(Request(scope))(scope, receive, send)
        return await self.app(scope, receive, send)
