"""Spans, reasons of blanks, indicators, vintages and exports of the table: on paper, no GRASS session."""

import csv
import json
import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.data import read_table
from imperviouslib.core import indicators, revisions, table, workbook
from imperviouslib.core.change import resolve_pairs, resolve_spans
from imperviouslib.core.errors import InputError, TableError
from imperviouslib.core.indicators import FLOOR, JOBS, POPULATION, parse_numbers
from imperviouslib.core.rows import Rows
from imperviouslib.core.table import NO_SAMPLE, Flow, Run, Stock, sort_rows
from imperviouslib.core.tablecheck import check_table
from imperviouslib.core.tableschema import INDICATORS, REGIONS, REVISIONS, SCHEMA, TRANSITIONS, VALUES
from imperviouslib.core.zones import Zone
from imperviouslib.edge import tablefile
from testsuite.test_table import CELL_M2, CONSISTENT, RAW, make_table, pick

YEARS = (2017, 2018, 2019, 2020, 2021)
WHOLE = Zone("XX1", 1, 1, "West", "", 5)
NO_OUTLINES = {"type": "FeatureCollection", "features": []}


def five_years(zone=WHOLE):
    """One region of 5 cells: one sealed in 2018, one in 2020 and one in 2021; green and water stay."""
    stack = np.array([[[3, 3, 3, 3, 4]], [[1, 3, 3, 3, 4]], [[1, 3, 3, 3, 4]], [[1, 1, 3, 3, 4]], [[1, 1, 1, 3, 4]]])
    return make_table(stack, {zone: np.ones((1, 5), bool)}, YEARS)


def cells(rows, flow, first, last, **more):
    key = {"lc_flow": flow, "landcover": "IMP", "method": CONSISTENT, "unit": "KM2", **more}
    return pick(rows, time_from=first, TIME_PERIOD=last, **key)["OBS_VALUE"] * 1e6 / CELL_M2


# Spans


@given(st.lists(st.integers(2000, 2015), min_size=1, unique=True).map(sorted))
def test_spans_are_neighbours_the_whole_and_each_run_of_three_years(years):
    spans = resolve_spans(years)
    assert spans[: len(resolve_pairs(years))] == resolve_pairs(years)
    assert len(set(spans)) == len(spans) and all(a in years and b in years and a < b for a, b in spans)
    runs = {(a, b) for a in years for b in years if b - a == 3}
    assert set(spans) == set(resolve_pairs(years)) | runs


def test_a_span_has_the_change_between_its_end_years():
    made = five_years()
    check_table(made, CELL_M2)
    rows = made[VALUES]
    assert [cells(rows, "GAIN", *pair) for pair in ((2017, 2020), (2018, 2021), (2017, 2021))] == [2, 2, 3]
    assert not [row for row in rows if (row["time_from"], row["TIME_PERIOD"]) == (2017, 2019)]
    assert pick(
        made[TRANSITIONS],
        landcover_from="GRN",
        landcover_to="IMP",
        method=RAW,
        unit="KM2",
        time_from=2018,
        TIME_PERIOD=2021,
    )


# Flags of single years, reasons of blanks


@pytest.mark.parametrize(
    ("pair", "gain", "flags"),
    [((2018, 2019), 9, "u"), ((2018, 2019), 10, ""), ((2018, 2021), 9, "p"), ((2017, 2021), 9, "p"), ((2017, 2018), 9, "pu")],
)  # fmt: skip
def test_rare_change_of_a_single_year_is_of_low_reliability_even_with_a_sample(pair, gain, flags):
    run = Run(YEARS, "2024", "2026-01-01", CELL_M2)
    narrow = {(name, "IMP"): (value, value) for name, value in (("GAIN", gain), ("LOSS", 0), ("NET", gain))}
    flow = Flow(1000, 1000, {"IMP": 50}, {"IMP": gain}, {"IMP": 0}, interval=narrow)
    rows = list(table.flow_rows(Zone("XX1", 1, 1, "", "", 1000), flow, run, "artificial", "estimated", pair))
    assert {row["OBS_FLAG"] for row in rows} == {flags}
    # Mapped figures are of low reliability whatever their span.
    mapped = list(table.flow_rows(Zone("XX1", 1, 1, "", "", 1000), flow, run, "artificial", RAW, pair))
    assert {row["OBS_FLAG"] for row in mapped} == {"u"}


def test_each_blank_says_why():
    run = Run((2017, 2018), "2024", "2026-01-01", CELL_M2)

    def reasons(stock, flow, method):
        rows = [*table.stock_rows(WHOLE, stock, run, "artificial", method, 2017)]
        rows += table.flow_rows(WHOLE, flow, run, "artificial", method, (2017, 2018))
        rows += table.transition_rows(WHOLE, flow, run, "artificial", method, (2017, 2018))
        assert all((row["OBS_VALUE"] is None) == bool(row["MISSING_REASON"]) for row in rows)
        return {row["MISSING_REASON"] for row in rows}

    stock, moves = Stock(5, 5, {"IMP": 1}), {("GRN", "IMP"): 1.0}
    flow = Flow(5, 5, {"IMP": 1, "GRN": 4}, {"IMP": 1, "GRN": 0}, {"IMP": 0, "GRN": 1}, moves)
    assert reasons(stock, flow, CONSISTENT) == {""}
    assert reasons(replace(stock, seen=2), replace(flow, seen=2), CONSISTENT) == {"LOW_COVERAGE"}
    assert reasons(replace(stock, seen=2), replace(flow, seen=2), RAW) == {""}
    nothing = Flow(0, 0, {"IMP": 0}, {"IMP": 0}, {"IMP": 0})
    assert reasons(Stock(0, 0, {"IMP": 0}), nothing, CONSISTENT) == {"NOT_SEEN"}
    assert reasons(stock, replace(flow, before={"IMP": 0, "GRN": 4}), RAW) == {"", "ZERO_BASE"}
    without = replace(stock, missing=NO_SAMPLE), replace(flow, missing=NO_SAMPLE)
    assert reasons(*without, "estimated") == {NO_SAMPLE}


