"""r.s2.ard: from composites and labels to one analysis-ready HDF5 file, and the check of such a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, LegendError, sentence
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import majority
from imperviouslib.core.legend import CLASSES, LEGENDS, Legend, parse_legend
from imperviouslib.core.scenes import DEFAULT_BANDS, parse_years
from imperviouslib.edge import grassdb
from imperviouslib.edge.ardcheck import check_ard
from imperviouslib.edge.ardfile import ArdFile, ArdWriter
from imperviouslib.edge.files import check_place, read_text

_FINEST = 20
"""Label pixels a cell and side at most."""


def main(options: Mapping[str, str], flags: Mapping[str, bool]) -> int:
    """Check a file, or gather the composites and labels of the region into one."""
    if flags["c"]:
        return _check(Path(options["input"]).expanduser(), options["format"])
    area = grassdb.region_grid()
    prefix, output = options["input"], Path(options["output"]).expanduser().absolute()
    check_place(output, "output")
    if options["plot"]:
        check_place(Path(options["plot"]) / "picture", "plot")
    periods = _resolve_periods(prefix, options["years"])
    features = _resolve_features(prefix, periods, options["features"])
    maps = {
        (period, feature): _composite(prefix, period, feature) for period in periods for feature in (*features, "count")
    }
    legend = _legend(options["legend"])
    labels = _Labels(options["labels"], legend, options["ties"], area) if options["labels"] else None
    try:
        tied = _write(output, area, periods, features, maps, labels, options, as_float=flags["f"])
    finally:
        if labels:
            labels.close()
    if options["plot"]:
        _plot(output, Path(options["plot"]).expanduser())
    _report(output, area, periods, features, labels, tied, options["format"])
    return 0


def _check(path: Path, form: str) -> int:
    report = check_ard(path, grassdb.region_grid() if grassdb.has_grid_region() else None)
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
    pattern = re.compile(re.escape(prefix) + r"_(\d{4})(?:_([a-z0-9]+))?_count")
    found = sorted(
        "-".join(part for part in match.groups() if part)
        for match in map(pattern.fullmatch, grassdb.search_rasters(f"{prefix}_*_count"))
        if match
    )
    if not found:
        raise InputError(
            sentence(
                "Option <input>",
                f"no map <{prefix}_*_count>",
                "composites of r.s2.yearly",
                "Check the prefix with g.list, or run r.s2.yearly.",
            )
        )
    if not years:
        return tuple(found)
    wanted = [str(year) for year in parse_years(years)]
    missing = [year for year in wanted if not any(period[:4] == year for period in found)]
    if missing:
        raise InputError(
            sentence(
                f"Composites <{prefix}>",
                f"none of {missing[0]}",
                f"one in each of {years}",
                f"Run r.s2.yearly for {missing[0]}; there are {', '.join(found)}.",
            )
        )
    return tuple(period for period in found if period[:4] in wanted)


def _resolve_features(prefix: str, periods: Sequence[str], text: str) -> tuple[str, ...]:
    """Take the features asked for, else all that the first period has, the prototype's bands first."""
    if text:
        return tuple(word.strip() for word in text.split(",") if word.strip())
    start = grassdb.map_name(prefix, periods[0]) + "_"
    names = (name.removeprefix(start) for name in grassdb.search_rasters(f"{start}*"))
    found = [name for name in names if re.fullmatch(r"B[0-9A-Z]{2}_[a-z0-9]+(_[a-z0-9]+)?", name)]
    return tuple(
        sorted(found, key=lambda f: (DEFAULT_BANDS.index(f[:3]) if f[:3] in DEFAULT_BANDS else len(DEFAULT_BANDS), f))
    )


def _composite(prefix: str, period: str, feature: str) -> str:
    name = grassdb.find_map(
        grassdb.map_name(prefix, period, feature), then=f"Run r.s2.yearly for {period}, or change <features>."
    )
    grassdb.map_grid(name)
    return name


def _legend(text: str) -> Legend:
    if text in LEGENDS:
        return LEGENDS[text]
    path = Path(text).expanduser()
    if not path.is_file():
        raise LegendError(
            sentence("Option <legend>", f"'{text}'", f"{', '.join(LEGENDS)} or a file", "Check the name.")
        )
    return parse_legend(read_text(path, "Legend"), path.name)


