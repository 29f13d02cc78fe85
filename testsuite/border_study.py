"""How far figures by centre differ from figures by share: `python3 -m testsuite.border_study`, for the manual page and ADR 13.

Regions are cells of Voronoi around random points. The land has sealed patches of some hundred metres, and new ones of a hectare or two that
make 0.4 % of it. Differences are relative to the figure by share; printed are the median and the value that one region in twenty exceeds.
"""

from __future__ import annotations

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter

from imperviouslib.core.grid import Grid
from imperviouslib.edge.coverage import cell_shares
from testsuite.test_borders import outline_of

SIDE = 3000
"""Cells a side: 60 km."""
SEALED, NEW = 0.06, 0.004
"""Shares of the land."""
SIZES_KM2 = 1, 10, 100


def land(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return where land is sealed and where it becomes so, (row, col), bool."""
    town, site = (gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma) for sigma in (6, 2.5))
    sealed = town > np.quantile(town, 1 - SEALED)
    # Building stands near what is sealed.
    site = site / site.std() + town / town.std()
    site[sealed] = -np.inf
    return {"stock": sealed, "gain": site > np.quantile(site, 1 - NEW)}


def differences(size_km2: float, maps: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return what figures by centre have more than those by share, relative to these, for regions that do not meet the edge."""
    side = SIDE * 20
    points = shapely.MultiPoint(rng.uniform(0, side, (round(side**2 / 1e6 / size_km2), 2)))
    box = shapely.box(0, 0, side, side)
    regions = [one for one in shapely.voronoi_polygons(points).geoms if shapely.contains_properly(box, one)]
    found: dict[str, list[float]] = {name: [] for name in ("area", *maps)}
    for region in regions[:400]:
        west, south, east, north = (np.array(region.bounds) // 20 * 20).astype(int).tolist()
        grid = Grid(west, south, east + 20, north + 20)
        place, share = cell_shares(outline_of(region), grid)
        row, col = np.divmod(place, grid.width)
        x, y = grid.west + 20 * col + 10, grid.north - 20 * row - 10
        centred = shapely.contains_xy(region, x, y).astype(float)
        top, left = (side - grid.north) // 20, grid.west // 20
        for name, plane in {"area": np.ones_like(maps["stock"]), **maps}.items():
            cells = plane[top + row, left + col]
            if exact := float(share @ cells):
                found[name].append(float(centred @ cells) / exact - 1)
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    """Print a table."""
    rng = np.random.default_rng(1)
    maps = land(rng)
    print("km2   regions  figure   median %  1 in 20 above %")
    for size in SIZES_KM2:
        for name, values in differences(size, maps, rng).items():
            print(
                f"{size:<6}{len(values):>6}   {name:<6} {100 * np.median(abs(values)):>9.3f} {100 * np.quantile(abs(values), 0.95):>14.3f}"
            )


if __name__ == "__main__":
    main()
