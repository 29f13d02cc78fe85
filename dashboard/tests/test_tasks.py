"""Twelve tasks of readers, each done by keyboard alone and by touch on a phone.

By keyboard, every element is reached with the Tab key from the start of the page. By touch, every element is tapped; the lists of choices
belong to the browser or the telephone, so a choice is made as these make it.
"""

import re

import pytest
from playwright.sync_api import expect

from dashboard.state import parse_query


class Keyboard:
    """A reader without a mouse, on a wide screen."""

    def __init__(self, page):
        self.page = page

    def go(self, target, key="Tab"):
        """Press Tab until the target has the focus."""
        for _ in range(140):
            if target.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press(key)
        raise AssertionError("The Tab key does not reach the target.")

    def press(self, target):
        self.go(target)
        self.page.keyboard.press("Space" if target.get_attribute("type") == "checkbox" else "Enter")

    def choose(self, target, text):
        self.go(target)
        self.page.keyboard.type(text)

    def write(self, target, text):
        self.go(target)
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def back_to(self, target):
        self.go(target, "Shift+Tab")

    def lists(self):
        """The lists are in view."""


class Touch:
    """A reader with a phone."""

    def __init__(self, page):
        self.page = page

    def press(self, target):
        target.tap()

    def choose(self, target, text):
        target.tap()
        label = next(one for one in target.locator("option").all_inner_texts() if one.startswith(text))
        target.select_option(label=label)

    def write(self, target, text):
        target.tap()
        target.fill(text)
        self.page.get_by_role("listbox", name="Regions found").get_by_role("option").first.tap()

    def lists(self):
        button = self.page.get_by_role("button", name="Choose the figures")
        if button.get_attribute("aria-expanded") == "false":
            button.tap()


@pytest.fixture(scope="module", params=["keyboard", "touch"])
def hand(request, browser, browser_context_args):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    context = browser.new_context(**{**browser_context_args, **(phone if request.param == "touch" else {})})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield {"keyboard": Keyboard, "touch": Touch}[request.param](context.new_page())
    context.close()


@pytest.fixture
def reader(hand, server):
    """Open the page at its start: reader(query)."""

    def opens(query=""):
        hand.page.goto(server + query)
        expect(hand.page.locator("body[data-ready]")).to_have_count(1)
        return hand, hand.page

    return opens


def title(page):
    return page.locator("#map-title")


def search(page):
    return page.get_by_role("combobox", name="Find a region")


def test_which_ten_regions_sealed_most_in_a_year_and_are_they_sure(reader):
    hand, page = reader("?y=2021")
    hand.press(page.get_by_role("button", name="Play"))
    expect(title(page)).to_have_text(re.compile("2021 to 2022$"))
    hand.press(page.get_by_role("button", name="Pause"))
    expect(page.locator("#ranking h2")).to_have_text(re.compile("^New impervious land.*2021 to 2022$"))
    expect(page.locator("#ranking .sure")).to_have_text(re.compile("of the first 10 .* surely above the rest"))


def test_print_a_region(reader):
    hand, page = reader()
    hand.write(search(page), "Fennholt")
    expect(page.get_by_role("heading", name="Fennholt", exact=True)).to_be_visible()
    hand.press(page.get_by_role("link", name="Report to print"))
    expect(page.get_by_role("heading", name="Impervious land in Fennholt")).to_be_visible()
    page.evaluate("window.print = () => (document.title = 'printed')")
    hand.press(page.get_by_role("button", name="Print"))
    expect(page).to_have_title("printed")


def test_compare_two_regions_since_the_first_year(reader):
    hand, page = reader("?g=")
    hand.press(page.get_by_role("button", name="since 2017"))
    hand.press(page.get_by_label("Compare up to 5 regions"))
    for name in ("Kelvenor", "Fennholt"):
        if isinstance(hand, Keyboard):
            hand.back_to(search(page))
        hand.write(search(page), name)
        expect(page.get_by_role("list", name="Chosen regions")).to_contain_text(name)
    expect(page.locator("table.compare tbody tr").last).to_contain_text("2017 to 2023")
    expect(page.locator("table.compare thead th")).to_have_count(2)


