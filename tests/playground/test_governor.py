"""The share of time that goes into looking, under a clock that a test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.playground.governor import WINDOW, Governor


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_after_a_look_it_waits_until_the_share_is_kept() -> None:
    clock = Clock()
    governor = Governor(0.1, clock)
    assert governor.open
    with governor.look():
        clock.now += 0.5
    assert not governor.open and not governor.stale
    clock.now += 2.2
    assert not governor.stale
    clock.now += 0.1  # half of the 4.5 s until the next look
    assert governor.stale and not governor.open
    clock.now += 2.1
    assert not governor.open
    clock.now += 0.11  # 0.5 s of 5 s in all
    assert governor.open


def test_a_look_that_fails_is_counted_too() -> None:
    clock = Clock()
    governor = Governor(0.1, clock)
    with pytest.raises(ValueError), governor.look():
        clock.now += 1
        raise ValueError
    assert not governor.open


@given(
    st.lists(st.floats(0.001, 2, allow_subnormal=False), min_size=1, max_size=30),
    st.sampled_from([0.05, 0.07, 0.1, 0.5]),
)
def test_over_any_looks_the_share_holds(costs: list[float], share: float) -> None:
    """A loop of steps of 10 ms that looks whenever it may: the last look's pay-back may be outstanding, no more."""
    clock = Clock()
    governor = Governor(share, clock)
    spent, waiting = 0.0, list(costs)
    while waiting:
        clock.now += 0.01
        if governor.open:
            cost = waiting.pop()
            with governor.look():
                clock.now += cost
            spent += cost
    while not governor.open:
        clock.now += 0.01
    assert spent <= share * (clock.now - 100) * (1 + 1e-9)


def test_what_is_shown_is_the_share_of_the_last_seconds() -> None:
    clock = Clock()
    governor = Governor(0.5, clock)
    assert governor.spent == 0
    clock.now += 3
    with governor.look():
        clock.now += 1
    assert governor.spent == pytest.approx(0.25)
    clock.now += WINDOW - 0.5
    assert governor.spent == pytest.approx(0.5 / WINDOW)
    clock.now += WINDOW
    assert governor.spent == 0
