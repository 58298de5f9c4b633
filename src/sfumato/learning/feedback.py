"""Ways back of the error: variants of the recipe's `backward`, how errors pass a linear map towards the inputs.

The gradients of weights and biases are formed as ever, from the errors that arrive. A variant is called with a
map's weights (units, inputs) and a generator, and returns a fixed matrix of that shape by which errors (N, units)
go on as (N, inputs). Facts beside it: `true`, errors go through the weights themselves, and nothing is drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from ..errors import RecipeError
from ..recipe.variants import facts

__all__ = ["backprop", "feedback_alignment"]


@facts(true=True)
def backprop(weight: Tensor, generator: Generator) -> Tensor:
    """Back-propagation: errors go back through the transposed weights."""
    return weight


def feedback_alignment(weight: Tensor, generator: Generator, *, scale: float = 1.0) -> Tensor:
    """Errors go back through a random matrix that never changes, entries from N(0, scale^2 / inputs).

    scale: > 0 and finite, RecipeError otherwise. Paper: Lillicrap et al. 2014, arXiv 1411.0247, section 2.
    """
    if not 0 < scale < math.inf:
        raise RecipeError(f"feedback_alignment: scale={scale} must be greater than 0 and finite")
    return torch.empty_like(weight).normal_(0, scale / math.sqrt(weight.shape[1]), generator=generator)
