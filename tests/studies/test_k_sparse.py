"""k-sparse codes: survivors and gradients against NumPy, the coming down of k by hand, the classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.errors import RecipeError
from sfumato.studies import k_sparse
from sfumato.studies._running import Done
from sfumato.studies.k_sparse import RECIPE, AutoEncoder, classify, loss


@pytest.mark.parametrize("k", [0, 1, 3, 6])
def test_loss_and_gradients_equal_those_of_numpy(k: int) -> None:
    """Tied weights get a gradient from both sides; float64, sums of 8 terms. k = 0 is the rectifier."""
    random = np.random.default_rng(k)
    net = AutoEncoder(8, 6, k, False, seed=4).double()
    x = random.normal(size=(5, 8))
    value = loss(net, (torch.from_numpy(x), torch.tensor(k)))
    value.backward()
    w, b, back = (p.detach().numpy() for p in net.parameters())
    z = x @ w.T + b
    order = np.argsort(-z, 1)
    kept = np.zeros_like(z)
    for row in range(len(z)):
        kept[row, order[row, :k]] = 1
    if k == 0:
        kept = (z > 0).astype(float)
    code = z * kept
    error = 2 * (code @ w + back - x) / len(x)
    inside = (error @ w.T) * kept
    assert np.isclose(float(value.detach()), ((code @ w + back - x) ** 2).sum(1).mean(), rtol=1e-12)
    wanted = [code.T @ error + inside.T @ x, inside.sum(0), error.sum(0)]
    for parameter, gradient in zip(net.parameters(), wanted, strict=True):
        assert parameter.grad is not None and np.allclose(
            parameter.grad.numpy(), gradient, rtol=1e-10, atol=1e-14
        )


def test_k_comes_down_over_the_first_half() -> None:
    """100 units to k = 20 in 10 steps: 100, 84, 68, 52, 36, and 20 from the half on."""
    recipe = RECIPE.replace(net=(100,), steps=10, options={"k": 20, "samples": 50})
    stream = k_sparse.load("digits8x8", recipe)
    assert [int(stream.draw(step)[1]) for step in range(10)] == [100, 84, 68, 52, 36, 20, 20, 20, 20, 20]


def test_the_classifier_reads_what_can_be_read() -> None:
    """Three clouds far apart: all right; the same labels shuffled: near chance."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    codes = torch.eye(3)[labels] * 4 + torch.randn(300, 3, generator=random)
    assert (classify(codes[:200], labels[:200], codes[200:]) == labels[200:]).float().mean() > 0.95
    shuffled = labels[torch.randperm(300, generator=random)]
    assert (classify(codes[:200], shuffled[:200], codes[200:]) == shuffled[200:]).float().mean() < 0.5


def test_a_k_that_cannot_be_meant_is_refused() -> None:
    for k in (-1, 501, 2.5):
        with pytest.raises(RecipeError, match="to 500, the hidden units"):
            k_sparse.load("digits8x8", RECIPE.replace(options={"k": k}))


def test_the_quick_version_shows_the_order(quick: Callable[[str], Done]) -> None:
    """Of 8x8 digits raw pixels are good enough already: what shows is that too small a k loses them."""
    error = {name: outcomes[0]["test_error"] for name, outcomes in quick("k_sparse").results.items()}
    assert error["k = 12"] < error["k = 2"]
