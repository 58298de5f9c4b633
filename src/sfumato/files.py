"""Writing files: whole or not at all, and an error of the disk as one clear line with a hint.

The one place that knows how a file is put on disk. Every writer of the package goes through it.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import RunError

__all__ = ["holding", "replacing", "save_bytes", "save_text", "try_lock", "writing"]

HINTS = {
    errno.ENOSPC: "free some space; the file that was there is untouched",
    errno.EDQUOT: "free some space; the file that was there is untouched",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.EISDIR: "a folder has that name; choose another",
    errno.EROFS: "the disk is read-only; choose another folder (--out)",
    errno.EACCES: "the folder may not be written; choose another (--out)",
    errno.EPERM: "the folder may not be written; choose another (--out)",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError into a RunError that says what could not be written, why, and a hint."""
    try:
        yield
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "check the disk and the folder")
        raise RunError(f"cannot write {path}: {error.strerror or error}\nhint: {hint}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end; on any error it is deleted and `path` stays.

    The same folder, since a rename across disks would be a copy; a name that nobody can foresee. RunError where
    the disk refuses.
    """
    passing = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        with writing(path):
            yield passing
            passing.replace(path)
    finally:
        with suppress(OSError):
            passing.unlink(missing_ok=True)


def save_bytes(path: Path, content: bytes, *, folders: bool = False) -> None:
    """Write a file in one step: a reader sees the old one or the new one, never half of it.

    folders: make those that are missing.
    """
    if folders:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as passing:
        passing.write_bytes(content)


def save_text(path: Path, text: str) -> None:
    """`save_bytes` of UTF-8."""
    save_bytes(path, text.encode())


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a folder for this process by its file `lock`; RunError if another does. A dead process drops it."""
    path = folder / "lock"
    with writing(path):
        file = path.open("a")
    with file:
        if not try_lock(file.fileno()):
            raise RunError(f"{folder} is in use by another process\nhint: wait, or stop that one first")
        yield


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock without waiting; on systems without flock every lock succeeds."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
