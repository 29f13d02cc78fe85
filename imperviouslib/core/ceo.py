"""The sample as plots for Collect Earth Online, a web service in which interpreters read pictures together.

Its files of plots begin with the columns LON, LAT, PLOTID, in degrees of WGS 84; more columns may follow, and come back with the answers. One
project has one size of plots, so points and windows go into two projects. PLOTID is a number; UNIT is the id in the sample.
"""

from __future__ import annotations

from collections.abc import Iterable

from imperviouslib.core.readings import KINDS, SIDE, WINDOW, SheetUnit, safe_text, written


def plot_size_m(kind: str, cell_m: int = 20) -> int:
    """Return the size of a square plot that shows a unit of this kind.

    >>> plot_size_m("point"), plot_size_m("window")
    (20, 500)
    """
    return cell_m * (SIDE if kind == WINDOW else 1)


def format_ceo_plots(units: Iterable[SheetUnit], kind: str) -> str:
    """Write the units of one kind as the CSV file of plots of a project, in their order; raise ValueError for an unknown kind.

    >>> print(format_ceo_plots([SheetUnit("P0007", "point", 14.4, 50.1)], "point"), end="")
    LON,LAT,PLOTID,UNIT
    14.400000,50.100000,1,P0007
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}")
    chosen = [unit for unit in units if unit.kind == kind]
    rows = [[f"{u.lon:.6f}", f"{u.lat:.6f}", number, safe_text(u.id)] for number, u in enumerate(chosen, start=1)]
    return written([["LON", "LAT", "PLOTID", "UNIT"], *rows])
