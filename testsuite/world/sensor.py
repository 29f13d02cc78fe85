"""One scene of one tile: the land as the instrument sees it, through air, clouds and their shadows.

The result is reflectance, and a scene classification (SCL) that has the errors of the real one. products.py writes both as a Level-2A product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from testsuite.world.fields import exp, fractal_noise, power
from testsuite.world.land import Land
from testsuite.world.passes import Pass
from testsuite.world.plan import COARSE_M
from testsuite.world.spec import RES_M, Spec
from testsuite.world.surfaces import surface_reflectance
from testsuite.world.view import SUN_AZIMUTH, View

SWATH_TILT = np.radians(13.5)
"""Tilt of the edge of the swath at 52.7 N against north (descending orbit)."""
POINTING_M = 5.0 / np.sqrt(-2 * np.log(0.05))
"""Standard deviation of the geolocation error along each axis; the error is below 5 m for 95 % of the acquisitions. Products with ESA's
geometric refinement have 3.5 m (two of them differ by 5 m, as announced in March 2021), older ones 11 m. With 11 m the bounds in difficulty.py
are not met."""
CLOUD = np.array([0.62, 0.46, 0.37, 0.66])
ADJACENCY = 0.03
"""Adjacency effect: share of the signal of a pixel that comes from the land within 250 m, left after the atmospheric correction."""


def draw_clouds(spec: Spec, when: Pass) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the clouds of an acquisition. Returns: arrays (row, col) on 40 m cells, float32: cloud thickness, shadow, cirrus, each 0-1."""
    west, south, east, north = spec.land_bounds
    shape = -(-(north - south) // COARSE_M), -(-(east - west) // COARSE_M)
    rng = spec.rng("sky", f"{when.sensed:%Y%m%d}")
    pad = 60
    field = fractal_noise(rng, (shape[0] + pad, shape[1] + pad), COARSE_M, float(rng.uniform(1500, 6000)), 2.9)
    cirrus = fractal_noise(rng, shape, COARSE_M, 12000, 3.2)
    if not spec.clouds:
        return (np.zeros(shape, np.float32),) * 3
    threshold = np.quantile(field, 1 - when.cloud_cover)
    thick = np.clip((field - threshold) / 0.24, 0, 1)
    # Shadows fall to the north-west, away from the sun; the farther, the higher the cloud and the lower the sun.
    height = rng.uniform(600, 2200)
    away = 0.65 * (1.0 + 0.012 * abs(when.day - 172)) * height / COARSE_M
    dy, dx = int(-np.cos(SUN_AZIMUTH) * away), int(np.sin(SUN_AZIMUTH) * away)
    dy, dx = min(dy, pad - 1), min(dx, pad - 1)
    shadow = np.clip(thick[dy : dy + shape[0], dx : dx + shape[1]] * 1.6, 0, 1)
    thin = np.clip(cirrus - rng.uniform(1.0, 3.0), 0, 1) * 0.9
    return thick[: shape[0], : shape[1]], shadow, thin.astype(np.float32)


@dataclass
class Scene:
    """What the instrument delivers for one window of a tile."""

    bands: np.ndarray
    """(4, row, col) float32, reflectance of B04, B11, B12, B8A; undefined where not `valid`."""
    scl: np.ndarray
    """(row, col) uint8, scene classification, 0 no data."""
    valid: np.ndarray
    """(row, col) bool."""


def in_swath(view: View, when: Pass) -> np.ndarray:
    """Tell which pixels the swath covers. Returns: array (row, col), bool."""
    if when.swath_edge is None:
        return np.ones(view.valid.shape, bool)
    west, south, east, north = view.spec.bounds
    across = (view.x - west) - (view.y - (south + north) / 2) * np.tan(SWATH_TILT)
    limit = when.swath_edge * (east - west)
    # The swath of orbit 65 covers the west of the place, that of orbit 122 the east.
    return across < limit if when.relative_orbit == 65 else across > limit


def shift_image(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """Shift an image by a fraction of a pixel, by cubic convolution. image : array (row, col), float32. Returns: the same shape."""
    for axis, by in enumerate((down, right)):
        at = np.arange(-2, 3) + by
        far = np.abs(at)
        near = (1.5 * far - 2.5) * far * far + 1
        outer = ((-0.5 * far + 2.5) * far - 4) * far + 2
        weights = np.where(far <= 1, near, np.where(far < 2, outer, 0))
        image = ndimage.correlate1d(image, weights, axis, np.float32, mode="nearest")
    return image


def observe(view: View, land: Land, when: Pass) -> Scene:
    """Simulate one scene. view : must have loaded the fields of the land (`View.load_land`)."""
    spec = view.spec
    rng = spec.rng("scene", f"{when.sensed:%Y%m%dT%H%M%S}", view.window.tile.name)
    surfaces = surface_reflectance(spec, land, when)
    red = (view.red @ surfaces[:, (0, 3, 7)]).reshape(*view.valid.shape, 3)
    swir = (view.swir @ surfaces[:, (1, 2, 3, 7, 4, 5, 6, 8)]).reshape(*view.valid.shape, 8)
    leaf, water, dark = (swir[..., i] for i in (4, 5, 6))
    # Of each band: reflectance, texture, texture of growth and soil.
    seen = (red, swir[..., (0, 2, 3)], swir[..., (1, 2, 3)], swir[..., (7, 2, 3)])
    t = view.texture
    west, south, east, north = spec.land_bounds
    day_rng = spec.rng("weather", f"{when.sensed:%Y%m%d}")
    coarse = (north - south) // 200, (east - west) // 200
    shower = view.sample(fractal_noise(day_rng, coarse, 200, 9000, 3.0), 200)
    bands = np.empty((4, *view.valid.shape), np.float32)
    # Where plants are thin, red is brighter and the near infrared darker.
    weight = ((1.0, 0.55, 1.65), (0.85, -0.45, 0.15), (0.85, -0.60, 0.75), (0.70, -0.25, -0.75))
    for b in range(4):
        g = weight[b]
        mean, rough, growth = (seen[b][..., i] for i in range(3))
        bands[b] = mean * exp(
            rough * (g[0] * t[0] + g[1] * t[1]) + growth * g[2] * t[2] - 0.02 * (b in (1, 2)) * shower
        )
    bands *= 1 + np.clip(0.5 * view.light, -0.15, 0.15)
    fill = [float(b[view.valid].mean()) if view.valid.any() else 0.1 for b in bands]
    # Both tiles of an acquisition have the same geolocation error.
    astray = spec.rng("pointing", f"{when.sensed:%Y%m%d}").normal(0, POINTING_M, 2) / RES_M
    haze = day_rng.gamma(3.0, 0.0006) + 0.003 * when.cloud_cover
    for b in range(4):
        image = np.where(view.valid, bands[b], np.float32(fill[b]))
        if spec.noise:
            image = shift_image(image, *astray)
        # The adjacency effect.
        air = ndimage.uniform_filter(image, 25)
        bands[b] = image * (1 - ADJACENCY) + air * ADJACENCY + haze * (1.0, 0.25, 0.2, 0.7)[b]
    # The remaining error of the atmospheric correction is similar in all bands, so that their ratios vary less.
    overall, own = day_rng.normal(0, 0.004), day_rng.normal(0, 0.002, 4)
    bands *= (1 + overall + own).astype(np.float32)[:, None, None]
    thick, shadow, cirrus = (view.sample(f, COARSE_M) for f in draw_clouds(spec, when))
    shade = np.clip(shadow - thick, 0, 1)
    clear_red = bands[0].copy()
    for b in range(4):
        bands[b] *= 1 - 0.68 * shade
        cover = power(np.clip(thick * 1.25, 0, 1), 0.8)
        lumps = 0.80 + 0.30 * thick
        bands[b] = bands[b] * (1 - cover) + CLOUD[b] * lumps * cover + 0.045 * cirrus * (1.0, 0.7, 0.6, 1.0)[b]
        if spec.noise:
            bands[b] += rng.standard_normal(view.valid.shape, np.float32) * (
                0.0003 + 0.0012 * np.minimum(np.abs(bands[b]), 0.3)
            )
    valid = view.valid & in_swath(view, when)
    scl = classify(clear_red, water, leaf, dark, thick, shade, cirrus, t, rng)
    scl[~valid] = 0
    return Scene(bands, scl, valid)


def classify(red, water, leaf, dark, thick, shade, cirrus, t, rng: np.random.Generator) -> np.ndarray:
    """Make a scene classification with the errors of the real product.

    Bright roofs become cloud, some thin cloud is missed, some water becomes cloud shadow, some dark roofs become dark area.
    All arguments: arrays (row, col); t : three textures of standard deviation 1. Returns: array (row, col), uint8, SCL codes
    """
    # Errors repeat at the same places: a cell that is wrongly cloud on one date is so on most dates.
    habit, today = t[2], rng.random(red.shape, np.float32) < 0.1
    # The classification is smoother than the image.
    leaf = ndimage.gaussian_filter(leaf, 0.7)
    scl = np.where(leaf > 0.42, 4, 5).astype(np.uint8)
    scl[(dark > 0.5) & (habit > 0) & ~today] = 2
    scl[(np.abs(leaf - 0.42) < 0.03) & (habit > 0.5)] = 7
    scl[water > 0.55] = 6
    scl[(water > 0.55) & (t[1] > 0.8)] = 3
    # In real scenes of Flanders two fifths of the pixels with a red of 0.20 to 0.225 are cloud in the SCL; below 0.15, one in seventy.
    scl[(red > 0.216 - 0.025 * habit) & ~today] = 8
    scl[red > 0.30] = 9
    scl[shade > 0.22] = 3
    scl[(shade > 0.10) & (shade <= 0.22)] = 7
    found = np.where(thick > 0.01, thick + 0.05 * t[1], 0)
    missed = t[0] + t[1] > 0.9
    scl[(cirrus > 0.18) & ~missed] = 10
    scl[(found > 0.06) & ~missed] = 10
    scl[(found > 0.06) & missed & (habit > 0.6)] = 7
    scl[found > 0.24] = 8
    scl[found > 0.5] = 9
    return scl
