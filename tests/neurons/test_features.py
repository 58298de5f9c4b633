"""Pictures of hidden units and of mistakes say what the weights and the outputs say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.data import Data
from sfumato.nets import Net, build
from sfumato.neurons import features, mistakes
from sfumato.recipe import Recipe

RECIPE = Recipe(task="digits", net=(30,), encoding="raw", skip=True, loss="cross_entropy")
SIDE = (6, 5)


@pytest.fixture
def net() -> Net:
    return build(RECIPE, 30, 10)


@pytest.fixture
def data() -> Data:
    generator = np.random.default_rng(3)
    x = generator.random((50, 30), np.float32)
    y = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    facts = {"side": SIDE, "classes": tuple("0123456789"), "split": "test", "recipe": RECIPE}
    return Data(x[:10], y[:10], x[10:], y[10:], facts)


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
    assert sheet.values.shape == (2 * (12 + 14 + 3) + 3, 5 * 13 + 3, 3)
    bars = sheet.values[3:15, 16:26]
    above, below = bars[:6, 0], bars[7:11, 9]
    assert (above[1:, 0] > above[1:, 2]).all() and (below[:, 2] > below[:, 0]).all()


# Mistakes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(net, data) -> Net:
    """A net that reads sample k of the held-out ones as class k % 10 except for two it gets wrong."""
    with torch.no_grad():
        net.readout.weight.zero_()
        net.readout.bias.zero_()
        pseudo = np.linalg.pinv(data.hidden_inputs[:20].astype(np.float64))
        wanted = 5 * np.eye(10)[np.arange(20) % 10]
        wanted[4] = 0
        wanted[4, 9], wanted[4, 4] = 8, 7  # a four read as a nine, almost as a four
        net.skip.weight.copy_(torch.from_numpy((pseudo @ wanted).T))
    return net


def test_mistakes_carry_their_two_best_guesses(reader, data):
    few = Data(data.inputs, data.targets, data.hidden_inputs[:20], data.hidden_targets[:20], data.facts)
    found = mistakes.mistakes(reader, few)
    assert list(found.samples) == [4] and list(found.truth) == [4]
    assert list(found.guesses[0]) == [9, 4]
    share = np.exp([8, 7]) / (np.exp(8) + np.exp(7) + 8)
    np.testing.assert_allclose(found.confidence[0], share, rtol=1e-3)  # weights solved for in float32
    assert mistakes.mistakes_sheet(found, few).channels == 1
    matrix = mistakes.confusion(reader, few)
    assert matrix.sum() == 20 and matrix[4, 9] == 1 and np.trace(matrix) == 19
    sheet = mistakes.confusion_sheet(matrix, few, found)
    assert sheet.width == 10 * 12 + 2


def test_no_mistakes_are_said(reader, data):
    few = Data(data.inputs, data.targets, data.hidden_inputs[:4], data.hidden_targets[:4], data.facts)
    found = mistakes.mistakes(reader, few)
    assert len(found.samples) == 0
    assert mistakes.mistakes_sheet(found, few).values.min() < 0.5  # some ink: the words


def test_calibration_by_hand(net, data):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.readout.bias[0] = np.log(9 * 4)  # always a nought, with probability 36/45 = 0.8
    curve = mistakes.calibration(net, data, bins=5)
    assert list(curve.counts) == [0, 0, 0, 0, 40] or list(curve.counts) == [0, 0, 0, 40, 0]
    place = int(curve.counts.argmax())
    assert curve.confidence[place] == pytest.approx(0.8, abs=1e-6)
    assert curve.accuracy[place] == pytest.approx(0.1)
    assert curve.error == pytest.approx(0.7, abs=1e-6)
    assert np.isnan(curve.confidence[0]) and len(curve.edges) == 6


def test_squared_error_outputs_are_probabilities_already():
    outputs = np.array([[-0.5, 0.25, 1.5]], np.float32)
    shares = mistakes.probabilities(outputs, RECIPE.replace(loss="half_square"))
    assert list(shares[0]) == [0, 0.25, 1]
    assert mistakes.probabilities(outputs, RECIPE).sum() == pytest.approx(1)
