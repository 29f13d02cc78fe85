"""The rows of the table, its checks and its files: core and pyarrow, no GRASS."""

import csv
import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imperviouslib.core import change, table
from imperviouslib.core.errors import InputError, TableError
from imperviouslib.core.methods.persistence import persistent
from imperviouslib.core.table import Flow, Run, Stock
from imperviouslib.core.tablecheck import check_table
from imperviouslib.core.tableschema import REGIONS, SCHEMA, TRANSITIONS, VALUES, method_facts
from imperviouslib.core.zones import Zone, compare_parts, describe_parts, parse_zones, resolve_parents
from imperviouslib.edge import tablefile

CELL_M2 = 400
RAW, CONSISTENT = "mapped_raw", "mapped_consistent"


def counts(values, where):
    codes, numbers = np.unique(values[where], return_counts=True)
    return {int(code): int(n) for code, n in zip(codes, numbers, strict=True) if code not in (0, change.UNKNOWN)}


def make_table(stack, zones, years, definition="artificial_natural"):
    """Build a whole table as the tool does, from a class stack and {Zone: mask of its cells}."""
    run = Run(years, "2024", "2026-01-01", CELL_M2)
    stacks = {RAW: stack, CONSISTENT: persistent(stack)}
    values, moves = [], []
    for zone, where in zones.items():
        for method, classes in stacks.items():
            for n, year in enumerate(years):
                seen = sum(counts(stack[n], where).values())
                stock = replace(table.stock_of(counts(classes[n], where), definition), seen=seen)
                values += table.stock_rows(zone, stock, run, definition, method, year)
            for pair in change.resolve_spans(years):
                a, b = (years.index(year) for year in pair)
                seen = sum(counts(change.fromto(stack[b], stack[a]), where).values())
                flow = replace(
                    table.flow_of(counts(change.fromto(classes[b], classes[a]), where), definition), seen=seen
                )
                values += table.flow_rows(zone, flow, run, definition, method, pair)
                moves += table.transition_rows(zone, flow, run, definition, method, pair)
    regions = [table.region_row(zone, run) for zone in zones]
    rows = {VALUES: values, TRANSITIONS: moves, REGIONS: regions}
    return {name: list(table.sort_rows(part, name)) for name, part in rows.items()}


def pick(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0]


@pytest.fixture
def five_cells_three_years():
    """One region of 5 cells: one sealed in 2018 and kept, one flickering, one unseen in 2018, one always water, one never seen."""
    stack = np.array([[[3, 3, 2, 4, 0]], [[1, 1, 0, 4, 0]], [[1, 3, 1, 4, 0]]])
    zone = Zone("XX1", 1, 1, "West", "", 5)
    return make_table(stack, {zone: np.ones((1, 5), bool)}, (2017, 2018, 2019))


def test_raw_counts_what_was_seen(five_cells_three_years):
    rows = five_cells_three_years[VALUES]
    stock = pick(rows, lc_flow="STK", landcover="IMP", method=RAW, unit="KM2", TIME_PERIOD=2018)
    assert (stock["OBS_VALUE"], stock["N_PIX"], stock["COVERAGE"]) == (2 * 400 / 1e6, 3, 3 / 5)
    gain = pick(rows, lc_flow="GAIN", landcover="IMP", method=RAW, unit="KM2", time_from=2017, TIME_PERIOD=2018)
    assert (gain["OBS_VALUE"], gain["N_PIX"]) == (2 * 400 / 1e6, 3)
    assert gain["OBS_FLAG"] == "u"


def test_consistent_removes_flicker_fills_and_expands(five_cells_three_years):
    rows = five_cells_three_years[VALUES]
    key = {"landcover": "IMP", "method": CONSISTENT}
    # 4 cells known stand for the 5 of the outline; sealed are the first, kept, and the third, filled with 2017's class 2.
    stock = pick(rows, lc_flow="STK", unit="KM2", TIME_PERIOD=2018, **key)
    assert stock["OBS_VALUE"] == pytest.approx(2 * 5 / 4 * 400 / 1e6)
    assert (stock["N_PIX"], stock["COVERAGE"], stock["OBS_FLAG"]) == (4, 3 / 5, "eu")
    gain = pick(rows, lc_flow="GAIN", unit="KM2", time_from=2017, TIME_PERIOD=2018, **key)
    assert gain["OBS_VALUE"] == pytest.approx(1 * 5 / 4 * 400 / 1e6)
    assert gain["OBS_FLAG"] == "epu"
    # The stock of impervious in 2017 is the third cell alone.
    assert pick(rows, lc_flow="GAIN", unit="PC", time_from=2017, TIME_PERIOD=2018, **key)["OBS_VALUE"] == 100 * 1 / 1


