"""How fast a training goes, and when it will end."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["Pace", "viewer_share"]


class Pace:
    """Samples a second of training over its last minute, and what a look costs beside it."""

    def __init__(self, looks: Collection[int] = ()) -> None:
        self._looks = looks
        self._marks: list[tuple[float, int]] = []
        self._cost = 0.0
        self._first: int | None = None

    def add(self, tick: Any, training: float, wall: float) -> None:
        """training, wall: seconds of this process so far; what is not training was spent on looks."""
        self._first = tick.step if self._first is None else self._first
        self._marks.append((training, tick.samples))
        while len(self._marks) > 2 and training - self._marks[1][0] > 60:
            self._marks.pop(0)
        taken = sum(self._first <= step <= tick.step for step in self._looks)
        self._cost = max(0.0, wall - training) / max(1, taken)

    @property
    def speed(self) -> float:
        """Samples a second; 0 before it is known."""
        (start, a), (end, b) = self._marks[0], self._marks[-1]
        return (b - a) / (end - start) if end > start else 0.0

    def left(self, tick: Any) -> float:
        """Seconds to the end of the budget, looks included; nan before it is known."""
        if not self.speed:
            return math.nan
        plan = tick.session.plan
        looks = sum(tick.step < step <= tick.total_steps for step in self._looks)
        return float((plan.seen(tick.total_steps) - plan.seen(tick.step)) / self.speed + looks * self._cost)


def viewer_share(facts: Mapping[str, Any]) -> float:
    """Share of the wall time that went into looking: frames, metrics, checkpoints."""
    wall = facts["wall"]
    return max(0.0, 1 - facts["training"] / wall) if wall > 0 else 0.0
