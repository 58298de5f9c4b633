"""What every engine does at each step: which samples, in which order, at which learning rate.

All of it is a pure function of the recipe and the step, so that resuming needs no sampler state and two engines
see the same minibatches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..recipe import Recipe, pick, steps_per_epoch
from . import schedules

__all__ = ["Plan", "order"]

WAKING_SHARE = 0.8
"""Share of the budget during which silent units are woken."""

WOKEN_SHARE = 0.02
"""Share of a minibatch on which a woken unit fires: few enough to disturb nothing, enough to learn from."""

ORDER_STREAM = 1
"""Second word of the seed of permutations, so that they share no random numbers with anything else."""


def order(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int32]:
    """The order in which epoch `epoch` (from 0) visits its samples: a permutation of 0 ... samples - 1."""
    generator = np.random.Generator(np.random.PCG64([seed, ORDER_STREAM, epoch]))
    return generator.permutation(samples).astype(np.int32)


class Plan:
    """The steps of one run: 0 <= step < total_steps.

    An epoch is one permutation of all samples, cut into minibatches of `batch`; the last may be shorter.
    """

    def __init__(self, recipe: Recipe, samples: int, total_steps: int) -> None:
        self.samples = samples
        self.batch = min(recipe.batch, samples)
        self.total_steps = total_steps
        self.per_epoch = steps_per_epoch(samples, self.batch)
        self._recipe = recipe
        self._schedule = pick(schedules, recipe.schedule, "schedule")
        self._schedule(np.zeros(1))  # an argument out of range is refused here, not in the middle of a run
        self._epoch = -1
        self._order = np.empty(0, np.int32)

    def epochs(self, step: int) -> float:
        """Passes over the data that are complete after `step` steps; fractional."""
        return self.seen(step) / self.samples

    def seen(self, step: int) -> int:
        """Samples in the first `step` minibatches."""
        whole, part = divmod(step, self.per_epoch)
        return whole * self.samples + part * self.batch

    def epoch_order(self, epoch: int) -> npt.NDArray[np.int32]:
        """`order` of one epoch; the latest is kept."""
        if epoch != self._epoch:
            sequential = self._recipe.options.get("order") == "file"
            self._order = (
                np.arange(self.samples, dtype=np.int32)
                if sequential
                else order(self.samples, self._recipe.seed, epoch)
            )
            self._epoch = epoch
        return self._order

    def minibatch(self, step: int) -> npt.NDArray[np.int32]:
        """Indices of the samples of one step: int32 (batch,) or fewer."""
        epoch, part = divmod(step, self.per_epoch)
        return self.epoch_order(epoch)[part * self.batch : (part + 1) * self.batch]

    def stretch(self, first: int, count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Indices of `count` steps from `first`, one after the other, and how many belong to each step."""
        parts, sizes = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        step, last = first, first + count
        while step < last:
            epoch, part = divmod(step, self.per_epoch)
            here = min(last - step, self.per_epoch - part)
            low, high = part * self.batch, min(self.samples, (part + here) * self.batch)
            parts.append(self.epoch_order(epoch)[low:high])
            widths = np.full(here, self.batch, np.int32)
            widths[-1] = high - low - (here - 1) * self.batch
            sizes.append(widths)
            step += here
        return np.concatenate(parts), np.concatenate(sizes)

    def wakes(self, step: int) -> bool:
        """Whether silent units are woken after the update of step `step`: every `wake` steps, and no longer in
        the last fifth of the budget, so that a woken unit has time to learn something."""
        every = self._recipe.wake
        return every > 0 and (step + 1) % every == 0 and step + 1 < WAKING_SHARE * self.total_steps

    def rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Learning rates of `count` steps from `first`: float64 (count,).

        Step s of S stands at the share (s + 1/2) / S of the budget. During the first `warmup` share the
        schedule's value is multiplied by a ramp (s + 1) / (warmup S).
        """
        steps = np.arange(first, first + count, dtype=np.float64)
        share = np.minimum((steps + 0.5) / self.total_steps, 1.0)
        values = np.asarray(self._schedule(share), np.float64)
        if self._recipe.warmup > 0:
            ramp = (steps + 1) / max(1.0, self._recipe.warmup * self.total_steps)
            values = values * np.minimum(1.0, ramp)
        return self._recipe.rate * values
