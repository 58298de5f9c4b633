"""A recipe is a value: hashable, never changed, and holds what its JSON can hold."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato import picture
from sfumato.errors import PictureError, RecipeError
from sfumato.recipe import NAMED_FOR, Recipe

RECIPES = [recipe for recipes in NAMED_FOR.values() for recipe, _ in recipes.values()]
WATCH = sfumato.Watch(film="none")


@pytest.mark.parametrize("recipe", [*RECIPES, Recipe(options={"a": [1, {"b": [2]}]}), Recipe(net=[3, 4])])  # type: ignore[arg-type]
def test_recipes_are_values(recipe: Recipe) -> None:
    for same in (
        copy.deepcopy(recipe),
        pickle.loads(pickle.dumps(recipe)),
        Recipe.from_json(recipe.to_json()),
    ):
        assert same == recipe and hash(same) == hash(recipe) and {recipe: 1}[same] == 1
    assert recipe.replace(options={"x": 1}) != recipe


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.update(a=2),
        lambda o: o.pop("a"),
        lambda o: o.clear(),
        lambda o: o.setdefault("b", 1),
        lambda o: o.popitem(),
        lambda o: o.__setitem__("a", 2),
        lambda o: o.__delitem__("a"),
        lambda o: o["deep"].update(a=2),
        lambda o: o["list"].append(2),
    ],
)
def test_options_cannot_be_changed(change: Any) -> None:
    given = {"a": 1, "deep": {"a": 1}, "list": [1]}
    recipe = Recipe(options=given)
    with pytest.raises((TypeError, AttributeError)):
        change(recipe.options)
    given["a"] = 5
    assert recipe.options == {"a": 1, "deep": {"a": 1}, "list": (1,)}


@pytest.mark.parametrize(
    "fields", [{"activation": torch.tanh}, {"encoding": torch.nn.Identity}, {"options": {"x": {1, 2}}}]
)
def test_what_a_run_cannot_keep_is_refused_before_anything_is_written(
    photo: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with pytest.raises(RecipeError, match=r"recipe.json cannot hold|must be JSON"):
        sfumato.paint(photo, net="8", steps=2, out=tmp_path / "runs", watch=WATCH, **fields)
    assert not (tmp_path / "runs").exists()


def test_pictures_in_memory_are_learned_as_their_files_are(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as opened:
        opened.load()
    array = np.asarray(opened)
    loaded = picture.load(photo)
    runs = [
        sfumato.paint(source, net="8", steps=3, out=tmp_path / "runs", watch=WATCH)
        for source in (photo, opened, array, array.astype(np.float32) / 255, loaded)
    ]
    nets = [sfumato.load_net(run.folder).state_dict() for run in runs]
    for net in nets[1:]:
        assert all(torch.equal(nets[0][name], net[name]) for name in net)
    assert all(np.array_equal(run.target.values, loaded.values) for run in runs)
    again = sfumato.resume(runs[2], epochs=5)
    assert again.last["epoch"] == 5.0


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 4), np.int32), np.zeros((0, 4)), object(), Image.new("CMYK", (4, 3))]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(PictureError):
        sfumato.paint(wrong, net="8", steps=1, out=tmp_path / "runs", watch=WATCH)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_pillows_pictures_are_read_as_their_files(tmp_path: Path, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    if mode == "I;16":
        made = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    else:
        made = Image.fromarray(values).convert(mode)
    made.save(tmp_path / "a.png")
    file = picture.load(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        shown = picture.flatten(picture.from_pillow(opened))
    assert np.allclose(shown.values, file.values, atol=1e-6)  # grey may come as three equal channels
    assert shown.name == "a"
