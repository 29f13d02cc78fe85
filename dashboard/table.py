"""A table in memory, and the figures that the views ask it for.

A *measure* says which figures: flow, cover, definition, method and unit. A *cube* holds the figures of one measure for all
regions of one level and all periods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.columns import codes_of, rows_in, select_rows
from dashboard.schema import Method, methods_by_rank

HALF = 0.5
"""Share of the regions of the finest level that a method must have figures for, to be shown first."""


@dataclass(frozen=True)
class Measure:
    """A choice of figures: one code for each column that is neither region nor time."""

    lc_flow: str
    landcover: str
    definition: str
    method: str
    unit: str

    @property
    def is_stock(self) -> bool:
        """Tell whether the figures are stocks of a year, not flows between two years."""
        return self.lc_flow == "STK"

    @property
    def is_net(self) -> bool:
        """Tell whether the figures are net changes, which can be below 0."""
        return self.lc_flow == "NET"

    @property
    def is_area(self) -> bool:
        """Tell whether the unit is km², not per cent."""
        return self.unit == "KM2"


MEASURE_COLUMNS = tuple(column.name for column in fields(Measure))
"""The columns of the table that a measure settles, in the order of its fields."""


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
    """One figure with its interval, coverage and flags; None where the table has no value."""

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
    """All rows of impervious_nuts; text columns are dictionary-encoded, which saves memory where there are many rows."""
    transitions: pa.Table
    """All rows of impervious_nuts_transitions, encoded in the same way; sorted by region."""
    regions_table: pa.Table
    """All rows of nuts_regions."""
    regions: Mapping[str, Region]
    """Regions of the version shown, by code."""
    outlines: Mapping[str, Mapping[str, Any]]
    """GeoJSON geometry by code, EPSG:3035, metres."""
    package: Mapping[str, Any]
    """datapackage.json."""
    digest: str
    """Sha256 over the files, first 12 hexadecimal digits; addresses hold it, so that no cache mixes two tables."""
    vintage: str
    """Date of the newest run in the table; only its figures are shown."""
    nuts_version: str
    """Newest version of the regions; only its figures are shown."""
    _columns: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _slices: dict[Measure, slice] = field(default_factory=dict, repr=False)
    _transition_slices: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    _cubes: dict[tuple[Measure, int], Cube] = field(default_factory=dict, repr=False)

    @property
    def coverage_min(self) -> float:
        """Share of seen cells, 0-1, below which a figure is not reliable."""
        return float(self.schema["coverage_min"])

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Levels that have regions, the countries first."""
        return tuple(sorted({region.level for region in self.regions.values()}))

    @cached_property
    def _codes(self) -> dict[str, tuple[str, ...]]:
        present = {column: {getattr(measure, column) for measure in self._slices} for column in MEASURE_COLUMNS}
        return {
            column: tuple(code for code in self.schema["codes"][column] if code in present[column])
            for column in present
        }

    def codes(self, column: str) -> tuple[str, ...]:
        """Return the codes of a measure column that occur in the table, in the order of the schema."""
        return self._codes[column]

    @cached_property
    def _repeated_names(self) -> set[str]:
        names = Counter(region.name for region in self.regions.values())
        return {name for name, count in names.items() if count > 1}

    def region_label(self, geo: str) -> str:
        """Return the name of a region, with its code where another region has the same name."""
        name = self.regions[geo].name
        return f"{name} {geo}" if name in self._repeated_names else name

    @cached_property
    def largest(self) -> Region:
        """The largest region of the top level, which the page shows first."""
        return max((r for r in self.regions.values() if r.level == self.levels[0]), key=lambda r: r.area_km2)

    @cached_property
    def known_methods(self) -> Mapping[str, Method]:
        """All methods of the schema by code, the preferred one first."""
        return {method.code: method for method in methods_by_rank(self.schema)}

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """The methods that have figures in the table, the preferred one first."""
        return tuple(method for method in self.known_methods.values() if method.code in self.codes("method"))

    @cached_property
    def headline_method(self) -> Method:
        """The method shown unless the user chooses another; the last one of the schema where the table has no figures.

        It is the preferred one among those with a figure for half or more of the regions of the finest level, because a method may have
        figures for the regions with a sample alone.
        """
        if not self.methods:
            return list(self.known_methods.values())[-1]
        return next((method for method in self.methods if self._share_known(method.code) >= HALF), self.methods[0])

    def _share_known(self, method: str) -> float:
        """Return the share of the regions of the finest level that have a stock by a method in the last year."""
        finest = np.array([region.level == self.levels[-1] for region in self.regions.values()])
        known = np.zeros(len(finest), dtype=bool)
        for measure, rows in self._slices.items():
            if (measure.method, measure.lc_flow) == (method, "STK"):
                last = (self._columns["year"][rows] == self.years[-1]) & ~np.isnan(self._columns["value"][rows])
                places = self._columns["geo"][rows][last]
                known[places[places >= 0]] = True
        return float(known[finest].mean())

    def has(self, measure: Measure) -> bool:
        """Tell whether the table has rows of a measure."""
        return measure in self._slices

    @property
    def seen_method(self) -> Method | None:
        """The preferred method that describes only the cells that were seen; other methods are compared with it.

        Where the table has none it is that of the schema; None where the schema has none.
        """
        candidates = (*self.methods, *self.known_methods.values())
        return next((method for method in candidates if method.ground == "seen"), None)

    @cached_property
    def years(self) -> tuple[int, ...]:
        """All years of the table."""
        return tuple(int(y) for y in np.unique(self._columns["year"])) if self._columns else ()

    def index(self) -> None:
        """Sort the figures of the version and vintage shown by measure, and the transitions by region.

        Then the figures of a measure are one slice, and so are the transitions of a region.
        """
        columns = {name: codes_of(self.facts[name]) for name in ("geo", "OBS_FLAG", *MEASURE_COLUMNS)}
        shown = rows_in(self.facts["nuts_version"], [self.nuts_version])
        shown &= rows_in(self.facts["vintage"], [self.vintage])
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
        self._transition_slices = {
            values[c]: (f, n) for c, f, n in zip(found.tolist(), first.tolist(), count.tolist(), strict=True)
        }

    def cube(self, measure: Measure, level: int) -> Cube:
        """Return the cube of a measure and level; it has no periods where the table has no such figures.

        Where several flows end in the same year, the cube has the shortest one, so that the flows of a series do not overlap.
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

    def transitions_of(
        self, geo: str, definition: str, method: str, unit: str, period: Period
    ) -> dict[tuple[str, str], Cell]:
        """Return the transitions in a region as {(cover before, cover after): figure}; empty where the table has none."""
        wanted = {
            "definition": definition, "method": method, "unit": unit, "nuts_version": self.nuts_version,
            "vintage": self.vintage, "time_from": period.year_from, "TIME_PERIOD": period.year,
        }  # fmt: skip
        rows = select_rows(
            self.transitions.slice(*self._transition_slices.get(geo, (0, 0))), {k: [v] for k, v in wanted.items()}
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
