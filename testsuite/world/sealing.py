"""Judge when cells were sealed and unsealed. Pure functions on arrays, for judge.py and for the demo's report.

A cell is truly sealed in a year in which most of it is of class 1 (artificial). Three methods are compared:
  raw          the difference of the yearly class maps
  persistence  the difference of the maps after the persistence rule
  series       the probabilities of gain and loss between years
The first two are treated as probabilities of 0 and 1, so that all figures mean the same for each method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import ndimage

ARTIFICIAL = 1
CELL_KM2 = 0.0004
METHODS = ("raw", "persistence", "series")
SIZES = {"1": (1, 1), "2-4": (2, 4), "5-9": (5, 9), "10-24": (10, 24), "25+": (25, np.inf)}
"""Cells of a true object, from and to."""
SHARES = (50, 70, 80, 90)
"""Per cent of the true change for which the share of land to look at is given."""
CURVE = np.geomspace(1e-4, 1, 81)
"""Shares of land at which the curve is given."""
SQUARE = 250
"""Cells a side of the squares whose amounts are compared: 5 km."""


@dataclass(frozen=True)
class Chances:
    """What one method says of gain, or of loss: probabilities 0-1."""

    pairs: np.ndarray
    """(pair, ...), between neighbouring years."""
    span: np.ndarray
    """(...), between the first and the last year."""

    def at(self, ground: np.ndarray) -> Chances:
        """Return the values of some cells."""
        return Chances(self.pairs[:, ground], self.span[ground])


@dataclass(frozen=True)
class Sealing:
    """The sealed land of a run beside the truth, on the grid of the world."""

    years: tuple[int, ...]
    truth: np.ndarray
    """(year, row, col), bool: truly sealed."""
    known: np.ndarray
    """(row, col), bool: the truth is known in all years, and the run has a value."""
    maps: Mapping[str, np.ndarray]
    """For each method (year, row, col), uint8, classes 1-4, 0 unknown."""
    gain: Mapping[str, Chances]
    loss: Mapping[str, Chances]
    p_sealed: np.ndarray | None = None
    """(year, row, col), probability of being sealed; None in a run without series maps."""

    @property
    def best(self) -> str:
        """The last of METHODS that the run has."""
        return [method for method in METHODS if method in self.gain][-1]


def mapped_changes(classes: np.ndarray) -> tuple[Chances, Chances]:
    """Return gain and loss between class maps as probabilities of 0 and 1. classes : array (year, ...), 0 unknown, which is no change."""
    sealed, other = classes == ARTIFICIAL, (classes != ARTIFICIAL) & (classes > 0)
    return (
        Chances(other[:-1] & sealed[1:], other[0] & sealed[-1]),
        Chances(sealed[:-1] & other[1:], sealed[0] & other[-1]),
    )


def year_of_gain(sealed: np.ndarray) -> np.ndarray:
    """Return the number of the year from which a cell is sealed until the last year.

    sealed : array (year, ...), bool
    Returns: array (...), int, 1 is the second year; 0 where the cell is sealed in the first year or not in the last
    """
    began = ~sealed[:-1] & sealed[1:]
    last = len(began) - began[::-1].argmax(axis=0)
    return np.where(~sealed[0] & sealed[-1], last, 0)


def marked_year(chances: Chances) -> np.ndarray:
    """Return the number of the most likely year of change where the span has a probability of 0.5 and more, else 0."""
    return np.where(chances.span >= 0.5, 1 + np.nan_to_num(chances.pairs).argmax(axis=0), 0)


def object_sizes(changed: np.ndarray) -> np.ndarray:
    """Return for each changed cell the number of cells in its object (cells that touch, also at a corner); 0 elsewhere. (row, col)."""
    numbers, _ = ndimage.label(changed, np.ones((3, 3)))
    return np.where(changed, np.bincount(numbers.ravel())[numbers], 0)


@dataclass(frozen=True)
class Ranking:
    """Cells in order of falling probability. Cells of one probability have no order: each holds the same part of their true change."""

    cells: np.ndarray
    """Number of cells down to each probability, from 0."""
    hits: np.ndarray
    """Number of truly changed cells among these, from 0."""

    @classmethod
    def of(cls, probability: np.ndarray, true: np.ndarray) -> Ranking:
        """Rank cells. probability, true : arrays (cell)."""
        order = np.argsort(-probability, kind="stable")
        falling = probability[order]
        last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
        return cls(np.append(0, last + 1), np.append(0, np.cumsum(true[order])[last]))

    def hits_among(self, cells: np.ndarray | float) -> np.ndarray:
        """Return how many truly changed cells are among the first cells."""
        return np.interp(cells, self.cells, self.hits)

    def cells_for(self, hits: float) -> float:
        """Return how many cells hold so many truly changed ones."""
        if hits <= 0:
            return 0.0
        i = int(np.searchsorted(self.hits, hits))
        part = (hits - self.hits[i - 1]) / (self.hits[i] - self.hits[i - 1])
        return float(self.cells[i - 1] + part * (self.cells[i] - self.cells[i - 1]))


def _share(part: float, whole: float) -> float | None:
    """Divide; None if the whole is 0."""
    return float(part / whole) if whole else None


def judge_events(chances: Chances, sealed: np.ndarray, size: np.ndarray, years: Sequence[int]) -> dict[str, Any]:
    """Judge where and when a method sees gain.

    chances : of cells; sealed : array (year, cell), bool, the truth (of unsealed land to judge loss); size : array (cell), cells of the true object
    Returns: `found` is the share of the truly changed cells that are marked (0.5 and more in the span) and dated within one year; `precision`
    the share of the marked cells that truly changed, `precision_top` when as many cells are marked as truly changed; `land` the share of the
    land that holds 50 to 90 % of the true change, where it is looked at in order of falling probability
    """
    when, true_when = marked_year(chances), year_of_gain(sealed)
    marked, true = when > 0, true_when > 0
    found = marked & true & (np.abs(when - true_when) <= 1)
    n, n_true, n_marked = len(true), int(true.sum()), int(marked.sum())
    ranking = Ranking.of(chances.span.astype(np.float32), true)

    def part(of: np.ndarray) -> dict[str, Any]:
        return {"cells": int((true & of).sum()), "found": _share((found & of).sum(), (true & of).sum())}

    last = len(years) - 1
    yearly = ~sealed[:-1] & sealed[1:]
    needed = {share: -(-share * n_true // 100) for share in SHARES}  # whole cells, rounded up
    return {
        "true_cells": n_true, "marked_cells": n_marked, "false_cells": int((marked & ~true).sum()),
        "false_cells_yearly": int(((chances.pairs >= 0.5) & ~yearly).sum()),
        "found": _share(found.sum(), n_true), "found_before_last": part(true_when < last), "found_last": part(true_when == last),
        "precision": _share((marked & true).sum(), n_marked), "precision_top": _share(float(ranking.hits_among(n_true)), n_true),
        "by_year": {str(year): part(true_when == k) for k, year in enumerate(years) if k},
        "by_size": {name: part((size >= low) & (size <= high)) for name, (low, high) in SIZES.items()},
        "land": {str(share): _share(ranking.cells_for(cells), n) if n_true else None for share, cells in needed.items()},
        "curve": [[float(x), float(y)] for x, y in zip(CURVE, ranking.hits_among(CURVE * n) / n_true, strict=True)] if n_true else [],
    }  # fmt: skip


def judge_stock(classes: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Compare a class map with sealed land where the map is known. classes : array (cell), 0 unknown; truth : array (cell), bool.

    Returns: `iou`, cells sealed in both / in either; `bias`, the error of the area as a part of the true one
    """
    mapped, true = (classes == ARTIFICIAL)[classes > 0], truth[classes > 0]
    return {
        "iou": _share((mapped & true).sum(), (mapped | true).sum()),
        "bias": _share(float(mapped.sum()) - float(true.sum()), true.sum()),
    }


