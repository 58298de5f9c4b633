"""How much of the time may go into looking: after a look that took c seconds the next one waits c (1/share - 1).

So looking takes at most `share` of the wall time, whatever the picture, the net and the machine, and what it really
takes is known and shown. Threads and signals play no part: the loop asks, and a fake clock tests it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Governor"]

WINDOW = 10.0
"""Seconds over which the share that is shown is taken."""


class Governor:
    """Spends at most `share` (in (0, 1]) of the time between looks; counts what was spent."""

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.share = share
        self._clock = clock
        self._next = self._half = clock()
        self._spans: deque[tuple[float, float]] = deque()
        self._since = clock()

    @property
    def open(self) -> bool:
        """Whether the next look may begin now."""
        return self.left <= 0

    @property
    def left(self) -> float:
        """Seconds until the next look may begin; 0 or less: now."""
        return self._next - self._clock()

    @property
    def stale(self) -> bool:
        """Whether half of the time between two looks has passed since the last."""
        return self._clock() >= self._half

    @property
    def spent(self) -> float:
        """Share of the last WINDOW seconds (or since the start, if that is less) that went into looking."""
        now = self._clock()
        while self._spans and self._spans[0][1] < now - WINDOW:
            self._spans.popleft()
        whole = min(WINDOW, now - self._since)
        inside = sum(end - max(start, now - WINDOW) for start, end in self._spans)
        return min(1.0, inside / whole) if whole > 0 else 0.0

    @contextmanager
    def look(self) -> Iterator[None]:
        """Time one look; afterwards `open` is False for as long as the share asks for."""
        start = self._clock()
        try:
            yield
        finally:
            end = self._clock()
            self._spans.append((start, end))
            wait = (end - start) * (1 / self.share - 1)
            self._half, self._next = end + wait / 2, end + wait
