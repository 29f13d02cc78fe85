"""Searches in catalogues that page, count and answer in unusual ways: every item comes, or the search says that some are missing."""

import http.server
import json
import threading
from urllib.parse import parse_qsl, urlsplit

import pytest

from imperviouslib.core.errors import CatalogueError, InputError
from imperviouslib.edge import stac
from testsuite.scene_ground import item

DAYS = 8
ITEMS = [item(f"scene{day}", datetime=f"2018-06-{day:02d}T10:00:00Z") for day in range(1, DAYS + 1)]


class _Catalogue(http.server.BaseHTTPRequestHandler):
    """The first part of the path is the habit with which it answers; it holds one item a day."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        split = urlsplit(self.path)
        habit, _, rest = split.path.strip("/").partition("/")
        if rest:
            self.search(habit, dict(parse_qsl(split.query)), "GET")
            return
        links = [{"rel": "search", "href": f"http://{self.headers['Host']}/{habit}/search", "method": "GET"}]
        core = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        root = {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "x",
            "description": "x",
            "conformsTo": core,
            "links": links,
        }
        self.answer(json.dumps(root), mark=habit == "mark")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.search(self.path.strip("/").split("/")[0], asked, "POST")

    def search(self, habit, asked, method):
        if habit.startswith("get") and method == "POST":
            self.answer("{}", status=int(habit[3:]))
            return
        first, last = asked["datetime"].split("/")
        found = [one for one in ITEMS if first <= one["properties"]["datetime"] <= last]
        page = {"type": "FeatureCollection", "features": found, "links": []}
        step, address = int(asked.get("token", 0)), f"http://{self.headers['Host']}/{habit}/search"
        following = {"rel": "next", "href": address, "method": "POST", "body": {**asked, "token": step + 1}}
        if habit == "estimate":
            page["numberMatched"] = len(found) + 5
        elif habit == "estimate-in-quotes":
            page["numberMatched"] = str(len(found) + 5)
        elif habit == "nonsense-number":
            page["numberMatched"] = -3.5
        elif habit == "cut":
            page |= {"features": found[:3], "numberMatched": len(found)}
        elif habit == "itself":
            page["links"] = [following | {"body": asked}]
        elif habit == "itself-cut":
            page |= {"features": found[:3], "links": [following | {"body": asked}]}
        elif habit == "circle":
            page |= {"features": found[step % 2 :: 2], "links": [following]}
        elif habit == "empty-for-ever":
            page |= {"features": found if not step else [], "links": [following]}
        elif habit == "empty-between":
            page["features"] = [] if step == 1 else found[: DAYS // 2] if step == 0 else found[DAYS // 2 :]
            page["links"] = [following] if step < 2 else None
        elif habit == "overlap":
            page["features"] = found[max(0, 2 * step - 1) : 2 * step + 2]
            page["links"] = [following] if 2 * step + 2 < len(found) else []
        elif habit == "relative":
            page["features"] = found[step : step + 1]
            query = f"?token={step + 1}&datetime={asked['datetime']}"
            page["links"] = [{"rel": "next", "href": query}] if step + 1 < len(found) else []
        elif habit == "without-id":
            page["features"] = [*found, {"type": "Feature"}, {"type": "Feature"}]
        elif habit == "no-list":
            page["features"] = [*found, 5]
        elif habit == "deep":
            self.answer('{"features": ' + "[" * 100_000)
            return
        elif habit == "not-a-number":
            page["features"] = [{**one, "share": float("nan")} for one in found]
        self.answer(json.dumps(page), mark=habit == "mark")

    def answer(self, text, *, status=200, mark=False):
        body = text.encode("utf-8-sig" if mark else "utf-8")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Catalogue)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def search(address, habit):
    notes = []
    found = stac.search(f"{address}/{habit}", None, (5, 45, 20, 60), "2018-06-01", "2018-06-30", note=notes.append)
    return [one.get("id") for one in found], notes


@pytest.fixture(autouse=True)
def one_try(monkeypatch):
    monkeypatch.setattr(stac, "_TRIES", 1)


@pytest.mark.parametrize(
    ("habit", "note"),
    [
        ("get405", ""), ("get404", ""), ("get501", ""), ("get400", ""), ("get415", ""), ("mark", ""), ("overlap", ""), ("relative", ""),
        ("estimate", "announced 13 items and has 8: its number is an estimate"), ("itself", "repeated a page; all its 8 items came before"),
        ("estimate-in-quotes", "announced 13 items"), ("nonsense-number", ""), ("empty-for-ever", "repeated a page"), ("empty-between", ""),
        ("not-a-number", ""), ("circle", "repeated a page; all its 8 items came before"),
    ],
)  # fmt: skip
def test_every_item_comes_whatever_the_habits_of_a_catalogue(address, habit, note):
    found, notes = search(address, habit)
    assert found == [one["id"] for one in ITEMS]
    assert len(notes) == bool(note)
    assert note in "".join(notes)


@pytest.mark.parametrize(
    ("habit", "found"),
    [
        ("cut", "3 of 8 items"), ("itself-cut", "only the first 3 items of a longer list"), ("no-list", "an answer without a list of items"),
        ("deep", "an answer that is not complete JSON|RecursionError"), ("get403", "HTTP status 403"),
    ],
)  # fmt: skip
def test_a_search_that_lost_items_is_an_error_in_one_line(address, habit, found):
    with pytest.raises(CatalogueError, match=found) as caught:
        search(address, habit)
    assert str(caught.value).isprintable()


def test_items_without_an_id_reach_the_parser_which_refuses_them(address):
    found, _notes = search(address, "without-id")
    assert found.count(None) == 1
    assert len(found) == DAYS + 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_begin_with_a_byte_order_mark_or_without(tmp_path, encoding):
    path = tmp_path / "items.json"
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path.write_text(mark + json.dumps({"features": ITEMS}), encoding=encoding)
    assert list(stac.read_collection(path)) == ITEMS


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\xff", b'{"features": ' + b"[" * 100_000, b'"\xfc"'])
def test_files_of_another_encoding_or_too_deep_are_refused(tmp_path, content):
    path = tmp_path / "items.json"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match="expected a STAC item collection"):
        list(stac.read_collection(path))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"features": []}', "no item"),
        ("", "no item"),
        ('{"features": [1]}', "a value that is not an item"),
        ('{"features": ["item"]}', "a value that is not an item"),
        ('{"features": [null]}', "a value that is not an item"),
        ('{"features": [[]]}', "a value that is not an item"),
    ],
)
def test_files_without_items_are_refused(tmp_path, content, found):
    (tmp_path / "items.json").write_text(content)
    with pytest.raises(CatalogueError, match=f"found {found}, expected a STAC item collection"):
        list(stac.read_collection(tmp_path / "items.json"))


def test_a_file_that_does_not_exist_is_no_catalogue(tmp_path):
    for path in (tmp_path / "items.json", tmp_path):
        with pytest.raises(InputError, match=f"Option <stac>: found no file '{path}'"):
            list(stac.read_collection(path))


@pytest.mark.parametrize(
    ("links", "base"),
    [
        ([{"rel": "self", "href": "https://h/items/a"}], "https://h/items"), ([{"rel": "self", "href": "/etc/passwd"}], "https://host/v1"),
        ([{"rel": "self", "href": "file:///etc/passwd"}], "https://host/v1"), ([{"rel": "self"}], "https://host/v1"), (None, "https://host/v1"),
        ([5, "x"], "https://host/v1"), ({}, "https://host/v1"),
    ],
)  # fmt: skip
def test_relative_links_of_a_service_never_lead_to_this_machine(links, base):
    assert stac.item_base({"links": links}, "https://host/v1") == base
