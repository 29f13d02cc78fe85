"""The histories of cells: evidence, rates, probabilities, and the spliced examples that the series net learns from."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from imperviouslib.core import series, splice
from imperviouslib.core.series import ALWAYS, NEVER, Histories, Rates
from imperviouslib.core.splice import UNKNOWN, LabelledSeries
from imperviouslib.stage.train import series as train_series

YEARS = Histories((2017, 2018, 2019, 2020))


def test_the_histories_of_four_years():
    assert len(YEARS) == 8 and YEARS.pairs == ((2017, 2018), (2018, 2019), (2019, 2020))
    assert YEARS.sealed().astype(int).tolist() == [
        [0, 0, 0, 0], [1, 1, 1, 1],
        [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1],
        [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0],
    ]  # fmt: skip
    assert Histories((2017,)).sealed().tolist() == [[False], [True]]


def test_stocks_gains_and_losses_agree_in_every_cell():
    probability = np.random.default_rng(1).dirichlet(np.ones(len(YEARS)), (5, 7)).transpose(2, 0, 1)
    stocks, gains, losses = YEARS.stocks(probability), probability[YEARS.gains], probability[YEARS.losses]
    assert np.allclose(np.diff(stocks, axis=0), gains - losses, atol=1e-12)
    assert np.allclose(stocks[-1] - stocks[0], gains.sum(axis=0) - losses.sum(axis=0), atol=1e-12)


# The step test


def plain_step_evidence(logit, prior):
    """The step test of one cell, written as its formula."""
    nu, c = series.STEP_FREEDOM, series.STEP_SCATTER
    value = [v - np.log(prior / (1 - prior)) for v in logit]
    known = [v for v in value if not np.isnan(v)]

    def chance(mean):
        return np.log(1 / (1 + np.exp(-mean)))

    def scatter(values):
        return sum((v - np.mean(values)) ** 2 for v in values)

    never, always = chance(-np.mean(known)), chance(np.mean(known))
    gains, losses = [], []
    for k in range(1, len(value)):
        before, after = ([v for v in part if not np.isnan(v)] for part in (value[:k], value[k:]))
        if not before or not after:
            gains.append(never if before else always)
            losses.append(always if before else never)
            continue
        fit = nu / 2 * np.log((scatter(known) + c) / (scatter(before) + scatter(after) + c)) - 1
        gains.append(fit + chance(-np.mean(before)) + chance(np.mean(after)))
        losses.append(fit + chance(np.mean(before)) + chance(-np.mean(after)))
    return [never, always, *gains, *losses]


def test_the_step_test_is_its_formula_also_with_unseen_years():
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 3, (6, 40))
    logit[rng.random(logit.shape) < 0.3] = np.nan
    logit[0, :4], logit[-2:, 4:8] = np.nan, np.nan
    logit[2, np.isnan(logit).all(axis=0)] = 1.0
    expected = np.array([plain_step_evidence(cell, 0.2) for cell in logit.T]).T
    assert np.allclose(series.step_evidence(logit, 0.2), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("logit", "best"),
    [
        ([-4, -4.2, -3.9, -4], NEVER), ([3, 2.8, 3.1, 3], ALWAYS), ([-4, -4, 1, 1.2], 3), ([-4, -4, -4, 1.5], 4),
        ([3, 0.5 - 3, -3, -3], 5), ([3, 3, 3.2, -2], 7),
        # A cell that always looks half sealed has not changed.
        ([-0.4, 0.3, -0.5, 0.2], NEVER),
    ],
)  # fmt: skip
def test_a_cell_is_judged_against_its_own_level(logit, best):
    evidence = series.step_evidence(np.array(logit, float), 0.5)
    shares = Rates(0.1, 0.002, 0.001).shares(YEARS)
    assert np.argmax(evidence + np.log(shares)) == best


# The evidence of the series net


def test_evidence_of_the_net_takes_out_the_shares_of_its_training():
    logits = np.log(np.array([[0.6, 0.3, 0.08, 0.02], [0.5, 0.4, 0.06, 0.04]]))
    shares = np.array([0.5, 0.4, 0.05, 0.05])
    evidence = series.pair_evidence(logits[..., np.newaxis], shares, np.ones((3, 1), bool))[:, 0]
    stable = np.log([0.6 * 0.5, 0.3 * 0.4]) / 2 - np.log([0.5, 0.4])
    assert np.allclose(evidence, [*stable, *np.log([0.08 / 0.05, 0.06 / 0.05, 0.02 / 0.05, 0.04 / 0.05])], atol=1e-6)


def test_a_change_before_which_nothing_was_seen_cannot_be_told_from_no_change():
    logits = np.random.default_rng(3).normal(size=(3, 4, 1))
    seen = np.array([False, True, True, False])[:, np.newaxis]
    evidence = series.pair_evidence(logits, np.full(4, 0.25), seen)[:, 0]
    gains, losses = evidence[YEARS.gains], evidence[YEARS.losses]
    assert gains[0] == evidence[ALWAYS] and losses[0] == evidence[NEVER]
    assert gains[2] == evidence[NEVER] and losses[2] == evidence[ALWAYS]
    assert gains[1] not in (evidence[NEVER], evidence[ALWAYS])


# Evidence without dates


def test_evidence_without_dates_knows_of_a_change_but_not_when():
    evidence = np.log(np.array([[0.5], [0.2], [0.1], [0.6], [0.2], [0.03], [0.06], [0.09]], np.float32))
    found = np.exp(series.undated(evidence, np.ones((4, 1), bool))[:, 0])
    assert found == pytest.approx([0.5, 0.2, *[(0.1 + 0.6 + 0.2) / 3] * 3, *[(0.03 + 0.06 + 0.09) / 3] * 3], rel=1e-5)
    # Also where likelihoods have no floating-point number.
    assert series.undated(evidence - 2000, np.ones((4, 1), bool))[3, 0] == pytest.approx(np.log(0.3) - 2000, abs=1e-3)


def test_evidence_without_dates_leaves_changes_that_cannot_be_told_from_none():
    logit = np.array([np.nan, -3.0, np.nan, 2.0, 2.5, np.nan])[:, np.newaxis]
    dated, years = series.step_evidence(logit, 0.5), Histories(tuple(range(2017, 2023)))
    found = series.undated(dated, ~np.isnan(logit))
    for part, before, after in ((years.gains, ALWAYS, NEVER), (years.losses, NEVER, ALWAYS)):
        old, new = dated[part, 0], found[part, 0]
        assert new[0] == dated[before, 0] and new[4] == dated[after, 0]
        assert new[1:4] == pytest.approx([np.log(np.exp(old[1:4]).mean())] * 3, abs=1e-5)
    nothing = series.step_evidence(np.full((3, 1), np.nan), 0.5)
    assert (series.undated(nothing, np.zeros((3, 1), bool)) == nothing).all()


def test_the_net_dates_a_change_and_the_step_test_only_supports_it():
    """From 2018 on the site looks half sealed, in 2020 it is built: to the step test alone it was sealed in 2018."""
    logit = np.array([-4.0, 0.3, 0.5, 2.0])[:, np.newaxis]
    seen, step = ~np.isnan(logit), series.step_evidence(logit, 0.5)
    net = np.array([0, -8, 5, 5, 5.4, -6, -6, -6], np.float32)[:, np.newaxis]
    assert step[YEARS.gains, 0].argmax() == 0 and (net + series.STEP_WEIGHT * step)[YEARS.gains, 0].argmax() == 0
    both = series.combine(net, step, seen)[:, 0]
    assert both[YEARS.gains].argmax() == 2
    assert both[4] - both[NEVER] > (series.SHARPNESS - series.ONCE) * (net[4, 0] - net[NEVER, 0])


@pytest.mark.parametrize(("date", "sealed_years"), [(0, 3), (1, 2), (2, 1)])
def test_the_fewer_years_show_sealed_land_the_less_a_change_is_sharpened(date, sealed_years):
    """Four years, of which the first is before all changes: a gain at `date` is seen sealed afterwards, a loss before."""
    seen, step = np.ones((4, 1), bool), np.zeros((8, 1), np.float32)
    net = np.array([1, -1, 2, 2, 2, 0, 0, 0], np.float32)[:, np.newaxis]
    net[2 + date] += 3
    net[5 + 2 - date] += 3
    found = series.combine(net, step, seen)[:, 0]
    sharp = series.SHARPNESS * net[:, 0]
    assert found[:2].tolist() == pytest.approx(sharp[:2].tolist())
    less = 4 * series.ONCE / sealed_years
    assert (sharp - found)[2:].tolist() == pytest.approx([less] * 6, abs=1e-5)


def test_a_change_that_cannot_be_told_from_none_stays_so_when_evidence_is_sharpened():
    seen = np.array([[False], [True], [True], [False]])
    logit = np.where(seen, [[0], [-3], [4], [0]], np.nan)
    step = series.step_evidence(logit, 0.5)
    found = series.combine(step, step, seen)[:, 0]
    for part, before, after in ((YEARS.gains, ALWAYS, NEVER), (YEARS.losses, NEVER, ALWAYS)):
        assert found[part][0] == found[before] and found[part][2] == found[after]
    nothing = series.combine(np.zeros((8, 1), np.float32), np.zeros((8, 1), np.float32), np.zeros((4, 1), bool))
    assert (nothing == 0).all()


# Rates and probabilities


def drawn_evidence(rates, cells, strength, seed=1):
    """Evidence of cells whose histories are drawn by these rates: noise of this many nats, and as much more for the true history."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(YEARS), cells, p=rates.shares(YEARS))
    # A Gaussian of variance s about s/2 (or -s/2) is a log likelihood ratio that means what it says.
    evidence = rng.normal(-strength / 2, strength**0.5, (len(YEARS), cells))
    evidence[truth, np.arange(cells)] += strength
    return evidence.astype(np.float32), truth


