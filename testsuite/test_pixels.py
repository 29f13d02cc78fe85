"""Pixels of a window, read from parts of an object: equal to those of the whole object, with fewer bytes, and never wrong after faults."""

import dataclasses
import functools
import hashlib
import http.server
import json
import struct
import threading
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core import jp2
from imperviouslib.core.errors import AccessError, FetchError
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset, Scene
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge import pixels
from imperviouslib.edge.archivefile import Task, fetch_scene, missing_bands
from imperviouslib.edge.objects import PartsError, Remote
from imperviouslib.edge.pixels import get_pixels
from imperviouslib.edge.rasterobject import decode_object, tiff_blocks
from imperviouslib.edge.schedule import Alone
from testsuite.world.faults import Fault
from testsuite.world.products import multihash, write_jp2
from testsuite.world.serve import serve

SHAPE = (1500, 1400)
"""Three rows and columns of JPEG 2000 tiles of 640, the last of them cut."""
FORMS = ("jp2", "tif")
KINDS = ("429", "503", "403", "404", "reset", "cut", "short", "corrupt", "hang")
QUICK = RetryPolicy(tries=4, wait_s=0.01, timeout_s=1.0)
ONE_TILE = ((700, 900), (650, 1000))
WHOLE = ((0, SHAPE[0]), (0, SHAPE[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bucket with one band as JPEG 2000 of ESA's profile and as cloud-optimised GeoTIFF of blocks of 256."""
    folder = tmp_path_factory.mktemp("objects")
    rng = np.random.default_rng(3)
    coarse = rng.integers(1200, 4000, (38, 35)).repeat(40, 0).repeat(40, 1)[: SHAPE[0], : SHAPE[1]]
    values = (coarse + rng.integers(0, 8, SHAPE)).astype(np.uint16)
    window = SimpleNamespace(bounds=(300000, 5870040, 328000, 5900040), tile=SimpleNamespace(epsg=32633))
    bucket = folder / "objects" / "eodata"
    write_jp2(bucket / "band.jp2", values, window)
    env = rasterio.Env(GDAL_NUM_THREADS=1, GDAL_PAM_ENABLED=False)
    with env, rasterio.open(bucket / "band.jp2") as file, rasterio.MemoryFile() as held:
        memory = {"driver": "MEM", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": "uint16", "nodata": 0}
        with held.open(**memory, crs=file.crs, transform=file.transform) as copy:
            copy.write(values, 1)
            options = {"COMPRESS": "DEFLATE", "PREDICTOR": "2", "BLOCKSIZE": "256", "OVERVIEWS": "NONE"}
            rasterio.shutil.copy(copy, bucket / "band.tif", driver="COG", **options)
    np.save(folder / "values.npy", values)
    (folder / "stac").mkdir()
    (folder / "stac" / "items.json").write_text('{"type": "FeatureCollection", "features": []}')
    (folder / "world.json").write_text(json.dumps({"bucket": "eodata", "collection": "sentinel-2-l2a"}))
    return folder


@pytest.fixture(scope="module")
def values(folder):
    return np.load(folder / "values.npy")


@pytest.fixture(scope="module")
def served(folder):
    with serve(folder) as found:
        yield found


@pytest.fixture
def s3(served, monkeypatch):
    """The served objects, without faults. The minimum size is lowered, so that these small objects are read in part too."""
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pixels, "_SMALL_BYTES", 0)
    monkeypatch.setattr(pixels, "_HEAD_BYTES", 4096)
    monkeypatch.setattr(pixels, "_REQUEST_BYTES", 0)
    served.s3.rules = []
    served.s3.reset_counts()
    yield served.s3
    served.s3.rules = []


def content_of(folder, form):
    return (folder / "objects" / "eodata" / f"band.{form}").read_bytes()


def asset_of(folder, form):
    content = content_of(folder, form)
    return Asset(f"s3://eodata/band.{form}", len(content), multihash(content))


def get(folder, form, window, retry=QUICK, **changes):
    asset = dataclasses.replace(asset_of(folder, form), **changes)
    return get_pixels(asset, f"band.{form}", lambda _: window, retry)


def cut(values, window):
    (row, row_end), (col, col_end) = window
    return values[row:row_end, col:col_end]


def tile_lengths(content):
    """Return the bytes of each tile-part, found by searching for its marker in the whole file."""
    position, lengths = jp2.parse_header(content).first_part, []
    while content[position : position + 2] == b"\xff\x90":
        lengths.append(struct.unpack_from(">I", content, position + 6)[0])
        position += lengths[-1]
    assert content[position:] == b"\xff\xd9"
    return lengths


# --- a file that holds only some tiles


class InMemory:
    """An object in memory in place of one on a server; no byte may be asked for twice."""

    def __init__(self, content):
        self.content, self.size, self.bytes_read, self.seen = content, len(content), 0, np.zeros(len(content), bool)

    def begin(self, count):
        return self.part(0, count)

    def part(self, start, stop):
        assert 0 <= start < min(stop, self.size)
        # The part of a tile that the header request brought is read again with its tile.
        assert not self.seen[max(start, 1 << 14) : stop].sum() > jp2.SOT_SIZE
        self.seen[start:stop] = True
        self.bytes_read += min(stop, self.size) - start
        return self.content[start:stop]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_every_window_has_the_pixels_of_the_whole(folder, values, data, form):
    window = tuple(
        tuple(sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True)))) for size in SHAPE
    )
    remote = InMemory(content_of(folder, form))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "_REQUEST_BYTES", 0)
        found = pixels._read_window(remote, "band", lambda _: window, 1)
    side = 640 if form == "jp2" else 256
    share = 1.0
    for (start, stop), size in zip(window, SHAPE, strict=True):
        share *= (min(-(-stop // side) * side, size) - start // side * side) / size
    if found is None:
        # The whole is cheaper. Tiles differ in bytes, those at the rim most.
        assert share > 0.4
        return
    assert share < 0.6
    assert (found.values == cut(values, window)).all()
    assert (found.part, found.size) == ("window", len(remote.content))
    assert found.bytes_read < 0.65 * remote.size


@pytest.mark.parametrize("tile", range(9))
def test_every_single_tile_is_decoded_exactly_and_takes_little_more_than_its_bytes(folder, values, s3, tile):
    content = content_of(folder, "jp2")
    lengths = tile_lengths(content)
    row, col = tile // 3 * 640, tile % 3 * 640
    window = ((row, min(row + 640, SHAPE[0])), (col, min(col + 640, SHAPE[1])))
    found = get(folder, "jp2", window)
    assert found.part == "window"
    assert (found.values == cut(values, window)).all()
    assert found.bytes_read == s3.counts()["bytes"]
    # The header, and a dozen bytes for each tile before it.
    assert found.bytes_read <= lengths[tile] + 4096 + 12 * 10
    assert s3.counts()["requests"] <= tile + 3


def test_a_missing_tile_is_an_error_and_never_zeros(folder, values):
    content = content_of(folder, "jp2")
    header, lengths = jp2.parse_header(content), tile_lengths(content)
    starts = np.cumsum([header.first_part, *lengths])
    parts = {tile: content[starts[tile] : starts[tile + 1]] for tile in (4, 5)}
    some = jp2.assemble(header, parts)
    assert (decode_object(some, "x", (640, 1280), (640, 1400)) == values[640:1280, 640:1400]).all()
    for rows, cols in (((639, 700), (700, 800)), ((0, 640), (0, 640)), ((700, 800), (600, 700)), WHOLE):
        with pytest.raises(FetchError):
            decode_object(some, "x", rows, cols)
        with pytest.raises(FetchError):
            decode_object(some, "x", rows, cols, threads=2)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("form", FORMS)
def test_several_threads_decode_the_same(folder, values, form, threads):
    content = content_of(folder, form)
    for window in (WHOLE, ONE_TILE, ((639, 641), (0, 1400)), ((1279, 1500), (5, 6))):
        assert (decode_object(content, "x", *window, threads=threads) == cut(values, window)).all()


def test_with_lengths_in_the_header_nothing_is_read_of_the_tiles_between(folder, values):
    """As in products from baseline 05.12 on: the same file with markers TLM, of both ways to number tiles."""
    content = content_of(folder, "jp2")
    header, lengths = jp2.parse_header(content), tile_lengths(content)
    for form, entry in ((0x40, ">I"), (0x50, ">BI"), (0x60, ">HI")):
        table = b"".join(
            struct.pack(entry, *([n] if form == 0x40 else [n_tile, n])) for n_tile, n in enumerate(lengths)
        )
        halves = [table[: 4 * len(table) // 9], table[4 * len(table) // 9 :]]
        segments = b"".join(
            struct.pack(">HHBB", 0xFF55, 4 + len(half), number, form) + half for number, half in enumerate(halves)
        )
        start = content.index(b"\xff\x4f\xff\x51")
        # The box of the codestream is open to the end here, since it has grown.
        listed = content[: start - 8] + b"\0\0\0\0jp2c" + content[start : header.first_part]
        listed += segments + content[header.first_part :]
        assert jp2.parse_header(listed).lengths == tuple(lengths)
        remote = InMemory(listed)
        window = ((1290, 1500), (1290, 1400))
        found = pixels._read_window(remote, "band", lambda _, w=window: w, 1)
        assert (found.values == cut(values, window)).all()
        # Nothing of the tiles between.
        assert remote.bytes_read <= (1 << 14) + lengths[8] + 2 * jp2.SOT_SIZE
    # A table of other tiles than the file has, or in another order, is not trusted.
    assert (
        jp2.parse_header(listed[: listed.index(b"\xff\x55")] + listed[listed.index(b"\xff\x55") + len(segments) // 2 :])
        is None
    )


def test_an_unusual_jpeg_2000_file_is_read_whole(folder):
    content = content_of(folder, "jp2")
    first = jp2.parse_header(content).first_part
    for length in range(first + 2):
        assert jp2.parse_header(content[:length]) is None
    # A marker TLM too short for what it must hold.
    at = content.index(b"\xff\x52")
    for segment in (b"\0\2", b"\0\3\0"):
        assert jp2.parse_header(content[:at] + b"\xff\x55" + segment + content[at:]) is None
    rng = np.random.default_rng(5)
    for _ in range(300):
        harmed = bytearray(content[: first + 100])
        for at in rng.integers(0, len(harmed), 3):
            harmed[at] = rng.integers(0, 256)
        # It may be parsed or refused, but never raises.
        jp2.parse_header(bytes(harmed))
    sot = content[first : first + 12]
    assert jp2.parse_tile_part(sot, 0) == tile_lengths(content)[0]
    for at in range(12):
        for wrong in (0x5A, 0x01, 0xFF):
            harmed = bytearray(sot)
            harmed[at] ^= wrong
            length = jp2.parse_tile_part(bytes(harmed), 0)
            # Only the length may be another; then no tile begins where it ends. Byte 11 may say "unknown" for one part.
            assert length is None or length != jp2.parse_tile_part(sot, 0) or at == 11


def test_a_geotiff_with_its_index_at_the_end_is_read_whole(folder, values, tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(content_of(folder, "tif"))
    env = rasterio.Env(GDAL_NUM_THREADS=1, IGNORE_COG_LAYOUT_BREAK="YES")
    with env, rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.update_tags(note="x" * 5000)
    content = path.read_bytes()
    assert int.from_bytes(content[4:8], "little") > len(content) / 2
    assert pixels._read_window(InMemory(content), "x", lambda _: ONE_TILE, 1) is None
    assert (decode_object(content, "x", *ONE_TILE) == cut(values, ONE_TILE)).all()


@pytest.mark.parametrize("compress", ["ZSTD", "DEFLATE", "LZW", "NONE"])
def test_blocks_are_read_only_if_a_missing_one_cannot_decode_to_zeros(folder, values, tmp_path, compress):
    path = tmp_path / "x.tif"
    with rasterio.Env(GDAL_NUM_THREADS=1):
        rasterio.shutil.copy(
            folder / "objects" / "eodata" / "band.tif", path, driver="COG", COMPRESS=compress, BLOCKSIZE="256", OVERVIEWS="NONE"
        )  # fmt: skip
    content = path.read_bytes()
    found = pixels._read_window(InMemory(content), "x", lambda _: ONE_TILE, 1)
    if compress in ("LZW", "NONE"):
        assert found is None
        return
    assert found.part == "window" and (found.values == cut(values, ONE_TILE)).all()
    some = pixels._read_tiff_blocks(InMemory(content), content[:4096], tiff_blocks(content, "x", *ONE_TILE))
    assert (decode_object(some, "x", *ONE_TILE) == cut(values, ONE_TILE)).all()
    for window in (((700, 900), (500, 520)), ((100, 101), (700, 701)), ((1400, 1500), (700, 710))):
        with pytest.raises(FetchError):
            decode_object(some, "x", *window)


# --- parts of an object on a server


@pytest.mark.parametrize("form", FORMS)
def test_a_small_window_reads_little_and_a_large_one_the_whole_by_two_requests(folder, values, s3, form):
    found = get(folder, form, ONE_TILE)
    assert found.part == "window" and (found.values == cut(values, ONE_TILE)).all()
    assert found.bytes_read == s3.counts()["bytes"] < 0.3 * found.size
    s3.reset_counts()
    found = get(folder, form, WHOLE)
    assert found.part == "whole" and (found.values == values).all()
    assert found.bytes_read == s3.counts()["bytes"] == found.size
    assert s3.counts()["requests"] == 2
    s3.reset_counts()
    found = get(folder, form, None)
    assert found.values is None and s3.counts()["bytes"] == found.bytes_read == 4096


def test_a_small_object_comes_whole_by_one_request(folder, values, s3, monkeypatch):
    monkeypatch.setattr(pixels, "_SMALL_BYTES", len(content_of(folder, "jp2")))
    found = get(folder, "jp2", ONE_TILE)
    assert found.part == "whole" and (found.values == cut(values, ONE_TILE)).all()
    assert s3.counts()["requests"] == 1


def test_a_window_of_two_tiles_reads_at_most_1_2_times_their_bytes(folder, values, s3):
    lengths = tile_lengths(content_of(folder, "jp2"))
    window = ((0, 1280), (0, 640))
    found = get(folder, "jp2", window)
    assert found.part == "window" and (found.values == cut(values, window)).all()
    assert found.bytes_read <= 1.2 * (lengths[0] + lengths[3])


class Changing(http.server.BaseHTTPRequestHandler):
    """A server whose object changes after the first request, and which ignores If-Match and If-Range."""

    protocol_version = "HTTP/1.1"
    versions: ClassVar[list[bytes]] = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        content = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        stop = min(int(last) + 1, len(content)) if last else len(content)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - int(first)))
        self.end_headers()
        self.wfile.write(content[int(first) : stop])


@pytest.mark.parametrize("form", FORMS)
def test_an_object_that_changes_between_two_parts_is_never_mixed(folder, values, s3, form):
    new = content_of(folder, form)
    old = bytearray(new)
    old[3000] ^= 1
    Changing.versions = [bytes(old), new]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Changing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asset = dataclasses.replace(asset_of(folder, form), href=f"http://127.0.0.1:{server.server_port}/x")
        remote = Remote(asset, QUICK)
        assert remote.begin(4096) == bytes(old[:4096])
        with pytest.raises(PartsError):
            remote.part(8000, 9000)
        # Old and new together have the right size, and not the right checksum.
        assert remote.whole() == new
        Changing.versions = [bytes(old), new]
        found = get_pixels(asset, "x", lambda _: ONE_TILE, QUICK)
        assert found.part == "whole" and (found.values == cut(values, ONE_TILE)).all()
    finally:
        server.shutdown()
        server.server_close()


def test_without_ranges_the_whole_object_is_read(folder, values, s3):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder / "objects"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        link = f"http://127.0.0.1:{server.server_port}/eodata/band.jp2"
        found = get(folder, "jp2", ONE_TILE, href=link)
        assert found.part == "whole" and (found.values == cut(values, ONE_TILE)).all()
    finally:
        server.shutdown()
        server.server_close()


# --- faults: JPEG 2000 and GeoTIFF, in part and whole, at the first, a middle and the last read, often, for good

WAYS = {"window": ONE_TILE, "whole": WHOLE}


@functools.lru_cache
def reads(folder, form, way, gate):
    """Return how many requests an undisturbed read takes."""
    gate.rules = []
    gate.reset_counts()
    assert get(folder, form, WAYS[way]).part == way
    return gate.counts()["requests"]


def retry_for(kind):
    return dataclasses.replace(QUICK, timeout_s=0.2) if kind == "hang" else QUICK


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_at_any_read_is_overcome(folder, values, s3, form, way, kind):
    count = reads(folder, form, way, s3)
    for skip in sorted({0, count // 2, count - 1}):
        if kind == "corrupt" and way == "window" and (skip == 0 or form == "jp2"):
            # A part cannot be verified by the checksum of the whole object: see the next test.
            continue
        s3.rules = [Fault(kind, "band", times=1, skip=skip, seconds=0 if kind == "429" else 0.5)]
        s3.reset_counts()
        found = get(folder, form, WAYS[way], retry_for(kind))
        assert s3.counts()["faults"] == {kind: 1}
        assert (found.values == cut(values, WAYS[way])).all()


def test_after_a_corrupt_marker_or_block_the_whole_object_is_read(folder, values, s3):
    # The second read of the JPEG 2000 file is a marker SOT, the third the tile.
    for form, window in (("jp2", ((1300, 1400), (1300, 1400))), ("tif", ONE_TILE)):
        for _ in range(6):
            s3.rules = [Fault("corrupt", "band", times=1, skip=1)]
            found = get(folder, form, window)
            assert found.part == "whole" and (found.values == cut(values, window)).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "corrupt"])
def test_frequent_faults_give_correct_pixels_or_an_error(folder, values, s3, form, way, kind):
    s3.rules = [Fault(kind, "band", probability=0.4, seconds=0 if kind == "429" else 0.3)]
    for _ in range(2):
        try:
            found = get(folder, form, WAYS[way], retry_for(kind))
        except (FetchError, AccessError) as err:
            assert "\n" not in str(err) and "Signature" not in str(err)
        else:
            assert (found.values == cut(values, WAYS[way])).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [*KINDS, "expired"])
def test_a_permanent_fault_is_an_error_wherever_it_begins(folder, values, s3, form, way, kind):
    count = reads(folder, form, way, s3)
    retry = dataclasses.replace(retry_for(kind), tries=3)
    for skip in sorted({0, count - 1}):
        if kind == "corrupt" and way == "window":
            continue
        s3.rules = [Fault(kind, "band", skip=skip, seconds=0 if kind == "429" else 0.3)]
        with pytest.raises(AccessError if kind in ("403", "expired") else FetchError) as caught:
            get(folder, form, WAYS[way], retry)
        assert "\n" not in str(caught.value) and "Signature" not in str(caught.value)


# --- a scene


def scene_of(folder, form, prefix="s3://eodata"):
    content = content_of(folder, form)
    asset = Asset(f"{prefix}/band.{form}", len(content), multihash(content))
    ring = ((11.9, 53.3), (12.5, 53.3), (12.5, 52.9), (11.9, 52.9), (11.9, 53.3))
    return Scene(
        "scene", "33UUU", "2021-06-01T10:10:31Z", "sentinel-2a", "a", "b", (4, 0), 1.0, 0.0, ring, {"B12": asset}
    )


@pytest.mark.parametrize("form", FORMS)
def test_files_from_parts_and_from_the_whole_object_are_equal_and_the_sidecar_says_which(folder, s3, form, tmp_path):
    area = Grid(4456000, 3332000, 4460000, 3336000)
    digests = {}
    for way, prefix in (("window", "s3://eodata"), ("whole", str(folder / "objects" / "eodata"))):
        task = Task(scene_of(folder, form, prefix), ("B12",), tmp_path / way, area, "cubic", "test", QUICK)
        (outcome,) = fetch_scene(task)
        assert not outcome.error and outcome.summary.startswith(way)
        path = next((tmp_path / way).rglob("B12.tif"))
        source = json.loads(path.with_suffix(".json").read_text())["source"]
        assert source["read"] == way and source["size"] == len(content_of(folder, form))
        assert (source["read_bytes"] < 0.5 * source["size"]) == (way == "window")
        assert missing_bands(task) == ()
        assert outcome.valid_cells > 10_000
        digests[way] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digests["window"] == digests["whole"]


def test_verbose_mode_says_what_was_read_and_the_bytes(folder, s3, tmp_path, monkeypatch):
    from imperviouslib.stage import fetch

    said = []
    monkeypatch.setattr(fetch.grass, "verbose", said.append)
    for name in ("message", "percent"):
        monkeypatch.setattr(fetch.grass, name, lambda *_: None)
    area = Grid(4456000, 3332000, 4460000, 3336000)
    task = Task(scene_of(folder, "jp2"), ("B12",), tmp_path, area, "cubic", "test", QUICK)
    assert fetch._fetch_by([task], Alone(), 1) == {}
    read_mb = s3.counts()["bytes"] / 1e6
    assert f"Scene scene, B12: window, {read_mb:.1f} of 1.1 MB." in said
