"""The archive folder on disk: sidecars read and written, scenes made from objects.

`fetch_scene` is a plain function of plain values: a worker process, or later a cluster's task, runs it on its own. Several may run at
once on one archive, also of different runs: a file and its sidecar are put in place together, under a lock of the scene's folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core.archive import SIDECAR, SIDECARS, SUFFIX, Sidecar, band_path, parse_sidecar, resolve_action
from imperviouslib.core.bands import SCL
from imperviouslib.core.errors import (
    AccessError,
    FetchError,
    GridError,
    ImperviousError,
    InputError,
    OffsetError,
    _,
    shown,
)
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset, Scene
from imperviouslib.core.offset import parse_metadata_offset, resolve_claim
from imperviouslib.edge import warp
from imperviouslib.edge.files import sha256_file, temporary_path, write_json
from imperviouslib.edge.objects import RetryPolicy, get_object
from imperviouslib.edge.pixels import Pixels, Window, decode, get_pixels
from imperviouslib.edge.rasterfile import (
    TILE,
    Source,
    TiffWriter,
    decode_object,
    describe_object,
    open_on_grid,
    read_part,
)

_GROWTHS = 5
"""How often a file is made anew because another run made it larger meanwhile; each time it holds all that lay there."""


@dataclass(frozen=True)
class Task:
    """One scene to fetch, or some bands of it."""

    scene: Scene
    bands: tuple[str, ...]
    """Bands still to be had."""
    archive: Path
    area: Grid
    """Cells asked for; what of them the scene's tile meets is written."""
    resampling: str
    catalogue: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    threads: int = 1
    """Threads that decode an object."""

    def settings(self, band: str) -> dict[str, Any]:
        """Return what a kept file must have been made with; classes are never averaged."""
        return {"resampling": "nearest" if band == SCL else self.resampling, "res_m": self.area.res_m}

    def parts(self) -> list[Task]:
        """Cut the task for several workers: one a band, unless a claim about the offset is to be tested on all bands together."""
        if self.scene.offset_applied is not None:
            return [self]
        return [replace(self, bands=(band,)) for band in self.bands]


@dataclass(frozen=True)
class Outcome:
    """What became of one band."""

    scene: str
    band: str
    error: ImperviousError | None = None
    """Why it was not fetched; None = it was."""
    read_bytes: int = 0
    valid_cells: int = 0
    how: str = ""
    """How much of the object was read, for people."""

    @property
    def denied(self) -> bool:
        """Tell whether keys or link were refused: the other objects would be refused as well."""
        return isinstance(self.error, AccessError)


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Read a sidecar; None where there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def read_archive(archive: Path) -> Iterator[Sidecar]:
    """Yield the sidecars whose GeoTIFF is there with the size it had, by tile, year, scene and band."""
    for path in sorted(archive.glob(f"*/*/*/{SIDECARS}")):
        content = read_sidecar(path)
        sidecar = parse_sidecar(content, path) if content else None
        if sidecar and sidecar.path.is_file() and sidecar.path.stat().st_size == sidecar.output_size:
            yield sidecar


def check_writable(archive: Path) -> None:
    """Raise InputError where the archive folder cannot be made or written to, before anything is fetched."""
    try:
        archive.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=archive):
            pass
    except OSError as err:
        raise InputError(
            _("Option <output>"),
            found=f"'{archive}': {err.strerror}",
            expected=_("a folder that can be written to"),
            then=_("Name another."),
        ) from err


