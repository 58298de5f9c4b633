"""L-BFGS on all samples at once, with a line search that only goes down: a polish, without noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["POLISH", "Lbfgs"]

ENOUGH = 1e-4
"""Share of the decrease that the slope promises which a step must bring (Nocedal and Wright 2006, equation 3.4)."""

HALVINGS = 20
"""Shorter steps than 2^-20 of the first are rounding."""


POLISH = {
    "optimizer": "lbfgs",
    **dict.fromkeys(("warmup", "clip", "wake"), 0),
    "rate": 1.0,
    "schedule": "constant",
    "sampling": "uniform",
    "dropout": (),
    "cuts": "",
    "engine": "auto",
    "precision": "float32",
}
"""What a recipe changes for a polish: a line search wants one loss, that of all samples, without noise."""


class Lbfgs(torch.optim.Optimizer):
    """Steps along minus the gradient times an inverse Hessian that the last `pairs` steps suggest.

    Two-loop recursion of Nocedal and Wright 2006, algorithm 7.4, their scaling (7.20), and halving until Armijo's
    condition holds (algorithm 3.1); a pair whose curvature is not positive is left out. What a parameter remembers
    are its own rows of the pairs, so that a checkpoint is made of pieces like every other.
    """

    def __init__(self, groups: list[dict[str, object]], pairs: int) -> None:
        super().__init__(groups, {"lr": 0.0})
        self._pairs = pairs

    def memory(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        """What is remembered of a parameter: name -> shape. Pairs that are not there yet are 0."""
        shape = tuple(parameter.shape)
        return {
            "moves": (self._pairs, *shape),
            "changes": (self._pairs, *shape),
            "last_move": shape,
            "last_gradient": shape,
        }

    def step(self, closure: Callable[[], float]) -> None:  # type: ignore[override]  # a closure is needed
        """One step; closure: the loss of all samples at the parameters as they stand.

        The gradients must be there already, those of the loss before the step.
        """
        parameters = [p for group in self.param_groups for p in group["params"]]
        rate = float(self.param_groups[0]["lr"])
        with torch.no_grad():
            for p in parameters:
                if not self.state[p]:
                    self.state[p].update({n: p.new_zeros(shape) for n, shape in self.memory(p).items()})
            gradient = _flat(p.grad for p in parameters)
            self._remember(parameters, gradient)
            direction = self._direction(parameters, gradient)
            slope = float(gradient @ direction)
            if not slope < 0:
                for p in parameters:  # at the bottom, as far as these numbers tell
                    self.state[p]["last_move"].zero_()
                return
            start = [p.clone() for p in parameters]
        before, length = closure(), rate
        for _ in range(HALVINGS):
            with torch.no_grad():
                self._go(parameters, start, direction, length)
            if closure() <= before + ENOUGH * length * slope:
                break
            length /= 2
        else:
            length = 0.0
            with torch.no_grad():
                self._go(parameters, start, direction, 0.0)
        with torch.no_grad():
            for p, was in zip(parameters, start, strict=True):
                self.state[p]["last_move"] = p - was
            self._keep(parameters, "last_gradient", gradient)

    def _remember(self, parameters: list[Tensor], gradient: Tensor) -> None:
        """Put the last move and what it did to the gradient behind the other pairs."""
        move = _flat(self.state[p]["last_move"] for p in parameters)
        change = gradient - _flat(self.state[p]["last_gradient"] for p in parameters)
        if float(move @ change) <= 1e-10 * float(change @ change):
            return
        for name, value in (("moves", move), ("changes", change)):
            at = 0
            for p in parameters:
                kept = self.state[p][name]
                part = value[at : at + p.numel()].view_as(p)
                self.state[p][name] = torch.cat([kept[1:], part[None]])
                at += p.numel()

    def _direction(self, parameters: list[Tensor], gradient: Tensor) -> Tensor:
        pairs = []
        for k in range(self._pairs):
            move = _flat(self.state[p]["moves"][k] for p in parameters)
            change = _flat(self.state[p]["changes"][k] for p in parameters)
            curvature = float(move @ change)
            if curvature > 0:
                pairs.append((move, change, curvature))
        q, shares = -gradient, []
        for move, change, curvature in reversed(pairs):
            shares.append(float(move @ q) / curvature)
            q = q - shares[-1] * change
        if pairs:
            _, change, curvature = pairs[-1]
            q = q * (curvature / float(change @ change))
        else:
            q = q / max(1.0, float(gradient.abs().sum()))
        for (move, change, curvature), share in zip(pairs, reversed(shares), strict=True):
            q = q + (share - float(change @ q) / curvature) * move
        return q

    def _keep(self, parameters: list[Tensor], name: str, value: Tensor) -> None:
        at = 0
        for p in parameters:
            self.state[p][name].copy_(value[at : at + p.numel()].view_as(p))
            at += p.numel()

    @staticmethod
    def _go(parameters: list[Tensor], start: list[Tensor], direction: Tensor, length: float) -> None:
        at = 0
        for p, was in zip(parameters, start, strict=True):
            p.copy_(was + length * direction[at : at + p.numel()].view_as(p))
            at += p.numel()


def _flat(tensors: Iterator[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
