"""Features: the input values of a model for each cell. To add an index such as NDVI, add a row to `INDICES`.

A *variable* is a value of a cell in one scene: a band, or an index of several bands. A *feature* is a statistic of a variable over the
clear observations of a period, named variable_statistic: `B12_p50`. Files and maps store both as uint16: 0 = no data, and
value = stored * scale + offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from imperviouslib.core.bands import DEFAULT_BANDS, semantic_label
from imperviouslib.core.composite import STATISTICS, TITLES


def _first(planes: Sequence[np.ndarray]) -> np.ndarray:
    return planes[0]


def normalized_difference(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Return 10000 (1 + (a - b) / (a + b)) of two bands, rounded, halves up.

    planes : two arrays a, b (row, col), uint16, 0 = no data
    Returns: array (row, col), uint16, 1-20000, 0 where either band has no data

    >>> normalized_difference(np.array([[3000, 1000, 0, 1], [1000, 3000, 1000, 65535]], np.uint16)).tolist()
    [15000, 5000, 0, 1]
    """
    a, b = (plane.astype(np.uint32) for plane in planes)
    total = np.maximum(a + b, 1)
    # 1 + (a - b) / (a + b) = 2 a / (a + b). The smallest ratios would be rounded to 0, which means no data.
    stored = np.maximum((20000 * a + total // 2) // total, 1)
    return np.where((a > 0) & (b > 0), stored, 0).astype(np.uint16)


@dataclass(frozen=True)
class Variable:
    """A value of a cell in one scene: a band or an index."""

    name: str
    """Name of the band or index in capitals: first part of a feature's name."""
    bands: tuple[str, ...]
    """Bands that it is computed from."""
    quantity: str
    """What it measures; the long name in files."""
    units: str
    """Units of the stored numbers, for titles and metadata of maps."""
    scale: float = 1e-4
    """Value of one stored step."""
    offset: float = 0
    """Value of stored 0, so that index values below 0 can be stored."""
    semantic_label: str | None = None
    """Label of GRASS maps; None = no label."""
    compute: Callable[[Sequence[np.ndarray]], np.ndarray] = _first
    """Compute the stored numbers, array (row, col), uint16, 0 = no data, from the same of each of `bands`."""

    @property
    def is_band(self) -> bool:
        """Whether it is one band as it is."""
        return self.bands == (self.name,)

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Convert stored numbers (uint16, 0 = no data) to values (float32, NaN = no data)."""
        return np.where(stored == 0, np.nan, stored * self.scale + self.offset).astype(np.float32)

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Convert values (float32, NaN = no data) back to stored numbers (uint16, 0 = no data)."""
        steps = (values.astype(np.float64) - self.offset) / self.scale
        valid = (steps > 0) & (steps < 65535.5)
        return np.where(valid, np.rint(np.where(valid, steps, 0)), 0).astype(np.uint16)


INDICES: tuple[Variable, ...] = (
    Variable(
        "NDVI", ("B8A", "B04"), "normalized difference vegetation index", "(NDVI + 1) x 10000",
        offset=-1, semantic_label="S2_NDVI", compute=normalized_difference,
    ),
)  # fmt: skip
"""Indices that option <bands> of r.s2.yearly accepts beside bands."""


def find_variable(name: str) -> Variable:
    """Return an index by its name, else the band of that name.

    >>> find_variable("B8A").bands, find_variable("B04").semantic_label
    (('B8A',), 'S2_4')
    """
    index = next((index for index in INDICES if index.name == name), None)
    return index or Variable(
        name, (name,), "surface reflectance", "reflectance x 10000", semantic_label=semantic_label(name)
    )


@dataclass(frozen=True)
class Feature:
    """A statistic of a variable over the clear observations of a period.

    >>> feature = Feature.parse("B12_p50_summer")
    >>> feature.variable.name, feature.statistic, feature.part, feature.name
    ('B12', 'p50', 'summer', 'B12_p50_summer')
    """

    variable: Variable
    statistic: str
    """As in METHODS or STATISTICS of core/composite: p50, medoid, min, ..."""
    part: str = ""
    """Season, month or window, where a year's features are stacked from several composites; empty = the whole period."""

    @property
    def name(self) -> str:
        """Name in files, cards and map names."""
        return "_".join(word for word in (self.variable.name, self.statistic, self.part) if word)

    @property
    def title(self) -> str:
        """Title for people, with units: Median of B12, reflectance x 10000."""
        words = TITLES.get(self.statistic, "{} " + self.statistic).format(self.variable.name)
        return f"{words}, {self.variable.units}"

    @property
    def long_name(self) -> str:
        """Description by the CF conventions."""
        return f"{self.variable.quantity}, {self.name}"

    @property
    def semantic_label(self) -> str | None:
        """Label of its GRASS map: the variable's, followed by the statistic where a run makes several, so that labels of a group differ.

        >>> Feature.parse("B12_p50").semantic_label, Feature.parse("B12_min").semantic_label
        ('S2_12', 'S2_12_min')
        """
        label = self.variable.semantic_label
        return f"{label}_{self.statistic}" if label and self.statistic in STATISTICS else label

    def in_part(self, part: str) -> Feature:
        """Return the same feature of a part of the year; features of the whole year carry no part in their name.

        >>> Feature.parse("B12_p50").in_part("summer").name, Feature.parse("B12_p50").in_part("year").name
        ('B12_p50_summer', 'B12_p50')
        """
        return Feature(self.variable, self.statistic, "" if part == "year" else part)

    @classmethod
    def parse(cls, name: str) -> Feature:
        """Parse a name. A variable that the suite does not know is a band, whose maps may come from another system."""
        variable, _, rest = name.partition("_")
        statistic, _, part = rest.partition("_")
        return cls(find_variable(variable), statistic, part)


def needed_bands(variables: Iterable[Variable]) -> tuple[str, ...]:
    """Return the bands that variables are computed from, each once."""
    return tuple(dict.fromkeys(band for variable in variables for band in variable.bands))


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names of features into the order of a model's input: the default bands in their order, then the others by name.

    What the method made comes first, then one statistic after the other, from the smallest to the largest.

    >>> in_order(["B04_p50", "B08_p50", "B12_p50"])
    ('B12_p50', 'B04_p50', 'B08_p50')
    >>> in_order(["B12_max", "B12_min", "B12_p50", "B12_p9", "NDVI_p50", "B11_min"])
    ('B12_p50', 'NDVI_p50', 'B12_min', 'B11_min', 'B12_p9', 'B12_max')
    """
    first = {band: place for place, band in enumerate(DEFAULT_BANDS)}

    def place(name: str) -> tuple[int, int, str]:
        feature = Feature.parse(name)
        return STATISTICS.get(feature.statistic, -1), first.get(feature.variable.name, len(first)), name

    return tuple(sorted(names, key=place))
