"""Small data for the tests of the network: four classes that differ in their bands, and the card of a model.

Everything is determined by a seed, and no class can be recognized by its place alone.
"""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from imperviouslib.core.accuracy import Tally
from imperviouslib.core.card import Calibration, Card, Metrics, Scaling, Split, TrainingRecord
from imperviouslib.core.grid import Grid
from imperviouslib.core.network import net_anchor, net_halo
from imperviouslib.core.provenance import SceneRecord
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
    path,
    grid,
    *,
    years=(2017, 2018),
    label_year=2017,
    classes=None,
    features=FEATURES,
    holes=(),
    clouds=None,
    labels=True,
):
    """Write an ARD file; `holes` are (row slice, col slice) without data in all periods.

    classes : array of the classes of all years, or a dict of such arrays by year
    clouds : year to places without data in that year
    Returns: classes of the label year (row, col)
    """
    classes = make_classes(grid.shape) if classes is None else classes
    of_year = classes if isinstance(classes, dict) else dict.fromkeys(years, classes)
    classes = of_year.get(label_year, classes)
    with ArdWriter(Path(path), grid, [str(year) for year in years], features) as out:
        for index, year in enumerate(years):
            values = make_features(np.where(of_year[year], of_year[year], 3), seed=index + 5)
            for hole in [*holes, *(clouds or {}).get(year, [])]:
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
        scenes = {year: asdict(scene_of(year)) for year in years}
        scenes[years[0]] = {"id": f"scene of {years[0]}", "orbit": 22}
        out.finish({str(year): {"scenes": [scene]} for year, scene in scenes.items()})
    return classes


def scene_of(year):
    """The one scene of a year."""
    return SceneRecord(
        f"scene of {year}", "31UDS", f"{year}-06-01T10:56:19Z", "02.08", 0, "baseline 02.08 < 04.00", {"B12": "ab" * 32}
    )


def make_card(depth=3, **changes):
    """The card of a small model with made-up figures."""
    uses = ("training", "validation", "test")
    accuracy = Tally().accuracy()
    card = Card(
        version="0", features=FEATURES, scaling=Scaling((1600.0, 2000.0, 800.0), (700.0, 800.0, 500.0)), res_m=20, patch=32,
        depth=depth, filters=4, halo=net_halo(depth), anchor=net_anchor(depth),
        split=Split(32, net_halo(depth), 0.2, 3, {use: [(number, 0)] for number, use in enumerate(uses)}, dict.fromkeys(uses, 9)),
        seed=3, years=(2017,), label_year=2017, legend="s2glc", ard_digest="cd" * 32,
        metrics=Metrics({"2017": accuracy}, {"2017": accuracy}), prior={"artificial": 0.25, "natural": 0.75},
        calibration=Calibration(1.5, 0.2, 0.1, level=0.2, shift=-0.3), settings=TrainingRecord(("2017",), 5, 5, 4, 8, 12, 3e-3, (), "3", "2", "1"),
    )  # fmt: skip
    return replace(card, **changes)


def grid_at(row, col, height, width):
    """A grid whose first cell has the given absolute row and column."""
    return Grid(col * 20, -(row + height) * 20, (col + width) * 20, -row * 20)
