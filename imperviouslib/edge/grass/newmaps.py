"""New maps of the current mapset: written part by part into files, then brought into the mapset together, or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.edge.files import naming, reserve
from imperviouslib.edge.grass.maps import give_names, import_bands, import_tiff
from imperviouslib.edge.grass.workspace import (
    exists,
    linked_folder,
    remove,
    remove_superseded,
    temporary_folder,
    temporary_name,
)
from imperviouslib.edge.overlap import do_each

_BANDS = 9
"""Most maps of a call of r.in.bin, which numbers more than these by two digits."""


@dataclass(frozen=True)
class NewMaps:
    """Maps that are being made."""

    temporary: Mapping[str, str]
    """Name to the name under which the map is brought into the mapset, to be described there."""
    write: Callable[[str, np.ndarray, Grid], None]
    """Write a part of a map: name, array (row, col), and its cells. 0 is NULL in maps of whole numbers, NaN in others. Threads may write different
    maps side by side."""
    bring: Callable[[], None]
    """Bring all maps into the mapset, when all parts are written. What was not written is NULL in maps of whole numbers; of others all must be."""


@contextlib.contextmanager
def new_maps(
    dtypes: Mapping[str, str], grid: Grid, *, link: bool, threads: int, replaced: Sequence[str] = ()
) -> Iterator[NewMaps]:
    """Make maps: they get their names, in their order, if the block succeeds, and there is none of them if it fails.

    dtypes : name to type of the cells: uint8, uint16 or float32
    link : make GeoTIFFs that the maps are linked to, instead of maps in GRASS's own format
    threads : maps at a time, as `do_each` takes them
    replaced : maps to be removed when the new ones get their names, beside older ones of the same names
    Raises OSError or InputError where the disk has no room.
    """
    older = [*dtypes, *replaced]
    try:
        with (_linked if link else _copied)(dtypes, grid, threads) as maps:
            try:
                yield maps
                remove(older)
                give_names({maps.temporary[name]: name for name in dtypes})
            finally:
                remove(maps.temporary.values())
    finally:
        remove_superseded(older)


@contextlib.contextmanager
def _linked(dtypes: Mapping[str, str], grid: Grid, threads: int) -> Iterator[NewMaps]:
    """Write GeoTIFFs, and link maps to them."""
    from imperviouslib.edge.rasterfile import TiffWriters  # It imports rasterio, which most tools do without.

    mark = uuid.uuid4().hex[:8]
    temporary = {name: temporary_name(name) for name in dtypes}
    paths = {name: linked_folder() / f"{name}.{mark}.tif" for name in dtypes}
    try:
        with TiffWriters(paths, dtypes, grid) as tiffs:

            def bring() -> None:
                tiffs.finish(threads)
                do_each(lambda name: import_tiff(paths[name], temporary[name], link=True), paths, threads)

            yield NewMaps(temporary, tiffs.write, bring)
    except BaseException:
        for path in paths.values():
            path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _copied(dtypes: Mapping[str, str], grid: Grid, threads: int) -> Iterator[NewMaps]:
    """Write files of bare numbers, each with some maps one after the other: r.in.bin imports these in a third of the time of GeoTIFFs."""
    bands: dict[str, _Band] = {}
    temporary: dict[str, str] = {}
    imports: list[Callable[[], None]] = []
    with contextlib.ExitStack() as files:
        for dtype, names in _groups(dtypes):
            path = temporary_folder() / f"{names[0]}.{uuid.uuid4().hex[:8]}.bin"
            files.callback(path.unlink, missing_ok=True)
            reserve(path, len(names) * grid.height * grid.width * np.dtype(dtype).itemsize)
            file = files.enter_context(path.open("r+b"))
            bands.update({name: _Band(path, file.fileno(), number, dtype, grid) for number, name in enumerate(names)})
            output = temporary_name(names[0]) + "_"
            # One map alone gets no number.
            numbers = range(1, len(names) + 1) if len(names) > 1 else [""]
            temporary.update({name: f"{output}{number}" for name, number in zip(names, numbers, strict=True)})
            imports.append(functools.partial(import_bands, path, output, dtype, len(names), grid))

        def bring() -> None:
            # A zero that was never written would be taken for a number.
            assert all(one.written == grid.height * grid.width for one in bands.values() if one.dtype == "float32")
            do_each(lambda work: work(), imports, threads)
            missing = [name for name in temporary.values() if not exists(name)]
            if missing:
                raise InputError(
                    _("GRASS tool <r.in.bin> did not make map <{}>").format(missing[0]),
                    then=_("Read its message above."),
                )

        yield NewMaps(temporary, lambda name, cells, part: bands[name].write(cells, part), bring)


@dataclass
class _Band:
    """A map in a file of bare numbers that has its room on the disk."""

    path: Path
    file: int
    """Descriptor."""
    number: int
    """Maps before it in the file."""
    dtype: str
    grid: Grid
    written: int = 0
    """Cells."""

    def write(self, cells: np.ndarray, part: Grid) -> None:
        """Write a part: rows of the whole width at once, others one by one."""
        rows, cols = part.slices_in(self.grid)
        first = (self.number * self.grid.height + rows.start) * self.grid.width + cols.start
        cells = np.ascontiguousarray(cells, self.dtype)
        with naming(self.path):
            for row, piece in enumerate([cells] if part.width == self.grid.width else cells):
                if os.pwrite(self.file, piece, (first + row * self.grid.width) * cells.itemsize) < piece.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += cells.size


def _groups(dtypes: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield names of one type, at most _BANDS at a time and about as many each time."""
    for dtype in sorted(set(dtypes.values())):
        names = [name for name, one in dtypes.items() if one == dtype]
        calls = -(-len(names) // _BANDS)
        for number in range(calls):
            yield dtype, names[number::calls]