def judge_amounts(of: Mapping[str, Chances], sealed: np.ndarray, years: Sequence[int]) -> dict[str, Any]:
    """Compare the sums of probabilities with true gain. of : by method, of cells; sealed : array (year, cell), bool.

    Returns: for each pair of neighbouring years, and for the whole span, true cells and km2, and for each method the sum in km2 and its ratio to the truth
    """
    out = {}
    for a, b in year_pairs(len(years)):
        true = int((~sealed[a] & sealed[b]).sum())
        sums = {m: float((c.pairs[a] if b == a + 1 else c.span).sum(dtype=float)) for m, c in of.items()}
        methods = {m: {"km2": value * CELL_KM2, "ratio": _share(value, true)} for m, value in sums.items()}
        out[f"{years[a]}-{years[b]}"] = {"true_cells": true, "true_km2": true * CELL_KM2, "methods": methods}
    return out


def judge_squares(
    of: Mapping[str, np.ndarray], true: np.ndarray, ground: np.ndarray, side: int = SQUARE
) -> dict[str, Any]:
    """Compare the amounts of gain (or loss) of squares with the true ones. of : by method, array (row, col), probabilities; true, ground : (row, col), bool.

    Squares of which less than half is ground are left out.
    Returns: number of squares; for each method the correlation of its sums with the true cells, None where that is not defined
    """

    def sums(values: np.ndarray) -> np.ndarray:
        rows, cols = (np.arange(0, n, side) for n in ground.shape)
        down = np.add.reduceat(np.where(ground, values, 0).astype(float), rows, axis=0)
        return np.add.reduceat(down, cols, axis=1).ravel()

    counts = sums(np.ones(ground.shape)) >= side * side / 2
    expected = {method: sums(values)[counts] for method, values in of.items()}
    cells = sums(true)[counts]

    def correlation(found: np.ndarray) -> float | None:
        return float(np.corrcoef(found, cells)[0, 1]) if len(cells) > 2 and np.ptp(found) and np.ptp(cells) else None

    return {"squares": int(counts.sum()), "correlation": {m: correlation(found) for m, found in expected.items()}}


