"""The Walsh-Hadamard transform: PyTorch's and the compiled one against Sylvester's matrix, and against each other.

A tolerance of float32: a stage of the transform is an orthogonal map times sqrt(2) and rounds each number it makes
once, so its error is at most 2^-24 = 6e-8 of the norm of the row; there are log2 n stages, and a scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
import torch
import torch.autograd.forward_ad as fwAD
from torch import Tensor, nn

from sfumato.engine import native
from sfumato.errors import RecipeError
from sfumato.nets import hadamard
from sfumato.nets.hadamard import walsh_hadamard

_native = pytest.importorskip("sfumato._native", reason="the native engine is not built")

SETS = [*native.usable_sets(), "amx-emulated"]
SIZES = [1 << k for k in range(14)]
LARGE = [1 << 14, 1 << 17, 1 << 20]
Array = npt.NDArray[np.float32]


def error_of(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """Norm of the difference, in norms of what is wanted."""
    return float(np.linalg.norm(found.astype(float) - wanted) / np.linalg.norm(wanted))


def rounding(n: int) -> float:
    """See above."""
    return 2.0**-24 * (math.log2(n) + 2)


def rows_of(count: int, n: int) -> Array:
    return np.random.default_rng([count, n]).normal(size=(count, n)).astype(np.float32)


def transformed(rows: Array, **options: Any) -> Array:
    """By the compiled kernel, unscaled unless said."""
    into = np.full_like(rows, np.nan)
    _native.hadamard(rows, into, **options)
    return into


# By PyTorch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4, 8, 64, 128, 1024])
def test_the_transform_is_that_of_the_dense_matrix(n: int) -> None:
    """Float64; sums are of n terms of size 1."""
    x = np.random.default_rng(n).normal(size=(3, 2, n))
    wanted = x @ (scipy.linalg.hadamard(n) / np.sqrt(n)).T
    found = walsh_hadamard(torch.from_numpy(x))
    assert np.allclose(found, wanted, rtol=0, atol=1e-13 * n)
    assert np.allclose(walsh_hadamard(found), x, rtol=0, atol=1e-12), "its own inverse"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 3, 12, 1000])
def test_other_sizes_are_refused(n: int, dtype: torch.dtype) -> None:
    with pytest.raises(RecipeError, match=f"of {n} numbers: a power of two is needed"):
        walsh_hadamard(torch.zeros(2, n, dtype=dtype))


# The kernel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("n", SIZES[:12])
def test_each_instruction_set_multiplies_by_the_dense_matrix(n: int, isa: str) -> None:
    matrix = scipy.linalg.hadamard(n)
    for count in (1, 2, 3, 7, 33):
        rows = rows_of(count, n)
        assert error_of(transformed(rows, isa=isa), rows.astype(float) @ matrix) < rounding(n)
        scaled = transformed(rows, scale=0.3, isa=isa)
        assert error_of(scaled, 0.3 * rows.astype(float) @ matrix) < rounding(n)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("n", LARGE)
def test_rows_beyond_the_caches_are_those_of_float64(n: int, isa: str) -> None:
    rows = rows_of(3, n)
    wanted = walsh_hadamard(torch.from_numpy(rows.astype(float))).numpy()
    assert error_of(transformed(rows, scale=n**-0.5, isa=isa), wanted) < rounding(n)


@pytest.mark.parametrize("n", [*SIZES, *LARGE])
def test_twice_is_n_times_the_rows(n: int) -> None:
    rows = rows_of(5, n)
    twice = transformed(transformed(rows))
    assert error_of(twice, rows.astype(float) * n) < 2 * rounding(n)


@pytest.mark.parametrize("n", [*SIZES, 1 << 17])
def test_threads_places_and_instruction_sets_change_no_bit(n: int) -> None:
    """Also in place, and from and to addresses that no vector is aligned to; whoever shares takes 2^18 floats."""
    count = (1 << 19) // n + 13
    rows = rows_of(count, n)
    wanted = transformed(rows)
    for isa in SETS[:-1]:
        assert np.array_equal(transformed(rows, threads=2, isa=isa), wanted), isa
    few = rows[:3].copy()
    _native.hadamard(few, few, threads=3, isa=SETS[-1])
    assert np.array_equal(few, wanted[:3])
    for offset in (1, 3, 8):
        memory = np.zeros(rows.size + 16, np.float32)
        moved = memory[offset : offset + rows.size].reshape(rows.shape)
        moved[:] = rows
        _native.hadamard(moved, moved, threads=2)
        assert np.array_equal(moved, wanted)
        assert not memory[:offset].any() and not memory[offset + rows.size :].any(), "nothing else is written"


def test_the_kernel_refuses_what_cannot_be_meant() -> None:
    memory = np.zeros(64, np.float32)
    rows = memory[:32].reshape(4, 8)
    cases: list[tuple[str, Callable[[], object]]] = [
        ("rows of 12 numbers: a power of two is needed", lambda: transformed(rows_of(2, 12))),
        ("rows of 0 numbers", lambda: transformed(np.zeros((2, 0), np.float32))),
        ("differ in shape", lambda: _native.hadamard(rows, memory[32:].reshape(8, 4))),
        ("overlap", lambda: _native.hadamard(rows, memory[4:36].reshape(4, 8))),
        ("overlap", lambda: _native.hadamard(memory[4:36].reshape(4, 8), rows)),
        ("threads", lambda: transformed(rows, threads=0)),
        ("cannot run here", lambda: transformed(rows, isa="abacus")),
    ]
    for message, act in cases:
        with pytest.raises(ValueError, match=message) as refused:
            act()
        assert "\n" not in str(refused.value)
    for wrong in (rows.astype(float), rows.T, memory):
        with pytest.raises(TypeError):
            _native.hadamard(wrong, wrong)
    rows.flags.writeable = False
    with pytest.raises(TypeError):
        _native.hadamard(rows, rows)
    assert transformed(np.zeros((0, 8), np.float32)).shape == (0, 8)


# As PyTorch sees it -----------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that the compiled kernel was called with."""
    seen: list[tuple[int, ...]] = []
    kernel = _native.hadamard

    def watched(rows: Array, *rest: Any) -> None:
        seen.append(rows.shape)
        kernel(rows, *rest)

    monkeypatch.setattr(_native, "hadamard", watched)
    return seen


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


