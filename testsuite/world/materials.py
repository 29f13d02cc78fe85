"""What the land is made of: classes, spectra, seasons.

Reflectance is that of Sentinel-2 B04, B11, B12, B8A, 0-1. Means lie within the classes of the Berlin-Urban-Gradient library (Okujeni et al.
2016, doi 10.5880/enmap.2016.008), adjusted so that each class varies as much as there and in real scenes (measured by reality.py). Crops,
marsh, moor and rock are not in the library; their values lie between the most similar materials of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BANDS = ("B04", "B11", "B12", "B8A")


@dataclass(frozen=True)
class Material:
    """One kind of surface."""

    name: str
    s2glc: int
    """Code in the S2GLC legend."""
    bare: tuple[float, float, float, float]
    """Reflectance without leaves, or of the material itself."""
    green: tuple[float, float, float, float] | None = None
    """Reflectance with all leaves; None for materials that are not plants."""
    season: tuple[float, float, float, float] | None = None
    """Days of the year: leaves start to grow, are complete, start to fade, are gone; None if leaves are always complete."""
    spread: float = 0.10
    """Standard deviation of the logarithm of brightness, between objects."""
    texture: float = 0.08
    """The same, within an object."""
    moist: float = 0.0
    """How much the bare state darkens when wet, 0-1."""


SOIL = (0.157, 0.328, 0.302, 0.215)
STUBBLE = (0.132, 0.340, 0.232, 0.255)
LITTER = (0.065, 0.165, 0.110, 0.145)
DRY_GRASS = (0.110, 0.316, 0.214, 0.230)

MATERIALS: tuple[Material, ...] = (
    Material("roof_tile", 62, (0.163, 0.370, 0.375, 0.205), spread=0.44, texture=0.10),
    Material("roof_cement", 62, (0.195, 0.290, 0.207, 0.203), spread=0.15, texture=0.08),
    Material("roof_dark", 62, (0.080, 0.125, 0.120, 0.090), spread=0.32, texture=0.10),
    Material("roof_bright", 62, (0.245, 0.335, 0.290, 0.250), spread=0.38, texture=0.08),
    Material("roof_white", 62, (0.450, 0.470, 0.335, 0.440), spread=0.35, texture=0.06),
    Material("roof_metal", 62, (0.090, 0.140, 0.132, 0.095), spread=0.25, texture=0.06),
    Material("hall", 62, (0.155, 0.210, 0.175, 0.165), spread=0.28, texture=0.08),
    Material("asphalt", 62, (0.096, 0.140, 0.130, 0.103), spread=0.29, texture=0.08),
    Material("concrete", 62, (0.190, 0.240, 0.185, 0.203), spread=0.53, texture=0.10),
    Material("paving", 62, (0.142, 0.245, 0.218, 0.168), spread=0.40, texture=0.10),
    Material("court", 62, (0.222, 0.465, 0.435, 0.268), spread=0.30, texture=0.05),
    Material("rail", 62, (0.110, 0.180, 0.165, 0.110), spread=0.12, texture=0.08),
    Material("rock", 121, (0.200, 0.345, 0.330, 0.245), spread=0.075, texture=0.12, moist=0.2),
    Material("gravel_bank", 121, (0.170, 0.290, 0.270, 0.215), spread=0.075, texture=0.12, moist=0.3),
    Material("cereal", 73, SOIL, (0.040, 0.190, 0.092, 0.395), (60, 125, 172, 197), 0.145, 0.10, 0.30),
    Material("rape", 73, SOIL, (0.055, 0.200, 0.100, 0.415), (55, 105, 165, 190), 0.145, 0.10, 0.30),
    Material("maize", 73, SOIL, (0.048, 0.178, 0.091, 0.405), (123, 168, 255, 278), 0.145, 0.10, 0.30),
    Material("beet", 73, SOIL, (0.055, 0.212, 0.112, 0.425), (115, 165, 275, 300), 0.145, 0.10, 0.30),
    Material("fallow", 73, SOIL, (0.085, 0.260, 0.155, 0.320), (100, 160, 210, 300), 0.16, 0.11, 0.30),
    Material("vineyard", 75, SOIL, (0.070, 0.205, 0.125, 0.290), (110, 170, 270, 300), 0.14, 0.08, 0.30),
    Material("broadleaf", 82, LITTER, (0.0300, 0.130, 0.060, 0.300), (105, 140, 275, 305), 0.13, 0.10),
    Material("conifer", 83, (0.0255, 0.088, 0.038, 0.190), None, None, 0.16, 0.11),
    Material("meadow", 102, DRY_GRASS, (0.055, 0.245, 0.122, 0.395), None, 0.14, 0.07),
    Material("natural_grass", 102, DRY_GRASS, (0.077, 0.247, 0.139, 0.320), None, 0.15, 0.10),
    Material("lawn", 102, DRY_GRASS, (0.042, 0.240, 0.109, 0.430), None, 0.14, 0.08),
    Material("garden", 102, LITTER, (0.055, 0.200, 0.103, 0.390), (90, 130, 280, 310), 0.16, 0.12),
    Material("moor", 103, (0.075, 0.215, 0.140, 0.165), (0.058, 0.185, 0.105, 0.215), (110, 170, 260, 300), 0.12, 0.10),
    Material("shrub", 104, (0.075, 0.200, 0.125, 0.200), (0.050, 0.165, 0.088, 0.270), (100, 150, 270, 300), 0.14, 0.12),
    Material("marsh", 105, (0.078, 0.100, 0.055, 0.150), (0.058, 0.082, 0.038, 0.200), (110, 165, 255, 290), 0.15, 0.10, 0.35),
    Material("peatbog", 106, (0.078, 0.102, 0.060, 0.145), (0.066, 0.090, 0.046, 0.185), (115, 170, 250, 290), 0.12, 0.10, 0.35),
    Material("water", 162, (0.035, 0.014, 0.010, 0.022), None, None, 0.22, 0.05),
    Material("bare_soil", 73, SOIL, None, None, 0.15, 0.08, 0.30),
    # Only new buildings and building sites have these. They lie near the library's white roofs, light grey roof, black tile, asphalt 1-3,
    # concrete 2 and 3; rubble lies between concrete 2 and soil.
    Material("roof_membrane", 62, (0.230, 0.285, 0.240, 0.240), spread=0.28, texture=0.06),
    Material("roof_gravel", 62, (0.180, 0.225, 0.200, 0.197), spread=0.20, texture=0.08),
    Material("roof_solar", 62, (0.062, 0.072, 0.066, 0.064), spread=0.22, texture=0.06),
    Material("asphalt_new", 62, (0.064, 0.084, 0.081, 0.069), spread=0.15, texture=0.06),
    Material("pavers", 62, (0.205, 0.262, 0.206, 0.222), spread=0.25, texture=0.08),
    Material("rubble", 62, (0.180, 0.275, 0.245, 0.195), spread=0.20, texture=0.12),
)  # fmt: skip
CODE = {m.name: i for i, m in enumerate(MATERIALS)}
FIELD = ("cereal", "rape", "maize", "beet", "fallow")
CROPS = np.array([CODE[n] for n in FIELD])
CROP_SHARES = np.array([0.52, 0.13, 0.19, 0.08, 0.08])
S2GLC = np.array([m.s2glc for m in MATERIALS], np.uint8)
CLASS_OF_S2GLC = {62: 1, 121: 2, 73: 3, 75: 3, 82: 3, 83: 3, 102: 3, 103: 3, 104: 3, 105: 4, 106: 4, 123: 4, 162: 4}
CLASS = np.array([CLASS_OF_S2GLC[m.s2glc] for m in MATERIALS], np.uint8)
WETLAND = np.isin(np.arange(len(MATERIALS)), [CODE["marsh"], CODE["peatbog"]])
GRASS = np.isin(np.arange(len(MATERIALS)), [CODE[n] for n in ("meadow", "natural_grass", "lawn")])


def _ramp(day: np.ndarray, begin: float, full: float) -> np.ndarray:
    """Rise smoothly from 0 to 1 between two days."""
    x = np.clip((day - begin) / (full - begin), 0, 1)
    return x * x * (3 - 2 * x)


def greenness(material: np.ndarray, day: float, lead: np.ndarray, drought: np.ndarray, habit: np.ndarray) -> np.ndarray:
    """Return how green each surface is on a day.

    material : array (surface), codes; lead : array (surface), days by which it is earlier than usual for its material
    habit : array (surface), 0 a farmer who leaves fields bare after ploughing, 1 a farmer who sows catch crops; the same in all years
    drought : array (surface), 0 a wet year, 1 a very dry one: leaves fade earlier, and meadows dry out in summer
    Returns: array (surface), float, 0 bare to 1 full leaf
    """
    out = np.ones(len(material))
    now = day + lead
    for code in np.unique(material):
        kind = MATERIALS[code]
        at = material == code
        if kind.season is not None:
            begin, full, fade, gone = kind.season
            early = 7 * drought[at]
            out[at] = _ramp(now[at], begin, full) * (1 - _ramp(now[at] + early, fade, gone))
            if kind.name in FIELD:
                # Because of catch crops, weeds and winter crops a field is seldom completely bare or completely covered.
                weeds, sown = 0.22 + 0.22 * habit[at], 0.46 + 0.52 * habit[at]
                after = _ramp(now[at], 205, 245) * (1 - 0.25 * drought[at])
                winter = 1 - _ramp(now[at], begin - 20, begin - 5)
                cover = np.maximum(weeds, sown * np.maximum(after, winter))
                out[at] = 0.95 * out[at] + cover * (1 - out[at])
        elif GRASS[code]:
            summer = _ramp(now[at], 150, 205) * (1 - _ramp(now[at], 235, 285))
            out[at] = 1 - np.clip(0.12 + 0.75 * drought[at], 0, 0.85) * summer
    return np.clip(out, 0, 1)


def stubble(material: np.ndarray, day: float, plough: np.ndarray) -> np.ndarray:
    """Return how much of the bare part of each field is stubble, and not soil.

    material, plough : arrays (surface), code, day of the year of ploughing
    Returns: array (surface), float, 0 soil to 1 stubble
    """
    fade = np.array([m.season[2] if m.season and m.name in FIELD else 400 for m in MATERIALS])[material]
    return np.where(day > fade, 1 - _ramp(np.full(len(material), day), plough, plough + 8), 0.0)


def spectra(
    material: np.ndarray,
    leaf: np.ndarray,
    wet: np.ndarray,
    straw: np.ndarray | float = 0.0,
    low: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Mix the bare and the green state of each surface.

    material, leaf, wet, straw : arrays (surface), code, greenness 0-1, wetness 0-1, share of stubble in the bare part 0-1
    low : array (surface), how far the water level of wetland has fallen, 0-1
    Returns: array (surface, band) in the order of BANDS, reflectance 0-1
    """
    bare = np.array([m.bare for m in MATERIALS])
    green = np.array([m.green or m.bare for m in MATERIALS])
    moist = np.array([m.moist for m in MATERIALS])
    dim = 1 - (moist[material] * wet)[:, None] * np.array([0.85, 0.95, 1.0, 0.90])
    g, s = leaf[:, None], np.broadcast_to(straw, leaf.shape)[:, None]
    ground = (1 - s) * bare[material] * dim + s * np.array(STUBBLE)
    out = (1 - g) * ground + g * green[material]
    # Where the water level falls, reed and sedge are dry and look like grass.
    out += (WETLAND[material] * low)[:, None] * (green[CODE["natural_grass"]] - out)
    return out