def green_share(made):
    return next(
        r for r in made[VALUES] if (r["lc_flow"], r["landcover"], r["unit"], r["method"]) == ("STK", "GRN", "PC", RAW)
    )


def area(made, flow, cover, method, year, **more):
    key = {"lc_flow": flow, "landcover": cover, "method": method, "unit": "KM2", "TIME_PERIOD": year}
    return pick(made[VALUES], vintage="2026-06-01", **key, **more)


def share_moved(made):
    return next(r for r in made[TRANSITIONS] if (r["landcover_from"], r["unit"], r["method"]) == ("GRN", "PC", RAW))


def beside_its_interval(made):
    row = pick(made[INDICATORS], indicator="IMP_JOB", method=RAW, TIME_PERIOD=2020)
    return {**row, "method": "estimated", "OBS_LCI95": row["OBS_VALUE"] + 1, "OBS_UCI95": row["OBS_VALUE"] + 2}


def of_one_vintage(row):
    row.update(vintage_from=row["vintage"], VALUE_FROM=row["OBS_VALUE"], DIFFERENCE=0.0)


# Indicators

PERSONS = "geo,year,persons\nXX1,2017,100\nXX1,2020,110\nXX1,2021,110.02\n"


def with_indicators(made, text, **others):
    """Return a table with the indicators of inhabitants, and of other numbers by the name of their option."""
    given = [parse_numbers(text, "persons.csv", POPULATION)]
    given += [parse_numbers(others[kind.option], "n.csv", kind) for kind in (JOBS, FLOOR) if kind.option in others]
    rows = indicators.indicator_rows(made[VALUES], given)
    made = {**made, INDICATORS: list(sort_rows(rows, INDICATORS))}
    check_table(made, CELL_M2)
    return made


def test_indicators_on_paper():
    made = with_indicators(five_years(), PERSONS.replace("110.02", "100.05"))
    rows = [row for row in made[INDICATORS] if row["method"] == CONSISTENT]
    assert {(row["time_from"], row["TIME_PERIOD"]) for row in rows} == {
        (2017, 2017), (2020, 2020), (2021, 2021), (2017, 2020), (2020, 2021), (2017, 2021),
    }  # fmt: skip
    head = pick(rows, indicator="IMP_HAB", TIME_PERIOD=2020)
    assert (head["OBS_VALUE"], head["unit"]) == (pytest.approx(2 * 400 / 110), "M2_HAB")
    # From 2020 to 2021 the impervious land grows from 2 to 3 cells in one year.
    land = pick(rows, indicator="LCR", time_from=2020, TIME_PERIOD=2021)
    growth = pick(rows, indicator="PGR", time_from=2020, TIME_PERIOD=2021)
    ratio = pick(rows, indicator="LCRPGR", time_from=2020, TIME_PERIOD=2021)
    assert land["OBS_VALUE"] == pytest.approx(100 * (3 - 2) / 2 / 1)
    assert growth["OBS_VALUE"] == pytest.approx(100 * math.log(100.05 / 110) / 1)
    assert ratio["OBS_VALUE"] == pytest.approx(0.5 / math.log(100.05 / 110))
    assert (land["OBS_FLAG"], growth["OBS_FLAG"], growth["COVERAGE"]) == ("pu", "", None)
    # Nothing was sealed in 2017, so no rate of it exists; the population does not grow by a thousandth a year.
    assert [
        pick(rows, indicator=name, time_from=2017, TIME_PERIOD=2021)["MISSING_REASON"]
        for name in ("LCR", "PGR", "LCRPGR")
    ] == ["ZERO_BASE", "", "ZERO_BASE"]


@pytest.mark.parametrize(
    ("persons", "reasons"),
    [
        ("XX1,2018,100\nXX1,2021,100", ("", "", "NO_GROWTH")),
        ("XX1,2018,100\nXX1,2021,100.29", ("", "", "NO_GROWTH")),
        ("XX1,2018,100\nXX1,2021,99.6", ("", "", "")),
        ("XX1,2018,0\nXX1,2021,5", ("", "ZERO_BASE", "ZERO_BASE")),
        ("XX1,2018,7\nXX2,2021,5", ("", "NO_POPULATION", "NO_POPULATION")),
    ],
)
def test_growth_near_zero_and_gaps_of_the_population_are_blanks_with_a_reason(persons, reasons):
    made = with_indicators(five_years(), f"geo,year,persons\n{persons}\n")
    span = {"method": CONSISTENT, "time_from": 2018, "TIME_PERIOD": 2021}
    rows = [pick(made[INDICATORS], indicator=name, **span) for name in ("LCR", "PGR", "LCRPGR")]
    assert tuple(row["MISSING_REASON"] for row in rows) == reasons
    assert ["m" in row["OBS_FLAG"] for row in rows] == [reason in ("ZERO_BASE", "NO_GROWTH") for reason in reasons]
    assert rows[0]["OBS_VALUE"] == pytest.approx(100 * (3 - 1) / 1 / 3)


