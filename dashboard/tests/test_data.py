"""The table folder: what is read, and the message of one line for each fault."""

import itertools
import json
import socket
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.data import read_table
from dashboard.errors import WRITE_AGAIN, TableFolderError
from dashboard.table import Measure, Period
from dashboard.tests.conftest import TOP
from dashboard.tests.make_table import YEARS, arrow, make_outlines, make_regions

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
    assert len(rows) == 16 * 6
    for row in rows:
        cell = cube.cell(row["geo"], Period(row["TIME_PERIOD"], row["time_from"]))
        found = (cell.value, cell.low, cell.high, cell.coverage, cell.flags)
        assert found == tuple(row[k] for k in ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95", "COVERAGE", "OBS_FLAG"))


def test_small_regions_sum_to_the_country(table):
    country, small = table.cube(GAIN, 0), table.cube(GAIN, 1)
    assert small.value.sum(axis=0) == pytest.approx(country.value[0])


def test_stock_has_every_year_and_flow_all_but_the_first(table):
    stock = Measure("STK", "IMP", "artificial", "mapped_raw", "PC")
    assert [p.year for p in table.cube(stock, 3).periods] == list(YEARS)
    assert [(p.year_from, p.year) for p in table.cube(GAIN, 3).periods] == list(itertools.pairwise(YEARS))


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
        rows += [{**row, "vintage": "2023-03-01", "OBS_VALUE": -1.0} for row in rows[:2000]]

    rewrite(own_folder, "impervious_nuts", older)
    table = read_table(own_folder)
    assert table.vintage == "2024-03-01"
    assert table.cube(Measure("STK", "IMP", "artificial", "mapped_raw", "KM2"), 0).value.min() > 0
    assert -1.0 in table.facts["OBS_VALUE"].to_pylist()


def test_of_two_flows_to_one_year_the_shorter_is_shown(own_folder):
    def long_run(rows):
        rows += [
            {**row, "time_from": 2017, "OBS_VALUE": 9999.0}
            for row in rows
            if row["TIME_PERIOD"] == 2019 and row["time_from"] == 2018
        ]

    rewrite(own_folder, "impervious_nuts", long_run)
    cube = read_table(own_folder).cube(GAIN, 3)
    assert cube.periods[-1] == Period(2019, 2018)
    assert np.nanmax(cube.value) < 9999


@pytest.mark.parametrize(
    ("period", "label", "title"),
    [
        (Period(2018, 2018), "2018", "2018"),
        (Period(2018, 2017), "2017–18", "2017 to 2018"),
        (Period(2000, 1999), "1999–2000", "1999 to 2000"),
    ],
)
def test_period_has_a_short_and_a_long_form(period, label, title):
    assert (period.label, period.title) == (label, title)


def test_transitions_are_those_of_the_region_and_period(table):
    found = table.transitions_of("XA111", "artificial", "mapped_raw", "KM2", Period(2020, 2019))
    assert set(found) == {("GRN", "IMP"), ("OTH", "IMP"), ("IMP", "GRN")}
    gain = (
        table.cube(Measure("GAIN", "IMP", "artificial", "mapped_raw", "KM2"), 3).cell("XA111", Period(2020, 2019)).value
    )
    assert found["GRN", "IMP"].value + found["OTH", "IMP"].value == pytest.approx(gain)
    assert table.transitions_of("XA111", "artificial", "assisted", "KM2", Period(2020, 2019)) == {}


def test_table_without_regions_is_refused(own_folder):
    for name in ("impervious_nuts", "impervious_nuts_transitions", "nuts_regions"):
        rewrite(own_folder, name, list.clear)
    assert_refused(own_folder, "nuts_regions.parquet' has no rows. A table needs at least one region.")


def test_table_without_figures_is_read(own_folder):
    rewrite(own_folder, "impervious_nuts", list.clear)
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
        ([], "ERROR: No table folder is given. Use --data DIR, or set IMPERVIOUS_TABLE."),
        (["--data", "/no/such/folder"], "ERROR: Table folder '/no/such/folder' does not exist. Check --data."),
    ],
)
def test_command_stops_with_one_line(arguments, said):
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", *arguments], cwd=TOP, capture_output=True, text=True, env={"PATH": ""}
    )
    assert done.returncode == 1
    assert done.stderr == f"{said}\n"
    assert done.stdout == ""


def test_command_reports_an_address_that_is_taken(small_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "dashboard", "--data", str(small_folder), "--port", str(port)],
            cwd=TOP,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"ERROR: Address 127.0.0.1:{port} cannot be used: Address already in use.")
    assert done.stderr.count("\n") == 1
