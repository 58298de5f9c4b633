"""The compiled fastfood layer against PyTorch's operations in float64; these against matrices: `test_structured`.

A tolerance of float32: each of two to six transforms and products rounds its numbers by 2^-24 of their norm a stage
(`test_hadamard`), and a diagonal's gradient is a sum over at most 300 rows, at most 300 roundings more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as fwAD
from torch import Tensor

from sfumato.engine import native
from sfumato.nets import fastfood

_native = pytest.importorskip("sfumato._native", reason="the native engine is not built")

SETS = [*native.usable_sets(), "amx-emulated"]
SHAPES = [(8, 8), (5, 8), (5, 20), (8, 3), (1, 4), (1, 1), (30, 100), (500, 700)]
BOUND = 2.0**-24 * (6 * 12 + 300)


def layer(inputs: int, units: int, count: int) -> tuple[list[Tensor], Tensor]:
    """x, three diagonals; permutations."""
    random = torch.Generator().manual_seed(inputs + units)
    n = 1 << (inputs - 1).bit_length()
    blocks = -(-units // n)
    order = torch.stack([torch.randperm(n, generator=random) for _ in range(blocks)])
    shapes = [(count, inputs), *[(blocks, n)] * 3]
    return [torch.randn(shape, generator=random) for shape in shapes], order


def error_of(found: Tensor, wanted: Tensor) -> float:
    """Norm of the difference, in norms of what is wanted."""
    return float((found.detach().double() - wanted.detach()).norm() / wanted.detach().norm())


def compiled(tensors: list[Tensor], order: Tensor, errors: Tensor, **options: Any) -> list[Tensor]:
    """Outputs and the four gradients, by the module."""
    x, *diagonals = [t.numpy() for t in tensors]
    y = _native.fastfood(x, errors.shape[1], *diagonals, order.numpy(), **options)
    dx, sums = _native.fastfood_gradient(x, errors.numpy(), *diagonals, order.numpy(), **options)
    return [torch.from_numpy(a) for a in (y, dx, sums[:, 0], sums[:, 1], sums[:, 2])]


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(("inputs", "units"), SHAPES)
def test_outputs_and_gradients_are_those_of_float64(inputs: int, units: int, isa: str) -> None:
    for count in (1, 7, 40):
        tensors, order = layer(inputs, units, count)
        errors = torch.randn((count, units), generator=torch.Generator().manual_seed(1))
        leaves = [t.double().requires_grad_() for t in tensors]
        y = fastfood.multiply(*leaves, order, units)
        wanted = [y, *torch.autograd.grad(y, leaves, errors.double())]
        for found, value in zip(compiled(tensors, order, errors, isa=isa), wanted, strict=True):
            assert error_of(found, value) < BOUND


def test_threads_change_no_bit() -> None:
    tensors, order = layer(500, 700, 301)
    errors = torch.randn((301, 700), generator=torch.Generator().manual_seed(1))
    one = compiled(tensors, order, errors)
    for threads in (2, 3, 5):
        for a, b in zip(compiled(tensors, order, errors, threads=threads), one, strict=True):
            assert torch.equal(a, b)


def test_what_does_not_fit_together_is_refused() -> None:
    (x, *diagonals), order = layer(5, 12, 3)
    arrays = [t.numpy() for t in diagonals]
    twice, far = order.clone(), order.clone()
    twice[1, 0] = twice[1, 1]
    far[0, 3] = 8
    cases: list[tuple[str, Callable[[], object]]] = [
        ("permutation", lambda: _native.fastfood(x.numpy(), 12, *arrays, twice.numpy())),
        ("permutation", lambda: _native.fastfood(x.numpy(), 12, *arrays, far.numpy())),
        ("permutation", lambda: _native.fastfood(x.numpy(), 12, *arrays, far.numpy() - 9)),
        ("of 17 units", lambda: _native.fastfood(x.numpy(), 17, *arrays, order.numpy())),
        ("of 8 units", lambda: _native.fastfood(x.numpy(), 8, *arrays, order.numpy())),
        ("of 0 units", lambda: _native.fastfood(x.numpy(), 0, *arrays, order.numpy())),
        ("1 to 8 columns", lambda: _native.fastfood(np.zeros((2, 9), "f"), 12, *arrays, order.numpy())),
        (
            "differ in shape",
            lambda: _native.fastfood(x.numpy(), 12, arrays[0][:1], *arrays[1:], order.numpy()),
        ),
        ("power of two", lambda: _native.fastfood(x.numpy(), 12, *arrays, order.numpy()[:, :7].copy())),
        (
            "in length",
            lambda: _native.fastfood_gradient(x.numpy(), np.zeros((4, 12), "f"), *arrays, order.numpy()),
        ),
        ("threads", lambda: _native.fastfood(x.numpy(), 12, *arrays, order.numpy(), 0)),
    ]
    for message, act in cases:
        with pytest.raises(ValueError, match=message) as refused:
            act()
        assert "\n" not in str(refused.value)
    assert _native.fastfood(np.zeros((0, 5), "f"), 12, *arrays, order.numpy()).shape == (0, 12)
    nothing = _native.fastfood_gradient(np.zeros((0, 5), "f"), np.zeros((0, 12), "f"), *arrays, order.numpy())
    assert nothing[0].shape == (0, 5) and not nothing[1].any()


def derivatives(tensors: list[Tensor], order: Tensor, units: int) -> dict[str, Tensor]:
    """Of the sum of cubes, every way that PyTorch has."""

    def said(*inputs: Tensor) -> Tensor:
        return fastfood.multiply(*inputs, order, units)  # type: ignore[arg-type,call-arg]

    def loss(*inputs: Tensor) -> Tensor:
        return said(*inputs).pow(3).mean()

    leaves = [t.clone().requires_grad_() for t in tensors]
    found = dict(zip("xsgb", torch.autograd.grad(loss(*leaves), leaves), strict=True))
    first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    again = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
    found |= {f"second, {name}": g for name, g in zip("xsgb", again, strict=True)}
    tied = leaves[1].sum() * leaves[0]  # x depends on a diagonal
    found["tied"] = torch.autograd.grad(loss(tied, *leaves[1:]), leaves[1])[0]
    along = tuple(torch.ones_like(t) for t in tensors)
    found["forward"] = torch.func.jvp(said, tuple(tensors), along)[1]
    found["forward, x"] = torch.func.jvp(lambda x: said(x, *tensors[1:]), (tensors[0],), along[:1])[1]
    found["functional"] = torch.func.grad(loss, argnums=2)(*tensors)
    found["each row's"] = torch.func.vmap(
        torch.func.grad(lambda d, x: loss(x[None], d, *tensors[2:])), in_dims=(None, 0)
    )(tensors[1], tensors[0])
    found["layers side by side"] = torch.func.vmap(said)(*[torch.stack([t, 2 * t]) for t in tensors])
    with fwAD.dual_level():
        duals = [fwAD.make_dual(t, torch.ones_like(t)) for t in tensors]
        found["dual"] = fwAD.unpack_dual(said(*duals)).tangent
    found["constant"] = torch.func.vmap(lambda x: x + said(*tensors))(tensors[0][:, :1])
    found["batched gradients"] = torch.autograd.functional.jacobian(
        lambda x: said(x, *tensors[1:]), tensors[0], vectorize=True
    )
    return found


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, in forward mode
@pytest.mark.parametrize(("inputs", "units"), [(64, 64), (40, 150), (50, 17), (5, 20)])
def test_derivatives_of_every_kind_are_those_of_float64(inputs: int, units: int) -> None:
    tensors, order = layer(inputs, units, 4)
    wanted = derivatives([t.double() for t in tensors], order, units)
    for name, value in derivatives(tensors, order, units).items():
        assert error_of(value, wanted[name]) < 10 * BOUND, name


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, in forward mode
def test_the_gradient_by_pytorch_is_right() -> None:
    """What second derivatives go through; float64 by differences."""
    tensors, order = layer(3, 6, 2)
    leaves = [t.double().requires_grad_() for t in tensors]
    errors = torch.randn((2, 6), dtype=torch.float64)
    wanted = torch.autograd.grad(fastfood.multiply(*leaves, order, 6), leaves, errors)
    for found, value in zip(fastfood._gradient(errors, *leaves, order), wanted, strict=True):
        assert torch.allclose(found, value, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda *inputs: fastfood._by_steps(*inputs, order, 6), leaves, check_forward_ad=True
    )


def test_first_derivatives_take_the_compiled_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for name in ("fastfood", "fastfood_gradient"):
        kernel = getattr(_native, name)
        monkeypatch.setattr(_native, name, lambda *a, k=kernel, n=name: (seen.append(n), k(*a))[1])
    for inputs in (50, 5):  # the latter: too many small blocks
        tensors, order = layer(inputs, 120, 3)
        leaves = [t.requires_grad_() for t in tensors]
        fastfood.multiply(*leaves, order, 120).sum().backward()
    assert seen == ["fastfood", "fastfood_gradient"]
