"""Feedback alignment in whole nets: gradients against NumPy, determinism, who runs it, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato import engine, nets
from sfumato.data import Data
from sfumato.engine import eager, native
from sfumato.errors import RecipeError
from sfumato.learning.detour import fixed_matrices
from sfumato.recipe import Recipe

RECIPE = Recipe(
    net=(7, 6), activation="tanh", backward="feedback-alignment", batch=20, rate=0.03, engine="eager"
)


def some(count: int = 20) -> Data:
    random = np.random.default_rng(0)
    inputs = random.random((count, 2), np.float32)
    targets = np.stack([inputs[:, 0] ** 2, inputs[:, 1], inputs.mean(1)], 1).astype(np.float32)
    return Data(inputs, targets, np.empty((0, 2), np.float32), np.empty((0, 3), np.float32))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ["eager", *(["native"] if native.usable_sets() else [])])
def test_gradients_are_those_of_numpy(skip: bool, name: str) -> None:
    """Two hidden layers and a readout written out in float64; the session's numbers are float32."""
    data, recipe = some(), RECIPE.replace(skip=skip)
    net = nets.build(recipe, 2, 3)
    session = engine.engine(name).prepare(net, data, recipe, 10)
    b2, b3 = (matrix.numpy().astype(float) for matrix in fixed_matrices(net, recipe))
    loss, found = session.gradient(np.arange(20, dtype=np.int32))
    p = {name: value.detach().numpy().astype(float) for name, value in net.named_parameters()}
    x = 2 * data.inputs.astype(float) - 1
    h1 = np.tanh(x @ p["layers.0.weight"].T + p["layers.0.bias"])
    h2 = np.tanh(h1 @ p["layers.1.weight"].T + p["layers.1.bias"])
    said = h2 @ p["readout.weight"].T + p["readout.bias"] + (x @ p["skip.weight"].T if skip else 0)
    error = 2 * (said - data.targets) / said.size
    e2 = (error @ b3) * (1 - h2**2)
    e1 = (e2 @ b2) * (1 - h1**2)
    wanted = {"readout.weight": error.T @ h2, "readout.bias": error.sum(0), "layers.1.weight": e2.T @ h1}
    wanted |= {"layers.1.bias": e2.sum(0), "layers.0.weight": e1.T @ x, "layers.0.bias": e1.sum(0)}
    if skip:
        wanted["skip.weight"] = error.T @ x
    assert np.isclose(loss, ((said - data.targets) ** 2).mean(), rtol=1e-5) and wanted.keys() == found.keys()
    for key, gradient in wanted.items():
        assert np.allclose(found[key].numpy(), gradient, rtol=1e-4, atol=1e-6), key


def test_the_matrices_belong_to_the_seed_and_leave_the_start_alone() -> None:
    data, starts, fixed = some(), [], []
    for recipe in (RECIPE, RECIPE, RECIPE.replace(seed=1), RECIPE.replace(backward="backprop")):
        net = nets.build(recipe, 2, 3)
        starts.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
        session = eager.prepare(net, data, recipe, 10)
        fixed.append(torch.cat([m.flatten() for m in session._feedback]) if session._feedback else None)
        session.advance(3)
        if fixed[-1] is not None:
            assert torch.equal(fixed[-1], torch.cat([m.flatten() for m in session._feedback])), (
                "never changed"
            )
    assert torch.equal(starts[0], starts[3]) and fixed[3] is None
    assert fixed[0] is not None and torch.equal(fixed[0], fixed[1]) and not torch.equal(fixed[0], fixed[2])


def test_it_learns_and_goes_on_with_the_same_bits() -> None:
    data = some(200)
    session = eager.prepare(nets.build(RECIPE, 2, 3), data, RECIPE, 300)
    losses = session.advance(300)
    assert losses[-20:].mean() < 0.3 * losses[:20].mean()
    net = nets.build(RECIPE, 2, 3)
    first = eager.prepare(net, data, RECIPE, 300)
    first.advance(150)
    first.pull(net)
    second = eager.prepare(nets.build(RECIPE, 2, 3), data, RECIPE, 300)
    second.load(net, first.state())
    assert np.array_equal(second.advance(150), losses[150:])


def test_engines_that_lack_it_say_so() -> None:
    able = {"eager", *(["native"] if native.usable_sets() else [])}
    for name in engine.names():
        lacks = engine.engine(name).why_not(RECIPE)
        assert (lacks is None) == (name in able), lacks
    assert engine.settle(RECIPE.replace(engine="auto")).engine == ("native" if "native" in able else "eager")


@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16-all"])
def test_rounded_products_round_the_fixed_matrices_too(precision: str) -> None:
    data, recipe = some(), RECIPE.replace(precision=precision)
    net = nets.build(recipe, 2, 3)
    session = eager.prepare(net, data, recipe, 10)
    _, found = session.gradient(np.arange(20, dtype=np.int32))

    def rounded(values: torch.Tensor) -> torch.Tensor:
        return values.bfloat16().float()

    b2, b3 = map(rounded, session._feedback)
    x = torch.from_numpy(2 * data.inputs - 1)
    with torch.no_grad():
        first = net.layers[0]
        low = rounded(x) @ rounded(first.weight).T if precision == "bfloat16-all" else x @ first.weight.T
        h1 = torch.tanh((low.bfloat16().float() if precision == "bfloat16-all" else low) + first.bias)
        h2 = torch.tanh(rounded(h1) @ rounded(net.layers[1].weight).T + net.layers[1].bias)
        said = rounded(h2) @ rounded(net.readout.weight).T + net.readout.bias
        error = rounded(2 * (said - torch.from_numpy(data.targets)) / said.numel())
        e2 = rounded((error @ b3) * (1 - h2**2))
        e1 = (e2 @ b2) * (1 - h1**2)
    wanted = {"readout.weight": error.T @ rounded(h2), "layers.1.weight": e2.T @ rounded(h1)}
    if precision == "bfloat16":
        wanted |= {"layers.0.weight": e1.T @ x, "layers.0.bias": e1.sum(0)}
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-6), name


def test_a_scale_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(RecipeError, match="scale=0"):
        recipe = RECIPE.replace(backward="feedback_alignment:scale=0")
        eager.prepare(nets.build(recipe, 2, 3), some(), recipe, 10)
