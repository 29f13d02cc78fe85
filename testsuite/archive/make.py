"""Make a world: `python -m testsuite.archive.make OUT --seed 1 --years 2017-2019 --size-km 20 --dates 4`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from testsuite.archive import around
from testsuite.archive.earthsearch import write_items
from testsuite.archive.land import Land, make_land
from testsuite.archive.products import Product, write_bytes, write_product
from testsuite.archive.sensor import Pass, Scene, View, Window, observe, passes, textures, tile_window
from testsuite.archive.spec import BUCKET, COLLECTION, TILES, Spec, parse_years

VERSION = 1
_worker: dict[str, Any] = {}


def _start(spec: Spec, windows: list[Window], work: str) -> None:
    """Load what all scenes need into a worker process."""
    folder = Path(work)
    _worker["land"] = Land.load(folder)
    _worker["views"] = {w.tile.name: View.load(spec, w, folder) for w in windows}
    texture = textures(spec)
    for view in _worker["views"].values():
        view.hold(_worker["land"], texture)


def _pool(jobs: int, initializer=None, arguments: tuple = ()) -> Executor:
    """Return workers: processes of their own, or for one job a thread of this process, which starts at once."""
    if jobs == 1:
        return ThreadPoolExecutor(1, initializer=initializer, initargs=arguments)
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer, arguments)


def _labels(spec: Spec, work: str, out: str) -> None:
    """Make the label map."""
    labels = around.make_labels(spec, Land.load(Path(work)))
    around.write_labels(Path(out) / "labels" / f"s2glc_{spec.years[0]}.tif", spec, labels)


def _view(spec: Spec, window: Window, work: str) -> None:
    """Make the view of one tile."""
    View.make(spec, Land.load(Path(work)), window).save(Path(work))


@dataclass(frozen=True)
class Task:
    """One scene to make."""

    out: str
    when: Pass
    tile: str
    again: bool
    """Deliver it a second time, as Collection-1."""
    split: bool
    """Deliver it in two halves, from two datastrips."""
    earth_search: bool
    flag_lies: bool
    """Earth Search's flag about the offset is wrong on this one."""


