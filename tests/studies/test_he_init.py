"""He's start against Xavier's: the arithmetic by hand, and the direction in the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.nets import build
from sfumato.recipe import Recipe
from sfumato.studies import he_init
from sfumato.studies._running import Done


@pytest.mark.parametrize(("init", "factor"), [("he", 1.0), ("lecun", 0.5)])
def test_a_layer_multiplies_the_mean_square_as_the_paper_says(init: str, factor: float) -> None:
    """In float64 NumPy, layer after layer, and as the net computes it: v n / 2 a layer, over 8 layers of 512.

    Tolerance: a layer of n units estimates the mean square with a relative deviation of about sqrt(5 / n) = 0.1;
    over 8 layers they add up to 0.3 in the logarithm, of which this takes three.
    """
    net = build(Recipe(net=(512,) * 9, init=init, seed=1), 2, 3).double()
    x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value, squares = net.encoding(x).numpy(), []
    for layer in net.layers:
        weight, bias = (p.detach().numpy() for p in layer.parameters())
        value = np.maximum(value @ weight.T + bias, 0)
        squares.append(float(np.mean(value**2)))
    by_net = [float(layer.post.detach().square().mean()) for layer in net.hidden(x)]
    assert np.allclose(squares, by_net, rtol=1e-12)
    assert abs(np.log(squares[-1] / squares[0]) - 8 * np.log(factor)) < 0.9


def test_the_yardstick_is_the_variance_of_the_picture() -> None:
    from sfumato import picture, samples

    values = picture.fit(samples.mona_lisa(), 10_000).values.reshape(-1, 3).astype(np.float64)
    assert abs(he_init.yardstick() - np.mean((values - values.mean(0)) ** 2)) < 1e-6


def test_the_quick_version_shows_the_order(quick: Callable[[str], Done]) -> None:
    results = quick("he_init").results
    deep = {start: results[f"{start}, 30 layers"][0]["loss"] for start in ("He", "Xavier")}
    assert deep["He"] < 0.5 * deep["Xavier"]
