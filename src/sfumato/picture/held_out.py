"""Which pixels a net never sees: PSNR on them is the measure of generalisation.

Each public function is a variant of the recipe's `held_out`: it takes (height, width) and returns a bool array
(height, width), True = hidden.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import RecipeError

__all__ = ["blocks", "checker", "none", "random"]

Mask = npt.NDArray[np.bool_]


def none(height: int, width: int, *, seed: int = 0) -> Mask:
    """Every pixel is trained on."""
    return np.zeros((height, width), bool)


def random(height: int, width: int, *, share: float = 0.1, seed: int = 0) -> Mask:
    """A random share of all pixels is hidden: the easiest test, since each has neighbours that are seen.

    share: in [0, 1), rounded to whole pixels; RecipeError otherwise.
    """
    _check_share(share)
    mask = np.zeros(height * width, bool)
    count = round(share * height * width)
    mask[np.random.default_rng([seed, 77]).permutation(height * width)[:count]] = True
    return mask.reshape(height, width)


def blocks(height: int, width: int, *, share: float = 0.1, size: int = 16, seed: int = 0) -> Mask:
    """Whole squares are hidden, so that the net has to invent what was there.

    The picture is cut into squares of `size` pixels (smaller at the right and lower border); about `share` of
    them are hidden. Raises RecipeError for a share outside [0, 1) or a size below 1.
    """
    _check_share(share)
    if size < 1:
        raise RecipeError(f"held_out: size={size} must be at least 1 pixel")
    down, across = -(-height // size), -(-width // size)
    hidden = random(down, across, share=share, seed=seed)
    return np.repeat(np.repeat(hidden, size, 0), size, 1)[:height, :width]


def checker(height: int, width: int, *, seed: int = 0) -> Mask:
    """Every second pixel, as on a chessboard, is hidden: [0, 0] is seen."""
    return (np.add.outer(np.arange(height), np.arange(width)) % 2).astype(bool)


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise RecipeError(f"held_out: share={share} must lie in [0, 1)")
