"""Areas of change and of sealed land from a reference sample, with 95 % intervals.

Change is so rare that textbook intervals fail: a stratum in which no point was hit gets the variance 0, although it may hold a good part of the
change. Each estimator here therefore gives every stratum a weak prior, whose mean follows from the strata that were hit, and takes the
upper limit with a more cautious prior.

Three estimators, all of shares of the land of one area:

- `combined_change`: points where the score of change is high, windows of many cells everywhere else. The one to use.
- `point_change`: points alone, for a sample without windows.
- `difference_stock`: sealed land, as the mean of the map plus the mean error of the map in the sample. `regional_stocks` divides it among regions.

`accuracy` gives the error matrix of a map by the estimators of Stehman (2014, doi 10.1080/01431161.2014.930207).

Limits of intervals that hold a share come from gamma distributions of equal mean and variance. Everything is a share of land, 0-1, unless
said otherwise; arrays are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_LOW, _HIGH = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
_Z = 1.959963984540054
"""Quantile of the normal distribution at `_HIGH`."""
CAUTION = 2.0
"""The upper limit takes this many times the prior mean of the land where little change is expected."""
_FREEDOM = (4.0, 500.0)
"""Degrees of freedom are kept between these."""
_STOCK_VARIANCE = 0.01
"""Least variance of the map's error in a stratum of the stock sample: a stratum without an error in the sample may still have some."""
_REGION_SPREAD = 0.15
"""Relative deviation of a region with an average share of sealed land from its synthetic stock: never taken as less, since few regions tell little of it."""
_LEAST_OWN_WEIGHT = 0.2
"""Weight of a region's own points below which its stock is estimated from these alone."""
POWER = 3.96
"""Standard errors that two periods must differ by to be told apart (5 % two-sided, power 80 %): (1.96 + 0.84) * sqrt 2."""


@dataclass(frozen=True)
class Estimate:
    """A share of land, or a difference of shares, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def times(self, factor: float) -> Estimate:
        """Return it in another unit, such as cells."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    @property
    def detectable(self) -> float:
        """The smallest difference between two such periods that a study would find four times out of five."""
        return POWER * self.half_width / _Z


@dataclass(frozen=True)
class Direction:
    """Parameters of `combined_change` for gain or loss, measured on made worlds: see doc/statistics.md."""

    cold_rates: tuple[float, float, float]
    """Prior share of change outside the hot strata that each stratum of windows holds, relative to the hot strata together."""
    patch_cells: float
    """Prior mean number of changed cells that lie together in a window."""
    patch_weight: float
    """Changed cells that the prior of the patch counts as."""
    least_patch: float
    """Changed cells in a window are never taken as more independent than this."""


GAIN = Direction((0.05, 0.04, 0.02), 10.0, 6.0, 3.0)
LOSS = Direction((0.12, 0.10, 0.05), 3.0, 6.0, 1.0)


@dataclass(frozen=True)
class HotPoints:
    """Points in the strata where the score of change is high."""

    share: np.ndarray
    """(stratum), share of the area's land."""
    n: np.ndarray
    """(stratum), points that were read."""
    hits: np.ndarray
    """(stratum), points that changed in the period."""


@dataclass(frozen=True)
class Windows:
    """Windows outside the hot strata."""

    share: np.ndarray
    """(stratum), share of the area's land; 0 = a small area has no such window."""
    n: np.ndarray
    """(stratum), windows that were read."""
    cells: np.ndarray
    """(stratum), cells of the area in these windows."""
    changed: np.ndarray
    """(stratum), changed cells outside the hot strata in these windows."""
    squares: np.ndarray
    """(stratum), sum over the windows of the square of their changed cells."""

    @classmethod
    def count(cls, share: np.ndarray, stratum: np.ndarray, cells: np.ndarray, changed: np.ndarray) -> Windows:
        """Add up single windows. stratum, cells, changed : arrays (window)."""
        sums = [
            np.bincount(stratum, weights, minlength=len(share))
            for weights in (None, cells, changed, np.square(changed, dtype=float))
        ]
        return cls(share, *(np.asarray(one, float) for one in sums))


