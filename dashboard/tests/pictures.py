"""Take pictures of every view: `python -m dashboard.tests.pictures FOLDER`, at 1366 and 390 pixels, light and dark, of five made countries.

They are for people to look at; no test compares them, because fonts differ between machines.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from dashboard.tests.conftest import CHROMIUM, served
from dashboard.tests.make_table import COUNTRIES, make_table

VIEWS = {
    "first": "", "net": "?i=net&l=3&g=XA112", "span": "?i=net&y=2023&f=2017&g=XA112,XB111,XC", "circles": "?i=net&u=ha&l=2&g=XA11",
    "countries": "?i=net&l=0&y=2023&f=2017&g=XB", "green": "?c=grn&i=net&g=XD1", "width": "?i=new&s=wi&g=XA111", "raw": "?m=raw&i=new&l=2",
    "missing": "?l=3&y=2021&g=XA232", "stock": "?i=stk&u=hab&l=1", "nothing": "?g=&l=3", "report": "region/XA112", "country": "region/XB",
    "embed": "?embed=1&i=net", "lost": "nothing/here",
}  # fmt: skip
"""Name of a picture -> address."""


def take(folder: Path, only: set[str]) -> None:
    """Write the pictures into a folder, NAME-WIDTH-SCHEME.png.

    only : names of VIEWS to take; empty for all
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        served(make_table(Path(made) / "five", countries=tuple(COUNTRIES))) as address,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(**CHROMIUM)
        for width in (1366, 390):
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": 768 if width > 1000 else 844}, color_scheme=scheme
                )
                page = context.new_page()
                for name, query in VIEWS.items():
                    if only and name not in only:
                        continue
                    page.goto(address + query)
                    page.wait_for_selector("body[data-ready]" if name != "lost" else "h1")
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), set(sys.argv[2:]))
