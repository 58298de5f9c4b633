"""Tasks: what is learned. One file a task; the file's name is the task's name.

A task file has five names and no base class:

- `RECIPE`: the recipe it uses when nothing is said;
- `RECIPES`: named recipes of its own, name -> (recipe, one sentence), beside those of `sfumato.recipe`;
- `load(source, recipe) -> Data`: read what is to be learned; `source` is text (a path, a name) or None;
- `draw(net, data) -> Picture`: what the net has learned, as a picture;
- `score(net, data, drawn) -> dict[str, float]`: named numbers; `drawn` is what `draw` made of the same net.

A task whose net is no coordinate net has two more, and then no engine is asked:

- `build(recipe, data) -> torch.nn.Module`: the untrained net, its start drawn from the recipe's seed alone;
- `begin(net, data, recipe, total_steps) -> Session`: what trains it, such as a `TorchSession`.

A task that lives elsewhere, in a study or a notebook, joins for as long as the process runs: `add(name, module)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from ..errors import TaskError
from ..picture import Picture
from ..recipe import Recipe
from ..recipe.registries import members, unknown_task

__all__ = ["Task", "add", "names", "task"]


class Task(Protocol):
    """What a module of this folder offers."""

    RECIPE: Recipe
    RECIPES: Mapping[str, tuple[Recipe, str]]
    load: Callable[[Any, Recipe], Any]
    draw: Callable[[Any, Any], Picture]
    score: Callable[[Any, Any, Picture], dict[str, float]]


ADDED: dict[str, Task] = {}
"""Tasks of this process that are no files of this folder."""


def names() -> list[str]:
    """The tasks of this folder, sorted."""
    return list(members("tasks"))


def add(name: str, own: object) -> None:
    """Let `own`, a module or any object with a task's names, be a task of this process.

    Raises TaskError for the name of a file of this folder, or where one of the five names is missing.
    """
    if name in names():
        raise TaskError(f"task {name!r} is one of sfumato's own\nhint: another name")
    ADDED[name] = _checked(name, own)


def task(name: str) -> Task:
    """The task of that name. Raises TaskError if there is none, or if its file lacks one of the five names."""
    if name in ADDED:
        return ADDED[name]
    if name not in names():
        raise unknown_task(name, ADDED)
    return _checked(name, importlib.import_module(f"{__name__}.{name}"))


def _checked(name: str, module: object) -> Task:
    missing = [n for n in ("RECIPE", "RECIPES", "load", "draw", "score") if not hasattr(module, n)]
    if missing:
        raise TaskError(f"task {name!r} lacks {', '.join(missing)}")
    return cast(Task, module)
