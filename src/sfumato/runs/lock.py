"""The lock of a folder: held by one process, dropped by a dead one, looked at without being taken.

`filelock` takes it (flock, LockFileEx on Windows), on a file that is never deleted while its folder is there.
Looking takes a shared lock for a moment at most: two that look do not see one another, and who wants to hold the
lock tries again for PATIENCE seconds.

Where the file system has no locks (ENOLCK, ENOSYS, EOPNOTSUPP: some network and user-space ones), the promise is
weaker: the file then says which process of which machine holds it, and only a process that lives on this machine
counts. Two that start in the same moment are not kept apart, nor are two machines.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError
from ..files import PLAIN, own, read, save_text, writing

__all__ = ["MOVES", "Gone", "holding", "is_held"]

NAME = "lock"

MOVES = os.name != "nt"
"""Whether a folder can be renamed while its lock is held: not on Windows, where a file in it is open."""

PATIENCE = 1.0
"""Seconds for which a lock that is held is tried again: whoever only looks lets go within microseconds."""

UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

_open: set[int] = set()
"""Descriptors that hold a lock in this process. A child made by fork closes its copies: the parent's lock ends with
the parent."""

_written: set[Path] = set()
"""Folders that this process holds by a record in the lock file, where there are no locks."""


class Gone(RunError):
    """The folder was deleted or renamed while its lock was waited for."""


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; RunError if another process holds it, `Gone` if the folder goes meanwhile."""
    descriptor = _acquired(folder)
    _open.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _open:  # not in a child that was forked in between
            if folder in _written:
                _written.remove(folder)
                with suppress(RunError):
                    save_text(folder / NAME, "")
            _open.remove(descriptor)
            os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a process holds the folder's lock. Changes nothing, and refuses nobody who wants it."""
    try:
        descriptor = os.open(own(folder, NAME), os.O_RDONLY | PLAIN)
    except (OSError, RunError):
        return False
    try:
        import fcntl
    except ImportError:
        return _unreadable(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _recorded(folder) if error.errno in UNSUPPORTED else True
    finally:
        os.close(descriptor)
    return False


def _acquired(folder: Path) -> int:
    """A descriptor that holds the lock."""
    from filelock import lock_descriptor

    path = own(folder, NAME)
    refused = RunError(f"{folder} is in use by another process\nhint: wait, or stop that one first")
    try:
        with writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | PLAIN, 0o666)
    except RunError as error:
        if not folder.is_dir():
            raise Gone(f"{folder} is gone") from error
        raise
    try:
        until = time.monotonic() + PATIENCE
        while not lock_descriptor(descriptor, blocking=False):
            if time.monotonic() > until:
                raise refused
            time.sleep(0.01)
        if not _same(descriptor, path):
            raise Gone(f"{folder} is gone: another process has deleted it")
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            os.close(descriptor)
            raise RunError(f"cannot lock {path}: {error.strerror or error}") from error
        if _recorded(folder):
            os.close(descriptor)
            raise refused from error
        save_text(path, json.dumps({"host": platform.node(), "process": os.getpid()}) + "\n")
        _written.add(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _same(descriptor: int, path: Path) -> bool:
    """Whether the file that is locked still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _recorded(folder: Path) -> bool:
    """Whether the lock file names a living process of this machine."""
    try:
        holder = json.loads(read(folder, NAME, 1000))
        process = int(holder["process"])
        if process == os.getpid():  # or one long dead that had the same number
            return folder in _written
        if holder["host"] != platform.node() or process < 1:
            return False
        os.kill(process, 0)
    except PermissionError:  # it lives, and is somebody else's
        return True
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError, RunError):
        return False
    return True


def _unreadable(descriptor: int) -> bool:
    """Windows: bytes that another handle has locked cannot be read."""
    try:
        os.read(descriptor, 1)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _forked() -> None:
    for descriptor in _open:
        os.close(descriptor)
    _open.clear()
    _written.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
