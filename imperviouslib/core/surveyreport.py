"""What a sample says beyond the table: all estimates with their detectable differences, the accuracy of the maps, and how interpreters agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from imperviouslib.core.estimate import CONFIDENCE, Estimate, accuracy
from imperviouslib.core.interpreters import Agreement
from imperviouslib.core.survey import MappedLand, Survey, YearPair

Json = dict[str, Any]
_SEALED_FROM = 0.5
"""Probability of sealing from which the map calls a cell sealed."""
_CLASSES = ("not sealed", "sealed")


def describe_estimates(survey: Survey, land: MappedLand, pairs: Sequence[YearPair], cell_area_m2: int) -> Json:
    """Return everything that is estimated from a sample, areas in km2."""
    design = survey.design
    return {
        "confidence": CONFIDENCE,
        "design": {
            "digest": design.digest, "version": design.version, "years": list(design.years), "seed": design.seed,
            "sizes": asdict(design.sizes), "units": len(design.units), "made_from": dict(design.made_from),
        },
        "interpreters": describe_agreement(survey.settled.agreement),
        "areas": [_describe_area(survey, land, number, pairs, cell_area_m2) for number in range(len(design.areas))],
    }  # fmt: skip


def describe_agreement(agreement: Agreement) -> Json:
    """Return how interpreters agree, with the shares that follow."""
    shares = {
        "missed": agreement.missed,
        "false_share": agreement.false_share,
        "repeated_share": agreement.repeated_share,
    }
    return {**asdict(agreement), "interpreters": list(agreement.interpreters), **shares}


def _describe_area(survey: Survey, land: MappedLand, number: int, pairs: Sequence[YearPair], cell_area_m2: int) -> Json:
    area = survey.design.areas[number]
    km2 = area.cells * cell_area_m2 / 1e6
    years = sorted(set(pairs) | {survey.span} if set(survey.span) <= set(land.sealed) else set(pairs))
    changes = []
    for pair in years:
        change = survey.change(number, pair) if set(pair) <= set(survey.design.years) else None
        if change is not None:
            parts = {"gain": change.gain, "loss": change.loss, "net": change.net}
            changes.append({"from": pair[0], "to": pair[1], **{key: _figure(one, km2) for key, one in parts.items()}})
    stocks = []
    for year, sealed in land.sealed.items():
        mean = float(sealed[0, number] / max(1, land.seen[year][0, number]))
        found = survey.stock(number, year, land.points[year], mean)
        if found is not None:
            stocks.append(
                {
                    "year": year,
                    "mapped": mean * km2,
                    **(_figure(found, km2) or {}),
                    "accuracy": _accuracy(survey, land, number, year),
                }
            )
    read = sum(unit.area == number and unit.id in survey.settled.states for unit in survey.design.units)
    return {
        "geo": area.geo, "km2": km2, "units": sum(unit.area == number for unit in survey.design.units), "read": read,
        "change": changes, "stock": stocks,
    }  # fmt: skip


def _figure(found: Estimate | None, km2: float) -> Json | None:
    if found is None:
        return None
    whole = found.times(km2)
    return {"km2": whole.value, "low": whole.low, "high": whole.high, "detectable": whole.detectable}


def _accuracy(survey: Survey, land: MappedLand, area: int, year: int) -> Json | None:
    """Return the error matrix of the map of a year, and the shares that follow, with standard errors."""
    points = [
        (unit.stratum, int(land.points[year][unit.id] >= _SEALED_FROM), int(states[0] or 0))
        for unit, states in survey.read_points(area, "stock", (year,))
        if unit.id in land.points[year]
    ]
    if not points:
        return None
    stratum, mapped, real = np.array(points).T
    weights = np.array([one.cells for one in survey.design.areas[area].strata["stock"]], float)
    found = accuracy(weights, stratum, mapped, real)
    names = [_CLASSES[c] for c in found.classes]
    return {
        "points": len(points),
        "matrix": {a: dict(zip(names, row, strict=True)) for a, row in zip(names, found.matrix.tolist(), strict=True)},
        "overall": _known(found.overall),
        "users": dict(zip(names, map(_known, found.users), strict=True)),
        "producers": dict(zip(names, map(_known, found.producers), strict=True)),
    }


def _known(share: tuple[float, float]) -> Json | None:
    """Return a share and its standard error; None where there is none."""
    return None if np.isnan(share[0]) else {"share": share[0], "standard_error": share[1]}
