"""Workbooks in Office Open XML (.xlsx): XlsxWriter makes the workbook with the first row of each sheet, all further rows are put into it here.

XlsxWriter takes ten times as long for a row, and a table of Europe has a million.
"""

from __future__ import annotations

import datetime
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from imperviouslib.core.workbook import Cell, Sheet

_CREATED = datetime.datetime(2000, 1, 1)
"""The workbook's own date is always this, so that equal figures give equal bytes; the sheet of notes has the true one."""
_UNKNOWN_TO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML does not know."""
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""What begins the code of a character to a spreadsheet, in a text that only looks like one."""
_MOST_CHARACTERS, _MOST_COLUMNS = 32767, 100
_END = b"</sheetData>"
_ROWS = 2**12
"""Rows that are compressed at a time."""


def write_workbook(path: Path, sheets: Iterable[Sheet]) -> None:
    """Write sheets in their order; the first row of each is bold and stays in view.

    Rows go to the disk as they come, so that a table of a million rows needs no memory.
    """
    frame, rest = io.BytesIO(), {}
    with xlsxwriter.Workbook(frame, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        bold = book.add_format({"bold": True})
        for number, sheet in enumerate(sheets, start=1):
            page = book.add_worksheet(sheet.name)
            page.freeze_panes(1, 0)
            for column, width in enumerate(sheet.widths):
                page.set_column(column, column, width)
            rows = iter(sheet.rows)
            for column, name in enumerate(next(rows)):
                page.write_string(0, column, str(name), bold)
            extent = f"A1:{xl_col_to_name(len(sheet.widths) - 1)}{sheet.height}"
            rest[f"xl/worksheets/sheet{number}.xml"] = extent, rows
    with zipfile.ZipFile(frame) as begun, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name in begun.namelist():
            # The files have the date that a file has by default, so that equal figures give equal bytes.
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            with book.open(info, "w", force_zip64=True) as target:
                content = begun.read(name)
                if name in rest:
                    extent, rows = rest[name]
                    head, end, content = content.partition(_END)
                    # Programs that read row by row trust the extent.
                    target.write(re.sub(b'(?<=<dimension ref=")[^"]+', extent.encode(), head, count=1))
                    for text in _row_texts(rows):
                        target.write(text.encode())
                    target.write(end)
                target.write(content)


def _row_texts(rows: Iterator[Sequence[Cell]]) -> Iterator[str]:
    """Yield the XML of all rows but the first, in parts."""
    texts, letters = _Texts(), [xl_col_to_name(column) for column in range(_MOST_COLUMNS)]
    for start in itertools.count(2, _ROWS):
        lines = []
        for number, row in enumerate(itertools.islice(rows, _ROWS), start):
            cells = [
                f'<c r="{letter}{number}{texts[value]}'
                if isinstance(value, str)
                else f'<c r="{letter}{number}"><v>{value:.16G}</v></c>'
                for letter, value in zip(letters, row, strict=False)
                if value is not None and value != ""
            ]
            lines.append(f'<row r="{number}">{"".join(cells)}</row>')
        if not lines:
            return
        yield "".join(lines)


class _Texts(dict[str, str]):
    """Text to the end of the XML of its cell; a table has few different texts."""

    def __missing__(self, text: str) -> str:
        # As a text even where it looks like a formula or a link.
        known = _UNKNOWN_TO_XML.sub("\N{REPLACEMENT CHARACTER}", text)[:_MOST_CHARACTERS]
        coded = escape(_ESCAPE.sub("_x005F_", known)).replace("\r", "_x000D_")
        space = ' xml:space="preserve"' if text != text.strip() else ""
        self[text] = f'" t="inlineStr"><is><t{space}>{coded}</t></is></c>'
        return self[text]
