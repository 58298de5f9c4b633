"""Activations of hidden layers, each beside the rule by which its weights start.

The module is the registry: every function of `__all__` is a variant of the recipe's `activation`. A function
takes a tensor of any shape and keyword parameters, and returns a tensor of the same shape. Its attribute
`init`, set by `@starts`, fills one layer's weight and bias in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..errors import RecipeError

__all__ = ["finer", "gaussian", "leaky_relu", "relu", "sigmoid", "silu", "sine", "tanh"]


class Init(Protocol):
    """Fills `weight` (fan_out, fan_in) and `bias` (fan_out) in place; `first` marks the layer on the inputs,
    `arguments` are the activation's own. Draws from `generator` alone."""

    def __call__(
        self, weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any
    ) -> None: ...


F = TypeVar("F", bound=Callable[..., Tensor])


def starts(init: Init) -> Callable[[F], F]:
    """Attach the rule by which layers with this activation start."""

    def attach(function: F) -> F:
        function.init = init  # type: ignore[attr-defined]  # a function's attribute, read by nets.start
        return function

    return attach


def he(weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any) -> None:
    """Uniform with variance 2 / fan_in (He et al. 2015, arXiv 1502.01852, equation 10), biases as below.

    The biases of the first layer put each unit's kink through a random point of the inputs' square [-1, 1]:
    b = -w.p, p uniform. With zero biases all kinks meet in the centre of the picture. Other biases are 0.
    """
    bound = math.sqrt(6 / weight.shape[1])
    weight.uniform_(-bound, bound, generator=generator)
    if first:
        points = torch.empty_like(weight).uniform_(-1, 1, generator=generator)
        bias.copy_(-(weight * points).sum(1))
    else:
        bias.zero_()


def glorot(weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any) -> None:
    """Uniform with variance 2 / (fan_in + fan_out), biases 0 (Glorot and Bengio 2010, equation 16); the first
    layer's biases are spread as in `he`."""
    bound = math.sqrt(6 / sum(weight.shape))
    if first:
        he(weight, bias, first=True, generator=generator)
    else:
        weight.uniform_(-bound, bound, generator=generator)
        bias.zero_()


def siren(
    weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, omega: float = 30.0, **arguments: Any
) -> None:
    """First layer U(-1/n, 1/n), others U(-s, s) with s = sqrt(6/n)/omega, n inputs; biases U(-1/sqrt(n),
    1/sqrt(n)) (Sitzmann et al. 2020, arXiv 2006.09661, section 3.2 and its published code)."""
    inputs = weight.shape[1]
    bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)


def finer_start(
    weight: Tensor,
    bias: Tensor,
    *,
    first: bool,
    generator: Generator,
    omega: float = 30.0,
    first_bias: float = 1.0,
    **arguments: Any,
) -> None:
    """As `siren`, but the first layer's biases are U(-k, k), k = `first_bias`: a wider range gives each unit
    a higher local frequency (Liu et al. 2024, section 3.2)."""
    siren(weight, bias, first=first, generator=generator, omega=omega)
    if first:
        bias.uniform_(-first_bias, first_bias, generator=generator)


def plain(weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any) -> None:
    """Weights and biases U(-1/sqrt(n), 1/sqrt(n)), n inputs: PyTorch's default for linear layers, which the
    published code of the Gaussian activation keeps."""
    bound = 1 / math.sqrt(weight.shape[1])
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-bound, bound, generator=generator)


@starts(he)
def relu(x: Tensor) -> Tensor:
    """Rectified linear unit, max(x, 0): the unit of the 2012 post.

    Paper: Nair and Hinton 2010. Layers start by `he`.
    """
    return functional.relu(x)


@starts(he)
def leaky_relu(x: Tensor, *, slope: float = 0.01) -> Tensor:
    """x where x >= 0, `slope` times x elsewhere, so that a unit that never fires can come back.

    slope: in [0, 1). Paper: Maas et al. 2013. Layers start by `he`. Raises RecipeError if slope is outside.
    """
    if not 0 <= slope < 1:
        raise RecipeError(f"leaky_relu: slope={slope} must lie in [0, 1)")
    return functional.leaky_relu(x, slope)


@starts(glorot)
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, in (-1, 1). Layers start by `glorot`."""
    return torch.tanh(x)


@starts(glorot)
def sigmoid(x: Tensor) -> Tensor:
    """Logistic function, in (0, 1). Layers start by `glorot`."""
    return torch.sigmoid(x)


@starts(he)
def silu(x: Tensor) -> Tensor:
    """x times its logistic function: a smooth relative of the rectifier.

    Paper: Elfwing et al. 2018, arXiv 1702.03118. Layers start by `he`.
    """
    return functional.silu(x)


@starts(siren)
def sine(x: Tensor, *, omega: float = 30.0) -> Tensor:
    """Sine of `omega` times x: one layer reaches high frequencies, so detail arrives early.

    omega: radians per unit of x, > 0; the result lies in [-1, 1]. Layers start by `siren`.
    Raises RecipeError if omega <= 0. Paper: Sitzmann et al. 2020, arXiv 2006.09661, section 3.2.
    """
    _positive("sine", "omega", omega)
    return torch.sin(omega * x)


@starts(finer_start)
def finer(x: Tensor, *, omega: float = 30.0, first_bias: float = 1.0) -> Tensor:
    """Sine whose frequency grows with |x|: sin(omega (|x| + 1) x), the factor |x| + 1 held constant in the
    backward pass, as in the authors' code.

    omega: > 0. first_bias: half width of the first layer's biases, >= 0. Raises RecipeError outside these.
    Paper: Liu et al. 2024, FINER, CVPR, equation 6. Layers start by `finer_start`.
    """
    _positive("finer", "omega", omega)
    if not 0 <= first_bias < math.inf:
        raise RecipeError(f"finer: first_bias={first_bias} must be finite and not negative")
    return torch.sin(omega * (x.detach().abs() + 1) * x)


@starts(plain)
def gaussian(x: Tensor, *, scale: float = 10.0) -> Tensor:
    """exp(-(scale x)^2): a bump around the unit's zero line, in (0, 1].

    scale: > 0, RecipeError otherwise. Paper: Ramasinghe and Lucey 2022, arXiv 2111.15135, in the form of
    Saragadam et al. 2023 (WIRE, arXiv 2301.05187). Layers start by `plain`.
    """
    _positive("gaussian", "scale", scale)
    return torch.exp(-((scale * x) ** 2))


def _positive(function: str, name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise RecipeError(f"{function}: {name}={value} must be greater than 0 and finite")
