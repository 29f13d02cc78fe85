"""The names of all maps and columns that the suite writes: this module builds and parses them.

`-` of a period becomes `_`, because r.mapcalc reads letters, digits, `_` and `.` only. All names have
one regular form, so that period and layer can be parsed:

    <prefix>_<period>_<layer>             composites (s2_2018_summer_B12_p50, s2_2018_count), predictions (lc_2018_class)
    <prefix>_<from>_<to>_<kind>           change between two years (change_2017_2018_gain, lc_2017_2018_p_gain)
    <prefix>_<tile>_<time>_<id>_<band>    scenes (scenes_31UDS_20180601T105619_A1B2C3_B12)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from imperviouslib.core.errors import InputError, _

COUNT, SPREAD, QUALITY = "count", "spread", "quality"
"""Layers of a composite beside its features: clear observations, days between the first and the last of them, quality 0-100."""
CLASS = "class"
"""Layer of a prediction that holds the class codes."""
SEALED, SERIES = "p_sealed", "series"
"""Layers of a prediction of all years together: the probability that a cell is sealed in the year, and the class that belongs to it."""
SEALING, UNSEALING = "p_gain", "p_loss"
"""Kinds of maps of such a prediction between two years: the probability that a cell was sealed, or unsealed."""
TEMPORARY = "impervious_"
"""How the names of temporary maps of r.impervious.change and r.impervious.sample begin."""

_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_VECTOR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
LONGEST_PREFIX = 150
"""Characters. A file of the mapset has the name of its map, and a name has 255 at most; a scene needs 90 of them beside the prefix."""
_FEATURE = r"[A-Z][A-Z0-9]*_[a-z0-9]+"
"""A band or index in capitals and its statistic: B12_p50."""
_LAYER = rf"{_FEATURE}|{COUNT}|{SPREAD}|{QUALITY}|{CLASS}|{SERIES}|p_[a-z]+|consistent"
_PERIOD = r"(?P<year>\d{4})(?:_(?P<part>\d\d|[a-z][a-z0-9]*))?"


def check_prefix(prefix: str, option: str) -> None:
    """Raise InputError if a prefix cannot begin the name of a map."""
    if not _PREFIX.fullmatch(prefix):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{prefix}'",
            expected=_("a name of letters, digits, _ and dots that begins with a letter or _"),
            then=_("Choose another name."),
        )
    if len(prefix) > LONGEST_PREFIX:
        raise InputError(
            _("Option <{}>").format(option),
            found=_("{} characters").format(len(prefix)),
            expected=_("{} or fewer, because the names of maps begin with them").format(LONGEST_PREFIX),
            then=_("Choose a shorter name."),
        )


def check_vector_name(name: str, option: str) -> None:
    """Raise InputError if a vector map cannot have this name. It becomes a table of SQL, so it has no dots and does not begin with a digit."""
    if not _VECTOR.fullmatch(name):
        raise InputError(
            _("Option <{}>").format(option),
            found=f"'{name}'",
            expected=_("a name of letters, digits and _ that begins with a letter"),
            then=_("Choose another name."),
        )


def joined(*parts: str) -> str:
    """Join parts to a map name that r.mapcalc can read.

    >>> joined("s2", "2019-06", "B12_p50")
    's2_2019_06_B12_p50'
    """
    return "_".join(part.replace("-", "_") for part in parts)


def is_feature(layer: str) -> bool:
    """Tell whether a layer is a feature, a band or index with its statistic.

    >>> is_feature("B12_p50"), is_feature("NDVI_max"), is_feature("count")
    (True, True, False)
    """
    return re.fullmatch(_FEATURE, layer) is not None


@dataclass(frozen=True)
class PeriodMap:
    """A map of one period: a layer of a composite or of a prediction.

    >>> PeriodMap("s2", "2018-summer", "B12_p50").name
    's2_2018_summer_B12_p50'
    >>> PeriodMap.parse("s2_2018_summer_B12_p50", "s2")
    PeriodMap(prefix='s2', period='2018-summer', layer='B12_p50')
    """

    prefix: str
    period: str
    """2018, 2018-06, 2018-summer or 2018- and the name of a window."""
    layer: str
    """A feature, or count, spread, quality, class, p_<class key>, p_sealed, series, consistent."""

    @property
    def name(self) -> str:
        """The name in the GRASS database."""
        return joined(self.prefix, self.period, self.layer)

    @classmethod
    def parse(cls, name: str, prefix: str) -> PeriodMap | None:
        """Parse a name; None if it is not the name of a map of a period under this prefix."""
        found = re.fullmatch(rf"{re.escape(prefix)}_{_PERIOD}_(?P<layer>{_LAYER})", name)
        if not found:
            return None
        period = found["year"] + (f"-{found['part']}" if found["part"] else "")
        return cls(prefix, period, found["layer"])


def parse_period_maps(names: Iterable[str], prefix: str, *, layer: str | None = None) -> list[PeriodMap]:
    """Return the maps of periods under a prefix among many names, by period and layer; of one layer only where it is given."""
    parsed = (PeriodMap.parse(name, prefix) for name in names)
    found = [one for one in parsed if one and layer in (None, one.layer)]
    return sorted(found, key=lambda one: (one.period, one.layer))


def pattern(prefix: str, *, period: str = "*", layer: str = "*") -> str:
    """Return the pattern by which g.list finds maps of periods; `parse_period_maps` then keeps those that are maps of periods.

    >>> pattern("s2", layer="count")
    's2_*_count'
    """
    return joined(prefix, period, layer)


def probability_layer(class_key: str) -> str:
    """Return the layer that holds the probability of a class.

    >>> probability_layer("artificial")
    'p_artificial'
    """
    return f"p_{class_key}"


def scene_map(prefix: str, tile: str, sensed_utc: str, scene_id: str, band: str) -> str:
    """Return the name of a scene's band: its time in the short form of ISO 8601, and the end of its id, which distinguishes the halves of a split tile.

    >>> scene_map("scenes", "31UDS", "2018-06-01T10:56:19Z", "S2A_MSIL2A_20180601T105619_N0208_R094_T31UDS_20180601T141234", "B12")
    'scenes_31UDS_2018_06_01T105619_141234_B12'
    """
    return joined(prefix, tile, sensed_utc[:19].replace(":", ""), scene_id[-6:], band)


def change_map(prefix: str, years: tuple[int, int], kind: str) -> str:
    """Return the name of a map of change between two years; kind is fromto, gain, loss, greengain, p_gain ...

    >>> change_map("change", (2017, 2018), "gain")
    'change_2017_2018_gain'
    """
    return joined(prefix, *map(str, years), kind)


def zones_copy(prefix: str) -> str:
    """Return the name of the copy of a zones map of another mapset."""
    return joined(prefix, "zones")


def column(kind: str, first: int, last: int) -> str:
    """Return a column of the zones map, without the `_sum` that v.rast.stats adds; a stock has its year twice.

    >>> column("imp", 2018, 2018), column("new", 2017, 2018)
    ('imp_2018', 'new_2017_2018')
    """
    return f"{kind}_{first}" if first == last else f"{kind}_{first}_{last}"
