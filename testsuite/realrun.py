"""`make real DATA=DIR`: run every script of testsuite/real on packs of real data.

Each script has `PACK`, the folder that it needs within DIR, and `main(data_dir, work_dir) -> int`, which prints its figures and returns 0
if they are right. A script whose pack is missing is skipped; that is not a failure.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from pathlib import Path

from testsuite import TOP


def main(words: list[str] | None = None) -> int:
    """Run the scripts one after another; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="make real", description="Run the chain on real data packs.")
    parser.add_argument("--data", type=Path, default=os.environ.get("DATA") or None, help="folder of the packs")
    parser.add_argument(
        "--work", type=Path, default=TOP / "build" / "real", help="folder for all output (default: %(default)s)"
    )
    args = parser.parse_args(words)
    scripts = sorted(p for p in (Path(__file__).parent / "real").glob("*.py") if not p.name.startswith("_"))
    passed = failed = skipped = 0
    for script in scripts:
        module = importlib.import_module(f"testsuite.real.{script.stem}")
        if args.data is None or not (args.data / module.PACK).is_dir():
            why = "DATA= is not given" if args.data is None else f"folder '{args.data / module.PACK}' does not exist"
            print(f"{script.stem}: skipped, because {why}. See doc/real.md for the source of the pack.")
            skipped += 1
            continue
        print(f"{script.stem}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
        work = args.work / script.stem
        work.mkdir(parents=True, exist_ok=True)
        try:
            status = module.main(args.data, work)
        except Exception:  # noqa: BLE001 - the other scripts still run; this one is shown and counted
            traceback.print_exc()
            status = 1
        passed, failed = passed + (not status), failed + bool(status)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
