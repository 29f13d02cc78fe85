"""Made-up tables, a real server on loopback, and Debian's Chromium.

folder, plain_folder    table folders with and without intervals (this one also without net change of green land); not to be written to
table, plain_table      the same, read
large_folder            one of five countries, 120 small regions, 2017 and 2018; large_table the same, read
small_folder            one country, 2017 to 2019; small_table the same, read
own_folder              a small one, 2017 to 2019, that a test may change
server, plain_server    addresses of `python -m dashboard` on these folders
site                    page opened by a test: site(query) -> page, when it has drawn everything; at the end, no other server was contacted
                        and the page had no error
"""

import contextlib
import itertools
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.data import read_table
from dashboard.tests.make_table import COUNTRIES, make_table

TOP = Path(__file__).parents[2]

# Long, because the machine may be busy.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "avaria")


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("plain") / "avaria", intervals=False, without=("NET", "GRN"))


@pytest.fixture(scope="session")
def table(folder):
    return read_table(folder)


@pytest.fixture(scope="session")
def plain_table(plain_folder):
    return read_table(plain_folder)


@pytest.fixture(scope="session")
def large_folder(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("large") / "five", countries=tuple(COUNTRIES), years=(2017, 2018))


@pytest.fixture(scope="session")
def large_table(large_folder):
    return read_table(large_folder)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("small") / "avaria", years=(2017, 2018, 2019))


@pytest.fixture(scope="session")
def small_table(small_folder):
    return read_table(small_folder)


@pytest.fixture
def own_folder(small_folder, tmp_path):
    return Path(shutil.copytree(small_folder, tmp_path / "own"))


def start(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--data", str(folder), "--port", str(port)],
        cwd=TOP,
        stdout=subprocess.PIPE,
        text=True,
    )
    # The line comes after the table is read; the socket opens right after it.
    line = process.stdout.readline()
    assert f":{port}/" in line, line
    for _ in itertools.count():
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return process, f"http://127.0.0.1:{port}/"
        except ConnectionRefusedError:
            continue
    return None


@contextlib.contextmanager
def served(folder):
    """Yield the address of the dashboard of a folder while it runs."""
    process, address = start(folder)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def server(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="session")
def large_server(large_folder):
    with served(large_folder) as address:
        yield address


@pytest.fixture(scope="session")
def plain_server(plain_folder):
    with served(plain_folder) as address:
        yield address


CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-default-apps",
    ],
}  # fmt: skip
"""How Debian's Chromium is started."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, **CHROMIUM}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1366, "height": 768}}


@pytest.fixture(scope="module")
def tab(browser, browser_context_args):
    """One page for the tests of a module: opening a browser context takes longer than most tests."""
    context = browser.new_context(**browser_context_args)
    page = context.new_page()
    page.asked, page.wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("websocket", lambda socket: page.asked.append(socket.url.replace("ws:", "http:")))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda text: page.wrong.append(text.text) if text.type in ("error", "warning") else None)
    yield page
    context.close()


@pytest.fixture
def site(tab, server):
    """Open the dashboard; at the end, no other server was contacted and the page had no error."""
    tab.asked.clear()
    tab.wrong.clear()

    def open_site(query="", address=server, width=1366, scheme="light"):
        tab.set_viewport_size({"width": width, "height": 844 if width < 1000 else 768})
        tab.emulate_media(color_scheme=scheme, media="screen")
        tab.goto(address + query)
        expect(tab.locator("body[data-ready]")).to_have_count(1)
        return tab

    yield open_site
    outside = [url for url in tab.asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert tab.asked and not outside
    assert not tab.wrong
