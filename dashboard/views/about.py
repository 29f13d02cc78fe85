"""Method and sources: where the figures come from and how reliable they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from htmltools import TagChild, TagList, tags

from dashboard import texts
from dashboard.choices import UNIT_SIGNS
from dashboard.columns import decode_dictionaries
from dashboard.state import State
from dashboard.table import Period, Table


def method_and_sources(table: Table, state: State, *, base: str = "") -> TagList:
    """Describe method, definition, sources and flags, from the schema and datapackage.json.

    base : relative address of the root of the site, empty or ending with a slash
    """
    package, codes, measure = table.package, table.schema["codes"], state.measure
    notes = package.get("method")
    rows: list[tuple[str, TagChild]] = [
        (
            "Status",
            f"{str(package.get('status', 'experimental')).capitalize()}: made with a new method. Not official statistics.",
        ),
        ("Definition", f"{codes['definition'][measure.definition]}."),
        ("Method", f"{table.known_methods[measure.method].title}. {codes['method'][measure.method]}."),
        ("Notes", tags.ul([tags.li(str(note)) for note in notes]) if isinstance(notes, list) else notes and str(notes)),
        ("Unit", texts.unit_explained(table, measure)),
        ("Intervals", _interval_text(table, state)),
        (
            "Seen",
            "Share of the region's cells with a clear satellite observation: in the year for a stock, in both years for a "
            f"flow. Below {table.coverage_min * 100:.0f} % a figure is unreliable or left out.",
        ),
        ("Regions", f"NUTS version {table.nuts_version}. Outlines: {outline_source(package)}."),
        ("Run", f"Vintage {table.vintage or 'not given'}. A later run replaces the figures of an earlier run."),
        ("Scenes", scene_counts(package)),
        ("Model", model_text(package)),
        ("Grid", _joined(package.get("grid"), ("crs", "res_m"), {"res_m": "{} m cells", "crs": "{}"})),
        ("Software", _joined(package.get("software"))),
        ("Licence", _names(package.get("licenses"))),
        ("Contact", _names(package.get("contributors")) or (package.get("contact") and str(package["contact"]))),
    ]
    flags = [tags.li(tags.b(flag), tags.span(text)) for flag, (_, text) in texts.flag_facts(table.schema).items()]
    reasons = [tags.li(text) for text in texts.reasons(table.schema).values()]
    return TagList(
        tags.p(method_in_short(table, state), class_="short"),
        tags.details(
            tags.summary("The whole method, sources, flags and revisions"),
            tags.p(str(package["description"]), class_="note") if package.get("description") else None,
            tags.dl([[tags.dt(name), tags.dd(value)] for name, value in rows if value], class_="about"),
            tags.p(
                "All parameters, digests and scene names: ",
                tags.a("data package", href=f"{base}api/v1/datapackage.json", download=True),
                ".",
                class_="note",
            ),
            tags.h3("Flags"),
            tags.ul(flags, class_="flags"),
            tags.h3("Why a figure is missing"),
            tags.ul(reasons, class_="flags"),
            tags.h3("Revisions"),
            _revisions(table),
        ),
    )


def method_in_short(table: Table, state: State) -> str:
    """Say in three sentences how the figures were made, and how sure they are."""
    method = table.known_methods[state.measure.method]
    first = "Satellite images (Sentinel-2) of each year were mapped into impervious, green and other land."
    second = f"These figures are {method.title_in_sentence}: {table.schema['codes']['method'][method.code][:1].lower()}"
    second += f"{table.schema['codes']['method'][method.code][1:]}."
    return f"{first} {second} {_interval_text(table, state)}"


REVISIONS_SHOWN = 50


def _revisions(table: Table) -> TagChild:
    """List the figures of this run that differ from those of an earlier one."""
    rows = table.revisions
    if rows is None or not len(rows):
        return tags.p("The table names no revised figures.", class_="note")
    names = table.schema["codes"]
    shown = decode_dictionaries(rows.slice(0, REVISIONS_SHOWN)).to_pylist()
    heads = ("Region", "Figure", "Years", "Unit", "Earlier vintage", "Was", "Is", "What happened")
    body = [
        tags.tr(
            tags.th(row["geo"], scope="row"),
            tags.td(f"{names['landcover'][row['landcover']]}: {names['lc_flow'][row['lc_flow']].split(' between')[0]}"),
            tags.td(str(Period(row["TIME_PERIOD"], row["time_from"]).title)),
            tags.td(UNIT_SIGNS[row["unit"]]),
            tags.td(row["vintage_from"]),
            tags.td(texts.number(row["VALUE_FROM"], 3), class_="num"),
            tags.td(texts.number(row["OBS_VALUE"], 3), class_="num"),
            tags.td(names["revision"][row["revision"]]),
        )
        for row in shown
    ]
    return TagList(
        tags.p(f"{len(shown)} of {len(rows)} revised figures.", class_="note"),
        tags.div(
            tags.table(tags.thead(tags.tr([tags.th(head, scope="col") for head in heads])), tags.tbody(body)),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Revisions",
        ),
    )


def _interval_text(table: Table, state: State) -> str:
    if any(np.isfinite(table.cube(state.measure, level).low).any() for level in table.levels):
        return "95 % intervals come from a reference sample. Where a figure has none, none was estimated."
    return texts.no_interval(table.known_methods[state.measure.method])


def outline_source(package: Mapping[str, Any]) -> str:
    """Return the source of the outlines that the data package names."""
    regions = package.get("regions")
    if not isinstance(regions, Mapping) or not regions.get("outlines"):
        return "not named in the data package"
    more = [str(regions[key]) for key in ("scale", "note") if regions.get(key) not in (None, "", "not known")]
    return ", ".join([str(regions["outlines"]), *more])


def _provenance(package: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = package.get("provenance")
    return {str(k): v for k, v in found.items() if isinstance(v, Mapping)} if isinstance(found, Mapping) else {}


def scene_counts(package: Mapping[str, Any]) -> str:
    """Write the number of scenes of each year.

    >>> scene_counts({"provenance": {"2017": {"scene_count": 6}, "2018": {"scene_count": 8}}})
    '2017: 6 · 2018: 8'
    """
    counts = {year: known.get("scene_count") for year, known in _provenance(package).items()}
    return " · ".join(f"{year}: {count}" for year, count in sorted(counts.items()) if count)


def model_text(package: Mapping[str, Any]) -> str:
    """Name each model by the first digits of its digest, and the labels it was trained on."""
    found = []
    for known in _provenance(package).values():
        if known.get("model"):
            labels = known.get("model_labels")
            by = f", labels {labels.get('legend')} of {labels.get('year')}" if isinstance(labels, Mapping) else ""
            found.append(f"sha256 {str(known['model'])[:12]}…{by}")
    return "; ".join(dict.fromkeys(found))


def _joined(values: Any, keys: Sequence[str] = (), forms: Mapping[str, str] | None = None) -> str:
    if not isinstance(values, Mapping):
        return ""
    return " · ".join(
        (forms or {}).get(key, f"{key} {{}}").format(values[key]) for key in keys or values if key in values
    )


def _names(values: Any) -> str:
    if not isinstance(values, list):
        return ""
    found = [v.get("title") or v.get("name") or v.get("path") if isinstance(v, Mapping) else v for v in values]
    return ", ".join(str(v) for v in found if v)
