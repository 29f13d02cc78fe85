"""The judge of sealing and unsealing: figures that can be checked on paper, and the maps of a run read from disk."""

import json
import re

import numpy as np
import pytest

from testsuite.world import judge, sealing
from testsuite.world.files import write_csv, write_tif
from testsuite.world.sealing import Chances, Ranking, Sealing

YEARS = (2017, 2018, 2019)
BOUNDS = (40, -60, 120, 0)
"""Three rows and four columns of cells."""
TRUTH = np.array(
    [
        [[1, 3, 3, 4], [3, 3, 3, 3], [1, 3, 3, 2]],
        [[1, 1, 3, 4], [3, 3, 3, 3], [1, 3, 3, 2]],
        [[1, 1, 1, 4], [3, 3, 3, 1], [3, 3, 3, 2]],
    ],
    np.uint8,
)
"""One cell is sealed from 2018 on; its neighbour and one alone from 2019 on; one is unsealed in 2019. Two gained cells touch, the third touches them at a corner."""


def exact(truth):
    """Probabilities of 0 and 1 that agree with the truth: sealed in each year, gain, loss."""
    sealed = truth == 1
    gain, loss = sealing.mapped_changes(truth)
    return sealed.astype("float32"), gain, loss


def exact_run(years=YEARS, truth=TRUTH):
    """A run in which all maps equal the truth."""
    p, gain, loss = exact(truth)
    names = sealing.METHODS
    return Sealing(
        years, truth == 1, np.ones(truth.shape[1:], bool), dict.fromkeys(names, truth), dict.fromkeys(names, gain), dict.fromkeys(names, loss), p
    )  # fmt: skip


@pytest.mark.parametrize(
    ("history", "year"),
    [("000", 0), ("111", 0), ("011", 1), ("001", 2), ("010", 0), ("100", 0), ("101", 0), ("0101", 3)],
)
def test_year_of_gain_is_the_first_of_the_last_sealed_years(history, year):
    assert sealing.year_of_gain(np.array([[c == "1"] for c in history])).tolist() == [year]


def test_marked_year_is_the_most_likely_one_of_a_likely_span():
    pairs = np.array([[0.3, 0.1, 0.2, np.nan], [0.2, 0.4, 0.2, np.nan]])
    assert sealing.marked_year(Chances(pairs, pairs.sum(axis=0))).tolist() == [1, 2, 0, 0]


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_mapped_change_needs_both_years(before, after):
    gain, loss = sealing.mapped_changes(np.array([[before], [after]], np.uint8))
    assert (bool(gain.span[0]), bool(loss.span[0])) == ((before, after) == (3, 1), (before, after) == (1, 3))
    assert gain.pairs.tolist() == [gain.span.tolist()] and loss.pairs.tolist() == [loss.span.tolist()]


def test_cells_that_touch_at_a_corner_are_one_object():
    changed = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1]], bool)
    assert sealing.object_sizes(changed).tolist() == [[3, 0, 0, 1], [0, 3, 0, 0], [0, 3, 0, 1]]


def test_ranking_takes_no_order_from_cells_of_one_probability():
    ranking = Ranking.of(np.array([0.2, 0.9, 0.2, 0.2, 0.2, 0.5]), np.array([0, 1, 1, 0, 1, 0], bool))
    # One of 0.9 is true, one of 0.5 is not; two of the four of 0.2 are.
    assert [ranking.hits_among(n) for n in (0, 1, 2, 4, 6)] == [0, 1, 1, 1 + 2 * 2 / 4, 3]
    assert [ranking.cells_for(hits) for hits in (0, 1, 2, 3)] == [0, 1, 2 + 4 * 1 / 2, 6]


