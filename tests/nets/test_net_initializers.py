"""How a whole net starts, by the recipe's `init`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from compare import equal_bits
from small_picture import picture_data
from twin import parameters

from sfumato.errors import RecipeError
from sfumato.nets import build, net_initializers, start
from sfumato.recipe import Recipe, named, public


def test_an_untrained_net_paints_the_middle_of_the_range() -> None:
    """Biases of the readout are 1/2, and a skip connection starts at 0."""
    net = build(Recipe(net=(9,), skip=True), 2, 3)
    assert net.readout.bias.tolist() == [0.5] * 3 and not net.skip.weight.any()  # type: ignore[union-attr]
    x = torch.from_numpy(picture_data(9, 9).inputs)
    values = [build(Recipe(seed=s), 2, 3)(x).detach().mean().item() for s in range(20)]
    assert abs(np.mean(values) - 0.5) < 0.25


@pytest.mark.parametrize(
    ("activation", "bound"),
    [
        *(("relu", math.sqrt(3 / 400)), ("gaussian", math.sqrt(3 / 400)), ("sine", math.sqrt(6 / 400) / 30)),
        *(("sine:omega=10", math.sqrt(6 / 400) / 10), ("finer:omega=10", math.sqrt(6 / 400) / 10)),
    ],
)
def test_the_readout_starts_within_its_bound(activation: str, bound: float) -> None:
    weight = build(Recipe(net=(400,), activation=activation), 2, 10).readout.weight.detach()
    assert 0.99 * bound < float(weight.abs().max()) <= bound * (1 + 1e-6)
    deviation = bound / math.sqrt(3)
    assert float(weight.std()) == pytest.approx(deviation, rel=0.05)  # 4,000 draws: 0.7% a deviation


def test_the_gain_shrinks_matrices_between_hidden_layers_alone() -> None:
    recipe = Recipe(net=(9, 8, 7), activation="relu")
    whole, half = (
        parameters(build(recipe.replace(init=i), 2, 3)) for i in ("published", "published:gain=0.5")
    )
    for name in whole:
        factor = 0.5 if name in ("layers.1.weight", "layers.2.weight") else 1.0
        assert np.array_equal(half[name], factor * whole[name])


def test_the_program_of_2012_starts_normal_and_biased_alike() -> None:
    """Weights and biases of every layer N(0, (0.3 / sqrt(n + 1))^2), n its inputs."""
    net = build(named("2012"), 2, 3)
    for layer in (*list(net.layers)[1:], net.readout):
        weight = layer.weight.detach().double().numpy()  # type: ignore[union-attr,operator]
        deviation = 0.3 / math.sqrt(weight.shape[1] + 1)
        assert weight.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * weight.size))  # 5 deviations
        assert abs(weight.mean()) < 5 * deviation / math.sqrt(weight.size)
        kurtosis = ((weight / deviation) ** 4).mean()
        assert abs(kurtosis - 3) < 5 * math.sqrt(96 / weight.size)
    first = net.layers[0]
    assert float(first.weight.detach().std()) == pytest.approx(0.3 / math.sqrt(3), rel=0.15)  # type: ignore[union-attr,operator]
    assert float(first.bias.detach().std()) == pytest.approx(0.3 / math.sqrt(3), rel=0.21)  # type: ignore[union-attr,operator]


def test_the_scale_of_the_gaussian_start_is_the_recipes() -> None:
    a, b = (build(Recipe(net=(9,), init=f"gaussian:scale={k}"), 2, 3) for k in (0.25, 1))
    for name, value in parameters(a).items():
        assert value * 4 == pytest.approx(parameters(b)[name], rel=1e-6)  # the same draws, float32


@pytest.mark.parametrize("init", [*public(net_initializers), "gaussian:scale=0.5"])
def test_the_start_depends_on_the_seed_alone(init: str) -> None:
    recipe = Recipe(net=(9, 9), init=init, encoding="grid", skip=True, seed=3)
    net = build(recipe, 2, 3)
    torch.manual_seed(1234)
    torch.rand(5)
    equal_bits(parameters(net), parameters(build(recipe, 2, 3)))
    trained = build(recipe.replace(seed=4), 2, 3)
    weights = parameters(trained)
    assert all((weights[n] != v).any() for n, v in parameters(net).items() if n.endswith("layers.0.weight"))
    start(trained, recipe)
    equal_bits(parameters(trained), parameters(net))


def test_the_gain_scales_the_matrices_between_hidden_layers_alone() -> None:
    whole, half = (build(Recipe(net=(9, 9, 9), init=i), 2, 3) for i in ("published", "published:gain=0.5"))
    for (name, a), b in zip(whole.named_parameters(), half.parameters(), strict=True):
        inner = name in ("layers.1.weight", "layers.2.weight")
        assert torch.equal(a * 0.5 if inner else a, b), name
    for wrong in ("published:gain=0", "published:gian=1", "published:gain=x", "glorott"):
        with pytest.raises(RecipeError, match="init"):
            build(Recipe(net=(9,), init=wrong), 2, 3)
