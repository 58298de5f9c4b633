"""Which steps are looked at."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import RecipeError
from sfumato.recipe import beats

TOTALS = st.integers(1, 200_000)


def valid(found: list[int], total: int) -> bool:
    return found == sorted(set(found)) and found[0] == 0 and found[-1] == total


def test_every_by_hand() -> None:
    assert beats.every(10, 4) == [0, 4, 8, 10]
    assert beats.every(8, 4) == [0, 4, 8]
    assert beats.every(3, 100) == [0, 3]


def test_linear_by_hand() -> None:
    assert beats.linear(10, 3) == [0, 5, 10]
    assert beats.linear(10, 1) == [0, 10]
    assert beats.linear(3, 100) == [0, 1, 2, 3]


def test_a_list_is_sorted_and_cut_to_the_budget() -> None:
    assert beats.listed(10, [7, 3, 3, 99, -1]) == [0, 3, 7, 10]


@given(total=TOTALS, count=st.integers(2, 400))
def test_logarithmic_begins_dense_and_never_leaps(total: int, count: int) -> None:
    found = beats.logarithmic(total, count)
    assert valid(found, total)
    assert found[1] == 1
    assert len(found) <= count + 2
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert max(gaps) <= 2 * total / count + 1
    if total > 4 * count:
        assert len(found) >= 0.6 * count
        assert sum(gaps[: len(gaps) // 2]) <= sum(gaps[len(gaps) // 2 :])


@given(total=TOTALS, count=st.integers(0, 400))
def test_linear_is_even_within_one_step(total: int, count: int) -> None:
    found = beats.linear(total, count)
    assert valid(found, total)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert max(gaps) - min(gaps) <= 1


@given(total=TOTALS, step=st.integers(1, 300_000))
def test_every_is_even_but_for_the_end(total: int, step: int) -> None:
    if -(-total // step) + 1 > beats.MOST - 1:
        step = -(-total // (beats.MOST - 2))  # denser ones are refused, see below
    found = beats.every(total, step)
    assert valid(found, total)
    assert all(b - a == step for a, b in itertools.pairwise(found[:-1]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linear:3", [0, 25, 50]),
        ("every:20", [0, 20, 40, 50]),
        ("0,10,40", [0, 10, 40, 50]),
        ("7,", None),
        (" linear:2 ", [0, 50]),
        ("0,", None),
    ],
)
def test_text_forms(text: str, found: list[int] | None) -> None:
    if found is None:
        with pytest.raises(RecipeError):
            beats.parse(text, 50)
    else:
        assert beats.parse(text, 50) == found


def test_a_number_is_a_count_of_logarithmic_beats() -> None:
    assert beats.parse("12", 5000) == beats.parse("log:12", 5000) == beats.logarithmic(5000, 12)


@pytest.mark.parametrize("text", ["", "x", "linear", "linear:x", "every:0", "-5", "1,-2", "cubic:3", "1.5"])
def test_other_text_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(RecipeError, match="beats"):
        beats.parse(text, 50)


@given(st.text(max_size=12))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(RecipeError):
        assert valid(beats.parse(text, 50), 50)


def test_more_looks_than_anyone_can_keep_are_refused() -> None:
    with pytest.raises(RecipeError, match="at most 100,000"):
        beats.every(beats.MOST + 10, 1)
