"""Where the session works, from the file that names it: GRASS would start a process to tell."""

from __future__ import annotations

import os
from pathlib import Path


def mapset_folder() -> Path:
    """Return the folder of the current mapset."""
    session = read_header(Path(os.environ["GISRC"]))
    return Path(session["GISDBASE"], session["LOCATION_NAME"], session["MAPSET"])


def read_header(path: Path) -> dict[str, str]:
    """Read a file of lines "key: value"; empty where there is none."""
    try:
        pairs = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in pairs}
