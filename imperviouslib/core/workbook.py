"""The workbook of a table, for people who work in a spreadsheet: which sheets it has, and what stands in them.

The first sheet says what the figures are and how they may be used. The others hold the figures of the newest vintage, a sheet for each
level of regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core.indicators import KINDS
from imperviouslib.core.rows import Rows, find_rows
from imperviouslib.core.table import Table
from imperviouslib.core.tableschema import INDICATORS, REGIONS, REVISIONS, SCHEMA, VALUES, method_facts

MOST_ROWS = 1_048_576
"""Rows that a sheet of this format can have, the names of the columns included."""
_NOTE_WIDTHS = (22, 26, 120)
_SHEETS = {INDICATORS: "Indicators", REVISIONS: "Revisions", REGIONS: "Regions"}

Cell = str | float | None


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook."""

    name: str
    """At most 31 characters."""
    widths: Sequence[float]
    """Width of each column, in characters."""
    rows: Iterable[Sequence[Cell]]
    """Names of the columns, then the rows; None and an empty text are an empty cell."""
    height: int
    """Rows, the names of the columns included."""


def sheets(table: Table, package: Mapping[str, Any], most_rows: int = MOST_ROWS) -> Iterator[Sheet]:
    """Return the sheets of a table: notes, stocks and flows by level, indicators and revisions where there are any, regions.

    package : content of datapackage.json
    """
    told = list(notes(table, package))
    yield Sheet("Notes", _NOTE_WIDTHS, told, len(told))
    values, regions = Rows.of(VALUES, table[VALUES]), Rows.of(REGIONS, table[REGIONS])
    newest = values["vintage"].distinct()[-1:]
    level = regions["level"].values[find_rows(values, ("geo", "nuts_version"), regions)]
    level = np.where(values["vintage"].among(*newest), level, -1)
    for number in regions["level"].distinct():
        if (level == number).any():
            yield from _split(f"Figures level {number}", values, level == number, most_rows)
    for name, title in _SHEETS.items():
        if name in table:
            rows = Rows.of(name, table[name])
            kept = rows["vintage"].among(*newest) if "vintage" in rows.names else np.ones(len(rows), bool)
            yield from _split(title, rows, kept, most_rows)


def notes(table: Table, package: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return the rows of the sheet of notes: topic, code or key, text."""
    yield "Topic", "Key", "Text"
    values = Rows.of(VALUES, table[VALUES])
    for key in ("title", "description", "status", "citation", "version", "created", "flags", "unit_of_area"):
        if package.get(key):
            yield "Table", key, str(package[key])
    for vintage in reversed(values["vintage"].distinct()):
        yield "Table", "vintage", vintage
    for field in SCHEMA["tables"][VALUES]["fields"]:
        yield "Columns", field["name"], field["description"]
    for code in sorted(values["method"].distinct(), key=lambda code: method_facts(code).rank):
        yield "Methods", code, f"{method_facts(code).title}. {SCHEMA['codes']['method'][code]}."
    for note in package.get("method", ()):
        yield "Methods", "", note
    lists = ["lc_flow", "landcover", "definition", "unit", "OBS_FLAG", "MISSING_REASON"]
    lists += ["indicator", "indicator_unit"] if INDICATORS in table else []
    for name in lists:
        for code, text in SCHEMA["codes"][name].items():
            yield f"Codes of {name}", code, text
    for name in ("coverage_min", "rare_share", "growth_min"):
        yield "Thresholds", name, str(SCHEMA[name])
    for topic in ("regions", "grid", "parameters", "software", *(kind.option for kind in KINDS), "provenance"):
        for key, value in package.get(topic, {}).items():
            if text := _text(value):
                yield topic.capitalize(), str(key), text


def _text(value: object) -> str:
    """Write a value of the metadata as a text; of a record of maps only its short values."""
    if isinstance(value, Mapping):
        short = {key: one for key, one in value.items() if isinstance(one, str | int | float)}
        return ", ".join(f"{key} {one}" for key, one in short.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _split(title: str, rows: Rows, kept: np.ndarray, most_rows: int) -> Iterator[Sheet]:
    """Return the sheets of those rows of a table that are kept: more than one where they do not fit."""
    widths = [max(9, len(column) + 2) for column in rows.names]
    size, which = most_rows - 1, np.flatnonzero(kept)
    for number, start in enumerate(range(0, max(len(which), 1), size), start=1):
        name = title if number == 1 else f"{title} ({number})"
        part = which[start : start + size]
        yield Sheet(name, widths, _cells(rows, part), 1 + len(part))


def _cells(rows: Rows, which: np.ndarray) -> Iterator[Sequence[Cell]]:
    yield rows.names
    for part in rows.batches(which):
        yield from zip(*(part[name].tolist() for name in rows.names), strict=True)
