"""Networks that paint: encode, hidden layers, linear readout; every hidden layer can be handed out.

A net is built from a recipe and the number of inputs and outputs; its start depends on the recipe's seed
alone. Forward passes keep no state and need no hooks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ..data import Array
from ..errors import RecipeError
from ..recipe import Choice, Recipe, pick
from . import activations, encodings, layers, net_initializers

__all__ = ["Layer", "Net", "Units", "build", "parameter_count", "predict", "sketch", "start"]


class Layer(NamedTuple):
    """One hidden layer's values for N inputs: pre-activations and activations, both (N, units).

    sums: what the linear map gave, from which `Net.following` can go on; None where a net does not say. It is `pre`
    unless a shortcut was added to it, or units have several pieces: then `pre` is what the unit says.
    """

    pre: Tensor
    post: Tensor
    sums: Tensor | None = None


class Units(nn.Module):
    """The activation of one hidden layer with what it learns: (N, sums), encoded inputs (N, D) -> (N, units).

    Its parameters are those that the activation's `learned` fact names. Arguments of the activation's function
    beside the sums are handed over by name: `inputs` (the encoded ones), `first` (whether this is the first layer),
    or what is learned.
    """

    def __init__(self, activation: Choice, units: int, inputs: int, depth: int, first: bool) -> None:
        super().__init__()
        self._activation, self._sizes, self._first = activation, (units, inputs, depth), first
        self._learned = activation.fact("learned")
        for name, value in self._drawn(torch.Generator()).items():
            self.register_parameter(name, nn.Parameter(value))
        self._more = _further(activation) if activation.fact("across") else []

    def _drawn(self, generator: Generator) -> dict[str, Tensor]:
        if self._learned is None:
            return {}
        drawn: dict[str, Tensor] = self._learned(*self._sizes, generator, **self._activation.settings)
        return drawn

    def start(self, generator: Generator) -> None:
        """Draw what is learned anew."""
        with torch.no_grad():
            for name, value in self._drawn(generator).items():
                self.get_parameter(name).copy_(value)

    def forward(self, sums: Tensor, encoded: Tensor) -> Tensor:
        if not self._more:
            return cast(Tensor, self._activation(sums))
        known = {"inputs": encoded, "first": self._first}
        more = [known[n] if n in known else self.get_parameter(n) for n in self._more]
        return cast(Tensor, self._activation(sums, *more))


Product = Callable[[int, nn.Module, Tensor], Tensor]
"""How a linear map is applied: its index (hidden layers from 0, then the readout), the module, and its inputs."""


def _product(index: int, layer: nn.Module, value: Tensor) -> Tensor:
    return cast(Tensor, layer(value))


class Net(nn.Module):
    """Encoding, hidden layers, readout: (N, inputs) -> (N, outputs).

    Parameters are named `encoding.*`, `layers.{i}.weight`, `layers.{i}.bias`, `readout.weight`,
    `readout.bias` and, with a skip connection, `skip.weight`; activations that learn have `units.{i}.*`, and one
    may bring linear maps of its own.
    """

    def __init__(
        self,
        encoding: nn.Module,
        widths: tuple[int, ...],
        outputs: int,
        activation: Choice,
        *,
        layer: Choice,
        skip: bool = False,
        residual: int = 0,
    ) -> None:
        """layer: the linear map of hidden layers, see `layers`. residual: what enters every so many hidden layers
        is added to their last one's pre-activations (He et al. 2016, arXiv 1512.03385, equation 1, who take 2); 0 =
        never. The first layer is in no such block: it changes the width. Raises RecipeError where the widths of a
        block differ, and where an activation brings layers of its own and others are asked for."""
        super().__init__()
        self.encoding = encoding
        self.activation = activation
        self.widths, self.residual = tuple(widths), residual
        inputs = int(encoding.width)  # type: ignore[arg-type]  # every encoding has an int width
        self.dense = bool(layer.fact("plain"))
        make = activation.fact("layer")
        if make and not self.dense:
            raise RecipeError(
                f"layer={layer}: {activation.name} brings layers of its own\n"
                "hint: layer=dense, or another activation"
            )
        self.layers = nn.ModuleList(
            make(a, b, index == 0, **activation.settings) if make else layer(a, b)
            for index, (a, b) in enumerate(pairwise((inputs, *widths)))
        )
        self.units = nn.ModuleList(
            Units(activation, width, inputs, len(widths), index == 0) for index, width in enumerate(widths)
        )
        self.readout = nn.Linear(widths[-1], outputs)
        self.skip = nn.Linear(inputs, outputs, bias=False) if skip else None
        for index, one in enumerate(self.layers):
            start = self._shortcut(index)
            if start is not None and not widths[start] == widths[index] == int(one.out_features):  # type: ignore[arg-type]
                raise RecipeError(
                    f"residual={residual}: what leaves layer {start + 1} ({widths[start]} units) cannot be added "
                    f"to the pre-activations of layer {index + 1} ({one.out_features})\nhint: equal widths, 4x300"
                )

    @property
    def outputs(self) -> int:
        """C, the number of outputs."""
        return self.readout.out_features

    @property
    def parameter_count(self) -> int:
        """Numbers that are trained."""
        return sum(p.numel() for p in self.parameters())

    @property
    def spans(self) -> list[int]:
        """Values of one sample on its way through: those of the encoding, then the sums of each hidden layer."""
        sums = (layer.out_features for layer in self.layers)
        return [int(span) for span in (self.encoding.width, *sums)]  # type: ignore[arg-type]  # all have an int

    @property
    def plain(self) -> bool:
        """Whether it is linear maps with a function of one number between them, and nothing else."""
        return self.dense and not self.residual and not self.activation.fact("across")

    def fan_in(self, layer: nn.Module) -> int:
        """Inputs that one unit of a linear layer adds up, the bias not counted; readout and skip are one sum."""
        if layer is self.readout or layer is self.skip:
            return self.readout.in_features + (self.skip.in_features if self.skip is not None else 0)
        return int(layer.in_features)  # type: ignore[arg-type]  # every other layer has such a number

    def incoming(self, index: int) -> Tensor:
        """The weights by which the units of hidden layer `index` (from 0) listen: (units, inputs); of a unit of
        several linear pieces their mean."""
        weight = cast(Tensor, self.layers[index].weight)
        return weight.view(self.widths[index], -1, weight.shape[1]).mean(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoding(x))

    def head(
        self,
        encoded: Tensor,
        *,
        product: Product = _product,
        dropped: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """All that follows the encoding: (N, encoding width) -> (N, outputs).

        product: how linear maps are applied, the skip connection excepted. dropped: what becomes of each hidden
        layer's activations.
        """
        value = encoded
        for layer in self.following(encoded, product=product, dropped=dropped):
            value = layer.post
        return self.read_out(value, encoded, product=product)

    def read_out(self, value: Tensor, encoded: Tensor, *, product: Product = _product) -> Tensor:
        """The outputs (N, C): readout of the last hidden layer's activations (N, units), and the skip connection's
        share of the encoded inputs where there is one."""
        result = product(len(self.layers), self.readout, value)
        return result if self.skip is None else result + self.skip(encoded)

    def hidden(self, x: Tensor) -> Iterator[Layer]:
        """Each hidden layer's values for the inputs x (N, inputs), first layer first.

        Memory: two layers at a time, three with residual connections, if the caller keeps none.
        """
        return self.following(self.encoding(x))

    def following(
        self,
        encoded: Tensor,
        posts: Sequence[Tensor] = (),
        sums: Tensor | None = None,
        *,
        product: Product = _product,
        dropped: Callable[[Tensor], Tensor] | None = None,
    ) -> Iterator[Layer]:
        """The hidden layers behind those whose activations are `posts`, for encoded inputs (N, D).

        sums: of the first of them, if known. product, dropped: see `head`.
        """
        kept = {
            index: post for index, post in enumerate(posts) if self.residual and index % self.residual == 0
        }
        value = posts[-1] if posts else encoded
        for index in range(len(posts), len(self.layers)):
            if sums is None:
                sums = product(index, self.layers[index], value)
            start = self._shortcut(index)
            pre = sums if start is None else sums + kept.pop(start)
            value = self.units[index](pre, encoded)
            if dropped is not None:
                value = dropped(value)
            if self.residual and index % self.residual == 0:
                kept[index] = value
            yield Layer(pre if pre.shape == value.shape else value, value, sums)
            sums = None

    def _shortcut(self, index: int) -> int | None:
        """The layer whose activations are added to the pre-activations of layer `index`, both from 0."""
        ends = self.residual and index and index % self.residual == 0
        return index - self.residual if ends else None


def _further(activation: Choice) -> list[str]:
    """What an activation takes beside the sums."""
    listed = inspect.signature(activation.function).parameters.values()
    return [p.name for p in listed if p.kind is p.POSITIONAL_OR_KEYWORD][1:]


def build(recipe: Recipe, inputs: int, outputs: int, *, aspect: float = 1.0) -> Net:
    """The untrained net of a recipe, its start drawn from the recipe's seed.

    aspect: height / width of the picture, used by grids only. Raises RecipeError for a variant or an argument
    that does not exist.
    """
    encoding = _encoding(recipe, inputs, aspect)
    # Layers are filled by `start`; torch's own start must not move the global random state.
    with torch.random.fork_rng(devices=[]):
        net = _net(recipe, encoding, outputs)
    with torch.no_grad():  # an argument out of range is refused here, not in the middle of a run
        first, width = net.layers[0], int(encoding.width)  # type: ignore[arg-type]
        net.units[0](torch.zeros(1, int(first.out_features)), torch.zeros(1, width))  # type: ignore[arg-type]
    start(net, recipe)
    return net


def sketch(recipe: Recipe, inputs: int, outputs: int, *, aspect: float = 1.0) -> Net:
    """The net that `build` would make, with the shapes of all it holds and without their memory: on PyTorch's
    device `meta`, where nothing can be computed. For asking how large a net is, before it is made.

    Raises RecipeError as `build` does, an activation's argument out of range excepted.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return _net(recipe, _encoding(recipe, inputs, aspect), outputs)


