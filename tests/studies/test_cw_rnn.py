"""Clockwork nets on sound: clips and errors by hand, nets side by side equal nets alone, and the order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.recipe import Recipe
from sfumato.studies import cw_rnn
from sfumato.studies._running import Done
from sfumato.studies.cw_rnn import CELLS, RECIPE, errors, loudest, sines


def test_the_loudest_stretch_is_the_one_by_hand() -> None:
    values = np.array([9, 0, 0, 1, 2, 3, -4, 0, 0], np.float32)
    assert loudest(values, 3).tolist() == [1.0, 0.0, 0.0]  # 81 against 29
    assert loudest(values[1:], 3).tolist() == [0.5, 0.75, -1.0]


def test_errors_are_divided_by_the_variance_of_each_clip() -> None:
    clips = torch.tensor([[0.0, 2.0, 0.0, 2.0], [1.0, 1.0, 1.0, 5.0]])
    said = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    assert np.allclose(errors(said, clips), [1, 4 / 3], rtol=1e-6)  # 1/1, and (16/4) / 3


def test_sines_have_the_periods_that_are_said() -> None:
    """Of 160 samples, periods of 8, 32 and 20 are lines 20, 5 and 8 of the spectrum, and no others."""
    lines = np.abs(np.fft.rfft(sines(160), axis=1)) > 1e-3
    assert [np.flatnonzero(row).tolist() for row in lines] == [[5, 20], [8, 20]]


@pytest.mark.parametrize("name", CELLS)
def test_nets_side_by_side_say_and_learn_what_each_says_alone(name: str) -> None:
    """Float64; a product of stacked matrices sums in another order."""
    cell, _ = CELLS[name]
    recipe: Recipe = RECIPE.replace(net=(16,), options={"cell": cell})
    data = cw_rnn.load("sines", recipe)
    net = cw_rnn.build(recipe, data).double()
    clips = data.facts["clips"].double()
    gradients = []
    for together in (net.together, False):
        net.together = together
        net.zero_grad()
        value = cw_rnn.loss(net, (clips,))
        value.backward()
        gradients.append(
            [float(value.detach()), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]
        )
    for a, b in zip(*gradients, strict=True):
        assert np.allclose(np.asarray(a), np.asarray(b), rtol=1e-9, atol=1e-12)
    first, second = (list(n.parameters()) for n in net.nets)
    assert not torch.equal(first[0], second[0])


def test_the_quick_version_shows_that_all_learn(quick: Callable[[str], Done]) -> None:
    for outcomes in quick("cw_rnn").results.values():
        curve = outcomes[0].curve("nmse")
        assert curve[-1] < 0.97 * curve[0]
