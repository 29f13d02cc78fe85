"""r.s2.yearly: from an archive of scenes to one composite a period."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core.archive import Sidecar
from imperviouslib.core.composite import NO_SCENE, STATISTIC, clear, median, merge_overpasses, resolve_common_tiles
from imperviouslib.core.errors import InputError, sentence
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.periods import Period, resolve_periods
from imperviouslib.core.scenes import SCL, parse_years
from imperviouslib.edge import alignment, archivefile, grassdb
from imperviouslib.edge.files import check_place, write_json
from imperviouslib.edge.rasterfile import TiffWriter, open_on_grid, read_part

ONE = "one"
"""Statistic of method=largest: the value of one scene."""


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene: band to sidecar, SCL among them."""

    bands: Mapping[str, Sidecar]

    @property
    def any(self) -> Sidecar:
        """One of the sidecars, for what all share."""
        return self.bands[SCL]


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Read the archive, choose tiles, composite each period, bring it into the mapset."""
    archive = Path(options["input"]).expanduser().absolute()
    if options["report"]:
        check_place(Path(options["report"]), "report")
    bands = tuple(band.strip().upper() for band in options["bands"].split(",") if band.strip())
    if flags["c"]:
        return _check(archive, options)
    grassdb.check_prefix(options["output"], "output")
    area = grassdb.region_grid()
    scenes = _read(archive, bands, area)
    years = _resolve_years(options["years"], scenes, archive)
    tiles, holes = _resolve_tiles(options["tiles"], scenes, years)
    report: dict[str, Any] = {
        "tiles": sorted(tiles),
        "holes": [{"year": y, "tile": t} for y, t in holes],
        "periods": {},
        "version": __version__,
    }
    settings = {"method": options["method"], "dilate": int(options["dilate"]), "tiles": options["tiles"]}
    made: list[tuple[Period, list[str]]] = []
    for period in resolve_periods(years, options["period"].split(",")):
        used = [s for s in scenes if s.any.tile in tiles and period.holds(s.any.sensed_utc)]
        if not used:
            grassdb.warning(f"No scene in {period.name}: no composite.")
            continue
        compose = _largest if options["method"] == "largest" else _median
        names, summary = compose(period, used, bands, area, options, settings, link=flags["l"])
        made.append((period, names))
        report["periods"][period.name] = summary
    lines = [f"{name}|{period.first} 00:00:00|{period.after} 00:00:00" for period, names in made for name in names]
    grassdb.register(options["output"], f"Composites ({options['method']})", lines)
    if options["report"]:
        write_json(Path(options["report"]), report)
    _print(report, options["format"])
    return 0


def _check(archive: Path, options: Mapping[str, str]) -> int:
    """Test that all files of the archive lie on the one grid, whole and of the right type."""
    sidecars = list(archivefile.read_archive(archive))
    if not sidecars:
        raise InputError(_empty(archive))
    findings = []
    for number, sidecar in enumerate(sidecars, start=1):
        findings += alignment.check_file(sidecar)
        grassdb.percent(number, len(sidecars))
    if options["report"]:
        write_json(Path(options["report"]), {"files": len(sidecars), "findings": findings})
    if options["format"] == "json":
        print(json.dumps({"files": len(sidecars), "findings": findings}, indent=1))
    else:
        for finding in findings:
            print(finding)
        print(f"{len(sidecars)} files, {len(findings)} findings")
    return 1 if findings else 0


def _empty(archive: Path) -> str:
    return sentence(
        f"Archive '{archive}'",
        "no whole scene",
        "an archive written by r.s2.fetch",
        "Check option <input>, or run r.s2.fetch.",
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
        grassdb.warning(
            f"{len(groups) - len(whole)} scenes lack a band and are left out, such as {lacking}. Run r.s2.fetch again to complete them."
        )
    meeting = [scene for scene in whole if scene.any.grid.intersection(area)]
    if not meeting:
        raise InputError(
            sentence(
                f"Archive '{archive}'",
                f"{len(whole)} whole scenes, none of which meets the region",
                "scenes over the region",
                "Check the region with g.region -l, and <bands>.",
            )
        )
    outside = next((scene for scene in meeting if scene.any.grid.res_m != area.res_m), None)
    if outside:
        raise InputError(
            sentence(
                f"Scene {outside.any.scene}",
                f"cells of {outside.any.grid.res_m} m",
                f"{area.res_m} m as in the region",
                "Use one resolution.",
            )
        )
    return meeting


def _resolve_years(text: str, scenes: Sequence[SceneFiles], archive: Path) -> tuple[int, ...]:
    there = sorted({scene.any.year for scene in scenes})
    if not text:
        return tuple(there)
    years = parse_years(text)
    missing = [year for year in years if year not in there]
    if missing:
        raise InputError(
            sentence(
                f"Archive '{archive}'",
                f"no whole scene over the region in {missing[0]}",
                f"scenes in each of {text}",
                f"Fetch {missing[0]} with r.s2.fetch, or leave it out; there are {', '.join(map(str, there))}.",
            )
        )
    return years


def _resolve_tiles(
    text: str, scenes: Sequence[SceneFiles], years: Sequence[int]
) -> tuple[set[str], list[tuple[int, str]]]:
    per_year = {year: {s.any.tile for s in scenes if s.any.year == year} for year in years}
    common, holes = resolve_common_tiles(per_year)
    for year, tile in holes:
        grassdb.warning(
            f"Tile {tile} is missing in {year}." + (" It is left out of all years." if text == "common" else "")
        )
    everything = set.union(*per_year.values())
    if text == "common":
        if not common:
            raise InputError(
                sentence(
                    "Tiles",
                    "none that all years have: "
                    + "; ".join(f"{y}: {', '.join(sorted(t)) or 'none'}" for y, t in per_year.items()),
                    "at least one",
                    "Fetch the missing ones with r.s2.fetch, or use tiles=all.",
                )
            )
        return common, holes
    if text == "all":
        return everything, holes
    wanted = {tile.strip().removeprefix("T").upper() for tile in text.split(",")}
    if not wanted <= everything:
        raise InputError(
            sentence(
                "Option <tiles>",
                ", ".join(sorted(wanted - everything)),
                "tiles of the archive: " + ", ".join(sorted(everything)),
                "Correct it, or fetch the tile.",
            )
        )
    return wanted, holes


def _provenance(
    period: Period, feature: str, used: Sequence[SceneFiles], settings: Mapping[str, Any], area: Grid
) -> dict[str, Any]:
    scenes = [
        {"id": s.any.scene, "tile": s.any.tile, "sensed_utc": s.any.sensed_utc, "baseline": s.any.baseline, "offset": _offset(s), "rule": _rule(s), "sha256": {b: f.output_sha256 for b, f in sorted(s.bands.items())}}
        for s in used
    ]  # fmt: skip
    return {
        "period": period.name, "feature": feature, "method": settings["method"], "settings": dict(settings), "scenes": scenes,
        "grid": {"bounds": list(area.bounds), "res_m": area.res_m}, "version": __version__,
    }  # fmt: skip


def _reflectance(scene: SceneFiles) -> Sidecar:
    return next(sidecar for band, sidecar in sorted(scene.bands.items()) if band != SCL)


def _offset(scene: SceneFiles) -> int:
    return _reflectance(scene).offset_dn


def _rule(scene: SceneFiles) -> str:
    return _reflectance(scene).offset_rule


def _median(
    period: Period,
    used: Sequence[SceneFiles],
    bands: Sequence[str],
    area: Grid,
    options: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    link: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Composite one period block by block and bring its maps into the mapset."""
    features = [f"{band}_{STATISTIC}" for band in bands]
    names = {feature: grassdb.map_name(options["output"], period.name, feature) for feature in (*features, "count")}
    provenance = {feature: _provenance(period, feature, used, settings, area) for feature in names}
    if all(grassdb.exists(name) for name in names.values()) and not grassdb.overwrite():
        if any(grassdb.read_provenance(name) != provenance[feature] for feature, name in names.items()):
            grassdb.check_free(names.values())
        grassdb.message(f"Composite of {period.name} is there already.")
        return list(names.values()), _summary(names["count"], area, used)
    folder = (
        Path(options["input"]).expanduser().absolute() / "composites" / options["output"]
        if link
        else grassdb.temporary_folder()
    )
    folder.mkdir(parents=True, exist_ok=True)
    grassdb.message(f"Composite of {period.name} from {len(used)} scenes...")
    blocks = list(area.blocks(BLOCK))
    paths = {feature: folder / f"{name}.tif" for feature, name in names.items()}
    with contextlib.ExitStack() as stack:
        writers = {
            f: stack.enter_context(
                TiffWriter(path, area, "uint8" if f == "count" else "uint16", nodata=NO_SCENE if f == "count" else 0)
            )
            for f, path in paths.items()
        }
        with ThreadPoolExecutor(max(1, int(options["nprocs"]))) as threads:
            work = threads.map(lambda part: compose_block(part, used, bands, int(options["dilate"])), blocks)
            for number, (part, (planes, count)) in enumerate(zip(blocks, work, strict=True), start=1):
                for feature, plane in zip(features, planes, strict=True):
                    writers[feature].write(plane, part)
                writers["count"].write(count, part)
                grassdb.percent(number, len(blocks))
    for feature, name in names.items():
        grassdb.import_tiff(paths[feature], name, link=link)
        if not link:
            paths[feature].unlink()
        band = feature.partition("_")[0]
        grassdb.describe(
            name,
            title=f"Clear observations, {period.name}"
            if feature == "count"
            else f"Median reflectance x 10000 of {band}, {period.name}",
            history=f"r.s2.yearly method=median dilate={settings['dilate']}, {len(used)} scenes: "
            + " ".join(s.any.scene for s in used),
            provenance=provenance[feature],
            semantic_label=None if feature == "count" else "S2_" + band.removeprefix("B").lstrip("0"),
        )
        grassdb.run("r.colors", map=name, color="viridis" if feature == "count" else "grey.eq")
    grassdb.run(
        "i.group", group=grassdb.map_name(options["output"], period.name), input=",".join(names[f] for f in features)
    )
    return list(names.values()), _summary(names["count"], area, used)


