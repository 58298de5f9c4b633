"""Curricula: how hard the samples of a step are, from how much of the training is over.

The module is the registry, as of losses: a function takes the share of the budget that is over, in [0, 1], and a
generator to draw from, and returns a share of the full difficulty in (0, 1]. They are functions of the step alone,
so that resuming sees the same samples; curricula that wait for an accuracy are not among them.
"""

from __future__ import annotations

import numpy as np

from ..errors import RecipeError

__all__ = ["combined", "fixed", "mixed", "rising"]


def fixed(share: float, random: np.random.Generator) -> float:
    """Full difficulty from the beginning."""
    return 1.0


def rising(share: float, random: np.random.Generator, *, until: float = 0.5) -> float:
    """Difficulty rises linearly from nothing and is full at the share `until`, in (0, 1].

    RecipeError otherwise.
    """
    if not 0 < until <= 1:
        raise RecipeError(f"curriculum=rising: until={until} must lie in (0, 1]")
    return float(max(1e-9, min(1.0, share / until)))


def mixed(share: float, random: np.random.Generator) -> float:
    """Every difficulty alike, drawn anew for each batch."""
    return float(1 - random.random())


def combined(share: float, random: np.random.Generator, *, until: float = 0.5, mixing: float = 0.2) -> float:
    """`rising`, but a share `mixing` of the batches are `mixed`.

    Paper: Zaremba and Sutskever 2014, arXiv 1410.4615, section 4, whose own curriculum waits for an accuracy.
    """
    return mixed(share, random) if random.random() < mixing else rising(share, random, until=until)
