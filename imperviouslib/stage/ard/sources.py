"""Which maps each period of the file is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imperviouslib.core import mapnames
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.feature import Feature, in_order
from imperviouslib.core.mapnames import COUNT, PeriodMap
from imperviouslib.core.periods import period_named
from imperviouslib.core.provenance import CompositeProvenance
from imperviouslib.core.settings.ard import ArdSettings
from imperviouslib.edge import grass

WHOLE = ""
"""Key of `Sources.parts` for a composite that is a period of its own."""


@dataclass(frozen=True)
class Sources:
    """The maps that each period of the file is made of."""

    periods: tuple[str, ...]
    features: tuple[str, ...]
    """Names, in the order of the model's input."""
    maps: Mapping[tuple[str, str], str]
    """Period and feature to map."""
    counts: Mapping[str, tuple[str, ...]]
    """Period to the counts of its composites; where they are stacked, a cell's count is the smallest of them."""
    parts: Mapping[str, Mapping[str, str]]
    """Period to the parts stacked in it (year, a season, month or window; or WHOLE) and one map of each, for its provenance."""

    def origin(self, period: str) -> dict[str, Any]:
        """Return what a period is made of; for stacked parts, each part by its name and the scenes of all."""
        parts = self.parts[period]
        if WHOLE in parts:
            return _map_origin(parts[WHOLE], period)
        origins = {part: _map_origin(name, _period_of(period, part)) for part, name in parts.items()}
        if any("scenes" not in origin for origin in origins.values()):
            return {"stack": origins}
        scenes = {scene["id"]: scene for origin in origins.values() for scene in origin["scenes"]}
        return {"stack": origins, "scenes": [scenes[name] for name in sorted(scenes)]}

    def content(self, period: str) -> dict[str, Any]:
        """Return a value that changes if the maps of a period change between two runs."""
        names = [*(self.maps[period, feature] for feature in self.features), *self.counts[period]]
        return {"maps": {name: _map_origin(name, period) for name in names}, "mask": grass.has_mask()}


def _map_origin(name: str, period: str) -> dict[str, Any]:
    known = grass.read_provenance(name)
    return known.origin() if isinstance(known, CompositeProvenance) else {"map": name, "period": period}


def resolve_sources(settings: ArdSettings) -> Sources:
    """Find the maps: each composite is a period, or the composites of a year are stacked as features of that year."""
    prefix, stack = settings.prefix, settings.stack
    found = _resolve_periods(prefix, settings.years)
    periods = tuple(dict.fromkeys(name[:4] for name in found)) if stack else found
    composites = {period: _resolve_parts(prefix, period, stack, found) for period in periods}
    # All periods have the features of the first one.
    columns = [
        (name, part, Feature.parse(name).in_part(part).name if part != WHOLE else name)
        for part, composite in composites[periods[0]].items()
        for name in settings.features or _list_features(prefix, composite)
    ]
    maps = {
        (period, feature): _find(prefix, composites[period][part], layer)
        for period in periods
        for layer, part, feature in columns
    }
    return Sources(
        periods,
        tuple(feature for *_, feature in columns),
        maps,
        {period: tuple(_find(prefix, one, COUNT) for one in composites[period].values()) for period in periods},
        {
            period: {part: maps[period, next(f for _, p, f in columns if p == part)] for part in composites[period]}
            for period in periods
        },
    )


def _resolve_periods(prefix: str, years: Sequence[int]) -> tuple[str, ...]:
    """Find the periods of a prefix by their maps of counts."""
    names = grass.search_rasters(mapnames.pattern(prefix, layer=COUNT))
    found = [one.period for one in mapnames.parse_period_maps(names, prefix, layer=COUNT)]
    if not found:
        raise InputError(
            _("Option <input>: there is no map <{}> of r.s2.yearly").format(mapnames.pattern(prefix, layer=COUNT)),
            then=_("Check the prefix with g.list, or run r.s2.yearly."),
        )
    missing = next((year for year in years if not any(period[:4] == str(year) for period in found)), None)
    if missing:
        raise InputError(
            _("Option <input>: prefix {} has no composite of {}").format(prefix, missing),
            then=_("Run r.s2.yearly for {}, or remove it from <years>. Composites exist for {}.").format(
                missing, ", ".join(found)
            ),
        )
    chosen = [period for period in found if not years or int(period[:4]) in years]
    return tuple(sorted(chosen, key=lambda name: (period_named(name).middle, name)))


def _resolve_parts(prefix: str, period: str, stack: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    """Return the parts of a period and the composite of each; raise InputError if one does not exist."""
    parts = {part: _period_of(period, part) for part in stack} or {WHOLE: period}
    missing = next((name for name in parts.values() if name not in found), None)
    if missing:
        raise InputError(
            _("Option <stack>: prefix {} has no composite {}").format(prefix, missing),
            then=_("Run r.s2.yearly for this composite, or change <stack> or <years>. Composites exist for {}.").format(
                ", ".join(found)
            ),
        )
    return parts


def _period_of(year: str, part: str) -> str:
    return year if part == "year" else f"{year}-{part}"


def _list_features(prefix: str, period: str) -> tuple[str, ...]:
    """Return all features of a composite."""
    wanted = mapnames.pattern(prefix, period=period)
    maps = mapnames.parse_period_maps(grass.search_rasters(wanted), prefix)
    found = [one.layer for one in maps if one.period == period and mapnames.is_feature(one.layer)]
    if not found:
        raise InputError(
            _("Option <input>: none of the maps <{}> is a feature such as B12_p50").format(wanted),
            then=_("Run r.s2.yearly, or name <features>."),
        )
    return in_order(found)


def _find(prefix: str, period: str, layer: str) -> str:
    then = _("Run r.s2.yearly for {}, or change <features>.").format(period)
    name = grass.find_map(PeriodMap(prefix, period, layer).name, then=then)
    grass.map_grid(name)
    return name
