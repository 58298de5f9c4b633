"""What a page says of a run, and that the lines it offers make the same run again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sfumato
from sfumato.__main__ import main
from sfumato.playground import stories
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import listing

SMALL: dict[str, Any] = {"net": (6, 5), "batch": 32, "epochs": 2, "engine": "eager", "threads": 1}
WATCH = sfumato.Watch("3", "3", film="none")


def made(source: str | None, out: Path, **fields: Any) -> Run:
    return sfumato.perform(Recipe(**SMALL | fields), source, out=out, watch=WATCH, progress=False)


@pytest.fixture
def run(photo: Path, tmp_path: Path) -> Run:
    return made(str(photo), tmp_path / "runs", activation="sine:omega=7", held_out="checker")


def test_it_says_what_recipe_and_origin_say_as_json(run: Run) -> None:
    said = stories.about(run)
    assert json.loads(json.dumps(said)) == said
    assert said["run"] == run.name and said["recipe"] == json.loads(run.recipe.to_json())
    assert (said["net"], said["widths"], said["outputs"]) == ("6,5", [6, 5], 3)
    assert said["samples"] == run.origin["samples"] and said["parameters"] == 6 * 3 + 5 * 7 + 3 * 6
    assert said["state"] == "done" and said["last"] == run.last
    assert said["total_steps"] == run.last["total_steps"] and stories.about(run, 99)["total_steps"] == 99


def test_its_weights_are_not_read(run: Run) -> None:
    for path in [*(run.folder / "weights").iterdir(), run.folder / "checkpoint.safetensors"]:
        path.unlink()
    assert stories.about(run)["widths"] == [6, 5]


def final(run: Run) -> list[Any]:
    return [value.numpy() for value in run.checkpoint()[0].values()]


def test_the_command_makes_the_same_run_again(run: Run, tmp_path: Path, photo: Path) -> None:
    photo.unlink()  # the page's upload is gone with its server
    command, _ = stories.remade(run)
    words = shlex.split(command)
    assert words[:3] == ["sfumato", "paint", str(run.folder / "target.png")] and "--frames" not in words
    assert main([*words[1:], "--out", str(tmp_path / "again"), "--film", "none", "--quiet"]) == 0
    (again,) = listing(tmp_path / "again")
    assert again.recipe == run.recipe
    assert all(map(np.array_equal, final(Run.of(again)), final(run)))


def test_the_lines_of_python_make_the_same_run_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, lines = stories.remade(run)
    monkeypatch.chdir(tmp_path)
    room: dict[str, Any] = {}
    exec(
        lines.replace("target.png')", "target.png', progress=False, watch=sfumato.Watch('3', film='none'))"),
        room,
    )
    again = room["run"]
    assert again.recipe == run.recipe and again.folder.parent == Path("runs")
    assert all(map(np.array_equal, final(again), final(run)))


def test_a_run_of_the_built_in_picture_names_no_file(tmp_path: Path) -> None:
    run = made(None, tmp_path, options={"max_pixels": 200})
    command, lines = stories.remade(run)
    assert "target.png" not in command and lines.endswith("sfumato.perform(recipe, None)\n")


def test_a_named_recipe_is_named_and_only_what_differs_is_written(tmp_path: Path) -> None:
    from sfumato.recipe import NAMED

    class Fake:
        recipe = NAMED["siren"][0]

    assert "read_recipe('siren')\n" in stories.python_lines(Fake(), "x.png")  # type: ignore[arg-type]
    Fake.recipe = NAMED["siren"][0].replace(net="3x8", rate=0.25)
    lines = stories.python_lines(Fake(), "x.png")  # type: ignore[arg-type]
    assert "read_recipe('siren').replace(net='3x8', rate=0.25)\n" in lines and "'x.png'" in lines
