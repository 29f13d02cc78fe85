"""r.s2.ard: from composites and labels to one analysis-ready HDF5 file, and the check of such a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.bands import DEFAULT_BANDS
from imperviouslib.core.errors import ArdError, InputError, LegendError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import Labels, majority
from imperviouslib.core.legend import CLASSES, Legend
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.options import parse_years
from imperviouslib.core.provenance import CompositeProvenance
from imperviouslib.edge import grass
from imperviouslib.edge.ardcheck import check_ard, check_ard_apart
from imperviouslib.edge.ardfile import ArdFile, ArdWriter
from imperviouslib.edge.files import atomic_write, check_place, exclusive_lock, remove_folder
from imperviouslib.edge.legendfile import read_legend

_FINEST = 20
"""Label pixels a cell and side at most."""


@dataclass(frozen=True)
class _Sources:
    """The maps that each period of the file is made of."""

    periods: tuple[str, ...]
    features: tuple[str, ...]
    maps: Mapping[tuple[str, str], str]
    """By period and feature."""
    counts: Mapping[str, tuple[str, ...]]
    """By period; where composites are stacked, a cell's least count is that of the year."""
    parts: Mapping[str, Mapping[str, str]]
    """By period: what is stacked (season, month, window; "" the whole period) to a map that tells its scenes."""


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Check a file, or gather the composites and labels of the region into one."""
    if flags["c"]:
        return _check(Path(options["input"]).expanduser(), options["format"])
    area = grass.region_grid()
    output = Path(options["output"]).expanduser().absolute()
    check_place(output, "output")
    if options["plot"]:
        check_place(Path(options["plot"]) / "picture", "plot")
    sources = _resolve_sources(options)
    periods = sources.periods
    labels = _labels(options, area)
    if labels and not any(period[:4] == options["label_year"] for period in periods):
        grass.warning(
            f"The labels are of {options['label_year']}, and no composite is: r.unet.train takes them for other years only where years= says so. Check <label_year> and <years>."
        )
    try:
        with exclusive_lock(_parts_folder(output), f"Output '{output}'"):
            tied = _write(output, area, sources, labels, int(options["label_year"]), as_float=flags["f"])
    finally:
        if labels:
            labels.close()
    if options["plot"]:
        _plot(output, Path(options["plot"]).expanduser())
    _report(output, area, sources, labels, tied, options["format"])
    return 0


def _check(path: Path, form: str) -> int:
    report = check_ard_apart(path, grass.region_grid() if grass.has_grid_region() else None)
    if form == "json":
        print(json.dumps(report, indent=1))
    else:
        for finding in report["findings"]:
            print(finding)
        for period, shares in report["periods"].items():
            print(
                f"{period}: without data "
                + ", ".join(f"{feature} {100 * share:.2f} %" for feature, share in shares.items())
            )
        if "label" in report:
            print(
                f"labels of {report['label']['year']}: "
                + ", ".join(f"{key} {n}" for key, n in report["label"]["cells"].items())
            )
        print(f"{path}: {len(report['findings'])} findings, digest {report['digest'][:16]}")
    return 1 if report["findings"] else 0


def _resolve_periods(prefix: str, years: str) -> tuple[str, ...]:
    """Find the periods of a prefix by their maps of counts."""
    names = grass.search_rasters(mapnames.pattern(prefix, layer=mapnames.COUNT))
    found = [one.period for one in mapnames.parse_period_maps(names, prefix, layer=mapnames.COUNT)]
    if not found:
        raise InputError(
            _("Option <input>"),
            found=_("no map <{}_*_count>").format(prefix),
            expected=_("composites of r.s2.yearly"),
            then=_("Check the prefix with g.list, or run r.s2.yearly."),
        )
    if not years:
        return tuple(found)
    wanted = [str(year) for year in parse_years(years)]
    missing = [year for year in wanted if not any(period[:4] == year for period in found)]
    if missing:
        raise InputError(
            _("Composites <{}>").format(prefix),
            found=_("none of {}").format(missing[0]),
            expected=_("one in each of {}").format(years),
            then=_("Run r.s2.yearly for {}; there are {}.").format(missing[0], ", ".join(found)),
        )
    return tuple(period for period in found if period[:4] in wanted)


def _resolve_sources(options: Mapping[str, str]) -> _Sources:
    """Find the maps: each composite a period of its own, or those of a year stacked as features of that year."""
    prefix = options["input"]
    found = _resolve_periods(prefix, options["years"])
    stack = tuple(dict.fromkeys(word.strip() for word in options["stack"].split(",") if word.strip()))
    periods = tuple(dict.fromkeys(name[:4] for name in found)) if stack else found
    maps: dict[tuple[str, str], str] = {}
    counts, parts, features = {}, {}, ()
    for period in periods:
        names = {part: _stacked_name(period, part) for part in stack} or {"": period}
        missing = next((name for name in names.values() if name not in found), None)
        if missing:
            raise InputError(
                _("Composites <{}>").format(prefix),
                found=_("no {}").format(missing),
                expected=_("{} in each year").format(", ".join(stack)),
                then=_("Run r.s2.yearly for it, or change <stack> or <years>; there are {}.").format(", ".join(found)),
            )
        if not features:
            base = {part: _resolve_features(prefix, name, options["features"]) for part, name in names.items()}
            # A season's or month's features carry its name, the year's do not: B12_p50_summer, B12_p50.
            features = tuple(
                (f if part in ("", "year") else f"{f}_{part}", part, f) for part in base for f in base[part]
            )
        for feature, part, plain in features:
            maps[period, feature] = _composite(prefix, names[part], plain)
        counts[period] = tuple(_composite(prefix, name, "count") for name in names.values())
        parts[period] = {part: maps[period, next(f for f, p, _ in features if p == part)] for part in names}
    return _Sources(periods, tuple(feature for feature, *_ in features), maps, counts, parts)


def _stacked_name(year: str, part: str) -> str:
    return year if part == "year" else f"{year}-{part}"


def _resolve_features(prefix: str, period: str, text: str) -> tuple[str, ...]:
    """Take the features asked for, else all that a period has, the prototype's bands first."""
    if text:
        return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    start = mapnames.joined(prefix, period) + "_"
    maps = mapnames.parse_period_maps(grass.search_rasters(f"{start}*"), prefix)
    found = [one.layer for one in maps if one.period == period and mapnames.is_feature(one.layer)]
    if not found:
        raise InputError(
            _("Option <input>"),
            found=_("no map <{}B..>").format(start),
            expected=_("features such as B12_p50"),
            then=_("Run r.s2.yearly, or name <features>."),
        )
    return tuple(
        sorted(found, key=lambda f: (DEFAULT_BANDS.index(f[:3]) if f[:3] in DEFAULT_BANDS else len(DEFAULT_BANDS), f))
    )


