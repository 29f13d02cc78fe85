"""Writing the HDF5 file."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj

from imperviouslib import __version__
from imperviouslib.core.feature import Feature
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.periods import period_named
from imperviouslib.edge.ardfile.chunks import Chunk, ChunkTask, compress
from imperviouslib.edge.ardfile.contract import (
    CHUNK,
    CONTRACT,
    CONVENTIONS,
    FILTERS,
    LABEL_VARIABLES,
    NO_BYTE,
    TIME_UNITS,
    metadata_digest,
    strips,
)
from imperviouslib.edge.ardfile.reader import ArdFile
from imperviouslib.edge.files import atomic_write


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class _Sink(io.FileIO):
    """A file that keeps its first error until Python asks for it, because HDF5 itself may crash when a write fails."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or nothing once a write has failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as err:
            self._keep(err)
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the size, unless a write has failed."""
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as err:
            self._keep(err)
        return size or 0

    def readinto(self, buffer: Any) -> int:
        """Read; parts that were not written read as zeros."""
        found = super().readinto(buffer) or 0
        memoryview(buffer).cast("B")[found:] = bytes(len(buffer) - found)
        return len(buffer)

    def _keep(self, err: OSError) -> None:
        err.filename = str(self.name)
        self.error = err


class ArdWriter:
    """Write a file; it gets its name only after `finish`, when the `with` block ends without an error.

    features : names, in the order of the model's input
    as_float : bool, write the features as float32 with NaN instead of uint16
    """

    def __init__(
        self, path: Path, grid: Grid, periods: Sequence[str], features: Sequence[str], *, as_float: bool = False
    ) -> None:
        self.path, self.grid, self.periods, self._float = Path(path), grid, tuple(periods), as_float
        self._features = tuple(Feature.parse(name) for name in features)
        self._digests = [hashlib.sha256() for _ in self.periods]
        self._copied: dict[int, str] = {}

    def __enter__(self) -> ArdWriter:
        self._target = atomic_write(self.path)
        part = self._target.__enter__()
        try:
            # Not "latest", because the HDF5 library of Debian 12 must read the file.
            self._sink = _Sink(part, "w+")
            self._file = h5py.File(self._sink, "w", libver=("earliest", "v110"), track_order=True)
            self._create()
        except BaseException as err:
            self._target.__exit__(type(err), err, err.__traceback__)
            raise
        return self

    def _create(self) -> None:
        handle, grid = self._file, self.grid
        handle.attrs["Conventions"] = CONVENTIONS
        handle.attrs["title"] = "Analysis-ready composites of Sentinel-2 for land cover, in EPSG:3035"
        handle.attrs["history"] = f"r.s2.ard (r.impervious {__version__})"
        handle.attrs["references"] = "https://grass.osgeo.org/grass-stable/manuals/addons/"
        half = grid.res_m / 2
        axes = {
            "x": (grid.west + half + grid.res_m * np.arange(grid.width), "projection_x_coordinate", "m"),
            "y": (grid.north - half - grid.res_m * np.arange(grid.height), "projection_y_coordinate", "m"),
        }
        for name, (values, standard, units) in axes.items():
            axis = handle.create_dataset(name, data=values.astype("f8"))
            axis.attrs.update(
                {
                    "standard_name": standard,
                    "long_name": f"{name} of cell centres",
                    "units": units,
                    "axis": name.upper(),
                }
            )
            axis.make_scale(name)
        self._create_time()
        crs = pyproj.CRS.from_epsg(EPSG)
        mapping = handle.create_dataset("crs", data=np.int32(0))
        cf = crs.to_cf()
        cf.pop("crs_wkt", None)
        for key, value in cf.items():
            mapping.attrs[key] = value
        mapping.attrs["long_name"] = f"EPSG:{EPSG}"
        # The usage part has names that are not ASCII, at which some readers stop.
        mapping.attrs["crs_wkt"] = _plain_wkt(crs)
        kind, fill = ("f4", np.nan) if self._float else ("u2", 0)
        for feature in self._features:
            variable = self._variable(feature.name, kind, (len(self.periods), *grid.shape), fill)
            variable.attrs["long_name"] = feature.long_name
            variable.attrs["units"] = "1"
            if not self._float:
                variable.attrs["scale_factor"] = np.float64(feature.variable.scale)
                variable.attrs["add_offset"] = np.float64(feature.variable.offset)
        self._variable("count", "u1", (len(self.periods), *grid.shape), NO_BYTE)
        handle["count"].attrs.update({"long_name": "clear observations", "units": "1"})
        self._create_bounds()

    def _create_time(self) -> None:
        """Write the axis of time, the middle of each period, and the names of the periods.

        The values of an axis must increase. Where periods have the same middle, each stands half a day after the one before, which lies in it too.
        """
        middles = [period_named(name).middle for name in self.periods]
        values = middles[:1]
        for before, middle in pairwise(middles):
            values.append(values[-1] + 0.5 if middle == before else middle)
        time = self._file.create_dataset("time", data=np.array(values, "f8"))
        time.attrs.update(
            {
                "standard_name": "time", "long_name": "middle of the period", "units": TIME_UNITS, "axis": "T",
                "calendar": "standard", "units_metadata": "leap_seconds: none", "bounds": "time_bnds",
            }
        )  # fmt: skip
        time.make_scale("time")
        period = self._file.create_dataset("period", data=list(self.periods), dtype=h5py.string_dtype())
        period.attrs["long_name"] = "name of the period"
        period.dims[0].attach_scale(time)

    def _create_bounds(self) -> None:
        """Write the first day of each period and the day after its last; after the features, because some readers take the first variable."""
        days = [period_named(name).days for name in self.periods]
        bounds = self._file.create_dataset("time_bnds", data=np.array(days, "f8"))
        # NetCDF-4 knows a dimension without values by this name.
        ends = self._file.create_dataset("bnds", data=np.zeros(2, "f4"))
        ends.make_scale(f"This is a netCDF dimension but not a netCDF variable.{2:>10}")
        bounds.dims[0].attach_scale(self._file["time"])
        bounds.dims[1].attach_scale(ends)

    def _variable(self, name: str, dtype: str, shape: tuple[int, ...], fill: float) -> h5py.Dataset:
        chunks = tuple(min(CHUNK, n) for n in shape[-2:])
        variable = self._file.create_dataset(
            name, shape, dtype=dtype, chunks=(1, *chunks) if len(shape) == 3 else chunks,
            fillvalue=fill, **FILTERS,
        )  # fmt: skip
        variable.attrs["_FillValue"] = np.array([fill], dtype=dtype)
        variable.attrs["grid_mapping"] = "crs"
        if len(shape) == 3:
            variable.attrs["coordinates"] = "period"
        for axis, scale in enumerate(("time", "y", "x")[-len(shape) :]):
            variable.dims[axis].attach_scale(self._file[scale])
        return variable

    def strips(self) -> Iterator[Grid]:
        """Cut the file's grid into the strips in which it is written, from north to south."""
        return strips(self.grid)

    def write_period(self, period: str, part: Grid, features: np.ndarray, count: np.ndarray) -> None:
        """Write one strip of one period; each strip once, in the order of `strips`.

        features : array (feature, row, col), uint16, 0 = no data
        count : array (row, col), uint8, 255 = outside every scene
        """
        for task in self.chunk_tasks(period, part, features, count):
            self.write_chunks(task, compress(task))

    def chunk_tasks(self, period: str, part: Grid, features: np.ndarray, count: np.ndarray) -> Iterator[ChunkTask]:
        """Yield what is to be compressed of a strip, of which `write_chunks` writes the result; arguments and order as for `write_period`."""
        t = self.periods.index(period)
        planes = {
            feature.name: (np.ascontiguousarray(plane, dtype="<u2"), feature.variable)
            for feature, plane in zip(self._features, features, strict=True)
        }
        for name, (plane, variable) in planes.items():
            self._digests[t].update(plane)
            yield self._task(name, t, part, variable.values(plane) if self._float else plane)
        plane = np.ascontiguousarray(count, dtype="u1")
        self._digests[t].update(plane)
        yield self._task("count", t, part, plane)

    def _task(self, name: str, t: int, part: Grid, cells: np.ndarray) -> ChunkTask:
        variable = self._file[name]
        rows, _cols = part.slices_in(self.grid)
        return ChunkTask(
            name, (t, rows.start, 0), cells.astype(variable.dtype), variable.chunks[1:], variable.fillvalue
        )

    def write_chunks(self, task: ChunkTask, chunks: Sequence[Chunk]) -> None:
        """Write the compressed chunks of a strip."""
        for column, mask, content in chunks:
            self._file[task.variable].id.write_direct_chunk((*task.place[:-1], column), content, mask)
        self._check_disk()

    def copy_period(self, source: ArdFile) -> None:
        """Copy the first period of another file on the same grid, compressed as it is."""
        t = self.periods.index(source.periods[0])
        for name in (*(feature.name for feature in self._features), "count"):
            here, there = self._file[name], source._file[name]
            for number in range(there.id.get_num_chunks()):
                offset = there.id.get_chunk_info(number).chunk_offset
                mask, content = there.id.read_direct_chunk(offset)
                here.id.write_direct_chunk((t, *offset[1:]), content, mask)
            self._check_disk()
        self._copied[t] = source.digests[0]

    def start_label(self, *, year: int, legend: str) -> None:
        """Create the variables of the labels, for `write_label`."""
        titles = {"label": f"land cover class, {year}", "purity": "share of the majority class"}
        titles |= {f"share_{c.key}": f"share of {c.title}" for c in CLASSES}
        for name in LABEL_VARIABLES:
            variable = self._variable(name, "u1", self.grid.shape, 0 if name == "label" else NO_BYTE)
            if name != "label":
                variable.attrs["units"] = "percent"
            variable.attrs["long_name"] = titles[name]
        variable = self._file["label"]
        variable.attrs["flag_values"] = np.array([c.code for c in CLASSES], dtype="u1")
        variable.attrs["flag_meanings"] = " ".join(c.key for c in CLASSES)
        self._file.attrs["label_year"], self._file.attrs["legend"] = year, legend
        self._label_digest = hashlib.sha256()

    def write_label(self, part: Grid, label: np.ndarray, purity: np.ndarray, shares: np.ndarray) -> None:
        """Write one strip of the labels; each strip once, in the order of `strips`.

        label : array (row, col), uint8, class 1-4, 0 = no data
        purity, shares : array (row, col) and (class, row, col), uint8, per cent, 255 = no data
        """
        rows, cols = part.slices_in(self.grid)
        for name, plane in zip(LABEL_VARIABLES, (label, purity, *shares), strict=True):
            plane = np.ascontiguousarray(plane, dtype="u1")
            self._label_digest.update(plane)
            self._file[name][rows, cols] = plane
        self._check_disk()

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Write what describes the file; at the end mark it as complete."""
        handle = self._file
        handle["time"].attrs["digests"] = _json(
            [self._copied.get(t, digest.hexdigest()) for t, digest in enumerate(self._digests)]
        )
        if "label" in handle:
            handle["label"].attrs["digest"] = self._label_digest.hexdigest()
        handle.attrs["contract"] = CONTRACT
        handle.attrs["features"] = _json([feature.name for feature in self._features])
        handle.attrs["grid"] = _json({"bounds": list(self.grid.bounds), "res_m": self.grid.res_m})
        handle.attrs["provenance"] = _json(dict(provenance))
        handle.attrs["version"] = __version__
        handle.attrs["metadata_digest"] = metadata_digest(handle)
        handle.flush()
        handle.attrs["complete"] = 1
        handle.flush()
        self._check_disk()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        self._file.close()
        self._sink.close()
        failed = self._sink.error
        if kind is None and failed is not None:
            kind, error, trace = type(failed), failed, failed.__traceback__
            self._target.__exit__(kind, error, trace)
            raise failed
        return self._target.__exit__(kind, error, trace)

    def _check_disk(self) -> None:
        """Raise the error of an earlier write, if there is one."""
        if self._sink.error is not None:
            raise self._sink.error


def _plain_wkt(crs: pyproj.CRS) -> str:
    """Return WKT2 without its usage part (scope, area, extent) and in ASCII.

    >>> _plain_wkt(pyproj.CRS.from_epsg(3035)).isascii()
    True
    """
    description = crs.to_json_dict()
    for key in ("usages", "scope", "area", "bbox"):
        description.pop(key, None)
    return pyproj.CRS.from_json_dict(description).to_wkt("WKT2_2019")
