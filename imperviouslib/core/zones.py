"""The regions of a zones map: their codes, levels, parents, and the scale of their outlines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.tableschema import GEO_PATTERN

_COUNTRIES = (
    "A[LT]|B[AEG]|C[HYZ]|D[EK]|E[ELS]|F[IR]|GE|H[RU]|I[EST]|L[ITUV]|M[DEKT]|N[LO]|P[LT]|R[OS]|S[EIK]|TR|U[AK]|XK"
)
_NUTS = re.compile(rf"(?:{_COUNTRIES}|X[A-Z]|ZZ)[0-9A-Z]{{0,3}}")
"""Codes of NUTS and of the statistical regions of other countries in Eurostat's maps. Codes that begin with X are free for others."""
PARENT_COLUMN = "PARENT"
"""Column in which a zones map may name the code of the region that contains a region."""
SLIVER = 0.001
"""Share of a region's cells that another outline may take: GISCO's outlines overlap by slivers at some borders."""
_MOST_OUTSIDE = 0.5
"""Share of its cells that a region may have outside of its parent."""


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
    """Code of the zone that contains this one; empty where there is none."""
    cells: float = 0
    """Cells of the whole outline, also outside the current GRASS region; a fraction where cells on borders are shared."""
    parts_cells: float | None = None
    """Cells of the regions that it is the parent of, where they are not its own cells; else None."""


def parse_zones(
    records: Sequence[Mapping[str, Any]],
    *,
    key: str,
    column: str,
    level: str | None,
    name: str | None,
    parent: str | None = None,
) -> list[Zone]:
    """Turn the attribute rows of a zones map into Zones, sorted by code, without cells, and without parents unless a column has them.

    records : attribute rows of the map
    key, column, level, name, parent : the columns of category, code, level, name and the parent's code. Without a level column, the level is the
        length of a NUTS code less 2; where a code is not a NUTS code it is 0 for all zones.

    Raises InputError where a code is missing, occurs twice or is not valid, or where a level is not a number.
    """
    then = _("Correct column {} with v.db.update.").format(column)
    counts: Counter[str] = Counter()
    for record in records:
        geo = record[column]
        thing = _("Option <zones>, category {}").format(record[key])
        if geo is None or not str(geo).strip():
            raise InputError(
                thing, found=_("no code in column {}").format(column), expected=_("a code for each region"), then=then
            )
        if not re.fullmatch(GEO_PATTERN, str(geo)):
            raise InputError(
                thing, found=_("code '{}'").format(geo), expected=_("letters and digits ({})").format(GEO_PATTERN), then=then
            )  # fmt: skip
        counts[str(geo)] += 1
    doubled = sorted(geo for geo, number in counts.items() if number > 1)
    if doubled:
        raise InputError(
            _("Option <zones>: code '{}' occurs {} times in column {}").format(doubled[0], counts[doubled[0]], column),
            then=_("Join the parts of a region with v.dissolve column={}, or remove the duplicate.").format(column),
        )
    nuts = are_nuts(counts)
    zones = []
    for record in records:
        geo = str(record[column])
        depth = parse_level(record[level]) if level else (len(geo) - 2 if nuts else 0)
        if depth is None:
            raise InputError(
                _("Option <zones>, region {}").format(geo),
                found=_("level '{}' in column {}").format(record[str(level)], level),
                expected=_("a whole number 0-9"),
                then=_("Correct column {} with v.db.update.").format(level),
            )
        title = one_line(str(record[name] or "")) if name else ""
        above = str(record[parent] or "").strip() if parent else ""
        if above and above not in counts:
            raise InputError(
                _("Option <zones>, region {}").format(geo),
                found=_("parent '{}' in column {}").format(above[:40], parent),
                expected=_("a code of column {}").format(column),
                then=_("Correct column {} with v.db.update.").format(parent),
            )
        zones.append(Zone(geo, int(record[key]), depth, title or geo, above))
    return sorted(zones, key=lambda zone: zone.geo)


def are_nuts(codes: Iterable[str]) -> bool:
    """Tell whether all codes are of NUTS, so that a code begins with the code of the region that contains it.

    >>> are_nuts(["DE", "DE1"]), are_nuts(["HH", "MTK", "B"]), are_nuts(["1001", "10"])
    (True, False, False)
    """
    return all(_NUTS.fullmatch(geo) for geo in codes)


