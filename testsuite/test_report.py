"""The demo's report: figures on paper, and methods that come from the table schema."""

import numpy as np
import pytest

from testsuite import report
from testsuite import report_figures as figures
from testsuite.report_pictures import METHOD_COLOURS, TRUTH_COLOUR, _map_panels, _source_style, draw_bars
from testsuite.world.files import write_tif
from testsuite.world.sealing import Chances, Sealing, mapped_changes

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


def test_series_maps_are_named_for_neighbouring_years_and_the_span():
    assert figures.series_maps((2017, 2018)) == [
        *("lc_2017_series", "lc_2017_p_sealed", "lc_2018_series", "lc_2018_p_sealed"),
        *("lc_2017_2018_p_gain", "lc_2017_2018_p_loss"),
    ]
    names = figures.series_maps(range(2017, 2024))
    assert len(names) == len(set(names)) == 7 * 2 + (6 + 1) * 2 and "lc_2017_2023_p_loss" in names


def test_largest_site_is_a_square_within_the_place():
    changed = np.zeros((100, 200), bool)
    changed[50, 50] = True
    changed[2:5, 190:199] = changed[5, 199] = True
    assert figures.largest_site(changed, least=20) == (slice(0, 40), slice(160, 200))  # 10 cells and twice 15
    assert figures.largest_site(changed[:, :100], margin=2, least=20) == (slice(40, 60), slice(40, 60))
    assert figures.largest_site(changed, margin=60) == (slice(0, 100), slice(70, 200))
    assert figures.largest_site(np.zeros((3, 3), bool)) is None


@pytest.mark.parametrize(("count", "rows"), [(2, 1), (4, 1), (7, 2), (9, 3)])
def test_maps_of_many_years_stand_in_rows_of_four(count, rows):
    figure, axes = _map_panels(count, (0, 10, 0, 10))
    assert len(axes) == count and [axis.get_visible() for axis in figure.axes].count(True) == count
    assert axes[-1].get_subplotspec().rowspan.stop == rows


@pytest.mark.parametrize(("methods", "title"), [(2, "After the persistence rule"), (3, "Series model")])
def test_year_of_sealing_is_drawn_beside_the_truth(tmp_path, monkeypatch, methods, title):
    years = (2017, 2018, 2019)
    truth = np.full((3, 40, 40), 3, np.uint8)
    truth[1:, 2:4, 5:8] = truth[2, 30, 30] = 1
    (tmp_path / "maps").mkdir()
    for year in years:
        for band in ("B12", "B11", "B04"):
            image = np.arange(1600, dtype=np.uint16).reshape(40, 40)
            write_tif(tmp_path / "maps" / f"s2_{year}_{band}_p50.tif", image, 0, 800, 20, 0)
    gain, loss = mapped_changes(truth)
    late = Chances(gain.pairs[::-1] * 0.75, gain.span * 0.75)
    of_gain = dict(list({"raw": gain, "persistence": gain, "series": late}.items())[:methods])
    run = Sealing(
        years, truth == 1, np.ones((40, 40), bool), dict.fromkeys(of_gain, truth), of_gain, dict.fromkeys(of_gain, loss)
    )  # fmt: skip
    drawn = {}
    monkeypatch.setattr("testsuite.report_pictures._save", lambda figure, out: drawn.update({out.name: figure}))
    shown = report.draw_sealing(tmp_path, run, (0, 0.8, 0, 0.8), tmp_path)
    assert [picture.file for picture in shown] == list(drawn) == ["sealing.png", "site.png"]
    mapped, true = drawn["sealing.png"].axes
    assert [axis.get_title() for axis in (mapped, true)] == [f"{title}: 0.00 km²", "Truth: 0.00 km²"]
    first, other = (1, 2) if methods == 2 else (2, 1)  # the series is wrong in both years
    assert mapped.images[0].get_array()[[2, 30], [5, 30]].tolist() == [first, other]
    assert true.images[0].get_array()[[2, 30], [5, 30]].tolist() == [1, 2]
    titles = [axis.get_title() for axis in drawn["site.png"].axes]
    assert titles == ["Composite 2017", "Composite 2019", title, "Truth"]