def test_land_per_head_is_blank_where_only_a_part_of_the_land_was_counted():
    made = with_indicators(five_years(replace(WHOLE, cells=6)), PERSONS)
    rows = [row for row in made[INDICATORS] if (row["indicator"], row["TIME_PERIOD"]) == ("IMP_HAB", 2020)]
    assert {row["method"]: row["MISSING_REASON"] for row in rows} == {RAW: "PART_SEEN", CONSISTENT: ""}
    assert pick(rows, method=CONSISTENT)["OBS_VALUE"] == pytest.approx(2 * 6 / 5 * 400 / 110)


def test_intervals_of_land_carry_over_and_turn_where_the_population_shrinks():
    run, zone = Run((2017, 2020), "2024", "2026-01-01", CELL_M2), Zone("XX1", 1, 1, "", "", 100)
    flow = Flow(100, 100, {"IMP": 10}, {"IMP": 4}, {"IMP": 1}, interval={("NET", "IMP"): (2, 5)})
    rows = list(table.flow_rows(zone, flow, run, "artificial", "estimated", (2017, 2020)))
    people = parse_numbers("geo\tyear\tpersons\nXX1\t2017\t100\nXX1\t2020\t90\n", "p.csv", POPULATION)
    land, growth, ratio = indicators.indicator_rows(rows, [people])
    columns = ("OBS_LCI95", "OBS_VALUE", "OBS_UCI95")
    assert [land[c] for c in columns] == pytest.approx([20 / 3, 30 / 3, 50 / 3])
    rate = math.log(0.9) / 3
    assert growth["OBS_LCI95"] is None and [ratio[c] for c in columns] == pytest.approx(
        [x / 300 / rate for x in (50, 30, 20)]
    )


JOBS_TEXT = "geo,year,jobs\nXX1,2018,40\nXX1,2020,50\nXX1,2021,{}\n"
FLOOR_TEXT = "geo,year,floor_m2\nXX1,2018,7000\nXX1,2019,600\nXX1,2020,200\nXX1,2021,{}\n"


def greener():
    """As five_years, but two cells of water become green in 2020, and one is green no more in 2021."""
    stack = np.array([[[3, 3, 3, 4, 4]], [[1, 3, 3, 4, 4]], [[1, 3, 3, 4, 4]], [[1, 1, 3, 3, 3]], [[1, 1, 1, 4, 3]]])
    return make_table(stack, {WHOLE: np.ones((1, 5), bool)}, YEARS)


def test_green_jobs_and_floor_space_on_paper():
    made = with_indicators(greener(), PERSONS, jobs=JOBS_TEXT.format(60), floor=FLOOR_TEXT.format(0))
    rows = [row for row in made[INDICATORS] if row["method"] == RAW]

    def one(indicator, first, last):
        row = pick(rows, indicator=indicator, time_from=first, TIME_PERIOD=last)
        return row["MISSING_REASON"] or (pytest.approx(row["OBS_VALUE"]), row["unit"])

    # In 2020 three cells of 400 m2 are green and two are impervious.
    assert one("GRN_HAB", 2020, 2020) == (3 * 400 / 110, "M2_HAB")
    assert one("IMP_JOB", 2020, 2020) == (2 * 400 / 50, "M2_JOB")
    # From 2017 to 2020 two cells became impervious and two green; from 2018 to 2020 there is no span.
    assert one("GAIN_GRN", 2017, 2020) == (2 / 2, "RATIO")
    assert one("GAIN_FLOOR", 2017, 2020) == (2 * 400 / (7000 + 600 + 200), "RATIO")
    assert one("GAIN_FLOOR", 2018, 2021) == (2 * 400 / (600 + 200 + 0), "RATIO")
    assert one("GAIN_FLOOR", 2019, 2020) == (1 * 400 / 200, "RATIO")
    assert one("GAIN_JOB", 2018, 2021) == (2 * 400 / (60 - 40), "M2_JOB")
    assert one("JGR", 2018, 2021) == (100 * math.log(60 / 40) / 3, "PC_YR")
    assert one("LCR", 2018, 2021) == (100 * (3 - 1) / 1 / 3, "PC_YR")
    assert one("LCRJGR", 2018, 2021) == ((3 - 1) / 1 / math.log(60 / 40), "RATIO")
    # Nothing became green from 2020 to 2021, and no floor space was finished in 2021.
    assert (one("GAIN_GRN", 2020, 2021), one("GAIN_FLOOR", 2020, 2021)) == ("ZERO_BASE", "ZERO_BASE")
    spans = {
        name: {(r["time_from"], r["TIME_PERIOD"]) for r in rows if r["indicator"] == name}
        for name in ("GAIN_FLOOR", "JGR")
    }
    # Floor space is needed in each year of a span, jobs in its end years only.
    assert spans == {
        "GAIN_FLOOR": {
            (2017, 2018),
            (2018, 2019),
            (2019, 2020),
            (2020, 2021),
            (2017, 2020),
            (2018, 2021),
            (2017, 2021),
        },
        "JGR": {(2020, 2021), (2018, 2021)},
    }
    assert len([row for row in rows if row["indicator"] == "LCR" and row["time_from"] == 2020]) == 1


