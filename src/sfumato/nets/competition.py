"""Activations whose units compete: of a block or a layer of linear units only the largest say something.

Variants of the recipe's `activation`; the registry is `activations`. Units are the last axis of what they take.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ..errors import RecipeError
from ..recipe.variants import facts
from . import layer_initializers as init

__all__ = ["lwta", "maxout", "topk"]


def mean_square_of_largest(count: int) -> float:
    """Mean square of the largest of `count` independent numbers from N(0, 1): 1 for one and for two."""
    x = np.linspace(-12, 12, 24_001)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    below = np.cumsum(density) * (x[1] - x[0])
    return float((x**2 * count * density * below ** (count - 1)).sum() * (x[1] - x[0]))


def _check(function: str, name: str, value: int) -> None:
    if not 1 <= value <= 64:
        raise RecipeError(f"{function}: {name}={value} must lie in 1 ... 64")


def _start_of_blocks(
    weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, block: int, **arguments: object
) -> None:
    """`init.he` with the variance that keeps the mean square from layer to layer, block / (fan_in m), m
    being that of the largest of `block` numbers: 2 / fan_in, He's own, for blocks of two."""
    _check("lwta", "block", block)
    init.he(weight, bias, first=first, generator=generator)
    gain = math.sqrt(block / 2 / mean_square_of_largest(block))
    weight.mul_(gain)
    bias.mul_(gain)


def _start_of_pieces(
    weight: Tensor, bias: Tensor, *, first: bool, generator: Generator, pieces: int, **arguments: object
) -> None:
    """Variance 1 / (fan_in m), m the mean square of the largest of `pieces` numbers from N(0, 1): that of the
    outputs then stays (Tseran and Montufar 2023, arXiv 2301.06956, table 1). Biases as in `he`."""
    init.he(weight, bias, first=first, generator=generator)
    gain = math.sqrt(1 / 2 / mean_square_of_largest(pieces))
    weight.mul_(gain)
    bias.mul_(gain)


def _pieces(inputs: int, units: int, first: bool, *, pieces: int) -> nn.Module:
    _check("maxout", "pieces", pieces)
    return nn.Linear(inputs, pieces * units)


@facts(
    init=_start_of_blocks,
    across=True,
    boundary=False,
    native="lwta",
    native_parameter="block",
    native_values=(2, 4),
)
def lwta(x: Tensor, *, block: int = 2) -> Tensor:
    """Local winner takes all: in each block of neighbouring units the largest passes, the others are 0.

    x: (..., units). block: units of a block, 1 to 64; the last one holds what is left, and a unit alone in its
    block is linear. Of equals the one of the lower index wins. Gradients reach winners only.
    Paper: Srivastava et al. 2013, Compete to Compute (NeurIPS), section 3.
    Raises RecipeError for another block.
    """
    _check("lwta", "block", block)
    units = x.shape[-1]
    padded = functional.pad(x, (0, -units % block), value=-math.inf)
    blocks = padded.view(*padded.shape[:-1], padded.shape[-1] // block, block)
    wins = functional.one_hot(blocks.argmax(-1), block).flatten(-2)[..., :units]
    return torch.where(wins.bool(), x, x.new_zeros(()))


@facts(init=_start_of_pieces, layer=_pieces, across=True, boundary=False)
def maxout(x: Tensor, *, pieces: int = 2) -> Tensor:
    """The largest of `pieces` linear functions: each unit learns its own convex activation.

    x: (..., pieces units), a unit's pieces side by side; the result is (..., units). pieces: 1 to 64, each with
    weights of its own, so that a layer has so many times the parameters. Raises RecipeError outside.
    Paper: Goodfellow et al. 2013, arXiv 1302.4389, section 2. Layers start as in arXiv 2301.06956.
    """
    return x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces).amax(-1)


@facts(init=init.he, across=True, boundary=False)
def topk(x: Tensor, *, k: int = 25) -> Tensor:
    """The k largest units of a layer pass, the others are 0: a k-sparse code of every point.

    x: (..., units). k: at least 1, RecipeError otherwise; a layer of no more units keeps all of them and is linear.
    Gradients reach the units that pass. Paper: Makhzani and Frey 2014, arXiv 1312.5663, section 2.1 (k = 25 of
    1000 there). Layers start by `he`.
    """
    if k < 1:
        raise RecipeError(f"topk: k={k} must be at least 1")
    if k >= x.shape[-1]:
        return x.clone()
    kept = x.topk(k, dim=-1).indices
    return torch.zeros_like(x).scatter(-1, kept, x.gather(-1, kept))
