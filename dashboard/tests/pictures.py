"""Pictures of every view: `python -m dashboard.tests.pictures FOLDER [VIEW...]`, at 1366 and 390 pixels, light and dark, of a made country.

Small grey ones of each panel are in pictures/, and a test compares the page with them (test_pictures.py). After a change that is meant,
look at the large ones and write the small ones again: `python -m dashboard.tests.pictures --references`.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from dashboard.tests.conftest import CHROMIUM, served
from dashboard.tests.make_table import make_table

VIEWS = {
    "first": "", "net": "?i=net&l=3&g=XA112", "span": "?i=net&y=2023&f=2017&g=XA112,XA231,XA4", "circles": "?i=net&u=ha&l=2&g=XA11",
    "major": "?i=net&l=1&y=2023&f=2017&g=XA2", "green": "?c=grn&i=net&g=XA1", "width": "?i=new&s=wi&g=XA111", "raw": "?m=raw&i=new&l=2",
    "missing": "?l=3&y=2021&g=XA222", "stock": "?i=stk&u=hab&l=1", "nothing": "?g=&l=3", "report": "region/XA112", "country": "region/XA",
    "embed": "?embed=1&i=net", "german": "?lang=de&i=net&l=3&g=XA112", "programs": "api/", "lost": "nothing/here",
}  # fmt: skip
"""Name of a picture -> address."""

WIDTHS = (1366, 390)
HEIGHT = 7000
"""Height of the window. It holds the whole page: a picture of more than the window makes Chromium change its size for a moment, so that the
page draws itself anew."""

SCHEMES = ("light", "dark")
REFERENCES = Path(__file__).parent / "pictures"
GRID = (24, 16)
"""Columns and rows of the small picture of a part, whatever its size: fonts change the size, but the parts keep their places."""

SCALE = 0.25
TOLERANCES = {"panel": 18.0, "drawing": 1.8, "sign": 255.0}
"""Largest root mean square difference of the pixels, of 255. Another font changes panels by up to 15, and drawings, which are compared
without their texts, by up to 1.3; without half of the legend a panel differs by 38, without its figures the chart by 2.6 to 10, without
hatching the map by 11 to 35. Small signs must only be there, because fonts move them."""

_PARTS = """() => {
    const parts = [], add = (kind, name, one) => {
        const box = one.getBoundingClientRect();
        if (box.width > 8 && box.height > 5) parts.push([`${kind}-${name}`, box.left + scrollX, box.top + scrollY, box.width, box.height]);
    };
    const panels = '.top, .controls, #legend, .time, .find, #tiles, #chart, #spread, #ranking, #changes, .report-head, .report-table, ' +
        '.report-charts, main.panel, section:has(> #about)';
    for (const one of document.querySelectorAll(panels)) add('panel', one.id || one.classList[0], one);
    const few = (kind, selectors) => selectors.forEach((selector) => [...document.querySelectorAll(selector)].slice(0, 4)
        .forEach((one, i) => add(kind, selector.match(/[a-z-]+/)[0] + i, one)));
    few('drawing', ['#map', '#chart svg', '#spread svg', '.locator', '.report-charts svg']);
    few('sign', ['#legend svg', '#ranking .dots', '#changes .bar svg', '#report > .spread']);
    return parts;
}"""

_SETTLED = """async (width) => {
    const frame = () => new Promise(requestAnimationFrame);
    while (innerWidth !== width) await frame();
    do { await frame(); await frame(); } while (document.querySelector('[aria-busy]'));
}"""
"""The size may change the drawings, so wait until they are made again."""


_WITHOUT_TEXT = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('svg text { visibility: hidden !important; }');
    document.adoptedStyleSheets = [sheet];
}"""


def open_view(page: Page, address: str) -> None:
    """Open a view at the first width, and wait until it is drawn."""
    page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
    page.goto(address)
    page.wait_for_selector("body[data-ready], main.panel h1")
    if page.locator("body:not(.embed) #about").count():
        page.wait_for_selector("#about p", state="attached")


def looks(page: Page) -> Iterator[tuple[int, str]]:
    """Show the page at each width and in each scheme, without loading it again."""
    for width in WIDTHS:
        if page.viewport_size != {"width": width, "height": HEIGHT}:
            page.set_viewport_size({"width": width, "height": HEIGHT})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, media="screen", reduced_motion="reduce")
            page.evaluate(_SETTLED, width)
            yield width, scheme


def page_box(page: Page) -> dict[str, int]:
    """Return the part of the window that the page fills."""
    width, height = page.evaluate("[document.documentElement.clientWidth, document.body.scrollHeight]")
    assert height <= HEIGHT
    return {"x": 0, "y": 0, "width": width, "height": height}


def small_picture(page: Page, session: Any) -> dict[str, np.ndarray]:
    """Return a small grey picture of each panel, drawing and small sign; the drawings are without their texts, so that fonts do not matter.

    session : devtools session of the page; its screenshots can be small, which takes a tenth of the time
    Returns: {name: array (row, col), uint8}
    """
    page.evaluate(_WITHOUT_TEXT)
    parts = page.evaluate(_PARTS)
    clip = {**page_box(page), "scale": SCALE}
    settings = {"format": "jpeg", "quality": 95, "clip": clip}
    whole = Image.open(io.BytesIO(base64.b64decode(session.send("Page.captureScreenshot", settings)["data"]))).convert(
        "L"
    )
    found = {}
    for name, left, top, w, h in parts:
        box = tuple(round(SCALE * at) for at in (left, top, left + w, top + h))
        found[name] = np.asarray(whole.crop(box).resize(GRID, Image.Resampling.BOX))
    return found


def differences(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> list[str]:
    """Return what differs by more than fonts can explain: parts that are missing or new, and parts with another look."""
    said = [f"{name} is missing" for name in wanted if name not in found]
    said += [f"{name} is new" for name in found if name not in wanted]
    for name in found.keys() & wanted.keys():
        distance = float(np.sqrt(np.mean((found[name].astype(float) - wanted[name]) ** 2)))
        if distance > TOLERANCES[name.partition("-")[0]]:
            said.append(f"{name} differs by {distance:.1f}")
    return sorted(said)


def write_small(path: Path, panels: dict[str, np.ndarray]) -> None:
    """Write the small pictures of a view below each other, with their names."""
    from PIL.PngImagePlugin import PngInfo

    names = PngInfo()
    names.add_text("panels", " ".join(panels))
    Image.fromarray(np.concatenate(list(panels.values()))).save(path, pnginfo=names, optimize=True)


def read_small(path: Path) -> dict[str, np.ndarray]:
    """Read the small pictures of a view."""
    with Image.open(path) as image:
        names, pixels = image.info["panels"].split(), np.asarray(image)
    return dict(zip(names, np.split(pixels, len(names)), strict=True))


def take(folder: Path | None, only: set[str]) -> None:
    """Write the pictures of views into a folder, NAME-WIDTH-SCHEME.png; without a folder the small ones of the test.

    only : names of VIEWS to take; empty for all
    """
    (folder or REFERENCES).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        served(make_table(Path(made) / "avaria")) as address,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(**CHROMIUM)
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        for name, query in VIEWS.items():
            if only and name not in only:
                continue
            open_view(page, address + query)
            for width, scheme in looks(page):
                if folder:
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", clip=page_box(page))
                else:
                    write_small(REFERENCES / f"{name}-{width}-{scheme}.png", small_picture(page, session))
        browser.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    take(None if words[0] == "--references" else Path(words[0]), set(words[1:]))
