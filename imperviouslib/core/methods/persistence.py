"""mapped_consistent: class maps after the persistence rule, expanded to the whole region.

Each yearly map has errors of its own, so most of the change between two such maps is error. The rule keeps a change only where later
years confirm it, and fills years in which a cell was not seen. For each cell, with the years in order:

1. The first year takes the class of the first year in which the cell was seen.
2. A year in which the cell was not seen takes the class that the rule gave the year before.
3. A year in which the cell was seen with the class of the year before keeps it.
4. A year in which it was seen with another class takes that class if the next year in which it was seen shows the same class,
   or if it was not seen again. Otherwise it keeps the class of the year before.

A change into the last year cannot be confirmed yet and is kept; an error in the first year shows as a change after it. Figures that
involve these two years are provisional. After a gap, a change is dated to the year in which it was first seen. A cell never seen stays
no data: NULL is never a class. The rule works on the four classes, before a definition of impervious sums them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imperviouslib.core.change import quoted
from imperviouslib.core.legend import NODATA
from imperviouslib.core.methods.base import ClassRule, register
from imperviouslib.core.tableschema import COVERAGE_MIN


def persistent(stack: np.ndarray) -> np.ndarray:
    """Apply the persistence rule.

    stack : array (year, row, col), class 1-4, 0 no data, years ascending
    Returns: array (year, row, col), same type, 0 only where no year has a class

    >>> persistent(np.array([3, 1, 3, 0, 1, 1]).reshape(6, 1, 1)).ravel()
    array([3, 3, 3, 3, 1, 1])
    """
    later = np.full_like(stack, NODATA)
    for year in range(len(stack) - 2, -1, -1):
        later[year] = np.where(stack[year + 1] == NODATA, later[year + 1], stack[year + 1])
    kept = np.empty_like(stack)
    kept[0] = np.where(stack[0] == NODATA, later[0], stack[0])
    for year in range(1, len(stack)):
        seen, before, after = stack[year], kept[year - 1], later[year]
        stays = (seen == NODATA) | ((after != NODATA) & (after != seen))
        kept[year] = np.where(stays, before, seen)
    return kept


def persistent_expressions(outs: Sequence[str], maps: Sequence[str]) -> list[str]:
    """Write persistent() for r.mapcalc: one expression a year, to be run in this order in one call.

    The outputs must not be among the maps. Helper values are variables, which later expressions of the same call can read.
    """
    last = len(maps) - 1
    inputs = [quoted(name) for name in maps]
    helpers = [f"later_{last} = null()"]
    for year in range(last - 1, -1, -1):
        after = inputs[year + 1]
        helpers.append(f"later_{year} = if(isnull({after}), later_{year + 1}, {after})")
    helpers.append(f"kept_0 = if(isnull({inputs[0]}), later_0, {inputs[0]})")
    lines = [f"{quoted(outs[0])} = eval({', '.join(helpers)})"]
    for year in range(1, last + 1):
        seen, before, after = inputs[year], f"kept_{year - 1}", f"later_{year}"
        rule = f"if(isnull({seen}), {before}, if(isnull({after}), {seen}, if({after} == {seen}, {seen}, {before})))"
        lines.append(f"{quoted(outs[year])} = eval(kept_{year} = {rule})")
    return lines


@register
class Persistence(ClassRule):
    """Counts of the classes that later years confirm, for the whole region."""

    code = "mapped_consistent"
    notes = (
        "mapped_consistent counts after a persistence rule: a change is kept if the next year in which the cell was seen confirms it; "
        "cells unseen in a year take their class from the other years; land never seen is given the region's shares. Values are blank "
        f"where coverage is below {COVERAGE_MIN}. Changes into the last year are not confirmed yet.",
    )
    layer = "consistent"
    title = "Classes after the persistence rule"
    rule = staticmethod(persistent)
    expressions = staticmethod(persistent_expressions)
