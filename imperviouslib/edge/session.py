"""A GRASS session from plain Python by grass-session, with corrections for GRASS 8.

For scripts and notebooks. The tools themselves run inside a session and do not use this file.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import EPSG

_ENDING = "Check the path; a mapset's path is DATABASE/LOCATION/MAPSET."


@contextmanager
def open_session(path: str | Path) -> Iterator[Path]:
    """Open a session in the mapset at `path`, DATABASE/LOCATION/MAPSET; create location (EPSG:3035) and mapset if missing.

    Inside, `grass.script` and installed addons work. The mapset is locked as `grass` locks it. The environment is
    restored at the end. Raises InputError if the mapset cannot be opened or is in use.

    >>> with open_session("grassdata/europe/PERMANENT"):          # doctest: +SKIP
    ...     import grass.script as gs
    ...     gs.run_command("r.s2.ard", flags="c", input="belgium.nc")
    """
    mapset = Path(path).expanduser().absolute()
    before = os.environ.copy()
    _create(mapset)
    # Both the import and the session change os.environ: the addon folder of GRASS 7, and a locale that may not exist.
    from grass_session import Session

    addons = Path(before.get("GRASS_ADDON_BASE") or Path.home() / ".grass8" / "addons")
    try:
        with Session(gisdb=str(mapset.parent.parent), location=mapset.parent.name, mapset=mapset.name), _locked(mapset):
            for variable in ("LANG", "LOCALE", "LC_ALL"):
                os.environ.pop(variable, None)
                if variable in before:
                    os.environ[variable] = before[variable]
            os.environ["GRASS_ADDON_BASE"] = str(addons)
            folders = [
                *before.get("GRASS_ADDON_PATH", "").split(os.pathsep),
                str(addons / "scripts"),
                str(addons / "bin"),
            ]
            os.environ["PATH"] = os.pathsep.join([*filter(None, folders), os.environ["PATH"]])
            yield mapset
    finally:
        os.environ.clear()
        os.environ.update(before)


def _create(mapset: Path) -> None:
    """Create location and mapset if missing. grass-session would use a shell and fail on paths with spaces."""
    location = mapset.parent
    commands = []
    if not (location / "PERMANENT" / "DEFAULT_WIND").is_file():
        try:
            location.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise InputError(
                _("Mapset '{}' cannot be created ({})").format(mapset, err.strerror),
                then=_ENDING,
            ) from err
        commands.append(["grass", "-c", f"EPSG:{EPSG}", "-e", str(location)])
    if mapset.name != "PERMANENT" and not (mapset / "WIND").is_file():
        commands.append(["grass", "-c", "-e", str(mapset)])
    for command in commands:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            found = (made.stderr.strip().splitlines() or ["no message"])[-1]
            raise InputError(_("Mapset '{}' cannot be created ({})").format(mapset, found.rstrip(".")), then=_ENDING)


@contextmanager
def _locked(mapset: Path) -> Iterator[None]:
    """Hold the lock file of `grass`, which neither grass-session nor grass.script.setup sets or checks."""
    lock = mapset / ".gislock"
    program = Path(os.environ["GISBASE"]) / "etc" / "lock"
    taken = subprocess.run([program, lock, str(os.getpid())], capture_output=True, check=False)
    if taken.returncode:
        raise InputError(
            _("Mapset '{}' is in use by another session").format(mapset),
            then=_("End that session, or use another mapset."),
        )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