def _encoding(recipe: Recipe, inputs: int, aspect: float) -> nn.Module:
    chosen = pick(encodings, recipe.encoding, "encoding")
    knows = chosen.fact("takes_aspect", False) and "aspect" not in chosen.arguments
    more = {"aspect": aspect} if knows and aspect != 1.0 else {}
    return cast(nn.Module, chosen(inputs, **more))


def _net(recipe: Recipe, encoding: nn.Module, outputs: int) -> Net:
    """The net of a recipe, whatever its weights."""
    activation = pick(activations, recipe.activation, "activation")
    layer = pick(layers, recipe.layer, "layer")
    return Net(
        encoding, recipe.net, outputs, activation, layer=layer, skip=recipe.skip, residual=recipe.residual
    )


def parameter_count(recipe: Recipe, encoding: nn.Module, outputs: int) -> int:
    """Numbers that a recipe's net on this encoding trains, those of the encoding included; its layers take no
    memory."""
    with torch.device("meta"):
        net = _net(recipe, encoding, outputs)
    return net.parameter_count


@torch.no_grad()
def start(net: Net, recipe: Recipe) -> None:
    """Draw the net's weights anew from the recipe's seed, by its `init`; see `net_initializers`."""
    generator = torch.Generator().manual_seed(recipe.seed)
    if isinstance(net.encoding, encodings.Grid):
        net.encoding.start(generator)
    for units in net.units:
        cast(Units, units).start(generator)
    pick(net_initializers, recipe.init, "init")(net, generator)


WIDEST = 1 << 25
"""Values of a layer on one tile of `predict`: 128 MB in float32."""


@torch.inference_mode()
def predict(net: Net, inputs: Array, *, tile: int = 4096) -> Array:
    """The net's outputs for many inputs, float32 (N, C), in tiles of bounded memory.

    inputs: float32 (N, inputs). tile: rows at a time, at most; fewer where a layer has more than 8192 units.
    """
    tile = max(1, min(tile, WIDEST // max(net.spans)))
    outputs = np.empty((len(inputs), net.outputs), np.float32)
    dtype = net.readout.weight.dtype
    for first in range(0, len(inputs), tile):
        part = torch.from_numpy(inputs[first : first + tile]).to(dtype)
        outputs[first : first + tile] = net(part).float().numpy()
    return outputs
