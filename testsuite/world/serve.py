"""Serve a world: a STAC API and an S3 server on loopback, each behind a proxy that counts requests and can make faults.

`python -m testsuite.world.serve OUT --port-file FILE`, or from Python:

    with serve(out) as served:
        served.stac_url, served.s3_url, served.access_key, served.secret_key
        served.s3.rules = [Fault("503", "B12", probability=0.05)]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testsuite.world.earthsearch import HOST
from testsuite.world.faults import ProxyClient
from testsuite.world.processes import die_with_parent, is_listening
from testsuite.world.reading import read_facts


@dataclass
class Served:
    """A world that is served."""

    out: Path
    """Folder of the world."""
    stac_url: str
    """Root of the STAC API."""
    s3_url: str
    """Endpoint of the S3 server; path-style addresses."""
    bucket: str
    collection: str
    access_key: str
    secret_key: str
    stac: ProxyClient
    """The proxy of the STAC API: rules and counts."""
    s3: ProxyClient
    """The proxy of the S3 server."""
    http: ProxyClient | None = None
    """The proxy of the objects of Earth Search; None if they are not served."""

    def environment(self) -> dict[str, str]:
        """Return the environment variables with keys and endpoint for the tools."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_S3_ENDPOINT": self.s3_url.split("//")[1],
            "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_DEFAULT_REGION": "default",
        }  # fmt: skip


def _program(name: str) -> str:
    """Find a program beside the running Python, or on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise FileNotFoundError(f"Cannot find program '{name}' beside Python or on PATH. Install requirements-dev.txt.")
    return found


def _free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int, env: dict[str, str], seconds: float = 30) -> Iterator[subprocess.Popen]:
    """Run a server until the end of the block; yields when the server listens."""
    # die_with_parent means the thread that starts the process, so it is only used in the main thread.
    tie = die_with_parent if threading.current_thread() is threading.main_thread() else None
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, preexec_fn=tie
    )
    said: list[bytes] = []
    # The pipe is read all the time, because a full pipe would block the server.
    listener = threading.Thread(target=lambda: said.extend(iter(lambda: process.stderr.readline(), b"")), daemon=True)
    listener.start()
    try:
        until = time.monotonic() + seconds
        while not is_listening(process.pid, port):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                listener.join(2)
                tail = b" ".join(said[-5:]).decode(errors="replace").strip()
                raise RuntimeError(
                    f"Server {Path(command[0]).name} does not listen on port {port}. Start it again. Its last messages: {tail}"
                )
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _proxy(upstream: int) -> Iterator[ProxyClient]:
    """Run the proxy of a server until the end of the block."""
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "testsuite.world.faults", str(upstream)]
    with subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(
                f"The proxy of port {upstream} did not start. To see why, run {' '.join(command)} by hand."
            )
        try:
            yield ProxyClient(url)
        finally:
            process.terminate()


@contextlib.contextmanager
def serve(
    out: Path | str, *, items: str = "items.json", access_key: str = "", secret_key: str = ""
) -> Iterator[Served]:
    """Serve a world until the end of the block. Random keys are used unless they are given.

    items : file under OUT/stac that the STAC API serves
    """
    out = Path(out).resolve()
    world = read_facts(out)
    items_file = out / "stac" / items
    if not items_file.is_file():
        raise FileNotFoundError(
            f"World '{out}' has no stac/{items}. Choose one of "
            f"{', '.join(sorted(p.name for p in items_file.parent.glob('*.json')))}, or make the world with --earth-search."
        )
    access_key = access_key or f"AK{secrets.token_hex(8).upper()}"
    secret_key = secret_key or secrets.token_hex(20)
    s3_port, stac_port = _free_port(), _free_port()
    env = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AWS_", "RCLONE_"))}
    s3_env = {**env, "RCLONE_CONFIG": os.devnull, "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
    s3_command = [
        _program("rclone"),
        "serve",
        "s3",
        str(out / "objects"),
        "--addr",
        f"127.0.0.1:{s3_port}",
        "--read-only",
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_running(s3_command, s3_port, s3_env))
        s3 = stack.enter_context(_proxy(s3_port))
        stac = stack.enter_context(_proxy(stac_port))
        http = None
        if items.startswith("earthsearch"):
            # The objects of Earth Search are public, by plain HTTP. The address in its items is replaced by that of this server.
            http_port = _free_port()
            command = [
                _program("rclone"),
                "serve",
                "http",
                str(out / "objects-http"),
                "--addr",
                f"127.0.0.1:{http_port}",
                "--read-only",
            ]
            stack.enter_context(_running(command, http_port, {**env, "RCLONE_CONFIG": os.devnull}))
            http = stack.enter_context(_proxy(http_port))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            text = items_file.read_text().replace(HOST, http.url)
            items_file = folder / items
            items_file.write_text(text)
        # The API writes the address of the proxy into its links, so that every page comes through the proxy.
        stac_command = [
            _program("rustac"), "serve", str(items_file), "--addr", f"{stac.url}", "--bind", f"127.0.0.1:{stac_port}",
            "--create-collections",
        ]  # fmt: skip
        stack.enter_context(_running(stac_command, stac_port, env))
        _wait_for(f"{stac.url}/collections")
        stac.reset_counts()
        yield Served(
            out, stac.url, s3.url, world["bucket"], world["collection"], access_key, secret_key, stac, s3, http
        )


def _wait_for(url: str, seconds: float = 20) -> None:
    """Wait until an address answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                answer.read()
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m testsuite.world.serve", description="Serve a world on loopback.")
    parser.add_argument("out", type=Path, help="folder of the world")
    parser.add_argument("--port-file", type=Path, help="JSON file for addresses and keys, readable only by its owner")
    parser.add_argument("--items", default="items.json", help="file in OUT/stac to serve (default: %(default)s)")
    a = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with serve(a.out, items=a.items) as served:
            facts = {
                "stac_url": served.stac_url,
                "s3_url": served.s3_url,
                "bucket": served.bucket,
                "collection": served.collection,
            }
            facts |= {
                "access_key": served.access_key,
                "secret_key": served.secret_key,
                "environment": served.environment(),
            }
            if a.port_file:
                part = a.port_file.with_name(f".{a.port_file.name}.part")
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                    json.dump(facts, file, indent=1)
                part.replace(a.port_file)
            print(f"STAC API {served.stac_url}  S3 {served.s3_url}  bucket {served.bucket}", flush=True)
            for name, value in served.environment().items():
                print(f"export {name}={value}", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except (OSError, RuntimeError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
