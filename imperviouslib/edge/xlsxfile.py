"""Workbooks in Office Open XML (.xlsx), written with zipfile alone.

Written here and not with a library, because the tools need only rows of texts and numbers: rows go through as a stream, so that a table
of a million rows needs no memory, and equal rows give equal bytes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from imperviouslib.core.workbook import Sheet

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_TYPES_OF_RELATIONS = "application/vnd.openxmlformats-package.relationships+xml"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot hold."""
_STYLES = f"""{_XML}<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>
<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="1"><fill><patternFill patternType="none"/></fill></fills>
<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>
<cellXfs count="2"><xf xfId="0"/><xf fontId="1" applyFont="1" xfId="0"/></cellXfs>
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""
"""Style 0 is plain, style 1 is bold."""
_PART_ROWS = 2000
"""Rows that are written at a time."""


def write_workbook(path: Path, sheets: Iterable[Sheet]) -> None:
    """Write sheets in their order; the first row of each is bold and stays in view."""
    names = []
    with zipfile.ZipFile(path, "w") as package:
        for number, sheet in enumerate(sheets, start=1):
            names.append(sheet.name)
            _write(package, f"xl/worksheets/sheet{number}.xml", _sheet(sheet))
        numbers = range(1, len(names) + 1)
        listed = "".join(
            f'<sheet name={quoteattr(_clean(name))} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, names, strict=True)
        )
        links = [(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
        links.append((f"rId{len(names) + 1}", "styles", "styles.xml"))
        _write(package, "xl/styles.xml", [_STYLES])
        _write(
            package,
            "xl/workbook.xml",
            [f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'],
        )
        _write(package, "xl/_rels/workbook.xml.rels", [_relations(links)])
        _write(package, "_rels/.rels", [_relations([("rId1", "officeDocument", "xl/workbook.xml")])])
        parts = [("/xl/workbook.xml", "sheet.main"), ("/xl/styles.xml", "styles")]
        parts += [(f"/xl/worksheets/sheet{n}.xml", "worksheet") for n in numbers]
        overrides = "".join(f'<Override PartName="{part}" ContentType="{_TYPE}.{kind}+xml"/>' for part, kind in parts)
        relations = f'<Default Extension="rels" ContentType="{_TYPES_OF_RELATIONS}"/>'
        types = f'{_XML}<Types xmlns="{_PACKAGE}/content-types">{relations}{overrides}</Types>'
        _write(package, "[Content_Types].xml", [types])


def _write(package: zipfile.ZipFile, name: str, parts: Iterable[str]) -> None:
    """Write a member with a fixed date, so that equal content gives equal bytes."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    with package.open(info, "w", force_zip64=True) as handle:
        for part in parts:
            handle.write(part.encode("utf-8"))


def _relations(links: Iterable[tuple[str, str, str]]) -> str:
    listed = "".join(f'<Relationship Id="{i}" Type="{_OFFICE}/{kind}" Target="{to}"/>' for i, kind, to in links)
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _sheet(sheet: Sheet) -> Iterator[str]:
    """Yield the XML of a sheet in parts."""
    columns = "".join(
        f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>' for n, width in enumerate(sheet.widths, start=1)
    )
    pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    yield f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{pane}</sheetView></sheetViews>'
    yield f"<cols>{columns}</cols><sheetData>"
    letters = [_letters(n) for n in range(len(sheet.widths))]
    part: list[str] = []
    for number, row in enumerate(sheet.rows, start=1):
        bold = ' s="1"' if number == 1 else ""
        cells = [
            _cell(f"{letter}{number}", value, bold)
            for letter, value in zip(letters, row, strict=True)
            if value is not None and value != ""
        ]
        part.append(f'<row r="{number}">{"".join(cells)}</row>')
        if len(part) == _PART_ROWS:
            yield "".join(part)
            part = []
    yield "".join(part) + "</sheetData></worksheet>"


def _cell(place: str, value: str | float, style: str) -> str:
    if isinstance(value, str):
        text = escape(_clean(value))
        return f'<c r="{place}"{style} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f'<c r="{place}"{style}><v>{value!r}</v></c>'


def _clean(text: str) -> str:
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def _letters(column: int) -> str:
    """Return the name of a column.

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    name = ""
    while column >= 0:
        column, letter = divmod(column, 26)
        name, column = chr(ord("A") + letter) + name, column - 1
    return name