def year_pairs(count: int) -> Iterator[tuple[int, int]]:
    """Yield the numbers of neighbouring years, and of the first and the last year if there are more than two."""
    yield from pairwise(range(count))
    if count > 2:
        yield 0, count - 1


def judge_sealing(run: Sealing, ground: np.ndarray) -> dict[str, Any]:
    """Judge the sealed land of a run on some ground. ground : array (row, col), bool. Returns: values for JSON."""
    at = ground & run.known
    truth = run.truth[:, at]
    out: dict[str, Any] = {
        "cells": int(at.sum()),
        "methods": list(run.maps),
        "stock": {},
        "amounts": {},
        "squares": {},
        "events": {},
    }
    for method, classes in run.maps.items():
        maps = classes[:, at]
        out["stock"][method] = {str(y): judge_stock(m, t) for y, m, t in zip(run.years, maps, truth, strict=True)}
    if run.p_sealed is not None:
        p = run.p_sealed[:, at].astype(float)
        for k, year in enumerate(run.years):
            out["stock"]["series"][str(year)]["expected_bias"] = _share(p[k].sum() - truth[k].sum(), truth[k].sum())
        net = np.subtract(run.gain["series"].pairs[:, at], run.loss["series"].pairs[:, at], dtype=float)
        out["imbalance"] = float(np.abs(np.diff(p, axis=0) - net).max(initial=0))
        spans = [c["series"].pairs.sum(axis=0, dtype=float) - c["series"].span for c in (run.gain, run.loss)]
        out["span_imbalance"] = float(np.abs(np.stack(spans)[:, at]).max(initial=0))
    for kind, of, whole in (("gain", run.gain, run.truth), ("loss", run.loss, ~run.truth)):
        size = object_sizes(year_of_gain(whole) > 0)[at]
        cells = {method: chances.at(at) for method, chances in of.items()}
        out["amounts"][kind] = judge_amounts(cells, whole[:, at], run.years)
        spans = {method: chances.span for method, chances in of.items()}
        out["squares"][kind] = judge_squares(spans, ~whole[0] & whole[-1], at)
        events = {m: judge_events(c, whole[:, at], size, run.years) for m, c in cells.items()}
        for one in events.values():
            one["false_to_raw"] = _share(one["false_cells"], events["raw"]["false_cells"])
            one["false_to_raw_yearly"] = _share(one["false_cells"], events["raw"]["false_cells_yearly"])
        out["events"][kind] = events
    return out


def _text(value: float | None, form: str, scale: float = 1.0) -> str:
    return "-" if value is None else format(scale * value, form)


