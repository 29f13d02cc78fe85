"""Composites against r.series and against xarray with dask: from the same files with SCL to the composite, masking counted for all.

Processor seconds of the process and its children are compared, because they depend less than elapsed time on what else the machine does.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import rasterio

from imperviouslib.core import cloudmask, composite
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.periods import PeriodKind, resolve_periods
from imperviouslib.core.recipe import Recipe
from testsuite.archive_ground import BANDS, write_scene
from testsuite.bench import absent_peer, case, grass_session
from testsuite.world.make import make_world
from testsuite.world.spec import Spec

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


def _write(folder: Path, recipe: Recipe) -> dict[str, Path]:
    """Write the composite of the archive's year. Returns: layer to its GeoTIFF."""
    from imperviouslib.edge.schedule import open_crew
    from imperviouslib.stage.yearly.planes import write_planes
    from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks

    scenes = read_scenes(_archive(), recipe.bands, GRID)
    (task,) = resolve_tasks(resolve_periods([2018], [PeriodKind("year")]), scenes, recipe, GRID)
    paths = {layer.name: folder / f"{layer.name}.tif" for layer in recipe.layers}
    # Processor seconds are compared, and here those of the work, not of starting further processes.
    with open_crew() as crew:
        write_planes(paths, task, crew)
    return paths


PLAIN = Recipe("median", "scl", 0, "all", BANDS)


def _files(band: str) -> list[Path]:
    return sorted(_archive().glob(f"*/*/*/{band}.tif"))


def _ours(session: Path) -> None:
    """From the archive to maps: what r.s2.yearly does between reading its options and writing titles."""
    from imperviouslib.edge import grass

    with tempfile.TemporaryDirectory() as folder:
        for layer, path in _write(Path(folder), PLAIN).items():
            grass.import_tiff(path, f"ours_{layer}", replace=True)


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
        # Importing takes the same time for any area, and is not part of the comparison.
        importlib.import_module("imperviouslib.stage.yearly.planes")
        ours, theirs = _processor_seconds(lambda: _ours(session)), _processor_seconds(lambda: _r_series(session))
        from imperviouslib.edge import grass

        for band in BANDS:
            raw = grass.read_bytes(
                "r.out.bin", GRID, flags="f", input=f"theirs_{band}", output="-", bytes=8, null="nan"
            )
            expected = np.floor(np.nan_to_num(np.frombuffer(raw, dtype="<f8").reshape(GRID.shape)) + 0.5)
            if not np.array_equal(grass.read_cells(f"ours_{band}_p50", GRID), expected):
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
    if not importlib.util.find_spec("dask"):
        raise absent_peer("dask")
    _archive()
    with tempfile.TemporaryDirectory() as folder:
        with grass_session():
            ours = _processor_seconds(lambda: _write(Path(folder), PLAIN))
        theirs = Path(folder) / "theirs"
        theirs.mkdir()
        scenes = sorted(str(path.parent) for path in _files("SCL"))
        peer = _processor_seconds(
            lambda: subprocess.run([sys.executable, "-c", _XARRAY, str(theirs), str(SIDE), *scenes], check=True)
        )
        for band in BANDS:
            with rasterio.open(theirs / f"{band}.tif") as a, rasterio.open(Path(folder) / f"{band}_p50.tif") as b:
                if not np.array_equal(a.read(1), b.read(1)):
                    raise AssertionError(f"{band} differs from xarray")
    return ours, peer


STATISTICS = ("min", "p10", "p90", "max")


@case("yearly", "median and 4 statistics of 12 masked scenes against the median alone, CPU s", target=1.7)
def statistics() -> tuple[float, float]:
    _archive()
    with tempfile.TemporaryDirectory() as folder, grass_session():
        importlib.import_module("imperviouslib.stage.yearly.planes")
        alone = _processor_seconds(lambda: _write(Path(folder), PLAIN))
        return _processor_seconds(lambda: _write(Path(folder), replace(PLAIN, statistics=STATISTICS))), alone


