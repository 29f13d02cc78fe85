"""What every tool does before and after its stage: environment, errors in one line, exit status.

A tool script calls `run`. A stage module has `main(options, flags)` and raises `ImperviousError` for failures that a user can resolve.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import importlib
import importlib.util
import locale
import os
import re
import signal
import traceback
from pathlib import Path
from typing import NoReturn

import grass.script as gs
from grass.exceptions import CalledModuleError

from imperviouslib.core.errors import ImperviousError, _, sentence

DEBUG_VARIABLE = "IMPERVIOUS_DEBUG"
_FOLDER = Path(__file__).resolve().parents[2]
"""Holds the lists of packages, beside the library, in the source tree as well as in an installed tool."""
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "tensorflow": "tensorflow-cpu", "dask": "distributed"}
_DISK_ERRORS = {
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a full quota",
    errno.EFBIG: "a limit on the size of files",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "a read-only file system",
    errno.ENOTDIR: "a file in its path where a folder is needed",
    errno.EISDIR: "a folder of that name",
    errno.ENAMETOOLONG: "a name that is too long",
    errno.ELOOP: "symbolic links in a circle",
    errno.EIO: "a disk that cannot be read or written",
}


def use_wheel_proj() -> None:
    """Unset PROJ_LIB and PROJ_DATA if rasterio brings its own PROJ, which fails with the database of another version."""
    spec = importlib.util.find_spec("rasterio")
    if spec and spec.origin and Path(spec.origin).parent.with_name("rasterio.libs").is_dir():
        for variable in ("PROJ_LIB", "PROJ_DATA"):
            os.environ.pop(variable, None)


def use_utf8() -> None:
    """Let this process and the tools that it starts read and write UTF-8, whatever the locale: GRASS decodes tables by it, and `C` is ASCII."""
    if codecs.lookup(locale.nl_langinfo(locale.CODESET) or "ascii").name == "utf-8":
        return
    for name in ("C.UTF-8", "en_US.UTF-8"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            os.environ["LC_CTYPE"] = name
            # LC_ALL would win over it; the language of messages stays.
            if everything := os.environ.pop("LC_ALL", None):
                for category in ("LC_MESSAGES", "LC_TIME", "LC_COLLATE"):
                    os.environ[category] = everything
            return


def use_home() -> None:
    """Set HOME where it is not set, as in some batch jobs, to what the system knows: GRASS cannot copy attributes of a vector map without it."""
    if os.environ.get("HOME"):
        return
    try:
        os.environ["HOME"] = str(Path.home())
    except RuntimeError:
        # A container may run as a user whom it does not know.
        os.environ["HOME"] = "/"


def _stop(message: str) -> NoReturn:
    """End the tool with a message of one line; --debug adds the traceback."""
    if os.environ.get(DEBUG_VARIABLE):
        gs.message(traceback.format_exc())
    gs.fatal(message)


def run(stage: str, options: dict[str, str], flags: dict[str, bool]) -> int:
    """Run `imperviouslib.stage.<stage>.main(options, flags)` and turn an expected failure into a message and status 1.

    Returns: int, exit status of the tool
    """
    # Batch systems end jobs with SIGTERM. It is treated like Ctrl-C, so that temporary files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    use_utf8()
    use_home()
    use_wheel_proj()
    try:
        return int(importlib.import_module(f"imperviouslib.stage.{stage}").main(options, flags) or 0)
    except ImperviousError as err:
        _stop(" ".join(str(err).split("\n")))
    except ModuleNotFoundError as err:
        package = (err.name or "").split(".")[0]
        if package == "imperviouslib":
            raise
        requirements = "requirements-cluster.txt" if package in ("dask", "distributed") else "requirements.txt"
        _stop(
            sentence(
                _("Python package <{}> is not installed for the python3 that runs this tool").format(
                    _DISTRIBUTIONS.get(package, package)
                ),
                then=_(
                    "Run python3 -m pip install -r {} in a virtual environment and start GRASS with it first on PATH. "
                    "The manual page of r.impervious shows how."
                ).format(_FOLDER / requirements),
            )
        )
    except CalledModuleError as err:
        # The attributes of the error differ between versions of GRASS; its text does not.
        called = re.search(r"Module run `?(?:None )?`?([a-z0-9.]+)", str(err))
        tool = called[1] if called else "called"
        _stop(
            sentence(
                _("GRASS tool <{}> failed").format(tool),
                then=_("Read its message above."),
            )
        )
    except KeyboardInterrupt:
        _stop(_("Interrupted. Finished work is kept. Run the same command again to continue."))
    except OSError as err:
        if err.errno not in _DISK_ERRORS:
            raise
        _stop(
            sentence(
                (_("File '{}'").format(err.filename) if err.filename else _("A file of the output")),
                found=_DISK_ERRORS[err.errno],
                expected=_("free space and permission to read and write"),
                then=_("Make room or change the permission, then run the same command again."),
            )
        )
