"""Shared by the real runs: a new location with the tools of the source tree, the model of the demo, and rows of a table."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testsuite import TOOLS, TOP

DEMO = TOP / "build" / "demo"
MODEL = DEMO / "model_medians"


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
    """Return the folder of a model for the median of three bands, which all packs have; train it if it does not exist.

    It learns from the composites of the demo, and not for long, because no run judges its accuracy. The demo's own model has further features, so
    it fits no pack. The demo runs first if needed.
    """
    if (MODEL / "card.json").is_file():
        return MODEL
    if not (DEMO / "model" / "card.json").is_file():
        print("The demo was not run. Running it first; this takes some minutes.", flush=True)
        subprocess.run([sys.executable, "-m", "testsuite.demo"], cwd=TOP, check=True, stdin=subprocess.DEVNULL)
    print("Training a model on the composites of the demo; this takes some minutes.", flush=True)
    for words in (
        [
            "r.s2.ard",
            "input=s2",
            "features=B12_p50,B11_p50,B04_p50",
            "labels=s2glc",
            "label_year=2017",
            "output=medians.nc",
        ],
        ["r.unet.train", "input=medians.nc", f"output={MODEL.name}", "epochs=5", "seed=1"],
    ):
        command = ["grass", str(DEMO / "grassdata" / "europe" / "demo"), "--exec", *words, "--overwrite"]
        env = {**os.environ, "GRASS_ADDON_BASE": str(DEMO / "addons")}
        subprocess.run(command, cwd=DEMO, env=env, check=True, stdin=subprocess.DEVNULL)
    return MODEL


def rows(table: Path, **wanted: str) -> list[dict[str, str]]:
    """Return the rows of a table folder whose columns have the given values."""
    with (table / "impervious_nuts.csv").open(encoding="utf-8", newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[key] == value for key, value in wanted.items())]