def test_events_on_paper():
    # True: four cells gain in 2018, 2018, 2019, 2020. The rest never does.
    years = (2017, 2018, 2019, 2020)
    sealed = np.array(
        [[0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]
    )
    pairs = np.array(
        [
            [0.9, 0.0, 0.7, 0.1, 0.0, 0.0, 0.0, 0.0],  # right year; a year early
            [0.0, 0.0, 0.1, 0.1, 0.2, 0.0, 0.0, 0.0],
            [0.0, 0.6, 0.0, 0.2, 0.3, 0.0, 0.0, 0.1],  # two years late; not marked; false
        ]
    )
    one = sealing.judge_events(
        Chances(pairs, pairs.sum(axis=0)), sealed == 1, np.array([2, 2, 1, 30, 0, 0, 0, 0]), years
    )
    assert (one["true_cells"], one["marked_cells"], one["false_cells"]) == (4, 4, 1)
    assert one["found"] == 2 / 4 and one["precision"] == 3 / 4
    assert one["found_last"] == {"cells": 1, "found": 0} and one["found_before_last"] == {"cells": 3, "found": 2 / 3}
    assert one["by_year"] == {
        "2018": {"cells": 2, "found": 1 / 2},
        "2019": {"cells": 1, "found": 1},
        "2020": {"cells": 1, "found": 0},
    }
    assert {name: part["found"] for name, part in one["by_size"].items()} == {
        "1": 1, "2-4": 1 / 2, "5-9": None, "10-24": None, "25+": 0,
    }  # fmt: skip
    # The pairs alone: 0.6 in 2020 and 0.7 in 2018 are in wrong years.
    assert one["false_cells_yearly"] == 2
    # In order 0.9 true, 0.8 true, 0.6 true, 0.5 false, 0.4 true.
    assert one["precision_top"] == 3 / 4
    assert one["land"] == {"50": 2 / 8, "70": 3 / 8, "80": 5 / 8, "90": 5 / 8}
    assert one["curve"][-1] == [1, 1]


def test_amounts_are_sums_of_probabilities():
    sealed = np.array([[0, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]]) == 1
    pairs = np.array([[0.5, 0.2, 0, 0.1], [0.1, 0.5, 0, 0.2]])
    found = sealing.judge_amounts({"series": Chances(pairs, pairs.sum(axis=0))}, sealed, YEARS)
    assert list(found) == ["2017-2018", "2018-2019", "2017-2019"]
    assert [one["true_cells"] for one in found.values()] == [1, 1, 2]
    ratios = [one["methods"]["series"]["ratio"] for one in found.values()]
    assert ratios == pytest.approx([0.5 + 0.2 + 0.1, 0.1 + 0.5 + 0.2, (0.8 + 0.8) / 2])
    assert found["2017-2019"]["methods"]["series"]["km2"] == pytest.approx(1.6 * 0.0004)


def test_squares_compare_sums_where_half_of_a_square_is_ground():
    true = np.zeros((4, 7), bool)
    true[0, 0] = true[0, 2] = true[1, 3] = true[3, 6] = True
    ground = np.ones(true.shape, bool)
    ground[2:, :2] = [[1, 0], [0, 0]]
    p = np.where(true, 0.5, 0.0)
    p[0, 0] = 1.0
    found = sealing.judge_squares({"series": p, "raw": np.zeros(p.shape)}, true, ground, side=2)
    # The lower left square has one cell of ground of four; those in the last column have two of four.
    assert found["squares"] == 7
    sums, cells = [1.0, 2 * 0.5, 0, 0, 0, 0, 0.5], [1, 2, 0, 0, 0, 0, 1]
    assert found["correlation"] == {"series": pytest.approx(np.corrcoef(sums, cells)[0, 1]), "raw": None}


def test_stock_counts_known_cells_only():
    found = sealing.judge_stock(np.array([1, 1, 3, 0, 1, 4]), np.array([1, 0, 1, 1, 1, 0], bool))
    assert found == {"iou": 2 / 4, "bias": (3 - 3) / 3}


def test_a_perfect_run_is_judged_perfect():
    found = sealing.judge_sealing(exact_run(), np.ones((3, 4), bool))
    for kind, cells in (("gain", 3), ("loss", 1)):
        one = found["events"][kind]["series"]
        assert (one["true_cells"], one["found"], one["precision"], one["false_cells"]) == (cells, 1, 1, 0)
        assert all(pair["methods"]["raw"]["ratio"] in (1, None) for pair in found["amounts"][kind].values())
    assert found["events"]["gain"]["series"]["by_size"]["2-4"] == {"cells": 3, "found": 1}
    assert found["stock"]["series"]["2019"] == {"iou": 1, "bias": 0, "expected_bias": 0}
    assert found["imbalance"] == found["span_imbalance"] == 0


def test_objects_keep_their_size_where_the_ground_cuts_them():
    ground = np.zeros((3, 4), bool)
    ground[0, 2] = True
    found = sealing.judge_sealing(exact_run(), ground)
    assert found["cells"] == 1 and found["events"]["gain"]["series"]["by_size"]["2-4"]["cells"] == 1


def test_false_cells_are_compared_with_those_of_raw_differences():
    run = exact_run()
    wrong = TRUTH.copy()
    wrong[2, 1, :3] = 1  # four false cells by raw differences, one by the series
    wrong[2, 2, 2] = 1
    run.maps["raw"], run.gain["raw"] = wrong, sealing.mapped_changes(wrong)[0]
    pairs = run.gain["series"].pairs.astype("float32")
    pairs[1, 1, 0] = 0.75
    run.gain["series"] = Chances(pairs, pairs.sum(axis=0) - np.float32(0.125) * (pairs[1] == 0.75))
    found = sealing.judge_sealing(run, np.ones((3, 4), bool))
    assert found["events"]["gain"]["raw"]["false_cells"] == 4 and found["events"]["gain"]["raw"]["precision"] == 3 / 7
    assert found["events"]["gain"]["series"]["false_to_raw"] == 1 / 4
    assert found["events"]["gain"]["series"]["false_to_raw_yearly"] == 1 / 4
    # The probability of gain no longer agrees with the stock.
    assert found["imbalance"] == 0.75 and found["span_imbalance"] == 0.125


def test_lines_leave_out_the_methods_that_a_run_does_not_have():
    run, ground = exact_run(), np.ones((3, 4), bool)
    raw = Sealing(run.years, run.truth, run.known, *({"raw": of["raw"]} for of in (run.maps, run.gain, run.loss)))
    whole, part = (sealing.summary_lines({"all ground": sealing.judge_sealing(one, ground)}) for one in (run, raw))
    first = [{line.split()[0] for line in lines if line.strip()} for lines in (whole, part)]
    assert {"raw", "persistence", "series", "series,"} <= first[0] and not {"persistence", "series", "series,"} & first[
        1
    ]
    assert any("found by size of the object, cells: 1: - % of 0  2-4: 100 % of 3" in line for line in whole)
    gains = [line.split() for line in whole if line.startswith("  2017-2019")]
    assert gains == [["2017-2019", "0.001", *["0.001", "1.00"] * 3], ["2017-2019", "0.000", *["0.000", "1.00"] * 3]]


def test_ground_without_change_has_no_shares():
    ground = np.zeros((3, 4), bool)
    ground[1, 0] = True
    found = sealing.judge_sealing(exact_run(), ground)
    assert (
        found["events"]["gain"]["series"]["found"] is None and found["events"]["gain"]["series"]["land"]["50"] is None
    )
    assert any("50 % in - %" in line for line in sealing.summary_lines({"all ground": found}))


# ----- from disk


@pytest.fixture
def world(tmp_path):
    """A world of twelve cells: its facts and its truth."""
    folder = tmp_path / "world"
    for year, classes in zip(YEARS, TRUTH, strict=True):
        write_tif(folder / "truth" / f"class_{year}.tif", classes, BOUNDS[0], BOUNDS[3], 20, 0)
    write_tif(folder / "truth" / "zones.tif", np.ones((3, 4), np.uint8), BOUNDS[0], BOUNDS[3], 20, 0)
    write_csv(folder / "truth" / "zones.csv", ["geo", "zones"], [["XA", "1"]])
    facts = {"bounds": BOUNDS, "years": YEARS, "settings": {"seed": 1}}
    (folder / "world.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def run(tmp_path):
    """A run in which all maps equal the truth; the series has no value in one cell without change."""
    folder = tmp_path / "run"

    def write(name, values):
        write_tif(folder / f"{name}.tif", values, BOUNDS[0], BOUNDS[3], 20, 0 if values.dtype == np.uint8 else np.nan)

    def holed(values):
        out = values.astype("float32")
        out[2, 3] = np.nan
        return out

    p, gain, loss = exact(TRUTH)
    for k, year in enumerate(YEARS):
        write(f"lc_{year}_class", TRUTH[k])
        write(f"change_{year}_consistent", TRUTH[k])
        write(f"lc_{year}_series", TRUTH[k])
        write(f"lc_{year}_p_sealed", holed(p[k]))
    for kind, of in (("gain", gain), ("loss", loss)):
        write(f"lc_2017_2018_p_{kind}", holed(of.pairs[0]))
        write(f"lc_2018_2019_p_{kind}", holed(of.pairs[1]))
        write(f"lc_2017_2019_p_{kind}", holed(of.span))
    return folder


def test_maps_of_a_run_are_read(world, run, tmp_path, capsys):
    words = [str(world), "--run", str(run), "--json", str(tmp_path / "j.json"), "--picture", str(tmp_path / "j.png")]
    assert judge.main(words) == 0
    found = json.loads((tmp_path / "j.json").read_text())["sealing"]
    assert list(found) == ["all ground"] and found["all ground"]["methods"] == list(sealing.METHODS)
    assert found["all ground"]["cells"] == 11 and found["all ground"]["events"]["gain"]["series"]["found"] == 1
    assert re.search(
        r"gain of 3 cells, % +found.*\n +raw +100 .*\n +persistence +100 .*\n +series +100 ", capsys.readouterr().out
    )
    assert (tmp_path / "j.png").stat().st_size > 10000


def test_a_run_without_a_series_is_judged_by_its_class_maps(world, run, tmp_path):
    for path in [*run.glob("*_p_*.tif"), *run.glob("*_series.tif"), run / "change_2018_consistent.tif"]:
        path.unlink()
    found = judge.judge_run(world, run)["sealing"]["all ground"]
    assert found["methods"] == ["raw"] and found["cells"] == 12
    judge.draw(judge.judge_run(world, run), tmp_path / "j.png", judge.read_sealing(world, run))


@pytest.mark.parametrize("name", ["2017_2018_p_gain", "2017_2019_p_loss", "2018_p_sealed"])
def test_a_missing_map_of_the_series_is_refused(world, run, name):
    (run / f"lc_{name}.tif").unlink()
    with pytest.raises(ValueError, match=rf"no map \*{name}\.tif, expected one for each year or pair of years"):
        judge.judge_run(world, run)


def test_mask_and_test_ground_are_judged_apart(world, run, tmp_path):
    mask = np.zeros((3, 4), np.uint8)
    mask[0] = 1
    write_tif(tmp_path / "mask.tif", mask, BOUNDS[0], BOUNDS[3], 20, None)
    # Blocks of two cells; the place begins at row 0 and column 2 of the absolute grid, so block (1, 0) lies outside.
    split = {"block": 2, "blocks": {"test": [[0, 1], [1, 2], [1, 0]], "training": [[0, 2]]}}
    (run / "model").mkdir()
    (run / "model" / "card.json").write_text(json.dumps({"split": split}))
    found = judge.judge_run(world, run, mask=tmp_path / "mask.tif")["sealing"]
    assert {title: one["cells"] for title, one in found.items()} == {"all ground": 11, "the mask": 4, "test ground": 5}
    ground = judge.read_grounds(run, BOUNDS)["test ground"]
    assert ground.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]


def test_a_mask_without_a_cell_and_two_models_are_refused(world, run, tmp_path):
    write_tif(tmp_path / "mask.tif", np.zeros((3, 4), np.uint8), BOUNDS[0], BOUNDS[3], 20, None)
    with pytest.raises(ValueError, match=r"mask.tif' has no cell other than 0 within the world"):
        judge.judge_run(world, run, mask=tmp_path / "mask.tif")
    for name in ("one", "two"):
        (run / name).mkdir()
        (run / name / "card.json").write_text("{}")
    with pytest.raises(ValueError, match=r"two models, .*one/card.json' and .*two/card.json', expected one"):
        judge.judge_run(world, run)
