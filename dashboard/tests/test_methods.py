"""Methods come from the schema alone: one that is added there works without any change of the dashboard."""

import json

import pyarrow.parquet as pq
import pytest
from starlette.requests import Request

from dashboard import exports, texts
from dashboard.choices import choices
from dashboard.data import read_table
from dashboard.errors import TableFolderError
from dashboard.page import page
from dashboard.schema import SCHEMA_FILE
from dashboard.state import format_query, parse_query
from dashboard.tests.make_table import arrow
from dashboard.views.about import method_and_sources
from dashboard.views.facts import facts_json
from dashboard.views.slices import region_json, slice_json

SURVEYED = {
    "rank": 0,
    "title": "Mapped by VHR Survey",
    "short": "surveyed",
    "key": "sur",
    "ground": "region",
    "interval": True,
}


def html(made):
    return made.render()["html"]


def schema_with(tmp_path, **facts):
    """Write a copy of the schema that has the method `surveyed` too."""
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))
    schema["methods"]["surveyed"] = {**SURVEYED, **facts}
    schema["codes"]["method"]["surveyed"] = "Read from aerial photographs"
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def add_method(folder, code):
    """Add a method that has the figures of mapped_raw."""
    path = folder / "impervious_nuts.parquet"
    rows = pq.read_table(path).to_pylist()
    rows += [{**row, "method": code} for row in rows if row["method"] == "mapped_raw"]
    pq.write_table(arrow("impervious_nuts", rows), path)


@pytest.fixture
def surveyed_folder(own_folder):
    """A table with a method `surveyed`."""
    add_method(own_folder, "surveyed")
    return own_folder


def test_added_method_is_in_list_address_headline_and_texts(surveyed_folder, tmp_path):
    table = read_table(surveyed_folder, schema_with(tmp_path))
    state = parse_query("", table)
    assert state.measure.method == table.headline_method.code == "surveyed"
    assert "&m=sur&" in format_query(state, table)
    assert next(iter(choices(table)["method"])) == "surveyed"
    request = Request({"type": "http", "query_string": b"", "path": "/", "headers": [], "server": ("127.0.0.1", 80)})
    assert '<option value="sur" selected="">Mapped by VHR Survey</option>' in page(table, request).render()["html"]
    assert slice_json(table, state)["method"] == "Mapped by VHR Survey"
    facts = facts_json(table, state)
    assert facts["headline"] == "sur" and facts["methods"]["sur"]["inSentence"] == "mapped by VHR Survey"
    assert facts["methods"]["sur"]["none"] == "No 95 % interval was estimated for these figures."
    assert set(region_json(table, "XA", "IMP", "artificial")["figures"]["STK"]) >= {"sur", "con"}
    assert "Mapped by VHR Survey. Read from aerial photographs." in html(method_and_sources(table, state))
    stock = parse_query("i=stk&u=pc", table).measure
    assert texts.unit_explained(table, stock) == "Per cent of the region's area."
    assert exports.select(table, exports.parse_filters([("method", "surveyed")], table)).num_rows > 0


def test_series_is_the_headline_of_the_mapped_methods(own_folder):
    add_method(own_folder, "mapped_series")
    table = read_table(own_folder)
    assert list(choices(table)["method"]) == ["estimated", "mapped_series", "mapped_consistent", "mapped_raw"]
    assert table.known_methods["mapped_series"].title_in_sentence == "series map"
    path = own_folder / "impervious_nuts.parquet"
    mapped = [row for row in pq.read_table(path).to_pylist() if row["method"] != "estimated"]
    pq.write_table(arrow("impervious_nuts", mapped), path)
    (own_folder / "impervious_indicators.parquet").unlink()
    assert read_table(own_folder).headline_method.code == "mapped_series"


def test_addresses_of_the_other_methods_stay(surveyed_folder, tmp_path):
    table = read_table(surveyed_folder, schema_with(tmp_path))
    for key, method in (("est", "estimated"), ("con", "mapped_consistent"), ("raw", "mapped_raw")):
        assert parse_query(f"m={key}", table).measure.method == method


def test_added_method_of_last_rank_is_never_the_headline(surveyed_folder, tmp_path):
    table = read_table(surveyed_folder, schema_with(tmp_path, rank=9))
    assert parse_query("", table).measure.method == "estimated"
    assert list(choices(table)["method"]) == ["estimated", "mapped_consistent", "mapped_raw", "surveyed"]


def test_method_that_cannot_have_intervals_says_so(surveyed_folder, tmp_path):
    table = read_table(surveyed_folder, schema_with(tmp_path, interval=False))
    assert "without a reference sample" in facts_json(table, parse_query("", table))["methods"]["sur"]["none"]


@pytest.mark.parametrize(("rank", "seen"), [(0, ["sur", "raw"]), (9, ["raw", "sur"])])
def test_methods_of_the_cells_seen_are_marked_the_preferred_one_first(surveyed_folder, tmp_path, rank, seen):
    table = read_table(surveyed_folder, schema_with(tmp_path, rank=rank, ground="seen"))
    methods = facts_json(table, parse_query("", table))["methods"]
    assert [key for key, method in methods.items() if method["seen"]] == seen
    stock = parse_query("m=sur&i=stk&u=pc", table).measure
    assert texts.unit_explained(table, stock) == "Per cent of the cells that were seen."


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda schema: schema["methods"].pop("assisted"), "does not list the same methods"),
        (lambda schema: schema["codes"]["method"].pop("assisted"), "does not list the same methods"),
        (lambda schema: schema["methods"]["assisted"].update(key="raw"), "has two methods with the same key."),
        (lambda schema: schema["methods"]["assisted"].update(rank=1), "has two methods with the same rank."),
        (lambda schema: schema.update(contract=1), "has contract 1. This dashboard reads contract 2."),
    ],
)
def test_schema_that_contradicts_itself_is_refused(small_folder, tmp_path, spoil, said):
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))
    spoil(schema)
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(TableFolderError) as caught:
        read_table(small_folder, path)
    assert said in str(caught.value)


def test_a_method_with_figures_for_few_regions_is_not_shown_first(own_folder):
    """Estimates of the top level alone, and of one definition: they can be chosen, and the definition follows."""
    path = own_folder / "impervious_nuts.parquet"
    rows = pq.read_table(path).to_pylist()
    kept = [
        row
        for row in rows
        if row["method"] != "estimated" or (row["definition"] == "artificial" and len(row["geo"]) == 2)
    ]
    pq.write_table(arrow("impervious_nuts", kept), path)
    (own_folder / "impervious_indicators.parquet").unlink()
    table = read_table(own_folder)
    assert parse_query("", table).measure.method == table.headline_method.code == "mapped_consistent"
    chosen = parse_query("m=est&d=an", table).measure
    assert (chosen.method, chosen.definition) == ("estimated", "artificial")
