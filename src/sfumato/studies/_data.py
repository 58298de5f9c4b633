"""Data that studies learn from and the package does not carry: whether it is there, and how archives are read."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import MissingData, MissingExtra, RecipeError, TaskError
from ..recipe import Recipe

if TYPE_CHECKING:
    from ..data import Data

__all__ = ["digits_of", "files_of", "only", "require"]


def only(recipe: Recipe, *known: str) -> None:
    """Raise RecipeError where a recipe of a study's task has another option than those: it would mean nothing."""
    for name in sorted(set(recipe.options) - set(known)):
        raise RecipeError(
            f"task {recipe.task} has no option {name!r}\nhint: {', '.join(known) or 'it has none'}"
        )


def digits_of(source: str | None, recipe: Recipe, *own: str) -> Data:
    """The digits of `source` (task `digits`) that a study's task learns from; own: options of that task alone.

    `samples` and `split` are handed on; RecipeError for any other.
    """
    from .. import tasks

    only(recipe, *own, "samples", "split")
    handed = {name: value for name, value in recipe.options.items() if name not in own}
    return cast("Data", tasks.task("digits").load(source, Recipe(task="digits", options=handed)))


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
