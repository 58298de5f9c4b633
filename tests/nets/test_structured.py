"""Layers that are no dense matrix: against theirs, and whole nets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from sfumato import nets
from sfumato.data import Data
from sfumato.engine import eager, native, regrouped
from sfumato.errors import RecipeError
from sfumato.nets import layers
from sfumato.nets.structured import Fastfood, Structured
from sfumato.recipe import Recipe, pick

LAYERS = pytest.mark.parametrize(
    "text", ["fastfood", "fastfood:adaptive=False", "fastfood:seed=7", "low_rank:rank=2", "low_rank:rank=9"]
)


@pytest.mark.parametrize(("inputs", "units"), [(8, 8), (5, 8), (5, 20), (8, 3), (1, 4)])
def test_fastfood_is_its_formula_forward_and_backward(inputs: int, units: int) -> None:
    """S H G P H B as dense matrices in NumPy, one block below the other; float64, sums are of at most 8 terms."""
    random = np.random.default_rng(units)
    layer = Fastfood(inputs, units, adaptive=True, seed=3).double()
    n, blocks = layer.n, layer.blocks
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.from_numpy(random.normal(size=p.shape)))
    s, g, b = (
        getattr(layer, k).detach().numpy().reshape(blocks, n) for k in ("scales", "gaussians", "signs")
    )
    h = scipy.linalg.hadamard(n) / np.sqrt(n)
    x, target = random.normal(size=(6, inputs)), random.normal(size=(6, units))
    full = np.pad(x, ((0, 0), (0, n - inputs)))

    def said(s: np.ndarray, g: np.ndarray, b: np.ndarray) -> np.ndarray:
        rows = []
        for i in range(blocks):
            permuted = np.eye(n)[layer.permutation[i].numpy()]
            rows.append(np.diag(s[i]) @ h @ np.diag(g[i]) @ permuted @ h @ np.diag(b[i]))
        return full @ np.concatenate(rows)[:units].T + layer.bias.detach().numpy()

    found = layer(torch.from_numpy(x))
    assert np.allclose(found.detach(), said(s, g, b), rtol=1e-12, atol=1e-12)
    (found * torch.from_numpy(target)).sum().backward()
    assert np.allclose(layer.bias.grad, target.sum(0), rtol=1e-12, atol=1e-12)
    for number, name in enumerate(("scales", "gaussians", "signs")):
        gradient = getattr(layer, name).grad.numpy().reshape(blocks, n)
        for i, j in ((0, 0), (blocks - 1, n - 1)):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [s.copy(), g.copy(), b.copy()]
                moved[number][i, j] += step
                ends.append((said(*moved) * target).sum())
            assert np.isclose(gradient[i, j], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-7), name


@LAYERS
@pytest.mark.parametrize(("inputs", "units"), [(2, 6), (5, 5), (9, 4)])
def test_a_layer_is_its_matrix_and_its_bias(text: str, inputs: int, units: int) -> None:
    layer = pick(layers, text, "layer")(inputs, units)
    assert isinstance(layer, Structured)
    with torch.no_grad():
        layer.begin(0.5, torch.Generator().manual_seed(1))
        layer.bias.normal_(generator=torch.Generator().manual_seed(2))
    x = torch.randn(4, inputs, generator=torch.Generator().manual_seed(3))
    assert layer.weight.shape == (units, inputs)
    assert torch.allclose(layer(x), x @ layer.weight.T + layer.bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("text", "size"), [("fastfood", 0.02), ("low_rank:rank=64", 0.1)])
def test_a_layer_starts_as_large_as_it_is_told(text: str, size: float) -> None:
    """Rows of fastfood differ by what the padding leaves out; entries of low rank are sums of 64 products."""
    layer = pick(layers, text, "layer")(200, 300)
    with torch.no_grad():
        layer.begin(0.3, torch.Generator().manual_seed(0))
        found = float(layer.weight.square().mean().sqrt())
    assert abs(found / 0.3 - 1) < size


def test_numbers_that_are_learned_are_as_few_as_said() -> None:
    """1024 to 1024: 3 diagonals and a bias; 16 thin rows and columns and a bias; frozen: the bias."""
    counts = {
        text: sum(p.numel() for p in pick(layers, text, "layer")(1024, 1024).parameters())
        for text in ("dense", "fastfood", "fastfood:adaptive=False", "low_rank:rank=16")
    }
    assert list(counts.values()) == [1024 * 1025, 4 * 1024, 1024, 33 * 1024]


@LAYERS
def test_a_net_of_them_starts_from_its_seed_and_learns(text: str) -> None:
    recipe = Recipe(net=(12, 12), layer=text, batch=50, rate=0.02, seed=4)
    a, b = nets.build(recipe, 2, 3), nets.build(recipe, 2, 3)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(a(x), b(x)) and not a.plain
    assert not torch.equal(a(x), nets.build(recipe.replace(seed=5), 2, 3)(x))
    assert native.why_not(recipe) == f"it has no layers {text.split(':')[0]}" or not native.usable_sets()
    assert "layer dense" in str(
        regrouped.why_not(recipe.replace(net=(6,), batch=1, optimizer="sgd", loss="half_square"))
    )
    inputs, empty = x.numpy(), np.empty((0, 2), np.float32)
    data = Data(inputs, np.repeat(inputs[:, :1], 3, 1).copy(), empty, np.empty((0, 3), np.float32))
    losses = eager.prepare(a, data, recipe, 60).advance(60)
    assert losses[-5:].mean() < 0.7 * losses[:5].mean()


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(RecipeError, match="maxout brings layers of its own"):
        nets.build(Recipe(layer="fastfood", activation="maxout"), 2, 3)
    with pytest.raises(RecipeError, match="draws dense layers alone"):
        nets.build(Recipe(layer="fastfood", init="gaussian"), 2, 3)
    with pytest.raises(RecipeError, match="rank=0"):
        nets.build(Recipe(layer="low_rank:rank=0"), 2, 3)
