"""Every bad input, tool by tool: one line that names the thing, what was found, what was expected and the next step.

Each row of TABLE makes one input of an otherwise good run invalid, and lists what each part of the message must contain. `check_refusal`
checks all of them: exit status 1, one ERROR, the parts, no traceback, nothing new on disk. The good runs come first, in the fixture
`place`, so a row fails for the reason that it names.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from imperviouslib.core.grid import Grid
from testsuite import TOP, mounts
from testsuite.refusal import joined, parse_refusal
from testsuite.unet_ground import make_classes, write_ard
from testsuite.world.faults import Fault
from testsuite.world.make import make_world
from testsuite.world.serve import Served, serve
from testsuite.world.spec import Spec

SPEC = Spec(seed=5, years=(2017, 2018), size_km=2.0, dates=2)
AREA = Grid(*SPEC.bounds)
YEARS = "2017-2018"
FETCH, YEARLY, ARD, TRAIN, PREDICT, CHANGE = (
    "r.s2.fetch", "r.s2.yearly", "r.s2.ard", "r.unet.train", "r.unet.predict", "r.impervious.change",
)  # fmt: skip
GOOD = {
    FETCH: {
        "stac": "STAC", "output": "new", "years": YEARS, "clouds": 100, "tries": 1, "timeout": 20, "flags": "-n", "nprocs": 2,
    },
    YEARLY: {"input": "scenes", "output": "new"},
    ARD: {"input": "s2", "labels": "s2glc", "output": "new.h5"},
    TRAIN: {"input": "ground.h5", "output": "new", "patch": 16, "depth": 1, "filters": 2, "epochs": 1, "batch": 4},
    PREDICT: {"input": "ground.h5", "model": "model", "output": "new"},
    CHANGE: {"input": "lc", "zones": "nuts", "output": "new", "prefix": "new", "vintage": "2026-01-01"},
}  # fmt: skip
"""Options of a run that succeeds; STAC stands for the address of the served catalogue."""


@dataclass
class Place:
    """A mapset with a session, a folder of inputs in which the tools run, and a served world."""

    work: Path
    mapset: Path
    env: dict
    degrees: dict
    """Environment of a session in a location of EPSG:4326."""
    served: Served

    def command(self, tool, options):
        """Return the words of a call; an option None is left out."""
        values = {k: v for k, v in options.items() if v is not None and k != "flags"}
        values = {k: self.served.stac_url if v == "STAC" else v for k, v in values.items()}
        return [tool, *str(options.get("flags") or "").split(), *(f"{k}={v}" for k, v in values.items())]

    def run(self, tool, options=None, *, env=None, timeout=170, **changes):
        """Run a tool with its good options but for the changes."""
        words = self.command(tool, {**GOOD.get(tool, {}), **(options or {}), **changes})
        return subprocess.run(
            words, env=self.environment(env), cwd=self.work, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=timeout,
        )  # fmt: skip

    def start(self, tool, *, stderr=subprocess.PIPE, **changes):
        """Start a tool in the background; its messages may go to a file."""
        words = self.command(tool, {**GOOD[tool], **changes})
        return subprocess.Popen(
            words,
            env=self.environment(),
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        )

    def environment(self, changes=None):
        """Return the session's environment with changes; None removes a variable."""
        return {k: v for k, v in {**self.env, **(changes or {})}.items() if v is not None}

    def grass(self, *words, **env):
        """Run a command of GRASS that must succeed; return what it prints."""
        done = subprocess.run(
            [*map(str, words)], env={**self.env, **env}, cwd=self.work, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self):
        """Return the files of the mapset and of the work folder: what a refused run must not add to."""
        roots = (self.mapset, self.work)
        return {path for root in roots for path in root.rglob("*") if not path.is_dir()}


@dataclass(frozen=True)
class Row:
    """One bad input."""

    tool: str
    spoilt: str
    """What is bad, in a few words."""
    options: dict
    """Options that differ from the good ones."""
    thing: str
    """Words that each part of the line must contain."""
    found: str
    expected: str | None
    """None where the message is a statement, which says both at once."""
    then: str
    env: dict = field(default_factory=dict)
    region: tuple = ()
    """Changes to the region: edges and resolution."""
    degrees: bool = False
    """Run in a location of EPSG:4326."""
    stac: tuple = ()
    s3: tuple = ()
    """Faults of the catalogue and of the archive."""


def region(changes=()):
    """Return a region as the environment variable by which GRASS takes it; the cells are the world's but for the changes."""
    at = dict(zip("wsen", AREA.bounds, strict=True)) | {"res": 20} | dict(changes)
    rows, cols = (at["n"] - at["s"]) // at["res"], (at["e"] - at["w"]) // at["res"]
    return (
        f"proj: 99; zone: 0; north: {at['n']}; south: {at['s']}; east: {at['e']}; west: {at['w']}; cols: {cols}; rows: {rows}; "
        f"e-w resol: {at['res']}; n-s resol: {at['res']};"
    )


