"""Training a net on data by a recipe: a session of the engine that the recipe asks for, driven to its end."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence

from torch import Tensor

from . import engine
from .data import Data
from .learning.loop import drive
from .learning.session import Session, Tick
from .nets import Net
from .recipe import Recipe

__all__ = ["advice", "begin", "train"]


def begin(
    net: Net, data: Data, recipe: Recipe, name: str, state: Mapping[str, Tensor] | None = None
) -> Session:
    """A session of the engine `name` for the whole budget of a settled recipe; state: to go on from."""
    session = engine.engine(name).prepare(net, data, recipe, recipe.total_steps(data.samples))
    if state is not None:
        session.load(net, state)
    return session


def advice(recipe: Recipe) -> str:
    """What to try where training diverges."""
    return f"try --rate {recipe.rate / 3:.2g} or --set clip=1"


def train(
    net: Net,
    data: Data,
    recipe: Recipe,
    *,
    beats: Sequence[int] = (),
    state: Mapping[str, Tensor] | None = None,
    pulse: float | None = None,
    seconds: float = 0.0,
) -> Generator[Tick, None, None]:
    """Train `net` on `data` to the end of the recipe's budget, yielding a Tick at each beat.

    beats: steps at which to stop and look; the first step (0, or where `state` stands) and the last always
    are. Beats never change the weights. state: the `state()` of a session to go on from, with its weights in
    `net`. pulse: yield also between beats about every so many seconds. seconds: training time that went before.
    At each tick `tick.net` is `net` itself with the weights of that moment; after the loop `net` has those of the
    last tick, whether they were looked at or not.

    Raises RunError when a loss is not finite or explodes, naming step and layer; EngineError if the recipe's
    engine cannot run it.
    """
    recipe, name, notes = engine.settle(recipe)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    session = begin(net, data, recipe, name, state)
    yield from drive(session, net, beats, pulse=pulse, seconds=seconds, hint=advice(recipe))
