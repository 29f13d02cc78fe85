"""Views as pure functions: titles with unit and period, flags written out, hostile names as text, empty tables."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from dashboard import texts
from dashboard.data import read_table
from dashboard.state import parse_query
from dashboard.table import Cell, Measure
from dashboard.tests.make_table import HOSTILE, make_table
from dashboard.views import ranking as ranking_module
from dashboard.views.about import method_and_sources
from dashboard.views.chart import chart, figures_table
from dashboard.views.downloads import downloads
from dashboard.views.drawing import axis_ticks
from dashboard.views.figures import current
from dashboard.views.map import class_breaks, cube_json, legend_texts, map_summary
from dashboard.views.ranking import ranking
from dashboard.views.region import region_summary
from dashboard.views.report import region_report
from dashboard.views.transitions import transitions

VIEWS = (
    map_summary, ranking, region_summary, chart, figures_table, transitions, method_and_sources, downloads, region_report,
)  # fmt: skip


class Elements(HTMLParser):
    """Names of the tags and attributes that a browser would make of a text."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def html(made):
    return made.render()["html"]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("i=new&c=imp&u=pc", "New impervious land, % of the stock at the start"),
        ("i=stk&c=grn&u=pc", "Green land, % of the area"),
        ("i=net&c=imp&u=km2", "Net change of impervious land, km²"),
        ("i=lost&c=grn&u=km2", "Lost green land, km²"),
    ],
)
def test_titles_name_measure_unit_and_period(table, query, title):
    state = parse_query(f"{query}&y=2020&g=XA", table)
    when = "2020" if "stk" in query else "2019 to 2020"
    assert f"{title}, {when}" in html(ranking(table, state))
    assert f"{title}, {when}" in html(map_summary(table, state))
    assert f"{title}, 2017 to 2023" in html(chart(table, state))
    cube = cube_json(table, state)
    assert f"{cube['title']}, {cube['unitPhrase']}" == title


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_name_is_text_in_every_view(table, view):
    hostile = next(geo for geo, region in table.regions.items() if region.name == HOSTILE)
    for unit in ("km2", "pc"):
        made = html(view(table, parse_query(f"g={hostile},XA111&u={unit}", table)))
        assert "onerror" in made or view in (method_and_sources, downloads, map_summary)
        assert not Elements(made).names & {"img", "script"}
        assert not Elements(made).attributes & {"onerror", "src"}


@pytest.mark.parametrize("view", VIEWS[:-1])
@pytest.mark.parametrize(
    "query", ["g=", "g=&l=0", "g=XA,XA1&l=1", "i=stk&y=2017", "i=new&y=2017", "m=raw&u=km2&i=net&o=asc&r=0"]
)
def test_every_view_renders_every_state(table, view, query):
    assert html(view(table, parse_query(query, table))) or query.startswith("g=")


def test_table_without_figures_renders(own_folder):
    import pyarrow.parquet as pq

    for name in ("impervious_nuts", "impervious_nuts_transitions"):
        path = own_folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    table = read_table(own_folder)
    state = parse_query("", table)
    for view in VIEWS[:-1]:
        html(view(table, state))
    assert "no figures for this choice" in html(map_summary(table, state))
    assert cube_json(table, state)["periods"] == []


def test_one_year_has_stocks_and_no_flows(tmp_path):
    table = read_table(make_table(tmp_path / "one", years=(2018,)))
    state = parse_query("", table)
    assert state.measure.lc_flow == "STK"
    assert "Impervious land, % of the area, 2018" in html(chart(table, state))


def test_ranking_shows_25_and_the_chosen_ones(table, monkeypatch):
    monkeypatch.setattr(ranking_module, "TOP", 5)
    state = parse_query("o=desc&y=2020", table)
    cube, period = current(table, state)
    values = {geo: cube.cell(geo, period).value for geo in cube.geos}
    order = sorted((geo for geo in values if values[geo] is not None), key=lambda geo: -values[geo])
    made = html(ranking(table, replace(state, geos=(order[9],))))
    places = [made.index(f'data-geo="{geo}"') for geo in (*order[:5], order[9])]
    assert places == sorted(places)
    assert made.count("data-geo=") == 6 and "Your other chosen regions" in made
    assert f"5 of {len(order)} ranked regions; {24 - len(order)} without a figure" in made
    lowest = html(ranking(table, replace(state, order="asc")))
    assert f'data-geo="{order[-1]}"' in lowest and f'data-geo="{order[0]}"' not in lowest


