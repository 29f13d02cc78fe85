"""Ground for tests of samples: a small place whose truth is known, with the maps that r.unet.predict would make of it."""

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter

from imperviouslib.core import mapnames
from imperviouslib.core.grid import Grid
from imperviouslib.core.sample import Scores

GRID = Grid(4_000_000, 3_000_000, 4_000_000 + 20 * 260, 3_000_000 + 20 * 240)
YEARS = (2017, 2018, 2020)


def make_place(grid=GRID, years=YEARS, seed=1, rate=0.01):
    """Return the truth (year, row, col), and the probabilities of sealing (year), gain and loss (pair), which are right in most places."""
    rng = np.random.default_rng(seed)
    rows, cols = grid.shape
    town = gaussian_filter(rng.normal(size=grid.shape), 9)
    sealed = town > 1.2 * town.std()
    truth = np.repeat(sealed[np.newaxis], len(years), 0)
    changed = np.zeros(grid.shape, bool)
    for kind, share in ((True, rate), (False, rate / 8)):
        while (truth[0] != truth[-1])[sealed != kind].sum() < share * rows * cols:
            r, c, h, w = rng.integers(0, rows), rng.integers(0, cols), *rng.integers(2, 7, 2)
            part = np.zeros(grid.shape, bool)
            part[r : r + h, c : c + w] = True
            part &= (sealed != kind) & ~changed
            truth[rng.integers(1, len(years)) :, part] = kind
            changed |= part
    noise = gaussian_filter(rng.normal(size=grid.shape), 1)
    noise /= noise.std()
    seen = changed & (gaussian_filter(rng.normal(size=grid.shape), 2) > -0.15)
    steps = len(years) - 1
    base = np.exp(-6 + 0.7 * noise)
    gain, loss = np.stack([base] * steps), np.stack([base / 10] * steps)
    for k in range(steps):
        gain[k][seen & ~truth[k] & truth[k + 1]] = 0.8
        loss[k][seen & truth[k] & ~truth[k + 1]] = 0.8
    first = 1 / (1 + np.exp(-(-3.2 + 6 * truth[0] + noise)))
    first = np.clip(first, loss.sum(0), 1 - gain.sum(0))
    stock = np.stack([first + gain[:k].sum(0) - loss[:k].sum(0) for k in range(steps + 1)])
    return truth, stock.astype("f4"), gain.astype("f4"), loss.astype("f4")


def scores_of(place):
    """Return what a sample is drawn by."""
    _truth, stock, gain, loss = place
    return Scores(gain.sum(0), loss.sum(0), stock.mean(0))


def predicted_maps(place, years=YEARS):
    """Return the maps of r.unet.predict: name to array."""
    _truth, stock, gain, loss = place
    maps = {}
    for n, year in enumerate(years):
        maps[f"lc_{year}_p_sealed"] = stock[n]
        maps[f"lc_{year}_class"] = np.where(stock[n] >= 0.5, 1, 3).astype("int32")
        maps[f"lc_{year}_p_artificial"] = np.clip(stock[n] * 10_000, 1, 9999).astype("int32")
        for key, share in (("natural", 0.02), ("green", 0.95), ("other", 0.03)):
            maps[f"lc_{year}_p_{key}"] = np.clip((1 - stock[n]) * share * 10_000, 1, 9999).astype("int32")
    for n, pair in enumerate(itertools.pairwise(years)):
        maps[mapnames.change_map("lc", pair, "p_gain")] = gain[n]
        maps[mapnames.change_map("lc", pair, "p_loss")] = loss[n]
    span = years[0], years[-1]
    maps[mapnames.change_map("lc", span, "p_gain")] = gain.sum(0)
    maps[mapnames.change_map("lc", span, "p_loss")] = loss.sum(0)
    return maps


def composite_maps(place, years=YEARS):
    """Return composites that show sealed land brighter: name to array."""
    truth = place[0]
    return {
        f"s2_{year}_{feature}": (800 + 150 * band + 1500 * truth[n]).astype("int32")
        for n, year in enumerate(years)
        for band, feature in enumerate(("B12_p50", "B11_p50", "B04_p50"))
    }


def zones_collection(grid=GRID):
    """Return two countries' worth of regions as GeoJSON: one of level 0 in four of level 1, over the whole grid."""
    west, south, east, north = grid.bounds
    x, y = (west + east) // 40 * 20, (south + north) // 40 * 20

    def feature(geo, level, w, s, e, n):
        ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
        properties = {"NUTS_ID": geo, "LEVL_CODE": level, "NAME_LATN": f"Region {geo}"}
        return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    quarters = {
        "XX1": (west, y, x, north),
        "XX2": (x, y, east, north),
        "XX3": (west, south, x, y),
        "XX4": (x, south, east, y),
    }
    features = [feature("XX", 0, *grid.bounds), *(feature(geo, 1, *box) for geo, box in quarters.items())]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
    return {"type": "FeatureCollection", "crs": crs, "features": features}
