"""Deep-fried nets: the convolutional one against NumPy, counts by hand, and the quick version; layers: nets/."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch

from sfumato.studies import fried
from sfumato.studies._running import Done
from sfumato.studies.fried import LAYERS, RECIPE, Convolutional, loss, numbers


def test_the_net_and_its_gradients_are_those_of_numpy() -> None:
    """4x4 pixels, one channel each, so one feature, 5 fried rectifiers (n = 1: the diagonals alone), 2 classes; the
    gradient of the fried layer's scales and of the readout, in float64, sums of at most 9 terms."""
    net = Convolutional((4, 4), (1, 2), RECIPE.replace(net=(5,)), 2).double()
    random = np.random.default_rng(0)
    x, target = random.normal(size=(3, 16)), np.eye(2)[[0, 1, 1]]
    value = loss(net, (torch.from_numpy(x), torch.from_numpy(target)))
    value.backward()
    seen = []
    for one in x.reshape(3, 1, 4, 4):
        maps = one
        for conv in (net.first, net.second):
            kernels, biases = conv.weight.detach().numpy(), conv.bias.detach().numpy()  # type: ignore[union-attr]
            side = maps.shape[1]
            padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
            sums = np.empty((len(kernels), side, side))
            for c, i, j in np.ndindex(sums.shape):
                sums[c, i, j] = (padded[:, i : i + 3, j : j + 3] * kernels[c]).sum() + biases[c]
            maps = np.maximum(sums, 0).reshape(len(kernels), side // 2, 2, side // 2, 2).max((2, 4))
        seen.append(maps.ravel())
    features, layer = np.array(seen), net.net.layers[0]
    n, blocks = layer.n, layer.blocks
    assert (n, blocks) == (2, 3)
    s, g, b = (
        getattr(layer, k).detach().numpy().reshape(blocks, n) for k in ("scales", "gaussians", "signs")
    )
    h = scipy.linalg.hadamard(n) / np.sqrt(n)
    inner = [
        h @ np.diag(g[i]) @ np.eye(n)[layer.permutation[i].numpy()] @ h @ np.diag(b[i]) for i in range(blocks)
    ]
    unscaled = (features @ np.concatenate(inner).T)[:, :5]
    sums = unscaled * s.ravel()[:5] + layer.bias.detach().numpy()
    hidden = np.maximum(sums, 0)
    v, c = net.net.readout.weight.detach().numpy(), net.net.readout.bias.detach().numpy()
    logits = hidden @ v.T + c
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.isclose(float(value.detach()), -np.log((shares * target).sum(1)).mean(), rtol=1e-12)
    error = (shares - target) / 3
    back = (error @ v) * (sums > 0)
    assert np.allclose(net.net.readout.weight.grad, error.T @ hidden, rtol=1e-10, atol=1e-14)
    wanted = np.append((back * unscaled).sum(0), 0)  # the sixth row is cut off
    assert np.allclose(layer.scales.grad, wanted, rtol=1e-10, atol=1e-14)


def test_numbers_by_hand() -> None:
    """Convolutions 80 and 1,168, readout 10,250; of the layer 784 x 1,024, three diagonals, or two thin factors."""
    found = {name: numbers(RECIPE.replace(layer=layer)) for name, layer in LAYERS.items()}
    rest = 80 + 1168 + 10_250 + 1024
    assert found == {
        "dense": rest + 784 * 1024,
        "fastfood": rest + 3 * 1024,
        "frozen fastfood": rest,
        "low rank": rest + 2 * (784 + 1024),
    }
    assert numbers(RECIPE.replace(task="digits")) == rest - 80 - 1168 + 3 * 1024


def test_the_painters_have_about_as_many_numbers() -> None:
    dense, fast = (numbers(arm.recipe) for arm in fried.runs(False) if "picture" in arm.name)
    assert abs(dense / fast - 1) < 0.05


def test_the_quick_version_learns_with_every_layer(quick: Callable[[str], Done]) -> None:
    results = quick("fried").results
    for where in ("pixels", "convolutions"):
        for name in ("dense", "fastfood", "frozen fastfood"):
            assert results[f"{name}, {where}"][0]["test_error"] < 0.4, name
