"""Benchmark of the dashboard with 2,520 regions, seven years and three methods, as many small regions as the NUTS have.

A real server and Chromium on loopback. The targets are limits; there is no peer. Processor time is that of the server's process.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.tests.conftest import CHROMIUM, start
from dashboard.tests.make_table import make_table, many_countries
from testsuite.bench import case

COUNTRIES, GEO = 56, "XB111"
SESSIONS, THINK_S, LOAD_S = 100, 5.0, 20.0

_READY = """async () => {
    while (!document.querySelector('#map .regions path[class^=c]')) await new Promise(requestAnimationFrame);
    return performance.now();
}"""
_LOADED = "['navigation', 'resource'].flatMap((k) => performance.getEntriesByType(k)).reduce((sum, e) => sum + e.transferSize, 0)"
_REPAINT = """async () => {
    const slider = document.querySelector('#to'), map = document.querySelector('#map'), times = [];
    for (let i = 0; i < 24; i++) {
        const painted = new Promise((done) => new MutationObserver((_, own) => { own.disconnect(); done(performance.now()); })
            .observe(map, { subtree: true, attributes: true, childList: true }));
        slider.value = Number(slider.value) + (i % 2 ? 1 : -1);
        const start = performance.now();
        slider.dispatchEvent(new Event('input'));
        times.push(await painted - start);
        await new Promise((done) => setTimeout(done, 150));
    }
    return times.sort((a, b) => a - b)[times.length / 2];
}"""


@dataclass(frozen=True)
class Server:
    """A dashboard that runs."""

    process: subprocess.Popen
    address: str

    def cpu_ms(self) -> float:
        """Return the processor time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Return the memory that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def get(self, path: str) -> bytes:
        """Return an answer as it travels, compressed."""
        request = urllib.request.Request(self.address + path, headers={"accept-encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    made = tempfile.TemporaryDirectory(prefix="bench")
    make_table(Path(made.name), countries=many_countries(COUNTRIES))
    return made


@contextmanager
def _server() -> Iterator[Server]:
    process, address = start(_folder().name)
    try:
        yield Server(process, address)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _page(query: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with _server() as server, sync_playwright() as play:
        browser = play.chromium.launch(**CHROMIUM)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(server.address + query)
        yield page
        browser.close()


def _slices(count: int) -> list[str]:
    """Return addresses of different periods and measures, none of which the server has made before."""
    flows, years = ("new", "lost", "net", "stk"), range(2018, 2024)
    queries = [
        f"api/v1/slice.json?l=3&i={flow}&y={year}&d={definition}&c={cover}"
        for definition in ("an", "a")
        for cover in ("imp", "grn")
        for flow in flows
        for year in years
    ]
    return queries[:count]


def _cpu_per_answer(make_paths: Callable[[], list[str]]) -> float:
    with _server() as server:
        server.get("healthz")
        paths, used = make_paths(), server.cpu_ms()
        for path in paths:
            server.get(path)
        return (server.cpu_ms() - used) / len(paths)


@case("dashboard", "change of measure or period, 1,344 regions, not cached, CPU milliseconds", target=10)
def measure() -> tuple[float, float | None]:
    """Make the answer to a change of the measure."""
    return _cpu_per_answer(lambda: _slices(90)), None


@case("dashboard", "the same, largest answer, kilobytes", target=20)
def measure_bytes() -> tuple[float, float | None]:
    """Weigh the answers to changes of the measure."""
    with _server() as server:
        return max(len(server.get(path)) for path in _slices(90)) / 1000, None


@case("dashboard", "all figures of a region, not cached, CPU milliseconds", target=10)
def region() -> tuple[float, float | None]:
    """Make the answer to the choice of a region."""
    places = [f"X{letter}{n}11" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for n in (1, 2, 3)]
    return _cpu_per_answer(lambda: [f"api/v1/region/{geo}.json?c=imp&d=an" for geo in places]), None


@case("dashboard", "all figures of a region, kilobytes", target=20)
def region_bytes() -> tuple[float, float | None]:
    """Weigh the answer to the choice of a region."""
    with _server() as server:
        return len(server.get(f"api/v1/region/{GEO}.json?c=imp&d=an")) / 1000, None


@case("dashboard", "all that the first page loads, kilobytes", target=600)
def page_bytes() -> tuple[float, float | None]:
    """Weigh the first page with all that it loads."""
    with _page(f"?i=net&l=3&g={GEO}") as page:
        page.wait_for_selector("body[data-ready]")
        return page.evaluate(_LOADED) / 1000, None


@case("dashboard", "from the address to the painted map of 1,344 regions, milliseconds", target=2000)
def ready() -> tuple[float, float | None]:
    """Open the page until its map has its colours."""
    with _page(f"?i=net&l=3&g={GEO}") as page:
        return page.evaluate(_READY), None


@case("dashboard", "repaint of 1,344 regions after a change of the year, without the browser's drawing, ms", target=16)
def repaint() -> tuple[float, float | None]:
    """Move the year until the classes of the map have changed, median of 24."""
    with _page("?i=net&l=3") as page:
        page.wait_for_selector("body[data-ready]")
        return page.evaluate(_REPAINT), None


@case("dashboard", "repaint of 1,344 circles after a change of the year, without the browser's drawing, ms", target=16)
def repaint_circles() -> tuple[float, float | None]:
    """Move the year until the circles of the map have changed, median of 24."""
    with _page("?i=net&u=ha&l=3") as page:
        page.wait_for_selector("body[data-ready]")
        return page.evaluate(_REPAINT), None


_LISTS = {
    "level": "3", "landcover": "imp", "lc_flow": "net", "unit": "pc", "definition": "an", "method": "est", "regions": GEO,
    "language": "en", ".clientdata_output_downloads_hidden": False, ".clientdata_output_about_hidden": False,
}  # fmt: skip


class Reader:
    """A reader without a browser: the page, its session, and what a page loads after a choice."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.random = server, random.Random(seed)
        self.waits: list[float] = []

    async def open(self) -> None:
        """Load the page and open its session."""
        from websockets.asyncio.client import connect

        await asyncio.to_thread(self.server.get, "?i=net&l=3")
        self.socket = await connect(f"{self.server.address.replace('http', 'ws')}websocket/", max_queue=None)
        await self.say("init", _LISTS)

    async def say(self, method: str, data: dict[str, Any]) -> None:
        """Send the values of lists, and wait for the texts that depend on them."""
        await self.socket.send(json.dumps({"method": method, "data": data}))
        async for text in self.socket:
            if "about" in (json.loads(text).get("values") or {}):
                return

    async def choose(self) -> None:
        """Choose a measure that is not the last one, and load its figures."""
        flow, year = self.random.choice(("new", "lost", "net", "stk")), self.random.randrange(2018, 2024)
        unit = self.random.choice(("pc", "km2", "ha"))
        started = time.perf_counter()
        path = f"api/v1/slice.json?l=3&i={flow}&u={unit}&y={year}"
        await asyncio.gather(
            self.say("update", {"lc_flow": flow, "unit": unit, "level": str(self.random.randrange(4))}),
            asyncio.to_thread(self.server.get, path),
        )
        self.waits.append(time.perf_counter() - started)

    async def read(self, until: float) -> None:
        """Choose again and again, with time to think between."""
        await asyncio.sleep(self.random.uniform(0, THINK_S))
        while time.perf_counter() < until:
            async with asyncio.timeout(20):
                await self.choose()
            await asyncio.sleep(self.random.uniform(0.5, 1.5) * THINK_S)


async def _sessions(server: Server, count: int) -> tuple[list[Reader], float, float]:
    """Open sessions one after the other.

    Returns: readers; processor time in milliseconds and memory in megabytes of each session
    """
    first = Reader(server, 0)
    await first.open()  # pays for what is made once
    used, held = server.cpu_ms(), server.resident_mb()
    readers = [Reader(server, number) for number in range(1, count + 1)]
    for reader in readers:
        await reader.open()
    return [first, *readers], (server.cpu_ms() - used) / count, (server.resident_mb() - held) / count


@functools.cache
def _load() -> tuple[float, float, float]:
    """Return processor time and memory of a new session, and the 95th percentile of the waits of 100 readers in milliseconds."""

    async def run(server: Server) -> tuple[float, float, float]:
        readers, cpu_ms, memory_mb = await _sessions(server, SESSIONS)
        until = time.perf_counter() + LOAD_S
        await asyncio.gather(*(reader.read(until) for reader in readers))
        for reader in readers:
            await reader.socket.close()
        waits = sorted(wait for reader in readers for wait in reader.waits)
        return cpu_ms, memory_mb, 1000 * waits[int(0.95 * len(waits))]

    with _server() as server:
        return asyncio.run(run(server))


@case("dashboard", "a new session: page and texts, CPU milliseconds, mean of 100", target=30)
def session_cpu() -> tuple[float, float | None]:
    """Open sessions, one after the other."""
    return _load()[0], None


@case("dashboard", "a new session, megabytes, mean of 100", target=0.5)
def session_memory() -> tuple[float, float | None]:
    """Open sessions, one after the other."""
    return _load()[1], None


@case("dashboard", "100 sessions, each a choice every 5 s: 95th percentile of the wait, milliseconds", target=300)
def hundred_sessions() -> tuple[float, float | None]:
    """Let 100 readers choose measures for 20 seconds."""
    return _load()[2], None
