"""Composites against r.series and against xarray with dask: from the same files with SCL to the composite, masking counted for all.

Processor seconds are compared, of the process and what it started: they bear company on the machine better than the clock does.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio

from imperviouslib.core.grid import Grid
from imperviouslib.core.periods import resolve_periods
from testsuite.archive_ground import BANDS, write_scene
from testsuite.bench import case, grass_session

SIDE = int(os.environ.get("BENCH_SIDE", "1280"))
"""Cells; BENCH_SIDE=5490 is a whole tile, which takes minutes."""
SCENES = 12
GRID = Grid(4_450_800, 3_282_000, 4_450_800 + SIDE * 20, 3_282_000 + SIDE * 20)
_made: dict[str, object] = {}


def _processor_seconds(work: Callable[[], object]) -> float:
    def spent() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    before = spent()
    work()
    return spent() - before


def _archive() -> Path:
    """Twelve scenes, about half of it cloud; made once a run."""
    if "archive" not in _made:
        _made["folder"] = folder = tempfile.TemporaryDirectory(prefix="bench")
        rng = np.random.default_rng(1)
        ground = rng.integers(300, 4000, (3, *GRID.shape))
        for number in range(SCENES):
            scl = rng.choice([4, 5, 8, 9, 3], (SIDE // 40 + 1, SIDE // 40 + 1), p=[0.3, 0.25, 0.2, 0.2, 0.05])
            scl = scl.repeat(40, 0).repeat(40, 1)[:SIDE, :SIDE].astype(np.uint8)
            planes = {
                b: (g + rng.integers(-60, 60, g.shape)).astype(np.uint16) for b, g in zip(BANDS, ground, strict=True)
            }
            write_scene(Path(folder.name), "32UPD", f"2018-05-{number + 1:02d}", GRID, {**planes, "SCL": scl})
        _made["archive"] = Path(folder.name)
    return _made["archive"]


def _files(band: str) -> list[Path]:
    return sorted(_archive().glob(f"*/*/*/{band}.tif"))


def _ours(session: Path) -> None:
    """From the archive to maps: what r.s2.yearly does between reading its options and writing titles."""
    from imperviouslib.edge import grassdb
    from imperviouslib.stage.yearly import Recipe, _read, _write_planes

    recipe = Recipe("median", "scl", 0, "all", BANDS, False)
    scenes = _read(_archive(), BANDS, GRID)
    (period,) = resolve_periods([2018], ["year"])
    with tempfile.TemporaryDirectory() as folder:
        paths = {feature: Path(folder) / f"{feature}.tif" for feature in recipe.maps}
        _write_planes(paths, period, scenes, scenes, recipe, GRID, 2)
        for feature, path in paths.items():
            grassdb.import_tiff(path, f"ours_{feature}", replace=True)


def _r_series(session: Path) -> None:
    import grass.script as gs

    gs.run_command("g.region", w=GRID.west, s=GRID.south, e=GRID.east, n=GRID.north, res=20)
    for number, path in enumerate(_files("SCL")):
        gs.run_command("r.external", input=path, output=f"scl_{number}", overwrite=True)
    for band in BANDS:
        for number, path in enumerate(_files(band)):
            gs.run_command("r.external", input=path, output=f"{band}_{number}", overwrite=True)
            bad = " || ".join(f"scl_{number} == {code}" for code in (0, 1, 3, 8, 9, 10, 11))
            gs.run_command(
                "r.mapcalc", expression=f"clear_{band}_{number} = if({bad}, null(), {band}_{number})", overwrite=True
            )
        names = [f"clear_{band}_{number}" for number in range(SCENES)]
        gs.run_command("r.series", input=names, output=f"theirs_{band}", method="median", nprocs=2, overwrite=True)


@case("yearly", "median of 12 masked scenes, files to maps, against r.series, CPU s", target=1 / 8)
def against_r_series() -> tuple[float, float]:
    _archive()
    with grass_session() as session:
        # Importing costs the same for an area of any size, and is none of what is compared.
        importlib.import_module("imperviouslib.stage.yearly")
        ours, theirs = _processor_seconds(lambda: _ours(session)), _processor_seconds(lambda: _r_series(session))
        from imperviouslib.edge import grassdb

        for band in BANDS:
            expected = np.floor(np.nan_to_num(grassdb.read_values(f"theirs_{band}", GRID)) + 0.5)
            if not np.array_equal(grassdb.read_cells(f"ours_{band}_p50", GRID), expected):
                raise AssertionError(f"{band} differs from r.series")
    return ours, theirs


_XARRAY = """
import resource, sys
import dask, dask.array as da, numpy as np, rasterio, xarray as xr
from rasterio.windows import Window
out, side, *files = sys.argv[1:]
side, step = int(side), 512
dask.config.set(scheduler="threads", num_workers=2)
def read(path, row, col):
    with rasterio.open(path) as source:
        return source.read(1, window=Window(col, row, min(step, side - col), min(step, side - row)))
