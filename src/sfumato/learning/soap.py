"""SOAP: Adam in the eigenbasis of Shampoo's preconditioners."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Soap"]

LARGEST = 2048
"""A side of a matrix beyond this keeps its own axes: a basis for it would cost more than all the rest."""


class Soap(torch.optim.Optimizer):
    """Matrices move by Adam's rule in slowly turning bases of their rows and columns, vectors by Adam's own.

    Vyas et al. 2024, arXiv 2409.11321, algorithm 3.

    The bases are eigenvectors of the running means of G G^T and G^T G, found anew by one QR step (algorithm 4)
    every `every` steps. As in the published code the first gradient only sets up the bases, so nothing moves at the
    first step. The second moment stays where it is as a basis turns.
    """

    def __init__(
        self, groups: list[dict[str, object]], beta1: float, beta2: float, eps: float, every: int
    ) -> None:
        super().__init__(groups, {"lr": 0.0})
        self._beta1, self._beta2, self._eps, self._every = beta1, beta2, eps, every

    def memory(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        """What is remembered of a parameter: name -> shape."""
        shape = tuple(parameter.shape)
        kept = {"exp_avg": shape, "exp_avg_sq": shape}
        for side in self._sides(parameter):
            size = shape[0 if side == "left" else 1]
            kept |= {side: (size, size), f"{side}_basis": (size, size)}
        return kept

    @staticmethod
    def _sides(parameter: Tensor) -> list[str]:
        if parameter.ndim != 2:
            return []
        return [
            side for side, size in zip(("left", "right"), parameter.shape, strict=True) if size <= LARGEST
        ]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing to return
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                self._move(p, group["lr"])

    def _move(self, p: Tensor, rate: float) -> None:
        state, gradient, sides = self.state[p], p.grad, self._sides(p)
        if gradient is None:
            return
        new = not state
        if new:
            state.update(
                {name: p.new_zeros(shape) for name, shape in self.memory(p).items()}, step=torch.tensor(0.0)
            )
        state["step"] += 1
        count = int(state["step"])
        if not (new and sides):
            state["exp_avg"].lerp_(gradient, 1 - self._beta1)
            seen = self._turned(state, gradient, back=False)
            state["exp_avg_sq"].mul_(self._beta2).addcmul_(seen, seen, value=1 - self._beta2)
            # The first step of a matrix does not count: it moved nothing.
            done = count - bool(sides)
            mean = self._turned(state, state["exp_avg"], back=False) / (1 - self._beta1**done)
            size = (state["exp_avg_sq"] / (1 - self._beta2**done)).sqrt_().add_(self._eps)
            p.sub_(self._turned(state, mean / size, back=True), alpha=rate)
        for side in sides:
            outer = gradient @ gradient.T if side == "left" else gradient.T @ gradient
            state[side].lerp_(outer, 1 - self._beta2)
            if new:
                state[f"{side}_basis"] = torch.linalg.eigh(state[side]).eigenvectors.flip(1).contiguous()
            elif count % self._every == 0:
                state[f"{side}_basis"] = torch.linalg.qr(state[side] @ state[f"{side}_basis"]).Q

    @staticmethod
    def _turned(state: dict[str, Tensor], matrix: Tensor, *, back: bool) -> Tensor:
        left, right = state.get("left_basis"), state.get("right_basis")
        if left is not None:
            matrix = (left if back else left.T) @ matrix
        if right is not None:
            matrix = matrix @ (right.T if back else right)
        return matrix