def _scene(task: Task) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make one scene and its products. Returns: the items of the Copernicus Data Space and those of Earth Search."""
    out, when, tile, again = Path(task.out), task.when, task.tile, task.again
    view = _worker["views"][tile]
    scene = observe(view, _worker["land"], when)
    # A scene of a few pixels is not delivered.
    if scene.valid.mean() < 0.005:
        return [], []
    first = Product(
        when, view.window, when.baseline, when.sensed + timedelta(hours=5, minutes=7, seconds=when.absolute % 60)
    )
    if task.split:
        items = [write_product(out, p, s) for p, s in _halves(first, scene)]
    else:
        items = [write_product(out, first, scene)]
    if again:
        # Collection-1: the same acquisition processed again years later, the offset now in the numbers.
        late = datetime(2023, 6, 12, 21, 42, 23, tzinfo=UTC) + timedelta(minutes=when.absolute % 1440)
        items.append(write_product(out, replace(first, baseline="05.00", made=late), scene))
    others = []
    if task.earth_search:
        late = when.sensed + timedelta(days=900)
        others.append(write_items(out, first, scene, "sentinel-2-l2a", task.flag_lies))
        others.append(write_items(out, replace(first, baseline="05.00", made=late), scene, "sentinel-2-c1-l2a", False))
    return items, others


def _halves(product: Product, scene: Scene) -> list[tuple[Product, Scene]]:
    """Cut a scene where one datastrip ends and the next begins: two products of one tile and one sensing time."""
    row = scene.valid.shape[0] * 3 // 5
    out = []
    for half in (1, 2):
        valid = scene.valid.copy()
        valid[row:] &= half == 2
        valid[:row] &= half == 1
        part = Scene(scene.bands, np.where(valid, scene.scl, 0).astype(np.uint8), valid)
        out.append((replace(product, half=half, made=product.made + timedelta(minutes=13 * (half - 1))), part))
    return out


def _spoil(part: Path, items: list[dict[str, Any]], spec: Spec) -> dict[str, str]:
    """Spoil one object and take one scene away. Returns: what was done, for world.json."""
    clear = sorted(
        (i for i in items if i["properties"]["statistics"]["nodata"] < 30),
        key=lambda i: i["properties"]["eo:cloud_cover"],
    )
    # Under some cloud, so that no year stands or falls with them; half of the skies are all but clear.
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


def _again(spec: Spec, all_passes: list[Pass]) -> set[datetime]:
    """Choose the acquisitions that were processed again: one every third year, of those before baseline 04.00 that see the whole place."""
    chosen = set()
    for year in spec.years[::3]:
        whole = [p for p in all_passes if p.sensed.year == year and p.edge is None and float(p.baseline) < 4]
        if whole:
            chosen.add(sorted(whole, key=lambda p: p.cover)[len(whole) // 2].sensed)
    return chosen


def _split(spec: Spec, all_passes: list[Pass], again: set[datetime]) -> datetime | None:
    """Choose the acquisition that one tile has in two halves: the clearest whole one of the second year."""
    year = spec.years[min(1, len(spec.years) - 1)]
    whole = [p for p in all_passes if p.sensed.year == year and p.edge is None and p.sensed not in again]
    return min(whole, key=lambda p: p.cover).sensed if whole else None


def make_world(
    out: Path,
    spec: Spec,
    *,
    jobs: int = 2,
    scenes: bool = True,
    points: int = 120,
    error_rate: float = 0.0,
    say=lambda text: None,
) -> Path:
    """Make a world in a folder that must not exist yet; it appears whole or not at all.

    Returns: the folder
    """
    if out.exists():
        raise FileExistsError(f"Folder '{out}': found one already, expected none. Name another or remove it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    work = part / ".work"
    work.mkdir(parents=True)
    clock = time.monotonic()

    def tell(text: str) -> None:
        say(f"{time.monotonic() - clock:6.1f} s  {text}")

    try:
        land = make_land(spec)
        land.save(work)
        tell(f"land of {spec.size_km:g} x {spec.size_km:g} km, {len(land.before)} surfaces")
        windows = [w for t in TILES if (w := tile_window(spec, t)) is not None]
        all_passes = passes(spec) if scenes else []
        again = _again(spec, all_passes)
        split = _split(spec, all_passes, again)
        tasks = [
            Task(
                str(part),
                p,
                w.tile.name,
                p.sensed in again,
                p.sensed == split and w is windows[-1],
                spec.earth_search,
                number % 5 == 2,
            )
            for number, p in enumerate(all_passes)
            for w in windows
        ]
        with _pool(jobs) as pool:
            # The label map takes longest of what lies around, so it goes first.
            waiting = [
                pool.submit(_labels, spec, str(work), str(part)),
                *(pool.submit(_view, spec, w, str(work)) for w in windows),
            ]
            truth = around.make_truth(spec, land)
            regions = around.make_regions(spec)
            around.write_truth(part / "truth", spec, truth)
            around.write_regions(part / "regions" / "nuts.gpkg", regions)
            around.write_region_truth(part / "truth" / "regions.csv", spec, regions, truth)
            around.write_population(part / "regions" / "population.csv", spec, regions, truth)
            around.write_zones(part / "truth", spec, regions)
            around.write_reference(part / "reference", spec, truth, points, error_rate)
            tell("truth, regions, reference")
            for job in waiting:
                job.result()
        tell("labels, views of the tiles")
        items: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        with _pool(jobs, _start, (spec, windows, str(work))) as pool:
            for made, also in pool.map(_scene, tasks):
                items += made
                others += also
        tell(f"{len(items)} products")
        items.sort(key=lambda item: item["id"])
        write_bytes(part / "stac" / "items.json", json.dumps({"type": "FeatureCollection", "features": items}).encode())
        if others:
            others.sort(key=lambda item: (item["collection"], item["id"]))
            write_bytes(
                part / "stac" / "earthsearch.json",
                json.dumps({"type": "FeatureCollection", "features": others}).encode(),
            )
        spoilt = _spoil(part, items, spec) if spec.broken and len(items) > 1 else {}
        world = {
            "world": VERSION, "settings": spec.as_dict(), "bounds": list(spec.bounds), "res_m": 20, "crs": "EPSG:3035",
            "years": list(spec.years), "label_year": spec.years[0], "collection": COLLECTION, "bucket": BUCKET,
            "tiles": [w.tile.name for w in windows], "items": len(items), "points": points, **spoilt, "interpreter_error_rate": error_rate,
            "materials": around.material_shares(spec, land, spec.years[0]),
        }  # fmt: skip
        shutil.rmtree(work)
        write_bytes(part / "world.json", (json.dumps(world, indent=1) + "\n").encode())
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    tell("done")
    return out


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and make the world."""
    parser = argparse.ArgumentParser(
        prog="python -m testsuite.archive.make", description="Make a small world whose truth is known."
    )
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--growth", type=float, default=0.003, help="new sealed land a year, as a share of the sealed land"
    )
    parser.add_argument("--years", type=parse_years, default=parse_years("2017-2023"), help="such as 2017-2019")
    parser.add_argument("--size-km", type=float, default=30.0)
    parser.add_argument("--dates", type=int, default=8, help="acquisitions a year")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--points", type=int, default=120, help="reference points a stratum")
    parser.add_argument(
        "--error-rate", type=float, default=0.0, help="share of reference labels that the interpreter gets wrong"
    )
    parser.add_argument("--no-clouds", action="store_true", help="a cloudless sky, for tests of geometry")
    parser.add_argument(
        "--no-noise", action="store_true", help="without the noise of the instrument, every acquisition in its place"
    )
    parser.add_argument(
        "--intact", action="store_true", help="leave out the corrupt object and the listed scene that is absent"
    )
    parser.add_argument("--earth-search", action="store_true", help="the same scenes also as Earth Search offers them")
    parser.add_argument(
        "--truth-only", action="store_true", help="no scenes: for judging a run of a world made elsewhere"
    )
    a = parser.parse_args(arguments)
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
            say=lambda t: print(t, file=sys.stderr),
        )
    except (ValueError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
