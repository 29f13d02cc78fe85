"""The analysis-ready HDF5 file (h5py): its contract, written once and read back.

The file is HDF5 and CF-1.8/netCDF-4 at once, so xarray, GDAL and h5py read it georeferenced without plug-ins. See
doc/design.md, section 2.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj

from imperviouslib import __version__
from imperviouslib.core.errors import ArdError, _
from imperviouslib.core.grid import EPSG, Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.files import atomic_write

CONTRACT = 1
CHUNK = 256
SCALE = 1e-4
_NO_BYTE = 255


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class ArdFile:
    """An open, complete file of the contract; use `ArdFile.open`."""

    def __init__(self, path: Path, handle: h5py.File) -> None:
        self.path, self._file = path, handle
        attributes = handle.attrs
        described = json.loads(attributes["grid"])
        self.grid = Grid(*described["bounds"], described["res_m"])
        self.periods: tuple[str, ...] = tuple(handle["period"].asstr()[:])
        self.years: tuple[int, ...] = tuple(int(year) for year in handle["time"][:])
        self.features: tuple[str, ...] = tuple(json.loads(attributes["features"]))
        self.label_year: int | None = int(attributes["label_year"]) if "label_year" in attributes else None
        self.legend: str = str(attributes.get("legend", ""))
        self.provenance: dict[str, Any] = json.loads(attributes["provenance"])
        self.digests: tuple[str, ...] = tuple(json.loads(handle["time"].attrs["digests"]))

    @classmethod
    @contextmanager
    def open(cls, path: Path | str) -> Iterator[ArdFile]:
        """Open a file for reading; raise ArdError where it is missing, damaged, incomplete or of another contract."""
        path = Path(path)
        if not path.is_file():
            raise ArdError(
                _("File '{}'").format(path),
                found=_("no such file"),
                expected=_("an HDF5 file of r.s2.ard"),
                then=_("Check the name."),
            )
        try:
            handle = h5py.File(path, "r")
        except OSError as err:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("no whole HDF5 file"),
                expected=_("one written by r.s2.ard"),
                then=_("Write it again with r.s2.ard."),
            ) from err
        with handle:
            yield cls._describe(path, handle)

    @classmethod
    def _describe(cls, path: Path, handle: h5py.File) -> ArdFile:
        again = "Write it again with r.s2.ard."
        try:
            contract, complete = handle.attrs.get("contract"), handle.attrs.get("complete")
            number = None if contract is None else int(contract)
        except Exception as err:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("damaged metadata ({})").format(err),
                expected=_("the contract of r.s2.ard"),
                then=again,
            ) from err
        if number is None:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("an HDF5 file of some other origin"),
                expected=_("one of r.s2.ard"),
                then=again,
            )
        if number != CONTRACT:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("contract {}").format(number),
                expected=_("contract {}").format(CONTRACT),
                then=_("Use the version of the suite that wrote it, or write it again."),
            )
        if not complete:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("a file that was not finished"),
                expected=_("a complete one"),
                then=again,
            )
        try:
            return cls(path, handle)
        except Exception as err:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("damaged metadata ({})").format(err),
                expected=_("the contract of r.s2.ard"),
                then=again,
            ) from err

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all periods and of the label: the name of these data."""
        label = self._file["label"].attrs.get("digest", "") if "label" in self._file else ""
        return hashlib.sha256(" ".join((*self.digests, str(label))).encode()).hexdigest()

    @property
    def is_float(self) -> bool:
        """Tell whether the features are float32 reflectance with NaN."""
        return self._file[self.features[0]].dtype.kind == "f"

    def metadata_digest(self) -> str:
        """Return SHA-256 over all that describes the cells: names, shapes, types, attributes, axes, periods."""
        return _metadata_digest(self._file)

    @property
    def has_label(self) -> bool:
        """Tell whether the file carries labels."""
        return "label" in self._file

    def read(self, period: str, part: Grid) -> np.ndarray:
        """Read all features of a period: array (feature, row, col), uint16, reflectance x 10000, 0 = no data or outside.

        A file with float32 features gives the same numbers: its steps are finer than theirs.
        """
        t = self._index(period)
        missing = next((feature for feature in self.features if feature not in self._file), None)
        if missing:
            raise ArdError(
                _("File '{}'").format(self.path),
                found=_("no variable {}").format(missing),
                expected=_("all features"),
                then=_("Write it again with r.s2.ard."),
            )
        out = np.zeros((len(self.features), *part.shape), dtype=np.uint16)
        for plane, feature in zip(out, self.features, strict=True):
            if self.is_float:
                values = np.full(part.shape, np.nan, dtype=np.float32)
                self._fill(values, self._file[feature], part, t)
                known = (values > 0) & (values < np.float32(65535.5 * SCALE))
                plane[known] = np.rint(values[known].astype(np.float64) / SCALE).astype(np.uint16)
            else:
                self._fill(plane, self._file[feature], part, t)
        return out

    def read_count(self, period: str, part: Grid) -> np.ndarray:
        """Read clear observations: array (row, col), uint8, 255 = outside every scene or the file."""
        out = np.full(part.shape, _NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file["count"], part, self._index(period))
        return out

    def read_label(self, part: Grid) -> np.ndarray:
        """Read labels: array (row, col), uint8, class 1-4, 0 = no data or outside."""
        out = np.zeros(part.shape, dtype=np.uint8)
        self._fill(out, self._file["label"], part, None)
        return out

    def read_purity(self, part: Grid) -> np.ndarray:
        """Read the majority class's share: array (row, col), uint8, per cent, 255 = no data or outside."""
        out = np.full(part.shape, _NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file["purity"], part, None)
        return out

    def read_share(self, key: str, part: Grid) -> np.ndarray:
        """Read one class's share: array (row, col), uint8, per cent, 255 = no data or outside."""
        out = np.full(part.shape, _NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file[f"share_{key}"], part, None)
        return out

    def _index(self, period: str) -> int:
        if period not in self.periods:
            raise ArdError(
                _("File '{}'").format(self.path),
                found=_("no period {}").format(period),
                expected=_("one of ") + ", ".join(self.periods),
                then=_("Choose one of these, or write the file again."),
            )
        return self.periods.index(period)

    def _fill(self, out: np.ndarray, variable: h5py.Dataset, part: Grid, t: int | None) -> None:
        common = self.grid.intersection(part)
        if common is None:
            return
        rows, cols = common.slices_in(self.grid)
        try:
            out[common.slices_in(part)] = variable[rows, cols] if t is None else variable[t, rows, cols]
        except (OSError, RuntimeError, ValueError, TypeError) as err:
            raise ArdError(
                _("File '{}'").format(self.path),
                found=_("a damaged part of {}").format(variable.name),
                expected=_("whole data"),
                then=_("Check it with r.s2.ard -c and write it again."),
            ) from err


