"""The pictures of a comparison: those that are scored, those that tune, and that no picture is there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecipeError
from ..picture import save
from ..recipe import Recipe
from .tuning import dead_leaves
from .workers import job

__all__ = ["SEEDS_APART", "Subject", "leaves", "subjects"]

SEEDS_APART = 1000
"""Pictures have seeds of their own, this far apart, so that runs of one share nothing with those of another."""

LONGEST_NAME = 40
"""Characters: of a table's line, and with four bytes each still a file's name."""


@dataclass(frozen=True)
class Subject:
    """A picture that is learned: file, name (no two alike), size, the first of its seeds, hash of its content."""

    source: str | None
    name: str
    height: int
    width: int
    channels: int
    first_seed: int
    digest: str = ""


def subjects(sources: Iterable[str | None], limit: int, scored: Collection[Subject] = ()) -> list[Subject]:
    """The pictures in files (None: the built-in Mona Lisa), downscaled to `limit` pixels if that is not 0.

    scored: pictures that must not be among them, since these tune. Raises RecipeError for a picture that is there
    twice, whatever its files are called: its runs would be counted as evidence twice.
    """
    found: list[Subject] = []
    for source in sources:
        one = _subject(source, limit, {s.name for s in found})
        for other in scored:
            if other.digest == one.digest:
                raise RecipeError(
                    f"a picture that tunes must not be scored: {_file(one)} is {_file(other)}\n"
                    "hint: --tune-on ANOTHER"
                )
        for other in found:
            if other.digest == one.digest:
                raise RecipeError(f"a picture is named twice: {_file(one)} is {_file(other)}")
        found.append(one)
    return found


def leaves(folder: Path, like: Subject, limit: int) -> Subject:
    """The picture of dead leaves on which recipes are tuned where no other is named, of the size of `like`."""
    path = folder / f"dead-leaves-{like.width}x{like.height}.png"
    if not path.exists():
        save(dead_leaves(like.height, like.width), path)
    return _subject(str(path), limit, ())


def _subject(source: str | None, limit: int, taken: Collection[str]) -> Subject:
    from .. import tasks

    recipe = Recipe(options={"max_pixels": limit} if limit else {})
    picture = tasks.task("picture").load(source, recipe).facts["picture"]
    content = job(recipe.replace(engine="eager"), source).digest
    first = int(hashlib.sha256(content.encode()).hexdigest()[:4], 16) * SEEDS_APART
    name = _name(Path(source).stem if source else picture.name, taken)
    return Subject(source, name, picture.height, picture.width, picture.channels, first, content)


def _name(stem: str, taken: Collection[str]) -> str:
    """A name for tables and files; a number follows where another picture has it: files of two folders may share
    theirs."""
    plain = (
        "".join(c if c.isprintable() and c not in "/\\" else "-" for c in stem)[:LONGEST_NAME] or "picture"
    )
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


def _file(subject: Subject) -> str:
    return repr(subject.source) if subject.source else "the built-in Mona Lisa"
