"""From figures of regions to the rows of the table.

The columns, types and codes are in the schema (core/tableschema.py). Rows are made as plain dicts in the order of the schema, and kept in
columns (core/rows.py). Areas come from cells of the equal-area grid: km2 = cells * cell area.

How cells become a value depends on what the schema says of the method:

- ground "seen": the cells counted are those seen in the year (stock) or in both years (flow). The stocks of two years may refer to
  different cells, so their difference need not be the net change.
- ground "region": the whole region. The value is cells * cells of the outline / cells counted, so that land never seen gets the shares of
  the counted cells. Where less than `COVERAGE_MIN` of the region was seen, the value is blank. Values that involve the first or the last
  year of the run are provisional (flag p). A parent whose regions in the table do not add up to it has flag d.
- interval: a value without an interval is of low reliability (flag u), and so is one whose interval is wide, and change of fewer than three
  years where it is rare: less than `RARE_SHARE` of the cells counted was gained and lost.

A blank value has a reason in MISSING_REASON: the method has no figure for the region, nothing was seen, too little was seen, or the base
of a per cent is zero.

A per cent of a stock refers to the cells counted, of a flow to the stock of the same cover at time_from on the cells counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from imperviouslib.core.change import is_single_year, split_pair
from imperviouslib.core.legend import landcover_codes
from imperviouslib.core.rows import Row, Rows
from imperviouslib.core.tableschema import COVERAGE_MIN, RARE_SHARE, VALUES, WHOLE_REGION, MethodFacts, method_facts
from imperviouslib.core.zones import Zone, are_nuts

RELIABLE = 0.5
"""Half-width of an interval, as a share of its value, above which the value is of low reliability."""
Table = Mapping[str, Rows | Sequence[Row]]
"""Rows by name of table."""
LOW_COVERAGE, NOT_SEEN, NO_SAMPLE, ZERO_BASE = "LOW_COVERAGE", "NOT_SEEN", "NO_SAMPLE", "ZERO_BASE"
"""Why a value is blank; codes of MISSING_REASON."""


@dataclass(frozen=True)
class Stock:
    """The cells of a region in a year."""

    seen: float
    """Cells seen in the year, of a method with a reference sample those of its land; a fraction where cells on borders are shared."""
    counted: float
    """Cells that `cover` sums; more than `seen` where the method fills unseen cells."""
    cover: Mapping[str, float]
    """Land cover to cells; fractions where shares or probabilities were summed."""
    interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Land cover to the limits of its 95 % interval in cells; empty without a reference sample."""
    missing: str = ""
    """Code of MISSING_REASON where the method has no figure for the region: all its values are blank."""


@dataclass(frozen=True)
class Flow:
    """What changed in a region between two years."""

    seen: float
    """Cells seen in both years, of a method with a reference sample those of its land; a fraction where cells on borders are shared."""
    counted: float
    """Cells that the other fields sum."""
    before: Mapping[str, float]
    """Land cover to its cells in the earlier year."""
    gain: Mapping[str, float]
    """Land cover to cells that became it."""
    loss: Mapping[str, float]
    """Land cover to cells that no longer have it; a cover of which that is not known is missing."""
    moves: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(from, to), two different covers, to cells; empty where transitions are not known."""
    interval: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """(GAIN, LOSS or NET; land cover) to the limits of its 95 % interval in cells; empty without a reference sample."""
    missing: str = ""
    """Code of MISSING_REASON where the method has no figure for the region: all its values are blank."""


@dataclass(frozen=True)
class Run:
    """What all rows of a table share."""

    years: tuple[int, ...]
    """Ascending."""
    nuts_version: str
    """Version of the regions."""
    vintage: str
    """Date of the run, YYYY-MM-DD."""
    cell_area_m2: int
    """Area of a cell."""


def stock_of(classes: Mapping[int, float], definition: str, parts: int = 1) -> Stock:
    """Sum the cells of each class to land covers; the cells counted are those seen.

    classes : class 1-4 to cells; the probabilities of one cell add up to 1, so that all cells together are a multiple of 1 / `parts`
    parts : parts of a cell that are told apart; 1 where cells are whole
    """
    cover = {c: sum(classes.get(code, 0) for code in codes) for c, codes in landcover_codes(definition).items()}
    counted = _rounded(sum(cover.values()), parts)
    return Stock(counted, counted, cover)


def _rounded(cells: float, parts: int) -> float:
    return round(cells) if parts == 1 else round(cells * parts) / parts


def flow_of(pairs: Mapping[int, float], definition: str, parts: int = 1) -> Flow:
    """Sum the cells of each pair of classes to flows between land covers; the cells counted are those seen.

    pairs : pair code 10 * from + to, to cells; probabilities and `parts` as in `stock_of`
    """
    covers = {code: cover for cover, codes in landcover_codes(definition).items() for code in codes}
    moves: dict[tuple[str, str], float] = {
        (a, b): 0 for a in landcover_codes(definition) for b in landcover_codes(definition)
    }
    for pair, cells in pairs.items():
        before, now = split_pair(pair)
        moves[covers[before], covers[now]] += cells
    counted = _rounded(sum(moves.values()), parts)
    changed = {(a, b): cells for (a, b), cells in moves.items() if a != b}
    return Flow(
        seen=counted,
        counted=counted,
        before={c: sum(n for (a, _), n in moves.items() if a == c) for c in landcover_codes(definition)},
        gain={c: sum(n for (_, b), n in changed.items() if b == c) for c in landcover_codes(definition)},
        loss={c: sum(n for (a, _), n in changed.items() if a == c) for c in landcover_codes(definition)},
        moves=changed,
    )


def stock_rows(zone: Zone, stock: Stock, run: Run, definition: str, method: str, year: int) -> Iterator[Row]:
    """Write the rows of a region's stock."""
    scope = _Scope(zone, stock.seen, stock.counted, run, method, (year,), stock.missing)
    for cover, cells in stock.cover.items():
        amounts = (cells, *stock.interval.get(cover, ()))
        for unit, values in scope.units(amounts, stock.counted):
            yield _value_row(scope, "STK", cover, definition, unit, year, year, values)


