"""Engines: what trains. One file an engine; the file's name is the engine's name.

An engine module has two functions, `why_not(recipe) -> str | None` (the first thing it lacks, as a sentence;
None if it can run the recipe) and `prepare(net, data, recipe, total_steps) -> Session`. `eager` is the
specification; the others are opinions about it and are tested against it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Protocol, cast

from ..data import Data
from ..errors import EngineError
from ..learning.session import Session
from ..nets import Net
from ..recipe import Recipe

__all__ = ["Engine", "choose", "engine", "names", "settled"]


class Engine(Protocol):
    """What a module of this folder offers."""

    why_not: Callable[[Recipe], str | None]
    prepare: Callable[[Net, Data, Recipe, int], Session]


PREFERENCE = ("cuda", "native", "regrouped", "eager")
"""The order in which `auto` tries engines."""


def names() -> list[str]:
    """Engines in the order of preference; a file added to this folder comes last."""
    files = {m.name for m in pkgutil.iter_modules(__path__)}
    return [n for n in PREFERENCE if n in files] + sorted(files - set(PREFERENCE))


def engine(name: str) -> Engine:
    """The engine module of that name; EngineError if there is none."""
    if name not in names():
        raise EngineError(f"engine {name!r} is unknown; known are {', '.join(['auto', *names()])}")
    return cast(Engine, importlib.import_module(f"{__name__}.{name}"))


def choose(recipe: Recipe) -> tuple[str, str]:
    """The engine for a recipe: its name, and a sentence about a faster one that had to be passed over.

    The sentence is empty if nothing was passed over. Raises EngineError if the engine that the recipe names
    cannot run it.
    """
    if recipe.engine != "auto":
        reason = engine(recipe.engine).why_not(recipe)
        if reason:
            raise EngineError(f"engine {recipe.engine} cannot run this recipe: {reason}\nhint: --engine auto")
        return recipe.engine, ""
    passed = ""
    for name in names():
        reason = engine(name).why_not(recipe)
        if reason is None:
            return name, passed
        if name == "native":
            passed = f"engine {name} is passed over: {reason}"
    raise EngineError("no engine can run this recipe")


def settled(recipe: Recipe) -> Recipe:
    """The recipe with `precision="auto"` replaced by what it means here; any other recipe as it is.

    That is bfloat16 where an engine multiplies it faster than float32, and float32 elsewhere. A run stores what
    was settled, so that it goes on in the same way on another machine.
    """
    if recipe.precision != "auto":
        return recipe
    half = recipe.replace(precision="bfloat16")
    fast = [n for n in names() if n in ("cuda", "native") and recipe.engine in ("auto", n)]
    if any(engine(name).why_not(half) is None for name in fast):
        return half
    return recipe.replace(precision="float32")
