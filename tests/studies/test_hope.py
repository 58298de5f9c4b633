"""HOPE: its net and penalty against float64 NumPy, the drawn digits by hand, the order in the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from sfumato import RecipeError, TaskError
from sfumato.studies import hope
from sfumato.studies._running import Done


def slow_overlap(rows: np.ndarray) -> tuple[float, np.ndarray]:
    """D(U) pair by pair, and its gradient: d cos(a, b) / da = (b/|b| - cos a/|a|) / |a|."""
    value, slope = 0.0, np.zeros_like(rows)
    lengths = np.sqrt((rows**2).sum(1))
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            cos = rows[i] @ rows[j] / (lengths[i] * lengths[j])
            value += abs(cos)
            for a, b in ((i, j), (j, i)):
                turned = rows[b] / lengths[b] - cos * rows[a] / lengths[a]
                slope[a] += np.sign(cos) * turned / lengths[a]
    return value, slope


def test_the_penalty_and_its_gradient_are_those_of_a_slow_sum_over_pairs() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 5)) * np.array([[0.1], [1], [2], [3], [0.5], [1], [9]])
    given = torch.tensor(rows, requires_grad=True)
    found = hope.overlap(given)
    found.backward()
    value, slope = slow_overlap(rows)
    assert found.item() == pytest.approx(value, rel=1e-12)  # float64 against float64: rounding alone
    np.testing.assert_allclose(given.grad, slope, rtol=1e-10, atol=1e-13)


def test_the_net_with_its_penalty_learns_by_the_gradient_worked_out_by_hand() -> None:
    """Forward, and the gradients of U, V and the readout, of a net of 6-3-5-4 for 8 samples."""
    random, beta = np.random.default_rng(1), 0.3
    net = hope.Split(6, (3, 5), 4, seed=2, kept=False).double()
    x, labels = random.normal(size=(8, 6)), random.integers(0, 4, 8)
    with torch.no_grad():
        net.project.weight += torch.tensor(random.normal(size=(3, 6)))  # |cos| has a kink at 0
        net.units.bias += torch.tensor(random.normal(size=5))
    u, v, w = (p.detach().numpy() for p in (net.project.weight, net.units.weight, net.readout.weight))
    sums = x @ u.T @ v.T + net.units.bias.detach().numpy()
    logits = np.maximum(sums, 0) @ w.T + net.readout.bias.detach().numpy()
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (share - np.eye(4)[labels]) / 8
    back = error @ w * (sums > 0)
    expected = {
        "readout.weight": error.T @ np.maximum(sums, 0),
        "units.weight": back.T @ (x @ u.T),
        "units.bias": back.sum(0),
        "project.weight": (back @ v).T @ x + beta * slow_overlap(u)[1],
    }
    found = net(torch.tensor(x))
    np.testing.assert_allclose(found.detach(), logits, rtol=1e-12)
    (functional.cross_entropy(found, torch.tensor(labels)) + beta * hope.overlap(net.first)).backward()
    for name, slope in expected.items():
        np.testing.assert_allclose(net.get_parameter(name).grad, slope, rtol=1e-9, atol=1e-12, err_msg=name)


def test_u_begins_orthonormal_and_the_same_with_and_without_penalty() -> None:
    base = hope.RECIPE.replace(net=(24, 64), options={})
    nets = [
        hope.build(base.replace(seed=3, options=options), hope.load("drawn", base))
        for options in ({}, {"beta": 0.1}, {"kept": True})
    ]
    u = nets[0].first.detach().double().numpy()
    np.testing.assert_allclose(u @ u.T, np.eye(24), atol=1e-5)  # float32 sums of 64 products
    for other in nets[1:]:
        for mine, its in zip(nets[0].parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, its)


def test_a_kept_projection_is_not_moved_and_the_others_are() -> None:
    base = hope.RECIPE.replace(net=(24, 64), steps=20)
    for options, moved in (({"kept": True}, False), ({}, True), ({"beta": 0.1}, True)):
        recipe = base.replace(options=options)
        data = hope.load("drawn", recipe)
        net = hope.build(recipe, data)
        before = net.first.detach().clone()
        session = hope.begin(net, data, recipe, 20)
        assert np.isfinite(session.advance(20)).all()
        session.pull(net)
        assert torch.equal(before, net.first) is not moved


def test_drawn_digits_are_what_they_are_said_to_be() -> None:
    """Balanced, off the plane only noise of variance 0.01, in it 0.25 + 0.01 about centres of length 2.

    Tolerance: a variance from n x d normal numbers has a relative deviation of sqrt(2 / (n d)): 0.2 % off the
    plane (10,000 x 52), 0.4 % in it (10,000 x 12); four of them.
    """
    data = hope.synthesize(10_000, seed=4)
    basis, centres = data.facts["basis"], data.facts["centres"]
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 2, rtol=1e-12)
    np.testing.assert_allclose(centres @ basis.T @ basis, centres, atol=1e-12)
    for inputs, targets in ((data.inputs, data.targets), (data.hidden_inputs, data.hidden_targets)):
        assert (targets.sum(0) == 1000).all() and (targets.sum(1) == 1).all()
        rest = inputs.astype(np.float64) - centres[targets.argmax(1)]
        inside = rest @ basis.T
        outside = rest - inside @ basis
        assert (outside**2).sum() / (len(rest) * 52) == pytest.approx(0.01, rel=0.008)
        assert (inside**2).mean() == pytest.approx(0.26, rel=0.016)
    assert not np.array_equal(data.inputs, data.hidden_inputs)
    assert np.array_equal(data.inputs, hope.synthesize(10_000, seed=4).inputs)


@pytest.mark.parametrize(
    "options",
    [{"beta": -1}, {"beta": True}, {"beta": "much"}, {"beta": float("inf")}, {"kept": 1}, {"samples": 5}],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(options))):
        hope.load("drawn", hope.RECIPE.replace(net=(24, 64), options=options))


def test_nets_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(RecipeError, match="rows of U and rectifiers"):
        hope.load("drawn", hope.RECIPE.replace(net=(8, 8, 8), options={}))
    with pytest.raises(RecipeError, match="no U"):
        hope.load("drawn", hope.RECIPE.replace(net=(8,), options={"beta": 0.1}))
    with pytest.raises(TaskError, match="65 rows in 64 dimensions"):
        hope.load("drawn", hope.RECIPE.replace(net=(65, 8), options={}))


def test_the_quick_version_shows_the_order_of_the_angles(quick: Callable[[str], Done]) -> None:
    done = quick("hope")
    results = done.results
    assert results["HOPE"][0]["cosine"] < 0.2 * results["factored"][0]["cosine"]
    assert results["kept"][0]["cosine"] < 1e-6  # orthonormal to float32's rounding, and never moved
    assert done.verdict is not None
    counted = {row[0]: row[1] for row in done.verdict.table}
    assert (
        counted["factored"] == f"{64 * 24 + 24 * 64 + 64 + 64 * 10 + 10:,}"
    )  # U, V, biases, readout, biases