@pytest.mark.parametrize("gain", [0.0004, 0.004])
def test_rates_are_found_in_the_regions_own_evidence(gain):
    rates = Rates(0.12, gain, gain / 4)
    evidence, truth = drawn_evidence(rates, 200_000, 25.0)
    found = series.fit_rates(evidence, YEARS)
    share = np.bincount(truth, minlength=len(YEARS)) / truth.size
    assert found.defaults == ()
    assert found.always == pytest.approx(share[ALWAYS], rel=0.02)
    assert found.gain == pytest.approx(share[YEARS.gains].mean(), rel=0.1)
    expected = series.posterior(evidence, found, YEARS)[YEARS.gains].sum()
    assert expected == pytest.approx(np.isin(truth, (2, 3, 4)).sum(), rel=0.1)


def stable_evidence(cells=5000):
    """Evidence of cells of which a tenth is sealed, and none changes."""
    evidence = np.random.default_rng(4).normal(0, 0.1, (len(YEARS), cells)).astype(np.float32)
    evidence[2:] -= 12
    evidence[ALWAYS, : cells // 10] += 8
    evidence[NEVER, cells // 10 :] += 8
    return evidence


def test_rates_that_collapse_or_explode_are_replaced_and_say_so():
    found = series.fit_rates(stable_evidence(), YEARS)
    assert found.defaults == ("gain", "loss") and found.always == pytest.approx(0.1, abs=0.01)
    assert (found.gain, found.loss) == (series.DEFAULT_GAIN * found.always, series.DEFAULT_LOSS * found.always)
    wild = stable_evidence()
    wild[2:4] += 30
    assert series.fit_rates(wild, YEARS).defaults == ("gain", "loss")


def test_only_the_rate_that_collapses_is_replaced():
    evidence = stable_evidence()
    evidence[3, 1000:1100] += 40
    found = series.fit_rates(evidence, YEARS)
    assert found.defaults == ("loss",) and found.loss == series.DEFAULT_LOSS * found.always
    assert 3 * found.gain == pytest.approx(100 / 5000, rel=0.1)


def test_shares_and_priors_of_zero_give_finite_evidence():
    """A training without any unsealed example, and labels with almost no sealed land."""
    evidence = series.pair_evidence(np.zeros((3, 4, 1)), np.array([0.7, 0.3, 0.0, 0.0]), np.ones((4, 1), bool))
    assert np.isfinite(evidence).all()
    for prior in (0.0, 1.0):
        assert np.isfinite(series.step_evidence(np.full((4, 1), 0.5), prior)).all()


def test_probabilities_follow_evidence_and_rates():
    rates = Rates(0.2, 0.01, 0.001)
    flat = series.posterior(np.zeros((len(YEARS), 1), np.float32), rates, YEARS)[:, 0]
    assert np.allclose(flat, rates.shares(YEARS))
    evidence = np.zeros((len(YEARS), 1), np.float32)
    evidence[3] = np.log(7.0)
    found = series.posterior(evidence, rates, YEARS)[:, 0]
    assert found[3] / found[NEVER] == pytest.approx(7 * 0.01 / rates.shares(YEARS)[NEVER], rel=1e-5)
    assert found.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("cells", [500_000, 700])
def test_the_step_test_alone_tells_where_sites_probably_began(monkeypatch, cells):
    monkeypatch.setattr(series, "_CELLS", cells)
    logit = np.full((5, 1, 2000), -4.0) + np.random.default_rng(15).normal(0, 0.1, (5, 1, 2000))
    logit[:, 0, 1000:1300] += 7
    logit[2:, 0, :10] += 5
    logit[4:, 0, 10:20] += 7
    logit[3:, 0, 1000:1010] -= 7
    logit[:, 0, 1999] = np.nan
    found = series.likely_steps(logit, 0.2)[0]
    assert (found[:10] == 2).all() and (found[10:20] == 4).all() and (found[1000:1010] == -3).all()
    assert not np.delete(found, [*range(20), *range(1000, 1010)]).any()
    assert not series.likely_steps(np.full((3, 2, 2), np.nan), 0.2).any()


# What the net sees


def test_features_of_a_pair_are_means_and_nearest_years_of_what_was_seen():
    values = np.array([[1.0, 10], [3, 30], [np.nan, np.nan], [8, 80]], np.float32)[..., np.newaxis]
    first, second, third = splice.pair_features(values, 2)[..., 0]
    assert first.tolist() == pytest.approx([1, 10, 5.5, 55, 1, 10, 3, 30, 0.25, 0.5])
    assert second.tolist() == pytest.approx([2, 20, 8, 80, 3, 30, 8, 80, 0.5, 0.25])
    assert third.tolist() == pytest.approx([2, 20, 8, 80, 3, 30, 8, 80, 0.5, 0.25])


@pytest.mark.parametrize("gap", [[], [1]])
def test_surroundings_have_no_nearest_years(gap):
    values = np.random.default_rng(8).normal(size=(4, 6, 3)).astype(np.float32)
    values[gap] = np.nan
    assert np.array_equal(
        splice.pair_features(values, 2), splice.pair_features(values, 6)[:, [*range(14), 18, 19, 24, 25]]
    )


def test_surroundings_leave_out_cells_without_data():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 2, 20, 19)).astype(np.float32)
    values[0, :, 7:10, 8] = np.nan
    # A cell that sees itself alone.
    values[1], values[1, :, 9, 9] = np.nan, [3, 7]
    found = splice.surroundings(values)
    assert found.shape == (2, 6, 12, 11) and np.isnan(found[0, :, 3:6, 4]).all()
    assert found[1, :, 5, 5].tolist() == [3, 7, 3, 7, 3, 7]
    assert np.isnan(found[1]).all(axis=0).sum() == 12 * 11 - 1
    for row, col in ((6, 5), (2, 4), (5, 5), (0, 0), (11, 10)):
        assert np.array_equal(found[0, :2, row, col], values[0, :, row + 4, col + 4])
        for side, planes in ((3, slice(2, 4)), (9, slice(4, 6))):
            reach = side // 2
            near = values[0, :, row + 4 - reach : row + 5 + reach, col + 4 - reach : col + 5 + reach]
            assert np.allclose(found[0, planes, row, col], np.nanmean(near, axis=(1, 2)), atol=1e-5)
    assert splice.planes(2) == splice.pair_features(found, 2).shape[1]
    some = np.array([3, 0, 11]), np.array([4, 10, 0])
    assert np.array_equal(splice.surroundings(values, some), found[(..., *some)], equal_nan=True)