def _composite(prefix: str, period: str, feature: str) -> str:
    name = grass.find_map(
        PeriodMap(prefix, period, feature).name, then=f"Run r.s2.yearly for {period}, or change <features>."
    )
    grass.map_grid(name)
    return name


def _labels(options: Mapping[str, str], area: Grid) -> _Labels | None:
    """Prepare the labels that the options ask for, and write their rules where asked."""
    if not options["labels"]:
        lonely = next((key for key in ("clean", "rules") if options[key]), None)
        if lonely:
            raise InputError(
                _("Option <{}>").format(lonely),
                found=_("no <labels>"),
                expected=_("a map of labels"),
                then=_("Give labels=, or leave it out."),
            )
        return None
    legend = read_legend(options["legend"])
    second = read_legend(options["clean_legend"]) if options["clean"] else None
    if options["rules"]:
        with atomic_write(Path(options["rules"]).expanduser().absolute()) as part:
            part.write_text(legend.rules(), encoding="utf-8")
    labels = _Labels(_ClassMap(options["labels"], "labels", legend, area), options["ties"])
    if second:
        try:
            labels.second = _ClassMap(options["clean"], "clean", second, area)
        except BaseException:
            labels.close()
            raise
    return labels


class _ClassMap:
    """A land cover map in classes of the suite: reclassed natively, read at its own resolution."""

    def __init__(self, name: str, option: str, legend: Legend, area: Grid) -> None:
        self.name, self.legend = grass.find_map(name, option=option), legend
        codes, cell_m = grass.codes(self.name, area), grass.cell_size(self.name)
        over = "Check the region with g.region -l."
        if not codes:
            raise InputError(
                _("Map <{}>").format(self.name),
                found=_("no cell within the region"),
                expected=_("land cover over the region"),
                then=over,
            )
        unknown = [code for code in codes if code not in legend.codes]
        if unknown:
            raise LegendError(
                _("Map <{}>").format(self.name),
                found=_("code {}").format(unknown[0]),
                expected=_("a code of the legend '{}'").format(legend.name),
                then=_("Choose another legend, or write a file with that code (class nodata to leave it out)."),
            )
        if all(legend.codes[code] == 0 for code in codes):
            raise InputError(
                _("Map <{}>").format(self.name),
                found=_("no data only within the region"),
                expected=_("land cover over the region"),
                then=over,
            )
        self.factor = next(
            f for f in range(min(_FINEST, max(1, round(area.res_m / cell_m))), 0, -1) if area.res_m % f == 0
        )
        if not grass.is_aligned(self.name, area.res_m // self.factor):
            grass.warning(
                f"Map <{self.name}>: its cells do not nest in the grid; each cell takes its nearest pixels, which may lie half a pixel off."
            )
        grass.remove_abandoned(option)
        self._classes = grass.temporary_name(option)
        grass.run("r.reclass", input=self.name, output=self._classes, rules="-", stdin=legend.rules())

    def read(self, part: Grid) -> np.ndarray:
        """Return classes of pixels, `factor` a cell and side: array, int32, 1-4, 0 = no data."""
        return grass.read_cells(self._classes, Grid(*part.bounds, part.res_m // self.factor))

    def close(self) -> None:
        """Remove the reclassed map."""
        grass.remove([self._classes])


class _Labels:
    """Labels of cells by majority; where a second map is given, only those on which it agrees."""

    def __init__(self, first: _ClassMap, ties: str) -> None:
        self.first, self.ties = first, ties
        self.second: _ClassMap | None = None
        self.dropped = dict.fromkeys((c.code for c in CLASSES), 0)

    def read(self, part: Grid) -> Labels:
        """Return the labels of a part of the grid."""
        found = majority(self.first.read(part), part, self.first.factor, self.ties)
        if self.second is None:
            return found
        other = majority(self.second.read(part), part, self.second.factor, self.ties).label
        drop = (found.label != other) & (found.label > 0) & (other > 0)
        for code in self.dropped:
            self.dropped[code] += int(np.count_nonzero(drop & (found.label == code)))
        return found.without(drop)

    @property
    def provenance(self) -> dict[str, Any]:
        """What goes into the file."""
        told: dict[str, Any] = {**_told(self.first), "ties": self.ties}
        if self.second:
            told["clean"] = _told(self.second)
        return told

    def close(self) -> None:
        """Remove what was made on the way."""
        for one in (self.first, self.second):
            if one:
                one.close()


def _told(one: _ClassMap) -> dict[str, Any]:
    codes = {str(code): target for code, target in one.legend.codes.items()}
    return {"map": one.name, "legend": one.legend.name, "codes": codes, "factor": one.factor}


def _parts_folder(output: Path) -> Path:
    return output.with_name(f".{output.name}.parts")


def _write(
    output: Path, area: Grid, sources: _Sources, labels: _Labels | None, label_year: int, *, as_float: bool
) -> dict[str, int]:
    """Write the file; return how many labelled cells were tied.

    Each period is first written whole into a file of its own in a folder beside the output. A run that was stopped takes them from
    there, and joining them copies the compressed chunks. The folder goes when the output is there.
    """
    folder = _parts_folder(output)
    periods, features = sources.periods, sources.features
    told = {period: _scenes(sources.parts[period], period) for period in periods}
    parts = {period: folder / f"{period}.h5" for period in periods}
    steps, step = 4 * len(periods), 0
    for period in periods:
        read = _what_is_read(sources, period)
        if _is_there(parts[period], area, period, features, {period: told[period], "read": read}, as_float=as_float):
            grass.message(f"Period {period} is there from a run that was stopped.")
        else:
            _write_part(parts[period], area, period, sources, {period: told[period], "read": read}, as_float=as_float)
        step += 3
        grass.percent(step, steps)
    tied = {"tied": 0, "cells": 0, **{c.key: 0 for c in CLASSES}}
    whole = folder / "whole.h5"
    with ArdWriter(whole, area, periods, features, as_float=as_float) as ard:
        for period in periods:
            with ArdFile.open(parts[period]) as part:
                ard.copy_period(part)
        provenance: dict[str, Any] = dict(told)
        if labels:
            ard.start_label(year=label_year, legend=labels.first.legend.name)
            for strip in ard.strips():
                found = labels.read(strip)
                ard.write_label(strip, found.label, found.purity, found.shares)
                tied["tied"] += found.tied
                for c in CLASSES:
                    tied[c.key] += int(np.count_nonzero(found.label == c.code))
            tied["cells"] = sum(tied[c.key] for c in CLASSES)
            provenance["labels"] = labels.provenance
        ard.finish(provenance)
    whole.replace(output)
    remove_folder(folder)
    grass.percent(steps, steps)
    return tied


def _what_is_read(sources: _Sources, period: str) -> dict[str, Any]:
    """Tell by what it can be known that the maps of a period, as they are read, are still the same."""
    maps = [*(sources.maps[period, feature] for feature in sources.features), *sources.counts[period]]
    return {"maps": {name: _origin(name, period) for name in maps}, "mask": grass.has_mask()}


def _write_part(
    path: Path, area: Grid, period: str, sources: _Sources, provenance: Mapping[str, Any], *, as_float: bool
) -> None:
    with ArdWriter(path, area, [period], sources.features, as_float=as_float) as ard:
        for strip in ard.strips():
            planes = np.stack([grass.read_cells(sources.maps[period, feature], strip) for feature in sources.features])
            ard.write_period(period, strip, np.clip(planes, 0, 65535).astype(np.uint16), _count(sources, period, strip))
        ard.finish(provenance)


def _count(sources: _Sources, period: str, strip: Grid) -> np.ndarray:
    """Return the least count of what is stacked; 255 where one of them has no scene."""
    counts = np.stack([grass.read_cells(name, strip, nodata=255) for name in sources.counts[period]])
    least = np.where((counts == 255).any(axis=0), 255, counts.min(axis=0))
    return np.clip(least, 0, 255).astype(np.uint8)


def _is_there(
    path: Path, area: Grid, period: str, features: Sequence[str], provenance: Mapping[str, Any], *, as_float: bool
) -> bool:
    """Tell whether a stopped run left this period whole, from these very scenes.

    Maps that do not tell their scenes are read again, and so is all where a mask hides cells: it may be another one now.
    """
    read = provenance["read"]
    if read["mask"] or not all("scenes" in origin for origin in read["maps"].values()) or not path.is_file():
        return False
    try:
        with ArdFile.open(path) as ard:
            same = (ard.grid, ard.periods, ard.features, ard.is_float) == (area, (period,), tuple(features), as_float)
            return same and ard.provenance == provenance and not check_ard(path)["findings"]
    except ArdError:
        return False


def _scenes(parts: Mapping[str, str], period: str) -> dict[str, Any]:
    """Tell of what a period is made; of a stack, each part by its name, and the scenes of all."""
    if "" in parts:
        return _origin(parts[""], period)
    origins = {part: _origin(name, _stacked_name(period, part)) for part, name in parts.items()}
    if any("scenes" not in origin for origin in origins.values()):
        return {"stack": origins}
    scenes = {scene["id"]: scene for origin in origins.values() for scene in origin["scenes"]}
    return {"stack": origins, "scenes": [scenes[name] for name in sorted(scenes)]}


def _origin(name: str, period: str) -> dict[str, Any]:
    known = grass.read_provenance(name)
    return known.origin() if isinstance(known, CompositeProvenance) else {"map": name, "period": period}


def _plot(path: Path, folder: Path) -> None:
    """Draw each period and the labels from the file itself, so that what is seen is what was written."""
    from imperviouslib.edge import picture

    with ArdFile.open(path) as ard:
        thin = partial(_thinned, grid=ard.grid, cells=picture.LARGEST)
        for period in ard.periods:
            planes = thin(partial(ard.read, period))
            title = f"{period}: {', '.join(ard.features[:3])} as red, green, blue"
            if len(planes) < 3:
                title = f"{period}: {ard.features[0]}"
            picture.false_colour(
                folder / f"composite_{period}.png",
                planes[:3] if len(planes) >= 3 else planes[[0, 0, 0]],
                title,
                ard.grid,
            )
            picture.counts(
                folder / f"count_{period}.png",
                thin(partial(ard.read_count, period)),
                f"{period}: clear observations",
                ard.grid,
            )
        if ard.has_label:
            picture.classes(
                folder / "labels.png", thin(ard.read_label), f"Labels of {ard.label_year} ({ard.legend})", ard.grid
            )


def _thinned(read: Callable[[Grid], np.ndarray], *, grid: Grid, cells: int) -> np.ndarray:
    """Read every n-th row and column of a file strip by strip, so that the longer side has at most `cells`."""
    step = max(1, -(-max(grid.shape) // cells))
    strips = []
    for top in range(0, grid.height, 256 * step):
        bottom = min(grid.height, top + 256 * step)
        part = Grid(grid.west, grid.north - bottom * grid.res_m, grid.east, grid.north - top * grid.res_m, grid.res_m)
        strips.append(read(part)[..., ::step, ::step])
    return np.concatenate(strips, axis=-2)


def _report(
    output: Path,
    area: Grid,
    sources: _Sources,
    labels: _Labels | None,
    tied: Mapping[str, int],
    form: str,
) -> None:
    periods, features = sources.periods, sources.features
    share = tied["tied"] / tied["cells"] if tied["cells"] else 0.0
    if form == "json":
        content: dict[str, Any] = {
            "file": str(output),
            "rows": area.height,
            "cols": area.width,
            "periods": list(periods),
            "features": list(features),
            "bytes": output.stat().st_size,
        }
        if labels:
            content["labels"] = {
                "cells": {c.key: tied[c.key] for c in CLASSES},
                "tied_share": round(share, 6),
                "ties": labels.ties,
            }
            if labels.second:
                content["labels"]["cleaned"] = {c.key: labels.dropped[c.code] for c in CLASSES}
        print(json.dumps(content, indent=1))
        return
    print(
        f"{output}: {area.height} x {area.width} cells, {', '.join(periods)}, {', '.join(features)}, {output.stat().st_size / 1e6:.1f} MB"
    )
    if labels:
        print(
            "labels: "
            + ", ".join(f"{c.key} {tied[c.key]}" for c in CLASSES)
            + f"; {100 * share:.2f} % of the cells tied, settled {labels.ties}"
        )
        if labels.second:
            print(
                "cleaned away: "
                + ", ".join(
                    f"{c.key} {labels.dropped[c.code]} ({100 * labels.dropped[c.code] / max(1, labels.dropped[c.code] + tied[c.key]):.1f} %)"
                    for c in CLASSES
                )
            )
