"""Vintages: the rows of an earlier table beside those of a new one, and the figures that differ between the two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.rows import Row, Rows, find_rows, number_rows
from imperviouslib.core.table import LOW_COVERAGE, NOT_SEEN, ZERO_BASE, Table
from imperviouslib.core.tableschema import REGIONS, REVISIONS, SCHEMA, VALUES

CHANGED, WITHDRAWN = "CHANGED", "WITHDRAWN"
_KEY = [column for column in SCHEMA["tables"][VALUES]["primaryKey"] if column != "vintage"]


def newest_vintage(table: Table) -> str:
    """Return the date of the newest rows of a table; empty where it has none."""
    return max(Rows.of(VALUES, table[VALUES])["vintage"].distinct(), default="")


def revision_rows(earlier: Rows | Sequence[Row], later: Rows | Sequence[Row]) -> Iterator[Row]:
    """Write the figures of an earlier vintage that a later one gives otherwise or no longer.

    Floating-point noise is no revision. Regions of another version are not compared, because the same code may mean another area.

    earlier, later : rows of stocks and flows, each of one vintage
    """
    before, now = Rows.of(VALUES, earlier), Rows.of(VALUES, later)
    versions = now["nuts_version"].distinct()
    at = find_rows(before, _KEY, now)
    revised = before["nuts_version"].among(*versions) & ~_are_same(before, now, at)
    vintage = max(now["vintage"].distinct(), default="")
    for row, number in zip(before.take(revised), at[revised].tolist(), strict=True):
        other = now.row(number) if number >= 0 else None
        old, new = row["OBS_VALUE"], other["OBS_VALUE"] if other else None
        yield {column: row[column] for column in _KEY} | {
            "vintage_from": row["vintage"], "vintage": vintage, "revision": CHANGED if other else WITHDRAWN,
            "VALUE_FROM": old, "OBS_VALUE": new, "DIFFERENCE": None if None in (old, new) else new - old,
            "MISSING_FROM": row["MISSING_REASON"], "MISSING_REASON": other["MISSING_REASON"] if other else "",
        }  # fmt: skip


def _are_same(before: Rows, now: Rows, at: np.ndarray) -> np.ndarray:
    """Tell which rows have the same figure as another one, or lack it for the same reason. at : number of the other one, -1 for none"""
    a, b = before["OBS_VALUE"].values, np.append(now["OBS_VALUE"].values, np.nan)[at]
    reason, other = number_rows((before, ["MISSING_REASON"]), (now, ["MISSING_REASON"]))
    blank = np.isnan(a) & np.isnan(b) & (reason == np.append(other, -1)[at])
    near = np.abs(a - b) <= np.maximum(1e-9 * np.maximum(np.abs(a), np.abs(b)), 1e-12)
    return (at >= 0) & (blank | near)


def with_earlier(earlier: Table, table: Table) -> dict[str, Rows]:
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
    older = Rows.of(VALUES, earlier[VALUES])
    revised = Rows.of(REVISIONS, revision_rows(older.take(older["vintage"].among(before)), table[VALUES]))
    joined = {}
    for name in SCHEMA["tables"]:
        parts = [table.get(name, ()), kept if name == REGIONS else earlier.get(name, ())]
        if name in table or name in earlier or name == REVISIONS:
            rows = Rows(name)
            for part in [*parts, *([revised] if name == REVISIONS else [])]:
                rows.add_all(Rows.of(name, part))
            rows.sort()
            joined[name] = rows
    return joined


def not_earlier(before: str, now: str) -> InputError:
    """Return the error that a table of one vintage is not earlier than another."""
    return InputError(
        _("Option <previous>"),
        found=_("a table of vintage {}").format(before),
        expected=_("one from before {}").format(now),
        then=_("Set a later date with vintage=, or name an earlier table."),
    )


def summarise(earlier: Table, table: Table, revised: Rows) -> str:
    """Say in one line how many figures were revised, and by how much the stock of impervious land changed most."""
    before, now = newest_vintage(earlier), newest_vintage(table)
    ours = revised.take(revised["vintage_from"].among(before) & revised["vintage"].among(now))
    changed = int(ours["revision"].among(CHANGED).sum())
    text = _("Against vintage {}: {} figures changed, {} withdrawn.").format(before, changed, len(ours) - changed)
    stocks = ours["lc_flow"].among("STK") & ours["landcover"].among("IMP") & ours["unit"].among("KM2")
    stocks &= ~np.isnan(ours["DIFFERENCE"].values)
    if not stocks.any():
        return text
    most = max(ours.take(stocks), key=lambda row: (abs(row["DIFFERENCE"]), row["geo"]))
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
