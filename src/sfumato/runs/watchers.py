"""What is done at a beat: callables that take a `Tick`, look, and write. They never change the weights.

Each does its part only at the steps given to it, so one loop serves frames, kept weights and checkpoints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from .. import picture
from ..files import save_bytes
from .directory import RunDirectory

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Data
    from ..learning.session import Tick
    from ..tasks import Task

__all__ = ["Checkpoints", "Frames", "Weights"]


class Frames:
    """At its beats: what the net has learned as a JPEG, and a line of metrics with its scores.

    `line` is the newest line written. A JPEG takes a millisecond where a PNG takes sixty.
    """

    def __init__(self, run: RunDirectory, task: Task, data: Data, steps: Collection[int]) -> None:
        self._run, self._task, self._data, self._steps = run, task, data, set(steps)
        self._loss, self._count, self._since = 0.0, 0, -1
        self.line: dict[str, Any] = {}
        self.seconds = 0.0

    def __call__(self, tick: Tick) -> None:
        if not math.isnan(tick.loss):  # the mean over all steps since the last line, pulses weighted by steps
            steps = tick.step - max(self._since, 0)
            self._loss, self._count = self._loss + tick.loss * steps, self._count + steps
        self._since = tick.step
        if tick.step not in self._steps and not tick.last:
            return
        started = time.perf_counter()
        drawn = self._task.draw(tick.net, self._data)
        scores = self._task.score(tick.net, self._data, drawn)
        frame = picture.encode(picture.flatten(drawn), "jpeg", quality=90)
        save_bytes(self._run.folder / "frames" / f"{tick.step:06d}.jpg", frame)
        self.seconds += time.perf_counter() - started
        self.line = {
            "v": 1,
            "step": tick.step,
            "total_steps": tick.total_steps,
            "epoch": round(tick.epoch, 4),
            "seconds": round(tick.seconds, 4),
            "watching_seconds": round(self.seconds, 4),
            "cores": _finite(tick.cores),
            "loss": self._loss / self._count if self._count else None,
            **{
                name: _finite(value)
                for name, value in scores.items()
                if value == math.inf or math.isfinite(value)
            },
        }
        self._run.add_metrics(self.line)
        self._loss, self._count = 0.0, 0


class Weights:
    """At its beats: the weights in half precision, from which every neuron can be drawn later."""

    def __init__(self, run: RunDirectory, steps: Collection[int]) -> None:
        self._run, self._steps = run, set(steps)

    def __call__(self, tick: Tick) -> None:
        if tick.step in self._steps or tick.last:
            self._run.save_weights(tick.step, tick.net.state_dict())


class Checkpoints:
    """Every `interval` seconds, at the end, and when `save` is called: all that resuming needs."""

    def __init__(
        self, run: RunDirectory, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._interval, self._clock = run, interval, clock
        self._saved_at, self._saved_step = clock(), -1

    def __call__(self, tick: Tick) -> None:
        if tick.last or self._clock() - self._saved_at >= self._interval:
            self.save(tick)

    def save(self, tick: Tick) -> None:
        """Write the checkpoint of this tick, unless it is the one that was written last."""
        if tick.step == self._saved_step:
            return
        weights: dict[str, Tensor] = tick.net.state_dict()
        facts = {"format": 1, "step": tick.step, "seconds": tick.seconds}
        self._run.save_checkpoint(weights, tick.session.state(), facts)
        self._saved_at, self._saved_step = self._clock(), tick.step


def _finite(value: float) -> float | None:
    """JSON has no infinity: an exact painting's PSNR is written as null. A score that is no number is left out, so
    that a null among the scores always means infinite."""
    return round(value, 6) if math.isfinite(value) else None
