"""Budgets in seconds: what fits is planned and stored, and a cut run is a function of its recipe like any other."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sfumato
from sfumato import budget, experiment
from sfumato.__main__ import main
from sfumato.errors import RecipeError
from sfumato.learning.plan import Plan
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.recipe.fields import parse_cuts
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Watch
from sfumato.words import epochs_text

SMALL = Recipe(net=(6,), batch=32, epochs=8.0, threads=1, engine="eager", warmup=0.1, wake=3)
WATCH = Watch(frames="4", keep="2", film="none")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("2m", 120), ("1h", 3600), ("1.5 h", 5400), ("45", 45), (30, 30), (".5m", 30)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert budget.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["0", "0s", "-3s", "soon", "1e9h", "9" * 12 + "h", "", "s", "nan", "inf", "1 2s", "3d"]
)
def test_what_is_no_time_is_refused_in_two_lines(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match="is no time"):
        budget.parse(text)
    assert main(["paint", f"--budget={text}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("more", [["--epochs", "3"], ["--set", "steps=9"]])
def test_a_budget_beside_epochs_or_steps_is_refused(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "--budget", "9s", *more]) == 2
    assert "the budget decides the steps" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="budget and epochs exclude one another"):
        sfumato.paint(budget="9s", epochs=3)


def test_a_budget_too_short_says_what_would_do(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", str(photo), "--budget", "0.01s", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "too short here: 0 steps" in said and "hint: --budget " in said


@pytest.mark.parametrize(
    ("epochs", "text"),
    [(0.05, "0.05"), (12.34, "12.3"), (616.8, "617"), (1834.2, "1,834"), (2e6, "2,000,000")],
)
def test_numbers_of_epochs_are_written_as_a_person_would(epochs: float, text: str) -> None:
    assert epochs_text(epochs) == text


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 50 steps a second, whatever else it does: a plan of 9 s is then quickly done."""
    monkeypatch.setattr(budget, "_seconds_per_step", lambda session, at_least: 0.02)
    monkeypatch.setattr(budget, "_frame_cost", lambda task, net, data: (0.01, 221))


@pytest.mark.usefixtures("measured")
def test_the_planned_steps_are_stored_and_repeating_them_gives_the_same_bits(
    photo: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    run = experiment.perform(
        SMALL,
        str(photo),
        out=tmp_path,
        watch=WATCH,
        budget=9.0,
        say=lambda event, facts: said.append(str(facts.get("text"))),
    )
    recipe = Recipe.from_json((run.folder / "recipe.json").read_text())
    assert recipe.steps > 0 and recipe.cuts == run.recipe.cuts and run.origin["budget"] == 9.0
    assert any(text.startswith("budget 9 s: ") and "samples/s" in text for text in said)
    assert not any(re.search(r"\de\+\d", text) for text in said)
    again = experiment.perform(recipe, str(photo), out=tmp_path, watch=WATCH)
    for name, value in run.checkpoint()[0].items():
        assert torch.equal(value, again.checkpoint()[0][name]), name


@pytest.mark.usefixtures("measured")
def test_frames_that_were_asked_for_are_kept_others_fit_the_budget(photo: Path, tmp_path: Path) -> None:
    asked = experiment.perform(
        SMALL, str(photo), out=tmp_path, watch=Watch(frames="every:9", film="none"), budget=9.0
    )
    assert asked.origin["watch"]["frames"] == "every:9"
    usual = experiment.perform(SMALL, str(photo), out=tmp_path, watch=Watch(film="none"), budget=9.0)
    assert 2 <= int(usual.origin["watch"]["frames"]) <= 48
    steps = [step for step, _ in usual.frames()]
    assert steps[0] == 0 and steps[-1] == usual.last["total_steps"]


# Cuts ------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_cut_schedule_goes_on_without_a_jump_and_ends_at_its_end(data: st.DataObject) -> None:
    planned = data.draw(st.integers(20, 400))
    at = data.draw(st.integers(0, planned - 12))
    total = data.draw(st.integers(at + 2, 2 * planned))
    cuts = f"{at}:{total}"
    if total - at > 4 and data.draw(st.booleans()):
        later = data.draw(st.integers(at, total - 3))
        total = data.draw(st.integers(later + 1, 2 * total))
        cuts += f",{later}:{total}"
    recipe = Recipe(steps=planned, cuts=cuts, batch=16)
    plan = Plan(recipe, 160, recipe.total_steps(160))
    assert plan.total_steps == total
    shares = plan.shares(np.arange(total + 1, dtype=np.float64))
    assert shares[0] == 0 and shares[-1] == pytest.approx(1) and (np.diff(shares) > 0).all()
    before = Plan(recipe.replace(cuts=""), 160, planned)
    assert np.array_equal(plan.rates(0, at), before.rates(0, at))
    moved = plan.moved(range(planned + 1))
    assert moved[: at + 1] == list(range(at + 1)) and moved[-1] == total and moved == sorted(moved)
    # A step is rounded to a whole one: its share of the schedule is off by half a step of the steepest stretch.
    steepest = max(np.diff(shares).max(), 1 / planned)
    assert np.abs(plan.shares(np.array(moved, float)) - np.arange(planned + 1) / planned).max() <= steepest


@pytest.mark.parametrize(
    "text", ["5", "5:", ":9", "9:5", "5:5", "3:8,2:7", "3:8,9:8", "a:b", "3:8;4:7", "-1:5"]
)
def test_cuts_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="is no cut"):
        Recipe(cuts=text)
    assert parse_cuts("3:9,3:8,5:17") == ((3, 9), (3, 8), (5, 17))


