"""Engines: what trains. One file an engine; the file's name is the engine's name.

An engine module has three functions, `why_not(recipe) -> str | None` (the first thing it lacks, as a sentence;
None if it can run the recipe), `prepare(net, data, recipe, total_steps) -> Session` and `instruction_set() -> str`
(of this machine, as it uses it: with another one sums come out in other bits). `eager` is the
specification; the others are opinions about it and are tested against it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

import torch

from ..data import Data
from ..errors import EngineError
from ..learning.session import Session
from ..nets import Net, activations
from ..recipe import Recipe, pick
from ..recipe.registries import members, unknown_engine

__all__ = ["Engine", "Settled", "engine", "names", "settle"]


class Engine(Protocol):
    """What a module of this folder offers."""

    why_not: Callable[[Recipe], str | None]
    prepare: Callable[[Net, Data, Recipe, int], Session]
    instruction_set: Callable[[], str]


PREFERENCE = ("cuda", "native", "regrouped", "eager")
"""The order in which `auto` tries engines."""


def names() -> list[str]:
    """Engines in the order of preference; a file added to this folder comes last."""
    files = members("engine")
    return [n for n in PREFERENCE if n in files] + [n for n in files if n not in PREFERENCE]


def engine(name: str) -> Engine:
    """The engine module of that name; EngineError if there is none."""
    if name not in names():
        raise unknown_engine(name)
    return cast(Engine, importlib.import_module(f"{__name__}.{name}"))


class Settled(NamedTuple):
    """What a recipe means on this machine: decided once, before anything is prepared.

    recipe: with nothing left open; a run stores it, so that it goes on in the same way elsewhere. engine: its name.
    notes: sentences for the user, about what was settled and which faster engine had to be passed over.
    """

    recipe: Recipe
    engine: str
    notes: tuple[str, ...]


def settle(recipe: Recipe) -> Settled:
    """Decide what the recipe leaves open, and the engine; the meaning never depends on which engine is there.

    `precision="auto"` is bfloat16 where an engine multiplies it faster than float32 here, else float32;
    `auto-all` likewise with the first layer. `wake` is 0 for units that are no rectifiers, which cannot die.
    Raises RecipeError for a variant that does not exist, EngineError where the engine that the recipe names cannot
    run it.
    """
    notes = []
    activation = pick(activations, recipe.activation, "activation")
    if recipe.wake and not activation.fact("rectifier"):
        notes.append(f"wake={recipe.wake} is for rectifiers; {activation.name} units cannot die: set to 0")
        recipe = recipe.replace(wake=0)
    recipe = recipe.replace(precision=_precision(recipe))
    name, passed = _choose(recipe)
    if recipe.engine == "auto" and recipe.precision != "float32" and name not in HALF:
        notes.append(
            f"precision={recipe.precision} is imitated by engine {name}: several times as long as float32\n"
            "hint: --set precision=auto"
        )
    return Settled(recipe, name, (*notes, *passed))


HALF = ("cuda", "native")
"""Engines that multiply bfloat16 as fast as the processor can."""


def _precision(recipe: Recipe) -> str:
    half = {"auto": "bfloat16", "auto-all": "bfloat16-all"}.get(recipe.precision)
    if half is None:
        return recipe.precision
    if recipe.batch == 1:  # there is no product of matrices to be made faster
        return "float32"
    tried = recipe.replace(precision=half)
    fast = [name for name in names() if name in HALF and recipe.engine in ("auto", name)]
    return half if any(engine(name).why_not(tried) is None for name in fast) else "float32"


def _choose(recipe: Recipe) -> tuple[str, list[str]]:
    """The engine's name, and a sentence about each faster one that has to be passed over."""
    if recipe.engine != "auto":
        reason = engine(recipe.engine).why_not(recipe)
        if reason:
            raise EngineError(f"engine {recipe.engine} cannot run this recipe: {reason}\nhint: --engine auto")
        return recipe.engine, []
    passed: list[str] = []
    for name in names():
        reason = engine(name).why_not(recipe)
        if reason is None:
            return name, passed
        if name in PRICES and (name != "cuda" or torch.cuda.is_available()):
            first, *more = reason.split("\n")
            passed.append("\n".join([f"engine {name} is passed over: {first}; {PRICES[name]}", *more]))
    raise EngineError("no engine can run this recipe")


PRICES = {
    "cuda": "on the processor it takes many times as long",
    "native": "PyTorch usually takes 2 to 4 times as long",
}
"""What it costs to go without an engine. Measured: benchmarks/record.md. A machine without a GPU is not told so."""
