"""The label map of a world: a land-cover map of 10 m with the codes and the errors of S2GLC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from testsuite.world.fields import fractal_noise, ranks
from testsuite.world.files import write_tif
from testsuite.world.land import Land
from testsuite.world.materials import CODE, S2GLC
from testsuite.world.spec import Spec

WRONG_RATE = {
    62: 0.16, 73: 0.07, 75: 0.40, 82: 0.16, 83: 0.12, 102: 0.27, 103: 0.50, 104: 0.45, 105: 0.40, 106: 0.35, 121: 0.45, 162: 0.06,
}  # fmt: skip
"""Share of wrong cells by code of S2GLC, before the conditions at each cell are taken into account."""
TAKEN_FOR = {
    62: ((102, 0.45), (73, 0.35), (121, 0.20)), 73: ((102, 0.62), (62, 0.14), (121, 0.08), (75, 0.16)), 75: ((73, 0.7), (102, 0.3)),
    82: ((83, 0.45), (102, 0.30), (104, 0.15), (103, 0.10)), 83: ((82, 0.75), (103, 0.15), (106, 0.10)),
    102: ((73, 0.50), (62, 0.22), (103, 0.16), (82, 0.12)), 103: ((102, 0.6), (83, 0.2), (106, 0.2)), 104: ((82, 0.6), (102, 0.4)),
    105: ((102, 0.6), (162, 0.15), (106, 0.25)), 106: ((105, 0.5), (103, 0.5)), 121: ((62, 0.60), (73, 0.25), (123, 0.15)),
    162: ((105, 0.6), (83, 0.4)),
}  # fmt: skip
"""Which codes the real product confuses with which, and how often: land cover of similar phenology, bare and sealed land, gardens and houses."""


def make_labels(spec: Spec, land: Land, overall: float = 0.86) -> np.ndarray:
    """Make a land-cover map of the first year with the codes and the errors of S2GLC.

    overall : share of the valid cells that are correct, 0-1
    Returns: array (row, col) of 10 m cells, uint8, codes; 0 cloud, 255 no data
    """
    surface = land.place_surface
    material = land.material(spec.years[0])[surface]
    n = 2
    parts = np.stack([material[i::n, j::n] for i in range(n) for j in range(n)])
    codes = S2GLC[parts]
    votes = np.stack([(codes == c).sum(axis=0) for c in codes])
    pick = votes.argmax(axis=0)[None]
    code = np.take_along_axis(codes, pick, 0)[0]
    kind = np.take_along_axis(parts, pick, 0)[0]
    pure = votes.max(axis=0) == n * n
    rng = spec.rng("labels")
    rate = np.zeros(256)
    for c, r in WRONG_RATE.items():
        rate[c] = r
    odds = np.log(rate[code] / (1 - rate[code]))
    odds += 1.9 * (kind == CODE["garden"]) + 0.9 * (kind == CODE["fallow"]) + 0.6 * (kind == CODE["lawn"])
    code_edge = ndimage.maximum_filter(code, 3) != ndimage.minimum_filter(code, 3)
    odds += (
        0.8 * ~pure
        + 0.7 * code_edge
        + 1.25 * fractal_noise(rng, code.shape, 10, 600, 2.6)
        + rng.normal(0, 0.55, code.shape)
    )
    wrong = odds > np.quantile(odds, overall)
    chance = ranks(fractal_noise(rng, code.shape, 10, 300, 2.4))
    out = code.copy()
    for c, choices in TAKEN_FOR.items():
        at = wrong & (code == c)
        names = np.array([name for name, _ in choices], np.uint8)
        out[at] = names[np.minimum(np.searchsorted(np.cumsum([s for _, s in choices]), chance[at]), len(names) - 1)]
    garden = wrong & (kind == CODE["garden"])
    out[garden & (chance < 0.8)] = 62
    clouds = fractal_noise(rng, code.shape, 10, 3000, 3.2)
    out[clouds > np.quantile(clouds, 0.997)] = 0
    # A strip along the eastern edge was never mapped.
    out[: max(4, code.shape[0] // 40), -max(4, code.shape[1] // 40) :] = 255
    return out


def write_labels(path: Path, spec: Spec, labels: np.ndarray) -> None:
    """Write the label map as a GeoTIFF."""
    west, _, _, north = spec.bounds
    write_tif(path, labels, west, north, 10, 255)
