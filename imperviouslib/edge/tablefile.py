"""The table folder: Parquet (typed; the form for programs), CSV, SDMX-CSV, a workbook, outlines, and a data package that describes them.

The same rows give the same bytes in every CSV and in the workbook.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imperviouslib.core import revisions, tablecheck, workbook
from imperviouslib.core.borders import is_shared
from imperviouslib.core.errors import InputError, TableError, _
from imperviouslib.core.rows import BATCH, Column, Rows
from imperviouslib.core.table import Table
from imperviouslib.core.tableschema import CONTRACT, SCHEMA, TRANSITIONS, VALUES
from imperviouslib.edge.files import atomic_folder, sha256_file, write_json
from imperviouslib.edge.outlinefile import to_lonlat
from imperviouslib.edge.xlsxfile import write_workbook

NAME = "impervious-nuts"
"""Name of the data package; a folder whose package has it is a table."""
_PACKAGE, _WORKBOOK, _LONLAT = "datapackage.json", f"{VALUES}.xlsx", "outlines_wgs84.geojson"
DOCUMENTS = {
    "estimates.json": "Estimates from the reference sample: areas, accuracy of the maps, agreement of interpreters"
}
"""Further files that a table can have."""
_SDMX = tuple(name for name, schema in SCHEMA["tables"].items() if "dataflow" in schema)
"""Tables that are also written as SDMX-CSV."""
_FILES = {
    *(f"{name}.{form}" for name in SCHEMA["tables"] for form in ("csv", "parquet")),
    *(f"{name}.sdmx.csv" for name in _SDMX),
    SCHEMA["outlines"]["file"],
    _LONLAT,
    _WORKBOOK,
    _PACKAGE,
    *DOCUMENTS,
}
_SDMX_TYPE = "application/vnd.sdmx.data+csv; version=2.0.0"
_SDMX_GAP = "NaN"
"""An observation that is missing on purpose, in SDMX 3.0; a reader cannot turn an empty cell into a number."""
_XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters at the start of a text that a spreadsheet reads as a formula."""
_ROW_GROUP = 2**18
"""Rows that are Parquet's at a time."""
VERSION = pa.__version__
"""Version of PyArrow."""


