"""Method and sources: where the figures come from and how reliable they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from htmltools import TagChild, TagList, tags

from dashboard import texts
from dashboard.choices import FLOWS, UNIT_SIGNS
from dashboard.columns import decode_dictionaries
from dashboard.state import State
from dashboard.table import Period, Table
from dashboard.words import _, current

NOT_NAMED = "not named in the data package"
DESCRIPTION = "Stocks, gains, losses and transitions of impervious, green and other land per region and year."
"""What r.impervious.change says of its table. The catalogues have it; other descriptions are shown as they are."""


def method_and_sources(table: Table, state: State, *, base: str = "") -> TagList:
    """Describe method, definition, sources and flags, from the schema and datapackage.json.

    base : relative address of the root of the site, empty or ending with a slash
    """
    package, codes, measure = table.package, table.schema["codes"], state.measure
    notes = package.get("method")
    status = str(package.get("status", "experimental")).capitalize()
    rows: list[tuple[str, TagChild]] = [
        (_("Status"), _("{status}: made with a new method. Not official statistics.").format(status=_(status))),
        (_("Definition"), f"{_(codes['definition'][measure.definition])}."),
        (_("Method"), f"{_(table.known_methods[measure.method].title)}. {_(codes['method'][measure.method])}."),
        (
            _("Notes"),
            tags.ul([tags.li(str(note)) for note in notes]) if isinstance(notes, list) else notes and str(notes),
        ),
        (_("Unit"), texts.unit_explained(table, measure)),
        (_("Intervals"), _interval_text(table, state)),
        (
            _("Seen"),
            _(
                "Share of the region's cells with a clear satellite observation: in the year for a stock, in both years for a "
                "flow; for figures from a sample, only cells of the land that it was drawn from. Below {limit} % a figure is "
                "unreliable or left out."
            ).format(limit=f"{table.coverage_min * 100:.0f}"),
        ),
        (
            _("Regions"),
            _("NUTS version {version}. Outlines: {source}.").format(
                version=table.nuts_version, source=outline_source(package)
            ),
        ),
        (
            _("Run"),
            _("Vintage {vintage}").format(vintage=table.vintage or _("not given"))
            + ". "
            + _("A later run replaces the figures of an earlier run."),
        ),
        (_("Scenes"), scene_counts(package)),
        (_("Model"), model_text(package)),
        (_("Grid"), _joined(package.get("grid"), ("crs", "res_m"), {"res_m": _("{} m cells"), "crs": "{}"})),
        (_("Software"), _joined(package.get("software"))),
        (_("Publication schedule"), str(package.get("schedule") or _(NOT_NAMED))),
        (_("Licence"), _names(package.get("licenses")) or _(NOT_NAMED)),
        (_("Contact"), contact(package) or _(NOT_NAMED)),
    ]
    flags = [tags.li(tags.b(flag), tags.span(text)) for flag, (_short, text) in texts.flag_facts(table.schema).items()]
    reasons = [tags.li(text) for text in texts.reasons(table.schema).values()]
    return TagList(
        tags.p(method_in_short(table, state), class_="short"),
        tags.details(
            tags.summary(_("The whole method, sources, flags and revisions")),
            tags.p(_(str(package["description"])), class_="note") if package.get("description") else None,
            tags.dl([[tags.dt(name), tags.dd(value)] for name, value in rows if value], class_="about"),
            tags.p(
                _("All parameters, digests and scene names:"),
                " ",
                tags.a(_("data package"), href=f"{base}api/v1/datapackage.json", download=True),
                ".",
                class_="note",
            ),
            tags.h3(_("Flags")),
            tags.ul(flags, class_="flags"),
            tags.h3(_("Why a figure is missing")),
            tags.ul(reasons, class_="flags"),
            tags.h3(_("Revisions")),
            _revisions(table),
        ),
    )


def method_in_short(table: Table, state: State) -> str:
    """Say in three sentences how the figures were made, and how sure they are."""
    method = table.known_methods[state.measure.method]
    first = _("Satellite images (Sentinel-2) of each year were mapped into impervious, green and other land.")
    meaning = _(table.schema["codes"]["method"][method.code])
    second = _("These figures are {method}: {meaning}.").format(
        method=_(method.title_in_sentence),
        meaning=meaning[:1].lower() + meaning[1:] if current().small else meaning,
    )
    return f"{first} {second} {_interval_text(table, state)}"


REVISIONS_SHOWN = 50


def _revisions(table: Table) -> TagChild:
    """List the figures of this run that differ from those of an earlier one."""
    rows = table.revisions
    if rows is None or not len(rows):
        return tags.p(_("The table names no revised figures."), class_="note")
    names = table.schema["codes"]
    shown = decode_dictionaries(rows.slice(0, REVISIONS_SHOWN)).to_pylist()
    heads = (
        _("Region"),
        _("Figure"),
        _("Years"),
        _("Unit"),
        _("Earlier vintage"),
        _("Was"),
        _("Is"),
        _("What happened"),
    )
    body = [
        tags.tr(
            tags.th(row["geo"], scope="row"),
            tags.td(f"{_(names['landcover'][row['landcover']])}: {_(FLOWS[row['lc_flow']].label)}"),
            tags.td(texts.period_title(Period(row["TIME_PERIOD"], row["time_from"]))),
            tags.td(UNIT_SIGNS[row["unit"]]),
            tags.td(row["vintage_from"]),
            tags.td(texts.number(row["VALUE_FROM"], 3), class_="num"),
            tags.td(texts.number(row["OBS_VALUE"], 3), class_="num"),
            tags.td(_(names["revision"][row["revision"]])),
        )
        for row in shown
    ]
    return TagList(
        tags.p(_("{some} of {all} revised figures.").format(some=len(shown), all=len(rows)), class_="note"),
        tags.div(
            tags.table(tags.thead(tags.tr([tags.th(head, scope="col") for head in heads])), tags.tbody(body)),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=_("Revisions"),
        ),
    )


def _interval_text(table: Table, state: State) -> str:
    if any(np.isfinite(table.cube(state.measure, level).low).any() for level in table.levels):
        return _("95 % intervals come from a reference sample. Where a figure has none, none was estimated.")
    return texts.no_interval(table.known_methods[state.measure.method])


def outline_source(package: Mapping[str, Any]) -> str:
    """Return the source of the outlines that the data package names."""
    regions = package.get("regions")
    if not isinstance(regions, Mapping) or not regions.get("outlines"):
        return _(NOT_NAMED)
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
            by = (
                ", " + _("labels {legend} of {year}").format(legend=labels.get("legend"), year=labels.get("year"))
                if isinstance(labels, Mapping)
                else ""
            )
            found.append(f"sha256 {str(known['model'])[:12]}…{by}")
    return "; ".join(dict.fromkeys(found))


def _joined(values: Any, keys: Sequence[str] = (), forms: Mapping[str, str] | None = None) -> str:
    if not isinstance(values, Mapping):
        return ""
    return " · ".join(
        (forms or {}).get(key, f"{key} {{}}").format(values[key]) for key in keys or values if key in values
    )


def contact(package: Mapping[str, Any]) -> TagChild:
    """Return whom to ask: `contact` of the data package, else its contributors, with their e-mail addresses and pages as links."""
    named = package.get("contact") or package.get("contributors")
    parts: list[TagChild] = []
    for one in named if isinstance(named, list) else [named] if named else []:
        known = one if isinstance(one, Mapping) else {"title": one}
        email, page = str(known.get("email") or ""), str(known.get("path") or "")
        links = [
            tags.a(email, href=f"mailto:{email}") if re.fullmatch(r"[\w.+-]+@[\w.-]+", email) else email,
            tags.a(page, href=page) if page.startswith(("https://", "http://")) else page,
        ]
        texts_of = [str(known.get("title") or known.get("name") or ""), *links]
        parts += [", " if parts else "", *(child for part in texts_of if part for child in (part, " "))][:-1]
    return TagList(parts) if parts else None


def _names(values: Any) -> str:
    if not isinstance(values, list):
        return ""
    found = [v.get("title") or v.get("name") or v.get("path") if isinstance(v, Mapping) else v for v in values]
    return ", ".join(str(v) for v in found if v)
