"""Benchmarks of single steps of the chain on random arrays. See bench.py for how to add more."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from testsuite.bench import best_of, case, grass_session

SIDE = 1024


@case("fetch", "warp of 1024 x 1024 cells, bilinear, against GDAL's approximate warp, seconds", target=6)
def exact_warp() -> tuple[float, float]:
    from rasterio.warp import Resampling, reproject

    from imperviouslib.core.grid import Grid
    from imperviouslib.core.resample import Source
    from imperviouslib.edge.warp import Warper, coordinates, extent

    source = Source("EPSG:32632", (20.0, 0.0, 600000.0, 0.0, -20.0, 5900040.0), 2745, 2745, "uint16")
    whole = extent(source)
    west, north = whole.west + 20 * whole.width // 4, whole.north - 20 * whole.height // 4
    west, north = west // 20 * 20, north // 20 * 20
    part = Grid(west, north - SIDE * 20, west + SIDE * 20, north)
    pixels = np.random.default_rng(1).integers(1, 10000, (2745, 2745), dtype=np.uint16)
    coordinates(source)  # computed once for all bands of a scene, so it is not measured
    from affine import Affine

    def theirs() -> None:
        out = np.zeros(part.shape, "uint16")
        reproject(
            pixels, out, src_transform=Affine(*source.transform), src_crs=source.crs, dst_transform=Affine(*part.transform),
            dst_crs="EPSG:3035", src_nodata=0, dst_nodata=0, resampling=Resampling.bilinear, num_threads=1,
        )  # fmt: skip

    return best_of(lambda: Warper(pixels, source, (0, 0), "bilinear").take(part)), best_of(theirs)


@case("yearly", "median kernel alone, 12 scenes of 1024 x 1024, against numpy.nanmedian, seconds", target=0.2)
def masked_median() -> tuple[float, float]:
    from imperviouslib.core.composite import median

    rng = np.random.default_rng(1)
    stack = rng.integers(1, 10000, (12, SIDE, SIDE), dtype=np.uint16)
    stack[rng.random(stack.shape) < 0.4] = 0
    floats = np.where(stack == 0, np.nan, stack).astype("float32")
    part = floats[:, : SIDE // 8]  # nanmedian is slow, so it is measured on an eighth
    return best_of(lambda: median(stack.copy())), 8 * best_of(lambda: np.nanmedian(part, axis=0), 1)


@case("ard", "majority of 10 m labels in memory, against r.resamp.stats map to map, seconds", target=1)
def balanced_majority() -> tuple[float, float]:
    import grass.script as gs

    from imperviouslib.core.grid import Grid
    from imperviouslib.core.labels import majority

    part = Grid(0, 0, SIDE * 20, SIDE * 20)
    with grass_session():
        gs.run_command("g.region", n=SIDE * 20, s=0, w=0, e=SIDE * 20, res=10, quiet=True)
        gs.mapcalc("labels = 1 + (row() / 3 + col() / 5) % 4", quiet=True)
        gs.run_command("g.region", res=20, quiet=True)
        theirs = best_of(
            lambda: gs.run_command(
                "r.resamp.stats", input="labels", output="mode", method="mode", overwrite=True, quiet=True
            )
        )
    row, col = np.indices((2 * SIDE, 2 * SIDE)) + 1
    fine = (1 + (row // 3 + col // 5) % 4).astype(np.int32)
    return best_of(lambda: majority(fine, part, 2, "balanced")), theirs


@case("dashboard", "open and check a table of 24 regions of NUTS 3 and 7 years, seconds", target=2)
def open_table() -> tuple[float, None]:
    from dashboard.data import read_table
    from dashboard.tests.make_table import make_table

    with tempfile.TemporaryDirectory() as folder:
        made = make_table(Path(folder) / "table")
        return best_of(lambda: read_table(made)), None
