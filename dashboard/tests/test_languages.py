"""The page in two languages: catalogues without gaps, the choice of the language, numbers by its signs, no text left in English."""

import json
import re

import pytest
from playwright.sync_api import expect

from dashboard import texts
from dashboard.state import format_query, parse_query
from dashboard.tests.test_routes import get
from dashboard.tests.test_views import page_of
from dashboard.tests.wanted_texts import wanted
from dashboard.words import LANGUAGES, accepted_language, speaking

OTHERS = [language for language in LANGUAGES.values() if language.code != "en"]


@pytest.mark.parametrize("language", OTHERS, ids=lambda one: one.code)
def test_catalogue_has_every_text_and_no_other(table, language):
    asked = wanted(table)
    assert len(asked) > 300
    assert sorted(asked - set(language.messages)) == []
    assert sorted(set(language.messages) - asked) == []


@pytest.mark.parametrize("language", OTHERS, ids=lambda one: one.code)
def test_texts_keep_their_blanks(language):
    def blanks(text):
        return sorted(re.findall(r"\{\w*\}|coverage_min|rare_share|growth_min", text))

    assert [text for text, made in language.messages.items() if not made or blanks(text) != blanks(made)] == []


def test_browser_and_address_choose_the_language(server):
    def language(path="", accept=""):
        _, headers, content = get(server, path, **{"Accept-Language": accept, "Accept": "text/html"})
        assert "accept-language" in headers["vary"].lower()
        return re.search(r'<html lang="(\w+)"', content.decode())[1]

    assert [language(accept=one) for one in ("de-AT,en;q=0.5", "fr", "en,de", "")] == ["de", "en", "en", "en"]
    assert language("?lang=en", "de") == "en" and language("?lang=de", "en") == "de"
    assert language("?lang=xx", "de") == "de"
    for path in ("region/XA112?lang=de", "api/?lang=de", "nothing/here?lang=de"):
        assert language(path) == "de"


@pytest.mark.parametrize("header", ["de;q=2", ",,;", "x" * 5000, "de;q=0.1.2", "*", "DE", "de_DE", "\u00e9"])
def test_any_accept_language_gives_a_language(header):
    assert accepted_language(header) == ("de" if header == "DE" else "en")


def test_address_holds_the_language_only_where_the_reader_chose_it(table):
    assert "lang" not in format_query(parse_query("l=3", table, "de"), table)
    state = parse_query("l=3&lang=de", table)
    assert format_query(state, table).endswith("&lang=de") and parse_query(format_query(state, table), table) == state
    assert parse_query("lang=xx", table, "de").unknown == ("language",)


def test_numbers_have_the_signs_of_the_language():
    assert texts.number(-1234.5, 1) == "−1,234.5"
    with speaking("de"):
        assert texts.number(-1234.5, 1) == "−1.234,5"
    assert texts.number(1234.5, 1) == "1,234.5"


def test_page_made_in_one_language_leaves_none_in_the_next(table):
    before = page_of(table, b"lang=en")
    assert page_of(table, b"lang=de") != before == page_of(table, b"lang=en")


TEXTS = """() => {
    const said = new Set(), keep = (text) => text && text.trim() && said.add(text.trim().replace(/\\s+/g, ' '));
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (!node.parentElement.closest('script, noscript, [data-own]')) keep(node.data);
    }
    for (const one of document.querySelectorAll('*')) {
        for (const name of ['aria-label', 'aria-valuetext', 'aria-roledescription', 'placeholder', 'title', 'data-label']) {
            keep(one.getAttribute(name));
        }
    }
    keep(document.title);
    return [...said];
}"""
"""All texts of a page, also those that only a screen reader says."""

WORDS = re.compile(r"[^\W\d_]{3,}")


def own_words(table):
    """Return the words that are the table's own, or the same in every language."""
    own = {
        "NUTS",
        "PNG",
        "SVG",
        "CSV",
        "XLSX",
        "SDMX",
        "Parquet",
        "GeoJSON",
        "EPSG",
        "GRASS",
        "impervious",
        "English",
        "Deutsch",
    }
    for name in (region.name for region in table.regions.values()):
        own |= set(WORDS.findall(name))
    return own | set(WORDS.findall(json.dumps(table.package, ensure_ascii=False))) | set(table.regions)


def is_code(text, table):
    """Tell whether a text is an address of the interface, a name of a column, or codes."""
    codes = {
        "level",
        "names",
        *table.facts.column_names,
        *(code for group in table.schema["codes"].values() for code in group),
    }
    return text.startswith("/api/") or all(one in codes for one in re.split(r"[,\s]+", text))


@pytest.mark.parametrize(
    "path", ["?i=net&l=3&y=2021&g=XA111,XA232&r=1", "?i=stk&u=ha&l=3&g=XA111", "region/XA112?i=net", "api/"]
)
def test_no_text_of_the_german_page_is_english(site, tab, server, table, path):
    """Compare the texts of both languages: what is the same must be the table's own, a code, or the same word in German."""
    said = {}
    for code in ("en", "de"):
        address = f"{path}{'&' if '?' in path else '?'}lang={code}"
        if path == "api/":
            tab.goto(server + address)
        else:
            page = site(address)
            if path.startswith("?"):
                expect(page.locator("#about")).not_to_be_empty()
                page.locator("#map").focus()
                page.keyboard.press("PageDown")
        expect(tab.locator("html")).to_have_attribute("lang", code)
        # The title of the table is shown as it is.
        said[code] = {text.replace(table.package["title"], "") for text in tab.evaluate(TEXTS)}
    assert len(said["de"]) > 20
    own = own_words(table)
    same = {made for text, made in LANGUAGES["de"].messages.items() if text == made}
    left = [
        text
        for text in said["en"] & said["de"]
        if text not in same
        and not is_code(text, table)
        and {word for word in WORDS.findall(text) if word not in own and word not in same}
    ]
    assert left == []
    # A text that is composed of parts must not keep one of them.
    english = {
        text
        for text in LANGUAGES["de"].messages
        if "{" not in text and len(text) > 14 and LANGUAGES["de"].messages[text] != text
    }
    assert [(text, one) for one in said["de"] for text in english if text in one] == []


def test_switch_keeps_the_view(site):
    page = site("?i=net&l=2&y=2020&g=XA11")
    page.get_by_role("slider", name="To").press("ArrowLeft")
    page.get_by_role("link", name="Deutsch").click()
    expect(page.locator("body[data-ready]")).to_have_count(1)
    expect(page.locator("#map-title")).to_have_text(
        "Nettoänderung der versiegelten Fläche, % des Bestands am Anfang, 2018 bis 2019"
    )
    expect(page).to_have_url(re.compile(r"\?l=2&c=imp&i=net&u=pc&d=an&m=est&y=2019&g=XA11&lang=de$"))
    expect(page.locator("#tiles .big").nth(3)).to_have_text(re.compile(r"^[+−]\d+,\d+\s?km²$"))
    expect(page.locator("#about")).to_contain_text("aus einer Stichprobe geschätzt")
    page.get_by_role("link", name="Bericht zum Drucken").click()
    expect(page.get_by_role("heading", name="Wichtigste Werte")).to_be_visible()
    page.get_by_role("link", name="Zurück zur Karte").click()
    page.get_by_role("link", name="English").click()
    expect(page.locator("#map-title")).to_have_text(re.compile("^Net change of impervious land.*2018 to 2019$"))
