"""The history of a cell: when it was sealed or unsealed, judged from all years together.

With the years y0 < y1 < ... < yn a cell has one of 2 + 2n *histories*: never sealed, always sealed, sealed from year yk on, or unsealed
from year yk on (k = 1..n). More than one change of a cell is not modelled: in long series, compute windows of years. *Evidence* is how well
each history explains what was observed, as a log likelihood; it comes from the step test below, and from the series net (edge/seriesnet.py),
which alone tells in which year a cell changed.
*Rates* are how often each history occurs. They are estimated from the region's own evidence by expectation-maximisation, because the shares
in the training data are not those of the land. Evidence and rates give the probability of each history, and sums of these give stocks, gains
and losses that agree with each other in every cell.

Arrays of evidence and of probabilities have the shape (history, ...), in the order of `Histories`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

NEVER, ALWAYS = 0, 1
"""Index of the two histories without a change."""
STEP_FREEDOM, STEP_SCATTER = 12.0, 4.0
"""Parameters of the step test: weight of the fit, and scatter of the log-odds that is expected of any cell."""
STEP_WEIGHT = 0.3
"""Weight of the step test beside the series net: both see the same observations, so their evidence is not independent."""
SHARPNESS, ONCE = 1.8, 0.45
"""By how much all evidence is multiplied, and by how much less that of a change is whose sealed state was seen in one year only, at its most
likely date; half as much less where it was seen in two years, and so on. Spliced examples vary more than real series, so the net is too cautious: with 1, the sums of
probabilities were half of the true gain on the made worlds that this was chosen on. But one odd year, such as a dry field, is often taken for
sealed land, and no other year speaks against it: with the same sharpness in all years, the last year's gain was 1.8 times the truth, and the
first year's loss up to 5 times."""
CONSTANTS = {
    "freedom": STEP_FREEDOM, "scatter": STEP_SCATTER, "step_weight": STEP_WEIGHT, "sharpness": SHARPNESS, "once": ONCE,
}  # fmt: skip
"""What the evidence depends on beside net and data. Maps record it, so that those of other constants are not taken for finished ones."""
DEFAULT_GAIN, DEFAULT_LOSS = 0.0027, 0.0003
"""Default rates: land sealed and unsealed in a year, as shares of the sealed land. Copernicus imperviousness: the EU sealed 0.27 % a year."""
LEAST_GAIN, LEAST_LOSS, MOST_CHANGE = 1e-6, 1e-7, 0.03
"""Yearly rates beyond these, as shares of all land, are not believed."""
_CELLS = 500_000
"""Cells whose evidence `likely_steps` holds in memory at once; about as many the rates are estimated from."""
_BATCH = 2**16
"""Cells that `fit_rates` adds up in single precision."""
_LEAST_SHARE = 1e-6
"""Shares below this are taken as this, so that logarithms are finite."""