@case("yearly", "median and 4 statistics of a cube of 12 dates against numpy.nanpercentile, CPU s", target=1 / 100)
def against_numpy() -> tuple[float, float]:
    rng, percents = np.random.default_rng(1), (50, *(composite.STATISTICS[name] for name in STATISTICS))
    stack = rng.integers(1, 4000, (SCENES, 256, 256)).astype(np.uint16)
    stack[rng.random(stack.shape) < 0.4] = 0
    values, made = np.where(stack > 0, stack, np.nan), {}
    ours = _processor_seconds(lambda: made.update(ours=composite.percentiles(stack, percents)))
    theirs = _processor_seconds(lambda: made.update(theirs=np.nanpercentile(values, percents, axis=0)))
    if np.abs(made["ours"] - np.nan_to_num(made["theirs"])).max() > 0.5 + 1e-6:
        raise AssertionError("percentiles differ from numpy.nanpercentile")
    return ours, theirs


_MEMORY = """
import resource, subprocess, sys, tempfile
from pathlib import Path
sys.path.append(subprocess.check_output(["grass", "--config", "python_path"], text=True).strip())
from testsuite.bench import grass_session
from testsuite.archive_ground import BANDS
from imperviouslib.core.grid import Grid
from imperviouslib.core.periods import PeriodKind, resolve_periods
from imperviouslib.core.recipe import Recipe
with grass_session():
    from imperviouslib.edge.schedule import open_crew
    from imperviouslib.stage.yearly.planes import write_planes
    from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks
    side = int(sys.argv[2])
    area = Grid(4_450_800, 3_282_000, 4_450_800 + side * 20, 3_282_000 + side * 20)
    recipe = Recipe("median", "dates", 1, "all", BANDS, True)
    scenes = read_scenes(Path(sys.argv[1]), BANDS, area)
    (task,) = resolve_tasks(resolve_periods([2018], [PeriodKind("year")]), scenes, recipe, area)
    with tempfile.TemporaryDirectory() as folder:
        with open_crew(2) as crew:
            write_planes({layer.name: Path(folder) / f"{layer.name}.tif" for layer in recipe.layers}, task, crew)
# The two processes have ended; the larger one counts twice.
used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print((used[0] + 2 * used[1]) / 1024)
"""


def _memory_mb(side: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(_archive()), str(side)], check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )  # fmt: skip
    return float(done.stdout.split()[-1])


@case("yearly", "memory of a composite of 12 scenes with 2 processes, MB (bar: 2048)", target=2048)
def memory() -> tuple[float, None]:
    return _memory_mb(SIDE), None


@case("yearly", "memory, a region of 4 x 4 sides against one of 2 x 2 sides, MB", target=1.5)
def memory_grows() -> tuple[float, float]:
    # The archive covers a part of the larger region; the blocks outside it are work too.
    return _memory_mb(4 * SIDE), _memory_mb(2 * SIDE)


PLACE_KM, DATES = 4, 10


