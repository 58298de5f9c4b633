"""A session for any PyTorch module: a loss, a stream of batches, optimizers; a task's `begin` may return one.

    session = TorchSession(cell, loss, stream, adam, rate=1e-2, total_steps=600)
    for tick in drive(session, net, beats=[0, 100]):
        ...

The weights live in a copy of the module, as in every session. Bit-equal resuming needs what `Stream` promises, that
a batch depends on its step alone, and a loss that draws nothing at random.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..data import Array, Stream
from ..errors import RunError
from ..recipe import Recipe
from .plan import Plan

__all__ = ["Steps", "TorchSession", "minibatches"]

Loss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]
"""From the module and one batch to a number; a mean, so that its gradient does not grow with the batch."""

Rate = Callable[[float], float]
"""The learning rate at a share of the budget in [0, 1]."""


class Steps:
    """The `Position` of batches that are all of one size."""

    def __init__(self, samples: int, batch: int, total_steps: int) -> None:
        self.samples, self.batch, self.total_steps = samples, batch, total_steps
        self.planned_steps = total_steps

    def moved(self, planned: Iterable[int]) -> list[int]:
        """See `Position.moved`: such a budget is never planned anew."""
        return list(planned)

    def epochs(self, step: int) -> float:
        """See `Position.epochs`."""
        return self.seen(step) / self.samples

    def seen(self, step: int) -> int:
        """See `Position.seen`."""
        return step * self.batch


def minibatches(inputs: Array, targets: Array, recipe: Recipe, **facts: Any) -> Stream:
    """Samples that are stored, (N, ...) each, as batches (inputs, targets) of the recipe's size.

    Each epoch visits every sample once, in an order drawn from (seed, epoch), as engines do; a batch that an
    epoch's end cuts is filled with the next epoch's first samples, so that all are of one size.
    """
    plan = Plan(recipe.replace(batch=min(recipe.batch, len(inputs))), len(inputs), 1)

    def draw(step: int) -> tuple[Tensor, Tensor]:
        epoch, first = divmod(step * plan.batch, plan.samples)
        rows = plan.epoch_order(epoch)[first : first + plan.batch]
        if len(rows) < plan.batch:
            rows = np.concatenate([rows, plan.epoch_order(epoch + 1)[: plan.batch - len(rows)]])
        return torch.from_numpy(inputs[rows]), torch.from_numpy(targets[rows])

    return Stream(draw, batch=plan.batch, samples=plan.samples, facts=facts)


class TorchSession:
    """A `Session` of PyTorch operations, in the module's own precision."""

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        stream: Stream,
        optimizers: Callable[[nn.Module], Sequence[torch.optim.Optimizer]],
        *,
        rate: float | Rate,
        total_steps: int,
        clip: float = 0.0,
    ) -> None:
        """optimizers: made for the session's own copy of the module; a group's `factor` multiplies the rate.
        rate: constant, or a function of the share of the budget. clip: largest norm of the gradient; 0 = none."""
        self.step = 0
        self.plan = Steps(stream.samples, stream.batch, total_steps)
        self._module = copy.deepcopy(module)
        self._names = {id(parameter): name for name, parameter in self._module.named_parameters()}
        self._loss, self._stream, self._clip = loss, stream, clip
        self._rate: Rate = rate if callable(rate) else lambda share: float(rate)
        self._optimizers = list(optimizers(self._module))

    def advance(self, steps: int) -> npt.NDArray[np.float32]:
        """See `Session.advance`."""
        kept = []
        for _ in range(steps):
            rate = self._rate(min(1.0, (self.step + 0.5) / self.plan.total_steps))
            for optimizer in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * group.get("factor", 1.0)
                optimizer.zero_grad()
            loss = self._loss(self._module, self._stream.draw(self.step))
            loss.backward()  # type: ignore[no-untyped-call]
            if self._clip:
                nn.utils.clip_grad_norm_(self._module.parameters(), self._clip)
            for optimizer in self._optimizers:
                optimizer.step()
            kept.append(loss.detach())
            self.step += 1
        return torch.stack(kept).float().numpy() if kept else np.empty(0, np.float32)

    def pull(self, net: nn.Module) -> None:
        """See `Session.pull`."""
        net.load_state_dict(self._module.state_dict())

    def state(self) -> dict[str, Tensor]:
        """See `Session.state`: what each optimizer remembers, its own count of steps included."""
        result = {"step": torch.tensor(self.step)}
        for optimizer in self._optimizers:
            for parameter, memory in optimizer.state.items():
                for moment, value in memory.items():
                    if isinstance(value, Tensor):
                        result[f"{moment}/{self._names[id(parameter)]}"] = value.detach().clone()
        return result

    def load(self, net: nn.Module, state: Mapping[str, Tensor]) -> None:
        """See `Session.load`; raises RunError if a parameter's memory has another shape."""
        self._module.load_state_dict(net.state_dict())
        self.step = int(state["step"])
        for optimizer in self._optimizers:
            optimizer.state.clear()
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    name = self._names[id(parameter)]
                    found = {
                        key.removesuffix(f"/{name}"): value.clone()
                        for key, value in state.items()
                        if key.endswith(f"/{name}") and key.count("/") == name.count("/") + 1
                    }
                    if any(v.ndim and v.shape != parameter.shape for v in found.values()):
                        raise RunError(f"the checkpoint's memory of {name} does not fit")
                    if found:
                        optimizer.state[parameter] = found

    def close(self) -> None:
        """See `Session.close`."""
