"""Adding up the cells of a strip."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from imperviouslib.core.tally import Measure, Strip


@dataclass(frozen=True)
class StripTask:
    """The cells of some rows, and what to add up."""

    strip: Strip
    """Its units have the numbers that the whole band has."""
    measures: tuple[Measure, ...]
    """Empty."""


def add_strip(task: StripTask) -> tuple[Measure, ...]:
    """Add up the cells of a strip. Returns: the measures of this strip alone"""
    measures = copy.deepcopy(task.measures)
    for one in measures:
        one.add(task.strip)
    return measures
