"""The table folder: read once, checked against the schema, then asked for cubes and series.

A *measure* says which figures (flow, cover, definition, method, unit); a *cube* holds all regions of one level and all periods of
one measure. Nothing here knows the browser.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "imperviouslib" / "core" / "table_schema.json"
"""The one thing shared with the change tool; read as a file."""

HEADLINE_METHODS = ("estimated", "assisted", "mapped_consistent", "mapped_raw")
"""Which method speaks first. Raw counts speak only where nothing else exists."""

_AGAIN = "Write the folder again with r.impervious.change."
_TYPES = {
    "string": (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), "text"),
    "integer": (pa.types.is_integer, "whole numbers"),
    "number": (pa.types.is_floating, "floating-point numbers"),
    "date": (lambda t: pa.types.is_date(t) or pa.types.is_string(t), "dates"),
}


class TableFolderError(Exception):
    """The table folder cannot be shown; the message is one line for the user."""

    def __init__(self, thing: str, found: str, expected: str, then: str = _AGAIN) -> None:
        super().__init__(f"{thing}: found {found}, expected {expected}. {then}")


@dataclass(frozen=True)
class Measure:
    """Which figures: one code of each column that is not place or time."""

    lc_flow: str
    """STK, GAIN, LOSS or NET."""
    landcover: str
    """IMP, GRN or OTH."""
    definition: str
    """artificial or artificial_natural."""
    method: str
    """mapped_raw, mapped_consistent, estimated or assisted."""
    unit: str
    """KM2 or PC."""


MEASURE_COLUMNS = ("lc_flow", "landcover", "definition", "method", "unit")


@dataclass(frozen=True, order=True)
class Period:
    """A year, or the time between two years."""

    year: int
    """The later year: TIME_PERIOD."""
    year_from: int
    """The earlier year; equal to `year` for a stock."""

    @property
    def label(self) -> str:
        """Short form for axes: 2018, or 2017–18."""
        if self.year == self.year_from:
            return str(self.year)
        same_century = self.year // 100 == self.year_from // 100
        return f"{self.year_from}–{self.year % 100:02d}" if same_century else f"{self.year_from}–{self.year}"

    @property
    def title(self) -> str:
        """Form for titles: 2018, or 2017 to 2018."""
        return str(self.year) if self.year == self.year_from else f"{self.year_from} to {self.year}"


@dataclass(frozen=True)
class Region:
    """One row of nuts_regions."""

    geo: str
    level: int
    parent: str
    name: str
    area_km2: float


@dataclass(frozen=True)
class Cell:
    """One figure with everything that is known about it; None where empty."""

    value: float | None
    low: float | None
    """Lower limit of the 95 % interval."""
    high: float | None
    """Upper limit of the 95 % interval."""
    coverage: float | None
    """Share of the region's cells that were seen, 0-1; None where the table has no row."""
    flags: str
    """Letters of the flag list."""


NO_CELL = Cell(None, None, None, None, "")


