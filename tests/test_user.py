"""What a demanding user ran into: runs within a minute, stops at bad moments, options that cannot be meant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_picture import FAST

from sfumato import api
from sfumato.__main__ import main
from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import find, listing
from sfumato.runs.watch import Watch
from sfumato.views import film

SMALL = Recipe(net=(5,), batch=64, epochs=2.0, engine="eager", threads=1, rate=0.01)
FILMLESS = Watch(frames="2", keep="2", film="none")


def test_last_is_the_newest_of_runs_that_started_in_one_minute(photo: Path, tmp_path: Path) -> None:
    made = [
        api.perform(SMALL, str(photo), out=tmp_path / "runs", name=name, watch=FILMLESS)
        for name in ("zebra", "ape", "mole")
    ]
    assert [run.folder for run in listing(tmp_path / "runs")] == [run.folder for run in made]
    assert find("last", str(tmp_path / "runs")).folder == made[-1].folder
    made[0].folder.rename(tmp_path / "runs" / "zzz")
    assert find("last", str(tmp_path / "runs")).folder == made[-1].folder


def test_a_film_of_unknown_kind_is_refused_before_training(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", str(photo), "--film", "avi", "--out", str(tmp_path / "runs")]) == 2
    assert "film='avi' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_during_the_film_is_told_and_resuming_makes_the_film(
    number: int,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(run: Run, kind: str, **options: object) -> Path:
        os.kill(os.getpid(), number)
        raise AssertionError("the signal comes first")

    out = str(tmp_path / "runs")
    watched = ["--net", "5", "--epochs", "2", "--engine", "eager", "--frames", "3", "--film", "gif"]
    with monkeypatch.context() as patch:
        patch.setattr(film, "film", stopped)
        assert main(["paint", str(photo), *watched, "--out", out]) == 128 + number
    (run,) = listing(out)
    told = capsys.readouterr()
    assert told.out == f"{run.folder}\n" and f"go on: sfumato resume {run.folder}" in told.err
    lines = run.history
    assert main(["resume", str(run.folder)]) == 0
    assert (run.folder / "film.gif").exists()
    assert run.history == lines
    with pytest.raises(RunError, match="is done"):
        api.resume(run)


def test_a_second_ctrl_c_says_how_to_go_on(photo: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def say(event: str, facts: object) -> None:
        said.append(str(facts))

    def twice(tick: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        api.perform(SMALL, str(photo), out=tmp_path / "runs", watch=FILMLESS, watchers=[twice], say=say)
    (run,) = listing(tmp_path / "runs")
    assert f"go on: sfumato resume {run.folder}" in said[-1].replace("\\n", "\n")


def test_ctrl_c_before_a_run_exists_is_said(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*args: object, **options: object) -> Run:
        raise KeyboardInterrupt

    monkeypatch.setattr("sfumato.experiment.perform", stopped)
    assert main(["paint", str(photo)]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_fork_keeps_the_name_and_origin_of_its_picture(photo: Path, tmp_path: Path) -> None:
    run = api.perform(SMALL, str(photo), out=tmp_path / "runs", watch=FILMLESS)
    new = api.fork(run, 2, {"epochs": 3.0}, out=tmp_path / "runs")
    assert "_photo_" in new.name
    assert new.origin["source"] == str(photo)


def test_a_run_that_cannot_be_written_leaves_no_empty_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match="No space left"), Run.create(tmp_path / "runs", SMALL, "photo", {}):
        pass
    assert not list((tmp_path / "runs").iterdir())


def test_dry_run_with_json_is_one_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", str(photo), "--net", "5", "--dry-run", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["samples"] == 117


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["paint", "photo.png", "--net", "5", "--frames", "linear:-1"],
            "beats linear:-1: must be at least 0",
        ),
        (["paint", "photo.png", "--rate", "1e10"], "less than a million"),
        (["paint", "photo.png", "--set", "threads=9999"], "0 (all) to 4096"),
        (["paint", "photo.png", "--set", "options.alpha=maybe"], "alpha='maybe' must be true or false"),
        (["paint", "photo.png", "--set", "options.max_pixels=x"], "max_pixels='x' must be a whole number"),
        (["bench", "--only", "nothing-like-it"], "no workload's name holds 'nothing-like-it'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    argv: list[str],
    message: str,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photo.parent)
    assert main(argv) == 2
    assert message in capsys.readouterr().err


def test_asking_a_long_run_for_fewer_epochs_hints_at_more(photo: Path, tmp_path: Path) -> None:
    run = api.perform(SMALL, str(photo), out=tmp_path / "runs", watch=FILMLESS)
    with pytest.raises(RunError, match="--epochs 4"):
        api.resume(run, epochs=1.0)


def test_weights_that_do_not_fit_an_edited_recipe_are_told_in_words(photo: Path, tmp_path: Path) -> None:
    run = api.perform(SMALL, str(photo), out=tmp_path / "runs", watch=FILMLESS)
    run.change_recipe(run.recipe.replace(net="7"))
    with pytest.raises(RunError, match="do not fit"):
        run.image()
    with pytest.raises(RunError, match="do not fit"):
        api.resume(run, epochs=9.0)


def test_a_run_without_its_target_does_not_go_on_with_another(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "photo.png", *FAST, "--quiet"]) == 0
    (run,) = listing("runs")
    (run.folder / "target.png").unlink()
    assert main(["resume", "last", "--epochs", "9"]) == 1
    assert "lacks target.png" in capsys.readouterr().err


def test_a_damaged_origin_is_said_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "photo.png", *FAST, "--quiet"]) == 0
    (run,) = listing("runs")
    (run.folder / "origin.json").write_text("{}")
    capsys.readouterr()
    assert main(["export", str(run.folder), "a.png"]) == 1
    assert "origin.json does not say" in capsys.readouterr().err


def test_holding_out_no_pixel_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "photo.png", *FAST, "--held-out", "blocks:share=0.1,size=1600"]) == 2
    assert "hides no pixel" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_way_in_imports_nothing_before_it_can_hear_ctrl_c() -> None:
    code = "import sys; from sfumato import __main__; print(sorted({'cyclopts', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
