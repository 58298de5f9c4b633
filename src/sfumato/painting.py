"""From a net to values: outputs for many inputs in bounded memory, by the fastest engine that can."""

from __future__ import annotations

import torch

from . import nets
from .data import Array
from .engine import native
from .nets import Net

__all__ = ["predict"]


def predict(net: Net, inputs: Array) -> Array:
    """The net's outputs for inputs (N, D), float32 (N, C), in bounded memory, by the fastest engine that can.

    Uses as many threads as PyTorch is set to. Engines differ by rounding, about 1e-7 of a value.
    """
    finite = all(bool(torch.isfinite(value).all()) for value in net.parameters())  # native refuses others
    if finite and native.can_paint(net):
        return native.predict(net, inputs, torch.get_num_threads())
    return nets.predict(net, inputs)
