"""Engines: what trains. One file an engine; the file's name is the engine's name.

An engine module has two functions, `why_not(recipe) -> str | None` (the first thing it lacks, as a sentence;
None if it can run the recipe) and `prepare(net, data, recipe, total_steps) -> Session`. `eager` is the
specification; the others are opinions about it and are tested against it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import nets
from ..data import Array, Data
from ..errors import EngineError
from ..learning.plan import Plan
from ..nets import Net
from ..recipe import Recipe

__all__ = ["Engine", "Session", "available_threads", "choose", "engine", "names", "predict", "settled"]


class Session(Protocol):
    """A training in progress: weights, optimizer and position belong to it."""

    step: int
    plan: Plan

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """Train for `steps` steps without interruption; the loss of each minibatch before its update, (steps,).

        Cutting a stretch into several calls changes no bit of the result.
        """
        ...

    def pull(self, net: Net) -> None:
        """Copy the weights into `net`, which must have been built from the same recipe."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that is needed to go on beside the weights: `step`, and `<moment>/<parameter>` in float32."""
        ...

    def load(self, net: Net, state: Mapping[str, Tensor]) -> None:
        """Go on from the weights in `net` and a `state()` of this or another engine."""
        ...

    def close(self) -> None:
        """Give threads and memory back; the session cannot be used afterwards."""
        ...


class Engine(Protocol):
    """What a module of this folder offers."""

    why_not: Callable[[Recipe], str | None]
    prepare: Callable[[Net, Data, Recipe, int], Session]


PREFERENCE = ("cuda", "native", "regrouped", "eager")
"""The order in which `auto` tries engines."""


def names() -> list[str]:
    """Engines in the order of preference; a file added to this folder comes last."""
    files = {m.name for m in pkgutil.iter_modules(__path__)} - {"plan"}
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


def predict(net: Net, inputs: Array) -> Array:
    """The net's outputs for inputs (N, D), float32 (N, C), in bounded memory, by the fastest engine that can.

    Uses as many threads as PyTorch is set to. Engines differ by rounding, about 1e-7 of a value.
    """
    from . import native

    finite = all(bool(torch.isfinite(value).all()) for value in net.parameters())  # native refuses others
    if finite and native.can_paint(net):
        return native.predict(net, inputs, torch.get_num_threads())
    return nets.predict(net, inputs)


def available_threads() -> int:
    """Cores this process may use: its affinity mask, where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
