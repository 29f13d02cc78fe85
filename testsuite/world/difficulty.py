"""Measure how difficult a world is, by a random forest on median composites. No code of the suite is used.

Three figures are printed, with the values that are usual for real land: the accuracy of the forest on the median of a year (85-93 %), the
correlation of its errors between years (0.3-0.7), and the factor by which the difference of its maps overstates new sealed land (5-40).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from testsuite.world.reading import Place, read_items, read_labels, read_scene, read_truth, read_world

BLOCK_PX = 96
"""Training and test areas alternate in squares with sides of this many 20 m cells, with a gap of EDGE_PX."""
EDGE_PX = 8
BOUNDS = {"right": (0.85, 0.93), "repeat": (0.3, 0.7), "overstates": (5.0, 40.0)}


def composite(out: Path, year: int, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Take the median of a year's clear observations. Returns: array (band, row, col) and the count (row, col)."""
    # Both tiles of one acquisition are one observation.
    by_time: dict[str, np.ndarray] = {}
    for item in read_items(out, year):
        scene = read_scene(out, item, place)
        if scene is None:
            continue
        key = item["properties"]["datetime"]
        by_time[key] = np.where(np.isnan(by_time[key]), scene, by_time[key]) if key in by_time else scene
    if not by_time:
        raise ValueError(
            f"World '{out}' has no complete scene of {year}. Make a world with scenes, or with more --dates."
        )
    stack = np.stack(list(by_time.values()))
    return median(stack), (~np.isnan(stack[:, 0])).sum(axis=0)


def median(stack: np.ndarray) -> np.ndarray:
    """Return the median over the first axis without NaN; faster than numpy.nanmedian for few layers."""
    ordered = np.sort(stack, axis=0)
    n = (~np.isnan(stack)).sum(axis=0)
    low, high = np.maximum(n - 1, 0) // 2, n // 2
    high = np.minimum(high, np.maximum(n - 1, 0))
    take = np.take_along_axis
    return (take(ordered, low[None], 0)[0] + take(ordered, high[None], 0)[0]) / 2


def split_ground(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Divide the place into squares for training and for testing. Returns: two arrays (row, col), bool; the gap is in neither."""
    size = min(BLOCK_PX, max(24, shape[0] // 4))
    r, c = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    board = ((r // size + c // size) % 2).astype(bool)
    inner = (r % size >= EDGE_PX) & (c % size >= EDGE_PX)
    return ~board & inner, board & inner


def measure(out: Path, years: tuple[int, ...] | None = None, samples: int = 20000, seed: int = 1) -> dict[str, Any]:
    """Measure the difficulty of a world with a random forest.

    years : years to use, default all
    samples : number of training cells, drawn at random; their labels come from the label map of the first year
    Returns: plain values. For each year `right` (share of test cells with the true class), and recall and precision of each class; for each
    pair of years `repeat` (correlation of the errors, on unchanged test cells) and `overstates` (mapped new sealed land / true new sealed land)
    """
    from sklearn.ensemble import RandomForestClassifier

    world, place = read_world(out)
    years = years or tuple(world["years"])
    train, test = split_ground(place.shape)
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


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Write the measurement as lines of text."""
    out = []
    for year, y in result["years"].items():
        per = "  ".join(f"{n} {100 * c['recall']:.0f}/{100 * c['precision']:.0f} %" for n, c in y["classes"].items())
        out.append(
            f"{year}  accuracy {100 * y['right']:.1f} %  seen {100 * y['seen']:.1f} %  clear dates {y['clear_p10']:.0f}-"
            f"{y['clear_p90']:.0f}  recall/precision {per}"
        )
    for pair, p in result["pairs"].items():
        out.append(
            f"{pair}  correlation of errors {p['repeat']:.2f}  new sealed land: mapped {p['mapped_new_ha']:.0f} ha, true {p['true_new_ha']:.1f} ha, "
            f"{p['overstates']:.1f} times too much"
        )
    s, met = result["summary"], result["met"]
    for key, text in (
        ("right", "accuracy"),
        ("repeat", "correlation of errors"),
        ("overstates", "new sealed land, mapped / true"),
    ):
        if s[key] is not None:
            low, high = BOUNDS[key]
            out.append(f"{text}: {s[key]:.3g}, expected {low:g}-{high:g}: {'yes' if met[key] else 'NO'}")
    return out
