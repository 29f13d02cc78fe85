"""The settings of a world (seed, years, size) and its place and tiles.

The *place* is the square that the world covers. It lies near 12 E, 52.7 N, where UTM zones 32 and 33 meet: only tile 32UPD covers its
west, only 33UUU its east, and both cover a strip of about 5 km in the middle. The *land* is the place with a margin around it.
"""

from __future__ import annotations

import zlib
from argparse import ArgumentTypeError
from dataclasses import asdict, dataclass

import numpy as np

CENTRE_X, CENTRE_Y = 4460800, 3292000
"""Centre of the place in EPSG:3035, metres."""
FINE_M = 5
"""Cell size of the land model, metres: sixteen cells in a 20 m cell, so that a road or a roof is a part of a pixel."""
RES_M = 20
MARGIN_M = 100
"""Width of the margin around the place, metres, so that no cell of the place lies at the edge of a scene."""
COLLECTION = "sentinel-2-l2a"
BUCKET = "eodata"


@dataclass(frozen=True)
class Tile:
    """One tile of the Sentinel-2 tiling: 5490 x 5490 cells of 20 m."""

    name: str
    """MGRS code."""
    epsg: int
    """UTM zone."""
    ulx: int
    """West edge, metres."""
    uly: int
    """North edge, metres."""
    side_px: int = 5490


TILES = (Tile("32UPD", 32632, 600000, 5900040), Tile("33UUU", 32633, 300000, 5900040))


@dataclass(frozen=True)
class Spec:
    """The settings of a world. Two worlds with equal settings are equal byte by byte."""

    seed: int = 1
    years: tuple[int, ...] = (2017, 2018, 2019)
    size_km: float = 20.0
    """Side of the square place."""
    dates: int = 4
    """Acquisition dates a year."""
    growth: float = 0.003
    """Newly sealed land in each year, as a share of the sealed land of the first year."""
    clouds: bool = True
    """False makes all scenes free of clouds, for tests of geometry."""
    noise: bool = True
    """False makes scenes without noise of the instrument and without geolocation error."""
    broken: bool = False
    """True makes one object corrupt (its checksum is wrong) and removes the objects of one scene that the catalogue lists."""
    earth_search: bool = False
    """True adds the same acquisitions in the form of Earth Search: cloud-optimised GeoTIFFs, and items of its two collections."""

    def __post_init__(self) -> None:
        if not 1 <= self.size_km <= 110:
            raise ValueError(f"--size-km: found {self.size_km}, expected 1 to 110. Choose another size.")
        if not 1 <= self.dates <= 30:
            raise ValueError(f"--dates: found {self.dates}, expected 1 to 30. Choose another number.")
        if not self.years or list(self.years) != list(range(self.years[0], self.years[-1] + 1)):
            raise ValueError(f"--years: found {self.years}, expected consecutive years such as 2017-2019. Change them.")
        if self.seed < 0:
            raise ValueError(f"--seed: found {self.seed}, expected 0 or more. Choose another number.")
        if not 0 <= self.growth <= 0.1:
            raise ValueError(
                f"--growth: found {self.growth}, expected a share of 0 to 0.1 a year. Choose another rate."
            )
        if self.years[0] < 2017 or self.years[-1] > 2025:
            raise ValueError(f"--years: found {self.years}, expected years in 2017-2025. Change them.")

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north of the place, metres in EPSG:3035, multiples of 20."""
        half = round(self.size_km * 1000 / 2 / RES_M) * RES_M
        return CENTRE_X - half, CENTRE_Y - half, CENTRE_X + half, CENTRE_Y + half

    @property
    def land_bounds(self) -> tuple[int, int, int, int]:
        """The same for the land: the place with its margin."""
        west, south, east, north = self.bounds
        return west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M

    def rng(self, *name: object) -> np.random.Generator:
        """Return a random generator for a named purpose. Each purpose has its own, so that a change to one does not change the others."""
        return np.random.default_rng([self.seed, zlib.crc32("/".join(map(str, name)).encode())])

    def as_dict(self) -> dict[str, object]:
        """Return the settings as values for JSON."""
        return {**asdict(self), "years": list(self.years)}


def parse_years(text: str) -> tuple[int, ...]:
    """Read years such as 2017-2019 or 2018.

    >>> parse_years("2017-2019")
    (2017, 2018, 2019)
    """
    first, _, last = text.partition("-")
    try:
        years = tuple(range(int(first), int(last or first) + 1))
    except ValueError:
        years = ()
    if not years:
        raise ArgumentTypeError(f"found '{text}', expected years such as 2017-2019 or 2018. Change them.")
    return years
