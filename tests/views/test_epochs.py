"""The epoch of a step, as a film's captions say it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sfumato.views.film_panels import epochs_of


def test_epochs_are_read_once_and_between_lines_they_are_even() -> None:
    class Run:
        asked = 0

        @property
        def history(self) -> list[dict[str, Any]]:
            self.asked += 1
            return [{"step": 0, "epoch": 0.0}, {"step": 10, "epoch": 1.0}, {"step": 30, "epoch": 2.0}]

    run = Run()
    epoch = epochs_of(run)  # type: ignore[arg-type]
    assert [epoch(step) for step in (0, 5, 10, 20, 30)] == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert run.asked == 1
    assert epochs_of(SimpleNamespace(history=[]))(7) == 0.0  # type: ignore[arg-type]
