"""Tables that break a rule are refused, with file, row, key and rule; one test a rule."""

import pyarrow.parquet as pq
import pytest

from dashboard.data import read_table
from dashboard.errors import TableFolderError
from dashboard.tests.make_table import arrow

BASE = {
    "freq": "A", "lc_flow": "GAIN", "landcover": "IMP", "definition": "artificial", "method": "estimated", "unit": "KM2", "geo": "XA",
    "time_from": 2017, "TIME_PERIOD": 2018,
}  # fmt: skip
STOCK = {**BASE, "lc_flow": "STK", "time_from": 2018}
MAPPED = {**BASE, "method": "mapped_consistent"}
MOVE = {
    "definition": "artificial", "method": "estimated", "geo": "XA", "landcover_from": "GRN", "landcover_to": "IMP", "time_from": 2017,
    "TIME_PERIOD": 2018,
}  # fmt: skip

KINDS = {
    "lower limit above the upper one": (BASE, lambda r: {"OBS_LCI95": r["OBS_UCI95"] + 1}, "the lower limit of an interval is not above the upper limit"),
    "value below its interval": (BASE, lambda r: {"OBS_LCI95": r["OBS_VALUE"] * 1.01}, "an interval contains its value"),
    "value above its interval": (BASE, lambda r: {"OBS_UCI95": r["OBS_VALUE"] * 0.99}, "an interval contains its value"),
    "one limit alone": (BASE, lambda r: {"OBS_LCI95": None}, "an interval has both limits or none"),
    "interval of a count": (MAPPED, lambda r: {"OBS_LCI95": 0.0, "OBS_UCI95": 99.0}, "figures counted from maps have no interval"),
    "stock over 100 %": ({**STOCK, "unit": "PC"}, lambda r: {"OBS_VALUE": 101.0, "OBS_UCI95": 102.0}, "a stock or a loss is at most 100 %"),
    "loss over 100 %": ({**MAPPED, "lc_flow": "LOSS", "unit": "PC"}, lambda r: {"OBS_VALUE": 100.5}, "a stock or a loss is at most 100 %"),
    "negative stock": ({**MAPPED, **{"lc_flow": "STK", "time_from": 2018}}, lambda r: {"OBS_VALUE": -1.0}, "only a net change can be negative"),
    "negative gain": (MAPPED, lambda r: {"OBS_VALUE": -0.1}, "only a net change can be negative"),
    "net other than gain minus loss": ({**MAPPED, "lc_flow": "NET"}, lambda r: {"OBS_VALUE": r["OBS_VALUE"] + 0.1}, "a net change is its gain minus its loss"),
    "stocks that differ by another net": ({**MAPPED, "lc_flow": "STK", "landcover": "IMP", "time_from": 2018}, lambda r: {"OBS_VALUE": r["OBS_VALUE"] + 0.1}, "a net change counted for a whole region is the difference of its stocks"),
    "flow that ends before it starts": (BASE, lambda r: {"time_from": 2030}, "time_from of a flow is before its year"),
    "stock of two years": (STOCK, lambda r: {"time_from": 2016}, "time_from of a stock is its year"),
    "low coverage without its flag": (BASE, lambda r: {"COVERAGE": 0.3, "OBS_FLAG": "p"}, "a figure with a coverage below 0.5 has the flag u"),
    "empty value without a reason": ({**BASE, "unit": "PC"}, lambda r: {"OBS_VALUE": None, "OBS_LCI95": None, "OBS_UCI95": None}, "an empty value has a reason, and no other value has one"),
    "value with a reason to be empty": (BASE, lambda r: {"MISSING_REASON": "NOT_SEEN"}, "an empty value has a reason, and no other value has one"),
    "covers that are not the region": ({**STOCK, "landcover": "OTH"}, lambda r: {"OBS_VALUE": r["OBS_VALUE"] + 5, "OBS_UCI95": r["OBS_UCI95"] + 5}, "the land covers of a year add up to the area of the region"),
    "parts that are not the country": ({**BASE, "method": "mapped_raw", "lc_flow": "STK", "time_from": 2018, "geo": "XA1"}, lambda r: {"OBS_VALUE": r["OBS_VALUE"] + 5}, "counts of a region are the sums of those of the regions in it"),
}  # fmt: skip
MOVES = {
    "transition into the same cover": (lambda r: {"landcover_from": "IMP"}, "a transition has two covers"),
    "transition that ends before it starts": (lambda r: {"time_from": 2040}, "time_from of a flow is before its year"),
    "transitions that are not the gain": (lambda r: {"OBS_VALUE": r["OBS_VALUE"] + 1}, "a gain is the sum of the transitions into the cover"),
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(small_folder):
    """The rows of both tables of the small folder, not to be changed."""
    names = ("impervious_nuts", "impervious_nuts_transitions")
    return {name: pq.read_table(small_folder / f"{name}.parquet").to_pylist() for name in names}


def refused(folder, rows, name, wanted, change, rule):
    """Change one row of a table; the message names its file, place, key and the rule."""
    at = next(i for i, row in enumerate(rows[name]) if all(row[key] == value for key, value in wanted.items()))
    spoilt = [*rows[name]]
    spoilt[at] = {**spoilt[at], **change(spoilt[at])}
    pq.write_table(arrow(name, spoilt), folder / f"{name}.parquet")
    with pytest.raises(TableFolderError) as caught:
        read_table(folder)
    message = str(caught.value)
    assert f"Rule: {rule}. " in message and "\n" not in message
    return message, at


@pytest.mark.parametrize("kind", KINDS)
def test_figure_that_breaks_a_rule_is_refused(own_folder, rows, kind):
    wanted, change, rule = KINDS[kind]
    message, _ = refused(own_folder, rows, "impervious_nuts", wanted, change, rule)
    assert "impervious_nuts.parquet', row " in message


@pytest.mark.parametrize("kind", MOVES)
def test_transition_that_breaks_a_rule_is_refused(own_folder, rows, kind):
    message, _ = refused(own_folder, rows, "impervious_nuts_transitions", MOVE, *MOVES[kind])
    assert ", row " in message


def test_message_names_file_row_key_and_rule(own_folder, rows):
    change = {"OBS_VALUE": 99.0, "OBS_LCI95": 1.0, "OBS_UCI95": 2.0}
    message, at = refused(own_folder, rows, "impervious_nuts", BASE, lambda r: change, "an interval contains its value")
    assert message == (
        f"File '{own_folder}/impervious_nuts.parquet', row {at + 1} (A GAIN IMP artificial estimated KM2 XA 2024 2017 2018 2024-03-01): "
        "OBS_VALUE 99, OBS_LCI95 1, OBS_UCI95 2. Rule: an interval contains its value. Write the folder again with r.impervious.change."
    )


def test_sums_of_a_sample_are_not_held_against_its_parts(own_folder, rows):
    """Estimates of a region and of those in it rest on different units of the sample, so they need not add up."""
    path = own_folder / "impervious_nuts.parquet"
    changed = [
        {**row, "OBS_VALUE": row["OBS_VALUE"] * 1.001}
        if row["geo"] == "XA1"
        and row["method"] == "estimated"
        and row["lc_flow"] == "GAIN"
        and row["unit"] == "PC"
        and row["OBS_VALUE"]
        else row
        for row in rows["impervious_nuts"]
    ]
    pq.write_table(arrow("impervious_nuts", changed), path)
    assert read_table(own_folder).years == (2017, 2018, 2019)