def lazy(path, kind):
    rows = []
    for row in range(0, side, step):
        parts = [da.from_delayed(dask.delayed(read)(path, row, col), (min(step, side - row), min(step, side - col)), kind) for col in range(0, side, step)]
        rows.append(da.concatenate(parts, axis=1))
    return da.concatenate(rows, axis=0)
classes = xr.DataArray(da.stack([lazy(f"{f}/SCL.tif", "u1") for f in files]), dims=("t", "y", "x"))
clear = ~classes.isin([0, 1, 3, 8, 9, 10, 11])
for band in ("B12", "B11", "B04"):
    stack = xr.DataArray(da.stack([lazy(f"{f}/{band}.tif", "u2") for f in files]), dims=("t", "y", "x"))
    middle = stack.where(clear).astype("f4").chunk({"t": -1}).median("t", skipna=True)
    values = np.floor(middle.fillna(0) + 0.5).astype("u2").compute().values
    with rasterio.open(f"{files[0]}/SCL.tif") as like:
        profile = like.profile | {"dtype": "uint16"}
    with rasterio.open(f"{out}/{band}.tif", "w", **profile) as target:
        target.write(values, 1)
"""


@case("yearly", "median of 12 masked scenes, files to files, against xarray with dask, CPU s", target=1 / 3)
def against_xarray() -> tuple[float, float | None]:
    from imperviouslib.stage.yearly import Recipe, _read, _write_planes

    archive = _archive()
    recipe = Recipe("median", "scl", 0, "all", BANDS, False)
    (period,) = resolve_periods([2018], ["year"])
    with tempfile.TemporaryDirectory() as folder:
        paths = {feature: Path(folder) / f"{feature}.tif" for feature in recipe.maps}

        def run() -> None:
            scenes = _read(archive, BANDS, GRID)
            _write_planes(paths, period, scenes, scenes, recipe, GRID, 2)

        with grass_session():
            ours = _processor_seconds(run)
        if not importlib.util.find_spec("dask"):
            return ours, None
        theirs = Path(folder) / "theirs"
        theirs.mkdir()
        scenes = sorted(str(path.parent) for path in _files("SCL"))
        peer = _processor_seconds(
            lambda: subprocess.run([sys.executable, "-c", _XARRAY, str(theirs), str(SIDE), *scenes], check=True)
        )
        for band in BANDS:
            with rasterio.open(theirs / f"{band}.tif") as a, rasterio.open(paths[f"{band}_p50"]) as b:
                if not np.array_equal(a.read(1), b.read(1)):
                    raise AssertionError(f"{band} differs from xarray")
    return ours, peer


_MEMORY = """
import resource, subprocess, sys, tempfile
from pathlib import Path
sys.path.append(subprocess.check_output(["grass", "--config", "python_path"], text=True).strip())
from testsuite.bench import grass_session
from testsuite.archive_ground import BANDS
from imperviouslib.core.grid import Grid
from imperviouslib.core.periods import resolve_periods
with grass_session():
    from imperviouslib.stage.yearly import Recipe, _read, _write_planes
    side = int(sys.argv[2])
    area = Grid(4_450_800, 3_282_000, 4_450_800 + side * 20, 3_282_000 + side * 20)
    recipe = Recipe("median", "dates", 1, "all", BANDS, True)
    scenes = _read(Path(sys.argv[1]), BANDS, area)
    with tempfile.TemporaryDirectory() as folder:
        _write_planes({f: Path(folder) / f"{f}.tif" for f in recipe.maps}, resolve_periods([2018], ["year"])[0], scenes, scenes, recipe, area, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _memory_mb(side: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(_archive()), str(side)], check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )  # fmt: skip
    return float(done.stdout.split()[-1])


@case("yearly", "memory of a composite of 12 scenes with 2 threads, MB (bar: 2048)", target=2048)
def memory() -> tuple[float, None]:
    return _memory_mb(SIDE), None


@case("yearly", "memory of a region of four times the cells against that, ratio", target=1.5)
def memory_grows() -> tuple[float, float]:
    # The archive covers a part of the larger region; the blocks outside it are work too.
    return _memory_mb(4 * SIDE), _memory_mb(2 * SIDE)
