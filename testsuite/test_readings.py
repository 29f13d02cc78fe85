"""The format of readings: what is accepted, what is refused and with which words, and that writing and reading are inverse."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core.ceo import format_ceo_plots
from imperviouslib.core.errors import InputError
from imperviouslib.core.qgisform import format_qgis_form
from imperviouslib.core.readings import (
    CERTAINTIES,
    SIDE,
    Reading,
    SheetUnit,
    columns,
    empty_readings,
    format_readings,
    one_line,
    parse_readings,
    plain_text,
    safe_text,
)
from testsuite.refusal import STEPS

YEARS = (2017, 2018, 2019)
KINDS = {"P0001": "point", "P0002": "point", "W0001": "window", "W0002": "window"}
HEADER = ",".join(columns(YEARS))
POINT = Reading("P0001", None, (0, 1, 1), "sure", "Ann", 1, 12, "hall")
WHOLE = Reading("W0001", None, (None, None, None), "likely", "Ann", 1, 95)
CELL = Reading("W0001", 26, (0, 0, 1), "likely", "Ann", 1, 95)
POINT_ROW, WHOLE_ROW, CELL_ROW = (
    "P0001,,0,1,1,sure,Ann,1,12,hall",
    "W0001,,,,,likely,Ann,1,95,",
    "W0001,26,0,0,1,likely,Ann,1,95,",
)
GOOD = "\n".join([HEADER, POINT_ROW, WHOLE_ROW, CELL_ROW, ""])


def parsed(*rows, header=HEADER):
    return parse_readings("\n".join([header, *rows, ""]), KINDS, YEARS, name="a.csv")


def test_a_file_has_the_columns_and_rows_of_the_contract():
    assert format_readings([POINT, WHOLE, CELL], YEARS) == GOOD
    assert parse_readings(GOOD, KINDS, YEARS) == [POINT, WHOLE, CELL]


# What spreadsheets, QGIS and other programs make of a file


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r"), GOOD.replace(",", ";"), GOOD.replace(",", "\t"),
        "\ufeff" + GOOD.replace(",", ";").replace("\n", "\r\n"), GOOD.rstrip("\n"), "\n\n" + GOOD, GOOD + ",,,,,,,,,\n\n;;\n".replace(";", ","),
        "\n".join(line + ",," for line in GOOD.splitlines()), GOOD.replace("P0001", '"P0001"').replace("id,", '"id",'),
        GOOD.replace("0,1,1", "0.0,1.0,1.0").replace(",26,", ",26.0,"), GOOD.replace(",", ";").replace("0;1;1", "0,0;1,0;1,0"),
        GOOD.replace("sure", " Sure ").replace("Ann", "Ann "), GOOD.replace(",12,", ",12.3,"), GOOD.replace(",26,", ",026,"),
        "\n".join([HEADER, CELL_ROW, WHOLE_ROW, POINT_ROW]),
    ],
)  # fmt: skip
def test_what_has_one_meaning_is_accepted(text):
    assert sorted(parse_readings(text, KINDS, YEARS), key=str) == sorted([POINT, WHOLE, CELL], key=str)


def test_files_of_several_interpreters_may_be_appended_each_in_its_own_form():
    second = GOOD.replace("Ann,1", "Bob,2").replace(",", ";").replace("\n", "\r\n")
    found = parse_readings(GOOD + "\ufeff" + second, KINDS, YEARS)
    assert [(one.interpreter, one.reading) for one in found] == [("Ann", 1)] * 3 + [("Bob", 2)] * 3


def test_a_half_filled_file_has_only_what_is_read():
    units = [SheetUnit(name, kind, 14.0, 50.0) for name, kind in KINDS.items()]
    empty = empty_readings(units, YEARS, interpreter="Ann", reading=2)
    assert empty.splitlines()[1] == "P0001,,,,,,Ann,2,,"
    assert parse_readings(empty, KINDS, YEARS) == []
    filled = empty.replace("P0002,,,,,,", "P0002,,0,1,,guess,").replace("W0002,,,,,,", "W0002,,,,,sure,")
    found = parse_readings(filled, KINDS, YEARS)
    assert [(one.id, one.states, one.seconds) for one in found] == [
        ("P0002", (0, 1, None), None),
        ("W0002", (None,) * 3, None),
    ]


def test_a_point_that_cannot_be_told_in_any_year_is_read():
    [one] = parsed("P0001,,,,,guess,Ann,1,9,cloud")
    assert one.states == (None, None, None) and one.certainty == "guess"


# Refusals

REFUSED = [
    ("P0009,,0,1,1,sure,Ann,1,1,", "line 2, column id", "'P0009'", "a unit of the sample"),
    ("id,,0,1,1,sure,Ann,1,1,", "line 2, column id", "'id'", "a unit of the sample"),
    (f"{POINT_ROW}\n{POINT_ROW}", "line 3, unit P0001", "a second row, after line 2", "one row a reading"),
    (f"{WHOLE_ROW}\n{CELL_ROW}\n{CELL_ROW}", "line 4, unit W0001, cell 26", "after line 3", "one row a reading"),
    (f"{WHOLE_ROW}\nW0001,625,0,0,1,sure,Ann,1,1,", "line 3, column cell", "'625'", "0 to 624"),
    (f"{WHOLE_ROW}\nW0001,-1,0,0,1,sure,Ann,1,1,", "line 3, column cell", "'-1'", "0 to 624"),
    (f"{WHOLE_ROW}\nW0001,x,0,0,1,sure,Ann,1,1,", "line 3, column cell", "'x'", "0 to 624"),
    ("P0001,3,0,1,1,sure,Ann,1,1,", "line 2, column cell", "'3'", "the unit is a point"),
    ("P0001,,0,2,1,sure,Ann,1,1,", "line 2, column 2018", "'2'", "1 (sealed), 0"),
    ("P0001,,0,yes,1,sure,Ann,1,1,", "line 2, column 2018", "'yes'", "1 (sealed), 0"),
    ("P0001,,0,0.5,1,sure,Ann,1,1,", "line 2, column 2018", "'0.5'", "1 (sealed), 0"),
    ("W0001,,0,0,1,sure,Ann,1,1,", "line 2, window W0001", "years without a cell", "no years"),
    (CELL_ROW, "line 2, window W0001", "a row of cell 26, and no row", "a row of the window by Ann, reading 1"),
    (f"{WHOLE_ROW.replace('likely', '')}\n{CELL_ROW}", "line 3, window W0001", "no row with a certainty", "by Ann"),
    (f"{WHOLE_ROW.replace('Ann', 'Bob')}\n{CELL_ROW}", "line 3, window W0001", "a row of cell 26", "by Ann"),
    (f"{WHOLE_ROW}\nW0001,26,0,0,0,sure,Ann,1,1,", "line 3, cell 26 of window W0001", "0 0 0", "not the same in all"),
    (f"{WHOLE_ROW}\nW0001,26,0,,1,sure,Ann,1,1,", "line 3, cell 26 of window W0001", "0 - 1", "0 or 1 in each year"),
    ("P0001,,0,1,1,,Ann,1,1,", "line 2, column certainty", "''", "sure, likely, guess"),
    ("P0001,,0,1,1,maybe,Ann,1,1,", "line 2, column certainty", "'maybe'", "sure, likely, guess"),
    ("P0001,,0,1,1,sure,,1,1,", "line 2, column interpreter", "nothing", "a name"),
    ("P0001,,0,1,1,sure,Ann,4,1,", "line 2, column reading", "'4'", "1, 2, 3"),
    ("P0001,,0,1,1,sure,Ann,,1,", "line 2, column reading", "''", "1, 2, 3"),
    ("P0001,,0,1,1,sure,Ann,1,-4,", "line 2, column seconds", "'-4'", "a number"),
    ("P0001,,0,1,1,sure,Ann,1,1", "line 2", "9 cells", "10, one for each column"),
    ("P0001,,0,1,1,sure,Ann,1,1,a,b", "line 2", "11 cells", "10, one for each column"),
    ('P0001,,0,1,1,sure,Ann,1,1,"a', "line 2", "text that is no CSV", "in quotation marks"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "thing", "found", "expected"), REFUSED)
def test_what_is_wrong_is_refused_with_its_line(rows, thing, found, expected):
    with pytest.raises(InputError) as refused:
        parsed(rows)
    err = refused.value
    assert err.thing == f"Readings 'a.csv', {thing}"
    assert found in err.found and expected in err.expected
    assert err.then.split()[0] in STEPS and err.then.endswith(".") and "\n" not in str(err)


@pytest.mark.parametrize(
    ("header", "thing", "found"),
    [
        ("", "line 1", "an empty file"),
        ("unit,cell", "line 1, header", "'unit,cell'"),
        (HEADER.replace("note", "remark"), "line 1, header", "remark"),
        (HEADER.replace("2017,2018", "2018,2017"), "line 1, columns of years", "2018, 2017, 2019"),
        (HEADER.replace(",2019", ""), "line 1, columns of years", "2017, 2018"),
        (HEADER.replace("2019", "2019,2020"), "line 1, columns of years", "2017, 2018, 2019, 2020"),
        (HEADER.replace(",", "|"), "line 1, header", "id|cell"),
        (POINT_ROW, "line 1, header", POINT_ROW),
    ],
)
def test_another_header_is_refused(header, thing, found):
    with pytest.raises(InputError) as refused:
        parse_readings(header and f"{header}\n{POINT_ROW}\n", KINDS, YEARS, name="a.csv")
    assert refused.value.thing == f"Readings 'a.csv', {thing}" and found in refused.value.found


def test_lines_are_counted_in_appended_files_and_after_line_breaks_in_notes():
    text = GOOD.replace("hall", '"a\nhall"') + HEADER + "\nP0002,,0,2,1,sure,Ann,1,1,\n"
    with pytest.raises(InputError, match="Readings, line 7, column 2018"):
        parse_readings(text, KINDS, YEARS)
    assert parse_readings(text.replace(",2,", ",1,"), KINDS, YEARS)[0].note == "a hall"


# Texts that a spreadsheet would run


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''+1", "=cmd|' /C calc'!A0"])
def test_formulas_are_neutral_in_the_file_and_whole_after_reading(text):
    one = Reading("P0001", None, (0, 1, 1), "sure", text, 1, 1, text)
    written = format_readings([one], YEARS)
    assert f",{text}" not in written and written.count(f"'{text}") == 2
    assert parse_readings(written, KINDS, YEARS) == [one]


@pytest.mark.parametrize("text", ["two halls", "don't know", "'quoted'", "a=b", "1-2"])
def test_other_texts_do_not_change(text):
    assert safe_text(text) == plain_text(text) == text


# Writing and reading are inverse

lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(one_line)
ends = st.tuples(
    st.sampled_from(CERTAINTIES),
    lines.filter(bool),
    st.sampled_from([1, 2, 3]),
    st.none() | st.integers(0, 10**8),
    lines,
)
changing = st.tuples(*[st.sampled_from([0, 1])] * 3).filter(lambda states: len(set(states)) > 1)


@st.composite
def readings(draw):
    found = []
    for unit, kind in KINDS.items():
        for end in draw(st.lists(ends, max_size=2, unique_by=lambda end: end[1:3])):
            states = draw(st.tuples(*[st.sampled_from([0, 1, None])] * 3)) if kind == "point" else (None,) * 3
            found.append(Reading(unit, None, states, *end))
            if kind == "window":
                cells = draw(st.lists(st.integers(0, SIDE * SIDE - 1), max_size=4, unique=True))
                found += [Reading(unit, cell, draw(changing), *end) for cell in cells]
    return draw(st.permutations(found))


@given(readings(), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(found, end):
    text = format_readings(found, YEARS)
    assert parse_readings(text.replace("\n", end), KINDS, YEARS) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": 625}, {"states": (0, 2, 1)}, {"certainty": "maybe"}, {"interpreter": ""}, {"reading": 4}, {"seconds": -1}, {"note": "a\nb"},
        {"note": " a"},
    ],
)  # fmt: skip
def test_a_reading_refuses_what_no_file_can_hold(wrong):
    with pytest.raises(ValueError, match="reading P0001"):
        Reading(**{**vars(POINT), **wrong})
    with pytest.raises(ValueError, match="2 states for 3 years"):
        format_readings([Reading("P0001", None, (0, 1), "sure", "Ann", 1)], YEARS)


# Collect Earth Online


def test_plots_of_collect_earth_online_begin_with_its_columns_and_hold_one_kind():
    units = [
        SheetUnit("W0001", "window", -3.25, 40.5),
        SheetUnit("P0001", "point", 14, 50),
        SheetUnit("P0002", "point", 15, 51),
    ]
    assert format_ceo_plots(units, "point").splitlines() == [
        "LON,LAT,PLOTID,UNIT", "14.000000,50.000000,1,P0001", "15.000000,51.000000,2,P0002",
    ]  # fmt: skip
    assert format_ceo_plots(units, "window").splitlines()[1:] == ["-3.250000,40.500000,1,W0001"]
    with pytest.raises(ValueError, match="kind 'plot'"):
        format_ceo_plots(units, "plot")


@pytest.mark.parametrize(
    "wrong", [{"id": ""}, {"id": "a\nb"}, {"kind": "line"}, {"lon": 181}, {"lat": -91}, {"lat": float("nan")}]
)
def test_a_unit_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match="unit"):
        SheetUnit(**{"id": "P0001", "kind": "point", "lon": 14, "lat": 50, **wrong})


# QGIS


def test_the_form_of_qgis_offers_what_the_file_may_hold():
    form = ElementTree.fromstring(format_qgis_form(YEARS))
    fields = {}
    for field in form.iter("field"):
        assert field.find("editWidget").get("type") == "ValueMap"
        fields[field.get("name")] = [option.get("value") for option in field.iter("Option") if option.get("value")]
    assert list(fields) == [*map(str, YEARS), "certainty", "reading"] and set(fields) <= set(columns(YEARS))
    null = fields["2017"][0]
    assert (
        fields["2017"] == [null, "0", "1"]
        and fields["certainty"] == [null, *CERTAINTIES]
        and fields["reading"] == ["1", "2", "3"]
    )
