"""The labelling sheet in a real browser: a scripted interpreter reads a made sample, and what it saves is what it meant.

The interpreter answers from the truth, with errors on demand, by keys alone or by touch alone. Every test also checks that the page asked no
server and had no error.
"""

import base64
import html
import http.server
import json
import re
import statistics
import threading
import time

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from playwright.sync_api import expect

from imperviouslib.core.errors import InputError
from imperviouslib.core.readings import SIDE, Reading, SheetUnit, format_readings, parse_readings
from imperviouslib.edge.sheet import CONTEXT, write_sheet
from imperviouslib.edge.sheet.writer import _png
from testsuite.refusal import STEPS
from testsuite.sheet_ground import YEARS, make_sheet_ground
from testsuite.test_readings import HEADER, KINDS, REFUSED
from testsuite.test_readings import YEARS as TABLE_YEARS

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
HOSTILE = "<img src=x onerror=\"document.title='bad'\"></script><!-- {{chips}} & 'x'"
DIGEST = "0123abcd"
browser_test = pytest.mark.slow

expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--disable-default-apps"]
    return {**browser_type_launch_args, "executable_path": "/usr/bin/chromium", "args": flags}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1366, "height": 768}}


def write(path, ground, **changes):
    settings = {
        "title": "Sample of Avaria",
        "years": YEARS,
        "units": ground.units,
        "chips": ground.chips,
        "digest": DIGEST,
    }
    write_sheet(path, **{**settings, **changes})
    return path.as_uri()


@pytest.fixture(scope="module")
def ground():
    return make_sheet_ground(8, 4)


@pytest.fixture(scope="module")
def sheet(ground, tmp_path_factory):
    return write(tmp_path_factory.mktemp("sheet") / "sheet.html", ground)


@pytest.fixture
def watch():
    """Collect what a page asks for and what goes wrong in it; at the end, it asked for its own file only and nothing went wrong."""
    asked, wrong, allowed = [], [], []

    def watched(page):
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        return page

    yield watched, asked, allowed
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:", *allowed))]
    assert asked and not outside
    assert not wrong


@pytest.fixture
def site(page, watch):
    """Open a sheet as a reader: site(address, name, reading) -> page."""
    watch[0](page)
    return lambda address, name="Ann", reading=1: start(open_sheet(page, address), name, reading)


def open_sheet(page, address):
    page.goto(address)
    expect(page.locator("html[data-ready]")).to_be_attached()
    return page


def start(page, name, reading=1):
    page.get_by_label("Your name").fill(name)
    page.get_by_role("radio").nth(reading - 1).check()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("html[data-shown]")).to_be_attached()
    return page


def shown_id(page):
    return page.locator("#unit").inner_text().split()[-1]


def shown(page, ground):
    """The unit that the page shows."""
    return next(unit for unit in ground.units if unit.id == shown_id(page))


