"""From counts of cells to the rows of the table, and the invariants that every table must hold.

The columns, types and codes are in `table_schema.json` beside this file; nothing here repeats them but by name. Rows are
plain dicts in the order of the schema. Areas come from counts on the equal-area grid: km2 = cells * cell area.

Two methods are made here:

mapped_raw         The cells seen: in the year (stock), in both years (flow). Nothing is filled and nothing expanded, so the
                   stocks of two years may stand on different cells, and their difference need not be the net change.
mapped_consistent  The whole region after the persistence rule (core/consistency.py): cells filled from other years count, and
                   land that was never seen is given the shares of the region's counted cells. Where less than `COVERAGE_MIN` of
                   the region was really seen, the value is blank.

A per cent of a stock refers to the cells counted, of a flow to the stock of the same cover at time_from on the cells counted.
Neither method has an interval, which takes a reference sample; both carry flag u.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imperviouslib.core.change import split_pair
from imperviouslib.core.errors import InputError, TableError, _
from imperviouslib.core.legend import landcover_codes

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("table_schema.json").read_text(encoding="utf-8"))
VALUES, TRANSITIONS, REGIONS = "impervious_nuts", "impervious_nuts_transitions", "nuts_regions"
COVERAGE_MIN: float = SCHEMA["coverage_min"]
MAPPED_METHODS = ("mapped_raw", "mapped_consistent")
_GEO = next(f for f in SCHEMA["tables"][REGIONS]["fields"] if f["name"] == "geo")["constraints"]["pattern"]
_NUTS = re.compile(r"[A-Z]{2}[0-9A-Z]{0,3}")

Row = dict[str, Any]
Table = dict[str, list[Row]]


@dataclass(frozen=True)
class Zone:
    """A region of the zones map."""

    geo: str
    """Code."""
    cat: int
    """Category in the vector map."""
    level: int
    """0 country to 3; zones of one level do not overlap."""
    name: str
    """Name, trimmed."""
    parent: str = ""
    """Code of the zone that holds this one, empty where there is none."""
    cells: int = 0
    """Cells of the whole outline, also outside the current GRASS region."""


@dataclass(frozen=True)
class Stock:
    """The cells of a region in a year."""

    seen: int
    """Cells really seen in the year."""
    counted: int
    """Cells behind `cover`; more than `seen` where unseen cells were filled."""
    cover: Mapping[str, float]
    """Land cover to cells; fractions where shares were summed."""


@dataclass(frozen=True)
class Flow:
    """What changed in a region between two years."""

    seen: int
    """Cells really seen in both years."""
    counted: int
    """Cells behind the rest."""
    before: Mapping[str, float]
    """Land cover to its cells in the earlier year."""
    gain: Mapping[str, float]
    """Land cover to cells that became it."""
    loss: Mapping[str, float]
    """Land cover to cells that were it and are no longer."""
    moves: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(from, to), two different covers, to cells; empty where it is not known what became what."""


@dataclass(frozen=True)
class Run:
    """What all rows of a table have in common."""

    years: tuple[int, ...]
    """Ascending."""
    nuts_version: str
    """Version of the regions."""
    vintage: str
    """Date of the run, YYYY-MM-DD."""
    cell_area_m2: int
    """Area of a cell."""


def parse_zones(
    records: Sequence[Mapping[str, Any]], *, key: str, column: str, level: str | None, name: str | None
) -> list[Zone]:
    """Turn the attribute rows of a zones map into Zones, sorted by code, without parents and cells.

    records : attribute rows of the map
    key, column, level, name : the columns of category, code, level and name; without a level column the level is the length of
        a NUTS code less 2, and 0 for all where a code is no NUTS code

    Raises InputError where a code is missing, doubled or unfit for a table.
    """
    then = f"Correct column {column} with v.db.update."
    counts: Counter[str] = Counter()
    for record in records:
        geo = record[column]
        thing = f"Option <zones>, category {record[key]}"
        if geo is None or not str(geo).strip():
            raise InputError(
                thing, found=_("no code in column {}").format(column), expected=_("a code for each region"), then=then
            )
        if not re.fullmatch(_GEO, str(geo)):
            raise InputError(
                thing, found=_("code '{}'").format(geo), expected=_("letters and digits ({})").format(_GEO), then=then
            )
        counts[str(geo)] += 1
    doubled = sorted(geo for geo, number in counts.items() if number > 1)
    if doubled:
        raise InputError(
            _("Option <zones>, column {}").format(column),
            found=_("code '{}' {} times").format(doubled[0], counts[doubled[0]]),
            expected=_("each code once"),
            then=_("Join the parts of a region with v.dissolve column={}, or remove the double.").format(column),
        )
    nuts = all(_NUTS.fullmatch(geo) for geo in counts)
    zones = []
    for record in records:
        geo = str(record[column])
        depth = record[level] if level else (len(geo) - 2 if nuts else 0)
        if not isinstance(depth, int) or not 0 <= depth <= 9:
            raise InputError(
                _("Option <zones>, region {}").format(geo),
                found=_("level '{}' in column {}").format(depth, level),
                expected=_("a whole number 0-9"),
                then=then,
            )
        title = str(record[name] or "").strip() if name else ""
        zones.append(Zone(geo, int(record[key]), depth, title or geo))
    return sorted(zones, key=lambda zone: zone.geo)


