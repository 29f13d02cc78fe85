"""The query: values of closed lists, and defaults for everything else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.state import MAX_REGIONS, format_query, parse_query

HOSTILE = [
    "l=../../etc/passwd", "l=99&y=1e9", "g=<script>alert(1)</script>", "i=%00&c=%ff", "m=';DROP TABLE x;--", "g=" + "XA111," * 50,
    "y=" + "9" * 500, "x" * 5000, "&&&===", "g=XA111&g=XA112", "%", "l[]=3", "d=__proto__", "o=javascript:alert(1)",
]  # fmt: skip


def test_default_shows_new_impervious_land_by_the_headline_method(table):
    state = parse_query("", table)
    m = state.measure
    assert (m.lc_flow, m.landcover, m.unit, m.definition, m.method) == (
        "GAIN",
        "IMP",
        "PC",
        "artificial_natural",
        "estimated",
    )
    assert (state.level, state.year, state.geos) == (3, 2023, ("XA111",))


def test_raw_is_never_the_default_but_can_be_chosen(plain_table):
    assert parse_query("", plain_table).measure.method == "mapped_consistent"
    assert parse_query("m=est", plain_table).measure.method == "mapped_consistent"
    assert parse_query("m=raw", plain_table).measure.method == "mapped_raw"


def test_query_round_trips_and_is_short(table):
    for query in (
        "l=0&c=grn&i=net&u=km2&d=a&m=raw&y=2019&g=XA111,XA112,XA2,XA,XA31&r=1&o=asc",
        "l=2&c=imp&i=net&u=ha&d=an&m=est&y=2023&f=2017&g=XA11&s=wi",
        "l=3&c=imp&i=stk&u=hab&d=an&m=est&y=2017&g=XA",
        "l=3&c=imp&i=stk&u=pc&d=an&m=est&y=2017&g=",
    ):
        assert format_query(parse_query(query, table), table) == query
        assert len(query) < 300


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_query_falls_back(table, query):
    state = parse_query(query, table)
    assert parse_query(format_query(state, table), table) == replace(state, unknown=())
    assert len(state.geos) <= MAX_REGIONS


@given(
    text=st.one_of(
        st.text(), st.binary(), st.none(), st.integers(), st.from_regex(r"[licudmygro]=[^&]*(&[licudmygro]=.*)*")
    )
)
def test_any_input_gives_a_state_of_the_table(table, text):
    state = parse_query(text, table)
    assert state.level in table.levels and state.year in table.years and set(state.geos) <= set(table.regions)
    assert state.measure.method in table.codes("method")


def test_unknown_and_repeated_regions_are_left_out(table):
    assert parse_query("g=XA111,NO,XA111,XA112", table).geos == ("XA111", "XA112")
    assert parse_query("g=", table).geos == ()


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("", ()), ("g=XA", ()), ("g=", ()), ("g=XA,NO", ("region",)), ("m=new&l=9", ("method", "level")), ("y=1999", ("year",)),
        ("x" * 601, ("address",)), ("i=take&c=sea", ("land cover", "measure")), ("embed=1", ()),
    ],
)  # fmt: skip
def test_parts_of_a_link_that_the_table_lacks_are_named(table, query, unknown):
    assert parse_query(query, table).unknown == unknown


def test_unit_that_a_measure_lacks_becomes_per_cent(table):
    assert parse_query("i=net&u=hab", table).measure.unit == "PC"
    assert parse_query("i=stk&u=pa", table).measure.unit == "PC"
