"""r.s2.fetch: from a catalogue to an archive of scenes on the grid."""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from imperviouslib.core.archive import SUFFIX, band_path
from imperviouslib.core.errors import AccessError, CatalogueError, FetchError, ImperviousError, InputError, sentence
from imperviouslib.core.grid import Grid
from imperviouslib.core.scenes import (
    BANDS,
    SCL,
    Scene,
    covers,
    parse_item,
    parse_window,
    parse_years,
    resolve_best,
    resolve_largest,
    resolve_newest,
)
from imperviouslib.edge import archivefile, grassdb, objects, pool, stac, warp

_SAMPLES = 24
"""Points a side over the area by which coverage is judged."""


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Search, choose, list or fetch, link."""
    area = grassdb.region_grid()
    years = parse_years(options["years"])
    bands = _parse_bands(options["bands"])
    archive = Path(options["output"]).expanduser().absolute()
    scenes = _find(options, area, years)
    chosen = _choose(scenes, options, area, years, bands)
    tasks = [
        archivefile.Task(
            scene, (*bands, SCL), archive, area, options["resampling"], options["stac"], _patience(options)
        )
        for scene in chosen
    ]
    due = [replace(task, bands=missing) for task in tasks if (missing := archivefile.missing_bands(task))]
    holes = _holes(scenes, chosen, years)
    if flags["l"]:
        _list(tasks, due, holes, options["format"])
        return 0
    for year, tile in holes:
        grassdb.warning(f"Tile {tile} has no usable scene in {year}.")
    errors = _fetch(due, _workers(options, due))
    if not flags["n"]:
        _link(tasks, options["prefix"])
    _report(tasks, due, errors, options["format"])
    if errors and not flags["k"]:
        raise FetchError(
            sentence(
                f"{len(errors)} of {sum(len(t.bands) for t in tasks)} files",
                errors[0],
                "all to be fetched",
                "Run the same command again to fetch just what is missing, or use -k to go on without.",
            )
        )
    return 0


def _parse_bands(text: str) -> tuple[str, ...]:
    bands = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    wrong = [band for band in bands if band not in BANDS]
    if wrong or len(set(bands)) != len(bands) or not bands:
        raise InputError(
            sentence(
                "Option <bands>", f"'{text}'", "some of " + ", ".join(BANDS) + ", each once", "SCL comes by itself."
            )
        )
    return bands


def _patience(options: Mapping[str, str]) -> objects.Patience:
    return objects.Patience(tries=int(options["tries"]), timeout_s=float(options["timeout"]))


def _workers(options: Mapping[str, str], due: Sequence[archivefile.Task]) -> int:
    wanted = max(1, int(options["nprocs"]))
    # One connection a worker; the archive of CDSE grants a user four at once and slows down those who take more.
    return min(wanted, objects.CDSE_CONNECTIONS, max(1, len(due)))


def _find(options: Mapping[str, str], area: Grid, years: Sequence[int]) -> list[Scene]:
    """Search every year's window and parse what is found; apply every filter again on our side."""
    window = parse_window(options["window"])
    clouds = float(options["clouds"])
    tiles = {tile.strip().removeprefix("T").upper() for tile in options["tiles"].split(",") if tile.strip()}
    if stac.is_file(options["stac"]):
        path = Path(options["stac"]).expanduser()
        items, base = stac.read_collection(path), str(path.absolute().parent)
    else:
        bbox, base = warp.lonlat_bounds(area), ""
        items = []
        for number, year in enumerate(years):
            grassdb.verbose(f"Searching {options['stac']} for {year}...")
            items += stac.search(
                options["stac"], options["collection"] or None, bbox, *(day.isoformat() for day in window.days(year))
            )
            grassdb.percent(number + 1, len(years))
    scenes, unread = [], []
    for item in {item.get("id"): item for item in items}.values():
        try:
            scenes.append(parse_item(item, base))
        except (CatalogueError, ImperviousError) as err:
            unread.append(str(err))
    if unread:
        grassdb.warning(f"{len(unread)} of {len(items)} items cannot be used. The first: {unread[0]}")
    kept = [
        scene
        for scene in scenes
        if any(window.holds(scene.day, year) for year in years)
        and scene.cloud_pct <= clouds
        and (not tiles or scene.tile in tiles)
        and SCL in scene.assets
    ]
    if not kept:
        raise CatalogueError(
            sentence(
                f"Search in '{options['stac']}'",
                f"{len(items)} items, {len(scenes)} of them scenes of Sentinel-2 L2A, none left",
                f"scenes of {options['years']} within {options['window']} and at most {clouds:g} % cloud over the region",
                "Widen <window>, <clouds> or <years>, or check the region with g.region -l.",
            )
        )
    return resolve_newest(kept)