def resolve_parents(zones: Iterable[Zone]) -> dict[str, str]:
    """Return the parent of each zone: the longest code of a higher level that this code begins with.

    >>> zones = [Zone("BE", 1, 0, ""), Zone("BE25", 2, 2, ""), Zone("BE253", 3, 3, "")]
    >>> resolve_parents(zones)
    {'BE': '', 'BE25': 'BE', 'BE253': 'BE25'}
    """
    levels = {zone.geo: zone.level for zone in zones}
    return {
        geo: next((geo[:n] for n in range(len(geo) - 1, 0, -1) if levels.get(geo[:n], level) < level), "")
        for geo, level in levels.items()
    }


def stock_of(classes: Mapping[int, int], definition: str, seen: int | None = None) -> Stock:
    """Sum the cells of each class to land covers.

    classes : class 1-4 to cells
    seen : int, cells really seen, where other than those counted
    """
    cover = {c: sum(classes.get(code, 0) for code in codes) for c, codes in landcover_codes(definition).items()}
    counted = sum(cover.values())
    return Stock(counted if seen is None else seen, counted, cover)


def flow_of(pairs: Mapping[int, int], definition: str, seen: int | None = None) -> Flow:
    """Sum the cells of each pair of classes to flows between land covers.

    pairs : pair code 10 * from + to, to cells
    seen : int, cells really seen in both years, where other than those counted
    """
    covers = {code: cover for cover, codes in landcover_codes(definition).items() for code in codes}
    moves = {(a, b): 0 for a in landcover_codes(definition) for b in landcover_codes(definition)}
    for pair, cells in pairs.items():
        before, now = split_pair(pair)
        moves[covers[before], covers[now]] += cells
    counted = sum(moves.values())
    changed = {(a, b): cells for (a, b), cells in moves.items() if a != b}
    return Flow(
        seen=counted if seen is None else seen,
        counted=counted,
        before={c: sum(n for (a, _), n in moves.items() if a == c) for c in landcover_codes(definition)},
        gain={c: sum(n for (_, b), n in changed.items() if b == c) for c in landcover_codes(definition)},
        loss={c: sum(n for (a, _), n in changed.items() if a == c) for c in landcover_codes(definition)},
        moves=changed,
    )


def stock_rows(zone: Zone, stock: Stock, run: Run, definition: str, method: str, year: int) -> Iterator[Row]:
    """Write the rows of a region's stock."""
    scope = _Scope(zone, stock.seen, stock.counted, run, method, (year,))
    for cover, cells in stock.cover.items():
        for unit, value in (("KM2", scope.km2(cells)), ("PC", scope.percent(cells, stock.counted))):
            yield _value_row(scope, "STK", cover, definition, unit, year, year, value)


def flow_rows(zone: Zone, flow: Flow, run: Run, definition: str, method: str, pair: tuple[int, int]) -> Iterator[Row]:
    """Write the rows of a region's gain, loss and net change between two years."""
    scope = _Scope(zone, flow.seen, flow.counted, run, method, pair)
    for cover, before in flow.before.items():
        gain, loss = flow.gain[cover], flow.loss[cover]
        for name, cells in (("GAIN", gain), ("LOSS", loss), ("NET", gain - loss)):
            for unit, value in (("KM2", scope.km2(cells)), ("PC", scope.percent(cells, before))):
                yield _value_row(scope, name, cover, definition, unit, *pair, value)


