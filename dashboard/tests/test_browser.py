"""The page in a real browser: what users see and do with mouse, keyboard and phone."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from shiny.playwright import controller

from dashboard.tests.make_table import HOSTILE
from dashboard.tests.test_state import HOSTILE as HOSTILE_QUERIES

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def map_title(page):
    return page.locator("#map-title")


def chosen(page):
    return page.get_by_role("list", name="Chosen regions")


def region(page, geo):
    return page.locator(f"#layer-regions [data-geo={geo}]")


def settled(page):
    """Wait until browser and server have shown everything."""
    expect(map_title(page)).not_to_be_empty()
    expect(page.get_by_role("heading", name="Flags")).to_be_visible()
    return page


def test_first_view_shows_measure_unit_and_period_everywhere(site):
    page = settled(site())
    title = "New impervious land, % of the stock at the start, 2022 to 2023"
    expect(map_title(page)).to_have_text(title)
    expect(page.get_by_role("heading", name=title)).to_have_count(2)
    expect(page.get_by_role("heading", name="Avaria", exact=True)).to_be_visible()
    expect(page.get_by_text("Experimental statistics")).to_be_visible()
    expect(page.get_by_role("img", name=title)).to_be_visible()
    expect(page.locator("#layer-regions path")).to_have_count(24)
    expect(page.locator("#legend")).to_contain_text("no figure")
    expect(page.locator("#layer-regions path.none")).to_have_count(1)


def test_choices_change_map_ranking_chart_and_address(site):
    page = settled(site())
    for key, value in (("l", "2"), ("c", "grn"), ("i", "stk"), ("d", "a"), ("m", "con")):
        page.locator(f"#choose-{key}").select_option(value)
    expect(map_title(page)).to_have_text("Green land, % of the area, 2023")
    expect(page.get_by_role("heading", name="Green land, % of the area, 2023")).to_have_count(2)
    expect(page.get_by_role("heading", name="Green land, % of the area, 2017 to 2023")).to_be_visible()
    expect(
        page.get_by_text("No 95 % interval: the figures are counted from maps, without a reference sample.").first
    ).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?l=2&c=grn&i=stk&u=pc&d=a&m=con&y=2023&g=XA$"))
    page.locator("#choose-u").select_option("km2")
    expect(page.locator("#layer-circles circle")).to_have_count(16)


def test_address_restores_the_view(site):
    page = settled(site("?l=1&c=imp&i=net&u=pc&d=a&m=raw&y=2019&g=XA111,XA2&r=0&o=asc"))
    expect(map_title(page)).to_have_text("Net change of impervious land, % of the stock at the start, 2018 to 2019")
    expect(chosen(page).get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("slider", name="Period")).to_have_attribute("aria-valuetext", "2018 to 2019")
    expect(page.get_by_role("columnheader", name="reverse the order")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_text("Dashed line:")).to_have_count(0)
    controller.OutputUi(page, "summary").expect_container_tag("div")
    expect(page).to_have_url(re.compile(r"\?l=1&c=imp&i=net&u=pc&d=a&m=raw&y=2019&g=XA111,XA2&r=0&o=asc$"))


@pytest.mark.parametrize("query", HOSTILE_QUERIES[:6])
def test_hostile_address_gives_a_working_page(site, query):
    page = settled(site(f"?{query}"))
    expect(page.locator(".shiny-output-error")).to_have_count(0)
    assert len(page.url) < 400


def test_slider_by_keys_repaints_map_and_ranking(site):
    page = settled(site("?y=2020"))
    before = page.locator("#layer-regions path").evaluate_all("all => all.map((p) => p.getAttribute('class')).join()")
    slider = page.get_by_role("slider", name="Period")
    slider.press("ArrowLeft")
    expect(map_title(page)).to_have_text(re.compile("2018 to 2019$"))
    expect(controller.OutputUi(page, "ranking").loc).to_contain_text("2018 to 2019")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "2017 to 2018")
    assert (
        page.locator("#layer-regions path").evaluate_all("all => all.map((p) => p.getAttribute('class')).join()")
        != before
    )


def test_play_runs_to_the_end_and_stops(site):
    page = settled(site("?y=2021"))
    play = page.get_by_role("button", name="Play")
    play.click()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    expect(map_title(page)).to_have_text(re.compile("2022 to 2023$"))
    expect(page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")


def test_map_and_ranking_choose_and_compare(site):
    page = settled(site("?g="))
    expect(page.get_by_role("heading", name="No region chosen")).to_be_visible()
    region(page, "XA111").click()
    expect(page.get_by_role("heading", name="Aldermoor", exact=True)).to_be_visible()
    region(page, "XA112").click()
    expect(chosen(page).get_by_role("listitem")).to_have_count(1)
    page.get_by_label("Compare up to 5 regions").check()
    for geo in ("XA211", "XA212", "XA311", "XA312"):
        region(page, geo).click()
    region(page, "XA411").click()
    expect(page.get_by_role("status").filter(has_text="5 regions are chosen already")).to_have_count(1)
    expect(chosen(page).get_by_role("listitem")).to_have_count(5)
    expect(page.locator("svg.chart path.line:not(.beside)")).to_have_count(5)
    chosen(page).get_by_role("button").first.click()
    expect(chosen(page).get_by_role("listitem")).to_have_count(4)
    expect(page).to_have_url(re.compile(r"g=XA211,XA212,XA311,XA312$"))


def test_search_finds_by_name_and_code(site):
    page = settled(site())
    search = page.get_by_label("Find a region")
    search.fill("fennholt")
    search.press("Enter")
    expect(chosen(page)).to_contain_text("Fennholt")
    search.fill("xa42")
    search.press("Enter")
    expect(chosen(page)).to_contain_text("Province 42")
    search.fill("nowhere")
    search.press("Enter")
    expect(page.get_by_role("status").filter(has_text="No region has this name")).to_have_count(1)


def test_tooltip_shows_value_interval_coverage_and_note(site):
    page = settled(site("?l=2&y=2023"))
    region(page, "XA11").hover()
    tooltip = page.locator("#tooltip")
    for said in ("Province 11", "XA11", "%", "95 % interval:", "of the area seen", "Note: provisional"):
        expect(tooltip).to_contain_text(said)
    page.locator("#choose-m").select_option("con")
    expect(page.locator("#map-method")).to_have_text("Method: consistent map")
    region(page, "XA11").hover(position={"x": 30, "y": 30})
    expect(tooltip).to_contain_text("No 95 % interval")
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()


def test_too_little_seen_is_hatched(site):
    page = settled(site("?l=3&m=raw&y=2021"))
    expect(page.locator("#layer-low path")).to_have_count(1)
    expect(page.locator("#legend")).to_contain_text("under 50 % seen")


def test_hostile_name_stays_text(site):
    page = settled(site("?l=3"))
    geo = page.locator("#ranking button").filter(has_text="<img").get_attribute("data-geo")
    region(page, geo).hover()
    expect(page.locator("#tooltip strong")).to_have_text(HOSTILE)
    region(page, geo).click()
    expect(page.get_by_role("heading", name="<img", exact=False).first).to_contain_text(HOSTILE)
    expect(page).not_to_have_title(re.compile("owned"))
    assert page.locator("img").count() == 0
    page.get_by_role("link", name="Report to print").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    expect(page).not_to_have_title("owned")
    assert page.locator("img").count() == 0


def test_everything_is_reached_by_keyboard(site):
    page = settled(site())
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    order = []
    for _ in range(16):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.dataset.remove || document.activeElement.tagName"
            )
        )
    wanted = [
        "choose-l",
        "choose-c",
        "choose-i",
        "choose-u",
        "choose-d",
        "choose-m",
        "zoom-in",
        "play",
        "year",
        "search",
        "keep",
        "XA",
    ]
    assert [one for one in order if one in wanted] == wanted
    button = page.locator("#ranking button[data-geo]").nth(3)
    geo = button.get_attribute("data-geo")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("tr.chosen")).to_have_count(1)
    # The table was rendered again; the button of the same region has the focus.
    expect(page.locator(f"#ranking button[data-geo={geo}]")).to_be_focused()


def test_nothing_focusable_lacks_a_name(site):
    page = settled(site())
    unnamed = page.locator("a, button, input, select, summary, [tabindex='0']").evaluate_all(
        """all => all.filter((e) => !e.closest('[hidden]') && !(e.getAttribute('aria-label') || e.textContent.trim()
           || (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize(
    ("query", "width"),
    [("?g=XA,XA111,XA2", 1366), ("?g=XA,XA111,XA2", 390), ("?g=&u=km2&i=net&m=raw", 1366), ("region/XA131", 390)],
)
def test_axe_finds_nothing(site, query, width):
    page = site(query, width=width)
    if query.startswith("?"):
        settled(page)
        page.locator("details").first.evaluate("d => d.open = true")
    found = Axe().run(page, options=RULES)
    assert [(v["id"], [n["html"] for n in v["nodes"]][:2]) for v in found.response["violations"]] == []


@pytest.mark.parametrize("query", ["?g=XA422,XA111", "?u=km2&i=net&g=XA131", "region/XA422"])
def test_phone_has_no_sideways_scroll(site, query):
    page = site(query, width=390)
    if query.startswith("?"):
        settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_zoom_in_and_back(site):
    page = settled(site())
    whole = page.locator("#map").get_attribute("viewBox")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("#map")).not_to_have_attribute("viewBox", whole)
    page.get_by_role("button", name="Show the whole map").click()
    expect(page.locator("#map")).to_have_attribute("viewBox", whole)


def test_download_link_gives_the_regions_of_the_map(site):
    page = settled(site("?l=1"))
    with page.expect_download() as caught:
        page.get_by_role("link", name="This map, all years as CSV", exact=True).click()
    lines = caught.value.path().read_text().splitlines()
    assert len(lines) == 1 + 4 * 6


def test_choice_without_figures_says_so_and_can_be_left(site, plain_server):
    page = settled(site("?m=est", plain_server))
    expect(page.locator("#map-method")).to_have_text("Method: consistent map")
    page.locator("#choose-i").select_option("net")
    page.locator("#choose-c").select_option("grn")
    expect(page.get_by_text("No figures for this choice.")).to_be_visible()
    expect(page.get_by_text("The table has no figures for this choice.")).to_be_visible()
    expect(page.get_by_text("There are no figures to rank.")).to_be_visible()
    expect(page.get_by_role("slider", name="Period")).to_be_disabled()
    page.locator("#choose-c").select_option("imp")
    expect(page.locator("#map")).to_be_visible()
    expect(map_title(page)).to_have_text(re.compile("^Net change of impervious land"))
    expect(page.get_by_text("No figures for this choice.")).to_be_hidden()


def test_measure_without_the_year_shows_the_nearest(site):
    page = settled(site("?i=stk&y=2017"))
    expect(map_title(page)).to_have_text("Impervious land, % of the area, 2017")
    page.locator("#choose-i").select_option("net")
    expect(map_title(page)).to_have_text(re.compile("2017 to 2018$"))
