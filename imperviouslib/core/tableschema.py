"""The schema of the table: its columns, codes and methods, as `table_schema.json` beside this file holds them.

The dashboard reads the same file. No other module of the library opens it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("table_schema.json").read_text(encoding="utf-8"))
VALUES, TRANSITIONS, REGIONS = "impervious_nuts", "impervious_nuts_transitions", "nuts_regions"
"""Names of the tables: stocks and flows, transitions between land covers, regions."""
COVERAGE_MIN: float = SCHEMA["coverage_min"]
"""Share of a region's cells that must be seen; below it a value for the whole region is blank."""
GEO_PATTERN: str = next(f for f in SCHEMA["tables"][REGIONS]["fields"] if f["name"] == "geo")["constraints"]["pattern"]
"""Regular expression of a region's code."""
WHOLE_REGION, CELLS_SEEN = "region", "seen"
"""What a method's figures refer to."""


@dataclass(frozen=True)
class MethodFacts:
    """What the schema says of a method."""

    rank: int
    """Order of preference for a headline, 1 is the best."""
    title: str
    """Name for people."""
    short: str
    """Short name for labels."""
    key: str
    """Key in addresses of the dashboard."""
    ground: str
    """WHOLE_REGION: figures are expanded to the region. CELLS_SEEN: they count the cells seen."""
    interval: bool
    """Whether a reference sample stands behind the figures, so that they may have a confidence interval."""


def method_facts(code: str) -> MethodFacts:
    """Return what the schema says of a method; raise KeyError where it has no such method."""
    return MethodFacts(**SCHEMA["methods"][code])
