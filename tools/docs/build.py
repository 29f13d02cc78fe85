#!/usr/bin/env python3
"""Build the documentation site in build/docs from the manual pages, doc/ and the docstrings; a broken link is an error.

The pages are first gathered in build/docs-source, each under its path in the checkout, so that links between them work there as they do in
the checkout. Added to them are the options of each tool, from the head of its script, and a page for each module of the library.
Everything that the site needs lies in it: it can be read, and built, without a network.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx_build

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pages import TOP, pages

SOURCE, SITE = TOP / "build" / "docs-source", TOP / "build" / "docs"
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINKED = ("LICENSE", "CITATION.cff", "testsuite/demo.sh", "testsuite/world/make.py")
"""Files that pages link to and that are no pages."""
ROOMS = ("core", "edge", "stage")
# What g.parser fills in where the head of a script names a standard option and nothing else.
_STANDARD = {
    "G_OPT_F_BIN_INPUT": ("input", "Name of the input file"),
    "G_OPT_F_OUTPUT": ("output", "Name of the output file"),
    "G_OPT_M_NPROCS": ("nprocs", "Number of threads for parallel computing"),
}


def modules(room: str) -> list[str]:
    """Return the modules of a room, such as imperviouslib.core.grid."""
    found = sorted((TOP / "imperviouslib" / room).rglob("*.py"))
    names = [".".join(path.relative_to(TOP).with_suffix("").parts) for path in found]
    return [name.removesuffix(".__init__") for name in names]


def options_of(script: str) -> list[tuple[str, str, str]]:
    """Return the options and flags in the head of a script: (name, default, description) each."""
    found = []
    for kind, standard, body in re.findall(r"^# %(option|flag)(?: (\w+))?\n((?:# % .*\n)*?)# %end", script, re.M):
        told = dict(line.split(": ", 1) for line in re.findall(r"^# % (\w+: .+)$", body, re.M))
        key, words = _STANDARD.get(standard, ("", ""))
        key = told.get("key", key)
        text = ". ".join(told[part].rstrip(".") for part in ("label", "description") if part in told) or words
        found.append((f"-{key}" if kind == "flag" else key, told.get("answer", ""), text))
    return found


def _options_table(script: str) -> str:
    rows = ["| option or flag | default | meaning |", "|---|---|---|"]
    for name, default, text in options_of(script):
        text = re.sub(r"([<>|*_])", r"\\\1", text)
        rows.append(f"| **{name}** | {f'`{default}`' if default else ''} | {text} |")
    return "\n".join(rows)


def manual_page(page: Path) -> str:
    """Return a manual page with a title, links to the folders of the other tools, and its options."""
    places = {other.name: other.relative_to(TOP) for other in pages()}
    here = str(page.relative_to(TOP).parent)
    text = re.sub(
        r"\]\(([a-z0-9.]+\.md)\)",
        lambda link: f"]({posixpath.relpath(str(places[link[1]]), here)})",
        page.read_text(encoding="utf-8"),
    )
    script = page.with_suffix(".py")
    if script.exists():
        table = _options_table(script.read_text(encoding="utf-8"))
        text = text.replace("## NOTES", f"## PARAMETERS\n\n{table}\n\n## NOTES", 1)
    return f"# {page.stem}\n\n{text}"


def _contents(*entries: str, caption: str) -> str:
    return "\n".join(
        [".. toctree::", f"   :caption: {caption}", "   :maxdepth: 1", "", *(f"   {e}" for e in entries), ""]
    )


def gather() -> None:
    """Write the sources of the site to SOURCE."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for path in (*TEXTS, *LINKED):
        (SOURCE / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / path, SOURCE / path)
    shutil.copytree(TOP / "doc", SOURCE / "doc")
    for page in pages():
        target = SOURCE / page.relative_to(TOP)
        target.parent.mkdir(exist_ok=True)
        target.write_text(manual_page(page), encoding="utf-8")
    (SOURCE / "library").mkdir()
    for module in (module for room in ROOMS for module in modules(room)):
        text = f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n"
        (SOURCE / "library" / f"{module}.rst").write_text(text, encoding="utf-8")
    documents, decisions = (
        [f"doc/{p}" for p in sorted(str(f.relative_to(TOP / "doc")) for f in (TOP / "doc").glob(g))]
        for g in ("*.md", "adr/*.md")
    )
    manual = [str(page.relative_to(TOP)) for page in pages()]
    (SOURCE / "index.rst").write_text(
        "\n".join(
            [
                "r.impervious",
                "============",
                "",
                _contents("README.md", *manual, caption="Manual"),
                _contents(*documents, caption="Documents"),
                _contents(*decisions, caption="Decisions"),
                _contents("CONTRIBUTING.md", "CHANGELOG.md", caption="Contributing"),
                *(_contents(*(f"library/{m}" for m in modules(room)), caption=f"Library: {room}") for room in ROOMS),
            ]
        ),
        encoding="utf-8",
    )


def main() -> int:
    gather()
    return sphinx_build(
        ["-q", "-W", "--keep-going", "-E", "-c", str(Path(__file__).parent), str(SOURCE), str(SITE), *sys.argv[1:]]
    )


if __name__ == "__main__":
    sys.exit(main())
