"""r.s2.fetch: from a catalogue to an archive of scenes on the grid."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imperviouslib.core import mapnames
from imperviouslib.core.archive import band_path, sidecar_path
from imperviouslib.core.bands import semantic_label
from imperviouslib.core.choice import Area, Choice, SceneFilter, resolve_choices, resolve_newest
from imperviouslib.core.errors import (
    AccessError,
    CatalogueError,
    FetchError,
    ImperviousError,
    _,
    counted,
    without_secrets,
)
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene, parse_item
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.settings.fetch import FetchSettings, LonLatBox
from imperviouslib.core.tiles import find_holes
from imperviouslib.edge import archivefile, grass, objects, stac, warp
from imperviouslib.edge.archivefile import BandResult, Task
from imperviouslib.edge.files import check_place
from imperviouslib.edge.schedule import Crew, WorkerDiedError, open_crew

_MAX_WORKERS = 64
_MAX_REFUSALS = 3
"""Refused objects without a success between them that end a run: the keys have expired."""
_MOST_REASONS = 4
"""Reasons that are told why items cannot be used."""
_PACKAGES = ("rasterio", "pyproj")
"""Packages on which the files depend."""
_TYPICAL_BYTES = 30_000_000
"""Bytes of an object whose size the catalogue does not give, for the estimate of time."""

Errors = Mapping[tuple[str, str], ImperviousError]
"""(scene id, band) to the error that kept it from being fetched."""


@dataclass(frozen=True)
class Found:
    """What a search found."""

    items: int
    """Items of the catalogue, each time it named them."""
    unusable: Mapping[str, ImperviousError]
    """Item to the reason why it cannot be used."""
    notes: Sequence[str] = ()
    """Sentences about the answers of the catalogue."""

    @property
    def lines(self) -> list[str]:
        """Say in one line which items are not used and why; nothing where all are."""
        if not self.unusable:
            return list(self.notes)
        reasons = Counter(error.found or error.thing for error in self.unusable.values())
        told = ", ".join(f"{reason} ({number})" for reason, number in reasons.most_common(_MOST_REASONS))
        more = _(", and others") if len(reasons) > _MOST_REASONS else ""
        first = next(iter(self.unusable))
        text = _("{} of {} items cannot be used: {}{}. The first is {}.")
        return [*self.notes, text.format(len(self.unusable), self.items, told, more, first)]

    @property
    def unusable_json(self) -> list[dict[str, str]]:
        """The items that cannot be used as reports in JSON have them."""
        return [{"item": item, "reason": str(error)} for item, error in self.unusable.items()]


@dataclass(frozen=True)
class Plan:
    """Which files are wanted, and which of them must still be fetched."""

    choices: Sequence[Choice]
    holes: Sequence[tuple[int, str]]
    """(year, tile) without a scene although the tile has one in another year."""
    tasks: Sequence[Task]
    """One task per scene, with all wanted bands."""
    due: Sequence[Task]
    """The tasks that have bands to fetch, with only these bands."""
    found: Found
    """What the search found, and what of it is not used."""

    @property
    def files(self) -> int:
        """Number of wanted files."""
        return sum(len(task.bands) for task in self.tasks)

    @property
    def files_due(self) -> int:
        """Number of files to fetch."""
        return sum(len(task.bands) for task in self.due)

    @property
    def holes_json(self) -> list[dict[str, Any]]:
        """The holes as reports in JSON have them."""
        return [{"year": year, "tile": tile} for year, tile in self.holes]


def main(options: Options, flags: Flags) -> int:
    """Parse the options and run."""
    return run(FetchSettings.parse(options, flags))


def run(settings: FetchSettings) -> int:
    """Search, choose, list or fetch, link, report. Returns: exit status."""
    area = _read_area(settings.area, settings.bbox)
    archive = settings.archive.expanduser().absolute()
    check_place(archive / "tile", "output")
    wanted = settings.scene_filter
    scenes, found = _find(settings.stac, settings.collection, wanted, area.grid)
    choices = _choose(scenes, area, wanted, count=settings.max_scenes, method=settings.choice)
    tasks = [
        Task(scene, wanted.all_bands, archive, area.grid, settings.resampling, settings.stac, settings.retry)
        for choice in choices
        for scene in choice.scenes
    ]
    due = [replace(task, bands=missing) for task in tasks if (missing := archivefile.missing_bands(task))]
    tiles = {year: {choice.tile for choice in choices if choice.year == year} for year in settings.years}
    plan = Plan(choices, find_holes(tiles), tasks, due, found)
    if settings.list_only:
        _print_plan(plan, _count_workers(plan.tasks, settings.nprocs), settings.format)
        return 0
    archivefile.check_writable(archive)
    for year, tile in plan.holes:
        grass.warning(_("Tile {} has no usable scene in {}.").format(tile, year))
    with archivefile.in_use(archive):
        errors = _fetch(plan.due, settings, archive)
    if not settings.no_maps:
        _update_maps(plan.tasks, settings.prefix, settings.nprocs, link=not settings.import_maps)
    _print_report(plan, errors, settings.format)
    if errors and not settings.keep_going:
        # The first error is an example; a warning has shown each of them.
        first = next(iter(errors.values()))
        example = f"{first.thing}: {first.found}" if first.found else first.thing
        raise FetchError(
            _("{} of {} files could not be fetched. The first error is: {}").format(len(errors), plan.files, example),
            then=_("Run the same command again to fetch only what is missing, or use -k to end without an error."),
        )
    return 0


def _read_area(vector: str | None, bbox: LonLatBox | None) -> Area:
    """Read the area from a vector map, a box in degrees, or the current region."""
    if vector:
        return Area(*grass.vector_area(vector))
    return Area.whole(warp.grid_of_lonlat(bbox) if bbox else grass.region_grid())


def _count_workers(tasks: Sequence[Task], available: int) -> int:
    """Return the number of workers: each has one connection, and the server may limit the connections."""
    files = sum(len(task.bands) for task in tasks)
    hrefs = (asset.href for task in tasks[:1] for asset in task.scene.assets.values())
    limit = objects.CDSE_CONNECTIONS if objects.is_cdse(hrefs) else _MAX_WORKERS
    return max(1, min(available, limit, files))


def _find(catalogue: str, collection: str | None, wanted: SceneFilter, grid: Grid) -> tuple[list[Scene], Found]:
    """Search every year's window, parse the items, and filter them again; keep the newest processing of each acquisition."""
    # A file may have more items than fit in memory: each is filtered as it is read, and only the needed parts are kept.
    kept: dict[str, Scene] = {}
    unusable: dict[str, ImperviousError] = {}
    notes: list[str] = []
    items = parsed = 0
    for item, base in _items(catalogue, collection, wanted, grid, notes):
        items += 1
        try:
            scene = parse_item(item, base)
        except ImperviousError as err:
            unusable.setdefault(_item_name(item, items), err)
            continue
        parsed += 1
        if missing := wanted.missing_bands(scene):
            unusable[scene.id] = CatalogueError(
                _("Item {}").format(scene.id),
                found=_("no {} at 20 m or finer").format(missing[0]),
                expected=", ".join(wanted.all_bands),
                then=_("Leave the band out."),
            )
        elif wanted.accepts(scene):
            kept[scene.id] = replace(scene, assets={band: scene.assets[band] for band in wanted.all_bands})
    found = Found(items, unusable, notes)
    if not kept:
        for line in found.lines:
            grass.warning(line)
        raise CatalogueError(
            _("Search in '{}'").format(without_secrets(catalogue)),
            found=_describe_found(items, parsed, collection),
            expected=_describe_filter(wanted),
            then=_("Widen <window>, <clouds>, <years> or <tiles>, or check the region with g.region -l."),
        )
    return resolve_newest(kept.values()), found


