"""The regions of a zones map: their codes, levels, parents, and the scale of their outlines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.tableschema import GEO_PATTERN

_NUTS = re.compile(r"[A-Z]{2}[0-9A-Z]{0,3}")


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
    cells: int = 0
    """Cells of the whole outline, also outside the current GRASS region."""


def parse_zones(
    records: Sequence[Mapping[str, Any]], *, key: str, column: str, level: str | None, name: str | None
) -> list[Zone]:
    """Turn the attribute rows of a zones map into Zones, sorted by code, without parents and cells.

    records : attribute rows of the map
    key, column, level, name : the columns of category, code, level and name. Without a level column, the level is the length of a
        NUTS code less 2; where a code is not a NUTS code it is 0 for all zones.

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
                then=_("Correct column {} with v.db.update.").format(level),
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
