"""One net seen twice: by the package and by the oracle."""

from __future__ import annotations

import oracle
import torch
from oracle import Array, Model, Tensors

from sfumato.data import Data
from sfumato.engine.eager import EagerSession, prepare
from sfumato.nets import Net, build
from sfumato.nets.encodings import Blobs, Grid, Triangles, Waves
from sfumato.recipe import Recipe, parse_variant


def parameters(net: Net) -> Tensors:
    """The net's parameters in float64, for the oracle."""
    return {name: p.detach().double().numpy().copy() for name, p in net.named_parameters()}


def witness(net: Net, recipe: Recipe, data: Data) -> tuple[Model, Array]:
    """The oracle's model of the net, and the inputs as its first layer sees them (float64)."""
    x, encoding = data.inputs.astype(float), net.encoding
    uses = None
    if isinstance(encoding, Grid):
        uses = oracle.grid_uses(x, encoding.cells, (max(encoding.sizes) - 1).bit_length())
    elif isinstance(encoding, Waves):
        waves = oracle.waves(x, encoding.frequencies.double().numpy())
        x = oracle.np.concatenate([2 * x - 1, waves], 1) if encoding.identity else waves
    elif isinstance(encoding, Blobs):
        x = oracle.one_blob(x, encoding.bins)
    elif isinstance(encoding, Triangles):
        x = oracle.triangle(x, encoding.bands)
    elif recipe.encoding == "none":
        x = 2 * x - 1
    loss, loss_arguments = parse_variant(recipe.loss)
    arguments = {key: float(value) for key, value in net.activation.arguments.items()}
    model = Model(
        len(net.layers),
        net.activation.name,
        loss,
        arguments=arguments,
        loss_arguments=loss_arguments,
        uses=uses,
    )
    return model, x


def session(recipe: Recipe, data: Data, dtype: torch.dtype = torch.float32) -> tuple[Net, EagerSession]:
    """A fresh net of the recipe and an eager session on it."""
    net = build(recipe, data.inputs.shape[1], data.targets.shape[1]).to(dtype)
    return net, prepare(net, data, recipe, recipe.total_steps(data.samples))


def one_hot(data: Data) -> Data:
    """The same inputs with the brightest channel as the class."""
    hot = oracle.np.eye(data.targets.shape[1], dtype="float32")[data.targets.argmax(1)]
    return Data(data.inputs, hot, data.hidden_inputs, data.hidden_targets)