def test_low_coverage_blanks_the_consistent_value_only():
    run = Run((2017, 2018), "2024", "2026-01-01", CELL_M2)
    zone, stock = Zone("XX1", 1, 1, "West", "", 5), Stock(2, 4, {"IMP": 1, "GRN": 2, "OTH": 1})
    raw, consistent = (next(table.stock_rows(zone, stock, run, "artificial", m, 2017)) for m in (RAW, CONSISTENT))
    assert raw["OBS_VALUE"] == 400 / 1e6 and "u" in raw["OBS_FLAG"]
    assert consistent["OBS_VALUE"] is None and consistent["OBS_FLAG"] == "u" and consistent["COVERAGE"] == 0.4


def test_region_never_seen_has_a_blank_row_with_coverage_zero():
    zone = Zone("XX1", 1, 1, "West", "", 5)
    made = make_table(np.zeros((2, 1, 5), int), {zone: np.ones((1, 5), bool)}, (2017, 2018))
    check_table(made, CELL_M2)
    assert {(row["OBS_VALUE"], row["OBS_FLAG"], row["COVERAGE"], row["N_PIX"]) for row in made[VALUES]} == {
        (None, "u", 0, 0)
    }


def test_rate_of_a_stock_of_zero_cannot_exist():
    run = Run((2017, 2018, 2019), "2024", "2026-01-01", CELL_M2)
    flow = Flow(5, 5, {"IMP": 0}, {"IMP": 2}, {"IMP": 0})
    rows = list(table.flow_rows(Zone("XX1", 1, 1, "West", "", 5), flow, run, "artificial", RAW, (2017, 2018)))
    assert pick(rows, lc_flow="GAIN", unit="PC")["OBS_VALUE"] is None
    assert pick(rows, lc_flow="GAIN", unit="PC")["OBS_FLAG"] == "mu"
    assert pick(rows, lc_flow="GAIN", unit="KM2")["OBS_VALUE"] == 2 * 400 / 1e6


def test_counts_beyond_32_bits_stay_exact():
    cells = 3_863_834_000
    row = next(
        table.stock_rows(
            Zone("XX", 1, 0, "", "", cells), Stock(cells, cells, {"IMP": cells}), Run((2018,), "2024", "2026-01-01", 400),
            "artificial", CONSISTENT, 2018,
        )
    )  # fmt: skip
    assert row["N_PIX"] == cells and row["OBS_VALUE"] == 1_545_533.6


def test_both_definitions_sum_the_same_cells():
    classes = {1: 10, 2: 5, 3: 20, 4: 7}
    narrow, wide = (table.stock_of(classes, name) for name in ("artificial", "artificial_natural"))
    assert narrow.cover == {"IMP": 10, "GRN": 20, "OTH": 5 + 7}
    assert wide.cover == {"IMP": 10 + 5, "GRN": 20, "OTH": 7}


