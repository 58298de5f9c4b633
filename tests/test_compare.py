"""The comparators see planted faults, and pass what is only noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from compare import close, equal_bits, same_gradients

WHY = {"rel": 1e-5, "why": "a test of the comparator"}


def gradient(rows: int = 8, columns: int = 8) -> np.ndarray:
    """Rows of very different size, as the gradients of a layer's units are."""
    rng = np.random.default_rng(5)
    return (rng.standard_normal((rows, columns)) * np.logspace(0, -3, rows)[:, None]).astype(np.float32)


def one_row_zeroed(g: np.ndarray) -> np.ndarray:
    g[-1] = 0
    return g


def one_sign_flipped(g: np.ndarray) -> np.ndarray:
    g[-1] *= -1
    return g


def one_nan(g: np.ndarray) -> np.ndarray:
    g[3, 3] = np.nan
    return g


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one row zeroed": one_row_zeroed,
    "one row's sign flipped": one_sign_flipped,
    "all x 1.01": lambda g: g * np.float32(1.01),
    "a constant bias": lambda g: g + np.float32(1e-3) * np.abs(g).mean(),
    "one nan": one_nan,
    "transposed": lambda g: np.ascontiguousarray(g.T),
    "all zero": np.zeros_like,
    "a column lost": lambda g: g[:, :-1],
    "one dimension more": lambda g: g[None],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("compare", [close, same_gradients])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_planted_fault_is_seen(fault: str, compare: Callable[..., None], swapped: bool) -> None:
    bad, good = FAULTS[fault](gradient()), gradient()
    with pytest.raises(AssertionError, match="bound: a test of the comparator"):
        compare(good, bad, **WHY) if swapped else compare(bad, good, **WHY)


@pytest.mark.parametrize("compare", [close, same_gradients])
def test_equal_and_noise_pass(compare: Callable[..., None]) -> None:
    g = gradient()
    noise = 1 + 1e-7 * np.random.default_rng(1).standard_normal(g.shape)
    compare(g, g, **WHY)
    compare(g * noise, g, **WHY)
    compare(np.zeros(3), np.zeros(3), **WHY)


@pytest.mark.parametrize("compare", [close, same_gradients])
def test_empty_arrays_fail(compare: Callable[..., None]) -> None:
    with pytest.raises(AssertionError, match="nothing to compare"):
        compare(np.empty((0, 3)), np.empty((0, 3)), **WHY)


@pytest.mark.parametrize("compare", [close, same_gradients])
def test_a_bound_needs_its_reason(compare: Callable[..., None]) -> None:
    with pytest.raises(AssertionError, match="reason"):
        compare(np.ones(2), np.ones(2), rel=1e-5, why="")


def test_a_row_below_the_relative_l2_is_seen_when_zeroed() -> None:
    good = gradient(64, 8) * np.where(np.arange(64) == 63, 1e-3, 1.0)[:, None]
    bad = good.copy()
    bad[63] = 0
    assert np.linalg.norm(bad - good) / np.linalg.norm(good) < 1e-5  # invisible to the norm of the whole
    with pytest.raises(AssertionError, match="1 rows zero on one side"):
        same_gradients(bad, good, **WHY)


def test_a_factor_within_the_l2_bound_of_few_rows_is_seen_as_bias() -> None:
    good = np.abs(gradient()) + 1
    with pytest.raises(AssertionError, match="signed bias"):
        same_gradients(good * 1.001, good, rel=1e-5, why="one sided errors are no rounding")


def test_outliers_are_counted() -> None:
    good, bad = gradient(), gradient()
    bad[2, 0] += 1
    bad[5, 1] += 1
    same_gradients(bad, good, outliers=2, **WHY)
    with pytest.raises(AssertionError, match="gradients differ"):
        same_gradients(bad, good, outliers=1, **WHY)


def test_a_dtype_is_demanded_where_it_matters() -> None:
    g = gradient()
    same_gradients(g, g, dtype=np.float32, **WHY)
    with pytest.raises(AssertionError, match="dtype float64"):
        same_gradients(g.astype(np.float64), g, dtype=np.float32, **WHY)


def test_a_failure_names_the_worst_index() -> None:
    good = gradient() + 10
    bad = good.copy()
    bad[4, 6] *= 1.1
    with pytest.raises(AssertionError, match=r"worst at \(4, 6\)"):
        close(bad, good, **WHY)


def test_equal_bits_sees_the_last_one() -> None:
    one = np.float32(1)
    equal_bits({"a": one}, {"a": np.float32(1)})
    for other in ({"a": np.nextafter(one, np.float32(2))}, {"b": one}, {"a": 1.0}):
        with pytest.raises(AssertionError):
            equal_bits({"a": one}, other)
    with pytest.raises(AssertionError):
        equal_bits({"a": np.float32(0)}, {"a": np.float32(-0.0)})
    with pytest.raises(AssertionError):
        equal_bits({}, {})
