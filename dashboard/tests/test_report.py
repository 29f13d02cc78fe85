"""The report of a region: what it says, and that it prints on two A4 pages without a loss."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard.table import Measure, Period
from dashboard.tests.pdftext import pages, text


def tight(said):
    return re.sub(r"\s", "", said)


@pytest.fixture(scope="module")
def printed(tab, server):
    """The text of the report of XA112 as printed, and the number of its pages."""
    tab.set_viewport_size({"width": 1366, "height": 768})
    tab.goto(f"{server}region/XA112?i=stk&c=imp&d=an&m=est&y=2023")
    expect(tab.locator("body[data-ready]")).to_have_count(1)
    content = tab.pdf(prefer_css_page_size=True)
    return text(content), pages(content)


def test_report_prints_on_two_pages_and_loses_nothing(printed, tab):
    said, count = printed
    assert count == 2
    # Every text of the page is in the PDF, in the same words.
    shown = tab.locator("h1, h2, h3, th, td, p:not(.no-print), li, text").evaluate_all(
        "all => all.filter((e) => e.checkVisibility() && !e.closest('.no-print, .hidden')).map((e) => e.textContent)"
    )
    assert len(shown) > 150
    assert [one for one in shown if tight(one) not in said] == []


def test_report_in_another_language_prints_on_two_pages_too(tab, server):
    tab.goto(f"{server}region/XA112?lang=de")
    expect(tab.locator("body[data-ready]")).to_have_count(1)
    content = tab.pdf(prefer_css_page_size=True)
    assert pages(content) == 2
    assert tight("Zwischen 2017 und 2023 wuchs die versiegelte Fläche in Brackwater um") in text(content)


def test_report_says_what_happened_with_interval_and_hectares(printed, table):
    said, _ = printed
    net = table.cube(Measure("NET", "IMP", "artificial_natural", "estimated", "HA"), 3).cell(
        "XA112", Period(2023, 2017)
    )
    assert (
        tight(
            f"Between 2017 and 2023, impervious land in Brackwater grew by {net.value:.0f} ha (95 % interval {net.low:.0f} to {net.high:.0f})"
        )
        in said
    )


@pytest.mark.parametrize(
    "part",
    [
        "XA112 · NUTS 3 · 576 km² · part of Province 11 · Avaria", "Stock 2017", "Stock 2023", "New 2017–23", "Lost 2017–23", "Net change 2022–23",
        "95 % interval, ha", "Province 11, %", "Avaria, %", "Place among the regions, 2017 to 2023", "of 23 regions of NUTS 3",
        "Its interval allows places", "Land cover changes in Brackwater, km², 2017 to 2023", "Green → Impervious", "Impervious land, ha",
        "Net change of impervious land, ha", "All years", "Satellite images (Sentinel-2)", "Provisional: involves the first or the last year",
        "How to cite", "Impervious land in Avaria, version 0.1.0, vintage 2024-03-01. Brackwater (XA112), NUTS 2024.", "/region/XA112",
    ],
)  # fmt: skip
def test_report_has(printed, part):
    assert tight(part) in printed[0]


def test_report_explains_only_the_flags_that_it_shows(printed):
    said, _ = printed
    assert "Forecast" not in said and "Breakintheseries" not in said


def test_report_of_an_unclear_change_says_so(site, table):
    net = table.cube(Measure("NET", "IMP", "artificial_natural", "estimated", "HA"), 3)
    whole = net.periods.index(Period(2023, 2017))
    unclear = next(geo for i, geo in enumerate(net.geos) if net.low[i, whole] < 0 < net.high[i, whole])
    page = site(f"region/{unclear}?c=imp&d=an&m=est")
    expect(page.locator(".said")).to_contain_text("no clear change of impervious land was found")
    expect(page.locator(".report-table").first).to_contain_text("no clear change")


def test_report_of_a_region_without_figures_says_so(site, table):
    cube = table.cube(Measure("STK", "IMP", "artificial_natural", "mapped_raw", "KM2"), 3)
    absent = next(geo for i, geo in enumerate(cube.geos) if np.isnan(cube.coverage[i]).all())
    page = site(f"region/{absent}")
    expect(page.locator(".said")).to_have_text(
        f"The table has no changes of impervious land in {table.regions[absent].name}."
    )
    expect(page.get_by_role("link", name="Back to the map")).to_be_visible()


def test_report_fits_a_phone(site):
    page = site("region/XA112", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