def test_covers_are_shares_of_pieces_of_every_size():
    rng = np.random.default_rng(6)
    covers = [splice.Piece.draw(rng).cover() for _piece in range(400)]
    areas = [cover.sum() for cover in covers]
    assert all(cover.shape[0] == cover.shape[1] and cover.shape[0] % 2 for cover in covers)
    assert all(cover.min() >= 0 and cover.max() <= 1 for cover in covers)
    # Nothing is cut off at the border.
    assert max(cover[0].max() for cover in covers) == 0
    assert min(areas) < 4 and max(areas) > 100


# Spliced examples

SEALED, GREEN, BARE = 9000, 1000, 6000


@pytest.fixture
def ground():
    """Land of 120 x 120 cells, half of it sealed, in five years; the value tells the class, a few hundred more the year. A stripe is
    foreign: it is not part of the ground and has values of its own."""
    label = np.zeros((120, 120), np.int8)
    label[:, 60:] = 1
    label[50:54, :] = UNKNOWN
    inside = np.ones(label.shape, bool)
    inside[:, :30] = False
    features = []
    for year in range(5):
        plane = np.where(label == 1, SEALED, GREEN) + 100 * year
        plane[~inside] = 30_000
        features.append(plane[..., np.newaxis].astype(np.uint16))
    return LabelledSeries(tuple(features), label, inside, np.array([0.0]), np.array([1.0]))


