"""Raster files (rasterio): GeoTIFFs on the grid, and objects of any form decoded from memory.

GDAL decodes JPEG 2000 in several threads by default, and an error in one of them comes out of rasterio as zeros without an
exception. Every read here is therefore made with one GDAL thread, in which a failed read raises.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
import rasterio.errors
import rasterio.io
from rasterio.enums import Compression
from rasterio.windows import Window

from imperviouslib.core.errors import FetchError, GridError, InputError, _
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.edge.files import atomic_write

_READ = {"GDAL_NUM_THREADS": "1", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_LOG_ERRORS": "OFF"}
_CRS = rasterio.CRS.from_epsg(EPSG)
TILE = 256
"""Cells a side of a GeoTIFF tile."""


def _profile(grid: Grid, dtype: str, count: int, nodata: float | None) -> dict:
    return {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": count, "dtype": dtype, "crs": _CRS,
        "transform": rasterio.Affine(*grid.transform), "nodata": nodata, "tiled": True, "blockxsize": TILE,
        "blockysize": TILE, "compress": "zstd", "zstd_level": 1, "predictor": 2 if np.dtype(dtype).kind in "ui" else 3,
        "BIGTIFF": "IF_SAFER",
    }  # fmt: skip


class TiffWriter:
    """Write a GeoTIFF on the grid part by part; it appears under its name when the `with` block ends well.

    Parts that line up with absolute multiples of `TILE` cells of `grid`'s own corner are written once each; other parts are
    rewritten by GDAL's cache, which is correct and slower.
    """

    def __init__(self, path: Path, grid: Grid, dtype: str, *, nodata: float | None = 0, count: int = 1) -> None:
        self.path, self.grid = Path(path), grid
        self._profile = _profile(grid, dtype, count, nodata)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> TiffWriter:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_write(self.path))
            stack.enter_context(rasterio.Env(**_READ))
            self._dataset = stack.enter_context(rasterio.open(part, "w", **self._profile))
            self._stack = stack.pop_all()
        return self

    def parts(self) -> Iterator[Grid]:
        """Cut the grid at the file's own tiles, so that each is compressed and written once, row by row."""
        grid, step = self.grid, TILE * self.grid.res_m
        for north in range(grid.north, grid.south, -step):
            for west in range(grid.west, grid.east, 4 * step):
                yield Grid(west, max(north - step, grid.south), min(west + 4 * step, grid.east), north, grid.res_m)

    def write(self, array: np.ndarray, part: Grid) -> None:
        """Write one part; array is (row, col), or (band, row, col) where the file has several bands.

        Raises InputError where the disk does not take it.
        """
        rows, cols = part.slices_in(self.grid)
        window = Window(cols.start, rows.start, part.width, part.height)
        try:
            self._dataset.write(array if array.ndim == 3 else array[np.newaxis], window=window)
        except rasterio.errors.RasterioIOError as err:
            raise InputError(
                _("File in '{}'").format(self.path.parent),
                found=_("that it cannot be written ({})").format(err.__cause__ or err),
                expected=_("room and permission to write"),
                then=_("Make room on the disk and run the same command again."),
            ) from err

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def write_tiff(path: Path, array: np.ndarray, grid: Grid, *, nodata: float | None = 0) -> None:
    """Write an array (row, col) on the grid as a GeoTIFF, whole or not at all."""
    if array.shape != grid.shape:
        raise GridError(
            _("Array for '{}'").format(path),
            found=_("shape {}").format(array.shape),
            expected=f"{grid.shape}",
            then=_("This is a fault of the tool."),
        )
    with TiffWriter(path, grid, str(array.dtype), nodata=nodata) as out:
        out.write(array, grid)


def grid_of(dataset: rasterio.io.DatasetReader, res_m: int) -> Grid:
    """Return the grid of an open dataset, or raise GridError where it does not lie on the one grid."""
    t = dataset.transform
    edges = (t.c, t.f + t.e * dataset.height, t.c + t.a * dataset.width, t.f)
    exact = t.a == res_m and t.e == -res_m and not t.b and not t.d and not any(float(edge) % res_m for edge in edges)
    if not exact or not same_crs(dataset.crs):
        raise GridError(
            _("File '{}'").format(dataset.name),
            found=_("{}, cells of {:g} x {:g} m from {:.10g}, {:.10g}").format(
                dataset.crs and dataset.crs.to_string()[:40], t.a, -t.e, t.c, t.f
            ),
            expected=_("EPSG:{}, {} m cells at multiples of {} m").format(EPSG, res_m, res_m),
            then=_("Warp the file onto the grid, or fetch it again."),
        )
    return Grid(*(int(edge) for edge in edges), res_m)


