"""Runs whose budget was planned anew, with everything that may be done to them later: each is what it would have
been had nothing happened, in weights, kept steps and lines of metrics, on every engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_going_on import BASES, SMALL, lines, stopping, weights

from sfumato import budget, engine, experiment, following
from sfumato.errors import RunError
from sfumato.learning.plan import Plan
from sfumato.learning.session import Tick
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import RunDirectory
from sfumato.runs.watch import Looks, Until, Watch

PLANNED, CUTS = 48, {20: 30, 24: 60}
"""Steps of the budget as it was planned, and at which step it is planned anew, for how many in all."""

WATCH = Watch(frames="7", keep="4", film="none", checkpoint=1e9)


class Anew:
    """A pace that plans anew at fixed steps."""

    def __init__(self, *unused: Any) -> None: ...

    def steps(self, tick: Tick, frames: Any) -> int | None:
        return CUTS.get(tick.step)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every budget is one of 48 steps, planned anew twice; a pulse comes after each step."""

    def plan(recipe: Recipe, *unused: Any, **more: Any) -> Any:
        return budget.Planned(recipe.replace(steps=PLANNED), WATCH, "planned", 0, 0)

    drive = following.drive
    monkeypatch.setattr(following, "drive", lambda *a, **k: drive(*a, **{**k, "pulse": 0.0}))
    monkeypatch.setattr(experiment, "plan", plan)
    monkeypatch.setattr(experiment, "Pace", Anew)


def same(a: RunDirectory, b: RunDirectory) -> None:
    """Fail unless weights are equal bit for bit, and lines and kept steps are equal; a line's total is that of
    the plan when it was written."""
    assert all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a) | weights(b))
    assert a.steps() == b.steps() and [s for s, _ in a.frames()] == [s for s, _ in b.frames()]
    ours, theirs = ([{**line, "total_steps": 0} for line in lines(run)] for run in (a, b))
    assert ours == theirs and a.last["total_steps"] == b.last["total_steps"]


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize("name", BASES)
def test_whatever_is_done_to_a_cut_run_it_is_what_it_would_have_been(
    photo: Path, tmp_path: Path, name: str
) -> None:
    base = BASES[name]
    if engine.engine(name).why_not(base):
        return  # test_going_on says that it is refused
    whole = experiment.perform(base, str(photo), out=tmp_path, budget=9.0)
    assert whole.recipe.cuts == "20:30,24:60" and whole.last["step"] == whole.last["total_steps"] == 60
    same(experiment.perform(whole.recipe, str(photo), out=tmp_path, watch=WATCH), whole)
    for stop in (13, 20, 22, 24, 45):
        halted = experiment.perform(base, str(photo), out=tmp_path, budget=9.0, watchers=[stopping(stop)])
        assert halted.checkpoint()[2]["step"] == stop
        if stop == 13:  # killed after it was planned anew and before the next checkpoint
            halted.change_recipe(whole.recipe)
            same(experiment.resume(Run(halted.folder)), whole)
        elif stop >= 24:
            same(experiment.resume(Run(halted.folder)), whole)
    for step in (0, 19, 20, 23, 24, 59):
        fork = experiment.fork(whole, step, {}, out=tmp_path)
        assert all(torch.equal(weights(whole)[n], weights(fork)[n]) for n in weights(whole)), step
        changed = experiment.fork(whole, step, {"rate": 0.003}, out=tmp_path)
        cut = experiment.fork(whole, step, {"rate": 0.003}, out=tmp_path, watchers=[stopping(step)])
        same(experiment.resume(Run(cut.folder)), changed)


@pytest.mark.usefixtures("planned")
def test_a_cut_run_goes_on_for_more_epochs_by_a_plan_without_cuts(photo: Path, tmp_path: Path) -> None:
    whole = experiment.perform(SMALL, str(photo), out=tmp_path, budget=9.0)
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder, copy)
    (copy / "painting.png").touch()
    with pytest.raises(RunError, match=r"is done: it stands at step 60\nhint: sfumato resume .* --epochs 15"):
        experiment.resume(Run(copy))  # 60 steps are 7.5 epochs: twice that
    longer = experiment.resume(Run(copy), epochs=10)
    assert longer.recipe.cuts == "" and longer.recipe.steps == 0 and longer.recipe.epochs == 10
    assert longer.last["step"] == longer.last["total_steps"] == 80
    fork = experiment.fork(whole, 30, {"epochs": 10.0}, out=tmp_path)
    assert fork.recipe.cuts == "" and fork.last["step"] == 80


@pytest.mark.usefixtures("planned")
def test_a_target_beside_a_budget(photo: Path, tmp_path: Path) -> None:
    missed = experiment.perform(SMALL, str(photo), out=tmp_path, budget=9.0, until=Until("psnr", 90.0))
    assert not missed.reached and missed.state == "missed" and "of 90 dB" in missed.verdict
    reached = experiment.perform(SMALL, str(photo), out=tmp_path, budget=9.0, until=Until("psnr", 1.0))
    assert reached.reached and reached.state == "reached" and reached.last["step"] == 0
    on = experiment.resume(Run(reached.folder), until=Until("psnr", 90.0))  # to the end of the first plan
    assert not on.reached and on.last["step"] == PLANNED and on.recipe.cuts == ""
    assert on.state == "missed" and on.origin["until"] == "psnr=90"


@given(st.data())
def test_looks_that_move_while_a_run_goes_are_those_of_a_run_that_knew(data: st.DataObject) -> None:
    """What is looked at as it goes, cut by cut, equals what a repeated or resumed run looks at."""
    total = data.draw(st.integers(20, 300))
    watch = Watch(frames=str(data.draw(st.integers(2, 40))), keep="3")
    recipe = Recipe(steps=total, batch=16)
    live = Plan(recipe, 160, total)
    looks = Looks(watch, live)
    seen, cuts, step = [], [], -1  # the last one that was looked at or passed
    for _ in range(data.draw(st.integers(1, 3))):
        if total - step < 3:
            break
        at = data.draw(st.integers(max(0, step), total - 2))
        seen += [s for s in range(step + 1, at + 1) if s in looks.frames]
        total = data.draw(st.integers(at + 1, 2 * total))
        live.cut(at, total)
        looks.move()
        cuts.append(f"{at}:{total}")
        step = at
    seen += [s for s in range(step + 1, total + 1) if s in looks.frames]
    known = recipe.replace(cuts=",".join(cuts))
    again = Looks(watch, Plan(known, 160, known.total_steps(160)))
    assert seen == sorted(again.frames)
    assert SimpleNamespace(**vars(looks)).frames == again.frames
