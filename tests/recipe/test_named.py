"""Recipes by name and from files; what a budget in epochs chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfumato.errors import RecipeError
from sfumato.learning import optimizers
from sfumato.nets import activations, encodings
from sfumato.recipe import NAMED, NAMED_FOR, Recipe, difference, for_budget, named, of_task, pick, read_recipe


@pytest.mark.parametrize("name", NAMED)
def test_every_named_recipe_survives_json_and_can_be_picked(name: str) -> None:
    recipe, sentence = NAMED[name]
    assert named(name) is recipe is read_recipe(name)
    assert Recipe.from_json(recipe.to_json()) == recipe
    for module, field in ((activations, "activation"), (encodings, "encoding"), (optimizers, "optimizer")):
        pick(module, getattr(recipe, field), field)
    assert len(sentence) < 100 and "\n" not in sentence


def test_a_file_may_hold_a_part_and_name_its_parent(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"base": "siren", "rate": 0.25}')
    for path in (tmp_path, tmp_path / "recipe.json"):
        assert difference(named("siren"), read_recipe(str(path))) == {"rate": (5e-4, 0.25)}


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"mine\.json' cannot be read"):
        read_recipe(str(path))


def test_an_unknown_name_meets_its_neighbour() -> None:
    with pytest.raises(RecipeError, match="recipe 'clasic' is unknown; did you mean 'classic'"):
        read_recipe("clasic")


@pytest.mark.parametrize(("epochs", "batch", "rate"), [(1, 2048, 0.03), (150, 2048, 0.03), (151, 4096, 0.04)])
def test_classic_takes_batch_and_rate_from_the_epochs_that_somebody_says(
    epochs: float, batch: int, rate: float
) -> None:
    found = for_budget(named("classic").replace(epochs=epochs), {"epochs", "seed"})
    assert (found.batch, found.rate, found.epochs) == (batch, rate, epochs)
    assert found == named("classic").replace(epochs=epochs, batch=batch, rate=rate)


def test_what_somebody_says_stays_as_it_is() -> None:
    short = named("classic").replace(epochs=20)
    for said in ({"batch", "epochs"}, {"rate", "epochs"}, {"steps", "epochs"}, {"net"}, set()):
        assert for_budget(short, said) == short
    for changes in ({"batch": 512}, {"sampling": "uniform"}, {"activation": "sine"}, {"net": (64, 64)}):
        other = short.replace(**changes)
        assert for_budget(other, {"epochs"}) == other
    sharp = named("sharp").replace(epochs=20)
    assert for_budget(sharp, {"epochs"}) == sharp


def test_a_recipe_for_a_budget_is_one_for_good() -> None:
    """Stored with batch and rate written out, it comes back as it was, whatever is said the second time."""
    found = for_budget(named("classic").replace(epochs=20), {"epochs"})
    assert for_budget(Recipe.from_json(found.to_json()), {"epochs"}) == found


@pytest.mark.parametrize("task", NAMED_FOR)
def test_a_recipe_is_of_the_task_that_lists_it(task: str) -> None:
    for name, (recipe, _) in NAMED_FOR[task].items():
        assert recipe.task == task and named(name, task) is recipe
        assert of_task(recipe, task) is recipe


def test_a_recipe_of_another_task_is_named_with_its_verb() -> None:
    with pytest.raises(
        RecipeError, match=r"recipe 'best' is of task digits \(sfumato digits\), not of picture"
    ):
        named("best")
    with pytest.raises(
        RecipeError, match=r"recipe 'siren' is of task picture \(sfumato paint\), not of digits"
    ):
        named("siren", "digits")
    with pytest.raises(RecipeError, match="this recipe is of task digits, not of picture\nhint: a file may"):
        of_task(Recipe(task="digits"), "picture")


def test_a_file_of_another_task_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"task": "digits"}')
    with pytest.raises(RecipeError, match=r"mine\.json is of task digits, not of picture"):
        read_recipe(str(path))
    assert read_recipe(str(path), "digits").task == "digits"
