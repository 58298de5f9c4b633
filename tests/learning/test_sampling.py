"""Which samples an epoch visits: the curve, the cells, visits by error, and what the plan keeps of errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compare import equal_bits
from hypothesis import given
from hypothesis import strategies as st
from small_picture import picture_data

from sfumato import experiment
from sfumato.errors import RecipeError, RunError
from sfumato.learning import sampling
from sfumato.learning.plan import Plan
from sfumato.picture import pixels
from sfumato.recipe import Recipe


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# The curve ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 4, 32])
def test_the_curve_goes_from_neighbour_to_neighbour(side: int) -> None:
    """On a square whose side is a power of two, Hilbert's curve moves by one pixel at a time."""
    visited = sampling.hilbert(pixels.coordinates(side, side))
    assert sorted(visited.tolist()) == list(range(side * side))
    row, column = np.divmod(visited, side)
    assert (np.abs(np.diff(row)) + np.abs(np.diff(column)) == 1).all()


def test_the_curve_of_a_small_square_by_hand() -> None:
    """Pixels of 2x2, row by row 0 1 / 2 3: the first curve goes down, right, up, or that turned."""
    assert sampling.hilbert(pixels.coordinates(2, 2)).tolist() == [0, 2, 3, 1]


def test_any_places_have_a_curve() -> None:
    one_point = np.full((5, 2), 0.25, np.float32)
    assert sampling.hilbert(one_point).tolist() == [0, 1, 2, 3, 4]
    line = np.stack([np.linspace(-3, 9, 40), np.zeros(40)], 1).astype(np.float32)
    assert sorted(sampling.hilbert(line).tolist()) == list(range(40))
    scattered = generator().standard_normal((300, 2)).astype(np.float32)
    assert sorted(sampling.hilbert(scattered).tolist()) == list(range(300))


# Stratified --------------------------------------------------------------------------------------------------


@given(count=st.integers(1, 300), batch=st.integers(1, 400), seed=st.integers(0, 9))
def test_a_step_takes_one_sample_of_each_cell_in_the_curves_order(count: int, batch: int, seed: int) -> None:
    curve = generator(1).permutation(count).astype(np.int32)
    place = np.argsort(curve)  # of a sample along the curve
    found = sampling.stratified(generator(seed), curve, batch, np.ones(count, np.float32))
    assert sorted(found.tolist()) == list(range(count))
    cells = min(batch, count)
    starts = np.arange(cells + 1) * count // cells
    for low in range(0, count, cells):
        places = place[found[low : low + cells]]
        cell = np.searchsorted(starts, places, side="right") - 1
        assert (np.diff(cell) > 0).all(), "ascending, so no cell twice"
        assert len(places) < cells or cell.tolist() == list(range(cells))


def test_the_order_within_a_cell_is_new_each_epoch() -> None:
    plan = Plan(Recipe(sampling="stratified", batch=13), 221, 100, picture_data(13, 17).inputs)
    first, second = plan.epoch_order(0).copy(), plan.epoch_order(1).copy()
    assert 0 < (first == second).mean() < 0.2  # 17 samples a cell: one in 17 stays where it was


# By error ----------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 99),
    mix=st.floats(0.01, 1),
    power=st.floats(0, 2, allow_subnormal=False),
    batch=st.integers(1, 300),
)
def test_visits_are_those_of_the_formula_rounded_down_or_up(
    seed: int, mix: float, power: float, batch: int
) -> None:
    count = 240
    errors = (generator(seed).random(count) ** 6).astype(np.float32)
    curve = generator(seed + 1).permutation(count).astype(np.int32)
    found = sampling.error(generator(seed + 2), curve, batch, errors, mix=mix, power=power)
    weights = errors.astype(np.float64) ** power
    wanted = count * (mix / count + (1 - mix) * weights / weights.sum())
    visits = np.bincount(found, minlength=count)
    assert visits.sum() == count
    rounding = 1e-9  # of 240 sums in float64
    assert (visits >= np.floor(wanted - rounding)).all() and (visits <= np.ceil(wanted + rounding)).all()


