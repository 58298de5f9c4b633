"""Linear regions of nets small enough to count by hand, and of random ones against sets of sign patterns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sfumato import nets, picture
from sfumato.drawing import charts
from sfumato.errors import RecipeError
from sfumato.nets import Net
from sfumato.neurons import regions
from sfumato.picture import pixels
from sfumato.recipe import Recipe


def made_by_hand(
    weights: list[list[list[float]]], biases: list[list[float]], activation: str = "relu"
) -> Net:
    """A net on raw coordinates with the given hidden layers."""
    some = nets.build(Recipe(net=tuple(len(b) for b in biases), encoding="raw", activation=activation), 2, 3)
    with torch.no_grad():
        for layer, w, b in zip(some.layers, weights, biases, strict=True):
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(torch.tensor(w))
            layer.bias.copy_(torch.tensor(b))
    return some


def patterns(some: Net, height: int, width: int) -> list[int]:
    """Distinct tuples of signs up to each layer, at pixel centres: slow and obvious."""
    with torch.no_grad():
        signs = [
            (a.pre > 0).numpy() for a in some.hidden(torch.from_numpy(pixels.coordinates(height, width)))
        ]
    return [
        len({tuple(bool(v) for s in signs[:n] for v in s[i]) for i in range(height * width)})
        for n in range(1, len(signs) + 1)
    ]


def test_two_crossing_lines_make_four_regions() -> None:
    some = made_by_hand([[[1, 0], [0, 1]]], [[-0.5, -0.5]])  # x > 1/2, y > 1/2
    found = regions.regions(some, 10, 8)
    assert found.counts == (4,)
    expected = np.zeros((10, 8), bool)
    expected[:, 3] = True  # between columns 3 and 4 lies x = 1/2
    expected[4] = True
    assert np.array_equal(found.borders[0], expected)


def test_parallel_lines_make_three_regions_and_dead_units_none() -> None:
    some = made_by_hand([[[1, 0], [1, 0], [0, 0]]], [[-0.3, -0.6, -1]])
    assert regions.regions(some, 20, 20).counts == (3,)


def test_a_second_layer_folds_its_line_at_the_first() -> None:
    # Layer 1: relu(x - 1/2); layer 2: relu(x - 1/2) > 1/4, so x > 3/4: one more cut, in the right half alone.
    some = made_by_hand([[[1, 0]], [[1.0]]], [[-0.5], [-0.25]])
    found = regions.regions(some, 16, 16)
    assert found.counts == (2, 3)
    assert np.flatnonzero(found.borders[1].any(0)).tolist() == [11]
    # A leaky unit goes on below its kink: -x + 1/2 leaks 0.1 of its slope.
    leaky = made_by_hand([[[-1, 0]], [[-1.0]]], [[0.5], [-0.02]], "leaky_relu:slope=0.1")
    # Layer 2 fires where 0.1 (x - 1/2) > 0.02, x > 0.7: that line exists for the leaky unit only.
    assert regions.regions(leaky, 16, 16).counts == (2, 3)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("widths", [(70, 65), (5, 4, 3), (64,), (129, 2)])
def test_counts_are_those_of_distinct_sign_patterns(activation: str, widths: tuple[int, ...]) -> None:
    some = nets.build(Recipe(net=widths, activation=activation, seed=1), 2, 3)
    found = regions.regions(some, 21, 17)
    assert list(found.counts) == patterns(some, 21, 17)
    assert list(found.counts) == sorted(found.counts)


def test_regions_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    some = nets.build(Recipe(net=(20, 10), seed=1), 2, 3)
    whole = regions.regions(some, 21, 17)
    monkeypatch.setattr(regions, "tile_pixels", lambda units: 6)
    parts = regions.regions(some, 21, 17)
    assert whole.counts == parts.counts and np.array_equal(whole.borders, parts.borders)


@pytest.mark.parametrize("change", [{"activation": "tanh"}, {"activation": "sine"}, {"encoding": "fourier"}])
def test_nets_without_linear_regions_are_refused(change: dict[str, str]) -> None:
    some = nets.build(Recipe(net=(5,)).replace(**change), 2, 3)
    with pytest.raises(RecipeError, match="linear regions"):
        regions.regions(some, 9, 9)


def test_lines_are_drawn_in_the_colour_of_their_layer() -> None:
    some = made_by_hand([[[1, 0]], [[1.0]]], [[-0.5], [-0.25]])
    found = regions.regions(some, 16, 16)
    drawn = found.picture().values
    for n, column in ((1, 7), (2, 11)):
        np.testing.assert_allclose(drawn[5, column], np.array(charts.CATEGORIES[n - 1]) / 255, atol=1e-6)
    assert (drawn[:, [0, 15]] == 1).all()
    assert (found.picture([2]).values[:, 7] == 1).all()
    half = found.picture(reduce=2, ground=picture.from_array(np.zeros((8, 8, 3), np.float32)))
    assert half.height == 8
    # A line one pixel wide covers half of a reduced pixel, over a black ground faded to 0.6.
    np.testing.assert_allclose(half.values[3, 3], 0.3 + np.array(charts.CATEGORIES[0]) / 510, atol=1e-6)
    assert found.sheet().channels == 3


def test_pictures_of_regions_that_do_not_fit_are_refused() -> None:
    found = regions.regions(made_by_hand([[[1, 0]]], [[-0.5]]), 15, 16)
    with pytest.raises(RecipeError, match="reduced by 2"):
        found.picture(reduce=2)
    with pytest.raises(RecipeError, match="layer 2 does not exist"):
        found.picture([2])
    with pytest.raises(RecipeError, match="ground is 3x3"):
        found.picture(ground=picture.from_array(np.zeros((3, 3, 3), np.float32)))


def test_counts_over_training_become_a_chart() -> None:
    drawn = regions.count_chart({0: (10, 20), 100: (12, 40), 5000: (15, 90)})
    assert (drawn.height, drawn.width) == (440, 760)
    ink = np.array(charts.CATEGORIES[1], np.float32) / 255
    assert (np.abs(drawn.values - ink).max(2) < 0.02).sum() > 50
