"""HDF5 writing against what the obvious h5py calls give: float32 with gzip."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import rasterio

from imperviouslib.core.grid import Grid
from imperviouslib.core.labels import majority
from imperviouslib.core.legend import CLASSES, S2GLC
from imperviouslib.edge.ardfile import ArdWriter
from testsuite.bench import case, grass_session
from testsuite.bench_yearly import _made_world, _processor_seconds

SIDE = 2048
GRID = Grid(0, 0, SIDE * 20, SIDE * 20)
FEATURES = ("B12_p50", "B11_p50", "B04_p50")


def _values() -> tuple[np.ndarray, np.ndarray]:
    """Reflectances as composites have them: fields and noise, 5 % without data (0); float64, not rounded, and the count."""
    rng = np.random.default_rng(1)
    fields = rng.integers(400, 3500, (3, SIDE // 16, SIDE // 16)).repeat(16, 1).repeat(16, 2)
    values = (fields + rng.normal(0, 25, fields.shape)).clip(1, 9999)
    gaps = (rng.random((SIDE // 32, SIDE // 32)) < 0.05).repeat(32, 0).repeat(32, 1)
    values[:, gaps] = 0
    return values, np.where(gaps, 0, 6).astype(np.uint8)


def _ours(path: Path, values: np.ndarray, count: np.ndarray) -> None:
    with ArdWriter(path, GRID, ["2018"], FEATURES) as out:
        for part in out.strips():
            rows, cols = part.slices_in(GRID)
            out.write_period("2018", part, values[:, rows, cols], count[rows, cols])
        out.finish({"2018": {}})


def _obvious(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as handle:
        for name, plane in zip(FEATURES, values, strict=True):
            reflectance = np.where(plane == 0, np.nan, plane / 10000).astype("f4")
            handle.create_dataset(name, data=reflectance, chunks=(256, 256), compression="gzip")


def _seconds(rounded: bool) -> tuple[float, float]:
    values, count = _values()
    whole = np.rint(values).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        return (
            min(_processor_seconds(lambda: _ours(Path(folder) / "a.h5", whole, count)) for _ in range(3)),
            min(
                _processor_seconds(lambda: _obvious(Path(folder) / "b.h5", whole if rounded else values))
                for _ in range(3)
            ),
        )


def _sizes(rounded: bool) -> tuple[float, float]:
    values, count = _values()
    whole = np.rint(values).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "a.h5", Path(folder) / "b.h5"
        _ours(ours, whole, count)
        _obvious(theirs, whole if rounded else values)
        return float(ours.stat().st_size), float(theirs.stat().st_size)


@case("ard", "HDF5 writing, digests and count included, against h5py float32 gzip, CPU s", target=1 / 4)
def writing() -> tuple[float, float]:
    """The peer stores floating point values as resampling and averaging give them."""
    return _seconds(rounded=False)


@case("ard", "HDF5 size, count included, against h5py float32 gzip, bytes", target=0.45)
def size() -> tuple[float, float]:
    return _sizes(rounded=False)


@case("ard", "HDF5 writing, against h5py float32 gzip of values rounded to 0.0001, CPU s", target=0.6)
def writing_rounded() -> tuple[float, float]:
    """The peer stores whole ten-thousandths, which gzip compresses better: the fairest comparison, and the hardest."""
    return _seconds(rounded=True)


@case("ard", "HDF5 size, against h5py float32 gzip of values rounded to 0.0001, bytes", target=0.6)
def size_rounded() -> tuple[float, float]:
    return _sizes(rounded=True)


@case("ard", "labels of the made world, brought to 20 m, that are wrong, share", target=0.14)
def wrong_labels() -> tuple[float, None]:
    """Print per class how the labels differ from the truth, in which 14 % of the label map's own pixels were made wrong."""
    with grass_session():
        archive, area = _made_world(True)
    world = archive.parent / "world"
    with rasterio.open(world / "truth" / "class_2018.tif") as file:
        truth = file.read(1)
    with rasterio.open(world / "labels" / "s2glc_2018.tif") as file:
        window = rasterio.windows.from_bounds(*area.bounds, file.transform)
        codes = file.read(1, window=window)
    table = np.zeros(256, int)
    table[list(S2GLC.codes)] = list(S2GLC.codes.values())
    label = majority(table[codes], area, 2).label
    known = (label > 0) & (truth > 0)
    for c in CLASSES:
        is_true, is_label = known & (truth == c.code), known & (label == c.code)
        both, n_true, n_label = (int(m.sum()) for m in (is_true & is_label, is_true, is_label))
        print(
            f"  {c.key:<11}{n_true:7} cells  labelled {n_label:7}  producer's accuracy {both / max(1, n_true):.3f}  user's {both / max(1, n_label):.3f}"
        )
    return float((label != truth)[known].mean()), None
