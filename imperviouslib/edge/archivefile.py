"""The archive folder on disk: sidecars are read and written, and files are made from the objects of a scene.

`fetch_scene` is a plain function of plain values, which a process or a worker of a cluster runs on its own. Several may run at
once on one archive, also of different runs: a file and its sidecar are put in place together, under a lock of the scene's folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from imperviouslib import __version__
from imperviouslib.core.archive import (
    NO_OFFSET,
    SIDECARS,
    Offset,
    Sidecar,
    WarpSettings,
    band_path,
    check_metadata_baseline,
    check_one_offset,
    format_sidecar,
    is_missing,
    is_whole,
    parse_sidecar,
    resolve_kept,
    resolve_target,
    resolve_warp_settings,
    sidecar_path,
)
from imperviouslib.core.bands import SCL
from imperviouslib.core.errors import (
    AccessError,
    FetchError,
    ImperviousError,
    InputError,
    _,
    without_secrets,
)
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset, Scene
from imperviouslib.core.offset import (
    BRIGHT_DN,
    apply_offset,
    check_not_wrapped,
    darkest_dn,
    has_offset,
    parse_metadata_offset,
    resolve_claim,
    shows_ground,
)
from imperviouslib.core.pixelkind import check_ground_size, check_header, to_classes, to_dn
from imperviouslib.core.resample import (
    PixelWindow,
    Source,
    halve,
    halve_source,
    round_to_uint16,
)
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.edge import warp
from imperviouslib.edge.files import exclusive_lock, sha256_file, temporary_path, write_json
from imperviouslib.edge.objects import get_object
from imperviouslib.edge.pixels import Pixels, decode, get_pixels
from imperviouslib.edge.rasterfile import TiffWriter
from imperviouslib.edge.rasterobject import decode_object, describe_object

_GROWTHS = 5
"""How often a file is made again because another run has extended it in the meantime; each time it includes those cells."""
_SAMPLE_STEP = 8
"""Largest step in rows and columns of the pixels that are sampled to find the darkest value."""
_SAMPLE_PIXELS = 10_000
"""Pixels that are sampled at least where there are as many."""
_WARP_MARGIN = 6
"""Margin of pixels read around a window: cubic needs two, and twice as many if 10 m pixels are halved."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Task:
    """One scene to fetch, or some bands of it."""

    scene: Scene
    bands: tuple[str, ...]
    """Bands still to be fetched."""
    archive: Path
    area: Grid
    """Cells to fetch; those that the scene's tile covers are written."""
    resampling: str
    """Resampling: nearest, bilinear or cubic; SCL is always nearest."""
    catalogue: str
    """For the sidecar."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    threads: int = 1
    """Threads that decode an object."""

    def settings(self, band: str) -> WarpSettings:
        """Return how a band is brought onto the grid."""
        return resolve_warp_settings(band, self.resampling, self.area.res_m)

    def path(self, band: str) -> Path:
        """Return the path of a band's GeoTIFF."""
        return band_path(self.archive, self.scene, band)

    def parts(self) -> list[Task]:
        """Split the task for several workers: one task per band, unless a claim about the offset must be tested on all bands together."""
        if self.scene.offset_applied is not None:
            return [self]
        return [replace(self, bands=(band,)) for band in self.bands]


@dataclass(frozen=True)
class BandResult:
    """Result of one band of a task."""

    scene: str
    """Id of the scene."""
    band: str
    error: ImperviousError | None = None
    """Why it was not fetched; None if the band was fetched, was already in the archive, or does not meet the area."""
    bytes_read: int = 0
    """Of the object, over the network or from the disk."""
    valid_cells: int = 0
    """Cells with data in the file."""
    summary: str = ""
    """Which part of the object was read, as text, e.g. "window, 1.2 of 30.5 MB"."""