def transition_rows(
    zone: Zone, flow: Flow, run: Run, definition: str, method: str, pair: tuple[int, int]
) -> Iterator[Row]:
    """Write the rows that tell what became what in a region between two years."""
    scope = _Scope(zone, flow.seen, flow.counted, run, method, pair)
    for (before, now), cells in flow.moves.items():
        for unit, value in (("KM2", scope.km2(cells)), ("PC", scope.percent(cells, flow.before[before]))):
            yield {
                "freq": "A", "landcover_from": before, "landcover_to": now, "definition": definition, "method": method,
                "unit": unit, "geo": zone.geo, "nuts_version": run.nuts_version, "time_from": pair[0],
                "TIME_PERIOD": pair[1], "vintage": run.vintage, "OBS_VALUE": value, "OBS_FLAG": scope.flags(value),
                "COVERAGE": scope.coverage,
            }  # fmt: skip


def region_row(zone: Zone, run: Run) -> Row:
    """Write the row of a region itself."""
    return {
        "geo": zone.geo, "nuts_version": run.nuts_version, "level": zone.level, "parent": zone.parent,
        "cntr": zone.geo[:2], "name": zone.name, "area_km2": zone.cells * run.cell_area_m2 / 1e6,
    }  # fmt: skip


def sort_rows(rows: Iterable[Row], table: str) -> list[Row]:
    """Sort rows by the table's key, so that equal input gives equal files."""
    key = SCHEMA["tables"][table]["primaryKey"]
    return sorted(rows, key=lambda row: tuple(row[column] for column in key))


@dataclass(frozen=True)
class _Scope:
    """How the cells of one region, method and year or pair of years become values and flags."""

    zone: Zone
    seen: int
    counted: int
    run: Run
    method: str
    years: tuple[int, ...]

    @property
    def coverage(self) -> float:
        return self.seen / self.zone.cells

    @property
    def blank(self) -> bool:
        return not self.counted or (self.method != "mapped_raw" and self.coverage < COVERAGE_MIN)

    def km2(self, cells: float) -> float | None:
        if self.blank:
            return None
        # Multiplied before it is divided: a whole region that was counted gives its area exactly.
        whole = cells if self.method == "mapped_raw" else cells * self.zone.cells / self.counted
        return whole * self.run.cell_area_m2 / 1e6

    def percent(self, cells: float, base: float) -> float | None:
        return None if self.blank or not base else 100 * cells / base

    def flags(self, value: float | None) -> str:
        if self.blank:
            return "u"
        flags = {"u"}
        if value is None:
            flags.add("m")
        if self.method != "mapped_raw":
            if self.seen < self.zone.cells:
                flags.add("e")
            if {self.run.years[0], self.run.years[-1]} & set(self.years):
                flags.add("p")
        return "".join(sorted(flags))


def _value_row(
    scope: _Scope, flow: str, cover: str, definition: str, unit: str, time_from: int, year: int, value: float | None
) -> Row:
    return {
        "freq": "A", "lc_flow": flow, "landcover": cover, "definition": definition, "method": scope.method, "unit": unit,
        "geo": scope.zone.geo, "nuts_version": scope.run.nuts_version, "time_from": time_from, "TIME_PERIOD": year,
        "vintage": scope.run.vintage, "OBS_VALUE": value, "OBS_FLAG": scope.flags(value), "CONF_STATUS": "",
        "OBS_LCI95": None, "OBS_UCI95": None, "COVERAGE": scope.coverage, "N_PIX": scope.counted,
    }  # fmt: skip


def check_table(table: Table, cell_area_m2: int) -> None:
    """Raise TableError where a table breaks its schema or an invariant.

    Schema: columns, types, codes, patterns, unique key, every region known. Invariants: net = gain - loss; gains and losses are
    the sums of the transitions; for all methods but mapped_raw the difference of two stocks is the net change; the covers of a
    stock add up to the cells counted (mapped_raw) or to the region; children that together have the parent's area add up to the
    parent's observed stocks and flows; no negative area; per cents of stocks within 0-100; low coverage is flagged, and blank
    but for mapped_raw; intervals hold their value and come from a reference sample only.
    """
    for name in SCHEMA["tables"]:
        _check_schema(name, table[name])
    _check_references(table)
    for row in table[VALUES]:
        _check_value(row)
    for row in table[TRANSITIONS]:
        _check_coverage(row)
        if row["landcover_from"] == row["landcover_to"] or row["time_from"] >= row["TIME_PERIOD"]:
            raise _broken("A transition", str(row), "two covers and two ascending years")
    _check_sums(table, cell_area_m2)


def _broken(thing: str, found: str, expected: str) -> TableError:
    return TableError(
        thing, found=found, expected=expected, then=_("This is a fault of the tool; nothing was written.")
    )