def _item_name(item: Mapping[str, Any], number: int) -> str:
    """Return the id of an item for messages, or its place where it has none that can be printed."""
    name = str(item.get("id") or "")
    return name[:100] if name.isprintable() and name else _("item {}").format(number)


def _describe_found(items: int, parsed: int, collection: str | None) -> str:
    """Say what a search found of which nothing can be used. A catalogue may answer with nothing for a collection that it does not have."""
    if not items:
        return _("0 items of collection '{}'").format(collection) if collection else _("0 items")
    return _("{} items, of which {} are scenes of Sentinel-2 L2A, none of which passes the filters").format(
        items, parsed
    )


def _describe_filter(wanted: SceneFilter) -> str:
    years = ", ".join(map(str, wanted.years))
    text = _("scenes of {} within {} with at most {:g} % cloud over the area")
    if wanted.tiles:
        text = _("scenes of {} within {} with at most {:g} % cloud over the area in tiles {}")
    return text.format(years, wanted.window, wanted.max_cloud_pct, ", ".join(wanted.tiles))


def _items(
    catalogue: str, collection: str | None, wanted: SceneFilter, grid: Grid, notes: list[str]
) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Yield items, each with the folder or address to which its relative links belong.

    notes : sentences about the search and the answers of the catalogue are added to it
    """
    if wanted.window.crosses_years:
        notes.append(
            _(
                "Window {0} belongs to the year of its first day. In r.s2.yearly, period=NAME:{0} puts the same scenes into the same year; period=year takes calendar years."
            ).format(wanted.window)
        )
    if stac.is_file(catalogue):
        path = Path(catalogue).expanduser()
        for item in stac.read_collection(path):
            yield item, str(path.absolute().parent)
        return
    bbox = warp.lonlat_bounds(grid)
    for number, year in enumerate(wanted.years, start=1):
        grass.verbose(_("Searching {} for {}...").format(without_secrets(catalogue), year))
        first, last = wanted.window.days(year)
        for item in stac.search(catalogue, collection, bbox, first.isoformat(), last.isoformat(), note=notes.append):
            yield item, stac.item_base(item, catalogue)
        grass.percent(number, len(wanted.years))


def _choose(scenes: Sequence[Scene], area: Area, wanted: SceneFilter, *, count: int, method: str) -> list[Choice]:
    """Choose the best scenes of each tile and year that meet the area."""
    footprints = {scene.id: [warp.footprint_on_grid(ring) for ring in scene.footprint] for scene in scenes}
    choices = resolve_choices(scenes, footprints, area, wanted, count=count, method=method)
    if not choices:
        raise CatalogueError(
            _("None of the {} scenes found covers any part of the area").format(len(scenes)),
            then=_("Check the region with g.region -l."),
        )
    return choices


def _fetch(due: Sequence[Task], settings: FetchSettings, archive: Path) -> dict[tuple[str, str], ImperviousError]:
    """Fetch the files that are due; if one fails, the others are fetched all the same.

    Returns: (scene id, band) to the error that kept it from being fetched; raises AccessError if the server refuses the keys
    """
    if not due:
        grass.message(_("Nothing to fetch: the archive holds all files."))
        return {}
    nprocs = _count_workers(due, settings.nprocs)
    with contextlib.ExitStack() as stack:
        # By its mark, workers tell that they see the same folder and not one of their own of that name.
        shared = (stack.enter_context(archivefile.marked(archive)),) if settings.scheduler else ()
        crew = stack.enter_context(open_crew(nprocs, settings.scheduler, shared=shared, packages=_PACKAGES))
        workers = _count_workers(due, crew.at_once)
        # If there may be fewer workers than processors, each worker decodes with several threads.
        threads = 1 if crew.is_remote else max(1, settings.nprocs // workers)
        return _fetch_by([replace(task, threads=threads) for task in due], crew, workers)


def _fetch_by(due: Sequence[Task], crew: Crew, workers: int) -> dict[tuple[str, str], ImperviousError]:
    """Fetch the files by a crew. workers : how many of it will work"""
    total = sum(len(task.bands) for task in due)
    errors: dict[tuple[str, str], ImperviousError] = {}
    expected = sum(task.scene.assets[band].size or 0 for task in due for band in task.bands)
    size = _(", at most {:.1f} MB").format(expected / 1e6) if expected else ""
    grass.message(
        _("Fetching {} of {}{}, with {}...").format(_files(total), _scenes(len(due)), size, _workers(workers))
    )
    done, good, bytes_read, start = 0, 0, 0, time.monotonic()
    refusals: list[AccessError] = []
    with contextlib.closing(
        crew.as_finished(
            archivefile.fetch_scene, [part for task in due for part in task.parts()], _count_workers(due, _MAX_WORKERS)
        )
    ) as results:
        for task, result in results:
            band_results = _failed(task, result) if isinstance(result, Exception) else result
            done += len(band_results)
            for band_result in band_results:
                bytes_read += band_result.bytes_read
                if band_result.error is None:
                    good += 1
                    refusals.clear()
                else:
                    errors[band_result.scene, band_result.band] = band_result.error
                if isinstance(band_result.error, AccessError):
                    refusals.append(band_result.error)
                if band_result.summary:
                    grass.verbose(
                        _("Scene {}, {}: {}.").format(band_result.scene, band_result.band, band_result.summary)
                    )
            grass.percent(done, total)
            spent = max(time.monotonic() - start, 1e-3)
            grass.verbose(
                _("{} of {} files, {:.1f} MB, {:.1f} MB/s, {:.0f} s left").format(
                    done, total, bytes_read / 1e6, bytes_read / 1e6 / spent, spent / done * (total - done)
                )
            )
            if refusals and (not good or len(refusals) >= _MAX_REFUSALS):
                _warn({key: error for key, error in errors.items() if str(error) != str(refusals[0])})
                raise refusals[0]
    _warn(errors)
    return errors


def _failed(task: Task, error: Exception) -> list[BandResult]:
    """Return the results of a task that ended by an exception; raise the exception if it is a fault of the program."""
    if isinstance(error, WorkerDiedError):
        error = FetchError(
            _("Scene {}: the worker process was killed").format(task.scene.id),
            then=_("Run the same command again, with a smaller nprocs= if the memory was full."),
        )
    if not isinstance(error, ImperviousError):
        raise error
    return [BandResult(task.scene.id, band, error) for band in task.bands]


def _warn(errors: Errors) -> None:
    for (scene, band), error in sorted(errors.items(), key=lambda entry: entry[0]):
        grass.warning(str(error) if scene in error.thing else _("Scene {}, {}. {}").format(scene, band, error))


def _update_maps(tasks: Sequence[Task], prefix: str, nprocs: int, *, link: bool) -> None:
    """Link or import the scenes into the mapset, and register them in one space-time dataset."""
    lines: dict[str, str] = {}
    scene_maps = []
    for task in tasks:
        for band in task.bands:
            path = band_path(task.archive, task.scene, band)
            sidecar = archivefile.read_sidecar(sidecar_path(path))
            if sidecar is None or not path.is_file():
                continue
            sensed = task.scene.sensed_utc
            name = mapnames.scene_map(prefix, task.scene.tile, sensed, task.scene.id, band)
            lines[name] = f"{name}|{sensed[:19].replace('T', ' ')}"
            title = f"{band} of {task.scene.tile}, {sensed}"
            scene_maps.append(
                grass.SceneMap(path, name, title, sidecar.history, semantic_label(band), sidecar.grid.bounds)
            )
    existing = grass.list_rasters(f"{prefix}_*")
    new = grass.outdated(scene_maps, link=link)
    if new:
        text = _("Linking {} maps...") if link else _("Importing {} maps...")
        grass.message(text.format(len(new)))
    grass.import_scenes(new, nprocs, link=link)
    if again := [lines[scene_map.name] for scene_map in new if scene_map.name in existing]:
        grass.reregister(again)
    grass.register(prefix, f"Sentinel-2 scenes in {tasks[0].archive}", list(lines.values()))


def _print_plan(plan: Plan, workers: int, form: str) -> None:
    """Print what would be fetched."""
    waiting = {task.scene.id: task.bands for task in plan.due}
    rows: list[dict[str, Any]] = [
        {
            "scene": task.scene.id, "tile": task.scene.tile, "sensed_utc": task.scene.sensed_utc, "baseline": task.scene.baseline_text,
            "cloud_pct": task.scene.cloud_pct, "nodata_pct": task.scene.nodata_pct,
            "bands_to_fetch": list(waiting.get(task.scene.id, ())),
            "bytes": sum(task.scene.assets[b].size or 0 for b in waiting.get(task.scene.id, ())),
        }
        for task in plan.tasks
    ]  # fmt: skip
    size = sum(row["bytes"] for row in rows)
    unknown = sum(task.scene.assets[band].size is None for task in plan.due for band in task.bands)
    seconds = _estimate_s(plan.due, workers)
    if form == "json":
        content = {
            "scenes": rows, "files": plan.files_due, "bytes": size, "files_of_unknown_size": unknown, "estimate_s": seconds,
            "periods": [
                {"tile": c.tile, "year": c.year, "scenes": len(c.scenes), "covered_pct": c.covered_pct}
                for c in plan.choices
            ],
            "holes": plan.holes_json, "unusable": plan.found.unusable_json, "notes": list(plan.found.notes),
        }  # fmt: skip
        print(json.dumps(content, indent=1))
        return
    for row in rows:
        print(
            f"{row['tile']} {row['sensed_utc']} N{row['baseline']} cloud {row['cloud_pct']:5.1f} %, {_files(len(row['bands_to_fetch']))} to fetch {row['bytes'] / 1e6:8.1f} MB {row['scene']}"
        )
    for c in plan.choices:
        print(f"tile {c.tile} {c.year}: {_scenes(len(c.scenes))}, {c.covered_pct:g} % of its part of the area covered")
    for year, tile in plan.holes:
        print(f"hole: tile {tile} has no usable scene in {year}")
    more = f" and {_files(unknown)} of unknown size" if unknown else ""
    print(
        f"{_scenes(len(rows))}, {_files(plan.files_due)} to fetch, up to {size / 1e6:.1f} MB{more}, {_minutes(seconds)} with {_workers(workers)}"
    )
    for line in plan.found.lines:
        print(line)


def _scenes(number: int) -> str:
    return counted(number, "{} scene", "{} scenes")


def _files(number: int) -> str:
    return counted(number, "{} file", "{} files")


def _workers(number: int) -> str:
    return counted(number, "{} worker", "{} workers")


def _minutes(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 60 else "less than a minute"


def _estimate_s(due: Sequence[Task], workers: int) -> int:
    """Estimate the time of a run: a worker reads at 20 MB/s, and then decodes.

    Decoding JPEG 2000 takes about 0.13 processor seconds a MB, warping and writing 0.04; decoding GeoTIFF takes a tenth.
    """
    sizes = [
        (task.scene.assets[b].size or _TYPICAL_BYTES, task.scene.assets[b].href.split("?", 1)[0].endswith(".jp2"))
        for task in due
        for b in task.bands
    ]
    network = sum(size for size, _ in sizes) / 20e6
    processor = sum(size / 1e6 * (0.17 if jp2 else 0.05) for size, jp2 in sizes)
    return round((network + processor) / workers)


def _print_report(plan: Plan, errors: Errors, form: str) -> None:
    """Print which files were fetched, which existed before, and which failed and why."""
    fetched, existed = plan.files_due - len(errors), plan.files - plan.files_due
    if form == "json":
        failed = [{"scene": scene, "band": band, "error": str(errors[scene, band])} for scene, band in sorted(errors)]
        counts = {"scenes": len(plan.tasks), "files": plan.files, "fetched": fetched, "there": existed}
        unusable, notes = plan.found.unusable_json, list(plan.found.notes)
        print(json.dumps({**counts, "failed": failed, "holes": plan.holes_json, "unusable": unusable, "notes": notes}))
    else:
        print(
            f"{_scenes(len(plan.tasks))}, {_files(plan.files)}: {fetched} fetched, {existed} existed before, {len(errors)} failed"
        )
        for line in plan.found.lines:
            print(line)
