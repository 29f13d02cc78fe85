"""Objects: from S3, http or a file, checked, with waits and retries; which keys and endpoints are used."""

import dataclasses
import functools
import hashlib
import http.server
import threading

import pytest

from imperviouslib.core.errors import AccessError, FetchError, InputError
from imperviouslib.core.items import Asset, parse_item
from imperviouslib.edge import objects
from imperviouslib.edge.objects import get_object, s3_settings
from testsuite.fetch_ground import QUICK, items, local_items, scene_of
from testsuite.world.faults import Fault


def test_an_object_is_read_by_one_request(keys, world):
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.reset_counts()
    content = get_object(asset, QUICK)
    assert len(content) == asset.size
    assert "1620" + hashlib.sha3_256(content).hexdigest() == asset.checksum
    assert keys.s3.counts()["requests"] == 1


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_an_object_may_be_a_file(world, prefix):
    item = local_items(world, items(world)[:1])[0]
    asset = parse_item(item).assets["B12"]
    assert len(get_object(dataclasses.replace(asset, href=prefix + asset.href), QUICK)) == asset.size
    with pytest.raises(FetchError, match="checksum"):
        get_object(dataclasses.replace(asset, checksum="1620" + "0" * 64), QUICK)
    with pytest.raises(FetchError, match="No such file"):
        get_object(Asset(asset.href + "x"), QUICK)
    with pytest.raises(InputError, match="scheme ftp"):
        get_object(Asset("ftp://x/y"), QUICK)


def test_an_object_may_come_by_http(world):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=world / "objects"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
        link = asset.href.replace("s3://", f"http://127.0.0.1:{server.server_port}/")
        assert len(get_object(dataclasses.replace(asset, href=link), QUICK)) == asset.size
        with pytest.raises(FetchError, match="HTTP status 404") as caught:
            get_object(Asset(link + "x?sig=TOPSECRET"), QUICK)
        assert "TOPSECRET" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()


def test_the_wait_that_a_server_asks_for_is_kept_and_waits_grow(keys, world):
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.rules = [Fault("429", "B12", times=1, seconds=7), Fault("503", "B12", times=3)]
    waits = []
    get_object(asset, dataclasses.replace(QUICK, tries=6, wait_s=1.0), sleep=waits.append)
    assert len(waits) == 4
    assert waits[0] >= 7
    # 2, 4 and 8 s, each with a fifth of chance.
    assert all(abs(wait - 2 ** (n + 1)) <= 0.2 * 2 ** (n + 1) for n, wait in enumerate(waits[1:]))


def test_an_answer_that_is_cut_off_is_continued(keys, world, monkeypatch):
    monkeypatch.setattr(objects, "_CHUNK", 512)
    asset = scene_of(world, "N0500_R022_T33UUU").assets["B12"]
    keys.s3.rules = [Fault("cut", "B12", times=2)]
    assert len(get_object(asset, QUICK)) == asset.size
    # Half, half of the rest, the rest: at most a chunk of each came twice.
    assert keys.s3.counts()["requests"] == 3
    assert asset.size <= keys.s3.counts()["bytes"] <= asset.size + 2 * 512


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch"), ("AWS_ACCESS_KEY_ID", "unknown", "InvalidAccessKeyId"),
        ("AWS_ACCESS_KEY_ID", "", "no keys in the environment"),
    ],
)  # fmt: skip
def test_wrong_or_missing_keys_are_reported_at_once(keys, world, monkeypatch, name, value, found):
    monkeypatch.setenv(name, value)
    waits = []
    with pytest.raises(AccessError, match=found):
        get_object(scene_of(world, "N0500_R022_T33UUU").assets["B12"], QUICK, sleep=waits.append)
    assert waits == []


def test_keys_may_come_from_a_profile_file(keys, world, monkeypatch, tmp_path):
    env = keys.environment()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(
        f"[mine]\naws_access_key_id = {env['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {env['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    asset = scene_of(world, "N0500_R022_T33UUU").assets["SCL"]
    assert len(get_object(asset, QUICK)) == asset.size
    file.write_text("aws_secret_access_key = PLANTED\n")
    with pytest.raises(AccessError, match="is not a valid AWS profile file") as caught:
        get_object(asset, QUICK)
    assert "PLANTED" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("env", "endpoint", "path_style"),
    [
        ({}, None, False), ({"AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu"}, "https://eodata.dataspace.copernicus.eu", True),
        ({"AWS_S3_ENDPOINT": "http://data.cloudferro.com/"}, "http://data.cloudferro.com", True),
        ({"AWS_S3_ENDPOINT": "h:1", "AWS_HTTPS": "NO"}, "http://h:1", True),
        ({"AWS_S3_ENDPOINT": "h", "AWS_VIRTUAL_HOSTING": "TRUE"}, "https://h", False),
        ({"AWS_VIRTUAL_HOSTING": "FALSE"}, None, True),
    ],
)  # fmt: skip
def test_the_aws_variables_mean_what_they_mean_to_gdal(env, endpoint, path_style):
    found = s3_settings({**env, "HOME": "/nonexistent"})
    assert (found.endpoint, found.path_style, found.region) == (endpoint, path_style, "default")
