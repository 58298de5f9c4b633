"""`FusedMLP` against the same net in plain PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compare import close
from torch import Tensor, nn
from torch.nn import functional

from sfumato.errors import EngineError, RecipeError
from sfumato.nets import activations
from sfumato.recipe import pick

pytest.importorskip("sfumato._native", reason="the native engine is not built")
from sfumato.fused import FusedMLP

WHY = "float32 sums in another order"


def plainly(module: FusedMLP, x: Tensor, activation: str) -> Tensor:
    act, value = pick(activations, activation), x
    for layer in module.layers:
        value = act(layer(value))
    value = module.readout(value)
    return value if module.skip is None else value + module.skip(x)


@pytest.mark.parametrize("activation", ["relu", "sine:omega=5", "silu"])
@pytest.mark.parametrize(("hidden", "skip"), [([33, 20], True), ([64], False), ([], True)])
def test_outputs_and_gradients_equal_plain_pytorch(activation: str, hidden: list[int], skip: bool) -> None:
    torch.manual_seed(0)
    module = FusedMLP(7, hidden, 4, activation=activation, skip=skip, threads=2)
    x = torch.rand(143, 7, requires_grad=True)
    target = torch.rand(143, 4)
    results = []
    for forward in (module, lambda v: plainly(module, v, activation)):
        module.zero_grad()
        x.grad = None
        out = forward(x)
        functional.huber_loss(out, target, delta=0.2).backward()
        assert x.grad is not None
        results.append([out.detach(), x.grad.clone(), *[p.grad.clone() for p in module.parameters()]])
    for ours, theirs in zip(*results, strict=True):
        close(ours, theirs, rel=2e-5, why=WHY)


def test_it_trains_as_a_part_of_a_larger_model_with_any_optimizer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), FusedMLP(6, [24, 24], 6), nn.Linear(6, 1))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
    x = torch.rand(256, 2)
    y = torch.sin(6 * x[:, :1]) * x[:, 1:]
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = functional.smooth_l1_loss(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    module = FusedMLP(2, [8], 1)
    out = module(torch.rand(5, 2)).sum()
    with torch.no_grad():
        module.readout.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_bfloat16_stays_close_and_gradients_of_constants_are_not_made() -> None:
    torch.manual_seed(0)
    module = FusedMLP(2, [40, 40], 3, precision="bfloat16")
    x = torch.rand(100, 2)
    out = module(x)
    close(out.detach(), plainly(module, x, "relu").detach(), rel=2e-2, why="8 bits in two products")
    out.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def test_what_it_cannot_take_is_refused() -> None:
    module = FusedMLP(2, [8], 1)
    for bad in (torch.rand(5, 2, dtype=torch.float64), torch.rand(2)):
        with pytest.raises(EngineError, match="float32"):
            module(bad)
    with pytest.raises(ValueError, match="features must be"):
        module(torch.rand(5, 3))
    with pytest.raises(ValueError, match="not finite"):
        module(torch.full((5, 2), np.nan))
    with pytest.raises(RecipeError, match="swirl"):
        FusedMLP(2, [8], 1, activation="swirl")
