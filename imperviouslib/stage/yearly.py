"""r.s2.yearly: from an archive of scenes to one composite a period."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import mapnames
from imperviouslib.core.archive import Sidecar
from imperviouslib.core.bands import SCL
from imperviouslib.core.baseline import Processing, parse_baseline, resolve_newest
from imperviouslib.core.composite import (
    NO_SCENE,
    STATISTICS,
    Observations,
    by_overpass,
    clear,
    cloud_distance,
    false_alarms,
    margin,
    resolve_common_tiles,
    score,
)
from imperviouslib.core.errors import InputError, _, sentence
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.options import parse_years
from imperviouslib.core.periods import Period, resolve_periods
from imperviouslib.core.provenance import CompositeProvenance, MaskScenes, SceneRecord
from imperviouslib.edge import alignment, archivefile, grass
from imperviouslib.edge.files import check_place, write_json
from imperviouslib.edge.rasterfile import OpenRasters, TiffWriter

_LAYERS = 64
"""Layers of a whole block held at a time; where there are more, the block is worked on in quarters or sixteenths."""
_FORMS = {"count": ("uint8", NO_SCENE), "spread": ("uint16", 65535), "quality": ("uint8", 255)}
"""Type and no data of the GeoTIFFs; features are uint16 with 0."""
_TITLES = {
    "count": "Clear observations",
    "spread": "Days between the first and the last clear observation",
    "quality": "Quality of the composite, 0-100",
}


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene: band to sidecar, SCL among them."""

    bands: Mapping[str, Sidecar]

    @property
    def any(self) -> Sidecar:
        """One of the sidecars, for what all share."""
        return self.bands[SCL]