@contextlib.contextmanager
def in_use(archive: Path) -> Iterator[None]:
    """Mark an archive as in use until the block or the process ends; where no other run uses it, what killed runs left is removed first.

    File systems that know no locks go without, and what was left stays.
    """
    handle = os.open(archive, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in archive.glob("*/*/*/.*.part.*"):
                left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def missing_bands(task: Task) -> tuple[str, ...]:
    """Return the bands of a task that are not there whole, as wanted and over the scene's part of the area."""
    missing = []
    for band in task.bands:
        path = band_path(task.archive, task.scene, band)
        content = read_sidecar(path.with_suffix(SUFFIX))
        size = path.stat().st_size if path.is_file() else None
        wanted = task.area
        if content and "extent" in content:
            # A file never holds more than its tile, so only the part of the area that the tile meets is asked of it.
            wanted = task.area.intersection(Grid(*content["extent"], task.area.res_m))
            if wanted is None:
                continue
        if resolve_action(content, size, wanted, task.settings(band), task.scene) == "fetch":
            missing.append(band)
    return tuple(missing)


def _kept(task: Task, band: str) -> Grid | None:
    """Return the cells that the archive holds of a band, whole and made as the task would make them; None where it holds none."""
    path = band_path(task.archive, task.scene, band)
    content = read_sidecar(path.with_suffix(SUFFIX))
    sidecar = parse_sidecar(content, path) if content else None
    if sidecar is None:
        return None
    size = path.stat().st_size if path.is_file() else None
    action = resolve_action(content, size, sidecar.grid, task.settings(band), task.scene)
    return sidecar.grid if action == "keep" else None


def fetch_scene(task: Task) -> list[Outcome]:
    """Fetch the bands of one scene: get (the whole, or the parts needed), verify, decode, warp, correct, write, verify, and only then
    write the sidecar.

    Returns: one outcome a band, in the order of the task. What went wrong with one band is kept as its outcome, so that the others
    finish; after keys were refused no further band is tried.
    """
    outcomes: dict[str, Outcome] = {}
    held: dict[str, bytes] = {}
    # Another run may have fetched some of it meanwhile.
    due = missing_bands(task)
    outcomes |= {band: Outcome(task.scene.id, band) for band in task.bands if band not in due}

    def attempt(band: str, work: Callable[[], Any]) -> Any:
        if refusal := next((outcome.error for outcome in outcomes.values() if outcome.denied), None):
            outcomes.setdefault(band, Outcome(task.scene.id, band, refusal))
        if band in outcomes:
            return None
        try:
            return work()
        except ImperviousError as err:
            outcomes[band] = Outcome(task.scene.id, band, err)
            return None

    low_dn = None
    if task.scene.offset_applied is not None:
        # A claim is tested on the darkest band, so all are had before the first is written, and whole: a window may hold no dark ground.
        for band in due:
            if band != SCL and (content := attempt(band, lambda b=band: _get(task, b))) is not None:
                held[band] = content
        lows = [attempt(b, lambda b=b: _low_dn(_thinned(held[b], _name(task, b)))) for b in held]
        low_dn = min((low for low in lows if low), default=None)
    for band in due:
        outcome = attempt(band, lambda b=band: _fetch_band(task, b, held, low_dn))
        if outcome is not None:
            outcomes[band] = outcome
    return [outcomes[band] for band in task.bands]


def _asset(task: Task, band: str) -> Asset:
    asset = task.scene.assets.get(band)
    if asset is None:
        raise FetchError(
            _("Scene {}").format(task.scene.id),
            found=_("no object for {}").format(band),
            expected=", ".join(task.scene.assets),
            then=_("Leave the band out, or exclude the scene."),
        )
    return asset


def _get(task: Task, band: str) -> bytes:
    return get_object(_asset(task, band), task.retry)


def _name(task: Task, band: str) -> str:
    return shown(_asset(task, band).href).rsplit("/", 1)[-1]


def _thinned(content: bytes, name: str) -> np.ndarray:
    source = describe_object(content, name)
    return decode_object(content, name, (0, source.height), (0, source.width))[::8, ::8]


def _low_dn(pixels: np.ndarray) -> int | None:
    """Return the value below which a thousandth of the valid pixels lies; None where too few tell anything."""
    valid = pixels[pixels > 0]
    return int(np.percentile(valid, 0.1)) if valid.size >= 1000 else None


@functools.lru_cache(maxsize=64)
def _metadata_dn(asset: Asset | None, retry: RetryPolicy) -> tuple[tuple[int, int], int] | None:
    """Read baseline and offset from the product's own metadata; None where there is none to be had."""
    if asset is None:
        return None
    try:
        return parse_metadata_offset(get_object(asset, retry))
    except (FetchError, AccessError):
        # It confirms what the baseline says, and some catalogues link files that they do not have.
        return None


def _resolve_offset(task: Task, pixels: np.ndarray, low_dn: int | None) -> tuple[int, str, bool]:
    """Settle the offset of a band. Returns: (offset in DN, rule in words, whether the product's own metadata confirmed it)."""
    scene = task.scene
    told = _metadata_dn(scene.metadata, task.retry)
    if told and told[0] != scene.baseline:
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("baseline {:02d}.{:02d} in its metadata").format(told[0][0], told[0][1]),
            expected=_("{} as in the catalogue").format(scene.baseline_text),
            then=_("Report it to the catalogue and exclude the scene."),
        )
    low = low_dn if low_dn is not None else _low_dn(pixels[::8, ::8])
    # Without pixels to test there is nothing that a wrong offset could harm.
    offset, rule = resolve_claim(scene, 900 if low is None else low, told[1] if told else None)
    others = {
        content["offset"]["dn"]
        for path in band_path(task.archive, scene, SCL).parent.glob(SIDECARS)
        if (content := read_sidecar(path))
        and content.get("band") != SCL
        and content.get("baseline") == scene.baseline_text
    }
    if others - {offset}:
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("offset {} for one band and {} for another").format(offset, others.pop()),
            expected=_("one for all"),
            then=_("Remove the scene's folder in '{}' and fetch it again.").format(task.archive),
        )
    return offset, rule, told is not None


