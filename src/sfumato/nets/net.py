"""Networks that paint: encode, hidden layers, linear readout; every hidden layer can be handed out.

A net is built from a recipe and the number of inputs and outputs; its start depends on the recipe's seed
alone. Forward passes keep no state and need no hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Array
from ..recipe import Choice, Recipe, pick
from . import activations, encodings, starts

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
    knows = encoding_choice.fact("takes_aspect", False) and "aspect" not in encoding_choice.arguments
    more = {"aspect": aspect} if knows and aspect != 1.0 else {}
    activation(torch.zeros(1))  # an argument out of range is refused here, not in the middle of a run
    encoding = encoding_choice(inputs, **more)
    # Layers are filled by `start`; torch's own start must not move the global random state.
    with torch.random.fork_rng(devices=[]):
        net = Net(encoding, recipe.net, outputs, activation, skip=recipe.skip)
    start(net, recipe)
    return net


@torch.no_grad()
def start(net: Net, recipe: Recipe) -> None:
    """Draw the net's weights anew from the recipe's seed, by its `init`; see `starts`."""
    generator = torch.Generator().manual_seed(recipe.seed)
    if isinstance(net.encoding, encodings.Grid):
        net.encoding.start(generator)
    pick(starts, recipe.init, "init")(net, generator)


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