@dataclass(frozen=True)
class Recipe:
    """What makes a composite what it is, but for its scenes."""

    method: str
    mask: str
    """scl or dates."""
    dilate: int
    """Cells."""
    tiles: str
    bands: tuple[str, ...]
    quality: bool
    """Also map the spread of dates and the quality."""

    @property
    def settings(self) -> dict[str, Any]:
        """What goes into the provenance."""
        if self.method == "largest":
            return {"method": self.method, "tiles": self.tiles}
        return {"method": self.method, "mask": self.mask, "dilate": self.dilate, "tiles": self.tiles}

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the bands."""
        return tuple(f"{band}_{STATISTICS[self.method]}" for band in self.bands)

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of all maps of a period, without prefix and period."""
        return (*self.features, "count", *(("spread", "quality") if self.quality else ()))


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Read the archive, choose tiles, composite each period, bring it into the mapset."""
    archive = Path(options["input"]).expanduser().absolute()
    if options["report"]:
        check_place(Path(options["report"]), "report")
    if flags["c"]:
        return _check(archive, options)
    mapnames.check_prefix(options["output"], "output")
    recipe = _recipe(options, flags)
    area = grass.region_grid()
    scenes = _read(archive, recipe.bands, area)
    years = _resolve_years(options["years"], scenes, archive)
    periods = resolve_periods(years, [word.strip() for word in options["period"].split(",") if word.strip()])
    tiles, holes = _resolve_tiles(options["tiles"], scenes, years)
    report: dict[str, Any] = {
        "tiles": sorted(tiles),
        "holes": [{"year": y, "tile": t} for y, t in holes],
        "scenes": {
            str(year): dict(sorted(Counter(s.any.tile for s in scenes if s.any.year == year).items())) for year in years
        },
        "version": __version__,
    }
    with grass.lock_maps(options["output"]):
        here = [scene for scene in scenes if scene.any.tile in tiles]
        report["periods"] = _make(periods, here, recipe, area, options, link=flags["l"])
        # Last, since a run that is stopped and started again would be refused for it.
        if options["tilemap"]:
            _write_tilemap(options["tilemap"], scenes, years, tiles)
    if options["report"]:
        write_json(Path(options["report"]).expanduser(), report)
    _print(report, options["format"])
    return 0


def _make(
    periods: Sequence[Period],
    scenes: Sequence[SceneFiles],
    recipe: Recipe,
    area: Grid,
    options: Mapping[str, str],
    *,
    link: bool,
) -> dict[str, Any]:
    """Make the maps of each period that has scenes, register them, and return a summary per period."""
    summaries, lines = {}, []
    for period in periods:
        used = [scene for scene in scenes if period.holds(scene.any.sensed_utc)]
        if not used:
            grass.warning(f"No scene in {period.name}: no composite.")
            continue
        if recipe.method == "largest":
            names, summary = _largest(period, used, recipe, area, options["output"])
        else:
            # Errors of SCL show over many dates, so a month is masked with all scenes of its year.
            mask_scenes = [scene for scene in scenes if scene.any.year == period.year]
            names, summary = _compose(
                period, used, mask_scenes, recipe, area, options["output"], threads=int(options["nprocs"]), link=link
            )
        summaries[period.name] = summary
        lines += [f"{name}|{period.first} 00:00:00|{period.after} 00:00:00" for name in names]
    grass.register(options["output"], f"Composites ({recipe.method})", lines)
    return summaries


def _recipe(options: Mapping[str, str], flags: Mapping[str, bool]) -> Recipe:
    bands = tuple(dict.fromkeys(band.strip().upper() for band in options["bands"].split(",") if band.strip()))
    if not bands or SCL in bands:
        raise InputError(
            _("Option <bands>"),
            found=f"'{options['bands']}'",
            expected=_("bands with reflectance such as B12,B11,B04"),
            then=_("Correct it."),
        )
    largest = options["method"] == "largest"
    if largest and flags["q"]:
        raise InputError(
            _("Flag -q"),
            found=_("method=largest"),
            expected=_("a method that takes cells from several scenes"),
            then=_("Leave one of them out."),
        )
    return Recipe(options["method"], options["mask"], int(options["dilate"]), options["tiles"], bands, flags["q"])


def _check(archive: Path, options: Mapping[str, str]) -> int:
    """Test that all files of the archive lie on the one grid, whole and of the right type, and the years on each other."""
    sidecars, findings, shifts = alignment.check_archive(archive, grass.percent)
    if not sidecars and not findings:
        raise InputError(_empty(archive))
    report = {"files": len(sidecars), "findings": findings, "shifts": shifts}
    if options["report"]:
        write_json(Path(options["report"]).expanduser(), report)
    if options["format"] == "json":
        print(json.dumps(report, indent=1))
        return 1 if findings else 0
    for finding in findings:
        print(finding)
    for shift in shifts:
        if shift["judged"]:
            print(
                f"tile {shift['tile']}: {shift['year']} against {shift['reference']} in {shift['band']}: {shift['rows']:+.2f} rows, "
                f"{shift['cols']:+.2f} columns ({shift['windows']} windows, scatter {shift['scatter']:.2f})"
            )
        else:
            print(
                f"tile {shift['tile']}: {shift['year']} against {shift['reference']}: too little clear ground to tell a shift"
            )
    print(f"{len(sidecars)} files, {len(findings)} findings")
    return 1 if findings else 0


def _empty(archive: Path) -> str:
    return sentence(
        _("Archive '{}'").format(archive),
        found=_("no whole scene"),
        expected=_("an archive written by r.s2.fetch"),
        then=_("Check option <input>, or run r.s2.fetch."),
    )


def _read(archive: Path, bands: Sequence[str], area: Grid) -> list[SceneFiles]:
    """Read the scenes that have all bands and SCL and meet the area."""
    groups: dict[tuple[str, str], dict[str, Sidecar]] = defaultdict(dict)
    for sidecar in archivefile.read_archive(archive):
        groups[sidecar.tile, sidecar.scene][sidecar.band] = sidecar
    if not groups:
        raise InputError(_empty(archive))
    whole = [SceneFiles(files) for files in groups.values() if all(band in files for band in (*bands, SCL))]
    if len(whole) < len(groups):
        lacking = next(key[1] for key, files in groups.items() if not all(band in files for band in (*bands, SCL)))
        grass.warning(
            f"{len(groups) - len(whole)} scenes lack a band and are left out, such as {lacking}. Run r.s2.fetch again to complete them."
        )
    if not whole:
        raise InputError(
            _("Archive '{}'").format(archive),
            found=_("no scene with all of {}").format(", ".join((*bands, SCL))),
            expected=_("scenes that have each band"),
            then=_("Fetch what is missing with bands= of r.s2.fetch, or leave it out of <bands>."),
        )
    meeting = [scene for scene in _newest(whole) if scene.any.grid.intersection(area)]
    if not meeting:
        raise InputError(
            _("Archive '{}'").format(archive),
            found=_("{} whole scenes, none of which meets the region").format(len(whole)),
            expected=_("scenes over the region"),
            then=_("Check the region with g.region -l, and <bands>."),
        )
    outside = next((scene for scene in meeting if scene.any.grid.res_m != area.res_m), None)
    if outside:
        raise InputError(
            _("Scene {}").format(outside.any.scene),
            found=_("cells of {} m").format(outside.any.grid.res_m),
            expected=_("{} m as in the region").format(area.res_m),
            then=_("Use one resolution."),
        )
    return meeting


def _newest(scenes: Iterable[SceneFiles]) -> list[SceneFiles]:
    """Keep one scene per acquisition, as r.s2.fetch chooses it: an archive that grew over time may hold an older processing too."""
    return resolve_newest(scenes, _processing)


def _processing(scene: SceneFiles) -> Processing:
    one = scene.any
    return Processing(one.tile, one.datatake, one.datastrip, parse_baseline(one.baseline), one.scene)


def _resolve_years(text: str, scenes: Sequence[SceneFiles], archive: Path) -> tuple[int, ...]:
    there = sorted({scene.any.year for scene in scenes})
    if not text:
        return tuple(there)
    years = parse_years(text)
    missing = [year for year in years if year not in there]
    if missing:
        raise InputError(
            _("Archive '{}'").format(archive),
            found=_("no whole scene over the region in {}").format(missing[0]),
            expected=_("scenes in each of {}").format(text),
            then=_("Fetch {} with r.s2.fetch, or leave it out; there are {}.").format(
                missing[0], ", ".join(map(str, there))
            ),
        )
    return years


def _resolve_tiles(
    text: str, scenes: Sequence[SceneFiles], years: Sequence[int]
) -> tuple[set[str], list[tuple[int, str]]]:
    per_year = {year: {s.any.tile for s in scenes if s.any.year == year} for year in years}
    common, holes = resolve_common_tiles(per_year)
    for year, tile in holes:
        grass.warning(
            f"Tile {tile} is missing in {year}." + (" It is left out of all years." if text == "common" else "")
        )
    everything = set.union(*per_year.values())
    if text == "common":
        if not common:
            raise InputError(
                _("Tiles"),
                found=_("none that all years have: ")
                + "; ".join(f"{y}: {', '.join(sorted(t)) or 'none'}" for y, t in per_year.items()),
                expected=_("at least one"),
                then=_("Fetch the missing ones with r.s2.fetch, or use tiles=all."),
            )
        return common, holes
    if text == "all":
        return everything, holes
    wanted = {tile.strip().removeprefix("T").upper() for tile in text.split(",")}
    if not wanted <= everything:
        raise InputError(
            _("Option <tiles>"),
            found=", ".join(sorted(wanted - everything)),
            expected=_("tiles of the archive: ") + ", ".join(sorted(everything)),
            then=_("Correct it, or fetch the tile."),
        )
    return wanted, holes


def _provenance(
    period: Period,
    feature: str,
    used: Sequence[SceneFiles],
    recipe: Recipe,
    area: Grid,
    mask_scenes: Sequence[SceneFiles] = (),
) -> CompositeProvenance:
    files = (*recipe.bands, SCL)
    scenes = tuple(
        SceneRecord(
            scene.any.scene, scene.any.tile, scene.any.sensed_utc, scene.any.baseline, _offset(scene), _rule(scene),
            {band: scene.bands[band].output_sha256 for band in sorted(files)},
        )
        for scene in used
    )  # fmt: skip
    masked_by = None
    if recipe.mask == "dates" and len(mask_scenes) > len(used):
        text = " ".join(sorted(scene.any.output_sha256 for scene in mask_scenes))
        masked_by = MaskScenes(len(mask_scenes), hashlib.sha256(text.encode()).hexdigest())
    return CompositeProvenance(
        period.name, feature, recipe.method, recipe.settings, scenes, area, __version__, masked_by
    )


def _reflectance(scene: SceneFiles) -> Sidecar:
    return next(sidecar for band, sidecar in sorted(scene.bands.items()) if band != SCL)


def _offset(scene: SceneFiles) -> int:
    return _reflectance(scene).offset_dn


def _rule(scene: SceneFiles) -> str:
    return _reflectance(scene).offset_rule


def _is_there(names: Mapping[str, str], provenance: Mapping[str, CompositeProvenance]) -> bool:
    """Tell whether all maps of a period are there, made in this very way; raise InputError where one was made in another.

    Maps get their name last, so one that has it is whole. Some without the others are what a killed run leaves: the period is made again.
    """
    if grass.overwrite():
        return False
    there = [feature for feature, name in names.items() if grass.exists(name)]
    for feature in there:
        if grass.read_provenance(names[feature]) != provenance[feature]:
            raise InputError(
                _("Map <{}>").format(names[feature]),
                found=_("one made of other scenes, of another region or in another way"),
                expected=_("none, or one that this very command has made"),
                then=_("Use --overwrite to replace it, or another output."),
            )
    return len(there) == len(names)


def _compose(
    period: Period,
    used: Sequence[SceneFiles],
    mask_scenes: Sequence[SceneFiles],
    recipe: Recipe,
    area: Grid,
    prefix: str,
    *,
    threads: int,
    link: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Composite one period block by block and bring its maps into the mapset."""
    names = {layer: PeriodMap(prefix, period.name, layer).name for layer in recipe.maps}
    provenance = {feature: _provenance(period, feature, used, recipe, area, mask_scenes) for feature in names}
    if _is_there(names, provenance):
        grass.message(f"Composite of {period.name} is there already.")
        _finish(prefix, period, names, recipe)
        return list(names.values()), _summary(names["count"], area, used)
    grass.message(f"Composite of {period.name} from {_scenes(len(used))}...")
    folder = grass.linked_folder() if link else grass.temporary_folder()
    # A name of its own: the file of a map that is there must not change under it.
    mark = uuid.uuid4().hex[:8]
    paths = {feature: folder / f"{name}.{mark}.tif" for feature, name in names.items()}
    _write_planes(paths, period, used, mask_scenes, recipe, area, threads)
    history = (
        f"r.s2.yearly {' '.join(f'{k}={v}' for k, v in recipe.settings.items())}, {len(used)} scenes: "
        + " ".join(s.any.scene for s in used)
    )
    # The names come last: whatever carries one is whole, and a killed run leaves nothing that looks finished.
    for feature, name in names.items():
        part = f"{name}_part"
        grass.import_tiff(paths[feature], part, link=link, replace=True)
        if not link:
            paths[feature].unlink()
        band = feature.partition("_")[0]
        grass.describe(
            part,
            title=f"{_TITLES.get(feature) or f'{recipe.method.capitalize()} of {band}, reflectance x 10000'}, {period.name}",
            history=history,
            provenance=provenance[feature],
            units=None if feature in _FORMS else "reflectance x 10000",
            semantic_label=None if feature in _FORMS else "S2_" + band.removeprefix("B").lstrip("0"),
        )
        grass.run("r.colors", map=part, color="viridis" if feature in _FORMS else "grey.eq")
    grass.rename({f"{name}_part": name for name in names.values()})
    _finish(prefix, period, names, recipe)
    return list(names.values()), _summary(names["count"], area, used)


