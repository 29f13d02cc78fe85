"""Cases of r.s2.fetch: a full tile of 5490 x 5490 pixels in ESA's profile, over an S3 server on loopback.

Processor time and ratios within one run are measured, since wall times on a busy machine say little.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from imperviouslib.core import jp2
from imperviouslib.core.archive import band_path
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset, Scene, parse_item
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge import warp
from imperviouslib.edge.archivefile import Task, fetch_scene
from imperviouslib.edge.pool import Processes
from imperviouslib.edge.rasterfile import open_on_grid, read_part
from imperviouslib.edge.rasterobject import decode_object, describe_object
from testsuite.bench import absent_peer, case, grass_session
from testsuite.fetch_ground import area, items, local_items, small_world
from testsuite.raster_ground import cell_positions, write_tiff
from testsuite.world.products import multihash, write_jp2
from testsuite.world.serve import Served, serve

SIDE = 5490
BANDS = ("B12", "B11", "B04")
_COPIES = 60
_runs = itertools.count()


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
    # GDAL keeps what it has read of an address, so every run of a peer gets a name of its own.
    for number in range(_COPIES):
        (bucket / str(number)).mkdir()
        for band in (*BANDS, "SCL"):
            os.link(bucket / f"{band}_20m.jp2", bucket / str(number) / f"{band}_20m.jp2")
    (folder / "stac").mkdir()
    (folder / "stac" / "items.json").write_text('{"type": "FeatureCollection", "features": []}')
    (folder / "world.json").write_text(json.dumps({"bucket": "eodata", "collection": "sentinel-2-l2a"}))
    return folder


def _content(band: str = "B12") -> bytes:
    return (_folder() / "objects" / "eodata" / f"{band}_20m.jp2").read_bytes()


@functools.lru_cache(maxsize=1)
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
    return Task(_scene(), bands, archive, area or _extent(), method, "bench", RetryPolicy())


def _fetch(task: Task) -> None:
    errors = [result.error for result in fetch_scene(task) if result.error]
    if errors:
        raise RuntimeError(errors[0])
    shutil.rmtree(task.archive)


@dataclass(frozen=True)
class Measured:
    """Processor seconds of a band from object to file, and of decoding only."""

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


@case("fetch", "a full band, object to file, cubic (default): processor s, against decoding", target=1.45)
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


def _middle() -> Grid:
    """Return a tenth of the tile, from its middle."""
    grid = _extent()
    x, y = (grid.west + grid.east) // 40 * 20, (grid.south + grid.north) // 40 * 20
    return Grid(x - 17000, y - 17000, x + 17000, y + 17000)


def _fetch_all(area: Grid) -> None:
    task = _task((*BANDS, "SCL"), "bilinear", area)
    with Processes(2) as pool:
        for _, result in pool.as_finished(fetch_scene, task.parts()):
            if isinstance(result, Exception) or any(of_band.error for of_band in result):
                raise RuntimeError(str(result))
    shutil.rmtree(task.archive)


def _gdalwarp(folder: str, bands: Sequence[str], area: Grid) -> None:
    """Warp to files of the same form as ours, with two threads."""
    with tempfile.TemporaryDirectory(dir=_folder()) as out:
        for band in bands:
            subprocess.run(
                [
                    "gdalwarp", "-q", "-multi", "-wo", "NUM_THREADS=2", "-r", "near" if band == "SCL" else "bilinear", "-t_srs", "EPSG:3035",
                    "-te", *map(str, area.bounds), "-tr", "20", "20", "-srcnodata", "0", "-dstnodata", "0", "-co", "TILED=YES", "-co", "COMPRESS=ZSTD",
                    f"/vsis3/eodata/{folder}/{band}_20m.jp2", f"{out}/{band}.tif",
                ],
                check=True, capture_output=True, env={**os.environ, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"},
            )  # fmt: skip


def _item(folder: str, bands: Sequence[str]) -> Any:
    import pystac

    ring = [[11.9, 53.2], [13.7, 53.2], [13.7, 52.2], [11.9, 52.2], [11.9, 53.2]]
    outline, extensions = {"type": "Polygon", "coordinates": [ring]}, ["projection/v2.0.0"]
    item = pystac.Item(
        "bench", outline, [11.9, 52.2, 13.7, 53.2], datetime(2022, 6, 1, tzinfo=UTC), {},
        stac_extensions=[f"https://stac-extensions.github.io/{extension}/schema.json" for extension in extensions],
    )  # fmt: skip
    facts = {
        "proj:code": "EPSG:32633", "proj:epsg": 32633, "proj:shape": [SIDE, SIDE], "proj:transform": [20.0, 0.0, 300000.0, 0.0, -20.0, 5900040.0]
    }  # fmt: skip
    for band in bands:
        address = f"s3://eodata/{folder}/{band}_20m.jp2"
        item.add_asset(band, pystac.Asset(address, media_type="image/jp2", roles=["data"], extra_fields=facts))
    return item


def _odc_stac(folder: str, bands: Sequence[str], area: Grid) -> None:
    """Load with two threads; of its ways to do that the quicker one here."""
    import odc.stac

    found = odc.stac.load(
        [_item(folder, bands)], bands=list(bands), crs="EPSG:3035", resolution=20, x=(area.west, area.east), y=(area.south, area.north),
        resampling={"*": "bilinear", "SCL": "nearest"}, nodata=0, dtype="uint16", pool=2 if len(bands) > 1 else None,
    )  # fmt: skip
    _write([found[band].to_numpy()[0] for band in bands], area)


def _stackstac(folder: str, bands: Sequence[str], area: Grid) -> None:
    import dask
    import stackstac
    from rasterio.enums import Resampling

    found = stackstac.stack(
        [_item(folder, bands)], assets=list(bands), epsg=3035, resolution=20, bounds=area.bounds, resampling=Resampling.bilinear,
        dtype="uint16", fill_value=np.uint16(0), rescale=False, chunksize=2048,
    )  # fmt: skip
    with dask.config.set(scheduler="threads", num_workers=2):
        _write(found.compute().to_numpy()[0], area)


def _rioxarray(folder: str, bands: Sequence[str], area: Grid) -> None:
    import rioxarray
    from rasterio import Affine
    from rasterio.enums import Resampling

    for band in bands:
        cut = rioxarray.open_rasterio(f"s3://eodata/{folder}/{band}_20m.jp2").rio.clip_box(
            *area.grown(10).bounds, crs="EPSG:3035"
        )
        warped = cut.rio.reproject(
            "EPSG:3035", shape=area.shape, transform=Affine(*area.transform), resampling=Resampling.bilinear
        )
        _write(warped.to_numpy(), area)


def _write(bands: Iterable[np.ndarray], area: Grid) -> None:
    """Write what a peer has in memory to files of the same form as ours."""
    with tempfile.TemporaryDirectory(dir=_folder()) as out:
        for number, values in enumerate(bands):
            write_tiff(Path(out) / f"{number}.tif", values, area)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None and bool(importlib.util.find_spec(module))


def _peers() -> dict[str, Callable[[str, Sequence[str], Grid], None]]:
    """Return the peers that are installed; all go from the object to a file."""
    found: dict[str, Callable[[str, Sequence[str], Grid], None]] = {}
    if shutil.which("gdalwarp"):
        found["gdalwarp"] = _gdalwarp
    if _installed("odc.stac"):
        found["odc-stac"] = _odc_stac
    if _installed("stackstac"):
        found["stackstac"] = _stackstac
    if _installed("rioxarray"):
        found["rioxarray"] = _rioxarray
    return found


def _race(
    ours: Callable[[], None], names: Sequence[str], bands: Sequence[str], area: Grid, rounds: int
) -> tuple[float, float | None]:
    """Run ours and the peers in turn; the best of each counts, since other work on the machine only makes slower."""
    peers = {name: run for name, run in _peers().items() if name in names}
    if not peers:
        raise absent_peer(" or ".join(names))
    runs: dict[str, Callable[[], None]] = {"ours": ours} | {
        name: lambda run=run: run(str(next(_runs)), bands, area) for name, run in peers.items()
    }
    best = dict.fromkeys(runs, (math.inf, math.inf))
    # As all their manuals advise.
    os.environ["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rounds):
            for name, run in runs.items():
                processor_s = _processor_s()
                wall_s = _wall(run)
                best[name] = min(wall_s, best[name][0]), min(_processor_s() - processor_s, best[name][1])
    print("          " + ", ".join(f"{name} {a:.2f} s ({b:.2f} s of processor)" for name, (a, b) in best.items()))
    return best.pop("ours")[0], min((wall_s for wall_s, _ in best.values()), default=None)


@case("fetch", "three bands and SCL, bilinear, 2 workers: s, against gdalwarp -multi", target=1.1)
def against_gdalwarp() -> tuple[float, float | None]:
    _served()
    return _race(lambda: _fetch_all(_extent()), ["gdalwarp"], (*BANDS, "SCL"), _extent(), 1)


@case("fetch", "three bands and SCL, bilinear, 2 workers: s, against odc-stac", target=0.7)
def against_odc_stac() -> tuple[float, float | None]:
    _served()
    return _race(lambda: _fetch_all(_extent()), ["odc-stac"], (*BANDS, "SCL"), _extent(), 1)


@case("fetch", "a tenth of a tile, 2 threads: s, against the fastest peer installed", target=1.0)
def small_window() -> tuple[float, float | None]:
    _served()

    def ours() -> None:
        _fetch(replace(_task(("B12",), "bilinear", _middle()), threads=2))

    return _race(ours, ("gdalwarp", "odc-stac", "stackstac", "rioxarray"), ("B12",), _middle(), 5)


@case("fetch", "a tenth of a tile: MB read, against the bytes of its JPEG 2000 tiles", target=1.2)
def small_window_bytes() -> tuple[float, float | None]:
    served, content = _served(), _content()
    source, header = describe_object(content, "B12"), jp2.parse_header(content)
    window = warp.source_window(source, _middle(), margin=6)
    if header is None or window is None:
        raise RuntimeError("The tile has no header or no window.")
    position, lengths = header.first_part, []
    for tile in range(header.tiles):
        lengths.append(jp2.parse_tile_part(content[position : position + jp2.SOT_SIZE], tile) or 0)
        position += lengths[-1]
    served.s3.reset_counts()
    _fetch(_task(("B12",), "bilinear", _middle()))
    bytes_read = served.s3.counts()["bytes"]
    return float(bytes_read) / 1e6, sum(lengths[tile] for tile in header.tiles_meeting(*window)) / 1e6


def _peak_mb(task: Task) -> float:
    """Fetch, and return the most memory that this process has held."""
    _fetch(task)
    # The memory that the system reports of ended children includes the parent's own before the child began.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@case("fetch", "memory of a worker for a full band, MB", target=700)
def memory() -> tuple[float, float | None]:
    _served()
    tasks = [_task((band,), "bilinear") for band in ("B12", "B11")]
    with Processes(2) as pool:
        found = [result for _, result in pool.as_finished(_peak_mb, tasks)]
    if not all(isinstance(result, float) for result in found):
        raise RuntimeError(str(found))
    return max(found), None


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
        rows, cols = cell_positions(source, part)
        x, y = np.meshgrid(west + 20 * (np.arange(200) + 0.5), north - 20 * (np.arange(200) + 0.5))
        east, up = to_source.transform(x, y)
        a, _, c, _, e, f = source.transform
        wrong += int(((np.floor((up - f) / e) != np.floor(rows)) | (np.floor((east - c) / a) != np.floor(cols))).sum())
        seen += rows.size
    return float(wrong), None


@case("fetch", "a tenth of a tile: processor s, against the whole (only its JP2 tiles are decoded)", target=0.3)
def window() -> tuple[float, float | None]:
    _served()
    start = _processor_s()
    _fetch(_task(("B12",), "bilinear", _middle()))
    return _processor_s() - start, _band("bilinear").whole


@functools.lru_cache(maxsize=1)
def _two_zones() -> dict[str, float]:
    """Return the RMSE in DN between a scene's tiles in two UTM zones over the same ground, by resampling, over all bands."""
    folder = _folder() / "zones"
    world = small_world(folder / "world", years=(2018,), dates=1, clouds=False, noise=False)
    newest = [item for item in items(world) if "_N0500_" in item["id"]]
    scenes = [parse_item(item) for item in local_items(world, newest)]
    found = {}
    for method in ("nearest", "bilinear", "cubic"):
        planes = {}
        for scene in scenes:
            task = Task(scene, (*BANDS, "SCL"), folder / method, area(world), method, "bench", RetryPolicy())
            if errors := [result.error for result in fetch_scene(task) if result.error]:
                raise RuntimeError(errors[0])
            bands = []
            for band in BANDS:
                with open_on_grid(band_path(task.archive, scene, band), 20) as (dataset, grid):
                    bands.append(read_part(dataset, grid, area(world)).astype(float))
            planes[scene.tile] = np.array(bands)
        west, east = planes["32UPD"], planes["33UUU"]
        both = (west > 0) & (east > 0)
        found[method] = float(np.sqrt(np.mean((west - east)[both] ** 2)))
    print("          " + ", ".join(f"{method} {rmse:.1f} DN" for method, rmse in found.items()))
    return found


