"""Downloads: the same rows in four forms, from requests that are checked."""

import csv
import io
import json

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard import exports
from dashboard.tests.make_table import FORMULA
from dashboard.xlsx import write_workbook

ONE = {"lc_flow": ["GAIN"], "landcover": ["IMP"], "definition": ["artificial"], "method": ["estimated"], "unit": ["PC"]}


def read_csv(content):
    return list(csv.DictReader(io.StringIO(b"".join(content).decode(), newline="")))


def test_csv_without_filters_is_the_table(folder, table):
    rows = read_csv(exports.to_csv(exports.select(table, {})))
    there = pq.read_table(folder / "impervious_nuts.parquet").to_pylist()
    assert [row["geo"] for row in rows] == [row["geo"] for row in there]
    assert [float(row["OBS_VALUE"]) if row["OBS_VALUE"] else None for row in rows] == [
        row["OBS_VALUE"] for row in there
    ]


def test_large_download_comes_in_parts_with_one_header(table, monkeypatch):
    rows = exports.select(table, {"geo": ["XA111"]})
    whole = b"".join(exports.to_csv(rows))
    monkeypatch.setattr(exports, "PART_ROWS", 100)
    pieces = list(exports.to_csv(rows))
    assert len(pieces) == -(-len(rows) // 100) and b"".join(pieces) == whole
    assert pq.read_table(io.BytesIO(exports.to_parquet(rows))).num_rows == len(rows)
    assert len(read_csv(exports.to_csv(rows.slice(0, 0)))) == 0


def test_filters_narrow_by_region_level_year_and_measure(table):
    filters = exports.parse_filters(
        [("geo", "XA111,XA"), ("level", "3"), ("TIME_PERIOD", "2020,2021"), ("lc_flow", "NET")], table
    )
    rows = exports.select(table, filters)
    assert set(rows["geo"].to_pylist()) == {"XA111"}
    assert set(rows["TIME_PERIOD"].to_pylist()) == {2020, 2021}
    assert set(rows["lc_flow"].to_pylist()) == {"NET"}
    # Flows of one and of three years, years, covers, definitions, methods, units.
    assert len(rows) == 2 * 2 * 3 * 2 * 3 * 2


@pytest.mark.parametrize(
    "items",
    [
        [("geo", "<script>")], [("geo", "")], [("geo", "XA111,")], [("level", "9")], [("TIME_PERIOD", "2020;")], [("<b>", "x")],
        [("geo", "XA"), ("geo", "XA1")], [("method", "../../etc")], [("names", "2")], [("geo", ",".join(["XA"] * 3000))], [("__class__", "x")],
    ],
)  # fmt: skip
def test_bad_filter_is_refused_and_not_sent_back(table, items):
    with pytest.raises(exports.BadRequestError) as caught:
        exports.parse_filters(items, table)
    for key, value in items:
        assert key in exports.FILTERS or key not in str(caught.value)
        assert len(value) < 3 or value not in str(caught.value)


def test_sdmx_csv_has_the_structure_first_and_a_reason_beside_each_gap(table):
    made = read_csv(exports.to_sdmx_csv(exports.select(table, {}), table.schema))
    first = made[0]
    assert list(first)[:5] == ["STRUCTURE", "STRUCTURE_ID", "ACTION", "freq", "lc_flow"]
    assert [first[name] for name in list(first)[:3]] == ["dataflow", "R_IMPERVIOUS:IMPERVIOUS_NUTS(2.0)", "I"]
    values = exports.select(table, {})["OBS_VALUE"].to_pylist()
    assert [None if row["OBS_VALUE"] == "NaN" else float(row["OBS_VALUE"]) for row in made] == values
    assert {row["MISSING_REASON"] for row in made if row["OBS_VALUE"] == "NaN"} == {"LOW_COVERAGE"}


def test_parquet_keeps_types_and_rows(folder, table):
    made = pq.read_table(io.BytesIO(exports.to_parquet(exports.select(table, {}))))
    assert made.equals(pq.read_table(folder / "impervious_nuts.parquet"))


def test_formula_in_a_name_gets_an_apostrophe(table):
    names = {row["name"] for row in read_csv(exports.to_csv(table.regions_table))}
    assert f"'{FORMULA}" in names and FORMULA not in names


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_each_first_letter_of_a_formula_gets_an_apostrophe_and_numbers_stay(text):
    rows = pa.table({"text": pa.array([text, "safe-1", None]), "number": pa.array([-1.5, 2.0, None])})
    made = read_csv(exports.to_csv(rows))
    assert [row["text"] for row in made] == [f"'{text}", "safe-1", ""]
    assert [row["number"] for row in made] == ["-1.5", "2", ""]


def test_geojson_has_one_feature_for_each_region_in_epsg_3035(table):
    root = json.loads(exports.to_geojson(table, {**ONE, "level": ["2"]}))
    assert root["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::3035"
    assert len(root["features"]) == 16
    properties = root["features"][0]["properties"]
    assert properties["low_2020"] < properties["value_2020"] < properties["high_2020"]
    assert root["features"][0]["geometry"] == table.outlines[properties["geo"]]


def test_geojson_needs_one_measure(table):
    with pytest.raises(exports.BadRequestError, match="one code for each"):
        exports.to_geojson(table, {**ONE, "unit": ["PC", "KM2"]})


def test_names_are_a_column_on_request(table):
    filters = exports.parse_filters([("geo", "XA111"), ("TIME_PERIOD", "2018"), ("names", "1")], table)
    rows = read_csv(exports.to_csv(exports.select(table, filters)))
    assert {(row["geo"], row["name"]) for row in rows} == {("XA111", "Aldermoor")}
    assert exports.file_name(filters, "csv") == "impervious_nuts_XA111_2018.csv"


def read_sheet(content, number):
    """Return the values of a sheet, row by row; none of its cells is a formula."""
    rows = list(openpyxl.load_workbook(io.BytesIO(content), read_only=True).worksheets[number - 1].iter_rows())
    assert all(cell.data_type != "f" for row in rows for cell in row)
    return [[cell.value for cell in row] for row in rows]


def test_workbook_has_figures_names_notes_and_citation(table):
    formula = next(geo for geo, region in table.regions.items() if region.name == FORMULA)
    filters = exports.parse_filters([("geo", f"XA111,{formula}"), ("lc_flow", "NET"), ("names", "1")], table)
    rows = exports.select(table, filters)
    made = exports.to_xlsx(table, rows)
    head, *lines = read_sheet(made, 1)
    assert head == rows.column_names and len(lines) == len(rows)
    value = head.index("OBS_VALUE")
    expected = rows["OBS_VALUE"].to_pylist()
    # XlsxWriter writes 16 digits.
    assert [line[value] for line in lines] == [v if v is None else pytest.approx(v, rel=1e-15) for v in expected]
    assert FORMULA in {line[head.index("name")] for line in lines}
    notes = dict(read_sheet(made, 2))
    assert notes["Cite as"] == "Impervious land in Avaria, vintage 2024-03-01, NUTS 2024"
    assert (
        notes["Flag u"].startswith("Low reliability") and notes["Column OBS_LCI95"] and notes["Missing: LOW_COVERAGE"]
    )
    assert exports.to_xlsx(table, rows) == made


def test_workbook_of_too_many_rows_is_refused(table, monkeypatch):
    monkeypatch.setattr(exports, "MAX_XLSX_ROWS", 10)
    with pytest.raises(exports.BadRequestError, match="at most 10 rows"):
        exports.to_xlsx(table, exports.select(table, {}))


def test_text_that_xml_cannot_hold_is_left_out():
    assert read_sheet(write_workbook([("A", [["a\x00<b>&\x0b", 1.5, None]])]), 1) == [["a<b>&", 1.5]]
