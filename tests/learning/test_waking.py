"""Units that are silent on a whole minibatch are made to fire on 2 % of it, and no other unit is touched."""

from __future__ import annotations

import pytest
import torch
from small_picture import picture_data

from sfumato.learning.waking import WOKEN_SHARE, wake
from sfumato.nets import Net, build
from sfumato.recipe import Recipe


@pytest.fixture
def encoded() -> torch.Tensor:
    return 2 * torch.from_numpy(picture_data(20, 25).inputs) - 1


@pytest.fixture
def net() -> Net:
    made = build(Recipe(net=(8, 6)), 2, 3)
    with torch.no_grad():
        made.layers[0].bias[:3] = -100.0  # type: ignore[index, operator]
        made.layers[1].bias[4] = -100.0  # type: ignore[index, operator]
    return made


def test_silent_units_fire_on_their_share_and_the_others_stay(net: Net, encoded: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in net.named_parameters()}
    wake(net, encoded)
    first, second = net.hidden((encoded + 1) / 2)
    wanted = int(WOKEN_SHARE * len(encoded))
    # The sample below the last that fires is put on the kink itself, where rounding may carry it above 0.
    assert all(wanted <= int(n) <= wanted + 1 for n in (first.pre > 0).sum(0)[:3])
    assert wanted <= int((second.pre > 0).sum(0)[4]) <= wanted + 1
    woken = {"layers.0.bias": [0, 1, 2], "layers.1.bias": [4]}
    for name, value in net.named_parameters():
        changed = (value != before[name]).nonzero().flatten().tolist()
        silent = set(changed) - set(woken.get(name, []))
        # A unit of the second layer may have been silent only because the first layer was.
        assert not silent or name == "layers.1.bias", name


def test_a_net_without_silent_units_is_left_as_it_is(encoded: torch.Tensor) -> None:
    net = build(Recipe(net=(8,), seed=1), 2, 3)
    with torch.no_grad():
        net.layers[0].bias.fill_(5.0)  # type: ignore[operator]
    before = [value.clone() for value in net.parameters()]
    wake(net, encoded)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_minibatch_of_one_is_enough(net: Net, encoded: torch.Tensor) -> None:
    wake(net, encoded[:1])
    assert torch.isfinite(net.layers[0].bias).all()  # type: ignore[arg-type]
