"""Benchmark of the estimators: the same sample by samplics, an independent implementation of survey estimation, and the time of an estimate."""

from __future__ import annotations

import warnings

import numpy as np

from imperviouslib.core.estimate import accuracy, composite
from testsuite.bench import absent_peer, best_of, case

CELLS = np.array([40_000.0, 30_000.0, 20_000.0, 10_000.0])


def sample(points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return stratum, map class and reference class of points in four strata."""
    rng = np.random.default_rng(1)
    stratum = np.arange(points) % 4
    reference = rng.integers(0, 4, points)
    mapped = np.where(rng.random(points) < 0.7, reference, rng.integers(0, 4, points))
    return stratum, mapped, reference


def by_samplics(stratum: np.ndarray, over: np.ndarray, under: np.ndarray | None) -> tuple[float, float]:
    """Estimate a mean, or the ratio of two means, and its standard error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from samplics import PopParam
            from samplics.estimation import TaylorEstimator
    except ImportError as err:
        raise absent_peer("samplics") from err
    n = np.bincount(stratum)
    fpc = {int(s): 1 - n[s] / CELLS[s] for s in range(len(n))}
    parameter = PopParam.mean if under is None else PopParam.ratio
    estimator = TaylorEstimator(parameter)
    given = {} if under is None else {"x": under}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.estimate(y=over, samp_weight=(CELLS / n)[stratum], stratum=stratum, fpc=fpc, **given)
    value, error = estimator.point_est, estimator.stderror
    pick = (lambda found: float(next(iter(found.values())))) if isinstance(value, dict) else float
    return pick(value), pick(error)


@case(
    "estimate", "areas, user's accuracy and their standard errors: largest relative difference to samplics", target=1e-9
)
def agreement() -> tuple[float, float | None]:
    """Compare four areas and four user's accuracies of 400 points, with their standard errors."""
    stratum, mapped, reference = sample(400)
    found = accuracy(CELLS, stratum, mapped, reference)
    worst = 0.0
    for number in range(4):
        is_real, is_mapped = (reference == number).astype(float), (mapped == number).astype(float)
        pairs = [
            (found.areas[number], by_samplics(stratum, is_real, None)),
            (found.users[number], by_samplics(stratum, is_real * is_mapped, is_mapped)),
        ]
        worst = max(worst, *(abs(a / b - 1) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)))
    return worst, None


@case("estimate", "composite of 43 areas (milk): largest relative difference to the EBLUP of samplics", target=1e-9)
def area_level() -> tuple[float, float | None]:
    """Compare the composite with the predictor of an area-level model, which samplics fits by REML to the expenditure on milk."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from samplics import FitMethod
            from samplics.datasets import load_expenditure_milk
            from samplics.sae import EblupAreaModel
    except ImportError as err:
        raise absent_peer("samplics") from err
    data = load_expenditure_milk()["data"]
    direct, error = data["direct_est"].to_numpy(float), data["std_error"].to_numpy(float)
    major = data["major_area"].to_numpy()[:, np.newaxis] == np.arange(1, 5)
    design = np.column_stack([np.ones(len(direct)), major[:, 1:]])
    model = EblupAreaModel(method=FitMethod.reml)
    model.fit(yhat=direct, X=design, area=data["small_area"], error_std=error, intercept=False, tol=1e-10)
    model.predict(X=design, area=data["small_area"], intercept=False)
    theirs = np.array([model.area_est[area] for area in data["small_area"]])
    between = np.full(len(direct), float(model.re_std) ** 2)
    ours, _weight = composite(design @ model.fixed_effects, direct, between, np.square(error))
    return float(np.abs(ours / theirs - 1).max()), None


@case("estimate", "error matrix of 10,000 points against the areas alone by samplics, seconds", target=1.0)
def speed() -> tuple[float, float | None]:
    """Estimate the whole matrix, against four areas."""
    stratum, mapped, reference = sample(10_000)

    def theirs() -> None:
        for number in range(4):
            by_samplics(stratum, (reference == number).astype(float), None)

    return best_of(lambda: accuracy(CELLS, stratum, mapped, reference)), best_of(theirs)
