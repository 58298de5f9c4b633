"""Initializers: rules by which one layer's weight and bias start. An activation names its own (`init`)."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

__all__ = ["Init", "finer", "glorot", "he", "lecun", "orthogonal", "plain", "siren"]


class Init(Protocol):
    """Fills `weight` (fan_out, fan_in) and `bias` (fan_out) in place; `first` marks the layer on the inputs,
    `arguments` are the activation's own. Draws from `generator` alone."""

    def __call__(
        self, weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any
    ) -> None: ...


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
    weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, omega: float, **arguments: Any
) -> None:
    """First layer U(-1/n, 1/n), others U(-s, s) with s = sqrt(6/n)/omega, n inputs; biases U(-1/sqrt(n),
    1/sqrt(n)) (Sitzmann et al. 2020, arXiv 2006.09661, section 3.2 and its published code)."""
    inputs = weight.shape[1]
    bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)


def finer(
    weight: Tensor,
    bias: Tensor,
    *,
    first: bool,
    generator: Generator,
    omega: float,
    first_bias: float,
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


def lecun(weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any) -> None:
    """Uniform with variance 1 / fan_in (LeCun et al. 1998, Efficient BackProp, equation 16); biases as in `he`."""
    he(weight, bias, first=first, generator=generator)
    weight.mul_(math.sqrt(0.5))
    if first:
        bias.mul_(math.sqrt(0.5))


def orthogonal(weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: Any) -> None:
    """A random orthogonal matrix times sqrt(2), the gain of rectified units (Saxe et al. 2014, arXiv 1312.6120);
    the first layer, whose few inputs allow no such matrix of units, starts as in `he`."""
    if first:
        he(weight, bias, first=True, generator=generator)
    else:
        torch.nn.init.orthogonal_(weight, gain=math.sqrt(2), generator=generator)
        bias.zero_()
