"""A neuron's card: what it adds is the painting with it minus that without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_net import XY, H, W, net, painted, targets

from sfumato.errors import RecipeError
from sfumato.neurons import cards, previews, statistics

# Cards and the gallery of a run ------------------------------------------------------------------------------


def test_what_a_neuron_adds_is_painted_with_minus_without() -> None:
    some = net()
    found = cards.added(some, 3, 2, H, W)
    full, without = (np.clip(painted(n), 0, 1) for n in (some, statistics.ablate(some, [(3, 2)])))
    np.testing.assert_allclose(found.reshape(-1, 3), full - without, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_card_is_drawn_for_living_and_dead_neurons(outputs: int) -> None:
    some = net(outputs=outputs)
    with torch.no_grad():
        some.layers[2].bias[0] = -1e3  # type: ignore[index, operator]
    rows = statistics.table(some, XY, targets(outputs))[2]
    scale = previews.scale(previews.preview(some, H, W)[2])
    made = [cards.card(some, rows, i, scale, H, W) for i in (0, 1)]
    assert made[0].channels == 3 and made[0].values.shape == made[1].values.shape
    with pytest.raises(RecipeError):
        cards.card(some, rows, 7, scale, H, W)
