"""The rows of a table, kept in columns: a row takes some 60 bytes, as a dict it takes a thousand.

A text is the number of a word, because a column has few different ones. What goes in and comes out are plain dicts in the order of the schema.
Checks and sums work on whole columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core.errors import TableError, _
from imperviouslib.core.tableschema import SCHEMA

Row = dict[str, Any]
BATCH = 2**12
"""Rows that are dicts at a time, and rows that are written at a time."""
_PARTS = 64
"""Parts of a column that are joined to one: many small arrays leave holes in the memory that nobody can use."""
_SMALLEST = {"string": np.uint8, "integer": np.int32, "number": np.float64}
_MOST = 2**62
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Column:
    """The values of one column, a row each."""

    values: np.ndarray
    """Numbers of words; integers; or float64, NaN where there is no value."""
    words: Sequence[str] | None
    """Of a column of texts, its words; some may be in no row."""

    def where(self, fits: Callable[[str], bool]) -> np.ndarray:
        """Tell which rows have a word that fits. Returns: array (row,), bool"""
        assert self.words is not None
        return np.array([fits(word) for word in self.words], bool)[self.values]

    def among(self, *words: str) -> np.ndarray:
        """Tell which rows have one of some words. Returns: array (row,), bool"""
        return self.where(lambda word: word in words)

    def distinct(self) -> list[Any]:
        """Return the values that some row has, in ascending order."""
        found = np.unique(self.values).tolist()
        return found if self.words is None else sorted(self.words[number] for number in found)

    def at(self, number: int) -> Any:
        """Return the value of one row, None where there is none."""
        value = self.values[number].item()
        return self.words[value] if self.words is not None else None if value != value else value

    def tolist(self, words: Sequence[Any] | None = None) -> list[Any]:
        """Return the values of all rows, None where there is none. words : what to return for each word, if not the word"""
        values, words = self.values.tolist(), words or self.words
        if words is not None:
            return [words[number] for number in values]
        gaps = self.values.dtype.kind == "f" and np.isnan(self.values).any()
        return [None if value != value else value for value in values] if gaps else values


class Rows:
    """Rows of one table of the schema."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: Sequence[Mapping[str, Any]] = SCHEMA["tables"][name]["fields"]
        self.names = [field["name"] for field in self.fields]
        texts = [field["name"] for field in self.fields if field["type"] == "string"]
        # Words are only ever added, so that their numbers stay valid, also in rows that were taken of these.
        self._words: dict[str, list[str]] = {name: [] for name in texts}
        self._index: dict[str, dict[str, int]] = {name: {} for name in texts}
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in self.names}
        self._size = 0

    @classmethod
    def of(cls, name: str, rows: Rows | Iterable[Row]) -> Rows:
        """Return rows of a table in columns; rows that are kept so already are returned as they are."""
        if isinstance(rows, Rows):
            return rows
        found = cls(name)
        found.add(rows)
        return found

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows; raise TableError where a column is missing or a value is not of its column's type."""
        rest = iter(rows)
        while part := list(itertools.islice(rest, BATCH)):
            for row in part:
                if list(row) != self.names:
                    raise broken(f"Table {self.name}", f"columns {list(row)}", f"{self.names}")
            for field, values in zip(self.fields, zip(*map(dict.values, part), strict=True), strict=True):
                self._parts[field["name"]].append(self._packed(field, values))
            self._size += len(part)
            if len(self._parts[self.names[0]]) > _PARTS:
                self._join()

    def add_all(self, other: Rows) -> None:
        """Add the rows that another one has of the same table."""
        for name in self.names:
            column = other[name]
            if column.words is None:
                self._parts[name].append(column.values)
            else:
                numbers = self._numbers(name, column.words)
                self._parts[name].append(np.array([*numbers, 0], _type_for(self._index[name]))[column.values])
        self._size += len(other)

    def _packed(self, field: Mapping[str, Any], values: Sequence[Any]) -> np.ndarray:
        """Return the values of a column as an array; see `Column`."""
        name, kind = field["name"], field["type"]
        if kind == "string":
            self._check_types(field, dict.fromkeys(values), str)
            self._numbers(name, dict.fromkeys(values))
            index = self._index[name]
            return np.array([index[value] for value in values], _type_for(index))
        if kind == "integer":
            self._check_types(field, values, int)
            found = np.array(values, np.int64)
            return found.astype(np.int32) if _INT32.min <= found.min() and found.max() <= _INT32.max else found
        self._check_types(field, values, (int, float))
        found = np.array(values, np.float64)
        if np.isnan(found).sum() != values.count(None):
            raise self._untyped(field, float("nan"))
        return found

    def _numbers(self, name: str, words: Collection[str]) -> list[int]:
        index, known = self._index[name], self._words[name]
        for word in words:
            if word not in index:
                index[word] = len(index)
                known.append(word)
        return [index[word] for word in words]

    def _check_types(self, field: Mapping[str, Any], values: Iterable[Any], wanted: Any) -> None:
        # A bool is an int to Python but not to a table.
        fits = {kind for kind in set(map(type, values)) if issubclass(kind, wanted) and kind is not bool}
        fits |= {type(None)} if field.get("nullable") else set()
        if not fits.issuperset(map(type, values)):
            raise self._untyped(field, next(value for value in values if type(value) not in fits))

    def _untyped(self, field: Mapping[str, Any], value: object) -> TableError:
        return broken(f"Table {self.name}, column {field['name']}", repr(value), f"a {field['type']}")

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._size

    def __getitem__(self, name: str) -> Column:
        """Return a column."""
        if len(self._parts[name]) != 1:
            self._join()
        return Column(self._parts[name][0], self._words.get(name))

    def _join(self) -> None:
        for field in self.fields:
            parts = self._parts[field["name"]]
            parts[:] = [np.concatenate(parts) if parts else np.empty(0, _SMALLEST[field["type"]])]

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows as dicts."""
        for part in self.batches():
            for values in zip(*(part[name].tolist() for name in self.names), strict=True):
                yield dict(zip(self.names, values, strict=True))

    def row(self, number: int) -> Row:
        """Return one row as a dict."""
        return {name: self[name].at(number) for name in self.names}

    def take(self, which: np.ndarray | slice) -> Rows:
        """Return some of the rows. which : array (row,), bool or numbers of rows, or a slice"""
        found = Rows(self.name)
        found._words, found._index = self._words, self._index
        found._parts = {name: [self[name].values[which]] for name in self.names}
        found._size = len(found._parts[self.names[0]][0])
        return found

    def batches(self, which: np.ndarray | None = None) -> Iterator[Rows]:
        """Yield rows in parts of at most `BATCH` rows. which : numbers of rows; None: all"""
        for start in range(0, len(self) if which is None else len(which), BATCH):
            part = slice(start, start + BATCH)
            yield self.take(part if which is None else which[part])

    def sort(self) -> None:
        """Put the rows into the order of the table's key, so that equal input gives equal files."""
        (keys,) = number_rows((self, SCHEMA["tables"][self.name]["primaryKey"]))
        order = np.argsort(keys, kind="stable")
        for name in self.names:
            self._parts[name] = [self[name].values[order]]


