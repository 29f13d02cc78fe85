"""Start the dashboard: `python -m dashboard --data DIR`."""

from __future__ import annotations

import argparse
import os
import socket
import sys

import uvicorn

from dashboard.app import create_app
from dashboard.errors import TableFolderError


def main() -> int:
    """Read the arguments, check the table, serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m dashboard", description="Shows a table folder of r.impervious.change."
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        default=os.environ.get("IMPERVIOUS_TABLE"),
        help="table folder (default: environment variable IMPERVIOUS_TABLE)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    args = parser.parse_args()
    try:
        app = create_app(args.data)
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
    print(f"Dashboard of '{args.data}': http://{args.host}:{args.port}/ (stop with Ctrl-C)", flush=True)
    uvicorn.run(app, host=args.host, port=args.port, ws="websockets-sansio", log_level="warning", server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