def _target(task: Task, source: Source, kept: Grid | None) -> Grid | None:
    """Return the cells to be written: what of the area a source meets, and what of it the archive holds already, as one rectangle."""
    extent = warp.extent(source)
    target = task.area.intersection(extent)
    return target.union(kept).intersection(extent) if target and kept else target


def _needed(task: Task, kept: Grid | None, source: Source) -> Window | None:
    """Return the pixels of a source that the cells to be written need, or None."""
    target = _target(task, source, kept)
    window = warp.source_window(source, target, margin=6) if target else None
    if window is None:
        return None
    (row, row_end), (col, col_end) = window
    # Whole pairs of pixels, so that halving 10 m pixels meets the same pairs in every window.
    return (row // 2 * 2, row_end), (col // 2 * 2, col_end)


def _fetch_band(task: Task, band: str, held: dict[str, bytes], low_dn: int | None) -> Outcome:
    """Fetch a band together with what the archive holds of it: a file grows, and no region is lost when another is fetched.

    held : objects that were had before, which are taken out once they are used
    """
    moved = 0
    for attempt in range(_GROWTHS):
        if attempt and not missing_bands(replace(task, bands=(band,))):
            return Outcome(task.scene.id, band, read_bytes=moved)
        outcome, placed = _try_band(task, band, held.pop(band, None), low_dn, _kept(task, band))
        moved += outcome.read_bytes
        if placed:
            return replace(outcome, read_bytes=moved)
    raise FetchError(
        _("Scene {}, {}").format(task.scene.id, band),
        found=_("a file that other runs made larger {} times while it was fetched").format(_GROWTHS),
        expected=_("one that stays as it is meanwhile"),
        then=_("Run the same command again when the other runs have ended."),
    )


def _try_band(task: Task, band: str, held: bytes | None, low_dn: int | None, kept: Grid | None) -> tuple[Outcome, bool]:
    """Fetch the area's cells of a band and those that are kept; put them in place unless another run has put others there meanwhile.

    Returns: (outcome, whether that is final)
    """
    scene, asset, name = task.scene, _asset(task, band), _name(task, band)
    needed = functools.partial(_needed, task, kept)
    got: Pixels = (
        decode(held, name, needed, task.threads) if held else get_pixels(asset, name, needed, task.retry, task.threads)
    )
    held = None
    source, window, pixels = got.source, got.window, got.values
    got = replace(got, values=None)
    target = _target(task, source, kept)
    if target is None or window is None or pixels is None:
        return Outcome(scene.id, band, read_bytes=got.moved, how=str(got)), True
    row, col = window[0][0], window[1][0]
    extent = warp.extent(source)
    method, offset_dn, rule, confirmed = task.settings(band)["resampling"], 0, "classes have none", False
    if band != SCL:
        offset_dn, rule, confirmed = _resolve_offset(task, pixels, low_dn)
        pixels = warp.corrected(pixels, offset_dn)
    if warp.is_fine(source):
        pixels, source = warp.halve(pixels), warp.halved(source)
        row, col = row // 2, col // 2

    path = band_path(task.archive, scene, band)
    valid_cells = 0
    taps = warp.Warper(pixels, source, (row, col), method)
    del pixels
    sidecar = path.with_suffix(SUFFIX)
    hidden, hidden_sidecar = temporary_path(path), temporary_path(sidecar)
    with contextlib.ExitStack() as lock:
        lock.callback(hidden.unlink, missing_ok=True)
        lock.callback(hidden_sidecar.unlink, missing_ok=True)
        with TiffWriter(hidden, target, "uint8" if band == SCL else "uint16") as out:
            for part in out.parts():
                values = taps.take(part)
                if band != SCL:
                    values = warp.rounded(values)
                valid_cells += int(np.count_nonzero(values))
                out.write(values, part)
        _verify(hidden, target, valid_cells)
        outcome = Outcome(scene.id, band, read_bytes=got.moved, valid_cells=valid_cells, how=str(got))
        content = {
            "sidecar": SIDECAR, "scene": scene.id, "tile": scene.tile, "band": band, "sensed_utc": scene.sensed_utc,
            "platform": scene.platform, "datatake": scene.datatake, "datastrip": scene.datastrip,
            "baseline": scene.baseline_text, "cloud_pct": scene.cloud_pct, "nodata_pct": scene.nodata_pct,
            "valid_cells": valid_cells, "valid_pct": round(100 * valid_cells / (target.height * target.width), 4),
            "offset": {"dn": offset_dn, "rule": rule, "metadata_read": confirmed},
            "source": {
                "href": shown(asset.href), "size": got.size, "checksum": asset.checksum,
                "read": got.how, "read_bytes": got.moved,
            },
            "output": {"file": path.name, "size": hidden.stat().st_size, "sha256": sha256_file(hidden)},
            "grid": {"bounds": target.bounds, "res_m": target.res_m}, "extent": extent.bounds,
            "settings": task.settings(band), "catalogue": shown(task.catalogue), "version": __version__,
            "fetched_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        # Another run may be at the same file: the two go into place one pair after the other.
        lock.enter_context(_locked(path.parent))
        if not target.contains(_target(task, got.source, _kept(task, band))):
            return outcome, False
        write_json(hidden_sidecar, content)
        sidecar.unlink(missing_ok=True)
        # One right after the other: all that may fail lies behind.
        hidden.replace(path)
        hidden_sidecar.replace(sidecar)
    return outcome, True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock of a folder; it ends with the process. File systems that know no locks go without."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _verify(path: Path, target: Grid, valid_cells: int) -> None:
    """Read the written file in full; a disk that loses bytes must not leave a sidecar."""
    found, same = 0, False
    # GDAL keeps the failure of a late write to itself: a full disk shows here and nowhere else.
    with contextlib.suppress(InputError, GridError), open_on_grid(path, target.res_m) as (dataset, grid):
        same = grid == target
        for row in range(0, target.height, TILE):
            south = max(target.north - (row + TILE) * target.res_m, target.south)
            strip = Grid(target.west, south, target.east, target.north - row * target.res_m, target.res_m)
            found += int(np.count_nonzero(read_part(dataset, grid, strip)))
    if not same or found != valid_cells:
        raise FetchError(
            _("File in '{}'").format(path.parent),
            found=_("{} valid cells after writing").format(found),
            expected=_("the {} that were written").format(valid_cells),
            then=_("Make room on the disk and run the same command again."),
        )


def describe_sidecar(content: Mapping[str, Any]) -> str:
    """Write one line of history for a linked scene."""
    offset = content["offset"]
    return f"{content['scene']}, baseline {content['baseline']}, offset {offset['dn']} ({offset['rule']})"
