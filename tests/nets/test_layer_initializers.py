"""How a layer starts: variances, ranges and distributions of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfumato.nets import build
from sfumato.recipe import Recipe

WIDE = 400


# Starts: bounds and variances of the published rules ---------------------------------------------------------


def layer(activation: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of one layer of a wide net, first (index 0, 2 inputs) or hidden (1, WIDE inputs)."""
    net = build(Recipe(net=(WIDE, WIDE), activation=activation, seed=5), 2, 3)
    return net.layers[index].weight.detach().numpy(), net.layers[index].bias.detach().numpy()


def uniform(values: np.ndarray, half_width: float) -> None:
    """Values fill U(-h, h): within it, near both ends, mean 0 and variance h^2 / 3 (5 standard deviations)."""
    values = values.astype(float).ravel()
    n = len(values)
    assert np.abs(values).max() <= half_width * (1 + 1e-6)  # float32
    assert values.max() > half_width * (1 - 20 / n) and values.min() < -half_width * (1 - 20 / n)
    assert abs(values.mean()) < 5 * half_width / math.sqrt(3 * n)
    # The variance of x^2 / h^2 for a uniform x is 1/5 - 1/9 = 4/45.
    assert abs((values**2).mean() / half_width**2 - 1 / 3) < 5 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu"])
def test_he_has_variance_two_over_fan_in(activation: str) -> None:
    weight, bias = layer(activation, 1)
    uniform(weight, math.sqrt(6 / WIDE))
    assert weight.var() == pytest.approx(2 / WIDE, rel=0.02)  # 160,000 draws: 0.4% is two deviations
    assert not bias.any()
    uniform(layer(activation, 0)[0], math.sqrt(6 / 2))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_glorot_has_variance_two_over_fan_in_and_fan_out(activation: str) -> None:
    weight, bias = layer(activation, 1)
    uniform(weight, math.sqrt(6 / (WIDE + WIDE)))
    assert not bias.any()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "tanh", "sigmoid"])
def test_first_kinks_pass_through_the_square_and_not_all_through_its_centre(activation: str) -> None:
    """b = -w.p with p in [-1, 1]^2: the line w.x + b = 0 meets the square, at many places."""
    weight, bias = layer(activation, 0)
    reach = np.abs(weight).sum(1)
    assert (np.abs(bias) <= reach * (1 + 1e-6)).all()
    distance = bias / np.linalg.norm(weight, axis=1)
    assert 0.3 < distance.std() < 0.9 and abs(distance.mean()) < 0.2


@pytest.mark.parametrize(
    ("text", "omega"), [("sine", 30.0), ("sine:omega=10", 10.0), ("finer", 30.0), ("finer:omega=7", 7.0)]
)
def test_sines_start_by_sirens_rule(text: str, omega: float) -> None:
    first, first_bias = layer(text, 0)
    hidden, hidden_bias = layer(text, 1)
    uniform(first, 1 / 2)
    uniform(hidden, math.sqrt(6 / WIDE) / omega)
    uniform(hidden_bias, 1 / math.sqrt(WIDE))
    uniform(first_bias, 1 / math.sqrt(2) if text.startswith("sine") else 1.0)


def test_sirens_keep_their_distribution_through_the_layers() -> None:
    """Section 3.2 of the paper: pre-activations times omega have a standard deviation of about 1 at any depth."""
    net = build(Recipe(net=(256,) * 4, activation="sine"), 2, 3)
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    deviations = [float(values.pre.detach().std()) * 30 for values in net.hidden(x)][1:]
    assert all(0.8 < d < 2.5 for d in deviations)  # biases U(-1/sqrt(n)) of its code add about 1 to it


def test_he_keeps_the_size_of_the_signal() -> None:
    net = build(Recipe(net=(300,) * 6, activation="relu"), 2, 3)
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    sizes = [float(values.post.detach().square().mean()) for values in net.hidden(x)]
    assert max(sizes) / min(sizes) < 3  # a factor 2 off in the variance would be 2^5 over five layers


def test_finer_spreads_the_first_biases_as_told() -> None:
    uniform(layer("finer:first_bias=4", 0)[1], 4.0)


def test_gaussians_start_as_pytorchs_linear_layers() -> None:
    for index, inputs in ((0, 2), (1, WIDE)):
        weight, bias = layer("gaussian", index)
        uniform(weight, 1 / math.sqrt(inputs))
        uniform(bias, 1 / math.sqrt(inputs))
