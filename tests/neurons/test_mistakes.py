"""Mistakes and calibration of a reader of digits, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_digits import RECIPE, digits, untrained

from sfumato.data import Data
from sfumato.nets import Net
from sfumato.neurons import mistakes


@pytest.fixture
def net() -> Net:
    return untrained()


@pytest.fixture
def data() -> Data:
    return digits()


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
