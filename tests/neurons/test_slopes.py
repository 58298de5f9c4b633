"""Slopes of activations are what differences of the activation say, for every sort of unit."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato import nets
from sfumato.neurons.slopes import slopes, steepest
from sfumato.recipe import Recipe

X = torch.rand(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
STEP = 1e-6


def built(activation: str) -> nets.Net:
    return nets.build(Recipe(net=(6, 4), activation=activation, seed=2), 2, 3).double()


@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu:slope=0.2", "tanh", "sine:omega=9", "gelu", "prelu"]
)
def test_slopes_are_the_differences(activation: str) -> None:
    net = built(activation)
    encoded = net.encoding(X)
    for number, layer in enumerate(net.hidden(X), 1):
        found = slopes(net, number, layer, encoded)
        up, down = (net.units[number - 1](layer.pre + sign * STEP, encoded) for sign in (1, -1))
        wanted = ((up - down) / (2 * STEP)).detach()
        smooth = layer.pre.abs() > 2 * STEP  # a rectifier has no slope at its kink
        assert found.shape == layer.pre.shape
        assert torch.allclose(found[smooth], wanted[smooth], atol=1e-6 * float(wanted.abs().max()))


def test_of_a_unit_with_several_pieces_the_steepest_counts() -> None:
    net = built("maxout:pieces=3")
    layer = next(iter(net.hidden(X)))
    # The largest of three linear pieces: one of them has slope 1, the others 0.
    assert torch.equal(slopes(net, 1, layer, net.encoding(X)), torch.ones(40, 6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("activation", "size"),
    [("relu", 1.0), ("leaky_relu:slope=0.2", 1.0), ("tanh", 1.0), ("sigmoid", 0.25), ("sine:omega=9", 9.0)],
)
def test_the_steepest_is_known_by_hand(activation: str, size: float) -> None:
    assert steepest(built(activation), 1) == pytest.approx(size, rel=1e-3)
    assert steepest(built(activation), 2) == pytest.approx(size, rel=1e-3)


def test_the_steepest_of_a_bell_is_at_its_flank() -> None:
    """exp(-(s x)^2) is steepest at 1 / (s sqrt 2), by s sqrt 2 exp(-1/2)."""
    wanted = 0.5 * math.sqrt(2) * math.exp(-0.5)
    assert steepest(built("gaussian:scale=0.5"), 1) == pytest.approx(wanted, rel=1e-3)


def test_gradients_of_a_caller_are_left_alone() -> None:
    net = built("tanh")
    layer = next(iter(net.hidden(X)))
    slopes(net, 1, layer, net.encoding(X))
    with torch.no_grad():
        slopes(net, 1, layer, net.encoding(X))
        assert not torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in net.parameters())