def test_a_method_with_a_sample_has_intervals_and_no_flag_of_low_reliability():
    run = Run((2017, 2018), "2024", "2026-01-01", CELL_M2)
    zone, code = Zone("XX1", 1, 1, "West", "", 10), "estimated"
    assert method_facts(code).interval
    stock = Stock(10, 10, {"IMP": 4}, {"IMP": (3, 6)})
    flow = Flow(10, 10, {"IMP": 4}, {"IMP": 1}, {"IMP": 0}, interval={("GAIN", "IMP"): (0.8, 1.4)})
    rows = [*table.stock_rows(zone, stock, run, "artificial", code, 2017)]
    rows += table.stock_rows(zone, Stock(10, 10, {"IMP": 5}), run, "artificial", code, 2018)
    rows += table.flow_rows(zone, flow, run, "artificial", code, (2017, 2018))
    km2, percent = (pick(rows, lc_flow="STK", TIME_PERIOD=2017, unit=unit) for unit in ("KM2", "PC"))
    assert [km2[c] for c in ("OBS_LCI95", "OBS_VALUE", "OBS_UCI95")] == [n * 400 / 1e6 for n in (3, 4, 6)]
    assert [percent[c] for c in ("OBS_LCI95", "OBS_VALUE", "OBS_UCI95")] == [30, 40, 60]
    gain = pick(rows, lc_flow="GAIN", unit="PC")
    assert [gain[c] for c in ("OBS_LCI95", "OBS_VALUE", "OBS_UCI95", "OBS_FLAG")] == [20, 25, 35, "p"]
    loss = pick(rows, lc_flow="LOSS", unit="KM2")
    assert (loss["OBS_LCI95"], loss["OBS_FLAG"]) == (None, "pu")
    made = {VALUES: rows, TRANSITIONS: [], REGIONS: [table.region_row(zone, run)]}
    check_table({name: table.sort_rows(part, name) for name, part in made.items()}, CELL_M2)
    km2["OBS_UCI95"] = 0.0
    with pytest.raises(TableError, match="an interval that contains its value"):
        check_table(made, CELL_M2)


def test_a_wide_interval_is_of_low_reliability_and_a_loss_that_is_not_known_is_blank():
    run, zone = Run((2017, 2018), "2024", "2026-01-01", CELL_M2), Zone("XX1", 1, 1, "West", "", 10)
    wide = Flow(10, 10, {"IMP": 4}, {"IMP": 1}, {}, interval={("GAIN", "IMP"): (0.4, 2)})
    rows = list(table.flow_rows(zone, wide, run, "artificial", "estimated", (2017, 2018)))
    assert pick(rows, lc_flow="GAIN", unit="KM2")["OBS_FLAG"] == "pu"
    for flow in ("LOSS", "NET"):
        row = pick(rows, lc_flow=flow, unit="KM2")
        assert (row["OBS_VALUE"], row["MISSING_REASON"]) == (None, "NO_SAMPLE")
    made = {VALUES: rows, TRANSITIONS: [], REGIONS: [table.region_row(zone, run)]}
    check_table({name: table.sort_rows(part, name) for name, part in made.items()}, CELL_M2)


stacks = st.integers(2, 5).flatmap(lambda years: arrays("int64", (years, 3, 4), elements=st.integers(0, 4)))


@settings(max_examples=60, deadline=None)
@given(stacks, st.sampled_from(["artificial", "artificial_natural"]))
def test_every_table_holds_its_invariants(stack, definition):
    west = np.zeros((3, 4), bool)
    west[:, :2] = True
    zones = {
        Zone("XX", 1, 0, "Land", "", 12): west | ~west,
        Zone("XX1", 2, 1, "West", "XX", 6): west,
        Zone("XX2", 3, 1, "East", "XX", 6): ~west,
    }
    years = tuple(range(2017, 2017 + len(stack)))
    made = make_table(stack, zones, years, definition)
    check_table(made, CELL_M2)
    # The two most important invariants, without the checker.
    raw = {
        (row["geo"], row["lc_flow"], row["landcover"], row["time_from"], row["TIME_PERIOD"]): row["OBS_VALUE"] or 0
        for row in made[VALUES]
        if row["method"] == RAW and row["unit"] == "KM2"
    }
    for geo, *rest in [key for key in raw if key[0] == "XX"]:
        assert raw[(geo, *rest)] == pytest.approx(raw[("XX1", *rest)] + raw[("XX2", *rest)], abs=1e-12)
    impervious = (1,) if definition == "artificial" else (1, 2)
    for a, b in change.resolve_spans(years):
        first, second = stack[a - 2017], stack[b - 2017]
        common = (first != 0) & (second != 0)
        net = (np.isin(second, impervious) & common).sum() - (np.isin(first, impervious) & common).sum()
        assert raw["XX", "NET", "IMP", a, b] == pytest.approx(net * 400 / 1e6, abs=1e-12)
        gain, loss = raw["XX", "GAIN", "IMP", a, b], raw["XX", "LOSS", "IMP", a, b]
        assert gain - loss == pytest.approx(net * 400 / 1e6, abs=1e-12)


