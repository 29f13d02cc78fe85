"""Shared by the real runs: a new location with the tools of the source tree, the model of the demo, and rows of a table."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testsuite import TOOLS, TOP

DEMO_MODEL = TOP / "build" / "demo" / "model"


class Session:
    """A new location in EPSG:3035 in the folder `work`, in which commands run one by one."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._mapset = work / "grassdata" / "eu" / "PERMANENT"
        tools = work / "tools"
        for folder in (tools, work / "grassdata"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for tool in TOOLS:
            (tools / tool).symlink_to(TOP / tool / f"{tool}.py")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GIS", "GRASS_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        self._env = env | {"GRASS_ADDON_PATH": str(tools), "PATH": path}
        self._grass("-c", "EPSG:3035", "-e", str(self._mapset.parent))

    def _grass(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["grass", *words], env=self._env, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=self.work
        )

    def run(self, *words: object) -> str:
        """Run a command that must succeed. Returns: its standard output."""
        done = self._grass(str(self._mapset), "--exec", *map(str, words))
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def fail(self, *words: object) -> str:
        """Run a command that must fail. Returns: its error message in one line."""
        done = self._grass(str(self._mapset), "--exec", *map(str, words))
        if not done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: expected an error, but it succeeded")
        if "Traceback" in done.stderr:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}")
        return " ".join(done.stderr.partition("ERROR:")[2].partition("Execution of")[0].split())


def demo_model() -> Path:
    """Return the folder of the demo's model; run the demo first if it does not exist."""
    if not (DEMO_MODEL / "card.json").is_file():
        print("The model of the demo does not exist. Running the demo first; this takes some minutes.", flush=True)
        subprocess.run([sys.executable, "-m", "testsuite.demo"], cwd=TOP, check=True, stdin=subprocess.DEVNULL)
    return DEMO_MODEL


def rows(table: Path, **wanted: str) -> list[dict[str, str]]:
    """Return the rows of a table folder whose columns have the given values."""
    with (table / "impervious_nuts.csv").open(encoding="utf-8", newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[key] == value for key, value in wanted.items())]
