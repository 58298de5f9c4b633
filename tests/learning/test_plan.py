"""Which samples at which step, at which rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from compare import bound, close, equal_bits
from hypothesis import given
from hypothesis import strategies as st

from sfumato.learning.plan import Plan
from sfumato.recipe import Recipe


def order(samples: int, seed: int, epoch: int, **changes: object) -> npt.NDArray[np.int32]:
    return Plan(Recipe(seed=seed, **changes), samples, 1).epoch_order(epoch)


@given(
    samples=st.integers(1, 300), batch=st.integers(1, 400), epoch=st.integers(0, 3), seed=st.integers(0, 9)
)
def test_each_sample_is_seen_exactly_once_an_epoch(samples: int, batch: int, epoch: int, seed: int) -> None:
    plan = Plan(Recipe(batch=batch, seed=seed), samples, 10_000)
    steps = range(epoch * plan.per_epoch, (epoch + 1) * plan.per_epoch)
    batches = [plan.minibatch(s) for s in steps]
    assert sorted(np.concatenate(batches).tolist()) == list(range(samples))
    assert all(len(b) == min(batch, samples) for b in batches[:-1])
    assert 1 <= len(batches[-1]) <= min(batch, samples)


@given(
    samples=st.integers(1, 200),
    batch=st.integers(1, 250),
    first=st.integers(0, 700),
    count=st.integers(0, 60),
)
def test_a_stretch_is_its_minibatches(samples: int, batch: int, first: int, count: int) -> None:
    plan = Plan(Recipe(batch=batch), samples, 10_000)
    indices, sizes = plan.stretch(first, count)
    batches = [plan.minibatch(s) for s in range(first, first + count)]
    assert indices.dtype == sizes.dtype == np.int32
    assert sizes.tolist() == [len(b) for b in batches]
    assert indices.tolist() == [int(i) for b in batches for i in b]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = order(221, 0, 0)
    assert np.array_equal(first, order(221, 0, 0)) and first.dtype == np.int32
    others = [order(221, 1, 0), order(221, 0, 1), order(221, 1, 1), np.arange(221)]
    assert all(not np.array_equal(first, other) for other in others)


def test_the_order_is_the_one_that_stored_runs_were_trained_in() -> None:
    """Written down once: another order would break resuming a stored run without a word."""
    assert order(10, 0, 0).tolist() == [9, 1, 3, 8, 7, 6, 0, 4, 2, 5]
    assert order(10, 3, 2).tolist() == [6, 8, 3, 4, 1, 5, 0, 2, 7, 9]


def test_shuffling_leaves_no_pattern() -> None:
    """Rank correlation of an order with the file's is about N(0, 1/sqrt(n)); 5 standard deviations."""
    for epoch in range(5):
        assert abs(np.corrcoef(order(2000, 0, epoch), np.arange(2000))[0, 1]) < 5 / np.sqrt(2000)


def test_samples_in_file_order_on_request() -> None:
    plan = Plan(Recipe(batch=4, options={"order": "file"}), 10, 6)
    assert plan.stretch(0, 4)[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3]


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    plan = Plan(Recipe(batch=512), 7, 3)
    assert plan.per_epoch == 1 and len(plan.minibatch(2)) == 7 and plan.epochs(3) == 3


def test_epochs_count_samples_and_not_steps() -> None:
    plan = Plan(Recipe(batch=48), 221, 10)
    assert plan.epochs(0) == 0 and plan.epochs(5) == 1 and plan.epochs(10) == 2
    assert plan.epochs(6) == pytest.approx(1 + 48 / 221)  # exact but for one rounding


def test_rates_by_hand() -> None:
    """Four steps of cosine stand at 1/8, 3/8, 5/8, 7/8 of the budget."""
    plan = Plan(Recipe(rate=0.5, schedule="cosine"), 10, 4)
    shares = np.array([1, 3, 5, 7]) / 8
    close(plan.rates(0, 4), 0.25 * (1 + np.cos(np.pi * shares)), **bound("float64"))


def test_rates_are_those_of_the_recipe_and_no_other() -> None:
    assert Plan(Recipe(rate=0.25, schedule="constant"), 10, 4).rates(0, 6).tolist() == [0.25] * 6


def test_warmup_by_hand() -> None:
    """Half of eight steps: (s + 1) / 4 of the rate, then the whole."""
    plan = Plan(Recipe(rate=1.0, schedule="constant", warmup=0.5), 10, 8)
    assert plan.rates(0, 8).tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert plan.rates(0, 1)[0] > 0


@pytest.mark.parametrize("schedule", ["constant", "cosine", "cosine:floor=0.1", "hold"])
def test_rates_of_a_part_are_a_part_of_the_rates(schedule: str) -> None:
    plan = Plan(Recipe(schedule=schedule, warmup=0.1), 100, 50)
    whole = plan.rates(0, 50)
    parts = np.concatenate([plan.rates(0, 7), plan.rates(7, 0), plan.rates(7, 43)])
    equal_bits({"rates": whole}, {"rates": parts})
    assert (whole > 0).all() and whole.max() <= Recipe().rate


def test_beyond_the_budget_the_rate_stays_at_its_floor() -> None:
    plan = Plan(Recipe(rate=1.0, schedule="hold:share_held=0.5,floor=0.25"), 10, 4)
    assert plan.rates(100, 2).tolist() == [0.25, 0.25]
