"""Weight of a page and of a change. `make bench STAGE=dashboard` measures how long they take."""

import gzip
import json

import pytest
from playwright.sync_api import expect

from dashboard.state import parse_query
from dashboard.tests.test_views import page_of
from dashboard.views.slices import region_json, slice_json

PAGE_BYTES, CHANGE_BYTES = 600_000, 20_000


def packed(answer):
    return gzip.compress(json.dumps(answer, separators=(",", ":")).encode(), 6)


def test_page_is_light_and_loads_nothing_twice(site, large_server):
    page = site("?i=net&l=3", large_server)
    loaded = page.evaluate(
        "['navigation', 'resource'].flatMap((k) => performance.getEntriesByType(k)).map((e) => [e.name, e.transferSize])"
    )
    total = sum(size for _, size in loaded)
    print(f"page: {total / 1000:.0f} KB in {len(loaded)} requests")
    assert 50_000 < total < PAGE_BYTES
    # Chromium asks for the icon again when the address changes.
    names = [name for name, _ in loaded if not name.endswith("icon.svg")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("query", ["l=3&i=net", "l=3&i=stk&u=ha", "l=3&i=new&m=con"])
def test_change_of_the_measure_is_light(large_table, query):
    assert 100 < len(packed(slice_json(large_table, parse_query(query, large_table)))) < CHANGE_BYTES


def test_change_of_the_region_is_light(large_table):
    assert 100 < len(packed(region_json(large_table, "XB111", "IMP", "artificial"))) < CHANGE_BYTES


def test_page_is_the_same_for_all_readers_of_a_view(large_table):
    assert page_of(large_table, b"l=3&i=net") == page_of(large_table, b"l=3&i=net")


def test_a_change_of_the_year_asks_the_server_nothing(site):
    page = site("?i=net&y=2023")
    page.asked.clear()
    page.get_by_role("slider", name="To").press("ArrowLeft")
    expect(page.locator("#ranking h2")).to_contain_text("2021 to 2022")
    assert [url for url in page.asked if "/api/" in url] == []
    page.asked.append(page.url)  # the fixture wants a request
