"""The table folder: what is read, and the message of one line for each fault."""

import itertools
import json
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.__main__ import crowded_levels, main
from dashboard.data import read_table
from dashboard.errors import WRITE_AGAIN, TableFolderError
from dashboard.exports import select, to_csv
from dashboard.table import Measure, Period
from dashboard.tests.conftest import TOP
from dashboard.tests.make_table import MOVES, YEARS, arrow, make_outlines, make_regions, spans
from dashboard.texts import period_title

GAIN = Measure("GAIN", "IMP", "artificial_natural", "estimated", "KM2")


def rewrite(folder, name, change):
    """Change the rows of a table file."""
    path = folder / f"{name}.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(arrow(name, rows), path)


def set_first(column, value):
    return lambda rows: rows[0].update({column: value})


def test_cube_holds_each_figure_of_the_file(folder, table):
    cube = table.cube(GAIN, 2)
    wanted = {
        "lc_flow": "GAIN",
        "landcover": "IMP",
        "definition": "artificial_natural",
        "method": "estimated",
        "unit": "KM2",
    }
    rows = [
        row
        for row in pq.read_table(folder / "impervious_nuts.parquet").to_pylist()
        if all(row[key] == value for key, value in wanted.items()) and len(row["geo"]) == 4
    ]
    assert len(rows) == 16 * len(spans(YEARS))
    for row in rows:
        cell = cube.cell(row["geo"], Period(row["TIME_PERIOD"], row["time_from"]))
        found = (cell.value, cell.low, cell.high, cell.coverage, cell.flags, cell.reason)
        columns = ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95", "COVERAGE", "OBS_FLAG", "MISSING_REASON")
        assert found == tuple(row[k] for k in columns)


def test_small_regions_sum_to_the_country(table):
    country, small = table.cube(GAIN, 0), table.cube(GAIN, 1)
    assert small.value.sum(axis=0) == pytest.approx(country.value[0])


def test_stock_has_every_year_and_flow_all_but_the_first(table):
    stock = Measure("STK", "IMP", "artificial", "mapped_raw", "PC")
    assert [p.year for p in table.cube(stock, 3).periods] == list(YEARS)
    assert {(p.year_from, p.year) for p in table.cube(GAIN, 3).periods} == set(spans(YEARS))
    assert [(p.year_from, p.year) for p in table.cube(GAIN, 3).steps] == list(itertools.pairwise(YEARS))


def test_region_without_figures_is_empty_not_zero(table):
    cube = table.cube(GAIN, 3)
    absent = [geo for geo in cube.geos if np.isnan(cube.coverage[cube.row_of[geo]]).all()]
    assert len(absent) == 1
    assert cube.cell(absent[0], cube.periods[0]).value is None


def test_measure_that_is_not_there_is_an_empty_cube(table):
    cube = table.cube(Measure("GAIN", "IMP", "artificial", "assisted", "KM2"), 3)
    assert cube.periods == () and cube.nearest(2020) is None


def test_headline_is_estimated_else_consistent_never_raw(table, plain_table):
    assert (table.headline_method.code, plain_table.headline_method.code) == ("estimated", "mapped_consistent")


def test_newest_run_is_shown_and_older_ones_are_kept(own_folder):
    def older(rows):
        rows += [{**row, "vintage": "2023-03-01"} for row in rows if row["method"] == "mapped_raw"]

    rewrite(own_folder, "impervious_nuts", older)
    table = read_table(own_folder)
    assert table.vintage == "2024-03-01"
    assert set(table.facts["vintage"].to_pylist()) == {"2023-03-01", "2024-03-01"}


def test_of_the_flows_to_one_year_the_shortest_is_shown_first(table):
    cube = table.cube(GAIN, 3)
    assert {Period(2020, 2019), Period(2020, 2017)} <= set(cube.periods)
    assert cube.nearest(2020) == Period(2020, 2019)
    assert cube.nearest(2020, 2017) == Period(2020, 2017)
    assert cube.nearest(2020, 2018) == Period(2020, 2019)


def test_derived_units_are_the_areas_times_a_constant(table):
    km2 = table.cube(GAIN, 3)
    ha = table.cube(replace(GAIN, unit="HA"), 3)
    share = table.cube(replace(GAIN, unit="PA"), 3)
    for name in ("value", "low", "high"):
        assert getattr(ha, name) == pytest.approx(100 * getattr(km2, name), nan_ok=True)
        assert getattr(share, name) == pytest.approx(100 * getattr(km2, name) / 576, nan_ok=True)
    assert table.has(replace(GAIN, unit="HA")) and not table.has(replace(GAIN, lc_flow="STK", unit="PA"))


