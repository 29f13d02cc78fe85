"""From a sample that was drawn and read to what counts: designs, several readings, and the units behind an estimate."""

import json
from dataclasses import replace

import numpy as np
import pytest

from imperviouslib.core import sample
from imperviouslib.core.design import digest_of, draw, parse_design
from imperviouslib.core.errors import InputError
from imperviouslib.core.interpreters import settle
from imperviouslib.core.readings import Reading
from imperviouslib.core.sample import Frame, Sizes, cell_strata
from imperviouslib.core.settings.sample import SampleSettings
from imperviouslib.core.survey import Survey
from testsuite.sample_ground import GRID, YEARS, make_place, scores_of
from testsuite.world.interpreter import Errors, read_sample, read_twice
from testsuite.world.sampling import Place, simulate

SIZES = Sizes(points=200, windows=30, loss=60, stock=100)


@pytest.fixture(scope="module")
def place():
    return make_place()


@pytest.fixture(scope="module")
def frame(place):
    return Frame.of(scores_of(place), np.ones(GRID.shape, bool), GRID)


@pytest.fixture(scope="module")
def design(frame):
    return draw({"": frame}, YEARS, SIZES, 1, made_from={"gain": {"map": "a"}}, version="1")


def read(unit, states, reading=1, cell=None, who=None, seconds=None):
    return Reading(unit, cell, states, "sure", who or f"reader {reading}", reading, seconds)


# ----- the sample


def test_strata_take_their_ranks_in_order_and_leave_no_land_out(place, frame):
    counts = np.bincount(frame.cells.ravel(), minlength=11)
    cells = GRID.height * GRID.width
    assert counts[0] == 0 and counts.sum() == cells
    share = dict(zip(sample.STRATA, counts[1:] / cells, strict=True))
    assert share["L1"] <= 0.001 + 1e-4 and share["G1"] <= 0.003 + 1e-4
    assert share["G1"] + share["G2"] + share["G3"] <= 0.04 + 1e-4
    assert share["G4"] <= 0.11 + 1e-4


def test_cells_without_data_are_in_no_stratum(place):
    scores = scores_of(place)
    gain = scores.gain.copy()
    gain[:50] = np.nan
    strata, _suspect = cell_strata(replace(scores, gain=gain), np.ones(GRID.shape, bool), GRID)
    assert (strata[:50] == 0).all() and (strata[50:] > 0).all()


def test_strata_do_not_depend_on_the_extent_where_scores_are_equal():
    """Equal scores are told apart by the absolute place of a cell, not by its place in the array."""
    flat = sample.Scores(*(np.full(GRID.shape, value, np.float32) for value in (0.1, 0.1, 0.1)))
    area = np.zeros(GRID.shape, bool)
    area[25:100, 25:125] = True
    whole, _suspect = cell_strata(flat, area, GRID)
    part = replace(GRID, west=GRID.west + 500, north=GRID.north - 500)
    cut = sample.Scores(*(np.full(part.shape, value, np.float32) for value in (0.1, 0.1, 0.1)))
    smaller, _suspect = cell_strata(cut, area[25:, 25:], part)
    assert (whole[25:, 25:] == smaller).all()


def test_an_area_without_data_is_refused(place):
    scores = scores_of(place)
    with pytest.raises(InputError, match="no cell with data"):
        Frame.of(replace(scores, gain=np.full(GRID.shape, np.nan, np.float32)), np.ones(GRID.shape, bool), GRID)


def test_sizes_for_a_precision_that_was_never_reached_are_refused():
    assert sample.sizes_for(0.22) == (600, 240)
    with pytest.raises(InputError, match="halfwidth"):
        sample.sizes_for(0.05)


# ----- the design file


def test_a_design_comes_back_from_its_file(design):
    text = json.dumps(design.to_json())
    assert parse_design(text, "d") == design and parse_design(text, "d").digest == design.digest


def test_the_same_seed_gives_the_same_design(frame, design):
    again = draw({"": frame}, YEARS, SIZES, 1, made_from={"gain": {"map": "a"}}, version="1")
    other = draw({"": frame}, YEARS, SIZES, 2, made_from={"gain": {"map": "a"}}, version="1")
    assert again == design and other.units != design.units


