"""Durations on a machine that others use too: rivals take turns, so that a neighbour's load falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["Spent", "spent", "take_turns"]


class Spent(NamedTuple):
    """What a piece of work took, in seconds: on the wall, and of the processor in all threads of this process."""

    wall: float
    cpu: float


def spent(work: Callable[[], object]) -> Spent:
    """What one call of `work` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def take_turns(rounds: int, *rivals: Callable[[], object], warm: int = 1) -> list[list[Spent]]:
    """What each rival took in each of `rounds` rounds: a list a rival, in the order given.

    Who begins changes from round to round. warm: uncounted rounds before, in which caches fill and threads start.
    Only ratios of the same round mean anything: `[b.wall / a.wall for a, b in zip(*take_turns(7, a, b))]`.
    """
    taken: list[list[Spent]] = [[] for _ in rivals]
    for number in range(warm + rounds):
        order: Sequence[int] = range(len(rivals)) if number % 2 else range(len(rivals))[::-1]
        for which in order:
            one = spent(rivals[which])
            if number >= warm:
                taken[which].append(one)
    return taken
