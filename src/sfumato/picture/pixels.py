"""Where pixels are: the only place that converts between `[row, column]` and `(x, y)`.

A picture of H rows and W columns covers the unit square whatever its shape: x grows to the right, y downwards.
"""

from __future__ import annotations

import numpy as np

from ..data import Array
from ..errors import RecipeError

__all__ = ["coordinates", "rows"]


def coordinates(height: int, width: int, *, where: str = "centres") -> Array:
    """The (x, y) of every pixel, row by row: float32 (height * width, 2), values in [0, 1].

    where: `centres` puts pixel [row, column] at ((column + 1/2) / width, (row + 1/2) / height). `corners` is
    the 2012 program's rule, (column / (width - 1), row / (height - 1)), in which the outermost pixels lie on
    the border; a side of one pixel sits at 0.
    """
    return rows(0, height, height, width, where=where)


def rows(first: int, last: int, height: int, width: int, *, where: str = "centres") -> Array:
    """`coordinates` of the rows first <= row < last alone, so that a large picture is painted in strips."""
    if where == "centres":
        x, y = (np.arange(width) + 0.5) / width, (np.arange(first, last) + 0.5) / height
    elif where == "corners":
        x, y = np.arange(width) / max(1, width - 1), np.arange(first, last) / max(1, height - 1)
    else:
        raise RecipeError(f"coordinates={where!r} must be centres or corners")
    grid = np.empty((last - first, width, 2), np.float32)
    grid[..., 0], grid[..., 1] = x[None, :], y[:, None]
    return grid.reshape(-1, 2)
