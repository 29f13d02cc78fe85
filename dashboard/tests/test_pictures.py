"""Every view at 1366 and 390 pixels, light and dark, looks as the small pictures in pictures/."""

import numpy as np
import pytest

from dashboard.tests.pictures import (
    REFERENCES,
    SCHEMES,
    VIEWS,
    WIDTHS,
    differences,
    looks,
    open_view,
    read_small,
    small_picture,
)


@pytest.fixture(scope="module")
def pictures_of(tab, server):
    """Return a function: the small pictures of a view in each size and scheme, after a script that damages the page."""
    session = tab.context.new_cdp_session(tab)

    def take(view, damage=""):
        open_view(tab, server + VIEWS[view])
        found = {}
        for look in looks(tab):
            if damage:
                tab.evaluate(f"(() => {{ {damage} }})()")
            found[look] = small_picture(tab, session)
        return found

    return take


def wanted(view, look):
    return read_small(REFERENCES / f"{view}-{look[0]}-{look[1]}.png")


@pytest.mark.parametrize("view", VIEWS)
def test_view_looks_as_its_pictures(pictures_of, view):
    found = pictures_of(view)
    assert {look: differences(parts, wanted(view, look)) for look, parts in found.items()} == {
        look: [] for look in found
    }
    assert len(found) == len(WIDTHS) * len(SCHEMES)


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ("document.querySelector('#ranking')?.parentElement.remove()", "panel-ranking is missing"),
        (
            "document.querySelectorAll('#chart .mark, #chart .interval').forEach((one) => one.remove())",
            "drawing-chart0 differs",
        ),
        (
            "document.querySelectorAll('#map .regions path').forEach((one) => one.setAttribute('class', one.getAttribute('class').slice(0, 2)))",
            "drawing-map0 differs",
        ),
        (
            "[...document.querySelectorAll('#legend .entry')].slice(3).forEach((one) => one.remove())",
            "panel-legend differs",
        ),
    ],
)
def test_damage_is_seen(pictures_of, damage, part):
    """A missing panel, a chart without its figures, a map without hatching, half a legend: each is seen in every size and scheme."""
    for look, parts in pictures_of("net", damage).items():
        assert any(said.startswith(part) for said in differences(parts, wanted("net", look))), look


def test_another_font_is_no_damage(pictures_of):
    found = pictures_of("net", "document.body.style.fontFamily = 'DejaVu Serif, serif'")
    assert [differences(parts, wanted("net", look)) for look, parts in found.items()] == [[]] * 4


def test_a_light_page_in_the_dark_scheme_is_damage():
    light, dark = (wanted("net", (1366, scheme)) for scheme in SCHEMES)
    panels = [name for name in dark if name.startswith("panel")]
    assert len(panels) >= 10 and all(any(said.startswith(name) for said in differences(light, dark)) for name in panels)


def test_tolerances_are_those_of_the_kind_of_the_part():
    even, uneven = np.full((16, 24), 100, dtype=np.uint8), np.full((16, 24), 100, dtype=np.uint8)
    uneven[:4] = 110
    # A quarter of the pixels differ by 10: the root of a quarter of 100.
    assert differences({"drawing-x": uneven}, {"drawing-x": even}) == ["drawing-x differs by 5.0"]
    assert differences({"panel-x": uneven}, {"panel-x": even}) == []
    assert differences({}, {"sign-x": even}) == ["sign-x is missing"] and differences({"sign-x": even}, {}) == [
        "sign-x is new"
    ]
