"""A small ground for the tests of the net: four classes that differ in their bands, in stripes, spots and fields.

Everything follows from a seed, and no class is easy by its place alone.
"""

from pathlib import Path

import numpy as np

from imperviouslib.core.grid import Grid
from imperviouslib.edge.ardfile import ArdWriter

FEATURES = ("B12_p50", "B11_p50", "B04_p50")
SPECTRA = {1: (2100, 2300, 1400), 2: (3200, 3300, 2500), 3: (1200, 2200, 500), 4: (250, 300, 350)}
"""Reflectance x 10000 of each class."""


def make_classes(shape, seed=1, classes=(1, 2, 3, 4)):
    """Squares of 8 cells, each of one class: array (row, col), uint8; green is the commonest."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([*classes, *[3] * 6], size=(-(-shape[0] // 8), -(-shape[1] // 8)))
    return np.repeat(np.repeat(coarse, 8, 0), 8, 1)[: shape[0], : shape[1]].astype(np.uint8)


def make_features(classes, seed=1, noise=120):
    """Bands of the classes with noise: array (feature, row, col), uint16, 1..65535."""
    rng = np.random.default_rng(seed)
    table = np.zeros((5, 3))
    for code, spectrum in SPECTRA.items():
        table[code] = spectrum
    values = np.moveaxis(table[classes], -1, 0) + noise * rng.standard_normal((3, *classes.shape))
    return np.clip(np.rint(values), 1, 65535).astype(np.uint16)


def write_ard(
    path, grid, *, years=(2017, 2018), label_year=2017, classes=None, features=FEATURES, holes=(), labels=True
):
    """Write an ARD file; `holes` are (row slice, col slice) without data in all periods.

    Returns: classes (row, col)
    """
    classes = make_classes(grid.shape) if classes is None else classes
    with ArdWriter(Path(path), grid, [str(year) for year in years], features) as out:
        for index, year in enumerate(years):
            values = make_features(np.where(classes, classes, 3), seed=index + 5)
            for hole in holes:
                values[(slice(None), *hole)] = 0
            for part in out.strips():
                rows, cols = part.slices_in(grid)
                out.write_period(str(year), part, values[:, rows, cols], np.full(part.shape, 7, np.uint8))
        if labels:
            out.start_label(year=label_year, legend="s2glc")
            for part in out.strips():
                rows, cols = part.slices_in(grid)
                label = classes[rows, cols]
                shares = np.stack([np.where(label == code, 100, 0) for code in SPECTRA]).astype(np.uint8)
                out.write_label(part, label, np.full(part.shape, 100, np.uint8), shares)
        out.finish({str(year): {"scenes": [{"id": f"scene of {year}"}]} for year in years})
    return classes


def grid_at(row, col, height, width):
    """A grid whose first cell has the given absolute row and column."""
    return Grid(col * 20, -(row + height) * 20, (col + width) * 20, -row * 20)