def one_line(text: str) -> str:
    """Bring a name to one line without control characters.

    >>> one_line(" Line\\x0bBreak\\t and\\nmore\\x1f ")
    'Line Break and more'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def parse_level(value: Any) -> int | None:
    """Return a level 0-9, also one in quotes or with decimals; None where it is none.

    >>> parse_level("3"), parse_level(3.0), parse_level(None), parse_level("3b"), parse_level(True)
    (3, 3, None, None, None)
    """
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return int(number) if number in range(10) else None


def resolve_parents(zones: Iterable[Zone], inside: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Return the parent of each zone: that of its column; of NUTS codes the longest code of a higher level that this code begins with; of other
    codes the zone of the nearest higher level that holds most of its cells.

    inside : code of a zone to the zones of higher levels in which its cells lie, and the number of cells; "" counts all of its cells
    Raises InputError where most cells of a zone lie outside of the parent that its code or its column names

    >>> zones = [Zone("BE", 1, 0, ""), Zone("BE25", 2, 2, ""), Zone("BE253", 3, 3, "")]
    >>> resolve_parents(zones, {})
    {'BE': '', 'BE25': 'BE', 'BE253': 'BE25'}
    >>> resolve_parents([Zone("1", 1, 0, ""), Zone("10", 2, 0, ""), Zone("1001", 3, 1, "")], {"1001": {"": 9, "10": 8}})
    {'1': '', '10': '', '1001': '10'}
    """
    zones = list(zones)
    levels = {zone.geo: zone.level for zone in zones}
    # Codes are NUTS codes if their length agrees with their level too.
    by_code = are_nuts(levels) and all(len(geo) - 2 == level for geo, level in levels.items())
    parents = {}
    for zone in zones:
        cells = inside.get(zone.geo, {})
        if zone.parent in levels:
            parent = zone.parent
        elif by_code:
            shorter = (zone.geo[:n] for n in range(len(zone.geo) - 1, 0, -1))
            parent = next((geo for geo in shorter if levels.get(geo, zone.level) < zone.level), "")
        else:
            above = sorted((geo for geo in cells if geo), key=lambda geo: (-levels[geo], -cells[geo], geo))
            parent = next((geo for geo in above if cells[geo] > _MOST_OUTSIDE * cells[""]), "")
        if parent and cells and cells.get(parent, 0) < (1 - _MOST_OUTSIDE) * cells[""]:
            raise InputError(
                _("Option <zones>, region {}").format(zone.geo),
                found=_("{} of its {} cells in region {}").format(cells.get(parent, 0), cells[""], parent),
                expected=_("most of them, because {} is its parent").format(parent),
                then=_("Correct the codes or the outlines, or name the parents in a column {}.").format(PARENT_COLUMN),
            )
        parents[zone.geo] = parent
    return parents


def cells_inside(zones: Iterable[Zone], units: np.ndarray, cells: np.ndarray) -> dict[str, dict[str, float]]:
    """Count the cells of each zone in the zones of higher levels.

    units : array (unit, level), categories of the zones whose ground has cells in common, 0 = none; levels from high to low
    cells : array (unit,)
    Returns: code of a zone to code of a zone above to number of cells; "" counts all cells of a zone. Zones of the highest level are left out.

    >>> zones = [Zone("BE", 1, 0, ""), Zone("BE1", 2, 1, "")]
    >>> cells_inside(zones, np.array([[0, 0], [1, 2], [0, 2]]), np.array([9, 5, 1]))
    {'BE1': {'': 6, 'BE': 5}}
    """
    codes = {zone.cat: zone.geo for zone in zones}
    found: dict[str, dict[str, float]] = {}
    for row, number in zip(units.tolist(), cells.tolist(), strict=False):
        for level, category in enumerate(row):
            if not (level and category and number):
                continue
            inside = found.setdefault(codes[category], {"": 0})
            inside[""] += number
            for above in filter(None, row[:level]):
                inside[codes[above]] = inside.get(codes[above], 0) + number
    return found


def compare_parts(zones: Iterable[Zone]) -> list[Zone]:
    """Hold the cells of each parent against those of its regions; where they differ by more than slivers, `parts_cells` says so.

    They differ where the table lacks a part of the parent (one overseas, or outside of the current region), or where outlines do not fit.

    >>> whole, half = Zone("XX", 1, 0, "", "", 100), Zone("XX1", 2, 1, "", "XX", 50)
    >>> [zone.parts_cells for zone in compare_parts([whole, half])]
    [50, None]
    """
    zones = list(zones)
    parts: dict[str, float] = {}
    for zone in zones:
        parts[zone.parent] = parts.get(zone.parent, 0) + zone.cells
    return [
        replace(zone, parts_cells=parts[zone.geo])
        if parts.get(zone.geo) and abs(parts[zone.geo] - zone.cells) > max(1, SLIVER * zone.cells)
        else zone
        for zone in zones
    ]


def describe_parts(zones: Iterable[Zone], cell_area_m2: int) -> str:
    """Say in a sentence which parents are not the sum of their regions; empty where all are."""
    odd = sorted((zone for zone in zones if zone.parts_cells is not None), key=lambda zone: -abs(_difference(zone)))
    if not odd:
        return ""
    told = "; ".join(
        f"{zone.geo} {zone.cells * cell_area_m2 / 1e6:g} km2, its regions {(zone.parts_cells or 0) * cell_area_m2 / 1e6:g} km2"
        for zone in odd[:3]
    )
    more = _(", and {} others").format(len(odd) - 3) if len(odd) > 3 else ""
    return _(
        "Flag d: these regions stand for other ground than their parts in this table, because parts lie overseas or outside of the computational region, or because outlines do not fit: {}{}."
    ).format(told, more)


def _difference(zone: Zone) -> float:
    return zone.cells - (zone.parts_cells or 0)


def resolve_outline_scale(description: str, scale: int) -> int | None:
    """Return the scale denominator of a zones map, or None where it is not known.

    description : names and history of the map, where a file name of GISCO gives the scale
    scale : int, as set with v.support; 1 is GRASS's value for unknown

    >>> resolve_outline_scale("v.in.ogr input=NUTS_RG_20M_2024_3035.shp", 1), resolve_outline_scale("zones", 1)
    (20000000, None)
    """
    if scale > 1:
        return scale
    found = re.search(r"NUTS_[A-Z]{2}_(\d{2})M", description, flags=re.IGNORECASE)
    return int(found[1]) * 1_000_000 if found else None
