"""Make a world: `python -m testsuite.world.make OUT --seed 1 --years 2017-2019 --size-km 20 --dates 4`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from testsuite.world import labels, reference, region_tables, regions, truth
from testsuite.world.earthsearch import write_items
from testsuite.world.land import Land, make_land
from testsuite.world.passes import Pass, passes
from testsuite.world.processes import die_with_parent
from testsuite.world.products import Product, write_bytes, write_product
from testsuite.world.sensor import Scene, observe
from testsuite.world.spec import BUCKET, COLLECTION, TILES, Spec, parse_years
from testsuite.world.surfaces import textures
from testsuite.world.view import View, Window, tile_window

_worker: dict[str, Any] = {}


def _load_worker(spec: Spec, windows: list[Window], work: str) -> None:
    """Load what all scenes need into a worker process."""
    folder = Path(work)
    _worker["land"] = Land.load(folder)
    _worker["views"] = {w.tile.name: View.load(spec, w, folder) for w in windows}
    texture = textures(spec)
    for view in _worker["views"].values():
        view.load_land(_worker["land"], texture)


def _init_process(maker: int, start: Callable[..., None] | None, arguments: tuple) -> None:
    """Initialise a worker process, which ends with the process that started it."""
    die_with_parent()
    if os.getppid() != maker:
        os._exit(1)
    # Ctrl-C reaches all processes of the group, but only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start:
        start(*arguments)


@contextlib.contextmanager
def _workers(jobs: int, start: Callable[..., None] | None = None, arguments: tuple = ()) -> Iterator[Executor]:
    """Open a pool of processes; or, for one job, of one thread, which starts at once."""
    pool: Executor
    if jobs == 1:
        pool = ThreadPoolExecutor(1, initializer=start, initargs=arguments)
    else:
        pool = ProcessPoolExecutor(jobs, get_context("spawn"), _init_process, (os.getpid(), start, arguments))
    try:
        yield pool
    finally:
        # After an error, jobs that have not started are cancelled.
        pool.shutdown(cancel_futures=True)
        _worker.clear()


@contextlib.contextmanager
def _build_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder that is renamed to `out` at the end. Refuse a second process that makes the same world."""
    if out.exists():
        raise FileExistsError(f"Folder '{out}' exists already. Choose another name, or remove it.")
    part = out.with_name(f".{out.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    handle = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"Folder '{out}' is being made by another process. Wait until it is finished, or choose another name."
            ) from None
        try:
            # Remove what a killed process left.
            for left in part.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield part
            part.replace(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    finally:
        os.close(handle)


def _labels(spec: Spec, work: str, out: str) -> None:
    """Make the label map."""
    made = labels.make_labels(spec, Land.load(Path(work)))
    labels.write_labels(Path(out) / "labels" / f"s2glc_{spec.years[0]}.tif", spec, made)


def _view(spec: Spec, window: Window, work: str) -> None:
    """Make and save the view of one tile."""
    View.make(spec, Land.load(Path(work)), window).save(Path(work))


@dataclass(frozen=True)
class Task:
    """A scene to make."""

    out: str
    when: Pass
    tile: str
    reprocessed: bool
    """Whether a second product of it exists, from Collection-1."""
    split: bool
    """Whether it has two products, from two datastrips."""
    earth_search: bool
    wrong_flag: bool
    """Whether the flag of Earth Search about the offset is wrong on this scene."""


def _scene(task: Task) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make one scene and its products. Returns: the items of the Copernicus Data Space and those of Earth Search."""
    out, when, tile, reprocessed = Path(task.out), task.when, task.tile, task.reprocessed
    view = _worker["views"][tile]
    scene = observe(view, _worker["land"], when)
    # There is no product for a scene of a few pixels.
    if scene.valid.mean() < 0.005:
        return [], []
    first = Product(
        when, view.window, when.baseline, when.sensed + timedelta(hours=5, minutes=7, seconds=when.absolute_orbit % 60)
    )
    if task.split:
        items = [write_product(out, p, s) for p, s in _split_scene(first, scene)]
    else:
        items = [write_product(out, first, scene)]
    if reprocessed:
        # Collection-1: the same acquisition, processed again years later, with the offset in its numbers.
        late = datetime(2023, 6, 12, 21, 42, 23, tzinfo=UTC) + timedelta(minutes=when.absolute_orbit % 1440)
        items.append(write_product(out, replace(first, baseline="05.00", processed=late), scene))
    others = []
    if task.earth_search:
        late = when.sensed + timedelta(days=900)
        others.append(write_items(out, first, scene, "sentinel-2-l2a", task.wrong_flag))
        others.append(
            write_items(out, replace(first, baseline="05.00", processed=late), scene, "sentinel-2-c1-l2a", False)
        )
    return items, others


def _split_scene(product: Product, scene: Scene) -> list[tuple[Product, Scene]]:
    """Cut a scene at the border of two datastrips. Returns: two products of one tile and one sensing time, and their scenes."""
    row = scene.valid.shape[0] * 3 // 5
    out = []
    for half in (1, 2):
        valid = scene.valid.copy()
        valid[row:] &= half == 2
        valid[:row] &= half == 1
        part = Scene(scene.bands, np.where(valid, scene.scl, 0).astype(np.uint8), valid)
        out.append(
            (replace(product, half=half, processed=product.processed + timedelta(minutes=13 * (half - 1))), part)
        )
    return out


def _break_two_scenes(part: Path, items: list[dict[str, Any]], spec: Spec) -> dict[str, str]:
    """Make one object corrupt, and remove the objects of another scene. Returns: their ids for world.json; nothing if there are fewer than two scenes."""
    if len(items) < 2:
        return {}
    whole = [i for i in items if i["properties"]["statistics"]["nodata"] < 30]
    clear = sorted(whole if len(whole) > 1 else items, key=lambda i: i["properties"]["eo:cloud_cover"])
    # Scenes with some cloud, so that no year depends on them; about half of all scenes are almost free of clouds.
    harmed, absent = clear[(len(clear) - 1) * 5 // 8], clear[len(clear) * 3 // 4]
    path = part / "objects" / harmed["assets"]["B11_20m"]["href"].removeprefix("s3://")
    data = bytearray(path.read_bytes())
    for spot in spec.rng("spoil").integers(len(data) // 3, len(data), 40):
        data[spot] ^= 0x5A
    write_bytes(path, bytes(data))
    shutil.rmtree(
        part / "objects" / absent["assets"]["product_metadata"]["href"].removeprefix("s3://").rsplit("/", 1)[0]
    )
    return {"corrupt": harmed["id"], "absent": absent["id"]}


def _choose_reprocessed(spec: Spec, all_passes: list[Pass]) -> set[datetime]:
    """Choose the acquisitions that are processed again: one in every third year, before baseline 04.00 and with the whole place in the swath."""
    chosen = set()
    for year in spec.years[::3]:
        whole = [p for p in all_passes if p.sensed.year == year and p.swath_edge is None and float(p.baseline) < 4]
        if whole:
            chosen.add(sorted(whole, key=lambda p: p.cloud_cover)[len(whole) // 2].sensed)
    return chosen


def _choose_split(spec: Spec, all_passes: list[Pass], reprocessed: set[datetime]) -> datetime | None:
    """Choose the acquisition of which one tile is in two halves: the clearest one of the second year with the whole place in the swath."""
    year = spec.years[min(1, len(spec.years) - 1)]
    whole = [p for p in all_passes if p.sensed.year == year and p.swath_edge is None and p.sensed not in reprocessed]
    return min(whole, key=lambda p: p.cloud_cover).sensed if whole else None


def make_world(
    out: Path,
    spec: Spec,
    *,
    jobs: int = 2,
    scenes: bool = True,
    points: int = 120,
    error_rate: float = 0.0,
    progress=lambda text: None,
) -> Path:
    """Make a world in a folder that must not exist yet. The folder gets its name only when the world is complete.

    jobs : number of processes; scenes : False makes neither scenes nor labels; points : reference points in each stratum
    error_rate : share of wrong reference labels, 0-1; progress : function that is called with a line of text after each step
    Returns: the folder. Raises ValueError for settings out of range, FileExistsError
    """
    for name, value, low, high in (
        ("jobs", jobs, 1, 256), ("points", points, 1, 1_000_000), ("error-rate", error_rate, 0, 1)
    ):  # fmt: skip
        if not low <= value <= high:
            raise ValueError(f"--{name}: found {value}, expected {low} to {high}. Correct it.")
    with _build_folder(out) as part:
        _make(part, spec, jobs, scenes, points, error_rate, progress)
    return out


def _make(part: Path, spec: Spec, jobs: int, scenes: bool, points: int, error_rate: float, progress) -> None:
    work = part / ".work"
    work.mkdir()
    clock = time.monotonic()

    def log(text: str) -> None:
        progress(f"{time.monotonic() - clock:6.1f} s  {text}")

    land = make_land(spec)
    land.save(work)
    log(f"land of {spec.size_km:g} x {spec.size_km:g} km, {len(land.before)} surfaces")
    windows = [w for t in TILES if (w := tile_window(spec, t)) is not None]
    all_passes = passes(spec) if scenes else []
    reprocessed = _choose_reprocessed(spec, all_passes)
    split = _choose_split(spec, all_passes, reprocessed)
    tasks = [
        Task(
            str(part),
            p,
            w.tile.name,
            p.sensed in reprocessed,
            p.sensed == split and w is windows[-1],
            spec.earth_search,
            number % 5 == 2,
        )
        for number, p in enumerate(all_passes)
        for w in windows
    ]
    with _workers(jobs) as pool:
        waiting = []
        if scenes:
            # The label map takes longest, so it goes first.
            waiting = [
                pool.submit(_labels, spec, str(work), str(part)),
                *(pool.submit(_view, spec, w, str(work)) for w in windows),
            ]
        true = truth.make_truth(spec, land)
        drawn = regions.make_regions(spec)
        truth.write_truth(part / "truth", spec, true)
        regions.write_regions(part / "regions" / "nuts.gpkg", drawn)
        regions.write_zones(part / "truth", spec, drawn)
        region_tables.write_region_truth(part / "truth" / "regions.csv", drawn, true)
        region_tables.write_numbers(part / "regions", spec, drawn, true)
        reference.write_reference(part / "reference", spec, true, points, error_rate)
        log("truth, regions, reference")
        for job in waiting:
            job.result()
    items: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    if scenes:
        log("labels, views of the tiles")
        with _workers(jobs, _load_worker, (spec, windows, str(work))) as pool:
            for made, also in pool.map(_scene, tasks):
                items += made
                others += also
        log(f"{len(items)} products")
    items.sort(key=lambda item: item["id"])
    write_bytes(part / "stac" / "items.json", json.dumps({"type": "FeatureCollection", "features": items}).encode())
    if others:
        others.sort(key=lambda item: (item["collection"], item["id"]))
        write_bytes(
            part / "stac" / "earthsearch.json",
            json.dumps({"type": "FeatureCollection", "features": others}).encode(),
        )
    world = {
        "settings": spec.as_dict(), "bounds": list(spec.bounds), "res_m": 20, "crs": "EPSG:3035", "years": list(spec.years),
        "label_year": spec.years[0], "collection": COLLECTION, "bucket": BUCKET, "tiles": [w.tile.name for w in windows],
        "items": len(items), "points": points, **(_break_two_scenes(part, items, spec) if spec.broken else {}),
        "interpreter_error_rate": error_rate, "materials": truth.material_shares(land, spec.years[0]),
    }  # fmt: skip
    shutil.rmtree(work)
    write_bytes(part / "world.json", (json.dumps(world, indent=1) + "\n").encode())
    log("done")


def main(arguments: list[str] | None = None) -> int:
    """Make a world by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m testsuite.world.make",
        description="Make a small artificial world whose true land cover is known.",
    )
    parser.add_argument("out", type=Path, help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=1, help="seed (default: %(default)s)")
    parser.add_argument(
        "--growth",
        type=float,
        default=0.003,
        help="newly sealed land in a year, as a share of the sealed land (default: %(default)s)",
    )
    parser.add_argument(
        "--years", type=parse_years, default=parse_years("2017-2023"), help="such as 2017-2019 (default: 2017-2023)"
    )
    parser.add_argument("--size-km", type=float, default=30.0, help="side of the world (default: %(default)s)")
    parser.add_argument("--dates", type=int, default=8, help="acquisitions in a year (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes (default: %(default)s)")
    parser.add_argument(
        "--points", type=int, default=120, help="reference points in each stratum (default: %(default)s)"
    )
    parser.add_argument(
        "--error-rate", type=float, default=0.0, help="share of wrong reference labels, 0-1 (default: %(default)s)"
    )
    parser.add_argument("--no-clouds", action="store_true", help="scenes without clouds, for tests of geometry")
    parser.add_argument("--no-noise", action="store_true", help="scenes without noise and without geolocation error")
    parser.add_argument("--intact", action="store_true", help="no corrupt object and no missing scene")
    parser.add_argument("--earth-search", action="store_true", help="also write the scenes in the form of Earth Search")
    parser.add_argument(
        "--truth-only",
        action="store_true",
        help="neither scenes nor labels: to judge a run on the same world made elsewhere",
    )
    a = parser.parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        # SIGTERM cleans up in the same way as Ctrl-C.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        spec = Spec(
            a.seed, a.years, a.size_km, a.dates, a.growth, not a.no_clouds, not a.no_noise, not a.intact, a.earth_search
        )
        make_world(
            a.out,
            spec,
            jobs=a.jobs,
            points=a.points,
            error_rate=a.error_rate,
            scenes=not a.truth_only,
            progress=lambda t: print(t, file=sys.stderr),
        )
    except (ValueError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
