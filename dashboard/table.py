"""A table in memory, and the figures that the views ask it for.

A *measure* says which figures: flow, cover, definition, method and unit. A *cube* holds the figures of one measure for all
regions of one level and all periods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.columns import codes_of, rows_in, select_rows, values_of
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
        """Tell whether the unit is an area, not a share."""
        return self.unit in ("KM2", "HA")

    @property
    def stored(self) -> Measure:
        """The measure that the table has and this one is computed from."""
        return replace(self, unit="KM2") if self.unit in DERIVED_UNITS else self


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


@dataclass(frozen=True)
class Region:
    """One row of nuts_regions."""

    geo: str
    level: int
    parent: str
    name: str
    area_km2: float
    country: str
    """Code of the country; empty for codes that are not NUTS."""


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
    reason: str
    """Code of MISSING_REASON; empty where there is a value or no row."""


NO_CELL = Cell(None, None, None, None, "", "")


@dataclass(frozen=True, eq=False)
class Cube:
    """All regions of one level and all periods of one measure.

    value, low, high, coverage : array (region, period), float64, NaN = empty
    flags, reasons : array (region, period), int, places in flag_texts and reason_texts
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
    reasons: np.ndarray
    flag_texts: tuple[str, ...]
    """Combinations of flag letters that occur in the table, "" first."""
    reason_texts: tuple[str, ...]
    """Codes of MISSING_REASON that occur in the table, "" first."""

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
        return Cell(*numbers, self.flag_texts[self.flags[at]], self.reason_texts[self.reasons[at]])

    @cached_property
    def steps(self) -> tuple[Period, ...]:
        """The shortest period to each year; together they are the series, since they do not overlap."""
        shortest: dict[int, Period] = {}
        for period in self.periods:
            if period.year not in shortest or period.year_from > shortest[period.year].year_from:
                shortest[period.year] = period
        return tuple(shortest[year] for year in sorted(shortest))

    def nearest(self, year: int, year_from: int | None = None) -> Period | None:
        """Return the period from `year_from` to `year` if there is one, else the shortest one to the nearest year."""
        if year_from is not None and Period(year, year_from) in self.periods:
            return Period(year, year_from)
        return min(self.steps, key=lambda p: (abs(p.year - year), -p.year), default=None)


DERIVED_UNITS = {"HA": 100.0, "PA": 100.0}
"""Units computed from square kilometres -> factor; that of PA, per cent of the region's area, is divided by the area."""


