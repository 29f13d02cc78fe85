"""The readings of a reference sample: what an interpreter saw, as a CSV file.

A sample has units: a *point* is one cell, a *window* is `SIDE` x `SIDE` cells. A file has one row for what was read, in the columns
`id,cell,<one column per year>,certainty,interpreter,reading,seconds,note`:

- a point has one row; `cell` is empty, and each year is 1 (sealed: an artificial surface covers most of the cell), 0 (not sealed) or
  empty (cannot be told);
- a window has one row without `cell` and without years, which says that all of it was read, and a row for each cell that is not the
  same in all years: `cell` = row * 25 + column from the north-west (0 to 624), years 0 or 1. Cells without a row did not change.

A unit without rows, or whose row has neither years nor certainty, is unread, so a file may be half filled. Files of several interpreters
may be appended, each with its header. What spreadsheets do to a file is accepted where it has only one meaning: a byte order mark, CRLF,
semicolons or tabs, `1.0` for 1, empty columns and rows at the end. All else is refused with the number of its line.

A file never contains stratum, weight or score of a unit: who reads must not know them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imperviouslib.core.errors import InputError, _

SIDE = 25
"""Cells along a side of a window."""
POINT, WINDOW = "point", "window"
KINDS = (POINT, WINDOW)
"""What a unit can be."""
CERTAINTIES = ("sure", "likely", "guess")
"""How sure an interpreter is of a unit."""
READINGS = (1, 2, 3)
"""First reading, blind second reading, and the reading that settles disagreements."""

_FIRST, _LAST = ("id", "cell"), ("certainty", "interpreter", "reading", "seconds", "note")
_FORMULA = r"[=+\-@]"
_Row = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class SheetUnit:
    """A unit of a sample as interpreters may know it."""

    id: str
    """Unique in the sample, such as P0001."""
    kind: str
    """point or window."""
    lon: float
    """Centre, degrees east, WGS 84."""
    lat: float
    """Centre, degrees north, WGS 84."""

    def __post_init__(self) -> None:
        if not self.id or self.id != one_line(self.id) or self.kind not in KINDS:
            raise ValueError(f"unit {self.id!r} of kind {self.kind!r}")
        if not (-180 <= self.lon <= 180 and -90 <= self.lat <= 90):
            raise ValueError(f"unit {self.id} at {self.lon}, {self.lat}")


@dataclass(frozen=True)
class Reading:
    """What an interpreter read: a point, a window, or a cell of a window that changed."""

    id: str
    """Unit of the sample."""
    cell: int | None
    """Cell of a window that changed, row * 25 + column from the north-west; None for a point and for a window as a whole."""
    states: tuple[int | None, ...]
    """For each year 1 sealed, 0 not sealed, None cannot be told; all None for a window as a whole."""
    certainty: str
    """sure, likely or guess."""
    interpreter: str
    """Name of the interpreter."""
    reading: int
    """1, 2 (blind second reading) or 3 (settles disagreements)."""
    seconds: int | None = None
    """Time spent on the unit; None where it is not known."""
    note: str = ""
    """One line of free text."""

    def __post_init__(self) -> None:
        is_cell = self.cell is None or 0 <= self.cell < SIDE * SIDE
        if not is_cell or self.certainty not in CERTAINTIES or self.reading not in READINGS or not self.interpreter:
            raise ValueError(f"reading {self.id} {self.cell} {self.certainty!r} {self.interpreter!r} {self.reading}")
        if not set(self.states) <= {0, 1, None} or (self.seconds is not None and self.seconds < 0):
            raise ValueError(f"reading {self.id}, states {self.states}, seconds {self.seconds}")
        if any(text != one_line(text) for text in (self.id, self.interpreter, self.note)):
            raise ValueError(f"reading {self.id}: a text has more than one line, or blanks that would be lost")


def one_line(text: str) -> str:
    """Join the words of a text by single blanks, so that it is one line without blanks at its ends."""
    return " ".join(text.split())


def columns(years: Sequence[int]) -> list[str]:
    """Return the header of a file of readings.

    >>> ",".join(columns([2017, 2018]))
    'id,cell,2017,2018,certainty,interpreter,reading,seconds,note'
    """
    return [*_FIRST, *map(str, years), *_LAST]


def safe_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; `plain_text` removes it.

    >>> safe_text("=1+1"), safe_text("two halls")
    ("'=1+1", 'two halls')
    """
    return f"'{text}" if re.match(f"'*{_FORMULA}", text) else text


def plain_text(text: str) -> str:
    """Remove the apostrophe that `safe_text` puts before a text."""
    return text[1:] if re.match(f"'+{_FORMULA}", text) else text


