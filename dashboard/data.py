"""The table folder of r.impervious.change: read once, and checked against the schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dashboard.check import check_foreign_keys, check_table
from dashboard.columns import codes_of, select_rows
from dashboard.errors import TableFolderError
from dashboard.files import digest_files, read_json, read_parquet
from dashboard.outlines import read_outlines
from dashboard.schema import SCHEMA_FILE, read_schema
from dashboard.table import Region, Table


def read_table(folder: str | Path | None, schema_file: Path = SCHEMA_FILE) -> Table:
    """Read and check a table folder.

    Raises TableFolderError, with a message of one line, where a file is missing, damaged or not as the schema says.
    """
    if not folder:
        raise TableFolderError("No table folder is given.", "Use --data DIR, or set IMPERVIOUS_TABLE.")
    folder = Path(folder)
    if not folder.is_dir():
        raise TableFolderError(f"Table folder '{folder}' does not exist.", "Check --data.")
    schema = read_schema(schema_file)
    shown = [name for name, described in schema["tables"].items() if not described.get("optional")]
    files = {name: folder / f"{name}.parquet" for name in shown}
    tables = {name: read_parquet(path) for name, path in files.items()}
    for name, path in files.items():
        tables[name] = check_table(path, tables[name], schema["tables"][name], schema["codes"])
    for name, path in files.items():
        check_foreign_keys(path, tables[name], schema["tables"][name], tables)
    facts, regions_table = tables["impervious_nuts"], tables["nuts_regions"]
    if not len(regions_table):
        raise TableFolderError(f"File '{files['nuts_regions']}' has no rows. A table needs at least one region.")
    package_file, outlines_file = folder / "datapackage.json", folder / schema["outlines"]["file"]
    package = read_json(package_file)
    if not isinstance(package, dict):
        raise TableFolderError(f"File '{package_file}' must hold a JSON object, not {type(package).__name__}.")
    nuts_version = max(codes_of((facts if len(facts) else regions_table)["nuts_version"])[1])
    codes, vintages = codes_of(select_rows(facts, {"nuts_version": [nuts_version]})["vintage"])
    regions = {
        row["geo"]: Region(
            row["geo"], row["level"], row["parent"] or "", row["name"].strip() or row["geo"], row["area_km2"]
        )
        for row in sorted(regions_table.to_pylist(), key=lambda row: row["geo"])
        if row["nuts_version"] == nuts_version
    }
    table = Table(
        schema=schema,
        facts=facts,
        transitions=tables["impervious_nuts_transitions"],
        regions_table=regions_table,
        regions=regions,
        outlines=read_outlines(outlines_file, regions),
        package=package,
        digest=digest_files(folder, [path.name for path in (*files.values(), outlines_file, package_file)]),
        # A filtered column keeps the values of the rows that are gone; only those with a code occur.
        vintage=max((vintages[code] for code in np.unique(codes)), default=""),
        nuts_version=nuts_version,
    )
    table.index()
    # Reading and checking need several times the memory that the table keeps.
    pa.default_memory_pool().release_unused()
    return table
