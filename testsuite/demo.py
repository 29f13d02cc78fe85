"""`make demo`: the whole chain on a small made world, from a catalogue to a page of pictures.

It makes the world, serves it as Creodias serves Sentinel-2 (a STAC API, and an S3 server that checks keys), installs the suite by
g.extension, runs testsuite/demo.sh in a GRASS session, and compares the result with the truth. All files are in build/demo. Steps that are
finished are not repeated; `make demo AGAIN=1` repeats the chain and compares the two tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from imperviouslib.core.legend import CLASSES
from imperviouslib.core.mapnames import PeriodMap, change_map, probability_layer
from testsuite import TOOLS, TOP

YEARS = tuple(range(2017, 2024))
SIZE_KM, DATES = 16, 8
"""Side of the world, and acquisitions a year: enough to train on, and done in a few minutes."""
STAGES = ("fetch", "yearly", "ard", "train", "predict", "sample", "change")
VINTAGE = "2026-01-01"
"""Date of the run, fixed so that the tables of two runs can be compared byte by byte."""


def digest_of(*roots: Path) -> str:
    """Return one digest of all files below some folders that g.extension installs."""
    whole = hashlib.sha256()
    for root in roots:
        for file in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".html", ".mk", ".json") and p.is_file()):
            whole.update(str(file.relative_to(TOP)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def make_world(folder: Path, seed: int) -> None:
    """Make the world with its own command, unless that of this seed exists already."""
    stamp = folder / "world.json"
    if stamp.is_file():
        if json.loads(stamp.read_text(encoding="utf-8"))["settings"]["seed"] == seed:
            print(f"The world of seed {seed} exists already.")
            return
        shutil.rmtree(folder)
    command = [sys.executable, "-m", "testsuite.world.make", str(folder), "--seed", str(seed)]
    command += ["--years", f"{YEARS[0]}-{YEARS[-1]}", "--size-km", str(SIZE_KM), "--dates", str(DATES)]
    # No corrupt and no missing object: the tests cover those, the demo shows a run without errors.
    command += ["--intact"]
    print("$ python3 " + " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, cwd=TOP)


def make_location(database: Path) -> Path:
    """Make the location in EPSG:3035 and the mapset of the demo. Returns: the path of the mapset."""
    location, mapset = database / "europe", database / "europe" / "demo"
    for path, command in ((location, ["-c", "EPSG:3035", "-e", location]), (mapset, ["-c", "-e", mapset])):
        if not path.is_dir():
            database.mkdir(parents=True, exist_ok=True)
            print("$ grass " + " ".join(str(w) for w in command), flush=True)
            subprocess.run(["grass", *map(str, command)], check=True, capture_output=True)
    return mapset


def install(addons: Path, sources: str) -> None:
    """Install the suite by g.extension into the demo's own folder; again if the sources have changed."""
    stamp = addons / "sources.txt"
    if stamp.is_file() and stamp.read_text() == sources:
        return
    addons.mkdir(parents=True, exist_ok=True)
    print(f"$ GRASS_ADDON_BASE={addons} make install", flush=True)
    subprocess.run([TOP / "tools" / "install.sh"], check=True, env={**os.environ, "GRASS_ADDON_BASE": str(addons)})
    stamp.write_text(sources)


def run_chain(demo: Path, mapset: Path, environment: dict[str, str]) -> None:
    """Run demo.sh in one GRASS session. The session and all its processes end with this process."""
    (demo / "commands.txt").write_text("")
    command = ["grass", str(mapset), "--exec", "bash", str(TOP / "testsuite" / "demo.sh")]
    print("$ " + " ".join(command), flush=True)
    chain = subprocess.Popen(command, cwd=demo, env={**os.environ, **environment}, start_new_session=True)
    try:
        status = chain.wait()
    except BaseException:
        # The session is a process group of its own: Ctrl-C does not reach it, so it is ended here.
        os.killpg(chain.pid, signal.SIGTERM)
        try:
            chain.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(chain.pid, signal.SIGKILL)
        raise
    if status:
        raise SystemExit(
            "A step of the demo failed; its error is above. Solve it and run make demo again: finished steps are kept."
        )


