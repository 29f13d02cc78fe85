"""Adding up the cells of a strip."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from imperviouslib.core.tally import Measure, Strip, add_cells


@dataclass(frozen=True)
class StripTask:
    """The cells of some rows, and what to add up."""

    strip: Strip
    """Its units have the numbers that the whole band has."""
    shared: tuple[Strip, ...]
    """The same cells, those on borders cut, as `share_cells` gives them; empty where there are none."""
    measures: tuple[Measure, ...]
    """Empty."""


def add_strip(task: StripTask) -> tuple[Measure, ...]:
    """Add up the cells of a strip. Returns: the measures of this strip alone"""
    measures = copy.deepcopy(task.measures)
    add_cells(measures, task.strip, task.shared)
    return measures
