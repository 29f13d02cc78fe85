"""The server as the outside sees it: headers, routes, hostile requests."""

import gzip
import http.client
import json
import re
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dashboard.tests.test_state import HOSTILE

TRAVERSALS = [
    "static/../data.py", "static/%2e%2e/data.py", "static/..%2fdata.py", "static//etc/passwd", "static/%2fetc%2fpasswd",
    "api/v1/data.csv/../../../app.py", "api/v1/data.%2e%2e%2fapp", "region/..%2f..%2fetc%2fpasswd", "region/%00", "lib/..%2f..%2fapp.py",
    "static/....//data.py", "..;/data.py",
]  # fmt: skip


def get(server, path, method="GET", body=None, **headers):
    """Request the path exactly as written; return status, headers in lower case, content."""
    where = urlsplit(server)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.request(method, f"/{path}", body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


@pytest.mark.parametrize(
    "path",
    [
        "",
        "static/main.js",
        "api/v1/slice.json",
        "api/v1/data.csv?geo=XA",
        "region/XA",
        "nothing",
        "api/v1/data.csv?x=1",
    ],
)
def test_every_answer_has_the_security_headers(server, path):
    _, headers, _ = get(server, path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_answers_are_compressed(server):
    for path in ("", "static/main.js", "lib/shiny-1.8.0/shiny.js" if b"shiny-1.8.0" in get(server, "")[2] else ""):
        _, headers, content = get(server, path, **{"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip" and len(gzip.decompress(content)) > len(content)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leaves_the_folders(server, path):
    status, _, content = get(server, path)
    assert status in (400, 404)
    assert b"root:" not in content and b"import" not in content


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("path", ["", "api/v1/slice.json", "region/XA", "api/v1/data.csv", "api/v1/data.geojson"])
def test_hostile_query_is_answered_and_not_sent_back(server, path, query):
    status, _, content = get(server, f"{path}?{quote(query, safe='=&%,')}")
    assert status in (200, 400)
    for sent in (b"<script>alert", b"etc/passwd", b"DROP TABLE", b"javascript:", b"9" * 50, b"x" * 100):
        assert sent not in content


def test_unknown_things_are_404_and_bad_filters_400(server):
    for path in (
        "region/XZ",
        "api/v1/map/7.json",
        "api/v1/region/XZ.json",
        "api/v1/data.exe",
        "api/v2/data.csv",
        "nothing/at/all",
    ):
        assert get(server, path)[0] == 404
    status, headers, content = get(server, "api/v1/data.csv?geo=NO")
    assert (
        status == 400
        and headers["content-type"].startswith("text/plain")
        and content.startswith(b"Filter geo: the table does not have all of these codes.")
    )


def test_downloads_are_files(server):
    for suffix, kind in (
        ("csv", "text/csv"),
        ("xlsx", "spreadsheetml"),
        ("sdmx.csv", "sdmx.data+csv"),
        ("parquet", "parquet"),
    ):
        status, headers, content = get(server, f"api/v1/data.{suffix}?geo=XA&TIME_PERIOD=2020")
        assert status == 200 and kind in headers["content-type"] and content
        assert headers["content-disposition"] == f'attachment; filename="impervious_nuts_XA_2020.{suffix}"'
    for path in ("regions.csv", "transitions.csv", "datapackage.json"):
        assert get(server, f"api/v1/{path}")[0] == 200
    assert get(server, "healthz")[2] == b"ok"
    assert get(server, "api")[1]["location"] == "api/"


def test_slice_and_names_have_the_same_regions(server):
    answer, names = (json.loads(get(server, path)[2]) for path in ("api/v1/slice.json?l=2", "api/v1/names.json"))
    level = [geo for geo, _, at, *_ in names if at == 2]
    assert level == sorted(level) and len(level) == 16
    for column in ("value", "low", "high", "coverage", "flag", "reason"):
        assert len(answer[column]) == 16


def digest_of(server):
    page = get(server, "")[2].decode()
    return re.search(r'"digest": "([0-9a-f]{12})"', page)[1]


@pytest.mark.parametrize("path", ["slice.json?l=2&", "map/3.json?", "names.json?", "region/XA.json?"])
def test_address_of_another_table_is_answered_409_and_never_with_figures(server, path):
    digest = digest_of(server)
    assert get(server, f"api/v1/{path}v={digest}")[0] == 200
    status, headers, content = get(server, f"api/v1/{path}v=0123456789ab")
    assert (status, content) == (409, b"The table has changed. Load the page again.")
    assert "max-age" not in headers.get("cache-control", "")


@pytest.mark.parametrize("path", ["", "session/x/upload/0?w=", "api/v1/data.csv", "websocket/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_sent(server, path, method):
    status, headers, _ = get(server, path, method, b"x" * 1000)
    assert status == 405 and headers["allow"] == "GET, HEAD"


def test_get_with_a_body_is_refused(server):
    assert get(server, "api/v1/data.csv", body=b"x")[0] == 400


def test_message_of_a_session_is_bounded(server):
    """A message that is longer than any of the page's ends the session."""
    with connect(server.replace("http", "ws") + "websocket/") as socket:
        socket.send(json.dumps({"method": "init", "data": {"regions": "X" * 100_000}}))
        with pytest.raises(ConnectionClosed) as caught:
            for _ in range(10):
                socket.recv(timeout=20)
    assert caught.value.rcvd.code == 1009


@pytest.mark.parametrize("digits", ["9" * 5001, "0" * 5001, "-1", "1e9", "٣"])
def test_digits_in_an_address_are_bounded(server, digits):
    for path in (
        f"api/v1/map/{quote(digits)}.json",
        f"region/{quote(digits)}",
        f"api/v1/slice.json?l=3&y={quote(digits)}",
    ):
        assert get(server, path)[0] in (200, 404)


def test_other_sites_may_read_the_figures_but_not_frame_the_page(server):
    assert get(server, "api/v1/names.json")[1]["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in get(server, "")[1]
    assert "frame-ancestors 'self'" in get(server, "")[1]["content-security-policy"]
    assert "frame-ancestors *" in get(server, "?embed=1&l=2")[1]["content-security-policy"]
    assert "frame-ancestors 'self'" in get(server, "?embed=10")[1]["content-security-policy"]


def test_what_is_missing_is_a_page_for_a_browser_and_text_for_a_program(server):
    for path in ("nothing/here", "region/XZ"):
        status, headers, content = get(server, path, Accept="text/html")
        assert status == 404 and headers["content-type"].startswith("text/html")
        assert b"<h1>Not found</h1>" in content and b'href="../"' in content
        assert get(server, path)[1]["content-type"].startswith("text/plain")


def test_whole_table_is_written_once_and_sent_from_a_file(server):
    first, second = (get(server, "api/v1/data.csv") for _ in range(2))
    assert first[0] == 200 and first[2] == second[2] and first[2].count(b"\n") > 60_000
    # A file has a time of change and a tag; an answer that is written for the request has none.
    assert first[1]["etag"] == second[1]["etag"]
    assert get(server, "api/v1/data.parquet")[2].startswith(b"PAR1")