def test_spliced_cells_look_like_their_history(ground):
    rng = np.random.default_rng(7)
    drawn = [splice.draw_examples(ground, rng) for _patch in range(60)]
    histories = Histories((0, 1, 2, 3, 4))
    count = np.zeros(len(histories), int)
    for examples in drawn:
        # Of the cell itself: the last year before and the first year after, without the years' own share.
        pairs = len(examples.features)
        before, after = examples.features[:, 6] % 30_000, examples.features[:, 7] % 30_000
        before = before - 100 * np.arange(pairs)[:, np.newaxis]
        after = after - 100 * np.arange(1, pairs + 1)[:, np.newaxis]
        count += np.bincount(examples.history, minlength=len(histories))
        for pair in range(pairs):
            gained, lost = examples.history == 2 + pair, examples.history == 2 + pairs + pair
            assert (before[pair, gained] == GREEN).all() and (after[pair, gained] >= (SEALED + GREEN) / 2 - 1).all()
            assert (before[pair, lost] == SEALED).all() and (after[pair, lost] <= (SEALED + GREEN) / 2 + 1).all()
        assert (before[0, examples.history == NEVER] == GREEN).all()
    # All histories occur, each year about as often.
    assert (
        count.min() > 0.02 * count.sum() / len(histories)
        and count[histories.gains].min() > 0.3 * count[histories.gains].max()
    )