def test_inhabitants_of_the_indicators_are_a_unit_of_the_stock(folder, table):
    measure = Measure("STK", "IMP", "artificial", "estimated", "M2_HAB")
    row = next(
        row
        for row in pq.read_table(folder / "impervious_indicators.parquet").to_pylist()
        if (row["geo"], row["definition"], row["method"], row["TIME_PERIOD"])
        == ("XA1", "artificial", "estimated", 2020)
    )
    assert table.cube(measure, 1).cell("XA1", Period(2020, 2020)).value == row["OBS_VALUE"]
    assert not table.has(replace(measure, landcover="GRN"))


def test_confidential_figures_are_hidden_everywhere(own_folder):
    def hide(rows):
        for row in rows:
            if row["geo"] == "XA111" and row["method"] == "estimated" and row["TIME_PERIOD"] == 2018:
                row["CONF_STATUS"] = "C"

    rewrite(own_folder, "impervious_nuts", hide)
    table = read_table(own_folder)
    assert table.cube(GAIN, 3).cell("XA111", Period(2018, 2017)).value is None
    assert table.cube(GAIN, 3).cell("XA112", Period(2018, 2017)).value is not None
    moves = {row[2:4]: row[4] for row in table.transitions_of("XA111", "artificial", "estimated")}
    assert moves[2017, 2018] is None and moves[2018, 2019] is not None
    text = b"".join(
        to_csv(select(table, {"geo": ["XA111"], "TIME_PERIOD": ["2018"], "method": ["estimated"]}))
    ).decode()
    header, *lines = text.splitlines()
    at = header.replace('"', "").split(",").index("OBS_VALUE")
    assert lines and {line.split(",")[at] for line in lines} == {""}


@pytest.mark.parametrize(
    ("period", "label", "title"),
    [
        (Period(2018, 2018), "2018", "2018"),
        (Period(2018, 2017), "2017–18", "2017 to 2018"),
        (Period(2000, 1999), "1999–2000", "1999 to 2000"),
    ],
)
def test_period_has_a_short_and_a_long_form(period, label, title):
    assert (period.label, period_title(period)) == (label, title)


def test_transitions_are_those_of_the_region(table):
    rows = table.transitions_of("XA111", "artificial", "mapped_raw")
    found = {row[:2]: row[4] for row in rows if row[2:4] == (2019, 2020)}
    assert set(found) == set(MOVES)
    gain = table.cube(Measure("GAIN", "IMP", "artificial", "mapped_raw", "KM2"), 3).cell("XA111", Period(2020, 2019))
    assert found["GRN", "IMP"] + found["OTH", "IMP"] == pytest.approx(gain.value)
    assert table.transitions_of("XA111", "artificial", "assisted") == []


def test_table_without_regions_is_refused(own_folder):
    for name in ("impervious_nuts", "impervious_nuts_transitions", "impervious_indicators", "nuts_regions"):
        rewrite(own_folder, name, list.clear)
    assert_refused(own_folder, "nuts_regions.parquet' has no rows. A table needs at least one region.")


def test_table_without_figures_is_read(own_folder):
    for name in ("impervious_nuts", "impervious_indicators"):
        rewrite(own_folder, name, list.clear)
    table = read_table(own_folder)
    assert table.years == () and table.levels == (0, 1, 2, 3)


