"""Damage to an analysis-ready file, and whether the check finds it.

A flipped bit in a part of the file that no reader uses changes nothing. So either the check finds the flip, or every value that can be
read, and its metadata, must be as before.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imperviouslib.core.errors import ArdError
from imperviouslib.edge.ardcheck import check_ard


def flip(content: bytes, seed: int) -> bytes:
    """Flip one bit."""
    at = random.Random(seed).randrange(8 * len(content))
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def truncate(content: bytes, seed: int) -> bytes:
    """Cut the end off."""
    return content[: random.Random(seed).randrange(len(content))]


def everything(path: Path) -> dict[Any, Any]:
    """Return all that plain h5py reads of a file: values, shapes, types, attributes, dimension scales."""
    out: dict[Any, Any] = {}
    with h5py.File(path, "r") as handle:
        out |= {("/", key): repr(value) for key, value in handle.attrs.items()}
        for name in handle:
            variable = handle[name]
            out[name] = repr(variable[()]) if name == "period" else np.asarray(variable[()]).tobytes()
            out[name, "form"] = (variable.shape, str(variable.dtype), variable.chunks, repr(variable.fillvalue))
            out[name, "dims"] = [[scale.name for scale in dimension.values()] for dimension in variable.dims]
            for key, value in variable.attrs.items():
                if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
                    out[name, key] = repr(value)
    return out


def _in_a_child(work: Callable[[], bool]) -> bool | None:
    """Run a test in a forked process, because the HDF5 library may crash on a damaged file. Returns: its result, None after a crash."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            status = int(not work())
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return {0: True, 1: False}.get(os.waitstatus_to_exitcode(status))


def _is_reported(path: Path) -> bool:
    try:
        return bool(check_ard(path)["findings"])
    except ArdError:
        return True


def is_found(original: Path, damaged: bytes, path: Path) -> bool:
    """Tell whether the check finds the damage, or nothing that can be read has changed.

    A crash of the check counts as found, because the tool runs the check in a process of its own and reports its crash (tested elsewhere).
    """
    path.write_bytes(damaged)
    if _in_a_child(lambda: _is_reported(path)) is not False:
        return True
    return _in_a_child(lambda: everything(path) == everything(original)) is True
