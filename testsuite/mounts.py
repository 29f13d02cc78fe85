"""Small disks that only one program sees, mounted in a namespace of its own, to try what happens when they are full."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ALONE = ("unshare", "--map-root-user", "--mount")


@functools.cache
def missing() -> str:
    """Return why a user cannot mount a disk in a namespace of his own; empty where he can."""
    if not shutil.which("unshare"):
        return "there is no unshare"
    tried = subprocess.run([*_ALONE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True)
    return tried.stderr.strip()


def on_small_disk(folder: Path, size: str) -> tuple[str, ...]:
    """Return the words before a command line that let it see a disk of its own, and of some size, at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return (*_ALONE, "sh", "-c", 'mount -t tmpfs -o "size=$1" tmpfs "$0" && shift && exec "$@"', str(folder), size)


@dataclass(frozen=True)
class Tried:
    """How a command ended on a full disk, and how it ended on the same disk with room."""

    status: int
    said: str
    """What it said to stderr, on one line."""
    left: tuple[str, ...]
    """The files of the mapset after it."""
    second_status: int
    second_said: str


_SCRIPT = """
mapset=$0 out=$1 room=$2
shift 2
mount -t tmpfs -o size=32m tmpfs "$mapset" && cp -r "$out/before/." "$mapset" || exit 99
dd if=/dev/zero of="$mapset/filler" bs=4096 2>/dev/null
truncate -s "-$room" "$mapset/filler" || exit 99
grass "$mapset" --exec "$@" 2>"$out/first"
echo $? >>"$out/status"
(cd "$mapset" && find . -type f) >"$out/left"
rm "$mapset/filler"
grass "$mapset" --exec "$@" 2>"$out/second"
echo $? >>"$out/status"
cp -r "$mapset/." "$out/after"
"""


def try_full_disk(mapset: Path, template: Path, out: Path, room: str, *words: object, env: Mapping[str, str]) -> Tried:
    """Run a command in a mapset on a full disk, and once more when there is room.

    mapset : new; it gets what is on the disk at the end
    template : mapset whose files are on the disk at the beginning
    out : new folder for what is written down on the way
    room : what is free on the disk besides these, such as 12K
    """
    mapset.mkdir()
    shutil.copytree(template, out / "before", ignore=shutil.ignore_patterns(".gislock", ".tmp"))
    subprocess.run(
        [*_ALONE, "sh", "-c", _SCRIPT, str(mapset), str(out), room, *map(str, words)],
        env=env, check=True, timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.copytree(out / "after", mapset, dirs_exist_ok=True)
    first, second = (int(line) for line in (out / "status").read_text().split())
    said = [" ".join((out / name).read_text().split()) for name in ("first", "second")]
    return Tried(first, said[0], tuple((out / "left").read_text().split()), second, said[1])


def check_tried(tried: Tried) -> None:
    """Check that the first run ended with a line that says what could not be written, and that the second one did its work."""
    assert tried.status == 1 and "Traceback" not in tried.said, tried.said
    line = tried.said.rpartition("ERROR: ")[2]
    assert "Make room" in line, tried.said
    assert any(words in line for words in ("cannot be written", "a full disk", "kB left")), tried.said
    assert not [name for name in tried.left if name.endswith((".tif", ".bin"))], tried.left
    assert tried.second_status == 0, tried.second_said