def export(demo: Path, mapset: Path) -> None:
    """Write the maps that the report and testsuite/world/judge.py read as GeoTIFFs."""
    from testsuite.report_figures import composite_map, consistent_map, predicted_map, series_maps

    names = [composite_map(y, layer) for y in YEARS for layer in ("B12_p50", "B11_p50", "B04_p50", "count")]
    names += [name(y) for name in (predicted_map, consistent_map) for y in YEARS]
    names += [change_map("change", (YEARS[0], YEARS[-1]), "gain")]
    names += [PeriodMap("lc", str(y), probability_layer(c.key)).name for y in YEARS for c in CLASSES]
    listing = ["grass", str(mapset), "--exec", "g.list", "type=raster", "mapset=."]
    present = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
    names += [name for name in series_maps(YEARS) if name in present]
    # No map of an earlier run, with other years or another model, may remain.
    shutil.rmtree(demo / "maps", ignore_errors=True)
    (demo / "maps").mkdir()
    script = 'for map in "$@"; do r.out.gdal -c input="$map" output="maps/$map.tif" --overwrite --quiet; done'
    subprocess.run(
        ["grass", str(mapset), "--exec", "bash", "-ec", script, "export", *names],
        check=True,
        cwd=demo,
        capture_output=True,
    )


def dashboard(table: Path, port: int) -> list[str]:
    """Return the command that opens the dashboard."""
    return ["python3", "-m", "dashboard", "--data", os.path.relpath(table, TOP), "--port", str(port)]


def main(words: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description="The whole chain on a small made world.")
    parser.add_argument("--seed", type=int, default=1, help="seed of the world (default: %(default)s)")
    parser.add_argument(
        "--again", action="store_true", help="repeat all steps, and compare the table with the previous one"
    )
    parser.add_argument("--dashboard", action="store_true", help="open the dashboard at the end")
    parser.add_argument(
        "--folder", type=Path, default=TOP / "build" / "demo", help="folder for all files (default: %(default)s)"
    )
    args = parser.parse_args(words)
    # A batch system or a closed terminal ends the run in the same way as Ctrl-C, so that the servers are ended too.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        return run(args)
    except KeyboardInterrupt:
        print("\nInterrupted. Finished steps are kept; run make demo again to continue.", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Make and serve the world, run the chain, write and print the report. Returns: the exit status."""
    from testsuite.report import report
    from testsuite.world.serve import serve

    began = time.monotonic()
    demo = args.folder.absolute()
    demo.mkdir(parents=True, exist_ok=True)
    world = demo / "world"
    make_world(world, args.seed)
    made_s = time.monotonic() - began
    mapset = make_location(demo / "grassdata")
    sources = digest_of(TOP / "imperviouslib", *(TOP / tool for tool in TOOLS))
    install(demo / "addons", sources)
    before = _table(demo)

    facts = json.loads((world / "world.json").read_text(encoding="utf-8"))
    west, south, east, north = facts["bounds"]
    with serve(world) as served:
        environment = {
            **served.environment(),
            "STAC": served.stac_url,
            "GRASS_ADDON_BASE": str(demo / "addons"),
            "DEMO_RUN": str(TOP / "testsuite" / "demo_run.sh"),
            "SOURCES": sources,
            "TOP": str(TOP),
            "AGAIN": "1" if args.again else "",
            "WEST": str(west), "SOUTH": str(south), "EAST": str(east), "NORTH": str(north),
            "LABELS": f"world/labels/s2glc_{facts['label_year']}.tif", "OUTLINES": "world/regions/nuts.gpkg",
            "YEARS": f"{YEARS[0]}-{YEARS[-1]}", "FIRST": str(YEARS[0]), "VINTAGE": VINTAGE,
            "NPROCS": str(min(os.cpu_count() or 1, 4)),
        }  # fmt: skip
        run_chain(demo, mapset, environment)

    export(demo, mapset)
    seconds = {stage: float((demo / "steps" / stage).read_text().split()[1]) for stage in STAGES}
    lines = report(demo, YEARS, {"world": made_s, **seconds})
    after = _table(demo)
    if args.again and before:
        lines.append(
            "The table is identical to the previous one, byte by byte."
            if after == before
            else "The table DIFFERS from the previous one."
        )
    print(
        "\n".join(
            [
                "",
                *lines,
                "",
                f"Total time: {time.monotonic() - began:.0f} s",
                f"Pictures: {demo / 'pictures' / 'index.html'}",
            ]
        )
    )
    show = dashboard(demo / "table", 8000)
    if args.dashboard:
        subprocess.run([sys.executable, *show[1:]], cwd=TOP, check=False)
    else:
        where = demo.relative_to(TOP) if demo.is_relative_to(TOP) else demo
        print(f"Dashboard: make dashboard DATA={where / 'table'}")
        print(
            f"To run the tools yourself on this world, serve it first: make serve OUT={where / 'world'} (see doc/install.md)"
        )
    return 0 if not (args.again and before and after != before) else 1


def _table(demo: Path) -> bytes:
    file = demo / "table" / "impervious_nuts.csv"
    return file.read_bytes() if file.is_file() else b""


if __name__ == "__main__":
    sys.exit(main())
