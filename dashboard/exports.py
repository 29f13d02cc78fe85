"""Downloads: parts of the table as CSV, SDMX-CSV, Parquet and GeoJSON.

A request filters by the column names and codes of the schema. Unknown names and codes are refused, and never sent back.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from dashboard.columns import decode_dictionaries, select_rows, values_of
from dashboard.table import MEASURE_COLUMNS, Measure, Table
from dashboard.texts import reasons, with_limits
from dashboard.xlsx import write_workbook

FORMATS = {"csv": "CSV", "xlsx": "XLSX", "sdmx.csv": "SDMX-CSV", "parquet": "Parquet", "geojson": "GeoJSON"}
"""Suffix of a download -> name of its format."""

FILTERS = (*MEASURE_COLUMNS, "geo", "level", "TIME_PERIOD", "names")
"""What a request may hold: columns with their codes, and `names=1` for a column with the names of the regions."""

MAX_XLSX_ROWS = 100_000
"""Rows of a workbook; more take minutes to open."""

MAX_CODES = 2000
"""Codes that one filter may list."""

PART_ROWS = 100_000
"""Rows that a download writes at a time."""


class BadRequestError(Exception):
    """A request for something that the table does not have; the message is for the caller."""


def parse_filters(items: Iterable[tuple[str, str]], table: Table) -> dict[str, list[str]]:
    """Read the filters of a request and check them against the codes of the table; a comma separates several codes.

    Raises BadRequestError; the message never holds what the caller sent.
    """
    filters: dict[str, list[str]] = {}
    for key, text in items:
        if key not in FILTERS or key in filters:
            raise BadRequestError(
                f"The request has an unknown filter, or the same filter twice. Use each of {', '.join(FILTERS)} at most once."
            )
        codes = text.split(",")
        if key == "geo":
            known = set(table.regions)
        elif key == "level":
            known = {str(level) for level in table.levels}
        elif key == "names":
            known = {"1"}
        elif key == "TIME_PERIOD":
            known = {str(year) for year in table.years}
        else:
            known = set(table.schema["codes"][key])
        if len(codes) > MAX_CODES or not set(codes) <= known:
            raise BadRequestError(
                f"Filter {key}: the table does not have all of these codes. See regions.csv and datapackage.json."
            )
        filters[key] = codes
    return filters


def select(table: Table, filters: Mapping[str, list[str]]) -> pa.Table:
    """Return the rows of impervious_nuts that pass all filters; without filters the whole table."""
    wanted: dict[str, list] = {}
    for key, codes in filters.items():
        if key == "TIME_PERIOD":
            wanted[key] = [int(code) for code in codes]
        elif key not in ("level", "names"):
            wanted[key] = codes
    if "level" in filters:
        geos = [geo for geo, region in table.regions.items() if str(region.level) in filters["level"]]
        wanted["geo"] = [geo for geo in geos if geo in wanted.get("geo", geos)]
    rows = select_rows(table.facts, wanted)
    if "names" in filters:
        names = pa.array([_name_of(table, geo) for geo in values_of(rows["geo"])], pa.string())
        rows = rows.add_column(rows.column_names.index("geo") + 1, "name", pa.chunked_array([names]))
    return rows


def _name_of(table: Table, geo: str) -> str:
    return table.regions[geo].name if geo in table.regions else ""


def file_name(filters: Mapping[str, list[str]], suffix: str) -> str:
    """Name a download after what it holds: the codes that were asked for, as far as there are few.

    >>> file_name({"lc_flow": ["NET"], "unit": ["PC"], "level": ["3"], "names": ["1"]}, "csv")
    'impervious_nuts_NET_PC_level3.csv'
    """
    parts = []
    for key in FILTERS:
        codes = filters.get(key, [])
        if 0 < len(codes) <= MAX_NAMED and key != "names":
            parts.append(("level" if key == "level" else "") + "-".join(codes))
    return "_".join(["impervious_nuts", *parts]) + f".{suffix}"


MAX_NAMED = 5
"""Codes of a filter that a file name lists."""


def _without_formulas(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column, with an apostrophe before each text that a spreadsheet would run as a formula."""
    text = pc.cast(column, pa.string())
    return pc.if_else(pc.match_substring_regex(text, "^[=+@\\t\\r-]"), pc.binary_join_element_wise("'", text, ""), text)


def split_rows(rows: pa.Table) -> Iterator[pa.Table]:
    """Split rows into parts of PART_ROWS, at least one, so that a download needs the memory of one part."""
    for start in range(0, max(len(rows), 1), PART_ROWS):
        yield decode_dictionaries(rows.slice(start, PART_ROWS))