def _finish(prefix: str, period: Period, names: Mapping[str, str], recipe: Recipe) -> None:
    """Remove files that no map of the period is linked to any more and group its features, also where a run was stopped before it did."""
    grass.remove_superseded(names.values())
    grass.run("i.group", group=mapnames.joined(prefix, period.name), input=",".join(names[f] for f in recipe.features))


def _write_planes(
    paths: Mapping[str, Path],
    period: Period,
    used: Sequence[SceneFiles],
    mask_scenes: Sequence[SceneFiles],
    recipe: Recipe,
    area: Grid,
    threads: int,
) -> None:
    """Write the GeoTIFFs of a period; some blocks are in work at a time, whatever the extent."""
    blocks = list(_blocks(area))
    with contextlib.ExitStack() as stack:
        writers = {}
        rasters = stack.enter_context(OpenRasters())
        for feature, path in paths.items():
            dtype, nodata = _FORMS.get(feature, ("uint16", 0))
            writers[feature] = stack.enter_context(TiffWriter(path, area, dtype, nodata=nodata))
        pool = stack.enter_context(ThreadPoolExecutor(max(1, threads)))
        work = _in_order(
            pool,
            lambda part: compose_block(part, period, used, mask_scenes, recipe, rasters),
            blocks,
            max(1, threads) + 1,
        )
        for number, (part, planes) in enumerate(zip(blocks, work, strict=True), start=1):
            for feature, writer in writers.items():
                writer.write(planes[feature], part)
            grass.percent(number, len(blocks))


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Grid], Any], parts: Iterable[Grid], ahead: int
) -> Iterator[Any]:
    """Yield results in the order of the parts; no more than `ahead` are in work or waiting, so that memory stays bounded."""
    waiting: deque = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _blocks(area: Grid) -> Iterator[Grid]:
    """Cut an area into blocks from its own north-western corner, where the tiles of files begin that are cut to it: fewer are decoded twice."""
    step = BLOCK * area.res_m
    for north in range(area.north, area.south, -step):
        for west in range(area.west, area.east, step):
            yield Grid(west, max(area.south, north - step), min(area.east, west + step), north, area.res_m)