class Slow:
    """A pace that plans anew at fixed steps: fewer, then more."""

    def __init__(self, *unused: Any) -> None: ...

    def steps(self, tick: Tick, frames: Any) -> int | None:
        return {20: 30, 24: 60}.get(tick.step)


def cut_run(photo: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> RunDirectory:
    planned = budget.Planned(
        SMALL.replace(steps=48), Watch(frames="every:4", keep="2", film="none"), "planned", 0, 0
    )
    monkeypatch.setattr(experiment, "plan", lambda *a, **k: planned)
    monkeypatch.setattr(experiment, "Pace", Slow)
    return experiment.perform(SMALL, str(photo), out=out, budget=9.0, **more)


def test_a_cut_run_ends_annealed_is_recorded_repeats_and_resumes_exactly(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_run(photo, tmp_path, monkeypatch)
    recipe = json.loads((run.folder / "recipe.json").read_text())
    assert recipe["cuts"] == "20:30,24:60" and recipe["steps"] == 48
    assert run.state == "done" and run.last["step"] == run.last["total_steps"] == 60

    again = experiment.perform(
        run.recipe, str(photo), out=tmp_path, watch=Watch(frames="every:4", film="none")
    )
    weights = run.checkpoint()[0]
    for name, value in again.checkpoint()[0].items():
        assert torch.equal(value, weights[name]), name

    def stop(tick: Tick) -> None:
        if tick.step == 24:
            os.kill(os.getpid(), signal.SIGINT)

    half = cut_run(photo, tmp_path, monkeypatch, watchers=[stop])
    assert half.stopped_by == signal.SIGINT and half.checkpoint()[2]["step"] == 24
    for name, value in experiment.resume(half).checkpoint()[0].items():
        assert torch.equal(value, weights[name]), name


def paced(monkeypatch: pytest.MonkeyPatch) -> tuple[budget.Pace, Callable[[int, float], Any]]:
    """A pace of 100 s, and ticks of 1000 steps that put the clock at their second."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def tick(step: int, seconds: float) -> Any:
        clock[0] = seconds
        return SimpleNamespace(step=step, seconds=seconds, total_steps=1000, last=False)

    return budget.Pace(100.0, deadline=100.0, frame=0.0), tick


def test_a_slower_machine_is_noticed_and_a_short_stall_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 s for 1000 steps at 10 steps/s; then the machine does 5 a second."""
    pace, tick = paced(monkeypatch)
    assert pace.steps(tick(0, 0.0), ()) is None
    assert pace.steps(tick(100, 10.1), ()) is None
    assert pace.steps(tick(180, 20.2), ()) == 180 + int((100 - 20.2) * 180 / 20.2)
    assert pace.steps(tick(190, 22.0), ()) is None  # not again before a tenth of the budget is over


def test_a_machine_that_becomes_faster_uses_the_whole_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A net that trains falls silent on part of the picture: its steps become quicker than the measured ones."""
    pace, tick = paced(monkeypatch)
    assert pace.steps(tick(0, 0.0), ()) is None
    assert pace.steps(tick(102, 10.0), ()) is None  # 2 % are no reason
    assert pace.steps(tick(302, 20.0), ()) == 302 + int(80 * 302 / 20)
    assert pace.steps(tick(502, 30.0), ()) == 502 + int(70 * 400 / 20)  # the first tenth counts no more


@pytest.mark.parametrize(("frames", "expected"), [("7", 7), ("linear:5", 5)])
@pytest.mark.parametrize("cuts", ["", "200:300", "200:2000", "100:400,200:900"])
def test_a_number_of_looks_keeps_its_number_when_the_budget_is_planned_anew(
    frames: str, expected: int, cuts: str
) -> None:
    recipe = Recipe(steps=500, cuts=cuts, batch=16)
    plan = Plan(recipe, 160, recipe.total_steps(160))
    steps = Watch(frames=frames).steps(plan)[0]
    assert len(steps) == expected and steps[0] == 0 and steps[-1] == plan.total_steps
    asked = Watch(frames="every:50").steps(plan)[0]
    assert asked == sorted({*range(0, plan.total_steps, 50), plan.total_steps})


def test_a_new_budget_is_one_without_cuts() -> None:
    recipe = Recipe(steps=500, cuts="200:300")
    assert recipe.replace(rate=0.1).cuts == "200:300"
    for changes in ({"epochs": 9.0}, {"steps": 40}, {"epochs": 9.0, "steps": 0}):
        assert recipe.replace(**changes).cuts == ""


def test_frames_are_paid_for_at_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured on a busy machine, a frame seemed to take 10 s; the first two took half a second each."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    pace = budget.Pace(100.0, deadline=100.0, frame=10.0)
    frames = [0, 100, 500, 700, 1000]

    def tick(step: int, wall: float, seconds: float) -> Any:
        clock[0] = wall
        return SimpleNamespace(step=step, seconds=seconds, total_steps=1000, last=False)

    assert pace.steps(tick(0, 0.5, 0.0), frames) is None
    assert pace.steps(tick(200, 11.0, 10.0), frames) == 200 + int((100 - 11 - 3 * 0.5) * 20)


def test_a_slow_begin_does_not_cut_a_run_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the run's first files took a second on a busy disk; the first step touches its memory."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    pace = budget.Pace(8.0, deadline=7.0, frame=0.05)
    frames = [0, 1, 2, 7, 20, 60, 140, 329]

    def tick(step: int, wall: float, seconds: float) -> Any:
        clock[0] = wall
        return SimpleNamespace(step=step, seconds=seconds, total_steps=329, last=False)

    assert pace.steps(tick(0, 1.2, 0.0), frames) is None
    assert (
        pace.steps(tick(1, 1.5, 0.1), frames) is None
    )  # one step in a tenth of a second: nothing is known yet
    assert pace.steps(tick(10, 3.0, 0.3), frames) == 10 + int(
        (7 - 3) / 2 * 10 / 0.3
    )  # frames of half a second


@given(st.integers(1, 328), st.floats(0.2, 6.9), st.floats(0.161, 6.0), st.floats(0.0, 9.0))
def test_half_of_what_is_left_is_for_training(step: int, wall: float, seconds: float, frame: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = [0.0]
        patch.setattr(time, "perf_counter", lambda: clock[0])
        pace = budget.Pace(8.0, deadline=7.0, frame=frame)
        first = SimpleNamespace(step=0, seconds=0.0, total_steps=329, last=False)
        assert pace.steps(first, range(0, 329, 9)) is None  # type: ignore[arg-type]
        clock[0] = max(wall, 0.81)
        now = SimpleNamespace(step=step, seconds=seconds, total_steps=329, last=False)
        total = pace.steps(now, range(0, 329, 9))  # type: ignore[arg-type]
        possible = (7 - clock[0]) * step / seconds
        assert total is None or total - step >= max(1, int(possible / 2)) - 1
