#!/usr/bin/env python3
"""Lint rules of this project that ruff and import-linter cannot express; `make check` runs them.

1. Only core/settings reads options: `options[...]`, `flags[...]` and their methods are not used anywhere else in the library.
2. Only core/methods and the table's schema name a method of the table: no other code or text of library, tools or dashboard does.
3. Only core/mapnames.py builds the names of maps: no other module of the library joins a prefix with `_`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LIBRARY = TOP / "imperviouslib"
METHODS = tuple(json.loads((LIBRARY / "core" / "table_schema.json").read_text(encoding="utf-8"))["methods"])


def options_read(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the lines where an option or a flag is read."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if node.value.id in ("options", "flags"):
            yield node.lineno, "reads an option; parse it in core/settings and pass the value on"


def methods_named(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that name a method of the table."""
    # Some codes are ordinary words: these count only as a whole string.
    pattern = re.compile("|".join(rf"\b{code}\b" if "_" in code else rf"[\"'`]{code}[\"'`]" for code in METHODS))
    for number, line in enumerate(text.splitlines(), start=1):
        if found := pattern.search(line):
            yield number, f"names the method {found[0]}; ask core/methods or the schema"


def names_built(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the lines where a map's name is built from a prefix, by an f-string or by +."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pairs = list(pairwise(node.values))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            pairs = [(node.left, node.right)]
        else:
            continue
        for first, second in pairs:
            text = second.value if isinstance(second, ast.Constant) else ""
            if _is_prefix(first) and isinstance(text, str) and re.match(r"_(?![*>])", text):
                yield node.lineno, "builds a map's name; use core/mapnames.py"


def _is_prefix(node: ast.expr) -> bool:
    value = node.value if isinstance(node, ast.FormattedValue) else node
    name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
    return name == "prefix"


def findings() -> Iterator[str]:
    """Yield a line for each violation of a rule."""
    for path in sorted(LIBRARY.rglob("*.py")):
        place = path.relative_to(LIBRARY)
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        found: list[tuple[int, str]] = []
        if place.parts[:2] != ("core", "settings"):
            found += options_read(tree)
        if place.parts[:2] != ("core", "methods"):
            found += methods_named(text)
        if place != Path("core", "mapnames.py"):
            found += names_built(tree)
        yield from (f"{path.relative_to(TOP)}:{number}: {what}" for number, what in sorted(found))
    others = [
        *TOP.glob("r.*/*.py"),
        *(TOP / "dashboard").rglob("*.py"),
        *(TOP / "dashboard").rglob("*.js"),
        *(TOP / "dashboard").rglob("*.css"),
    ]
    for path in sorted(path for path in others if "tests" not in path.parts):
        yield from (
            f"{path.relative_to(TOP)}:{number}: {what}"
            for number, what in methods_named(path.read_text(encoding="utf-8"))
        )


if __name__ == "__main__":
    broken = list(findings())
    print("\n".join(broken) or "No rule is broken.")
    sys.exit(1 if broken else 0)