def read_sidecar(path: Path) -> Sidecar | None:
    """Read the sidecar at `path`; None if it does not exist, cannot be read or is incomplete."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return None
    return parse_sidecar(content, path)


def read_archive(archive: Path) -> Iterator[Sidecar]:
    """Yield the sidecars whose GeoTIFF exists and has the recorded size, by tile, year, scene and band."""
    for path in sorted(archive.glob(f"*/*/*/{SIDECARS}")):
        sidecar = read_sidecar(path)
        if sidecar and is_whole(sidecar, _file_size(sidecar.path)):
            yield sidecar


def _file_size(path: Path) -> int | None:
    """Return the size of a file in bytes; None if it does not exist."""
    return path.stat().st_size if path.is_file() else None


def check_writable(archive: Path) -> None:
    """Raise InputError if the archive folder cannot be created or written to, before anything is fetched."""
    try:
        archive.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=archive):
            pass
    except OSError as err:
        raise InputError(
            _("Option <output>: folder '{}' cannot be written ({})").format(archive, err.strerror),
            then=_("Name another folder, or change the permissions of this one."),
        ) from err


@contextlib.contextmanager
def in_use(archive: Path) -> Iterator[None]:
    """Mark an archive as in use until the block or the process ends.

    If no other run uses it, unfinished files are removed: those of killed runs first, and those of this run if it fails. A worker that is ended
    while it cleans up after a full disk may leave one. On file systems without locks the archive is not marked, and unfinished files stay.
    """
    handle = os.open(archive, os.O_RDONLY)
    try:
        _remove_unfinished(archive, handle)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        try:
            yield
        except BaseException:
            _remove_unfinished(archive, handle)
            raise
    finally:
        os.close(handle)


def _remove_unfinished(archive: Path, handle: int) -> None:
    """Remove unfinished files of an archive, unless another run uses it. handle : of the folder"""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for unfinished in archive.glob("*/*/*/.*.part.*"):
            unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def marked(archive: Path) -> Iterator[Path]:
    """Put an empty file into the archive until the block ends."""
    with tempfile.NamedTemporaryFile(dir=archive, prefix=".session-") as mark:
        yield Path(mark.name)


def missing_bands(task: Task) -> tuple[str, ...]:
    """Return the bands of a task whose file is missing, incomplete, has other settings or does not cover the scene's part of the area."""
    return tuple(
        band
        for band in task.bands
        if is_missing(*_read_state(task.path(band)), task.scene, task.settings(band), task.area)
    )


def _kept_cells(task: Task, band: str) -> Grid | None:
    """Return the cells of a band whose file is complete and has the settings of the task; None if there is no such file."""
    return resolve_kept(*_read_state(task.path(band)), task.scene, task.settings(band))


def _read_state(path: Path) -> tuple[Sidecar | None, int | None]:
    """Return the sidecar of a GeoTIFF and the size of the file in bytes; None for each that does not exist."""
    return read_sidecar(sidecar_path(path)), _file_size(path)


def fetch_scene(task: Task) -> list[BandResult]:
    """Fetch the bands of one scene.

    Returns: one result per band, in the order of the task. The error of a band is kept in its result, so that the other bands
    finish; after a server refused the keys, no further band is tried.
    """
    # Another run may have fetched some of the bands in the meantime.
    due = missing_bands(task)
    results = {band: BandResult(task.scene.id, band) for band in task.bands if band not in due}

    def attempt(band: str, work: Callable[[], Made]) -> Made | None:
        """Do some work for a band, unless the band failed before or the keys were refused; None if it failed."""
        # The server would refuse the other objects too.
        if refusal := next((r.error for r in results.values() if isinstance(r.error, AccessError)), None):
            results.setdefault(band, BandResult(task.scene.id, band, refusal))
        if band in results:
            return None
        try:
            return work()
        except ImperviousError as err:
            results[band] = BandResult(task.scene.id, band, err)
            return None

    objects: dict[str, bytes] = {}
    lowest_dn = None
    if task.scene.offset_applied is not None:
        # A claim is tested on the darkest band, so all bands are read before the first is written. They are read whole, because a
        # window may hold no dark ground.
        for band in due:
            if band != SCL:
                content = attempt(band, functools.partial(_get, task, band))
                if content is not None:
                    objects[band] = content
        lows = [
            attempt(band, functools.partial(_darkest_dn_of_object, content, _name(task, band)))
            for band, content in objects.items()
        ]
        lowest_dn = min((low for low in lows if low), default=None)
    for band in due:
        if result := attempt(band, functools.partial(_fetch_band, task, band, objects, lowest_dn)):
            results[band] = result
    return [results[band] for band in task.bands]