FAULTS = {
    "unknown flow": (
        "impervious_nuts",
        set_first("lc_flow", "GROW"),
        "column lc_flow: 'GROW' is not one of STK, GAIN, LOSS, NET.",
    ),
    "unknown flag": (
        "impervious_nuts",
        set_first("OBS_FLAG", "px"),
        "column OBS_FLAG: 'px' has letters other than b d e f i m n p u.",
    ),
    "coverage above one": (
        "impervious_nuts",
        set_first("COVERAGE", 1.2),
        "column COVERAGE: 1.2 is above the maximum, which is 1.",
    ),
    "negative count": ("impervious_nuts", set_first("N_PIX", -1), "column N_PIX: -1 is below the minimum, which is 0."),
    "not a number": (
        "impervious_nuts",
        set_first("OBS_VALUE", float("nan")),
        "column OBS_VALUE: a value is NaN or infinite. Cells without a value must be empty.",
    ),
    "empty year": (
        "impervious_nuts",
        set_first("TIME_PERIOD", None),
        "column TIME_PERIOD: 1 cells are empty, but each row needs a value.",
    ),
    "code with a slash": ("nuts_regions", set_first("geo", "../x"), "column geo: '../x' does not match ^[A-Za-z0-9]"),
    "code with a line break": (
        "nuts_regions",
        set_first("geo", "XA\n"),
        "column geo: 'XA\\n' does not match ^[A-Za-z0-9]",
    ),
    "vintage": ("impervious_nuts", set_first("vintage", "yesterday"), "column vintage: 'yesterday' does not match"),
    "same key twice": (
        "impervious_nuts",
        lambda rows: rows.append(rows[0]),
        "has two rows with the same freq, lc_flow, landcover,",
    ),
    "unknown region": (
        "impervious_nuts",
        set_first("geo", "XZ999"),
        "has geo, nuts_version ('XZ999', '2024'), which nuts_regions lacks.",
    ),
    "unknown region of a transition": (
        "impervious_nuts_transitions",
        set_first("geo", "XZ999"),
        "has geo, nuts_version ('XZ999', '2024'), which nuts_regions lacks.",
    ),
    "no regions": ("nuts_regions", list.clear, "has geo, nuts_version ('XA', '2024'), which nuts_regions lacks."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_rows_give_one_line(own_folder, fault):
    name, change, said = FAULTS[fault]
    rewrite(own_folder, name, change)
    assert_refused(own_folder, said)


def assert_refused(folder, said):
    with pytest.raises(TableFolderError) as caught:
        read_table(folder)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message and message.endswith(f". {WRITE_AGAIN}")


def test_missing_column_gives_one_line(own_folder):
    path = own_folder / "impervious_nuts.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["COVERAGE"]), path)
    assert_refused(own_folder, "has no column COVERAGE.")


def test_text_where_numbers_belong_gives_one_line(own_folder):
    path = own_folder / "impervious_nuts.parquet"
    whole = pq.read_table(path)
    at = whole.column_names.index("OBS_VALUE")
    pq.write_table(whole.set_column(at, "OBS_VALUE", whole["OBS_VALUE"].cast(pa.string())), path)
    assert_refused(own_folder, "column OBS_VALUE: the type is string, but must be floating-point numbers.")


def test_empty_and_dictionary_columns_are_accepted(own_folder):
    path = own_folder / "impervious_nuts.parquet"
    whole = pq.read_table(path)
    for name, column in (
        ("geo", whole["geo"].dictionary_encode()),
        ("CONF_STATUS", pa.nulls(len(whole))),
        ("N_PIX", whole["N_PIX"].cast(pa.int32())),
    ):
        whole = whole.set_column(whole.column_names.index(name), name, column)
    pq.write_table(whole, path)
    assert read_table(own_folder).cube(GAIN, 3).periods


@pytest.mark.parametrize(
    "name", ["impervious_nuts.parquet", "nuts_regions.parquet", "outlines.geojson", "datapackage.json"]
)
@pytest.mark.parametrize("content", [None, b"", b"{", b"PAR1nothing"])
def test_missing_or_damaged_file_gives_one_line(own_folder, name, content):
    (own_folder / name).unlink()
    if content is not None:
        (own_folder / name).write_bytes(content)
    assert_refused(own_folder, name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: root.update(features=[]), "is not a GeoJSON feature collection, or has no features."),
        (lambda root: root["features"][0].pop("properties"), "has a feature without the property geo."),
        (
            lambda root: root["features"][0].update(geometry={"type": "Point", "coordinates": [0, 0]}),
            "region XA: the outline must be a polygon with rings; its type is Point.",
        ),
        (
            lambda root: root["features"][0].update(geometry=None),
            "region XA: the outline must be a polygon with rings; its type is None.",
        ),
        (
            lambda root: root["features"][0].update(
                geometry={"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51]]]}
            ),
            "region XA: the coordinates must be metres of EPSG:3035, not degrees.",
        ),
        (
            lambda root: root["features"][0].update(
                geometry={"type": "Polygon", "coordinates": [[[10**400, 0], [10**401, 0], [0, 10**400]]]}
            ),
            "region XA: the outline must be a polygon with rings; its type is Polygon.",
        ),
        (
            lambda root: [f["properties"].update(geo="ZZ") for f in root["features"]],
            "has no outline of a region of the table.",
        ),
    ],
)
def test_wrong_outlines_give_one_line(own_folder, spoil, said):
    root = make_outlines(make_regions())
    spoil(root)
    (own_folder / "outlines.geojson").write_text(json.dumps(root))
    assert_refused(own_folder, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check", "/no/such/folder"], "ERROR: Table folder '/no/such/folder' does not exist. Check --data."),
        ([], "ERROR: No table folder is given. Use --data DIR, or set IMPERVIOUS_TABLE."),
        (["--check", __file__], f"ERROR: Table folder '{__file__}' is a file. Check --data."),
        (["--data", "/no/such/folder"], "ERROR: Table folder '/no/such/folder' does not exist. Check --data."),
    ],
)
def test_command_stops_with_one_line(arguments, said, capsys, monkeypatch):
    monkeypatch.delenv("IMPERVIOUS_TABLE", raising=False)
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", f"{said}\n")


