"""A small net with strong signals, and a picture of 19 rows and 14 columns for it, to test views of neurons on."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch

from sfumato import nets
from sfumato.nets import Net
from sfumato.picture import pixels
from sfumato.recipe import Recipe

H, W = 19, 14
XY = pixels.coordinates(H, W)
KINDS = ("relu", "leaky_relu:slope=0.1", "tanh", "sine:omega=8", "sigmoid")
"""Activations of every sort: rectifying, periodic, bounded, and bounded on one side of 0."""


def net(activation: str = "relu", *, skip: bool = False, outputs: int = 3) -> Net:
    some = nets.build(Recipe(net=(9, 8, 7), activation=activation, skip=skip, seed=5), 2, outputs)
    with torch.no_grad():
        for layer in some.layers:  # strong signals, so that clipping and saturation happen
            layer.weight.mul_(2.0)  # type: ignore[operator]
        if some.skip is not None:
            some.skip.weight.fill_(0.2)
    return some


def targets(outputs: int = 3) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).random((H * W, outputs), np.float32)


def painted(some: Net) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return copy.deepcopy(some).double()(torch.from_numpy(XY).double()).numpy()
