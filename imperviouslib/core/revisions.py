"""Vintages: the rows of an earlier table beside those of a new one, and the figures that differ between the two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.table import LOW_COVERAGE, NOT_SEEN, ZERO_BASE, Row, Table, sort_rows
from imperviouslib.core.tableschema import REGIONS, REVISIONS, SCHEMA, VALUES

CHANGED, WITHDRAWN = "CHANGED", "WITHDRAWN"
_KEY = [column for column in SCHEMA["tables"][VALUES]["primaryKey"] if column != "vintage"]


def newest_vintage(table: Table) -> str:
    """Return the date of the newest rows of a table; empty where it has none."""
    return max((row["vintage"] for row in table[VALUES]), default="")


def revision_rows(earlier: Sequence[Row], later: Sequence[Row]) -> list[Row]:
    """Return the figures of an earlier vintage that a later one gives otherwise or no longer.

    Floating-point noise is no revision. Regions of another version are not compared, because the same code may mean another area.

    earlier, later : rows of stocks and flows, each of one vintage
    """
    versions = {row["nuts_version"] for row in later}
    found = {_key(row): row for row in later}
    vintage = later[0]["vintage"] if later else ""
    rows = []
    for row in earlier:
        now = found.get(_key(row))
        if row["nuts_version"] not in versions or (now is not None and _is_same(row, now)):
            continue
        old, new = row["OBS_VALUE"], now["OBS_VALUE"] if now else None
        rows.append(
            {column: row[column] for column in _KEY}
            | {
                "vintage_from": row["vintage"], "vintage": vintage, "revision": CHANGED if now else WITHDRAWN,
                "VALUE_FROM": old, "OBS_VALUE": new, "DIFFERENCE": None if None in (old, new) else new - old,
                "MISSING_FROM": row["MISSING_REASON"], "MISSING_REASON": now["MISSING_REASON"] if now else "",
            }
        )  # fmt: skip
    return rows


def with_earlier(earlier: Table, table: Table) -> Table:
    """Return a table with the rows of an earlier one beside its own, and with its revisions.

    Raises InputError where a region has another area in the earlier table, or where the vintages do not ascend.
    """
    before, now = newest_vintage(earlier), newest_vintage(table)
    if now and before >= now:
        raise not_earlier(before, now)
    areas = {(row["geo"], row["nuts_version"]): row["area_km2"] for row in table[REGIONS]}
    kept = []
    for row in earlier[REGIONS]:
        key = row["geo"], row["nuts_version"]
        if key not in areas:
            kept.append(row)
        elif not math.isclose(areas[key], row["area_km2"], rel_tol=1e-9):
            raise InputError(
                _("Option <previous>, region {} of version {}").format(*key),
                found=_("an area of {} km2").format(row["area_km2"]),
                expected=_("{} km2, as in the zones map").format(areas[key]),
                then=_("Use the outlines of the earlier table, or set another nuts_version=."),
            )
    revised = revision_rows([row for row in earlier[VALUES] if row["vintage"] == before], table[VALUES])
    joined = {name: [*rows, *earlier.get(name, ())] for name, rows in table.items() if name != REGIONS}
    joined |= {name: list(rows) for name, rows in earlier.items() if name not in table}
    joined |= {REGIONS: [*table[REGIONS], *kept], REVISIONS: [*revised, *earlier.get(REVISIONS, ())]}
    return {name: sort_rows(rows, name) for name, rows in joined.items()}


def not_earlier(before: str, now: str) -> InputError:
    """Return the error that a table of one vintage is not earlier than another."""
    return InputError(
        _("Option <previous>"),
        found=_("a table of vintage {}").format(before),
        expected=_("one from before {}").format(now),
        then=_("Set a later date with vintage=, or name an earlier table."),
    )


def summarise(earlier: Table, table: Table, revised: Sequence[Row]) -> str:
    """Say in one line how many figures were revised, and by how much the stock of impervious land changed most."""
    before, now = newest_vintage(earlier), newest_vintage(table)
    ours = [row for row in revised if (row["vintage_from"], row["vintage"]) == (before, now)]
    changed = sum(row["revision"] == CHANGED for row in ours)
    text = _("Against vintage {}: {} figures changed, {} withdrawn.").format(before, changed, len(ours) - changed)
    stocks = [
        row
        for row in ours
        if (row["lc_flow"], row["landcover"], row["unit"]) == ("STK", "IMP", "KM2") and row["DIFFERENCE"] is not None
    ]
    if not stocks:
        return text
    most = max(stocks, key=lambda row: (abs(row["DIFFERENCE"]), row["geo"]))
    return f"{text} " + _("The largest change of a stock of impervious land is {:+.4f} km2, in {} {} ({}).").format(
        most["DIFFERENCE"], most["geo"], most["TIME_PERIOD"], most["method"]
    )


def missing_reason(row: Mapping[str, object]) -> str:
    """Return why a value is blank in a row of a table that was written before tables said so."""
    if row["OBS_VALUE"] is not None:
        return ""
    if "m" in str(row["OBS_FLAG"]):
        return ZERO_BASE
    return NOT_SEEN if not row.get("N_PIX", row["COVERAGE"]) else LOW_COVERAGE


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[column] for column in _KEY)


def _is_same(one: Row, other: Row) -> bool:
    """Tell whether two rows have the same figure, or lack it for the same reason."""
    a, b = one["OBS_VALUE"], other["OBS_VALUE"]
    if a is None or b is None:
        return a is b and one["MISSING_REASON"] == other["MISSING_REASON"]
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
