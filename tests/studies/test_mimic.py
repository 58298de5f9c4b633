"""Mimicking: nets and both losses against NumPy, jitter by hand, what a teacher says, and the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.data import Stream
from sfumato.errors import RecipeError
from sfumato.studies import mimic
from sfumato.studies._running import Done
from sfumato.studies.mimic import RECIPE, Shallow, Teacher, moved, taught


@pytest.mark.parametrize("learns", ["labels", "logits"])
def test_one_step_of_a_student_equals_that_of_numpy(learns: str) -> None:
    """Forward, backward and one step of Adam, whose first is rate * g / (|g| + eps); float64, sums of 6 terms."""
    random = np.random.default_rng(5)
    net = Shallow(6, (3, 4), 2).double()
    x, target = random.normal(size=(5, 6)), random.normal(size=(5, 2))
    if learns == "labels":
        target = np.eye(2)[[0, 1, 1, 0, 1]]
    a, w, b, v, c = (p.detach().numpy().copy() for p in net.parameters())
    inside = x @ a.T
    hidden = np.maximum(inside @ w.T + b, 0)
    said = hidden @ v.T + c
    if learns == "labels":
        shares = np.exp(said) / np.exp(said).sum(1, keepdims=True)
        loss, error = -np.log((shares * target).sum(1)).mean(), (shares - target) / 5
    else:
        loss, error = ((said - target) ** 2).mean(), 2 * (said - target) / said.size
    back = (error @ v) * (hidden > 0)
    gradients = [(back @ w).T @ x, back.T @ inside, back.sum(0), error.T @ hidden, error.sum(0)]
    batch = (torch.from_numpy(x), torch.from_numpy(target))
    data = Stream(lambda step: batch, batch=5, samples=5, facts={"learns": learns})
    session = mimic.begin(net, data, RECIPE.replace(rate=0.1), 10**9)
    assert np.isclose(session.advance(1)[0], loss, rtol=1e-6)  # losses are handed out in float32
    session.pull(net)
    for before, gradient, parameter in zip((a, w, b, v, c), gradients, net.parameters(), strict=True):
        wanted = before - 0.1 * gradient / (np.abs(gradient) + 1e-8)
        assert np.allclose(parameter.detach().numpy(), wanted, rtol=1e-7, atol=1e-9)


def test_the_teacher_equals_convolutions_written_out() -> None:
    """4x4 pixels, one channel each: float64 sums of 9 terms."""
    net = Teacher((4, 4), (1, 1, 2), 2).double()
    x = np.random.default_rng(1).normal(size=(4, 4))
    value = x
    for layer in (net.first, net.second):
        kernel, bias = layer.weight.detach().numpy()[0, 0], float(layer.bias.detach()[0])
        padded = np.pad(value, 1)
        rows, columns = value.shape
        sums = [
            [(padded[i : i + 3, j : j + 3] * kernel).sum() + bias for j in range(columns)]
            for i in range(rows)
        ]
        value = np.maximum(sums, 0).reshape(rows // 2, 2, columns // 2, 2).max((1, 3))
    w, b, v, c = (p.detach().numpy() for p in (*net.hidden.parameters(), *net.readout.parameters()))
    wanted = np.maximum(value.ravel() @ w.T + b, 0) @ v.T + c
    assert np.allclose(net(torch.from_numpy(x.reshape(1, 16))).detach().numpy()[0], wanted, rtol=1e-12)


def test_digits_move_turn_and_grow_as_they_should() -> None:
    """A dot right of the middle of 5x5: half a width is 2.5 pixels; a quarter turn clockwise takes it below."""
    dot = torch.zeros(1, 25)
    dot[0, 2 * 5 + 3] = 1
    zero, one = torch.zeros(1), torch.ones(1)

    def where(turn: float = 0.0, size: float = 1.0, right: float = 0.0, down: float = 0.0) -> list[list[int]]:
        shown = moved(dot, (5, 5), zero + turn, one * size, zero + right, zero + down)
        return (shown.view(5, 5) > 0.99).nonzero().tolist()

    assert where() == [[2, 3]]
    assert where(right=0.4) == [[2, 4]] and where(down=-0.4) == [[1, 3]]
    assert where(turn=np.pi / 2) == [[3, 2]]
    assert where(size=2.0) == [[2, 4]]
    assert where(turn=np.pi / 2, right=0.4) == [[3, 3]], "turned about the middle, then moved"


def test_what_a_teacher_says() -> None:
    """Logits 3, 1, -1 have mean 1; with 0, 0, 0 beside them the mean square is 8 / 6."""
    known = torch.tensor([[3.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    said = taught(torch.nn.Identity(), known, "logits")
    assert np.allclose(said, np.array([[2, 0, -2], [0, 0, 0]]) / np.sqrt(8 / 6), rtol=1e-6)
    shares = taught(torch.nn.Identity(), known, "probabilities")
    assert np.allclose(shares.sum(1), 1, rtol=1e-6) and np.allclose(shares[1], 1 / 3, rtol=1e-6)


def test_unknown_words_are_refused() -> None:
    for options in ({"learns": "secrets"}, {"on": "music"}):
        with pytest.raises(RecipeError, match="labels, probabilities, logits; digits, picture"):
            mimic.load("digits8x8", RECIPE.replace(options=options))


def test_the_quick_version_learns_in_all_ways(quick: Callable[[str], Done]) -> None:
    results = quick("mimic").results
    for learns in mimic.LEARNS:
        assert results[f"{learns}, 100"][0]["test_error"] < 0.5
    for name in ("picture: pixels", "picture: colours"):
        curve = results[name][0].curve("psnr")
        assert curve[-1] > curve[0] + 3