def flow_rows(zone: Zone, flow: Flow, run: Run, definition: str, method: str, pair: tuple[int, int]) -> Iterator[Row]:
    """Write the rows of a region's gain, loss and net change between two years."""
    scope = _Scope(zone, flow.seen, flow.counted, run, method, pair, flow.missing)
    for cover, before in flow.before.items():
        gain, loss = flow.gain[cover], flow.loss.get(cover)
        net = None if loss is None else gain - loss
        rare = scope.is_rare(gain + (loss or 0))
        for name, cells in (("GAIN", gain), ("LOSS", loss), ("NET", net)):
            amounts = (cells, *flow.interval.get((name, cover), ()))
            for unit, values in scope.units(amounts, before):
                known = cells is not None
                yield _value_row(scope, name, cover, definition, unit, *pair, values, rare=rare, known=known)


def transition_rows(
    zone: Zone, flow: Flow, run: Run, definition: str, method: str, pair: tuple[int, int]
) -> Iterator[Row]:
    """Write the rows of the transitions between land covers in a region between two years."""
    scope = _Scope(zone, flow.seen, flow.counted, run, method, pair, flow.missing)
    for (before, now), cells in flow.moves.items():
        for unit, (value,) in scope.units((cells,), flow.before[before]):
            yield {
                "freq": "A", "landcover_from": before, "landcover_to": now, "definition": definition, "method": method,
                "unit": unit, "geo": zone.geo, "nuts_version": run.nuts_version, "time_from": pair[0],
                "TIME_PERIOD": pair[1], "vintage": run.vintage, "OBS_VALUE": value,
                "OBS_FLAG": scope.flags(value, rare=scope.is_rare(cells)), "MISSING_REASON": scope.reason(value),
                "COVERAGE": scope.coverage,
            }  # fmt: skip


def region_row(zone: Zone, run: Run) -> Row:
    """Write the row of a region."""
    # Other codes do not begin with a country.
    is_nuts = are_nuts([zone.geo]) and len(zone.geo) - 2 == zone.level
    return {
        "geo": zone.geo, "nuts_version": run.nuts_version, "level": zone.level, "parent": zone.parent,
        "cntr": zone.geo[:2] if is_nuts else "", "name": zone.name, "area_km2": zone.cells * run.cell_area_m2 / 1e6,
    }  # fmt: skip


def sort_rows(rows: Rows | Iterable[Row], table: str) -> Rows:
    """Keep rows in columns, sorted by the table's key, so that equal input gives equal files."""
    found = Rows.of(table, rows)
    found.sort()
    return found