@pytest.mark.parametrize(
    ("last_jobs", "reasons"),
    [
        (60, ("", "", "")),
        (50.1, ("", "", "")),
        (50.04, ("", "NO_GROWTH", "NO_GROWTH")),
        (50, ("", "NO_GROWTH", "NO_GROWTH")),
        # A region that lost jobs has a rate and a ratio to it, but no additional job.
        (40, ("", "", "NO_GROWTH")),
        (0, ("ZERO_BASE", "ZERO_BASE", "ZERO_BASE")),
    ],
)
def test_land_for_each_additional_job_needs_additional_jobs(last_jobs, reasons):
    made = with_indicators(greener(), PERSONS, jobs=JOBS_TEXT.format(last_jobs))
    span = {"method": CONSISTENT, "time_from": 2020, "TIME_PERIOD": 2021}
    rows = [pick(made[INDICATORS], indicator=name, **span) for name in ("JGR", "LCRJGR", "GAIN_JOB")]
    assert tuple(row["MISSING_REASON"] for row in rows) == reasons
    assert [row["OBS_VALUE"] is None for row in rows] == [bool(reason) for reason in reasons]


def test_a_gap_of_a_region_is_a_blank_with_the_reason_of_its_table():
    lines = "\nXX2,2018,1\nXX2,2019,1\nXX2,2020,1\nXX2,2021,1\nXX1,2020,5\n"
    made = with_indicators(greener(), PERSONS, jobs=f"geo,year,jobs{lines}", floor=f"geo,year,floor_m2{lines}")
    rows = [row for row in made[INDICATORS] if row["method"] == RAW and row["time_from"] == 2018]
    reasons = {row["indicator"]: row["MISSING_REASON"] for row in rows if row["TIME_PERIOD"] == 2021}
    assert reasons == {
        "LCR": "",
        "JGR": "NO_JOBS",
        "LCRJGR": "NO_JOBS",
        "GAIN_JOB": "NO_JOBS",
        "GAIN_FLOOR": "NO_FLOOR",
    }
    assert pick(made[INDICATORS], method=RAW, indicator="IMP_JOB", TIME_PERIOD=2018)["MISSING_REASON"] == "NO_JOBS"


def test_numbers_of_a_whole_region_fit_no_land_of_a_part_of_it():
    """Rates and the ratio of two gains are shares of the same ground; land for each of a number is not."""
    stack = np.array([[[3, 3, 4, 4]], [[1, 3, 3, 4]]])
    zone = replace(WHOLE, cells=5)
    made = make_table(stack, {zone: np.ones((1, 4), bool)}, (2020, 2021))
    made = with_indicators(made, PERSONS, jobs=JOBS_TEXT.format(60), floor=FLOOR_TEXT.format(9))
    found = {
        (row["method"], row["indicator"]): row["MISSING_REASON"]
        for row in made[INDICATORS]
        if row["TIME_PERIOD"] == 2021
    }
    land_for_each = {"IMP_HAB", "GRN_HAB", "IMP_JOB", "GAIN_JOB", "GAIN_FLOOR"}
    assert {
        name for (method, name), reason in found.items() if method == RAW and reason == "PART_SEEN"
    } == land_for_each
    assert "PART_SEEN" not in {reason for (method, _), reason in found.items() if method == CONSISTENT}
    assert found[RAW, "GAIN_GRN"] == ""


def test_a_ratio_of_two_uncertain_gains_has_no_interval_and_low_reliability():
    run, zone = Run((2017, 2020), "2024", "2026-01-01", CELL_M2), Zone("XX1", 1, 1, "", "", 1000)
    covers = {"IMP": 100, "GRN": 500, "OTH": 400}
    gain, loss = {"IMP": 40, "GRN": 20, "OTH": 0}, {"IMP": 0, "GRN": 40, "OTH": 20}
    narrow = {(flow, cover): (n[cover], n[cover]) for flow, n in (("GAIN", gain), ("LOSS", loss)) for cover in covers}
    narrow[("NET", "IMP")] = narrow[("GAIN", "IMP")] = (36, 44)
    flow = Flow(1000, 1000, covers, gain, loss, interval=narrow)
    rows = list(table.flow_rows(zone, flow, run, "artificial", "estimated", (2017, 2020)))
    given = [
        parse_numbers(text, "n.csv", kind)
        for kind, text in (
            (POPULATION, PERSONS),
            (JOBS, JOBS_TEXT.format(1).replace("2018", "2017")),
            (FLOOR, FLOOR_TEXT.format(1)),
        )
    ]
    made = {row["indicator"]: row for row in indicators.indicator_rows(rows, given)}
    assert (made["GAIN_GRN"]["OBS_VALUE"], made["GAIN_GRN"]["OBS_LCI95"], made["GAIN_GRN"]["OBS_FLAG"]) == (
        2,
        None,
        "pu",
    )
    columns = ("OBS_LCI95", "OBS_VALUE", "OBS_UCI95")
    # A number that is exact divides the limits too: 36, 40 and 44 cells of 400 m2.
    assert [made["GAIN_FLOOR"][c] for c in columns] == pytest.approx([n * 400 / 7800 for n in (36, 40, 44)])
    assert [made["GAIN_JOB"][c] for c in columns] == pytest.approx([n * 400 / (50 - 40) for n in (36, 40, 44)])
    rate = math.log(50 / 40)
    assert [made["LCRJGR"][c] for c in columns] == pytest.approx([n / 100 / rate for n in (36, 40, 44)])
    assert made["GAIN_FLOOR"]["OBS_FLAG"] == "p"


