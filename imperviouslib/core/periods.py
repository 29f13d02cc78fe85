"""Periods of composites: years, seasons, months and windows, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import split_words

SEASONS = {"spring": (3, 6), "summer": (6, 9), "autumn": (9, 12)}
"""Meteorological seasons: first month, and the month after the last. Winter is left out, because it lies in two years and has few clear
observations in Europe."""
KINDS = ("year", "season", "month")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Period:
    """A span of days that one composite covers."""

    name: str
    """2018, 2018-06, 2018-summer, or 2018- and the name of a window."""
    first: date
    """First day."""
    after: date
    """Day after the last."""

    @property
    def year(self) -> int:
        """The year it lies in."""
        return self.first.year

    def holds(self, sensed_utc: str) -> bool:
        """Tell whether an ISO time lies in the period."""
        return self.first <= date.fromisoformat(sensed_utc[:10]) < self.after

    @property
    def times(self) -> str:
        """Its start and its end as the temporal tools of GRASS read them."""
        return f"{self.first} 00:00:00|{self.after} 00:00:00"

    @property
    def days(self) -> tuple[int, int]:
        """The first day and the day after the last, in days since 1970-01-01."""
        return (self.first - _EPOCH).days, (self.after - _EPOCH).days

    @property
    def middle(self) -> float:
        """The middle of the period in days since 1970-01-01."""
        return sum(self.days) / 2

    def off_centre(self, sensed_utc: str) -> float:
        """Return 0 for a day in the middle of the period, 1 for one at its ends."""
        half = (self.after - self.first).days / 2
        return min(1.0, abs((date.fromisoformat(sensed_utc[:10]) - self.first).days + 0.5 - half) / half)


def times_between(first: int, last: int) -> str:
    """Return the time of what is known of a year, or of a change between two years, as the temporal tools of GRASS read it.

    Changes reach from the start of the first year to that of the last, so that those of neighbouring years do not overlap.

    >>> times_between(2018, 2018), times_between(2017, 2019)
    ('2018-01-01 00:00:00|2019-01-01 00:00:00', '2017-01-01 00:00:00|2019-01-01 00:00:00')
    """
    return Period("", date(first, 1, 1), date(max(last, first + 1), 1, 1)).times


def _month(year: int, month: int) -> date:
    return date(year + (month > 12), (month - 1) % 12 + 1, 1)


def period_named(name: str) -> Period:
    """Return the span of days that a name tells; that of a user-defined window is the whole year, because its name tells no more.

    >>> period_named("2018-summer").first.isoformat(), period_named("2018-12").after.isoformat()
    ('2018-06-01', '2019-01-01')
    """
    year, _dash, _part = name.partition("-")
    kinds = (PeriodKind(kind) for kind in KINDS)
    known = {period.name: period for kind in kinds for period in kind.of_year(int(year))}
    return known.get(name) or Period(name, known[year].first, known[year].after)


@dataclass(frozen=True)
class PeriodKind:
    """How to divide years: the year, its seasons, its months, or a user-defined window in each year."""

    name: str
    """One of KINDS, or the name of the window."""
    window: tuple[str, str] | None = None
    """First and last day of a window, both included, as MM-DD; a window over New Year belongs to the year of its first day, as in r.s2.fetch."""

    def of_year(self, year: int) -> list[Period]:
        """Return the periods of a year; raise InputError if a day of the window does not exist in it."""
        if self.window:
            try:
                start, end = self.window
                first = date.fromisoformat(f"{year}-{start}")
                last = date.fromisoformat(f"{year + (end < start)}-{end}")
            except ValueError as err:
                raise _unknown(f"{self.name}:{'/'.join(self.window)}") from err
            return [Period(f"{year}-{self.name}", first, last + timedelta(days=1))]
        if self.name == "season":
            return [
                Period(f"{year}-{name}", _month(year, first), _month(year, after))
                for name, (first, after) in SEASONS.items()
            ]
        if self.name == "month":
            return [
                Period(f"{year}-{month:02d}", _month(year, month), _month(year, month + 1)) for month in range(1, 13)
            ]
        return [Period(str(year), date(year, 1, 1), date(year + 1, 1, 1))]


def parse_periods(text: str) -> tuple[PeriodKind, ...]:
    """Parse option <period>: year, season, month, and windows such as leaf:05-01/09-30; raise InputError otherwise.

    >>> [kind.name for kind in parse_periods("year,leaf:05-01/09-30")]
    ['year', 'leaf']
    """
    kinds = tuple(PeriodKind(word) if word in KINDS else _parse_window(word) for word in split_words(text))
    names = [kind.name for kind in kinds]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(
            _("Option <period> has two windows named {}").format(twice), then=_("Name one of them differently.")
        )
    return kinds


def resolve_periods(years: Iterable[int], kinds: Sequence[PeriodKind]) -> list[Period]:
    """Return all periods of the years, by kind, then by year.

    >>> [p.name for p in resolve_periods([2018], parse_periods("year,season,leaf:05-01/09-30"))]
    ['2018', '2018-spring', '2018-summer', '2018-autumn', '2018-leaf']
    """
    every = list(years)
    return [period for kind in kinds for year in every for period in kind.of_year(year)]


def _parse_window(text: str) -> PeriodKind:
    match = re.fullmatch(r"([a-z][a-z0-9]*):(\d\d-\d\d)/(\d\d-\d\d)", text)
    if not match or match[1] in (*SEASONS, "count"):
        raise _unknown(text)
    kind = PeriodKind(match[1], (match[2], match[3]))
    # A leap year has all days that any year has; the last day of a window over New Year lies in the year after it.
    kind.of_year(2019 if match[3] < match[2] else 2020)
    return kind


def _unknown(text: str) -> InputError:
    return InputError(
        _("Option <period>"),
        found=f"'{text}'",
        expected=_("{} or a window of each year, such as leaf:05-01/09-30").format(", ".join(KINDS)),
        then=_("Correct it."),
    )
