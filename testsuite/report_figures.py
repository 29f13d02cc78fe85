"""The figures of the demo's report: maps and regions compared with the truth of the world.

Everything is read from files that a user of the suite has too: maps as GeoTIFFs and the table folder. The truth is read from the world;
the tools never saw it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import rasterio
from scipy import ndimage

from imperviouslib.core.legend import DEFAULT_DEFINITION, DEFINITIONS
from imperviouslib.core.mapnames import CLASS, PeriodMap, change_map
from imperviouslib.core.table import COVERAGE_MIN
from imperviouslib.core.tableschema import SCHEMA
from testsuite.world import judge, sealing

CELL_KM2 = 0.0004
METHODS: dict[str, dict] = SCHEMA["methods"]
"""What the schema says of each method: rank (1 is the most trusted), title, short, ground (region or seen)."""
INDICATORS = ("stock", "gain", "net")
"""Impervious land of the last year; its gain and its net change from the first year to the last."""


def composite_map(year: int, layer: str) -> str:
    """Return the name of a layer of the demo's composite, such as s2_2017_B12_p50."""
    return PeriodMap("s2", str(year), layer).name


def predicted_map(year: int) -> str:
    """Return the name of the demo's map of predicted classes."""
    return PeriodMap("lc", str(year), CLASS).name


def consistent_map(year: int) -> str:
    """Return the name of the demo's map of classes after the persistence rule."""
    return PeriodMap("change", str(year), "consistent").name


def series_map(year: int) -> str:
    """Return the name of the demo's map of classes after the series model."""
    return PeriodMap("lc", str(year), "series").name


def series_maps(years: Sequence[int]) -> list[str]:
    """Return the names of all maps of the series model; the demo has them where the model has learnt series."""
    pairs = {*pairwise(years), (years[0], years[-1])}
    names = [name for year in years for name in (series_map(year), PeriodMap("lc", str(year), "p_sealed").name)]
    return names + [change_map("lc", pair, kind) for pair in sorted(pairs) for kind in ("p_gain", "p_loss")]


def read_map(path: Path) -> np.ma.MaskedArray:
    """Read the first band of a GeoTIFF; no data is masked."""
    with rasterio.open(path) as source:
        return source.read(1, masked=True)


def read_classes(path: Path) -> np.ma.MaskedArray:
    """Read a map of classes 1-4; no data and 0 are masked."""
    return np.ma.masked_equal(read_map(path), 0)


def read_truth(demo: Path, year: int) -> np.ma.MaskedArray:
    """Read the true classes of a year."""
    return read_classes(demo / "world" / "truth" / f"class_{year}.tif")


@dataclass(frozen=True)
class Score:
    """How well a map of a year agrees with the truth, on the cells that have a class in the map."""

    cells: int
    accuracy: float
    """Share of cells with the right class of four, 0-1."""
    iou: float
    """Intersection over union of impervious land: cells in both / cells in either."""
    producer: float
    """Producer's accuracy: share of the true impervious cells that are impervious in the map."""
    user: float
    """User's accuracy: share of the map's impervious cells that are truly impervious."""
    mapped_km2: float
    true_km2: float


def score(mapped: np.ma.MaskedArray, truth: np.ndarray) -> Score:
    """Compare a class map (row, col; 1-4, masked where none) with the truth on the same cells.

    >>> one = score(np.ma.masked_equal(np.array([[1, 3, 0]]), 0), np.array([[1, 1, 4]]))
    >>> one.cells, one.accuracy, one.iou
    (2, 0.5, 0.5)
    """
    known = ~np.ma.getmaskarray(mapped) & (truth > 0)
    ours, theirs = np.asarray(mapped)[known], truth[known]
    a, b = (np.isin(x, DEFINITIONS[DEFAULT_DEFINITION]) for x in (ours, theirs))
    both, either = int((a & b).sum()), int((a | b).sum())
    return Score(
        cells=int(known.sum()),
        accuracy=float((ours == theirs).mean()),
        iou=both / max(either, 1),
        producer=both / max(int(b.sum()), 1),
        user=both / max(int(a.sum()), 1),
        mapped_km2=float(a.sum()) * CELL_KM2,
        true_km2=float(b.sum()) * CELL_KM2,
    )


