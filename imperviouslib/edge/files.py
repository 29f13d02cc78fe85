"""Files and folders that are written completely or not at all, and locks between processes."""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import InputError, _


def temporary_path(path: Path) -> Path:
    """Return a name in the same folder, so that a rename is atomic, and with the same ending, so that drivers know it."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.part{path.suffix}")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success sync it and rename it to `path`, on failure remove it.

    Where `path` is a symbolic link, the file that it leads to is written, and the link stays.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_path(path)
    try:
        with naming(path):
            yield part
            with part.open("rb+") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the error of a full disk name the file that is written: Python knows no name when it writes or syncs."""
    try:
        yield
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and err.filename is None:
            err.filename = str(path)
        raise


def reserve(path: Path, size: int) -> None:
    """Make a file of zeros that has its room on the disk; raises OSError where there is not so much. size : bytes"""
    with naming(path), path.open("wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, size)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it replaces `path`, on failure it is removed.

    On success the folders that killed runs left are removed too. Not earlier, because one of them may be all that is left of an
    earlier result. Where `path` is a symbolic link, the folder that it leads to is replaced, and the link stays.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = temporary_path(path), temporary_path(path)
    part.mkdir()
    try:
        with exclusive_lock(part, f"Folder '{part}'"):
            yield part
            if path.exists():
                path.rename(old)
            try:
                part.rename(path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    old.rename(path)
                raise
            _remove_abandoned(path)
    finally:
        remove_folder(part)
        remove_folder(old)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary folders of `path` that no process holds; they stay where the file system has no locks."""
    pattern = f".{glob.escape(path.stem)}.{'[0-9a-f]' * 12}.part{glob.escape(path.suffix)}"
    for left in path.parent.glob(pattern):
        if not left.is_dir():
            continue
        handle = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An empty folder may belong to another run that has not locked it yet.
            if any(left.iterdir()):
                remove_folder(left)
        except OSError:
            pass
        finally:
            os.close(handle)


def check_place(path: Path, option: str, *, file: bool = False) -> None:
    """Raise InputError if nothing can be written at `path`, before any work is done.

    Parent folders need not exist yet; the nearest one that exists must be a writable folder.
    file : a file is to be written, so `path` is no folder
    """
    path = path.expanduser().resolve()
    if file and path.is_dir():
        raise InputError(
            _("Option <{}>, '{}'").format(option, path),
            found=_("a folder"),
            expected=_("the name of a file"),
            then=_("Choose another name."),
        )
    above = next(p for p in path.parents if p.exists())
    if not above.is_dir():
        found = "a file"
    elif not os.access(above, os.W_OK | os.X_OK):
        found = "no permission to write"
    elif not _takes_files(above):
        found = "a folder in which no file can be made"
    else:
        return
    raise InputError(
        _("Option <{}>, '{}'").format(option, above),
        found=found,
        expected=_("a folder to write in"),
        then=_("Choose another place."),
    )


def _takes_files(folder: Path) -> bool:
    """Tell whether a folder takes a new file. The superuser has permission everywhere, also where the system alone makes files, as in /proc."""
    try:
        # It has no name, or loses it at once.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as err:
        # Room may be made meanwhile, and the message of a full disk says what to do.
        return err.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def exclusive_lock(folder: Path, thing: str, *, wait: bool = False) -> Iterator[None]:
    """Lock a folder for this process; if another run has locked it, wait for its end or raise InputError.

    thing : what is locked, for the message
    On file systems without locks nothing is locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as err:
        os.close(handle)
        raise InputError(
            _("{}: in use by another run").format(thing),
            then=_("Run it again when that run has ended."),
        ) from err
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(handle)


def text_encoding(path: Path) -> str:
    """Return the encoding of a text file by its byte order mark, with which editors of Windows begin it; UTF-8 without one."""
    with path.open("rb") as handle:
        is_utf16 = handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if is_utf16 else "utf-8-sig"


def read_text(path: Path, kind: str) -> str:
    """Read a text file that a user wrote; raise InputError if it is neither UTF-8 nor begins with the byte order mark of UTF-16."""
    try:
        return path.read_text(encoding=text_encoding(path))
    except UnicodeError as err:
        raise InputError(
            _("{} '{}' is not text in UTF-8").format(kind, path),
            then=_("Write the file in that encoding."),
        ) from err


def remove_folder(path: Path) -> None:
    """Remove a folder and everything in it."""
    shutil.rmtree(path, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON by a temporary file and a rename, with sorted keys, so that equal content gives equal bytes."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
