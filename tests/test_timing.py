"""Rivals take turns: who begins changes, warm rounds are not counted, and each finds its own time."""

from __future__ import annotations

import time

import pytest

from sfumato import timing


def test_who_begins_changes_and_warm_rounds_are_not_counted() -> None:
    said: list[str] = []
    taken = timing.take_turns(2, lambda: said.append("a"), lambda: said.append("b"))
    assert "".join(said) == "baabba"
    assert [len(rounds) for rounds in taken] == [2, 2]


def test_each_rival_is_told_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only the work moves: wall by 3 and 5 seconds, the processor by half of it."""
    now = [0.0]

    def work(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: now[0] / 2)
    three, five = timing.take_turns(3, lambda: work(3), lambda: work(5))
    assert three == [timing.Spent(3, 1.5)] * 3
    assert five == [timing.Spent(5, 2.5)] * 3
