"""The schema of the table: its columns, codes and methods, as `table_schema.json` beside this file holds them.

The dashboard reads the same file. No other module of the library opens it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("table_schema.json").read_text(encoding="utf-8"))
CONTRACT: int = SCHEMA["contract"]
"""Version of the schema."""
VALUES, TRANSITIONS, REGIONS = "impervious_nuts", "impervious_nuts_transitions", "nuts_regions"
"""Names of the tables: stocks and flows, transitions between land covers, regions."""
INDICATORS, REVISIONS = "impervious_indicators", "impervious_revisions"
"""Names of the tables that a folder has only where the run was given what they need: numbers of inhabitants, jobs or floor space; an earlier vintage."""
COVERAGE_MIN: float = SCHEMA["coverage_min"]
"""Share of a region's cells that must be seen; below it a value for the whole region is blank."""
RARE_SHARE: float = SCHEMA["rare_share"]
"""Share of the cells counted below which change of a single year is of low reliability, also where a sample stands behind it."""
GROWTH_MIN: float = SCHEMA["growth_min"]
"""Growth of a population or of jobs a year, as a share, below which nothing is divided by it."""
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
