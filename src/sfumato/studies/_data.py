"""Data that studies learn from and the package does not carry: whether it is there, and how archives are read."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ..errors import MissingData, MissingExtra, TaskError
from ..recipe import Recipe

__all__ = ["files_of", "require"]


def require(names: Iterable[str]) -> None:
    """Raise MissingData for the first of `names` that cannot be had: `mnist`, or an archive of `SFUMATO_DATA`."""
    for name in names:
        if name == "mnist":
            from .. import tasks

            try:
                tasks.task("digits").load("mnist", Recipe(task="digits"))
            except (TaskError, MissingExtra) as error:
                raise MissingData(str(error)) from error
        else:
            _archive(name)


def _archive(name: str) -> Path:
    root = os.environ.get("SFUMATO_DATA")
    path = Path(root or "$SFUMATO_DATA") / "studies" / f"{name}.tar.xz"
    if not root or not path.is_file():
        raise MissingData(
            f"{path} is missing, and this study learns from it\n"
            "hint: SFUMATO_DATA names the folder that holds studies/; sfumato study NAME --quick needs none"
        )
    return path


def files_of(name: str) -> dict[str, bytes]:
    """The files of an archive, by their path in it. Raises MissingData if it is not there, TaskError if damaged."""
    path = _archive(name)
    try:
        with tarfile.open(path, "r:xz") as archive:
            found = {}
            for member in archive:  # front to back, once: going back in xz unpacks all of it again
                file = archive.extractfile(member)
                if file is not None:
                    found[member.name] = file.read()
            return found
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TaskError(f"{path} is damaged or cut short: {error}") from error
