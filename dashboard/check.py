"""Checks of the tables against the schema.

They are written here on Arrow columns because they must be fast: a table of 40,000 rows takes under 0.1 s, and frictionless, the
library for schemas of this form, takes 25 times as long, needs pandas for Parquet, and cannot express the list of flag letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboard.columns import codes_of, row_numbers, values_of
from dashboard.errors import TableFolderError

_TYPES = {
    "string": (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), "text"),
    "integer": (pa.types.is_integer, "whole numbers"),
    "number": (pa.types.is_floating, "floating-point numbers"),
    "date": (lambda t: pa.types.is_date(t) or pa.types.is_string(t), "dates"),
}
"""Type of the schema -> test of an Arrow type, and its name in messages."""


def check_table(
    path: Path, table: pa.Table, schema: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]
) -> pa.Table:
    """Return the columns of the schema in its order, text dictionary-encoded.

    path : file of the table, for messages
    schema : description of this table
    codes : all code lists of the schema

    Raises TableFolderError where a column is missing, has a wrong type or value, or two rows have the same key.
    """
    columns = []
    for field in schema["fields"]:
        name = field["name"]
        if name not in table.column_names:
            raise TableFolderError(f"File '{path}' has no column {name}.")
        columns.append(_check_column(f"File '{path}', column {name}", table[name], field, codes))
    table = pa.table(columns, names=[field["name"] for field in schema["fields"]])
    key = schema["primaryKey"]
    (numbers,) = row_numbers((table, key))
    if len(np.unique(numbers)) < len(table):
        raise TableFolderError(f"File '{path}' has two rows with the same {', '.join(key)}.")
    return table


def check_foreign_keys(path: Path, table: pa.Table, schema: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> None:
    """Raise TableFolderError where a row refers to a row of another table that does not exist."""
    for rule in schema["foreignKeys"]:
        target = rule["reference"]["resource"]
        known = set(_rows(tables[target], rule["reference"]["fields"]))
        unknown = next((row for row in _rows(table, rule["fields"]) if row not in known), None)
        if unknown:
            raise TableFolderError(f"File '{path}' has {', '.join(rule['fields'])} {unknown}, which {target} lacks.")


def _check_column(
    where: str, column: pa.ChunkedArray, field: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]
) -> pa.ChunkedArray:
    may_be_empty = field.get("nullable") or field.get("empty")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind) and may_be_empty:
        column = pc.cast(column, pa.float64() if field["type"] == "number" else pa.string())
        kind = column.type
    fits, name = _TYPES[field["type"]]
    if not fits(kind):
        raise TableFolderError(f"{where}: the type is {kind}, but must be {name}.")
    if pa.types.is_date(kind):
        column = pc.cast(column, pa.string())
    if column.null_count and not may_be_empty:
        raise TableFolderError(f"{where}: {column.null_count} cells are empty, but each row needs a value.")
    if field["type"] in ("string", "date"):
        _check_texts(where, column, field, codes)
    else:
        _check_numbers(where, column, field)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return pc.dictionary_encode(column) if text else column


def _check_texts(
    where: str, column: pa.ChunkedArray, field: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]
) -> None:
    values = [value for value in codes_of(column)[1] if value not in (None, "")]
    pattern = field.get("constraints", {}).get("pattern")
    if "codes" in field:
        wrong = [value for value in values if value not in codes[field["codes"]]]
        problem = "is not one of " + ", ".join(codes[field["codes"]])
    elif "flags" in field:
        wrong = [value for value in values if not set(value) <= set(codes[field["flags"]])]
        problem = "has letters other than " + " ".join(codes[field["flags"]])
    elif pattern:
        # fullmatch anchors both ends: `$` alone would accept a line break at the end.
        wrong = [value for value in values if not re.fullmatch(pattern.removesuffix("$"), value)]
        problem = f"does not match {pattern}"
    else:
        return
    if wrong:
        raise TableFolderError(f"{where}: {repr(wrong[0])[:60]} {problem}.")


def _check_numbers(where: str, column: pa.ChunkedArray, field: Mapping[str, Any]) -> None:
    if not len(column):
        return
    if field["type"] == "number" and pc.any(pc.invert(pc.is_finite(column))).as_py():
        raise TableFolderError(f"{where}: a value is NaN or infinite. Cells without a value must be empty.")
    limits = field.get("constraints", {})
    least, most = limits.get("minimum"), limits.get("maximum")
    span = pc.min_max(column).as_py()
    if span["min"] is None:
        return
    if least is not None and span["min"] < least:
        raise TableFolderError(f"{where}: {span['min']} is below the minimum, which is {least}.")
    if most is not None and span["max"] > most:
        raise TableFolderError(f"{where}: {span['max']} is above the maximum, which is {most}.")


def _rows(table: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(values_of(table[name]) for name in columns), strict=True))
