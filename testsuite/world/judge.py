"""Compare a run of the tools with the truth of its world: `python -m testsuite.world.judge WORLD --run RUN --json FILE --picture FILE`.

RUN is a folder with the results of the run. Files are found by name at any depth:
  *<year>_class.tif            classes 1-4 on the grid (maps of r.unet.predict, exported by r.out.gdal), 0 or no data where there is none
  *<year>_p_artificial.tif ... probabilities x 10000 (p_artificial, p_natural, p_green, p_other)
  *<year>_consistent.tif       classes after the persistence rule (maps of r.impervious.change)
  *<year>_series.tif, *<year>_p_sealed.tif, *<from>_<to>_p_gain.tif, *<from>_<to>_p_loss.tif
                               classes and probabilities 0-1 of the series model, for neighbouring years and the whole span
  card.json                    of the model: its test ground is judged apart
  impervious_nuts.csv          the table; several tables in separate folders count as several drawn samples
`--difficulty` measures the world itself, without a run (see difficulty.py).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from imperviouslib.core.tableschema import SCHEMA
from testsuite.world import difficulty, sealing
from testsuite.world.make import make_world
from testsuite.world.reading import read_truth, read_world
from testsuite.world.reference import draw_samples
from testsuite.world.sealing import Chances, Sealing, mapped_changes, year_pairs
from testsuite.world.spec import Spec, parse_years
from testsuite.world.truth import DEFINITIONS

CLASSES = ("artificial", "natural", "green", "other")
CELL_M2 = 400
TABLE_COLUMNS = (
    "lc_flow", "landcover", "definition", "method", "unit", "geo", "time_from", "TIME_PERIOD", "OBS_VALUE", "OBS_LCI95", "OBS_UCI95",
)  # fmt: skip


def read_on_grid(path: Path, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """Read a raster of the run onto the grid of the place. Returns: array (row, col) float64, NaN for no data and outside of the raster."""
    west, south, east, north = bounds
    out = np.full(((north - south) // 20, (east - west) // 20), np.nan)
    with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(path) as file:
        t = file.transform
        if (t.a, t.e) != (20.0, -20.0) or t.c % 20 or t.f % 20:
            raise ValueError(
                f"Raster '{path}' has cells of {t.a} m from {t.c}, {t.f}, expected 20 m cells on the grid. Export it again."
            )
        data = file.read(1, masked=True).astype(float).filled(np.nan)
        row, col = round((north - t.f) / 20), round((t.c - west) / 20)
    r0, c0 = max(0, row), max(0, col)
    r1, c1 = min(out.shape[0], row + data.shape[0]), min(out.shape[1], col + data.shape[1])
    if r1 > r0 and c1 > c0:
        out[r0:r1, c0:c1] = data[r0 - row : r1 - row, c0 - col : c1 - col]
    return out


def _find(run: Path, what: str, years: str) -> dict[tuple[int, ...], Path]:
    """Find the maps of one kind by a pattern of their years. Returns: path by years."""
    found: dict[tuple[int, ...], Path] = {}
    for path in sorted(run.rglob(f"*_{what}.tif")):
        match = re.search(rf"{years}_{what}\.tif$", path.name)
        if not match:
            continue
        first = found.setdefault(tuple(map(int, match.groups())), path)
        if first != path:
            raise ValueError(
                f"Run '{run}' has two maps of {'-'.join(match.groups())}, '{first}' and '{path}', expected one for each year. Choose the folder of one run."
            )
    return found


def find_maps(run: Path, what: str) -> dict[int, Path]:
    """Find the maps of one kind in a run. Returns: path by year."""
    return {year: path for (year,), path in _find(run, what, r"(\d{4})").items()}


def find_change_maps(run: Path, what: str) -> dict[tuple[int, int], Path]:
    """Find the maps of one kind of change in a run. Returns: path by first and last year."""
    return {(first, last): path for (first, last), path in _find(run, what, r"(\d{4})_(\d{4})").items()}


def read_classes(path: Path, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """Read a class map onto the grid of the place. Returns: array (row, col) uint8, classes 1-4, 0 unknown."""
    classes = np.nan_to_num(read_on_grid(path, bounds))
    foreign = classes[~np.isin(classes, range(len(CLASSES) + 1))]
    if foreign.size:
        raise ValueError(
            f"Map '{path}' has code {foreign[0]:g} in {foreign.size} cells, expected classes 1-4, 0 or no data. Export the class maps of r.unet.predict."
        )
    return classes.astype(np.uint8)


def read_sealing(world: Path, run: Path) -> Sealing | None:
    """Read the sealed land of a run and of its world; None if the run has class maps of fewer than two years of the world."""
    facts = read_world(world)[0]
    bounds = tuple(facts["bounds"])
    files = {"raw": find_maps(run, "class"), "persistence": find_maps(run, "consistent"), "series": find_maps(run, "series")}  # fmt: skip
    years = tuple(sorted(set(files["raw"]) & set(facts["years"])))
    if len(years) < 2:
        return None
    maps = {
        method: np.stack([read_classes(of[y], bounds) for y in years])
        for method, of in files.items()
        if set(years) <= set(of)
    }
    truth = np.stack([read_truth(world, year) for year in years])
    known = (truth > 0).all(axis=0) & (maps["raw"] > 0).any(axis=0)
    gain, loss = {}, {}
    for method, classes in maps.items():
        gain[method], loss[method] = mapped_changes(classes)
    p_sealed = None
    if "series" in maps:
        gain["series"], loss["series"] = (read_chances(run, f"p_{kind}", years, bounds) for kind in ("gain", "loss"))
        of = find_maps(run, "p_sealed")
        _check_present(run, "p_sealed", years, of)
        p_sealed = np.stack([read_on_grid(of[year], bounds).astype(np.float32) for year in years])
        values = (p_sealed, *(v for kind in (gain, loss) for v in (kind["series"].pairs, kind["series"].span[None])))
        known &= np.logical_and.reduce([np.isfinite(v).all(axis=0) for v in values])
    return Sealing(years, truth == sealing.ARTIFICIAL, known, maps, gain, loss, p_sealed)


def read_chances(run: Path, what: str, years: tuple[int, ...], bounds: tuple[int, int, int, int]) -> Chances:
    """Read the probabilities of one kind of change: of all pairs of neighbouring years, and of the whole span."""
    files = find_change_maps(run, what)
    pairs = [(years[a], years[b]) for a, b in year_pairs(len(years))]
    _check_present(run, what, pairs, files)
    layers = [read_on_grid(files[pair], bounds).astype(np.float32) for pair in pairs]
    return Chances(np.stack(layers[: len(years) - 1]), layers[-1])


def _check_present(run: Path, what: str, expected: Iterable, found: Mapping) -> None:
    """Raise ValueError if a series has no map of a year, or of a pair of years."""
    if absent := [one for one in expected if one not in found]:
        years = "_".join(map(str, np.atleast_1d(absent[0])))
        raise ValueError(
            f"Run '{run}' has maps *_series.tif but no map *{years}_{what}.tif, expected one for each year or pair of years. Export all maps of the series."
        )


def read_grounds(run: Path, bounds: tuple[int, int, int, int], mask: Path | None = None) -> dict[str, np.ndarray]:
    """Return the parts of the place that are judged apart. Returns: title to array (row, col), bool.

    These are all ground, the mask where one is given, and the test ground of the model where the run has its card.json
    """
    shape = (bounds[3] - bounds[1]) // 20, (bounds[2] - bounds[0]) // 20
    grounds = {"all ground": np.ones(shape, bool)}
    if mask:
        grounds["the mask"] = np.nan_to_num(read_on_grid(mask, bounds)) != 0
        if not grounds["the mask"].any():
            raise ValueError(f"Mask '{mask}' has no cell other than 0 within the world. Choose a mask of this place.")
    cards = sorted(run.rglob("card.json"))
    if len(cards) > 1:
        raise ValueError(
            f"Run '{run}' has two models, '{cards[0]}' and '{cards[1]}', expected one. Choose the folder of one run."
        )
    for card in cards:
        split = json.loads(card.read_text(encoding="utf-8"))["split"]
        grounds["test ground"] = in_blocks(split["blocks"]["test"], split["block"], bounds)
    return {title: ground for title, ground in grounds.items() if ground.any()}


def in_blocks(blocks: Iterable[Iterable[int]], size: int, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """Tell which cells of a place lie in blocks of the absolute grid. Returns: array (row, col), bool.

    blocks : row and column of each block, counted in blocks of `size` cells, southwards and eastwards from the origin of EPSG:3035
    """
    west, south, east, north = bounds
    out = np.zeros(((north - south) // 20, (east - west) // 20), bool)
    for row, col in blocks:
        top, left = row * size + north // 20, col * size - west // 20
        out[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = True
    return out


def compare_classes(mapped: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Compare classes where both are known. mapped, truth : arrays of one shape, 0 unknown. Returns: values for JSON, for each class."""
    seen = (mapped > 0) & (truth > 0)
    n = int(seen.sum())
    table = (
        np.bincount(truth[seen].astype(int) * 5 + mapped[seen].astype(int), minlength=25)
        .reshape(5, 5)[1:, 1:]
        .astype(float)
    )
    out: dict[str, Any] = {
        "cells": n,
        "right": float(np.trace(table) / max(1, n)),
        "confusion": table.astype(int).tolist(),
    }
    for number, name in enumerate(CLASSES):
        hit, is_true, is_mapped = table[number, number], table[number].sum(), table[:, number].sum()
        out[name] = {
            "iou": _ratio(hit, is_true + is_mapped - hit), "users": _ratio(hit, is_mapped), "producers": _ratio(hit, is_true),
            "area_error": _ratio(is_mapped - is_true, is_true), "true_km2": is_true * CELL_M2 / 1e6, "mapped_km2": is_mapped * CELL_M2 / 1e6,
        }  # fmt: skip
    return out


