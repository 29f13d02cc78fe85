"""The check of an archive (-c): its files, and the alignment of its years."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import counted
from imperviouslib.edge import alignment, grass
from imperviouslib.edge.files import write_json
from imperviouslib.stage.yearly.scenes import empty_archive


def run(archive: Path, report: Path | None, form: str) -> int:
    """Check that every file is complete and on the grid, and that the years are aligned. Returns: 1 if anything is wrong, else 0."""
    sidecars, findings, shifts = alignment.check_archive(archive, grass.percent)
    if not sidecars and not findings:
        raise empty_archive(archive)
    content = {"files": len(sidecars), "findings": findings, "shifts": shifts}
    if report:
        write_json(report.expanduser(), content)
    if form == "json":
        print(json.dumps(content, indent=1))
    else:
        for line in (*findings, *map(_shift_line, shifts)):
            print(line)
        print(f"{counted(len(sidecars), '{} file', '{} files')}, {counted(len(findings), '{} finding', '{} findings')}")
    return 1 if findings else 0


def _shift_line(shift: dict[str, Any]) -> str:
    years = f"tile {shift['tile']}: {shift['year']} against {shift['reference']}"
    if not shift["judged"]:
        return f"{years}: too little clear ground to measure a shift"
    return (
        f"{years} in {shift['band']}: {shift['rows']:+.2f} rows, {shift['cols']:+.2f} columns "
        f"({counted(shift['windows'], '{} window', '{} windows')}, scatter {shift['scatter']:.2f})"
    )