@dataclass(frozen=True)
class Histories:
    """The histories that a cell can have in a series of years.

    >>> len(Histories((2017, 2018, 2019))), Histories((2017, 2018, 2019)).pairs
    (6, ((2017, 2018), (2018, 2019)))
    """

    years: tuple[int, ...]
    """Ascending; of one year alone there is no change."""

    def __len__(self) -> int:
        return 2 + 2 * self.changes

    @property
    def changes(self) -> int:
        """Number of pairs of neighbouring years, between which a cell can change."""
        return len(self.years) - 1

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of neighbouring years."""
        return tuple(pairwise(self.years))

    @property
    def gains(self) -> slice:
        """The histories sealed from a year on, one a pair."""
        return slice(2, 2 + self.changes)

    @property
    def losses(self) -> slice:
        """The histories unsealed from a year on, one a pair."""
        return slice(2 + self.changes, len(self))

    def sealed(self) -> np.ndarray:
        """Return in which years each history is sealed: array (history, year), bool.

        >>> Histories((2017, 2018)).sealed().astype(int).tolist()
        [[0, 0], [1, 1], [0, 1], [1, 0]]
        """
        year, change = np.arange(len(self.years)), np.arange(1, len(self.years))[:, np.newaxis]
        stable = np.zeros((1, len(year)), bool)
        return np.concatenate([stable, ~stable, year >= change, year < change])

    def stocks(self, probability: np.ndarray) -> np.ndarray:
        """Return the probability that a cell is sealed in each year: array (year, ...), from array (history, ...)."""
        return np.tensordot(self.sealed().T.astype(probability.dtype), probability, axes=1)


@dataclass(frozen=True)
class Rates:
    """How often each history occurs, as shares of all land; a change is equally likely in every year."""

    always: float
    """Share of land that is sealed in all years."""
    gain: float
    """Share of land that is sealed in one year."""
    loss: float
    """Share of land that is unsealed in one year."""
    defaults: tuple[str, ...] = ()
    """Which of `gain` and `loss` are default rates, because the region's own evidence gave no believable ones."""

    def shares(self, histories: Histories) -> np.ndarray:
        """Return the share of each history: array (history,), sum 1."""
        n = histories.changes
        never = 1 - self.always - n * (self.gain + self.loss)
        return np.concatenate([[never, self.always], np.full(n, self.gain), np.full(n, self.loss)])


def step_evidence(logit: np.ndarray, prior: float) -> np.ndarray:
    """Compare constant log-odds with log-odds that step up or down once: evidence (history, ...), float32.

    A cell is judged against its own level, because the errors of yearly maps repeat: a cell that is mapped wrongly in one year is mapped
    wrongly in most. The evidence for a step is (nu / 2) ln((S0 + c) / (Sk + c)) - 1, where S0 and Sk are the sums of squares about one
    mean and about the means before and after, plus the log probabilities that these means give to the states before and after.

    logit : array (year, ...), log-odds that the cell is sealed, NaN = not seen. Where nothing was seen before (or after) a change, the
    change cannot be told from a stable history and has the evidence of that.
    prior : share of sealed land that the log-odds assume; it is taken out, because rates take its place
    """
    seen = ~np.isnan(logit)
    prior = min(max(prior, _LEAST_SHARE), 1 - _LEAST_SHARE)
    value = np.where(seen, logit - np.log(prior / (1 - prior)), 0).astype(np.float32)
    count, total = seen.sum(axis=0, dtype=np.float32), value.sum(axis=0)
    mean = total / np.maximum(count, 1)
    constant = np.square(np.where(seen, value - mean, 0)).sum(axis=0)
    n = len(logit) - 1
    evidence = np.empty((2 + 2 * n, *logit.shape[1:]), np.float32)
    evidence[NEVER], evidence[ALWAYS] = _log_probability(-mean), _log_probability(mean)
    number, before = np.zeros_like(count), np.zeros_like(total)
    for k in range(n):
        number, before = number + seen[k], before + value[k]
        rest, after = count - number, total - before
        low, high = before / np.maximum(number, 1), after / np.maximum(rest, 1)
        split = np.maximum(constant - number * rest / np.maximum(count, 1) * np.square(high - low), 0)
        fit = STEP_FREEDOM / 2 * np.log((constant + STEP_SCATTER) / (split + STEP_SCATTER)) - 1
        was, now = _log_probability(low), _log_probability(high)
        # The logarithm of 1 - p is that of p less the log-odds.
        evidence[2 + k] = fit + (was - low) + now
        evidence[2 + n + k] = fit + was + (now - high)
        _equate(evidence, k, unseen_before=number == 0, unseen_after=rest == 0)
    return evidence


