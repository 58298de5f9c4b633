"""A reader of ten digits of 6 x 5 pixels, and fifty of them."""

from __future__ import annotations

import numpy as np

from sfumato.data import Data
from sfumato.nets import Net, build
from sfumato.recipe import Recipe

RECIPE = Recipe(task="digits", net=(30,), encoding="raw", skip=True, loss="cross_entropy")
SIDE = (6, 5)


def untrained() -> Net:
    return build(RECIPE, 30, 10)


def digits() -> Data:
    """Ten to learn and forty held out, of noise."""
    generator = np.random.default_rng(3)
    x = generator.random((50, 30), np.float32)
    y = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    facts = {"side": SIDE, "classes": tuple("0123456789"), "split": "test", "recipe": RECIPE}
    return Data(x[:10], y[:10], x[10:], y[10:], facts)
