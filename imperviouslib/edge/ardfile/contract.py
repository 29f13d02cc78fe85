"""What reader, writer and check of the HDF5 file agree on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imperviouslib.core.errors import ArdError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES

CONTRACT = 1
"""Version of the contract."""
CONVENTIONS = "CF-1.11"
"""Conventions that the file keeps: the first that allow packed data in unsigned integers (issue 374 of the conventions)."""
TIME_UNITS = "days since 1970-01-01"
CHUNK = 256
"""Cells a side of a chunk, and rows of a strip."""
FILTERS = {"compression": "gzip", "compression_opts": 3, "shuffle": True}
"""How chunks are compressed, in the words of h5py."""
NO_BYTE = 255
"""No data in count, purity and shares."""
LABEL_VARIABLES = ("label", "purity", *(f"share_{c.key}" for c in CLASSES))
"""Variables of the labels, in the order of their digest."""


_CACHE = 2**24
"""Bytes of decompressed chunks that HDF5 keeps of each variable that is open. A window and its margin reach into the chunks around it, which
would otherwise be decompressed three times in a place of some 20 km and seven years."""


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading without a lock: some file systems have none, and a file gets its name only when it is complete.

    Raises ArdError where it cannot be opened; the reason is that of the file system, or else that it is no HDF5 file
    """
    try:
        with path.open("rb"):
            return h5py.File(path, "r", locking=False, rdcc_nbytes=_CACHE)
    except OSError as err:
        if err.errno:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("an error of the file system ({})").format(os.strerror(err.errno)),
                expected=_("a file that can be read"),
                then=_(
                    "Check the disk and the permissions, or copy the file to another place. It need not be written again."
                ),
            ) from err
        raise ArdError(
            _("File '{}' is not a complete HDF5 file").format(path),
            then=_("Write it again with r.s2.ard."),
        ) from err


def strips(grid: Grid) -> Iterator[Grid]:
    """Cut a grid into strips as high as a chunk, from north to south: the unit of writing, of digests and of memory."""
    return grid.parts(CHUNK)


def metadata_digest(handle: h5py.File) -> str:
    """Return SHA-256 over all that describes the cells: names, shapes, types, attributes, axes and periods."""
    digest = hashlib.sha256()

    def add(*words: Any) -> None:
        for word in words:
            content = word.tobytes() if isinstance(word, np.ndarray | np.generic) else str(word).encode()
            digest.update(len(content).to_bytes(8, "little") + content)

    def add_attributes(item: Any) -> None:
        for key in sorted(item.attrs):
            # Lists of dimension scales hold addresses; their content is in `dims`. The other two are written after this digest.
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
        elif variable.ndim < 2 or name == "time_bnds":
            add(variable[()])
    return digest.hexdigest()


def years_of_axis(handle: h5py.File) -> tuple[int, ...]:
    """Return the year of each value of the axis of time; files of earlier versions hold years without a unit."""
    time = handle["time"]
    if "units" not in time.attrs:
        return tuple(int(year) for year in time[:])
    return tuple(np.asarray(time[:]).astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970)
