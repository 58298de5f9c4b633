"""Linear maps of hidden layers: variants of the recipe's `layer`, called with inputs and units.

What is no dense matrix is a `structured.Structured`.
"""

from __future__ import annotations

from torch import nn

from ..errors import RecipeError
from ..recipe.variants import facts
from .hadamard import PRODUCTS
from .structured import Fastfood, LowRank

__all__ = ["dense", "fastfood", "low_rank"]


@facts(plain=True)
def dense(inputs: int, units: int) -> nn.Module:
    """A matrix of all numbers, and a bias."""
    return nn.Linear(inputs, units)


@facts(products=PRODUCTS)
def fastfood(inputs: int, units: int, *, adaptive: bool = True, seed: int = 0) -> nn.Module:
    """Three diagonals a block of n = 2^k >= inputs units, with Walsh-Hadamard transforms between them: 3 n numbers.

    adaptive: whether the diagonals are learned. seed: of the permutations alone. Paper: Yang et al. 2015, Deep
    Fried Convnets, arXiv 1412.7149, section 3. RecipeError for a seed of more than 63 bits or below 0.
    """
    if not 0 <= seed < 1 << 63:
        raise RecipeError(f"fastfood: seed={seed} must be a whole number of at most 63 bits")
    return Fastfood(inputs, units, adaptive, seed)


def low_rank(inputs: int, units: int, *, rank: int = 16) -> nn.Module:
    """A product of two thin matrices. rank: 1 to 65,536, RecipeError otherwise."""
    if not 1 <= rank <= 1 << 16:
        raise RecipeError(f"low_rank: rank={rank} must lie in 1 ... 65536")
    return LowRank(inputs, units, rank)
