"""The verbs as functions: what they take for a picture, a recipe and a budget, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sfumato
from sfumato import api, picture
from sfumato.errors import PictureError, RecipeError, TaskError
from sfumato.recipe import NAMED, NAMED_FOR, Recipe
from sfumato.run import Run
from sfumato.runs.watch import Until, Watch

TINY: dict[str, Any] = {"net": "5", "batch": 32, "engine": "eager", "threads": 1}
FEW = Watch("2", "2", film="none")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Recipe, Any, dict[str, Any]]]:
    """What `paint` and `digits` hand to `perform`, which trains nothing."""
    seen: list[tuple[Recipe, Any, dict[str, Any]]] = []

    def perform(recipe: Recipe, source: Any = None, **options: Any) -> None:
        seen.append((recipe, source, options))

    monkeypatch.setattr(api, "perform", perform)
    return seen


def test_fields_take_the_forms_of_the_command_line(asked: Any) -> None:
    api.paint("x.png", recipe="siren", net="2x8", activation="sine:omega=7", epochs=3, progress=False)
    recipe, source, _ = asked[0]
    assert source == "x.png"
    assert recipe == NAMED["siren"][0].replace(net=(8, 8), activation="sine:omega=7", epochs=3.0)


def test_a_recipe_may_be_a_name_a_file_or_one(asked: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"base": "finer", "rate": 0.25}')
    mine = Recipe(rate=0.5)
    for given in (None, "sharp", str(tmp_path / "mine.json"), mine):
        api.paint(recipe=given, progress=False)
    named = NAMED["finer"][0].replace(rate=0.25)
    assert [one for one, *_ in asked] == [NAMED["classic"][0], NAMED["sharp"][0], named, mine]


def test_classic_suits_its_batch_to_the_epochs_that_are_said(asked: Any) -> None:
    api.paint(epochs=20, progress=False)
    api.paint(epochs=20, batch=512, progress=False)
    assert [recipe.batch for recipe, *_ in asked] == [2048, 512]


def test_options_join_those_of_the_recipe(asked: Any) -> None:
    api.paint(recipe=Recipe(options={"max_pixels": 9}), alpha=True, progress=False)
    api.paint(max_pixels=100, progress=False)
    assert [dict(recipe.options) for recipe, *_ in asked] == [
        {"max_pixels": 9, "alpha": True},
        {"max_pixels": 100},
    ]


def test_until_and_budget_are_read_as_on_the_command_line(asked: Any) -> None:
    api.paint(until="psnr=30", budget="2m", progress=False)
    api.digits(budget=45, progress=False)
    assert asked[0][2]["until"] == Until("psnr", 30.0) and asked[0][2]["budget"] == 120.0
    assert asked[1][2]["budget"] == 45.0
    assert "say" not in asked[0][2], "who wants no progress is told nothing"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: api.paint(budget="1m", epochs=3, progress=False), RecipeError, "budget"),
        (lambda: api.digits(budget=9, steps=3, progress=False), RecipeError, "budget"),
        (lambda: api.paint(budget="soon", progress=False), RecipeError, "soon"),
        (lambda: api.paint(until="psnr", progress=False), RecipeError, "until='psnr' is unknown"),
        (lambda: api.paint(recipe="", progress=False), RecipeError, "recipe '' is unknown"),
        (lambda: api.digits(recipe="", progress=False), RecipeError, "recipe '' is unknown"),
        (lambda: api.paint(recipe="sirne", progress=False), RecipeError, "did you mean 'siren'"),
        (lambda: api.paint(recipe=Recipe(task="digits"), progress=False), RecipeError, "is of task digits"),
        (lambda: api.digits(recipe=Recipe(), progress=False), RecipeError, "is of task picture"),
        (lambda: api.digits(recipe="siren", progress=False), RecipeError, "is of task picture"),
        (lambda: api.paint(ratee=3, progress=False), RecipeError, "did you mean 'rate'"),
        (lambda: api.paint("nowhere.png", **TINY, steps=1, progress=False), PictureError, "nowhere.png"),
        (lambda: api.paint(object(), progress=False), PictureError, "cannot be made of object"),  # type: ignore[arg-type]
        (lambda: api.digits("letters", **TINY, epochs=1, progress=False), TaskError, "letters"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_no_run(
    call: Any, error: type[Exception], says: str, folder: Path
) -> None:
    with pytest.raises(error, match=says):
        call()
    assert not (folder / "runs").exists()


PIXELS = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS / np.float32(255),
        PIXELS.tolist(),
        Image.fromarray(PIXELS),
        picture.from_array(PIXELS / np.float32(255)),
    ],
    ids=["bytes", "floats", "a list", "Pillow's", "a Picture"],
)
def test_pictures_in_memory_are_the_same_picture(given: Any, asked: Any) -> None:
    if isinstance(given, list):
        given = np.array(given, np.uint8)
    api.paint(given, progress=False)
    assert np.array_equal(asked[0][1].values, PIXELS / np.float32(255))


def test_a_grey_array_is_a_grey_picture_and_none_the_built_in_one(asked: Any) -> None:
    api.paint(np.ones((4, 5)), progress=False)
    api.paint(progress=False)
    assert asked[0][1].values.shape[:2] == (4, 5) and asked[1][1] is None


def test_digits_uses_its_own_recipes(asked: Any) -> None:
    api.digits("fashion", progress=False)
    api.digits(recipe="2012", epochs=2, progress=False)
    assert asked[0][:2] == (NAMED_FOR["digits"]["best"][0], "fashion")
    assert asked[1][0] == NAMED_FOR["digits"]["2012"][0].replace(epochs=2)


def test_every_verb_gives_a_run_with_views(photo: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"out": tmp_path / "runs", "progress": False}
    run = sfumato.paint(photo, **TINY, epochs=2, watch=FEW, **options)
    longer = sfumato.resume(run, epochs=3, progress=False)
    other = sfumato.fork(longer, 4, {"rate": 0.5}, **options)
    assert all(type(one) is Run for one in (run, longer, other))
    assert longer.folder == run.folder != other.folder
    assert longer.last["epoch"] == 3 and other.recipe.rate == 0.5 and other.steps()[0] == 4
    assert other.image().values.shape == (9, 13, 3)


def test_a_run_may_be_named_by_its_folder_and_numbers_be_numpys(photo: Path, tmp_path: Path) -> None:
    run = sfumato.paint(photo, out=tmp_path, progress=False, until=Until("psnr", 1e3), **TINY, epochs=1)
    again = sfumato.resume(str(run.folder), epochs="2", until="psnr=2", progress=False)
    assert again.folder == run.folder and again.recipe.epochs == 2 and again.reached
    fork = sfumato.fork(run.folder, np.int64(1), {"rate": np.float32(0.5)}, out=tmp_path, progress=False)
    assert fork.recipe.rate == 0.5


@pytest.mark.parametrize("step", [0.5, "1"])
def test_a_fork_leaves_at_a_whole_step(photo: Path, tmp_path: Path, step: Any) -> None:
    run = sfumato.paint(photo, out=tmp_path, progress=False, **TINY, epochs=1)
    with pytest.raises(RecipeError, match="no whole number"):
        sfumato.fork(run, step, {}, out=tmp_path, progress=False)


def test_a_say_of_ones_own_hears_everything_and_nothing_is_printed(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    run = sfumato.perform(
        Recipe(net=(5,), batch=32, epochs=2, engine="eager"),
        str(photo),
        out=tmp_path,
        watch=FEW,
        say=lambda event, facts: heard.append(event),
    )
    assert heard[0] == "start" and heard[-1] == "done" and heard.count("beat") == len(run.history)
    assert capsys.readouterr() == ("", "")
