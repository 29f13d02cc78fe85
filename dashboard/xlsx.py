"""Workbooks written with XlsxWriter: texts and numbers, a bold first row, no formulas. Spreadsheets read them in every locale."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterable, Sequence

import xlsxwriter

Cell = str | int | float | None

_CREATED = datetime.datetime(2000, 1, 1)
"""The workbook's own date is always this, so that equal figures give equal bytes."""
_UNKNOWN_TO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_workbook(sheets: Sequence[tuple[str, Iterable[Sequence[Cell]]]]) -> bytes:
    """Return a workbook of sheets, each a name and its rows; the first row of each is bold and stays in view."""
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        bold = book.add_format({"bold": True})
        for name, rows in sheets:
            page = book.add_worksheet(name)
            page.freeze_panes(1, 0)
            for number, row in enumerate(rows):
                for column, value in enumerate(row):
                    if isinstance(value, str) and value:
                        # As a text even where it looks like a formula or a link. Characters that XML cannot hold are left out.
                        page.write_string(number, column, _UNKNOWN_TO_XML.sub("", value), bold if number == 0 else None)
                    elif value is not None and value != "":
                        page.write_number(number, column, value)
    return sink.getvalue()