@contextlib.contextmanager
def session(mapset, tools):
    """Open a session in a mapset for subprocesses; yields their environment, this process's stays as it is."""
    import grass.script.setup

    before = os.environ.copy()
    if not mapset.exists():
        subprocess.run(["grass", "-c", mapset, "-e"], check=True, capture_output=True)

    def restore(env):
        os.environ.clear()
        os.environ.update(env)

    try:
        with grass.script.setup.init(mapset):
            inside = os.environ.copy()
            env = {k: v for k, v in inside.items() if not k.startswith("AWS_")}
            env["PATH"] = os.pathsep.join([str(tools), str(Path(sys.executable).parent), env["PATH"]])
            restore(before)
            yield env
            restore(inside)
    finally:
        restore(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory, location, source_tools):
    """The place, after one good run of each tool."""
    work = tmp_path_factory.mktemp("bad")
    world = make_world(tmp_path_factory.mktemp("world") / "world", SPEC)
    degrees = location.with_name("degrees")
    subprocess.run(["grass", "-c", "EPSG:4326", "-e", degrees], check=True, capture_output=True)
    with contextlib.ExitStack() as stack:
        env = stack.enter_context(session(location / "bad", source_tools))
        other = stack.enter_context(session(degrees / "bad", source_tools))
        served = stack.enter_context(serve(world))
        home = tmp_path_factory.mktemp("home")
        env |= {**served.environment(), "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "2"}
        result = Place(work, location / "bad", env, {**env, "GISRC": other["GISRC"]}, served)
        good_runs(result, world)
        spoil(result, world)
        yield result


def good_runs(place, world):
    """Run the chain; what it makes is what the rows begin with."""
    west, south, east, north = AREA.bounds
    place.grass("g.region", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20")
    place.grass("r.in.gdal", f"input={world}/labels/s2glc_2017.tif", "output=s2glc")
    place.grass("v.in.ogr", f"input={world}/regions/nuts.gpkg", "output=nuts")
    write_ard(place.work / "ground.h5", AREA, years=(2017, 2018))
    for tool, changes in (
        (FETCH, {"output": "scenes"}),
        (YEARLY, {"output": "s2"}),
        (ARD, {"output": "place.h5"}),
        (TRAIN, {"output": "model"}),
        (PREDICT, {"output": "lc"}),
        (CHANGE, {"output": "table", "prefix": "ch"}),
    ):
        done = place.run(tool, **changes)
        assert done.returncode == 0, f"{tool}: {done.stdout}\n{done.stderr}"


def spoil(place, world):
    """Make the bad inputs, each from a good one."""
    work = place.work
    spoil_catalogue(work, world)
    spoil_archive(work)
    spoil_maps(place)
    spoil_ard(work)
    spoil_models(work)
    spoil_zones(place)
    (work / "twice.txt").write_text("62 artificial\n73 green\n62 natural\n")
    (work / "class7.txt").write_text("62 7\n")
    (work / "words.txt").write_text("sealed artificial\n")
    (work / "nothing.txt").write_text("# no code yet\n")
    (work / "few.txt").write_text("62 artificial\n73 green\n")
    (work / "blank.txt").write_text("".join(f"{code} nodata\n" for code in range(256)))
    (work / "latin.txt").write_bytes("62 artificial Städte\n".encode("latin-1"))
    (work / "a_file").write_text("")


def spoil_catalogue(work, world):
    """Item collections: cut, of another kind, and with objects that are no rasters."""
    items = json.loads((world / "stac" / "items.json").read_text())["features"]
    items = [item for item in items if item["properties"]["datetime"][:4] == "2018"]
    one = next(item for item in items if item["properties"]["grid:code"] == "MGRS-32UPD")
    text = json.dumps({"type": "FeatureCollection", "features": items})
    (work / "cut.json").write_text(text[: len(text) // 2])
    (work / "list.json").write_text("[1, 2]")
    (work / "empty.json").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    (work / "other.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [{"id": "x", "type": "Feature"}]})
    )

    def collection(name, harm, **described):
        """One scene of local files; each object's bytes go through `harm`."""
        assets = {}
        for key, asset in one["assets"].items():
            if not asset["href"].startswith("s3://eodata/") or not asset["href"].endswith("_20m.jp2"):
                continue
            content = harm((world / "objects" / asset["href"].removeprefix("s3://")).read_bytes())
            file = work / "objects" / name / Path(asset["href"]).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            kept = {k: v for k, v in asset.items() if k not in ("file:size", "file:checksum", "alternate")}
            assets[key] = kept | {"href": str(file)} | described
        content = {"type": "FeatureCollection", "features": [{**one, "assets": assets}]}
        (work / f"{name}.json").write_text(json.dumps(content))

    def corrupt(content):
        # The head of the first tile; harm within its data would only change pixels, which nothing but a checksum can tell.
        start = content.index(b"\xff\x90")
        return content[:start] + bytes(60) + content[start + 60 :]

    collection("whole", lambda content: content)
    collection("noraster", lambda content: b"<html>Please log in</html>\n" * 40)
    collection("nothing", lambda content: b"")
    collection("truncated", lambda content: content[: len(content) // 2])
    collection("corrupt", corrupt)
    collection("size", lambda content: content, **{"file:size": 77})
    collection("checksum", lambda content: content, **{"file:checksum": "1620" + "ab" * 32})
    lost = json.loads((work / "whole.json").read_text())
    for asset in lost["features"][0]["assets"].values():
        asset["href"] = str(work / "objects" / "lost.jp2")
    (work / "lost.json").write_text(json.dumps(lost))


def spoil_archive(work):
    """Archives: empty, one with a file whose cells cannot be decoded, one with a file of other cells."""
    (work / "hollow").mkdir()
    for name in ("rotten", "shifted"):
        shutil.copytree(work / "scenes", work / name)
    for band in sorted((work / "rotten").glob("*/2018/*/B11.tif")):
        content = band.read_bytes()
        # The head stays, so the file opens; its size stays too.
        band.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    import rasterio

    for band in sorted((work / "shifted").glob("*/2018/*/B11.tif")):
        with rasterio.open(band, "r+") as dataset:
            dataset.transform = dataset.transform @ rasterio.Affine.translation(0.5, 0.5)
        sidecar = json.loads(band.with_suffix(".json").read_text())
        sidecar["output"]["size"] = band.stat().st_size
        band.with_suffix(".json").write_text(json.dumps(sidecar))


def spoil_maps(place):
    """Rasters that are not what a tool needs."""
    for expression in (
        "odd = if(row() == 3 && col() == 4, 63, s2glc)", "half = 0.5", "five = 5", "much = 101.5", "never = null()",
        "c8_2017_class = 3", "c8_2018_class = if(col() > 50, 8, 3)", "oneyear_2017_B12_p50 = 900", "oneyear_2017_count = 3",
    ):  # fmt: skip
        place.grass("r.mapcalc", f"expression={expression}", "--q")
    far = {"w": AREA.west + 90000, "e": AREA.east + 90000}
    place.grass("r.mapcalc", "expression=far = 62", "--q", GRASS_REGION=region(far.items()))
    off = region({"w": AREA.west + 10, "e": AREA.east + 10}.items())
    for name in ("off_2017_class", "off_2018_class", "offs2_2017_B12_p50", "offs2_2017_count"):
        place.grass("r.mapcalc", f"expression={name} = 1", "--q", GRASS_REGION=off)


def spoil_ard(work):
    """HDF5 files: cut, of another origin, contract or grid, unfinished, damaged, with too few classes or none."""
    whole = work / "ground.h5"
    content = whole.read_bytes()
    (work / "cut.h5").write_bytes(content[: len(content) // 2])
    (work / "text.h5").write_text("no HDF5 at all\n")
    with h5py.File(work / "foreign.h5", "w") as handle:
        handle["x"] = np.arange(3)

    def variant(name, change):
        shutil.copy(whole, work / name)
        with h5py.File(work / name, "r+") as handle:
            change(handle)

    def remove(name):
        def change(handle):
            del handle[name]

        return change

    variant("newer.h5", lambda handle: handle.attrs.__setitem__("contract", 2))
    variant("unfinished.h5", lambda handle: handle.attrs.__setitem__("complete", 0))
    variant("nogrid.h5", lambda handle: handle.attrs.__delitem__("grid"))
    variant("lacking.h5", remove("B11_p50"))
    variant("nolabel.h5", lambda handle: [handle.__delitem__("label"), handle.attrs.__delitem__("label_year")])
    with h5py.File(whole) as handle:
        at = handle["B04_p50"].id.get_chunk_info(1).byte_offset
    (work / "damaged.h5").write_bytes(content[: at + 40] + bytes(20) + content[at + 60 :])
    far = Grid(AREA.west + 90000, AREA.south, AREA.east + 90000, AREA.north)
    write_ard(work / "far.h5", far)
    write_ard(work / "green.h5", AREA, classes=np.full(AREA.shape, 3, np.uint8))
    write_ard(work / "unlabelled.h5", AREA, classes=np.zeros(AREA.shape, np.uint8))
    small = np.where(np.indices(AREA.shape).max(axis=0) < 24, make_classes(AREA.shape), 0).astype(np.uint8)
    write_ard(work / "small.h5", AREA, classes=small)
    write_ard(work / "late.h5", AREA, years=(2018, 2019), label_year=2017)


def spoil_models(work):
    """Model folders: half copied, of another contract, for other data."""
    card = json.loads((work / "model" / "card.json").read_text())

    def variant(name, net=True, **changes):
        shutil.copytree(work / "model", work / name)
        content = {key: value for key, value in {**card, **changes}.items() if value is not None}
        (work / name / "card.json").write_text(json.dumps(content))
        if not net:
            (work / name / "unet.keras").unlink()

    variant("m_contract", contract=3)
    variant("m_features", features=["B12_p50", "B08_p50", "B04_p50"])
    variant("m_order", features=["B04_p50", "B11_p50", "B12_p50"])
    variant("m_classes", classes={"sealed": 1, "open": 2})
    variant("m_cells", res_m=10)
    variant("m_halo", halo=1)
    variant("m_fields", depth=None)
    variant("m_nonet", net=False)
    variant("m_half")
    net = (work / "m_half" / "unet.keras").read_bytes()
    (work / "m_half" / "unet.keras").write_bytes(net[: len(net) // 2])
    variant("m_text")
    (work / "m_text" / "card.json").write_text('{"contract": 1, "feat')
    (work / "m_empty").mkdir()


def spoil_zones(place):
    """Region maps: without codes, with doubled ones, without areas, in degrees, elsewhere, overlapping."""
    west, south, east, north = AREA.bounds
    middle = (west + east) // 2

    def square(w, s, e, n):
        return [[[w, s], [e, s], [e, n], [w, n], [w, s]]]

    left, right = square(west, south, middle, north), square(middle, south, east, north)
    for name, features in {
        "doubled": [("XX1", left), ("XX1", right)],
        "nameless": [("XX1", left), (None, right)],
        "overlapping": [("XX1", left), ("XX2", square(west, south, east, north))],
        "outside": [("XX1", square(west + 90000, south, east + 90000, north))],
        "lonlat": [("XX1", square(12, 52, 13, 53))],
        "formula": [("=1+1", left)],
    }.items():
        file = place.work / f"{name}.geojson"
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
        content = [
            {
                "type": "Feature",
                "properties": {"NUTS_ID": geo, "LEVL_CODE": 3},
                "geometry": {"type": "Polygon", "coordinates": shape},
            }
            for geo, shape in features
        ]
        file.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": content}))
        place.grass("v.in.ogr", f"input={file}", f"output={name}", "-o", "--q")
        file.unlink()
    points = place.work / "points.txt"
    points.write_text(f"{west + 10}|{south + 10}|1\n")
    place.grass("v.in.ascii", f"input={points}", "output=points", "--q")
    points.unlink()


pytestmark = pytest.mark.slow

REGION = "g.region"
NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
SEARCH = "^/search"
KEYS = "Set AWS_ACCESS_KEY_ID"
FINE = {"res": 10}.items()
OFF = {"w": AREA.west + 10, "e": AREA.east + 10}.items()
AWAY = {"w": AREA.west + 90000, "e": AREA.east + 90000}.items()

TABLE = [
    # The region and the location, in every tool that works on cells.
    *(
        Row(tool, f"region {what}", {}, "Current region", found, "20", REGION, region=changes)
        for tool in GOOD
        for what, changes, found in (("of finer cells", FINE, "10 x 10 m"), ("off the grid", OFF, "edges"))
    ),
    *(Row(tool, "location of degrees", {}, "Location <degrees>", "EPSG:4326", "EPSG:3035", "Create", degrees=True) for tool in GOOD),
    # What is searched.
    Row(FETCH, "years out of order", {"years": "2018,2017"}, "Option <years>", "2018,2017", "ascending", "Sort"),
    Row(FETCH, "years doubled", {"years": "2017,2017"}, "Option <years>", "2017,2017", "ascending", "Sort"),
    Row(FETCH, "years no numbers", {"years": "lately"}, "Option <years>", "lately", "2017", "Correct"),
    Row(FETCH, "window no dates", {"window": "13-01/14-01"}, "Option <window>", "13-01/14-01", "mm-dd", "Write"),
    Row(FETCH, "band unknown", {"bands": "B12,B99"}, "Option <bands>", "B99", "B11", "Correct"),
    Row(FETCH, "band doubled", {"bands": "B12,B12"}, "Option <bands>", "B12,B12", "once", "Correct"),
    Row(FETCH, "nothing so clear", {"clouds": 0}, "Search in", "none of which passes", "0 % cloud", "Widen"),
    Row(FETCH, "collection unknown", {"collection": "zz"}, "Search in", "0 items of collection 'zz'", "scenes of 2017", "Widen"),
    Row(FETCH, "nothing in winter", {"window": "01-01/01-05"}, "Search in", "0 items", "01-01/01-05", "Widen"),
    Row(FETCH, "tile in no form", {"tiles": "33UUU,31U"}, "Option <tiles>", "'31U'", "MGRS tiles", "Correct"),
    Row(FETCH, "tile elsewhere", {"tiles": "31TDH"}, "Search in", "none", "31TDH", "<tiles>"),
    Row(FETCH, "region elsewhere", {}, "Search in", "0 items", "over the", REGION, region=AWAY),
    # The catalogue.
    Row(FETCH, "catalogue missing", {"stac": "none.json"}, "Option <stac>", "no file 'none.json'", "cdse", "Check"),
    Row(FETCH, "catalogue cut", {"stac": "cut.json"}, "File 'cut.json'", "not complete JSON", "item collection", "Write"),
    Row(FETCH, "catalogue of numbers", {"stac": "list.json"}, "File 'list.json'", "a value that is not an item", "STAC item", "Write"),
    Row(FETCH, "catalogue a folder", {"stac": "scenes"}, "Option <stac>", "scenes", "file", "Check"),
    Row(FETCH, "catalogue empty", {"stac": "empty.json"}, "'empty.json'", "no item", "item collection", "Write"),
    Row(FETCH, "items of another kind", {"stac": "other.json"}, "Search in 'other.json'", "1 item", "scenes of", "Widen"),
    Row(FETCH, "page cut in the middle", {}, "Catalogue 'http", "an answer that was cut off", "all items", "Check", stac=(Fault("cut", SEARCH),)),
    Row(FETCH, "page of nonsense", {}, "Catalogue 'http", "not complete JSON", "all items", "Check", stac=(Fault("short", SEARCH),)),
    Row(FETCH, "catalogue closed", {}, "Catalogue 'http", "403", "all items", "Check", stac=(Fault("403", "."),)),
    Row(FETCH, "no such catalogue", {}, "Catalogue 'http", "404", "all items", "Check", stac=(Fault("404", "."),)),
    # Keys.
    Row(FETCH, "no keys", {}, "Bucket 'eodata'", "no keys", "AWS_SECRET_ACCESS_KEY", KEYS, env=NO_KEYS),
    Row(FETCH, "wrong secret", {}, "Object 's3://eodata", "403 (SignatureDoesNotMatch)", "keys", KEYS, env={"AWS_SECRET_ACCESS_KEY": "wrong"}),
    Row(FETCH, "unknown key", {}, "Object 's3://eodata", "HTTP status 40", "keys", KEYS, env={"AWS_ACCESS_KEY_ID": "nobody"}),
    Row(FETCH, "expired keys", {}, "Object 's3://eodata", "403 (ExpiredToken)", "keys", KEYS, s3=(Fault("expired"),)),
    Row(FETCH, "access denied", {}, "Object 's3://eodata", "403 (AccessDenied)", "keys", KEYS, s3=(Fault("403"),)),
    # Objects.
    Row(FETCH, "objects gone", {}, "files could not be fetched", "404 (NoSuchKey) after 1 try", None, "Run the same command", s3=(Fault("404"),)),
    Row(FETCH, "objects cut", {}, "files could not be fetched", "Object 's3://eodata", None, "Run the same command", s3=(Fault("cut", "jp2"),)),
    Row(FETCH, "objects short", {}, "files could not be fetched", "Object 's3://eodata", None, "Run the same command", s3=(Fault("short", "jp2"),)),
    Row(FETCH, "objects corrupt", {}, "files could not be fetched", "checksum", None, "Run the same command", s3=(Fault("corrupt", "jp2"),)),
    *(
        Row(FETCH, f"local objects {name}", {"stac": f"{name}.json", "years": 2018}, "files could not be fetched", found, None, "Run the same command")
        for name, found in (
            ("noraster", "no raster"), ("nothing", "0 bytes"), ("truncated", "cannot be decoded"), ("corrupt", "no raster"),
            ("size", "bytes"), ("checksum", "checksum"), ("lost", "No such file"),
        )
    ),
    # The archive.
    Row(FETCH, "archive a file", {"output": "a_file"}, "a_file", "a file", "folder", "Choose"),
    Row(FETCH, "archive below a file", {"output": "a_file/scenes"}, "a_file", "a file", "folder", "Choose"),
    Row(YEARLY, "archive missing", {"input": "none"}, "Archive", "no complete scene", None, "Check option <input>"),
    Row(YEARLY, "archive empty", {"input": "hollow"}, "Archive", "no complete scene", None, "Check option <input>"),
    Row(YEARLY, "archive elsewhere", {}, "Archive", "none of them in the region", None, "Check the region", region=AWAY),
    Row(YEARLY, "cells undecodable", {"input": "rotten", "years": 2018}, "B11.tif'", "cells that cannot be decoded", None, "Remove"),
    Row(YEARLY, "file off the grid", {"input": "shifted", "years": 2018}, "B11.tif'", "from", "multiples of 20 m", "Warp"),
    Row(YEARLY, "year not fetched", {"years": "2017-2019"}, "Archive", "no complete scene over the region in 2019", None, "Fetch 2019"),
    Row(YEARLY, "years out of order", {"years": "2018,2017"}, "Option <years>", "2018,2017", "ascending", "Sort"),
    Row(YEARLY, "years doubled", {"years": "2018,2018"}, "Option <years>", "2018,2018", "ascending", "Sort"),
    Row(YEARLY, "band not fetched", {"bands": "B08"}, "Archive", "no scene with all of B08, SCL", None, "Fetch"),
    Row(YEARLY, "classes as a band", {"bands": "SCL"}, "Option <bands>", "SCL", "B12,B11,B04", "Correct"),
    Row(YEARLY, "tile in no form", {"tiles": "COMMON"}, "Option <tiles>", "COMMON", "MGRS tiles", "Correct"),
    Row(YEARLY, "tile unknown", {"tiles": "31TDH"}, "Option <tiles>", "31TDH", "32UPD", "Correct"),
    Row(YEARLY, "period unknown", {"period": "decade"}, "Option <period>", "decade", "season", "Correct"),
    Row(YEARLY, "period without a scene", {"period": "snow:12-01/02-28"}, "Option <period>", "2017-snow, 2018-snow", None, "Choose"),
    Row(YEARLY, "vector map that cannot be", {"tilemap": "9"}, "Option <tilemap>", "9", "letters, digits", "Choose"),
    Row(YEARLY, "quality of one scene", {"method": "largest", "flags": "-q"}, "Flag -q", "largest", None, "Leave out -q"),
    Row(YEARLY, "maps of another make", {"output": "s2", "dilate": 4}, "Map <s2_2017", "already exists", None, "--overwrite"),
    Row(YEARLY, "report below a file", {"report": "a_file/r.json"}, "a_file", "a file", "folder", "Choose"),
    Row(YEARLY, "report that is a folder", {"report": ".", "flags": "--overwrite"}, "Option <report>", "a folder", "a file", "Choose"),
    Row(YEARLY, "prefix too long for a map", {"output": "x" * 240}, "Option <output>", "240 characters", "150", "shorter"),
    Row(YEARLY, "name that no map can have", {"output": "9 lives"}, "Option <output>", "9 lives", "letters, digits, _", "Choose"),
    Row(YEARLY, "statistics of whole observations", {"method": "medoid", "statistics": "min"}, "Option <statistics>", "method=medoid", None, "Leave out statistics="),
    Row(YEARLY, "percentile that is the median", {"statistics": "min,p50"}, "Option <statistics>", "p50", "min, max or percentiles", "Correct"),
    Row(YEARLY, "index without its band", {"bands": "NDVI"}, "Archive", "B8A", None, "r.s2.fetch"),
    # Composites and labels.
    Row(ARD, "no such prefix", {"input": "none"}, "Option <input>", "no map <none_*_count>", None, "Check"),
    Row(ARD, "year without composite", {"years": "2017-2019"}, "Option <input>: prefix s2", "no composite of 2019", None, "Run r.s2.yearly"),
    Row(ARD, "years out of order", {"years": "2018,2017"}, "Option <years>", "2018,2017", "ascending", "Sort"),
    Row(ARD, "feature missing", {"features": "B12_p50,B08_p50"}, "Option <input>", "s2_2017_B08_p50", None, "Run r.s2.yearly"),
    Row(ARD, "composites off the grid", {"input": "offs2", "labels": None}, "Map <offs2", "cells of 20 x 20", "20 m", "Resample"),
    Row(ARD, "labels missing", {"labels": "none"}, "Option <labels>", "no raster map <none>", None, "g.list"),
    Row(ARD, "labels of fractions", {"labels": "half"}, "Map <half", "DCELL", "integer", "Make whole numbers"),
    Row(ARD, "label code unknown", {"labels": "odd"}, "Map <odd", "code 63", "'s2glc'", "Choose another legend"),
    Row(ARD, "labels elsewhere", {"labels": "far"}, "Map <far", "no cell within the region", None, "Check the region"),
    Row(ARD, "labels all no data", {"legend": "blank.txt"}, "Map <s2glc", "only no data within the region", None, "Check"),
    Row(ARD, "legend missing", {"legend": "none.txt"}, "Option <legend>", "none.txt", "clcplus", "Check"),
    Row(ARD, "legend with a code twice", {"legend": "twice.txt"}, "'twice.txt', line 3", "code 62 a second", "once", "Remove"),
    Row(ARD, "legend of class 7", {"legend": "class7.txt"}, "Legend 'class7.txt'", "class 7", "1, 2, 3 or 4", "Correct"),
    Row(ARD, "legend of words", {"legend": "words.txt"}, "'words.txt', line 1", "sealed", "code class", "Correct"),
    Row(ARD, "legend empty", {"legend": "nothing.txt"}, "Legend 'nothing.txt'", "has no line with a code", None, "Write"),
    Row(ARD, "legend short of codes", {"legend": "few.txt"}, "Map <s2glc", "code", "'few.txt'", "Choose"),
    Row(ARD, "legend in another encoding", {"legend": "latin.txt"}, "latin.txt", "UTF-8", None, "Write"),
    Row(ARD, "output below a file", {"output": "a_file/x.h5"}, "a_file", "a file", "folder", "Choose"),
    Row(ARD, "output that is a folder", {"output": ".", "flags": "--overwrite"}, "Option <output>", "a folder", "a file", "Choose"),
    Row(ARD, "rules that are a folder", {"rules": ".", "flags": "--overwrite"}, "Option <rules>", "a folder", "a file", "Choose"),
    # The HDF5 file, in each tool that reads it.
    *(
        Row(tool, f"HDF5 {what}", {**options, "input": f"{name}.h5"}, f"'{name}.h5'", found, expected, then)
        for tool, options in ((ARD, {"flags": "-c", "output": None, "labels": None}), (TRAIN, {}), (PREDICT, {}))
        for what, name, found, expected, then in (
            ("missing", "none", "There is no file", None, "Check the name, or write the file with r.s2.ard"),
            ("cut in half", "cut", "not a complete HDF5 file", None, "Write it again with r.s2.ard"),
            ("a text", "text", "not a complete HDF5 file", None, "Write it again with r.s2.ard"),
            ("of another origin", "foreign", "was not written by r.s2.ard", None, "Write it again"),
            ("of a newer contract", "newer", "contract 2", "contract 1", "Use the version"),
            ("unfinished", "unfinished", "not complete, because the run that wrote it was stopped", None, "Write it again"),
            ("without its grid", "nogrid", "has damaged metadata", None, "Write it again"),
        )
    ),
    *(
        Row(tool, f"HDF5 {what}", {"input": f"{name}.h5"}, "current region" if name == "far" else "'lacking.h5'", found, expected, then)
        for tool in (TRAIN, PREDICT)
        for what, name, found, expected, then in (
            ("elsewhere", "far", "no cell of 'far.h5'", None, "g.region"), ("lacking a feature", "lacking", "has no variable B11_p50", None, "Write it again"),
        )
    ),
    Row(TRAIN, "HDF5 damaged", {"input": "damaged.h5", "years": 2018}, "damaged.h5", "has a damaged part in variable", None, "Check"),
    Row(PREDICT, "HDF5 damaged", {"input": "damaged.h5", "years": 2018}, "damaged.h5", "has a damaged part in variable", None, "Check"),
    Row(TRAIN, "years missing", {"years": "2017-2019"}, "File 'ground.h5'", "2019", None, "Choose years= among 2017, 2018"),
    Row(PREDICT, "years missing", {"years": "2019"}, "Option <years>", "2019", "2017, 2018", "Choose"),
    Row(TRAIN, "label year missing", {"input": "late.h5"}, "'late.h5'", "no features of 2017", None, "Choose years= among 2018, 2019"),
    Row(PREDICT, "years out of order", {"years": "2018,2017"}, "Option <years>", "2018,2017", "ascending", "Sort"),
    # What is trained on.
    Row(TRAIN, "no labels", {"input": "nolabel.h5"}, "File 'nolabel.h5'", "no labels", None, "Write it again"),
    Row(TRAIN, "labels all no data", {"input": "unlabelled.h5"}, "unlabelled.h5", "no cell with a label", "two classes", "Use another region"),
    Row(TRAIN, "one class only", {"input": "green.h5"}, "green.h5", "only class 3", "two classes", "Use another region"),
    Row(TRAIN, "too little ground", {"input": "small.h5"}, "Ground with labels", "blocks of 16", "at least", "Use a larger region"),
    Row(TRAIN, "patch no multiple", {"patch": 17}, "Option <patch>", "17", "multiple of 2^depth", "Use 16"),
    Row(TRAIN, "output below a file", {"output": "a_file/model"}, "a_file", "a file", "folder", "Choose"),
    # The model folder.
    *(
        Row(PREDICT, f"model {what}", {"model": name}, name, found, expected, then)
        for what, name, found, expected, then in (
            ("missing", "none", "There is no model folder", None, "Check"),
            ("a file", "ground.h5", "There is no model folder", None, "Check"),
            ("folder empty", "m_empty", "has no card.json", None, "Copy the whole folder"),
            ("without net", "m_nonet", "has no unet.keras", None, "Copy the whole folder"),
            ("net cut in half", "m_half", "checksum of unet.keras differs from the one in card.json", None, "Copy the whole folder"),
            ("card cut in half", "m_text", "not JSON", "card", "Train"),
            ("card lacking a field", "m_fields", "damaged card", "all fields", "Train"),
            ("of a newer contract", "m_contract", "contract 3", "contract 2", "Use the version"),
            ("of other features", "m_features", "B08_p50", "B11_p50", "Choose"),
            ("of another order", "m_order", "B04_p50,B11_p50,B12_p50", "B12_p50,B11_p50,B04_p50", "Choose"),
            ("of other classes", "m_classes", "1 sealed", "1 artificial", "Choose"),
            ("of other cells", "m_cells", "10 m", "20 m", "Choose"),
            ("of another halo", "m_halo", "halo 1", "8 and 2", "Train"),
        )
    ),
    # Maps and regions of the change.
    Row(CHANGE, "no such prefix", {"input": "none"}, "Option <input>", "no map <none_YEAR_class>", None, "Check"),
    Row(CHANGE, "year without map", {"years": "2017-2019"}, "Option <years>", "lc_2019_class", None, "Check"),
    Row(CHANGE, "years out of order", {"years": "2018,2017"}, "Option <years>", "2018,2017", "ascending", "Sort"),
    Row(CHANGE, "years doubled", {"years": "2017,2017"}, "Option <years>", "2017,2017", "ascending", "Sort"),
    Row(CHANGE, "class unknown", {"input": "c8"}, "Map <c8_2018_class", "code 8", "classes 1 to 4", "Name a legend"),
    Row(CHANGE, "maps off the grid", {"input": "off"}, "Map <off_2017_class", "20 x 20", "multiples of 20 m", "Resample"),
    Row(CHANGE, "maps of fractions", {"input": None, "classes": "half,half", "years": YEARS}, "Map <half", "DCELL", "integer", "shares="),
    Row(CHANGE, "maps without a cell", {"input": None, "classes": "never,far", "years": YEARS}, "Current region", "no map has a cell", None, "Set"),
    Row(CHANGE, "maps fewer than years", {"input": None, "classes": "five", "years": YEARS}, "Option <years>", "2 years for 1", "one year per map", "List"),
    Row(CHANGE, "shares beyond a hundred", {"input": None, "shares": "half,much", "years": YEARS}, "Option <shares>", "101.5 to 101.5", "from 0 to 100", "Rescale"),
    Row(CHANGE, "method unknown", {"method": "guess"}, "Option <method>", "'guess'", "mapped_raw, mapped_consistent", "Choose"),
    Row(
        CHANGE, "method without its maps", {"input": None, "shares": "half,half", "years": YEARS, "method": "mapped_consistent"},
        "Option <method>", "mapped_consistent cannot be computed", None, "Choose from: mapped_raw.",
    ),
    Row(
        CHANGE, "two definitions of shares",
        {"input": None, "shares": "half,half", "years": YEARS, "definition": "artificial,artificial_natural"},
        "Option <definition>", "2 definitions cannot be used with <shares>", None, "Choose",
    ),
    Row(CHANGE, "vintage no date", {"vintage": "2026-02-30"}, "Option <vintage>", "2026-02-30", "YYYY-MM-DD", "Correct"),
    Row(CHANGE, "inhabitants not there", {"population": "none.csv"}, "Option <population>", "'none.csv' does not exist", None, "Check"),
    Row(CHANGE, "earlier table no table", {"previous": "elsewhere"}, "Folder 'elsewhere'", "no datapackage.json", "a folder", "Check"),
    Row(CHANGE, "earlier table not earlier", {"previous": "table"}, "Option <previous>", "2026-01-01", "from before 2026-01-01", "Set a later"),
    Row(CHANGE, "zones missing", {"zones": "none"}, "Option <zones>", "no vector map <none>", None, "Check"),
    Row(CHANGE, "zones without the column", {"column": "CODE"}, "Zones map <nuts", "columns", "a column CODE", "Name your column"),
    Row(CHANGE, "zones with a code twice", {"zones": "doubled"}, "Option <zones>", "code 'XX1' occurs 2 times", None, "Join"),
    Row(CHANGE, "zones without a code", {"zones": "nameless"}, "Option <zones>, category 2", "no code", "a code for each region", "Correct"),
    Row(CHANGE, "zones without areas", {"zones": "points"}, "Zones map <points", "has no areas", None, "Import"),
    Row(CHANGE, "zones in degrees", {"zones": "lonlat"}, "Zones map <lonlat", "degrees", "EPSG:3035", "v.import"),
    Row(CHANGE, "zones outside the region", {"zones": "outside"}, "Zones map <outside", "no region with a cell", None, "Set"),
    Row(CHANGE, "zones that overlap", {"zones": "overlapping"}, "Zones map <over", "XX1 and XX2", None, "Correct"),
    Row(CHANGE, "zones with a formula", {"zones": "formula"}, "Option <zones>", "code '=1+1'", "letters and digits", "Correct"),
    Row(CHANGE, "columns there already", {}, "Zones map <nuts", "already has column imp_2017_sum", None, "Use --overwrite"),
    Row(CHANGE, "folder there already", {"output": "table"}, "Folder 'table'", "already exists", None, "--overwrite"),
    Row(CHANGE, "folder below a file", {"output": "a_file/table"}, "a_file", "a file", "folder", "Choose"),
    Row(CHANGE, "map there already", {"prefix": "ch"}, "Map <ch_", "already exists", None, "--overwrite"),
]  # fmt: skip


def check_refusal(done, row=None, *, traceback=False):
    """Check that a refusal has the required form, and what the row wants of each part; return its message."""
    said = joined(done.stderr)
    assert done.returncode == 1, (done.returncode, done.stdout[-2000:], said[-4000:])
    assert ("Traceback" in said + done.stdout) == traceback, said
    refusal = parse_refusal(done.stderr)
    if row:
        assert row.thing in refusal.thing and row.then in refusal.then, refusal
        # The parts of a nested message may lie anywhere in it.
        assert row.found in refusal.line, refusal
        assert (row.expected is None) == (refusal.expected is None), refusal
        assert row.expected is None or row.expected in refusal.expected, refusal
    return refusal.line


@pytest.fixture(scope="module")
def refusals(request, place, location, source_tools, tmp_path_factory):
    """Map each row to its run and the files that it left. Two sequences of rows run in parallel, the second on a copy of the place; faults of the servers concern only the first."""
    chosen = (getattr(item, "callspec", None) for item in request.session.items)
    rows = [
        call.params["row"] for call in chosen if call and "row" in call.params and isinstance(call.params["row"], Row)
    ]
    work = shutil.copytree(place.work, tmp_path_factory.mktemp("lane") / "work")
    mapset = shutil.copytree(place.mapset, location / "lane", ignore=shutil.ignore_patterns(".gislock", ".tmp"))
    with session(mapset, source_tools) as env, ThreadPoolExecutor(2) as pool:
        other = replace(place, work=work, mapset=mapset, env={**place.env, "GISRC": env["GISRC"]})
        served = [row for row in rows if row.tool in (FETCH, YEARLY)]
        lanes = (place, served), (other, [row for row in rows if row not in served])
        done = pool.map(lambda lane: [refuse(lane[0], row) for row in lane[1]], lanes)
        return {
            id(row): found
            for (_, part), results in zip(lanes, done, strict=True)
            for row, found in zip(part, results, strict=True)
        }


def refuse(place, row):
    """Run one row and remove the files that it left, so that they do not affect the next row. Returns: the run, the paths of these files."""
    before = place.files()
    if row.tool == FETCH:
        place.served.stac.rules, place.served.s3.rules = list(row.stac), list(row.s3)
    env = dict(row.env)
    if row.degrees:
        env["GISRC"] = place.degrees["GISRC"]
    elif row.region:
        env["GRASS_REGION"] = region(row.region)
    try:
        done = place.run(row.tool, row.options, env=env)
    finally:
        if row.tool == FETCH:
            place.served.stac.rules, place.served.s3.rules = [], []
    left = place.files() - before
    for path in left:
        path.unlink()
    # A folder may stay, as long as it is empty.
    shutil.rmtree(place.work / "new", ignore_errors=True)
    return done, left


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.tool} {row.spoilt}")
def test_bad_input_gives_one_line_and_leaves_nothing(refusals, row):
    done, left = refusals[id(row)]
    check_refusal(done, row)
    assert left == set()


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        (FETCH, {"stac": "none.json"}), (YEARLY, {"input": "hollow"}), (ARD, {"labels": "odd"}), (TRAIN, {"input": "cut.h5"}),
        (PREDICT, {"model": "m_half"}), (CHANGE, {"zones": "doubled"}),
    ],
)  # fmt: skip
def test_debug_shows_the_traceback_behind_the_line(place, tool, options):
    check_refusal(place.run(tool, options, flags="--debug"), traceback=True)


@pytest.mark.parametrize(
    ("tool", "options", "words"),
    [
        (FETCH, {"clouds": 200}, "<clouds>"), (FETCH, {"years": None}, "<years>"), (YEARLY, {"dilate": "wide"}, "<dilate>"),
        (ARD, {"output": "place.h5"}, "--overwrite"), (TRAIN, {"depth": 9}, "<depth>"), (TRAIN, {"output": "scenes"}, "--overwrite"), (PREDICT, {"engine": "abacus"}, "<engine>"),
        (CHANGE, {"legend": "s2glc"}, "<legend>"), (CHANGE, {"zones": None}, "<zones>"),
    ],
)  # fmt: skip
def test_what_grass_itself_refuses_is_named_too(place, tool, options, words):
    """The messages of GRASS's parser name the option too."""
    before = place.files()
    done = place.run(tool, options)
    said = joined(done.stderr)
    assert done.returncode == 1 and "ERROR:" in said and words in said and "Traceback" not in said
    assert place.files() == before


def test_a_check_reports_each_fault_of_a_file(place):
    """The check of a file or an archive lists what is wrong; that is its result, and no error."""
    for words, found in (
        (
            (ARD, {"flags": "-c", "input": "damaged.h5", "output": None, "labels": None}),
            "damaged part in variable /B04_p50",
        ),
        ((ARD, {"flags": "-c", "input": "far.h5", "output": None, "labels": None}), "differs from the region"),
        ((YEARLY, {"flags": "-c", "input": "rotten", "output": None}), "its bytes changed since it was written"),
        ((YEARLY, {"flags": "-c", "input": "shifted", "output": None}), "multiples of 20 m"),
    ):
        done = place.run(*words)
        assert done.returncode == 1 and found in done.stdout, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr + done.stdout and "ERROR" not in done.stderr


def test_one_year_gives_stocks_without_an_error(place):
    done = place.run(CHANGE, years="2018", output="one", prefix="one", flags="-n")
    assert done.returncode == 0 and "one year only" in done.stderr
    rows = (place.work / "one" / "impervious_nuts.csv").read_text().splitlines()[1:]
    assert rows and not [row for row in rows if ",GAIN," in row]


# Disks


def in_namespace(place, mount, tool, changes, env=None):
    """Run a tool in a mount namespace of its own, where `mount` has changed a folder; list the files of that folder on stdout."""
    if reason := mounts.missing():
        pytest.skip(f"this system gives no mount namespace to try full and read-only disks in: {reason}")
    folder = place.work / "disk"
    folder.mkdir(exist_ok=True)
    words = place.command(tool, {**GOOD[tool], **changes})
    script = f'{mount} || exit 99; "$@" >/dev/null; status=$?; find disk -type f; exit $status'
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *words],
        env=place.environment(env), cwd=place.work, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=170,
    )  # fmt: skip


FULL = "mount -t tmpfs -o size={} tmpfs disk"
READ_ONLY = "mount --bind disk disk && mount -o remount,bind,ro disk"
WRITERS = (
    (FETCH, {"output": "disk/scenes"}, "16k"), (ARD, {"output": "disk/new.h5"}, "16k"), (TRAIN, {"output": "disk/model"}, "16k"),
    (CHANGE, {"output": "disk/table", "flags": "-n"}, "8k"),
)  # fmt: skip


@pytest.mark.parametrize(("tool", "changes", "size"), WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(place, tool, changes, size):
    before = place.files()
    done = in_namespace(place, FULL.format(size), tool, changes)
    line = check_refusal(done)
    assert "a full disk" in line
    # What is finished may stay: a band of a scene, with its sidecar.
    left = {Path(name) for name in done.stdout.split()}
    assert not [path for path in left if ".part" in path.name]
    assert {path.with_suffix("") for path in left if path.suffix == ".tif"} == {
        path.with_suffix("") for path in left if path.suffix == ".json"
    }
    assert tool == FETCH or not left
    assert place.files() == before


@pytest.mark.parametrize(("tool", "changes", "size"), WRITERS)
def test_a_read_only_disk_is_one_line(place, tool, changes, size):
    before = place.files()
    done = in_namespace(place, READ_ONLY, tool, changes)
    line = check_refusal(done)
    assert "permission" in line or "read-only" in line
    assert place.files() == before


def test_tools_run_with_a_read_only_home(place):
    """Caches of fonts and settings are optional; every tool runs without them."""
    home = {"HOME": "/proc/1/none", "XDG_CACHE_HOME": "/proc/1/none", "XDG_CONFIG_HOME": "/proc/1/none"}
    for tool, changes in (
        (FETCH, {"output": "homeless"}), (ARD, {"output": "homeless.h5", "plot": "pictures"}),
        (PREDICT, {"output": "homeless", "years": 2018}), (CHANGE, {"output": "homeless_table", "prefix": "homeless", "flags": "-n"}),
    ):  # fmt: skip
        done = place.run(tool, changes, env=home)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (tool, done.stderr)


# Two at a time, and the end of a run in its middle


def test_two_fetches_into_one_archive_both_end_well(place):
    runs = [place.start(FETCH, output="both") for _ in range(2)]
    for run in runs:
        _, said = run.communicate(timeout=170)
        assert run.returncode == 0, said
    done = place.run(YEARLY, flags="-c", input="both", output=None)
    assert done.returncode == 0 and " 0 findings" in done.stdout, done.stdout
    names = {path.relative_to(place.work / "both") for path in (place.work / "both").rglob("*") if path.is_file()}
    assert names == {
        path.relative_to(place.work / "scenes") for path in (place.work / "scenes").rglob("*") if path.is_file()
    }


def test_two_runs_with_one_output_leave_it_whole(place):
    """One of two may be refused, or be the second to put its result in place; either way the result is one of theirs, whole."""
    for tool, changes, check in (
        (ARD, {"output": "twin.h5"}, (ARD, {"flags": "-c", "input": "twin.h5", "output": None, "labels": None})),
        (YEARLY, {"output": "twin"}, (ARD, {"input": "twin", "output": "of_twin.h5"})),
        (PREDICT, {"output": "twin_lc", "years": 2018}, (CHANGE, {"input": "twin_lc", "years": 2018, "output": "of_twin", "prefix": "tw", "flags": "-n"})),
        (CHANGE, {"output": "twin_table", "prefix": "twin_ch", "flags": "-n"}, None),
    ):  # fmt: skip
        runs = [place.start(tool, **changes) for _ in range(2)]
        statuses, messages = [], []
        for run in runs:
            _, said = run.communicate(timeout=170)
            assert "Traceback" not in said, (tool, said)
            statuses.append(run.returncode)
            messages.append(joined(said))
        assert 0 in statuses, (tool, messages)
        assert not list(place.work.glob("**/*.part*")), tool
        if check:
            done = place.run(*check)
            assert done.returncode == 0, (tool, done.stdout, done.stderr)
    assert (place.work / "twin_table" / "impervious_nuts.csv").read_bytes() == (
        place.work / "table" / "impervious_nuts.csv"
    ).read_bytes()


def test_a_locked_mapset_is_refused_with_a_message(place, location, grass_env):
    mapset = location / "locked"
    subprocess.run(["grass", "-c", mapset, "-e"], check=True, capture_output=True)
    lock = mapset / ".gislock"
    holder = subprocess.Popen(["sleep", "60"])
    try:
        lock.write_bytes(holder.pid.to_bytes(4, sys.byteorder))
        done = subprocess.run(
            ["grass", mapset, "--exec", ARD, "-c", "input=place.h5"],
            env=grass_env, cwd=place.work, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = joined(done.stderr)
        assert (
            done.returncode != 0
            and "Traceback" not in said
            and ".gislock" in said
            and "currently running GRASS" in said
        )
        script = f"from imperviouslib.edge.session import open_session\nwith open_session({str(mapset)!r}): pass"
        done = subprocess.run([sys.executable, "-c", script], cwd=TOP, env=grass_env, capture_output=True, text=True)
        assert "is in use by another session. End that session" in joined(done.stderr)
    finally:
        holder.kill()
        holder.wait()
        lock.unlink()


def wait_for(run, happened, seconds=100):
    """Wait until something has happened while a run is under way."""
    until = time.monotonic() + seconds
    while not happened():
        assert run.poll() is None, "it has ended"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("tool", "how"),
    [(FETCH, signal.SIGINT), (FETCH, signal.SIGTERM), (TRAIN, signal.SIGTERM), (PREDICT, signal.SIGINT)],
)
def test_an_interrupted_run_says_so_and_can_start_again(place, tool, how, tmp_path):
    output = f"{tool.split('.')[-1]}_{how.name}"
    before = place.files()
    if tool == FETCH:
        place.served.s3.reset_counts()
        place.served.s3.rules = [Fault("slow", "jp2", seconds=20, skip=3)]
    messages = tmp_path / "messages"
    with messages.open("w") as out:
        more = {FETCH: {"tries": 3}, TRAIN: {"epochs": 1000}, PREDICT: {}}[tool]
        run = place.start(tool, output=output, stderr=out, **more)
    if tool == FETCH:
        # Three objects came at once, the fourth is on its way.
        wait_for(run, lambda: len(list((place.work / output).rglob("*.json"))) >= 2)
    elif tool == TRAIN:
        wait_for(run, lambda: "%" in messages.read_text())
    else:
        wait_for(run, lambda: [*place.mapset.glob(f"cell/{output}*"), *place.mapset.glob(".tmp/*/*.tif")])
    run.send_signal(how)
    try:
        run.wait(60)
    finally:
        place.served.s3.rules = []
    said = joined(messages.read_text())
    assert run.returncode == 1 and said.count("ERROR: ") == 1, (run.returncode, said)
    assert (
        "Interrupted. Finished work is kept. Run the same command again to continue." in said
        and "Traceback" not in said
    )
    left = place.files() - before
    assert not [path for path in left if ".part" in path.name]
    if tool == FETCH:
        assert {path.with_suffix("") for path in left if path.suffix == ".tif"} == {
            path.with_suffix("") for path in left if path.suffix == ".json"
        }
    else:
        # The state of a fit is kept for the next run, which removes it.
        assert {path.parent.name for path in left} <= {f"{output}.unfinished"}
        assert tool == TRAIN or not left
    done = place.run(tool, output=output)
    assert done.returncode == 0, done.stderr
    assert not (place.work / f"{output}.unfinished").exists()
