"""What a unit is worth: the decibels that the net loses without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_net import KINDS, XY, H, W, net, painted, targets

from sfumato.neurons import raster, statistics
from sfumato.picture import metrics


@pytest.mark.parametrize("activation", KINDS)
@pytest.mark.parametrize("skip", [False, True])
def test_importance_is_the_psnr_lost_by_the_ablated_net(activation: str, skip: bool) -> None:
    some, wanted = net(activation, skip=skip), targets()
    before = metrics.psnr(wanted, painted(some))
    for rows in statistics.table(some, XY, wanted, samples=None):
        assert rows.importance_samples == H * W
        for i in range(rows.units):
            lost = before - metrics.psnr(wanted, painted(statistics.ablate(some, [(rows.layer, i)])))
            # Errors are float32 outputs' of size 1: sums agree to about six digits, decibels to 1e-4.
            assert rows.importance[i] == pytest.approx(lost, abs=1e-4)


def test_importance_on_a_sample_is_the_psnr_lost_on_that_sample() -> None:
    some, wanted = net(), targets()
    chosen = raster.sample(H * W, 50)
    assert len(set(chosen.tolist())) == 50 and (np.diff(chosen) > 0).all()
    rows = statistics.table(some, XY, wanted, samples=50)
    assert [r.importance_samples for r in rows] == [50, 50, H * W]
    before = metrics.psnr(wanted[chosen], painted(some)[chosen])
    for i in range(rows[0].units):
        without = painted(statistics.ablate(some, [(1, i)]))[chosen]
        assert rows[0].importance[i] == pytest.approx(
            before - metrics.psnr(wanted[chosen], without), abs=1e-4
        )


def test_dead_units_are_worth_exactly_nothing() -> None:
    some = net()
    with torch.no_grad():
        for layer in some.layers:
            layer.bias[2] = -1e3  # type: ignore[index, operator]
    for rows in statistics.table(some, XY, targets()):
        assert rows.dead[2] and rows.importance[2] == 0 and rows.active[2] == 0
