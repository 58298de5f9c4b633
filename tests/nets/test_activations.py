"""Activations against their formulas."""

from __future__ import annotations

import inspect
import math

import oracle
import pytest
import torch
from compare import bound, close

from sfumato.errors import RecipeError
from sfumato.nets import activations, build
from sfumato.recipe import Recipe, pick, public

X = torch.linspace(-3, 3, 61, dtype=torch.float64)


@pytest.mark.parametrize(
    "text", [*oracle.ACTIVATIONS, "leaky_relu:slope=0.3", "sine:omega=4", "finer:omega=4"]
)
def test_values_are_the_formulas(text: str) -> None:
    choice = pick(activations, text)
    reference, _ = oracle.ACTIVATIONS[choice.name](X.numpy(), **choice.arguments)
    close(choice(X).numpy(), reference, **bound("float64"))


def test_values_by_hand() -> None:
    one = torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64)
    assert activations.relu(one).tolist() == [0, 0, 1]
    assert activations.leaky_relu(one, slope=0.25).tolist() == [-0.5, 0, 1]
    assert activations.gaussian(one, scale=1.0).tolist() == pytest.approx([math.exp(-4), 1, math.exp(-1)])
    assert activations.sine(one, omega=math.pi / 2).tolist() == pytest.approx([0, 0, 1], abs=1e-12)
    assert activations.finer(one, omega=1.0).tolist() == pytest.approx([math.sin(-6), 0, math.sin(2)])


def test_the_factor_of_finer_is_held_in_the_backward_pass() -> None:
    x = torch.tensor([0.5], requires_grad=True, dtype=torch.float64)
    activations.finer(x, omega=2.0).backward()
    assert float(x.grad) == pytest.approx(3 * math.cos(1.5))  # 2 (|x| + 1), and not 2 (2 |x| + 1)


@pytest.mark.parametrize(
    "text",
    ["leaky_relu:slope=1", "leaky_relu:slope=-0.1", "leaky_relu:slope=nan"]
    + [
        f"{name}={value}"
        for name in ("sine:omega", "finer:omega", "gaussian:scale")
        for value in (0, -1, "nan", "inf")
    ]
    + ["finer:first_bias=-1", "finer:first_bias=nan", "finer:first_bias=inf"],
)
def test_arguments_out_of_range_are_refused_when_the_net_is_built(text: str) -> None:
    name, argument = text.split(":")
    with pytest.raises(RecipeError, match=f"{name}: {argument.split('=')[0]}="):
        build(Recipe(net=(4,), activation=text), 2, 3)


@pytest.mark.parametrize("name", public(activations))
@pytest.mark.parametrize("fact", ["init", "layer", "learned", "readout"])
def test_defaults_of_arguments_stand_in_the_activation_alone(name: str, fact: str) -> None:
    """What is called with an activation's settings repeats none of their defaults, which could come to differ."""
    function = pick(activations, name).fact(fact)
    if function is not None:
        repeated = [
            p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty
        ]
        assert repeated == []