def compose_block(
    block: Grid,
    period: Period,
    used: Sequence[SceneFiles],
    mask_scenes: Sequence[SceneFiles],
    recipe: Recipe,
    rasters: OpenRasters,
) -> dict[str, np.ndarray]:
    """Composite one block. A cell's values do not depend on the block: enough of the surroundings is read.

    Returns: by feature, array (row, col): reflectance x 10000, uint16, 0 = never clear; count, uint8, 255 = no scene; spread, uint16,
    65535 = never clear; quality, uint8, 255 = never clear
    """
    out = {feature: np.empty(block.shape, _FORMS.get(feature, ("uint16", 0))[0]) for feature in recipe.maps}
    layers = len({s.any.datatake for s in used}) * len(recipe.bands)
    step = BLOCK if layers <= _LAYERS else BLOCK // 2 if layers <= 4 * _LAYERS else BLOCK // 4
    for part in block.blocks(step):
        for feature, plane in _compose_part(part, period, used, mask_scenes, recipe, rasters).items():
            out[feature][part.slices_in(block)] = plane
    return out


def _compose_part(
    part: Grid,
    period: Period,
    used: Sequence[SceneFiles],
    mask_scenes: Sequence[SceneFiles],
    recipe: Recipe,
    rasters: OpenRasters,
) -> dict[str, np.ndarray]:
    scored = recipe.method == "best" or recipe.quality
    around = part.grown(margin(recipe.dilate, recipe.mask, scored=scored))
    inner = part.slices_in(around)
    by_time = {s.any.scene: s for s in (*used, *(mask_scenes if recipe.mask == "dates" else ()))}
    near = sorted(
        (s for s in by_time.values() if s.any.grid.intersection(around)),
        key=lambda s: (s.any.sensed_utc, s.any.tile, s.any.scene),
    )
    scl = (
        np.stack([rasters.read(s.bands[SCL].path, around) for s in near])
        if near
        else np.zeros((0, *around.shape), np.uint8)
    )
    alarms: Sequence[np.ndarray | None] = [None] * len(near)
    if recipe.mask == "dates":
        # Tiles of one overpass are one date.
        dates, of_scene = by_overpass(scl, [s.any.datatake for s in near])
        found = false_alarms(dates)
        alarms = [found[number] for number in of_scene]
    wanted = {s.any.scene for s in used}
    here = [(s, *classes) for s, *classes in zip(near, scl, alarms, strict=True) if s.any.scene in wanted]
    days = {s.any.datatake: date.fromisoformat(s.any.sensed_utc[:10]).toordinal() for s, *_ in reversed(here)}
    observations = Observations(len(recipe.bands), [s.any.datatake for s, *_ in here], part.shape, scored=scored)
    covered = np.zeros(part.shape, bool)
    for scene, classes, alarm in here:
        covered |= classes[inner] > 0
        mask = clear(classes, recipe.dilate, alarm)[inner]
        if not mask.any():
            continue
        worth = None
        if scored:
            worth = score(cloud_distance(classes, alarm)[inner], period.off_centre(scene.any.sensed_utc))
        observations.add(
            scene.any.datatake, [rasters.read(scene.bands[band].path, part) for band in recipe.bands], mask, worth
        )
    count = observations.count()
    planes = {"count": np.where(covered | (count > 0), np.minimum(count, NO_SCENE - 1), NO_SCENE).astype(np.uint8)}
    if recipe.quality:
        planes["spread"] = observations.spread([days[name] for name in observations.overpasses])
        planes["quality"] = observations.quality()
    # Last, because it uses up the observations.
    return planes | dict(zip(recipe.features, observations.compose(recipe.method), strict=True))


