#!/usr/bin/env python3
"""build.py [FOLDER]: build the documentation site from the manual pages, doc/ and the docstrings; a broken link is an error.

The pages are first gathered in a folder beside the site, each under its path in the checkout, so that links between them work there as they
do in the checkout. README.md becomes the first page. Added to them are the options of each tool, from the head of its script, and a page for each module of the library.
The site contains everything it needs, so it can be built and read without a network.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx_build

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.pages import TOP, pages

TEXTS = ("CONTRIBUTING.md", "CHANGELOG.md")
LINKED = ("LICENSE", "CITATION.cff", "testsuite/demo.sh")
"""Files that pages link to and that are no pages."""
PACKAGES = ("core", "edge", "work", "stage")
# What g.parser fills in where the head of a script names a standard option and nothing else.
_STANDARD = {
    "G_OPT_F_BIN_INPUT": ("input", "Name of the input file"),
    "G_OPT_F_OUTPUT": ("output", "Name of the output file"),
    "G_OPT_M_NPROCS": ("nprocs", "Number of threads for parallel computing"),
}


def modules(package: str) -> list[str]:
    """Return the modules of a package, such as imperviouslib.core.grid."""
    found = sorted((TOP / "imperviouslib" / package).rglob("*.py"))
    names = [".".join(path.relative_to(TOP).with_suffix("").parts) for path in found]
    return [name.removesuffix(".__init__") for name in names]


def options_of(script: str) -> list[tuple[str, str, str]]:
    """Return the options and flags in the head of a script: (name, default, description) each."""
    found = []
    for kind, standard, body in re.findall(r"^# %(option|flag)(?: (\w+))?\n((?:# % .*\n)*?)# %end", script, re.M):
        entries = dict(line.split(": ", 1) for line in re.findall(r"^# % (\w+: .+)$", body, re.M))
        key, words = _STANDARD.get(standard, ("", ""))
        key = entries.get("key", key)
        text = ". ".join(entries[part].rstrip(".") for part in ("label", "description") if part in entries) or words
        found.append((f"-{key}" if kind == "flag" else key, entries.get("answer", ""), text))
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


def _contents(caption: str, *entries: str) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""])


def _below(folder: str) -> list[str]:
    """Return the Markdown pages of a folder of the checkout."""
    return sorted(str(path.relative_to(TOP)) for path in (TOP / folder).glob("*.md"))


def gather(source: Path) -> None:
    """Write the sources of the site to a folder."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(TOP / "doc", source / "doc")
    for path in (*TEXTS, *LINKED):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / path, source / path)
    for page in pages():
        target = source / page.relative_to(TOP)
        target.parent.mkdir(exist_ok=True)
        target.write_text(manual_page(page), encoding="utf-8")
    (source / "library").mkdir()
    for module in (module for package in PACKAGES for module in modules(package)):
        text = f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n"
        (source / "library" / f"{module}.rst").write_text(text, encoding="utf-8")
    contents = [
        _contents("Manual", *(str(page.relative_to(TOP)) for page in pages())),
        _contents("Documents", *_below("doc")),
        _contents("Decisions", *_below("doc/adr")),
        _contents("Contributing", *TEXTS),
        *(
            _contents(f"Library: {package}", *(f"library/{module}" for module in modules(package)))
            for package in PACKAGES
        ),
    ]
    home = (TOP / "README.md").read_text(encoding="utf-8")
    (source / "index.md").write_text("".join([home, *contents]), encoding="utf-8")


def main() -> int:
    """Build the site in build/docs, or in the folder that is named; return the exit status."""
    site = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else TOP / "build" / "docs"
    source = site.with_name(site.name + "-source")
    gather(source)
    shutil.rmtree(site, ignore_errors=True)
    return sphinx_build(["-q", "-W", "--keep-going", "-c", str(Path(__file__).parent), str(source), str(site)])


if __name__ == "__main__":
    sys.exit(main())