VIEWS: dict[str, Callable[[], Tensor]] = {
    "whole": lambda: normal(5, 16),
    "one row": lambda: normal(16),
    "more axes": lambda: normal(2, 3, 16),
    "columns": lambda: normal(16, 5).T,
    "every other": lambda: normal(5, 32)[:, ::2],
    "offset": lambda: normal(81)[1:].view(5, 16),
    "expanded": lambda: normal(1, 16).expand(5, 16),
    "negative": lambda: torch.complex(normal(5, 16), normal(5, 16)).conj().imag,
    "no rows": lambda: normal(0, 16),
    "parameter": lambda: nn.Parameter(normal(5, 16)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_any_view_is_transformed_and_left_as_it_was(name: str, calls: list[tuple[int, ...]]) -> None:
    x = VIEWS[name]()
    before = x.clone()
    found = walsh_hadamard(x)
    assert calls and found.shape == x.shape and torch.equal(x, before)
    assert torch.allclose(found.double(), walsh_hadamard(x.double()), rtol=0, atol=2e-6)  # of sums below 10


@pytest.mark.filterwarnings("ignore")  # a tracer warns of much
def test_what_is_no_plain_float32_on_the_processor_is_left_to_pytorch(calls: list[tuple[int, ...]]) -> None:
    walsh_hadamard(normal(3, 8, dtype=torch.float64))
    walsh_hadamard(normal(3, 8).bfloat16())
    walsh_hadamard(normal(3, 8).to("meta"))
    traced = torch.compile(walsh_hadamard, backend="eager", fullgraph=True)(normal(3, 8))
    record = torch.jit.trace(walsh_hadamard, normal(3, 8), check_trace=False)  # type: ignore[no-untyped-call]
    recorded = record(normal(3, 8))
    assert not calls
    found = walsh_hadamard(normal(3, 8))
    assert calls and all(torch.allclose(found, other, rtol=0, atol=1e-6) for other in (traced, recorded))


def test_without_the_compiled_engine_pytorch_does_it(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[int, ...]]
) -> None:
    x = normal(3, 8)
    wanted = walsh_hadamard(x)
    monkeypatch.setattr(hadamard, "MISSING", "it is not built here")
    calls.clear()
    assert torch.allclose(walsh_hadamard(x), wanted, rtol=0, atol=1e-6) and not calls


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, in forward mode
@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_derivatives_of_pytorchs_are_right(n: int) -> None:
    x = normal(3, n, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(walsh_hadamard, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda y: walsh_hadamard(y * y), x)


def derivatives(x: Tensor) -> dict[str, Tensor]:
    """Of sum (H x)^3, every way that PyTorch has, at x (N, n)."""

    def loss(y: Tensor) -> Tensor:
        return walsh_hadamard(y).pow(3).sum()

    leaf = x.clone().requires_grad_()
    first = torch.autograd.grad(loss(leaf), leaf, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), leaf)[0]
    along = torch.ones_like(x)
    with fwAD.dual_level():
        dual = fwAD.unpack_dual(walsh_hadamard(fwAD.make_dual(x, along))).tangent.clone()
    return {
        "dual": dual,
        "first": first.detach(),
        "second": second,
        "forward": torch.func.jvp(loss, (x,), (along,))[1],
        "of forward": torch.func.grad(lambda y: torch.func.jvp(loss, (y,), (along,))[1])(x),
        "jacobian, backward": torch.func.jacrev(walsh_hadamard)(x),
        "jacobian, forward": torch.func.jacfwd(walsh_hadamard)(x),
        "jacobian, batched": torch.autograd.functional.jacobian(walsh_hadamard, x, vectorize=True),
        "a constant": torch.func.vmap(lambda y: y + walsh_hadamard(x))(x[:, :1]),
        "each row's": torch.func.vmap(torch.func.grad(loss))(x),
        "over the second axis": torch.func.vmap(walsh_hadamard, in_dims=1)(x[:, None].expand(-1, 3, -1)),
    }


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, in forward mode
@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_derivatives_of_the_compiled_transform_are_those_of_float64(
    n: int, calls: list[tuple[int, ...]]
) -> None:
    """Each takes at most four transforms and as many products; norms, as entries may be small."""
    x = normal(5, n)
    found, wanted = derivatives(x), derivatives(x.double())
    assert calls
    for name, value in wanted.items():
        assert error_of(found[name].numpy(), value.numpy()) < 10 * rounding(n), name


def test_a_graph_keeps_nothing_and_no_value_it_needs_changes() -> None:
    x = normal(4, 8).requires_grad_()
    y = x.sin()
    found = walsh_hadamard(y)
    assert not found.grad_fn.saved_tensors  # type: ignore[union-attr]
    found.mul_(2)  # allowed: the transform needs neither its input nor its output
    found.sum().backward()
    assert x.grad is not None
    wanted = 2 * walsh_hadamard(torch.ones(4, 8, dtype=torch.float64)) * x.detach().double().cos()
    assert error_of(x.grad.numpy(), wanted.numpy()) < 10 * rounding(8)