def pair_evidence(logits: np.ndarray, shares: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Turn the output of the series net into evidence (history, ...), float32.

    logits : array (pair, 4, ...), for each pair of neighbouring years: unsealed, sealed, sealed at this pair, unsealed at this pair
    shares : array (4,), shares of these in the training data, those of changes for one pair; they are taken out
    seen : array (year, ...), bool
    """
    n = len(logits)
    assumed = np.log(np.maximum(shares, _LEAST_SHARE))
    stable = logits[:, :2].mean(axis=0) - assumed[:2].reshape(2, *[1] * (logits.ndim - 2))
    changed = np.moveaxis(logits[:, 2:], 1, 0) - assumed[2:].reshape(2, *[1] * (logits.ndim - 1))
    evidence = np.concatenate([stable, changed[0], changed[1]]).astype(np.float32)
    before, after = _seen_around(seen)
    for k in range(n):
        _equate(evidence, k, unseen_before=~before[k], unseen_after=~after[k])
    return evidence


def undated(evidence: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Keep what evidence says of whether a cell changed, but not of when: array (history, ...), float32.

    Each sealing of a cell gets the logarithm of the mean likelihood of its sealings, and each unsealing that of its unsealings. A change that
    cannot be told from a stable history keeps its evidence.

    evidence : array (history, ...)
    seen : array (year, ...), bool
    """
    before, after = _seen_around(seen)
    told = before & after
    number = np.maximum(told.sum(axis=0), 1)
    n = len(told)
    result = np.array(evidence, np.float32)
    for part in (slice(2, 2 + n), slice(2 + n, None)):
        change = evidence[part]
        most = np.where(told, change, -np.inf).max(axis=0)
        most = np.where(np.isfinite(most), most, 0)
        total = np.where(told, np.exp(np.minimum(change - most, 0)), 0).sum(axis=0)
        result[part] = np.where(told, most + np.log(np.maximum(total, _LEAST_SHARE) / number), change)
    return result


def _seen_around(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pair of years whether a cell was seen before a change there, and after it: arrays (pair, ...), bool."""
    return np.logical_or.accumulate(seen)[:-1], np.logical_or.accumulate(seen[::-1])[::-1][1:]


def _equate(evidence: np.ndarray, k: int, *, unseen_before: np.ndarray, unseen_after: np.ndarray) -> None:
    """Give a change that cannot be told from a stable history the evidence of that."""
    if not (unseen_before.any() or unseen_after.any()):
        return
    n = len(evidence) // 2 - 1
    for changed, first, last in ((2 + k, NEVER, ALWAYS), (2 + n + k, ALWAYS, NEVER)):
        evidence[changed] = np.where(
            unseen_before, evidence[last], np.where(unseen_after, evidence[first], evidence[changed])
        )


def _log_probability(logit: np.ndarray) -> np.ndarray:
    """Return the logarithm of a probability from its log-odds. NumPy's logaddexp takes four times as long."""
    return np.minimum(logit, 0) - np.log(1 + np.exp(-np.abs(logit)))


def combine(net: np.ndarray, step: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Add the evidence of the series net and, without its dates, that of the step test, and sharpen it: array (history, ...).

    To yearly maps a building site looks half sealed, so a step is often that from green to bare land. The net tells bare land from sealed.
    A change is sharpened less the fewer years show its sealed state.

    net, step : arrays (history, ...)
    seen : array (year, ...), bool
    """
    both = net + np.float32(STEP_WEIGHT) * undated(step, seen)
    result = np.float32(SHARPNESS) * both
    number = np.cumsum(seen, axis=0, dtype=np.float32)
    before, after, n = number[:-1], number[-1] - number[:-1], len(seen) - 1
    told = (before > 0) & (after > 0)
    for part, stable, sealed in ((slice(2, 2 + n), NEVER, after), (slice(2 + n, None), ALWAYS, before)):
        change = np.where(told, both[part], np.float32(-np.inf))
        likely = change.argmax(axis=0)[np.newaxis]
        # All dates of a change lose as much, so that none is preferred to another.
        less = (np.take_along_axis(change, likely, 0) - both[stable]) * np.float32(ONCE)
        result[part] -= np.where(told, less / np.maximum(np.take_along_axis(sealed, likely, 0), 1), 0)
    return result


def fit_rates(evidence: np.ndarray, histories: Histories, *, rounds: int = 100, in_place: bool = False) -> Rates:
    """Estimate how often each history occurs, by expectation-maximisation with one rate of gain and one of loss for all years.

    A rate that collapses or is beyond belief is replaced by its default rate, and `defaults` names it: change is rare, and an estimate of
    zero would deny all of it.

    evidence : array (history, cell)
    in_place : compute in the memory of `evidence`, which is float32
    """
    out = evidence if in_place else None
    likelihood = np.subtract(evidence, evidence.max(axis=0), dtype=np.float32, out=out)
    np.exp(likelihood, out=likelihood)
    rates = _default_rates(0.1)
    for _round in range(rounds):
        found = _mean_posterior(likelihood, rates.shares(histories))
        last = rates
        gain, loss = (float(found[part].mean()) for part in (histories.gains, histories.losses))
        rates = Rates(float(found[ALWAYS]), gain, loss)
        if abs(rates.gain - last.gain) <= 1e-4 * last.gain and abs(rates.loss - last.loss) <= 1e-3 * last.loss:
            break
    default = _default_rates(rates.always)
    least = {"gain": LEAST_GAIN, "loss": LEAST_LOSS}
    odd = tuple(key for key in least if not least[key] <= getattr(rates, key) <= MOST_CHANGE)
    believed = {key: getattr(default if key in odd else rates, key) for key in least}
    return Rates(rates.always, **believed, defaults=odd)


def _mean_posterior(likelihood: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the mean probability of each history over all cells: array (history,), without an array of the probabilities of all cells."""
    total, cells = np.zeros(len(shares)), likelihood.shape[1]
    for start in range(0, cells, _BATCH):
        part = likelihood[:, start : start + _BATCH]
        total += part @ (1 / (shares.astype(np.float32) @ part))
    return shares * total / cells


def likely_steps(logit: np.ndarray, prior: float) -> np.ndarray:
    """Tell by the step test alone where land was probably sealed, or a site of it begun, and where it was unsealed: array (row, col), int8.

    logit, prior : as for `step_evidence`; array (year, row, col)
    Returns: the number of the first year after the most likely step, 1 for the second year, negative where land was unsealed; 0 where a step is
    not probable, or nothing was seen
    """
    histories = Histories(tuple(range(len(logit))))
    seen = ~np.isnan(logit).all(axis=0)
    result = np.zeros(seen.shape, np.int8)
    if not seen.any():
        return result
    cells = logit[:, seen]
    rates = fit_rates(step_evidence(cells[:, :: max(1, cells.shape[1] // _CELLS)], prior), histories)
    steps = np.zeros(cells.shape[1], np.int8)
    for start in range(0, len(steps), _CELLS):
        part = slice(start, start + _CELLS)
        found = posterior(step_evidence(cells[:, part], prior), rates, histories)
        gains, losses = found[histories.gains], found[histories.losses]
        year = np.where(gains.sum(axis=0) >= losses.sum(axis=0), 1 + gains.argmax(axis=0), -1 - losses.argmax(axis=0))
        steps[part] = np.where(found[2:].sum(axis=0) > 0.5, year, 0)
    result[seen] = steps
    return result


def _default_rates(always: float) -> Rates:
    """Return the default rates of land of which this share is sealed."""
    return Rates(always, DEFAULT_GAIN * always, DEFAULT_LOSS * always, defaults=("gain", "loss"))


def posterior(evidence: np.ndarray, rates: Rates, histories: Histories) -> np.ndarray:
    """Return the probability of each history: array (history, ...), float32, sum 1 over the histories."""
    share = rates.shares(histories).astype(np.float32).reshape(-1, *[1] * (evidence.ndim - 1))
    # In one piece of memory, which takes longer to get than to compute in.
    weight = evidence - evidence.max(axis=0)
    np.exp(weight, out=weight)
    weight *= share
    weight /= weight.sum(axis=0)
    return weight
