"""Secrets: no key, password or signature appears in a message, a file or a map."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from imperviouslib.core.choice import SceneFilter
from imperviouslib.core.errors import AccessError, CatalogueError, FetchError, InputError, without_secrets
from imperviouslib.core.items import Asset, parse_item
from imperviouslib.core.window import Window
from imperviouslib.edge import objects, pixels, stac
from imperviouslib.edge.archivefile import fetch_scene
from imperviouslib.edge.objects import get_object
from imperviouslib.stage import fetch
from testsuite.fetch_ground import QUICK, area, items, local_items, maps, task_of
from testsuite.world.faults import Fault


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("https://me:PLANTED@host:8080/v1?token=SECRET#SECRET", "https://host:8080/v1"), ("http://SECRET@host", "http://host"),
        ("http://me:SEC@RET@host/a@b.jp2", "http://host/a@b.jp2"), ("s3://bucket/a.jp2?sig=PLANTED", "s3://bucket/a.jp2"),
        ("/data/a#1@b.jp2", "/data/a#1@b.jp2"), ("cdse", "cdse"),
    ],
)  # fmt: skip
def test_secrets_are_removed_from_an_address(address, without):
    assert without_secrets(address) == without


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the key PLANTED+/ID is not known", "the key *** is not known"),
        ("GET /a?who=PLANTED%2B%2FID", "GET /a?who=***"),
        ("wrong key SECRET/PLANTED", "wrong key ***"),
        ("https://host/a?X-Amz-Signature=12ab&n=1", "https://host/a?X-Amz-Signature=***&n=1"),
        ("token=12ab sig=34cd x-amz-security-token=56ef", "token=*** sig=*** x-amz-security-token=***"),
        ("no answer of 'http://me:12ab@host:1/x'", "no answer of 'http://host:1/x'"),
        ("one\n  and another line", "one and another line"),
    ],
)
def test_messages_of_other_libraries_lose_secrets(monkeypatch, text, shown):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "PLANTED+/ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET/PLANTED")
    assert objects.scrub(text) == shown


def test_passwords_of_addresses_are_neither_shown_nor_stored(world, tmp_path, monkeypatch):
    assert (
        objects.scrub("no answer of 'http://me:PLANTED@host:1/x', PLANTED") == "no answer of 'http://host:1/x', PLANTED"
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    for scheme in ("http", "ftp", "s3"):
        with pytest.raises((FetchError, InputError, AccessError)) as caught:
            get_object(Asset(f"{scheme}://me:PLANTED@127.0.0.1:9/x.jp2"), dataclasses.replace(QUICK, tries=1))
        assert "PLANTED" not in str(caught.value) and "127.0.0.1:9" in str(caught.value)
    catalogue = "http://me:PLANTED@127.0.0.1:9/"
    monkeypatch.setattr(stac, "_search_once", lambda *_: (_ for _ in ()).throw(stac._IncompleteError(catalogue)))
    with pytest.raises(CatalogueError, match=r"'http://127\.0\.0\.1:9/'") as caught:
        stac.search(catalogue, None, (5, 45, 20, 60), "2021-01-01", "2022-12-31")
    assert "PLANTED" not in str(caught.value)

    said = []
    for name in ("verbose", "percent"):
        monkeypatch.setattr(fetch.grass, name, lambda *words: said.append(str(words)))
    monkeypatch.setattr(stac, "search", lambda *_, **__: [])
    wanted = SceneFilter((2021,), Window((4, 15), (10, 31)), ("B04",), 9.0)
    with pytest.raises(CatalogueError, match=r"Search in 'http://127\.0\.0\.1:9/'") as caught:
        fetch._find(catalogue, None, wanted, area(world))
    assert said and "PLANTED" not in str(said) + str(caught.value)

    # An object whose address holds a password, as the archive keeps it.
    scene = parse_item(local_items(world, [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]])[0])
    content = Path(scene.assets["B11"].href).read_bytes()
    remote = dataclasses.replace(scene.assets["B11"], href="http://me:PLANTED@127.0.0.1:9/x.jp2?token=PLANTED")
    monkeypatch.setattr(pixels, "get_object", lambda *_: content)
    scene = dataclasses.replace(scene, assets={**scene.assets, "B11": remote})
    (outcome,) = fetch_scene(task_of(world, tmp_path, scene=scene, bands=("B11",), catalogue=catalogue))
    assert outcome.error is None
    sidecar = json.loads(next(tmp_path.rglob("B11.json")).read_text())
    assert sidecar["source"]["href"] == "http://127.0.0.1:9/x.jp2" and sidecar["catalogue"] == "http://127.0.0.1:9/"


def test_secrets_appear_nowhere(tool, keys, tmp_path):
    """Planted keys, right and wrong, are looked for in maps, sidecars, messages and tracebacks."""
    import grass.script as gs

    secrets = [keys.secret_key, keys.access_key, "PLANTEDSECRET", "PLANTEDTOKEN", "X-Amz-Signature"]
    options = {
        "stac": keys.stac_url,
        "output": tmp_path / "a",
        "clouds": 100,
        "years": "2021",
        "nprocs": 2,
        "tries": 1,
        "timeout": 1,
    }
    said = []
    said += tool("--debug", "--verbose", env={"AWS_SECRET_ACCESS_KEY": "PLANTEDSECRET"}, **options)[1:]
    for kind in ("503", "reset", "hang", "cut", "404", "corrupt"):
        keys.s3.rules = [Fault(kind, "B1", seconds=2)]
        said += tool("--debug", "--verbose", **options)[1:]
    keys.s3.rules = []
    said += tool("--debug", "--verbose", env={"AWS_SESSION_TOKEN": "PLANTEDTOKEN"}, **options)[1:]
    said += tool("--debug", "--verbose", **{**options, "stac": keys.stac_url + "/nothing?token=PLANTEDTOKEN"})[1:]
    assert any("Traceback" in text for text in said)
    env = gs.gisenv()
    for folder in (tmp_path / "a", Path(env["GISDBASE"], env["LOCATION_NAME"], env["MAPSET"])):
        said += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    assert maps()
    for secret in secrets:
        assert not [text[max(0, text.find(secret) - 80) : text.find(secret) + 20] for text in said if secret in text]