def test_no_example_comes_from_outside_the_ground_or_from_unknown_labels(ground):
    rng = np.random.default_rng(8)
    for _patch in range(40):
        examples = splice.draw_examples(ground, rng)
        own = examples.features[:, 6]
        assert own.size and own.max() < 20_000
    unknown = LabelledSeries(
        ground.features, np.full_like(ground.label, UNKNOWN), ground.ground, ground.mean, ground.deviation
    )
    assert [len(cells) for cells in unknown.sources] == [0, 0]


@pytest.fixture
def with_quarry(ground):
    """The same land with a quarry, whose value is between those of the two classes."""
    bare = np.zeros(ground.label.shape, bool)
    bare[20:40, 35:55] = True
    features = []
    for plane in ground.features:
        cut = plane.copy()
        cut[bare] = BARE
        features.append(cut)
    return LabelledSeries(tuple(features), ground.label, ground.ground, ground.mean, ground.deviation, bare)


def test_bare_ground_before_a_sealing_does_not_date_it(with_quarry):
    rng = np.random.default_rng(11)
    bare_before, bare_alone = 0, 0
    for _patch in range(40):
        examples = splice.draw_examples(with_quarry, rng)
        before, after = examples.features[:, 6], examples.features[:, 7]
        for pair in range(4):
            gained, lost = examples.history == 2 + pair, examples.history == 2 + 4 + pair
            # Never sealed and then bare: a sealing is the end of the bare ground, an unsealing its beginning.
            assert (after[pair, gained] >= (SEALED + GREEN) / 2 - 1).all() and (before[pair, lost] >= SEALED).all()
            bare_before += int((before[pair, gained] == BARE).sum())
        never = examples.history == NEVER
        first_bare = (before[0, never] != BARE) & (after[:, never] == BARE).any(axis=0)
        bare_alone += int(first_bare.sum())
    assert bare_before > 300 and bare_alone > 50


def test_bare_ground_counts_where_the_labels_say_that_it_is_not_sealed(with_quarry):
    everywhere = replace(with_quarry, bare=np.ones(with_quarry.label.shape, bool))
    assert (everywhere.label[tuple(everywhere.sites.T)] == 0).all()
    none = replace(with_quarry, bare=None)
    assert not len(none.sites)


def test_sites_that_began_in_the_series_are_bare_ground_too(ground):
    """Land that is green until it is a site in the fourth year; afterwards it is sealed, and the labels of the first year say green."""
    begun = np.zeros(ground.label.shape, np.int8)
    begun[20:40, 35:55] = 3
    begun[20:40, :30] = 2  # Not in the ground.
    features = [plane.copy() for plane in ground.features]
    features[3][begun == 3], features[4][begun == 3] = BARE, SEALED + 400
    sites = replace(ground, features=tuple(features), label=np.where(begun, UNKNOWN, ground.label), begun=begun)
    assert len(sites.starts) == 400 and (sites.begun[tuple(sites.starts.T)] == 3).all()
    rng, bare = np.random.default_rng(14), np.zeros(4, int)
    for _patch in range(40):
        examples = splice.draw_examples(sites, rng)
        for pair in range(4):
            before = examples.features[pair, 6, examples.history == 2 + pair]
            bare[pair] += int((before == BARE).sum())
            assert (before < 30_000).all()
    # Also before sealings of other years than that in which the sites began.
    assert bare.min() > 30
    assert not len(replace(ground, begun=None).starts)


