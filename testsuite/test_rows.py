"""The rows of a table in columns: the same rows come out, sorted and found as rows of dicts would be, in a small part of their memory."""

import gc
import tracemalloc
from dataclasses import replace
from zipfile import ZipFile

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core import change, rows, table
from imperviouslib.core.errors import TableError
from imperviouslib.core.rows import Rows, find_rows
from imperviouslib.core.table import Run
from imperviouslib.core.tablecheck import check_table
from imperviouslib.core.tableschema import REGIONS, SCHEMA, VALUES
from imperviouslib.core.workbook import Sheet
from imperviouslib.core.zones import Zone
from imperviouslib.edge import tablefile, xlsxfile
from imperviouslib.stage.change import report

YEARS = tuple(range(2017, 2024))
BYTES_A_ROW = 120
"""A row has 57 bytes in columns and a thousand as a dict."""
WORKING_BYTES = 20e6
"""What the making, the checks and the writing of the rows below may take beside the rows; as dicts these would have 60 MB."""


class Steady:
    """Figures of regions in which a hundredth becomes sealed in each year."""

    def stock(self, cat, definition, year):
        sealed = 100 + year - YEARS[0]
        return table.stock_of({1: sealed, 2: 300, 3: 600 - sealed}, definition)

    def flow(self, cat, definition, pair):
        a, b = (100 + year - YEARS[0] for year in pair)
        return table.flow_of({11: a, 31: b - a, 22: 300, 33: 600 - b}, definition)


def many_regions(number):
    """Return the whole table of some regions: 372 rows each."""
    zones = [Zone(f"R{cat}", cat, 0, f"Region {cat}", "", 900) for cat in range(number)]
    run = Run(YEARS, "2024", "2026-01-01", 400)
    return report.make_table(
        zones, Steady(), {"mapped_raw": Steady()}, run, ["artificial"], change.resolve_spans(YEARS)
    )


def write_and_read(folder, made):
    """Check a table, write it, and return what is read back."""
    check_table(made, 400)
    outlines = {"type": "FeatureCollection", "features": []}
    with tablefile.writing_folder(folder, made, outlines, {"name": tablefile.NAME}):
        pass
    return tablefile.read_folder(folder, 400).table


def test_a_row_takes_little_memory_and_the_work_on_rows_too(tmp_path):
    # What is loaded at the first use of a package does not count.
    write_and_read(tmp_path / "first", many_regions(1))
    gc.collect()
    tracemalloc.start()
    try:
        made = many_regions(160)
        held, peak = tracemalloc.get_traced_memory()
        number = sum(map(len, made.values()))
        assert number > 59_000
        assert held < BYTES_A_ROW * number, f"{held / number:.0f} bytes a row"
        assert peak < held + WORKING_BYTES
        found = write_and_read(tmp_path / "second", made)
        assert tracemalloc.get_traced_memory()[1] < 2 * held + WORKING_BYTES
    finally:
        tracemalloc.stop()
    assert [*found[VALUES]] == [*made[VALUES]]


def region(geo, **values):
    found = {"geo": geo, "nuts_version": "2024", "level": 0, "parent": "", "cntr": "", "name": geo, "area_km2": 1.0}
    return found | values


def test_what_comes_out_is_what_went_in_however_many_words_and_whatever_the_size():
    # More words than 8 bits number come after a first part that needs no more than these, more than 16 bits after that.
    given = [region(f"R{number}") for number in (*range(200), *range(70_000, 70_200), *range(80_000))]
    given[3] |= {"area_km2": float("1e300"), "level": 2**40}
    kept = Rows(REGIONS)
    for start in range(0, len(given), 5_000):
        kept.add(given[start : start + 5_000])
    assert [*kept] == given and len(kept) == len(given)
    assert kept.row(3) == given[3] and kept.row(70_000) == given[70_000]
    other = Rows.of(REGIONS, [region("new"), region("R5")])
    other.add_all(kept)
    assert [*other] == [region("new"), region("R5"), *given]
    assert Rows.of(REGIONS, kept) is kept and [*Rows(REGIONS)] == []