def first(rows, **wanted):
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def spoil(**wanted):
    """Return a change to one row of a table: the new values are given with a trailing underscore."""
    new = {key[:-1]: value for key, value in wanted.items() if key.endswith("_")}
    match = {key: value for key, value in wanted.items() if not key.endswith("_")}

    def apply(made):
        first(made[VALUES], **match).update(new)

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        spoil(lc_flow="NET", unit="KM2", landcover="IMP", OBS_VALUE_=1.0),
        spoil(lc_flow="GAIN", unit="KM2", landcover="IMP", OBS_VALUE_=1.0),
        spoil(lc_flow="STK", unit="KM2", landcover="IMP", method=RAW, OBS_VALUE_=0.0),
        spoil(lc_flow="STK", unit="KM2", landcover="IMP", method=CONSISTENT, OBS_VALUE_=0.0),
        spoil(lc_flow="STK", unit="PC", landcover="IMP", OBS_VALUE_=101.0),
        spoil(lc_flow="STK", unit="PC", landcover="IMP", OBS_VALUE_=float("nan")),
        spoil(lc_flow="STK", landcover_="LCA"),
        spoil(geo_="YY"),
        spoil(geo_="=1+1"),
        spoil(N_PIX_=1.5),
        spoil(COVERAGE_=1.2),
        spoil(lc_flow="STK", COVERAGE_=0.1, OBS_FLAG_=""),
        spoil(method=CONSISTENT, COVERAGE_=0.1),
        spoil(OBS_FLAG_="up"),
        spoil(OBS_LCI95_=0.0, OBS_UCI95_=1.0),
        spoil(lc_flow="STK", time_from_=2016),
        spoil(lc_flow="GAIN", time_from_=2019, TIME_PERIOD_=2019),
        spoil(OBS_VALUE_=None, OBS_FLAG_=""),
        lambda made: made[VALUES].append(dict(made[VALUES][0])),
        lambda made: made[VALUES][0].pop("COVERAGE"),
        lambda made: made[TRANSITIONS][0].update(landcover_to=made[TRANSITIONS][0]["landcover_from"]),
        lambda made: first(made[TRANSITIONS], unit="KM2", landcover_from="GRN", landcover_to="IMP").update(
            OBS_VALUE=9.0
        ),
        lambda made: made[REGIONS][0].update(parent="ZZ"),
    ],
)
def test_check_finds_the_damage(five_cells_three_years, damage):
    check_table(five_cells_three_years, CELL_M2)
    spoiled = deepcopy(five_cells_three_years)
    damage(spoiled)
    with pytest.raises(TableError, match="Report this bug"):
        check_table(spoiled, CELL_M2)


def test_check_finds_children_that_do_not_add_up():
    stack = np.array([[[1, 3]], [[1, 1]]])
    zones = {
        Zone("XX", 1, 0, "", "", 2): np.array([[True, True]]),
        Zone("XX1", 2, 1, "", "XX", 1): np.array([[True, False]]),
        Zone("XX2", 3, 1, "", "XX", 1): np.array([[True, False]]),
    }
    with pytest.raises(TableError, match="the sum of its parts"):
        check_table(make_table(stack, zones, (2017, 2018)), CELL_M2)


RECORDS = [
    {"cat": 1, "id": "BE", "n": "Belgique\u00a0"},
    {"cat": 2, "id": "BE25", "n": None},
    {"cat": 3, "id": "BE253", "n": "Ieper"},
]


def test_zones_get_level_by_code_and_trimmed_names():
    zones = parse_zones(RECORDS, key="cat", column="id", level=None, name="n")
    assert [(z.geo, z.level, z.name) for z in zones] == [
        ("BE", 0, "Belgique"),
        ("BE25", 2, "BE25"),
        ("BE253", 3, "Ieper"),
    ]
    assert resolve_parents(zones, {}) == {"BE": "", "BE25": "BE", "BE253": "BE25"}


def records(*codes, **columns):
    return [
        {"cat": n, "id": code, **{c: v[n - 1] for c, v in columns.items()}} for n, code in enumerate(codes, start=1)
    ]


