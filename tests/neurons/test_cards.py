"""A neuron's card: what it adds is the painting with it minus that without."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sfumato import nets
from sfumato.errors import RecipeError
from sfumato.nets import Net
from sfumato.neurons import cards, previews, statistics
from sfumato.picture import pixels
from sfumato.recipe import Recipe

H, W = 19, 14
XY = pixels.coordinates(H, W)


def net(activation: str = "relu", *, skip: bool = False, outputs: int = 3) -> Net:
    some = nets.build(Recipe(net=(9, 8, 7), activation=activation, skip=skip, seed=5), 2, outputs)
    with torch.no_grad():
        for layer in some.layers:  # strong signals, so that clipping and saturation happen
            layer.weight.mul_(2.0)  # type: ignore[operator]
        if some.skip is not None:
            some.skip.weight.fill_(0.2)
    return some


def targets(outputs: int = 3) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).random((H * W, outputs), np.float32)


def painted(some: Net) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return copy.deepcopy(some).double()(torch.from_numpy(XY).double()).numpy()


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
