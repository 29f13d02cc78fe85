"""GeoTIFFs on the grid (rasterio): written part by part, opened, and read part by part.

Every read is made with one GDAL thread, because an error in one of several comes out of rasterio as zeros without an exception.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
import rasterio.errors
import rasterio.io
from rasterio.windows import Window

from imperviouslib.core.errors import GridError, InputError, _
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.edge.files import atomic_write
from imperviouslib.edge.overlap import do_each

READ_SETTINGS = {"GDAL_NUM_THREADS": "1", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_LOG_ERRORS": "OFF"}
"""GDAL's settings while a raster is opened and read."""
_CRS = rasterio.CRS.from_epsg(EPSG)
TILE = 256
"""Cells a side of a GeoTIFF tile."""
_CACHE_BYTES = 2**24
"""What GDAL may keep of maps that are written, beside two rows of tiles of each, of which parts may be missing still."""


def _profile(grid: Grid, dtype: str, nodata: float | None, *, smooth: bool) -> dict:
    predictor = (2 if np.dtype(dtype).kind in "ui" else 3) if smooth else 1
    return {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": 1, "dtype": dtype, "crs": _CRS,
        "transform": rasterio.Affine(*grid.transform), "nodata": nodata, "tiled": True, "blockxsize": TILE,
        "blockysize": TILE, "compress": "zstd", "zstd_level": 1, "predictor": predictor,
        # Python waits while a file is closed, so files that are closed side by side are not compressed side by side by themselves. The bytes are
        # the same with any number of threads.
        "BIGTIFF": "IF_SAFER", "NUM_THREADS": "2",
    }  # fmt: skip