@pytest.mark.parametrize(
    ("codes", "levels"),
    [
        (("HH", "HB", "MTK", "KB"), [0] * 4), (("NA", "MI", "TO", "RM"), [0] * 4), ((1001, 10041), [0] * 2), (("DE", "DE1", "DE11"), [0, 1, 2]),
        (("XA1", "XA111"), [1, 3]), (("DE1", "de11"), [0] * 2), (("EL30", "UKI"), [2, 1]), (("08111", "09"), [0] * 2), (("DE1", "Q1"), [0] * 2),
        (("DE1111", "DE1"), [0] * 2),
    ],
)  # fmt: skip
def test_levels_come_from_codes_only_where_all_are_nuts(codes, levels):
    found = parse_zones(records(*codes), key="cat", column="id", level=None, name=None)
    assert {zone.geo: zone.level for zone in found} == dict(zip(map(str, codes), levels, strict=True))


@pytest.mark.parametrize(
    ("value", "level"),
    [(3, 3), (3.0, 3), ("3", 3), (" 3 ", 3), ("3.0", 3), ("0", 0), (9, 9), (None, None), ("", None), ("three", None), (3.5, None), (-1, None), (10, None), ("nan", None)],
)  # fmt: skip
def test_a_level_may_be_text_and_the_column_at_fault_is_named(value, level):
    if level is None:
        with pytest.raises(InputError, match=r"found level '.*' in column L, expected .*\. Correct column L with"):
            parse_zones(records("a", L=[value]), key="cat", column="id", level="L", name=None)
    else:
        assert parse_zones(records("a", L=[value]), key="cat", column="id", level="L", name=None)[0].level == level


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Alpha\nBeta", "Alpha Beta"), ("Tab\there", "Tab here"), ("Line\x0bBreak", "Line Break"), ("Unit\x1fSep", "Unit Sep"), ("\u2028x", "x"),
        ("Région d’été", "Région d’été"), ("\x00", "a"), (5, "5"), ("L'Aquila", "L'Aquila"),
    ],
)  # fmt: skip
def test_names_are_one_line(name, shown):
    assert parse_zones(records("a", N=[name]), key="cat", column="id", level=None, name="N")[0].name == shown


def made(*levels):
    """Return zones from code:level."""
    return [
        Zone(code, n, int(level), "") for n, (code, _, level) in enumerate((word.partition(":") for word in levels), 1)
    ]


@pytest.mark.parametrize(
    ("zones", "inside", "parents"),
    [
        # Official municipality keys as numbers: 1001 lies in 1, and 10041 in 10, whatever the numbers begin with.
        (made("1:0", "10:0", "1001:1", "10041:1"), {"1001": {"": 9, "1": 9}, "10041": {"": 9, "10": 9}}, {"1001": "1", "10041": "10"}),
        (made("1:0", "10:0", "1001:1"), {"1001": {"": 9, "10": 9}}, {"1001": "10"}),
        # Slivers of outlines at other scales.
        (made("A:0", "B:0", "c:1"), {"c": {"": 100, "A": 97, "B": 3}}, {"c": "A"}),
        # The nearest level comes first, and one that holds too little is passed over.
        (made("A:0", "b:1", "c:2"), {"c": {"": 9, "A": 9, "b": 9}, "b": {"": 9, "A": 9}}, {"c": "b", "b": "A"}),
        (made("A:0", "b:1", "c:2"), {"c": {"": 9, "A": 9, "b": 2}, "b": {"": 9, "A": 9}}, {"c": "A", "b": "A"}),
        (made("A:0", "b:1"), {"b": {"": 9}}, {"b": ""}),
        # Codes that look like NUTS but whose levels say otherwise.
        (made("DE:0", "DE1:0", "DE11:1"), {"DE11": {"": 9, "DE": 9}}, {"DE11": "DE"}),
        (made("DE:0", "DE1:1", "DE11:2"), {}, {"DE1": "DE", "DE11": "DE1"}),
        (made("DE:0", "DE1:1"), {"DE1": {"": 9, "DE": 8}}, {"DE1": "DE"}),
    ],
)  # fmt: skip
def test_parents_come_from_codes_of_nuts_or_from_geometry(zones, inside, parents):
    assert {geo: parent for geo, parent in resolve_parents(zones, inside).items() if geo in parents} == parents


