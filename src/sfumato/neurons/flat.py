"""Units that no longer learn: whose activation is flat wherever one looks, so that no gradient passes through them.

Of rectifiers these are the dead units, of tanh and sigmoid the saturated ones.
"""

from __future__ import annotations

import math

import torch

from ..nets import Net
from ..picture import pixels
from .raster import tensor
from .slopes import slopes

__all__ = ["flat_shares"]


@torch.no_grad()
def flat_shares(net: Net, height: int, width: int, *, where: str = "centres") -> list[float]:
    """For each hidden layer the share of units, in [0, 1], that are flat on a picture of height x width.

    Flat: the slope is below 2 % of the steepest in its layer on 99 % of about 400 pixels.
    """
    across = max(2, round(math.sqrt(400 * width / height)))
    down = max(2, round(400 / across))
    shares = []
    encoded = net.encoding(tensor(net, pixels.coordinates(down, across, where=where)))
    for number, layer in enumerate(net.following(encoded), 1):
        slope = slopes(net, number, layer, encoded).abs()
        flat = slope < 0.02 * slope.max()
        shares.append(float((flat.float().mean(0) >= 0.99).float().mean()))
    return shares
