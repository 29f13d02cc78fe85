"""The integrity check of an analysis-ready HDF5 file (h5py): every cell is read and held against digests, codes and ranges."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imperviouslib.core.errors import ArdError
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.ardfile import CHUNK, ArdFile

_LARGEST_DN = 20000
"""Reflectance above 2 does not occur on land; more hints at another scaling."""


def check_ard(path: Path, expected: Grid | None = None) -> dict[str, Any]:
    """Read a file in full.

    expected : the grid that the file should have, if any
    Returns: {"findings": [...], "periods": {name: {feature: share without data, ...}}, "label": {...}, "digest": ...}; raises ArdError where the
    file cannot be opened at all
    """
    findings: list[str] = []
    report: dict[str, Any] = {"file": str(path), "findings": findings, "periods": {}}
    with ArdFile.open(path) as ard, h5py.File(path, "r") as handle:
        report |= {"digest": ard.digest, "grid": {"bounds": list(ard.grid.bounds), "res_m": ard.grid.res_m}}
        if expected is not None and ard.grid != expected:
            findings.append(f"grid {ard.grid.bounds} differs from the region {expected.bounds}")
        findings += _structure(handle, ard)
        if findings and any("shape" in finding or "missing" in finding for finding in findings):
            return report
        strips = list(_strips(ard.grid))
        for index, period in enumerate(ard.periods):
            digest, empty, summary = hashlib.sha256(), dict.fromkeys(ard.features, 0), {}
            try:
                for part in strips:
                    planes, count = ard.read(period, part), ard.read_count(period, part)
                    for feature, plane in zip(ard.features, planes, strict=True):
                        digest.update(np.ascontiguousarray(plane, "<u2"))
                        empty[feature] += int(np.count_nonzero(plane == 0))
                        if plane.max() > _LARGEST_DN:
                            summary[f"{feature}_max"] = int(plane.max())
                    digest.update(np.ascontiguousarray(count))
            except ArdError as err:
                findings.append(str(err))
                continue
            cells = ard.grid.height * ard.grid.width
            report["periods"][period] = {feature: round(n / cells, 6) for feature, n in empty.items()}
            findings += [f"period {period}: {key} is {value}, above {_LARGEST_DN}" for key, value in summary.items()]
            if all(n == cells for n in empty.values()):
                findings.append(f"period {period}: no cell has data")
            if digest.hexdigest() != ard.digests[index]:
                findings.append(f"period {period}: its cells are not those that were written")
        if ard.has_label:
            findings += _label(handle, ard, strips, report)
    return report


def _strips(grid: Grid) -> list[Grid]:
    step = CHUNK * grid.res_m
    return [
        Grid(grid.west, max(grid.south, north - step), grid.east, north, grid.res_m)
        for north in range(grid.north, grid.south, -step)
    ]


def _structure(handle: h5py.File, ard: ArdFile) -> list[str]:
    findings = []
    shape = (len(ard.periods), *ard.grid.shape)
    wanted = {**dict.fromkeys(ard.features, (shape, "<u2")), "count": (shape, "|u1")}
    if "label" in handle:
        wanted |= dict.fromkeys(("label", "purity", *(f"share_{c.key}" for c in CLASSES)), (shape[1:], "|u1"))
    for name, (size, kind) in wanted.items():
        if name not in handle:
            findings.append(f"{name}: missing")
            continue
        variable = handle[name]
        if variable.shape != size:
            findings.append(f"{name}: shape {variable.shape}, expected {size}")
        if variable.dtype != np.dtype(kind):
            findings.append(f"{name}: type {variable.dtype}, expected {np.dtype(kind)}")
        chunks = (*(1,) * (len(size) - 2), *(min(CHUNK, n) for n in size[-2:]))
        if (
            variable.chunks != chunks
            or variable.compression != "gzip"
            or not variable.shuffle
            or not variable.fletcher32
        ):
            findings.append(
                f"{name}: chunks {variable.chunks} with {variable.compression}, expected {chunks} with gzip, shuffle and fletcher32"
            )
        if variable.attrs.get("grid_mapping") not in ("crs", b"crs"):
            findings.append(f"{name}: no grid mapping")
    half, grid = ard.grid.res_m / 2, ard.grid
    for axis, first, step, n in (
        ("x", grid.west + half, grid.res_m, grid.width),
        ("y", grid.north - half, -grid.res_m, grid.height),
    ):
        if axis not in handle or not np.array_equal(handle[axis][:], first + step * np.arange(n)):
            findings.append(f"{axis}: not the centres of the grid's cells")
    if len(ard.digests) != len(ard.periods):
        findings.append(f"{len(ard.digests)} digests for {len(ard.periods)} periods")
    if len(set(ard.periods)) != len(ard.periods):
        findings.append("a period occurs twice")
    return findings


def _label(handle: h5py.File, ard: ArdFile, strips: list[Grid], report: dict[str, Any]) -> list[str]:
    findings, digest = [], hashlib.sha256()
    cells = dict.fromkeys(range(len(CLASSES) + 1), 0)
    for part in strips:
        try:
            label, purity = ard.read_label(part), ard.read_purity(part)
            shares = [ard.read_share(c.key, part) for c in CLASSES]
        except ArdError as err:
            return [str(err)]
        for plane in (label, purity, *shares):
            digest.update(np.ascontiguousarray(plane))
        for code, n in zip(*np.unique(label, return_counts=True), strict=True):
            cells[int(code)] = cells.get(int(code), 0) + int(n)
        if ((purity > 100) & (label > 0)).any():
            findings.append("purity: above 100 % where there is a label")
    unknown = sorted(set(cells) - set(range(len(CLASSES) + 1)))
    if unknown:
        findings.append(f"label: code {unknown[0]}, expected 0-{len(CLASSES)}")
    if digest.hexdigest() != handle["label"].attrs.get("digest"):
        findings.append("label: its cells are not those that were written")
    report["label"] = {
        "year": ard.label_year,
        "legend": ard.legend,
        "cells": {"nodata": cells[0], **{c.key: cells[c.code] for c in CLASSES}},
    }
    return findings
