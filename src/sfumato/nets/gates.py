"""Activations that are more than a function of one number: they learn something, see the inputs, or are complex.

Variants of the recipe's `activation`; the registry is `activations`. What one needs beside the pre-activations it
names as further arguments, and `Units` of `net` hands it over: `inputs`, what the first layer sees, and what it
learns.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ..errors import RecipeError
from ..recipe.variants import facts
from . import layer_initializers as init

__all__ = ["fourier_filter", "gabor_filter", "prelu", "wire"]

Learned = dict[str, Tensor]


# PReLU -------------------------------------------------------------------------------------------------------


def _slopes(units: int, inputs: int, depth: int, generator: Generator, *, slope: float) -> Learned:
    return {"slopes": torch.full((units,), slope)}


def _start_prelu(
    weight: Tensor,
    bias: Tensor,
    *,
    first: bool,
    generator: Generator,
    slope: float,
    **arguments: object,
) -> None:
    """`init.he` with variance 2 / ((1 + slope^2) fan_in) (He et al. 2015, arXiv 1502.01852, eq. 15)."""
    init.he(weight, bias, first=first, generator=generator)
    gain = 1 / math.sqrt(1 + slope**2)
    weight.mul_(gain)
    bias.mul_(gain)


@facts(init=_start_prelu, learned=_slopes, across=True, rectifier=True, native="prelu")
def prelu(x: Tensor, slopes: Tensor, *, slope: float = 0.25) -> Tensor:
    """x where x >= 0, a slope times x elsewhere, which each unit learns.

    x: (..., units); slopes: (units,), all `slope` at the start, in [0, 1); no weight decay reaches them.
    Paper: He et al. 2015, arXiv 1502.01852, section 2.1. Raises RecipeError if slope is outside.
    """
    if not 0 <= slope < 1:
        raise RecipeError(f"prelu: slope={slope} must lie in [0, 1)")
    return torch.where(x >= 0, x, slopes * x)


# Complex Gabor wavelets ----------------------------------------------------------------------------------------


class ComplexLinear(nn.Module):
    """A complex linear map on real numbers: (N, 2 n) -> (N, 2 m), real parts first, then imaginary parts.

    Parameters `real` and `imaginary` (m, n) and `offset` (2 m): [re, im] -> [re A - im B, re B + im A] + offset.
    The first layer, whose inputs are real, has no `imaginary` and gives imaginary parts of 0. `weight` and `bias`
    are the same map as one real matrix, for reading.
    """

    def __init__(self, inputs: int, units: int, first: bool) -> None:
        super().__init__()
        half = units // 2
        self.in_features, self.out_features = inputs, units
        self.real = nn.Parameter(torch.zeros(half, inputs if first else inputs // 2))
        self.imaginary = None if first else nn.Parameter(torch.zeros(half, inputs // 2))
        self.offset = nn.Parameter(torch.zeros(half if first else units))

    @property
    def weight(self) -> Tensor:
        """(2 m, 2 n), or (2 m, n) on real inputs."""
        if self.imaginary is None:
            return torch.cat([self.real, torch.zeros_like(self.real)])
        a, b = self.real, self.imaginary
        return torch.cat([torch.cat([a, -b], 1), torch.cat([b, a], 1)])

    @property
    def bias(self) -> Tensor:
        """(2 m,)."""
        if self.imaginary is None:
            return torch.cat([self.offset, torch.zeros_like(self.offset)])
        return self.offset

    @property
    def parts(self) -> list[tuple[Tensor, Tensor]]:
        """Matrices with their biases, as initializers fill them."""
        if self.imaginary is None:
            return [(self.real, self.offset)]
        half = len(self.real)
        return [(self.real, self.offset[:half]), (self.imaginary, self.offset[half:])]

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


def _complex(inputs: int, units: int, first: bool, **arguments: object) -> nn.Module:
    if units % 2:
        raise RecipeError(
            f"wire: a layer of {units} units is odd, and they are real and imaginary parts of half as many\n"
            f"hint: {units + 1}"
        )
    return ComplexLinear(inputs, units, first)


def _complex_readout(inputs: int, **arguments: object) -> float:
    """1 / sqrt(n) for n complex inputs: PyTorch's default, which the published code keeps."""
    return 1 / math.sqrt(max(1, inputs // 2))


@facts(init=init.plain, layer=_complex, readout=_complex_readout, multiple=2, across=True, boundary=False)
def wire(x: Tensor, *, omega: float = 20.0, scale: float = 10.0) -> Tensor:
    """Complex Gabor wavelet exp(j omega z - |scale z|^2): a wave within a bump, so that it is local in space.

    x: (..., units), real parts in the first half, imaginary parts in the second; the result likewise. A net of
    4x300 so has 150 complex units a layer, whose real and imaginary parts are drawn as units of their own; the
    readout is the real part of a complex map. omega, scale: > 0, RecipeError otherwise. Layers start by `plain`, as
    the published code does. Paper: Saragadam et al. 2023, WIRE, arXiv 2301.05187, equation 3; 20 and 10 are what
    the FINER benchmark (Liu et al. 2024) takes for pictures.
    """
    for name, value in (("omega", omega), ("scale", scale)):
        if not 0 < value < math.inf:
            raise RecipeError(f"wire: {name}={value} must be greater than 0 and finite")
    real, imaginary = x.chunk(2, -1)
    size = torch.exp(-omega * imaginary - scale**2 * (real.square() + imaginary.square()))
    return torch.cat([size * torch.cos(omega * real), size * torch.sin(omega * real)], -1)


# Multiplicative filters ------------------------------------------------------------------------------------------


class Ones(nn.Linear):
    """A linear map that is held at 1, whatever comes in: the first layer of a multiplicative filter network."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units)
        del self.weight, self.bias
        self.register_buffer("weight", torch.zeros(units, inputs))
        self.register_buffer("bias", torch.ones(units))

    @property
    def parts(self) -> list[tuple[Tensor, Tensor]]:
        """Nothing to start."""
        return []


def _after_filter(inputs: int, units: int, first: bool, **arguments: object) -> nn.Module:
    return Ones(inputs, units) if first else nn.Linear(inputs, units)


def _start_filtered(
    weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, **arguments: object
) -> None:
    """Weights U(-1/sqrt(n), 1/sqrt(n)), biases likewise: `weight_scale` 1 of the published code."""
    init.plain(weight, bias, first=first, generator=generator)


def _filtered_readout(inputs: int, **arguments: object) -> float:
    """1 / sqrt(n): PyTorch's default, which the published code keeps."""
    return 1 / math.sqrt(inputs)


FILTER: dict[str, Any] = {
    "init": _start_filtered,
    "layer": _after_filter,
    "readout": _filtered_readout,
    "across": True,
    "boundary": False,
}


def _waves(units: int, inputs: int, depth: int, generator: Generator, *, scale: float) -> Learned:
    if not 0 < scale < math.inf:
        raise RecipeError(f"fourier_filter: scale={scale} must be greater than 0 and finite")
    bound = 1 / math.sqrt(inputs)
    frequencies = torch.empty(units, inputs).uniform_(-bound, bound, generator=generator)
    phases = torch.empty(units).uniform_(-math.pi, math.pi, generator=generator)
    return {"frequencies": frequencies * scale / math.sqrt(depth), "phases": phases}


def _wavelets(
    units: int,
    inputs: int,
    depth: int,
    generator: Generator,
    *,
    scale: float,
    alpha: float,
    beta: float,
) -> Learned:
    if not (0 < scale < math.inf and 0 < alpha < math.inf and 0 < beta < math.inf):
        raise RecipeError(
            f"gabor_filter: scale={scale}, alpha={alpha} and beta={beta} must be finite and above 0"
        )
    centres = torch.empty(units, inputs).uniform_(-1, 1, generator=generator)
    shapes = torch.full((units,), alpha / depth)
    widths = torch._standard_gamma(shapes, generator=generator) / beta
    made = _waves(units, inputs, depth, generator, scale=scale)
    made["frequencies"] *= widths[:, None].sqrt()
    return {**made, "centres": centres, "widths": widths}


@facts(learned=_waves, **FILTER)
def fourier_filter(
    x: Tensor, inputs: Tensor, frequencies: Tensor, phases: Tensor, *, scale: float = 256.0
) -> Tensor:
    """A linear unit times a sine of the inputs: FourierNet, a multiplicative filter network.

    x: (N, units); inputs (N, D), frequencies (units, D), phases (units,). The first layer is the filter alone.
    scale: > 0, of the frequencies of all layers together, RecipeError otherwise; 256 is for pictures of 256 x 256.
    Paper: Fathony et al. 2021, Multiplicative Filter Networks (ICLR), section 3.1, with the start of its published
    code.
    """
    return x * torch.sin(functional.linear(inputs, frequencies, phases))


@facts(learned=_wavelets, **FILTER)
def gabor_filter(
    x: Tensor,
    inputs: Tensor,
    frequencies: Tensor,
    phases: Tensor,
    centres: Tensor,
    widths: Tensor,
    *,
    scale: float = 256.0,
    alpha: float = 6.0,
    beta: float = 1.0,
) -> Tensor:
    """A linear unit times a wave within a bump of the inputs: GaborNet, a multiplicative filter network.

    As `fourier_filter`, the sine multiplied by exp(-widths |inputs - centres|^2 / 2). scale, alpha, beta: > 0;
    widths start from a Gamma distribution of shape alpha / layers and rate beta. RecipeError outside these. Paper:
    Fathony et al. 2021 (ICLR), section 3.2, with the start of its published code.
    """
    distance = (
        inputs.square().sum(-1, keepdim=True)
        + centres.square().sum(-1)
        - 2 * functional.linear(inputs, centres)
    )
    return x * torch.sin(functional.linear(inputs, frequencies, phases)) * torch.exp(-widths * distance / 2)