def test_less_than_a_cell_of_new_green_land_is_no_base():
    run, zone = Run((2017, 2020), "2024", "2026-01-01", CELL_M2), Zone("XX1", 1, 1, "", "", 1000)
    for green, reason in ((1, ""), (0.99, "ZERO_BASE")):
        flow = Flow(1000, 1000, {"IMP": 9, "GRN": 9}, {"IMP": 3, "GRN": green}, {"IMP": 0, "GRN": 0})
        rows = list(table.flow_rows(zone, flow, run, "artificial", "mapped_series", (2017, 2020)))
        made = list(indicators.indicator_rows(rows, [parse_numbers(PERSONS, "p.csv", POPULATION)]))
        row = pick(made, indicator="GAIN_GRN")
        assert (row["MISSING_REASON"], row["OBS_VALUE"]) == (reason, None if reason else pytest.approx(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found columns none, expected geo, year, persons"),
        ("geo,persons\nXX1,1\n", "found columns geo, persons"),
        ("geo,year,persons\n", "no line with a region"),
        ("geo,year,persons\nXX1,17,1\n", "line 2, 'XX1' '17'"),
        ("geo,year,persons\nXX1,2017,1 000\n", "line 2, persons '1 000'"),
        ("geo;year;persons\nXX1;2017;1,5\n", "persons '1,5'"),
        ("geo,year,persons\nXX1,2017,-1\n", "persons '-1'"),
        ("geo,year,persons\nXX1,2017,nan\n", "persons 'nan'"),
        ("geo,year,persons\nXX1,2017,1e-300\n", "persons '1e-300'"),
        ("geo,year,persons\nXX1,2017,1e300\n", "persons '1e300'"),
        ("geo,year,persons\nXX1,2017\n", "persons ''"),
        ("geo,year,persons\nXX1,2017,1\n\nXX1,2017,2\n", "XX1 2017 twice"),
        (f"geo,year,persons\n{'X' * 200_000},2017,1\n", "expected CSV"),
    ],
)
def test_a_population_that_is_not_plain_is_refused(text, message):
    with pytest.raises(InputError, match=r"Option <population>, file 'p\.csv'") as caught:
        parse_numbers(text, "p.csv", POPULATION)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [JOBS, FLOOR])
def test_each_kind_of_numbers_has_its_column_and_option(kind):
    found = parse_numbers(f"geo,year,{kind.column}\nXX1,2018,2.5\n", "n.csv", kind)
    assert (found.kind, found.values, found.years, found.geos) == (kind, {("XX1", 2018): 2.5}, {2018}, {"XX1"})
    # Asked for each row of a table, so it is not made anew.
    assert found.years is found.years
    with pytest.raises(InputError, match=f"Option <{kind.option}>, file 'n.csv': found columns geo, year, persons"):
        parse_numbers("geo,year,persons\nXX1,2018,2.5\n", "n.csv", kind)


def test_a_population_of_a_spreadsheet_is_read():
    text = "\ufeffname;geo ; year;persons\r\nWest;XX1;2017;100\r\n;;;\r\n"
    assert parse_numbers(text, "p.csv", POPULATION).values == {("XX1", 2017): 100}


# Vintages


def plain(table):
    """Return a table whose rows are dicts, which tests compare and spoil."""
    return {name: list(rows) for name, rows in table.items()}


def later(made, vintage, **values):
    """Return a table of a later vintage in which a stock in km2 has changed consistently: all of the region is one cover."""
    made = deepcopy(made)
    for name, rows in made.items():
        for row in rows:
            if name != REGIONS:
                row["vintage"] = vintage
    return made


def test_revisions_hold_what_differs_and_earlier_rows_are_kept():
    earlier = five_years()
    stack = np.array([[[3, 3, 3, 3, 4]], [[1, 3, 3, 3, 4]], [[1, 3, 3, 3, 4]], [[1, 3, 3, 3, 4]], [[1, 1, 1, 3, 4]]])
    made = later(make_table(stack, {WHOLE: np.ones((1, 5), bool)}, YEARS), "2026-06-01")
    both = plain(revisions.with_earlier(earlier, made))
    check_table(both, CELL_M2)
    assert [row for row in both[VALUES] if row["vintage"] == "2026-01-01"] == earlier[VALUES]
    assert [row for row in both[VALUES] if row["vintage"] == "2026-06-01"] == made[VALUES]
    assert both[REGIONS] == made[REGIONS]
    stocks = [row for row in both[REVISIONS] if row["lc_flow"] == "STK" and row["landcover"] == "IMP"]
    assert {(row["method"], row["unit"], row["TIME_PERIOD"]) for row in stocks} == {
        (method, unit, 2020) for method in (RAW, CONSISTENT) for unit in ("KM2", "PC")
    }
    one = pick(stocks, method=RAW, unit="KM2")
    assert [one[c] for c in ("revision", "VALUE_FROM", "OBS_VALUE", "vintage_from", "vintage")] == [
        "CHANGED", 2 * 400 / 1e6, 400 / 1e6, "2026-01-01", "2026-06-01",
    ]  # fmt: skip
    assert one["DIFFERENCE"] == pytest.approx(-400 / 1e6)
    said = revisions.summarise(earlier, made, Rows.of(REVISIONS, both[REVISIONS]))
    assert f"Against vintage 2026-01-01: {len(both[REVISIONS])} figures changed, 0 withdrawn." in said
    assert "is -0.0004 km2, in XX1 2020" in said
    # A third vintage, of fewer years, keeps the revisions of the second.
    last = {name: [row for row in rows if row.get("TIME_PERIOD", 0) < 2021] for name, rows in made.items()}
    three = plain(revisions.with_earlier(both, later(last, "2026-07-01")))
    check_table(three, CELL_M2)
    assert [row for row in three[REVISIONS] if row["vintage"] == "2026-06-01"] == both[REVISIONS]
    gone = {
        (row["revision"], row["TIME_PERIOD"], row["OBS_VALUE"])
        for row in three[REVISIONS]
        if row["vintage"] == "2026-07-01"
    }
    assert gone == {("WITHDRAWN", 2021, None)}


