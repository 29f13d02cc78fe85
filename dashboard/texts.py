"""Texts and numbers that users read: titles, units, intervals, flags and figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboard.choices import FLOWS, UNITS, cover_name
from dashboard.schema import Method
from dashboard.table import Measure, Period, Table
from dashboard.words import _, current

LEVEL_NAMES = {
    0: "NUTS 0: countries",
    1: "NUTS 1: major regions",
    2: "NUTS 2: basic regions",
    3: "NUTS 3: small regions",
}


def no_interval(method: Method) -> str:
    """Say why figures of a method have no 95 % interval."""
    if not method.interval:
        return _("No 95 % interval: the figures are counted from maps, without a reference sample.")
    return _("No 95 % interval was estimated for these figures.")


def level_name(level: int) -> str:
    """Return the name of a level for a list."""
    return _(LEVEL_NAMES[level]) if level in LEVEL_NAMES else _("Level {level}").format(level=level)


def level_short(level: int) -> str:
    """Return the name of a level for a sentence."""
    return f"NUTS {level}" if level in LEVEL_NAMES else _("level {level}").format(level=level)


_OWN_TITLE = re.compile(r"Impervious land (?:by|per) region(?P<rest>, \d{4}-\d{4})?")


def table_title(table: Table) -> str:
    """Return the title of the table: that of r.impervious.change in the reader's language, any other as it is."""
    given = str(table.package.get("title") or "")
    own = _OWN_TITLE.fullmatch(given)
    if given and not own:
        return given
    years = (own["rest"] or "").replace("-", "–") if own else ""
    return _("Impervious land by region") + years


def title(table: Table, measure: Measure) -> str:
    """Return the title of a measure without unit and time, such as `New impervious land`."""
    cover = cover_name(table, measure.landcover)
    if measure.is_stock:
        return _(cover)
    text = f"{FLOWS[measure.lc_flow].label}{' of' if measure.is_net else ''} {cover.lower()}"
    return _(text)


def period_title(period: Period) -> str:
    """Return a period for titles: 2018, or 2017 to 2018."""
    if period.year_from == period.year:
        return str(period.year)
    return _("{from} to {to}").format(**{"from": period.year_from, "to": period.year})


def unit_phrase(measure: Measure) -> str:
    """Return the unit in full, with what a per cent refers to."""
    if measure.unit == "PC":
        return _("% of the area") if measure.is_stock else _("% of the stock at the start")
    return _(UNITS[measure.unit].label)


def unit_explained(table: Table, measure: Measure) -> str:
    """Explain the unit in a sentence."""
    if measure.is_area:
        return _("Areas on an equal-area grid. Large regions tend to have large circles; use % to compare regions.")
    if measure.unit == "M2_HAB":
        return _("Square metres of impervious land for each inhabitant. The population is taken as exact.")
    if measure.unit == "PA":
        return _("Per cent of the area of the region's outline, lakes and sea within it included.")
    if measure.is_stock:
        only_seen = table.known_methods[measure.method].ground == "seen"
        return _("Per cent of the cells that were seen.") if only_seen else _("Per cent of the region's area.")
    text = f"Per cent of the {cover_name(table, measure.landcover).lower()} of the earlier year."
    return _(text)


def number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Write a number with the signs of the language and a minus sign (not a hyphen); an en dash where there is no number.

    >>> number(-1234.5, 1), number(0.25, 2, signed=True), number(None, 1)
    ('−1,234.5', '+0.25', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{abs(value):,.{decimals}f}"
    text = text.translate({ord(","): current().thousands, ord("."): current().decimal})
    zero = not text.strip("0.,")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return sign + text


def flag_words(flags: str, schema: Mapping[str, Any]) -> str:
    """Return what the flags mean, in short.

    >>> flag_words("pu", {"codes": {"OBS_FLAG": {"p": "Provisional: may be revised", "u": "Low reliability"}}})
    'provisional, low reliability'
    """
    meanings = schema["codes"]["OBS_FLAG"]
    return ", ".join(_(meanings[flag].split(":")[0].lower()) for flag in flags if flag in meanings)


def flag_facts(schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return for each flag its short name and its meaning."""
    return {
        flag: [flag_words(flag, schema), with_limits(_(text), schema)]
        for flag, text in schema["codes"]["OBS_FLAG"].items()
    }


def reasons(schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the meaning of each MISSING_REASON."""
    return {code: with_limits(_(text), schema) for code, text in schema["codes"]["MISSING_REASON"].items()}


def with_limits(text: str, schema: Mapping[str, Any]) -> str:
    """Write the limits that a text of the schema names as numbers, and its columns as words.

    >>> with_limits("Less than coverage_min of the region was seen", {"coverage_min": 0.5})
    'Less than 50 % of the region was seen'
    """
    for name in ("coverage_min", "rare_share", "growth_min"):
        if name in schema:
            text = text.replace(name, f"{100 * schema[name]:g} %")
    words = {
        "COVERAGE": _("the share that was seen"),
        "time_from": _("the earlier year"),
        "TIME_PERIOD": _("the later year"),
    }
    for name, word in words.items():
        text = text.replace(name, word)
    return text