def test_share_what_i_see(reader):
    hand, page = reader("?l=2&i=net&y=2020&g=XA11")
    hand.press(page.get_by_role("button", name="Copy link to this view"))
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.url.endswith("?l=2&c=imp&i=net&u=pc&d=an&m=est&y=2020&g=XA11")


def test_how_sure_is_the_figure_of_a_region(reader):
    hand, page = reader("?l=3&i=net")
    hand.press(page.locator("#ranking button[data-geo]").nth(1))
    tile = page.locator(".tile.now")
    expect(tile).to_contain_text(re.compile(r"95 %: .* to "))
    expect(page.locator("#ranking tr.chosen .between")).to_have_text(re.compile(r"\d+–\d+"))


def test_where_did_sealed_land_shrink(reader):
    hand, page = reader()
    hand.lists()
    hand.choose(page.locator("#lc_flow"), "Net")
    expect(title(page)).to_have_text(re.compile("^Net change"))
    hand.press(page.get_by_role("button", name="reverse the order"))
    expect(page.locator("#ranking tbody .figure").first).to_have_text(re.compile("^−"))


def test_read_hectares(reader):
    hand, page = reader("?i=stk")
    hand.lists()
    hand.choose(page.locator("#unit"), "ha")
    expect(title(page)).to_have_text("Impervious land, ha, 2023")
    expect(page.locator("#tiles .big").first).to_contain_text("ha")


def test_read_square_metres_per_inhabitant(reader):
    hand, page = reader("?i=stk")
    hand.lists()
    hand.choose(page.locator("#unit"), "m²")
    expect(title(page)).to_have_text("Impervious land, m² per inhabitant, 2023")


def test_put_a_region_beside_its_country(reader):
    hand, page = reader("?g=XA111")
    hand.press(page.get_by_role("group", name="Compare with").get_by_role("button", name="Avaria"))
    expect(page.locator("table.compare thead")).to_contain_text("Avaria")


def test_take_the_figures_of_the_map_away(reader):
    hand, page = reader("?l=1")
    link = page.get_by_role("link", name="This map, all years as CSV", exact=True)
    with page.expect_download() as caught:
        hand.press(link)
    assert caught.value.path().read_text().count("XA") >= 4


def test_take_the_chart_away(reader):
    hand, page = reader("?g=XA")
    with page.expect_download() as caught:
        hand.press(page.get_by_role("button", name="Chart as PNG"))
    assert caught.value.path().read_bytes().startswith(b"\x89PNG")


def test_why_has_a_region_no_figure(reader, table):
    cube = table.cube(parse_query("l=3&y=2021", table).measure, 3)
    at = cube.periods.index(cube.nearest(2021))
    missing = next(geo for i, geo in enumerate(cube.geos) if cube.reason_texts[cube.reasons[i, at]])
    hand, page = reader("?l=3&y=2021&g=")
    hand.write(search(page), missing)
    expect(page.locator(".tile.now")).to_contain_text("Less than 50 % of the region was seen")


def test_tap_on_the_map_reads_the_figure_out(browser, browser_context_args, server):
    context = browser.new_context(
        **{**browser_context_args, "viewport": {"width": 390, "height": 844}, "has_touch": True}
    )
    page = context.new_page()
    page.goto(f"{server}?l=2&i=net&g=")
    expect(page.locator("body[data-ready]")).to_have_count(1)
    page.locator("#map .regions [data-geo=XA11]").tap()
    expect(page.locator("#readout")).to_have_text(
        re.compile(r"^Province 11: [+−][\d.]+\s%; 95 % interval .* % of the area seen\.$")
    )
    expect(page.get_by_role("list", name="Chosen regions")).to_contain_text("Province 11")
    context.close()
