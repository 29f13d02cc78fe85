"""Periods of composites: years, months, seasons, and their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}
"""Meteorological seasons. Winter is left out: it has two years, and at 20 m in Europe little of it is seen without cloud or snow."""
KINDS = ("year", "season", "month")


@dataclass(frozen=True)
class Period:
    """A span that one composite covers."""

    name: str
    """2018, 2018-06 or 2018-summer."""
    year: int
    months: tuple[int, ...]

    def holds(self, sensed_utc: str) -> bool:
        """Tell whether an ISO time lies in the period."""
        return int(sensed_utc[:4]) == self.year and int(sensed_utc[5:7]) in self.months

    @property
    def first(self) -> date:
        """First day."""
        return date(self.year, self.months[0], 1)

    @property
    def after(self) -> date:
        """Day after the last."""
        last = self.months[-1]
        return date(self.year + (last == 12), last % 12 + 1, 1)


def resolve_periods(years: Sequence[int], kinds: Iterable[str]) -> list[Period]:
    """Name all periods of the given kinds.

    >>> [p.name for p in resolve_periods([2018], ["year", "season"])]
    ['2018', '2018-spring', '2018-summer', '2018-autumn']
    """
    periods = []
    for kind in kinds:
        for year in years:
            if kind == "year":
                periods.append(Period(str(year), year, tuple(range(1, 13))))
            elif kind == "season":
                periods += [Period(f"{year}-{name}", year, months) for name, months in SEASONS.items()]
            else:
                periods += [Period(f"{year}-{month:02d}", year, (month,)) for month in range(1, 13)]
    return periods
