"""The recipe of a composite: all settings that determine its cells, apart from scenes and region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imperviouslib.core.bands import DEFAULT_BANDS
from imperviouslib.core.cloudmask import MASKS
from imperviouslib.core.composite import METHODS, NO_SCENE, STATISTICS, Method, Observations, percentiles
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.feature import Feature, Variable, find_variable, needed_bands
from imperviouslib.core.mapnames import COUNT, QUALITY, SPREAD
from imperviouslib.core.options import check_choice
from imperviouslib.core.tiles import TileChoice, format_tiles


@dataclass(frozen=True)
class Layer:
    """One map of a period."""

    name: str
    """Last part of the map's name."""
    title: str
    dtype: str = "uint16"
    nodata: int = 0
    """No data value in the GeoTIFF; NULL in the map."""
    color: str = "grey.eq"
    """Colour table of r.colors."""
    units: str | None = None
    semantic_label: str | None = None


_COUNT = Layer(COUNT, "Clear observations", "uint8", NO_SCENE, "viridis", semantic_label=COUNT)
_QUALITY = (
    Layer(
        SPREAD,
        "Days between the first and the last clear observation",
        "uint16",
        65535,
        "viridis",
        semantic_label=SPREAD,
    ),
    Layer(QUALITY, "Quality of the composite, 0-100", "uint8", 255, "viridis", semantic_label=QUALITY),
)


@dataclass(frozen=True)
class Recipe:
    """How composites are made of scenes."""

    method: str = "median"
    """A key of core/composite.METHODS."""
    mask: str = "dates"
    """How to mask clouds: scl (by SCL only) or dates (by SCL, checked against all dates of the year)."""
    dilate: int = 1
    """Cells by which clouds and their shadows are dilated."""
    tiles: TileChoice = "common"
    variables: tuple[str, ...] = DEFAULT_BANDS
    """Names of bands and indices, in the order of the model's input."""
    quality: bool = False
    """Whether to map the spread of dates and the quality too."""
    statistics: tuple[str, ...] = ()
    """Keys of core/composite.STATISTICS: features of each variable beside its median."""

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("mask", self.mask, MASKS)
        unknown = next((statistic for statistic in self.statistics if statistic not in STATISTICS), None)
        if unknown is not None:
            raise InputError(
                _("Option <statistics>"),
                found=f"'{unknown}'",
                expected=_("min, max or percentiles p1 to p99, except p50, which is the median itself"),
                then=_("Correct the list."),
            )
        if self.statistics and self.method != "median":
            raise InputError(
                _("Option <statistics> can only be used with method=median, not with method={}").format(self.method),
                then=_("Leave out statistics=, or use method=median."),
            )

    @property
    def how(self) -> Method:
        """The method's row of the table."""
        return METHODS[self.method]

    @property
    def scored(self) -> bool:
        """Whether observations must keep scores."""
        return self.how.needs_scores or self.quality

    @property
    def observed(self) -> tuple[Variable, ...]:
        """The variables."""
        return tuple(find_variable(name) for name in self.variables)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that must be read."""
        return needed_bands(self.observed)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features of each variable: first what the method makes, then the statistics."""
        statistics = (self.how.statistic, *self.statistics)
        return tuple(Feature(variable, statistic) for variable in self.observed for statistic in statistics)

    def compose(self, observations: Observations) -> np.ndarray:
        """Make the features: array (feature, row, col), uint16, 0 = never clear. Destroys the observations."""
        if self.statistics:
            percents = (50, *(STATISTICS[statistic] for statistic in self.statistics))
            return np.concatenate([percentiles(stack, percents) for stack in observations.cube])
        if self.how.compose is None:
            raise ValueError(f"method {self.method} joins whole scenes")
        return self.how.compose(observations)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All maps of a period: the features, the count and, if wanted, spread and quality."""
        features = (
            Layer(f.name, f.title, units=f.variable.units, semantic_label=f.semantic_label) for f in self.features
        )
        return (*features, _COUNT, *(_QUALITY if self.quality else ()))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that provenance records; those that do not apply are left out, as mask and dilation for whole scenes."""
        masking = {} if self.how.joins_scenes else {"mask": self.mask, "dilate": self.dilate}
        ordered = sorted(self.statistics, key=STATISTICS.__getitem__)
        statistics = {"statistics": ",".join(ordered)} if ordered else {}
        return {"method": self.method, **statistics, **masking, "tiles": format_tiles(self.tiles)}
