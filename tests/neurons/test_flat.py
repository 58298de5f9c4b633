"""Units that no longer learn, made by hand: dead rectifiers, saturated sigmoids, and none where all is well."""

from __future__ import annotations

import pytest
import torch

from sfumato.nets import build
from sfumato.neurons.flat import flat_shares
from sfumato.recipe import Recipe


@pytest.mark.parametrize(("activation", "bias"), [("relu", -100.0), ("tanh", 100.0), ("sigmoid", -100.0)])
def test_units_pushed_to_an_end_are_flat_and_the_others_are_not(activation: str, bias: float) -> None:
    net = build(Recipe(net=(8, 8), activation=activation, encoding="none"), 2, 3)
    with torch.no_grad():
        for layer in net.layers:
            layer.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
            layer.bias.zero_()
        net.layers[1].bias[:2] = bias
    assert flat_shares(net, 30, 20) == [0.0, 0.25]


@pytest.mark.parametrize("activation", ["sine:omega=30", "finer", "leaky_relu:slope=0.1"])
def test_what_never_stands_still_is_never_flat(activation: str) -> None:
    net = build(Recipe(net=(16, 16), activation=activation), 2, 3)
    assert flat_shares(net, 13, 17) == [0.0, 0.0]
