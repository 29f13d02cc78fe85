#!/usr/bin/env python3
"""The whole chain for a country or a tile, from scenes to the table, by grass-session. Run it again after any end: it goes on where it was.

    python3 chain.py SETTINGS [STEP ...]

SETTINGS is a file such as settings.sh beside this script; steps that are named run alone. In WORK, done/ has a file for each finished
step, reports/ the JSON that a tool printed, log/ its messages, and job.json how the last run ended. Exit status: 0 all steps are done, 1 a
step failed (log/STEP.txt says why), 2 the settings are wrong.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.environ.get("IMPERVIOUS", str(Path(__file__).resolve().parents[2])))
from imperviouslib.edge.session import open_session

NEEDED = (
    "WORK", "GRASSDB", "LOCATION", "MAPSET", "REGION", "YEARS", "STAC", "LABELS", "LEGEND", "LABEL_YEAR", "OUTLINES", "COLUMN", "NPROCS",
)  # fmt: skip


def read_settings(path):
    """Read lines NAME=value as a shell does, with comments, quotes and $VARIABLES; end with status 2 where one is missing."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for word in shlex.split(line, comments=True):
            name, _, value = word.partition("=")
            found[name] = os.path.expandvars(value)
    missing = [name for name in NEEDED if not found.get(name)]
    if missing:
        print(f"ERROR: {missing[0]} is not set in '{path}'.", file=sys.stderr)
        raise SystemExit(2)
    return found


def steps(s):
    """Yield each step: its name, its command, and whether its output is replaced as a whole, or kept where it exists."""
    years, nprocs = f"years={s['YEARS']}", f"nprocs={s['NPROCS']}"
    column, model = f"column={s['COLUMN']}", s.get("MODEL") or "model"

    def more(tool):
        return shlex.split(s.get(tool, ""))

    yield "labels", ["r.in.gdal", "-r", f"input={s['LABELS']}", "output=labels"], True
    yield "regions", ["v.in.ogr", f"input={s['OUTLINES']}", "output=regions", f"where={s.get('WHERE', '')}"], True
    yield (
        "fetch",
        ["r.s2.fetch", f"stac={s['STAC']}", "output=scenes", years, nprocs, "format=json", *more("FETCH")],
        False,
    )
    yield "yearly", ["r.s2.yearly", "input=scenes", "output=s2", years, nprocs, "format=json", *more("YEARLY")], False
    labels = ["labels=labels", f"legend={s['LEGEND']}", f"label_year={s['LABEL_YEAR']}"]
    yield "ard", ["r.s2.ard", "input=s2", years, *labels, "output=place.nc", "format=json", *more("ARD")], True
    if not s.get("MODEL"):
        yield "train", ["r.unet.train", "input=place.nc", "output=model", "format=json", *more("TRAIN")], True
    yield (
        "predict",
        ["r.unet.predict", "input=place.nc", f"model={model}", "output=lc", years, nprocs, *more("PREDICT")],
        False,
    )
    if s.get("SAMPLE"):
        drawn = ["input=lc", "output=sample", "zones=regions", column, "composites=s2", "format=json", *more("SAMPLE")]
        # A sample that people may be reading is never drawn again.
        yield "sample", ["r.impervious.sample", "-s", *drawn], "sample/design.json"
    readings = ["design=sample/design.json", f"sample={s['READINGS']}"] if s.get("READINGS") else []
    given = [
        "input=lc",
        years,
        "zones=regions",
        column,
        "output=table",
        nprocs,
        "format=json",
        *readings,
        *more("CHANGE"),
    ]
    yield "change", ["r.impervious.change", *given], True


def run_step(name, command, key, *, replaced):
    """Run a step unless it is done with the same settings. Returns: its exit status."""
    done = Path("done", name)
    before = done.read_text().split()[0] if done.exists() else None
    if before == key:
        return 0
    print(f"{name}: {shlex.join(command)}", file=sys.stderr, flush=True)
    began, report = time.monotonic(), Path("reports", f"{name}.json")
    again = ["--overwrite"] if replaced is True or before else []
    with Path("log", f"{name}.txt").open("w") as log:
        ended = subprocess.run([*command, *again], stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if ended.returncode == 0:
        if ended.stdout:
            report.write_text(ended.stdout)
        part = Path("done", f".{name}")
        part.write_text(f"{key} {time.monotonic() - began:.0f}\n")
        part.replace(done)
    return ended.returncode


def write_end(state, step="", status=0):
    """Write job.json."""
    log = Path("log", f"{step}.txt")
    errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR")] if step else []
    seconds = {path.name: float(path.read_text().split()[1]) for path in sorted(Path("done").iterdir())}
    content = {"state": state, "step": step, "status": status, "error": (errors or [""])[-1], "seconds": seconds}
    part = Path("job.json.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace("job.json")


def main(path, *names):
    """Run the steps of these names, or all; return the exit status."""
    settings = read_settings(Path(path))
    mapset = Path(settings["GRASSDB"], settings["LOCATION"], settings["MAPSET"])
    work = Path(settings["WORK"])
    for folder in ("done", "reports", "log"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    with open_session(mapset):
        os.chdir(work)
        subprocess.run(["g.region", "-a", *shlex.split(settings["REGION"]), "res=20"], check=True)
        key = ""
        for name, command, replaced in steps(settings):
            key = hashlib.sha256("\n".join([key, *command]).encode()).hexdigest()[:32]
            if (names and name not in names) or (isinstance(replaced, str) and Path(replaced).exists()):
                continue
            if status := run_step(name, command, key, replaced=replaced):
                write_end("failed", name, status)
                print(
                    f"ERROR: Step {name} failed. Its messages are in '{work}/log/{name}.txt'. Solve it and run the same job again.",
                    file=sys.stderr,
                )
                return 1
        write_end("finished")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        print("ERROR: Name a file of settings: chain.py SETTINGS [STEP ...]", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
