"""Which runs a folder holds, and the one that a person means."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ..errors import RunError
from .directory import RunDirectory

__all__ = ["find", "listing"]


def find(text: str, parent: str = "runs") -> RunDirectory:
    """The run at a path, or the newest one under `parent` whose name holds `text`; `last` is the newest of all.

    Raises RunError if there is none.
    """
    if (Path(text) / "recipe.json").exists():
        return RunDirectory(text)
    runs = listing(parent)
    if text != "last":
        runs = [run for run in runs if text in run.name]
    if not runs or not text:
        hint = f"hint: sfumato runs lists those under {parent}/"
        if Path(text).exists():
            raise RunError(f"{text} is not a run directory: it holds no recipe.json\n{hint}")
        raise RunError(f"run {text!r} not found\n{hint}")
    return runs[-1]


def listing(parent: str | os.PathLike[str] = "runs") -> list[RunDirectory]:
    """The readable runs directly under a folder, oldest first; an unreadable one is left out."""
    found = []
    folder = Path(parent)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (path / "recipe.json").exists():
            try:
                found.append(RunDirectory(path))
            except RunError:
                continue
    return sorted(found, key=_age)


def _age(run: RunDirectory) -> tuple[float, str]:
    """When a run started: names hold minutes only, and can be changed."""
    try:
        return datetime.fromisoformat(str(run.origin["started"])).timestamp(), run.name
    except (KeyError, ValueError, OverflowError):
        return 0.0, run.name