def score_maps(demo: Path, years: Sequence[int], name: Callable[[int], str]) -> dict[int, Score]:
    """Score the maps of all years; name : returns the name of the map of a year."""
    return {
        year: score(read_classes(demo / "maps" / f"{name(year)}.tif"), read_truth(demo, year).filled(0))
        for year in years
    }


def largest_site(changed: np.ndarray, margin: int = 15, least: int = 60) -> tuple[slice, slice] | None:
    """Return rows and columns of a square around the largest object of changed cells; None where there is no change.

    margin : cells around the object; least : cells along a side, less where the place is smaller
    """
    numbers, count = ndimage.label(changed, np.ones((3, 3)))
    if not count:
        return None
    largest = np.bincount(numbers.ravel())[1:].argmax()
    rows, cols = ndimage.find_objects(numbers)[largest]
    side = max(least, rows.stop - rows.start + 2 * margin, cols.stop - cols.start + 2 * margin)

    def window(of: slice, length: int) -> slice:
        start = max(0, min((of.start + of.stop - side) // 2, length - side))
        return slice(start, min(start + side, length))

    return window(rows, changed.shape[0]), window(cols, changed.shape[1])


def newly_impervious(first: np.ma.MaskedArray, last: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """Tell which cells became impervious. Returns: array (row, col), 1 or 0, masked where either year is unknown."""
    before, after = (np.isin(np.asarray(x), DEFINITIONS[DEFAULT_DEFINITION]) for x in (first, last))
    unknown = np.ma.getmaskarray(first) | np.ma.getmaskarray(last)
    return np.ma.masked_array((~before & after).astype("uint8"), unknown)


def read_table(folder: Path) -> list[dict]:
    """Return the rows of the table impervious_nuts of the default definition."""
    rows = pq.read_table(folder / "impervious_nuts.parquet").to_pylist()
    return [row for row in rows if row["definition"] == DEFAULT_DEFINITION]


def read_regions(table: Path) -> dict[str, dict[str, str]]:
    """Return the rows of nuts_regions.csv by region code."""
    with (table / "nuts_regions.csv").open(newline="", encoding="utf-8") as file:
        return {row["geo"]: row for row in csv.DictReader(file)}


def methods_in(rows: Sequence[Mapping]) -> list[str]:
    """Return the methods that a table holds, the most trusted one last.

    >>> methods_in([{"method": "mapped_consistent"}, {"method": "mapped_raw"}, {"method": "mapped_raw"}])
    ['mapped_raw', 'mapped_consistent']
    """
    return sorted({row["method"] for row in rows}, key=lambda method: -METHODS[method]["rank"])


def select(rows: Sequence[Mapping], **where: object) -> dict[str, Mapping]:
    """Return the rows of impervious land whose columns have the given values, by region code."""
    where |= {"landcover": "IMP", "definition": DEFAULT_DEFINITION}
    return {r["geo"]: r for r in rows if all(r[k] == v for k, v in where.items())}


def truth_by_region(demo: Path, years: Sequence[int]) -> dict[str, dict[str, float]]:
    """Sum up truth/regions.csv, in per cent of the part of each region that lies within the world.

    Returns: region code to level and INDICATORS; gain is summed over the years. Regions without land in the world are left out
    """
    column = f"_{DEFAULT_DEFINITION}_m2"
    out: dict[str, dict[str, float]] = {}
    first: dict[str, float] = {}
    with (demo / "world" / "truth" / "regions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        year, area = int(row["year"]), int(row["area_m2"])
        if row["basis"] != "majority" or year not in years or not area:
            continue
        one = out.setdefault(row["geo"], {"level": int(row["level"]), "gain": 0.0})
        one["stock"] = 100 * int(row["sealed" + column]) / area
        if year == years[0]:
            first[row["geo"]] = one["stock"]
        else:
            one["gain"] += 100 * int(row["gain" + column]) / area
    for geo, one in out.items():
        one["net"] = one["stock"] - first[geo]
    return out


def mapped_by_region(
    rows: Sequence[Mapping], method: str, years: Sequence[int], area_km2: Mapping[str, float]
) -> dict[str, dict[str, float | None]]:
    """Return INDICATORS by region code, in per cent of the area that the method's figures stand for.

    That area is the whole region, or the cells seen: the schema says it of each method. None where the table has no value
    """
    first, last = years[0], years[-1]
    found = {
        "stock": select(rows, lc_flow="STK", method=method, unit="KM2", TIME_PERIOD=last),
        "gain": select(rows, lc_flow="GAIN", method=method, unit="KM2", time_from=first, TIME_PERIOD=last),
        "net": select(rows, lc_flow="NET", method=method, unit="KM2", time_from=first, TIME_PERIOD=last),
    }
    out: dict[str, dict[str, float | None]] = {}
    for indicator, by_geo in found.items():
        for geo, row in by_geo.items():
            area = area_km2[geo] if METHODS[method]["ground"] == "region" else row["N_PIX"] * CELL_KM2
            value = row["OBS_VALUE"]
            out.setdefault(geo, {})[indicator] = None if value is None or not area else 100 * value / area
    return out


def figures_by_region(demo: Path, years: Sequence[int]) -> dict[str, dict[str, dict]]:
    """Return the figures of each method of the table and, last, of the truth: source to region code to INDICATORS."""
    rows = read_table(demo / "table")
    area_km2 = {geo: float(row["area_km2"]) for geo, row in read_regions(demo / "table").items()}
    mapped = {method: mapped_by_region(rows, method, years, area_km2) for method in methods_in(rows)}
    return {**mapped, "truth": truth_by_region(demo, years)}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def map_lines(demo: Path, years: Sequence[int]) -> list[str]:
    """Write the accuracy of the maps."""
    columns = (
        ("accuracy", 9),
        ("IoU", 7),
        ("producer's", 12),
        ("user's", 8),
        ("mapped km2", 12),
        ("true km2", 10),
        ("error", 8),
    )
    lines = [
        "Maps compared with the truth, on the cells that have a class in the map",
        "  accuracy: share of cells with the right one of four classes; all other columns: impervious land, that is artificial and",
        "  natural material surfaces",
        f"  {'map':<18}" + "".join(f"{head:>{width}}" for head, width in columns),
    ]
    kinds = (("predicted", predicted_map), ("consistent", consistent_map), ("series", series_map))
    for title, name in (kind for kind in kinds if (demo / "maps" / f"{kind[1](years[0])}.tif").is_file()):
        for year, one in score_maps(demo, years, name).items():
            lines.append(
                f"  {f'{title} {year}':<18}{one.accuracy:>9.3f}{one.iou:>7.3f}{one.producer:>12.3f}{one.user:>8.3f}"
                f"{one.mapped_km2:>12.3f}{one.true_km2:>10.3f}{100 * (one.mapped_km2 / one.true_km2 - 1):>+7.1f}%"
            )
    return lines


def region_lines(demo: Path, years: Sequence[int]) -> list[str]:
    """Write the figures of the regions of levels 0 and 3."""
    figures = figures_by_region(demo, years)
    truth = figures["truth"]
    sources = ["truth", *(source for source in figures if source != "truth")]
    width = 12
    titles = {"stock": f"impervious {years[-1]}", "gain": "gain", "net": "net change"}
    heads = ["truth", *(METHODS[method]["short"] for method in sources[1:])]
    group = width * len(sources)
    lines = [
        f"Regions: impervious land in {years[-1]}, its gain and its net change from {years[0]} to {years[-1]}, per cent of the area",
        f"  {'':<7}" + "".join(f"{titles[indicator]:>{group}}" for indicator in INDICATORS),
        f"  {'region':<7}" + "".join(f"{head:>{width}}" for head in heads) * len(INDICATORS),
    ]
    for geo in sorted(truth, key=lambda g: (truth[g]["level"], g)):
        if truth[geo]["level"] in (0, 3):
            values = (figures[source].get(geo, {}).get(indicator) for indicator in INDICATORS for source in sources)
            lines.append(f"  {geo:<7}" + "".join(f"{_number(value):>{width}}" for value in values))
    return [*lines, f"  -  no value: less than {100 * COVERAGE_MIN:.0f} % of the region was seen"]


@dataclass(frozen=True)
class Period:
    """New artificial land of a region in a period, km2 a year."""

    first: int
    last: int
    value: float
    low: float
    high: float
    mapped: float | None
    """What the best mapped method gives."""
    true: float


def estimated_periods(demo: Path) -> dict[str, list[Period]]:
    """Return the estimates of the regions that have intervals of gain, beside the map and the truth: region code to periods."""
    rows = [
        row
        for row in pq.read_table(demo / "table" / "impervious_nuts.parquet").to_pylist()
        if (row["definition"], row["landcover"], row["lc_flow"], row["unit"]) == ("artificial", "IMP", "GAIN", "KM2")
    ]
    best = [method for method in methods_in(rows) if not METHODS[method]["interval"]][-1]
    mapped = {(r["geo"], r["time_from"], r["TIME_PERIOD"]): r["OBS_VALUE"] for r in rows if r["method"] == best}
    areas = {geo: float(row["area_km2"]) for geo, row in read_regions(demo / "table").items()}
    share = _true_gain_shares(demo)
    headline = methods_in(rows)[-1]
    out: dict[str, list[Period]] = {}
    for row in rows:
        if row["method"] != headline or row["OBS_LCI95"] is None:
            continue
        geo, first, last = row["geo"], row["time_from"], row["TIME_PERIOD"]
        true = areas[geo] * sum(share[geo, year] for year in range(first + 1, last + 1))
        found = (row["OBS_VALUE"], row["OBS_LCI95"], row["OBS_UCI95"], mapped.get((geo, first, last)), true)
        values = (None if value is None else value / (last - first) for value in found)
        out.setdefault(geo, []).append(Period(first, last, *values))
    return {geo: sorted(found, key=lambda one: (one.last - one.first, one.first)) for geo, found in out.items()}


def _true_gain_shares(demo: Path) -> dict[tuple[str, int], float]:
    """Return what share of a region within the world became artificial in a year: (region code, year) to 0-1."""
    with (demo / "world" / "truth" / "regions.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["geo"], int(row["year"])): int(row["gain_artificial_m2"] or 0) / int(row["area_m2"])
            for row in csv.DictReader(file)
            if row["basis"] == "majority" and int(row["area_m2"])
        }


def estimate_lines(demo: Path) -> list[str]:
    """Write the estimates beside the map and the truth, and how many intervals hold it."""
    found = estimated_periods(demo)
    agreement = json.loads((demo / "table" / "estimates.json").read_text(encoding="utf-8"))["interpreters"]
    lines = [
        "Estimates from the reference sample: new artificial land, km2 a year",
        f"  {'region':<7}{'period':<11}{'estimate':>10}{'95 % interval':>20}{'series':>10}{'truth':>10}",
    ]
    for geo, periods in found.items():
        for one in periods:
            interval = f"{one.low:.4f} - {one.high:.4f}"
            mark = "" if one.low <= one.true <= one.high else "  missed"
            lines.append(
                f"  {geo:<7}{f'{one.first}-{one.last}':<11}{one.value:>10.4f}{interval:>20}{_number(one.mapped):>10}{one.true:>10.4f}{mark}"
            )
    held = [one.low <= one.true <= one.high for periods in found.values() for one in periods]
    missed = "-" if agreement["missed"] is None else f"{100 * agreement['missed']:.0f} %"
    return [
        *lines,
        f"  {sum(held)} of {len(held)} intervals hold the truth; {agreement['units']} units read, one reading misses {missed} of the changes",
    ]


def sealing_lines(demo: Path, run: sealing.Sealing) -> list[str]:
    """Write what each method says of sealed land and its change in each year, beside the truth."""
    bounds = judge.read_world(demo / "world")[0]["bounds"]
    grounds = judge.read_grounds(demo / "model", bounds)
    return sealing.summary_lines({title: sealing.judge_sealing(run, ground) for title, ground in grounds.items()})


def summary(demo: Path, years: Sequence[int], run: sealing.Sealing, seconds: Mapping[str, float]) -> list[str]:
    """Write all figures as lines of text; run : its sealed land; seconds : time of each stage."""
    times = "  ".join(f"{stage} {taken:.0f}" for stage, taken in seconds.items())
    return [
        *map_lines(demo, years),
        "",
        *sealing_lines(demo, run),
        "",
        *region_lines(demo, years),
        "",
        *estimate_lines(demo),
        "",
        "Time of each stage, seconds",
        f"  {times}  sum {sum(seconds.values()):.0f}",
    ]
