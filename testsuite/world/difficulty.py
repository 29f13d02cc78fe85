"""How hard is the world? A plain random forest on plain composites answers, with a method of its own: no code of the suite runs here.

Printed: how often it is right on one year's median, how its errors repeat from year to year, and how far raw differencing of its maps
overstates new sealed land. Reality says 85-93 %, a correlation of 0.3-0.7, and 5 to 40 times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from testsuite.world.materials import CLASS_OF_S2GLC
from testsuite.world.products import multihash

BANDS = ("B04", "B11", "B12")
MASKED = (0, 1, 3, 8, 9, 10, 11)
BLOCK_PX = 96
"""Training and test ground alternate in squares of this many 20 m cells, with a gap of EDGE_PX."""
EDGE_PX = 8
BOUNDS = {"right": (0.85, 0.93), "repeat": (0.3, 0.7), "overstates": (5.0, 40.0)}


@dataclass(frozen=True)
class Place:
    """The grid of a world."""

    west: int
    south: int
    east: int
    north: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of 20 m cells."""
        return (self.north - self.south) // 20, (self.east - self.west) // 20


def read_facts(out: Path) -> dict[str, Any]:
    """Read what world.json says of a world."""
    path = out / "world.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"World '{out}': found no file world.json, expected a finished world. Make it with python -m testsuite.world.make."
        )
    return json.loads(path.read_text())


def read_world(out: Path) -> tuple[dict[str, Any], Place]:
    """Read world.json. Returns: its facts and the grid."""
    facts = read_facts(out)
    return facts, Place(*facts["bounds"])


def read_items(out: Path, year: int) -> list[dict[str, Any]]:
    """Return the items of a year; of an acquisition that was processed twice, the newest baseline."""
    items = json.loads((out / "stac" / "items.json").read_text())["features"]
    best: dict[tuple, dict[str, Any]] = {}
    for item in items:
        p = item["properties"]
        if not p["datetime"].startswith(str(year)):
            continue
        key = (p["grid:code"], p["datetime"], p["eopf:datastrip_id"].split("_S")[-1].split("_N")[0])
        if key not in best or float(p["processing:version"]) > float(best[key]["properties"]["processing:version"]):
            best[key] = item
    return sorted(best.values(), key=lambda i: i["id"])


def read_scene(out: Path, item: dict[str, Any], place: Place) -> np.ndarray | None:
    """Read a scene onto the grid of the place, offset removed, masked by its classification.

    Returns: array (band, row, col), float32, reflectance 0-1, NaN where not clear; None where an object is absent or broken
    """
    transform = from_origin(place.west, place.north, 20, 20)

    paths = {b: out / "objects" / item["assets"][f"{b}_20m"]["href"].removeprefix("s3://") for b in (*BANDS, "SCL")}
    for band, path in paths.items():
        # A corrupt object decodes without a word; only its checksum tells.
        if not path.is_file() or multihash(path.read_bytes()) != item["assets"][f"{band}_20m"]["file:checksum"]:
            return None

    def warped(band: str, how: Resampling, kind: str) -> np.ndarray:
        path = paths[band]
        # One thread: with more, a broken object would read as zeros without a word.
        with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(path) as file:
            data = np.zeros(place.shape, kind)
            values = file.read(1).astype(kind)
            reproject(
                values, data, src_transform=file.transform, src_crs=file.crs, dst_transform=transform, dst_crs="EPSG:3035",
                src_nodata=0, dst_nodata=0, resampling=how,
            )  # fmt: skip
            return data

    scl = warped("SCL", Resampling.nearest, "uint8")
    bands = np.stack([warped(b, Resampling.bilinear, "float32") for b in BANDS])
    offset = 1000 if float(item["properties"]["processing:version"]) >= 4 else 0
    clear = ~np.isin(scl, MASKED) & (bands > 0).all(axis=0)
    return np.where(clear, (bands - offset) / 10000, np.nan).astype(np.float32)


