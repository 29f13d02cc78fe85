"""Reading of the files of a table folder; every failure is a TableFolderError that names the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.errors import WRITE_AGAIN, TableFolderError

MAX_JSON_BYTES = 400_000_000
"""Size of a JSON file that is read; the outlines of 50,000 communes need a quarter of it."""


def read_json(path: Path, advice: str = WRITE_AGAIN) -> Any:
    """Return the content of a JSON file."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise TableFolderError(f"File '{path}' has {size:,} bytes. At most {MAX_JSON_BYTES:,} are read.", advice)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise TableFolderError(f"File '{path}' does not exist.", advice) from err
    except RecursionError as err:
        raise TableFolderError(f"File '{path}' has too many levels of lists and objects.", advice) from err
    except (ValueError, OSError) as err:
        raise TableFolderError(f"File '{path}' cannot be read as JSON ({_first_line(err)}).", advice) from err


def read_parquet(path: Path) -> pa.Table:
    """Return the content of a Parquet file; text columns are dictionary-encoded."""
    try:
        text = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
        return pq.read_table(path, read_dictionary=text)
    except FileNotFoundError as err:
        raise TableFolderError(f"File '{path}' does not exist.") from err
    except (pa.ArrowException, OSError) as err:
        raise TableFolderError(f"File '{path}' cannot be read as Parquet ({_first_line(err)}).") from err


def digest_files(folder: Path, names: Iterable[str]) -> str:
    """Return the first 12 hexadecimal digits of the sha256 over the named files, in the given order."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0][:100]
