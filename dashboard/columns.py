"""Arrow columns as codes and values.

Text columns are kept dictionary-encoded: a table may have a million rows, and each column only a few different values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def codes_of(column: pa.ChunkedArray) -> tuple[np.ndarray, list[Any]]:
    """Split a column into codes and values.

    Returns: array (row,), int64, positions in the list; list of the different values, None where the column has empty cells
    """
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column, null_encoding="encode")
    whole = column.unify_dictionaries().combine_chunks()
    values = whole.dictionary.to_pylist()
    codes = whole.indices
    if codes.null_count:
        codes, values = pc.fill_null(codes, pa.scalar(len(values), codes.type)), [*values, None]
    return codes.to_numpy(zero_copy_only=False).astype(np.int64), values


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Return the value of each row, None where the cell is empty."""
    codes, values = codes_of(column)
    return np.array([*values, None], dtype=object)[codes].tolist()


def rows_in(column: pa.ChunkedArray, allowed: Sequence[Any]) -> np.ndarray:
    """Return array (row,), bool: True where the column has one of the allowed values."""
    codes, values = codes_of(column)
    if not values:
        return np.zeros(len(codes), dtype=bool)
    allowed = set(allowed)
    return np.array([value in allowed for value in values], dtype=bool)[codes]


def select_rows(table: pa.Table, wanted: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return the rows in which each named column has one of the wanted values."""
    mask = np.ones(len(table), dtype=bool)
    for name, allowed in wanted.items():
        mask &= rows_in(table[name], allowed)
    return table if mask.all() else table.filter(pa.array(mask))


def decode_dictionaries(rows: pa.Table) -> pa.Table:
    """Return the rows with each dictionary-encoded column as a column of its value type."""
    columns = [pc.cast(c, c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in rows.columns]
    return pa.table(columns, names=rows.column_names)


def row_numbers(*tables: tuple[pa.Table, Sequence[str]]) -> list[np.ndarray]:
    """Give each row of each table a number; two rows have the same one where their named columns have the same values.

    tables : each a table and the names of its key columns, all in the same order and number
    Returns: for each table array (row,), int64
    """
    lengths = [len(table) for table, _ in tables]
    numbers = np.zeros(sum(lengths), dtype=np.int64)
    size = 1
    for names in zip(*(names for _, names in tables), strict=True):
        found: dict[Any, int] = {}
        parts = []
        for (table, _), name in zip(tables, names, strict=True):
            codes, values = codes_of(table[name])
            places = np.array([found.setdefault(value, len(found)) for value in values], dtype=np.int64)
            parts.append(places[codes] if len(codes) else codes)
        # The codes of the columns become one number for each row, as the digits of a number with mixed bases.
        if size * max(len(found), 1) >= 2**62:
            _, numbers = np.unique(numbers, return_inverse=True)
            size = len(numbers)
        numbers = numbers * max(len(found), 1) + np.concatenate(parts)
        size *= max(len(found), 1)
    return np.split(numbers, np.cumsum(lengths)[:-1])