def _choose(
    scenes: Sequence[Scene], options: Mapping[str, str], area: Grid, years: Sequence[int], bands: Sequence[str]
) -> list[Scene]:
    """Take the best scenes of each tile and year that meet the area."""
    window = parse_window(options["window"])
    count = int(options["scenes"])
    points = _points(area)
    covered = {scene.id: covers(warp.footprint_on_grid(scene.footprint), points) for scene in scenes}
    groups: dict[tuple[str, int], list[Scene]] = defaultdict(list)
    for scene, year in itertools.product(scenes, years):
        if window.holds(scene.day, year):
            groups[scene.tile, year].append(scene)
    chosen: list[Scene] = []
    for key in sorted(groups):
        # Only the points that the tile meets in any year count for it.
        of_tile = [s for s in scenes if s.tile == key[0]]
        met = [i for i in range(len(points)) if any(covered[s.id][i] for s in of_tile)]
        here = {s.id: [covered[s.id][i] for i in met] for s in groups[key]}
        meeting = [s for s in groups[key] if any(here[s.id])]
        if options["choice"] == "bytes":
            chosen += resolve_largest(meeting, bands, count)
        else:
            chosen += resolve_best(meeting, here, count)
    if not chosen:
        raise CatalogueError(
            sentence(
                "Search",
                f"{len(scenes)} scenes, none of which meets the region",
                "scenes over the region",
                "Check the region with g.region -l.",
            )
        )
    return chosen


def _points(area: Grid) -> list[tuple[float, float]]:
    xs = [area.west + (i + 0.5) * (area.east - area.west) / _SAMPLES for i in range(_SAMPLES)]
    ys = [area.south + (i + 0.5) * (area.north - area.south) / _SAMPLES for i in range(_SAMPLES)]
    return [(x, y) for y in ys for x in xs]


def _holes(scenes: Sequence[Scene], chosen: Sequence[Scene], years: Sequence[int]) -> list[tuple[int, str]]:
    """Return (year, tile) where a tile that some year has is missing."""
    have = {(scene.year, scene.tile) for scene in chosen}
    return [(year, tile) for year in years for tile in sorted({s.tile for s in chosen}) if (year, tile) not in have]


def _fetch(due: Sequence[archivefile.Task], workers: int) -> list[str]:
    """Fetch what is due; one failed file does not keep the others from finishing."""
    total = sum(len(task.bands) for task in due)
    if not total:
        grassdb.message("Nothing to fetch: all is there.")
        return []
    grassdb.message(f"Fetching {total} files of {len(due)} scenes with {workers} workers...")
    errors: list[str] = []
    done, read_bytes, start = 0, 0, time.monotonic()
    for task, result in pool.run_all(archivefile.fetch_scene, due, workers):
        if isinstance(result, AccessError):
            raise result
        if isinstance(result, Exception):
            if not isinstance(result, (ImperviousError, pool.WorkerDiedError, OSError)):
                raise result
            errors.append(f"{task.scene.id}: {result}")
            done += len(task.bands)
        else:
            errors += [outcome.error for outcome in result if outcome.error]
            read_bytes += sum(outcome.read_bytes for outcome in result)
            done += len(result)
        grassdb.percent(done, total)
        spent = max(time.monotonic() - start, 1e-3)
        grassdb.verbose(
            f"{done}/{total} files, {read_bytes / 1e6:.1f} MB, {read_bytes / 1e6 / spent:.1f} MB/s, {spent / done * (total - done):.0f} s left"
        )
    for error in errors:
        grassdb.warning(error)
    return errors


