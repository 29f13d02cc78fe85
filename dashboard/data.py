"""The table folder of r.impervious.change: read once, and checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboard.check import check_foreign_keys, check_table
from dashboard.columns import codes_of, row_numbers, select_rows
from dashboard.errors import TableFolderError
from dashboard.files import digest_files, read_json, read_parquet
from dashboard.outlines import read_neighbours, read_outlines
from dashboard.rules import check_rules
from dashboard.schema import SCHEMA_FILE, methods_by_rank, read_schema
from dashboard.table import Region, Table

NEIGHBOURS = "neighbours.geojson"
"""Name of the file with the land around the regions, which a folder may have; r.impervious.change does not write it."""


def read_table(folder: str | Path | None, schema_file: Path = SCHEMA_FILE) -> Table:
    """Read and check a table folder.

    Raises TableFolderError, with a message of one line, where a file is missing, damaged or not as the schema says.
    """
    if not folder:
        raise TableFolderError("No table folder is given.", "Use --data DIR, or set IMPERVIOUS_TABLE.")
    folder = Path(folder)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise TableFolderError(f"Table folder '{folder}' {found}.", "Check --data.")
    schema = read_schema(schema_file)
    files = {name: folder / f"{name}.parquet" for name in schema["tables"]}
    files = {name: path for name, path in files.items() if path.exists() or not schema["tables"][name].get("optional")}
    tables = {name: read_parquet(path) for name, path in files.items()}
    for name, path in files.items():
        tables[name] = check_table(path, tables[name], schema["tables"][name], schema["codes"])
    for name, path in files.items():
        check_foreign_keys(path, tables[name], schema["tables"][name], tables)
    regions_table = tables["nuts_regions"]
    if not len(regions_table):
        raise TableFolderError(f"File '{files['nuts_regions']}' has no rows. A table needs at least one region.")
    methods = {method.code: method for method in methods_by_rank(schema)}
    check_rules(files, tables, schema, methods)
    tables = hide_confidential(tables)
    facts = tables["impervious_nuts"]
    neighbours_file = folder / NEIGHBOURS
    around = [neighbours_file] if neighbours_file.exists() else []
    package_file, outlines_file = folder / "datapackage.json", folder / schema["outlines"]["file"]
    package = read_json(package_file)
    if not isinstance(package, dict):
        raise TableFolderError(f"File '{package_file}' must hold a JSON object, not {type(package).__name__}.")
    try:
        package_text = json.dumps(package, ensure_ascii=False, indent=1).encode()
    except RecursionError as err:
        raise TableFolderError(f"File '{package_file}' has too many levels of lists and objects.") from err
    except UnicodeEncodeError as err:
        raise TableFolderError(f"File '{package_file}' has text that is no Unicode (a lone surrogate).") from err
    nuts_version = max(codes_of((facts if len(facts) else regions_table)["nuts_version"])[1])
    codes, vintages = codes_of(select_rows(facts, {"nuts_version": [nuts_version]})["vintage"])
    regions = {
        row["geo"]: Region(
            row["geo"],
            row["level"],
            row["parent"] or "",
            row["name"].strip() or row["geo"],
            row["area_km2"],
            row["cntr"],
        )
        for row in sorted(regions_table.to_pylist(), key=lambda row: row["geo"])
        if row["nuts_version"] == nuts_version
    }
    table = Table(
        schema=schema,
        facts=facts,
        transitions=tables["impervious_nuts_transitions"],
        indicators=tables.get("impervious_indicators"),
        revisions=tables.get("impervious_revisions"),
        regions_table=regions_table,
        regions=regions,
        outlines=read_outlines(outlines_file, regions),
        neighbours=read_neighbours(neighbours_file),
        package=package,
        package_text=package_text,
        digest=digest_files(folder, [path.name for path in (*files.values(), outlines_file, package_file, *around)]),
        # A filtered column keeps the values of the rows that are gone; only those with a code occur.
        vintage=max((vintages[code] for code in np.unique(codes)), default=""),
        nuts_version=nuts_version,
    )
    table.index()
    # Reading and checking need several times the memory that the table keeps.
    pa.default_memory_pool().release_unused()
    return table


_SAME_FIGURE = ("definition", "method", "geo", "nuts_version", "time_from", "TIME_PERIOD", "vintage")
"""What a confidential figure shares with the transitions and indicators that would reveal it."""


def hide_confidential(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the tables without the numbers of confidential rows: each row with a CONF_STATUS has no value and no interval.

    Transitions and indicators of the same region, method and time go too, because the figure could be computed from them.
    """
    tables = dict(tables)
    facts = tables["impervious_nuts"]
    codes, values = codes_of(facts["CONF_STATUS"])
    secret = np.array([bool(value) for value in [*values, ""]])[codes]
    if not secret.any():
        return tables
    for name in ("impervious_nuts_transitions", "impervious_indicators", "impervious_revisions"):
        if name in tables:
            there, here = row_numbers((facts, _SAME_FIGURE), (tables[name], _SAME_FIGURE))
            tables[name] = _without_numbers(tables[name], np.isin(here, there[secret]))
    tables["impervious_nuts"] = _without_numbers(facts, secret)
    return tables


def _without_numbers(table: pa.Table, rows: np.ndarray) -> pa.Table:
    for name in ("OBS_VALUE", "OBS_LCI95", "OBS_UCI95", "VALUE_FROM", "DIFFERENCE"):
        if name in table.column_names:
            column = pc.if_else(pa.array(~rows), table[name], pa.scalar(None, table[name].type))
            table = table.set_column(table.column_names.index(name), name, column)
    return table