def combined_change(
    points: HotPoints,
    windows: Windows,
    direction: Direction,
    *,
    part: float = 1.0,
    whole: tuple[HotPoints, Windows] | None = None,
) -> Estimate:
    """Estimate the share of land that changed, from points in the hot strata and windows everywhere else.

    part : length of the period as a share of the whole span of the sample
    whole : points and windows of the whole span, which the priors come from; needed where part < 1
    """
    span_points, span_windows = whole or (points, windows)
    span_rate = (span_points.hits + 0.25) / (span_points.n + 0.5)
    expected = float(span_points.share @ span_rate)
    # Within the span, a part of it is expected to have its share of the change.
    rate = span_rate if part == 1 else (points.hits + 0.5 * part * span_rate) / (points.n + 0.5 * part)
    hot = float(points.share @ rate)
    hot_variance = np.square(points.share) * rate * (1 - rate) / (points.n + 1)
    patch = max(
        direction.least_patch,
        (span_windows.squares.sum() + direction.patch_cells * direction.patch_weight)
        / (span_windows.changed.sum() + direction.patch_weight),
    )

    there = windows.share > 0
    share = windows.share[there]

    def moments(caution: float) -> tuple[float, float]:
        prior = caution * part * np.array(direction.cold_rates)[there] * expected / share
        successes = 0.5 * part + windows.changed[there] / patch
        exposure = 0.5 * part / prior + windows.cells[there] / patch
        mean = hot + float(share @ (successes / exposure))
        return mean, float(hot_variance.sum() + np.square(share) @ (successes / np.square(exposure)))

    mean, variance = moments(1.0)
    cautious = _gamma_limit(_HIGH, *moments(CAUTION))
    plain = _by_windows_alone(hot, hot_variance, points.n, windows)
    # Where nothing was seen to change, there may be no change.
    seen = points.hits.sum() + windows.changed.sum() > 0
    low = _gamma_limit(_LOW, mean, variance) if seen else 0.0
    if plain is not None and plain.value > cautious:
        # The windows contradict the prior: the score does not tell where change is. The interval spans both.
        return Estimate(plain.value, min(low, plain.low), plain.high)
    return Estimate(mean, low, max(cautious, plain.high if plain else 0.0))


def _by_windows_alone(
    hot: float, hot_variance: np.ndarray, n: np.ndarray, windows: Windows
) -> Estimate | None:  # fmt: skip
    """Estimate from the counts of the windows without a prior; limits on a logarithmic scale with Satterthwaite's degrees of freedom.

    Returns: None where nothing was seen to change, or a stratum has one window
    """
    from scipy.stats import t

    there = windows.share > 0
    share, number, cells, changed, squares = (
        values[there] for values in (windows.share, windows.n, windows.cells, windows.changed, windows.squares)
    )
    if (number < 2).any():
        return None
    value = hot + float(share @ (changed / cells))
    spread = (squares - np.square(changed) / number) / (number - 1)
    variance = np.concatenate([hot_variance, np.square(share) * spread * number / np.square(cells)])
    freedom = np.concatenate([n, number]) - 1
    total = float(variance.sum())
    if total <= 0 or value <= 0:
        return None
    degrees = np.clip(total**2 / float((np.square(variance) / np.maximum(freedom, 1)).sum()), *_FREEDOM)
    factor = math.exp(float(t.ppf(_HIGH, degrees)) * math.sqrt(total) / value)
    return Estimate(value, value / factor, value * factor)


def point_change(points: HotPoints, cold: np.ndarray, *, part: float = 1.0) -> Estimate:
    """Estimate the share of land that changed from points alone.

    points : of all strata of the area, hot and cold
    cold : array (stratum), prior share of change in a cold stratum relative to that of all hot ones together; 0 marks a hot stratum.
    The prior decides what is assumed where no point was hit.
    part : length of the period as a share of the whole span of the sample
    """
    is_hot = cold == 0
    prior_hits = 0.5 * part
    own = (points.hits + prior_hits) / (points.n + 2 * prior_hits)
    expected = float((points.share * own)[is_hot].sum())

    def moments(caution: float) -> tuple[float, float]:
        prior = np.where(is_hot, own, caution * cold * expected / points.share).clip(1e-12, 1 - 1e-12)
        # More than half changed: the rule is applied to what did not change.
        mirrored = prior >= 0.5
        rare = np.where(mirrored, 1 - prior, prior)
        hits = np.where(mirrored, points.n - points.hits, points.hits)
        successes, total = prior_hits + hits, prior_hits / rare + points.n
        rate = successes / total
        variance = float(np.square(points.share) @ (rate * (1 - rate) / (total + 1)))
        return float(points.share @ np.where(mirrored, 1 - rate, rate)), variance

    mean, variance = moments(1.0)
    low = _gamma_limit(_LOW, mean, variance) if points.hits.sum() > 0 else 0.0
    return Estimate(mean, low, _gamma_limit(_HIGH, *moments(CAUTION)))


