"""The benchmark runner: prints one table, and writes build/bench.json with one object for each case.

`make bench STAGE=yearly,change` runs the cases of these stages, `make bench` runs all. Cases are in bench_<stage>.py beside this file;
a case is a plain function that returns (ours, peer):

    from testsuite.bench import best_of, case

    @case("change", "counts of 3 maps in 200 regions against v.rast.stats, seconds", target=0.5)
    def region_counts() -> tuple[float, float | None]:
        return best_of(ours), best_of(theirs)

Smaller is better: seconds, bytes, or an error. A *peer* is other software that does the same. With a peer, `target` is the largest
acceptable ratio ours / peer; if the function returns None as peer, it is the largest acceptable value of ours. A case whose peer is not
installed, or whose subject this machine does not have, raises NotMeasuredError. Cases that need GRASS open `grass_session()`. Every case
must finish within a minute on 2 cores, except those of the stages `world`, `train`, which builds its nets anew in each turn, and `predict`,
which maps a whole tile, and the memory of `change` on 100 million cells and with 1,345 regions, which take some minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testsuite import TOOLS, TOP

OUT = TOP / "build" / "bench.json"


@dataclass(frozen=True)
class Case:
    """One measurement."""

    stage: str
    """fetch, yearly, ard, train, predict, estimate, change, cluster, dashboard or world."""
    name: str
    """What is measured, against what, in which unit."""
    target: float
    """Largest acceptable ratio ours / peer, or value of ours if there is no peer."""
    measure: Callable[[], tuple[float, float | None]]
    """Returns (ours, peer)."""


class NotMeasuredError(Exception):
    """Nothing is measured; the text of the error says why, such as that the peer is not installed."""


def absent_peer(name: str) -> NotMeasuredError:
    """Return the error of a case whose peer is not installed."""
    return NotMeasuredError(f"{name} is not installed (see requirements-bench.txt)")


CASES: list[Case] = []


def case(stage: str, name: str, *, target: float) -> Callable:
    """Register a function as a case of a stage."""

    def register(function: Callable[[], tuple[float, float | None]]) -> Callable[[], tuple[float, float | None]]:
        CASES.append(Case(stage, name, target, function))
        return function

    return register


def best_of(function: Callable[[], object], times: int = 3) -> float:
    """Return the time of the fastest of several runs, seconds: other programs on the machine disturbed it least."""
    shortest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        function()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


@contextmanager
def grass_session() -> Iterator[Path]:
    """Open a GRASS session of this process in an empty location in EPSG:3035, with the tools of the source tree on PATH."""
    from grass.script import setup

    before = os.environ.copy()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        tools = Path(folder) / "tools"
        tools.mkdir()
        for tool in TOOLS:
            (tools / tool).symlink_to(TOP / tool / f"{tool}.py")
        subprocess.run(["grass", "-c", "EPSG:3035", "-e", f"{folder}/eu"], check=True, capture_output=True)
        try:
            with setup.init(f"{folder}/eu/PERMANENT"):
                os.environ["PATH"] = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
                os.environ["GRASS_VERBOSE"] = "0"
                yield Path(folder) / "eu" / "PERMANENT"
        finally:
            os.environ.clear()
            os.environ.update(before)


def evaluate(one: Case, ours: float, peer: float | None) -> dict:
    """Return the object of a case as bench.json holds it.

    >>> evaluate(Case("ard", "x", 2.0, lambda: (3, 2)), 3.0, 2.0)["met"]
    True
    """
    ratio = ours / peer if peer else None
    met = (ours if ratio is None else ratio) <= one.target
    return {
        "stage": one.stage,
        "case": one.name,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "target": one.target,
        "met": met,
    }


def row(result: dict) -> str:
    """Write one line of the table."""
    numbers = [
        f"{result[key]:10.4g}" if result[key] is not None else f"{'-':>10}"
        for key in ("ours", "peer", "ratio", "target")
    ]
    return f"{result['stage']:<10}{result['case']:<84}{''.join(numbers)}  {'yes' if result['met'] else 'NO'}"


def main(words: list[str] | None = None) -> int:
    """Run the cases; the exit status is 1 if a case failed with an error, not if it missed its target."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure against targets and peers.")
    parser.add_argument("--stage", help="stages to run, separated by commas (default: all)")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write (default: %(default)s)")
    args = parser.parse_args(words)
    # Cases import grass.script, which lives outside of the virtual environment.
    sys.path.append(subprocess.check_output(["grass", "--config", "python_path"], text=True).strip())
    for file in sorted(Path(__file__).parent.glob("bench_*.py")):
        importlib.import_module(f"testsuite.{file.stem}")
    known = sorted({c.stage for c in CASES})
    wanted = args.stage.split(",") if args.stage else known
    if unknown := [stage for stage in wanted if stage not in known]:
        print(
            f"Stage '{unknown[0]}' has no benchmark. Choose from {', '.join(known)}, as STAGE=a,b.",
            file=sys.stderr,
        )
        return 1
    print(f"{'stage':<10}{'case (smaller is better)':<84}{'ours':>10}{'peer':>10}{'ratio':>10}{'target':>10}  met")
    results, broken, absent = [], 0, 0
    for one in (c for c in CASES if c.stage in wanted):
        try:
            results.append(evaluate(one, *one.measure()))
        except NotMeasuredError as why:
            absent += 1
            print(f"{one.stage:<10}{one.name:<84}not measured: {why}")
            continue
        except Exception:  # noqa: BLE001 - the other cases still run; this one is shown and counted
            broken += 1
            print(f"{one.stage:<10}{one.name:<84}{'error':>10}")
            traceback.print_exc()
            continue
        print(row(results[-1]), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    part = args.out.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(args.out)
    print(
        f"{sum(r['met'] for r in results)} of {len(results)} targets met, {broken} errors, {absent} not measured; written to {args.out}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    # The cases import this file as testsuite.bench and fill the list CASES of that module, so its main is run.
    from testsuite.bench import main as named_main

    sys.exit(named_main())
