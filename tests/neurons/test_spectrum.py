"""Spectra against plain waves and Parseval's theorem, effective ranks against matrices whose rank is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sfumato import nets
from sfumato.drawing import charts
from sfumato.errors import RecipeError, RunError
from sfumato.nets import Net
from sfumato.neurons import spectrum
from sfumato.recipe import Recipe


def noise(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


# Error by frequency ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 9, 3), (8, 8, 1), (7, 20, 4), (2, 2, 1), (31, 30)])
@pytest.mark.parametrize("rings", [1, 16, 40])
def test_rings_and_mean_add_up_to_the_mean_square(shape: tuple[int, ...], rings: int) -> None:
    values = noise(*shape) - 0.3
    frequency, power, mean = spectrum.power(values, rings)
    # Parseval's theorem, in float64.
    assert power.sum() + mean == pytest.approx(float(np.mean(values.astype(np.float64) ** 2)), rel=1e-12)
    channels = values.reshape(*shape[:2], -1).astype(np.float64)
    assert mean == pytest.approx(float(np.mean(channels.mean((0, 1)) ** 2)), rel=1e-9)
    assert (np.diff(frequency) > 0).all() and frequency[-1] < math.sqrt(0.5)


@pytest.mark.parametrize(("across", "down"), [(3, 0), (0, 7), (10, 10), (39, 1)])
def test_a_single_wave_lies_in_the_ring_of_its_frequency(across: int, down: int) -> None:
    height, width = 30, 40
    y, x = np.mgrid[0:height, 0:width]
    wave = np.cos(math.pi * across * (x + 0.5) / width) * np.cos(math.pi * down * (y + 0.5) / height)
    frequency, power, mean = spectrum.power(wave)
    at = int(power.argmax())
    assert power[at] == pytest.approx(power.sum() + mean, rel=1e-9)
    expected = math.hypot(across / (2 * width), down / (2 * height))
    ring = (math.sqrt(0.5) * 2 * width) ** (1 / 16)  # the ratio of neighbouring ring borders
    assert expected / ring < frequency[at] < expected * ring


def test_slow_error_shows_on_the_left_and_fine_error_on_the_right() -> None:
    x = np.mgrid[0:64, 0:64][1]
    slow, fine = np.cos(math.pi * 2 * (x + 0.5) / 64), np.cos(math.pi * 50 * (x + 0.5) / 64)
    wanted = (0.5 + 0.2 * slow + 0.2 * fine)[..., None]
    found = spectrum.error_spectrum(wanted, (0.5 + 0.2 * slow)[..., None])
    learned, missing = found.relative[found.wanted > 1e-6]
    assert learned == pytest.approx(0, abs=1e-12) and missing == pytest.approx(1)


def test_error_is_that_of_the_clipped_painting_and_adds_up_to_the_mse() -> None:
    wanted, painted = noise(20, 15, 3), noise(20, 15, 3)[::-1] * 3 - 1
    found = spectrum.error_spectrum(wanted, painted)
    error = np.clip(painted.astype(np.float64), 0, 1) - wanted
    mean = np.mean(error.mean((0, 1)) ** 2)
    assert found.error.sum() + mean == pytest.approx(np.mean(error**2), rel=1e-9)


def test_nothing_learned_is_one_everywhere() -> None:
    wanted = noise(20, 15, 3)
    found = spectrum.error_spectrum(wanted, np.full_like(wanted, 0.5))
    np.testing.assert_allclose(found.relative, 1, rtol=1e-9)


def test_what_has_no_spectrum_is_refused() -> None:
    for bad in (noise(1, 5), noise(5), noise(2, 2, 2, 2)):
        with pytest.raises(RecipeError, match="2x2"):
            spectrum.power(bad)
    with pytest.raises(RecipeError, match="shapes"):
        spectrum.error_spectrum(noise(4, 4, 3), noise(4, 4, 1))


# Effective rank ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_effective_rank_of_known_matrices(scale: float) -> None:
    rank = spectrum.effective_rank
    assert rank(scale * np.eye(7)) == pytest.approx(7)
    assert rank(scale * np.outer(np.arange(1, 5), np.arange(1, 9))) == pytest.approx(1, abs=1e-6)
    rotated = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))[0]
    assert rank(scale * rotated[:, :4]) == pytest.approx(4)
    # Singular values 3 and 1: exp(-(3/4) log(3/4) - (1/4) log(1/4)).
    by_hand = math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert rank(scale * np.diag([3.0, 1.0, 0.0])) == pytest.approx(by_hand)


def test_a_matrix_of_zeros_has_effective_rank_zero() -> None:
    assert spectrum.effective_rank(np.zeros((3, 4))) == 0


def net(activation: str = "tanh", *, skip: bool = False) -> Net:
    return nets.build(Recipe(net=(8, 6), activation=activation, seed=2, skip=skip), 2, 3)


def test_activation_ranks_are_those_of_the_activation_matrices() -> None:
    some, inputs = net(), noise(90, 2)
    with torch.no_grad():
        expected = [spectrum.effective_rank(a.post.numpy()) for a in some.hidden(torch.from_numpy(inputs))]
    assert spectrum.activation_ranks(some, inputs) == pytest.approx(expected)
    few = spectrum.activation_ranks(some, inputs, samples=20)
    assert len(few) == 2 and few != pytest.approx(expected)


@pytest.mark.parametrize("skip", [False, True])
def test_gradient_ranks_are_those_of_difference_quotients(skip: bool) -> None:
    some, inputs, wanted = net(skip=skip).double(), noise(12, 2), noise(12, 3)
    with torch.no_grad():
        if some.skip is not None:
            some.skip.weight.fill_(0.3)
        x = torch.from_numpy(inputs).double()
        layers = [a.pre for a in some.hidden(x)]

        def loss(pre: torch.Tensor, at: int) -> float:
            value = some.activation(pre)
            for layer in list(some.layers)[at + 1 :]:
                value = some.activation(layer(value))
            painted = some.readout(value)
            if some.skip is not None:
                painted = painted + some.skip(some.encoding(x))
            return float((painted - torch.from_numpy(wanted)).square().mean())

        expected = []
        for at, pre in enumerate(layers):
            gradient = np.zeros(tuple(pre.shape))
            for i, j in np.ndindex(*gradient.shape):
                moved = [pre.clone(), pre.clone()]
                moved[0][i, j] += 1e-5
                moved[1][i, j] -= 1e-5
                gradient[i, j] = (loss(moved[0], at) - loss(moved[1], at)) / 2e-5
            expected.append(spectrum.effective_rank(gradient))
    # Central differences in float64 are good to nine digits here; singular values near 0 lose some of them.
    assert spectrum.gradient_ranks(some, inputs, wanted) == pytest.approx(expected, abs=1e-3)


def test_looking_at_gradients_leaves_none_behind() -> None:
    some = net()
    spectrum.gradient_ranks(some, noise(9, 2), noise(9, 3))
    assert all(p.grad is None for p in some.parameters())
    for parameter in some.parameters():
        parameter.requires_grad_(False)
    assert len(spectrum.gradient_ranks(some, noise(9, 2), noise(9, 3))) == 2  # frozen nets have gradients too
    with torch.no_grad():
        some.readout.weight[0, 0] = math.inf
    with pytest.raises(RunError, match="not finite"):
        spectrum.activation_ranks(some, noise(9, 2))


# Charts ------------------------------------------------------------------------------------------------------


def test_spectra_and_ranks_over_training_become_charts() -> None:
    wanted = noise(20, 15, 3)
    spectra = {s: spectrum.error_spectrum(wanted, wanted * f) for s, f in ((0, 0.0), (10, 0.5), (1000, 0.9))}
    for drawn in (
        spectrum.error_chart(spectra),
        spectrum.rank_chart({0: (3.0, 4.0), 10: (3.5, 5.0)}),
        spectrum.rank_chart({7: (3.0, 4.0)}, of="gradients"),
    ):
        assert drawn.values.shape == (440, 760, 3) and drawn.values.min() < 0.3


@pytest.mark.parametrize("log", [False, True])
def test_a_rising_line_is_drawn_from_the_lower_left_to_the_upper_right(log: bool) -> None:
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    drawn = charts.chart(
        [charts.Series("", x, x)], title="t", x_label="x", y_label="y", log_x=log, log_y=log
    ).values
    ink = np.abs(drawn - np.array(charts.CATEGORIES[0], np.float32) / 255).max(2) < 0.05
    rows, columns = np.nonzero(ink)
    assert np.corrcoef(rows, columns)[0, 1] < -0.99
    room = 0.04 if log else 0.0  # a log axis leaves some at both ends: a value on the axis would look like 0
    height, left = (392 - 66) * room, (736 - 46) * room
    assert (
        columns.max() > 700 - left and rows.min() < 80 + height and 380 - height < rows.max() <= 394 - height
    )


def test_gaps_and_constants_can_be_drawn_and_nothing_cannot() -> None:
    x = np.arange(5.0)
    y = np.array([1.0, math.nan, 1.0, -1.0, math.inf])
    for log in (False, True):
        charts.chart([charts.Series("a", x, y)], title="t", x_label="x", y_label="y", log_y=log)
    charts.chart([charts.Series("a", x, x * 0 + 5)], title="t", x_label="x", y_label="y", from_zero=True)
    with pytest.raises(RecipeError, match="no point"):
        charts.chart([charts.Series("a", x, -x)], title="t", x_label="x", y_label="y", log_y=True)
    with pytest.raises(RecipeError, match="no point"):
        charts.chart([], title="t", x_label="x", y_label="y")


def test_colours_of_steps_run_from_pale_to_dark() -> None:
    light = [sum(c) for c in charts.ramp(9)]
    assert light == sorted(light, reverse=True) and len(charts.ramp(1)) == 1
