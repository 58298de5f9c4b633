"""Counting with stacks: how a moment is chosen, and the quick version; the cell: nets/test_recurrent.py."""

from __future__ import annotations

from collections.abc import Callable

from sfumato.studies import Outcome
from sfumato.studies._running import Done
from sfumato.studies.stack_rnn import at_best


def line(step: int, *scores: float) -> dict[str, float]:
    names = ("validation_solved", "test_solved", "validation_solved_rounded", "test_solved_rounded")
    return {"step": step, **dict(zip(names, scores, strict=False))}


def test_moment_and_way_are_chosen_by_validation_alone() -> None:
    soft = [line(0, 0.2, 1.0, 0.0, 1.0), line(1, 0.8, 0.3, 0.4, 0.9), line(2, 0.8, 0.4, 0.6, 0.9)]
    assert at_best(Outcome(0, 1.0, soft)) == (0.4, False)  # the latest of equals, and soft since 0.8 > 0.6
    rounded = [line(0, 0.2, 1.0, 0.9, 0.7), line(1, 0.8, 0.3, 0.4, 0.9)]
    assert at_best(Outcome(0, 1.0, rounded)) == (0.7, True)
    assert at_best(Outcome(0, 1.0, [line(0, 0.1, 0.2), line(1, 0.0, 0.5)])) == (0.2, False)


def test_the_quick_version_learns_to_predict(quick: Callable[[str], Done]) -> None:
    """60 steps count nothing yet; they do show that every cell learns."""
    for outcomes in quick("stack_rnn").results.values():
        losses = [line["loss"] for line in outcomes[0].lines[1:]]
        assert losses[-1] < 0.9 * losses[0]
