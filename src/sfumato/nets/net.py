"""Networks that paint: encode, hidden layers, linear readout; every hidden layer can be handed out.

A net is built from a recipe and the number of inputs and outputs; its start depends on the recipe's seed
alone. Forward passes keep no state and need no hooks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Array
from ..errors import RecipeError
from ..recipe import Choice, Recipe, parse_variant, pick
from . import activations, encodings

__all__ = ["Layer", "Net", "build", "predict"]


class Layer(NamedTuple):
    """One hidden layer's values for N inputs: pre-activations and activations, both (N, units)."""

    pre: Tensor
    post: Tensor


class Net(nn.Module):
    """Encoding, hidden layers, readout: (N, inputs) -> (N, outputs).

    Parameters are named `encoding.*`, `layers.{i}.weight`, `layers.{i}.bias`, `readout.weight`,
    `readout.bias` and, with a skip connection, `skip.weight`.
    """

    def __init__(
        self,
        encoding: nn.Module,
        widths: tuple[int, ...],
        outputs: int,
        activation: Choice,
        *,
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.activation = activation
        sizes = [int(encoding.width), *widths]  # type: ignore[arg-type]  # every encoding has an int width
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.readout = nn.Linear(sizes[-1], outputs)
        self.skip = nn.Linear(sizes[0], outputs, bias=False) if skip else None

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(int(layer.out_features) for layer in self.layers)  # type: ignore[arg-type]

    @property
    def outputs(self) -> int:
        """C, the number of outputs."""
        return self.readout.out_features

    @property
    def parameter_count(self) -> int:
        """Numbers that are trained."""
        return sum(p.numel() for p in self.parameters())

    def fan_in(self, layer: nn.Module) -> int:
        """Inputs that one unit of a linear layer adds up, the bias not counted; readout and skip are one sum."""
        if layer is self.readout or layer is self.skip:
            return self.readout.in_features + (self.skip.in_features if self.skip is not None else 0)
        return int(layer.in_features)  # type: ignore[arg-type]  # every other layer is an nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoding(x))

    def head(self, encoded: Tensor) -> Tensor:
        """All that follows the encoding: (N, encoding width) -> (N, outputs)."""
        value = encoded
        for layer in self.layers:
            value = self.activation(layer(value))
        result: Tensor = self.readout(value)
        return result if self.skip is None else result + self.skip(encoded)

    def hidden(self, x: Tensor) -> Iterator[Layer]:
        """Each hidden layer's values for the inputs x (N, inputs), first layer first.

        Memory: two layers at a time, if the caller keeps none.
        """
        value = self.encoding(x)
        for layer in self.layers:
            pre = layer(value)
            value = self.activation(pre)
            yield Layer(pre, value)


def build(recipe: Recipe, inputs: int, outputs: int, *, aspect: float = 1.0) -> Net:
    """The untrained net of a recipe, its start drawn from the recipe's seed.

    aspect: height / width of the picture, used by grids only. Raises RecipeError for a variant or an argument
    that does not exist.
    """
    activation = pick(activations, recipe.activation, "activation")
    encoding_choice = pick(encodings, recipe.encoding, "encoding")
    more = {"aspect": aspect} if encoding_choice.name == "grid" and aspect != 1.0 else {}
    if "aspect" in encoding_choice.arguments:
        more = {}
    activation(torch.zeros(1))  # an argument out of range is refused here, not in the middle of a run
    encoding = encoding_choice(inputs, **more)
    # Layers are filled by `start`; torch's own start must not move the global random state.
    with torch.random.fork_rng(devices=[]):
        net = Net(encoding, recipe.net, outputs, activation, skip=recipe.skip)
    start(net, recipe)
    return net


@torch.no_grad()
def start(net: Net, recipe: Recipe) -> None:
    """Draw the net's weights anew from the recipe's seed, by its `init`.

    `published:gain=g` is the activation's own rule for hidden layers, the matrices between them multiplied by
    g (1 if not given). The readout starts from U(-s, s), s = sqrt(6/n)/omega for sines and sqrt(3/n), variance
    1/n, otherwise; its biases are 1/2, the middle of the range of colours. `gaussian:scale=k` is the 2012
    program's: weights and biases of every layer from N(0, (k / sqrt(n + 1))^2).
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    name, arguments = parse_variant(recipe.init)
    if isinstance(net.encoding, encodings.Grid):
        net.encoding.start(generator)
    linear = [m for m in (*net.layers, net.readout, net.skip) if isinstance(m, nn.Linear)]
    if name == "gaussian" and set(arguments) <= {"scale"}:
        scale = arguments.get("scale", 0.3)
        if isinstance(scale, (bool, str)) or not 0 <= scale < math.inf:
            raise RecipeError(f"init={recipe.init!r}: scale must be a finite number, not negative")
        for layer in linear:
            deviation = scale / math.sqrt(net.fan_in(layer) + 1)
            for tensor in layer.parameters():
                tensor.normal_(0, deviation, generator=generator)
        return
    gain = arguments.get("gain", 1.0)
    fine = not isinstance(gain, (bool, str)) and 0 < gain < math.inf
    if name != "published" or set(arguments) - {"gain"} or not fine:
        raise RecipeError(
            f"init={recipe.init!r} is unknown\nhint: published, published:gain=0.5 or gaussian:scale=0.3"
        )
    rule: activations.Init = getattr(net.activation.function, "init", activations.he)
    for index, layer in enumerate(linear[: len(net.layers)]):
        rule(layer.weight, layer.bias, first=index == 0, generator=generator, **net.activation.arguments)
        if index:
            layer.weight.mul_(gain)
    inputs = net.readout.in_features
    omega = net.activation.arguments.get("omega", 30.0)
    bound = (
        math.sqrt(6 / inputs) / omega if net.activation.name in ("sine", "finer") else math.sqrt(3 / inputs)
    )
    net.readout.weight.uniform_(-bound, bound, generator=generator)
    net.readout.bias.fill_(0.5)
    if net.skip is not None:
        net.skip.weight.zero_()


@torch.inference_mode()
def predict(net: Net, inputs: Array, *, tile: int = 4096) -> Array:
    """The net's outputs for many inputs, float32 (N, C), in tiles of bounded memory.

    inputs: float32 (N, inputs). tile: rows at a time; the widest layer takes tile x units x 4 bytes.
    """
    outputs = np.empty((len(inputs), net.outputs), np.float32)
    dtype = net.readout.weight.dtype
    for first in range(0, len(inputs), tile):
        part = torch.from_numpy(inputs[first : first + tile]).to(dtype)
        outputs[first : first + tile] = net(part).float().numpy()
    return outputs
