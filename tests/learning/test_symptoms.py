"""What is said of a training: each trace on its own, and nothing where all is well."""

from __future__ import annotations

import math

import pytest

from sfumato.learning.symptoms import findings

RECIPE = {"rate": 0.04}


def falling(count: int = 60, end: float = 0.001) -> list[tuple[int, float]]:
    """A good training: from 0.1 down to `end`, geometrically."""
    return [(10 * i, 0.1 * (end / 0.1) ** (i / (count - 1))) for i in range(count)]


def kinds(*args: object, **options: object) -> list[str]:
    return [one.kind for one in findings(RECIPE, *args, **options)]  # type: ignore[arg-type]


def test_a_good_training_and_a_young_one_are_left_alone() -> None:
    scores = [(10 * i, 10 + 0.4 * i) for i in range(60)]
    assert kinds(falling(), scores, flat=[0.0, 0.1, 0.02], total_steps=600) == []
    assert kinds([]) == kinds(falling()[:5], flat=[]) == []


@pytest.mark.parametrize(("rectifier", "kind"), [(True, "dead"), (False, "saturated")])
def test_flat_units_are_dead_or_saturated(rectifier: bool, kind: str) -> None:
    (found,) = findings(RECIPE, falling(), flat=[0.1, 0.42], rectifier=rectifier, total_steps=600)
    assert found.kind == kind and "42% of layer 2's units" in found.text and found.advice


def test_spikes_and_a_lost_fall_mean_a_rate_too_high() -> None:
    losses = falling()
    for at in (30, 45):
        losses[at] = (losses[at][0], 0.9)
    (found,) = findings(RECIPE, losses, total_steps=600)
    assert found.kind == "rate too high" and "rate=0.013" in found.advice
    back = [*falling(30), *[(300 + 10 * i, 0.099) for i in range(20)]]
    assert kinds(back, total_steps=500) == ["rate too high"]


def test_divergence_names_the_rate() -> None:
    error = "diverged at step 12: the loss is nan"
    assert kinds([(0, 0.1), (10, math.nan)], failed=error) == ["rate too high"]


def test_a_loss_that_does_not_move_means_a_rate_too_low() -> None:
    still = [(10 * i, 0.1 - 1e-5 * i) for i in range(60)]
    (found,) = findings(RECIPE, still, total_steps=10_000)
    assert found.kind == "rate too low" and "rate=0.4" in found.advice
    assert kinds([(i, 0.1) for i in range(60)], total_steps=10_000) == [], "too early to say"


def test_a_score_that_stands_at_a_blur_means_a_picture_beyond_the_net() -> None:
    scores = [(10 * i, min(18.0, 10 + i)) for i in range(60)]
    (found,) = findings(RECIPE, falling(end=0.016), scores, total_steps=600)
    assert found.kind == "beyond the net" and "fourier" in found.advice
    encoded = findings(RECIPE, falling(end=0.016), scores, plain=False, total_steps=600)
    assert "fourier" not in encoded[0].advice
    sharp = [(10 * i, min(38.0, 10 + i)) for i in range(60)]
    assert kinds(falling(), sharp, total_steps=600) == []
