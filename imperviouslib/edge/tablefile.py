"""The table folder: Parquet (typed; the form for programs), CSV, outlines, and a data package that describes them.

The same rows give the same bytes in every CSV.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.table import Row, Table
from imperviouslib.core.tableschema import SCHEMA
from imperviouslib.edge.files import atomic_folder, sha256_file, write_json

NAME = "impervious-nuts"
"""Name of the data package; a folder whose package has it is a table."""
_PACKAGE = "datapackage.json"
DOCUMENTS = {
    "estimates.json": "Estimates from the reference sample: areas, accuracy of the maps, agreement of interpreters"
}
"""Further files that a table can have."""
_FILES = {f"{name}.{form}" for name in SCHEMA["tables"] for form in ("csv", "parquet")} | {
    SCHEMA["outlines"]["file"],
    _PACKAGE,
    *DOCUMENTS,
}
_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters at the start of a text that a spreadsheet reads as a formula."""
VERSION = pa.__version__
"""Version of PyArrow."""


@contextlib.contextmanager
def writing_folder(
    path: Path,
    table: Table,
    outlines: Mapping[str, Any],
    package: Mapping[str, Any],
    documents: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[None]:
    """Write the whole folder under a temporary name; it gets its own name, and replaces an older folder, if the block succeeds.

    table : rows by name of table, as in the schema
    outlines : GeoJSON FeatureCollection in EPSG:3035
    package : content of datapackage.json without its resources
    documents : name in `DOCUMENTS` to content of further JSON files
    """
    with atomic_folder(path) as part:
        resources = []
        for name, schema in SCHEMA["tables"].items():
            _write_parquet(part / f"{name}.parquet", table[name], schema)
            _write_csv(part / f"{name}.csv", table[name], schema)
            resources += [
                _resource(part / f"{name}.csv", name, schema, "csv", "text/csv"),
                _resource(
                    part / f"{name}.parquet", f"{name}_parquet", schema, "parquet", "application/vnd.apache.parquet"
                ),
            ]
        file = part / SCHEMA["outlines"]["file"]
        file.write_text(json.dumps(outlines, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        resources.append(
            {
                "name": "outlines", "path": file.name, "title": "Outlines of the regions, EPSG:3035", "format": "geojson",
                "mediatype": "application/geo+json", "bytes": file.stat().st_size, "hash": f"sha256:{sha256_file(file)}",
            }
        )  # fmt: skip
        for name, content in documents.items():
            write_json(part / name, content)
            resources.append(
                {
                    "name": Path(name).stem, "path": name, "title": DOCUMENTS[name], "format": "json", "mediatype": "application/json",
                    "bytes": (part / name).stat().st_size, "hash": f"sha256:{sha256_file(part / name)}",
                }
            )  # fmt: skip
        description = {**package, "resources": resources}
        text = json.dumps(description, ensure_ascii=False, indent=1) + "\n"
        (part / _PACKAGE).write_text(text, encoding="utf-8")
        yield


def check_replaceable(path: Path) -> None:
    """Raise InputError if a folder contains anything but a table, because replacing the folder would delete that."""
    present = sorted(file.name for file in path.iterdir())
    strange = [name for name in present if name not in _FILES]
    if strange:
        found = _("file '{}'").format(strange[0])
    elif present and not _is_table(path / _PACKAGE):
        found = _("file '{}' without the {} of a table").format(present[0], _PACKAGE)
    else:
        return
    raise InputError(
        _("Folder '{}'").format(path),
        found=found,
        expected=_("a new or empty folder, or one with a table only"),
        then=_("Choose another name, or empty the folder."),
    )


def _is_table(package: Path) -> bool:
    try:
        return json.loads(package.read_text(encoding="utf-8"))["name"] == NAME
    except (OSError, ValueError, KeyError, TypeError):
        return False


def guard_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would evaluate as a formula.

    >>> guard_text("=1+1"), guard_text("Parma")
    ("'=1+1", 'Parma')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_csv(path: Path, rows: Iterable[Row], schema: Mapping[str, Any]) -> None:
    """Write UTF-8 with commas, decimal points and LF; numbers in full precision, an empty cell where there is no value."""
    columns = [field["name"] for field in schema["fields"]]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([guard_text(v) if isinstance(v, str) else v for v in (row[column] for column in columns)])


def _write_parquet(path: Path, rows: Sequence[Row], schema: Mapping[str, Any]) -> None:
    fields = [
        pa.field(
            f["name"], _TYPES[f["type"]], nullable=bool(f.get("nullable")), metadata={"description": f["description"]}
        )
        for f in schema["fields"]
    ]
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), path, compression="zstd")


def _resource(path: Path, name: str, schema: Mapping[str, Any], form: str, mediatype: str) -> dict[str, Any]:
    resource = {
        "name": name, "path": path.name, "title": schema["title"], "format": form,
        "mediatype": mediatype, "bytes": path.stat().st_size, "hash": f"sha256:{sha256_file(path)}",
    }  # fmt: skip
    if form == "csv":
        resource |= {
            "profile": "tabular-data-resource",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "lineTerminator": "\n"},
            "schema": {
                "fields": [_field(f) for f in schema["fields"]],
                "missingValues": [""],
                "primaryKey": schema["primaryKey"],
                "foreignKeys": schema["foreignKeys"],
            },
        }
    return resource


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column's Frictionless field descriptor, with its code list in the description."""
    constraints = dict(field.get("constraints", {}))
    if not (field.get("nullable") or field.get("empty")):
        constraints["required"] = True
    described = {"name": field["name"], "type": field["type"], "description": field["description"]}
    codes = SCHEMA["codes"].get(field.get("codes") or field.get("flags"))
    if codes:
        described["description"] += ": " + "; ".join(f"{code} {title}" for code, title in codes.items())
    if "codes" in field:
        constraints["enum"] = list(SCHEMA["codes"][field["codes"]])
    return {**described, "constraints": constraints} if constraints else described
