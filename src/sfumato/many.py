"""Many networks at once: one network a core, no synchronisation between them.

A small net cannot keep several cores busy, since they meet after every minibatch; independent trainings (seeds, a
sweep over rates) never meet. Each session is single-threaded and runs in a thread of its own; the native engine
releases Python's lock while it advances, the eager one only inside its operations.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from . import engine
from .data import Data
from .engine._torch import borrowed
from .errors import RecipeError
from .learning.session import Session
from .machine import available_threads
from .nets import Net
from .recipe import Recipe

__all__ = ["Many", "prepare_many"]


class Many:
    """Sessions that advance side by side. Each is what it would be alone on one thread, bit for bit."""

    def __init__(self, sessions: Sequence[Session], workers: int) -> None:
        self.sessions = tuple(sessions)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="sfumato-many")

    def advance(self, steps: int) -> list[npt.NDArray[np.float32]]:
        """Train every net for `steps` steps; the losses of each, in the order of the nets."""
        with borrowed(
            1
        ):  # here, for all of them: each would find what another has set, and leave that behind
            return list(self._pool.map(lambda session: session.advance(steps), self.sessions))

    def pull(self, nets: Sequence[Net]) -> None:
        """Copy the weights of each session into the net at the same place."""
        for session, net in zip(self.sessions, nets, strict=True):
            session.pull(net)

    def close(self) -> None:
        """Give threads and memory back."""
        self._pool.shutdown()
        for session in self.sessions:
            session.close()


def prepare_many(
    nets: Sequence[Net], data: Data, recipes: Sequence[Recipe], total_steps: int, *, workers: int = 0
) -> Many:
    """A session for each net and recipe on the same data; `workers` of them run at a time (0: as many as cores).

    Each recipe's `threads` is taken as 1. Raises RecipeError if there is none or the numbers differ, EngineError
    if an engine named by a recipe cannot run it.
    """
    if not nets or len(nets) != len(recipes):
        raise RecipeError(
            f"{len(nets)} nets and {len(recipes)} recipes: each net needs one, and there must be one"
        )
    sessions = []
    for net, recipe in zip(nets, recipes, strict=True):
        alone, name, notes = engine.settle(recipe.replace(threads=1))
        for note in notes:
            warnings.warn(note, stacklevel=2)
        sessions.append(engine.engine(name).prepare(net, data, alone, total_steps))
    return Many(sessions, workers or available_threads())
