"""The two maps of strata: of the cells that points and windows are drawn by, and of the stock points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.design import STOCK_BASE, Design
from imperviouslib.core.sample import STRATA, Frame
from imperviouslib.edge import grass
from imperviouslib.edge.rasterfile import TiffWriter

_TITLES = {
    "G1": "Gain most likely", "L1": "Loss most likely", "G2": "Gain likely", "L2": "Loss likely", "G3": "Gain possible",
    "G4": "Gain unlikely", "mixed": "Partly sealed", "sealed": "Sealed", "U1": "Other land, upper half", "U2": "Other land, lower half",
}  # fmt: skip
_COLOURS = {
    "G1": "128:0:38", "G2": "227:26:28", "G3": "253:141:60", "G4": "254:217:118", "L1": "8:48:107", "L2": "66:146:198",
    "mixed": "189:189:189", "sealed": "115:115:115", "U1": "199:233:192", "U2": "229:245:224",
}  # fmt: skip


TITLES = {
    "strata": "Strata of the reference sample",
    "stock": "Strata of the stock points of the reference sample",
}
"""Titles of both maps, by which they are known under any name."""


def names(prefix: str) -> dict[str, str]:
    """Return the names of the maps: strata of cells, and of stock points."""
    return {layer: mapnames.joined(prefix, layer) for layer in TITLES}


def write(frames: Mapping[str, Frame], named: Mapping[str, str], design: Design) -> None:
    """Write both maps; together they appear under their names."""
    grid = design.grid
    planes = {"strata": np.zeros(grid.shape, np.int32), "stock": np.zeros(grid.shape, np.int32)}
    for number, frame in enumerate(frames.values()):
        inside = frame.cells > 0
        planes["strata"][inside] = frame.cells[inside]
        planes["stock"][inside] = STOCK_BASE * number + frame.stock[inside]
    temporary = {layer: grass.temporary_name(f"{mapnames.TEMPORARY}{layer}") for layer in planes}
    files = {layer: grass.temporary_folder() / f"{name}.tif" for layer, name in temporary.items()}
    try:
        for layer, plane in planes.items():
            with TiffWriter(files[layer], grid, "int32", nodata=0) as out:
                out.write(plane, grid)
            grass.import_tiff(files[layer], temporary[layer], replace=True)
            if layer == "strata":
                rules = "".join(f"{code}|{name}: {_TITLES[name]}\n" for code, name in enumerate(STRATA, start=1))
                grass.run("r.category", map=temporary[layer], separator="pipe", rules="-", stdin=rules)
                colours = "".join(f"{code} {_COLOURS[name]}\n" for code, name in enumerate(STRATA, start=1))
                grass.run("r.colors", map=temporary[layer], rules="-", stdin=colours)
            grass.describe(
                temporary[layer],
                title=TITLES[layer],
                history=f"r.impervious.sample: design {design.digest[:12]}, seed {design.seed}",
            )
        grass.give_names({temporary[layer]: named[layer] for layer in planes})
    finally:
        grass.remove(name for name in temporary.values() if grass.exists(name))
        for file in files.values():
            file.unlink(missing_ok=True)
