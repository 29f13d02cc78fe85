"""What the page is drawn from, and the parts that the server writes: the figures of the table, words, hostile names as text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from starlette.requests import Request

from dashboard import texts
from dashboard.data import read_table
from dashboard.page import page
from dashboard.state import parse_query
from dashboard.table import Measure, Period
from dashboard.tests.make_table import HOSTILE, YEARS, make_table, spans
from dashboard.views.about import DESCRIPTION, method_and_sources
from dashboard.views.classes import class_limits
from dashboard.views.downloads import downloads
from dashboard.views.elements import document
from dashboard.views.facts import facts_json
from dashboard.views.plain import plain_table
from dashboard.views.report import region_report
from dashboard.views.slices import overall, region_json, slice_json
from dashboard.words import speaking

TOP = Path(__file__).parents[2]
VIEWS = (method_and_sources, downloads, plain_table, region_report)


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


def page_of(table, query=b""):
    scope = {"type": "http", "query_string": query, "path": "/", "headers": [], "server": ("127.0.0.1", 80)}
    return html(page(table, Request(scope)))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("i=new&c=imp&u=pc", "New impervious land, % of the stock at the start"),
        ("i=stk&c=grn&u=pc", "Green land, % of the area"),
        ("i=net&c=imp&u=km2", "Net change of impervious land, km²"),
        ("i=lost&c=grn&u=ha", "Lost green land, ha"),
        ("i=new&u=pa", "New impervious land, % of the area"),
        ("i=stk&u=hab", "Impervious land, m² per inhabitant"),
    ],
)
def test_titles_name_measure_and_unit(table, query, title):
    state = parse_query(f"{query}&y=2020&g=XA", table)
    answer = slice_json(table, state)
    assert f"{answer['title']}, {answer['unitPhrase']}" == title
    assert f"{title}, {'2020' if 'stk' in query else '2019 to 2020'}" in html(plain_table(table, state))


@pytest.mark.parametrize(
    "query",
    ["l=2&i=new&u=km2", "l=3&i=net&u=pc&m=est", "l=3&i=stk&u=pc&y=2019", "l=1&i=lost&u=ha&f=2017", "l=0&i=new&m=raw"],
)
def test_slice_holds_the_figures_of_the_table(table, query):
    state = parse_query(query, table)
    answer = json.loads(json.dumps(slice_json(table, state)))
    cube = table.cube(state.measure, state.level)
    period = Period(answer["period"][1], answer["period"][0])
    for i, geo in enumerate(cube.geos):
        cell = cube.cell(geo, period)
        value = answer["value"][i]
        if cell.value is None:
            assert value is None
            continue
        scale = 10.0 ** -answer["digits"]
        assert value * scale == pytest.approx(cell.value, rel=1e-3, abs=scale)
        if cell.low is not None:
            # The limits are rounded to two digits of their distance from the value.
            assert (value - answer["low"][i]) * scale == pytest.approx(
                cell.low, abs=0.06 * (cell.value - cell.low) + 2 * scale
            )
            assert (value + answer["high"][i]) * scale == pytest.approx(
                cell.high, abs=0.06 * (cell.high - cell.value) + 2 * scale
            )
        assert answer["coverage"][i] == int(cell.coverage * 100 + 1e-9)
        assert answer["flags"][answer["flag"][i]] == cell.flags


def test_slice_says_which_periods_the_table_has_and_why_a_figure_is_missing(table):
    answer = slice_json(table, parse_query("l=3&y=2021", table))
    assert sorted(map(tuple, answer["periods"])) == spans(YEARS)
    assert answer["steps"] == [[year - 1, year] for year in YEARS[1:]]
    missing = [answer["reasons"][answer["reason"][i]] for i, value in enumerate(answer["value"]) if value is None]
    assert sorted(missing) == ["", "LOW_COVERAGE"]


def test_region_file_holds_each_flow_method_unit_and_period(table):
    answer = region_json(table, "XA11", "IMP", "artificial_natural")
    assert set(answer["figures"]) == {"STK", "GAIN", "LOSS", "NET"}
    assert set(answer["figures"]["STK"]["est"]) == {"KM2", "HA", "PC", "M2_HAB"}
    assert set(answer["figures"]["NET"]["raw"]) == {"KM2", "HA", "PC", "PA"}
    rows = answer["figures"]["NET"]["est"]["KM2"]
    cube = table.cube(Measure("NET", "IMP", "artificial_natural", "estimated", "KM2"), 2)
    assert sorted((a, b) for a, b, *_ in rows) == spans(YEARS)
    for a, b, value, low, high, seen, flags, reason in rows:
        cell = cube.cell("XA11", Period(b, a))
        assert [value, low, high] == pytest.approx([cell.value, cell.low, cell.high], rel=1e-5)
        assert (seen, flags, reason) == (int(cell.coverage * 100 + 1e-9), cell.flags, cell.reason)
    assert {tuple(move[:2]) for move in answer["moves"]["est"]} == {
        ("GRN", "IMP"),
        ("OTH", "IMP"),
        ("IMP", "GRN"),
        ("GRN", "OTH"),
    }


def test_overall_is_the_country_or_the_sum_of_the_countries(table, large_table):
    net = Measure("NET", "IMP", "artificial_natural", "mapped_consistent", "PC")
    period = Period(2018, 2017)
    assert overall(table, net, period) == table.cube(net, 0).value[0, table.cube(net, 0).periods.index(period)]
    km2 = large_table.cube(replace(net, unit="KM2"), 0)
    stock = large_table.cube(replace(net, unit="KM2", lc_flow="STK"), 0)
    flow, start = (
        km2.value[:, km2.periods.index(period)].sum(),
        stock.value[:, stock.periods.index(Period(2017, 2017))].sum(),
    )
    assert overall(large_table, net, period) == pytest.approx(100 * flow / start)
    assert overall(large_table, replace(net, unit="HA"), period) == pytest.approx(100 * flow)


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_name_is_text_in_every_view(table, view):
    hostile = next(geo for geo, region in table.regions.items() if region.name == HOSTILE)
    made = html(view(table, parse_query(f"g={hostile},XA111&l=3", table)))
    assert "onerror" in made or view in (method_and_sources, downloads)
    assert not Elements(made).names & {"img"}
    assert not Elements(made).attributes & {"onerror"}


def test_hostile_title_of_the_package_is_text(table):
    made = page_of(replace(table, package={"title": HOSTILE + "</script><script>alert(1)</script>"}))
    assert not Elements(made).names & {"img"} and "<script>alert" not in made


@pytest.mark.parametrize("view", VIEWS[:-1])
@pytest.mark.parametrize(
    "query", ["g=", "g=&l=0", "g=XA,XA1&l=1", "i=stk&y=2017", "i=new&y=2017", "m=raw&u=km2&i=net&o=asc&r=1"]
)
def test_every_view_renders_every_state(table, view, query):
    assert html(view(table, parse_query(query, table)))


def test_table_without_figures_renders(own_folder):
    for name in ("impervious_nuts", "impervious_nuts_transitions", "impervious_indicators"):
        path = own_folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    table = read_table(own_folder)
    state = parse_query("", table)
    for view in VIEWS[:-1]:
        html(view(table, state))
    assert slice_json(table, state)["periods"] == []
    assert "The table has no figures for this choice." in page_of(table)


def test_one_year_has_stocks_and_no_flows(tmp_path):
    table = read_table(make_table(tmp_path / "one", years=(2018,)))
    state = parse_query("", table)
    assert state.measure.lc_flow == "STK"
    assert slice_json(table, state)["period"] == [2018, 2018]
    assert set(facts_json(table, state)["flows"]) == {"stk"}


def test_page_without_scripts_holds_the_figures(table):
    made = page_of(table, b"l=3&i=net&y=2020")
    start = made.index("<noscript>")
    inside = made[start : made.index("</noscript>")]
    assert (
        "Net change of impervious land, % of the stock at the start, 2019 to 2020" in inside
        and inside.count("<tr>") == 25
    )
    assert "Aldermoor" in inside


def test_plain_table_gives_the_reason_of_a_missing_figure(table):
    assert "Less than 50 % of the region was seen" in html(plain_table(table, parse_query("l=3&y=2020", table)))


def test_flags_are_written_out(table):
    assert texts.flag_words("eu", table.schema) == "estimated, low reliability"
    assert facts_json(table, parse_query("", table))["flags"]["p"][0] == "provisional"


def test_class_limits_are_round_and_the_same_for_all_years():
    values = np.random.default_rng(1).gamma(2, 3, (200, 6))
    limits, colours = class_limits(values, "imp")
    assert limits == sorted(set(limits)) and len(colours) == len(limits) + 1 and colours[0] == 0 and colours[-1] == 5
    assert all(float(f"{limit:.2g}") == limit for limit in limits)
    # No class is empty or holds half of all values.
    counts = np.bincount(np.digitize(values.ravel(), limits), minlength=len(colours))
    assert counts.min() > 0 and counts.max() < values.size / 2


@pytest.mark.parametrize("sign", [-1, 1, 0])
def test_net_has_0_as_a_limit_and_the_same_limits_on_both_sides(sign):
    values = np.random.default_rng(2).normal(3 * sign, 1, (100, 3))
    limits, colours = class_limits(values, "net")
    assert 0.0 in limits and colours == sorted(colours)
    at = limits.index(0.0)
    assert colours[at] == 3 and colours[at + 1] == 4
    assert {-limit for limit in limits if limit < 0} <= set(limits) or sign == -1
    assert sign == 0 or len(limits) <= 4


def test_few_regions_have_even_classes():
    """Quantiles would paint nine countries that all grew from near-white to dark, whatever their figures."""
    values = np.array([[4.0], [4.1], [4.2], [4.3], [4.4], [4.5], [4.6], [4.7], [4.8]])
    limits, colours = class_limits(values, "net")
    assert limits == [0.0, 2.0, 4.0] and {colours[int(np.digitize(v, limits))] for v in values.ravel()} == {6}
    assert class_limits(values, "imp")[0] == [1.0, 2.0, 3.0, 4.0]


def test_classes_of_nothing_and_of_one_value():
    assert class_limits(np.full((2, 2), np.nan), "imp") == ([], [3])
    assert class_limits(np.zeros((2, 2)), "imp") == ([], [3])
    assert class_limits(np.zeros((2, 2)), "net")[0] == [0.0]


def test_palettes_keep_green_and_sealing_apart(table):
    found = {
        q: slice_json(table, parse_query(q, table))["palette"] for q in ("i=net", "i=net&c=grn", "i=new", "i=new&c=grn")
    }
    assert list(found.values()) == ["net", "netgrn", "imp", "grn"]
    assert slice_json(table, parse_query("i=new&u=pc", table))["kind"] == "classes"
    assert slice_json(table, parse_query("i=new&u=ha", table))["kind"] == "circles"


def test_method_in_short_is_three_sentences_and_the_whole_is_below(table):
    made = html(method_and_sources(table, parse_query("m=con", table)))
    short = made[made.index('class="short"') : made.index("<details")]
    assert (
        "Sentinel-2" in short
        and "consistent map: counted after the persistence rule" in short
        and "No 95 % interval" in short
    )


def test_method_box_names_source_status_definition_scenes_and_model(table):
    made = html(method_and_sources(table, parse_query("d=a", table)))
    for said in (
        "Experimental", "Made-up outlines of Avaria, 1:1,000,000", "Impervious is artificial surfaces", "2024-03-01",
        "2017: 7 · 2018: 8", "sha256 0123456789ab…, labels s2glc of 2017", "EPSG:3035 · 20 m cells", "GRASS 8.4.1", "CC-BY-4.0",
        "The region has no reference sample of its own", "The table names no revised figures.",
    ):  # fmt: skip
        assert said in made


def test_revisions_are_listed(table):
    from dashboard.tests.make_table import arrow

    row = {
        "freq": "A", "lc_flow": "GAIN", "landcover": "IMP", "definition": "artificial", "method": "estimated", "unit": "KM2", "geo": "XA",
        "nuts_version": "2024", "time_from": 2017, "TIME_PERIOD": 2018, "vintage_from": "2023-03-01", "vintage": "2024-03-01",
        "revision": "CHANGED", "VALUE_FROM": 12.5, "OBS_VALUE": 13.25, "DIFFERENCE": 0.75, "MISSING_FROM": "", "MISSING_REASON": "",
    }  # fmt: skip
    made = html(
        method_and_sources(replace(table, revisions=arrow("impervious_revisions", [row])), parse_query("", table))
    )
    for said in ("1 of 1 revised figures", "12.500", "13.250", "2017 to 2018", "2023-03-01", "Impervious: New"):
        assert said in made


@pytest.mark.parametrize(
    "package",
    [{}, {"provenance": [], "regions": "x", "grid": 3, "software": None, "method": {"a": 1}, "licenses": "x"}],
)
def test_method_box_accepts_a_package_of_another_form(table, package):
    assert "not named in the data package" in html(
        method_and_sources(replace(table, package=package), parse_query("", table))
    )


def test_contact_licence_and_schedule_are_named_or_said_to_be_missing(table):
    made = html(method_and_sources(replace(table, package={}), parse_query("", table)))
    for name in ("Publication schedule", "Licence", "Contact"):
        assert re.search(rf"<dt>{name}</dt>\s*<dd>not named in the data package</dd>", made)
    package = {
        "schedule": "Each year in June; the next in June 2027",
        "licenses": [{"name": "CC-BY-4.0", "title": "Creative Commons Attribution 4.0"}],
        "contact": [
            {"title": "Statistics Avaria", "email": "land@example.org", "path": "https://example.org/land"},
            "Desk 4",
        ],
    }
    made = html(method_and_sources(replace(table, package=package), parse_query("", table)))
    for said in (
        "the next in June 2027",
        "Creative Commons Attribution 4.0",
        'href="mailto:land@example.org"',
        "Desk 4",
    ):
        assert said in made
    assert '<a href="https://example.org/land">https://example.org/land</a>' in made


@pytest.mark.parametrize(
    "contact", [{"path": "javascript:alert(1)", "email": 'x"onerror=1@a'}, [None, 3], {"title": HOSTILE}, True]
)
def test_contact_of_another_form_is_text(table, contact):
    made = html(method_and_sources(replace(table, package={"contact": contact}), parse_query("", table)))
    assert "javascript:" not in re.findall('href="([^"]*)"', made) and not Elements(made).names & {"img"}
    assert not [one for one in re.findall('href="([^"]*)"', made) if one.startswith(("javascript", "mailto"))]


@pytest.mark.parametrize(
    ("given", "english", "german"),
    [
        ("Impervious land per region, 2017-2023", "Impervious land by region, 2017–2023", "Versiegelte Fläche nach Regionen, 2017–2023"),
        ("", "Impervious land by region", "Versiegelte Fläche nach Regionen"),
        ("Versiegelung in Berlin", "Versiegelung in Berlin", "Versiegelung in Berlin"),
    ],
)  # fmt: skip
def test_the_title_of_the_tool_is_said_in_the_language_of_the_reader(table, given, english, german):
    named = replace(table, package={**table.package, "title": given})
    assert texts.table_title(named) == english
    with speaking("de"):
        assert texts.table_title(named) == german


def test_the_name_of_the_site_stands_in_the_title_of_a_page_once():
    assert "<title>Impervious land by region, 2017</title>" in str(document("Impervious land by region, 2017", []))
    assert "<title>Help · Impervious land by region</title>" in str(document("Help", []))


def test_the_description_of_the_tool_is_the_one_that_the_catalogues_know():
    source = (TOP / "imperviouslib" / "stage" / "change" / "report.py").read_text(encoding="utf-8")
    assert json.dumps(DESCRIPTION) in source
