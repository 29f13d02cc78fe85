"""The tool from its options to its report: what it lists, fetches, refuses, and how it ends."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from testsuite.fetch_ground import digests, items, maps, reprocessed
from testsuite.world.faults import Fault


def test_the_tool_lists_fetches_links_and_then_fetches_nothing(tool, keys, world, tmp_path, expected):
    import grass.script as gs

    options = {"stac": keys.stac_url, "output": tmp_path / "a", "clouds": 100, "window": "04-15/10-31", "nprocs": 2}
    status, out, err = tool("-l", years="2021-2022", format="json", **options)
    assert status == 0, err
    plan = json.loads(out)
    # Two dates a year of two tiles, one of them in two halves; of what was processed twice only the newer.
    assert len(plan["scenes"]) == 9
    assert plan["files"] == 36 and plan["bytes"] > 1e5 and plan["holes"] == []
    assert {(p["tile"], p["year"]) for p in plan["periods"]} == {
        (t, y) for t in ("32UPD", "33UUU") for y in (2021, 2022)
    }
    assert not (tmp_path / "a").exists() and maps() == []
    assert keys.s3.counts()["requests"] == 0
    status, out, err = tool("-l", years="2021", **options)
    assert "4 scenes, 16 files to fetch" in out

    status, out, err = tool(years="2021", **options)
    assert status == 0, err
    assert "4 scenes, 16 files: 16 fetched, 0 existed before, 0 failed" in out
    found = digests(tmp_path / "a")
    assert expected.items() <= found.items()
    assert len(maps()) == 16
    # A longer period extends the archive and the space-time dataset; existing files are not requested again.
    keys.s3.reset_counts()
    status, out, err = tool(years="2021-2022", **options)
    assert status == 0 and "9 scenes, 36 files: 20 fetched, 16 existed before, 0 failed" in out
    assert not any("2021/" in path for path in keys.s3.counts()["by_path"])
    assert len(maps()) == 36
    assert len(gs.read_command("t.rast.list", input="scenes", columns="name", flags="u").split()) == 36
    keys.s3.reset_counts()
    status, out, err = tool(years="2021-2022", format="json", **options)
    assert status == 0 and json.loads(out)["fetched"] == 0
    assert keys.s3.counts()["requests"] == 0

    when = datetime.fromisoformat(reprocessed(world)["05.00"]["properties"]["datetime"])
    name = next(m for m in maps() if f"33UUU_{when:%Y_%m_%d}" in m and m.endswith("B04"))
    info = gs.raster_info(name)
    assert (
        info["semantic_label"].strip('"') == "S2_4"
        and info["title"].strip('"') == f"B04 of 33UUU, {when:%Y-%m-%dT%H:%M:%S}Z"
    )
    history = gs.read_command("r.info", flags="h", map=name)
    assert "offset -1000 (baseline 05.00 is 04.00 or later)" in " ".join(history.split())
    assert gs.read_command("r.timestamp", map=name).strip() == f"{when.day} {when:%b %Y %H:%M:%S}"


def test_the_tool_reports_what_failed_and_the_next_run_fetches_it(tool, keys, world, tmp_path):
    options = {
        "stac": keys.stac_url,
        "output": tmp_path / "a",
        "clouds": 100,
        "years": "2021",
        "tries": 2,
        "nprocs": 2,
        "timeout": 1,
    }
    dates = {i["properties"]["datetime"] for i in items(world) if "_2021" in i["id"]}
    (once,) = dates - {i["properties"]["datetime"] for i in reprocessed(world).values()}
    keys.s3.rules = [Fault("404", f"{once[:10].replace('-', '')}.*B11_20m")]
    status, out, err = tool(**options)
    assert out, err
    assert status == 1 and "4 scenes, 16 files: 14 fetched, 0 existed before, 2 failed" in out
    assert err.count("HTTP status 404") >= 2 and "Traceback" not in err
    status, out, err = tool("-k", **options)
    assert status == 0 and "0 fetched, 14 existed before, 2 failed" in out
    keys.s3.rules = []
    status, out, err = tool(**options)
    assert status == 0 and "2 fetched, 14 existed before, 0 failed" in out


def test_expired_keys_stop_the_run_and_keep_its_files(tool, keys, tmp_path):
    options = {"stac": keys.stac_url, "output": tmp_path / "a", "clouds": 100, "years": "2021"}
    keys.s3.rules = [Fault("expired", "jp2", skip=5)]
    status, out, err = tool(**options)
    assert status == 1 and "ExpiredToken" in err and "Set AWS_ACCESS_KEY_ID" in err
    asked = sum(n for path, n in keys.s3.counts()["by_path"].items() if "jp2" in path)
    assert asked <= 5 + 3
    keys.s3.rules = []
    status, out, err = tool(**options)
    assert status == 0 and "11 fetched, 5 existed before" in out


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"years": "2021,2020"}, "Option <years>"), ({"window": "1-1/2-2"}, "Option <window>"), ({"bands": "B99"}, "Option <bands>"),
        ({"stac": "missing.json"}, "no file 'missing.json'"), ({"clouds": "0"}, "none of which passes"), ({"years": "2019"}, "found 0 items"),
        ({"stac": "http://127.0.0.1:9/"}, "Catalogue 'http://127.0.0.1:9/'"), ({"bbox": "1,2,3"}, "Option <bbox>"),
        ({"bbox": "0,0,1,1"}, "found 0 items"), ({"area": "nothing"}, "vector map <nothing>"), ({"output": "/dev/null/x"}, "Option <output>, '/dev/null': found a file"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(tool, keys, monkeypatch, change, found):
    options = {"stac": keys.stac_url, "output": "/tmp/never", "years": "2021", "clouds": "100", **change}
    status, _, err = tool(**options)
    errors = [line for line in err.splitlines() if line.startswith("ERROR")]
    assert status == 1 and len(errors) == 1, err
    assert found in " ".join(err.split()) and "Traceback" not in err
    assert not Path("/tmp/never").exists()