def _link(tasks: Sequence[archivefile.Task], prefix: str) -> None:
    """Link the scenes into the mapset and register them in one space-time dataset."""
    lines, number = [], 0
    known = grassdb.list_rasters(f"{prefix}_*")
    for task in tasks:
        for band in task.bands:
            number += 1
            grassdb.percent(number, len(tasks) * len(task.bands))
            path = band_path(task.archive, task.scene, band)
            content = archivefile.read_sidecar(path.with_suffix(SUFFIX))
            if content is None or not path.is_file():
                continue
            sensed = task.scene.sensed_utc
            name = grassdb.map_name(prefix, task.scene.tile, sensed[:19].replace(":", ""), task.scene.id[-6:], band)
            label = f"S2_{band.removeprefix('B').lstrip('0')}" if band != SCL else "S2_SCL"
            if name not in known:
                grassdb.link_file(path, name)
                grassdb.describe(
                    name,
                    title=f"{band} of {task.scene.tile}, {sensed}",
                    history=archivefile.describe_sidecar(content),
                    semantic_label=label,
                )
            lines.append(f"{name}|{sensed[:19].replace('T', ' ')}")
    grassdb.register(prefix, f"Sentinel-2 scenes in {tasks[0].archive}", lines)


def _list(
    tasks: Sequence[archivefile.Task], due: Sequence[archivefile.Task], holes: Sequence[tuple[int, str]], form: str
) -> None:
    """Print what would be fetched."""
    waiting = {task.scene.id: task.bands for task in due}
    rows = [
        {
            "scene": task.scene.id, "tile": task.scene.tile, "sensed_utc": task.scene.sensed_utc, "baseline": task.scene.baseline_text,
            "cloud_pct": task.scene.cloud_pct, "bands_to_fetch": list(waiting.get(task.scene.id, ())),
            "bytes": sum(task.scene.assets[b].size or 0 for b in waiting.get(task.scene.id, ()) if b in task.scene.assets),
        }
        for task in tasks
    ]  # fmt: skip
    total = sum(row["bytes"] for row in rows)
    if form == "json":
        print(
            json.dumps({"scenes": rows, "bytes": total, "holes": [{"year": y, "tile": t} for y, t in holes]}, indent=1)
        )
        return
    for row in rows:
        print(
            f"{row['tile']} {row['sensed_utc']} N{row['baseline']} cloud {row['cloud_pct']:5.1f} % fetch {len(row['bands_to_fetch'])} {row['bytes'] / 1e6:8.1f} MB {row['scene']}"
        )
    print(f"{len(rows)} scenes, {sum(len(r['bands_to_fetch']) for r in rows)} files to fetch, {total / 1e6:.1f} MB")
    for year, tile in holes:
        print(f"hole: tile {tile} has no usable scene in {year}")


def _report(
    tasks: Sequence[archivefile.Task], due: Sequence[archivefile.Task], errors: Sequence[str], form: str
) -> None:
    files, fetched = sum(len(t.bands) for t in tasks), sum(len(t.bands) for t in due) - len(errors)
    if form == "json":
        print(json.dumps({"scenes": len(tasks), "files": files, "fetched": fetched, "failed": list(errors)}))
    else:
        print(
            f"{len(tasks)} scenes, {files} files: {fetched} fetched, {files - fetched - len(errors)} were there, {len(errors)} failed"
        )