@dataclass(frozen=True, eq=False)
class Cube:
    """All regions of one level and all periods of one measure.

    value, low, high, coverage : array (region, period), float64, NaN = empty
    flags : array (region, period), object (str)
    """

    measure: Measure
    level: int
    geos: tuple[str, ...]
    periods: tuple[Period, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    coverage: np.ndarray
    flags: np.ndarray

    @property
    def has_intervals(self) -> bool:
        """Tell whether any figure has a 95 % interval."""
        return bool(np.isfinite(self.low).any())

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each region."""
        return {geo: row for row, geo in enumerate(self.geos)}

    def cell(self, geo: str, period: Period) -> Cell:
        """Return one figure."""
        if geo not in self.row_of or period not in self.periods:
            return NO_CELL
        at = self.row_of[geo], self.periods.index(period)
        numbers = [
            float(a[at]) if np.isfinite(a[at]) else None for a in (self.value, self.low, self.high, self.coverage)
        ]
        return Cell(*numbers, self.flags[at])

    def nearest(self, year: int) -> Period | None:
        """Return the period of `year`, else the nearest one; None where the cube is empty."""
        return min(self.periods, key=lambda p: (abs(p.year - year), -p.year), default=None)


@dataclass(eq=False)
class Table:
    """A table folder in memory."""

    schema: Mapping[str, Any]
    facts: pa.Table
    """impervious_nuts, whole; text columns are dictionary-encoded, which a million rows need."""
    transitions: pa.Table
    """impervious_nuts_transitions, whole, likewise; sorted by region."""
    regions_table: pa.Table
    """nuts_regions, whole."""
    regions: Mapping[str, Region]
    """By code, of the version shown."""
    outlines: Mapping[str, Mapping[str, Any]]
    """GeoJSON geometry by code, EPSG:3035, metres."""
    package: Mapping[str, Any]
    """datapackage.json."""
    digest: str
    """Sha256 over the files, first 12 letters: tells one table from another in addresses and caches."""
    vintage: str
    """The newest run in the table, the one shown."""
    nuts_version: str
    """The version shown."""
    _columns: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _slices: dict[Measure, slice] = field(default_factory=dict, repr=False)
    _moves: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    _cubes: dict[tuple[Measure, int], Cube] = field(default_factory=dict, repr=False)

    @property
    def coverage_min(self) -> float:
        """Share of seen cells below which a figure is not to be relied on."""
        return float(self.schema["coverage_min"])

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Levels that have regions, from the country down."""
        return tuple(sorted({region.level for region in self.regions.values()}))

    @cached_property
    def _codes(self) -> dict[str, tuple[str, ...]]:
        present = {column: {getattr(measure, column) for measure in self._slices} for column in MEASURE_COLUMNS}
        return {
            column: tuple(code for code in self.schema["codes"][column] if code in present[column])
            for column in present
        }

    def codes(self, column: str) -> tuple[str, ...]:
        """Return the codes of a measure column that occur, in the schema's order."""
        return self._codes[column]

    @cached_property
    def _repeated(self) -> set[str]:
        names = Counter(region.name for region in self.regions.values())
        return {name for name, count in names.items() if count > 1}

    def call(self, geo: str) -> str:
        """Name a region so that it cannot be mistaken: names repeat across levels, and then the code is said too."""
        name = self.regions[geo].name
        return f"{name} {geo}" if name in self._repeated else name

    @cached_property
    def largest(self) -> Region:
        """The largest region of the top level, which the page shows first."""
        return max((r for r in self.regions.values() if r.level == self.levels[0]), key=lambda r: r.area_km2)

    @property
    def headline_method(self) -> str:
        """The method shown unless the user chooses another."""
        return next((m for m in HEADLINE_METHODS if m in self.codes("method")), HEADLINE_METHODS[-1])

    @cached_property
    def years(self) -> tuple[int, ...]:
        """All years of the table."""
        return tuple(int(y) for y in np.unique(self._columns["year"])) if self._columns else ()

    def index(self) -> None:
        """Sort the figures of the version and vintage shown by measure, and the transitions by region: each ask is one slice."""
        columns = {
            name: codes_of(self.facts[name])
            for name in ("nuts_version", "vintage", "geo", "OBS_FLAG", *MEASURE_COLUMNS)
        }
        shown = np.ones(len(self.facts), dtype=bool)
        for name, wanted in (("nuts_version", self.nuts_version), ("vintage", self.vintage)):
            codes, values = columns[name]
            shown &= np.array([value == wanted for value in values], dtype=bool)[codes]
        key = np.zeros(len(self.facts), dtype=np.int64)
        for name in MEASURE_COLUMNS:
            codes, values = columns[name]
            key = key * len(values) + codes
        order = np.flatnonzero(shown)
        order = order[np.argsort(key[order], kind="stable")]

        geo_at = {geo: i for i, geo in enumerate(self.regions)}
        codes, values = columns["geo"]
        self._columns["geo"] = np.array([geo_at.get(value, -1) for value in values], dtype=np.int32)[codes[order]]
        codes, values = columns["OBS_FLAG"]
        self._columns["flags"] = np.array([value or "" for value in values], dtype=object)[codes[order]]
        for name, column, dtype in (
            ("year", "TIME_PERIOD", np.int32), ("year_from", "time_from", np.int32), ("value", "OBS_VALUE", np.float64),
            ("low", "OBS_LCI95", np.float64), ("high", "OBS_UCI95", np.float64), ("coverage", "COVERAGE", np.float64),
        ):  # fmt: skip
            self._columns[name] = self.facts[column].to_numpy()[order].astype(dtype)
        found, first = np.unique(key[order], return_index=True)
        for one, start, end in zip(found.tolist(), first.tolist(), [*first.tolist(), len(order)][1:], strict=True):
            names = []
            for name in reversed(MEASURE_COLUMNS):
                one, code = divmod(one, len(columns[name][1]))
                names.append(columns[name][1][code])
            self._slices[Measure(*reversed(names))] = slice(start, end)

        codes, values = codes_of(self.transitions["geo"])
        order = np.argsort(codes, kind="stable")
        self.transitions = self.transitions.take(pa.array(order))
        found, first, count = np.unique(codes[order], return_index=True, return_counts=True)
        self._moves = {
            values[c]: (f, n) for c, f, n in zip(found.tolist(), first.tolist(), count.tolist(), strict=True)
        }

    def cube(self, measure: Measure, level: int) -> Cube:
        """Return a cube; one without periods where the table has no such figures.

        Of several flows that end in the same year the shortest is taken: the series is of steps, not of long runs.
        """
        key = measure, level
        if key not in self._cubes:
            self._cubes[key] = self._make_cube(measure, level)
        return self._cubes[key]

    def _make_cube(self, measure: Measure, level: int) -> Cube:
        geos = tuple(region.geo for region in self.regions.values() if region.level == level)
        rows = self._slices.get(measure, slice(0, 0))
        part = {name: column[rows] for name, column in self._columns.items()}
        start: dict[int, int] = {}
        for year, year_from in set(zip(part["year"].tolist(), part["year_from"].tolist(), strict=True)):
            start[year] = max(start.get(year, year_from), year_from)
        periods = tuple(Period(year, start[year]) for year in sorted(start))
        row_of = np.full(len(self.regions), -1)
        at = {geo: i for i, geo in enumerate(self.regions)}
        row_of[[at[geo] for geo in geos]] = np.arange(len(geos))
        column_of = {(p.year, p.year_from): i for i, p in enumerate(periods)}
        columns = np.array(
            [column_of.get(k, -1) for k in zip(part["year"].tolist(), part["year_from"].tolist(), strict=True)],
            dtype=int,
        )
        rows_at = row_of[part["geo"]] if len(columns) else np.array([], dtype=int)
        keep = (columns >= 0) & (rows_at >= 0)
        target = rows_at[keep], columns[keep]

        def dense(name: str, fill: Any, dtype: Any) -> np.ndarray:
            array = np.full((len(geos), len(periods)), fill, dtype=dtype)
            array[target] = part[name][keep]
            return array

        numbers = [dense(name, np.nan, np.float64) for name in ("value", "low", "high", "coverage")]
        return Cube(measure, level, geos, periods, *numbers, dense("flags", "", object))

    def changes(self, geo: str, definition: str, method: str, unit: str, period: Period) -> dict[tuple[str, str], Cell]:
        """Return what became what in a region: (cover from, cover to) to figure; empty where the table has none."""
        wanted = {
            "definition": definition, "method": method, "unit": unit, "nuts_version": self.nuts_version,
            "vintage": self.vintage, "time_from": period.year_from, "TIME_PERIOD": period.year,
        }  # fmt: skip
        rows = select_rows(
            self.transitions.slice(*self._moves.get(geo, (0, 0))), {k: [v] for k, v in wanted.items()}
        ).to_pylist()
        return {
            (row["landcover_from"], row["landcover_to"]): Cell(
                row["OBS_VALUE"], None, None, row["COVERAGE"], row["OBS_FLAG"] or ""
            )
            for row in rows
        }


@lru_cache(maxsize=64)
def cells_of(cube: Cube, period: Period) -> dict[str, Cell]:
    """Return all figures of a period by region."""
    at = cube.periods.index(period)
    columns = [
        [None if v != v else v for v in a[:, at].tolist()] for a in (cube.value, cube.low, cube.high, cube.coverage)
    ]
    return {geo: Cell(*cell) for geo, *cell in zip(cube.geos, *columns, cube.flags[:, at].tolist(), strict=True)}


def codes_of(column: pa.ChunkedArray) -> tuple[np.ndarray, list[Any]]:
    """Return a column as whole numbers from 0 and the values they stand for; an empty cell is a value like any other."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column, null_encoding="encode")
    whole = column.unify_dictionaries().combine_chunks()
    values = whole.dictionary.to_pylist()
    codes = whole.indices
    if codes.null_count:
        codes, values = pc.fill_null(codes, pa.scalar(len(values), codes.type)), [*values, None]
    return codes.to_numpy(zero_copy_only=False).astype(np.int64), values


def select_rows(table: pa.Table, wanted: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return the rows whose columns have one of the wanted values each."""
    mask = np.ones(len(table), dtype=bool)
    for name, allowed in wanted.items():
        codes, values = codes_of(table[name])
        mask &= np.array([value in set(allowed) for value in values], dtype=bool)[codes] if values else False
    return table if mask.all() else table.filter(pa.array(mask))


def plain(rows: pa.Table) -> pa.Table:
    """Return the rows with dictionary-encoded columns as plain ones."""
    columns = [pc.cast(c, c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in rows.columns]
    return pa.table(columns, names=rows.column_names)


def read_table(folder: str | Path | None, schema_file: Path = SCHEMA_FILE) -> Table:
    """Read and check a table folder; raise TableFolderError with one line where anything is off."""
    if not folder:
        raise TableFolderError("Table folder", "none", "a folder", "Give --data DIR or set IMPERVIOUS_TABLE.")
    folder = Path(folder)
    if not folder.is_dir():
        raise TableFolderError(f"Table folder '{folder}'", "no such folder", "a folder", "Check --data.")
    schema = _read_json(schema_file, "Check the installation.")
    if schema.get("contract") != 1:
        raise TableFolderError(
            f"Schema '{schema_file}'", f"contract {schema.get('contract')}", "1", "Update the dashboard."
        )
    tables = {name: _read_parquet(folder / f"{name}.parquet") for name in schema["tables"]}
    for name, table in tables.items():
        tables[name] = _check_table(folder / f"{name}.parquet", table, schema["tables"][name], schema["codes"])
    for name, table in tables.items():
        _check_foreign_keys(folder / f"{name}.parquet", table, schema["tables"][name], tables)
    facts, regions_table = tables["impervious_nuts"], tables["nuts_regions"]
    if not len(regions_table):
        raise TableFolderError(f"File '{folder / 'nuts_regions.parquet'}'", "no row", "at least one region")
    package = _read_json(folder / "datapackage.json")
    if not isinstance(package, dict):
        raise TableFolderError(f"File '{folder / 'datapackage.json'}'", type(package).__name__, "a JSON object")
    nuts_version = max(codes_of((facts if len(facts) else regions_table)["nuts_version"])[1])
    vintages = codes_of(facts.filter(pa.array(_equals(facts["nuts_version"], nuts_version)))["vintage"])
    regions = {
        row["geo"]: Region(
            row["geo"], row["level"], row["parent"] or "", row["name"].strip() or row["geo"], row["area_km2"]
        )
        for row in sorted(regions_table.to_pylist(), key=lambda row: row["geo"])
        if row["nuts_version"] == nuts_version
    }
    table = Table(
        schema=schema,
        facts=facts,
        transitions=tables["impervious_nuts_transitions"],
        regions_table=regions_table,
        regions=regions,
        outlines=_read_outlines(folder / schema["outlines"]["file"], regions),
        package=package,
        digest=_digest(
            folder, [f"{name}.parquet" for name in tables] + [schema["outlines"]["file"], "datapackage.json"]
        ),
        vintage=max((vintages[1][code] for code in np.unique(vintages[0])), default=""),
        nuts_version=nuts_version,
    )
    table.index()
    # Reading and checking take several times what stays.
    pa.default_memory_pool().release_unused()
    return table


def _equals(column: pa.ChunkedArray, wanted: str) -> np.ndarray:
    codes, values = codes_of(column)
    return np.array([value == wanted for value in values], dtype=bool)[codes] if values else np.zeros(0, dtype=bool)


def _digest(folder: Path, names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _read_json(path: Path, then: str = _AGAIN) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise TableFolderError(f"File '{path}'", "no such file", "a JSON file", then) from err
    except (ValueError, OSError) as err:
        raise TableFolderError(f"File '{path}'", f"no readable JSON ({_short(err)})", "a JSON file", then) from err


def _read_parquet(path: Path) -> pa.Table:
    try:
        text = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
        return pq.read_table(path, read_dictionary=text)
    except FileNotFoundError as err:
        raise TableFolderError(f"File '{path}'", "no such file", "a Parquet file") from err
    except (pa.ArrowException, OSError) as err:
        raise TableFolderError(f"File '{path}'", f"no readable Parquet ({_short(err)})", "a Parquet file") from err


def _short(err: Exception) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0][:100]


def _check_table(
    path: Path, table: pa.Table, schema: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]
) -> pa.Table:
    """Return the table with the schema's columns in the schema's order, text dictionary-encoded, or raise."""
    columns = []
    for spec in schema["fields"]:
        name = spec["name"]
        thing = f"File '{path}', column {name}"
        if name not in table.column_names:
            raise TableFolderError(thing, "no such column", f"one of type {spec['type']}")
        column = table[name]
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_null(kind) and (spec.get("nullable") or spec.get("empty")):
            column = pc.cast(column, pa.float64() if spec["type"] == "number" else pa.string())
            kind = column.type
        fits, words = _TYPES[spec["type"]]
        if not fits(kind):
            raise TableFolderError(thing, f"type {kind}", words)
        if pa.types.is_date(kind):
            column = pc.cast(column, pa.string())
        if column.null_count and not (spec.get("nullable") or spec.get("empty")):
            raise TableFolderError(thing, f"{column.null_count} empty cells", "a value in every row")
        _check_values(thing, column, spec, codes)
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        columns.append(pc.dictionary_encode(column) if text else column)
    table = pa.table(columns, names=[spec["name"] for spec in schema["fields"]])
    key = schema["primaryKey"]
    if not _unique(table, key):
        raise TableFolderError(f"File '{path}'", "two rows with the same key", "one row for each " + ", ".join(key))
    return table


def _unique(table: pa.Table, key: Sequence[str]) -> bool:
    """Tell whether no two rows have the same key."""
    whole = np.zeros(len(table), dtype=np.int64)
    size = 1
    for name in key:
        codes, values = codes_of(table[name])
        if size * len(values) >= 2**62:
            _, whole = np.unique(whole, return_inverse=True)
            size = len(table)
        whole = whole * len(values) + codes
        size *= max(len(values), 1)
    return len(np.unique(whole)) == len(table)


def _check_values(
    thing: str, column: pa.ChunkedArray, spec: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]
) -> None:
    limits = spec.get("constraints", {})
    values = codes_of(column)[1] if spec["type"] in ("string", "date") else []
    values = [value for value in values if value not in (None, "")]
    if "codes" in spec:
        wrong = [value for value in values if value not in codes[spec["codes"]]]
        expected = "one of " + ", ".join(codes[spec["codes"]])
    elif "flags" in spec:
        wrong = [value for value in values if not set(value) <= set(codes[spec["flags"]])]
        expected = "letters of " + " ".join(codes[spec["flags"]])
    elif "pattern" in limits:
        # Anchored at both ends by fullmatch: `$` alone would let a line break pass.
        wrong = [value for value in values if not re.fullmatch(limits["pattern"].removesuffix("$"), value)]
        expected = f"a code like {limits['pattern']}"
    else:
        wrong, expected = [], ""
    if wrong:
        raise TableFolderError(thing, repr(wrong[0])[:60], expected)
    if spec["type"] in ("integer", "number") and len(column):
        if spec["type"] == "number" and pc.any(pc.invert(pc.is_finite(column))).as_py():
            raise TableFolderError(thing, "NaN or infinity", "a number or an empty cell")
        span = pc.min_max(column).as_py()
        for word, limit, bad in (
            ("at least", limits.get("minimum"), lambda limit: span["min"] is not None and span["min"] < limit),
            ("at most", limits.get("maximum"), lambda limit: span["max"] is not None and span["max"] > limit),
        ):
            if limit is not None and bad(limit):
                raise TableFolderError(thing, str(span["min" if word == "at least" else "max"]), f"{word} {limit}")


