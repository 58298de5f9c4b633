"""Pictures of hidden units of digits say what the weights say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_digits import RECIPE, SIDE, digits, untrained

from sfumato.data import Data
from sfumato.nets import Net, build
from sfumato.neurons import features


@pytest.fixture
def net() -> Net:
    return untrained()


@pytest.fixture
def data() -> Data:
    return digits()


def test_the_start_can_be_subtracted(net):
    assert np.abs(features.incoming(net, since=RECIPE)).max() == 0
    with torch.no_grad():
        net.layers[0].weight[4] += 0.25
    moved = features.incoming(net, since=RECIPE)
    np.testing.assert_allclose(moved[4], 0.25, rtol=1e-5)  # float32
    assert np.abs(np.delete(moved, 4, 0)).max() == 0


def test_weights_given_out_are_a_copy(net):
    features.incoming(net)[:] = 7
    assert net.layers[0].weight.max() < 7


def test_the_strongest_unit_is_strong_on_both_sides(net):
    with torch.no_grad():
        net.layers[0].weight[11] *= 100
        net.layers[0].weight[7] *= 100
        net.readout.weight[:, 7] *= 10
    assert list(features.strongest(net, 2)) == [7, 11]
    deep = build(RECIPE.replace(net=(30, 8)), 30, 10)
    assert len(features.strongest(deep, 5)) == 5


def test_the_most_used_unit_moves_outputs_most(net, data):
    with torch.no_grad():
        net.layers[0].bias[3] = 50
        net.layers[0].weight[9] = 40
        net.readout.weight[:, 9] = 0  # fires and says nothing
    used = features.used(net, data, 30)
    assert used[0] == 3 and 9 not in used[:10]


def test_the_most_alike_units_come_in_pairs(net):
    with torch.no_grad():
        net.layers[0].weight[20] = 3 * net.layers[0].weight[2]
        net.layers[0].weight[5] = net.layers[0].weight[28] + 1e-3
    units, cosines = features.alike(net, 3)
    assert {tuple(sorted(units[:2])), tuple(sorted(units[2:4]))} == {(2, 20), (5, 28)}
    assert len(set(units)) == 6
    assert cosines[0] == pytest.approx(1, abs=1e-6) and (np.diff(cosines) <= 0).all()
    assert len(features.alike(net, 1000)[1]) <= 15


def test_random_units_are_distinct_and_repeatable(net):
    units = features.random(net, 10)
    assert len(set(units)) == 10 and (units == features.random(net, 10)).all()
    assert not (units == features.random(net, 10, seed=1)).all()


def test_a_tile_is_white_at_zero_blue_below_and_red_above():
    weights = np.zeros((2, 30), np.float32)
    weights[0, 0], weights[0, 1] = -0.5, 0.5
    first, dead = features.tiles(weights, SIDE, quantile=1.0, scale=2)
    assert first.values.shape == (12, 10, 3)
    blue, red = first.values[0, 0], first.values[0, 2]
    assert blue[2] > blue[0] and red[0] > red[2]
    assert (first.values[2:] == 1).all() and (dead.values == 1).all()
    assert (first.values[:2, :2] == blue).all()  # a weight is a square of 2x2 pixels


def test_each_tile_has_its_own_scale():
    weights = np.random.default_rng(0).standard_normal((1, 30)).astype(np.float32)
    both = features.tiles(np.concatenate([weights, 100 * weights]), SIDE)
    assert (both[0].values == both[1].values).all()


def test_sheets_have_a_tile_a_unit(net, data):
    sheet = features.sheet(net, data, features.random(net, 6), columns=3)
    assert sheet.values.shape == (2 * 14 + 2, 3 * 12 + 2, 3)
    film = features.film_sheet(net, data, count=9)
    assert film.values.shape == (3 * 14 + 2, 3 * 12 + 2, 3)
    skip = features.skip_sheet(net, data)
    assert skip is not None and skip.channels == 3
    assert features.skip_sheet(build(RECIPE.replace(skip=False), 30, 10), data) is None


def test_a_film_changes_only_the_tile_whose_unit_was_overtaken(net, data):
    before = features.film_sheet(net, data, count=9).values
    with torch.no_grad():
        net.layers[0].weight[0] *= 1000  # the strongest of the first share
    after = features.film_sheet(net, data, count=9).values
    assert (before[16:] == after[16:]).all() and (before[:, 14:] == after[:, 14:]).all()


def test_a_portrait_names_the_samples_that_excite_a_unit(net, data):
    with torch.no_grad():
        net.layers[0].weight[6] = 0
        net.layers[0].weight[6, 2] = 1  # the unit reads pixel 2
        net.layers[0].bias[6] = 0
    portrait = features.portraits(net, data, np.array([6]), top=5)[0]
    order = np.argsort(-data.hidden_inputs[:, 2])[:5]
    assert (portrait.samples == order).all()
    np.testing.assert_array_equal(portrait.excitement, data.hidden_inputs[order, 2])
    np.testing.assert_array_equal(portrait.vote, net.readout.weight.detach()[:, 6])
    expected = [data.hidden_inputs[data.hidden_targets[:, c] == 1, 2].mean() for c in range(10)]
    np.testing.assert_allclose(portrait.digits, expected, rtol=1e-5)  # float32 sums
    assert portrait.active == 1.0


def test_a_portrait_sheet_has_a_row_a_unit_and_bars_on_the_right_side(net, data):
    with torch.no_grad():
        net.readout.weight[:, 6] = -1
        net.readout.weight[0, 6] = 1
    sheet = features.portrait_sheet(net, data, np.array([6, 7]), top=3)
    # tiles of 12 pixels are narrower than their captions, which take two lines of 14
    assert sheet.values.shape == (2 * (12 + 2 * 14 + 3) + 3, 5 * 13 + 3, 3)
    bars = sheet.values[3:15, 16:26]
    above, below = bars[:6, 0], bars[7:11, 9]
    assert (above[1:, 0] > above[1:, 2]).all() and (below[:, 2] > below[:, 0]).all()
