"""Workbooks in Office Open XML (.xlsx), written with XlsxWriter."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path

import xlsxwriter

from imperviouslib.core.workbook import Sheet

_CREATED = datetime.datetime(2000, 1, 1)
"""The workbook's own date is always this, so that equal figures give equal bytes; the sheet of notes has the true one."""
_UNKNOWN_TO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""XlsxWriter writes control characters in a form that only spreadsheets read back, and the others not at all."""


def write_workbook(path: Path, sheets: Iterable[Sheet]) -> None:
    """Write sheets in their order; the first row of each is bold and stays in view.

    Rows go to the disk as they come (constant_memory), so that a table of a million rows needs no memory.
    """
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        bold = book.add_format({"bold": True})
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            page.freeze_panes(1, 0)
            for column, width in enumerate(sheet.widths):
                page.set_column(column, column, width)
            for number, row in enumerate(sheet.rows):
                for column, value in enumerate(row):
                    if value is None or value == "":
                        continue
                    if isinstance(value, str):
                        # As a text even where it looks like a formula or a link.
                        page.write_string(
                            number,
                            column,
                            _UNKNOWN_TO_XML.sub("\N{REPLACEMENT CHARACTER}", value),
                            bold if number == 0 else None,
                        )
                    else:
                        page.write_number(number, column, value)