@dataclass(eq=False)
class Table:
    """A table folder in memory."""

    schema: Mapping[str, Any]
    facts: pa.Table
    """All rows of impervious_nuts; text columns are dictionary-encoded, which saves memory where there are many rows."""
    transitions: pa.Table
    """All rows of impervious_nuts_transitions, encoded in the same way; sorted by region."""
    indicators: pa.Table | None
    """All rows of impervious_indicators, None where the folder has none."""
    revisions: pa.Table | None
    """All rows of impervious_revisions, None where the folder has none."""
    regions_table: pa.Table
    """All rows of nuts_regions."""
    regions: Mapping[str, Region]
    """Regions of the version shown, by code."""
    outlines: Mapping[str, Mapping[str, Any]]
    """GeoJSON geometry by code, EPSG:3035, metres."""
    neighbours: Sequence[Mapping[str, Any]]
    """GeoJSON geometries of the land around the regions, EPSG:3035, metres; drawn pale."""
    package: Mapping[str, Any]
    """datapackage.json."""
    package_text: bytes
    """datapackage.json as the downloads give it."""
    digest: str
    """Sha256 over the files, first 12 hexadecimal digits; addresses hold it, so that no cache mixes two tables."""
    vintage: str
    """Date of the newest run in the table; only its figures are shown."""
    nuts_version: str
    """Newest version of the regions; only its figures are shown."""
    _columns: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _slices: dict[Measure, slice] = field(default_factory=dict, repr=False)
    _transition_slices: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    _texts: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

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
        if "KM2" in present["unit"]:
            present["unit"] |= set(DERIVED_UNITS)
        known = {**self.schema["codes"], "unit": ("KM2", "HA", "PC", "PA", "M2_HAB")}
        return {column: tuple(code for code in known[column] if code in present[column]) for column in present}

    def codes(self, column: str) -> tuple[str, ...]:
        """Return the codes of a measure column that occur in the table, in the order of the schema."""
        return self._codes[column]

    def largest(self, level: int) -> Region:
        """Return the largest region of a level, which the page shows first."""
        return max((r for r in self.regions.values() if r.level == level), key=lambda r: r.area_km2)

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
        """Tell whether the table has rows of a measure, or of the one that it is computed from."""
        if measure.is_stock and measure.unit == "PA":
            return False  # the unit PC of a stock is the same
        return measure.stored in self._slices

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
        """Sort the figures of the version and vintage shown by measure and region, and the transitions by region.

        Then the figures of a measure are one slice, and so are the transitions of a region.
        """
        facts = self._with_indicators()
        columns = {name: codes_of(facts[name]) for name in ("geo", "OBS_FLAG", "MISSING_REASON", *MEASURE_COLUMNS)}
        shown = rows_in(facts["nuts_version"], [self.nuts_version])
        shown &= rows_in(facts["vintage"], [self.vintage])
        key = np.zeros(len(facts), dtype=np.int64)
        for name in MEASURE_COLUMNS:
            codes, values = columns[name]
            key = key * len(values) + codes
        codes, values = columns["geo"]
        geo = np.array([self._place_of.get(value, -1) for value in values], dtype=np.int32)[codes]
        order = np.flatnonzero(shown)
        order = order[np.lexsort((geo[order], key[order]))]
        self._columns["geo"] = geo[order]
        for name, column in (("flags", "OBS_FLAG"), ("reasons", "MISSING_REASON")):
            codes, values = columns[column]
            texts = sorted({value or "" for value in values} | {""})
            self._texts[name] = tuple(texts)
            places = np.array([texts.index(value or "") for value in values], dtype=np.int16)
            self._columns[name] = places[codes[order]] if len(places) else codes[order]
        for name, column, dtype in (
            ("year", "TIME_PERIOD", np.int32), ("year_from", "time_from", np.int32), ("value", "OBS_VALUE", np.float64),
            ("low", "OBS_LCI95", np.float64), ("high", "OBS_UCI95", np.float64), ("coverage", "COVERAGE", np.float64),
        ):  # fmt: skip
            self._columns[name] = facts[column].to_numpy()[order].astype(dtype)
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

    def _with_indicators(self) -> pa.Table:
        """Return the figures and, as stocks of impervious land in another unit, those per inhabitant."""
        names = [*MEASURE_COLUMNS, "geo", "nuts_version", "vintage", "time_from", "TIME_PERIOD", "OBS_VALUE", "OBS_LCI95",
                 "OBS_UCI95", "COVERAGE", "OBS_FLAG", "MISSING_REASON"]  # fmt: skip
        facts = self.facts.select(names)
        if self.indicators is None:
            return facts
        heads = select_rows(self.indicators, {"indicator": ["IMP_HAB"]})
        for name, code in (("lc_flow", "STK"), ("landcover", "IMP")):
            heads = heads.append_column(name, pa.array([code] * len(heads), pa.string()).dictionary_encode())
        return pa.concat_tables([facts, heads.select(names).cast(facts.schema)])

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {geo: i for i, geo in enumerate(self.regions)}

    @cached_property
    def _rows_of_level(self) -> dict[int, tuple[tuple[str, ...], np.ndarray]]:
        """For each level its regions, and array (all regions,): the row of each region, -1 for those of other levels."""
        found = {}
        for level in self.levels:
            geos = tuple(region.geo for region in self.regions.values() if region.level == level)
            row_of = np.full(len(self.regions), -1)
            row_of[[self._place_of[geo] for geo in geos]] = np.arange(len(geos))
            found[level] = geos, row_of
        return found

    def cube(self, measure: Measure, level: int) -> Cube:
        """Return the cube of a measure and level; it has no periods where the table has no such figures."""
        return _cube_of(self, measure, level)

    def make_cube(self, measure: Measure, level: int) -> Cube:
        """Make a cube; `cube` keeps the last ones made."""
        if measure.unit in DERIVED_UNITS:
            return self._derive_cube(measure, level)
        geos, row_of = self._rows_of_level[level]
        part = {name: column[self._slices.get(measure, slice(0, 0))] for name, column in self._columns.items()}
        times, columns = np.unique(part["year"].astype(np.int64) * 10_000 + part["year_from"], return_inverse=True)
        periods = tuple(Period(*divmod(time, 10_000)) for time in times.tolist())
        rows = row_of[part["geo"]]
        keep = (rows >= 0) & (part["geo"] >= 0)
        target = rows[keep], columns[keep]

        def dense(name: str, fill: float) -> np.ndarray:
            array = np.full((len(geos), len(periods)), fill, dtype=part[name].dtype)
            array[target] = part[name][keep]
            return array

        numbers = [dense(name, np.nan) for name in ("value", "low", "high", "coverage")]
        codes = [dense(name, self._texts[name].index("")) for name in ("flags", "reasons")]
        return Cube(measure, level, geos, periods, *numbers, *codes, self._texts["flags"], self._texts["reasons"])

    def series(self, measure: Measure, geo: str) -> list[tuple[Period, Cell]]:
        """Return all figures of a measure for one region, ascending by the end of the period."""
        rows = self._slices.get(measure.stored, slice(0, 0))
        first, last = np.searchsorted(self._columns["geo"][rows], self._place_of[geo] + np.array([0, 1])) + rows.start
        part = {name: column[first:last].tolist() for name, column in self._columns.items()}
        factor = DERIVED_UNITS.get(measure.unit, 1.0)
        if measure.unit == "PA":
            factor /= self.regions[geo].area_km2 or np.nan

        def known(value: float) -> float | None:
            return value if np.isfinite(value) else None

        found = []
        for i in sorted(range(last - first), key=lambda i: (part["year"][i], part["year_from"][i])):
            numbers = [known(part[name][i] * factor) for name in ("value", "low", "high")]
            flags, reason = (self._texts[name][part[name][i]] for name in ("flags", "reasons"))
            cell = Cell(*numbers, known(part["coverage"][i]), flags, reason)
            found.append((Period(part["year"][i], part["year_from"][i]), cell))
        return found

    def _derive_cube(self, measure: Measure, level: int) -> Cube:
        stored = self.cube(measure.stored, level)
        factor = np.full((len(stored.geos), 1), DERIVED_UNITS[measure.unit])
        if measure.unit == "PA":
            factor[:, 0] /= [self.regions[geo].area_km2 or np.nan for geo in stored.geos]
        return replace(
            stored, measure=measure, value=stored.value * factor, low=stored.low * factor, high=stored.high * factor
        )

    def transitions_of(self, geo: str, definition: str, method: str) -> list[tuple[str, str, int, int, float | None]]:
        """Return the transitions in a region: cover before, cover after, earlier year, later year, km2."""
        wanted = {
            "definition": definition, "method": method, "unit": "KM2", "nuts_version": self.nuts_version,
            "vintage": self.vintage,
        }  # fmt: skip
        rows = select_rows(
            self.transitions.slice(*self._transition_slices.get(geo, (0, 0))), {k: [v] for k, v in wanted.items()}
        )
        names = ("landcover_from", "landcover_to", "time_from", "TIME_PERIOD", "OBS_VALUE")
        return list(zip(*(values_of(rows[name]) for name in names), strict=True))


@lru_cache(maxsize=128)
def _cube_of(table: Table, measure: Measure, level: int) -> Cube:
    return table.make_cube(measure, level)