def test_band_only_with_intervals_and_a_note_without(table, plain_table):
    with_band = html(chart(table, parse_query("g=XA", table)))
    assert 'class="ribbon' in with_band and "Band: 95 % interval." in with_band
    for made_table, query in ((table, "g=XA111"), (plain_table, "g=XA")):
        without = html(chart(made_table, parse_query(query, made_table)))
        assert 'class="ribbon' not in without and "No 95 % interval" in without


def test_raw_counts_are_drawn_beside_and_can_be_hidden(plain_table):
    both = html(chart(plain_table, parse_query("g=XA", plain_table)))
    assert "Dashed line: raw map counts" in both and "beside" in both
    alone = html(chart(plain_table, parse_query("g=XA&r=0", plain_table)))
    assert "Dashed" not in alone and "beside" not in alone
    assert "Dashed line: consistent map" in html(chart(plain_table, parse_query("g=XA&m=raw", plain_table)))


def test_line_breaks_where_too_little_was_seen(table):
    cube = table.cube(Measure("GAIN", "IMP", "artificial_natural", "mapped_consistent", "PC"), 3)
    gap = next(geo for geo in cube.geos if 0 < np.isnan(cube.value[cube.row_of[geo]]).sum() < 6)
    made = html(chart(table, parse_query(f"g={gap}&m=con&r=0", table)))
    assert "Gaps in a line: no figure." in made
    # Of the six flows the second to fourth are missing: the last two are joined by a line, the first one is a single marker.
    assert made.count('class="line s0"') == 1 and made.count('class="mark s0') == 3


def test_flags_are_written_out(table):
    made = html(ranking(table, parse_query("m=con&l=2", table)))
    assert "provisional, low reliability" in made
    assert texts.flag_words("eu", table.schema) == "estimated, low reliability"


@pytest.mark.parametrize(
    ("cell", "kind", "reason"),
    [
        (Cell(1.0, None, None, 0.9, ""), "good", ""),
        (Cell(1.0, None, None, 0.4, "u"), "low", ""),
        (Cell(None, None, None, 0.4, "u"), "missing", "too little of the region was seen"),
        (Cell(None, None, None, 0.9, "m"), "missing", "not defined, the stock at the start is 0"),
        (Cell(None, None, None, None, ""), "missing", "not in the table"),
        (Cell(None, None, None, 0.9, ""), "missing", "no figure"),
    ],
)
def test_figures_are_missing_low_or_good(cell, kind, reason):
    assert texts.reliability(cell, 0.5) == kind
    assert reason in texts.missing_reason(cell, 0.5)


def test_breaks_are_the_same_for_all_years_and_cover_all_values():
    values = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, np.nan], [8.0, np.nan, 9.0, 10.0]])
    breaks = class_breaks(values, 4, two_sided=False)
    assert breaks == sorted(set(breaks)) and len(breaks) == 3 and breaks[0] > 1 and breaks[-1] <= 10
    assert len(legend_texts(breaks, signed=False)) == 4
    net = class_breaks(values - 3, 7, two_sided=True)
    assert net == [-b for b in reversed(net)]
    assert len(class_breaks(values[0], 6, two_sided=False)) == 1  # four values bear two classes
    assert class_breaks(np.full((2, 2), np.nan), 6, two_sided=False) == []
    assert class_breaks(np.zeros((2, 2)), 6, two_sided=False) == []


def test_net_has_two_sided_colours_and_per_cents_are_never_circles(table):
    assert cube_json(table, parse_query("i=net&u=pc", table))["palette"] == "net"
    assert cube_json(table, parse_query("i=new&u=pc", table))["kind"] == "classes"
    assert cube_json(table, parse_query("i=new&u=km2", table))["kind"] == "circles"


def test_axis_spans_the_values():
    for low, high in ((0.0, 0.0), (0.3, 9.1), (-5.0, 2.0), (99.0, 99.5), (1e-5, 3e-5)):
        ticks = axis_ticks(low, high)
        assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 8


def test_method_box_names_source_status_definition_scenes_and_model(table):
    made = html(method_and_sources(table, parse_query("d=a", table)))
    for said in (
        "Experimental", "Made-up outlines of Avaria, 1:1,000,000", "Impervious is artificial surfaces", "2024-03-01",
        "2017: 7 · 2018: 8", "sha256 0123456789ab…, labels s2glc of 2017", "EPSG:3035 · 20 m cells", "GRASS 8.4.1", "CC-BY-4.0",
    ):  # fmt: skip
        assert said in made


@pytest.mark.parametrize(
    "package",
    [{}, {"provenance": [], "regions": "x", "grid": 3, "software": None, "method": {"a": 1}, "licenses": "x"}],
)
def test_method_box_accepts_a_package_of_another_form(table, package):
    assert "not named in the data package" in html(
        method_and_sources(replace(table, package=package), parse_query("", table))
    )