def _check_schema(name: str, rows: Sequence[Row]) -> None:
    schema = SCHEMA["tables"][name]
    types = {"string": str, "integer": int, "number": (int, float)}
    columns = [f["name"] for f in schema["fields"]]
    codes = {f["name"]: set(SCHEMA["codes"][f["codes"]]) for f in schema["fields"] if "codes" in f}
    keys = set()
    for row in rows:
        thing = f"Table {name}"
        if list(row) != columns:
            raise _broken(thing, f"columns {list(row)}", f"{columns}")
        for f in schema["fields"]:
            value, column = row[f["name"]], f"{thing}, column {f['name']}"
            if (value is None and f.get("nullable")) or (value == "" and f.get("empty")):
                continue
            # A bool is an int, and NaN a float, to Python but not to a table.
            if not isinstance(value, types[f["type"]]) or isinstance(value, bool) or value != value:
                raise _broken(column, repr(value), f"a {f['type']}")
            if f["name"] in codes and value not in codes[f["name"]]:
                raise _broken(column, repr(value), f"one of {sorted(codes[f['name']])}")
            if "flags" in f and list(value) != sorted(set(value) & set(SCHEMA["codes"][f["flags"]])):
                raise _broken(column, repr(value), f"sorted letters of {''.join(SCHEMA['codes'][f['flags']])}")
            limits = f.get("constraints", {})
            if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
                raise _broken(column, repr(value), f"text like {limits['pattern']}")
            if "minimum" in limits and not limits["minimum"] <= value <= limits.get("maximum", float("inf")):
                raise _broken(column, repr(value), f"a value within {limits}")
        key = tuple(row[column] for column in schema["primaryKey"])
        if key in keys:
            raise _broken(thing, f"key {key} twice", "each key once")
        keys.add(key)


def _check_references(table: Table) -> None:
    known = {(row["geo"], row["nuts_version"]) for row in table[REGIONS]}
    for name in (VALUES, TRANSITIONS):
        for row in table[name]:
            if (row["geo"], row["nuts_version"]) not in known:
                raise _broken(f"Table {name}", f"region {row['geo']} of {row['nuts_version']}", f"a row of {REGIONS}")
    for row in table[REGIONS]:
        if row["parent"] and (row["parent"], row["nuts_version"]) not in known:
            raise _broken(f"Table {REGIONS}", f"parent {row['parent']} of {row['geo']}", f"a row of {REGIONS}")


def _check_coverage(row: Row) -> None:
    if row["COVERAGE"] < COVERAGE_MIN:
        if "u" not in row["OBS_FLAG"]:
            raise _broken(_where(row), f"coverage {row['COVERAGE']:g} without flag u", "flag u")
        if row["OBS_VALUE"] is not None and row["method"] != "mapped_raw":
            raise _broken(_where(row), f"a value at coverage {row['COVERAGE']:g}", f"none below {COVERAGE_MIN}")
    if row["OBS_VALUE"] is None and not row["OBS_FLAG"]:
        raise _broken(_where(row), "no value and no flag", "a flag that says why")


def _check_value(row: Row) -> None:
    _check_coverage(row)
    stock = row["lc_flow"] == "STK"
    if stock != (row["time_from"] == row["TIME_PERIOD"]) or row["time_from"] > row["TIME_PERIOD"]:
        raise _broken(_where(row), f"time_from {row['time_from']}", "the year of a stock, an earlier one of a flow")
    low, high = row["OBS_LCI95"], row["OBS_UCI95"]
    if row["method"] in MAPPED_METHODS:
        if low is not None or high is not None:
            raise _broken(_where(row), "an interval", "none without a reference sample")
    elif None not in (low, high, row["OBS_VALUE"]) and not low <= row["OBS_VALUE"] <= high:
        raise _broken(_where(row), f"{row['OBS_VALUE']:g} outside {low:g}-{high:g}", "an interval that holds its value")
    value = row["OBS_VALUE"]
    if value is None or row["lc_flow"] == "NET":
        return
    # A gain may exceed the stock that it is compared with; a stock or a loss may not.
    most = 100 + 1e-9 if row["unit"] == "PC" and row["lc_flow"] != "GAIN" else float("inf")
    if not -1e-9 <= value <= most:
        raise _broken(_where(row), f"{value:g} {row['unit']}", "0-100 %" if most < 101 else "0 or more")


def _where(row: Row) -> str:
    what = row.get("lc_flow") or f"{row['landcover_from']} to {row['landcover_to']}"
    return f"Region {row['geo']}, {what} {row['time_from']}-{row['TIME_PERIOD']} ({row['method']}, {row['definition']})"


