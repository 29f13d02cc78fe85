"""The table schema: the only file that the dashboard shares with the change tool.

The dashboard reads every fact about methods from it. A method that is added to the schema needs no change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.errors import TableFolderError
from dashboard.files import read_json

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "imperviouslib" / "core" / "table_schema.json"

CONTRACT = 2
"""The version of the schema that this dashboard can read."""

_CHECK_INSTALLATION = "Check the installation."


@dataclass(frozen=True)
class Method:
    """How figures were made, as the schema describes it."""

    code: str
    """Code in the column `method`."""
    rank: int
    """Order of preference. The dashboard opens with the method of the lowest number that the table has."""
    title: str
    """Name in lists and sentences."""
    short: str
    """Name in narrow places."""
    key: str
    """Value of `m` in the address."""
    ground: str
    """What the figures describe: "region" the whole region, "seen" only the cells that were seen."""
    interval: bool
    """Whether figures can have a 95 % interval."""

    @property
    def title_in_sentence(self) -> str:
        """The title with a small first letter, for the middle of a sentence."""
        return self.title[:1].lower() + self.title[1:]


def read_schema(path: Path) -> Mapping[str, Any]:
    """Read the schema; raise TableFolderError where this dashboard cannot work with it."""
    schema = read_json(path, _CHECK_INSTALLATION)
    contract = schema.get("contract") if isinstance(schema, dict) else None
    if contract != CONTRACT:
        raise TableFolderError(
            f"Schema '{path}' has contract {contract}. This dashboard reads contract {CONTRACT}.",
            "Install the dashboard and the tools from the same release.",
        )
    methods = schema.get("methods", {})
    if set(methods) != set(schema["codes"]["method"]):
        raise TableFolderError(
            f"Schema '{path}' does not list the same methods under 'methods' and under 'codes'.", _CHECK_INSTALLATION
        )
    for field in ("rank", "key"):
        if len({method[field] for method in methods.values()}) < len(methods):
            raise TableFolderError(f"Schema '{path}' has two methods with the same {field}.", _CHECK_INSTALLATION)
    return schema


def methods_by_rank(schema: Mapping[str, Any]) -> tuple[Method, ...]:
    """Return all methods of the schema, the preferred one first."""
    methods = [
        Method(code, facts["rank"], facts["title"], facts["short"], facts["key"], facts["ground"], facts["interval"])
        for code, facts in schema["methods"].items()
    ]
    return tuple(sorted(methods, key=lambda method: method.rank))
