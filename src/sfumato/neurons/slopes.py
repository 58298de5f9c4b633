"""How steep each unit's activation is where it stands, as backpropagation sees it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ..nets import Layer, Net

__all__ = ["slopes", "steepest"]


def slopes(net: Net, number: int, layer: Layer, encoded: Tensor) -> Tensor:
    """The derivative of all activations of a layer (`number` from 1) by each pre-activation: (N, units).

    encoded (N, D): what the first layer sees. Of a unit that has several pieces, the steepest one's.
    """
    return _slopes(net, number, cast(Tensor, layer.sums) if _pieces(net, number) > 1 else layer.pre, encoded)


def steepest(net: Net, number: int) -> float:
    """The largest slope that the activation of a layer has for pre-activations in [-3, 3], as size."""
    count = 6001
    at = torch.linspace(-3, 3, count, dtype=net.readout.weight.dtype)
    pieces, elementwise = _pieces(net, number), not net.activation.fact("across")
    spread = 1 if elementwise else net.widths[number - 1] * pieces
    # Where units look at each other or at the inputs all of them are tried, at fewer points and the middle of
    # the inputs.
    points = at[:, None] if elementwise else at[:: max(1, spread // 10), None].expand(-1, spread)
    encoded = at.new_zeros(len(points), int(net.encoding.width))  # type: ignore[arg-type]  # an int, see encodings
    return float(_slopes(net, number, points, encoded).abs().max())


def _pieces(net: Net, number: int) -> int:
    return int(net.layers[number - 1].out_features) // net.widths[number - 1]  # type: ignore[arg-type]  # an int


def _slopes(net: Net, number: int, at: Tensor, encoded: Tensor) -> Tensor:
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        found = torch.autograd.grad(net.units[number - 1](at, encoded).sum(), at)[0]
    pieces = _pieces(net, number)
    return found if pieces == 1 else found.view(len(found), -1, pieces).abs().amax(-1)