def test_a_column_names_parents_and_cells_are_held_against_it():
    table = records("1", "10", "1001", L=[0, 0, 1], PARENT=[None, "", 10])
    found = parse_zones(table, key="cat", column="id", level="L", name=None, parent="PARENT")
    assert resolve_parents(found, {"1001": {"": 9, "10": 7, "1": 2}})["1001"] == "10"
    for inside in ({"": 9, "1": 9}, {"": 9, "10": 4, "1": 5}):
        with pytest.raises(
            InputError, match=r"region 1001: found . of its 9 cells in region 10, expected most of them"
        ):
            resolve_parents(found, {"1001": inside})
    table[2]["PARENT"] = "77"
    with pytest.raises(InputError, match="found parent '77' in column PARENT, expected a code of column id"):
        parse_zones(table, key="cat", column="id", level="L", name=None, parent="PARENT")


def test_a_region_that_lies_outside_the_parent_of_its_code_is_refused():
    with pytest.raises(InputError, match="region DE1: found 2 of its 9 cells in region DE, expected most of them"):
        resolve_parents(made("DE:0", "DE1:1"), {"DE1": {"": 9, "DE": 2}})


@pytest.mark.parametrize(
    ("geo", "message"),
    [
        (None, "no code in column id"),
        (" ", "no code in column id"),
        ("=cmd", "code '=cmd'"),
        ("BE25", "code 'BE25' occurs 2 times"),
    ],
)
def test_zones_with_unfit_codes_are_refused(geo, message):
    with pytest.raises(InputError, match=message):
        parse_zones([*RECORDS, {"cat": 4, "id": geo, "n": "x"}], key="cat", column="id", level=None, name="n")


@pytest.fixture
def folder(tmp_path, five_cells_three_years):
    five_cells_three_years[REGIONS][0]["name"] = '=HYPERLINK("x")'
    path = tmp_path / "out"
    outlines = {"type": "FeatureCollection", "features": []}
    with tablefile.writing_folder(path, five_cells_three_years, outlines, {"name": "t"}):
        pass
    return path


def test_csv_is_plain_utf8_with_lf_and_guarded_text(folder):
    raw = (folder / "nuts_regions.csv").read_bytes()
    assert b"\r" not in raw
    assert next(csv.DictReader(raw.decode("utf-8").splitlines()))["name"] == '\'=HYPERLINK("x")'
    values = list(csv.DictReader((folder / "impervious_nuts.csv").read_text("utf-8").splitlines()))
    # A net loss begins with a minus and stays a number.
    assert any(row["OBS_VALUE"].startswith("-") for row in values)


def test_parquet_is_typed_and_holds_the_same_rows(folder, five_cells_three_years):
    read = pq.read_table(folder / "impervious_nuts.parquet")
    types = {field["name"]: field["type"] for field in SCHEMA["tables"][VALUES]["fields"]}
    arrow = {"string": "string", "integer": "int64", "number": "double"}
    assert {field.name: str(field.type) for field in read.schema} == {name: arrow[kind] for name, kind in types.items()}
    assert read.to_pylist() == five_cells_three_years[VALUES]


def test_package_describes_every_file(folder):
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    files = {resource["path"] for resource in package["resources"]}
    assert files | {"datapackage.json"} == {path.name for path in folder.iterdir()}
    values = next(r for r in package["resources"] if r["path"] == "impervious_nuts.csv")["schema"]
    flow = next(field for field in values["fields"] if field["name"] == "lc_flow")
    assert flow["constraints"] == {"required": True, "enum": ["STK", "GAIN", "LOSS", "NET"]}
    assert values["primaryKey"][-1] == "vintage"


def test_folder_that_cannot_be_finished_leaves_the_old_one(folder, five_cells_three_years):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    five_cells_three_years[REGIONS][0]["level"] = "no number"
    with pytest.raises(Exception, match="no number"), tablefile.writing_folder(folder, five_cells_three_years, {}, {}):
        pass
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_what_a_killed_run_left_beside_a_folder_goes_and_what_another_writes_stays(tmp_path):
    from imperviouslib.edge.files import atomic_folder

    code = "import sys, time; from pathlib import Path; from imperviouslib.edge.files import atomic_folder\n"
    code += "with atomic_folder(Path(sys.argv[1])) as part: (part / 'a').write_text(''); print(part, flush=True); time.sleep(300)"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "table[1].v2"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        left, held = (Path(run.stdout.readline().strip()) for run in runs)
        runs[0].kill()
        runs[0].wait()
        (begun := held.with_name(".table[1].0123456789ab.part.v2")).mkdir()
        with pytest.raises(KeyError), atomic_folder(tmp_path / "table[1].v2"):
            raise KeyError
        assert (left / "a").exists()
        with atomic_folder(tmp_path / "table[1].v2"):
            pass
        assert not left.exists() and (held / "a").exists() and begun.exists()
    finally:
        for run in runs:
            run.kill()
            run.communicate()


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    from imperviouslib.edge.files import atomic_folder

    place, rename = tmp_path / "table", Path.rename
    place.mkdir()
    (place / "old.csv").write_text("old")

    def fail(path, target):
        if ".part" in path.name and (path / "new.csv").exists():
            raise OSError("no permission")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no permission"), atomic_folder(place) as part:
        (part / "new.csv").write_text("new")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["table", "table/old.csv"]