def test_a_value_that_went_blank_is_a_revision_and_noise_is_none():
    earlier = five_years()
    made = later(earlier, "2026-06-01")
    row = pick(made[VALUES], lc_flow="STK", landcover="IMP", method=RAW, unit="PC", TIME_PERIOD=2018)
    row.update(OBS_VALUE=row["OBS_VALUE"] * (1 + 1e-13))
    assert not [*revisions.revision_rows(earlier[VALUES], made[VALUES])]
    row.update(OBS_VALUE=None, MISSING_REASON="NOT_SEEN")
    (found,) = revisions.revision_rows(earlier[VALUES], made[VALUES])
    assert [found[c] for c in ("VALUE_FROM", "OBS_VALUE", "DIFFERENCE", "MISSING_REASON")] == [
        20,
        None,
        None,
        "NOT_SEEN",
    ]
    # Regions of another version are other regions.
    assert not [*revisions.revision_rows(earlier[VALUES], [{**one, "nuts_version": "2027"} for one in made[VALUES]])]


def test_tables_that_cannot_stand_side_by_side_are_refused():
    made = five_years()
    with pytest.raises(InputError, match="found a table of vintage 2026-01-01, expected one from before 2026-01-01"):
        revisions.with_earlier(made, made)
    with pytest.raises(InputError, match=r"region XX1 of version 2024: found an area of 0\.002 km2, expected 0\.0024"):
        revisions.with_earlier(made, later(five_years(replace(WHOLE, cells=6)), "2026-06-01"))


def test_regions_that_only_the_earlier_table_has_are_kept():
    earlier = five_years(replace(WHOLE, geo="XX9", parent=""))
    both = revisions.with_earlier(earlier, later(five_years(), "2026-06-01"))
    check_table(both, CELL_M2)
    assert [row["geo"] for row in both[REGIONS]] == ["XX1", "XX9"]
    assert {row["revision"] for row in both[REVISIONS]} == {"WITHDRAWN"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: pick(made[INDICATORS], indicator="GAIN_GRN", method=RAW, time_from=2020).update(OBS_VALUE=2.0),
        lambda made: pick(made[INDICATORS], indicator="LCRJGR", method=RAW).update(OBS_VALUE=1.0),
        lambda made: pick(made[INDICATORS], indicator="GAIN_JOB", method=RAW).update(OBS_VALUE=-1.0),
        lambda made: pick(made[INDICATORS], indicator="IMP_JOB", method=RAW, TIME_PERIOD=2020).update(unit="M2_HAB"),
        lambda made: pick(made[INDICATORS], indicator="GRN_HAB", method=RAW, TIME_PERIOD=2020).update(time_from=2017),
        lambda made: pick(made[INDICATORS], indicator="JGR", method=RAW).update(OBS_LCI95=0.0, OBS_UCI95=99.0),
        lambda made: pick(made[INDICATORS], indicator="GRN_HAB", method=RAW, TIME_PERIOD=2020).update(OBS_LCI95=0.0),
        # Per cents of stocks stand in no sum, so each of these breaks one rule only.
        lambda made: green_share(made).update(MISSING_REASON="NO_SAMPLE"),
        lambda made: green_share(made).update(OBS_VALUE=None, MISSING_REASON="LOW_COVERAGE"),
        lambda made: green_share(made).update(OBS_VALUE=None, MISSING_REASON="NO_SAMPLE", OBS_FLAG=""),
        lambda made: green_share(made).update(COVERAGE=0.4, OBS_FLAG=""),
        lambda made: green_share(made).update(vintage="yesterday"),
        lambda made: area(made, "NET", "IMP", RAW, 2021, time_from=2020).update(OBS_VALUE=1.0),
        # The covers still add up to the region.
        lambda made: [
            area(made, "STK", cover, CONSISTENT, 2020).update(OBS_VALUE=cells * CELL_M2 / 1e6)
            for cover, cells in (("IMP", 1), ("GRN", 3))
        ],
        lambda made: share_moved(made).update(landcover_to="GRN"),
        lambda made: made[INDICATORS].append(beside_its_interval(made)),
        lambda made: of_one_vintage(made[REVISIONS][0]),
        lambda made: made[VALUES][0].update(MISSING_REASON="NOT_SEEN"),
        lambda made: made[VALUES][0].update(OBS_VALUE=None),
        lambda made: made[VALUES][0].update(OBS_VALUE=None, MISSING_REASON="LOW_COVERAGE"),
        lambda made: made[VALUES][0].update(OBS_VALUE=None, MISSING_REASON="ZERO_BASE"),
        lambda made: made[INDICATORS][0].update(geo="YY"),
        lambda made: pick(made[INDICATORS], indicator="IMP_HAB", method=RAW, TIME_PERIOD=2020).update(OBS_VALUE=-1.0),
        lambda made: pick(made[INDICATORS], indicator="LCR", method=RAW, time_from=2020).update(OBS_VALUE=1.0),
        lambda made: pick(made[INDICATORS], indicator="PGR", method=RAW, time_from=2020).update(TIME_PERIOD=2020),
        lambda made: pick(made[INDICATORS], indicator="PGR", method=RAW, time_from=2020).update(OBS_VALUE=None),
        lambda made: made[REVISIONS][0].update(OBS_VALUE=9.0),
        lambda made: made[REVISIONS][0].update(VALUE_FROM=9.0),
        lambda made: made[REVISIONS][0].update(DIFFERENCE=9.0),
        lambda made: made[REVISIONS][0].update(vintage="2025-01-01"),
    ],
)
def test_check_finds_damage_of_reasons_indicators_and_revisions(damage):
    earlier, text = five_years(), PERSONS.replace("110.02", "150")
    # In 2021 water becomes green, so that the ratio to new green land exists.
    stack = np.array([[[3, 3, 3, 3, 4]], *[[[1, 1, 3, 3, 4]]] * 3, [[1, 1, 1, 3, 3]]])
    made = later(make_table(stack, {WHOLE: np.ones((1, 5), bool)}, YEARS), "2026-06-01")
    made = with_indicators(made, text, jobs="geo,year,jobs\nXX1,2020,50\nXX1,2021,60\n")
    both = plain(revisions.with_earlier(earlier, made))
    check_table(both, CELL_M2)
    damage(both)
    with pytest.raises(TableError, match="Report this bug"):
        check_table(both, CELL_M2)


