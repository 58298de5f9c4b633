"""What a neuron is worth: the decibels of PSNR that are lost when it is set to 0.

In the last hidden layer that is a rank-one change of the output, so all units together cost about as much as
one forward pass. In the others the layers behind are run again, but only for inputs at which the unit is not 0:
a rectifier is silent over most of the picture.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import Array
from ..nets import Layer, Net
from ..picture.metrics import psnr_of_mse
from .raster import number, sample, tensor, tile_pixels

__all__ = ["importance"]

BLOCK = 4096
"""Inputs at a time where layers are run again: each unit is active on some hundreds of them, enough work."""


@torch.no_grad()
def importance(
    net: Net, layer: int, inputs: Array, targets: Array, *, samples: int | None = None
) -> npt.NDArray[np.float64]:
    """PSNR lost, in decibels, when each unit of a hidden layer (from 1) is set to 0: (units,).

    PSNR is that of `metrics`: outputs clipped to [0, 1] against targets (N, C). samples: how many of the N
    inputs to use, a fixed random choice; None: all. Positive: the unit helps; 0 for a dead one. Raises
    RecipeError for a layer that does not exist.
    """
    last = number(layer, len(net.layers)) == len(net.layers)
    units = net.widths[layer - 1]
    chosen = sample(len(inputs), samples)
    whole = len(chosen) == len(inputs)
    squares, more = 0.0, np.zeros(units)
    size = max(64, tile_pixels(max(units, *net.widths)) // 4) if last else BLOCK
    for first in range(0, len(chosen), size):
        at = slice(first, first + size) if whole else chosen[first : first + size]
        x, wanted = tensor(net, inputs[at]), tensor(net, targets[at])
        encoded = net.encoding(x)
        layers = list(net.following(encoded))
        painted = net.read_out(layers[-1].post, encoded)
        error = (painted.clamp(0, 1) - wanted).square().double()
        squares += float(error.sum())
        if last:
            growth = _rank_one(net, layers[-1].post, painted, wanted) - float(error.sum())
            # Rounding must not give a worth to units that are 0 at all of these inputs.
            more += np.where(torch.count_nonzero(layers[-1].post, 0).cpu().numpy() > 0, growth, 0.0)
        else:
            more += _again(net, layer, layers, encoded, wanted, error.sum(1))
    values = len(chosen) * targets.shape[1]
    before = psnr_of_mse(squares / values)
    lost = [before - psnr_of_mse(max(squares + m, 0.0) / values) if m else 0.0 for m in more]
    return np.array(lost)


def _rank_one(net: Net, post: Tensor, painted: Tensor, wanted: Tensor) -> npt.NDArray[np.float64]:
    """Sum of squared errors without each unit of the last layer: painted - h_j w_j, for all j at once."""
    total = torch.zeros(post.shape[1], dtype=torch.float64, device=post.device)
    without = torch.empty_like(post)
    for channel in range(painted.shape[1]):
        torch.addcmul(painted[:, channel, None], post, net.readout.weight[channel], value=-1, out=without)
        without.clamp_(0, 1).sub_(wanted[:, channel, None])
        total += without.square_().sum(0).double()
    return total.cpu().numpy()


def _again(
    net: Net, layer: int, layers: list[Layer], encoded: Tensor, wanted: Tensor, error: Tensor
) -> npt.NDArray[np.float64]:
    """Growth of the sum of squared errors without each unit of an inner layer, the layers behind run again."""
    post, sums = layers[layer - 1].post, cast(Tensor, layers[layer].sums)
    weight: Tensor = net.layers[layer].weight  # type: ignore[assignment]  # a linear map's
    growth = np.zeros(post.shape[1])
    for unit in range(post.shape[1]):
        rows = post[:, unit].nonzero()[:, 0]
        if not len(rows):
            continue
        # Earlier activations count in residual nets alone, the unit's own 0 among them.
        posts = [one.post[rows] for one in layers[:layer]] if net.residual else [post] * layer
        if net.residual:
            posts[-1][:, unit] = 0
        less = torch.addcmul(sums[rows], post[rows, unit, None], weight[:, unit], value=-1)
        seen = encoded if net.plain and net.skip is None else encoded[rows]
        *_, behind = net.following(seen, posts, less)
        painted = net.read_out(behind.post, seen)
        new = (painted.clamp(0, 1) - wanted[rows]).square().double().sum(1)
        growth[unit] = float((new - error[rows]).sum())
    return growth