def to_csv(rows: pa.Table, gaps: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """Write CSV in parts: UTF-8, comma between cells, decimal point, LF at line ends, an empty cell where there is no value.

    gaps : column of numbers to the text that stands for a missing one
    """
    for number, part in enumerate(split_rows(rows)):
        columns = [_without_formulas(c) if not pa.types.is_primitive(c.type) else c for c in part.columns]
        for name, text in (gaps or {}).items():
            at = part.column_names.index(name)
            columns[at] = pc.fill_null(pc.cast(columns[at], pa.string()), text)
        sink = io.BytesIO()
        options = pyarrow.csv.WriteOptions(include_header=number == 0)
        pyarrow.csv.write_csv(pa.table(columns, names=part.column_names), sink, options)
        yield sink.getvalue()


def to_sdmx_csv(rows: pa.Table, schema: Mapping[str, Any]) -> Iterator[bytes]:
    """Write SDMX-CSV 2.0, as in the table folder: the columns of the structure, then those of the table; NaN where there is no value."""
    structure = f"R_IMPERVIOUS:{schema['tables']['impervious_nuts']['dataflow']}({schema['contract']}.0)"
    first = {"STRUCTURE": "dataflow", "STRUCTURE_ID": structure, "ACTION": "I"}
    columns = [pa.array([text] * len(rows), pa.string()).dictionary_encode() for text in first.values()]
    return to_csv(pa.table([*columns, *rows.columns], names=[*first, *rows.column_names]), {"OBS_VALUE": "NaN"})


def to_parquet(rows: pa.Table) -> bytes:
    """Write Parquet with the column types of the table."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, decode_dictionaries(rows.slice(0, 0)).schema, compression="zstd") as writer:
        for part in split_rows(rows):
            writer.write_table(part)
    return sink.getvalue()


def to_xlsx(table: Table, rows: pa.Table) -> bytes:
    """Write a workbook with the figures and a sheet of notes: source, method, flags, citation.

    Raises BadRequestError where there are too many rows.
    """
    if len(rows) > MAX_XLSX_ROWS:
        raise BadRequestError(f"A workbook holds at most {MAX_XLSX_ROWS:,} rows. Use filters, or CSV or Parquet.")
    figures = decode_dictionaries(rows).to_pydict()
    schema, package = table.schema, table.package
    fields = {field["name"]: field["description"] for field in schema["tables"]["impervious_nuts"]["fields"]}
    notes: list[tuple[str, str]] = [
        ("Item", "Meaning"),
        ("Title", str(package.get("title") or "")),
        (
            "Cite as",
            f"{package.get('title') or 'Impervious land by region'}, vintage {table.vintage}, NUTS {table.nuts_version}",
        ),
        ("Status", f"{package.get('status', 'experimental')}: not official statistics"),
        *((f"Column {name}", fields.get(name, "Name of the region")) for name in figures),
        *((f"Method {code}", schema["codes"]["method"][code]) for code in sorted(set(figures["method"]))),
        *((f"Flag {code}", with_limits(text, schema)) for code, text in schema["codes"]["OBS_FLAG"].items()),
        *((f"Missing: {code}", text) for code, text in reasons(schema).items()),
    ]
    lines = [list(figures), *(list(row) for row in zip(*figures.values(), strict=True))]
    return write_workbook([("Figures", lines), ("Notes", notes)])


def to_geojson(table: Table, filters: Mapping[str, list[str]]) -> bytes:
    """Write one feature for each region, in EPSG:3035, with value_Y, low_Y, high_Y, coverage_Y and flag_Y of each year Y.

    Raises BadRequestError unless the filters name one measure.
    """
    if any(len(filters.get(column, ())) != 1 for column in MEASURE_COLUMNS):
        raise BadRequestError(f"GeoJSON holds one measure. Give one code for each of {', '.join(MEASURE_COLUMNS)}.")
    measure = Measure(*(filters[column][0] for column in MEASURE_COLUMNS))
    years = set(filters.get("TIME_PERIOD", map(str, table.years)))
    wanted = filters.get("geo", table.regions)
    features = []
    for geo in wanted:
        region = table.regions[geo]
        if geo not in table.outlines or ("level" in filters and str(region.level) not in filters["level"]):
            continue
        cube = table.cube(measure, region.level)
        properties: dict[str, object] = {"geo": geo, "name": region.name, "level": region.level, **vars(measure)}
        for period in cube.periods:
            if str(period.year) not in years:
                continue
            cell = cube.cell(geo, period)
            properties |= {
                f"value_{period.year}": cell.value,
                f"low_{period.year}": cell.low,
                f"high_{period.year}": cell.high,
                f"coverage_{period.year}": cell.coverage,
                f"flag_{period.year}": cell.flags,
            }
        features.append({"type": "Feature", "properties": properties, "geometry": table.outlines[geo]})
    root = {
        "type": "FeatureCollection",
        "name": "impervious_nuts",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
        "features": features,
    }
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode()