def _largest(
    period: Period, used: Sequence[SceneFiles], recipe: Recipe, area: Grid, prefix: str
) -> tuple[list[str], dict[str, Any]]:
    """Join the scene with the most bytes of each tile into a virtual mosaic, as the prototype did."""
    best: dict[str, SceneFiles] = {}
    for scene in used:
        other = best.get(scene.any.tile)
        if other is None or (_bytes(scene, recipe.bands), scene.any.scene) > (
            _bytes(other, recipe.bands),
            other.any.scene,
        ):
            best[scene.any.tile] = scene
    chosen = [best[tile] for tile in sorted(best)]
    names = {layer: PeriodMap(prefix, period.name, layer).name for layer in recipe.maps}
    provenance = {feature: _provenance(period, feature, chosen, recipe, area) for feature in names}
    history = "r.s2.yearly method=largest: " + " ".join(s.any.scene for s in chosen)
    if _is_there(names, provenance):
        grass.message(f"Mosaic of {period.name} is there already.")
        _finish(prefix, period, names, recipe)
        return list(names.values()), _summary(names["count"], area, chosen)
    for feature, band in zip(recipe.features, recipe.bands, strict=True):
        scenes = [mapnames.joined(prefix, period.name, scene.any.tile, band) for scene in chosen]
        for name, scene in zip(scenes, chosen, strict=True):
            grass.link_file(scene.bands[band].path, name)
        part = f"{names[feature]}_part"
        grass.mosaic(scenes, part, replace=True)
        grass.describe(
            part,
            title=f"{band} of the largest scenes, reflectance x 10000, {period.name}",
            history=history,
            provenance=provenance[feature],
            units="reflectance x 10000",
            semantic_label="S2_" + band.removeprefix("B").lstrip("0"),
        )
        # Stretched by the range: a histogram would read the virtual map, which takes long where tiles overlap.
        grass.run("r.colors", map=part, color="grey")
        grass.rename({part: names[feature]})
    part = f"{names['count']}_part"
    seen = " || ".join(f"isnull({names[feature]})" for feature in recipe.features)
    grass.run("r.mapcalc", grid=area, expression=f"{part} = if({seen}, null(), 1)", overwrite=True)
    grass.describe(part, title=f"Observations, {period.name}", history=history, provenance=provenance["count"])
    grass.rename({part: names["count"]})
    _finish(prefix, period, names, recipe)
    return list(names.values()), _summary(names["count"], area, chosen)


