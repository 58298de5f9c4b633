"""How a run comes to be and goes: whole, by one rename each. Until then, and after, it has a hidden name.

A draft is a folder `.<label>.<random>.part` whose lock is held by the process that makes it; one whose lock nobody
holds belongs to a process that died, and is deleted when the next run is made beside it.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import RunError
from ..files import PART, save_bytes, settle, sync, writing
from .lock import MOVES, Gone, holding, is_held

__all__ = ["making", "remove"]


@contextmanager
def making(parent: Path, label: str, contents: Mapping[str, bytes], *, wait: bool = True) -> Iterator[Path]:
    """Make a folder `parent/<label>_<random>` of these files, frames/ and weights/; its lock is held in the `with`.

    wait: until all of it is on the disk, before it has its name; without it, whoever uses it settles it. Raises
    RunError where the disk refuses, and leaves nothing then.
    """
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    with ExitStack() as held:
        draft = _draft(parent, label, held)
        try:
            with writing(parent):
                for room in ("frames", "weights"):
                    (draft / room).mkdir()
            for name, content in contents.items():
                save_bytes(draft / name, content, wait=False)
            if wait:
                settle([draft / name for name in ("frames", "weights", *contents)])
            if not MOVES:
                held.close()
            folder = _published(draft, parent, label, wait)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        if not MOVES:
            held.enter_context(holding(folder))
        yield folder


def remove(folder: Path) -> None:
    """Delete a run, damaged or not, and all that is in it; RunError while it is running.

    Its name goes first, and the lock is held until nothing is left. No link in the run is followed.
    """
    if folder.is_symlink():
        raise RunError(f"{folder} is a link to a run\nhint: delete the link, or name the run itself")
    with ExitStack() as held, writing(folder):
        _unplanted(folder / "lock")
        held.enter_context(holding(folder))
        passing = folder.with_name(f".{folder.name[:40]}.{secrets.token_hex(6)}.part")
        if not MOVES:
            held.close()
        folder.rename(passing)
        sync(folder.parent)
        shutil.rmtree(passing)


def _unplanted(lock: Path) -> None:
    """Delete a lock that is no file, which no process can hold."""
    with suppress(FileNotFoundError):
        mode = lock.lstat().st_mode
        if stat.S_ISDIR(mode):
            shutil.rmtree(lock)
        elif not stat.S_ISREG(mode):
            lock.unlink()


def _draft(parent: Path, label: str, held: ExitStack) -> Path:
    """An empty folder under a hidden name, whose lock `held` holds."""
    while True:
        draft = parent / f".{label[:40]}.{secrets.token_hex(6)}.part"
        with writing(parent):
            draft.mkdir()
        try:
            held.enter_context(holding(draft))
            return draft
        except Gone:  # another process swept it away before it was locked
            continue
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def _published(draft: Path, parent: Path, label: str, wait: bool) -> Path:
    """Give a draft a name that no other run has."""
    while True:
        folder = parent / f"{label}_{secrets.token_hex(3)}"
        with writing(folder):
            try:
                draft.rename(folder)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                    continue
                raise
            try:
                if wait:
                    sync(parent)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return folder


def _sweep(parent: Path) -> None:
    """Delete the drafts, and the runs on their way out, of processes that died: those whose lock nobody holds."""
    for draft in parent.glob(".*.part"):
        with suppress(OSError, RunError):
            if (
                PART.fullmatch(draft.name)
                and not draft.is_symlink()
                and draft.is_dir()
                and not is_held(draft)
            ):
                with holding(draft):
                    shutil.rmtree(draft, ignore_errors=True)
