"""Sweeps: files that can and cannot be meant, grids, random points, searches, halving, resuming."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from here import Here
from sweeps import BASE, written

from sfumato.compare import sweep, workers
from sfumato.compare.sweep_file import Range, Sweep, read
from sfumato.compare.workers import Result
from sfumato.errors import PictureError, RecipeError, RunError
from sfumato.recipe import named


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Here)


def test_a_grid_is_every_combination(photo: Path, tmp_path: Path) -> None:
    asked = written(tmp_path, "[grid]\nrate = [0.001, 0.01]\nseed = [0, 1, 2]\n")
    assert asked.recipe == named("siren").replace(net="6", batch=32, steps=8, engine="eager")
    assert asked.source == str(photo)
    said: list[str] = []
    trials = sweep.run(asked, tmp_path / "out", say=said.append)
    assert [t.values for t in trials] == [{"rate": r, "seed": s} for r in (0.001, 0.01) for s in (0, 1, 2)]
    assert all(t.step == 8 and t.folder and not t.error for t in trials) and len(said) == 6
    text = sweep.text(asked, trials)
    assert "6 trials, 0 stopped early, 0 failed" in text and len(text.splitlines()) == 5, "seeds collapse"
    assert max(map(len, text.splitlines())) <= 80
    sweep.write_csv(asked, trials, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 and float(lines[3]["rate"]) == 0.01 and float(lines[0]["psnr"]) == trials[0].score


def test_a_sweep_goes_on_and_refuses_another_ones_folder(photo: Path, tmp_path: Path) -> None:
    few = written(tmp_path, "[random]\nrate = {low = 1e-4, high = 1e-2, log = true}\ntrials = 3\n")
    first = sweep.run(few, tmp_path / "out")
    more = written(tmp_path, "[random]\nrate = {low = 1e-4, high = 1e-2, log = true}\ntrials = 5\n")
    second = sweep.run(more, tmp_path / "out")
    assert [t.folder for t in second[:3]] == [t.folder for t in first] and len(second) == 5
    other = written(tmp_path, "[random]\nrate = {low = 1e-4, high = 1e-1, log = true}\ntrials = 5\n")
    with pytest.raises(RunError, match="holds another sweep"):
        sweep.run(other, tmp_path / "out")


def test_random_points_lie_in_their_ranges() -> None:
    axes = {
        "rate": Range(1e-4, 1e-2, True, False),
        "batch": Range(16, 64, False, True),
        "activation": ["relu", "tanh"],
    }
    points = list(sweep._points(Sweep(named("siren"), None, "random", axes, trials=60)))
    assert all(1e-4 <= p["rate"] <= 1e-2 and 16 <= p["batch"] <= 64 for p in points)
    assert {p["activation"] for p in points} == {"relu", "tanh"} and isinstance(points[0]["batch"], int)
    assert sum(p["rate"] < 1e-3 for p in points) == pytest.approx(30, abs=12), (
        "even in the logarithm; 3 sd of 60"
    )


def test_a_search_remembers_what_it_asked(photo: Path, tmp_path: Path) -> None:
    text = '[search]\nrate = {low = 1e-4, high = 1e-2, log = true}\nactivation = ["sine", "tanh"]\ntrials = '
    first = sweep.run(written(tmp_path, f"{text}4\n"), tmp_path / "out")
    asked = [json.loads(line) for line in (tmp_path / "out" / "asked.jsonl").read_text().splitlines()]
    assert len(asked) == 4 and {t.values["activation"] for t in first} <= {"sine", "tanh"}
    again = sweep.run(written(tmp_path, f"{text}6\n"), tmp_path / "out")
    assert [t.values for t in again[:4]] == [t.values for t in first] and len(again) == 6
    assert [t.folder for t in again[:4]] == [t.folder for t in first], "none was run again"


def test_halving_stops_the_poor_ones_at_a_beat_and_its_decisions_stand(photo: Path, tmp_path: Path) -> None:
    asked = written(
        tmp_path, "[grid]\nrate = [5e-3, 1e-3, 1e-5, 1e-6, 2e-6, 3e-6]\n[halving]\nfirst = 0.25\nfactor = 2\n"
    )
    trials = sweep.run(asked, tmp_path / "out")
    assert {t.step for t in trials if t.stopped} <= {2, 4} and sum(t.stopped for t in trials) >= 3
    assert any(t.step == 8 and not t.stopped for t in trials)
    assert "stopped" in sweep.text(asked, trials)
    decisions = (tmp_path / "out" / "decisions.jsonl").read_text()
    again = sweep.run(asked, tmp_path / "out")
    assert [(t.step, t.stopped) for t in again] == [(t.step, t.stopped) for t in trials]
    assert (tmp_path / "out" / "decisions.jsonl").read_text() == decisions


def test_a_failure_is_said_at_once_and_does_not_end_it(photo: Path, tmp_path: Path) -> None:
    base = BASE.replace("steps = 8", 'steps = 40\noptimizer = "sgd"')
    asked = written(tmp_path, "[grid]\nrate = [9e5, 0.001]\n", base)
    said: list[str] = []
    trials = sweep.run(asked, tmp_path / "out", say=said.append)
    assert trials[0].error.startswith("diverged") and not trials[1].error
    assert "failed: diverged" in said[0] and "1 failed" in sweep.text(asked, trials)
    with pytest.raises(RunError, match="diverged"):
        sweep.run(asked, tmp_path / "other", fail_fast=True)


@pytest.mark.parametrize("axes", ["seed = [0, 1]", "held_out = [0.5]", "options = [{}]"])
def test_a_picture_that_is_not_there_is_refused_before_anything_runs(axes: str, tmp_path: Path) -> None:
    asked = written(tmp_path, f"[grid]\n{axes}\n", BASE.replace("photo", "absent"))
    with pytest.raises(PictureError, match="absent"):
        sweep.run(asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_only_seen_later_is_refused_too(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read(tmp_path / "absent.toml")
    with pytest.raises(RecipeError, match="same steps"):
        sweep.run(written(tmp_path, "[grid]\nsteps = [8, 16]\n[halving]\n"), tmp_path / "a")
    with pytest.raises(RecipeError, match="metric 'psn' is not measured; there are psnr"):
        sweep.run(written(tmp_path, "[grid]\nseed = [0]\n", 'metric = "psn"\n' + BASE), tmp_path / "b")


def test_a_missing_optuna_is_one_line(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    from sfumato.errors import MissingExtra

    with pytest.raises(MissingExtra, match=r"sfumato\[sweep\]"):
        sweep.run(
            written(tmp_path, "[search]\nrate = {low = 1e-3, high = 1e-2}\ntrials = 2\n"), tmp_path / "out"
        )


def test_two_trials_that_drew_the_same_values_share_a_run(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = written(tmp_path, "[grid]\nrate = [0.001, 0.001, 0.002]\n")
    taken: list[Result] = []
    take = sweep._Driver.take
    monkeypatch.setattr(
        sweep._Driver, "take", lambda self, result: (taken.append(result), take(self, result))[1]
    )
    trials: list[Any] = sweep.run(asked, tmp_path / "out")
    assert len(taken) == 2 and trials[0].folder == trials[1].folder and trials[0].score == trials[1].score
    line = next(line for line in sweep.text(asked, trials).splitlines() if line.startswith("rate=0.001"))
    assert "±" not in line, "one run has no spread, however often it was drawn"


def test_points_that_differ_in_the_fifth_digit_are_two_points() -> None:
    axes: dict[str, Any] = {"rate": [0.0100001, 0.0100002]}
    trials = [sweep.Trial(i, {"rate": r}, score=20.0 + i, folder=str(i)) for i, r in enumerate(axes["rate"])]
    text = sweep.text(Sweep(named("siren"), None, "grid", axes), trials)
    assert "rate=0.0100001" in text and "rate=0.0100002" in text and "±" not in text


def test_a_torn_line_costs_that_line_alone(photo: Path, tmp_path: Path) -> None:
    """A power cut may leave half a line; what is written after it must not be lost with it."""
    text = "[search]\nrate = {low = 1e-4, high = 1e-2, log = true}\ntrials = "
    sweep.run(written(tmp_path, f"{text}3\n"), tmp_path / "out")
    log = tmp_path / "out" / "asked.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], lines[1], lines[2][:9]]))
    more = sweep.run(written(tmp_path, f"{text}5\n"), tmp_path / "out")
    again = sweep.run(written(tmp_path, f"{text}5\n"), tmp_path / "out")
    assert [t.values for t in again] == [t.values for t in more]
    assert log.read_text().splitlines()[:2] == lines[:2]


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_a_damaged_sweep_is_said(content: str, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sweep.json").write_text(content)
    with pytest.raises(RunError, match=r"sweep\.json is damaged"):
        sweep.run(written(tmp_path, "[grid]\nseed = [0]\n"), tmp_path / "out")
