"""The Walsh-Hadamard transform: in the compiled engine where it can be, else as products of small matrices."""

from __future__ import annotations

import contextlib
import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from .._compiled import MISSING
from ..errors import RecipeError

with contextlib.suppress(ImportError):  # then MISSING says so
    import sfumato._native as _native

__all__ = ["PRODUCTS", "is_compiled", "walsh_hadamard"]

PRODUCTS = "compiled" if MISSING is None else "PyTorch"
"""Who multiplies here. The two round differently, so a run notes it beside its engine."""


def walsh_hadamard(x: Tensor) -> Tensor:
    """The Walsh-Hadamard transform of the last axis, n = 2^k numbers, by sqrt(n): orthogonal, its own inverse.

    In natural (Sylvester's) order. Float32 on the CPU is transformed by the compiled engine where that is built:
    n log2 n operations a row, in place at about half the speed of a copy of the rows or faster, by as many threads
    as PyTorch has, which change no bit. PyTorch does all else; the two differ by rounding. Derivatives of any
    order, forward and backward, and `torch.func` work either way. Raises RecipeError for another n.
    """
    n = int(x.shape[-1])
    if n & (n - 1) or not n:
        raise RecipeError(f"the Walsh-Hadamard transform of {n} numbers: a power of two is needed")
    if is_compiled(x):
        return cast(Tensor, _Transform.apply(x))  # type: ignore[no-untyped-call]
    return _by_products(x)


def is_compiled(*tensors: Tensor) -> bool:
    """Whether the compiled engine takes these: float32 on the CPU, no stand-ins; nobody may be recording."""
    return (
        MISSING is None
        and all(
            x.dtype is torch.float32
            and x.device.type == "cpu"
            and x.layout is torch.strided
            and type(x) in (Tensor, nn.Parameter)
            and _has_memory(x)
            for x in tensors
        )
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


def _has_memory(x: Tensor) -> bool:
    """False for what `torch.func` and batched gradients put around a tensor; PyTorch's operations see it."""
    try:
        x.data_ptr()
    except RuntimeError:
        return False
    return True


class _Transform(torch.autograd.Function):
    """The compiled transform. H is symmetric, so every derivative is the transform again."""

    generate_vmap_rule = True  # asked for where a constant is transformed under `torch.vmap`

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        n = int(x.shape[-1])
        rows = x.detach().resolve_neg().contiguous().view(-1, n)
        result = torch.empty_like(
            x, memory_format=torch.contiguous_format
        )  # whole, as nobody may write to a view of one
        _native.hadamard(rows.numpy(), result.view(-1, n).numpy(), 1 / math.sqrt(n), torch.get_num_threads())
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return walsh_hadamard(gradient)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return walsh_hadamard(tangent)


def _by_products(x: Tensor) -> Tensor:
    """As H is a Kronecker product of two smaller ones, each row is a matrix that is multiplied by one from the left
    and by one from the right: 4 n sqrt(n) operations a row instead of 2 n^2, by the fastest products there are.
    """
    n = int(x.shape[-1])
    high = 1 << (n.bit_length() - 1) // 2
    left, right = (_matrix(size, x.dtype, x.device) for size in (high, n // high))
    return (left @ x.reshape(*x.shape[:-1], high, n // high) @ right).reshape(x.shape)


def _matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Sylvester's matrix of n = 2^k, divided by sqrt(n)."""
    bits = torch.arange(n, device=device)
    shared = bits[:, None] & bits
    parity = sum((shared >> at) & 1 for at in range(n.bit_length())) % 2
    return (1 - 2 * cast(Tensor, parity)).to(dtype) / math.sqrt(n)
