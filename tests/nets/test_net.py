"""Nets: names, shapes, the readout's and the 2012 program's start, and what cannot be built."""

from __future__ import annotations

import pytest
import torch
from compare import equal_bits
from twin import parameters

from sfumato.errors import RecipeError
from sfumato.nets import build
from sfumato.recipe import Recipe, named


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


def test_skip_is_a_linear_map_of_the_encoded_inputs() -> None:
    net = build(Recipe(net=(9,), skip=True, encoding="fourier:bands=4"), 2, 3)
    x = torch.rand(6, 2)
    without = net(x)
    with torch.no_grad():
        net.skip.weight.fill_(0.25)  # type: ignore[union-attr]
    difference = (net(x) - without).detach().numpy()
    expected = 0.25 * net.encoding(x).sum(1, keepdim=True).expand(-1, 3).numpy()
    assert difference == pytest.approx(expected, abs=1e-6)  # float32


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