def _check_foreign_keys(path: Path, table: pa.Table, schema: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> None:
    for rule in schema["foreignKeys"]:
        columns = rule["fields"]
        reference = tables[rule["reference"]["resource"]]
        known = set(zip(*(_values(reference[name]) for name in rule["reference"]["fields"]), strict=True))
        unknown = next(
            (row for row in zip(*(_values(table[name]) for name in columns), strict=True) if row not in known), None
        )
        if unknown:
            raise TableFolderError(
                f"File '{path}'", f"{', '.join(columns)} {unknown}", f"a row of {rule['reference']['resource']}"
            )


def _values(column: pa.ChunkedArray) -> list[Any]:
    codes, values = codes_of(column)
    return np.array([*values, None], dtype=object)[codes].tolist()


def _read_outlines(path: Path, regions: Mapping[str, Region]) -> dict[str, Mapping[str, Any]]:
    """Return the geometry of each known region that has an outline."""
    root = _read_json(path)
    features: Sequence[Any] = root.get("features", []) if isinstance(root, dict) else []
    if not isinstance(features, list) or not features:
        raise TableFolderError(f"File '{path}'", "no features", "a GeoJSON feature collection of the regions")
    outlines = {}
    for feature in features:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict) or "geo" not in properties:
            raise TableFolderError(
                f"File '{path}'", "a feature without property geo", "geo, level and name on each feature"
            )
        geo = properties["geo"]
        if geo not in regions:
            continue
        geometry = feature.get("geometry") or {}
        try:
            parts = polygons(geometry)
            points = np.concatenate([ring for part in parts for ring in part])
        except (ValueError, TypeError, KeyError, IndexError) as err:
            raise TableFolderError(
                f"File '{path}', region {geo}", f"{geometry.get('type')}", "a polygon with rings"
            ) from err
        if not np.isfinite(points).all() or np.abs(points).max() <= 360:
            raise TableFolderError(f"File '{path}', region {geo}", "degrees or no numbers", "metres of EPSG:3035")
        outlines[geo] = geometry
    if not outlines:
        raise TableFolderError(
            f"File '{path}'", "no outline of a region of the table", "outlines with the codes of nuts_regions"
        )
    return outlines


def polygons(geometry: Mapping[str, Any]) -> list[list[np.ndarray]]:
    """Return the polygons of a GeoJSON geometry: each a list of rings, each an array (point, 2) in metres, outer ring first."""
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(geometry["type"])
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    rings = [[np.asarray(ring, dtype=np.float64)[:, :2] for ring in part] for part in parts]
    if not rings or any(len(part) == 0 for part in rings):
        raise ValueError("no ring")
    return rings
