"""The integrity check of an analysis-ready HDF5 file (h5py): every cell is read and compared with digests, codes and ranges."""

from __future__ import annotations

import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imperviouslib.core.errors import ArdError
from imperviouslib.core.feature import Feature
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.ardfile.contract import CHUNK, LABEL_VARIABLES, open_hdf5, strips

_LARGEST_DN = 20000
"""Largest stored number that occurs on land: reflectance 2."""
_FEW = 0.001
"""Share of cells that may be larger. If more are, the file has another scaling."""


def check_ard(path: Path, expected: Grid | None = None) -> dict[str, Any]:
    """Read a file in full, strip by strip.

    expected : the grid that the file should have, if any
    Returns: {"findings": [...], "periods": {name: {feature: share without data, ...}}, "label": {...}, "digest": ...}; raises ArdError if
    the file cannot be opened
    """
    findings: list[str] = []
    report: dict[str, Any] = {"file": str(path), "findings": findings, "periods": {}, "digest": ""}
    with ArdFile.open(path) as ard, open_hdf5(path) as handle:
        try:
            _check(ard, handle, expected, report)
        except Exception as err:  # noqa: BLE001 - damage causes many kinds of errors in h5py and NumPy; each is a finding
            findings.append(str(err) if isinstance(err, ArdError) else f"damaged: {type(err).__name__}: {err}")
    return report


