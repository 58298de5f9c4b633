"""Feedback alignment: its gradients against NumPy, its angle by hand, and the direction in the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from sfumato.errors import RecipeError
from sfumato.studies import feedback_alignment
from sfumato.studies._running import Done
from sfumato.studies.feedback_alignment import RECIPE, WAYS, Net, angle


@pytest.mark.parametrize("way", WAYS)
def test_gradients_equal_those_of_numpy(way: str) -> None:
    """Forward and backward written out in float64; both sides round at 1e-16, sums are of 7 terms."""
    random = np.random.default_rng(1)
    net = Net(5, 7, 3, way, seed=2).double()
    x, target = random.normal(size=(6, 5)), np.eye(3)[[0, 1, 2, 0, 1, 1]]
    loss = functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(target))
    loss.backward()
    w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
    hidden = np.tanh(x @ w1.T + b1)
    logits = hidden @ w2.T + b2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (shares - target) / len(x)
    back = {"backprop": w2, "feedback": net.feedback.numpy(), "frozen": 0 * w2, "flipped": -w2}[way]
    inside = (error @ back) * (1 - hidden**2)
    assert np.isclose(float(loss.detach()), -np.log((shares * target).sum(1)).mean(), rtol=1e-12)
    wanted = [inside.T @ x, inside.sum(0), error.T @ hidden, error.sum(0)]
    for parameter, gradient in zip(net.parameters(), wanted, strict=True):
        found = np.zeros_like(gradient) if parameter.grad is None else parameter.grad.numpy()
        assert np.allclose(found, gradient, rtol=1e-10, atol=1e-15)


def test_the_angle_is_zero_for_agreeing_and_a_right_one_for_crossed_feedback() -> None:
    net = Net(4, 4, 2, "feedback", seed=0)
    x, target = torch.ones(1, 4), torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        net.second.weight.copy_(net.feedback)
        assert angle(net, x, target) < 0.1  # arccos loses half of float32's digits near 1
        net.second.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]))
        net.feedback.copy_(torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]]))
        assert abs(angle(net, x, target) - 90) < 1e-4


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(RecipeError, match="backprop, feedback"):
        feedback_alignment.load("digits8x8", RECIPE.replace(options={"way": "sideways"}))


def test_the_quick_version_shows_the_order(quick: Callable[[str], Done]) -> None:
    results = quick("feedback_alignment").results
    error = {name: outcomes[0]["test_error"] for name, outcomes in results.items()}
    assert error["feedback alignment"] < error["sign turned"] - 0.3
    angles = results["feedback alignment"][0].curve("angle")
    assert abs(angles[0] - 90) < 10 and angles[-1] < 70
