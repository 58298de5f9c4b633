"""Units that have fallen silent are made to fire again: the recipe's `wake`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ..nets import Net

__all__ = ["wake"]

WOKEN_SHARE = 0.02
"""Share of a minibatch on which a woken unit fires: few enough to disturb nothing, enough to learn from."""


@torch.no_grad()
def wake(net: Net, encoded: Tensor) -> None:
    """Raise the bias of each unit that is silent on the whole minibatch until it fires on WOKEN_SHARE of it.

    A rectified unit that fires nowhere gets no gradient and never comes back. Layers are woken first to last, each
    seeing what the ones before it now say. Moments are left as they are. encoded (N, D): what the first layer sees.
    """
    posts: list[Tensor] = []
    for layer, units in zip(net.layers, net.units, strict=True):
        pre, post, _ = next(net.following(encoded, posts))
        silent = pre.amax(0) <= 0
        if silent.any():
            count = max(1, int(WOKEN_SHARE * len(pre)))  # the next sample below is put on the kink itself
            shift = pre[:, silent].topk(min(count + 1, len(pre)), dim=0).values[-1]
            cast(nn.Linear, layer).bias[silent] -= shift
            pre[:, silent] -= shift
            post = units(pre, encoded)
        posts.append(post)