@contextlib.contextmanager
def writing_folder(
    path: Path,
    table: Table,
    outlines: Mapping[str, Any],
    package: Mapping[str, Any],
    documents: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[None]:
    """Write the whole folder under a temporary name; it gets its own name, and replaces an older folder, if the block succeeds.

    table : rows by name of table, as in the schema
    outlines : GeoJSON FeatureCollection in EPSG:3035
    package : content of datapackage.json without its resources
    documents : name in `DOCUMENTS` to content of further JSON files
    """
    with atomic_folder(path) as part:
        resources = []
        for name, schema in SCHEMA["tables"].items():
            if name not in table:
                continue
            rows = Rows.of(name, table[name])
            _write_parquet(part / f"{name}.parquet", rows)
            _write_csv(part, rows)
            resources += [
                _resource(part / f"{name}.csv", name, schema, "csv", "text/csv"),
                _resource(
                    part / f"{name}.parquet", f"{name}_parquet", schema, "parquet", "application/vnd.apache.parquet"
                ),
            ]
            if name in _SDMX:
                resources.append(_resource(part / f"{name}.sdmx.csv", f"{name}_sdmx", schema, "sdmx.csv", _SDMX_TYPE))
        write_workbook(part / _WORKBOOK, workbook.sheets(table, package))
        resources.append(
            _resource(part / _WORKBOOK, "workbook", {"title": "The newest figures as a workbook"}, "xlsx", _XLSX_TYPE)
        )
        resources += [
            _write_outlines(part / SCHEMA["outlines"]["file"], outlines, "outlines", "EPSG:3035"),
            _write_outlines(part / _LONLAT, to_lonlat(outlines), "outlines_wgs84", "longitude and latitude (RFC 7946)"),
        ]
        for name, content in documents.items():
            write_json(part / name, content)
            resources.append(
                {
                    "name": Path(name).stem, "path": name, "title": DOCUMENTS[name], "format": "json", "mediatype": "application/json",
                    "bytes": (part / name).stat().st_size, "hash": f"sha256:{sha256_file(part / name)}",
                }
            )  # fmt: skip
        description = {**package, "contract": CONTRACT, "resources": resources}
        text = json.dumps(description, ensure_ascii=False, indent=1) + "\n"
        (part / _PACKAGE).write_text(text, encoding="utf-8")
        yield


def check_replaceable(path: Path) -> None:
    """Raise InputError if a folder contains anything but a table, because replacing the folder would delete that."""
    present = sorted(file.name for file in path.iterdir())
    strange = [name for name in present if name not in _FILES]
    if strange:
        found = _("file '{}'").format(strange[0])
    elif present and not _is_table(path / _PACKAGE):
        found = _("file '{}' without the {} of a table").format(present[0], _PACKAGE)
    else:
        return
    raise InputError(
        _("Folder '{}'").format(path),
        found=found,
        expected=_("a new or empty folder, or one with a table only"),
        then=_("Choose another name, or empty the folder."),
    )


@dataclass(frozen=True)
class TableFolder:
    """A table that an earlier run wrote."""

    table: Table
    outlines: Mapping[str, Any]
    """GeoJSON FeatureCollection in EPSG:3035."""
    package: Mapping[str, Any]
    """Content of datapackage.json."""
    digest: str
    """SHA-256 of datapackage.json, which holds those of all other files."""


def read_folder(path: Path, cell_area_m2: int) -> TableFolder:
    """Read a table folder and check it: the digests of its files, its schema and its invariants.

    Raises InputError if the folder holds no table, and TableError if the table is damaged.
    """
    if not _is_table(path / _PACKAGE):
        raise InputError(
            _("Folder '{}'").format(path),
            found=_("no {} of a table").format(_PACKAGE),
            expected=_("a folder that r.impervious.change wrote"),
            then=_("Check the name."),
        )
    package = json.loads((path / _PACKAGE).read_text(encoding="utf-8"))
    try:
        contract, listed = int(package.get("contract", 1)), {r["path"]: r["hash"] for r in package["resources"]}
        if contract > CONTRACT:
            raise ValueError(_("contract {}").format(contract))
        files = {
            name: path / f"{name}.parquet"
            for name, schema in SCHEMA["tables"].items()
            if f"{name}.parquet" in listed or not schema.get("optional")
        }
        outlines = path / SCHEMA["outlines"]["file"]
        for file in (*files.values(), outlines):
            if listed.get(file.name) != f"sha256:{sha256_file(file)}":
                raise ValueError(_("another digest of {} than in {}").format(file.name, _PACKAGE))
        table = {
            name: _read_rows(file, name, reasons=contract == 1 and name in (VALUES, TRANSITIONS))
            for name, file in files.items()
        }
        tablecheck.check_table(table, cell_area_m2, shared=is_shared(package))
        shapes = json.loads(outlines.read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        pa.ArrowException,
        TableError,
    ) as err:
        raise TableError(
            _("Table folder '{}'").format(path),
            found=" ".join(str(err).partition(" Report this bug")[0].split()).rstrip("."),
            expected=_("the table as r.impervious.change wrote it"),
            then=_("Take an intact copy of the folder."),
        ) from err
    return TableFolder(table, shapes, package, sha256_file(path / _PACKAGE))


def _read_rows(path: Path, name: str, *, reasons: bool) -> Rows:
    """Read the rows of a table. reasons : whether to add those of blank values, which contract 1 did not have"""
    rows, columns = Rows(name), [field["name"] for field in SCHEMA["tables"][name]["fields"]]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            part = batch.to_pylist()
            if reasons:
                part = [row | {"MISSING_REASON": revisions.missing_reason(row)} for row in part]
                part = [{column: row[column] for column in columns} for row in part]
            rows.add(part)
    return rows


def _sdmx_head(schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the first columns of SDMX-CSV 2.0 and what they hold in each row: I marks information, not an instruction to change data."""
    structure = f"R_IMPERVIOUS:{schema['dataflow']}({CONTRACT}.0)"
    return {"STRUCTURE": "dataflow", "STRUCTURE_ID": structure, "ACTION": "I"}


def _is_table(package: Path) -> bool:
    try:
        return json.loads(package.read_text(encoding="utf-8"))["name"] == NAME
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def guard_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would evaluate as a formula.

    >>> guard_text("=1+1"), guard_text("Parma")
    ("'=1+1", 'Parma')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_outlines(path: Path, outlines: Mapping[str, Any], name: str, system: str) -> dict[str, Any]:
    path.write_text(json.dumps(outlines, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return {
        "name": name, "path": path.name, "title": f"Outlines of the regions, {system}", "format": "geojson",
        "mediatype": "application/geo+json", "bytes": path.stat().st_size, "hash": f"sha256:{sha256_file(path)}",
    }  # fmt: skip


def _write_csv(folder: Path, rows: Rows) -> None:
    """Write UTF-8 with commas, decimal points and LF; numbers in full precision, an empty cell where there is no value.

    A table of SDMX is written as SDMX-CSV too: with columns before its own, and with `_SDMX_GAP` where OBS_VALUE is missing.
    """
    sdmx = _sdmx_head(SCHEMA["tables"][rows.name]) if rows.name in _SDMX else {}
    paths = [folder / f"{rows.name}.csv", *([folder / f"{rows.name}.sdmx.csv"] if sdmx else [])]
    first = _csv_line(sdmx.values())
    words = {name: rows[name].words or () for name in rows.names}
    texts = {name: [_csv_line([guard_text(word), ""])[:-1] for word in known] for name, known in words.items()}
    with contextlib.ExitStack() as stack:
        plain, *marked = [stack.enter_context(path.open("w", encoding="utf-8", newline="")) for path in paths]
        for file, head in zip((plain, *marked), ([], [*sdmx]), strict=False):
            file.write(_csv_line([*head, *rows.names]) + "\n")
        for part in rows.batches():
            cells = {name: _csv_cells(part[name], texts[name]) for name in rows.names}
            plain.writelines(f"{','.join(row)}\n" for row in zip(*cells.values(), strict=True))
            for file in marked:
                cells["OBS_VALUE"] = [cell or _SDMX_GAP for cell in cells["OBS_VALUE"]]
                file.writelines(f"{first},{','.join(row)}\n" for row in zip(*cells.values(), strict=True))


def _csv_line(cells: Iterable[str]) -> str:
    """Return cells as a line of CSV, with quotes where they are needed."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _csv_cells(column: Column, texts: Sequence[str]) -> list[str]:
    """Return the values of a column as CSV has them. texts : what stands for each word"""
    if column.words is not None:
        return column.tolist(texts)
    return ["" if value is None else repr(value) for value in column.tolist()]


def _write_parquet(path: Path, rows: Rows) -> None:
    fields = [
        pa.field(
            f["name"], _TYPES[f["type"]], nullable=bool(f.get("nullable")), metadata={"description": f["description"]}
        )
        for f in rows.fields
    ]
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, len(rows), _ROW_GROUP) or [0]:
            part = rows.take(slice(start, start + _ROW_GROUP))
            file.write_table(pa.table([_arrow(part[field.name], field.type) for field in schema], schema=schema))


def _arrow(column: Column, kind: pa.DataType) -> pa.Array:
    """Return a column as PyArrow knows it; NaN becomes null."""
    if column.words is not None:
        return pa.DictionaryArray.from_arrays(pa.array(column.values), pa.array(column.words, kind)).dictionary_decode()
    return pa.array(column.values, kind, from_pandas=True)


def _resource(path: Path, name: str, schema: Mapping[str, Any], form: str, mediatype: str) -> dict[str, Any]:
    resource = {
        "name": name, "path": path.name, "title": schema["title"], "format": form,
        "mediatype": mediatype, "hash": f"sha256:{sha256_file(path)}",
    }  # fmt: skip
    if form != "parquet":
        # Frictionless reads Parquet without counting its bytes, and then calls any number of bytes wrong.
        resource["bytes"] = path.stat().st_size
    if form == "csv":
        resource |= {
            "profile": "tabular-data-resource",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "lineTerminator": "\n"},
            "schema": {
                "fields": [_field(f) for f in schema["fields"]],
                "missingValues": [""],
                "primaryKey": schema["primaryKey"],
                "foreignKeys": schema["foreignKeys"],
            },
        }
    return resource


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column's Frictionless field descriptor, with its code list in the description."""
    constraints = dict(field.get("constraints", {}))
    if not (field.get("nullable") or field.get("empty")):
        constraints["required"] = True
    described = {"name": field["name"], "type": field["type"], "description": field["description"]}
    codes = SCHEMA["codes"].get(field.get("codes") or field.get("flags"))
    if codes:
        described["description"] += ": " + "; ".join(f"{code} {title}" for code, title in codes.items())
    if "codes" in field:
        constraints["enum"] = list(SCHEMA["codes"][field["codes"]])
    return {**described, "constraints": constraints} if constraints else described
