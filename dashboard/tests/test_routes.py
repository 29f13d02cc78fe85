"""The server as the outside sees it: headers, routes, hostile requests."""

import gzip
import http.client
import json
from urllib.parse import quote, urlsplit

import pytest

from dashboard.tests.test_state import HOSTILE

TRAVERSALS = [
    "static/../data.py", "static/%2e%2e/data.py", "static/..%2fdata.py", "static//etc/passwd", "static/%2fetc%2fpasswd",
    "api/v1/data.csv/../../../app.py", "api/v1/data.%2e%2e%2fapp", "region/..%2f..%2fetc%2fpasswd", "region/%00", "lib/..%2f..%2fapp.py",
    "static/....//data.py", "..;/data.py",
]  # fmt: skip


def get(server, path, **headers):
    """Request the path exactly as written; return status, headers in lower case, content."""
    where = urlsplit(server)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.request("GET", f"/{path}", headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


@pytest.mark.parametrize(
    "path",
    [
        "",
        "static/dashboard.js",
        "api/v1/cube.json",
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
    for path in ("", "static/dashboard.js", "lib/shiny-1.8.0/shiny.js" if b"shiny-1.8.0" in get(server, "")[2] else ""):
        _, headers, content = get(server, path, **{"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip" and len(gzip.decompress(content)) > len(content)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leaves_the_folders(server, path):
    status, _, content = get(server, path)
    assert status in (400, 404)
    assert b"root:" not in content and b"import" not in content


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("path", ["", "api/v1/cube.json", "region/XA", "api/v1/data.csv", "api/v1/data.geojson"])
def test_hostile_query_is_answered_and_not_sent_back(server, path, query):
    status, _, content = get(server, f"{path}?{quote(query, safe='=&%,')}")
    assert status in (200, 400)
    for sent in (b"<script>alert", b"etc/passwd", b"DROP TABLE", b"javascript:", b"9" * 50, b"x" * 100):
        assert sent not in content


def test_unknown_things_are_404_and_bad_filters_400(server):
    for path in ("region/XZ", "api/v1/map/7.json", "api/v1/data.exe", "api/v2/data.csv"):
        assert get(server, path)[0] == 404
    status, headers, content = get(server, "api/v1/data.csv?geo=NO")
    assert (
        status == 400
        and headers["content-type"].startswith("text/plain")
        and content.startswith(b"Filter geo: the table does not have all of these codes.")
    )


def test_downloads_are_files(server):
    for suffix, kind in (("csv", "text/csv"), ("sdmx.csv", "sdmx.data+csv"), ("parquet", "parquet")):
        status, headers, content = get(server, f"api/v1/data.{suffix}?geo=XA&TIME_PERIOD=2020")
        assert status == 200 and kind in headers["content-type"] and content
        assert headers["content-disposition"] == f'attachment; filename="impervious_nuts.{suffix}"'
    for path in ("regions.csv", "transitions.csv", "datapackage.json"):
        assert get(server, f"api/v1/{path}")[0] == 200
    assert get(server, "healthz")[2] == b"ok"


def test_cube_and_map_have_the_same_regions(server):
    cube, drawing = (json.loads(get(server, path)[2]) for path in ("api/v1/cube.json?l=2", "api/v1/map/2.json"))
    assert cube["geos"] == [region["geo"] for region in drawing["regions"]]
    assert all(len(column) == len(cube["geos"]) for column in cube["value"])