def in_view(rows: Table, chosen: Sequence[Zone]) -> list[Zone]:
    """Return the regions to print: those of the highest level of which one was seen by half or more, else of the level that was seen best.

    A small area lies in a country of which next to nothing was seen; its own regions are what the user looks at. Regions that were not
    seen at all are left out, unless none was seen.
    """
    seen = dict.fromkeys((zone.geo for zone in chosen), 0.0)
    values = Rows.of(VALUES, rows[VALUES])
    for geo, coverage in zip(values["geo"].tolist(), values["COVERAGE"].tolist(), strict=True):
        seen[geo] = max(seen[geo], coverage)
    best = {level: max(seen[z.geo] for z in chosen if z.level == level) for level in {zone.level for zone in chosen}}
    enough = [level for level, coverage in best.items() if coverage >= COVERAGE_MIN]
    level = min(enough) if enough else min(best, key=lambda level: (-best[level], level))
    shown = [zone for zone in chosen if zone.level == level]
    return [zone for zone in shown if seen[zone.geo]] or shown


@dataclass(frozen=True)
class _Scope:
    """Turns the cells of one region, method and year or pair of years into values and flags."""

    zone: Zone
    seen: float
    counted: float
    run: Run
    method: str
    years: tuple[int, ...]
    missing: str

    @cached_property
    def facts(self) -> MethodFacts:
        return method_facts(self.method)

    @cached_property
    def coverage(self) -> float:
        return self.seen / self.zone.cells

    @cached_property
    def expanded(self) -> bool:
        return self.facts.ground == WHOLE_REGION

    @cached_property
    def blank(self) -> bool:
        return bool(self.missing) or not self.counted or (self.expanded and self.coverage < COVERAGE_MIN)

    def is_rare(self, changed: float) -> bool:
        """Tell whether a change, in cells, is one of a single year and rare."""
        first, last = self.years[0], self.years[-1]
        return first < last and is_single_year((first, last)) and changed < RARE_SHARE * self.counted

    def units(self, amounts: tuple[float | None, ...], base: float) -> Iterator[tuple[str, tuple[float | None, ...]]]:
        """Yield amounts of cells in each unit; a per cent refers to `base`, in cells."""
        yield "KM2", tuple(None if cells is None else self._km2(cells) for cells in amounts)
        yield "PC", tuple(None if cells is None else self._percent(cells, base) for cells in amounts)

    def _km2(self, cells: float) -> float | None:
        if self.blank:
            return None
        # Multiply before dividing: a region counted as a whole then gives its exact area.
        whole = cells * self.zone.cells / self.counted if self.expanded else cells
        return whole * self.run.cell_area_m2 / 1e6

    def _percent(self, cells: float, base: float) -> float | None:
        return None if self.blank or not base else 100 * cells / base

    def reason(self, value: float | None) -> str:
        """Return why a value is blank; empty where it is not."""
        if value is not None:
            return ""
        return self.missing or (NOT_SEEN if not self.counted else LOW_COVERAGE if self.blank else ZERO_BASE)

    def flags(
        self, value: float | None, interval: tuple[float | None, float | None] = (None, None), *, rare: bool
    ) -> str:
        if self.blank:
            return "u"
        letters: set[str] = set()
        sampled = self.facts.interval
        if not sampled or _is_unreliable(value, *interval) or self.coverage < COVERAGE_MIN or rare:
            letters.add("u")
        if value is None:
            letters.add("m")
        if self.expanded:
            if self.seen < self.zone.cells:
                letters.add("e")
            if self.zone.parts_cells is not None:
                letters.add("d")
            if {self.run.years[0], self.run.years[-1]} & set(self.years):
                letters.add("p")
        return "".join(sorted(letters))


def _is_unreliable(value: float | None, low: float | None, high: float | None) -> bool:
    """Tell whether a value has no interval, or one whose half-width is more than `RELIABLE` of it."""
    return value is not None and (low is None or high is None or high - low > 2 * RELIABLE * abs(value))


def _value_row(
    scope: _Scope, flow: str, cover: str, definition: str, unit: str, time_from: int, year: int,
    values: tuple[float | None, ...], *, rare: bool = False, known: bool = True,
) -> Row:  # fmt: skip
    # Without an interval there is one value only.
    value, low, high = values if len(values) == 3 else (*values, None, None)
    return {
        "freq": "A", "lc_flow": flow, "landcover": cover, "definition": definition, "method": scope.method, "unit": unit,
        "geo": scope.zone.geo, "nuts_version": scope.run.nuts_version, "time_from": time_from, "TIME_PERIOD": year,
        "vintage": scope.run.vintage, "OBS_VALUE": value, "OBS_FLAG": scope.flags(value, (low, high), rare=rare),
        "MISSING_REASON": scope.reason(value) if known or scope.missing else NO_SAMPLE, "CONF_STATUS": "",
        "OBS_LCI95": low, "OBS_UCI95": high, "COVERAGE": scope.coverage, "N_PIX": round(scope.counted),
    }  # fmt: skip