# Files


@pytest.fixture
def folder(tmp_path):
    made = with_indicators(five_years(replace(WHOLE, name="West <&> \x01 =1+1", cells=6)), PERSONS)
    package = {"name": tablefile.NAME, "title": "Title", "created": "2026-01-01T00:00:00Z", "method": ["A note."]}
    package["regions"] = {"nuts_version": "2024", "note": ""}
    with tablefile.writing_folder(tmp_path / "out", made, NO_OUTLINES, package):
        pass
    return tmp_path / "out", made


def read_sheets(path):
    """Read a workbook: name of a sheet to its rows, by letter of the column; cells without a value stay out."""
    book = openpyxl.load_workbook(path, read_only=True)
    return {
        sheet.title: [
            {cell.column_letter: cell.value for cell in row if cell.value is not None} for row in sheet.iter_rows()
        ]
        for sheet in book.worksheets
    }


def test_workbook_holds_notes_and_typed_figures(folder):
    path, made = folder
    sheets = read_sheets(path / "impervious_nuts.xlsx")
    assert list(sheets) == ["Notes", "Figures level 1", "Indicators", "Regions"]
    head, *rows = sheets["Figures level 1"]
    columns = [field["name"] for field in SCHEMA["tables"][VALUES]["fields"]]
    assert list(head.values()) == columns and len(rows) == len(made[VALUES])
    letters = dict(zip(head.values(), head, strict=True))
    for found, row in zip(rows, made[VALUES], strict=True):
        # XlsxWriter writes 16 digits, one less than a number may have; spreadsheets show 15.
        expected = {letters[c]: v for c, v in row.items() if v not in (None, "")}
        assert found == {c: v if isinstance(v, str) else pytest.approx(v, rel=1e-15) for c, v in expected.items()}
    assert sheets["Regions"][1]["F"] == "West <&> \N{REPLACEMENT CHARACTER} =1+1"
    notes = [list(row.values()) for row in sheets["Notes"]]
    # A row with an empty last cell is an error to frictionless, which takes the first sheet for a table.
    assert all(len(row) == 3 or (row[0] == "Methods" and len(row) == 2) for row in notes)
    assert ["Regions", "nuts_version", "2024"] in notes
    assert ["Table", "title", "Title"] in notes and ["Methods", "A note."] in notes
    assert ["Codes of MISSING_REASON", "NO_GROWTH", SCHEMA["codes"]["MISSING_REASON"]["NO_GROWTH"]] in notes


def test_rows_beyond_a_sheet_go_to_a_second_one_and_old_vintages_stay_out():
    earlier = five_years()
    both = revisions.with_earlier(earlier, later(five_years(), "2026-06-01"))
    names = {sheet.name: list(sheet.rows) for sheet in workbook.sheets(both, {}, most_rows=1 + 200)}
    parts = [names[name] for name in names if name.startswith("Figures")]
    assert [len(part) for part in parts] == [201, len(earlier[VALUES]) - 200 + 1]
    assert {row[10] for part in parts for row in part[1:]} == {"2026-06-01"}
    assert names["Notes"][1][1:] == ("vintage", "2026-06-01") and len(names["Revisions"]) == 1


