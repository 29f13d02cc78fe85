"""The part of every year from which scenes are taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from imperviouslib.core.errors import InputError, _


@dataclass(frozen=True)
class Window:
    """A part of every year, from month-day to month-day, both included; it may cross the end of the year."""

    start: tuple[int, int]
    """First (month, day)."""
    end: tuple[int, int]
    """Last (month, day)."""

    def __str__(self) -> str:
        return "{:02d}-{:02d}/{:02d}-{:02d}".format(*self.start, *self.end)

    @property
    def crosses_years(self) -> bool:
        """Whether it ends in the year after the one that it belongs to."""
        return self.end < self.start

    def days(self, year: int) -> tuple[date, date]:
        """Return the first and the last day in a year; a window across the end of the year ends in the next one."""
        last = date(year + self.crosses_years, *self.end)
        return date(year, *self.start), last

    def holds(self, day: date, year: int) -> bool:
        """Tell whether a day lies in the window of `year`."""
        first, last = self.days(year)
        return first <= day <= last


def parse_window(text: str, option: str = "window") -> Window:
    """Parse mm-dd/mm-dd; raise InputError otherwise.

    >>> parse_window("05-01/06-01").days(2018)[1].isoformat()
    '2018-06-01'
    """
    match = re.fullmatch(r"(\d\d)-(\d\d)/(\d\d)-(\d\d)", text.strip())
    try:
        if not match:
            raise ValueError
        numbers = [int(group) for group in match.groups()]
        # 2001 has no 29 February, so every accepted day exists in every year.
        date(2001, *numbers[:2]), date(2001, *numbers[2:])
    except ValueError as err:
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{text}'",
            expected=_("mm-dd/mm-dd, two days that every year has"),
            then=_("Write for example 04-15/10-15."),
        ) from err
    return Window((numbers[0], numbers[1]), (numbers[2], numbers[3]))