@case("fetch", "RMSE between two UTM zones, made world, cubic (the default) against nearest", target=0.25)
def zones() -> tuple[float, float | None]:
    return _two_zones()["cubic"], _two_zones()["nearest"]


@case("fetch", "RMSE between two UTM zones, made world, bilinear against nearest", target=0.25)
def zones_bilinear() -> tuple[float, float | None]:
    return _two_zones()["bilinear"], _two_zones()["nearest"]


_PEAK = """
import resource, subprocess, sys
text = subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout
print(text.count("MSIL2A"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


@functools.lru_cache(maxsize=1)
def _large_plan() -> tuple[float, float]:
    """Plan 200 tiles and seven years dry, from a list of 100,000 items as the Copernicus Data Space writes them. Returns: s, MB."""
    import grass.script as gs

    folder = _folder() / "plan"
    item = items(small_world(folder / "world", years=(2018,), dates=1))[0]
    old = item["properties"]
    tile, day = old["grid:code"].removeprefix("MGRS-"), re.search(r"_(\d{8}T\d{6})_", item["id"])[1]
    item["geometry"] = {"type": "Polygon", "coordinates": "@ring@"}
    stamp = old["datetime"][:19]
    template = (
        json.dumps(item)
        .replace('"@ring@"', "@ring@")
        .replace(tile, "@tile@")
        .replace(day, "@day@")
        .replace(stamp, "@stamp@")
    )
    first = datetime(2017, 1, 1, 10, 10, 31, tzinfo=UTC)
    with (folder / "items.json").open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number in range(100_000):
            place, time_ = number % 200, first + timedelta(days=5 * (number // 200))
            row, column = divmod(place, 20)
            west, south = 1.0 + 1.4 * column, 46.0 + 0.9 * row
            ring = [[west + 1.6 * a, south + 1.0 * b] for a, b in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]
            code = f"{31 + column // 5}U{'ABCDEFGHJKLMNPQRSTUV'[column]}{'ABCDEFGHJK'[row]}"
            text = template.replace("@ring@", f"[{ring}]").replace("@tile@", code)
            text = text.replace("@day@", f"{time_:%Y%m%dT%H%M%S}").replace("@stamp@", f"{time_:%Y-%m-%dT%H:%M:%S}")
            file.write(("," if number else "") + text)
        file.write("]}")
    with grass_session():
        gs.run_command("g.region", w=3000000, s=2000000, e=6400000, n=4400000, res=20, quiet=True)
        words = ["r.s2.fetch", "-l", f"stac={folder / 'items.json'}", f"output={folder / 'archive'}", "years=2017-2023"]
        start = time.perf_counter()
        printed = subprocess.run(
            [sys.executable, "-c", _PEAK, *words], check=True, capture_output=True, text=True
        ).stdout
        scenes, peak = printed.split()
        print(f"          {scenes} scenes chosen")
        if int(scenes) != 200 * 7 * 6:
            raise RuntimeError(f"found {scenes} scenes, expected six of each tile and year")
        return time.perf_counter() - start, float(peak)


@case("fetch", "r.s2.fetch -l of 200 tiles and 7 years from 100,000 items, s", target=60)
def large_plan() -> tuple[float, float | None]:
    return _large_plan()[0], None


@case("fetch", "memory of the plan from 100,000 items, MB", target=1000)
def large_plan_memory() -> tuple[float, float | None]:
    return _large_plan()[1], None