def _write_tilemap(name: str, scenes: Sequence[SceneFiles], years: Sequence[int], tiles: set[str]) -> None:
    """Draw the ground that the archive holds of each tile, with the years it has and lacks, as a vector map."""
    features = []
    for tile in sorted({s.any.tile for s in scenes}):
        of_tile = [s.any for s in scenes if s.any.tile == tile]
        west, south = min(s.grid.west for s in of_tile), min(s.grid.south for s in of_tile)
        east, north = max(s.grid.east for s in of_tile), max(s.grid.north for s in of_tile)
        there = {s.year for s in of_tile}
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "tile": tile,
                    "used": int(tile in tiles),
                    "scenes": sum(s.year in years for s in of_tile),
                    "years": ",".join(str(year) for year in years if year in there),
                    "lacks": ",".join(str(year) for year in years if year not in there),
                },
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    grass.import_polygons(features, name)


def _bytes(scene: SceneFiles, bands: Sequence[str]) -> int:
    return sum(scene.bands[band].source_size for band in bands)


def _summary(count: str, area: Grid, used: Sequence[SceneFiles]) -> dict[str, Any]:
    """Tell how much of the area was seen."""
    seen = total = cells = 0
    for part in area.blocks(BLOCK):
        values = grass.read_cells(count, part, nodata=0)
        seen += int(np.count_nonzero(values))
        total += int(values.sum(dtype=np.int64))
        cells += values.size
    return {"scenes": len(used), "coverage": round(seen / cells, 6), "mean_count": round(total / cells, 3)}


def _scenes(number: int) -> str:
    return "1 scene" if number == 1 else f"{number} scenes"


def _print(report: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print(json.dumps(report, indent=1))
        return
    print("tiles: " + ", ".join(report["tiles"]))
    for hole in report["holes"]:
        print(f"tile {hole['tile']} is missing in {hole['year']}")
    for name, summary in report["periods"].items():
        print(
            f"{name}: {_scenes(summary['scenes'])}, {100 * summary['coverage']:.1f} % of the region seen, {summary['mean_count']:.1f} clear observations a cell"
        )
