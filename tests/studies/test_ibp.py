"""Invariant back-propagation: losses and gradients against NumPy, gradients at inputs, the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.errors import RecipeError
from sfumato.nets import build
from sfumato.studies import ibp
from sfumato.studies._running import Done
from sfumato.studies.ibp import MOVED, RECIPE, WAYS, gradients, loss_of


@pytest.mark.parametrize("way", WAYS)
def test_losses_and_their_gradients_equal_those_of_numpy(way: str) -> None:
    """One hidden layer in float64; g by the chain rule, gradients against differences of 1e-6: rectifiers and signs
    are straight between, as no sum lies so near to 0 with this seed."""
    random = np.random.default_rng(4)
    net = build(RECIPE.replace(net=(6,)), 4, 3).double()
    x, target = random.normal(size=(5, 4)), np.eye(3)[[0, 1, 2, 0, 1]]

    def at_input(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w, b, v, c = (p.detach().numpy() for p in net.parameters())
        sums = x @ w.T + b
        logits = np.maximum(sums, 0) @ v.T + c
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return -np.log((shares * target).sum(1)), ((shares - target) @ v * (sums > 0)) @ w

    fixed = np.sign(at_input(x)[1])

    def expected() -> float:
        each, g = at_input(x)
        if way == "adversarial":
            each, _ = at_input(x + MOVED * fixed)
        penalty = {"squared": 0.5 * (g**2).sum(1), "absolute": 0.1 * np.abs(g).sum(1)}.get(way, 0.0)
        return float((each + penalty).mean())

    value = loss_of(way, net, torch.from_numpy(x), torch.from_numpy(target))
    assert np.isclose(float(value.detach()), expected(), rtol=1e-12)
    value.backward()
    for name, parameter in net.named_parameters():
        numbers, gradient = parameter.detach().numpy().reshape(-1), parameter.grad
        assert gradient is not None
        for at in (0, len(numbers) - 1):
            kept, ends = numbers[at], []
            for step in (1e-6, -1e-6):
                numbers[at] = kept + step
                ends.append(expected())
            numbers[at] = kept
            assert np.isclose(
                float(gradient.reshape(-1)[at]), (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8
            ), name


def test_a_digit_has_a_gradient_of_its_own_whatever_the_batch() -> None:
    net = build(RECIPE.replace(net=(8,)), 4, 3)
    x, target = torch.rand(6, 4), torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    together, alone = gradients(net, x, target)[1], gradients(net, x[2:3], target[2:3])[1]
    assert torch.allclose(together[2], alone[0], rtol=1e-5, atol=1e-7)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(RecipeError, match="plain, squared"):
        ibp.load("digits8x8", RECIPE.replace(options={"way": "cubed"}))


def test_the_quick_version_is_flatter_with_the_penalty(quick: Callable[[str], Done]) -> None:
    results = quick("ibp").results
    assert results["squared"][0]["moved"] < results["plain"][0]["moved"]
