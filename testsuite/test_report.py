"""The demo's report: figures on paper, and methods that come from the table schema."""

import numpy as np
import pytest

from testsuite import report_figures as figures
from testsuite.report_pictures import METHOD_COLOURS, TRUTH_COLOUR, _source_style, draw_bars

ROW = {
    "landcover": "IMP", "definition": "artificial_natural", "unit": "KM2", "geo": "XA1", "time_from": 2017, "TIME_PERIOD": 2019,
    "N_PIX": 5000,
}  # fmt: skip


def rows(method, stock, gain, net):
    """Rows of one region: its stock of 2019, and its gain and net change from 2017 to 2019, km2."""
    found = zip(("STK", "GAIN", "NET"), (stock, gain, net), strict=True)
    return [{**ROW, "method": method, "lc_flow": kind, "OBS_VALUE": value} for kind, value in found]


def test_figures_refer_to_the_area_that_the_schema_says():
    table = rows("mapped_raw", 0.5, 0.1, 0.05) + rows("mapped_consistent", 0.5, 0.1, None)
    area_km2 = {"XA1": 4.0}
    # Raw: the cells seen, 5000 cells = 2 km2. Consistent: the whole region, 4 km2.
    raw = figures.mapped_by_region(table, "mapped_raw", (2017, 2019), area_km2)["XA1"]
    assert raw == pytest.approx({"stock": 100 * 0.5 / 2, "gain": 100 * 0.1 / 2, "net": 100 * 0.05 / 2})
    consistent = figures.mapped_by_region(table, "mapped_consistent", (2017, 2019), area_km2)["XA1"]
    assert consistent == {"stock": 100 * 0.5 / 4, "gain": 100 * 0.1 / 4, "net": None}


def test_a_method_that_is_new_in_the_schema_is_shown(tmp_path, monkeypatch):
    monkeypatch.setitem(figures.METHODS, "surveyed", {**figures.METHODS["mapped_raw"], "rank": 0, "title": "Surveyed"})
    table = [row for method in ("surveyed", "mapped_raw", "mapped_consistent") for row in rows(method, 1, 1, 1)]
    methods = figures.methods_in(table)
    assert methods == ["mapped_raw", "mapped_consistent", "surveyed"]
    styles = [_source_style(source) for source in (*figures.METHODS, "truth")]
    assert len({colour for colour, _ in styles}) == len(styles) == len(figures.METHODS) + 1 <= len(METHOD_COLOURS) + 1
    assert styles[-1] == (TRUTH_COLOUR, "Truth")
    drawn = []
    monkeypatch.setattr("testsuite.report_pictures._save", lambda figure, out: drawn.append(figure))
    draw_bars([("Stock", {method: {"XA1": 1.0} for method in methods})], {"XA1": "Elbaue"}, tmp_path / "bars.png")
    (axis,) = drawn[0].axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "Raw map counts",
        "Consistent map",
        "Surveyed",
    ]
    assert [bar.get_height() for bar in axis.patches] == [1.0, 1.0, 1.0]


def test_newly_impervious_cells_are_known_in_both_years():
    first, last = (np.ma.masked_equal(np.array([cells]), 0) for cells in ([3, 1, 0, 3, 4], [1, 1, 1, 0, 2]))
    found = figures.newly_impervious(first, last)
    assert found.filled(9).tolist() == [[1, 0, 9, 9, 1]]
