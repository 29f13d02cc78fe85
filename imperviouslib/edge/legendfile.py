"""Legends by name, or from files that people write."""

from __future__ import annotations

from pathlib import Path

from imperviouslib.core.errors import LegendError, _
from imperviouslib.core.legend import LEGENDS, Legend, parse_legend
from imperviouslib.edge.files import read_text


def read_legend(text: str) -> Legend:
    """Return a legend of the suite by its name, or read a file of reclass rules; raise LegendError where it is neither."""
    if text in LEGENDS:
        return LEGENDS[text]
    path = Path(text).expanduser()
    if not path.is_file():
        raise LegendError(
            _("Option <legend>"),
            found=f"'{text}'",
            expected=_("{} or a file").format(", ".join(LEGENDS)),
            then=_("Check the name."),
        )
    return parse_legend(read_text(path, "Legend"), path.name)