cells = st.fixed_dictionaries(
    {
        "geo": st.sampled_from(["B", "A", "a", "É"]), "lc_flow": st.sampled_from(["STK", "NET"]), "time_from": st.integers(-2, 2),
        "TIME_PERIOD": st.integers(0, 3), "OBS_VALUE": st.none() | st.floats(-9, 9), "N_PIX": st.integers(0, 2**40),
    }
)  # fmt: skip
PLAIN = {
    "freq": "A", "lc_flow": "STK", "landcover": "IMP", "definition": "artificial", "method": "mapped_raw", "unit": "KM2", "geo": "A",
    "nuts_version": "2024", "time_from": 2017, "TIME_PERIOD": 2017, "vintage": "2026-01-01", "OBS_VALUE": 1.0, "OBS_FLAG": "u",
    "MISSING_REASON": "", "CONF_STATUS": "", "OBS_LCI95": None, "OBS_UCI95": None, "COVERAGE": 1.0, "N_PIX": 1,
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, max_size=12), st.lists(cells, max_size=12), st.sampled_from([2**62, 8]))
def test_rows_are_sorted_and_found_as_dicts_are(some, others, most):
    """With few numbers to tell rows apart they are numbered anew between columns."""
    some, others = ([PLAIN | one for one in part] for part in (some, others))
    key = SCHEMA["tables"][VALUES]["primaryKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_MOST", most)
        kept, beside = table.sort_rows(some, VALUES), Rows.of(VALUES, others)
        assert [*kept] == sorted(some, key=lambda row: [row[column] for column in key])
        found = find_rows(kept, ("geo", "time_from", "lc_flow"), beside, ("geo", "TIME_PERIOD", "lc_flow"))
    for row, number in zip(kept, found.tolist(), strict=True):
        same = [
            place
            for place, other in enumerate(others)
            if (row["geo"], row["time_from"], row["lc_flow"]) == (other["geo"], other["TIME_PERIOD"], other["lc_flow"])
        ]
        assert number in (same or [-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"geo": None}, "column geo: found None, expected a string"),
        ({"time_from": 2017.0}, "column time_from: found 2017.0, expected a integer"),
        ({"N_PIX": True}, "column N_PIX: found True, expected a integer"),
        ({"OBS_VALUE": "1"}, "column OBS_VALUE: found '1', expected a number"),
        ({"OBS_VALUE": float("nan")}, "column OBS_VALUE: found nan, expected a number"),
        ({"COVERAGE": None}, "column COVERAGE: found None, expected a number"),
        ({"more": 1}, "found columns ['freq', "),
    ],
)
def test_rows_of_other_types_are_refused(damage, message):
    with pytest.raises(TableError, match="Table impervious_nuts") as caught:
        Rows.of(VALUES, [PLAIN, PLAIN | damage])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "damage", "message"),
    [
        ({"lc_flow": "NET"}, {"OBS_VALUE": 9.0}, "NET 2017-2018 (mapped_raw, artificial): found 9.0 km2, expected gain 0.0004 minus loss 0.0."),
        ({"lc_flow": "STK"}, {"COVERAGE": 0.25, "OBS_FLAG": ""}, "STK 2017-2017 (mapped_raw, artificial): found coverage 0.25 without flag u, expected flag u."),
        ({"lc_flow": "STK"}, {"OBS_VALUE": 1.5}, "all covers of 2017: found 1.8"),
        ({"lc_flow": "GAIN", "unit": "PC"}, {"OBS_VALUE": -1.0}, "GAIN 2017-2018 (mapped_raw, artificial): found -1 PC, expected 0 or more."),
        ({"lc_flow": "STK", "unit": "PC"}, {"OBS_VALUE": 101.0}, "STK 2017-2017 (mapped_raw, artificial): found 101 PC, expected 0-100 %."),
        ({"lc_flow": "STK"}, None, "NET 2017-2018 (mapped_raw, artificial): found no stock of a year, expected those of both years."),
    ],
)  # fmt: skip
def test_the_row_that_breaks_a_rule_is_named(wanted, damage, message):
    made = {name: list(part) for name, part in many_regions(1).items()}
    wanted = {"unit": "KM2", "landcover": "IMP"} | wanted
    row = next(row for row in made[VALUES] if wanted.items() <= row.items())
    row.update(damage or {})
    if damage is None:
        made[VALUES].remove(row)
    with pytest.raises(TableError, match="Report this bug") as caught:
        check_table(made, 400)
    assert str(caught.value).startswith("Region R0, ") and message in str(caught.value)


