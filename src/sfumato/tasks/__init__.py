"""Tasks: what is learned. One file a task; the file's name is the task's name.

A task file has five names and no base class:

- `RECIPE`: the recipe it uses when nothing is said;
- `RECIPES`: named recipes of its own, name -> (recipe, one sentence), beside those of `sfumato.recipe`;
- `load(source, recipe) -> Data`: read what is to be learned; `source` is text (a path, a name) or None;
- `draw(net, data) -> Picture`: what the net has learned, as a picture;
- `score(net, data, drawn) -> dict[str, float]`: named numbers; `drawn` is what `draw` made of the same net.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from ..data import Data
from ..errors import TaskError
from ..nets import Net
from ..picture import Picture
from ..recipe import Recipe

__all__ = ["Task", "names", "task"]


class Task(Protocol):
    """What a module of this folder offers."""

    RECIPE: Recipe
    RECIPES: Mapping[str, tuple[Recipe, str]]
    load: Callable[[str | None, Recipe], Data]
    draw: Callable[[Net, Data], Picture]
    score: Callable[[Net, Data, Picture], dict[str, float]]


def names() -> list[str]:
    """All tasks, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def task(name: str) -> Task:
    """The task of that name. Raises TaskError if there is none, or if its file lacks one of the five names."""
    if name not in names():
        raise TaskError(f"task {name!r} is unknown; known are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    missing = [n for n in ("RECIPE", "RECIPES", "load", "draw", "score") if not hasattr(module, n)]
    if missing:
        raise TaskError(f"task {name!r} lacks {', '.join(missing)}")
    return cast(Task, module)
