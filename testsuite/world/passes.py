"""When the satellites pass over a world: dates, orbits, processing baselines and cloud cover."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from scipy.special import betaincinv

from testsuite.world.spec import Spec

BASELINES = (
    ("2017-01-01", "02.05"), ("2017-10-23", "02.06"), ("2018-10-08", "02.09"), ("2018-11-20", "02.11"), ("2019-05-06", "02.12"),
    ("2019-07-10", "02.13"), ("2020-02-04", "02.14"), ("2021-03-30", "03.00"), ("2021-06-30", "03.01"), ("2022-01-25", "04.00"),
    ("2022-12-06", "05.09"), ("2023-12-13", "05.10"),
)  # fmt: skip
"""First date of sensing at which ESA used each processing baseline."""
ORBITS = {
    # (relative orbit, satellite): start of one real datatake over the place, and its absolute orbit. The next one comes ten days later.
    (22, "A"): ("2018-04-19T10:10:31", 14748), (22, "B"): ("2020-03-14T10:10:29", 15778),
    (65, "A"): ("2018-04-22T10:20:31", 14791), (65, "B"): ("2020-03-17T10:20:29", 15821),
    (122, "A"): ("2018-04-26T10:00:31", 14848), (122, "B"): ("2020-03-21T10:00:29", 15878),
}  # fmt: skip
SEASON = ((5, 1), (9, 30))
"""First and last month and day of the acquisitions: the months with leaves, which land-cover maps commonly use."""
SECOND_SATELLITE = datetime(2017, 7, 1, tzinfo=UTC)
"""Sentinel-2B has no data before this date."""
CLOUD_COVER = (0.29, 1.4)
"""Parameters of the beta distribution from which the cloud cover of a pass is drawn."""


@dataclass(frozen=True)
class Pass:
    """One acquisition of the whole place."""

    sensed: datetime
    """Start of the datatake, UTC."""
    satellite: str
    """A or B."""
    relative_orbit: int
    """Relative orbit."""
    absolute_orbit: int
    """Absolute orbit."""
    cloud_cover: float
    """Intended share of the place under cloud, 0-1; the drawn clouds come close to it."""
    swath_edge: float | None
    """Where the swath ends, as a share of the place from west to east; None if the swath covers all of the place."""

    @property
    def day(self) -> int:
        """Day of the year."""
        return self.sensed.timetuple().tm_yday

    @property
    def baseline(self) -> str:
        """Processing baseline at the time of sensing."""
        return [b for first, b in BASELINES if first <= f"{self.sensed:%Y-%m-%d}"][-1]


def passes(spec: Spec) -> list[Pass]:
    """Draw the acquisitions of all years: by the real repeat cycles, spread over the season, up to half of them with the edge of the swath in the place."""
    out: list[Pass] = []
    for year in spec.years:
        rng = spec.rng("passes", year)
        calendar: list[tuple[datetime, str, int, int]] = []
        for (orbit, satellite), (known, absolute) in ORBITS.items():
            start = datetime.fromisoformat(known).replace(tzinfo=UTC)
            first = round((datetime(year, 4, 18, tzinfo=UTC) - start) / timedelta(days=10))
            for k in range(first, first + 19):
                when = start + timedelta(days=10 * k)
                early = satellite == "B" and when < SECOND_SATELLITE
                if SEASON[0] <= (when.month, when.day) <= SEASON[1] and not early:
                    calendar.append((when, satellite, orbit, absolute + 143 * k))
        calendar.sort()
        # Of up to four dates three quarters see all of the place, of more dates half. The others see its west or its east.
        n_part = spec.dates // (2 if spec.dates > 4 else 4)
        one, other = rng.permutation((65, 122))
        picked = []
        for orbit, n in ((22, spec.dates - n_part), (one, n_part - n_part // 2), (other, n_part // 2)):
            group = [c for c in calendar if c[2] == orbit]
            # One from each part of the season.
            bounds = np.linspace(0, len(group), n + 1)
            dates = [group[int(rng.integers(int(a), max(int(a) + 1, int(b))))] for a, b in pairwise(bounds)]
            # Most skies are either clear or overcast: the beta distribution has the shape of a U. Its quantiles are evenly spaced,
            # so that every year has clear dates.
            even = (np.arange(n) + rng.uniform(0.2, 0.8, n)) / max(1, n)
            sky = np.clip(betaincinv(*CLOUD_COVER, even), 0.01, 0.97)
            # Clear and cloudy dates alternate, so that the clear ones are spread over the season.
            cover = np.empty(n)
            first = int(rng.integers(2))
            clear = len(cover[first::2])
            cover[first::2] = rng.permutation(sky[:clear])
            cover[1 - first :: 2] = rng.permutation(sky[clear:])
            picked += zip(dates, cover, strict=True)
        picked.sort()
        for (when, satellite, orbit, absolute), share in picked:
            edge = None if orbit == 22 else float(rng.uniform(0.25, 0.5) if orbit == 65 else rng.uniform(0.5, 0.75))
            out.append(Pass(when, satellite, orbit, absolute, float(share) if spec.clouds else 0.0, edge))
    return out
