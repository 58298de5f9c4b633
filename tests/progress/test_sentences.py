"""How a run opens and closes: its picture, where its recipe departs, scores, where time went, what is next."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sfumato
from sfumato import tasks
from sfumato.__main__ import main
from sfumato.progress import sentences
from sfumato.recipe import Recipe

SMALL = Recipe(net=(6, 5), batch=32, epochs=2, engine="eager", rate=0.01, threads=1)
WATCH = sfumato.Watch("2", "2", film="none")


def told(photo: Path, out: Path, recipe: Recipe = SMALL) -> dict[str, dict[str, Any]]:
    """The facts of a run's first and last event."""
    heard: dict[str, dict[str, Any]] = {}
    sfumato.perform(
        recipe, str(photo), out=out, watch=WATCH, say=lambda event, facts: heard.update({event: dict(facts)})
    )
    return heard


def test_it_opens_with_what_learns_what_by_what_and_where(photo: Path, tmp_path: Path) -> None:
    facts = told(photo, tmp_path)["start"]
    first, *rows = sentences.opening(facts)
    assert first.startswith("A network of 11 neurons learns the 13x9 picture 'photo'")
    said = {row[:8].strip(): row[8:] for row in rows}
    assert (
        "net=6,5" in said["recipe"] and "rate=0.01" in said["recipe"] and "activation" not in said["recipe"]
    )
    assert said["net"] == "6,5 relu, 71 parameters; 13x9 = 117 pixels"
    assert said["engine"] == "eager, 1 threads, seed 0, 8 steps"
    assert said["run"] == str(facts["run"].folder)


def test_the_tasks_own_recipe_is_the_default(photo: Path, tmp_path: Path) -> None:
    facts = told(photo, tmp_path)["start"]
    facts["run"] = SimpleNamespace(recipe=tasks.task("picture").RECIPE, origin={}, folder=Path("x"))
    assert "recipe  the default" in sentences.opening(facts)


def test_its_time_adds_up_and_its_scores_are_in_words(photo: Path, tmp_path: Path) -> None:
    facts = told(photo, tmp_path)["done"] | {
        "wall": 10.0,
        "training": 6.0,
        "watching": 2.0,
        "finishing": 1.5,
    }
    lines = sentences.closing(facts)
    assert lines[0].startswith("PSNR ") and " dB" in lines[0] and "step" not in lines[0]
    time = next(line for line in lines if line.startswith("time"))
    parts = "training 6.0 + frames and metrics 2.0 + painting and film 1.5 + weights and checkpoints 0.5"
    assert time == f"time    10.0 s = {parts}"
    facts["finishing"] = 3.0  # clocks that overlap leave no negative rest
    assert any(line.endswith("weights and checkpoints 0.0") for line in sentences.closing(facts))


def test_what_is_next_can_be_done(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As commands for a shell, also where the folder's name has spaces, and as methods in Python."""
    facts = told(photo, tmp_path / "my runs")["done"]
    monkeypatch.chdir(tmp_path)
    lines = sentences.closing(facts)
    at = next(n for n, line in enumerate(lines) if line.startswith("next"))
    commands = [line[8:] for line in lines[at : at + 2]]
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    assert Path("painting.png").exists()
    python = sentences.closing(facts, python=True)
    assert "next    run.atlas(), run.report()" in python and not any(
        "sfumato atlas" in line for line in python
    )


def test_a_target_is_told_and_so_is_a_training_that_went_wrong(photo: Path, tmp_path: Path) -> None:
    facts = told(photo, tmp_path, SMALL.replace(rate=1e-7, epochs=1))["done"]
    facts["run"].verdict = "target not reached: 9.00 of 30 dB"
    lines = sentences.closing(facts)
    assert lines[1] == "target not reached: 9.00 of 30 dB"
    notes = [n for n, line in enumerate(lines) if line.startswith("note ")]
    assert notes and all(lines[n + 1].startswith("        try: ") for n in notes)


@pytest.mark.parametrize("python", [False, True])
def test_a_stopped_run_says_how_to_go_on_and_nothing_else(photo: Path, tmp_path: Path, python: bool) -> None:
    facts = told(photo, tmp_path / "my runs")["done"]
    facts["run"].stopped_by = 2
    lines = sentences.closing(facts, python=python)
    how = "sfumato.resume(run)" if python else f"sfumato resume '{facts['run'].folder}'"
    assert lines == ["stopped at step 8 of 8, all saved", f"go on: {how}"]
