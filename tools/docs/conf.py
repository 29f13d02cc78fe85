"""Configuration of Sphinx for `make docs`; build.py beside it gathers the pages."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

project = "r.impervious"
copyright = "2026, the r.impervious development team"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "r.impervious"
html_copy_source = False
html_show_sphinx = False
# Options such as --overwrite keep their hyphens.
smartquotes = False

myst_heading_anchors = 3
# GRASS makes the title of a manual page itself, so the pages begin with headings of the second level.
suppress_warnings = ["myst.header"]

add_module_names = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
# GRASS can be imported only in its sessions, and the others take long; none is needed to read docstrings.
autodoc_mock_imports = [
    "grass", "grass_session", "h5py", "keras", "matplotlib", "obstore", "pyarrow", "pyproj", "pystac", "pystac_client", "rasterio",
    "scipy", "sklearn", "tensorflow",
]  # fmt: skip
python_maximum_signature_line_length = 100

# Docstrings are plain text with lines of the form `name : type, meaning`, and examples that begin with >>>.
_FIELD = re.compile(r"(?P<names>[A-Za-z_]\w*(?:, ?\w+)*) : (?P<text>.+)|(?P<word>Returns|Raises): (?P<rest>.+)")


def _escaped(text: str) -> str:
    """Return text whose every sign stands for itself in reStructuredText; what stands between backticks is code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"``{part}``" if n % 2 else re.sub(r"([\\*_|`])", r"\\\1", part) for n, part in enumerate(parts))


def restructured(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText: its fields become a list."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        inside = block.splitlines()
        if block.startswith(">>>"):
            out += [*inside, ""]
        elif all(line.startswith("    ") for line in inside):
            out += ["::", "", *inside, ""]
        else:
            out += [*_paragraph(inside), ""]
    return out


def _paragraph(lines: list[str]) -> list[str]:
    out: list[str] = []
    fields = False
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            out.append("  " + _escaped(line.strip()) if fields else _escaped(line))
            continue
        if out and not fields:
            out.append("")
        fields = True
        out.append(f"- **{_escaped(field['names'] or field['word'])}**: {_escaped(field['text'] or field['rest'])}")
    return out


def setup(app: Sphinx) -> None:
    def rewrite(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        lines[:] = restructured(lines)

    app.connect("autodoc-process-docstring", rewrite)