class TiffWriter:
    """Write a GeoTIFF of one band part by part; it gets its name if the `with` block succeeds, and is removed if it fails.

    Each cell is written once at most. A file that cannot be written is an InputError: at the begin, with a part, or at the end, when it is read.

    Parts that line up with absolute multiples of `TILE` cells of `grid`'s own corner are written once each; other parts are
    rewritten by GDAL's cache, which is correct and slower.

    smooth : whether the differences of neighbouring cells are compressed, which saves room where these are alike, such as reflectances
    """

    def __init__(self, path: Path, grid: Grid, dtype: str, *, nodata: float | None = 0, smooth: bool = True) -> None:
        self.path, self.grid = Path(path), grid
        self._profile = _profile(grid, dtype, nodata, smooth=smooth)
        self._stack = contextlib.ExitStack()
        self._cells = 0

    def __enter__(self) -> TiffWriter:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_write(self.path))
            stack.enter_context(self._verified(part))
            with self._writing(), rasterio.Env(**READ_SETTINGS):
                self._dataset = stack.enter_context(rasterio.open(part, "w", **self._profile))
            self._stack = stack.pop_all()
        return self

    def parts(self) -> Iterator[Grid]:
        """Cut the grid at the file's own tiles, so that each is compressed and written once, row by row, up to four tiles a part."""
        return self.grid.parts(TILE, 4 * TILE)

    def write(self, array: np.ndarray, part: Grid) -> None:
        """Write one part; array is (row, col) of the file's type. Raises InputError if it cannot be written to the disk."""
        with self._writing():
            self._dataset.write(array, 1, window=Window.from_slices(*part.slices_in(self.grid)))
        self._cells += self._count(array)

    def finish(self) -> None:
        """Close the file and give it its name now, before the `with` block ends; several files may be finished by threads."""
        self._stack.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn the errors of a full disk into one that names the file."""
        try:
            yield
        except rasterio.errors.RasterioIOError as err:
            raise self._unwritable(str(err.__cause__ or err)) from err

    @contextlib.contextmanager
    def _verified(self, part: Path) -> Iterator[None]:
        """Read the file when it was closed, and raise InputError where it has lost cells.

        GDAL writes the last parts of a file when it is closed, and rasterio raises no error where that fails.
        """
        yield
        found = 0
        try:
            with open_on_grid(part, self.grid.res_m) as (dataset, grid):
                for strip in self.grid.parts(TILE):
                    found += self._count(read_part(dataset, grid, strip))
        except (InputError, GridError) as err:
            raise self._unwritable(_("what was written cannot be read")) from err
        if found != self._cells:
            raise self._unwritable(_("{} of {} valid cells can be read").format(found, self._cells))

    def _count(self, cells: np.ndarray) -> int:
        """Count the cells with data."""
        nodata = self._profile["nodata"]
        return np.count_nonzero(cells != nodata if nodata == nodata else ~np.isnan(cells))

    def _unwritable(self, why: str) -> InputError:
        return InputError(
            _("File '{}' cannot be written ({})").format(self.path, why),
            then=_("Make room on the disk and run the same command again."),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


class TiffWriters:
    """Write GeoTIFFs of several maps side by side; each gets its name when it is finished, and is removed if the `with` block fails before.

    The maps are classes and probabilities: the differences of their cells would take more room and twice the time to read.

    paths, dtypes : name of the map to its file and to the type of its cells; no data is 0 in whole numbers, NaN in others
    """

    def __init__(self, paths: Mapping[str, Path], dtypes: Mapping[str, str], grid: Grid) -> None:
        self._writers = {
            name: TiffWriter(
                path, grid, dtypes[name], nodata=float("nan") if dtypes[name].startswith("float") else 0, smooth=False
            )
            for name, path in paths.items()
        }
        self._stack = contextlib.ExitStack()
        row = sum(np.dtype(dtype).itemsize for dtype in dtypes.values()) * grid.width * TILE
        self._cache_bytes = _CACHE_BYTES + 2 * row

    def __enter__(self) -> TiffWriters:
        with contextlib.ExitStack() as stack:
            # By itself, GDAL keeps up to a twentieth of the machine's memory, and compresses nearly all only when the files are closed.
            stack.enter_context(rasterio.Env(GDAL_CACHEMAX=self._cache_bytes))
            for writer in self._writers.values():
                stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def write(self, name: str, cells: np.ndarray, part: Grid) -> None:
        """Write one part of a map, as `TiffWriter.write` does."""
        self._writers[name].write(cells, part)

    def finish(self, threads: int = 0) -> None:
        """Finish all files, several at a time, as `do_each` takes them."""
        do_each(TiffWriter.finish, self._writers.values(), threads)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def grid_of(dataset: rasterio.io.DatasetReader, res_m: int) -> Grid:
    """Return the grid of an open dataset, or raise GridError where it does not lie on the one grid with cells of `res_m` metres."""
    t = dataset.transform
    edges = (t.c, t.f + t.e * dataset.height, t.c + t.a * dataset.width, t.f)
    exact = t.a == res_m and t.e == -res_m and not t.b and not t.d and not any(float(edge) % res_m for edge in edges)
    if not exact or not same_crs(dataset.crs):
        raise GridError(
            _("File '{}'").format(dataset.name),
            found=_("CRS {}, cells of {:g} x {:g} m from {:.10g}, {:.10g}").format(
                dataset.crs.to_string()[:40] if dataset.crs else _("not set"), t.a, -t.e, t.c, t.f
            ),
            expected=_("EPSG:{}, cells of {} m at multiples of {} m").format(EPSG, res_m, res_m),
            then=_("Warp the file onto the grid, or fetch it again."),
        )
    west, south, east, north = (int(edge) for edge in edges)
    return Grid(west, south, east, north, res_m)


def same_crs(crs: rasterio.CRS | None) -> bool:
    """Tell whether a CRS is equivalent to EPSG:3035: other systems describe the same projection in other words.

    PROJ's own parameters decide, so a definition whose ellipsoid is rounded differently is the same. The comparisons of rasterio and pyproj
    refuse such a definition, or with a lower threshold take one whose origin lies a metre or a degree away for the same.
    """
    if crs is None:
        return False
    if crs.to_epsg() == EPSG:
        return True
    given = crs.to_dict()
    origin = {"lat_0": 52, "lon_0": 10, "x_0": 4321000, "y_0": 3210000}
    is_ellipsoid_same = (
        given.get("ellps") == "GRS80"
        or given.get("datum") == "ETRS89"
        or abs(float(given.get("a", 0)) - 6378137) < 1e-3
    )
    return (
        given.get("proj") == "laea"
        and is_ellipsoid_same
        and all(abs(float(given.get(key, "nan")) - value) < 1e-6 for key, value in origin.items())
    )


@contextlib.contextmanager
def open_on_grid(path: Path, res_m: int) -> Iterator[tuple[rasterio.io.DatasetReader, Grid]]:
    """Open a raster that must lie on the grid; raise InputError if it is not a raster, GridError if it is not on the grid."""
    with rasterio.Env(**READ_SETTINGS):
        dataset, grid = _open_on_grid(path, res_m)
        with dataset:
            yield dataset, grid


def _open_on_grid(path: Path, res_m: int) -> tuple[rasterio.io.DatasetReader, Grid]:
    try:
        dataset = rasterio.open(path)
    except rasterio.errors.RasterioIOError as err:
        raise InputError(
            _("File '{}' cannot be read as a raster").format(path),
            then=_("Remove it and make it again."),
        ) from err
    try:
        return dataset, grid_of(dataset, res_m)
    except GridError:
        dataset.close()
        raise


def read_part(dataset: rasterio.io.DatasetReader, grid: Grid, part: Grid, fill: int = 0) -> np.ndarray:
    """Read `part` of an open dataset that lies on `grid`; cells outside of the dataset are `fill`.

    Returns: array (row, col) of the dataset's type; raises InputError where cells cannot be decoded

    The boundless reads of rasterio do the same through a virtual dataset, which takes forty times as long for a small part.
    """
    common = grid.intersection(part)
    if common is None:
        return np.full(part.shape, fill, dtype=dataset.dtypes[0])
    try:
        data = dataset.read(1, window=Window.from_slices(*common.slices_in(grid)))
    except rasterio.errors.RasterioIOError as err:
        raise InputError(
            _("File '{}' has cells that cannot be decoded").format(dataset.name),
            then=_("Remove it and its sidecar, and fetch it again."),
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
        with rasterio.Env(**READ_SETTINGS):
            if path not in opened:
                opened[path] = _open_on_grid(path, part.res_m)
                if len(opened) > self._most:
                    opened.popitem(last=False)[1][0].close()
            opened.move_to_end(path)
            return read_part(*opened[path], part)
