"""The page in a real browser: what users see and do with mouse, keyboard and phone."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from shiny.playwright import controller

from dashboard.tests.conftest import start
from dashboard.tests.make_table import HOSTILE
from dashboard.tests.test_state import HOSTILE as HOSTILE_QUERIES

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page, options):
    """Return what axe finds: each rule that is broken, and two elements that break it."""
    found = Axe().run(page, options=options).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]][:2]) for one in found]


def map_title(page):
    return page.locator("#map-title")


def chosen(page):
    return page.get_by_role("list", name="Chosen regions")


def region(page, geo):
    return page.locator(f"#map .regions [data-geo={geo}]")


def choose(page, **lists):
    for name, value in lists.items():
        controller.InputSelect(page, name).set(value)


def drawn(page, selector):
    """Return the classes of the shapes that a selector finds, in the order of the drawing."""
    return page.locator(selector).evaluate_all("all => all.map((one) => one.getAttribute('class'))")


def test_first_view_shows_measure_unit_and_period_everywhere(site):
    page = site()
    title = "New impervious land, % of the stock at the start, 2022 to 2023"
    expect(map_title(page)).to_have_text(title)
    expect(page.locator("#ranking").get_by_role("heading", name=title)).to_be_visible()
    # The page opens on a region of the level shown.
    expect(page.get_by_role("heading", name="Aldermoor", exact=True)).to_be_visible()
    expect(page.get_by_text("Experimental statistics")).to_be_visible()
    expect(page.get_by_role("application", name=title)).to_be_visible()
    expect(page).to_have_title(f"{title} · Impervious land in Avaria")
    assert len(drawn(page, "#map .regions path")) == 24
    assert drawn(page, "#map .regions path").count("none") == 1
    expect(page.locator("#legend")).to_contain_text("no figure")
    expect(page.locator("#legend")).to_contain_text("All regions together:")


def test_unreliable_unclear_missing_and_clear_figures_look_different(site):
    page = site("?i=net&y=2018")
    classes = drawn(page, "#map .regions path")
    kinds = {name.partition(" ")[2] if name != "none" else "none" for name in classes}
    assert kinds == {"none", "u", "n", ""}
    fills = {
        page.locator(f"#map .regions path[class='{name}']").first.evaluate("one => getComputedStyle(one).fill")
        for name in set(classes)
    }
    assert len(fills) == len(set(classes))
    for said in ("hatched: low reliability", "dotted: no clear change, the interval holds 0", "no figure"):
        expect(page.locator("#legend")).to_contain_text(said)


def test_map_shows_the_figure_its_limits_or_the_width(site):
    page = site("?i=net&y=2018")
    before = drawn(page, "#map .regions path")
    shown = page.get_by_label("Map shows")
    shown.select_option("Lower limit")
    expect(page.locator("#legend")).to_contain_text("Lower limit, % of the stock")
    lower = drawn(page, "#map .regions path")
    shown.select_option("Upper limit")
    expect(page.locator("#legend")).to_contain_text("Upper limit, % of the stock")
    rank = [
        [int(one[1]) if one != "none" else None for one in all_]
        for all_ in (lower, before, drawn(page, "#map .regions path"))
    ]
    triples = [three for three in zip(*rank, strict=True) if None not in three]
    assert all(low <= value <= high for low, value, high in triples) and any(low < high for low, _, high in triples)
    shown.select_option("Width of the interval")
    expect(page.locator("#map")).to_have_attribute("data-palette", "width")
    # A region without an interval has no width.
    assert drawn(page, "#map .regions path").count("none") == 1 + 3
    expect(page).to_have_url(re.compile("&s=wi"))


def test_ranking_shows_whiskers_ranks_ties_and_what_is_sure(site, table):
    page = site("?i=stk&y=2020&l=3")
    expect(page.locator("#ranking .sure")).to_have_text(
        re.compile(r"^(Only \d+|None|All) of the first 10 (is|are) surely above the rest\.$")
    )
    rows = page.locator("#ranking tbody tr")
    expect(rows).to_have_count(22)
    expect(rows.first.locator("svg .whisker")).to_have_count(1)
    expect(page.get_by_role("columnheader", name="Rank between")).to_be_visible()
    said = rows.all_inner_texts()
    assert any(re.search(r"tied with \d", one) for one in said)
    # The interval of a rank holds the rank.
    for one in rows.evaluate_all(
        "all => all.map((r) => [r.querySelector('.place').textContent, r.querySelector('.between').textContent])"
    ):
        if one[1]:
            low, high = map(int, one[1].split("–"))
            assert low <= int(one[0]) <= high
    page.get_by_role("button", name="reverse the order").click()
    expect(page.locator("#ranking .sure")).to_contain_text("below the rest")
    expect(page.get_by_role("columnheader", name="reverse the order")).to_have_attribute("aria-sort", "ascending")


def test_choices_change_map_ranking_chart_texts_and_address(site):
    page = site()
    choose(page, level="2", landcover="grn", lc_flow="stk", definition="a", method="con")
    title = "Green land, % of the area, 2023"
    expect(map_title(page)).to_have_text(title)
    expect(page.locator("#ranking").get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("heading", name="Green land, % of the area, 2017 to 2023")).to_be_visible()
    expect(page.locator("#chart")).to_contain_text("No 95 % interval: the figures are counted from maps")
    expect(controller.OutputUi(page, "about").loc).to_contain_text("These figures are consistent map")
    expect(page).to_have_url(re.compile(r"\?l=2&c=grn&i=stk&u=pc&d=a&m=con&y=2023&g=XA111$"))
    choose(page, unit="ha")
    expect(page.locator("#map .circles circle")).to_have_count(16)
    page.go_back()
    expect(page.locator("body[data-ready]")).to_have_count(1)
    expect(map_title(page)).to_have_text(title)


def test_a_second_method_is_one_click_away(site):
    page = site("?i=net&g=XA")
    expect(page.locator("#chart")).to_contain_text("Markers: estimated from a sample. Bars: 95 % interval.")
    # Changes of single years and their wide intervals show no trend, so no line joins them. Stocks have one.
    expect(page.locator("svg.chart path.interval")).to_have_count(6)
    expect(page.locator("svg.chart path.line")).to_have_count(0)
    expect(page.locator("#chart")).not_to_contain_text("Dashed line")
    page.get_by_label("Compare with raw map counts").check()
    expect(page.locator("#chart")).to_contain_text("Dashed line: raw map counts, for comparison.")
    expect(page.locator("svg.chart path.line.beside")).to_have_count(1)
    expect(page).to_have_url(re.compile("&r=1$"))


def test_units_that_a_measure_lacks_are_not_offered(site):
    page = site("?i=stk&u=hab")
    expect(map_title(page)).to_have_text("Impervious land, m² per inhabitant, 2023")
    choose(page, lc_flow="net")
    expect(map_title(page)).to_have_text(re.compile("^Net change of impervious land, % of the stock at the start"))
    expect(page.locator("#unit option[value=hab]")).to_be_disabled()


def test_address_restores_the_view(site):
    query = "?l=1&c=imp&i=net&u=pc&d=a&m=raw&y=2020&f=2017&g=XA111,XA2&o=asc"
    page = site(query)
    expect(map_title(page)).to_have_text("Net change of impervious land, % of the stock at the start, 2017 to 2020")
    expect(chosen(page).get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("slider", name="To")).to_have_attribute("aria-valuetext", "2020, period 2017 to 2020")
    expect(page.get_by_role("columnheader", name="reverse the order")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_text("Dashed line:")).to_have_count(0)
    assert page.url.endswith(query) and len(page.url) < 300


@pytest.mark.parametrize("query", HOSTILE_QUERIES[:5])
def test_hostile_address_gives_a_working_page_and_a_word(site, query):
    page = site(f"?{query}")
    expect(page.get_by_role("alert")).to_have_text(
        re.compile("^A part of this link is not in the table and was left out: ")
    )
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_two_handles_choose_periods_of_the_table_alone(site):
    page = site("?i=net&y=2023")
    start, end = page.get_by_role("slider", name="From"), page.get_by_role("slider", name="To")
    end.press("ArrowLeft")
    expect(map_title(page)).to_have_text(re.compile("2021 to 2022$"))
    start.press("Home")
    expect(map_title(page)).to_have_text(re.compile("2017 to 2018$"))
    spans = page.get_by_role("group", name="Periods of the table")
    spans.get_by_role("button", name="since 2017").click()
    expect(map_title(page)).to_have_text(re.compile("2017 to 2023$"))
    expect(page).to_have_url(re.compile("y=2023&f=2017"))
    spans.get_by_role("button", name="3 years").click()
    expect(map_title(page)).to_have_text(re.compile("2020 to 2023$"))
    start.press("ArrowLeft")
    expect(map_title(page)).to_have_text(re.compile("2019 to 2022$"))
    expect(page.locator("#tiles")).to_contain_text("2019 to 2022")
    choose(page, lc_flow="stk")
    expect(page.get_by_role("slider", name="Year")).to_have_attribute("aria-valuetext", "2022, year shown")
    expect(start).to_be_hidden()


def test_figure_of_a_span_is_that_of_the_table_not_a_sum(site, table):
    page = site("?i=net&u=km2&y=2023&f=2017&g=XA")
    from dashboard.table import Measure, Period

    cell = table.cube(Measure("NET", "IMP", "artificial_natural", "estimated", "KM2"), 0).cell("XA", Period(2023, 2017))
    tile = page.locator(".tile.now")
    expect(tile).to_contain_text(f"+{cell.value:.1f}\u00a0km²")
    expect(tile).to_contain_text(f"95 %: {cell.low:.1f} to {cell.high:.1f}")


def test_a_change_of_the_year_needs_no_server(site):
    page = site("?i=net&y=2023")
    page.context.set_offline(True)
    try:
        for year in ("2021 to 2022", "2020 to 2021"):
            page.get_by_role("slider", name="To").press("ArrowLeft")
            expect(map_title(page)).to_have_text(re.compile(f"{year}$"))
            expect(page.locator("#ranking h2")).to_have_text(re.compile(f"{year}$"))
            expect(page.locator("#tiles")).to_contain_text(year)
        region(page, "XA112").click()
        expect(page.get_by_role("alert")).to_contain_text("The figures could not be loaded.")
    finally:
        page.context.set_offline(False)
        page.wrong.clear()  # the browser reports each request that failed


def test_play_runs_to_the_end_and_stops(site):
    page = site("?y=2022")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    expect(map_title(page)).to_have_text(re.compile("2022 to 2023$"))
    expect(page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")


def test_another_table_on_the_server_is_noticed(site):
    page = site()
    page.route("**/api/v1/slice.json?*", lambda route: route.fulfill(status=409, body="The table has changed."))
    choose(page, lc_flow="lost")
    expect(page.get_by_role("alert")).to_contain_text("The server has another table now.")
    expect(page.get_by_role("button", name="Load again")).to_be_visible()
    expect(map_title(page)).to_have_text(re.compile("^New impervious land"))
    page.unroute_all()
    page.wrong.clear()  # the browser reports the answer 409


def test_map_and_ranking_choose_and_compare(site):
    page = site("?g=")
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
    expect(page.locator("svg.chart text.end")).to_have_count(5)
    expect(page.locator("table.compare thead th")).to_have_count(5)
    chosen(page).get_by_role("button").first.click()
    expect(chosen(page).get_by_role("listitem")).to_have_count(4)
    expect(page).to_have_url(re.compile(r"g=XA211,XA212,XA311,XA312$"))


def test_parent_country_and_similar_regions_are_one_click_away(site):
    page = site("?l=3&g=XA111")
    offers = page.get_by_role("group", name="Compare with").get_by_role("button")
    expect(offers).to_have_count(5)
    assert [text.endswith("(similar)") for text in offers.all_inner_texts()] == [False, False, True, True, True]
    offers.filter(has_text="Avaria").click()
    expect(chosen(page).get_by_role("listitem")).to_have_count(2)
    expect(page.locator("table.compare thead")).to_contain_text("Avaria")


def test_search_finds_parts_of_names_and_codes_and_says_when_not(site):
    page = site()
    field = page.get_by_role("combobox", name="Find a region")
    field.fill("nnho")
    expect(page.get_by_role("listbox", name="Regions found")).to_contain_text("Fennholt")
    field.press("Enter")
    expect(chosen(page)).to_contain_text("Fennholt")
    field.fill("xa42")
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    expect(chosen(page)).to_contain_text("Province 42")
    field.fill("Province 1")
    page.get_by_role("listbox", name="Regions found").get_by_role("option").nth(1).click()
    expect(chosen(page)).to_contain_text("Province 12")
    field.fill("nowhere")
    expect(page.get_by_text("No region has this name or code.")).to_be_visible()


def test_tooltip_shows_value_interval_coverage_and_flags(site):
    page = site("?l=2&y=2023")
    region(page, "XA11").hover()
    tooltip = page.locator("#tooltip")
    for said in ("Province 11", "XA11", "%", "95 % interval ", "of the area seen", "provisional"):
        expect(tooltip).to_contain_text(said)
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()


def test_missing_figure_says_why(site):
    page = site("?l=3&y=2021&g=")
    geo = page.locator("#map .regions path.none").evaluate_all("all => all.map((one) => one.dataset.geo)")
    said = []
    for one in geo:
        region(page, one).hover()
        said.append(page.locator("#tooltip").inner_text())
    assert sorted("less than 50 % of the region was seen" in text for text in said) == [False, True]
    assert sum("not in the table" in text for text in said) == 1


def test_hostile_name_stays_text(site):
    page = site("?l=3")
    geo = page.locator("#ranking button").filter(has_text="<img").get_attribute("data-geo")
    region(page, geo).hover()
    expect(page.locator("#tooltip strong")).to_have_text(HOSTILE)
    region(page, geo).click()
    expect(page.locator("#tiles h2")).to_have_text(HOSTILE)
    page.get_by_role("link", name="Report to print").click()
    expect(page.locator("body[data-ready]")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    expect(page).not_to_have_title("owned")
    assert page.locator("img").count() == 0


def test_arrow_keys_reach_every_region_of_the_map(site):
    page = site("?l=3&g=")
    view = page.get_by_role("application")
    view.focus()
    seen = set()
    for _ in range(24):
        page.keyboard.press("PageDown")
        seen.add(page.locator("#readout").inner_text())
    assert len(seen) == 24
    places = []
    for way in ("PageDown", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(way)
        places.append(page.locator("#readout").inner_text())
    assert places[0] == places[-1] and len(set(places)) == 4
    page.keyboard.press("Enter")
    expect(chosen(page).get_by_role("listitem")).to_have_count(1)
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Zoom out")).to_be_enabled()
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()


def test_map_fills_its_panel_and_has_borders_and_names_when_zoomed(site, large_server):
    page = site("?l=3", large_server)
    box, panel = (page.locator(one).bounding_box() for one in ("#map", ".map-panel"))
    assert box["width"] >= panel["width"] - 4
    # The made countries are twice as wide as they are high; the whole drawing fills the map from side to side.
    regions = page.locator("#map .regions").bounding_box()
    assert regions["width"] > 0.9 * box["width"] and regions["height"] > 0.8 * box["height"]
    assert len(drawn(page, "#map .borders path")) == 4
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("#map .names text")).not_to_have_count(0)
    names = page.locator("#map .names text").evaluate_all(
        "all => all.map((one) => { const b = one.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; })"
    )
    for i, (left, right, top, bottom) in enumerate(names):
        for other in names[:i]:
            assert right <= other[0] or left >= other[1] or bottom <= other[2] or top >= other[3]


def test_drag_moves_the_zoomed_map_and_chooses_nothing(site):
    page = site("?g=")
    page.get_by_role("button", name="Zoom in").click()
    before = page.locator("#map").get_attribute("viewBox")
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 330, steps=4)
    page.mouse.up()
    assert page.locator("#map").get_attribute("viewBox") != before
    expect(page.get_by_role("heading", name="No region chosen")).to_be_visible()
    page.get_by_role("button", name="Show the whole map").click()
    expect(page.get_by_role("button", name="Show the whole map")).to_be_disabled()


def test_two_fingers_zoom_the_map(site):
    page = site("?g=", width=390)
    box = page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.locator("#map").scroll_into_view_if_needed()
    devtools = page.context.new_cdp_session(page)

    def touch(kind, *offsets):
        points = [{"x": x + dx, "y": y, "id": i} for i, dx in enumerate(offsets)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -40, 40)
    for spread in (60, 90, 120):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    expect(page.get_by_role("button", name="Zoom out")).to_be_enabled()
    expect(page.get_by_role("heading", name="No region chosen")).to_be_visible()


def test_everything_is_reached_by_keyboard_in_a_sensible_order(site):
    page = site("?i=net")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    order = []
    for _ in range(30):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.key || ''"))
    wanted = ["level", "landcover", "lc_flow", "unit", "definition", "method", "shown", "zoom-in", "map", "play", "from", "to", "span-1",
              "map-png", "copy", "search", "keep", "remove-XA111", "report-link", "beside"]  # fmt: skip
    assert [one for one in order if one in wanted] == wanted
    button = page.locator("#ranking button[data-geo]").nth(3)
    geo = button.get_attribute("data-geo")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ranking tr.chosen")).to_have_count(1)
    # The table was drawn again; the button of the same region has the focus.
    expect(page.locator(f"#ranking button[data-geo={geo}]")).to_be_focused()


def test_nothing_focusable_lacks_a_name(site):
    page = site()
    unnamed = page.locator("a, button, input, select, summary, [tabindex='0']").evaluate_all(
        """all => all.filter((e) => !e.closest('[hidden]') && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
           || e.textContent.trim() || (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize(
    ("query", "width", "scheme"),
    [
        ("?g=XA,XA111,XA2&i=net", 1366, "light"), ("?g=XA111&i=net", 1366, "dark"), ("?g=XA,XA111,XA2", 390, "dark"),
        ("?g=&u=km2&i=net&m=raw&lang=de", 320, "dark"), ("region/XA131", 390, "light"), ("region/XA131", 1366, "dark"), ("?embed=1", 390, "light"),
    ],
)  # fmt: skip
def test_axe_finds_nothing_and_nothing_scrolls_sideways(site, query, width, scheme):
    page = site(query, width=width, scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach((d) => (d.open = true))")
    if width < 640 and query.startswith("?g"):
        page.locator("#filters").click()
    if "embed" not in query:
        expect(page.locator("#about, #report").first).not_to_be_empty()
    assert violations(page, RULES) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The other scheme differs in its colours alone. On wide pages each scheme has a row above.
    if width < 390 or not query.startswith("?g"):
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        assert violations(page, {"runOnly": ["color-contrast"]}) == []


def test_page_for_programs_passes_axe_and_its_example_works(tab, server):
    tab.goto(f"{server}api/")
    assert Axe().run(tab, options=RULES).response["violations"] == []
    link = tab.get_by_role("link", name="/api/v1/data.csv")
    with tab.expect_download() as caught:
        link.click()
    assert "Avaria" in caught.value.path().read_text()


def test_page_not_found_passes_axe(tab, server):
    tab.goto(f"{server}nothing/here")
    expect(tab.get_by_role("heading", name="Not found")).to_be_visible()
    assert Axe().run(tab, options=RULES).response["violations"] == []
    tab.get_by_role("link", name="To the map and the figures").click()
    expect(tab.locator("body[data-ready]")).to_have_count(1)


def test_phone_has_lists_in_a_sheet_and_rows_of_two_lines(site):
    page = site("?l=3&i=net", width=390)
    expect(page.locator("#level")).to_be_hidden()
    page.get_by_role("button", name="Choose the figures").click()
    expect(page.locator("#level")).to_be_visible()
    row = page.locator("#ranking tbody tr").first
    name, drawing = (row.locator(one).bounding_box() for one in ("th", ".drawing"))
    assert drawing["y"] >= name["y"] + name["height"] - 2
    small = page.locator("#ranking button, .spans button, .zoom button, #play").evaluate_all(
        "all => all.filter((e) => e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24).length"
    )
    assert small == 0


def test_motion_is_left_out_where_it_is_not_wanted(site):
    page = site()
    length = "getComputedStyle(document.querySelector('#map')).transitionDuration"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(length) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(length) == "0s"
    page.emulate_media(reduced_motion="no-preference")


def test_forced_colours_keep_the_classes_of_the_map(site):
    page = site()
    fills = (
        "[...new Set([...document.querySelectorAll('#map .regions path')].map((p) => getComputedStyle(p).fill))].length"
    )
    plain = page.evaluate(fills)
    page.emulate_media(forced_colors="active")
    assert page.evaluate(fills) == plain > 4
    page.emulate_media(forced_colors="none")


def test_download_link_gives_the_regions_of_the_map(site):
    page = site("?l=1")
    link = page.get_by_role("link", name="This map, all years as CSV", exact=True)
    with page.expect_download() as caught:
        link.click()
    lines = caught.value.path().read_text().splitlines()
    assert len(lines) == 1 + 4 * 11


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_picture_has_title_legend_and_source(site, kind):
    page = site("?l=3&i=net")
    with page.expect_download() as caught:
        page.get_by_role("button", name=f"Map as {kind.upper()}").click()
    assert (
        caught.value.suggested_filename
        == f"map-net-change-of-impervious-land-of-the-stock-at-the-start-2022-to-2023.{kind}"
    )
    content = caught.value.path().read_bytes()
    if kind == "png":
        assert content.startswith(b"\x89PNG") and len(content) > 20_000
        return
    text = content.decode()
    for said in (
        "Net change of impervious land, % of the stock at the start, 2022 to 2023",
        "hatched: low reliability",
        "Source: Impervious land in Avaria",
        "vintage 2024-03-01",
    ):
        assert said in text
    assert "var(" not in text and "class=" not in text


def test_chart_is_taken_as_a_picture(site):
    page = site("?g=XA,XA1")
    with page.expect_download() as caught:
        page.get_by_role("button", name="Chart as SVG").click()
    text = caught.value.path().read_text()
    assert "Avaria, North-West Avaria" in text and "Source: " in text


def test_link_to_the_view_is_copied(site):
    page = site("?l=2&i=net&y=2021")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link to this view").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_embedded_page_is_the_map_alone(site):
    page = site("?embed=1&l=2")
    expect(page.locator("#map")).to_be_visible()
    for hidden in ("#tiles", "#ranking", "#level"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page).to_have_url(re.compile("embed=1"))


def test_page_without_scripts_shows_the_figures(browser, server):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server}?l=3&i=net&y=2020")
    expect(page.get_by_role("rowheader", name="Aldermoor")).to_be_visible()
    context.close()


def test_choice_without_figures_says_so_and_can_be_left(site, plain_server):
    page = site("?m=est", plain_server)
    expect(page.locator("#map-method")).to_have_text("Method: consistent map")
    choose(page, lc_flow="net", landcover="grn")
    expect(page.get_by_text("No figures for this choice. Try another measure, unit or method.")).to_be_visible()
    expect(page.get_by_text("There are no figures to rank.")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_disabled()
    choose(page, landcover="imp")
    expect(page.locator("#map")).to_be_visible()
    expect(map_title(page)).to_have_text(re.compile("^Net change of impervious land"))


def test_measure_without_the_year_shows_the_nearest(site):
    page = site("?i=stk&y=2017")
    expect(map_title(page)).to_have_text("Impervious land, % of the area, 2017")
    choose(page, lc_flow="net")
    expect(map_title(page)).to_have_text(re.compile("2017 to 2018$"))


def test_facts_of_the_page_are_those_of_the_schema(site, table):
    page = site()
    facts = json.loads(page.locator("#facts").text_content())
    assert set(facts["reasons"]) == set(table.schema["codes"]["MISSING_REASON"])
    assert facts["maxRegions"] == 5


def test_page_outlives_its_server_and_says_so(tab, small_folder):
    process, address = start(small_folder)
    tab.goto(f"{address}?i=net")
    expect(tab.locator("body[data-ready]")).to_have_count(1)
    expect(tab.locator("#about")).not_to_be_empty()
    process.terminate()
    process.wait(20)
    expect(tab.get_by_role("alert")).to_contain_text("The connection to the server is lost.")
    tab.get_by_role("slider", name="To").press("ArrowLeft")
    expect(map_title(tab)).to_have_text(re.compile("2017 to 2018$"))
    expect(tab.get_by_role("button", name="Load again")).to_be_visible()
    tab.goto("about:blank")
