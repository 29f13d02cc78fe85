"""The check of a file (-c)."""

from __future__ import annotations

import json

from imperviouslib.core.settings.ard import ArdSettings
from imperviouslib.edge import grass
from imperviouslib.edge.ardcheck import check_in_subprocess


def run(settings: ArdSettings) -> int:
    """Check a file and print what was found. Returns: 1 if anything is wrong, else 0."""
    if settings.check is None:
        raise ValueError("no file to check")
    path = settings.check.expanduser()
    report = check_in_subprocess(path, grass.region_grid() if grass.has_grid_region() else None)
    if settings.format == "json":
        print(json.dumps(report, indent=1))
        return 1 if report["findings"] else 0
    for finding in report["findings"]:
        print(finding)
    for period, shares in report["periods"].items():
        listed = ", ".join(f"{feature} {100 * share:.2f} %" for feature, share in shares.items())
        print(f"{period}: without data {listed}")
    if "label" in report:
        listed = ", ".join(f"{key} {cells}" for key, cells in report["label"]["cells"].items())
        print(f"labels of {report['label']['year']}: {listed}")
    print(f"{path}: {len(report['findings'])} findings, digest {report['digest'][:16]}")
    return 1 if report["findings"] else 0