def saved(page, ground=None, kinds=None, years=YEARS):
    """Save the CSV file and parse it."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    text = download.value.path().read_text(encoding="utf-8")
    return parse_readings(text, kinds or ground.kinds, years)


def load(page, text):
    page.locator("#file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": text.encode()})


def untimed(readings):
    return sorted(
        (
            (r.id, -1 if r.cell is None else r.cell, r.states, r.certainty, r.interpreter, r.reading, r.note)
            for r in readings
        ),
        key=str,
    )


class Keyboard:
    """An interpreter who uses keys alone, and counts them."""

    def __init__(self, page):
        self.page, self.pressed = page, 0

    def press(self, key):
        self.page.keyboard.press(key)
        self.pressed += 1

    def history(self, states):
        """Give a point a history, by one key where there is one."""
        turns = [k for k in range(1, len(states)) if states[k] != states[k - 1]]
        if None not in states and len(turns) <= 1:
            k = turns[0] if turns else 0
            self.press(("" if states[-1] else "Shift+") + f"Digit{k + 1}" if turns else "a" if states[0] else "n")
            return
        self.press("n")
        for state in states:
            for _ in range({0: 0, 1: 1, None: 2}[state]):
                self.press("t")
            self.press("ArrowRight")

    def cells(self, readings):
        """Mark the cells of a window, change by change, on a way from each cell to the next."""
        at = (SIDE // 2, SIDE // 2)
        changes = sorted({(k, r.states[k]) for r in readings for k in turns_of(r.states)})
        for k, state in changes:
            self.press(f"Digit{k + 1}" if state else f"Shift+Digit{k + 1}")
            for reading in (r for r in readings if k in turns_of(r.states) and r.states[k] == state):
                goal = divmod(reading.cell, SIDE)
                for distance, keys in (
                    (goal[0] - at[0], ("ArrowUp", "ArrowDown")),
                    (goal[1] - at[1], ("ArrowLeft", "ArrowRight")),
                ):
                    for _ in range(abs(distance)):
                        self.press(keys[distance > 0])
                at = goal
                self.press("Enter")

    def read(self, readings):
        """Answer the unit shown as these rows say, and go to the next."""
        first, *cells = readings
        if first.states[0] is None and not any(first.states) and first.id.startswith("W"):
            self.cells(cells) if cells else self.press("n")
        else:
            self.history(first.states)
        if first.certainty != "sure":
            self.press(first.certainty[0])
        self.press("d")


def turns_of(states):
    return [k for k in range(1, len(states)) if states[k] != states[k - 1]]


# An interpreter reads the sample


@browser_test
def test_by_keys_alone_the_file_says_what_was_meant_and_reload_loses_nothing(site, ground, sheet):
    page = site(sheet)
    keys, meant, counts = Keyboard(page), [], []
    wrong = {"P0003": (0, 1, 1, 0, 0, 1, 1), "P0005": (1, 1, 1, 1, 0, 0, 0), "P0006": (0, None, 1, 1, 1, 1, 1)}
    for number in range(len(ground.units)):
        unit = shown(page, ground)
        certainty = ("sure", "likely", "guess")[number % 3]
        rows = ground.reading(unit, certainty=certainty, wrong=wrong.get(unit.id))
        if unit.id == "W0002":  # a cell that nobody sees, and one that changes twice
            rows = rows[:1] + rows[2:] + [Reading("W0002", 624, (0, 0, 1, 1, 0, 0, 0), certainty, "Ann", 1)]
        before = keys.pressed
        keys.read(rows)
        meant += rows
        if unit.kind == "window":
            counts.append((keys.pressed - before, len(rows) - 1))
        if number in (3, 9):
            start(open_sheet(page, sheet), "Ann")
    expect(page.locator("#left")).to_contain_text("12 of 12 read. Points left: 0, windows left: 0.")
    assert untimed(saved(page, ground)) == untimed(meant)
    print(
        "\nby keys alone, a window: "
        + ", ".join(f"{n} keys ({0.28 * n:.0f} s of hands) for {c} cells" for n, c in counts)
    )


@pytest.fixture
def phone(browser, watch):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    yield watch[0](context.new_page())
    context.close()


@browser_test
def test_by_touch_alone_the_file_says_what_was_meant(phone, ground, sheet):
    page = phone
    open_sheet(page, sheet)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Start").tap()
    meant, client = [], page.context.new_cdp_session(page)
    for _ in range(3):
        unit = shown(page, ground)
        rows = ground.reading(unit)
        turns = turns_of(rows[0].states)
        if turns:
            page.locator("#since button, #until button").filter(has_text=str(YEARS[turns[0]])).nth(
                1 - rows[0].states[turns[0]]
            ).tap()
        else:
            page.locator("#always" if rows[0].states[0] else "#never").tap()
        page.get_by_role("button", name="Done").tap()
        meant += rows
    page.locator("#show").select_option("window")
    for _ in range(len([unit for unit in ground.units if unit.kind == "window"])):
        unit = shown(page, ground)
        rows = ground.reading(unit)
        margin, size = CONTEXT["window"], SIDE + 2 * CONTEXT["window"]
        boxes = {}  # change -> rows of cells -> first and last column
        for r in rows[1:]:
            for k in turns_of(r.states):
                row, column = divmod(r.cell, SIDE)
                boxes.setdefault((k, r.states[k]), {}).setdefault(row, []).append(column)
        for (k, state), lines in boxes.items():
            page.locator("#years button").nth(k).tap()
            page.locator("#gain" if state else "#loss").tap()
            canvas = page.locator("#after")
            canvas.scroll_into_view_if_needed()
            box = canvas.bounding_box()
            step = box["width"] / size
            for row, line in lines.items():
                for column in runs(line):
                    points = [
                        (box["x"] + (margin + c + 0.5) * step, box["y"] + (margin + row + 0.5) * step) for c in column
                    ]
                    touch(client, points)
        if not boxes:
            page.get_by_role("button", name="Nothing changed").tap()
        page.get_by_role("button", name="Done").tap()
        meant += rows
    assert untimed(saved(page, ground)) == untimed(meant)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def runs(columns):
    """First and last column of each run of neighbours; one number where the run is one cell."""
    columns = sorted(columns)
    starts = [c for c in columns if c - 1 not in columns]
    stops = [c for c in columns if c + 1 not in columns]
    return [sorted({a, b}) for a, b in zip(starts, stops, strict=True)]


def touch(client, points):
    """Put a finger on the first point and move it to the last."""
    for kind, place in [("touchStart", points[0]), *[("touchMove", point) for point in points[1:]], ("touchEnd", None)]:
        at = [{"x": place[0], "y": place[1]}] if place else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})


@browser_test
def test_a_mouse_drag_marks_a_line_of_cells_and_a_second_one_removes_it(site, ground, sheet):
    page = site(sheet)
    page.locator("#show").select_option("window")
    page.keyboard.press("4")
    box = page.locator("#after").bounding_box()
    step = box["width"] / (SIDE + 2 * CONTEXT["window"])
    marks = page.locator("#marks")
    for text in ("Marked: 6 sealed since 2020.", "No cell is marked."):
        page.mouse.move(box["x"] + 10.5 * step, box["y"] + 20.5 * step)
        page.mouse.down()
        page.mouse.move(box["x"] + 15.5 * step, box["y"] + 20.5 * step)
        page.mouse.up()
        expect(marks).to_have_text(text)
    page.keyboard.press("z")
    expect(marks).to_have_text("Marked: 6 sealed since 2020.")
    page.keyboard.press("z")
    expect(marks).to_have_text("No cell is marked.")
    page.keyboard.press("Control+y")
    page.keyboard.press("d")
    page.keyboard.press("k")
    expect(page.locator("#status")).to_have_text("read")
    assert len(saved(page, ground)) == 7


@browser_test
def test_undo_goes_back_to_the_unit_and_redo_forward(site, ground, sheet):
    page = site(sheet)
    first = shown_id(page)
    for key in ("3", "l", "d", "a"):
        page.keyboard.press(key)
    second = shown_id(page)
    assert {r.id: r.certainty for r in saved(page, ground)} == {first: "likely", second: "sure"}
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert shown_id(page) == first and saved(page, ground) == []
    expect(page.locator("#undo")).to_be_disabled()
    for _ in range(3):
        page.keyboard.press("y")
    assert shown_id(page) == second
    assert {r.id: (r.states[0], r.certainty) for r in saved(page, ground)} == {
        first: (0, "likely"),
        second: (1, "sure"),
    }


@browser_test
def test_a_note_is_saved_letter_by_letter_and_is_one_step_of_undo(site, ground, sheet):
    page = site(sheet)
    page.keyboard.press("a")
    page.keyboard.press("m")
    page.keyboard.type("new  hall,  d n z")
    start(open_sheet(page, sheet), "Ann")
    [one] = saved(page, ground)
    assert one.note == "new hall, d n z" and one.states == (1,) * 7
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.get_by_role("button", name="All units").click()
    page.get_by_role("button", name=re.compile(f"^{one.id} ")).click()
    page.keyboard.press("m")
    page.keyboard.type(" 2")
    page.keyboard.press("Enter")
    assert saved(page, ground)[0].note == "new hall, d n z 2"
    page.keyboard.press("z")
    assert saved(page, ground)[0].note == "new hall, d n z"


@browser_test
def test_an_unfinished_window_is_not_in_the_file_and_the_page_says_so(site, ground, sheet):
    page = site(sheet)
    page.locator("#show").select_option("window")
    unit = shown_id(page)
    for key in ("2", "Enter"):
        page.keyboard.press(key)
    assert saved(page, ground) == []
    expect(page.locator("#say")).to_contain_text(f"Units: 0. Begun but not finished, and not in the file: {unit}.")
    start(open_sheet(page, sheet), "Ann")
    expect(page.locator("#marks")).to_have_text("Marked: 1 sealed since 2018.")


# Time


@browser_test
def test_the_clock_stops_when_the_reader_is_away(page, watch, ground, sheet):
    # Paused, so that only run_for moves it, however slow the machine is.
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    start(open_sheet(watch[0](page), sheet), "Ann")
    unit = shown_id(page)
    for seconds in (30, 600, 10):  # ten minutes without an action count as two
        page.clock.run_for(seconds * 1000)
        page.keyboard.press("a")
    assert [(r.id, r.seconds) for r in saved(page, ground)] == [(unit, 30 + 120 + 10)]
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.clock.run_for(100_000)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false}); document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.clock.run_for(5_000)
    page.keyboard.press("n")
    assert saved(page, ground)[0].seconds == 165


# Storage

REFUSE = """Storage.prototype.keptItem = Storage.prototype.setItem;
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };"""


@browser_test
@pytest.mark.parametrize("when", ["from the beginning", "later"])
def test_a_full_disk_loses_nothing_and_is_said_at_once(page, site, ground, sheet, when):
    if when == "from the beginning":
        page.add_init_script(f"if (!window.name) {{ {REFUSE} }} window.name = 'opened';")
    site(sheet)
    if when == "later":
        expect(page.locator("#warning")).to_be_empty()
        page.evaluate(f"() => {{ {REFUSE} }}")
    page.keyboard.press("a")
    expect(page.locator("#warning")).to_contain_text("Your browser does not save your answers (QuotaExceededError)")
    page.keyboard.press("d")
    page.keyboard.press("n")
    leave = "() => { const event = new Event('beforeunload', {cancelable: true}); window.dispatchEvent(event); return event.defaultPrevented; }"
    assert page.evaluate(leave) is True
    assert len(saved(page, ground)) == 2
    assert page.evaluate(leave) is False  # all is in the file
    page.evaluate("() => { Storage.prototype.setItem = Storage.prototype.keptItem; }")
    page.keyboard.press("l")
    expect(page.locator("#warning")).to_be_empty()
    start(open_sheet(page, sheet), "Ann")
    assert [r.certainty for r in sorted(saved(page, ground), key=lambda r: r.certainty)] == ["likely", "sure"]


FORBID = (
    "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }});"
)


@browser_test
def test_a_browser_that_forbids_storage_is_said_before_any_work(page, site, ground, sheet):
    page.add_init_script(FORBID)
    site(sheet)
    expect(page.locator("#warning")).to_contain_text("Your browser does not save your answers (SecurityError)")
    page.keyboard.press("a")
    assert len(saved(page, ground)) == 1


# What Chromium does to a few pages on a busy machine: the storage looks empty, takes everything and keeps nothing. Here the first pages.
CUT_OFF = """if (window === top) {
  const opened = Number(window.name) + 1;
  window.name = opened;
  if (opened <= PAGES) {
    const own = new Map();
    Storage.prototype.setItem = (key, value) => { own.set(key, String(value)); };
    Storage.prototype.getItem = (key) => own.get(key) ?? null;
    Storage.prototype.removeItem = (key) => { own.delete(key); };
  }
}"""
# A browser might tell the frames of the same page nothing.
TELLS_NO_FRAME = """if (window === top) window.name = Number(window.name) + 1;
else window.addEventListener = () => null;"""


@browser_test
@pytest.mark.parametrize("pages", [1, 2])
def test_a_page_whose_storage_is_cut_off_is_opened_again(page, site, ground, sheet, pages):
    page.add_init_script(CUT_OFF.replace("PAGES", str(pages)))
    site(sheet)
    assert page.evaluate("window.name") == str(pages + 1)
    page.keyboard.press("a")
    expect(page.locator("#warning")).to_be_empty()
    start(open_sheet(page, sheet), "Ann")
    assert len(saved(page, ground)) == 1


@browser_test
def test_a_storage_that_stays_cut_off_is_said_before_any_work(page, site, ground, sheet):
    page.add_init_script(CUT_OFF.replace("PAGES", "4"))
    site(sheet)
    assert page.evaluate("window.name") == "3"
    expect(page.locator("#warning")).to_contain_text("Your browser does not save your answers (no answer)")
    page.keyboard.press("a")
    assert len(saved(page, ground)) == 1
    open_sheet(page, sheet)  # page 4, then 5, which is not cut off
    assert page.evaluate("window.name") == "5"
    start(page, "Ann")
    expect(page.locator("#warning")).to_be_empty()


@browser_test
def test_a_browser_that_tells_no_frame_keeps_answers_too(page, site, ground, sheet):
    page.add_init_script(TELLS_NO_FRAME)
    site(sheet)
    assert page.evaluate("window.name") == "2"
    expect(page.locator("#warning")).to_be_empty()
    page.keyboard.press("a")
    start(open_sheet(page, sheet), "Ann")
    assert len(saved(page, ground)) == 1


@browser_test
def test_a_page_leaves_only_answers_in_the_storage(site, sheet):
    page = site(sheet)
    page.keyboard.press("a")
    names = page.evaluate("Object.keys(localStorage).map((key) => key.split('/').slice(2).join('/'))")
    assert [name for name in names if not name.startswith(("Ann/1/", "reader"))] == []
    assert page.locator("iframe").count() == 0


@browser_test
def test_damaged_records_are_said_and_the_rest_is_kept(site, ground, sheet):
    page = site(sheet)
    for key in ("a", "d", "n", "d"):
        page.keyboard.press(key)
    page.evaluate("""() => {
        const keys = Object.keys(localStorage).filter((key) => /Ann.1.unit/.test(key) && localStorage[key].includes('true'));
        localStorage[keys[0]] = '{"s": [0, 1]}';
    }""")
    start(open_sheet(page, sheet), "Ann")
    expect(page.locator("#warning")).to_contain_text("Saved units that are damaged and must be read again: 1.")
    assert len(saved(page, ground)) == 1


@browser_test
def test_readers_readings_and_designs_are_kept_apart(site, ground, sheet, tmp_path):
    page = site(sheet)
    order = [button_ids(page)]
    page.keyboard.press("a")
    page.keyboard.press("m")
    page.keyboard.type("the first reading")
    page.keyboard.press("Enter")
    for name, reading in (("Bob", 2), ("Ann", 2)):
        start(open_sheet(page, sheet), name, reading)
        expect(page.locator("#left")).to_contain_text("0 of 12 read")
        order.append(button_ids(page))
        for _ in range(12):
            expect(page.locator("#status")).to_have_text("not read")
            expect(page.locator("#note")).to_have_value("")
            assert page.locator("[aria-pressed=true]:visible:not(#gain):not(#years button)").count() == 0
            assert "the first reading" not in page.locator("#sheet").inner_text()
            page.keyboard.press("j")
    assert len({tuple(ids) for ids in order}) == 3 and len({tuple(sorted(ids)) for ids in order}) == 1
    start(open_sheet(page, write(tmp_path / "other.html", ground, digest="fedc")), "Ann")
    expect(page.locator("#left")).to_contain_text("0 of 12 read")


@browser_test
def test_another_sheet_of_the_same_sample_keeps_the_answers_of_its_units(site, ground, sheet, tmp_path):
    page = site(sheet)
    for key in ("a", "d", "n", "d", "3", "d"):
        page.keyboard.press(key)
    rows = saved(page, ground)
    some = [unit for unit in reversed(ground.units) if unit.id != rows[0].id]
    start(open_sheet(page, write(tmp_path / "some.html", ground, units=some)), "Ann")
    assert untimed(saved(page, ground)) == untimed(rows[1:])


def button_ids(page):
    """The units in the order of the reader."""
    page.get_by_role("button", name="All units").click()
    ids = [text.split()[0] for text in page.locator("#units button").all_inner_texts()]
    page.keyboard.press("Escape")
    return ids


# Files


@browser_test
def test_a_loaded_file_goes_on_where_it_ended_and_is_one_step_of_undo(site, ground, sheet):
    page = site(sheet)
    rows = [row for unit in ground.units[2:10] for row in ground.reading(unit, certainty="likely", seconds=20)]
    others = [row for unit in ground.units[:2] for row in ground.reading(unit, interpreter="Bob", number=2)]
    text = format_readings([*rows, *others], YEARS)
    load(page, "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"))
    expect(page.locator("#say")).to_have_text(
        "Loaded of Ann, first reading. Units: 8. Rows of other readers or readings, left out: 2."
    )
    expect(page.locator("#left")).to_contain_text("8 of 12 read")
    found = saved(page, ground)
    assert untimed(found) == untimed(rows) and {r.seconds for r in found} == {20}
    page.keyboard.press("z")
    expect(page.locator("#left")).to_contain_text("0 of 12 read")
    page.keyboard.press("y")
    start(open_sheet(page, sheet), "Ann")
    assert untimed(saved(page, ground)) == untimed(rows)


@browser_test
def test_the_page_refuses_the_files_that_the_library_refuses(site, tmp_path):
    units = [SheetUnit(name, kind, 14.0, 50.0) for name, kind in KINDS.items()]
    small = make_sheet_ground(2, 2)
    chips = {unit.kind: small.chips(unit)[:3] for unit in small.units}
    page = site(write(tmp_path / "a.html", small, units=units, years=TABLE_YEARS, chips=lambda unit: chips[unit.kind]))
    for rows, thing, *_ in REFUSED:
        load(page, f"{HEADER}\n{rows}\n")
        line = re.match(r"line [0-9]+", thing)[0].capitalize()
        expect(page.locator("#say")).to_have_text(re.compile(rf"^The file was not loaded\. {line}\b"))
    for header in ("", "unit,cell", HEADER.replace(",2019", "")):
        load(page, f"{header}\nP0001,,0,1,1,sure,Ann,1,1,\n" if header else "")
        expect(page.locator("#say")).to_have_text(
            re.compile(r"^The file was not loaded\. (Line 1: the columns|The file is empty)")
        )
    expect(page.locator("#left")).to_contain_text("0 of 4 read")


@browser_test
def test_the_third_reading_sees_where_the_first_two_differ_and_not_how(site, ground, sheet):
    page = site(sheet, "Cid", 3)
    first = {unit.id: ground.reading(unit) for unit in ground.units}
    second = {unit.id: ground.reading(unit, interpreter="Bob", number=2) for unit in ground.units}
    second["P0002"] = ground.reading(ground.units[1], interpreter="Bob", number=2, wrong=(0, 0, 0, 0, 0, 1, 1))
    second["W0003"] = [second["W0003"][0], Reading("W0003", 7, (0, 1, 1, 1, 1, 1, 1), "sure", "Bob", 2)]
    text = "".join(format_readings([row for rows in one.values() for row in rows], YEARS) for one in (first, second))
    load(page, text)
    expect(page.locator("#say")).to_have_text(
        "Units in which the first two readings differ: 2. Only these are shown; how they were read is not."
    )
    assert button_ids(page) == ["P0002", "W0003"]
    expect(page.locator("#status")).to_have_text("not read")
    expect(page.locator("#left")).to_contain_text("0 of 2 read")
    keys = Keyboard(page)
    for unit in ("P0002", "W0003"):
        keys.read(first[unit])
    expect(page.locator("#say")).to_contain_text("All units shown here are read.")
    assert {(r.id, r.reading, r.interpreter) for r in saved(page, ground)} == {("P0002", 3, "Cid"), ("W0003", 3, "Cid")}
    kept = "Object.keys(localStorage).some(key => key.endsWith('/3/disputed'))"
    assert page.evaluate(kept)
    open_sheet(page, sheet)
    # On a busy machine, a new process of the browser may get what was saved a moment later.
    page.wait_for_function(kept)
    start(page, "Cid", 3)
    assert button_ids(page) == ["P0002", "W0003"]


# What the page contains and asks for


@browser_test
def test_hostile_texts_are_shown_and_not_run(site, tmp_path):
    ground = make_sheet_ground(1, 1)
    units = [SheetUnit(HOSTILE, "point", 14.0, 50.0), ground.units[1]]
    ground.since[HOSTILE], ground.until[HOSTILE], ground.noise[HOSTILE] = (
        ground.since["P0001"],
        ground.until["P0001"],
        0,
    )
    address = write(
        tmp_path / "a.html",
        ground,
        title=HOSTILE,
        units=units,
        layers=[HOSTILE],
        wms={HOSTILE: "https://maps.example/wms?layers=a"},
    )
    name = "=cmd|'x'!A0 <b>"
    page = site(address, name)
    assert page.title() == HOSTILE and page.locator("#unit").inner_text() == f"Point {HOSTILE}"
    assert (
        page.locator("img").count() == 1 and page.locator("b").count() == 0
    )  # the picture of the service, which is off
    for key in ("a", "m"):
        page.keyboard.press(key)
    page.locator("#note").fill('=1+1, "<i>"')
    page.keyboard.press("Enter")
    kinds = {unit.id: unit.kind for unit in units}
    [one] = saved(page, kinds=kinds)
    assert (one.id, one.interpreter, one.note) == (HOSTILE, name, '=1+1, "<i>"')
    start(open_sheet(page, address), name)
    assert [r.note for r in saved(page, kinds=kinds)] == [one.note]
    load(page, format_readings([Reading(HOSTILE, None, (0,) * 7, "guess", name, 1, 1, HOSTILE)], YEARS))
    page.keyboard.press("k")
    expect(page.locator("#note")).to_have_value(HOSTILE)


@browser_test
def test_a_web_map_service_is_asked_only_while_the_reader_has_it_on(watch, site, ground, tmp_path):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(_png(np.full((4, 4, 3), 200, np.uint8)))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        page = site(write(tmp_path / "a.html", ground, wms={"orthophoto": f"{place}/{{year}}/wms?layers=rgb"}))
        _, asked, allowed = watch
        page.keyboard.press("d")
        page.keyboard.press("j")
        assert not [url for url in asked if url.startswith("http")]
        allowed.append(place)
        with page.expect_request(re.compile("GetMap")) as request:
            page.get_by_label(re.compile("Show orthophoto")).check()
        url = request.value.url
        unit = shown(page, ground)
        west, south, east, north = map(float, re.search(r"BBOX=([^&]+)", url)[1].replace("%2C", ",").split(","))
        assert (
            url.startswith(f"{place}/2017/wms?layers=rgb&")
            and "SRS=EPSG%3A4326" in url
            and "cookie" not in request.value.headers
        )
        assert (west + east) / 2 == pytest.approx(unit.lon, abs=1e-6) and (south + north) / 2 == pytest.approx(
            unit.lat, abs=1e-6
        )
        assert (north - south) * 111320 == pytest.approx(500, rel=1e-3)
        expect(page.locator(".map img")).to_be_visible()
        page.get_by_label(re.compile("Show orthophoto")).uncheck()
        before = len(asked)
        page.keyboard.press("j")
        expect(page.locator(".map img")).to_be_hidden()
        assert not [url for url in asked[before:] if url.startswith("http")]
        server.shutdown()


@browser_test
def test_single_keys_can_be_switched_off(site, ground, sheet):
    page = site(sheet)
    page.keyboard.press("?")
    page.get_by_label(re.compile("Use single keys")).uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.keyboard.press("3")
    expect(page.locator("#status")).to_have_text("not read")
    page.get_by_role("button", name="In all years").click()
    expect(page.locator("#status")).to_have_text("read")


@browser_test
@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (1366, "dark"), (390, "light")])
def test_axe_finds_nothing(page, site, sheet, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    open_sheet(page, sheet)
    axe = Axe()
    found = {"start": violations(axe, page)} if (width, scheme) == (1366, "light") else {}
    site(sheet)
    page.keyboard.press("3")
    found["point"] = violations(axe, page)
    page.locator("#show").select_option("window")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    found["window"] = violations(axe, page)
    if "start" in found:
        page.locator("#larger").click()
        found["larger"] = violations(axe, page)
        page.keyboard.press("?")
        found["help"] = violations(axe, page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="All units").click()
        found["list"] = violations(axe, page)
    assert found == {name: [] for name in found}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not re.search(r"\{\w+\}|undefined|NaN", page.locator("body").inner_text())


def violations(axe, page):
    return [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in axe.run(page, options=RULES).response["violations"]]


@browser_test
def test_a_whole_sample_opens_quickly_and_is_small(site, tmp_path):
    ground = make_sheet_ground(600, 240)
    began = time.monotonic()
    address = write(tmp_path / "a.html", ground)
    wrote = time.monotonic() - began
    size = (tmp_path / "a.html").stat().st_size / 1e6
    page = site(address)
    began = time.monotonic()
    open_sheet(page, address)
    ready = time.monotonic() - began
    start(page, "Ann")
    first = time.monotonic() - began
    took = []
    for _ in range(10):
        before = shown_id(page)
        took.append(
            page.evaluate("""async () => {
            const began = performance.now();
            document.getElementById("never").click();
            document.getElementById("done").click();
            const id = document.getElementById("unit").textContent.split(" ").at(-1);
            while (document.documentElement.dataset.shown !== id) await new Promise((done) => setTimeout(done, 1));
            return performance.now() - began;
        }""")
        )
        assert shown_id(page) != before
    print(f"\n600 points and 240 windows: {size:.1f} MB, written in {wrote:.1f} s; ready after {ready:.2f} s, first unit shown after "
          f"{first:.2f} s; answer and next unit in {statistics.median(took):.0f} ms")  # fmt: skip
    assert size <= 40


# The writer


def test_the_pictures_in_the_file_are_those_given(tmp_path, ground):
    write(tmp_path / "a.html", ground)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    found = re.findall(r'<script type="text/plain" id="chips-([0-9]+)-0">([^<]+)</script>', text)
    assert [int(number) for number, _ in found] == list(range(len(ground.units)))
    for number, data in found:
        path = tmp_path / "strip.png"
        path.write_bytes(base64.b64decode(data))
        strip = (imread(path)[:, :, :3] * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(strip, np.concatenate(ground.chips(ground.units[int(number)]), axis=1))


def test_the_file_holds_units_without_stratum_score_or_weight(tmp_path, ground):
    write(tmp_path / "a.html", ground)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    design = json.loads(re.search(r'id="design">(.*?)</script>', text)[1])
    assert {key for unit in design["units"] for key in unit} == {"id", "kind", "lon", "lat"}
    assert set(design) == {"title", "digest", "years", "layers", "units", "side", "cell_m", "context", "wms"}
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]+)"', text)[1])
    pattern = r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; img-src data:; base-uri 'none'; form-action 'none'"
    assert re.fullmatch(pattern, policy)


def test_equal_samples_give_equal_files_and_a_failed_one_leaves_the_old(tmp_path, ground):
    path = tmp_path / "a.html"
    write(path, ground)
    before = path.read_bytes()
    write(path, ground)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="unit P0001: 7 pictures"):
        write(path, ground, chips=lambda unit: [chip[1:] for chip in ground.chips(unit)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "wrong",
    [
        {"years": (2017,)},
        {"years": (2018, 2017)},
        {"layers": []},
        {"units": []},
        {"digest": "a b"},
        {"layers": ["a", "b"]},
    ],
)
def test_a_sheet_that_makes_no_sense_is_refused(tmp_path, ground, wrong):
    with pytest.raises(ValueError):
        write(tmp_path / "a.html", ground, **wrong)
    with pytest.raises(ValueError, match="same id"):
        write(tmp_path / "a.html", ground, units=[ground.units[0]] * 2)


@pytest.mark.parametrize(
    "address",
    [
        "maps.example/wms",
        "ftp://maps.example/wms",
        "https://me:secret@maps.example/wms",
        "https://a.example; script-src *",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path, ground, address):
    with pytest.raises(InputError) as refused:
        write(tmp_path / "a.html", ground, wms={"orthophoto": address})
    assert refused.value.then.split()[0] in STEPS and "'orthophoto'" in refused.value.thing
