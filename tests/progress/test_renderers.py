"""What a run says while it goes: times that count training and looks, lines that fit, units of what is learned."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from sfumato import progress
from sfumato.progress import renderers
from sfumato.progress.pace import Pace
from sfumato.words import duration

TOTAL = 1_000_000


def fact(step: int, training: float, wall: float, line: dict[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a tick: 100 samples a step."""
    plan = SimpleNamespace(seen=lambda steps: 100 * steps)
    tick = SimpleNamespace(
        step=step, total_steps=TOTAL, samples=100 * step, loss=0.25, session=SimpleNamespace(plan=plan)
    )
    return {"tick": tick, "training": training, "wall": wall, "line": line or {}}


def test_the_time_left_counts_training_and_the_looks_still_to_come() -> None:
    pace = Pace([0, 1, 2, 4, 500_000, TOTAL])
    for step in (0, 1, 2, 4):  # dense early: a second a look, a microsecond of training a step
        now = fact(step, step * 1e-6, step * 1e-6 + 1.0 * (1 + (0, 1, 2, 4).index(step)))
        pace.add(now["tick"], now["training"], now["wall"])
    # 1 s for the steps left and 2 s for two looks; by the wall clock it was 4 s for 4 steps: eleven days
    assert pace.left(now["tick"]) == pytest.approx(1.0 + 2.0, rel=1e-3)


@pytest.mark.parametrize("width", [200, 80, 60, 40, 30])
def test_a_narrow_terminal_keeps_the_time_left(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    live = progress.Live(stream, clock=iter(range(0, 100, 10)).__next__)
    live._pace = Pace([TOTAL])
    live("beat", fact(0, 0.0, 0.0))
    live("beat", fact(1000, 1.0, 1.1, {"psnr": 31.25, "psnr_hidden": 29.0}))
    shown = stream.getvalue().rsplit("\r\x1b[K", 1)[1]
    assert f"ETA {duration(999.1)}" in shown and len(shown) < width
    assert "PSNR 31.25 dB" in shown or width < 40


@pytest.mark.parametrize(("facts", "unit"), [({"picture": None}, "px/s"), ({"name": "mnist"}, "samples/s")])
def test_samples_are_pixels_only_where_a_picture_is_learned(
    facts: dict[str, Any], unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderers, "opening", lambda facts: [])
    stream = io.StringIO()
    lines = progress.Lines(stream, clock=iter(range(0, 100, 20)).__next__)
    lines("start", {"data": SimpleNamespace(facts=facts), "looks": [TOTAL]})
    lines("progress", fact(0, 0.0, 0.0))
    lines("progress", fact(1000, 1.0, 1.0, {"test_error": 0.0123}))
    assert f"100.0k {unit}" in stream.getvalue() and "test error 1.23 %" in stream.getvalue()