def test_some_sealings_look_unusual(ground):
    """Half of the sealed land is brighter than the other; pieces then lie beyond both."""
    features = [plane.copy() for plane in ground.features]
    for plane in features:
        plane[:60, 60:] += 1000
    varied = LabelledSeries(tuple(features), ground.label, ground.ground, ground.mean, ground.deviation)
    assert np.allclose(varied.usual[:, 0], SEALED + 500 + 100 * np.arange(5), atol=60)
    rng, seen = np.random.default_rng(12), []
    for _patch in range(40):
        examples = splice.draw_examples(varied, rng)
        seen.append(examples.features[0, 7, examples.history == 2])
    values = np.concatenate(seen)
    brightest, darkest = SEALED + 1000 + 100, SEALED + 100
    assert 0.05 < (values > brightest + 1).mean() < 0.5 and values.max() <= brightest + 600
    assert (values == brightest).any() and (values == darkest).any()


def test_a_net_whose_loss_is_not_a_number_is_refused(ground, monkeypatch):
    from imperviouslib.core.errors import TrainingError
    from imperviouslib.edge import seriesnet

    monkeypatch.setattr(seriesnet, "RATE", float("nan"))
    with pytest.raises(TrainingError, match="not a number"):
        seriesnet.fit(ground, seed=1, steps=4, patches=1)


class KilledError(Exception):
    """A fit that ends in the middle."""


def test_a_fit_that_was_killed_continues_to_the_same_net(ground, tmp_path, monkeypatch):
    """Ended after the state was saved twice: the fit goes on from there; one that was finished is not run again."""
    from imperviouslib.edge import seriesnet
    from imperviouslib.edge.checkpoint import Checkpoint

    monkeypatch.setattr(seriesnet, "_SAVED", 4)

    def run(last=None, saved=None):
        steps = []

        def progress(done, _total):
            if done == last:
                raise KilledError
            steps.append(done)

        net, shares = seriesnet.fit(ground, seed=1, steps=14, patches=1, progress=progress, checkpoint=saved)
        return [*net.get_weights(), shares], steps

    saved = Checkpoint(tmp_path / "series.npz", "key")
    with pytest.raises(KilledError):
        run(last=11, saved=saved)
    expected, whole = run()
    assert whole == [*range(1, 15)]
    for left in ([*range(9, 15)], []):
        found, steps = run(saved=saved)
        assert steps == left
        assert all((one == two).all() for one, two in zip(found, expected, strict=True))


def test_equal_generators_draw_equal_examples(ground):
    one, two = (splice.draw_examples(ground, np.random.default_rng(9)) for _again in range(2))
    assert (one.history == two.history).all() and np.array_equal(one.features, two.features)


def test_the_net_learns_to_find_and_to_date_spliced_change(ground):
    """Easy land: change is found where it is, in its year, and nothing else changes."""
    from imperviouslib.edge import seriesnet
    from imperviouslib.edge.engine import with_planes_first
    from imperviouslib.edge.unet import run_net

    scaled = LabelledSeries(ground.features, ground.label, ground.ground, np.array([5000.0]), np.array([4000.0]))
    net, shares = seriesnet.fit(scaled, seed=1, steps=100)
    assert shares.min() > 0 and shares[:2].sum() + 4 * shares[2:].sum() == pytest.approx(1)
    examples = splice.draw_examples(scaled, np.random.default_rng(10))
    logits = with_planes_first(run_net(net))(examples.features)
    seen = np.ones((5, logits.shape[-1]), bool)
    evidence = series.pair_evidence(logits, shares, seen)
    assert (evidence.argmax(axis=0) == examples.history).mean() > 0.95


def test_the_cells_that_engines_are_compared_by_come_from_a_patch_with_labels(monkeypatch):
    """The first patches that are drawn may have no label at all."""
    drawn = iter([0, 0, 3])
    found = lambda *_: SimpleNamespace(features=np.ones((2, 5, next(drawn)), np.float32))  # noqa: E731
    monkeypatch.setattr(train_series.splice, "draw_examples", found)
    assert train_series._example(None, 1).shape == (6, 5)
