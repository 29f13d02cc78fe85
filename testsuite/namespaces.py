"""Run a command beside a Dask scheduler whose workers are in network namespaces of their own, as if on other machines.

    unshare --user --map-root-user --net python3 -m testsuite.namespaces FOLDER COMMAND...

`{scheduler}` in the command becomes the scheduler's address. Each worker reaches the scheduler by a pair of virtual interfaces, and nothing else:
there is no way out of the machine. FOLDER gets the log. Returns: the status of the command
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from testsuite.cluster_ground import wait_until

WORKERS = 2
_PORT = 8786
_NET = "10.77.{}.{}"


def missing() -> str:
    """Return why this machine has no such namespaces; empty where it has."""
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "there is no ip or unshare"
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "ip", "link", "add", "a0", "type", "veth", "peer", "name", "a1"],
        capture_output=True, text=True,
    )  # fmt: skip
    return tried.stderr.strip()


def command(folder: Path, *words: str) -> list[str]:
    """Return the command line that runs a command beside such workers."""
    unshare = ["unshare", "--user", "--map-root-user", "--net"]
    return [*unshare, sys.executable, "-m", "testsuite.namespaces", str(folder), *words]


def main(folder: Path, words: list[str]) -> int:
    """Start scheduler and workers, run the command, and end them."""
    # The guard of the tests allows loopback only; here is nothing beyond these namespaces.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if Path(path).name != "guard")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    _ip("link", "set", "lo", "up")
    started = []
    with log.open("ab") as out:

        def start(*line: str) -> subprocess.Popen:
            started.append(subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder))
            return started[-1]

        try:
            start(sys.executable, "-m", "dask", "scheduler", "--port", str(_PORT), "--no-dashboard")
            for number in range(1, WORKERS + 1):
                _start_worker(start, folder, number)
            wait_until(lambda: log.read_text().count("Registered to:") == WORKERS)
            address = f"tcp://{_NET.format(1, 1)}:{_PORT}"
            return subprocess.run([word.replace("{scheduler}", address) for word in words]).returncode
        finally:
            for process in started:
                process.kill()
                process.wait()


def _start_worker(start, folder: Path, number: int) -> None:
    """Start a worker in a namespace of its own, which waits for its interface."""
    ours, theirs = _NET.format(number, 1), _NET.format(number, 2)
    script = (
        "until ip link show eth0; do sleep 0.05; done && ip link set lo up && "
        f"ip address add {theirs}/24 dev eth0 && ip link set eth0 up && "
        f'exec "$0" -m dask worker tcp://{ours}:{_PORT} --host {theirs} --name there{number} --nthreads 1 --no-nanny --no-dashboard '
        f'--local-directory "$1"'
    )
    worker = start("unshare", "--net", "sh", "-c", script, sys.executable, str(folder))
    here, there = Path("/proc/self/ns/net"), Path(f"/proc/{worker.pid}/ns/net")
    wait_until(lambda: there.readlink() != here.readlink())
    _ip("link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", str(worker.pid))
    _ip("address", "add", f"{ours}/24", "dev", f"to{number}")
    _ip("link", "set", f"to{number}", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
