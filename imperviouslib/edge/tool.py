"""What every tool does around its stage: environment, errors in one line, exit status.

A tool script calls `run`; a stage module has `main(options, flags)` and raises `ImperviousError` for what a user can mend.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
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
_REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
"""Beside the library, in the source tree as well as in an installed tool."""
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "tensorflow": "tensorflow-cpu"}
_DISK_ERRORS = {
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a full quota",
    errno.EFBIG: "a limit on the size of files",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "a read-only file system",
    errno.ENOTDIR: "a file above it where a folder must be",
    errno.EISDIR: "a folder of that name",
}


def use_wheel_proj() -> None:
    """Forget PROJ_LIB and PROJ_DATA where rasterio brings its own PROJ: a database of another version breaks it."""
    spec = importlib.util.find_spec("rasterio")
    if spec and spec.origin and Path(spec.origin).parent.with_name("rasterio.libs").is_dir():
        for variable in ("PROJ_LIB", "PROJ_DATA"):
            os.environ.pop(variable, None)


def _stop(message: str) -> NoReturn:
    """End the tool with one line; the traceback only where --debug asks for it."""
    if os.environ.get(DEBUG_VARIABLE):
        gs.message(traceback.format_exc())
    gs.fatal(message)


def run(stage: str, options: dict[str, str], flags: dict[str, bool]) -> int:
    """Run `imperviouslib.stage.<stage>.main(options, flags)` and turn an expected failure into one line and status 1.

    Returns: int, exit status of the tool
    """
    # A batch system ends jobs with SIGTERM: treat it as Ctrl-C, so that temporary files are removed on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    use_wheel_proj()
    try:
        return int(importlib.import_module(f"imperviouslib.stage.{stage}").main(options, flags) or 0)
    except ImperviousError as err:
        _stop(" ".join(str(err).split("\n")))
    except ModuleNotFoundError as err:
        package = (err.name or "").split(".")[0]
        if package == "imperviouslib":
            raise
        _stop(
            sentence(
                _("Python package <{}>").format(_DISTRIBUTIONS.get(package, package)),
                found=_("none"),
                expected=_("it to be installed for the python3 that runs this tool"),
                then=_(
                    "Run python3 -m pip install -r {} in a virtual environment and start GRASS with it first on PATH; the manual page of r.impervious shows how."
                ).format(_REQUIREMENTS),
            )
        )
    except CalledModuleError as err:
        # Only the text is the same in all versions of GRASS.
        called = re.search(r"Module run `?(?:None )?`?([a-z0-9.]+)", str(err))
        tool = called[1] if called else "called"
        _stop(
            sentence(
                _("GRASS tool <{}>").format(tool),
                found=_("that it failed"),
                expected=_("success"),
                then=_("Read its message above."),
            )
        )
    except KeyboardInterrupt:
        _stop("Interrupted. What is finished is kept; run the same command again to go on.")
    except OSError as err:
        if err.errno not in _DISK_ERRORS:
            raise
        _stop(
            sentence(
                (_("File '{}'").format(err.filename) if err.filename else _("A file of the output")),
                found=_DISK_ERRORS[err.errno],
                expected=_("room and permission to read and write"),
                then=_("Mend that and run the same command again."),
            )
        )
