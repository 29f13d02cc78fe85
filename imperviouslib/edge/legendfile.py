"""Legends by name, or from files that users write."""

from __future__ import annotations

from pathlib import Path

from imperviouslib.core.errors import LegendError, _
from imperviouslib.core.legend import LEGENDS, Legend, parse_legend
from imperviouslib.edge.files import read_text


def read_legend(text: str, option: str = "legend") -> Legend:
    """Return a legend of the suite by its name, or read a legend file; raise LegendError if it is neither.

    option : the option that names it, for the message
    """
    if text in LEGENDS:
        return LEGENDS[text]
    path = Path(text).expanduser()
    if not path.is_file():
        raise LegendError(
            _("Option <{}>").format(option),
            found=f"'{text}'",
            expected=_("{} or a legend file").format(", ".join(LEGENDS)),
            then=_("Check the name."),
        )
    return parse_legend(read_text(path, "Legend file"), path.name)
