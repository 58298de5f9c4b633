"""What every engine does at each step: which samples, in which order, at which learning rate.

All of it is a pure function of the recipe and the step, so that resuming needs no sampler state and two engines
see the same minibatches. The one exception is a sampling that follows the samples' errors: engines hand these to
`Plan.record`, and `Plan.state` belongs to what a session must keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Array
from ..errors import RecipeError, RunError
from ..recipe import Recipe, pick, steps_per_epoch
from ..recipe.fields import parse_cuts
from . import sampling, schedules

__all__ = ["Plan"]

WAKING_SHARE = 0.8
"""Share of the budget during which silent units are woken."""

ORDER_STREAM = 1
"""Second word of the seed of orders, so that they share no random numbers with anything else."""


class Plan:
    """The steps of one run: 0 <= step < total_steps.

    An epoch is N visits in the order that the recipe's `sampling` gives them, cut into minibatches of `batch`; the
    last may be shorter. places: the inputs of the samples (N, D), for a sampling along a curve. Raises
    RecipeError where the sampling cannot be meant for them.
    """

    def __init__(self, recipe: Recipe, samples: int, total_steps: int, places: Array | None = None) -> None:
        self.samples = samples
        self.batch = min(recipe.batch, samples)
        cuts = parse_cuts(recipe.cuts)
        self._spans = [(0, recipe.planned_steps(samples) if cuts else total_steps), *cuts]
        self.per_epoch = steps_per_epoch(samples, self.batch)
        self._recipe = recipe
        self._schedule = pick(schedules, recipe.schedule, "schedule")
        self._schedule(np.zeros(1))  # an argument out of range is refused here, not in the middle of a run
        self._sampling = pick(sampling, recipe.sampling, "sampling")
        self.follows_errors = bool(self._sampling.fact("follows_errors"))
        self._sampling(np.random.default_rng(0), np.zeros(1, np.int32), 1, np.ones(1, np.float32))  # likewise
        self._curve = self._along(places)
        self._epoch = -1
        self._order = np.empty(0, np.int32)
        self._errors = np.ones(samples if self.follows_errors else 0, np.float32)  # when the epoch began
        self._latest = self._errors.copy()

    @property
    def planned_steps(self) -> int:
        """Steps of the budget as it was planned when the run began."""
        return self._spans[0][1]

    @property
    def total_steps(self) -> int:
        """Steps of the budget, after its cuts."""
        return self._spans[-1][1]

    def cut(self, step: int, total_steps: int) -> None:
        """Plan the budget anew from `step` on: the rest of the schedule is gone through in other `total_steps`.

        The recipe's `cuts` must get the same entry, so that a resumed run has the same rates.
        """
        self._spans.append((step, total_steps))

    def shares(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Where steps stand in the schedule, 0 at the start and 1 at the end: (steps,).

        Step s of S stands at s / S. A cut at step c to S' steps lets the rest of the shares pass in S' - c steps.
        """
        (_, planned), *cuts = self._spans
        share, slope = steps / planned, 1 / planned
        start, base = 0, 0.0
        for at, total in cuts:
            start, base = at, base + slope * (at - start)
            slope = (1 - base) / (total - at)
            share = np.where(steps >= at, base + slope * (steps - at), share)
        return np.minimum(share, 1.0)

    def moved(self, planned: Iterable[int]) -> list[int]:
        """Where steps that were `planned` before any cut stand now: those of the same shares of the schedule.

        At each cut those that lay behind it, to the whole step, are moved and stay behind it; the others are over.
        """
        steps = np.asarray(list(planned), np.float64)
        (_, before), *cuts = self._spans
        shares, start, base, slope = steps / before, 0, 0.0, 1 / before
        for at, total in cuts:
            start, base = at, base + slope * (at - start)
            slope = (1 - base) / (total - at)
            then = np.maximum(at + 1, np.rint(start + (shares - base) / slope))
            steps = np.where(steps > at, then, steps)
        return [int(step) for step in steps]

    def epochs(self, step: int) -> float:
        """Passes over the data that are complete after `step` steps; fractional."""
        return self.seen(step) / self.samples

    def seen(self, step: int) -> int:
        """Samples in the first `step` minibatches."""
        whole, part = divmod(step, self.per_epoch)
        return whole * self.samples + part * self.batch

    def epoch_order(self, epoch: int) -> npt.NDArray[np.int32]:
        """The samples in the order in which epoch `epoch` (from 0) visits them, int32 (N,); the latest is kept.

        Where the sampling follows errors, only the epoch of the last `record` is known.
        """
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64([self._recipe.seed, ORDER_STREAM, epoch]))
            self._order = (
                self._curve
                if self._recipe.options.get("order") == "file"
                else self._sampling(generator, self._curve, self.batch, self._errors)
            )
            self._epoch = epoch
        return self._order

    def known(self, step: int, count: int) -> int:
        """How many of the `count` steps from `step` have minibatches that are known already.

        All, or those to the end of the epoch if the next one's order follows the errors of this one.
        """
        return min(count, self.per_epoch - step % self.per_epoch) if self.follows_errors else count

    def record(self, rows: npt.NDArray[np.int32], errors: Array, step: int) -> None:
        """Take the errors of the samples `rows` at their visits, in order; `step` steps are done with them."""
        self._latest[rows] = errors  # of a row that comes twice, numpy keeps the last
        if step % self.per_epoch == 0:
            self._errors = self._latest.copy()
            self._epoch = -1

    def state(self) -> dict[str, Tensor]:
        """What a session must keep to go on: the errors at the epoch's beginning and now, float32 (N,) each; empty
        for a sampling that does not follow them."""
        if not self.follows_errors:
            return {}
        return {name: torch.from_numpy(values.copy()) for name, values in self._by_name().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state()`; one without errors (of a run whose sampling did not follow any) starts anew."""
        for name, values in self._by_name().items():
            found = state.get(name)
            if found is not None and found.shape != values.shape:
                raise RunError(f"the checkpoint's {name} are of {len(found)} samples, not of {len(values)}")
            values[:] = 1 if found is None else found.numpy()
        self._epoch = -1

    def _by_name(self) -> dict[str, Array]:
        return (
            {"sampling/errors": self._errors, "sampling/latest": self._latest} if self.follows_errors else {}
        )

    def _along(self, places: Array | None) -> npt.NDArray[np.int32]:
        """The samples along the curve, or as they come where the sampling has no use for one."""
        text = self._recipe.sampling
        if not self._sampling.fact("along_curve"):
            return np.arange(self.samples, dtype=np.int32)
        if self._recipe.options.get("order") == "file":
            raise RecipeError(f"sampling={text!r} and options.order='file' contradict one another")
        if places is None or places.shape[1] != 2:
            inputs = "none" if places is None else places.shape[1]
            raise RecipeError(
                f"sampling={text!r} is for samples that lie in a plane, with 2 inputs x, y; these have {inputs}\n"
                "hint: sampling=uniform"
            )
        return sampling.hilbert(places)

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
        return (
            every > 0
            and (step + 1) % every == 0
            and bool(self.shares(np.array([step + 1.0]))[0] < WAKING_SHARE)
        )

    def rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Learning rates of `count` steps from `first`: float64 (count,).

        Step s of S stands at the share (s + 1/2) / S of the budget. During the first `warmup` share the
        schedule's value is multiplied by a ramp (s + 1) / (warmup S).
        """
        steps = np.arange(first, first + count, dtype=np.float64)
        values = np.asarray(self._schedule(self.shares(steps + 0.5)), np.float64)
        if self._recipe.warmup > 0:
            ramp = (steps + 1) / max(1.0, self._recipe.warmup * self._spans[0][1])
            values = values * np.minimum(1.0, ramp)
        return self._recipe.rate * values
