"""The texts that a catalogue needs: those that the code of server and browser names, and those that it puts together or reads from the schema."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from dashboard import texts
from dashboard.choices import COVER_KEYS, DEFINITIONS, FLOWS, SHOWN, UNITS, cover_name
from dashboard.routes import NO_LEVEL, NO_PAGE, NO_REGION
from dashboard.schema import SCHEMA_FILE, methods_by_rank, read_schema
from dashboard.state import PARAMETERS
from dashboard.table import Measure, Table
from dashboard.views import about, api

TOP = Path(__file__).parents[1]


def texts_of_python() -> Iterator[str]:
    """Yield what the server gives to `_()`."""
    for path in (*TOP.glob("*.py"), *(TOP / "views").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"
            if is_call and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def texts_of_modules() -> Iterator[str]:
    """Yield what the modules of www/ give to `t()`, and the sentences that they choose from."""
    text = r'"((?:[^"\\]|\\.)*)"'
    for path in (TOP / "www").glob("*.js"):
        source = path.read_text(encoding="utf-8")
        for call in re.finditer(r"\b(?:t|counted)\(", source):
            # The first argument, or both texts of a choice or of a count.
            head = source[call.end() : call.end() + 700]
            yield from _leading(head, text)
        for table in re.findall(r"const SENTENCES = \{(.*?)\n\};", source, flags=re.DOTALL):
            yield from re.findall(rf"\w+: {text}", table)


def _leading(head: str, text: str) -> Iterator[str]:
    """Yield the texts at the start of the arguments: "a", or x ? "a" : "b", or n, "a", "b"."""
    depth, at = 0, 0
    while at < len(head):
        letter = head[at]
        if letter == '"':
            found = re.match(text, head[at:])
            if depth == 0 and found:
                yield json.loads(found[0])
            at += found.end() if found else 1
            continue
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        if depth < 0 or (letter == "{" and depth == 0):
            return
        at += 1


def texts_put_together(table: Table) -> Iterator[str]:
    """Yield what is composed of parts, and what the schema says."""
    schema = read_schema(SCHEMA_FILE)
    for cover, flow, unit in itertools.product(COVER_KEYS, FLOWS, UNITS):
        measure = Measure(flow, cover, "artificial", "estimated", unit)
        yield texts.title(table, measure)
        yield texts.unit_phrase(measure)
        yield texts.unit_explained(table, measure)
    for cover in COVER_KEYS:
        yield cover_name(table, cover)
        yield cover_name(table, cover).lower()
    for choice in (*FLOWS.values(), *UNITS.values(), *DEFINITIONS.values(), *SHOWN.values()):
        yield choice.label
    for method in methods_by_rank(schema):
        yield from (method.title, method.title_in_sentence, method.short)
    for name in ("landcover", "definition", "method", "OBS_FLAG", "MISSING_REASON", "revision"):
        yield from schema["codes"][name].values()
    for meaning in schema["codes"]["OBS_FLAG"].values():
        yield meaning.split(":")[0].lower()
    yield from texts.LEVEL_NAMES.values()
    yield from (text for _, text in api._ROUTES)
    yield from (NO_PAGE, NO_LEVEL, NO_REGION, about.NOT_NAMED, about.DESCRIPTION, "Experimental")
    yield from ("address", "language", "level", "limit", "order", "region", "year", "definition", "method", "unit")
    yield from (column.replace("lc_flow", "measure").replace("landcover", "land cover") for column in PARAMETERS)


def wanted(table: Table) -> set[str]:
    """Return all texts that a catalogue needs."""
    return {*texts_of_python(), *texts_of_modules(), *texts_put_together(table)}