def _gamma_limit(quantile: float, mean: float, variance: float) -> float:
    from scipy.stats import gamma

    if mean <= 0 or variance <= 0:
        return max(mean, 0.0)
    return float(gamma.ppf(quantile, mean**2 / variance, scale=variance / mean))


def net_change(gain: Estimate, loss: Estimate) -> Estimate:
    """Return gain minus loss; limits by the rule of Zou and Donner (2008, doi 10.1002/sim.3095), which needs no symmetry."""
    value = gain.value - loss.value
    below = math.hypot(gain.value - gain.low, loss.high - loss.value)
    above = math.hypot(gain.high - gain.value, loss.value - loss.low)
    return Estimate(value, value - below, value + above)


# ----- stock


@dataclass(frozen=True)
class StockSample:
    """Points at which it was read whether the land is sealed, drawn by strata of the mean probability of sealing."""

    share: np.ndarray
    """(stratum), share of the area's land."""
    stratum: np.ndarray
    """(point), number of its stratum."""
    error: np.ndarray
    """(point), 1 for sealed and 0 for not, less the map's probability in the year, -1 to 1."""

    def errors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the mean error, its variance within the stratum (at least `_STOCK_VARIANCE`), and the points: arrays (stratum)."""
        strata = len(self.share)
        n = np.bincount(self.stratum, minlength=strata)
        mean = np.bincount(self.stratum, self.error, strata) / np.maximum(n, 1)
        squares = np.bincount(self.stratum, np.square(self.error - mean[self.stratum]), strata)
        return mean, np.maximum(squares / np.maximum(n - 1, 1), _STOCK_VARIANCE), n


def difference_stock(mapped: float, sample: StockSample) -> Estimate:
    """Estimate the share of sealed land: the map's, plus the mean error of the map in the sample.

    mapped : mean probability of sealing of the area's land in the year
    """
    mean, variance, n = sample.errors()
    value = mapped + float(sample.share @ mean)
    width = _Z * math.sqrt(float((np.square(sample.share) * variance / np.maximum(n, 1)).sum()))
    return Estimate(value, max(0.0, value - width), min(1.0, value + width))


def regional_stocks(
    mapped: np.ndarray, land: np.ndarray, sample: StockSample, region: np.ndarray
) -> tuple[list[Estimate], np.ndarray]:
    """Estimate the share of sealed land in each region of an area that was sampled as a whole.

    The *synthetic* value of a region corrects its map by the mean errors of the strata in the whole area. The *regression* value adds what the
    region's own points say beyond that. The composite weighs both by how far regions were found to deviate from their synthetic values.

    mapped : array (region), mean probability of sealing
    land : array (region, stratum), share of the area's land
    region : array (point), number of its region, -1 for none
    Returns: estimates by region, as shares of the region's land; array (region), weight of the region's own points
    """
    mean, variance, n = sample.errors()
    whole, of_area = land.sum(axis=1), sample.share
    synthetic = mapped + (land @ mean) / whole
    residual = sample.error - mean[sample.stratum]
    weight = (of_area / np.maximum(n, 1))[sample.stratum]
    inside = region >= 0
    own = synthetic + np.bincount(region[inside], (weight * residual)[inside], len(mapped)) / whole
    # Variance of what a region's own points add, with the variance of each stratum of the whole area: few points give none of their own.
    spread = (land * (of_area * variance / np.maximum(n, 1))).sum(axis=1) / np.square(whole)
    # A region with little sealed land deviates more in relation to it: the variance is taken as proportional to the sealed land, not to its square.
    scale = np.maximum(synthetic, 0) * float(whole @ np.maximum(synthetic, 0) / whole.sum())
    found = max(0.0, float((np.square(own - synthetic) - spread).sum() / scale.sum())) if scale.any() else 0.0
    between = max(_REGION_SPREAD**2, found)
    deviation = between * scale
    value, share = composite(synthetic, own, deviation, spread)
    # Where a region's own points hardly count, the composite is the map's word, and one odd region would have an interval without the truth.
    alone = share < _LEAST_OWN_WEIGHT
    value, share = np.where(alone, np.clip(own, 0, 1), value), np.where(alone, 1.0, share)
    common = np.square(land / whole[:, np.newaxis]) @ (variance / np.maximum(n, 1))
    width = _Z * np.sqrt(share * spread + np.square(1 - share) * common)
    limits = zip(value, np.maximum(0, value - width), np.minimum(1, value + width), strict=True)
    return [Estimate(*map(float, one)) for one in limits], share


def composite(
    synthetic: np.ndarray, own: np.ndarray, deviation: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh two estimates of each region: the best linear predictor of the area-level model of Fay and Herriot (1979).

    synthetic, own : array (region), what a region should have by its maps, and what its own points say
    deviation, variance : array (region), variance of the truth around `synthetic`, and of `own` around the truth
    Returns: array (region), the weighted estimates; array (region), the weight of `own`
    """
    share = deviation / np.maximum(deviation + variance, 1e-12)
    return synthetic + share * (own - synthetic), share


