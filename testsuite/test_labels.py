"""Labels by majority, ties, shares, legends."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.errors import LegendError
from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import NO_SHARE, majority, resolve_factor, tie_hash
from imperviouslib.core.legend import CLCPLUS, CORINE, LEGENDS, S2GLC, parse_legend

PLACE = Grid(4_450_800, 3_282_000, 4_450_800 + 40 * 20, 3_282_000 + 30 * 20)


def _pixels(factor, seed=1, classes=5):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, (PLACE.height * factor, PLACE.width * factor))


@pytest.mark.parametrize("ties", ["balanced", "lowest", "highest"])
@pytest.mark.parametrize("factor", [1, 2, 4, 5])
def test_majority_equals_counting_cell_by_cell(factor, ties):
    pixels = _pixels(factor)
    found = majority(pixels, PLACE, factor, ties)
    tied = 0
    for row, col in np.ndindex(PLACE.shape):
        inside = pixels[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor].ravel()
        counts = {code: int((inside == code).sum()) for code in (1, 2, 3, 4)}
        known, most = sum(counts.values()), max(counts.values())
        if not known or 2 * known < factor**2:
            assert (found.label[row, col], found.purity[row, col]) == (0, NO_SHARE)
            assert (found.shares[:, row, col] == NO_SHARE).all()
            continue
        leaders = [code for code, n in counts.items() if n == most]
        tied += len(leaders) > 1
        cell = Grid(
            PLACE.west + 20 * col, PLACE.north - 20 * row - 20, PLACE.west + 20 * col + 20, PLACE.north - 20 * row
        )
        place = {"lowest": 0, "highest": -1, "balanced": int(tie_hash(cell).item() % len(leaders))}[ties]
        assert found.label[row, col] == leaders[place]
        assert found.purity[row, col] == round(100 * most / known)
        assert found.shares[:, row, col].tolist() == [round(100 * n / known) for n in counts.values()]
    assert found.tied == tied


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 29), st.integers(0, 39), st.integers(1, 30), st.integers(1, 40))
def test_labels_do_not_depend_on_the_cut(row, col, height, width):
    height, width = min(height, 30 - row), min(width, 40 - col)
    part = Grid(
        PLACE.west + 20 * col,
        PLACE.north - 20 * (row + height),
        PLACE.west + 20 * (col + width),
        PLACE.north - 20 * row,
    )
    pixels = _pixels(2)
    whole = majority(pixels, PLACE, 2).label
    cut = majority(pixels[2 * row : 2 * (row + height), 2 * col : 2 * (col + width)], part, 2).label
    assert np.array_equal(cut, whole[part.slices_in(PLACE)])


def test_balanced_ties_favour_no_class():
    # All cells tied between two classes: each gets a half, whichever pair it is, to a few standard errors.
    place = Grid(0, 0, 200 * 20, 200 * 20)
    for low, high in itertools.combinations((1, 2, 3, 4), 2):
        pixels = np.tile([[low, high], [high, low]], (200, 200))
        share = (majority(pixels, place, 2).label == low).mean()
        assert abs(share - 0.5) < 4 * 0.5 / 200
        assert (majority(pixels, place, 2, "lowest").label == low).all()
        assert (majority(pixels, place, 2, "highest").label == high).all()


def test_ties_of_neighbours_are_independent():
    odd = (tie_hash(Grid(0, 0, 400 * 20, 400 * 20)) % np.uint64(2)).astype(float) - 0.5
    for neighbours in ((odd[1:] * odd[:-1]), (odd[:, 1:] * odd[:, :-1]), (odd[1:, 1:] * odd[:-1, :-1])):
        assert abs(neighbours.mean() * 4) < 4 / 400


def test_shares_of_a_tied_cell():
    found = majority(np.array([[1, 1], [3, 3]]), Grid(0, 0, 20, 20), 2)
    assert found.shares[:, 0, 0].tolist() == [50, 0, 50, 0] and found.purity.item() == 50 and found.tied == 1


def test_reclassification_comes_before_the_majority():
    # 75 and 82 are both green: together they outweigh the two pixels of 62, though each alone ties or loses.
    codes = np.array([[62, 62, 75], [82, 82, 75], [75, 62, 82]])
    classes = np.vectorize(S2GLC.codes.get)(codes)
    assert majority(classes, Grid(0, 0, 20, 20), 3).label.item() == 3


@pytest.mark.parametrize(("pixel_m", "factor"), [(10, 2), (20, 1), (100, 1), (0.5, 20), (7, 2), (2.5, 5)])
def test_pixels_read_per_cell_divide_it_into_whole_metres(pixel_m, factor):
    assert resolve_factor(20, pixel_m) == factor


def test_cells_turned_to_no_data():
    found = majority(np.array([[1, 3]]), Grid(0, 0, 40, 20), 1)
    left = found.without(np.array([[True, False]]))
    assert (
        left.label.tolist() == [[0, 3]]
        and left.purity.tolist() == [[255, 100]]
        and left.shares[:, 0, 0].tolist() == [255] * 4
    )


@pytest.mark.parametrize("name", LEGENDS)
def test_rules_of_a_legend_read_back_as_the_same_legend(name):
    legend = LEGENDS[name]
    assert parse_legend(legend.rules(), name).codes == legend.codes
    assert set(legend.codes.values()) <= {0, 1, 2, 3, 4} and {1, 3, 4} <= set(legend.codes.values())


def test_corine_counts_its_classes_in_order():
    named = sorted(code for code in CORINE.codes if 111 <= code <= 523 and code not in (128, 255))
    assert len(named) == 44
    assert [CORINE.codes[code] for code in named] == [CORINE.codes[number] for number in range(1, 45)]
    assert CLCPLUS.codes[1] == 1 and S2GLC.codes[121] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 1\n2 3\n1 3\n", "line 3: found code 1 a second time"),
        ("1 2 = 1\n2 = 3\n", "line 2: found code 2 a second time"),
        ("1\n", "line 1: found '1'"),
        ("x 1\n", "line 1: found 'x 1'"),
        ("1 forest\n", "line 1: found '1 forest'"),
        ("1 5\n", "class 5"),
        ("# nothing\n\n", "no line with a code"),
        ("1 = \n", "line 1"),
        ("1 to 5 = 3\n", "line 1"),
        ("* = 3\n", "line 1"),
    ],
)
def test_bad_legends_name_the_line(text, said):
    with pytest.raises(LegendError, match=said):
        parse_legend(text, "mine")


def test_titles_and_comments():
    legend = parse_legend("# mine\n10 artificial  sealed land # roofs\n20 nodata\n", "mine")
    assert legend.codes == {10: 1, 20: 0} and legend.titles == {10: "sealed land"}
