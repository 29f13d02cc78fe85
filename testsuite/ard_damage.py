"""Damage to an analysis-ready file, and whether the check finds it.

A flipped bit in a part of the file that no reader ever looks at changes nothing. So the check must find a flip, or every value
that can be read, and all that describes it, must be as before.
"""

from __future__ import annotations

import random
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


def is_found(original: Path, damaged: bytes, path: Path) -> bool:
    """Tell whether the check finds the damage, or nothing that can be read has changed."""
    path.write_bytes(damaged)
    try:
        if check_ard(path)["findings"]:
            return True
    except ArdError:
        return True
    return everything(path) == everything(original)
