"""Competing pairs: gradients against NumPy, the two tasks by hand, readouts that rest, and the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.data import Data
from sfumato.errors import RecipeError
from sfumato.nets import build
from sfumato.studies import Outcome, lwta
from sfumato.studies._running import Done
from sfumato.studies.lwta import RECIPE, TwoReadouts, forgotten, loss, part, winners


@pytest.mark.parametrize("task", [0, 1])
def test_gradients_equal_those_of_numpy(task: int) -> None:
    """Two layers of three pairs written out in float64; both sides round at 1e-16, sums are of 6 terms."""
    random = np.random.default_rng(3)
    net = TwoReadouts(build(RECIPE.replace(net=(6, 6)), 5, 3), seed=1).double()
    x, target = random.normal(size=(7, 5)), np.eye(3)[[0, 1, 2, 0, 1, 1, 2]]
    value = loss(net, (torch.from_numpy(x), torch.from_numpy(target), torch.tensor(task)))
    value.backward()
    weights = {name: p.detach().numpy() for name, p in net.named_parameters()}

    def compete(z: np.ndarray) -> np.ndarray:
        wins = np.zeros_like(z)
        for row in range(len(z)):
            for first in range(0, 6, 2):
                wins[row, first if z[row, first] >= z[row, first + 1] else first + 1] = 1
        return wins

    z1 = x @ weights["net.layers.0.weight"].T + weights["net.layers.0.bias"]
    h1 = z1 * compete(z1)
    z2 = h1 @ weights["net.layers.1.weight"].T + weights["net.layers.1.bias"]
    h2 = z2 * compete(z2)
    head = "second" if task else "net.readout"
    logits = h2 @ weights[f"{head}.weight"].T + weights[f"{head}.bias"]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (shares - target) / len(x)
    e2 = (error @ weights[f"{head}.weight"]) * compete(z2)
    e1 = (e2 @ weights["net.layers.1.weight"]) * compete(z1)
    assert np.isclose(float(value.detach()), -np.log((shares * target).sum(1)).mean(), rtol=1e-12)
    wanted = {
        "net.layers.0.weight": e1.T @ x,
        "net.layers.0.bias": e1.sum(0),
        "net.layers.1.weight": e2.T @ h1,
        "net.layers.1.bias": e2.sum(0),
        f"{head}.weight": error.T @ h2,
        f"{head}.bias": error.sum(0),
    }
    for name, parameter in net.named_parameters():
        if name in wanted:
            assert parameter.grad is not None
            assert np.allclose(parameter.grad.numpy(), wanted[name], rtol=1e-10, atol=1e-15), name
        else:
            assert parameter.grad is None, "the readout of the other task rests"


def test_the_first_readout_stays_as_the_first_task_left_it() -> None:
    """Also with momentum, which would go on moving what gets a gradient of 0."""
    recipe = RECIPE.replace(net=(8, 8), steps=20, options={"samples": 300})
    data = lwta.load("digits8x8", recipe)
    net = lwta.build(recipe, data)
    session = lwta.begin(net, data, recipe, 20)
    kept = []
    for steps in (10, 10):
        session.advance(steps)
        session.pull(net)
        kept.append([p.clone() for p in (*net.net.readout.parameters(), *net.net.layers[0].parameters())])
    (w1, b1, hidden1, _), (w2, b2, hidden2, _) = kept
    assert torch.equal(w1, w2) and torch.equal(b1, b2) and not torch.equal(hidden1, hidden2)


def test_each_task_has_its_own_digits() -> None:
    inputs, targets = np.arange(4, dtype=np.float32)[:, None], np.eye(10, dtype=np.float32)[[7, 0, 4, 5]]
    first, second = part(inputs, targets, 0), part(inputs, targets, 1)
    assert first[0].ravel().tolist() == [1, 2] and first[1].argmax(1).tolist() == [0, 4]
    assert second[0].ravel().tolist() == [0, 3] and second[1].argmax(1).tolist() == [2, 0]
    recipe = RECIPE.replace(steps=10, batch=50, options={"samples": 400})
    stream = lwta.load("digits8x8", recipe)
    assert [int(stream.draw(step)[2]) for step in range(10)] == [0] * 5 + [1] * 5
    digits: Data = stream.facts["digits"]
    for step in (0, 9):
        x, t, task = stream.draw(step)
        assert t.shape == (50, 5)
        known = part(digits.inputs, digits.targets, int(task))[0]
        assert all((known == row).all(1).any() for row in x.numpy())


def test_forgetting_is_read_off_at_the_level() -> None:
    """5-9: 90, 5 and 1 % misread; 3 % lie in the middle of the last two, where 0-4 go from 10 to 20 %."""

    def outcome(*pairs: tuple[float, float]) -> Outcome:
        lines = [{"step": i, "first_error": a, "second_error": b} for i, (a, b) in enumerate(pairs)]
        return Outcome(0, 1.0, lines)

    assert np.isclose(forgotten(outcome((0.01, 0.9), (0.1, 0.05), (0.2, 0.01))), 0.15, rtol=1e-12)
    assert np.isnan(forgotten(outcome((0.01, 0.9), (0.1, 0.05))))


def test_winner_maps_show_who_is_larger() -> None:
    net = build(RECIPE.replace(task="picture", net=(2, 2)), 2, 3)
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))  # x against 0.5
        net.layers[0].bias.copy_(torch.tensor([0.0, 0.5]))
    (shown,) = winners(net, 0, (2, 4))
    blue = shown.values[..., 2] > 0.5
    assert blue.tolist() == [[False, False, True, True]] * 2


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(RecipeError, match="halves, all"):
        lwta.load("digits8x8", RECIPE.replace(options={"digits": "odd"}))


def test_the_quick_version_forgets_while_it_learns(quick: Callable[[str], Done]) -> None:
    for name in ("competing pairs", "rectifiers"):
        outcome = quick("lwta").results[name][0]
        assert outcome["second_error"] < outcome.lines[1]["second_error"]
        assert outcome["first_error"] > outcome.lines[1]["first_error"]