def composite(out: Path, year: int, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Take the median of a year's clear observations. Returns: array (band, row, col) and the count (row, col)."""
    # The two tiles of one acquisition are one observation.
    by_time: dict[str, np.ndarray] = {}
    for item in read_items(out, year):
        scene = read_scene(out, item, place)
        if scene is None:
            continue
        key = item["properties"]["datetime"]
        by_time[key] = np.where(np.isnan(by_time[key]), scene, by_time[key]) if key in by_time else scene
    if not by_time:
        raise ValueError(
            f"World '{out}': found no whole scene of {year}, expected one at least. Make a world with scenes, or with more --dates."
        )
    stack = np.stack(list(by_time.values()))
    return median(stack), (~np.isnan(stack[:, 0])).sum(axis=0)


def median(stack: np.ndarray) -> np.ndarray:
    """Return the median over the first axis of what is not NaN; quicker than numpy's for few layers."""
    ordered = np.sort(stack, axis=0)
    n = (~np.isnan(stack)).sum(axis=0)
    low, high = np.maximum(n - 1, 0) // 2, n // 2
    high = np.minimum(high, np.maximum(n - 1, 0))
    take = np.take_along_axis
    return (take(ordered, low[None], 0)[0] + take(ordered, high[None], 0)[0]) / 2


def read_truth(out: Path, year: int) -> np.ndarray:
    """Return the majority class of a year, (row, col) uint8."""
    with rasterio.open(out / "truth" / f"class_{year}.tif") as file:
        return file.read(1)


def read_labels(out: Path, year: int) -> np.ndarray:
    """Return the label map as classes on 20 m cells, by mode, 0 where there is none or a tie. (row, col) uint8."""
    table = np.zeros(256, np.uint8)
    for code, target in CLASS_OF_S2GLC.items():
        table[code] = target
    with rasterio.open(out / "labels" / f"s2glc_{year}.tif") as file:
        fine = table[file.read(1)]
    parts = np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    votes = np.stack([(parts == c).sum(axis=0) for c in (1, 2, 3, 4)])
    best = np.sort(votes, axis=0)
    return np.where((best[-1] > best[-2]) & (best[-1] > 1), votes.argmax(axis=0) + 1, 0).astype(np.uint8)


def test_ground(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Part the place into training and test squares. Returns: two arrays (row, col), bool; the gap is in neither."""
    size = min(BLOCK_PX, max(24, shape[0] // 4))
    r, c = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    board = ((r // size + c // size) % 2).astype(bool)
    inner = (r % size >= EDGE_PX) & (c % size >= EDGE_PX)
    return ~board & inner, board & inner


def measure(out: Path, years: tuple[int, ...] | None = None, samples: int = 20000, seed: int = 1) -> dict[str, Any]:
    """Measure the difficulty of a world with a random forest.

    years : years to use, default all
    samples : cells of training ground that the forest sees, drawn at random from the label map of the first year
    Returns: plain values: per year `right` (share of test cells whose class is true) and per class recall and precision; per pair of
    years `repeat` (correlation of being wrong, on unchanged test cells) and `overstates` (mapped new sealed land / true new)
    """
    from sklearn.ensemble import RandomForestClassifier

    world, place = read_world(out)
    years = years or tuple(world["years"])
    train, test = test_ground(place.shape)
    rng = np.random.default_rng(seed)
    forest = None
    maps: dict[int, np.ndarray] = {}
    truth: dict[int, np.ndarray] = {}
    result: dict[str, Any] = {"years": {}, "pairs": {}, "bounds": BOUNDS}
    for year in years:
        image, count = composite(out, year, place)
        seen = count > 0
        pixels = image.transpose(1, 2, 0)
        if forest is None:
            labels = read_labels(out, world["label_year"])
            cells = np.flatnonzero(train & seen & (labels > 0))
            cells = rng.choice(cells, min(samples, len(cells)), replace=False)
            forest = RandomForestClassifier(100, min_samples_leaf=10, n_jobs=2, random_state=seed)
            forest.fit(pixels.reshape(-1, 3)[cells], labels.ravel()[cells])
        classes = np.zeros(place.shape, np.uint8)
        classes[seen] = forest.predict(pixels[seen])
        maps[year], truth[year] = classes, read_truth(out, year)
        at = test & seen
        hit = classes == truth[year]
        per = {}
        for code, name in enumerate(("artificial", "natural", "green", "other"), start=1):
            is_true, is_mapped = at & (truth[year] == code), at & (classes == code)
            both = float((is_true & is_mapped).sum())
            per[name] = {
                "share": float(is_true.sum() / max(1, at.sum())),
                "recall": both / max(1, int(is_true.sum())),
                "precision": both / max(1, int(is_mapped.sum())),
            }
        result["years"][str(year)] = {
            "right": float(hit[at].mean()), "seen": float(seen.mean()), "clear_median": float(np.median(count)),
            "clear_p10": float(np.percentile(count, 10)), "clear_p90": float(np.percentile(count, 90)), "classes": per,
        }  # fmt: skip
    for a, b in pairwise(years):
        both = test & (maps[a] > 0) & (maps[b] > 0)
        same = both & (truth[a] == truth[b])
        wrong_a, wrong_b = maps[a][same] != truth[a][same], maps[b][same] != truth[b][same]
        repeat = float(np.corrcoef(wrong_a, wrong_b)[0, 1]) if wrong_a.any() and wrong_b.any() else float("nan")
        everywhere = (maps[a] > 0) & (maps[b] > 0)
        mapped_new = int((everywhere & (maps[a] != 1) & (maps[b] == 1)).sum())
        true_new = int((everywhere & (truth[a] != 1) & (truth[b] == 1)).sum())
        result["pairs"][f"{a}-{b}"] = {
            "repeat": repeat, "mapped_new_ha": mapped_new * 0.04, "true_new_ha": true_new * 0.04,
            "overstates": mapped_new / true_new if true_new else float("nan"),
        }  # fmt: skip
    summary = {
        "right": float(np.mean([y["right"] for y in result["years"].values()])),
        "repeat": float(np.nanmean([p["repeat"] for p in result["pairs"].values()])) if result["pairs"] else None,
        "overstates": float(np.nanmedian([p["overstates"] for p in result["pairs"].values()]))
        if result["pairs"]
        else None,
    }
    result["summary"] = summary
    result["met"] = {k: v is not None and BOUNDS[k][0] <= v <= BOUNDS[k][1] for k, v in summary.items()}
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """Write a measurement for people."""
    out = []
    for year, y in result["years"].items():
        per = "  ".join(f"{n} {100 * c['recall']:.0f}/{100 * c['precision']:.0f} %" for n, c in y["classes"].items())
        out.append(
            f"{year}  forest right {100 * y['right']:.1f} %  seen {100 * y['seen']:.1f} %  clear dates {y['clear_p10']:.0f}-"
            f"{y['clear_p90']:.0f}  recall/precision {per}"
        )
    for pair, p in result["pairs"].items():
        out.append(
            f"{pair}  errors repeat {p['repeat']:.2f}  new sealed mapped {p['mapped_new_ha']:.0f} ha, true {p['true_new_ha']:.1f} ha, "
            f"overstated {p['overstates']:.1f} times"
        )
    s, met = result["summary"], result["met"]
    for key, text in (("right", "right"), ("repeat", "errors repeat"), ("overstates", "overstates")):
        if s[key] is not None:
            low, high = BOUNDS[key]
            out.append(f"{text}: {s[key]:.3g}, bound {low:g}-{high:g}: {'met' if met[key] else 'NOT met'}")
    return out