def test_ids_say_nothing_of_purpose_and_stratum(design):
    order = [unit.purpose for unit in design.units if unit.kind == "point"]
    assert order != sorted(order)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(contract=9), "contract 9"),
        (lambda d: d["units"][0].update(stratum=1, row=0), "does not fit its digest"),
        (lambda d: d.pop("units"), "does not fit its digest"),
        (lambda d: d.clear(), "no design"),
    ],
)
def test_a_design_that_was_changed_is_refused(design, change, words):
    content = json.loads(json.dumps(design.to_json()))
    change(content)
    with pytest.raises(InputError, match=words):
        parse_design(json.dumps(content), "d.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(years=d["years"][::-1]), "years that are not unique"),
        (lambda d: d.update(years=[*d["years"], d["years"][-1]]), "years that are not unique"),
        (lambda d: d["units"].append(d["units"][0]), "ids or years that are not unique"),
        (lambda d: d["units"].pop(), "strata whose numbers differ from the units"),
        (lambda d: d["units"][0].update(stratum=99), "99"),
    ],
)
def test_a_design_that_contradicts_itself_is_refused_although_its_digest_fits(design, change, words):
    content = json.loads(json.dumps(design.to_json()))
    change(content)
    content["digest"] = digest_of(content)
    with pytest.raises(InputError, match=words) as caught:
        parse_design(json.dumps(content), "d.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"contract": 1}', "\x00"])
def test_what_is_no_design_is_refused(text):
    with pytest.raises(InputError, match=r"d\.json"):
        parse_design(text, "d.json")


# ----- several readings


def points_of(design, number):
    return [unit.id for unit in design.units if unit.kind == "point"][:number]


def test_readings_that_agree_count_and_a_third_settles_the_others(design):
    a, b, c = points_of(design, 3)
    stable, gained = (0, 0, 0), (0, 0, 1)
    readings = [
        read(a, stable),
        read(a, stable, 2),
        read(b, gained),
        read(b, stable, 2),
        read(b, gained, 3),
        read(c, gained),
    ]
    found = settle(design, readings)
    assert {unit: seen[None] for unit, seen in found.states.items()} == {a: stable, b: gained, c: gained}
    assert (found.agreement.units, found.agreement.twice, found.agreement.third) == (3, 2, 1)
    assert (found.agreement.both, found.agreement.single) == (0, 1)


def test_readings_that_differ_must_be_settled(design):
    a, b = points_of(design, 2)
    with pytest.raises(InputError, match=f"1 units differ .* such as {b}"):
        settle(design, [read(a, (0, 0, 0)), read(b, (0, 0, 0)), read(b, (0, 1, 1), 2)])


def test_what_one_reader_could_not_tell_is_no_difference(design):
    (a,) = points_of(design, 1)
    found = settle(design, [read(a, (0, None, 1)), read(a, (0, 1, 1), 2)])
    assert found.states[a][None] == (0, None, 1)


def test_one_person_cannot_read_twice(design):
    (a,) = points_of(design, 1)
    with pytest.raises(InputError, match="both are by ann"):
        settle(design, [read(a, (0, 0, 0), who="ann"), read(a, (0, 0, 0), 2, who="ann")])


def test_two_first_readings_of_a_unit_are_refused(design):
    (a,) = points_of(design, 1)
    with pytest.raises(InputError, match="reading 1 is there twice"):
        settle(design, [read(a, (0, 0, 0), who="ann"), read(a, (0, 0, 0), who="bob")])


def test_missed_change_is_estimated_from_what_one_of_two_saw(design):
    """Both saw 6 changes and one alone 4: 4 / (2 * 6 + 4)."""
    ids = points_of(design, 10)
    readings = []
    for number, unit in enumerate(ids):
        readings += [read(unit, (0, 1, 1)), read(unit, (0, 1, 1) if number < 6 else (0, 0, 0), 2)]
        readings += [read(unit, (0, 1, 1), 3)] if number >= 6 else []
    agreement = settle(design, readings).agreement
    assert agreement.missed == 4 / 16 and agreement.false_share is None


def test_too_many_false_calls_are_not_published(design):
    ids = points_of(design, 100)
    readings = [read(unit, (0, 0, 1) if number < 2 else (0, 0, 0)) for number, unit in enumerate(ids)]
    readings += [read(unit, (0, 0, 0), 2) for unit in ids] + [read(unit, (0, 0, 0), 3) for unit in ids[:2]]
    with pytest.raises(InputError, match=r"2\.0% of the stable points .* above 1%"):
        settle(design, readings)


def test_false_calls_that_the_second_reader_repeats_are_not_published(design):
    windows = [unit.id for unit in design.units if unit.kind == "window"][:12]
    readings = []
    for number, unit in enumerate(windows):
        for reading in (1, 2, 3):
            readings.append(read(unit, (None,) * 3, reading))
            if reading == 1 or (reading == 2 and number < 5):
                readings.append(read(unit, (0, 0, 1), reading, cell=7))
    with pytest.raises(InputError, match="42% of the changes that the third reading rejected"):
        settle(design, readings)


# ----- from units to estimates


def test_an_estimate_of_a_sample_read_without_error_is_near_the_truth(place, design):
    truth = place[0]
    survey = Survey(design, settle(design, read_sample(design, truth, Errors(), np.random.default_rng(1))))
    change = survey.change(0, (YEARS[0], YEARS[-1]))
    true = (~truth[0] & truth[-1]).mean()
    assert change.gain.low < true < change.gain.high
    assert change.gain.value == pytest.approx(true, rel=0.3)
    assert change.net.value == pytest.approx(change.gain.value - change.loss.value)


def test_changed_cells_of_windows_within_the_hot_strata_count_once(place, design):
    """They are for the points; a window counts what lies outside."""
    truth = place[0]
    readings = list(read_sample(design, truth, Errors(), np.random.default_rng(1)))
    survey = Survey(design, settle(design, readings))
    windows = survey._windows(0, "gain", (YEARS[0], YEARS[-1]), 0, 1)
    by_id = {unit.id: unit for unit in design.units}
    outside = sum(
        bool(by_id[one.id].counted(by_id[one.id].gain)[one.cell]) and one.states[0] == 0 and one.states[-1] == 1
        for one in readings
        if one.cell is not None
    )
    everything = sum(one.cell is not None and one.states[0] == 0 and one.states[-1] == 1 for one in readings)
    assert windows.changed.sum() == outside < everything


def test_a_sample_half_filled_in_gives_a_wider_interval_and_an_empty_one_none(place, design):
    readings = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    ids = [unit.id for unit in design.units]

    def change(kept):
        return Survey(design, settle(design, [one for one in readings if one.id in kept])).change(
            0, (YEARS[0], YEARS[-1])
        )

    assert change(set(ids[::2])).gain.half_width > change(set(ids)).gain.half_width
    assert change(set(ids[:3])) is None and change(set()) is None
    # No window was read: the hot strata alone say nothing of the rest.
    assert change({unit.id for unit in design.units if unit.kind == "point"}) is None


def test_points_that_could_not_be_told_do_not_count(place, design):
    readings = list(read_sample(design, place[0], Errors(), np.random.default_rng(1)))
    blurred = [
        replace(one, states=(one.states[0], None, one.states[2])) if one.id[0] == "P" and n % 5 == 0 else one
        for n, one in enumerate(readings)
    ]
    survey = Survey(design, settle(design, blurred))
    full = survey._points(0, "gain", (YEARS[0], YEARS[2]), 0, 1).n.sum()
    less = survey._points(0, "gain", (YEARS[0], YEARS[1]), 0, 1).n.sum()
    assert less < full == SIZES.points


def test_points_alone_give_gain_and_no_loss(place, frame):
    design = draw({"": frame}, YEARS, Sizes(points=300, windows=0, stock=60), 1, made_from={}, version="1")
    survey = Survey(design, settle(design, read_sample(design, place[0], Errors(), np.random.default_rng(1))))
    change = survey.change(0, (YEARS[0], YEARS[-1]))
    assert change.loss is None and change.net is None
    truth = place[0]
    assert change.gain.low < (~truth[0] & truth[-1]).mean() < change.gain.high


def test_a_third_reading_takes_out_most_errors(place, design):
    truth = place[0]
    errors = Errors(false=0.002, patches=0.02, missed=0.1)
    settled = settle(design, read_twice(design, truth, errors, np.random.default_rng(3)))
    perfect = settle(design, read_sample(design, truth, Errors(), np.random.default_rng(1)))
    wrong = [unit for unit, seen in perfect.states.items() if seen != settled.states[unit]]
    assert len(wrong) < 0.03 * len(design.units)
    assert 0 < settled.agreement.missed < 0.3


# ----- many samples of places that are hard


def covered(place, draws=60, sizes=SIZES, scores=None):
    """Draw many samples; return the share of intervals of the gain of all years that hold the truth, and their median half-width relative to it."""
    truth = place[0]
    frame = Frame.of(scores or scores_of(place), np.ones(GRID.shape, bool), GRID)
    true, found = (~truth[0] & truth[-1]).mean(), []
    for seed in range(draws):
        design = draw({"": frame}, YEARS, sizes, seed, made_from={}, version="1")
        survey = Survey(design, settle(design, read_sample(design, truth, Errors(), np.random.default_rng(seed))))
        found.append(survey.change(0, (YEARS[0], YEARS[-1])).gain)
    width = np.median([one.half_width for one in found]) / true if true else np.median([one.high for one in found])
    return np.mean([one.low <= true <= one.high for one in found]), width


def test_a_score_that_is_noise_gives_wide_intervals_that_hold_the_truth(place):
    rng = np.random.default_rng(5)
    noise = replace(scores_of(place), gain=rng.random(GRID.shape, np.float32), loss=rng.random(GRID.shape, np.float32))
    share, width = covered(place, scores=noise)
    good_share, good_width = covered(place)
    assert share >= 0.9 and good_share >= 0.9 and width > 1.3 * good_width


def test_a_place_without_change_has_intervals_that_begin_at_zero():
    still = make_place(rate=0)
    assert (still[0][0] == still[0][-1]).all()
    share, highest = covered(still, draws=20)
    assert share == 1 and highest < 0.005


def test_points_alone_hold_the_truth_with_wider_intervals(place):
    share, width = covered(place, sizes=Sizes(points=300, windows=0, stock=20))
    assert share >= 0.9 and width < 1


def test_the_judge_of_samples_counts_what_intervals_hold(place):
    truth, sealed = place[0], place[1]
    rows, cols = (np.arange(n) // 130 for n in GRID.shape)
    zones = 1 + rows[:, np.newaxis] * 2 + cols[np.newaxis, :]
    found = simulate(Place(YEARS, truth, scores_of(place), sealed, zones, GRID), SIZES, 20)
    assert found["gain span"]["truth"] == pytest.approx((~truth[0] & truth[-1]).mean())
    assert 0.8 <= found["gain span"]["coverage"] <= 1 and found["gain span"]["draws"] == 20
    assert found["regional stock"]["coverage"] >= 0.8 and found["refused"] == found["no estimate"] == 0
    doubtful = simulate(
        Place(YEARS, truth, scores_of(place), sealed, zones, GRID), SIZES, 3, errors=Errors(false=0.1), twice=True
    )
    assert doubtful["refused"] == 3


OPTIONS = {
    **dict.fromkeys(
        ("gain", "loss", "sealed", "years", "zones", "stock_points", "stock_columns", "halfwidth", "rasters", "wms"), ""
    ),
    "input": "lc", "output": "sample", "prefix": "sample", "column": "NUTS_ID", "level": "0", "seed": "1", "points": "600",
    "windows": "240", "loss_points": "150", "stock": "300", "composites": "s2", "features": "B12_p50,B11_p50,B04_p50", "format": "plain",
}  # fmt: skip


def test_further_rasters_have_a_name_and_perhaps_a_year():
    flags = {"s": True, "l": False}
    settings = SampleSettings.parse({**OPTIONS, "rasters": "Sealing layer=hrl_{year}@eea, Radar=s1"}, flags)
    assert settings.rasters == {"Sealing layer": "hrl_{year}@eea", "Radar": "s1"}
    for wrong in ("=hrl", "hrl", "A=b c", "A=b{yaer}", "A=b{}", "A=x,A=y", "A=b;rm"):
        with pytest.raises(InputError, match="Option <rasters>"):
            SampleSettings.parse({**OPTIONS, "rasters": wrong}, flags)
    with pytest.raises(InputError, match="flag -s is not set"):
        SampleSettings.parse({**OPTIONS, "rasters": "A=b"}, {"s": False, "l": False})