EXPLAINED = """Gain and loss of sealed land (class artificial): raw differences, persistence rule and series model beside the truth
  marked: cells with a probability of 0.5 and more between the first and the last year; class maps have probabilities of 0 and 1
  correlation: of the whole span's sums in squares of 5 km with the true areas there
  found: share of the truly changed cells that are marked and dated within one year of the truth
  precision: share of the marked cells that truly changed; top: precision when as many cells are marked as truly changed
  false: marked cells that did not change; / raw: as a part of those of raw differences
  yearly: cells with 0.5 and more that did not change between two neighbouring years, added up; / yearly: false, as a part of these of raw differences"""


def summary_lines(judged: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write the judgement on all grounds as lines of text. judged : title of the ground to the values of judge_sealing."""
    out = EXPLAINED.splitlines()
    for ground, result in judged.items():
        out += [f"On {ground}, {result['cells'] * CELL_KM2:.1f} km2", *_stock_lines(result), *_amount_lines(result)]
        for kind, events in result["events"].items():
            out += _event_lines(kind, events)
        if "imbalance" in result:
            out.append(
                f"  largest difference in a cell: stock b - stock a from gain - loss {result['imbalance']:.1e}, "
                f"the whole span from the sum of its pairs of years {result['span_imbalance']:.1e}"
            )
    return out


def _stock_lines(result: Mapping[str, Any]) -> list[str]:
    """Write accuracy and error of the area of each year."""
    methods, stock = result["methods"], result["stock"]
    head = "".join(f"{method:>13}" for method in methods)
    with_sum = "imbalance" in result
    out = [f"  {'IoU':<12}{head}   {'error of area, %':<18}{head}" + f"{'sum of p':>13}" * with_sum]
    for year in next(iter(stock.values())):
        iou = "".join(f"{_text(stock[m][year]['iou'], '.3f'):>13}" for m in methods)
        errors = [stock[m][year]["bias"] for m in methods]
        if with_sum:
            errors.append(stock["series"][year]["expected_bias"])
        out.append(f"  {year:<12}{iou}   {year:<18}" + "".join(f"{_text(e, '+.1f', 100):>13}" for e in errors))
    return out


def _amount_lines(result: Mapping[str, Any]) -> list[str]:
    """Write gain and loss of each pair of years, and of the whole span."""
    out = []
    for kind, amounts in result["amounts"].items():
        columns = "".join(f"{method:>13}{'/ true':>8}" for method in result["methods"])
        out.append(f"  {kind + ', km2':<12}{'true':>9}{columns}")
        for pair, one in amounts.items():
            of = (one["methods"][method] for method in result["methods"])
            values = "".join(f"{v['km2']:>13.3f}{_text(v['ratio'], '.2f'):>8}" for v in of)
            out.append(f"  {pair:<12}{one['true_km2']:>9.3f}{values}")
        squares = result["squares"][kind]
        columns = "".join(f"{_text(squares['correlation'][m], '.3f'):>21}" for m in result["methods"])
        out.append(f"  correlation{squares['squares']:>4} of 5 km{columns}")
    return out


def _event_lines(kind: str, events: Mapping[str, Any]) -> list[str]:
    """Write what each method found; of the series also by year, by size, and the land to look at."""

    def pct(value: float | None) -> str:
        return _text(value, ".0f", 100)

    cells = next(iter(events.values()))["true_cells"]
    head = ("found", "last year", "before", "precision", "top", "marked", "false", "/ raw", "yearly", "/ yearly")
    out = [f"  {kind + f' of {cells} cells, %':<26}" + "".join(f"{word:>10}" for word in head)]
    for method, one in events.items():
        shares = (one["found"], one["found_last"]["found"], one["found_before_last"]["found"], one["precision"], one["precision_top"])  # fmt: skip
        ratios = (_text(one[key], ".4f") for key in ("false_to_raw", "false_to_raw_yearly"))
        counts = (one["marked_cells"], one["false_cells"], next(ratios), one["false_cells_yearly"], next(ratios))
        values = (*map(pct, shares), *counts)
        out.append(f"  {method:<26}" + "".join(f"{value:>10}" for value in values))
    if one := events.get("series"):
        for title, key in (("true year", "by_year"), ("size of the object, cells", "by_size")):
            parts = "  ".join(f"{name}: {pct(part['found'])} % of {part['cells']}" for name, part in one[key].items())
            out.append(f"  series, found by {title}: {parts}")
        land = "  ".join(f"{share} % in {_text(part, '.2f', 100)} %" for share, part in one["land"].items())
        out.append(f"  series, true {kind} in the land looked at: {land}")
    return out
