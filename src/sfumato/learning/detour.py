"""A linear map whose errors go back another way than through its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Detour"]


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
