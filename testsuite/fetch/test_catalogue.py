"""Catalogues: searches over pages, servers that fail or answer in part, and files with items."""

import http.server
import json
import threading
import tracemalloc

import pytest

from imperviouslib.core.errors import CatalogueError
from imperviouslib.edge import jsonstream, stac
from testsuite.fetch_ground import items
from testsuite.world.faults import Fault


def test_a_search_over_several_pages_is_complete(keys, monkeypatch):
    monkeypatch.setattr(stac, "PAGE", 3)
    found = stac.search(keys.stac_url, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert [item["id"] for item in found] == sorted(item["id"] for item in items(keys.out))
    assert len(keys.stac.counts()["by_path"]) >= 1


@pytest.mark.parametrize("kind", ["503", "429", "reset", "cut"])
def test_a_page_that_fails_is_requested_again(keys, monkeypatch, kind):
    monkeypatch.setattr(stac, "PAGE", 3)
    keys.stac.rules = [Fault(kind, "search", times=2, skip=1, seconds=0)]
    assert len(stac.search(keys.stac_url, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")) == len(items(keys.out))
    assert keys.stac.counts()["faults"][kind] == 2


def test_a_catalogue_that_always_cuts_its_answers_is_an_error(keys, monkeypatch):
    monkeypatch.setattr(stac, "_TRIES", 2)
    keys.stac.rules = [Fault("cut", "search")]
    with pytest.raises(CatalogueError, match="2 times") as caught:
        stac.search(keys.stac_url + "?token=TOPSECRET", None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert "\n" not in str(caught.value)


class _OnePage(http.server.BaseHTTPRequestHandler):
    """A catalogue that returns ten items and no next page for every request."""

    everything = ()

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(
            {
                "type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
                "links": [{"rel": "search", "href": f"http://{self.headers['Host']}/search", "method": "POST"}],
            }
        )  # fmt: skip

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first, last = asked["datetime"].split("/")
        found = [i for i in self.everything if first <= i["properties"]["datetime"] <= last]
        self.answer({"type": "FeatureCollection", "features": found[:10], "links": []})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_server_that_ends_after_a_page_is_detected(world, monkeypatch):
    monkeypatch.setattr(stac, "_TRIES", 1)
    monkeypatch.setattr(_OnePage, "everything", items(world))
    assert len(items(world)) > 10
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OnePage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(CatalogueError, match="only the first 10 items of a longer list"):
            stac.search(f"http://127.0.0.1:{server.server_port}/", None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("form", ["collection", "list", "lines", "one item", "indented", "byte order mark"])
def test_an_item_list_has_several_forms(world, tmp_path, monkeypatch, form):
    monkeypatch.setattr(jsonstream, "_PIECE", 700)
    all_items = items(world) if form != "one item" else items(world)[:1]
    collection = {
        "type": "FeatureCollection",
        "numberReturned": 7,
        "links": [{"rel": "self"}],
        "features": all_items,
        "note": {"a": [1, "}"]},
    }
    text = {
        "collection": json.dumps(collection), "list": json.dumps(all_items), "lines": "\n".join(json.dumps(i) for i in all_items),
        "one item": json.dumps(all_items[0]), "indented": json.dumps(collection, indent=2), "byte order mark": "\ufeff" + json.dumps(collection),
    }[form]  # fmt: skip
    path = tmp_path / "items.json"
    path.write_text(text, encoding="utf-8")
    assert list(stac.read_collection(path)) == all_items


@pytest.mark.parametrize(
    "text",
    [
        "", "{", '{"features": [', '{"features": [{}', '[{"a": 1},', "[1, 2]", "hello", '{"features": [{"a": 1}]', "[] x",
        "[[1], 2]", '{[1]: {"a": 1}}', '{"a": 1,}', '[{"a": 1}, ]', "{1: 2}",
    ],
)  # fmt: skip
def test_a_file_that_is_cut_or_is_no_item_list_is_refused(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(CatalogueError, match="expected a STAC item collection"):
        list(stac.read_collection(path))


def test_numbers_that_python_writes_are_read_and_memory_holds_one_item(tmp_path):
    """Python writes Infinity and NaN, which strict JSON does not know; a number may lie across two pieces of the file."""
    path = tmp_path / "items.json"
    all_items = [{"id": n, "big": 10**30 + n, "share": float("inf"), "text": "ä" * 4000} for n in range(500)]
    path.write_text(json.dumps({"features": all_items}))
    tracemalloc.start()
    assert all(item == wanted for item, wanted in zip(stac.read_collection(path), all_items, strict=True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 10e6
    assert peak < 7e6