def test_sdmx_csv_begins_with_the_structure_and_marks_gaps(folder):
    path, made = folder
    for name, flow in ((VALUES, "IMPERVIOUS_NUTS"), (INDICATORS, "IMPERVIOUS_INDICATORS")):
        with (path / f"{name}.sdmx.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert list(rows[0])[3:] == list(made[name][0])
        assert {tuple(row.values())[:3] for row in rows} == {("dataflow", f"R_IMPERVIOUS:{flow}(2.0)", "I")}
        found = [None if row["OBS_VALUE"] == "NaN" else float(row["OBS_VALUE"]) for row in rows]
        assert found == [row["OBS_VALUE"] for row in made[name]] and None in found
        assert all(bool(row["MISSING_REASON"]) == (row["OBS_VALUE"] == "NaN") for row in rows)
    assert not (path / "nuts_regions.sdmx.csv").exists()


def test_the_dashboard_reads_a_table_with_every_indicator(tmp_path):
    made = with_indicators(greener(), PERSONS, jobs=JOBS_TEXT.format(60), floor=FLOOR_TEXT.format(9))
    assert {row["indicator"] for row in made[INDICATORS]} == set(SCHEMA["codes"]["indicator"]) == set(indicators.UNITS)
    ring = [[4e6, 3e6], [4e6 + 100, 3e6], [4e6 + 100, 3e6 + 20], [4e6, 3e6 + 20], [4e6, 3e6]]
    square = {"type": "MultiPolygon", "coordinates": [[ring]]}
    feature = {"type": "Feature", "properties": {"geo": "XX1", "level": 1, "name": "West"}, "geometry": square}
    outlines = {"type": "FeatureCollection", "features": [feature]}
    with tablefile.writing_folder(tmp_path / "out", made, outlines, {"name": tablefile.NAME, "title": "Title"}):
        pass
    found = read_table(tmp_path / "out")
    assert found.indicators.num_rows == len(made[INDICATORS])


def test_package_gives_sizes_that_frictionless_counts(folder):
    path, _ = folder
    package = json.loads((path / "datapackage.json").read_text("utf-8"))
    assert {resource["path"] for resource in package["resources"]} | {"datapackage.json"} == {
        file.name for file in path.iterdir()
    }
    for resource in package["resources"]:
        # Frictionless does not count the bytes of Parquet.
        expected = None if resource["format"] == "parquet" else (path / resource["path"]).stat().st_size
        assert resource.get("bytes") == expected
    assert package["contract"] == SCHEMA["contract"] == 2


def test_a_folder_is_read_back_as_it_was_written(folder):
    path, made = folder
    found = tablefile.read_folder(path, CELL_M2)
    assert plain(found.table) == made and found.outlines == NO_OUTLINES
    # The same rows give the same bytes.
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    package = {key: value for key, value in found.package.items() if key != "resources"}
    with tablefile.writing_folder(path, found.table, found.outlines, package):
        pass
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_table_of_contract_1_gets_its_reasons(folder):
    path, made = folder
    package = json.loads((path / "datapackage.json").read_text("utf-8"))
    del package["contract"]
    for name in (VALUES, TRANSITIONS):
        old = pq.read_table(path / f"{name}.parquet").drop_columns(["MISSING_REASON"])
        pq.write_table(old, path / f"{name}.parquet")
        for resource in package["resources"]:
            if resource["path"] == f"{name}.parquet":
                resource["hash"] = f"sha256:{tablefile.sha256_file(path / resource['path'])}"
    (path / "datapackage.json").write_text(json.dumps(package))
    assert plain(tablefile.read_folder(path, CELL_M2).table) == made


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "datapackage.json").unlink(), "no datapackage.json of a table"),
        (lambda path: (path / "datapackage.json").write_text("[" * 100_000), "no datapackage.json of a table"),
        (lambda path: (path / "outlines.geojson").write_text("{}"), "another digest of outlines.geojson"),
        (lambda path: (path / "nuts_regions.parquet").write_bytes(b"x"), "another digest of nuts_regions.parquet"),
        (lambda path: (path / "impervious_nuts.parquet").unlink(), "No such file"),
        (lambda path: edit(path, contract=3), "contract 3"),
        (lambda path: edit(path, contract="new"), "invalid literal"),
        (lambda path: edit(path, resources=[]), "another digest of impervious_nuts.parquet"),
    ],
)
def test_a_damaged_folder_is_refused(folder, damage, message):
    path, _ = folder
    damage(path)
    with pytest.raises((InputError, TableError), match=f"Folder '|Table folder '{path}'") as caught:
        tablefile.read_folder(path, CELL_M2)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def edit(path, **changes):
    file = path / "datapackage.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes))


@pytest.mark.parametrize("number", ["1.000", "12.345", "999.999"])
def test_thousands_with_a_point_are_refused_where_the_delimiter_is_no_comma(number):
    """As a spreadsheet in German writes them; taken as fractions they would be a thousand times too small."""
    for delimiter in ";\t":
        text = f"geo{delimiter}year{delimiter}persons\nXX1{delimiter}2017{delimiter}{number}\n"
        with pytest.raises(
            InputError, match=rf"line 2, persons '{number}', expected a number without a separator of thousands"
        ):
            parse_numbers(text, "p.csv", POPULATION)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("geo;year;persons\nXX1;2017;0.125\n", 0.125),
        ("geo;year;persons\nXX1;2017;1.0000\n", 1),
        ("geo,year,persons\nXX1,2017,12.345\n", 12.345),
    ],
)
def test_fractions_stay_fractions(text, value):
    assert parse_numbers(text, "p.csv", POPULATION).values == {("XX1", 2017): value}