def same_crs(crs: rasterio.CRS | None) -> bool:
    """Tell whether a CRS is EPSG:3035 in substance: files of other systems write the same projection with other words.

    A definition whose ellipsoid is rounded differently is the same; PROJ's own parameters decide.
    """
    if crs is None:
        return False
    if crs.to_epsg() == EPSG:
        return True
    wanted = {"proj": "laea", "lat_0": 52, "lon_0": 10, "x_0": 4321000, "y_0": 3210000}
    given = crs.to_dict()
    return all(
        given.get(key) == value if isinstance(value, str) else abs(float(given.get(key, "nan")) - value) < 1e-6
        for key, value in wanted.items()
    ) and (
        given.get("ellps") == "GRS80"
        or given.get("datum") == "ETRS89"
        or abs(float(given.get("a", 0)) - 6378137) < 1e-3
    )


@contextlib.contextmanager
def open_on_grid(path: Path, res_m: int) -> Iterator[tuple[rasterio.io.DatasetReader, Grid]]:
    """Open a raster that must lie on the grid; raise InputError where it is no raster, GridError where it is off."""
    with rasterio.Env(**_READ):
        dataset, grid = _open_on_grid(path, res_m)
        with dataset:
            yield dataset, grid


def _open_on_grid(path: Path, res_m: int) -> tuple[rasterio.io.DatasetReader, Grid]:
    try:
        dataset = rasterio.open(path)
    except rasterio.errors.RasterioIOError as err:
        raise InputError(
            _("File '{}'").format(path),
            found=_("no raster that can be read"),
            expected=_("a GeoTIFF"),
            then=_("Remove it and make it again."),
        ) from err
    try:
        return dataset, grid_of(dataset, res_m)
    except GridError:
        dataset.close()
        raise


def read_part(dataset: rasterio.io.DatasetReader, grid: Grid, part: Grid, fill: int = 0) -> np.ndarray:
    """Read `part` of an open dataset that lies on `grid`; cells outside the dataset are `fill`.

    Returns: array (row, col) of the dataset's type
    """
    common = grid.intersection(part)
    if common is None:
        return np.full(part.shape, fill, dtype=dataset.dtypes[0])
    rows, cols = common.slices_in(grid)
    try:
        data = dataset.read(1, window=Window(cols.start, rows.start, common.width, common.height))
    except rasterio.errors.RasterioIOError as err:
        raise InputError(
            _("File '{}'").format(dataset.name),
            found=_("cells that cannot be decoded"),
            expected=_("a whole file"),
            then=_("Remove it and its sidecar, and fetch again."),
        ) from err
    if common == part:
        return data
    out = np.full(part.shape, fill, dtype=dataset.dtypes[0])
    out[common.slices_in(part)] = data
    return out


class OpenRasters:
    """Rasters on the grid that stay open between reads, since opening costs more than reading a small part; each thread has its own.

    At most `most` stay open a thread. Use it as a context manager; it closes them all.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._threads: dict[int, OrderedDict[Path, tuple[rasterio.io.DatasetReader, Grid]]] = {}

    def __enter__(self) -> OpenRasters:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._threads.values():
            for dataset, _grid in opened.values():
                dataset.close()

    def read(self, path: Path, part: Grid) -> np.ndarray:
        """Read a part as `read_part` does; raises as `open_on_grid` does."""
        opened = self._threads.setdefault(threading.get_ident(), OrderedDict())
        with rasterio.Env(**_READ):
            if path not in opened:
                opened[path] = _open_on_grid(path, part.res_m)
                if len(opened) > self._most:
                    opened.popitem(last=False)[1][0].close()
            opened.move_to_end(path)
            return read_part(*opened[path], part)


@dataclass(frozen=True)
class Source:
    """Where the pixels of an object lie."""

    crs: str
    """CRS as text that PROJ understands, e.g. EPSG:32633."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients (a, b, c, d, e, f), pixel to CRS units."""
    height: int
    width: int
    dtype: str


