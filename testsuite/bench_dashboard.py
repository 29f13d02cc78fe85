"""Benchmark of the dashboard: processor time of the answers, and the time of a repaint in Chromium. The targets are limits; there is no peer."""

from __future__ import annotations

import functools
import gzip
import json
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from dashboard.data import read_table
from dashboard.state import parse_query
from dashboard.table import Table, _cube_of
from dashboard.tests.conftest import CHROMIUM, served
from dashboard.tests.make_table import COUNTRIES, make_table
from dashboard.tests.test_views import page_of
from dashboard.views.slices import region_json, slice_json
from testsuite.bench import case

_REPAINT = """async () => {
    const list = document.querySelector('#shown'), shape = document.querySelector('#map .regions'), times = [];
    for (let i = 0; i < 15; i++) {
        const painted = new Promise((done) => new MutationObserver((_, own) => { own.disconnect(); done(performance.now()); })
            .observe(shape, { subtree: true, attributes: true }));
        list.value = i % 2 ? 'hi' : 'lo';
        const start = performance.now();
        list.dispatchEvent(new Event('change'));
        times.push(await painted - start);
    }
    return Math.min(...times);
}"""


def _write(folder: str) -> Path:
    """Write the table of five made countries with 120 small regions."""
    return make_table(Path(folder) / "five", countries=tuple(COUNTRIES), years=(2017, 2018))


@functools.cache
def _table() -> Table:
    with tempfile.TemporaryDirectory() as folder:
        return read_table(_write(folder))


def _cpu_ms(action: Callable[[], object], times: int = 7) -> float:
    """Return the least processor time of several runs, milliseconds."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return 1000 * (used.ru_utime + used.ru_stime)

    return min(-spent() + (action(), spent())[1] for _ in range(times))


def _packed(answer: object) -> bytes:
    return gzip.compress(json.dumps(answer, separators=(",", ":")).encode(), 6)


@case("dashboard", "one period of a measure for 120 regions, nothing cached, packed, CPU milliseconds", target=10)
def measure() -> tuple[float, float | None]:
    """Make the answer to a change of the measure."""
    table = _table()
    state = parse_query("l=3&i=net", table)

    def answer() -> bytes:
        _cube_of.cache_clear()
        return _packed(slice_json(table, state))

    return _cpu_ms(answer), None


@case("dashboard", "all figures of a region, packed, CPU milliseconds", target=10)
def region() -> tuple[float, float | None]:
    """Make the answer to the choice of a region."""
    table = _table()
    return _cpu_ms(lambda: _packed(region_json(table, "XB111", "IMP", "artificial"))), None


@case("dashboard", "the page of a view that was made before, CPU milliseconds", target=30)
def page_again() -> tuple[float, float | None]:
    """Make a page for a further reader."""
    table = _table()
    page_of(table, b"l=3&i=net")
    return _cpu_ms(lambda: page_of(table, b"l=3&i=net")), None


@case("dashboard", "repaint of 120 regions in Chromium, without the browser's own drawing, milliseconds", target=16)
def repaint() -> tuple[float, float | None]:
    """Change what the map shows until its classes have changed."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, served(_write(folder)) as address, sync_playwright() as play:
        browser = play.chromium.launch(**CHROMIUM)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(f"{address}?i=new&l=3")
        page.wait_for_selector("body[data-ready]")
        found = page.evaluate(_REPAINT)
        browser.close()
    return float(found), None
