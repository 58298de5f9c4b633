"""Nets: names, shapes, the readout's and the 2012 program's start, and what cannot be built."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from compare import equal_bits
from conftest import picture_data
from twin import parameters

from sfumato.errors import RecipeError
from sfumato.nets import build, start, starts
from sfumato.recipe import Recipe, named, public


def test_the_classic_net_has_the_parameters_of_the_post() -> None:
    """2-300-300-300-300-3: 3 x 300 + 3 x 301 x 300 + 301 x 3."""
    net = build(named("classic"), 2, 3)
    assert net.parameter_count == 900 + 270_900 + 903
    assert net.widths == (300,) * 4 and net.outputs == 3


def test_parameters_have_their_names() -> None:
    net = build(Recipe(net=(5, 4), encoding="grid", skip=True), 2, 3)
    layers = [f"layers.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")]
    expected = ["encoding.table", *layers, "readout.weight", "readout.bias", "skip.weight"]
    assert [name for name, _ in net.named_parameters()] == expected


@pytest.mark.parametrize("outputs", [1, 3, 4, 10])
@pytest.mark.parametrize("inputs", [1, 2, 784])
def test_any_number_of_inputs_and_outputs(inputs: int, outputs: int) -> None:
    net = build(Recipe(net=(6,)), inputs, outputs)
    assert net(torch.zeros(5, inputs)).shape == (5, outputs)
    assert net(torch.zeros(0, inputs)).shape == (0, outputs)


def test_an_untrained_net_paints_the_middle_of_the_range() -> None:
    """Biases of the readout are 1/2, and a skip connection starts at 0."""
    net = build(Recipe(net=(9,), skip=True), 2, 3)
    assert net.readout.bias.tolist() == [0.5] * 3 and not net.skip.weight.any()  # type: ignore[union-attr]
    x = torch.from_numpy(picture_data(9, 9).inputs)
    values = [build(Recipe(seed=s), 2, 3)(x).detach().mean().item() for s in range(20)]
    assert abs(np.mean(values) - 0.5) < 0.25


def test_skip_is_a_linear_map_of_the_encoded_inputs() -> None:
    net = build(Recipe(net=(9,), skip=True, encoding="fourier:bands=4"), 2, 3)
    x = torch.rand(6, 2)
    without = net(x)
    with torch.no_grad():
        net.skip.weight.fill_(0.25)  # type: ignore[union-attr]
    difference = (net(x) - without).detach().numpy()
    expected = 0.25 * net.encoding(x).sum(1, keepdim=True).expand(-1, 3).numpy()
    assert difference == pytest.approx(expected, abs=1e-6)  # float32


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


@pytest.mark.parametrize("init", [*public(starts), "gaussian:scale=0.5"])
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


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    build(Recipe(net=(9,), encoding="fourier"), 2, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_of_63_bits_work() -> None:
    build(Recipe(net=(3,), seed=(1 << 63) - 1), 2, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "gausian"}, "init='gausian' is unknown"),
        ({"init": "gaussian:sigma=1"}, "gaussian has no 'sigma'"),
        *(({"init": f"published:gain={g}"}, f"gain={float(g)} must") for g in ("0", "-1", "nan", "inf")),
        ({"init": "published:gain=x"}, "gain must be float, got 'x'"),
        ({"init": "gaussian:scale=-1"}, "scale=-1.0 must be a finite number"),
        ({"init": "gaussian:scale=inf"}, "scale=inf must be a finite number"),
        ({"init": "gaussian:scale=nan"}, "scale=nan must be a finite number"),
        ({"init": "gaussian:scale=big"}, "scale must be float"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"encoding": "fourrier"}, "did you mean 'fourier'"),
    ],
)
def test_what_cannot_be_built_is_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(Recipe(net=(4,)).replace(**changes), 2, 3)


def test_a_grid_follows_the_shape_of_the_picture_unless_told() -> None:
    assert build(Recipe(encoding="grid:levels=1"), 2, 3, aspect=2.0).encoding.cells == [(8, 16)]
    assert build(Recipe(encoding="grid:levels=1,aspect=1"), 2, 3, aspect=2.0).encoding.cells == [(8, 8)]
    build(Recipe(encoding="none"), 2, 3, aspect=2.0)


def test_an_activation_of_ones_own_is_taken_and_started_like_a_rectifier() -> None:
    def swirl(x: torch.Tensor) -> torch.Tensor:
        return x * torch.cos(x)

    own = build(Recipe(net=(9,), activation=swirl), 2, 3)  # type: ignore[arg-type]
    relu = build(Recipe(net=(9,), activation="relu"), 2, 3)
    equal_bits(parameters(own), parameters(relu))
    (layer,) = own.hidden(torch.rand(4, 2))
    assert torch.equal(layer.post, swirl(layer.pre))


def test_fan_in_counts_what_one_unit_adds_up() -> None:
    net = build(Recipe(net=(9, 7), encoding="fourier:bands=4", skip=True), 2, 3)
    assert [net.fan_in(m) for m in (net.layers[0], net.layers[1])] == [8, 9]
    assert net.fan_in(net.readout) == net.fan_in(net.skip) == 7 + 8  # type: ignore[arg-type]
    assert build(Recipe(net=(9,)), 2, 3).fan_in(build(Recipe(net=(9,)), 2, 3).layers[0]) == 2


def test_the_gain_scales_the_matrices_between_hidden_layers_alone() -> None:
    whole, half = (build(Recipe(net=(9, 9, 9), init=i), 2, 3) for i in ("published", "published:gain=0.5"))
    for (name, a), b in zip(whole.named_parameters(), half.parameters(), strict=True):
        inner = name in ("layers.1.weight", "layers.2.weight")
        assert torch.equal(a * 0.5 if inner else a, b), name
    for wrong in ("published:gain=0", "published:gian=1", "published:gain=x", "glorott"):
        with pytest.raises(RecipeError, match="init"):
            build(Recipe(net=(9,), init=wrong), 2, 3)