# ----- accuracy of a map


@dataclass(frozen=True)
class Accuracy:
    """The error matrix of a map from a stratified sample, and what follows from it; standard errors with each figure."""

    classes: tuple[int, ...]
    """Classes of the map and of the reference, ascending."""
    matrix: np.ndarray
    """(map class, reference class), share of the land."""
    overall: tuple[float, float]
    """Share of the land mapped correctly, and its standard error."""
    users: tuple[tuple[float, float], ...]
    """For each class, the share of the land mapped as it that is it, and its standard error; NaN where none is mapped."""
    producers: tuple[tuple[float, float], ...]
    """For each class, the share of its land that is mapped as it, and its standard error; NaN where there is none."""
    areas: tuple[tuple[float, float], ...]
    """For each class, its share of the land, and its standard error."""


def accuracy(land: np.ndarray, stratum: np.ndarray, mapped: np.ndarray, reference: np.ndarray) -> Accuracy:
    """Estimate the error matrix of a map; the strata of the sample need not be the classes of the map.

    land : array (stratum), cells of each stratum
    stratum, mapped, reference : arrays (point), number of the stratum, class of the map, class of the reference
    """
    share = land / land.sum()
    classes = tuple(int(c) for c in np.union1d(mapped, reference))
    is_mapped = np.array([mapped == c for c in classes])
    is_real = np.array([reference == c for c in classes])
    matrix = np.array([[_mean(share, stratum, a & b) for b in is_real] for a in is_mapped])
    ones = np.ones(len(stratum))
    right = mapped == reference
    return Accuracy(
        classes,
        matrix,
        _ratio(land, stratum, right.astype(float), ones),
        tuple(_ratio(land, stratum, (a & right).astype(float), a.astype(float)) for a in is_mapped),
        tuple(_ratio(land, stratum, (b & right).astype(float), b.astype(float)) for b in is_real),
        tuple(_ratio(land, stratum, b.astype(float), ones) for b in is_real),
    )


def _mean(share: np.ndarray, stratum: np.ndarray, value: np.ndarray) -> float:
    n = np.bincount(stratum, minlength=len(share))
    return float(share @ (np.bincount(stratum, value, len(share)) / np.maximum(n, 1)))


def _ratio(land: np.ndarray, stratum: np.ndarray, over: np.ndarray, under: np.ndarray) -> tuple[float, float]:
    """Return the ratio of two means, and its standard error by linearisation. over, under : arrays (point)."""
    share = land / land.sum()
    base = _mean(share, stratum, under)
    if base == 0:
        return math.nan, math.nan
    ratio = _mean(share, stratum, over) / base
    rest = over - ratio * under
    n = np.bincount(stratum, minlength=len(share))
    mean = np.bincount(stratum, rest, len(share)) / np.maximum(n, 1)
    squares = np.bincount(stratum, np.square(rest - mean[stratum]), len(share))
    drawn = n / np.maximum(land, 1)
    variance = np.square(share) * (1 - drawn) * squares / np.maximum(n - 1, 1) / np.maximum(n, 1)
    return ratio, math.sqrt(float(variance.sum())) / base
