"""r.s2.fetch: from a catalogue to an archive of scenes on the grid."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.archive import band_path, sidecar_path
from imperviouslib.core.errors import (
    AccessError,
    CatalogueError,
    FetchError,
    ImperviousError,
    InputError,
    _,
    sentence,
    shown,
)
from imperviouslib.core.grid import Grid
from imperviouslib.core.options import parse_years
from imperviouslib.core.scenes import (
    BANDS,
    SCL,
    Scene,
    Window,
    covers,
    parse_item,
    parse_window,
    resolve_best,
    resolve_largest,
    resolve_newest,
)
from imperviouslib.edge import archivefile, grass, objects, pool, stac, warp
from imperviouslib.edge.files import check_place

_SAMPLES = 16
"""Points a side over a tile's part of the area by which coverage is judged."""
_MOST_DENIED = 3
"""Objects refused one after the other that end a run: the keys have expired."""


@dataclass(frozen=True)
class Area:
    """Where scenes are wanted."""

    grid: Grid
    """The cells to be fetched."""
    mask: np.ndarray
    """array (row, col), bool, over `grid` at any coarser resolution: where scenes are looked for."""

    def points(self, west: float, south: float, east: float, north: float) -> np.ndarray:
        """Spread points evenly over the area's part of a box. Returns: array (point, 2), metres."""
        g = self.grid
        west, south, east, north = max(west, g.west), max(south, g.south), min(east, g.east), min(north, g.north)
        if west >= east or south >= north:
            return np.empty((0, 2))
        if self.mask.all():
            steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
            x, y = (a.ravel() for a in np.meshgrid(west + steps * (east - west), south + steps * (north - south)))
            return np.column_stack((x, y))
        # Small areas would fall between points spread over the box: the mask's own cells are the points.
        rows, cols = np.nonzero(self.mask)
        x = g.west + (cols + 0.5) * (g.east - g.west) / self.mask.shape[1]
        y = g.north - (rows + 0.5) * (g.north - g.south) / self.mask.shape[0]
        inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
        points = np.column_stack((x, y))[inside]
        return points[:: max(1, len(points) // (4 * _SAMPLES**2))]


@dataclass(frozen=True)
class Choice:
    """The scenes of one tile in one year."""

    tile: str
    year: int
    scenes: tuple[Scene, ...]
    covered_pct: float
    """Share of the tile's part of the area that they cover, clouds or not."""


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Search, choose, list or fetch, link."""
    area = _area(options)
    years = parse_years(options["years"])
    bands = _parse_bands(options["bands"])
    archive = Path(options["output"]).expanduser().absolute()
    check_place(archive / "tile", "output")
    if not flags["n"]:
        mapnames.check_prefix(options["prefix"], "prefix")
    scenes = _find(options, area, years, bands)
    choices = _choose(scenes, options, area, years, bands)
    holes = _holes(choices, years)
    tasks = [
        archivefile.Task(
            scene, (*bands, SCL), archive, area.grid, options["resampling"], options["stac"], _retry(options)
        )
        for choice in choices
        for scene in choice.scenes
    ]
    due = [replace(task, bands=missing) for task in tasks if (missing := archivefile.missing_bands(task))]
    if flags["l"]:
        _list(tasks, due, choices, holes, _workers(options, tasks), options["format"])
        return 0
    archivefile.check_writable(archive)
    for year, tile in holes:
        grass.warning(f"Tile {tile} has no usable scene in {year}.")
    workers = _workers(options, due)
    # Where there may be fewer workers than processors, each decodes with several.
    threads = max(1, int(options["nprocs"]) // workers)
    with archivefile.in_use(archive):
        errors = _fetch([replace(task, threads=threads) for task in due], workers)
    if not flags["n"]:
        _show(tasks, options["prefix"], int(options["nprocs"]), link=not flags["i"])
    _report(tasks, due, errors, holes, options["format"])
    if errors and not flags["k"]:
        raise FetchError(
            _("{} of {} files").format(len(errors), sum(len(t.bands) for t in tasks)),
            # The first fault stands for all; each has had its own warning, with its own next step.
            found=next(iter(errors.values())).partition(", expected ")[0].replace(": found ", " with ", 1),
            expected=_("all to be fetched"),
            then=_("Run the same command again to fetch just what is missing, or use -k to go on without."),
        )
    return 0


def _area(options: Mapping[str, str]) -> Area:
    """Take the area from a vector map, a box in degrees, or the current region."""
    if options["area"]:
        grid, mask = grass.vector_area(options["area"])
        return Area(grid, mask)
    if options["bbox"]:
        return Area(warp.grid_of_lonlat(_parse_bbox(options["bbox"])), np.ones((1, 1), bool))
    return Area(grass.region_grid(), np.ones((1, 1), bool))


def _parse_bbox(text: str) -> tuple[float, float, float, float]:
    try:
        west, south, east, north = (float(word) for word in text.split(","))
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError
    except ValueError as err:
        raise InputError(
            _("Option <bbox>"),
            found=f"'{text}'",
            expected=_("west,south,east,north in degrees"),
            then=_("Write e.g. 4.2,50.7,4.6,51.0."),
        ) from err
    return west, south, east, north


def _parse_bands(text: str) -> tuple[str, ...]:
    bands = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    wrong = [band for band in bands if band not in BANDS]
    if wrong or len(set(bands)) != len(bands) or not bands:
        raise InputError(
            _("Option <bands>"),
            found=f"'{text}'",
            expected=_("some of ") + ", ".join(BANDS) + _(", each once"),
            then=_("Correct it; SCL comes by itself."),
        )
    return bands


def _retry(options: Mapping[str, str]) -> objects.RetryPolicy:
    return objects.RetryPolicy(tries=int(options["tries"]), timeout_s=float(options["timeout"]))


def _workers(options: Mapping[str, str], tasks: Sequence[archivefile.Task]) -> int:
    # One connection a worker. The archive of CDSE grants a user four at once and slows down those who take more.
    most = (
        objects.CDSE_CONNECTIONS if objects.is_cdse(a.href for t in tasks[:1] for a in t.scene.assets.values()) else 64
    )
    return max(1, min(int(options["nprocs"]), most, sum(len(task.bands) for task in tasks)))


def _find(options: Mapping[str, str], area: Area, years: Sequence[int], bands: Sequence[str]) -> list[Scene]:
    """Search every year's window and parse what is found; apply every filter again on our side."""
    window = parse_window(options["window"])
    clouds = float(options["clouds"])
    tiles = {tile.strip().removeprefix("T").upper() for tile in options["tiles"].split(",") if tile.strip()}
    # A file may hold more items than fit in memory: each is judged as it comes, and only what is needed is kept.
    kept: dict[str, Scene] = {}
    unread: dict[str, str] = {}
    seen = parsed = 0
    for item, base in _items(options, area, window, years):
        seen += 1
        try:
            scene = parse_item(item, base)
        except ImperviousError as err:
            unread.setdefault(str(item.get("id")), str(err))
            continue
        parsed += 1
        if missing := [band for band in (*bands, SCL) if band not in scene.assets]:
            unread[scene.id] = sentence(
                _("Item {}").format(scene.id),
                found=_("no {} at 20 m or finer").format(missing[0]),
                expected=", ".join((*bands, SCL)),
                then=_("Leave the band out."),
            )
        elif (
            any(window.holds(scene.day, year) for year in years)
            and scene.cloud_pct <= clouds
            and (not tiles or scene.tile in tiles)
        ):
            kept[scene.id] = replace(scene, assets={band: scene.assets[band] for band in (*bands, SCL)})
    first = next(iter(unread.values()), "")
    if unread:
        grass.warning(f"{len(unread)} of {seen} items cannot be used. The first: {first}")
    if not kept:
        raise CatalogueError(
            _("Search in '{}'").format(shown(options["stac"])),
            found=_("{} items, {} of them scenes of Sentinel-2 L2A, none left").format(seen, parsed),
            expected=_("scenes of {} within {} and at most {:g} % cloud over the area").format(
                options["years"], options["window"], clouds
            )
            + (_(" in tiles {}").format(", ".join(sorted(tiles))) if tiles else ""),
            then=_("Widen <window>, <clouds>, <years> or <tiles>, or check the region with g.region -l."),
        )
    return resolve_newest(kept.values())


def _items(
    options: Mapping[str, str], area: Area, window: Window, years: Sequence[int]
) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Yield items with the folder or address against which their relative links count."""
    if stac.is_file(options["stac"]):
        path = Path(options["stac"]).expanduser()
        for item in stac.read_collection(path):
            yield item, str(path.absolute().parent)
        return
    bbox = warp.lonlat_bounds(area.grid)
    for number, year in enumerate(years, start=1):
        grass.verbose(f"Searching {shown(options['stac'])} for {year}...")
        days = window.days(year)
        for item in stac.search(
            options["stac"], options["collection"] or None, bbox, *(day.isoformat() for day in days)
        ):
            own = next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), "")
            yield item, own.rsplit("/", 1)[0]
        grass.percent(number, len(years))


def _choose(
    scenes: Sequence[Scene], options: Mapping[str, str], area: Area, years: Sequence[int], bands: Sequence[str]
) -> list[Choice]:
    """Take the best scenes of each tile and year that meet the area."""
    window, count = parse_window(options["window"]), int(options["scenes"])
    by_tile: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_tile[scene.tile].append(scene)
    choices = []
    for tile, of_tile in sorted(by_tile.items()):
        rings = [warp.footprint_on_grid(scene.footprint) for scene in of_tile]
        corners = np.array([corner for ring in rings for corner in ring]).reshape(-1, 2)
        points = area.points(*corners.min(axis=0), *corners.max(axis=0)) if len(corners) else np.empty((0, 2))
        covered = np.array([covers(ring, points) for ring in rings])
        # Only the points that the tile meets in any year count for it.
        covered = covered[:, covered.any(axis=0)]
        for year in years:
            here = [i for i, s in enumerate(of_tile) if window.holds(s.day, year) and covered[i].any()]
            if options["choice"] == "bytes":
                chosen = resolve_largest([of_tile[i] for i in here], bands, count)
            else:
                chosen = resolve_best([of_tile[i] for i in here], covered[here], count)
            if chosen:
                ids = {scene.id for scene in chosen}
                share = covered[[i for i in here if of_tile[i].id in ids]].any(axis=0).mean()
                choices.append(Choice(tile, year, tuple(chosen), round(100 * float(share), 1)))
    if not choices:
        raise CatalogueError(
            _("Search"),
            found=_("{} scenes, none of which meets the area").format(len(scenes)),
            expected=_("scenes over the area"),
            then=_("Check the region with g.region -l."),
        )
    return choices


def _holes(choices: Sequence[Choice], years: Sequence[int]) -> list[tuple[int, str]]:
    """Return (year, tile) where a tile that some year has is missing."""
    have = {(choice.year, choice.tile) for choice in choices}
    return [(year, tile) for year in years for tile in sorted({c.tile for c in choices}) if (year, tile) not in have]


def _fetch(due: Sequence[archivefile.Task], workers: int) -> dict[tuple[str, str], str]:
    """Fetch what is due; one failed file does not keep the others from finishing.

    Returns: (scene, band) to what went wrong
    """
    total = sum(len(task.bands) for task in due)
    errors: dict[tuple[str, str], str] = {}
    if not total:
        grass.message("Nothing to fetch: all is there.")
        return errors
    expected = sum(task.scene.assets[band].size or 0 for task in due for band in task.bands)
    size = f", at most {expected / 1e6:.1f} MB" if expected else ""
    grass.message(f"Fetching {total} files of {len(due)} scenes{size}, with {workers} workers...")
    done, good, denied, read_bytes, start = 0, 0, 0, 0, time.monotonic()
    with contextlib.closing(
        pool.run_all(archivefile.fetch_scene, [p for task in due for p in task.parts()], workers)
    ) as results:
        for task, result in results:
            if isinstance(result, Exception):
                if not isinstance(result, (ImperviousError, pool.WorkerDiedError)):
                    raise result
                result = [archivefile.BandResult(task.scene.id, band, str(result)) for band in task.bands]
            done += len(result)
            for outcome in result:
                read_bytes += outcome.bytes_read
                good += not outcome.error
                denied = denied + 1 if outcome.denied else 0 if not outcome.error else denied
                if outcome.summary:
                    grass.verbose(f"Scene {outcome.scene}, {outcome.band}: {outcome.summary}.")
                if outcome.error:
                    errors[outcome.scene, outcome.band] = outcome.error
            grass.percent(done, total)
            spent = max(time.monotonic() - start, 1e-3)
            grass.verbose(
                f"{done} of {total} files, {read_bytes / 1e6:.1f} MB, {read_bytes / 1e6 / spent:.1f} MB/s, {spent / done * (total - done):.0f} s left"
            )
            if denied and (not good or denied >= _MOST_DENIED):
                reason = next(outcome.error for outcome in result if outcome.denied)
                _warn({key: error for key, error in errors.items() if error != reason})
                raise AccessError(reason)
    _warn(errors)
    return errors


def _warn(errors: Mapping[tuple[str, str], str]) -> None:
    for (scene, band), error in sorted(errors.items()):
        grass.warning(error if scene in error else f"Scene {scene}, {band}. {error}")


def _show(tasks: Sequence[archivefile.Task], prefix: str, nprocs: int, *, link: bool) -> None:
    """Bring the scenes into the mapset and register them in one space-time dataset."""
    lines: dict[str, str] = {}
    pictures = []
    for task in tasks:
        for band in task.bands:
            path = band_path(task.archive, task.scene, band)
            sidecar = archivefile.read_sidecar(sidecar_path(path))
            if sidecar is None or not path.is_file():
                continue
            sensed = task.scene.sensed_utc
            name = mapnames.scene_map(prefix, task.scene.tile, sensed, task.scene.id, band)
            lines[name] = f"{name}|{sensed[:19].replace('T', ' ')}"
            label = f"S2_{band.removeprefix('B').lstrip('0')}" if band != SCL else "S2_SCL"
            title, history = f"{band} of {task.scene.tile}, {sensed}", sidecar.history
            pictures.append(grass.SceneMap(path, name, title, history, label, sidecar.grid.bounds))
    known = grass.list_rasters(f"{prefix}_*")
    new = grass.outdated(pictures, link=link)
    if new:
        grass.message(f"{'Linking' if link else 'Importing'} {len(new)} maps...")
    grass.import_scenes(new, nprocs, link=link)
    if again := [lines[picture.name] for picture in new if picture.name in known]:
        grass.reregister(again)
    grass.register(prefix, f"Sentinel-2 scenes in {tasks[0].archive}", list(lines.values()))


def _list(
    tasks: Sequence[archivefile.Task],
    due: Sequence[archivefile.Task],
    choices: Sequence[Choice],
    holes: Sequence[tuple[int, str]],
    workers: int,
    form: str,
) -> None:
    """Print what would be fetched."""
    waiting = {task.scene.id: task.bands for task in due}
    rows = [
        {
            "scene": task.scene.id, "tile": task.scene.tile, "sensed_utc": task.scene.sensed_utc, "baseline": task.scene.baseline_text,
            "cloud_pct": task.scene.cloud_pct, "nodata_pct": task.scene.nodata_pct,
            "bands_to_fetch": list(waiting.get(task.scene.id, ())),
            "bytes": sum(task.scene.assets[b].size or 0 for b in waiting.get(task.scene.id, ())),
        }
        for task in tasks
    ]  # fmt: skip
    total, files = sum(row["bytes"] for row in rows), sum(len(row["bands_to_fetch"]) for row in rows)
    unknown = sum(task.scene.assets[band].size is None for task in due for band in task.bands)
    seconds = _estimate_s(due, workers)
    if form == "json":
        content = {
            "scenes": rows, "files": files, "bytes": total, "files_of_unknown_size": unknown, "estimate_s": seconds,
            "periods": [
                {"tile": c.tile, "year": c.year, "scenes": len(c.scenes), "covered_pct": c.covered_pct} for c in choices
            ],
            "holes": [{"year": y, "tile": t} for y, t in holes],
        }  # fmt: skip
        print(json.dumps(content, indent=1))
        return
    for row in rows:
        print(
            f"{row['tile']} {row['sensed_utc']} N{row['baseline']} cloud {row['cloud_pct']:5.1f} %, {len(row['bands_to_fetch'])} files to fetch {row['bytes'] / 1e6:8.1f} MB {row['scene']}"
        )
    for c in choices:
        print(f"tile {c.tile} {c.year}: {len(c.scenes)} scenes, {c.covered_pct:g} % of its part of the area covered")
    for year, tile in holes:
        print(f"hole: tile {tile} has no usable scene in {year}")
    more = f" and {unknown} files of unknown size" if unknown else ""
    print(
        f"{len(rows)} scenes, {files} files to fetch, up to {total / 1e6:.1f} MB{more}, {_minutes(seconds)} with {workers} worker{'s' if workers > 1 else ''}"
    )


def _minutes(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 60 else "less than a minute"


def _estimate_s(due: Sequence[archivefile.Task], workers: int) -> int:
    """Estimate the time of a run: the network at 20 MB/s a connection, or then decoding; a worker does one after the other.

    Decoding JPEG 2000 takes about 0.13 processor seconds a MB, the warp and writing 0.04; GeoTIFFs take a tenth.
    """
    sizes = [
        (task.scene.assets[b].size or 30_000_000, task.scene.assets[b].href.split("?", 1)[0].endswith(".jp2"))
        for task in due
        for b in task.bands
    ]
    network = sum(size for size, _ in sizes) / 20e6
    processor = sum(size / 1e6 * (0.17 if jp2 else 0.05) for size, jp2 in sizes)
    return round((network + processor) / workers)


def _report(
    tasks: Sequence[archivefile.Task],
    due: Sequence[archivefile.Task],
    errors: Mapping[tuple[str, str], str],
    holes: Sequence[tuple[int, str]],
    form: str,
) -> None:
    """Say what was fetched, what was there, and what failed and why."""
    files, wanted = sum(len(t.bands) for t in tasks), sum(len(t.bands) for t in due)
    if form == "json":
        failed = [{"scene": scene, "band": band, "error": error} for (scene, band), error in sorted(errors.items())]
        counts = {"scenes": len(tasks), "files": files, "fetched": wanted - len(errors), "there": files - wanted}
        print(json.dumps({**counts, "failed": failed, "holes": [{"year": y, "tile": t} for y, t in holes]}))
    else:
        print(
            f"{len(tasks)} scenes, {files} files: {wanted - len(errors)} fetched, {files - wanted} were there, {len(errors)} failed"
        )
