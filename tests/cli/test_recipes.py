"""Recipes belong to a task; budgets, options and hints as a person means them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from small_picture import FAST

import sfumato
from sfumato.__main__ import main
from sfumato.errors import RecipeError
from sfumato.recipe import NAMED, NAMED_FOR, Recipe, beats, read_recipe
from sfumato.runs import listing

OTHERS = [
    (task, name)
    for task in NAMED_FOR
    for other, recipes in NAMED_FOR.items()
    for name in recipes
    if other != task and name not in NAMED_FOR[task]
]


@pytest.mark.parametrize(("task", "name"), OTHERS)
def test_a_recipe_of_another_task_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], task: str, name: str
) -> None:
    verb = {"picture": ["paint"], "gigapixel": ["gigapixel", "photo.png"]}.get(task, [task])
    assert main([*verb, "--recipe", name, "--dry-run"]) == 2
    assert f"not of {task}" in capsys.readouterr().err
    Path("file.json").write_text(json.dumps({"task": "digits" if task == "picture" else "picture"}))
    assert main([*verb, "--recipe", "file.json", "--dry-run"]) == 2
    assert f"not of {task}" in capsys.readouterr().err


def test_near_misses_are_looked_for_among_the_right_ones() -> None:
    with pytest.raises(RecipeError, match="did you mean 'best'"):
        read_recipe("bets", "digits")
    with pytest.raises(RecipeError, match="did you mean 'sharp'"):
        read_recipe("shrp")
    with pytest.raises(RecipeError, match="of task picture"):
        sfumato.digits(recipe=NAMED["classic"][0])


def test_a_budget_in_epochs_takes_the_place_of_one_in_steps(photo: Path, tmp_path: Path) -> None:
    recipe = Recipe(net=(8,), steps=100, batch=64)
    assert recipe.replace(epochs=5).steps == 0 and recipe.replace(epochs=5, steps=7).steps == 7
    watch = sfumato.Watch(film="none")
    run = sfumato.paint(photo, recipe=recipe, epochs=3, out=tmp_path, watch=watch)
    assert run.last["epoch"] == 3.0


@pytest.mark.parametrize(
    "text", ["every:1", "linear:1000000000", "1000000000", "log:200000", "linear:100001", "every:2"]
)
def test_more_beats_than_a_folder_holds_are_refused_at_once(text: str) -> None:
    with pytest.raises(RecipeError, match="at most 100,000"):
        beats.parse(text, 10**12)


def test_commands_that_are_printed_can_be_run_and_forks_take_options(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = "my runs; $HOME"
    arguments = [
        "digits",
        "--data",
        "digits8x8",
        "--net",
        "8",
        "--epochs",
        "2",
        "--film",
        "none",
        "--out",
        out,
    ]
    assert main(arguments) == 0
    lines = [line.removeprefix("next").strip() for line in capsys.readouterr().err.splitlines()]
    printed = [shlex.split(line) for line in lines if line.startswith("sfumato ")]
    assert len(printed) == 2
    for command in printed:
        assert main(command[1:]) == 0, command
    (run,) = listing(out)
    capsys.readouterr()
    assert main(["resume", str(run.folder), "--epochs", "1"]) == 1
    err = capsys.readouterr().err
    assert "is past 1 epochs" in err and shlex.quote(str(run.folder)) in err
    fork = [
        "resume",
        str(run.folder),
        "--fork",
        "2",
        "--set",
        "options.samples=1000",
        "--out",
        out,
        "--quiet",
    ]
    assert main(fork) == 0
    assert [dict(one.recipe.options) for one in listing(out)] == [{}, {"samples": 1000}]


def test_what_an_atlas_cannot_draw_is_refused_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "photo.png", *FAST, "--quiet"]) == 0
    for wrong, words in (
        (["--plots", "regoins"], "did you mean 'regions'?"),
        (["--size", "100000x100000"], "is too large"),
    ):
        assert main(["atlas", "last", *wrong]) == 2
        assert words in capsys.readouterr().err
    assert not (listing("runs")[0].folder / "atlas").exists()
