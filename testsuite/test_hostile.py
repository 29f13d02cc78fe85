"""What a hostile catalogue may send: links, redirects and ids that lead elsewhere are refused in one line, and what is left out is counted."""

import http.server
import threading

import pytest

from imperviouslib.core.errors import CatalogueError, FetchError, ImperviousError
from imperviouslib.core.items import Asset, parse_item
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge.objects import get_object
from imperviouslib.stage.fetch import Found
from testsuite.scene_ground import item

ONCE = RetryPolicy(tries=1, wait_s=0.01, timeout_s=5.0)


class _Redirect(http.server.BaseHTTPRequestHandler):
    """Sends every request to the address of its query."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", self.path.partition("?")[2])
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Redirect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "data:,x", "/x?/x"]
)
def test_a_redirect_to_another_scheme_or_in_a_circle_is_refused(address, target):
    with pytest.raises(FetchError) as caught:
        get_object(Asset(f"{address}/x?{target}"), ONCE)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null/x", "/", "file:///dev/zero", "/nonexistent", "x" * 5000])
def test_a_link_to_a_device_or_a_folder_is_no_object(path):
    with pytest.raises(FetchError, match="expected a file that can be read"):
        get_object(Asset(path), ONCE)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "../a", "/etc", "a\nb", "a b", "a;b", "$(x)", "<b>", "a'b", "ü", "a\x00", "a" * 201, "-" * 300]
)  # fmt: skip
def test_an_id_that_is_no_name_of_a_folder_is_refused_in_one_line(name):
    odd = item() | {"id": name}
    with pytest.raises(CatalogueError, match="an id that cannot be the name of a folder") as caught:
        parse_item(odd)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("tile", ["../..", "33UUU/..", "33UUU\n", "99ZZZ", "33IUU", "", "٣٣UUU"])
def test_a_tile_that_is_none_is_refused(tile):
    odd = item("S2A_x")
    odd["properties"]["grid:code"] = f"MGRS-{tile}"
    with pytest.raises(CatalogueError):
        parse_item(odd)


def test_items_that_cannot_be_used_are_counted_with_their_reasons_in_one_line():
    unusable: dict[str, ImperviousError] = {
        f"item{n}": CatalogueError("Item", found=reason, expected="x")
        for n, reason in enumerate(["no date", "eo:cloud_cover -1", "no date", "a", "b", "c"])
    }
    found = Found(9, unusable, ["The catalogue repeated a page."])
    note, line = found.lines
    assert note == "The catalogue repeated a page."
    assert (
        line
        == "6 of 9 items cannot be used: no date (2), eo:cloud_cover -1 (1), a (1), b (1), and others. The first is item0."
    )
    assert [one["item"] for one in found.unusable_json] == list(unusable)
    assert Found(9, {}).lines == []