def _asset(task: Task, band: str) -> Asset:
    """Return the object of a band; raises FetchError if the scene has none."""
    asset = task.scene.assets.get(band)
    if asset is None:
        raise FetchError(
            _("Scene {}").format(task.scene.id),
            found=_("no object for {}").format(band),
            expected=_("one of {}").format(", ".join(task.scene.assets)),
            then=_("Leave the band out. Flag -k continues without this file."),
        )
    return asset


def _get(task: Task, band: str) -> bytes:
    """Return the whole object of a band."""
    return get_object(_asset(task, band), task.retry)


def _name(task: Task, band: str) -> str:
    """Return the name of a band's object for messages."""
    return without_secrets(_asset(task, band).href).rsplit("/", 1)[-1]


def _fetch_band(task: Task, band: str, objects: dict[str, bytes], lowest_dn: int | None) -> BandResult:
    """Fetch a band together with the cells that the archive has of it; repeat this if another run has extended the file in the meantime.

    objects : band to its whole object, for those already read; each is removed when it is used, to free its memory
    lowest_dn : darkest value of all bands; None if it was not determined
    """
    bytes_read = 0
    for attempt in range(_GROWTHS):
        if attempt and not missing_bands(replace(task, bands=(band,))):
            return BandResult(task.scene.id, band, bytes_read=bytes_read)
        result, is_final = _make_band(task, band, objects, lowest_dn)
        bytes_read += result.bytes_read
        if is_final:
            return replace(result, bytes_read=bytes_read)
    raise FetchError(
        _("Scene {}, {}: other runs extended the file {} times while it was fetched").format(
            task.scene.id, band, _GROWTHS
        ),
        then=_("Run the same command again when the other runs have ended."),
    )


def _make_band(task: Task, band: str, objects: dict[str, bytes], lowest_dn: int | None) -> tuple[BandResult, bool]:
    """Make the file of a band: the area's cells and those that are kept.

    Returns: (result, whether it is final); it is not final if another run has added cells in the meantime that the new file lacks
    """
    kept = _kept_cells(task, band)
    read = _read_pixels(task, band, kept, objects.pop(band, None))
    extent = warp.extent(read.source)
    target = resolve_target(task.area, extent, kept)
    result = BandResult(task.scene.id, band, bytes_read=read.bytes_read, summary=str(read))
    if target is None or read.values is None:
        return result, True
    halved = check_ground_size(*warp.ground_size(read.source), _name(task, band))
    if band == SCL:
        offset, invalid, values = NO_OFFSET, 0, to_classes(read.values, read.source, _name(task, band))
    else:
        values, invalid, wrapped = to_dn(read.values, read.source, _name(task, band))
        offset = _resolve_offset(task, band, values, lowest_dn, wrapped)
    read = replace(read, values=values)
    # Classes have no mean.
    warper = _prepare(read, offset, task.settings(band).resampling, halved=halved and band != SCL)
    # While the file is written only the warper holds pixels.
    read = read.without_values()
    path = task.path(band)
    with _temporary_path(path) as written:
        valid_cells = _write_cells(written, target, warper, is_classes=band == SCL)
        sidecar = _describe(task, band, read, offset, target, valid_cells, invalid, written)
        is_placed = _put_in_place(written, sidecar, lambda: resolve_target(task.area, extent, _kept_cells(task, band)))
    return replace(result, valid_cells=valid_cells), is_placed


