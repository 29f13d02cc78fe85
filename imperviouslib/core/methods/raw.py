"""mapped_raw: the yearly maps as they are."""

from __future__ import annotations

from imperviouslib.core.figures import Figures
from imperviouslib.core.mapkinds import ClassMaps, Later, ShareMaps, Work
from imperviouslib.core.methods.base import Method, register


@register
class Raw(Method):
    """Counts of the cells seen: in the year for a stock, in both years for a flow."""

    code = "mapped_raw"
    needs = (ClassMaps, ShareMaps)
    notes = ("mapped_raw counts the cells seen (flows: seen in both years). Nothing is filled, smoothed or expanded.",)

    def figures(self, work: Work) -> Later[Figures]:
        """Ask for the figures of the maps as they were given."""
        return work.observed()
