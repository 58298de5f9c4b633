"""Targets: what counts as reached, what is refused, and how a run says what became of its target."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_picture import FAST

from sfumato import experiment, tasks
from sfumato.__main__ import main
from sfumato.errors import RecipeError
from sfumato.recipe import Recipe
from sfumato.runs import listing, overview
from sfumato.runs.watch import Until, Watch, outcome
from sfumato.words import decibels

LINE = {"step": 3, "total_steps": 8, "seconds": 1.5}


@pytest.mark.parametrize(
    ("scores", "reached"),
    [
        ({"psnr": 31.0}, True),
        ({"psnr": 29.0}, False),
        ({"psnr": None}, True),
        ({"test_error": 0.1}, False),
        ({}, False),
    ],
)
def test_a_score_that_is_absent_never_counts_as_reached(
    scores: dict[str, float | None], reached: bool
) -> None:
    until, line = Until.parse("psnr=30"), {**LINE, **scores}
    assert until.reached(SimpleNamespace(step=3, seconds=1.5), line) == reached == until.met(line)  # type: ignore[arg-type]
    assert outcome(line, "psnr=30") == ("reached" if reached else "interrupted")
    assert outcome(line | {"step": 8}, "psnr=30") == ("reached" if reached else "missed")
    assert outcome(line | {"step": 8}, None) == "done" and outcome(line, None) == "interrupted"


def test_an_exact_painting_is_null_and_an_absent_score_has_no_key() -> None:
    assert decibels({"psnr": None}) == math.inf and math.isnan(decibels({}))


@pytest.mark.parametrize(("text", "words"), [("psnr=30", "31.00"), ("time=60s", "60 s of training")])
def test_a_target_reads_back_as_it_was_written(text: str, words: str) -> None:
    assert str(Until.parse(text)) == text and Until.of(text) == Until.parse(text)
    assert Until.of(None) is None and Until.of("nonsense") is None
    line = LINE | {"psnr": 31.0}
    assert "reached at step 3" in Until.parse(text).verdict(line, True)
    assert words in Until.parse(text).verdict(line, False)


def test_a_target_that_the_task_cannot_score_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    recipe = Recipe(task="digits", net=(8,), encoding="raw", loss="cross_entropy", steps=2)
    with pytest.raises(RecipeError, match="no PSNR"):
        experiment.perform(recipe, "digits8x8", out=tmp_path / "runs", until=Until.parse("psnr=30"))
    assert not (tmp_path / "runs").exists()


def test_a_score_that_is_no_number_is_left_out(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tasks.task("picture")
    scores = {"psnr": math.inf, "ssim": math.nan}
    monkeypatch.setattr(picture, "score", lambda net, data, drawn: scores)
    run = experiment.perform(Recipe(net=(8,), steps=2), str(photo), out=tmp_path, watch=Watch(film="none"))
    assert "psnr" in run.last and run.last["psnr"] is None and "ssim" not in run.last


@pytest.mark.parametrize("how", [[], ["--quiet"], ["--json"]])
def test_what_became_of_a_target_is_said_and_is_a_state(
    folder: Path, capsys: pytest.CaptureFixture[str], how: list[str]
) -> None:
    assert main(["paint", "photo.png", *FAST, *how, "--until", "psnr=80"]) == 4
    assert "target not reached: " in (err := capsys.readouterr().err) and " of 80 dB" in err
    assert main(["paint", "photo.png", *FAST, *how, "--until", "psnr=1"]) == 0
    captured = capsys.readouterr()
    if how == []:
        assert "target psnr=1 reached at step " in captured.err
    if how == ["--json"]:
        done = json.loads(captured.out.splitlines()[-1])
        assert done["reached"] and "reached at step" in done["target"]
    assert [e.state for e in overview("runs")] == [r.state for r in listing("runs")] == ["missed", "reached"]
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert "missed" in listed and "reached" in listed


def test_a_run_that_was_stopped_before_its_target_goes_on_to_it(photo: Path, tmp_path: Path) -> None:
    recipe, watch = Recipe(net=(8,), steps=40, batch=32), Watch(frames="every:2", film="none")

    def stop(tick: object) -> None:
        if tick.step == 2:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)

    run = experiment.perform(
        recipe, str(photo), out=tmp_path, watch=watch, until=Until.parse("psnr=99"), watchers=[stop]
    )
    assert run.stopped_by and not run.verdict and run.state == "interrupted"
    again = experiment.resume(run)
    assert not again.reached and "of 99 dB" in again.verdict and again.state == "missed"