# Parents and their regions


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        ({"XX": 10_000, "XX1": 5000, "XX2": 5000}, {}), ({"XX": 10_000, "XX1": 5000, "XX2": 4995}, {}),
        ({"XX": 10_000, "XX1": 5000, "XX2": 3000}, {"XX": 8000}), ({"XX": 10_000, "XX1": 5000}, {"XX": 5000}),
        ({"XX": 10_000, "XX1": 5000, "XX2": 6000}, {"XX": 11_000}), ({"XX": 10_000}, {}), ({"XX": 3, "XX1": 1, "XX2": 1}, {}),
        ({"XX": 10_000, "XX1": 5000, "XX2": 5000, "XX11": 1, "XX12": 2}, {"XX1": 3}),
    ],
)  # fmt: skip
def test_the_cells_of_parents_are_held_against_those_of_their_regions(cells, parts):
    zones = [
        Zone(geo, n, len(geo) - 2, geo, geo[:-1] if len(geo) > 2 else "", size)
        for n, (geo, size) in enumerate(cells.items())
    ]
    found = compare_parts(zones)
    assert {zone.geo: zone.parts_cells for zone in found if zone.parts_cells is not None} == parts
    told = describe_parts(found, CELL_M2)
    assert bool(told) == bool(parts) and all(geo in told for geo in parts) and "\n" not in told


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=6), st.integers(0, 10_000))
def test_a_parent_is_flagged_if_and_only_if_its_regions_do_not_add_up(sizes, overseas):
    whole = Zone("XX", 1, 0, "", "", sum(sizes) + overseas)
    regions = [Zone(f"XX{n}", n + 2, 1, "", "XX", size) for n, size in enumerate(sizes)]
    found, *others = compare_parts([whole, *regions])
    assert others == regions
    assert (found.parts_cells is not None) == (overseas > max(1, 0.001 * whole.cells))
    run = Run((2017, 2018, 2019), "2024", "2026-01-01", CELL_M2)
    stock = Stock(whole.cells, whole.cells, {"IMP": 1})
    for method, letters in ((CONSISTENT, "du"), (RAW, "u")):
        row = next(table.stock_rows(found, stock, run, "artificial", method, 2018))
        assert row["OBS_FLAG"] == (letters if found.parts_cells is not None else "u")


def test_the_regions_in_view_are_printed_and_not_a_country_that_was_not_seen():
    zones = [Zone("XX", 1, 0, "", "", 10_000), Zone("XX1", 2, 1, "", "XX", 100), Zone("XX2", 3, 1, "", "XX", 100)]
    zones += [Zone("XX11", 4, 2, "", "XX1", 50), Zone("XX21", 5, 2, "", "XX2", 50)]

    def shown(*coverages):
        rows, run = [], Run((2018,), "2024", "2026-01-01", CELL_M2)
        for zone, coverage in zip(zones, coverages, strict=True):
            stock = Stock(coverage * zone.cells, zone.cells, {"IMP": 1})
            rows += table.stock_rows(zone, stock, run, "artificial", RAW, 2018)
        return [zone.geo for zone in table.in_view({VALUES: rows}, zones)]

    assert shown(1, 1, 1, 1, 1) == ["XX"]
    assert shown(0.01, 0.9, 0.4, 1, 1) == ["XX1", "XX2"]
    assert shown(0.01, 0.9, 0, 1, 0) == ["XX1"]
    assert shown(0.01, 0.1, 0, 0.2, 0) == ["XX11"]
    assert shown(0, 0, 0, 0, 0) == ["XX"]