def _check_sums(table: Table, cell_area_m2: int) -> None:
    areas = {(row["geo"], row["nuts_version"]): row["area_km2"] for row in table[REGIONS]}
    # Every comparison is of square kilometres within one region, version, vintage, definition and method.
    values: dict[tuple, dict[tuple, Row]] = defaultdict(dict)
    for row in table[VALUES]:
        if row["unit"] == "KM2":
            cell = (row["lc_flow"], row["landcover"], row["time_from"], row["TIME_PERIOD"])
            values[_group(row)][cell] = row
    moves: dict[tuple, dict[tuple, float | None]] = defaultdict(dict)
    for row in table[TRANSITIONS]:
        if row["unit"] == "KM2":
            pair = (row["time_from"], row["TIME_PERIOD"])
            moves[_group(row)][row["landcover_from"], row["landcover_to"], *pair] = row["OBS_VALUE"]
    for group, rows in values.items():
        area = areas[group[:2]]
        _check_group(rows, moves.get(group, {}), area, cell_area_m2)
    children = defaultdict(list)
    for row in table[REGIONS]:
        children[row["parent"], row["nuts_version"]].append(row)
    for group, rows in values.items():
        under = children[group[:2]]
        if group[-1] == "mapped_raw" and under and _equal(sum(c["area_km2"] for c in under), areas[group[:2]]):
            for cell, row in rows.items():
                parts = [values[c["geo"], *group[1:]][cell]["OBS_VALUE"] or 0.0 for c in under]
                if not _equal(sum(parts), row["OBS_VALUE"] or 0.0, areas[group[:2]]):
                    raise _broken(_where(row), f"{row['OBS_VALUE']} km2", f"{sum(parts)} km2, the sum of its parts")


def _group(row: Row) -> tuple[str, str, str, str, str]:
    return row["geo"], row["nuts_version"], row["vintage"], row["definition"], row["method"]


def _equal(a: float, b: float, size: float | None = None) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0 if size is None else size, 1e-3)


def _check_group(
    rows: Mapping[tuple, Row], moves: Mapping[tuple, float | None], area: float, cell_area_m2: int
) -> None:
    pairs = {(before, now) for _, _, before, now in moves}
    stocks: dict[int, list[Row]] = defaultdict(list)
    for (flow, cover, before, now), row in rows.items():
        value = row["OBS_VALUE"]
        if flow == "STK":
            stocks[now].append(row)
        if value is None:
            continue
        if flow == "NET":
            parts = [rows[name, cover, before, now]["OBS_VALUE"] for name in ("GAIN", "LOSS")]
            if None in parts or not _equal(value, parts[0] - parts[1], area):
                raise _broken(_where(row), f"{value} km2", f"gain {parts[0]} less loss {parts[1]}")
            ends = [rows["STK", cover, year, year]["OBS_VALUE"] for year in (now, before)]
            if row["method"] != "mapped_raw" and None not in ends and not _equal(value, ends[0] - ends[1], area):
                raise _broken(_where(row), f"{value} km2", f"stock {ends[0]} less stock {ends[1]}")
        elif flow in ("GAIN", "LOSS") and (before, now) in pairs:
            end = 1 if flow == "GAIN" else 0
            total = sum(km2 or 0.0 for key, km2 in moves.items() if key[2:] == (before, now) and key[end] == cover)
            if not _equal(value, total, area):
                raise _broken(_where(row), f"{value} km2", f"{total} km2, the sum of its transitions")
    for year, covers in stocks.items():
        # Shares tell of impervious land only; three covers are all there is.
        if len(covers) < len(SCHEMA["codes"]["landcover"]) or any(row["OBS_VALUE"] is None for row in covers):
            continue
        whole = covers[0]["N_PIX"] * cell_area_m2 / 1e6 if covers[0]["method"] == "mapped_raw" else area
        total = sum(row["OBS_VALUE"] for row in covers)
        if not _equal(total, whole, area):
            raise _broken(f"{_where(covers[0])}, all covers of {year}", f"{total} km2", f"{whole} km2")


def resolve_outline_scale(description: str, scale: int) -> int | None:
    """Return the scale denominator of a zones map, or None where it is not known.

    description : names and history of the map, in which a file name of GISCO tells the scale
    scale : int, as set with v.support; 1 is GRASS's value for unknown

    >>> resolve_outline_scale("v.in.ogr input=NUTS_RG_20M_2024_3035.shp", 1), resolve_outline_scale("zones", 1)
    (20000000, None)
    """
    if scale > 1:
        return scale
    found = re.search(r"NUTS_[A-Z]{2}_(\d{2})M", description, flags=re.IGNORECASE)
    return int(found[1]) * 1_000_000 if found else None