def _made_world(clouds: bool) -> tuple[Path, Grid]:
    """Make a small world and fetch its scenes from its own files, once a run; without clouds, and without noise, it is the truth.

    Returns: the archive folder, which has the world beside it, and the place
    """
    key = f"world {clouds}"
    if key not in _made:
        _made[f"folder {clouds}"] = folder = tempfile.TemporaryDirectory(prefix="bench")
        world = make_world(Path(folder.name) / "world", Spec(3, (2018,), PLACE_KM, DATES, 0.003, clouds, clouds))
        items = json.loads((world / "stac" / "items.json").read_text(encoding="utf-8"))
        for item in items["features"]:
            for asset in item["assets"].values():
                asset["href"] = asset["href"].replace("s3://", f"{world}/objects/", 1)
        (world / "items.json").write_text(json.dumps(items), encoding="utf-8")
        west, south, east, north = json.loads((world / "world.json").read_text(encoding="utf-8"))["bounds"]
        subprocess.run(["g.region", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20"], check=True)
        subprocess.run(
            ["r.s2.fetch", "-n", f"stac={world / 'items.json'}", f"output={folder.name}/archive", "years=2018", "clouds=100", "scenes=99", "window=01-01/12-31", "nprocs=2"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _made[key] = Path(folder.name) / "archive", Grid(west, south, east, north)
    return _made[key]


def _composite(archive: Path, area: Grid, mask: str, *, codes: bool = True, scene: str = "") -> np.ndarray:
    """Composite the made world, or one scene of it; without `codes` SCL is ignored. Returns: (band, row, col), int, 0 = never clear."""
    from imperviouslib.edge.rasterfile import OpenRasters
    from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks
    from imperviouslib.work.compose import compose_block

    recipe = Recipe("median", mask, 1, "all", BANDS)
    (task,) = resolve_tasks(
        resolve_periods([2018], [PeriodKind("year")]), read_scenes(archive, BANDS, area), recipe, area
    )
    task = replace(task, scenes=tuple(s for s in task.scenes if scene in s.scl.scene))
    off = {"UNUSABLE": (0,), "CLOUDY": ()}
    believed = contextlib.nullcontext() if codes else mock.patch.multiple(cloudmask, **off)
    with OpenRasters() as rasters, believed:
        planes = compose_block(area, task, rasters)
    return np.stack([planes[feature.name] for feature in recipe.features]).astype(int)


def _errors() -> dict[str, dict[str, tuple[float, float]]]:
    """Measure both masks and single scenes: name to class to (share seen, mean error of reflectance x 10000); printed once."""
    if "errors" not in _made:
        with grass_session():
            archive, area = _made_world(True)
            truth = _composite(*_made_world(False), "scl", codes=False)
            with rasterio.open(archive.parent / "world" / "truth" / "class_2018.tif") as file:
                classes = file.read(1)
            ground = {c.key: classes == c.code for c in CLASSES}
            ground["bright roofs"] = (classes == 1) & (truth[2] > 2300)
            composites = {"scl": [_composite(archive, area, "scl")], "dates": [_composite(archive, area, "dates")]}
            names = sorted({path.parent.name for path in archive.glob("*/*/*/SCL.json")})
            composites["single scene"] = [_composite(archive, area, "scl", scene=name) for name in names]
        out: dict[str, dict[str, tuple[float, float]]] = {}
        for name, planes in composites.items():
            out[name] = {}
            for key, where in ground.items():
                seen = [(p > 0).all(axis=0) & where for p in planes]
                apart = np.concatenate([np.abs(p - truth)[:, s].ravel() for p, s in zip(planes, seen, strict=True)])
                share = float(np.mean([s.sum() for s in seen]) / max(1, where.sum()))
                out[name][key] = share, float(apart.mean())
                print(
                    f"  {name:<13}{key:<13}{where.sum():7} cells  seen {100 * share:6.2f} %  mean error {apart.mean():6.1f}"
                )
        _made["errors"] = out
    return _made["errors"]


@case("yearly", "built-up cells that no date shows, mask=dates against mask=scl, shares", target=0.5)
def unseen_built_up() -> tuple[float, float]:
    errors = _errors()
    return 1 - errors["dates"]["artificial"][0], 1 - errors["scl"]["artificial"][0]


@case("yearly", "bright roofs that mask=dates does not show, share", target=0.02)
def unseen_roofs() -> tuple[float, None]:
    return 1 - _errors()["dates"]["bright roofs"][0], None


@case("yearly", "error of built-up in the composite against single scenes, reflectance x 10000", target=0.5)
def composite_error() -> tuple[float, float]:
    errors = _errors()
    return errors["dates"]["artificial"][1], errors["single scene"]["artificial"][1]
