"""What is printed of a finished file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.stage.ard.labels import LabelSource
from imperviouslib.stage.ard.sources import Sources
from imperviouslib.stage.ard.write import LabelTally


def show(output: Path, area: Grid, sources: Sources, labels: LabelSource | None, tally: LabelTally, form: str) -> None:
    """Print what the file contains."""
    size = output.stat().st_size
    if form == "json":
        content: dict[str, Any] = {
            "file": str(output),
            "rows": area.height,
            "cols": area.width,
            "periods": list(sources.periods),
            "features": list(sources.features),
            "bytes": size,
        }
        if labels:
            content["labels"] = _labels_json(labels, tally)
        print(json.dumps(content, indent=1))
        return
    periods, features = ", ".join(sources.periods), ", ".join(sources.features)
    print(f"{output}: {area.height} x {area.width} cells, {periods}, {features}, {size / 1e6:.1f} MB")
    if not labels:
        return
    cells = ", ".join(f"{c.key} {tally.cells[c.code]}" for c in CLASSES)
    print(f"labels: {cells}; {100 * tally.tied_share:.2f} % of the cells tied, resolved {labels.ties}")
    if labels.second:
        dropped = (
            f"{c.key} {labels.dropped[c.code]} "
            f"({100 * labels.dropped[c.code] / max(1, labels.dropped[c.code] + tally.cells[c.code]):.1f} %)"
            for c in CLASSES
        )
        print("left out because the second map disagrees: " + ", ".join(dropped))


def _labels_json(labels: LabelSource, tally: LabelTally) -> dict[str, Any]:
    content: dict[str, Any] = {
        "cells": {c.key: tally.cells[c.code] for c in CLASSES},
        "tied_share": round(tally.tied_share, 6),
        "ties": labels.ties,
    }
    if labels.second:
        content["cleaned"] = {c.key: labels.dropped[c.code] for c in CLASSES}
    return content
