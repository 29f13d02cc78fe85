"""What the page must know of the table besides figures: names, words and codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dashboard import texts
from dashboard.choices import COVER_KEYS, DEFINITIONS, FLOWS, SHOWN, UNIT_SIGNS, UNITS, choices, cover_name
from dashboard.state import MAX_REGIONS, State, format_query
from dashboard.table import Measure, Table
from dashboard.words import LANGUAGES, _


def facts_json(table: Table, state: State, *, base: str = "") -> dict[str, Any]:
    """Return the facts that www/ reads when it starts.

    base : relative address of the root of the site, empty or ending with a slash
    """
    offered = choices(table)
    schema = table.schema
    language = LANGUAGES[state.language]
    titles = {
        COVER_KEYS[cover]: {
            FLOWS[flow].key: texts.title(table, replace(state.measure, landcover=cover, lc_flow=flow))
            for flow in offered["lc_flow"]
        }
        for cover in offered["landcover"]
    }
    units = {
        FLOWS[flow].key: {
            UNITS[unit].key: texts.unit_phrase(replace(state.measure, lc_flow=flow, unit=unit))
            for unit in offered["unit"]
            if any(
                table.has(Measure(flow, cover, definition, method, unit))
                for cover in offered["landcover"]
                for definition in offered["definition"]
                for method in offered["method"]
            )
        }
        for flow in offered["lc_flow"]
    }
    return {
        "base": base,
        "digest": table.digest,
        "query": format_query(state, table),
        "unknown": [_(part) for part in state.unknown],
        "language": {"locale": language.locale, "small": language.small, "messages": language.messages},
        "maxRegions": MAX_REGIONS,
        "title": texts.table_title(table),
        "vintage": table.vintage,
        "nutsVersion": table.nuts_version,
        "source": _source(table),
        "coverageMin": round(table.coverage_min * 100),
        "flows": {FLOWS[flow].key: [flow, _(FLOWS[flow].label)] for flow in offered["lc_flow"]},
        "covers": {COVER_KEYS[cover]: _(cover_name(table, cover)) for cover in offered["landcover"]},
        "coversInSentence": {COVER_KEYS[cover]: _(cover_name(table, cover).lower()) for cover in offered["landcover"]},
        "coverNames": {cover: _(name) for cover, name in schema["codes"]["landcover"].items()},
        "coverKeys": {cover: key for cover, key in COVER_KEYS.items() if cover in offered["landcover"]},
        "titles": titles,
        "units": units,
        "unitCodes": {UNITS[unit].key: [unit, UNIT_SIGNS[unit]] for unit in offered["unit"]},
        "definitions": {DEFINITIONS[code].key: _(schema["codes"]["definition"][code]) for code in offered["definition"]},
        "methods": {
            method.key: {
                "title": _(method.title), "inSentence": _(method.title_in_sentence), "short": _(method.short),
                "seen": method.ground == "seen", "interval": method.interval, "none": texts.no_interval(method),
                "meaning": _(schema["codes"]["method"][method.code]),
            }
            for method in table.methods
        },
        "headline": table.headline_method.key,
        "levels": {str(level): [texts.level_short(level), texts.level_name(level)] for level in table.levels},
        "flags": texts.flag_facts(schema),
        "reasons": texts.reasons(schema),
        "shown": {choice.key: [code, _(choice.label)] for code, choice in SHOWN.items()},
    }  # fmt: skip


def _source(table: Table) -> str:
    """Return the source line of pictures and of the report."""
    title = texts.table_title(table)
    version = str(table.package.get("version") or "")
    parts = [title, _("version {version}").format(version=version) if version else ""]
    parts.append(_("vintage {vintage}").format(vintage=table.vintage or _("not given")))
    return ", ".join(filter(None, parts))
