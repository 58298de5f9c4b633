"""Fastfood: blocks S H G P H B in place of a matrix, in one pass by the compiled engine where it can be."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from .hadamard import is_compiled, walsh_hadamard

with contextlib.suppress(ImportError):  # then is_compiled says no
    import sfumato._native as _native

__all__ = ["multiply"]

LEAST = 64
"""Rows of a block that is worth calls of its own: 2 inputs and 512 units are 256 blocks, and were slower."""


def multiply(
    x: Tensor, scales: Tensor, gaussians: Tensor, signs: Tensor, order: Tensor, units: int
) -> Tensor:
    """x (N, inputs) through blocks of n = 2^k >= inputs rows, one below the other: (N, units).

    scales, gaussians, signs: the diagonals S, G and B, (blocks, n). order (blocks, n): which number P takes to each
    place. Float32 on the CPU goes row by row through C++ (from n = 64 on), where the way back computes again what
    it needs; threads change no bit. Derivatives but the first take PyTorch's operations.
    """
    if order.shape[1] >= LEAST and is_compiled(x, scales, gaussians, signs):
        return cast(Tensor, _Multiply.apply(x, scales, gaussians, signs, order, units))  # type: ignore[no-untyped-call]
    return _by_steps(x, scales, gaussians, signs, order, units)


def _by_steps(
    x: Tensor, scales: Tensor, gaussians: Tensor, signs: Tensor, order: Tensor, units: int
) -> Tensor:
    shuffled = _shuffled(_padded(x, order)[:, None] * signs, order)
    return _cut(walsh_hadamard(shuffled * gaussians) * scales, units)


def _gradient(
    error: Tensor, x: Tensor, scales: Tensor, gaussians: Tensor, signs: Tensor, order: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of x and the three diagonals, by PyTorch: may be differentiated."""
    blocks, n = order.shape
    full = _padded(x, order)[:, None]
    shuffled = _shuffled(full * signs, order)
    errors = functional.pad(error, (0, blocks * n - error.shape[1])).view(-1, blocks, n)
    before = walsh_hadamard(errors * scales)  # H
    back = order.argsort(1).expand(len(x), blocks, n)
    first = walsh_hadamard((before * gaussians).gather(2, back))  # before B
    return (
        (first * signs).sum(1).narrow(1, 0, x.shape[1]),
        (errors * walsh_hadamard(shuffled * gaussians)).sum(0),
        (before * shuffled).sum(0),
        (first * full).sum(0),
    )


def _padded(x: Tensor, order: Tensor) -> Tensor:
    return functional.pad(x, (0, order.shape[1] - x.shape[1]))


def _shuffled(x: Tensor, order: Tensor) -> Tensor:
    """P H x."""
    return walsh_hadamard(x).gather(2, order.expand(len(x), *order.shape))


def _cut(blocks: Tensor, units: int) -> Tensor:
    return blocks.flatten(1)[:, :units]


class _Multiply(torch.autograd.Function):
    """The compiled product, linear in each of its four tensors."""

    generate_vmap_rule = True  # as in `hadamard`

    @staticmethod
    def forward(
        x: Tensor, scales: Tensor, gaussians: Tensor, signs: Tensor, order: Tensor, units: int
    ) -> Tensor:
        rows, s, g, b, p = _arrays(x, scales, gaussians, signs, order)
        return torch.from_numpy(_native.fastfood(rows, units, s, g, b, p, torch.get_num_threads()))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.units = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        x, scales, gaussians, signs, order = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_compiled(error, x):  # somebody differentiates once more
            return *_gradient(error, x, scales, gaussians, signs, order), None, None
        rows, errors, s, g, b, p = _arrays(x, error, scales, gaussians, signs, order)
        dx, sums = _native.fastfood_gradient(rows, errors, s, g, b, p, torch.get_num_threads())
        return torch.from_numpy(dx), *torch.from_numpy(sums).unbind(1), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """By the product rule, a tangent at a time."""
        parts = []
        for at, tangent in enumerate(tangents[:4]):
            if tangent is not None:
                inputs: list[Any] = [*ctx.saved_tensors, ctx.units]
                inputs[at] = tangent
                parts.append(_by_steps(*inputs))
        return sum(parts[1:], parts[0])


def _arrays(*tensors: Tensor) -> list[Any]:
    """As C++ takes them."""
    return [t.detach().resolve_neg().contiguous().numpy() for t in tensors]