def test_command_reports_an_address_that_is_taken(small_folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--data", str(small_folder), "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ERROR: Address 127.0.0.1:{port} cannot be used: Address already in use.")
    assert said.count("\n") == 1


def test_check_says_what_a_folder_holds_without_serving_it(small_folder, capsys):
    assert main(["--check", str(small_folder)]) == 0
    said, errors = capsys.readouterr()
    assert said.startswith(f"Table folder '{small_folder}' can be shown: ") and errors == ""
    assert "years 2017 to 2019, methods Estimated from a sample, Consistent map, Raw map counts." in said


def test_check_refuses_with_one_line(own_folder):
    """In a process of its own: what the library writes by itself, such as a traceback, would be there too."""
    rewrite(own_folder, "impervious_nuts", set_first("COVERAGE", 1.2))
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", "--check", str(own_folder)], cwd=TOP, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "COVERAGE" in done.stderr


def test_neighbours_are_read_checked_and_part_of_the_digest(own_folder):
    plain = read_table(own_folder)
    outlines = make_outlines(make_regions())
    path = own_folder / "neighbours.geojson"
    path.write_text(json.dumps(outlines))
    table = read_table(own_folder)
    assert plain.neighbours == [] and len(table.neighbours) == len(outlines["features"])
    assert table.digest != plain.digest
    outlines["features"][1]["geometry"] = {"type": "Point", "coordinates": [1, 2]}
    path.write_text(json.dumps(outlines))
    with pytest.raises(TableFolderError, match=r"neighbours.geojson', feature 2: the outline must be a polygon"):
        read_table(own_folder)
    path.write_text("[]")
    with pytest.raises(TableFolderError, match="is not a GeoJSON feature collection"):
        read_table(own_folder)


@pytest.mark.parametrize("name", ["datapackage.json", "outlines.geojson"])
@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000 + "1" + "}" * 200_000, "9" * 5001])
def test_nested_or_huge_json_gives_one_line(own_folder, name, text):
    (own_folder / name).write_text(text)
    assert_refused(own_folder, name)


def test_a_package_of_many_levels_is_read_or_refused(own_folder):
    """Python 3.11 cannot write it again; Python 3.13 can."""
    text = '{"a":' * 990 + "1" + "}" * 990
    (own_folder / "datapackage.json").write_text(text)
    if sys.version_info < (3, 12):
        assert_refused(own_folder, "datapackage.json' has too many levels")
    else:
        assert "".join(read_table(own_folder).package_text.decode().split()) == text


def test_package_of_text_that_is_no_unicode_gives_one_line(own_folder):
    (own_folder / "datapackage.json").write_text('{"title": "\\ud800"}')
    assert_refused(own_folder, "datapackage.json' has text that is no Unicode (a lone surrogate).")


def test_json_of_too_many_bytes_gives_one_line(own_folder, monkeypatch):
    monkeypatch.setattr("dashboard.files.MAX_JSON_BYTES", 20_000)
    assert_refused(own_folder, "bytes. At most 20,000 are read.")


def test_levels_with_more_regions_than_the_map_draws_at_once_are_named(large_table, monkeypatch):
    assert crowded_levels(large_table) == {}
    monkeypatch.setattr("dashboard.__main__.FAST_REGIONS", 50)
    assert crowded_levels(large_table) == {2: 80, 3: 120}