def describe_object(content: bytes, name: str) -> Source:
    """Read the header of a raster object held in memory; raise FetchError where it is no raster."""
    with _open_memory(content, name) as dataset:
        return Source(
            dataset.crs.to_string() if dataset.crs else "",
            tuple(dataset.transform)[:6],
            dataset.height,
            dataset.width,
            dataset.dtypes[0],
        )


def decode_object(
    content: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int], *, threads: int = 1
) -> np.ndarray:
    """Decode pixels rows[0]:rows[1], cols[0]:cols[1] of an object held in memory; only the tiles that meet them are decoded.

    threads : int, rows of tiles decoded at the same time; each thread has an open file and one GDAL thread of its own
    Returns: array (row, col); raises FetchError where any of it cannot be decoded
    """
    with _open_memory(content, name) as dataset:
        height, dtype = dataset.block_shapes[0][0], dataset.dtypes[0]
    # Whichever thread is free takes the next row of tiles.
    cuts = [rows[0], *range((rows[0] // height + 1) * height, rows[1], height), rows[1]]
    out = np.empty((rows[1] - rows[0], cols[1] - cols[0]), dtype)

    def decode(strip: tuple[int, int]) -> None:
        _decode(content, name, strip, cols, out[strip[0] - rows[0] : strip[1] - rows[0]])

    if threads == 1 or len(cuts) == 2:
        decode(rows)
        return out
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(decode, itertools.pairwise(cuts)):
            pass
    return out


def _decode(content: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int], out: np.ndarray) -> None:
    with _open_memory(content, name) as dataset:
        try:
            dataset.read(1, window=Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0]), out=out)
        except rasterio.errors.RasterioIOError as err:
            raise FetchError(
                _("Object '{}'").format(name),
                found=_("pixels that cannot be decoded"),
                expected=_("a whole raster"),
                then=_("Run r.s2.fetch again; if it stays, exclude the scene."),
            ) from err


@dataclass(frozen=True)
class Blocks:
    """Where some blocks of a GeoTIFF lie."""

    places: tuple[tuple[int, int], ...]
    """(start, stop) of each in bytes."""
    deflate: bool
    """Each is a zlib stream, which ends with a checksum."""


def tiff_blocks(head: bytes, name: str, rows: tuple[int, int], cols: tuple[int, int]) -> Blocks | None:
    """Find the blocks of a GeoTIFF that pixels rows[0]:rows[1], cols[0]:cols[1] meet.

    head : the beginning of the file; None where it is no GeoTIFF, does not tell all of them, some block is not stored, or its
    compression might read zeros as pixels
    """
    with _open_memory(head, name) as dataset:
        if dataset.driver != "GTiff" or dataset.compression not in (Compression.deflate, Compression.zstd):
            return None
        (height, width), found = dataset.block_shapes[0], []
        for row in range(rows[0] // height, -(-rows[1] // height)):
            for col in range(cols[0] // width, -(-cols[1] // width)):
                start, size = (
                    dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")
                )
                if not start or not size:
                    return None
                found.append((int(start), int(start) + int(size)))
        return Blocks(tuple(found), dataset.compression == Compression.deflate)


@contextlib.contextmanager
def _open_memory(content: bytes, name: str) -> Iterator[rasterio.io.DatasetReader]:
    with rasterio.Env(**_READ), rasterio.io.MemoryFile(content) as memory:
        try:
            dataset = memory.open()
        except rasterio.errors.RasterioIOError as err:
            raise FetchError(
                _("Object '{}'").format(name),
                found=_("{} bytes that are no raster").format(len(content)),
                expected=_("a JPEG 2000 or GeoTIFF image"),
                then=_("Check the link in the catalogue."),
            ) from err
        with dataset:
            yield dataset


__all__ = [
    "Source", "TiffWriter", "decode_object", "describe_object", "grid_of", "open_on_grid", "read_part", "same_crs", "tiff_blocks", "write_tiff",
]  # fmt: skip
