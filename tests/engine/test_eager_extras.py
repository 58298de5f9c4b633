"""The specification engine where it departs from plain float32: rounding to bfloat16, dropout, waking."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compare import bound, close, equal_bits
from twin import parameters, session, witness

from sfumato import nets
from sfumato.data import Data
from sfumato.engine import eager
from sfumato.errors import RecipeError
from sfumato.recipe import Recipe

ROWS = np.arange(0, 221, 3, dtype=np.int32)


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.float().bfloat16().double()


def test_bfloat16_rounds_the_operands_of_all_layers_but_the_first(tiny: Data, recipe: Recipe) -> None:
    """Forward, against a reference that rounds where the specification says so and sums in float64."""
    changed = recipe.replace(precision="bfloat16", activation="relu", net=(31, 17))
    net, running = session(changed, tiny)
    x = torch.from_numpy(tiny.inputs).double() * 2 - 1
    first, second, last = net.layers[0], net.layers[1], net.readout
    value = torch.relu(x @ first.weight.double().T + first.bias.double())
    value = torch.relu(rounded(value) @ rounded(second.weight).T + second.bias.double())
    value = (rounded(value) @ rounded(last.weight).T + last.bias.double()).detach()
    error = (running._forward(torch.arange(221)) - value).detach().abs() / value.abs()
    # A hidden value beside a rounding boundary may go either way: 2^-8 of one of 17 terms. Most do not.
    assert error.max() < 1e-3 and error.median() < 3e-7


def test_bfloat16_gradients_of_one_product_by_hand() -> None:
    """From identical inputs: operands rounded in both directions, sums not."""
    generator = torch.Generator().manual_seed(2)
    x, weight = torch.randn(40, 9, generator=generator), torch.randn(5, 9, generator=generator)
    delta = torch.randn(40, 5, generator=generator)
    x.requires_grad_(), weight.requires_grad_()
    out = eager._RoundedProduct.apply(x, weight)
    out.backward(delta)
    same = bound("float32")
    close(out.detach().numpy(), (rounded(x) @ rounded(weight).T).detach().numpy(), **same)
    close(x.grad.numpy(), (rounded(delta) @ rounded(weight)).detach().numpy(), **same)
    close(weight.grad.numpy(), (rounded(delta).T @ rounded(x)).detach().numpy(), **same)


@pytest.mark.parametrize("activation", ["relu", "sine:omega=5", "tanh"])
def test_bfloat16_gradients_point_the_right_way(tiny: Data, recipe: Recipe, activation: str) -> None:
    """For orientation: 6e-4 to 4e-3 relative L2 from float64, 1 - cosine below 5e-6, were measured."""
    net, running = session(recipe.replace(precision="bfloat16", activation=activation), tiny)
    model, x = witness(net, recipe, tiny)
    _, gradients = running.gradient(ROWS)
    _, reference = model.gradients(parameters(net), x, tiny.targets.astype(float), ROWS.tolist())
    for name, gradient in gradients.items():
        g, r = gradient.double().numpy(), reference[name]
        assert np.linalg.norm(g - r) < 1e-2 * np.linalg.norm(r)
        assert 1 - (g * r).sum() / np.linalg.norm(g) / np.linalg.norm(r) < 5e-5


def test_dropout_drops_the_stated_shares_and_keeps_the_mean(tiny: Data, recipe: Recipe) -> None:
    generator = torch.Generator().manual_seed(0)
    value = eager._dropped(torch.ones(1000, 100), 0.2, generator)
    assert set(value.unique().tolist()) == {0.0, 1.25}
    assert abs(float((value == 0).float().mean()) - 0.2) < 0.005  # 4 standard deviations of 100,000 draws


def test_dropout_is_new_at_each_step_and_the_same_in_each_run(tiny: Data, recipe: Recipe) -> None:
    changed = recipe.replace(dropout=(0.0, 0.5), seed=(1 << 63) - 1)
    rows = torch.arange(221)
    _, running = session(changed, tiny)
    _, again = session(changed, tiny)
    first = running._forward(rows)
    equal_bits({"out": first.detach().numpy()}, {"out": again._forward(rows).detach().numpy()})
    running.step = 1
    assert not torch.equal(first, running._forward(rows))


def test_dropout_of_far_steps_is_not_that_of_another_seed(tiny: Data, recipe: Recipe) -> None:
    rows = torch.arange(221)
    net, running = session(recipe.replace(dropout=(0.0, 0.5)), tiny)
    running.step = 1 << 18
    _, other = session(recipe.replace(dropout=(0.0, 0.5), seed=1), tiny)
    other.load(net, {"step": torch.tensor(0)})
    assert not torch.equal(running._forward(rows), other._forward(rows))


def test_units_silent_on_the_minibatch_are_woken(tiny: Data, recipe: Recipe) -> None:
    here = recipe.replace(activation="relu", net=(8, 8), wake=3, steps=20, rate=1e-4)
    net = nets.build(here, 2, 3)
    with torch.no_grad():
        for layer in net.layers:
            layer.bias[2:5] = -50.0
    going = eager.prepare(net, tiny, here, 20)
    rows = torch.from_numpy(tiny.inputs[going.plan.minibatch(2)])

    def silent() -> list[int]:
        going.pull(net)
        return [int((layer.pre.amax(0) <= 0).sum()) for layer in net.hidden(rows)]

    going.advance(2)
    assert min(silent()) >= 3
    going.advance(1)
    assert silent() == [0, 0]
    assert going.plan.wakes(2) and not going.plan.wakes(3) and not going.plan.wakes(17)
    with pytest.raises(RecipeError, match="wake=3 is for rectifiers"):
        eager.prepare(nets.build(here.replace(activation="sine"), 2, 3), tiny, here, 20)
