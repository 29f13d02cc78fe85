#!/usr/bin/env python3
"""Check the locked packages for known vulnerabilities, by pip-audit and the public database that it asks.

audit.py [--may-be-unreachable]: exit status 0: every package was looked up, and none has a known vulnerability; 1: one has; 2: one could
not be looked up. With the option, which is for machines without a network, 2 is 0, and a line says what was not checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
PIP_AUDIT = "pip-audit>=2.9,<3"
ACCEPTED: dict[str, str] = {}
"""Identifiers of vulnerabilities that cannot be reached from here, each with the reason."""


def verdict(reports: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[int, list[str]]:
    """Judge what pip-audit found. Returns: the exit status, and the lines to print.

    reports : name of a lock file to its entries; each has "name", "version", and "vulns" or "skip_reason"

    >>> verdict({"a.txt": [{"name": "numpy", "version": "2.0", "vulns": []}]})
    (0, ['The 1 locked packages of a.txt have no known vulnerability.'])
    """
    lines, status = [], 0
    for lock, entries in reports.items():
        known = [entry for entry in entries if "vulns" in entry]
        missed = [entry["name"] for entry in entries if "vulns" not in entry]
        found = [(e, v) for e in known for v in e["vulns"] if v["id"] not in ACCEPTED]
        for entry, one in found:
            fixed = ", ".join(one["fix_versions"]) or "no version yet"
            lines.append(
                f"Package {entry['name']} {entry['version']} in {lock} has the known vulnerability {one['id']}; mended in: {fixed}. "
                "Lock another version, or add it to tools/audit.py with the reason why it cannot be reached."
            )
        if missed or not known:
            some = f": {', '.join(missed[:5])}{', ...' if len(missed) > 5 else ''}" if missed else ""
            lines.append(f"{len(missed)} packages of {lock} were not found in the database of vulnerabilities{some}.")
            status = status or 2
        elif not found:
            lines.append(f"The {len(known)} locked packages of {lock} have no known vulnerability.")
        status = 1 if found else status
    return status, lines


def ask(program: Path, lock: Path, folder: Path) -> list[dict[str, Any]]:
    """Ask the database for the packages of a lock file. Raises: OSError where it cannot be reached, with the last line of the program."""
    answer = folder / f"{lock.stem}.json"
    command = [
        program,
        "--disable-pip",
        "--no-deps",
        "-r",
        lock,
        "-f",
        "json",
        "-o",
        answer,
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if not answer.exists():
        raise OSError((done.stderr.strip().splitlines() or ["no message"])[-1])
    entries: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))["dependencies"]
    return entries


def main(words: list[str]) -> int:
    """Install pip-audit in an environment of its own, ask, print."""
    unreachable_is_fine = words == ["--may-be-unreachable"]
    if words and not unreachable_is_fine:
        print(f"Argument '{words[0]}' is unknown. Use --may-be-unreachable, or no argument.", file=sys.stderr)
        return 1
    home = TOP / "build" / "audit"
    try:
        if not (home / "bin" / "pip-audit").exists():
            venv.create(home, with_pip=True)
            pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP_AUDIT]
            subprocess.run(pip, check=True, timeout=600)
        with tempfile.TemporaryDirectory() as folder:
            reports = {
                lock.name: ask(home / "bin" / "pip-audit", lock, Path(folder))
                for lock in sorted((TOP / "lock").glob("*.txt"))
            }
    except (OSError, subprocess.SubprocessError) as err:
        status, lines = 2, [f"The database of vulnerabilities cannot be reached: {err}."]
    else:
        status, lines = verdict(reports)
    if status == 2:
        lines.append("Vulnerabilities were NOT checked. Run `make audit` on a machine with a network.")
    print("\n".join(lines))
    return 0 if status == 2 and unreachable_is_fine else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
