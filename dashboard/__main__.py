"""Start the dashboard: `python -m dashboard --data DIR`, or check a table folder: `--check DIR`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections import Counter

import uvicorn

from dashboard.app import create_app
from dashboard.data import read_table
from dashboard.errors import TableFolderError
from dashboard.guards import MAX_MESSAGE_BYTES
from dashboard.table import Table

FAST_REGIONS = 5_000
"""Regions of a level that a browser repaints in a tenth of a second."""


def crowded_levels(table: Table) -> dict[int, int]:
    """Return the levels with more regions than the map draws at once, and how many they have."""
    counts = Counter(region.level for region in table.regions.values())
    return {level: count for level, count in sorted(counts.items()) if count > FAST_REGIONS}


def main(words: list[str] | None = None) -> int:
    """Read the arguments, check the table, serve until interrupted.

    words : arguments, None for those of the command line
    """
    parser = argparse.ArgumentParser(
        prog="python -m dashboard", description="Shows a table folder of r.impervious.change."
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        default=os.environ.get("IMPERVIOUS_TABLE"),
        help="table folder (default: environment variable IMPERVIOUS_TABLE)",
    )
    parser.add_argument(
        "--check", metavar="DIR", help="check a table folder by all rules, say what it holds, and stop without serving"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    args = parser.parse_args(words)
    try:
        if args.check:
            table = read_table(args.check)
            print(
                f"Table folder '{args.check}' can be shown: {len(table.facts):,} figures, {len(table.regions):,} regions, "
                f"years {table.years[0]} to {table.years[-1]}, methods {', '.join(m.title for m in table.methods)}."
                if table.years
                else f"Table folder '{args.check}' can be shown: {len(table.regions):,} regions, no figures."
            )
            return 0
        table = read_table(args.data)
        app = create_app(table)
    except TableFolderError as err:
        print(f"ERROR: {err}", file=sys.stderr)
        return 1
    try:
        socket.create_server((args.host, args.port)).close()
    except (OSError, OverflowError) as err:
        number = getattr(err, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(err, "strerror", None) or err
        print(
            f"ERROR: Address {args.host}:{args.port} cannot be used: {reason}. "
            "Give another --port, or stop the program that uses it.",
            file=sys.stderr,
        )
        return 1
    for level, count in crowded_levels(table).items():
        print(
            f"NOTE: Level {level} has {count:,} regions. The map draws up to {FAST_REGIONS:,} at once; "
            "with more it takes seconds to load and about a second for each change of the year.",
        )
    print(f"Dashboard of '{args.data}': http://{args.host}:{args.port}/ (stop with Ctrl-C)", flush=True)
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        log_level="warning",
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