class _Labels:
    """A label map in classes of the suite: reclassed natively, read at its own resolution, brought to cells by majority."""

    def __init__(self, name: str, legend: Legend, ties: str, area: Grid) -> None:
        self.name, self.legend, self.ties = grassdb.find_map(name, option="labels"), legend, ties
        codes, cell_m = grassdb.codes(self.name, area), grassdb.cell_size(self.name)
        if not codes:
            raise InputError(
                sentence(
                    f"Map <{self.name}>",
                    "no cell within the region",
                    "labels over the region",
                    "Check the region with g.region -l.",
                )
            )
        unknown = [code for code in codes if code not in legend.codes]
        if unknown:
            raise LegendError(
                sentence(
                    f"Map <{self.name}>",
                    f"code {unknown[0]}",
                    f"a code of the legend '{legend.name}'",
                    "Choose another legend, or write a file with that code (class nodata to leave it out).",
                )
            )
        if all(legend.codes[code] == 0 for code in codes):
            raise InputError(
                sentence(
                    f"Map <{self.name}>",
                    "no data only within the region",
                    "labels over the region",
                    "Check the region with g.region -l.",
                )
            )
        self.factor = min(_FINEST, max(1, round(area.res_m / cell_m)))
        if area.res_m % self.factor:
            self.factor = next(f for f in range(self.factor, 0, -1) if area.res_m % f == 0)
        self._classes = grassdb.temporary_name("labels")
        grassdb.run("r.reclass", input=self.name, output=self._classes, rules="-", stdin=legend.rules())

    def read(self, part: Grid) -> Any:
        """Return the labels of a part of the grid."""
        fine = Grid(*part.bounds, part.res_m // self.factor)
        return majority(grassdb.read_cells(self._classes, fine), part, self.factor, self.ties)

    def close(self) -> None:
        """Remove the reclassed map."""
        grassdb.remove([self._classes])


def _write(
    output: Path,
    area: Grid,
    periods: Sequence[str],
    features: Sequence[str],
    maps: Mapping[tuple[str, str], str],
    labels: _Labels | None,
    options: Mapping[str, str],
    *,
    as_float: bool,
) -> dict[str, int]:
    """Write the file strip by strip; return how many labelled cells were tied."""
    tied = {"tied": 0, "cells": 0, **{c.key: 0 for c in CLASSES}}
    with ArdWriter(output, area, periods, features, as_float=as_float) as ard:
        strips = list(ard.strips())
        steps, step = len(strips) * (len(periods) + bool(labels)), 0
        for period in periods:
            for part in strips:
                planes = np.stack([grassdb.read_cells(maps[period, feature], part) for feature in features])
                count = grassdb.read_cells(maps[period, "count"], part, nodata=255)
                ard.write_period(
                    period, part, np.clip(planes, 0, 65535).astype(np.uint16), np.clip(count, 0, 255).astype(np.uint8)
                )
                step += 1
                grassdb.percent(step, steps)
        if labels:
            ard.start_label(year=int(options["label_year"]), legend=labels.legend.name)
            for part in strips:
                found = labels.read(part)
                ard.write_label(part, found.label, found.purity, found.shares)
                tied["tied"] += found.tied
                for c in CLASSES:
                    tied[c.key] += int(np.count_nonzero(found.label == c.code))
                step += 1
                grassdb.percent(step, steps)
            tied["cells"] = sum(tied[c.key] for c in CLASSES)
        provenance: dict[str, Any] = {
            period: _scenes(maps[period, features[0]], period, maps[period, features[0]]) for period in periods
        }
        if labels:
            provenance["labels"] = {
                "map": labels.name,
                "legend": labels.legend.name,
                "codes": {str(k): v for k, v in labels.legend.codes.items()},
                "ties": labels.ties,
                "factor": labels.factor,
            }
        ard.finish(provenance)
    return tied


def _scenes(name: str, period: str, feature: str) -> dict[str, Any]:
    known = grassdb.read_provenance(name)
    return {key: known[key] for key in ("scenes", "method", "settings", "version") if key in known} or {
        "map": feature,
        "period": period,
    }


def _plot(path: Path, folder: Path) -> None:
    """Draw each period and the labels from the file itself, so that what is seen is what was written."""
    from imperviouslib.edge import picture

    with ArdFile.open(path) as ard:
        for period in ard.periods:
            planes = ard.read(period, ard.grid)
            if len(planes) >= 3:
                picture.false_colour(
                    folder / f"composite_{period}.png",
                    planes[:3],
                    f"{period}: {', '.join(ard.features[:3])} as red, green, blue",
                )
            picture.counts(
                folder / f"count_{period}.png", ard.read_count(period, ard.grid), f"{period}: clear observations"
            )
        if ard.has_label:
            picture.classes(
                folder / "labels.png", ard.read_label(ard.grid), f"Labels of {ard.label_year} ({ard.legend})"
            )


def _report(
    output: Path,
    area: Grid,
    periods: Sequence[str],
    features: Sequence[str],
    labels: _Labels | None,
    tied: Mapping[str, int],
    form: str,
) -> None:
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
