"""A linear map whose errors go back another way than through its weights, and the matrices that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..nets import Net
from ..recipe import Recipe, pick
from . import feedback

__all__ = ["Detour", "fixed_matrices"]

FEEDBACK_STREAM = 11


@torch.no_grad()
def fixed_matrices(net: Net, recipe: Recipe) -> list[Tensor]:
    """Fixed matrices (units, inputs) of hidden layers behind the first and of the readout; none for true errors.

    They are functions of the recipe's seed and `backward` alone, so that every engine has the same. RecipeError for
    an argument that cannot be meant.
    """
    way = pick(feedback, recipe.backward, "backward")
    if way.fact("true"):
        return []
    words = np.random.SeedSequence([recipe.seed, FEEDBACK_STREAM]).generate_state(2)
    generator = torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))
    maps: list[Any] = [*list(net.layers)[1:], net.readout]
    return [way(one.weight.detach(), generator) for one in maps]


class Detour(torch.autograd.Function):
    """x -> x W' + b, whose gradient for x is e B in place of e W; those of W and b are the true ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, feedback: Tensor) -> Tensor:
        """x (N, inputs), weight and feedback (units, inputs), bias (units,) -> (N, units)."""
        ctx.save_for_backward(x, feedback)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx: Any, *errors: Any) -> Any:
        """The four gradients; none for the feedback, which is fixed."""
        x, feedback = ctx.saved_tensors
        (error,) = errors
        return error @ feedback, error.T @ x, error.sum(0), None
