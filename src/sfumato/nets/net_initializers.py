"""How a net starts: variants of the recipe's `init`, from a net and a generator to drawn weights.

The readout starts from U(-s, s), s = sqrt(3/n) and variance 1/n unless the activation says otherwise; its biases
are 1/2, the middle of the range of colours; a skip connection starts at 0. `gaussian` alone has its own rule for
every layer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator

from ..errors import RecipeError
from . import layer_initializers as initializers
from .structured import Structured

if TYPE_CHECKING:
    from .net import Net

__all__ = ["gaussian", "glorot", "he", "lecun", "orthogonal", "published"]


def published(net: Net, generator: Generator, *, gain: float = 1.0) -> None:
    """The activation's own rule for hidden layers, the matrices between them multiplied by `gain`.

    gain: > 0 and finite, RecipeError otherwise.
    """
    _fill(net, net.activation.fact("init", initializers.he), generator, gain)


def he(net: Net, generator: Generator, *, gain: float = 1.0) -> None:
    """By `initializers.he` for hidden layers, whatever the activation: variance 2 / fan_in (arXiv 1502.01852)."""
    _fill(net, initializers.he, generator, gain)


def glorot(net: Net, generator: Generator, *, gain: float = 1.0) -> None:
    """By `initializers.glorot`, also called Xavier: variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    _fill(net, initializers.glorot, generator, gain)


def lecun(net: Net, generator: Generator, *, gain: float = 1.0) -> None:
    """By `initializers.lecun`: variance 1 / fan_in (LeCun et al. 1998)."""
    _fill(net, initializers.lecun, generator, gain)


def orthogonal(net: Net, generator: Generator, *, gain: float = 1.0) -> None:
    """By `initializers.orthogonal`: orthogonal matrices between hidden layers (Saxe et al. 2014)."""
    _fill(net, initializers.orthogonal, generator, gain)


def gaussian(net: Net, generator: Generator, *, scale: float = 0.3) -> None:
    """The 2012 program's: weights and biases of every layer from N(0, (scale / sqrt(n + 1))^2), n its inputs.

    scale: finite, not negative, RecipeError otherwise.
    """
    if not 0 <= scale < math.inf:
        raise RecipeError(f"init=gaussian: scale={scale} must be a finite number, not negative")
    if not net.dense:
        raise RecipeError(
            "init=gaussian draws dense layers alone\nhint: --set init=published, or layer=dense"
        )
    for layer in [*net.layers, net.readout, *([net.skip] if net.skip is not None else [])]:
        deviation = scale / math.sqrt(net.fan_in(layer) + 1)
        for tensor in layer.parameters():
            tensor.normal_(0, deviation, generator=generator)


def _fill(net: Net, rule: initializers.Init, generator: Generator, gain: float) -> None:
    if not 0 < gain < math.inf:
        raise RecipeError(f"init: gain={gain} must be greater than 0 and finite")
    arguments = net.activation.settings
    for index, layer in enumerate(net.layers):
        own: Any = layer
        if isinstance(layer, Structured):  # as large as the rule makes a dense matrix
            dense = torch.empty(layer.out_features, layer.in_features)
            rule(dense, layer.bias, first=index == 0, generator=generator, **arguments)
            layer.begin(float(dense.square().mean().sqrt()) * (gain if index else 1), generator)
            continue
        # A linear map that is none of PyTorch's says which matrices it has.
        for weight, bias in own.parts if hasattr(own, "parts") else [(own.weight, own.bias)]:
            rule(weight, bias, first=index == 0, generator=generator, **arguments)
            if index:
                weight.mul_(gain)
    inputs = net.readout.in_features
    own = net.activation.fact("readout")
    bound = own(inputs, **arguments) if own else math.sqrt(3 / inputs)
    net.readout.weight.uniform_(-bound, bound, generator=generator)
    net.readout.bias.fill_(0.5)
    if net.skip is not None:
        net.skip.weight.zero_()
