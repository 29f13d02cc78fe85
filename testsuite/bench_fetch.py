"""Cases of r.s2.fetch: a full tile of 5490 x 5490 pixels in ESA's profile, over an S3 server on loopback.

Processor time and ratios within one run are told, since wall times of a busy machine tell little.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.core.scenes import Asset, Scene
from imperviouslib.edge import pool, warp
from imperviouslib.edge.archivefile import Task, fetch_scene
from imperviouslib.edge.objects import Patience
from imperviouslib.edge.rasterfile import decode_object, describe_object
from testsuite.archive.products import multihash, write_jp2
from testsuite.archive.serve import Served, serve
from testsuite.bench import case

SIDE = 5490
BANDS = ("B12", "B11", "B04")


def _processor_s() -> float:
    """Processor seconds of this process and its ended children."""
    return sum(os.times()[:4])


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    """Make one tile: texture from 40 m to 6 km with noise, about 35 MB a band as a real one has, and a classification."""
    folder = Path(tempfile.mkdtemp(prefix="bench_fetch"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rng = np.random.default_rng(1)
    ground = np.full((SIDE, SIDE), 2600, np.float32)
    for step, height in ((2, 250), (4, 300), (12, 300), (40, 350), (150, 300)):
        coarse = rng.standard_normal((SIDE // step + 2, SIDE // step + 2)).astype(np.float32)
        ground += height * coarse.repeat(step, 0).repeat(step, 1)[:SIDE, :SIDE]
    ground += 60 * rng.standard_normal(ground.shape, np.float32)
    classes = rng.integers(4, 8, (SIDE // 30 + 1, SIDE // 30 + 1), np.uint8).repeat(30, 0).repeat(30, 1)[:SIDE, :SIDE]
    window = SimpleNamespace(bounds=(300000, 5790240, 409800, 5900040), tile=SimpleNamespace(epsg=32633))
    bucket = folder / "objects" / "eodata"
    write_jp2(bucket / "B12_20m.jp2", np.clip(ground, 1001, 15000).astype(np.uint16), window)
    write_jp2(bucket / "SCL_20m.jp2", classes, window)
    for band in BANDS[1:]:
        os.link(bucket / "B12_20m.jp2", bucket / f"{band}_20m.jp2")
    (folder / "stac").mkdir()
    (folder / "stac" / "items.json").write_text('{"type": "FeatureCollection", "features": []}')
    (folder / "world.json").write_text(json.dumps({"bucket": "eodata", "collection": "sentinel-2-l2a"}))
    return folder


def _content(band: str = "B12") -> bytes:
    return (_folder() / "objects" / "eodata" / f"{band}_20m.jp2").read_bytes()


def _scene() -> Scene:
    assets = {}
    for band in (*BANDS, "SCL"):
        content = _content(band)
        assets[band] = Asset(f"s3://eodata/{band}_20m.jp2", len(content), multihash(content))
    ring = ((11.9, 53.2), (13.7, 53.2), (13.7, 52.2), (11.9, 52.2), (11.9, 53.2))
    return Scene("bench", "33UUU", "2022-06-01T10:10:31Z", "sentinel-2a", "a", "b", (5, 10), 1.0, 0.0, ring, assets)


@functools.lru_cache(maxsize=1)
def _served() -> Served:
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    found = stack.enter_context(serve(_folder()))
    os.environ.update(found.environment())
    return found


def _extent() -> Grid:
    return warp.extent(describe_object(_content(), "B12"))


def _task(bands: tuple[str, ...], method: str, area: Grid | None = None) -> Task:
    archive = Path(tempfile.mkdtemp(dir=_folder()))
    return Task(_scene(), bands, archive, area or _extent(), method, "bench", Patience())


def _fetch(task: Task) -> None:
    wrong = [outcome.error for outcome in fetch_scene(task) if outcome.error]
    if wrong:
        raise RuntimeError(wrong[0])
    shutil.rmtree(task.archive)


@dataclass(frozen=True)
class Measured:
    """Processor seconds of a band from object to file, and of decoding it alone."""

    whole: float
    decode: float


@functools.lru_cache(maxsize=3)
def _band(method: str) -> Measured:
    _served()
    content = _content()
    # The splines of a tile's geometry are made once for all its bands and dates.
    warp.coordinates(describe_object(content, "B12"))
    whole, decode = [], []
    for _ in range(2):
        start = _processor_s()
        decode_object(content, "B12", (0, SIDE), (0, SIDE))
        decode.append(_processor_s() - start)
        start = _processor_s()
        _fetch(_task(("B12",), method))
        whole.append(_processor_s() - start)
    return Measured(min(whole), min(decode))


@case("fetch", "a full band, object to file, bilinear: processor s, against decoding", target=1.25)
def bilinear() -> tuple[float, float | None]:
    return _band("bilinear").whole, _band("bilinear").decode


@case("fetch", "the same, cubic", target=1.45)
def cubic() -> tuple[float, float | None]:
    return _band("cubic").whole, _band("cubic").decode


@case("fetch", "requests per full band", target=4)
def requests() -> tuple[float, float | None]:
    served = _served()
    served.s3.reset_counts()
    _fetch(_task(("B12",), "nearest"))
    return float(served.s3.counts()["requests"]), None


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@case("fetch", "three bands and SCL with 2 workers: s, against gdalwarp -multi", target=1.1)
def against_gdalwarp() -> tuple[float, float | None]:
    _served()
    task = _task((*BANDS, "SCL"), "bilinear")

    def ours() -> None:
        for _, result in pool.run_all(fetch_scene, task.parts(), 2):
            if isinstance(result, Exception) or any(outcome.error for outcome in result):
                raise RuntimeError(str(result))

    grid = task.area
    bounds = [str(edge) for edge in grid.bounds]

    def theirs() -> None:
        for band in (*BANDS, "SCL"):
            subprocess.run(
                [
                    "gdalwarp", "-q", "-multi", "-wo", "NUM_THREADS=2", "-r", "near" if band == "SCL" else "bilinear", "-t_srs", "EPSG:3035",
                    "-te", *bounds, "-tr", "20", "20", "-srcnodata", "0", "-dstnodata", "0", "-co", "TILED=YES", "-co", "COMPRESS=ZSTD",
                    f"/vsis3/eodata/{band}_20m.jp2", str(task.archive / f"{band}_gdal.tif"),
                ],
                check=True, capture_output=True, env={**os.environ, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"},
            )  # fmt: skip

    found = _wall(ours), (_wall(theirs) if shutil.which("gdalwarp") else None)
    shutil.rmtree(task.archive)
    return found


@case("fetch", "memory of the largest worker for a full band, MB", target=700)
def memory() -> tuple[float, float | None]:
    _served()
    task = _task(("B12", "B11"), "bilinear")
    list(pool.run_all(fetch_scene, task.parts(), 2))
    shutil.rmtree(task.archive)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, None


@case("fetch", "wrong source pixels of 400,000 by nearest", target=0)
def wrong_pixels() -> tuple[float, float | None]:
    import pyproj

    source, grid = describe_object(_content(), "B12"), _extent()
    to_source = pyproj.Transformer.from_crs(3035, source.crs, always_xy=True)
    rng = np.random.default_rng(1)
    wrong = seen = 0
    while seen < 400_000:
        row, col = int(rng.integers(0, grid.height - 200)), int(rng.integers(0, grid.width - 200))
        west, north = grid.west + 20 * col, grid.north - 20 * row
        part = Grid(west, north - 4000, west + 4000, north)
        rows, cols = warp.source_coordinates(source, part)
        x, y = np.meshgrid(west + 20 * (np.arange(200) + 0.5), north - 20 * (np.arange(200) + 0.5))
        east, up = to_source.transform(x, y)
        a, _, c, _, e, f = source.transform
        wrong += int(((np.floor((up - f) / e) != np.floor(rows)) | (np.floor((east - c) / a) != np.floor(cols))).sum())
        seen += rows.size
    return float(wrong), None


@case("fetch", "a tenth of a tile: processor s, against the whole (its JP2 tiles alone are decoded)", target=0.3)
def window() -> tuple[float, float | None]:
    _served()
    grid = _extent()
    x, y = (grid.west + grid.east) // 40 * 20, (grid.south + grid.north) // 40 * 20
    start = _processor_s()
    _fetch(_task(("B12",), "bilinear", Grid(x - 17000, y - 17000, x + 17000, y + 17000)))
    return _processor_s() - start, _band("bilinear").whole