def _ratio(a: float, b: float) -> float | None:
    """Divide; None if b is 0."""
    return float(a / b) if b else None


def reliability(probability: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Compare probabilities with how often they come true.

    probability : array, 0-1, NaN unknown; truth : array of bool, one shape
    Returns: bias of the mean; slope of the truth on the probability (1 is perfect); up to ten bins of mean probability, frequency and count
    """
    known = np.isfinite(probability)
    p, t = probability[known], truth[known].astype(float)
    if not len(p):
        return {"bias": None, "slope": None, "bins": []}
    number = np.clip((p * 10).astype(int), 0, 9)
    n = np.bincount(number, minlength=10)
    mean_p, mean_t = (np.bincount(number, weights=v, minlength=10) / np.maximum(n, 1) for v in (p, t))
    spread = float(np.var(p))
    return {
        "bias": float(p.mean() - t.mean()),
        "slope": float(np.cov(p, t, bias=True)[0, 1] / spread) if spread > 0 else None,
        "bins": [[float(a), float(b), int(c)] for a, b, c in zip(mean_p, mean_t, n, strict=True) if c],
    }


def judge_change(
    before: np.ndarray, after: np.ndarray, true_before: np.ndarray, true_after: np.ndarray, classes: Iterable[int]
) -> dict:
    """Compare mapped and true change between two years, on the cells that have a class in both maps.

    All arrays: (row, col), classes 1-4, 0 unknown. Returns: hectares of gain and loss: mapped, true, false, missed; and the ratio
    """
    sealed = tuple(classes)
    seen = (before > 0) & (after > 0)
    m0, m1, t0, t1 = (np.isin(a, sealed) for a in (before, after, true_before, true_after))
    out: dict[str, Any] = {}
    for name, mapped, true in (("gain", ~m0 & m1 & seen, ~t0 & t1 & seen), ("loss", m0 & ~m1 & seen, t0 & ~t1 & seen)):
        ha = CELL_M2 / 1e4
        out[name] = {
            "mapped_ha": float(mapped.sum() * ha), "true_ha": float(true.sum() * ha), "false_ha": float((mapped & ~true).sum() * ha),
            "missed_ha": float((true & ~mapped).sum() * ha), "overstates": _ratio(float(mapped.sum()), float(true.sum())),
        }  # fmt: skip
    out["net_error_ha"] = (out["gain"]["mapped_ha"] - out["loss"]["mapped_ha"]) - (
        out["gain"]["true_ha"] - out["loss"]["true_ha"]
    )
    return out


def read_region_truth(world: Path) -> dict[tuple[str, int, str], dict[str, float]]:
    """Read truth/regions.csv. Returns: values by (region, year, basis)."""
    with (world / "truth" / "regions.csv").open(encoding="utf-8") as file:
        return {
            (r["geo"], int(r["year"]), r["basis"]): {k: float(v) for k, v in r.items() if k.endswith("_m2")}
            for r in csv.DictReader(file)
        }


@dataclass
class FigureErrors:
    """Errors of the figures of one method, definition and kind, km2."""

    error: list[float] = field(default_factory=list)
    """Figure minus truth."""
    true: list[float] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)
    """Whether the truth lies in the 95 % interval, for figures with an interval."""
    width: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return mean error, root mean square error and coverage of the intervals, as values for JSON."""
        error = np.array(self.error)
        return {
            "figures": len(error), "mean_error_km2": float(error.mean()), "rmse_km2": float(np.sqrt((error**2).mean())),
            "sum_true_km2": float(np.sum(self.true)), "intervals": len(self.inside),
            "covering": float(np.mean(self.inside)) if self.inside else None,
            "median_width_km2": float(np.median(self.width)) if self.width else None,
        }  # fmt: skip


def judge_tables(world: Path, tables: list[Path], basis: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compare the figures of tables with the truth: their errors, and how many of the 95 % intervals contain the truth.

    tables : paths of impervious_nuts.csv, one for each run; basis : share or majority, what the truth counts
    Returns: for each method, definition and kind of figure, change by the number of years: number of figures, mean and root mean square error
    in km2, share of the intervals that contain the truth, and their median width; and the same by region
    """
    truth = read_region_truth(world)
    found: dict[str, FigureErrors] = defaultdict(FigureErrors)
    by_region: dict[str, dict[str, FigureErrors]] = defaultdict(lambda: defaultdict(FigureErrors))
    for path in tables:
        with path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if absent := [c for c in TABLE_COLUMNS if c not in (reader.fieldnames or ())]:
                raise ValueError(
                    f"Table '{path}' has no column {absent[0]}, expected {', '.join(TABLE_COLUMNS)}. Choose a table of r.impervious.change."
                )
            for row in reader:
                if row["landcover"] != "IMP" or row["unit"] != "KM2" or not row["OBS_VALUE"]:
                    continue
                true = _true_value(truth, row, basis)
                if true is None:
                    continue
                years = int(row["TIME_PERIOD"]) - int(row["time_from"] or row["TIME_PERIOD"])
                key = f"{row['method']} {row['definition']} {row['lc_flow']}" + (f" {years} years" if years > 1 else "")
                part = _part_inside(truth, row, basis)
                for kept in (found[key], by_region[row["geo"]][key]):
                    kept.error.append(part * float(row["OBS_VALUE"]) - true)
                    kept.true.append(true)
                    if row["OBS_LCI95"] and row["OBS_UCI95"]:
                        low, high = part * float(row["OBS_LCI95"]), part * float(row["OBS_UCI95"])
                        kept.inside.append(low <= true <= high)
                        kept.width.append(high - low)
    return _summaries(found), {geo: _summaries(of) for geo, of in sorted(by_region.items())}


def _summaries(found: dict[str, FigureErrors]) -> dict[str, Any]:
    return {key: figures.summary() for key, figures in sorted(found.items())}


def _part_inside(truth: dict, row: dict[str, str], basis: str) -> float:
    """Return the part of a region that lies in the world, 0-1, for figures that stand for the whole region; 1 for those of the cells seen."""
    method = SCHEMA["methods"].get(row["method"])
    seen, coverage = float(row.get("N_PIX") or 0), float(row.get("COVERAGE") or 0)
    if method is None or method["ground"] != "region" or not seen or not coverage:
        return 1.0
    return min(1.0, truth[row["geo"], int(row["TIME_PERIOD"]), basis]["area_m2"] / (seen / coverage * CELL_M2))


def _true_value(truth: dict, row: dict[str, str], basis: str) -> float | None:
    """Return the truth of one figure, km2; None if there is none."""
    name, geo = row["definition"], row["geo"]
    first, last = int(row["time_from"] or row["TIME_PERIOD"]), int(row["TIME_PERIOD"])
    if (geo, last, basis) not in truth or (geo, first, basis) not in truth or not truth[geo, last, basis]["area_m2"]:
        return None
    if row["lc_flow"] == "STK":
        return truth[geo, last, basis][f"sealed_{name}_m2"] / 1e6
    gain = sum(truth[geo, y, basis][f"gain_{name}_m2"] for y in range(first + 1, last + 1))
    loss = sum(truth[geo, y, basis][f"loss_{name}_m2"] for y in range(first + 1, last + 1))
    return {"GAIN": gain, "LOSS": loss, "NET": gain - loss}[row["lc_flow"]] / 1e6


def judge_map(classes: np.ndarray, probabilities: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, Any]:
    """Judge a map, or the part of a map in a region.

    All arrays: one shape; classes, truth : 1-4, 0 unknown; probabilities : 0-1 by class, 0 or NaN unknown
    """
    result = compare_classes(classes, truth)
    result["seen"] = float((classes > 0).mean())
    for number, name in enumerate(CLASSES, start=1):
        if name in probabilities:
            # 0 is the code of no data.
            p = np.where(probabilities[name] > 0, probabilities[name], np.nan)
            result[name]["reliability"] = reliability(p, truth == number)
    return result


def judge_run(world: Path, run: Path, basis: str = "majority", mask: Path | None = None) -> dict[str, Any]:
    """Judge the maps and tables of a run. Returns: values for JSON, by year, pair of years, region and method.

    mask : GeoTIFF on the grid; sealed land is also judged where it is not zero
    """
    facts = read_world(world)[0]
    bounds = tuple(facts["bounds"])
    maps = {y: read_classes(p, bounds) for y, p in find_maps(run, "class").items() if y in facts["years"]}
    covered = max((float((m > 0).mean()) for m in maps.values()), default=None)
    if covered == 0:
        raise ValueError(f"Run '{run}' has no class within the world '{world}'. Choose the world that was mapped.")
    truth = {y: read_truth(world, y) for y in facts["years"]}
    out: dict[str, Any] = {
        "world": facts["settings"],
        "run": str(run),
        "years": {},
        "change": {},
        "regions": {},
        "basis": basis,
        "covered": covered,
    }
    with rasterio.open(world / "truth" / "zones.tif") as file:
        zones = file.read(1)
    with (world / "truth" / "zones.csv").open(encoding="utf-8") as file:
        regions = {r["geo"]: [int(z) for z in r["zones"].split()] for r in csv.DictReader(file)}
    parts = {geo: at for geo, numbers in regions.items() if (at := np.isin(zones, numbers)).any()}
    out["regions"] = {geo: {"years": {}, "change": {}, "tables": {}} for geo in parts}
    files = {name: find_maps(run, f"p_{name}") for name in CLASSES}
    for year, classes in sorted(maps.items()):
        probabilities = {n: read_on_grid(of[year], bounds) / 10000 for n, of in files.items() if year in of}
        out["years"][str(year)] = judge_map(classes, probabilities, truth[year])
        for geo, at in parts.items():
            own = judge_map(classes[at], {n: p[at] for n, p in probabilities.items()}, truth[year][at])
            out["regions"][geo]["years"][str(year)] = own
    years = sorted(maps)
    pairs = list(pairwise(years)) + ([(years[0], years[-1])] if len(years) > 2 else [])
    for a, b in pairs:
        of_pair = maps[a], maps[b], truth[a], truth[b]
        for name, classes in DEFINITIONS.items():
            out["change"].setdefault(f"{a}-{b}", {})[name] = judge_change(*of_pair, classes)
            for geo, at in parts.items():
                own = judge_change(*(m[at] for m in of_pair), classes)
                out["regions"][geo]["change"].setdefault(f"{a}-{b}", {})[name] = own
    if run_sealing := read_sealing(world, run):
        grounds = read_grounds(run, bounds, mask)
        out["sealing"] = {title: sealing.judge_sealing(run_sealing, ground) for title, ground in grounds.items()}
    tables = sorted(run.rglob("impervious_nuts.csv"))
    if tables:
        out["tables"], of_regions = judge_tables(world, tables, basis)
        out["n_tables"] = len(tables)
        for geo, found in of_regions.items():
            out["regions"].setdefault(geo, {"years": {}, "change": {}})["tables"] = found
    if not maps and not tables:
        raise ValueError(
            f"Run '{run}' has no *<year>_class.tif and no impervious_nuts.csv, expected at least one of them. See --help."
        )
    return out


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Write the judgement as lines of text."""

    def pct(value: float | None) -> str:
        return "    -" if value is None else f"{100 * value:5.1f}"

    out = []
    if result["covered"] is not None and result["covered"] < 0.5:
        out.append(
            f"WARNING: Run '{result['run']}' covers only {pct(result['covered']).strip()} % of the world. Check that it is a run on this world."
        )
    out += ["year  class        IoU  user's  producer's  area error   bias of p  slope"]
    for year, y in result["years"].items():
        for name in CLASSES:
            c = y[name]
            r = c.get("reliability") or {}
            bias = "-" if r.get("bias") is None else f"{100 * r['bias']:+.2f}"
            slope = "-" if r.get("slope") is None else f"{r['slope']:.2f}"
            error = "-" if c["area_error"] is None else f"{100 * c['area_error']:+.1f} %"
            out.append(
                f"{year}  {name:10s} {pct(c['iou'])}   {pct(c['users'])}       {pct(c['producers'])}  {error:>10s}  {bias:>9s}  {slope:>5s}"
            )
        out.append(f"{year}  accuracy {pct(y['right'])} %, cells with a class {pct(y['seen'])} %")
    for pair, by in result["change"].items():
        for name, c in by.items():
            g, loss = c["gain"], c["loss"]
            ratio = "-" if g["overstates"] is None else f"{g['overstates']:.1f}"
            out.append(
                f"{pair}  {name:18s} gain mapped {g['mapped_ha']:.1f} ha, true {g['true_ha']:.1f} (false {g['false_ha']:.1f}, missed "
                f"{g['missed_ha']:.1f}, mapped / true {ratio}); loss mapped {loss['mapped_ha']:.1f}, true {loss['true_ha']:.1f} (false "
                f"{loss['false_ha']:.1f}, missed {loss['missed_ha']:.1f})"
            )
    if "sealing" in result:
        out += ["", *sealing.summary_lines(result["sealing"]), ""]
    for key, t in result.get("tables", {}).items():
        intervals = "no intervals"
        if t["covering"] is not None:
            intervals = f"{t['intervals']} intervals, {pct(t['covering']).strip()} % contain the truth, median width {t['median_width_km2']:.4f} km2"
        out.append(
            f"table  {key}: {t['figures']} figures, mean error {t['mean_error_km2']:+.4f} km2, rmse {t['rmse_km2']:.4f}; {intervals}"
        )
    if result["years"]:
        out += ["", *_region_lines(result, pct)]
    return out


def _region_lines(result: dict[str, Any], pct: Callable[[float | None], str]) -> list[str]:
    """Write the figures of artificial land for each region: worst and best year, and the change from the first to the last."""

    def span(values: Iterable[float | None], scale: float, form: str) -> str:
        known = [scale * v for v in values if v is not None]
        return " ".join(format(v, form) for v in (min(known), max(known))) if known else "- -"

    out = [
        "Artificial land by region: smallest and largest value of all years, and gain from the first year to the last",
        "region    seen     IoU min max  area error % min max  bias of p % min max  gain mapped  true  false  missed ha",
    ]
    for geo, region in result["regions"].items():
        if not region["years"]:
            continue
        years = list(region["years"].values())
        one = [y["artificial"] for y in years]
        bias = [(c.get("reliability") or {}).get("bias") for c in one]
        line = f"{geo:8s} {pct(min(y['seen'] for y in years))}  {span((c['iou'] for c in one), 100, '8.1f'):>17s}"
        line += f"  {span((c['area_error'] for c in one), 100, '+8.1f'):>22s}  {span(bias, 100, '+8.2f'):>20s}"
        if region["change"]:
            g = list(region["change"].values())[-1]["artificial"]["gain"]
            line += f"  {g['mapped_ha']:11.1f} {g['true_ha']:5.1f} {g['false_ha']:6.1f} {g['missed_ha']:7.1f}"
        out.append(line)
    return out


def _nan_if_unknown(value: float | None) -> float:
    """Return a value to plot: NaN, which leaves a gap, if it is unknown."""
    return math.nan if value is None else value


def draw(result: dict[str, Any], path: Path, run: Sealing | None = None) -> None:
    """Draw the judgement as one picture. run : the sealed land of the run, for the maps of its year"""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [["iou", "area"], ["reliability", "gain"]]
    if run:
        rows = [[*rows[0], "true", "mapped"], [*rows[1], "amounts", "curve"]]
    fig, axes = plt.subplot_mosaic(rows, figsize=(6.5 * len(rows[0]), 10), layout="constrained")
    _draw_classes(axes, result)
    if run:
        _draw_years(axes["true"], axes["mapped"], run)
        _draw_amounts(axes["amounts"], next(iter(result["sealing"].values())))
        _draw_curves(axes["curve"], result["sealing"])
    for a in axes.values():
        if a.get_legend_handles_labels()[0]:
            a.legend(fontsize=8)
    fig.savefig(path, dpi=90)
    plt.close(fig)


def _draw_classes(axes: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Draw accuracy, areas and reliability of the yearly class maps, and their new artificial land."""
    years = list(result["years"])
    for name in CLASSES:
        axes["iou"].plot(years, [_nan_if_unknown(result["years"][y][name]["iou"]) for y in years], "o-", label=name)
        axes["area"].plot(
            years, [100 * _nan_if_unknown(result["years"][y][name]["area_error"]) for y in years], "o-", label=name
        )
        for y in years[:1]:
            bins = (result["years"][y][name].get("reliability") or {}).get("bins", [])
            if bins:
                axes["reliability"].plot([b[0] for b in bins], [b[1] for b in bins], "o-", label=f"{name} {y}")
    axes["iou"].set(title="Intersection over union with the truth", ylim=(0, 1))
    axes["area"].set(title="Error of the area, % of the true area")
    axes["area"].axhline(0, color="grey", lw=0.8)
    axes["reliability"].plot([0, 1], [0, 1], color="grey", lw=0.8)
    if not axes["reliability"].get_legend_handles_labels()[0]:
        axes["reliability"].text(0.5, 0.2, "the run has no probability maps", ha="center")
    axes["reliability"].set(
        title="Reliability of the probabilities",
        xlabel="mean probability",
        ylabel="share of cells that truly have the class",
    )
    pairs = list(result["change"])
    at = np.arange(len(pairs))
    for shift, key, name in ((-0.25, "mapped_ha", "mapped"), (0, "true_ha", "true"), (0.25, "missed_ha", "missed")):
        heights = [max(0.01, result["change"][p]["artificial"]["gain"][key]) for p in pairs]
        axes["gain"].bar(at + shift, heights, 0.25, label=name)
    axes["gain"].set(title="Newly artificial land by raw differences, hectares (logarithmic scale)", yscale="log")
    axes["gain"].set_xticks(at, pairs, rotation=30)


def year_colours(count: int):
    """Return colour map and norm of the numbers of years, 1 to count; 0 is no change."""
    import matplotlib as mpl

    colours = mpl.colors.ListedColormap(["#e8e6e1", *mpl.colormaps["turbo"](np.linspace(0.05, 0.95, count))])
    return colours, mpl.colors.BoundaryNorm(np.arange(-0.5, count + 1), count + 1)


def _draw_years(true, mapped, run: Sealing) -> None:
    """Draw the true year of sealing, and beside it that of the best method. Cells are drawn larger than they are."""
    from scipy.ndimage import maximum_filter

    method, n = run.best, len(run.years) - 1
    colours, norm = year_colours(n)
    panels = ((true, "truth", sealing.year_of_gain(run.truth)), (mapped, method, sealing.marked_year(run.gain[method])))
    for axis, title, years in panels:
        shown = maximum_filter(np.where(run.known, years, 0), size=max(1, len(years) // 300))
        image = axis.imshow(shown, cmap=colours, norm=norm, interpolation="nearest")
        axis.set(title=f"Year of sealing: {title}, {(years > 0)[run.known].sum() * CELL_M2 / 1e6:.2f} km2")
        axis.axis("off")
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.04)
    bar.set_ticks(range(n + 1), labels=["none", *map(str, run.years[1:])])


def _draw_amounts(axis, judged: Mapping[str, Any]) -> None:
    """Draw the gain of each pair of years and of the whole span, as a multiple of the true one."""
    amounts = judged["amounts"]["gain"]
    for method in judged["methods"]:
        ratios = [_nan_if_unknown(one["methods"][method]["ratio"]) for one in amounts.values()]
        axis.plot(range(len(amounts)), ratios, "o", label=method)
    axis.axhline(1, color="grey", lw=0.8)
    axis.set(title="Gain of sealed land / true gain (logarithmic scale)", yscale="log")
    axis.set_xticks(range(len(amounts)), amounts, rotation=30)


def _draw_curves(axis, judged: Mapping[str, Any]) -> None:
    """Draw the share of true gain found against the share of land looked at, of the best method on each ground."""
    for title, one in judged.items():
        method = one["methods"][-1]
        if curve := one["events"]["gain"][method]["curve"]:
            axis.plot(*(100 * np.array(curve).T), label=f"{method}, {title}")
    axis.set(
        title="Share of true gain in the land looked at", xlabel="land, % (logarithmic scale)", ylabel="true gain, %",
        xscale="log", ylim=(0, 101),
    )  # fmt: skip
    axis.grid(color="#e5e5e5")


def main(arguments: list[str] | None = None) -> int:
    """Judge by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m testsuite.world.judge", description="Compare a run of the tools with the truth of its world."
    )
    parser.add_argument(
        "world",
        type=Path,
        nargs="?",
        help="folder of the world; if it is missing, the truth is made from --seed, --growth, --size-km and --years",
    )
    parser.add_argument("--run", type=Path, help="folder with the maps and tables of the run")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--growth", type=float, default=0.003, help="(default: %(default)s)")
    parser.add_argument("--size-km", type=float, default=30.0, help="(default: %(default)s)")
    parser.add_argument("--years", type=parse_years, default=parse_years("2017-2023"), help="(default: 2017-2023)")
    parser.add_argument(
        "--basis",
        choices=("majority", "share"),
        default="majority",
        help="cells that the truth of the tables counts: 20 m cells by majority, or 5 m cells (default: %(default)s)",
    )
    parser.add_argument(
        "--mask", type=Path, help="GeoTIFF on the grid; sealed land is also judged on the cells that are not zero"
    )
    parser.add_argument(
        "--difficulty", action="store_true", help="measure how difficult the world is, by a random forest"
    )
    parser.add_argument("--draws", type=int, default=0, help="number of reference samples to draw into --to")
    parser.add_argument("--to", type=Path, help="folder for the drawn samples (default: draws)")
    parser.add_argument(
        "--points", type=int, help="points in each stratum of a drawn sample (default: as in the world)"
    )
    parser.add_argument(
        "--error-rate", type=float, help="share of wrong labels in a drawn sample (default: as in the world)"
    )
    parser.add_argument("--json", type=Path, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="picture to write, .png")
    a = parser.parse_args(arguments)
    if not (a.run or a.difficulty or a.draws):
        parser.error("give at least one of --run, --difficulty, --draws")
    if a.difficulty and a.world is None:
        parser.error("--difficulty needs the folder of a world with scenes")
    try:
        with tempfile.TemporaryDirectory() as folder:
            world = a.world
            if world is None:
                spec = Spec(a.seed, a.years, a.size_km, growth=a.growth)
                world = make_world(Path(folder) / "world", spec, scenes=False)
            result: dict[str, Any] = {}
            if a.run:
                result = judge_run(world, a.run, a.basis, a.mask)
                print("\n".join(summary_lines(result)))
            if a.difficulty:
                result["difficulty"] = difficulty.measure(world)
                print("\n".join(difficulty.summary_lines(result["difficulty"])))
            if a.draws:
                draw_samples(world, a.draws, a.to or Path("draws"), a.points, a.error_rate)
        if a.json:
            a.json.write_text(json.dumps(result, indent=1) + "\n")
        if a.picture and a.run:
            draw(result, a.picture, read_sealing(world, a.run))
    except (ValueError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
