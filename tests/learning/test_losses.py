"""Losses against their formulas, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from compare import bound, close
from small_picture import picture_data
from twin import session

from sfumato.errors import RecipeError
from sfumato.learning import losses
from sfumato.recipe import Recipe

# Losses ------------------------------------------------------------------------------------------------------

PREDICTION = torch.tensor([[0.5, 1.0], [0.0, -1.0]], dtype=torch.float64)
TARGET = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)


def test_losses_by_hand() -> None:
    """Errors 0.5, 0, -1, -1."""
    assert float(losses.mse(PREDICTION, TARGET)) == 2.25 / 4
    assert float(losses.l1(PREDICTION, TARGET)) == 2.5 / 4
    assert float(losses.half_square(PREDICTION, TARGET)) == 0.5 * 2.25 / 2


def test_cross_entropy_by_hand() -> None:
    """Softmax of (0.5, 1) at class 1 and of (0, -1) at class 0."""
    rows = [math.log(1 + math.exp(-0.5)), math.log(1 + math.exp(-1))]
    assert float(losses.cross_entropy(PREDICTION, TARGET)) == pytest.approx(sum(rows) / 2)
    # Smoothing by 0.2 of two classes: 0.9 at the right one, 0.1 at the other.
    smooth = [0.9 * rows[0] + 0.1 * (rows[0] + 0.5), 0.9 * rows[1] + 0.1 * (rows[1] + 1)]
    assert float(losses.cross_entropy(PREDICTION, TARGET, smoothing=0.2)) == pytest.approx(sum(smooth) / 2)


def test_cross_entropy_survives_large_outputs() -> None:
    large = torch.tensor([[1000.0, -1000.0]])
    assert float(losses.cross_entropy(large, torch.tensor([[1.0, 0.0]]))) == 0
    assert float(losses.cross_entropy(large, torch.tensor([[0.0, 1.0]]))) == 2000


@pytest.mark.parametrize("smoothing", [1.0, -0.1, float("nan")])
def test_smoothing_out_of_range_is_refused_before_the_first_step(smoothing: float) -> None:
    with pytest.raises(RecipeError, match="smoothing="):
        session(
            Recipe(loss=f"cross_entropy:smoothing={smoothing}", engine="eager", threads=1), picture_data(3, 3)
        )


def test_gradients_of_losses_are_a_mean_over_samples() -> None:
    p = PREDICTION.clone().requires_grad_()
    losses.half_square(p, TARGET).backward()
    close(p.grad.numpy(), ((PREDICTION - TARGET) / 2).numpy(), **bound("float64"))