def check_in_subprocess(path: Path, expected: Grid | None = None) -> dict[str, Any]:
    """Check a file as `check_ard` does, in a process of its own, because some damage crashes the HDF5 library; that is a finding too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(check_ard, path, expected).result()
        except BrokenProcessPool:
            return {
                "file": str(path),
                "findings": ["damaged: reading it crashes the HDF5 library. Write it again with r.s2.ard."],
                "periods": {},
                "digest": "",
            }


def _check(ard: ArdFile, handle: h5py.File, expected: Grid | None, report: dict[str, Any]) -> None:
    findings = report["findings"]
    report |= {
        "digest": ard.digest,
        "grid": {"bounds": list(ard.grid.bounds), "res_m": ard.grid.res_m},
        "features": list(ard.features),
        "type": "float32" if ard.is_float else "uint16",
    }
    if expected is not None and ard.grid != expected:
        findings.append(
            f"grid {ard.grid.bounds} differs from the region {expected.bounds} (west, south, east, north): set the region "
            "with g.region if you want that of the file"
        )
    stored = handle.attrs.get("metadata_digest")
    if ard.metadata_digest() != stored:
        findings.append("metadata (names, axes or attributes) changed since the file was written")
    missing = _check_shapes(handle, ard, findings)
    _check_axes(handle, ard, findings)
    if missing:
        return
    for period, digest in zip(ard.periods, ard.digests, strict=True):
        _check_period(ard, period, digest, report)
    if ard.has_label:
        _check_label(ard, handle, report)


def _check_period(ard: ArdFile, period: str, expected: str, report: dict[str, Any]) -> None:
    findings = report["findings"]
    digest, cells = hashlib.sha256(), ard.grid.height * ard.grid.width
    empty, bright = dict.fromkeys(ard.features, 0), dict.fromkeys(ard.features, 0)
    unseen = 0
    for part in strips(ard.grid):
        try:
            planes, count = ard.read(period, part), ard.read_count(period, part)
        except ArdError as err:
            findings.append(f"period {period}: {err}")
            return
        for feature, plane in zip(ard.features, planes, strict=True):
            digest.update(np.ascontiguousarray(plane, "<u2"))
            empty[feature] += int(np.count_nonzero(plane == 0))
            bright[feature] += int(np.count_nonzero(plane > _LARGEST_DN))
        digest.update(np.ascontiguousarray(count))
        seen = (count > 0) & (count < 255)
        unseen += int(np.count_nonzero(seen & (planes == 0).all(axis=0)))
    report["periods"][period] = {feature: round(n / cells, 6) for feature, n in empty.items()}
    findings += [
        f"period {period}: {feature} is above {_LARGEST_DN} in {n} cells, so its scaling is not {Feature.parse(feature).variable.scale:g}"
        for feature, n in bright.items()
        if n > _FEW * cells
    ]
    if unseen:
        findings.append(f"period {period}: {unseen} cells have clear observations but no value")
    if all(n == cells for n in empty.values()):
        findings.append(f"period {period}: no cell has data")
    if digest.hexdigest() != expected:
        findings.append(f"period {period}: its cells changed since the file was written")


def _check_shapes(handle: h5py.File, ard: ArdFile, findings: list[str]) -> bool:
    """Check the variables of the cells. Returns: whether cells cannot be read, because a variable is missing or has another shape."""
    unreadable = False
    shape = (len(ard.periods), *ard.grid.shape)
    wanted = {**dict.fromkeys(ard.features, (shape, "<f4" if ard.is_float else "<u2")), "count": (shape, "|u1")}
    if "label" in handle:
        wanted |= dict.fromkeys(LABEL_VARIABLES, (shape[1:], "|u1"))
    for name, (size, kind) in wanted.items():
        if name not in handle:
            findings.append(f"{name}: missing")
            unreadable = True
            continue
        variable = handle[name]
        if variable.shape != size:
            findings.append(f"{name}: shape {variable.shape}, expected {size}")
            unreadable = True
        if variable.dtype != np.dtype(kind):
            findings.append(f"{name}: type {variable.dtype}, expected {np.dtype(kind)}")
        chunks = (*(1,) * (len(size) - 2), *(min(CHUNK, n) for n in size[-2:]))
        if variable.chunks != chunks or variable.compression != "gzip" or not variable.shuffle:
            findings.append(
                f"{name}: chunks {variable.chunks} with {variable.compression}, expected {chunks} with gzip and shuffle"
            )
        elif variable.id.get_num_chunks() != np.prod([-(-n // c) for n, c in zip(size, chunks, strict=True)]):
            findings.append(f"{name}: only {variable.id.get_num_chunks()} chunks were written")
        if variable.attrs.get("grid_mapping") not in ("crs", b"crs"):
            findings.append(f"{name}: no grid mapping")
    if len(ard.digests) != len(ard.periods):
        findings.append(f"{len(ard.digests)} digests for {len(ard.periods)} periods")
        unreadable = True
    return unreadable


def _check_axes(handle: h5py.File, ard: ArdFile, findings: list[str]) -> None:
    half, grid = ard.grid.res_m / 2, ard.grid
    for axis, first, step, n in (
        ("x", grid.west + half, grid.res_m, grid.width),
        ("y", grid.north - half, -grid.res_m, grid.height),
    ):
        if axis not in handle or not np.array_equal(handle[axis][:], first + step * np.arange(n)):
            findings.append(f"{axis}: not the centres of the grid's cells")
    if len(set(ard.periods)) != len(ard.periods):
        findings.append("a period occurs twice")
    if any(period[:4] != str(year) for period, year in zip(ard.periods, ard.years, strict=False)):
        findings.append("time: not the years of the periods")


def _check_label(ard: ArdFile, handle: h5py.File, report: dict[str, Any]) -> None:
    findings, digest = report["findings"], hashlib.sha256()
    cells = np.zeros(256, np.int64)
    odd = 0
    for part in strips(ard.grid):
        try:
            label, purity = ard.read_label(part), ard.read_purity(part)
            shares = [ard.read_share(c.key, part) for c in CLASSES]
        except ArdError as err:
            findings.append(f"labels: {err}")
            return
        for plane in (label, purity, *shares):
            digest.update(np.ascontiguousarray(plane))
        cells += np.bincount(label.ravel(), minlength=256)
        odd += int(np.count_nonzero((label > 0) & ((purity > 100) | (np.max(shares, axis=0) != purity))))
    if odd:
        findings.append(f"purity: not the largest share, or above 100 %, in {odd} cells that have a label")
    unknown = np.flatnonzero(cells[len(CLASSES) + 1 :])
    if unknown.size:
        findings.append(f"label: code {int(unknown[0]) + len(CLASSES) + 1}, expected 0-{len(CLASSES)}")
    if digest.hexdigest() != handle["label"].attrs.get("digest"):
        findings.append("label: its cells changed since the file was written")
    report["label"] = {
        "year": ard.label_year,
        "legend": ard.legend,
        "cells": {"nodata": int(cells[0]), **{c.key: int(cells[c.code]) for c in CLASSES}},
    }
