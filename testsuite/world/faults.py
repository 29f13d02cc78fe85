"""A proxy on loopback in front of a server: it counts requests and bytes, and makes faults by rules.

It keeps the Host header, so that signed requests stay valid, and changes the status 200 with which rclone answers a range to 206, as S3
answers. It runs in a process of its own (`python -m testsuite.world.faults UPSTREAM_PORT`), because a proxy in the process of the client
would be blocked when the client holds Python's global lock while it waits, as rasterio does. Rules are set by `ProxyClient`, or by
`PUT /-/faults` with a JSON list; `GET /-/counts` returns the counts, `DELETE /-/counts` resets them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = ("slow", "hang", "429", "503", "reset", "cut", "short", "corrupt", "expired", "403", "404")
HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
    "proxy-authenticate",
}
XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'
ANSWERS = {
    "429": (429, "TooManyRequests", "Quota exceeded."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "expired": (403, "ExpiredToken", "The provided token has expired."),
    "403": (403, "AccessDenied", "Access denied."),
    "404": (404, "NoSuchKey", "The specified key does not exist."),
}


@dataclass
class Fault:
    """A rule: which requests get which fault, and how often."""

    kind: str
    """One of KINDS."""
    pattern: str = "."
    """Regular expression that is searched in the path with its query."""
    probability: float = 1.0
    """Probability of the fault for each request, 0-1."""
    times: int | None = None
    """Largest number of faults; None for no limit."""
    skip: int = 0
    """Number of matching requests without a fault before the first one: with `skip=2` the first two reads succeed."""
    seconds: float = 1.0
    """slow: duration of the answer; hang: time without an answer before the connection closes; 429: the value of Retry-After."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Fault: found kind '{self.kind}', expected one of {', '.join(KINDS)}. Correct the rule.")
        try:
            re.compile(self.pattern)
        except (re.error, TypeError):
            raise self._wrong("pattern", "a regular expression") from None
        # Rules also come as JSON from other processes, so their types must be checked.
        if not (_is_number(self.probability) and 0 <= self.probability <= 1):
            raise self._wrong("probability", "0 to 1")
        if self.times is not None and not (isinstance(self.times, int) and self.times >= 0):
            raise self._wrong("times", "a whole number or none")
        if not (isinstance(self.skip, int) and self.skip >= 0):
            raise self._wrong("skip", "a whole number")
        if not (_is_number(self.seconds) and self.seconds >= 0):
            raise self._wrong("seconds", "0 or more")

    def _wrong(self, name: str, expected: str) -> ValueError:
        return ValueError(f"Fault: found {name} {getattr(self, name)!r}, expected {expected}. Correct the rule.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


class Proxy:
    """The proxy of one server, a context manager. `url` is its address."""

    def __init__(self, upstream: int, seed: int = 1, port: int = 0) -> None:
        self.upstream = upstream
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._matched: Counter[int] = Counter()
        self._applied: Counter[int] = Counter()
        self.open_now = 0
        self.reset_counts()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self.server = _Server(("127.0.0.1", port), handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def rules(self) -> list[Fault]:
        """The rules in force; the first that applies to a request wins. Assign a list to change them."""
        return self._rules

    @rules.setter
    def rules(self, rules: list[Fault]) -> None:
        with self._lock:
            self._rules = list(rules)
            self._matched.clear()
            self._applied.clear()

    def reset_counts(self) -> None:
        """Set all counts to 0."""
        with self._lock if hasattr(self, "_lock") else contextlib.nullcontext():
            self.requests = 0
            """Number of requests."""
            self.bytes_sent = 0
            """Bytes of the bodies that were sent."""
            self.most_at_once = 0
            """Largest number of requests at the same time."""
            self.by_status: Counter[int] = Counter()
            self.faults: Counter[str] = Counter()
            self.by_path: Counter[str] = Counter()

    def counts(self) -> dict[str, object]:
        """Return the counts as values for JSON; waits a moment for requests that are still being answered."""
        until = time.monotonic() + 0.5
        while self.open_now and time.monotonic() < until:
            time.sleep(0.005)
        with self._lock:
            return {
                "requests": self.requests, "bytes": self.bytes_sent, "most_at_once": self.most_at_once,
                "by_status": {str(k): v for k, v in self.by_status.items()}, "faults": dict(+self.faults), "by_path": dict(self.by_path),
            }  # fmt: skip

    def _choose_fault(self, path: str) -> Fault | None:
        """Count a request, and choose its fault."""
        with self._lock:
            self.requests += 1
            self.by_path[path.split("?")[0]] += 1
            self.open_now += 1
            self.most_at_once = max(self.most_at_once, self.open_now)
            for number, rule in enumerate(self._rules):
                if not re.search(rule.pattern, path):
                    continue
                self._matched[number] += 1
                spent = rule.times is not None and self._applied[number] >= rule.times
                if self._matched[number] <= rule.skip or spent or self._random.random() >= rule.probability:
                    continue
                self._applied[number] += 1
                self.faults[rule.kind] += 1
                return rule
        return None

    def _undo(self, rule: Fault) -> None:
        """Do not count a fault that could not be made, because the answer has no body."""
        with self._lock:
            for number, known in enumerate(self._rules):
                if known is rule:
                    self._matched[number] -= 1
                    self._applied[number] -= 1
                    self.faults[rule.kind] -= 1

    def _finish_request(self, status: int, sent: int) -> None:
        with self._lock:
            self.open_now -= 1
            self.bytes_sent += sent
            self.by_status[status] += 1

    def _random_index(self, size: int) -> int:
        with self._lock:
            return self._random.randrange(size)


class ProxyClient:
    """Access to a proxy in another process, with the same rules and counts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.rsplit(":", 1)[1])

    def _request(self, method: str, path: str, body: bytes | None = None) -> object:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise ValueError(text.decode())
            return json.loads(text)
        finally:
            connection.close()

    @property
    def rules(self) -> list[Fault]:
        """The rules in force; the first that applies to a request wins. Assign a list to change them."""
        return [Fault(**rule) for rule in self._request("GET", "/-/faults")]

    @rules.setter
    def rules(self, rules: list[Fault]) -> None:
        self._request("PUT", "/-/faults", json.dumps([asdict(rule) for rule in rules]).encode())

    def counts(self) -> dict[str, object]:
        """Return the counts: requests, bytes, most_at_once, by_status, faults, by_path."""
        return dict(self._request("GET", "/-/counts"))

    def reset_counts(self) -> None:
        """Set all counts to 0."""
        self._request("DELETE", "/-/counts")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address) -> None:
        """Print nothing when a client closes its connection."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"
    # Send small answers at once.
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.up: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self.up is not None:
            self.up.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Write no log, because requests contain signatures."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/-/"):
            self._control(body)
            return
        rule = self.proxy._choose_fault(self.path)
        status, sent = 0, 0
        try:
            if rule is not None and rule.kind in ANSWERS:
                code, name, text = ANSWERS[rule.kind]
                more = {"Retry-After": str(max(0, round(rule.seconds)))} if code == 429 else {}
                answer = XML.format(name, text).encode()
                status, sent = code, self._send(code, {"Content-Type": "application/xml", **more}, answer)
            elif rule is not None and rule.kind == "hang":
                time.sleep(rule.seconds)
                self.close_connection = True
            elif rule is not None and rule.kind == "reset":
                self._reset()
            else:
                status, headers, data = self._forward(body)
                if rule is not None and not (status < 300 and data):
                    self.proxy._undo(rule)
                    rule = None
                sent = self._answer(rule, status, headers, data)
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        finally:
            self.proxy._finish_request(status, sent)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Forward the request to the server. Returns: status, headers and body of the answer."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
        for last in (False, True):
            if self.up is None:
                self.up = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
            try:
                self.up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    self.up.putheader(name, value)
                self.up.endheaders(body or None)
                answer = self.up.getresponse()
                data = answer.read()
            except (ConnectionError, http.client.HTTPException):
                # The server may have closed an idle connection between two requests.
                self.up.close()
                self.up = None
                if last:
                    raise ConnectionError("The server behind the proxy does not answer.") from None
                continue
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in HOP and k.lower() != "content-length"}
            length = answer.getheader("Content-Length")
            if self.command == "HEAD" and length is not None:
                kept["Content-Length"] = length
            status = answer.status
            if status == 200 and "Range" in self.headers and any(k.lower() == "content-range" for k in kept):
                status = 206
            return status, kept, data
        raise AssertionError

    def _answer(self, rule: Fault | None, status: int, headers: dict[str, str], data: bytes) -> int:
        """Send the answer to the client, with the fault of the rule if there is one. Returns: bytes of the body that were sent."""
        kind = rule.kind if rule else ""
        if kind == "corrupt":
            harmed = bytearray(data)
            for _ in range(max(1, len(data) // 4000)):
                harmed[self.proxy._random_index(len(harmed))] ^= 0x5A
            data = bytes(harmed)
        elif kind == "short":
            data = data[: len(data) * 2 // 3]
        elif kind == "cut":
            self._head(status, headers, len(data))
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)
            return len(data) // 2
        elif kind == "slow" and rule is not None:
            self._head(status, headers, len(data))
            step = max(1, len(data) // 20)
            for start in range(0, len(data), step):
                time.sleep(rule.seconds / 20)
                self.wfile.write(data[start : start + step])
                self.wfile.flush()
            return len(data)
        return self._send(status, headers, data)

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> int:
        self._head(status, headers, len(data))
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()
        return len(data) if self.command != "HEAD" else 0

    def _reset(self) -> None:
        """Close the connection with RST, as if it broke."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _control(self, body: bytes) -> None:
        """Answer a request of another process for rules or counts."""
        try:
            if self.path == "/-/faults" and self.command == "PUT":
                self.proxy.rules = [Fault(**rule) for rule in json.loads(body)]
            elif self.path == "/-/counts" and self.command == "DELETE":
                self.proxy.reset_counts()
            elif self.path not in ("/-/faults", "/-/counts"):
                self._send(404, {}, b"")
                return
        except (ValueError, TypeError) as error:
            self._send(400, {"Content-Type": "text/plain"}, str(error).encode())
            return
        answer = self.proxy.counts() if self.path == "/-/counts" else [asdict(r) for r in self.proxy.rules]
        self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())


def main(arguments: list[str] | None = None) -> int:
    """Print the address of a proxy, and run it until its standard input closes."""
    parser = argparse.ArgumentParser(
        prog="python -m testsuite.world.faults", description="Run a proxy on loopback that makes faults."
    )
    parser.add_argument("upstream", type=int, help="port of the server on 127.0.0.1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    a = parser.parse_args(arguments)
    with Proxy(a.upstream, a.seed, a.port) as proxy:
        print(proxy.url, flush=True)
        # The process that started this one holds the other end, so the proxy ends with it.
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