class _Sink(io.FileIO):
    """A file whose first error waits until Python asks for it: HDF5 itself breaks down over a write that fails."""

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
        """Read; what was not written reads as zeros."""
        found = super().readinto(buffer) or 0
        memoryview(buffer).cast("B")[found:] = bytes(len(buffer) - found)
        return len(buffer)

    def _keep(self, err: OSError) -> None:
        err.filename = str(self.name)
        self.error = err


class ArdWriter:
    """Write a file of the contract; it appears under its name only when `finish` was reached and the `with` block ends well.

    as_float : bool, write the features as float32 reflectance with NaN, as the prototype did, instead of uint16
    """

    def __init__(
        self, path: Path, grid: Grid, periods: Sequence[str], features: Sequence[str], *, as_float: bool = False
    ) -> None:
        self.path, self.grid, self.periods, self.features, self._float = (
            Path(path),
            grid,
            tuple(periods),
            tuple(features),
            as_float,
        )
        self._digests = [hashlib.sha256() for _ in self.periods]
        self._copied: dict[int, str] = {}

    def __enter__(self) -> ArdWriter:
        self._appearing = atomic_write(self.path)
        part = self._appearing.__enter__()
        try:
            # Not "latest": Debian 12's readers must open the file.
            self._sink = _Sink(part, "w+")
            self._file = h5py.File(self._sink, "w", libver=("earliest", "v110"), track_order=True)
            self._create()
        except BaseException as err:
            self._appearing.__exit__(type(err), err, err.__traceback__)
            raise
        return self

    def _create(self) -> None:
        handle, grid = self._file, self.grid
        handle.attrs["Conventions"] = "CF-1.8"
        half = grid.res_m / 2
        axes = {
            "x": (grid.west + half + grid.res_m * np.arange(grid.width), "projection_x_coordinate", "m"),
            "y": (grid.north - half - grid.res_m * np.arange(grid.height), "projection_y_coordinate", "m"),
        }
        for name, (values, standard, units) in axes.items():
            axis = handle.create_dataset(name, data=values.astype("f8"))
            axis.attrs.update({"standard_name": standard, "units": units, "axis": name.upper()})
            axis.make_scale(name)
        time = handle.create_dataset("time", data=np.array([int(p[:4]) for p in self.periods], dtype="i4"))
        time.attrs["long_name"] = "first year of the period"
        time.make_scale("time")
        period = handle.create_dataset("period", data=list(self.periods), dtype=h5py.string_dtype())
        period.dims[0].attach_scale(time)
        crs = pyproj.CRS.from_epsg(EPSG)
        mapping = handle.create_dataset("crs", data=np.int32(0))
        cf = crs.to_cf()
        cf.pop("crs_wkt", None)
        for key, value in cf.items():
            mapping.attrs[key] = value
        # PROJ's text without remarks is plain ASCII; the names in its usage part are not, and some readers stop at them.
        mapping.attrs["crs_wkt"] = _plain_wkt(crs)
        for feature in self.features:
            self._variable(
                feature, "f4" if self._float else "u2", (len(self.periods), *grid.shape), np.nan if self._float else 0
            )
            attributes = handle[feature].attrs
            attributes["long_name"] = f"surface reflectance, {feature}"
            attributes["units"] = "1"
            if not self._float:
                attributes["scale_factor"], attributes["add_offset"] = np.float64(SCALE), np.float64(0)
        self._variable("count", "u1", (len(self.periods), *grid.shape), _NO_BYTE)
        handle["count"].attrs["long_name"] = "clear observations"

    def _variable(self, name: str, dtype: str, shape: tuple[int, ...], fill: float) -> h5py.Dataset:
        chunks = tuple(min(CHUNK, n) for n in shape[-2:])
        variable = self._file.create_dataset(
            name, shape, dtype=dtype, chunks=(1, *chunks) if len(shape) == 3 else chunks,
            compression="gzip", compression_opts=3, shuffle=True, fletcher32=True, fillvalue=fill,
        )  # fmt: skip
        variable.attrs["_FillValue"] = np.array([fill], dtype=dtype)
        variable.attrs["grid_mapping"] = "crs"
        for axis, scale in enumerate(("time", "y", "x")[-len(shape) :]):
            variable.dims[axis].attach_scale(self._file[scale])
        return variable

    def strips(self) -> Iterator[Grid]:
        """Cut the file's grid into strips as high as a chunk, north to south: the unit of writing and of memory."""
        grid, step = self.grid, CHUNK * self.grid.res_m
        for north in range(grid.north, grid.south, -step):
            yield Grid(grid.west, max(grid.south, north - step), grid.east, north, grid.res_m)

    def write_period(self, period: str, part: Grid, features: np.ndarray, count: np.ndarray) -> None:
        """Write one strip of one period; strips come in the order of `strips`, each once.

        features : array (feature, row, col), uint16, reflectance x 10000, 0 = no data
        count : array (row, col), uint8, 255 = outside every scene
        """
        t = self.periods.index(period)
        rows, cols = part.slices_in(self.grid)
        for feature, plane in zip(self.features, features, strict=True):
            plane = np.ascontiguousarray(plane, dtype="<u2")
            self._digests[t].update(plane)
            values = np.where(plane == 0, np.nan, plane * SCALE).astype("f4") if self._float else plane
            self._file[feature][t, rows, cols] = values
        count = np.ascontiguousarray(count, dtype="u1")
        self._digests[t].update(count)
        self._file["count"][t, rows, cols] = count
        self._check_disk()

    def copy_period(self, source: ArdFile) -> None:
        """Take a period, whole and compressed as it is, from another file on the same grid that holds it as its only one."""
        t = self.periods.index(source.periods[0])
        for name in (*self.features, "count"):
            here, there = self._file[name], source._file[name]
            for number in range(there.id.get_num_chunks()):
                offset = there.id.get_chunk_info(number).chunk_offset
                mask, content = there.id.read_direct_chunk(offset)
                here.id.write_direct_chunk((t, *offset[1:]), content, mask)
            self._check_disk()
        self._copied[t] = source.digests[0]

    def start_label(self, *, year: int, legend: str) -> None:
        """Create the label variables, which `write_label` then fills."""
        for name in ("label", "purity", *(f"share_{c.key}" for c in CLASSES)):
            variable = self._variable(name, "u1", self.grid.shape, 0 if name == "label" else _NO_BYTE)
            if name != "label":
                variable.attrs["units"] = "percent"
        variable = self._file["label"]
        variable.attrs["flag_values"] = np.array([c.code for c in CLASSES], dtype="u1")
        variable.attrs["flag_meanings"] = " ".join(c.key for c in CLASSES)
        self._file.attrs["label_year"], self._file.attrs["legend"] = year, legend
        self._label_digest = hashlib.sha256()

    def write_label(self, part: Grid, label: np.ndarray, purity: np.ndarray, shares: np.ndarray) -> None:
        """Write one strip of the labels; strips come in the order of `strips`, each once.

        label : array (row, col), uint8, class 1-4, 0 = no data
        purity, shares : array (row, col) and (class, row, col), uint8, per cent, 255 = no data
        """
        rows, cols = part.slices_in(self.grid)
        planes = {"label": label, "purity": purity}
        planes |= {f"share_{c.key}": share for c, share in zip(CLASSES, shares, strict=True)}
        for name, plane in planes.items():
            plane = np.ascontiguousarray(plane, dtype="u1")
            self._label_digest.update(plane)
            self._file[name][rows, cols] = plane
        self._check_disk()

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Write what describes the file; the mark of completion comes last."""
        handle = self._file
        handle["time"].attrs["digests"] = _json(
            [self._copied.get(t, digest.hexdigest()) for t, digest in enumerate(self._digests)]
        )
        if "label" in handle:
            handle["label"].attrs["digest"] = self._label_digest.hexdigest()
        handle.attrs["contract"] = CONTRACT
        handle.attrs["features"] = _json(list(self.features))
        handle.attrs["grid"] = _json({"bounds": list(self.grid.bounds), "res_m": self.grid.res_m})
        handle.attrs["provenance"] = _json(dict(provenance))
        handle.attrs["version"] = __version__
        handle.attrs["metadata_digest"] = _metadata_digest(handle)
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
            self._appearing.__exit__(kind, error, trace)
            raise failed
        return self._appearing.__exit__(kind, error, trace)

    def _check_disk(self) -> None:
        """Raise the error that a write has met, if any."""
        if self._sink.error is not None:
            raise self._sink.error


def _metadata_digest(handle: h5py.File) -> str:
    """Return SHA-256 over all that describes the cells; a damaged name, axis or attribute changes it."""
    digest = hashlib.sha256()

    def add(*words: Any) -> None:
        for word in words:
            content = word.tobytes() if isinstance(word, np.ndarray | np.generic) else str(word).encode()
            digest.update(len(content).to_bytes(8, "little") + content)

    def add_attributes(item: Any) -> None:
        for key in sorted(item.attrs):
            # The tables of the dimension scales hold addresses; what they say is in `dims`. The rest is written after this.
            if key in ("DIMENSION_LIST", "REFERENCE_LIST", "metadata_digest", "complete"):
                continue
            value = item.attrs[key]
            add(key, value.dtype.str if hasattr(value, "dtype") else type(value).__name__, value)

    add_attributes(handle)
    for name in sorted(handle):
        variable = handle[name]
        add(name, variable.dtype.str, variable.shape, variable.chunks, variable.compression, variable.shuffle)
        add(variable.fletcher32, variable.fillvalue)
        add_attributes(variable)
        for dimension in variable.dims:
            add(*(scale.name for scale in dimension.values()))
        if name == "period":
            add(*variable.asstr()[:])
        elif variable.ndim < 2:
            add(variable[()])
    return digest.hexdigest()


def _plain_wkt(crs: pyproj.CRS) -> str:
    """Return WKT2 without its usage part (scope, area, extent) and in ASCII.

    >>> _plain_wkt(pyproj.CRS.from_epsg(3035)).isascii()
    True
    """
    description = crs.to_json_dict()
    for key in ("usages", "scope", "area", "bbox"):
        description.pop(key, None)
    return pyproj.CRS.from_json_dict(description).to_wkt("WKT2_2019")