def test_a_region_without_a_figure_of_its_parent_is_found():
    zones = [Zone("XX", 1, 0, "", "", 1800), Zone("XX1", 2, 1, "", "XX", 900), Zone("XX2", 3, 1, "", "XX", 900)]

    class Family(Steady):
        def stock(self, cat, definition, year):
            found = super().stock(cat, definition, year)
            times = 2 if cat == 1 else 1
            cover = {name: times * cells for name, cells in found.cover.items()}
            return replace(found, seen=times * found.seen, counted=times * found.counted, cover=cover)

        def flow(self, cat, definition, pair):
            times = 2 if cat == 1 else 1
            a, b = (times * (100 + year - YEARS[0]) for year in pair)
            return table.flow_of({11: a, 31: b - a, 22: 300 * times, 33: 600 * times - b}, definition)

    run = Run(YEARS, "2024", "2026-01-01", 400)
    made = report.make_table(
        zones, Family(), {"mapped_raw": Family()}, run, ["artificial"], change.resolve_spans(YEARS)
    )
    check_table(made, 400)
    # Nothing of this cover changes, so that the sum is right without the region too.
    lost = {"geo": "XX2", "lc_flow": "NET", "landcover": "OTH", "unit": "KM2", "TIME_PERIOD": 2018}
    left = [row for row in made[VALUES] if not lost.items() <= row.items()]
    assert len(left) == len(made[VALUES]) - 1
    with pytest.raises(TableError, match=r"Region XX, NET 2017-2018 .*, the sum of its parts"):
        check_table({**made, VALUES: left}, 400)


def test_rows_of_a_workbook_are_as_xlsxwriter_writes_them(tmp_path):
    texts = [
        "_x0041_",
        " space ",
        "a\rb",
        "<&>\"'",
        "=1+1",
        "http://a.b",
        "tab\there\nline",
        "\N{GRINNING FACE}",
        "0",
        "x" * 40_000,
    ]
    numbers = [1, 0.1, -0.0, 1e300, 5e-324, 3_863_834_000, 2**60, 7, 8, None]
    body = [["Text", "Number"], *([text, number] for text, number in zip(texts, numbers, strict=True))]
    names = {"One": body, "Empty": [["Only", "names"]]}
    sheets = [Sheet(name, (9, 9), cells, len(cells)) for name, cells in names.items()]
    xlsxfile.write_workbook(tmp_path / "ours.xlsx", sheets)
    with xlsxwriter.Workbook(tmp_path / "peer.xlsx", {"constant_memory": True}) as book:
        bold = book.add_format({"bold": True})
        for name, cells in names.items():
            page = book.add_worksheet(name)
            page.freeze_panes(1, 0)
            page.set_column(0, 1, 9)
            for number, (text, value) in enumerate(cells):
                page.write_string(number, 0, text, None if number else bold)
                if number and value is not None:
                    page.write_number(number, 1, value)
                elif not number:
                    page.write_string(number, 1, value, bold)
    with ZipFile(tmp_path / "ours.xlsx") as ours, ZipFile(tmp_path / "peer.xlsx") as peer:
        assert ours.namelist() == peer.namelist() and not ours.testzip()
        for name in ours.namelist():
            # The record of the time of writing differs.
            assert ours.read(name) == peer.read(name) or name == "docProps/core.xml"
    found = openpyxl.load_workbook(tmp_path / "ours.xlsx", read_only=True)["One"]
    assert [row[1] for row in found.iter_rows(values_only=True)] == ["Number", *numbers]


def test_a_character_that_xml_lacks_is_replaced(tmp_path):
    cells = [["Name"], ["a\x01b\ufffe"]]
    xlsxfile.write_workbook(tmp_path / "book.xlsx", [Sheet("One", (9,), cells, len(cells))])
    book = openpyxl.load_workbook(tmp_path / "book.xlsx")
    assert book["One"]["A2"].value == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
