#!/usr/bin/env python3
"""Check the licences of the locked packages: each must allow use together with GPL-2.0-or-later.

It reads what the installed packages say of themselves and needs no network. Known vulnerabilities need one: see `audit.py`.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ALLOWED = re.compile(
    r"\b(MIT|MIT-CMU|BSD|BSD-[23]-Clause|0BSD|ISC|Zlib|CC0-1\.0|Apache|Apache-2\.0|PSF-2\.0|MPL-2\.0|MPL 2\.0|Python Software Foundation|Public Domain|"
    r"L?GPL-?[23]?|GNU (Lesser )?General Public License|Unlicense)\b",
    re.IGNORECASE,
)
"""Names of licences; Apache-2.0 goes together with GPL-3.0, which "or later" allows."""
DENIED = re.compile(r"proprietary|commercial|SSPL|AGPL|Affero", re.IGNORECASE)
SILENT = {"axe-playwright-python": "MIT", "namex": "Apache-2.0"}
"""Packages whose metadata name no licence, with the licence that their source does."""


def locked() -> list[str]:
    """Return the names in the lock of this Python."""
    lock = TOP / "lock" / "py{}{}.txt".format(*sys.version_info[:2])
    return [line.split("==")[0] for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line]


def licence_of(name: str) -> str:
    """Return what a package says of its licence: the expression, else the classifiers, else the first line of the text."""
    found = importlib.metadata.metadata(name)
    classifiers = [c.rpartition("::")[2].strip() for c in found.get_all("Classifier") or () if c.startswith("License")]
    text = (found.get("License") or "").strip().split("\n")[0]
    return found.get("License-Expression") or "; ".join(classifiers) or text or SILENT.get(name, "")


def is_allowed(licence: str) -> bool:
    """Tell whether a licence goes together with GPL-2.0-or-later.

    >>> is_allowed("MPL-2.0 AND (Apache-2.0 OR MIT)"), is_allowed("Proprietary"), is_allowed("")
    (True, False, False)
    """
    return bool(ALLOWED.search(licence)) and not DENIED.search(licence)


def main() -> int:
    """Print the packages whose licence is unknown or not allowed."""
    names = locked()
    bad = [(name, licence_of(name)) for name in names if not is_allowed(licence_of(name))]
    for name, licence in bad:
        print(
            f"Package {name}: found licence '{licence}', expected one that goes with GPL-2.0-or-later. Replace it, or add its licence to tools/licences.py."
        )
    if not bad:
        print(f"The licences of all {len(names)} locked packages go with GPL-2.0-or-later.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
