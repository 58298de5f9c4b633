"""Which runs a folder holds, and the one that a person means; quick over ten thousand of them.

Beside the run directories lies index.sqlite: a cache of what their small files say, never a source of truth. An
entry counts while the sizes and times of those files are the ones that it was made from, everything else is read
anew, and a cache that cannot be read or written is done without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import RunError
from .directory import RunDirectory
from .lock import is_held
from .watch import outcome

__all__ = ["Entry", "find", "listing", "overview", "where"]

CACHE = "index.sqlite"

VERSION = 3
"""Of the cache's layout; another one is thrown away."""

FILES = ("recipe.json", "origin.json", "metrics.jsonl", "frames", "weights")
"""What an entry is made of. A folder that holds one of them is, or was to be, a run."""

SHOWN = 5
"""Names listed where one was not enough."""

WORTH = 100
"""Runs from which on a cache is kept: fewer are read in a moment, and a folder of three needs no database."""


@dataclass(frozen=True)
class Entry:
    """What a list says of a run: where it is, when it started (seconds since 1970, 0: unknown), its newest metrics,
    the recipe's fields as they were written. State as `RunDirectory.state`; why: what is damaged, in a line."""

    folder: Path
    started: float
    state: str
    last: dict[str, Any]
    recipe: dict[str, Any]
    why: str = ""

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.folder.name


def find(text: str, parent: str = "runs") -> RunDirectory:
    """The run at a path, or the one under `parent` that `text` names: in full, by the beginning of its name or by a
    part of it; `last` is the newest of all.

    Raises RunError if there is none, several are meant, or it cannot be opened.
    """
    return RunDirectory(where(text, parent))


def where(text: str, parent: str = "runs") -> Path:
    """The folder of the run that `find` would open, damaged or not; RunError if there is none."""
    if text and "\0" not in text and any(os.path.lexists(Path(text) / file) for file in FILES):
        return Path(text)
    runs = overview(parent)
    if text != "last":
        runs = _meant(text, runs)
    if not runs or not text:
        hint = f"hint: sfumato runs lists those under {parent}/"
        if "\0" not in text and Path(text).exists():
            raise RunError(f"{text} is not a run directory: it holds no recipe.json\n{hint}")
        raise RunError(f"run {text!r} not found\n{hint}")
    if len(runs) > 1 and text != "last":
        names = [run.name for run in reversed(runs)]
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise RunError(
            f"{text!r} names {len(names)} runs: {shown}\nhint: more of the name, or last for the newest"
        )
    return runs[-1].folder


def _meant(text: str, runs: list[Entry]) -> list[Entry]:
    """Those with this name; if there is none, whose name begins with it; then, which hold it."""
    for fits in (str.__eq__, str.startswith, str.__contains__):
        found = [run for run in runs if fits(run.name, text)]
        if found:
            return found
    return []


def listing(parent: str | os.PathLike[str] = "runs") -> list[RunDirectory]:
    """The sound runs directly under a folder, oldest first; a damaged one is left out."""
    found = []
    for entry in overview(parent):
        with suppress(RunError):  # damaged, or gone since
            found += [] if entry.why else [RunDirectory(entry.folder)]
    return found


def overview(
    parent: str | os.PathLike[str] = "runs", tell: Callable[[str], None] = lambda text: None
) -> list[Entry]:
    """What there is to say of the runs directly under a folder: those that cannot be opened, then oldest first.

    tell: hears how many runs have been read that the cache does not know.
    """
    folder = Path(parent)
    stamps = dict(_stamps(folder))
    known = _cached(folder) if len(stamps) >= WORTH else {}
    fresh: dict[str, tuple[str, str]] = {}
    entries = []
    for name, stamp in stamps.items():
        kept = known.get(name)
        body = json.loads(kept[1]) if kept is not None and kept[0] == stamp else None
        if body is None:
            body = _read(folder / name)
            fresh[name] = (stamp, json.dumps(body))
            if len(fresh) % 100 == 0:
                tell(f"{len(fresh):,} read that are new, {len(stamps):,} in all")
        entries.append(_entry(folder / name, body))
    gone = known.keys() - stamps.keys()
    if len(stamps) >= WORTH and (fresh or gone):
        _keep(folder, fresh, gone)
    return sorted(entries, key=lambda entry: (entry.started, entry.name))


def _stamps(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and stamp of every run: sizes and times of the files that an entry is made of."""
    try:
        inside = sorted(os.scandir(folder), key=lambda item: item.name)
    except OSError:
        return
    for item in inside:
        if item.name.startswith("."):  # a run that is being made, or deleted
            continue
        parts = []
        for file in FILES:
            try:
                state = os.lstat(f"{item.path}/{file}")  # 50,000 of them: Path takes twice as long
            except OSError:
                parts.append("-")
                continue
            parts.append(f"{state.st_size}:{state.st_mtime_ns}")
        if set(parts) != {"-"}:
            yield item.name, " ".join(parts)


def _read(folder: Path) -> dict[str, Any]:
    """What an entry keeps of a run; the reason where it is damaged."""
    try:
        run = RunDirectory(folder)
    except RunError as error:
        return {"started": 0.0, "last": {}, "recipe": {}, "why": str(error).split("\n")[0]}
    try:
        started = datetime.fromisoformat(str(run.origin["started"])).timestamp()
    except (KeyError, ValueError, OverflowError):
        started = 0.0
    _, last, why = run.look()
    facts = {"last": last, "recipe": json.loads(run.recipe.to_json()), "until": run.origin.get("until")}
    return {"started": started, "why": why, **facts}


def _entry(folder: Path, body: dict[str, Any]) -> Entry:
    state = "damaged" if body["why"] else outcome(body["last"], body["until"])
    if not body["why"] and is_held(folder):
        state = "running"
    return Entry(folder, body["started"], state, body["last"], body["recipe"], body["why"])


# The cache -------------------------------------------------------------------------------------------------------


def _cached(folder: Path) -> dict[str, tuple[str, str]]:
    """Stamp and body by name; empty at any doubt."""
    import sqlite3  # few runs need no cache

    path = folder / CACHE
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(path, timeout=1)) as base:
            if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return {}
            return {
                name: (stamp, body)
                for name, stamp, body in base.execute("SELECT name, stamp, body FROM runs")
            }
    except sqlite3.Error:
        return {}


def _keep(folder: Path, fresh: dict[str, tuple[str, str]], gone: set[str]) -> None:
    """Bring the cache up to date; one that is damaged is made anew, one that cannot be written is left alone."""
    import sqlite3

    path = folder / CACHE
    for _ in range(2):
        try:
            with closing(sqlite3.connect(path, timeout=1)) as base, base:
                # Not WAL: a folder that may only be read could not be opened, nor one on a share.
                base.execute("PRAGMA journal_mode = DELETE")
                if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                    base.execute("DROP TABLE IF EXISTS runs")
                    base.execute(
                        "CREATE TABLE runs (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, body TEXT NOT NULL)"
                    )
                    base.execute(f"PRAGMA user_version = {VERSION}")
                rows = ((name, stamp, body) for name, (stamp, body) in fresh.items())
                base.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)
                base.executemany("DELETE FROM runs WHERE name = ?", ((name,) for name in gone))
            return
        except sqlite3.OperationalError:
            return  # read-only, full, or another process writes at this moment
        except sqlite3.DatabaseError:
            for file in (path, path.with_name(f"{CACHE}-wal"), path.with_name(f"{CACHE}-shm")):
                file.unlink(missing_ok=True)
