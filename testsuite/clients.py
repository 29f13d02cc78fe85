"""`make clients`: read the files of a run by programs of others, and print what each of them found.

The run is RUN=DIR, else that of `make demo`, else small files that are made here. The clients are in requirements-clients.txt and get a virtual
environment of their own, because the suite needs none of them. Clients that are programs (GDAL, R with terra, QGIS) are asked where they are
installed. What they are asked is in client_checks.py. The exit status is 1 if a client refuses a file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from testsuite import TOP
from testsuite.test_ardfile import write
from testsuite.test_indicators import WHOLE, five_years

REQUIREMENTS = TOP / "requirements-clients.txt"
OUT = TOP / "build" / "clients"


def client_python() -> Path:
    """Return the Python that has the clients; make its virtual environment if there is none of these requirements."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = data / "r.impervious" / f"clients-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        print(f"Installing the clients into '{folder}' (a minute or two)...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
        subprocess.run(install, check=True)
        (folder / ".complete").touch()
    return python


def lay_out(run: Path | None) -> Path:
    """Bring ard.nc and table/ together in one folder: those of a run, or small ones."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    if run is None:
        from imperviouslib.edge import tablefile

        write(OUT / "ard.nc", periods=("2017", "2018"))
        corners = [
            [4_450_000.0, 3_280_000.0],
            [4_450_100.0, 3_280_000.0],
            [4_450_100.0, 3_280_020.0],
            [4_450_000.0, 3_280_020.0],
        ]
        outline = {"type": "MultiPolygon", "coordinates": [[[*corners, corners[0]]]]}
        feature = {"type": "Feature", "properties": {"geo": WHOLE.geo}, "geometry": outline}
        outlines = {"type": "FeatureCollection", "features": [feature]}
        package = {
            "profile": "data-package",
            "name": tablefile.NAME,
            "title": "A small table",
            "created": "2026-01-01T00:00:00Z",
            "method": [],
            "regions": {"nuts_version": "2024", "note": ""},
        }
        with tablefile.writing_folder(OUT / "table", five_years(), outlines, package):
            pass
        return OUT
    found = sorted([*run.glob("*.nc"), *run.glob("*.h5")])
    if not found or not (run / "table" / "datapackage.json").is_file():
        sys.exit(
            f"Folder '{run}' has no HDF5 file of r.s2.ard (*.nc), or no folder 'table' of r.impervious.change. Run make demo, or leave out RUN=."
        )
    (OUT / "ard.nc").symlink_to(found[0].resolve())
    (OUT / "table").symlink_to((run / "table").resolve())
    return OUT


def main() -> int:
    """Ask all clients and print a table."""
    parser = argparse.ArgumentParser(description="Read the files of a run by programs of others.")
    parser.add_argument(
        "--run",
        type=Path,
        help="folder with an HDF5 file and a folder 'table' (default: that of make demo, else small files)",
    )
    demo = TOP / "build" / "demo"
    run = parser.parse_args().run or (demo if (demo / "table").is_dir() and list(demo.glob("*.nc")) else None)
    folder = lay_out(run)
    print(f"Files of {run or 'a small run made for this'}:")
    asked = [client_python(), TOP / "testsuite" / "client_checks.py", folder]
    failed = 0
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            one = json.loads(line)
            verdict = {True: "ok", False: "REFUSED", None: "-"}[one["passed"]]
            failed += one["passed"] is False
            version = one["version"].replace(one["client"], "").strip()
            print(
                f"{one['client']:<20} {version[:24]:<24} {one['file']:<32} {verdict:<8} {one['found'][:300]}",
                flush=True,
            )
    return 1 if failed or process.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