def written(rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV with the separator comma and the line end LF."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def format_readings(readings: Iterable[Reading], years: Sequence[int]) -> str:
    """Write readings as CSV, in the order given; raise ValueError where a reading does not have a state for each year."""
    rows: list[list[object]] = [list(columns(years))]
    for one in readings:
        if len(one.states) != len(years):
            raise ValueError(f"reading {one.id}: {len(one.states)} states for {len(years)} years")
        cells = ("" if value is None else value for value in (one.cell, *one.states))
        texts = (one.certainty, safe_text(one.interpreter), one.reading)
        seconds = "" if one.seconds is None else one.seconds
        rows.append([safe_text(one.id), *cells, *texts, seconds, safe_text(one.note)])
    return written(rows)


def empty_readings(units: Iterable[SheetUnit], years: Sequence[int], *, interpreter: str = "", reading: int = 1) -> str:
    """Write an empty file with one row a unit, to be filled in a spreadsheet or in QGIS.

    For a window, copy its row for each cell that changed. A row stays unread until it has a certainty.
    """
    blank = [""] * (len(years) + 2)
    rows = [[safe_text(unit.id), *blank, safe_text(interpreter), reading, "", ""] for unit in units]
    return written([columns(years), *rows])


class _Place:
    """A line of a file, for messages."""

    def __init__(self, name: str, line: int) -> None:
        self.name, self.line = name, line

    def wrong(self, what: str, *, found: str, expected: str, then: str = "") -> InputError:
        """Make the error that names this line."""
        start = (
            _("Readings '{}', line {}").format(self.name, self.line)
            if self.name
            else _("Readings, line {}").format(self.line)
        )
        return InputError(
            f"{start}, {what}" if what else start,
            found=found,
            expected=expected,
            then=then or _("Correct the file."),
        )


def _quoted(text: str, limit: int = 60) -> str:
    return f"'{one_line(text)[:limit]}'"


def _cells(line: str, mark: str) -> list[str]:
    """Split a header; empty columns at its end do not count."""
    found = [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]
    while found and not found[-1]:
        found.pop()
    return found


def _mark(line: str, header: list[str]) -> str:
    """Return the separator with which a line is the header, or nothing."""
    return next((mark for mark in ",;\t" if mark in line and _cells(line, mark) == header), "")


def _rows(text: str, header: list[str], name: str) -> Iterator[_Row]:
    """Yield the line number and the cells of each row that is not blank; each header starts a part with its own separator."""
    lines = [line.removeprefix("\ufeff") for line in re.split(r"\r\n|\n|\r", text)]
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise _Place(name, 1).wrong("", found=_("an empty file"), expected=_("the header {}").format(",".join(header)))
    if not _mark(lines[first], header):
        raise _bad_header(lines[first], header, _Place(name, first + 1))
    starts = [n for n, line in enumerate(lines) if line[:3].strip('"')[:2] == "id" and _mark(line, header)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        mark = _mark(lines[start], header)
        reader = csv.reader([line + "\n" for line in lines[start + 1 : end]], delimiter=mark, strict=True)
        while True:
            line = start + 2 + reader.line_num
            try:
                cells = next(reader, None)
            except csv.Error as err:
                raise _Place(name, line).wrong(
                    "",
                    found=_("text that is no CSV ({})").format(err),
                    expected=_("cells in plain text, or in quotation marks"),
                ) from err
            if cells is None:
                break
            cells = [one_line(cell) for cell in cells]
            if not any(cells):
                continue
            if len(cells) < len(header) or any(cells[len(header) :]):
                found, expected = _("{} cells").format(len(cells)), _("{}, one for each column").format(len(header))
                raise _Place(name, line).wrong("", found=found, expected=expected)
            yield line, dict(zip(header, map(plain_text, cells[: len(header)]), strict=True))


def _bad_header(line: str, header: list[str], place: _Place) -> InputError:
    found = max((_cells(line, mark) for mark in ",;\t"), key=len)
    own, asked = ([word for word in words if re.fullmatch(r"[0-9]{4}", word)] for words in (found, header))
    if own != asked and [word for word in found if word not in own] == [word for word in header if word not in asked]:
        return place.wrong(
            _("columns of years"),
            found=", ".join(own) or _("none"),
            expected=_("the years of the design, {}").format(", ".join(asked)),
            then=_("Use the readings of this design."),
        )
    expected = ",".join(header)
    return place.wrong(
        _("header"), found=_quoted(line, 300), expected=expected, then=_("Write this header in the first line.")
    )


def parse_readings(text: str, kinds: Mapping[str, str], years: Sequence[int], *, name: str = "") -> list[Reading]:
    """Parse a file of readings, or several appended; raise InputError that names the line of what is wrong.

    kinds : unit to its kind, point or window, of the whole sample
    years : the years of the design, ascending
    name : of the file, for messages
    Returns: in the order of the file, without rows of units that are not read yet
    """
    found: list[Reading] = []
    lines: dict[tuple[str, int | None, int, str], int] = {}
    for line, row in _rows(text, columns(years), name):
        place = _Place(name, line)
        one = _parse_row(row, kinds, years, place)
        if one is None:
            continue
        key = (one.id, one.cell, one.reading, one.interpreter)
        if key in lines:
            what = _("unit {}").format(one.id) + ("" if one.cell is None else _(", cell {}").format(one.cell))
            then = _("Remove one of the two rows.")
            raise place.wrong(
                what,
                found=_("a second row, after line {}").format(lines[key]),
                expected=_("one row a reading and interpreter"),
                then=then,
            )
        lines[key] = line
        found.append(one)
    for (unit, cell, reading, interpreter), line in lines.items():
        if cell is not None and (unit, None, reading, interpreter) not in lines:
            raise _Place(name, line).wrong(
                _("window {}").format(unit),
                found=_("a row of cell {}, and no row with a certainty that says that the window was read").format(
                    cell
                ),
                expected=_("a row of the window by {}, reading {}").format(interpreter, reading),
                then=_(
                    "Add a row of the window with its certainty, with cell and years empty, once all of the window is read."
                ),
            )
    return found


def _parse_row(row: Mapping[str, str], kinds: Mapping[str, str], years: Sequence[int], place: _Place) -> Reading | None:
    unit = row["id"]
    if unit not in kinds:
        raise place.wrong(
            _("column id"),
            found=_quoted(unit),
            expected=_("a unit of the sample"),
            then=_("Correct it, or use the readings of this sample."),
        )
    states = tuple(_state(row[str(year)], str(year), place) for year in years)
    is_blank = all(state is None for state in states)
    if is_blank and not row["cell"] and not row["certainty"]:
        return None
    cell = _cell(row["cell"], kinds[unit], place)
    if kinds[unit] == WINDOW and cell is None and not is_blank:
        expected = _("no years in the row of a window, or the number of the cell that changed")
        raise place.wrong(_("window {}").format(unit), found=_("years without a cell"), expected=expected)
    if cell is not None and (None in states or len(set(states)) == 1):
        expected = _("0 or 1 in each year, and not the same in all")
        raise place.wrong(
            _("cell {} of window {}").format(cell, unit),
            found=" ".join(row[str(y)] or "-" for y in years),
            expected=expected,
        )
    if not row["interpreter"]:
        raise place.wrong(_("column interpreter"), found=_("nothing"), expected=_("a name"))
    certainty = _one_of("certainty", row["certainty"].lower(), CERTAINTIES, place)
    reading = int(_one_of("reading", _whole(row["reading"]), [str(n) for n in READINGS], place))
    seconds = _seconds(row["seconds"], place)
    return Reading(unit, cell, states, certainty, row["interpreter"], reading, seconds, row["note"])


def _whole(text: str) -> str:
    """Remove zeros after a decimal mark, which spreadsheets add to whole numbers, and zeros before the number."""
    match = re.fullmatch(r"0*([0-9]{1,9})(?:[.,]0+)?", text)
    return match[1] if match else text


def _one_of(column: str, text: str, known: Collection[str], place: _Place) -> str:
    if text not in known:
        expected = _("one of {}").format(", ".join(known))
        raise place.wrong(_("column {}").format(column), found=_quoted(text), expected=expected)
    return text


def _state(text: str, column: str, place: _Place) -> int | None:
    if not text:
        return None
    value = _whole(text)
    if value not in ("0", "1"):
        expected = _("1 (sealed), 0 (not sealed) or nothing (cannot be told)")
        raise place.wrong(_("column {}").format(column), found=_quoted(text), expected=expected)
    return int(value)


def _cell(text: str, kind: str, place: _Place) -> int | None:
    if not text:
        return None
    if kind != WINDOW:
        raise place.wrong(_("column cell"), found=_quoted(text), expected=_("nothing, because the unit is a point"))
    value = _whole(text)
    if not re.fullmatch("[0-9]+", value) or int(value) >= SIDE * SIDE:
        expected = _("a cell of a window, 0 to {}").format(SIDE * SIDE - 1)
        raise place.wrong(_("column cell"), found=_quoted(text), expected=expected)
    return int(value)


def _seconds(text: str, place: _Place) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}([.,][0-9]+)?", text):
        raise place.wrong(_("column seconds"), found=_quoted(text), expected=_("a number, or nothing"))
    return round(float(text.replace(",", ".")))