def compose_block(
    part: Grid, used: Sequence[SceneFiles], bands: Sequence[str], cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Composite one block.

    Returns: medians (band, row, col), uint16, 0 = never clear; counts (row, col), uint8, 255 = no scene
    """
    around = part.grown(cells)
    here = [scene for scene in used if scene.any.grid.intersection(part)]
    inner = part.slices_in(around)
    masks, covered = [], np.zeros(part.shape, bool)
    for scene in here:
        scl = _read_band(scene, SCL, around)
        masks.append(clear(scl, cells)[inner])
        covered |= scl[inner] > 0
    overpasses = [scene.any.datatake for scene in here]
    planes = np.zeros((len(bands), *part.shape), np.uint16)
    seen = np.zeros((len(set(overpasses)), *part.shape), bool)
    for number, band in enumerate(bands):
        stack = np.zeros((len(here), *part.shape), np.uint16)
        for layer, scene, mask in zip(stack, here, masks, strict=True):
            np.copyto(layer, _read_band(scene, band, part), where=mask)
        # Where two tiles overlap, one overpass is one observation.
        stack = merge_overpasses(stack, overpasses)
        seen = stack > 0 if number == 0 else seen & (stack > 0)
        planes[number] = median(stack)
    count = np.minimum(seen.sum(axis=0), NO_SCENE - 1).astype(np.uint8)
    count[~covered & (count == 0)] = NO_SCENE
    return planes, count


def _read_band(scene: SceneFiles, band: str, part: Grid) -> np.ndarray:
    sidecar = scene.bands[band]
    with open_on_grid(sidecar.path, part.res_m) as (dataset, grid):
        return read_part(dataset, grid, part)


def _largest(
    period: Period,
    used: Sequence[SceneFiles],
    bands: Sequence[str],
    area: Grid,
    options: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    link: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Join the scene with the most bytes of each tile into a virtual mosaic, as the prototype did."""
    best: dict[str, SceneFiles] = {}
    for scene in used:
        other = best.get(scene.any.tile)
        if other is None or (_bytes(scene, bands), scene.any.scene) > (_bytes(other, bands), other.any.scene):
            best[scene.any.tile] = scene
    chosen = [best[tile] for tile in sorted(best)]
    names = {band: grassdb.map_name(options["output"], period.name, f"{band}_{ONE}") for band in bands}
    count = grassdb.map_name(options["output"], period.name, "count")
    grassdb.check_free([*names.values(), count])
    for band, name in names.items():
        parts = [grassdb.map_name(options["output"], period.name, scene.any.tile, band) for scene in chosen]
        for part, scene in zip(parts, chosen, strict=True):
            grassdb.link_file(scene.bands[band].path, part)
        grassdb.mosaic(parts, name)
        grassdb.describe(
            name,
            title=f"{band} of the largest scenes, {period.name}",
            history="r.s2.yearly method=largest: " + " ".join(s.any.scene for s in chosen),
            provenance=_provenance(period, f"{band}_{ONE}", chosen, settings, area),
        )
    grassdb.run(
        "r.mapcalc",
        grid=area,
        expression=f"{count} = if(isnull({names[bands[0]]}), null(), 1)",
        overwrite=grassdb.overwrite() or None,
    )
    grassdb.describe(
        count,
        title=f"Observations, {period.name}",
        history="r.s2.yearly method=largest",
        provenance=_provenance(period, "count", chosen, settings, area),
    )
    return [*names.values(), count], _summary(count, area, chosen)


def _bytes(scene: SceneFiles, bands: Sequence[str]) -> int:
    return sum(scene.bands[band].source_size for band in bands)


def _summary(count: str, area: Grid, used: Sequence[SceneFiles]) -> dict[str, Any]:
    """Tell how much of the area was seen."""
    seen = total = cells = 0
    for part in area.blocks(BLOCK):
        values = grassdb.read_cells(count, part, nodata=0)
        seen += int(np.count_nonzero(values))
        total += int(values.sum(dtype=np.int64))
        cells += values.size
    return {"scenes": len(used), "coverage": round(seen / cells, 6), "mean_count": round(total / cells, 3)}


def _print(report: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print(json.dumps(report, indent=1))
        return
    print("tiles: " + ", ".join(report["tiles"]))
    for name, summary in report["periods"].items():
        print(
            f"{name}: {summary['scenes']} scenes, {100 * summary['coverage']:.1f} % of the region seen, {summary['mean_count']:.1f} clear observations a cell"
        )