def _read_pixels(task: Task, band: str, kept: Grid | None, content: bytes | None) -> Pixels:
    """Read and decode the pixels of a band that the area's cells and those that are kept need.

    content : the whole object, if it was already read
    """

    def needed(source: Source) -> PixelWindow | None:
        check_header(source, _name(task, band), is_classes=band == SCL)
        target = resolve_target(task.area, warp.extent(source), kept)
        window = warp.source_window(source, target, _WARP_MARGIN) if target else None
        if window is None:
            return None
        (row, row_end), (col, col_end) = window
        # Whole pairs of pixels, so that halving 10 m pixels takes the same pairs in every window.
        return (row // 2 * 2, row_end), (col // 2 * 2, col_end)

    if content is not None:
        return decode(content, _name(task, band), needed, task.threads)
    return get_pixels(_asset(task, band), _name(task, band), needed, task.retry, task.threads)


def _prepare(read: Pixels, offset: Offset, resampling: str, *, halved: bool) -> warp.Warper:
    """Apply the offset and, if pixels are `halved`, average 10 m pixels to 20 m; the values of `read` are overwritten."""
    if read.values is None or read.window is None:
        raise ValueError(read)
    pixels, source = apply_offset(read.values, offset.dn, out=read.values), read.source
    row, col = read.window[0][0], read.window[1][0]
    if halved:
        pixels, source = halve(pixels), halve_source(source)
        row, col = row // 2, col // 2
    return warp.Warper(pixels, source, (row, col), resampling)


def _darkest_dn_of_object(content: bytes, name: str) -> int | None:
    source = describe_object(content, name)
    check_header(source, name, is_classes=False)
    pixels = decode_object(content, name, (0, source.height), (0, source.width))
    return darkest_dn(to_dn(_sample(pixels), source, name)[0])


def _sample(pixels: np.ndarray) -> np.ndarray:
    """Return pixels spread evenly over an array."""
    step = min(_SAMPLE_STEP, max(1, math.isqrt(pixels.size // _SAMPLE_PIXELS)))
    return pixels[::step, ::step]


def _darkest_dn_of_scene(task: Task, band: str) -> int | None:
    """Return the darkest value of a scene's whole objects, up to the first that holds dark ground: a window, or a band, may hold none."""
    lowest = None
    # Red is dark over all vegetation.
    for one in sorted({band, *task.scene.assets} - {SCL}, key=lambda name: (name != "B04", name)):
        low = _darkest_dn_of_object(get_object(task.scene.assets[one], task.retry), _name(task, one))
        lowest = low if lowest is None else min(lowest, low or lowest)
        if lowest is not None and lowest < BRIGHT_DN:
            break
    return lowest


def _shows_ground(task: Task) -> bool:
    """Tell whether a scene's whole classification shows clear ground; where the scene has none, it is taken to."""
    if SCL not in task.scene.assets:
        return True
    content, name = _get(task, SCL), _name(task, SCL)
    source = describe_object(content, name)
    check_header(source, name, is_classes=True)
    return shows_ground(to_classes(decode_object(content, name, (0, source.height), (0, source.width)), source, name))


@functools.lru_cache(maxsize=64)
def _read_metadata_offset(asset: Asset | None, retry: RetryPolicy) -> tuple[tuple[int, int], int] | None:
    """Read baseline and offset from the product's own metadata; None if there are none or they cannot be read."""
    if asset is None:
        return None
    try:
        return parse_metadata_offset(get_object(asset, retry))
    except (FetchError, AccessError):
        # It only confirms what the baseline says, and some catalogues link files that they do not have.
        return None


def _resolve_offset(task: Task, band: str, pixels: np.ndarray, lowest_dn: int | None, wrapped: int) -> Offset:
    """Choose the offset of a band; raises OffsetError if catalogue, metadata, pixels or the scene's other bands contradict each other.

    wrapped : pixels that wrapped around below 0
    """
    scene = task.scene
    metadata = _read_metadata_offset(scene.metadata, task.retry)
    if metadata:
        check_metadata_baseline(scene, metadata[0])
    check_not_wrapped(scene, wrapped, int(np.count_nonzero(pixels)))
    if lowest_dn is None:
        lowest_dn = darkest_dn(_sample(pixels))
        if lowest_dn is not None and lowest_dn >= BRIGHT_DN and not has_offset(scene.baseline):
            lowest_dn = _darkest_dn_of_scene(task, band)
    may_be_refused = not has_offset(scene.baseline) or scene.offset_applied
    if lowest_dn is not None and lowest_dn >= BRIGHT_DN and may_be_refused and not _shows_ground(task):
        lowest_dn = None
    offset_dn, rule = resolve_claim(scene, lowest_dn, metadata[1] if metadata else None)
    sidecars = map(read_sidecar, task.path(SCL).parent.glob(SIDECARS))
    check_one_offset(scene, offset_dn, [sidecar for sidecar in sidecars if sidecar], task.archive)
    return Offset(offset_dn, rule, metadata is not None)


@contextlib.contextmanager
def _temporary_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and remove the file if it still exists at the end."""
    temporary = temporary_path(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write_cells(path: Path, target: Grid, warper: warp.Warper, *, is_classes: bool) -> int:
    """Warp the cells of `target` part by part and write them as a GeoTIFF. Returns: number of cells with data."""
    valid_cells = 0
    with TiffWriter(path, target, "uint8" if is_classes else "uint16") as out:
        for part in out.parts():
            values = warper.take(part)
            if not is_classes:
                values = round_to_uint16(values)
            valid_cells += int(np.count_nonzero(values))
            out.write(values, part)
    return valid_cells


def _describe(
    task: Task, band: str, read: Pixels, offset: Offset, target: Grid, valid_cells: int, invalid: int, written: Path
) -> Sidecar:
    """Return the sidecar of a file that was written to a temporary path, dated now."""
    scene, asset = task.scene, _asset(task, band)
    return Sidecar(
        path=task.path(band),
        scene=scene.id,
        tile=scene.tile,
        band=band,
        sensed_utc=scene.sensed_utc,
        platform=scene.platform,
        datatake=scene.datatake,
        datastrip=scene.datastrip,
        baseline=scene.baseline_text,
        cloud_pct=scene.cloud_pct,
        nodata_pct=scene.nodata_pct,
        valid_cells=valid_cells,
        offset_dn=offset.dn,
        offset_rule=offset.rule,
        offset_confirmed=offset.confirmed,
        source_href=without_secrets(asset.href),
        source_size=read.size,
        source_checksum=asset.checksum,
        source_read=read.part,
        source_bytes_read=read.bytes_read,
        source_invalid=invalid,
        output_size=written.stat().st_size,
        output_sha256=sha256_file(written),
        grid=target,
        extent=warp.extent(read.source),
        settings=task.settings(band),
        catalogue=without_secrets(task.catalogue),
        version=__version__,
        fetched_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _put_in_place(written: Path, sidecar: Sidecar, wanted: Callable[[], Grid | None]) -> bool:
    """Rename a file and its sidecar to their final names, under a lock, because several runs may write the same file.

    wanted : returns the cells that the file must now contain; another run may have added cells since it was made
    Returns: False if the file lacks some of these cells; then nothing changes
    """
    path, beside = sidecar.path, sidecar_path(sidecar.path)
    with _temporary_path(beside) as written_sidecar, exclusive_lock(path.parent, str(path.parent), wait=True):
        cells = wanted()
        if cells is None or not sidecar.grid.contains(cells):
            return False
        write_json(written_sidecar, format_sidecar(sidecar))
        beside.unlink(missing_ok=True)
        # Two renames, one right after the other: everything that can fail has been done before.
        written.replace(path)
        written_sidecar.replace(beside)
    return True