def broken(thing: str, found: str, expected: str) -> TableError:
    """Return the error that a table is not as it must be."""
    return TableError(thing, found=found, expected=expected, then=_("Report this bug. Nothing was written."))


def number_rows(*tables: tuple[Rows, Sequence[str]]) -> list[np.ndarray]:
    """Number rows by some of their columns: equal values get equal numbers, and greater ones greater numbers.

    tables : rows, and their columns, as many for each, of the same types
    Returns: array (row,), int64, of each
    """
    sizes = [len(rows) for rows, _columns in tables]
    found, most = np.zeros(sum(sizes), np.int64), 1
    for names in zip(*(columns for _rows, columns in tables), strict=True):
        parts = [rows[name] for (rows, _columns), name in zip(tables, names, strict=True)]
        codes, number = _number_values(parts)
        if most * number > _MOST:
            distinct, found = np.unique(found, return_inverse=True)
            most = len(distinct)
        found = found * number + codes
        most *= number
    return np.split(found, np.cumsum(sizes)[:-1])


def _number_values(parts: Sequence[Column]) -> tuple[np.ndarray, int]:
    """Return the numbers of the values of columns, one column after the other, and how many numbers there may be."""
    if parts[0].words is None:
        distinct, found = np.unique(np.concatenate([part.values for part in parts]), return_inverse=True)
        return found, max(1, len(distinct))
    words = [part.words or () for part in parts]
    ranks = {word: rank for rank, word in enumerate(sorted({*itertools.chain(*words)}))}
    codes = [
        np.array([ranks[word] for word in own] or [0], np.int64)[part.values]
        for own, part in zip(words, parts, strict=True)
    ]
    return np.concatenate(codes), max(1, len(ranks))


def find_numbers(wanted: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the place of each number among others, -1 where it is not among them.

    wanted, among : array (n,), int64
    Returns: array (n,), int64
    """
    if not len(among):
        return np.full(len(wanted), -1)
    order = np.argsort(among, kind="stable")
    places = order[np.minimum(np.searchsorted(among, wanted, sorter=order), len(among) - 1)]
    return np.where(among[places] == wanted, places, -1)


def find_rows(rows: Rows, columns: Sequence[str], others: Rows, their: Sequence[str] | None = None) -> np.ndarray:
    """Return, for each of the rows, the number of another one that has the same values; -1 where there is none.

    columns, their : columns of the rows, and of the others if they are not the same
    Returns: array (row,), int64
    """
    return find_numbers(*number_rows((rows, columns), (others, their or columns)))


def _type_for(index: Mapping[str, int]) -> np.dtype[Any]:
    return np.min_scalar_type(len(index))
