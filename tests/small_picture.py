"""A small picture that is not square, whose pixels no batch divides, and `paint`'s flags for a run of a moment."""

from __future__ import annotations

import numpy as np

from sfumato.data import Array, Data
from sfumato.picture.pixels import coordinates

HEIGHT, WIDTH, BATCH = 13, 17, 48
"""221 pixels in batches of 48: a partial batch, and an epoch's end within 8 steps."""

FAST = [
    "--net",
    "8",
    "--epochs",
    "2",
    "--batch",
    "32",
    "--engine",
    "eager",
    "--film",
    "none",
    "--frames",
    "3",
]
"""Flags of `paint` for a run of a moment."""


def colours(height: int, width: int, channels: int = 3) -> Array:
    """A smooth picture with some detail and no symmetry, from formulas alone: float32 (H W, C) in [0, 1]."""
    x, y = coordinates(height, width).astype(np.float64).T
    waves = [
        0.3 + 0.6 * x * y,
        0.5 + 0.4 * np.sin(9 * x - 4 * y),
        0.5 + 0.3 * np.cos(11 * y + 2 * x),
        x * (1 - y),
    ]
    return np.stack(waves[:channels], 1).astype(np.float32)


def picture_data(height: int, width: int, channels: int = 3) -> Data:
    """Every pixel of `colours` as a training sample."""
    inputs = coordinates(height, width)
    empty = np.empty((0, 2), np.float32), np.empty((0, channels), np.float32)
    return Data(inputs, colours(height, width, channels), *empty)