def test_visits_are_those_of_the_formula_on_average() -> None:
    """2,000 epochs of 4 samples with errors 0, 1, 4, 9: visits 0.5 + 2 (0, 1, 2, 3) / 6."""
    errors, curve = np.array([0, 1, 4, 9], np.float32), np.arange(4, dtype=np.int32)
    random = generator(0)
    visits = sum(
        np.bincount(sampling.error(random, curve, 2, errors, mix=0.5), minlength=4) for _ in range(2000)
    )
    # one offset an epoch decides: standard deviation at most sqrt(1/4 / 2000) = 0.011, five of them
    assert np.abs(visits / 2000 - np.array([1 / 2, 5 / 6, 7 / 6, 3 / 2])).max() < 0.056


@pytest.mark.parametrize("errors", [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [np.nan, np.inf, 0, 0, 0]])
def test_without_a_difference_in_errors_each_sample_is_visited_once(errors: list[float]) -> None:
    """Errors that are not finite belong to a run that has diverged, which the losses say."""
    curve = np.arange(5, dtype=np.int32)
    found = sampling.error(generator(), curve, 2, np.array(errors, np.float32))
    assert sorted(found.tolist()) == [0, 1, 2, 3, 4]


def test_minibatches_by_error_lie_in_the_curves_order() -> None:
    errors, curve = generator().random(200).astype(np.float32), np.arange(200, dtype=np.int32)
    found = sampling.error(generator(), curve, 20, errors).reshape(10, 20)
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("arguments", ["mix=0", "mix=1.5", "mix=nan", "power=-1", "power=5"])
def test_arguments_out_of_range_are_refused(arguments: str) -> None:
    with pytest.raises(RecipeError, match=r"mix=.* and power="):
        Plan(Recipe(sampling=f"error:{arguments}"), 221, 10, picture_data(13, 17).inputs)


# The plan ----------------------------------------------------------------------------------------------------


def plan(batch: int = 50) -> Plan:
    return Plan(Recipe(sampling="error", batch=batch), 221, 100, picture_data(13, 17).inputs)


def test_errors_count_from_the_next_epoch_on() -> None:
    one, other = plan(), plan()
    first = one.epoch_order(0).copy()
    errors = generator().random(221).astype(np.float32) ** 4
    for step in range(5):
        rows = one.minibatch(step)
        one.record(rows, errors[rows], step + 1)
        other.record(rows, errors[rows] * 0 + 1, step + 1)
        if step < 4:
            assert np.array_equal(one.epoch_order(0), first)
    assert not np.array_equal(one.epoch_order(1), other.epoch_order(1))
    visits = np.bincount(one.epoch_order(1), minlength=221)
    assert np.corrcoef(visits, np.sqrt(errors))[0, 1] > 0.7


def test_only_the_epoch_at_hand_is_known() -> None:
    found = plan()
    assert [found.known(step, 100) for step in (0, 3, 4, 5)] == [5, 2, 1, 5]
    assert Plan(Recipe(), 221, 100).known(3, 100) == 100


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_a_plan_goes_on_from_its_state(steps: int) -> None:
    errors = generator().random(221).astype(np.float32)
    one, other = plan(), plan()
    for step in range(steps):
        rows = one.minibatch(step)
        one.record(rows, errors[rows] + step, step + 1)
    other.load(one.state())
    equal_bits(one.state(), other.state())
    assert np.array_equal(one.epoch_order(steps // 5), other.epoch_order(steps // 5))


def test_of_a_sample_that_comes_twice_the_last_error_counts() -> None:
    found = plan()
    found.record(np.array([7, 3, 7], np.int32), np.array([1, 2, 3], np.float32), 1)
    assert found.state()["sampling/latest"][[3, 7]].tolist() == [2, 3]


def test_a_state_of_another_picture_is_refused() -> None:
    state = {"sampling/errors": torch.ones(10), "sampling/latest": torch.ones(10)}
    with pytest.raises(RunError, match="of 10 samples, not of 221"):
        plan().load(state)


@pytest.mark.parametrize("name", ["stratified", "error"])
def test_samples_that_do_not_lie_in_a_plane_are_refused_before_training(name: str) -> None:
    recipe = Recipe(task="digits", encoding="raw", net=(4,), sampling=name)
    with pytest.raises(RecipeError, match="2 inputs x, y; these have 64"):
        experiment.prepare(recipe, "digits8x8")
    with pytest.raises(RecipeError, match="contradict"):
        Plan(recipe.replace(options={"order": "file"}), 10, 1, np.zeros((10, 2), np.float32))
