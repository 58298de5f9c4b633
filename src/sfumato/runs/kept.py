"""Which of the steps that a run has kept: the one nearest to a wish, or some of them evenly spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

__all__ = ["nearest", "spread"]

Item = TypeVar("Item")


def nearest(kept: Iterable[int], step: int) -> int:
    """The kept step nearest to `step`, of two that are as near the first; there must be one."""
    return min(kept, key=lambda one: abs(one - step))


def spread(kept: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` of them, evenly spread and in order, the first and the last among them; of 1, the first."""
    count = min(most, len(kept))
    return [kept[round(i * (len(kept) - 1) / max(1, count - 1))] for i in range(count)]
