"""Periods of composites: years, seasons, months and windows of one's own, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from imperviouslib.core.errors import InputError, _

SEASONS = {"spring": (3, 6), "summer": (6, 9), "autumn": (9, 12)}
"""Meteorological seasons, first month and the month after the last. Winter is left out: it has two years, and at 20 m in Europe little of it
is seen without cloud or snow."""
KINDS = ("year", "season", "month")


@dataclass(frozen=True)
class Period:
    """A span that one composite covers."""

    name: str
    """2018, 2018-06, 2018-summer, or 2018- and the name of a window."""
    first: date
    """First day."""
    after: date
    """Day after the last."""

    @property
    def year(self) -> int:
        """The one year in which it lies."""
        return self.first.year

    def holds(self, sensed_utc: str) -> bool:
        """Tell whether an ISO time lies in the period."""
        return self.first <= date.fromisoformat(sensed_utc[:10]) < self.after

    def off_centre(self, sensed_utc: str) -> float:
        """Return 0 for a day in the middle of the period, 1 for one at its ends."""
        half = (self.after - self.first).days / 2
        return min(1.0, abs((date.fromisoformat(sensed_utc[:10]) - self.first).days + 0.5 - half) / half)


def _month(year: int, month: int) -> date:
    return date(year + (month > 12), (month - 1) % 12 + 1, 1)


def resolve_periods(years: Sequence[int], kinds: Iterable[str]) -> list[Period]:
    """Name all periods of the given kinds; a kind is year, season, month or a window such as leaf:05-01/09-30, both days included.

    >>> [p.name for p in resolve_periods([2018], ["year", "season", "leaf:05-01/09-30"])]
    ['2018', '2018-spring', '2018-summer', '2018-autumn', '2018-leaf']
    """
    periods: list[Period] = []
    for kind in dict.fromkeys(kinds):
        for year in years:
            if kind == "year":
                periods.append(Period(str(year), date(year, 1, 1), date(year + 1, 1, 1)))
            elif kind == "season":
                periods += [
                    Period(f"{year}-{name}", _month(year, first), _month(year, after))
                    for name, (first, after) in SEASONS.items()
                ]
            elif kind == "month":
                periods += [
                    Period(f"{year}-{month:02d}", _month(year, month), _month(year, month + 1))
                    for month in range(1, 13)
                ]
            else:
                periods.append(_window(kind, year))
    names = [period.name for period in periods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(
            _("Option <period>"),
            found=_("{} a second time").format(twice),
            expected=_("each name once"),
            then=_("Name the window otherwise."),
        )
    return periods


def _window(text: str, year: int) -> Period:
    """Read a window of one's own, NAME:MM-DD/MM-DD."""
    match = re.fullmatch(r"([a-z][a-z0-9]*):(\d\d-\d\d)/(\d\d-\d\d)", text)
    wrong = InputError(
        _("Option <period>"),
        found=f"'{text}'",
        expected=_("{} or a window within the year such as leaf:05-01/09-30").format(", ".join(KINDS)),
        then=_("Correct it."),
    )
    if not match:
        raise wrong
    try:
        first, last = date.fromisoformat(f"{year}-{match[2]}"), date.fromisoformat(f"{year}-{match[3]}")
    except ValueError as err:
        raise wrong from err
    if first > last or match[1] in SEASONS or match[1] == "count":
        raise wrong
    return Period(f"{year}-{match[1]}", first, last + timedelta(days=1))
