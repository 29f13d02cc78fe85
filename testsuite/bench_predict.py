"""Benchmark of r.unet.predict: from the HDF5 file to GeoTIFFs of classes and probabilities, against the usual scripts with Keras."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib.core.errors import InputError
from testsuite.bench import NotMeasuredError, best_of, case

SIDE, PATCH, BATCH = 5490, 256, 16
"""Cells a side: a tile of Sentinel-2 at 20 m."""
KEYS = ("p_artificial", "p_natural", "p_green", "p_other", "class")


@functools.cache
def place() -> tuple[Path, Any, Any, Path]:
    """Make an ARD file of SIDE x SIDE cells, and a model of the default size with random weights. Returns: file, grid, Keras model, model folder."""
    from imperviouslib.core.network import NetSpec
    from imperviouslib.edge import unet
    from imperviouslib.edge.engine import UNET, export_nets
    from testsuite.unet_ground import grid_at, write_ard

    folder = Path(tempfile.mkdtemp())
    grid = grid_at(-150_016, 200_000, SIDE, SIDE)
    write_ard(folder / "place.nc", grid, years=(2017,))
    unet.seed_everything(1)
    spec = NetSpec(3, (1600.0, 2000.0, 800.0), (700.0, 800.0, 500.0))
    net = unet.with_probabilities(unet.join_nets([unet.build_unet(spec), unet.build_pixel_net(spec)]), 0.5)
    unet.save_net(net, folder / "unet.keras")
    seen = np.random.default_rng(1).integers(1, 5000, (1, 128, 128, 3)).astype(np.uint16)
    export_nets({UNET: (net, unet.run_net(net), seen)}, folder)
    return folder / "place.nc", grid, net, folder


def by_us(engine: str = "openvino", *, fast: bool = False) -> dict[str, Path]:
    """Load the engine, and map the whole file. Returns: layer to GeoTIFF."""
    from imperviouslib.core.network import net_halo
    from imperviouslib.edge.ardfile import ArdFile
    from imperviouslib.edge.engine import resolve_engine
    from imperviouslib.edge.rasterfile import TiffWriters
    from imperviouslib.stage.predict.yearly import write_period
    from imperviouslib.work.predict import open_here

    path, grid, _net, folder = place()
    files = {key: folder / f"{key}.tif" for key in KEYS}
    names = [file.name for file in folder.iterdir()]
    compute, _agreement = open_here(resolve_engine(engine, names), folder, 0, fast=fast, halo=net_halo(3))
    dtypes = {key: "uint8" if key == "class" else "uint16" for key in KEYS}
    with ArdFile.open(path) as ard, TiffWriters(files, dtypes, grid) as tiffs:
        write_period(compute(ard, "2017", net_halo(3), grid), tiffs.write)
        tiffs.finish()
    return files


def by_script(batch: int) -> dict[str, Path]:
    """Do the same as scripts do: patches without overlap, model.predict for each batch of them."""
    import h5py
    import rasterio

    path, grid, net, folder = place()
    files = {key: folder / f"script_{key}.tif" for key in KEYS}
    with h5py.File(path) as file:
        features = [file[name] for name in ("B12_p50", "B11_p50", "B04_p50")]
        whole = np.stack([one[0] for one in features], axis=-1)
    out = np.zeros((SIDE, SIDE, 4), np.float32)
    # The last patches overlap those before them, since a tile is no multiple of a patch.
    starts = [*range(0, SIDE - PATCH, PATCH), SIDE - PATCH]
    corners = [(row, col) for row in starts for col in starts]
    for start in range(0, len(corners), batch):
        some = corners[start : start + batch]
        found = net.predict(np.stack([whole[r : r + PATCH, c : c + PATCH] for r, c in some]), verbose=0)
        for (row, col), part in zip(some, found, strict=True):
            out[row : row + PATCH, col : col + PATCH] = part
    planes = [
        *(np.rint(np.moveaxis(out, -1, 0) * 10_000).astype(np.uint16)),
        (1 + out.argmax(axis=-1)).astype(np.uint8),
    ]
    for plane, file in zip(planes, files.values(), strict=True):
        with rasterio.open(
            file, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype=plane.dtype, crs="EPSG:3035",
            transform=rasterio.Affine(*grid.transform), compress="deflate", tiled=True,
        ) as dataset:  # fmt: skip
            dataset.write(plane, 1)
    return files


def check(files: dict[str, Path]) -> None:
    """Raise AssertionError where the maps differ from one pass of TensorFlow over 1856 x 1856 cells."""
    import rasterio

    from imperviouslib.core.network import net_halo
    from imperviouslib.edge.ardfile import ArdFile
    from imperviouslib.edge.unet import run_net

    path, grid, net, _folder = place()
    from testsuite.unet_ground import grid_at

    inner = grid_at(grid.first_row + 224, grid.first_col + 224, 1856, 1856)
    around = inner.grown(net_halo(3))
    with ArdFile.open(path) as ard:
        seen = np.moveaxis(ard.read("2017", around), 0, -1)[np.newaxis]
    whole = run_net(net)(seen)[0][inner.slices_in(around)]
    with rasterio.open(files["class"]) as dataset:
        classes = dataset.read(1)[inner.slices_in(grid)]
    first, second = np.partition(whole, -2, axis=-1)[..., -1], np.partition(whole, -2, axis=-1)[..., -2]
    # Where two classes are equally likely to the last digits, rounding decides.
    clear = first - second > 1e-6
    if (classes != 1 + whole.argmax(axis=-1))[clear].any() or clear.mean() < 0.9999:
        raise AssertionError("classes differ from those of one pass")


@functools.cache
def ours(*, fast: bool = False) -> float:
    """Time ours, and check it, once for all peers."""
    if not fast:
        check(by_us())
    try:
        return best_of(lambda: by_us(fast=fast), 2)
    except InputError as err:
        raise NotMeasuredError(str(err)) from err


@functools.cache
def theirs(batch: int) -> float:
    """Time a script, once for all cases."""
    return best_of(lambda: by_script(batch), 1)


@case(
    "predict",
    "HDF5 to maps, a tile of 5490 x 5490 cells, against model.predict for each patch of 256, seconds",
    target=1 / 4,
)
def usual_script() -> tuple[float, float]:
    return ours(), theirs(1)


@case("predict", "the same against model.predict for batches of 16 patches, seconds", target=1 / 1.3)
def large_batches() -> tuple[float, float]:
    return ours(), theirs(BATCH)


@case("predict", "the same with bf16 against model.predict for each patch, seconds", target=1 / 8)
def fast_numbers() -> tuple[float, float]:
    return ours(fast=True), theirs(1)


@case("predict", "start of the engine, OpenVINO against TensorFlow, each in a new process, seconds", target=1 / 3)
def start() -> tuple[float, float]:
    import subprocess
    import sys

    folder = place()[-1]

    def run(engine: str) -> None:
        code = (
            "from pathlib import Path; from imperviouslib.edge.engine import open_unet, resolve_engine; "
            f"p = Path({str(folder)!r}); open_unet(resolve_engine({engine!r}, [f.name for f in p.iterdir()]), p, 0)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})

    return best_of(lambda: run("openvino"), 2), best_of(lambda: run("tensorflow"), 2)
