"""What the surfaces of the land reflect on a day: season, drought, crop rotation, differences between objects."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from testsuite.world.fields import exp, fractal_noise
from testsuite.world.land import Land
from testsuite.world.materials import CLASS, CODE, CROPS, GRASS, MATERIALS, greenness, spectra, stubble
from testsuite.world.passes import Pass
from testsuite.world.spec import RES_M, Spec


def drought(spec: Spec, year: int) -> float:
    """Return how dry the summer of a year is, 0-1. 2018 was very dry, 2017 and 2021 were wet; years that are not listed are average."""
    known = {2017: 0.15, 2018: 0.90, 2019: 0.60, 2020: 0.45, 2021: 0.15, 2022: 0.75}
    return float(np.clip(known.get(year, 0.4) + spec.rng("drought", year).normal(0, 0.06), 0, 1))


def surface_reflectance(spec: Spec, land: Land, when: Pass) -> np.ndarray:
    """Return the reflectance of each surface at an acquisition, and the properties that the scene classification uses.

    Returns: array (surface, 9), float32: B04, B11, B12, texture, leaf (share that looks green), water, dark roof, texture of growth and
    soil, B8A
    """
    year = when.sensed.year
    dry = drought(spec, year)
    material, parcel = land.on_day(year, when.day)
    n_parcels = int(land.lot.max()) + 1
    always = spec.rng("parcels").standard_normal((n_parcels, 4)).astype(np.float32)[parcel]
    this_year = spec.rng("parcels", year).standard_normal((n_parcels, 3)).astype(np.float32)[parcel]
    material = rotate_crops(spec, material, parcel, year)
    rain = spec.rng("rain", f"{when.sensed:%Y%m%d}").random()
    wet = np.clip((1 - dry) * 1.2 * rain + 0.12 * this_year[:, 0], 0, 1)
    habit = np.clip(0.5 + 0.35 * always[:, 2], 0, 1)
    leaf = greenness(material, when.day, 6 * this_year[:, 1] + 5 * dry, np.clip(dry + 0.15 * always[:, 3], 0, 1), habit)
    out = np.empty((len(material), 9), np.float32)
    straw = stubble(material, when.day, 284 + 12 * this_year[:, 2])
    low = np.clip(0.60 * dry - 0.20 + 0.50 * this_year[:, 0], 0, 0.8)
    reflectance = spectra(material, leaf, wet, straw, low)
    out[:, :3], out[:, 8] = reflectance[:, :3], reflectance[:, 3]
    # Brightness differs between objects of one kind. One part of the difference is permanent; crops and meadows also differ from year to year.
    kind_spread = np.array([m.spread for m in MATERIALS], np.float32)[material]
    # Materials of one block differ too: its roofs and its street are drawn separately.
    # The table has the size that the first year asks for, so that more years do not change what earlier ones show.
    table = spec.rng("materials").standard_normal((2 * int(land.parcel.max()) + 2, 4)).astype(np.float32)
    own = table[(parcel * 7 + material * 13) % len(table)]
    living = np.isin(CLASS[material], (3,)).astype(np.float32)[:, None]
    # The permanent part is small in towns, where a block has many roofs, and large in fields, which have one farmer.
    lasting = np.where(living > 0, 0.60, 0.15) * always[:, :1] * np.array([1.0, 0.9, 0.95])
    tone = np.where(living > 0, np.array([0.40, 0.27, 0.375]), np.array([0.42, 0.34, 0.50]))
    shape = lasting + own[:, :3] * tone
    shape = (
        shape
        + np.where(living > 0, 0.45 * own[:, :1], np.array([0.44, 0.44, 0.565]) * own[:, 3:])
        + np.where(np.isin(material, CROPS), 0.10, 0.25)[:, None] * living * this_year[:, :1]
    )
    tree = np.isin(material, [CODE["broadleaf"], CODE["conifer"]])
    # Forests differ little in red, where all leaves are dark, and independently of the other bands.
    shape[tree, 0] = 0.90 * lasting[tree, 0] + 0.66 * own[tree, 3]
    # In the near infrared minerals differ as in red. Plants differ by their leaves: those that are dark in red are bright here.
    leaves = -0.30 * lasting[:, 0] + 0.45 * own[:, 1] + 0.45 * own[:, 2]
    near = np.where(living[:, 0] > 0, leaves, 0.85 * shape[:, 0] + 0.15 * shape[:, 1])
    near[tree] = 0.70 * lasting[tree, 0] + 1.0 * own[tree, 1]
    out[:, :3] *= exp(kind_spread[:, None] * shape - kind_spread[:, None] ** 2 / 2)
    out[:, 8] *= exp(kind_spread * near - kind_spread**2 / 2)
    out[:, 3] = np.array([m.texture for m in MATERIALS], np.float32)[material]
    grows = np.array([m.green is not None for m in MATERIALS])[material]
    out[:, 4] = np.where(
        grows, np.where(GRASS[material], 0.35 + 0.65 * leaf, leaf), (material == CODE["conifer"]).astype(np.float32)
    )
    out[:, 5] = material == CODE["water"]
    out[:, 6] = material == CODE["roof_dark"]
    # Plants and soil vary within an object: a field more than a street or a forest, and more before leaves cover the soil.
    growth = np.where(np.isin(material, CROPS), 3.36 - 2.26 * leaf, 1.7)
    out[:, 7] = out[:, 3] * np.where(tree, 0.40, np.where(living[:, 0] > 0, growth, 0.35))
    return out


def rotate_crops(spec: Spec, material: np.ndarray, parcel: np.ndarray, year: int) -> np.ndarray:
    """Replace the crops of the first year by those of another year. Each field follows its own rotation, with exceptions."""
    n_parcels = int(parcel.max()) + 1
    follow = np.array(
        [CODE[n] for n in ("cereal", "rape", "maize", "beet", "cereal", "maize", "fallow", "beet")], np.uint8
    )
    crop = np.isin(material, follow)
    start = spec.rng("rotation").integers(0, len(follow), n_parcels)
    whim = spec.rng("rotation", year).random(n_parcels)
    plan = follow[(start + year) % len(follow)]
    plan = np.where(whim < 0.12, np.uint8(CODE["cereal"]), plan)
    return np.where(crop, plan[parcel], material).astype(np.uint8)


def textures(spec: Spec) -> np.ndarray:
    """Draw the variation within objects that is the same in all years.

    Returns: array (3, row, col) on 20 m cells of the land, standard deviation 1; brightness, wetness, red alone
    """
    west, south, east, north = spec.land_bounds
    shape = (north - south) // RES_M, (east - west) // RES_M
    rng = spec.rng("texture")
    fields = [
        fractal_noise(rng, shape, RES_M, largest, slope) for largest, slope in ((400, 2.2), (900, 2.5), (300, 2.5))
    ]
    # Blurred about as much as the point spread function blurs the surfaces.
    seen = np.stack([ndimage.gaussian_filter(f, 0.5) for f in fields])
    return seen / seen.std(axis=(1, 2), keepdims=True)
