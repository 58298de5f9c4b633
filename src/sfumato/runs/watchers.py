"""What is done at a beat: callables that take a `Tick`, look, and write. They never change the weights.

Each does its part only at the steps given to it, so one loop serves frames, kept weights and checkpoints. These
steps are not copied: a budget that is planned anew moves them while the run goes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import picture
from .directory import RunDirectory

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Data
    from ..learning.session import Tick
    from ..tasks import Task

__all__ = ["Checkpoints", "Frames", "Weights"]


class Frames:
    """At its beats: what the net has learned as a JPEG, and a line of metrics with its scores.

    `line` is the newest line written. A JPEG takes a millisecond where a PNG takes sixty. before: `state()` of the
    process that went before, so that the lines of a resumed run are those of one that never stopped. average: makes
    of a tick's net the one that the JPEG shows; its scores end in `_ema`.
    """

    def __init__(
        self,
        run: RunDirectory,
        task: Task,
        data: Data,
        steps: Collection[int],
        before: Mapping[str, Any] | None = None,
        average: Callable[[Any], Any] | None = None,
    ) -> None:
        self._average = average
        self._run, self._task, self._data, self._steps = run, task, data, steps
        before = before or {}
        self._loss, self._count = float(before.get("loss_sum", 0.0)), int(before.get("loss_count", 0))
        self.line: dict[str, Any] = {}
        self.seconds = float(before.get("watching_seconds", 0.0))
        """Spent on looking so far, by processes before this one too."""

    def state(self) -> dict[str, Any]:
        """What the next line depends on besides the net."""
        return {"loss_sum": self._loss, "loss_count": self._count, "watching_seconds": self.seconds}

    def __call__(self, tick: Tick) -> None:
        # The mean over all steps since the last line. A running sum in float64, one loss after the other, does not
        # depend on where pulses or a stop have cut it.
        self._loss = float(np.cumsum(np.concatenate([[self._loss], tick.losses.astype(np.float64)]))[-1])
        self._count += len(tick.losses)
        if tick.step in self._steps or tick.last:
            self.write(tick)

    def write(self, tick: Tick) -> None:
        """Look at this tick, a beat or not."""
        started = time.perf_counter()
        drawn = self._task.draw(tick.net, self._data)
        scores = self._task.score(tick.net, self._data, drawn)
        if self._average is not None:
            net = self._average(tick.net)
            drawn = self._task.draw(net, self._data)
            averaged = self._task.score(net, self._data, drawn)
            scores = scores | {f"{name}_ema": value for name, value in averaged.items()}
        frame = picture.encode(picture.flatten(drawn), "jpeg", quality=90)
        self._run.save_frame(tick.step, frame)
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
        self._run, self._steps = run, steps

    def __call__(self, tick: Tick) -> None:
        if tick.step in self._steps or tick.last:
            self._run.save_weights(tick.step, tick.net)


class Checkpoints:
    """Every `interval` seconds, with `at_end` at the end, and when `save` is called: all that resuming needs."""

    def __init__(
        self,
        run: RunDirectory,
        interval: float,
        frames: Frames,
        clock: Callable[[], float] = time.monotonic,
        *,
        at_end: bool = True,
    ) -> None:
        self._run, self._interval, self._frames, self._clock = run, interval, frames, clock
        self._at_end = at_end
        self._saved_at, self._saved_step = clock(), -1

    def __call__(self, tick: Tick) -> None:
        if self._at_end if tick.last else self._clock() - self._saved_at >= self._interval:
            self.save(tick)

    def save(self, tick: Tick) -> None:
        """Write the checkpoint of this tick, unless it is the one that was written last."""
        if tick.step == self._saved_step:
            return
        weights: dict[str, Tensor] = tick.net.state_dict()
        facts = {"step": tick.step, "seconds": tick.seconds, **self._frames.state()}
        self._run.save_checkpoint(weights, tick.session.state(), facts)
        self._saved_at, self._saved_step = self._clock(), tick.step


def _finite(value: float) -> float | None:
    """JSON has no infinity: an exact painting's PSNR is written as null. A score that is no number is left out, so
    that a null among the scores always means infinite."""
    return round(value, 6) if math.isfinite(value) else None
