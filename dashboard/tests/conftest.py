"""Made-up tables, a real server on loopback, and Debian's Chromium.

folder, plain_folder    table folders with and without intervals (this one also without net change of green land); not to be written to
table, plain_table      the same, read
own_folder              a small one, 2017 to 2019, that a test may change
server, plain_server    addresses of `python -m dashboard` on these folders
site                    page opened by a test: site(query) -> page; at the end, no other server was contacted and the page had no error
"""

import itertools
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.data import read_table
from dashboard.tests.make_table import make_table

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
def small_folder(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("small") / "avaria", years=(2017, 2018, 2019))


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


@pytest.fixture(scope="session")
def server(folder):
    process, address = start(folder)
    yield address
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="session")
def plain_server(plain_folder):
    process, address = start(plain_folder)
    yield address
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {
        **browser_type_launch_args,
        "executable_path": "/usr/bin/chromium",
        "args": [
            "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-default-apps",
        ],
    }  # fmt: skip


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1366, "height": 768}}


@pytest.fixture
def site(page, server):
    """Open the dashboard; at the end, no other server was contacted and the page had no error."""
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)

    def open_site(query="", address=server, width=1366):
        if width != 1366:
            page.set_viewport_size({"width": width, "height": 844})
        page.goto(address + query)
        return page

    yield open_site
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert asked and not outside
    assert not wrong
