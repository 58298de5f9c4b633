"""Recipes by name, and recipes from files."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from ..errors import RecipeError
from .fields import Recipe
from .variants import near

__all__ = ["NAMED", "NAMED_FOR", "for_budget", "named", "of_task", "read_recipe"]

_CLASSIC = Recipe(
    init="published:gain=0.5",
    optimizer="muon:beta2=0.99,blocks=2",
    rate=0.04,
    schedule="cosine",
    warmup=0.05,
    wake=32,
    sampling="error",
    batch=4096,
    precision="auto",
)
_2012 = Recipe(
    activation="leaky_relu:slope=0.01",
    encoding="raw",
    init="gaussian:scale=0.3",
    coordinates="corners",
    loss="half_square",
    optimizer="sgd:fan_in=True",
    rate=0.1,
    schedule="constant",
    batch=1,
)
_DIGITS_2012 = Recipe(
    task="digits",
    net=(6000,),
    activation="leaky_relu:slope=0.01",
    encoding="raw",
    skip=True,
    init="gaussian:scale=0.2",
    loss="half_square",
    optimizer="sgd:fan_in=True",
    rate=0.3,
    schedule="constant",
    batch=1,
    epochs=30.0,
    engine="regrouped",
    options={"order": "file"},
)

_DIGITS = Recipe(
    task="digits",
    net=(6000,),
    encoding="raw",
    init="gaussian:scale=0.2",
    loss="cross_entropy:smoothing=0.1",
    rate=0.0015,
    warmup=0.1,
    dropout=(0.1, 0.3),
    batch=128,
    epochs=12.0,
    precision="auto-all",
)

_SINE = Recipe(
    net=(256,) * 4,
    activation="sine:omega=30",
    optimizer="adam:beta2=0.99",
    rate=5e-4,
    schedule="hold:share_held=0.6,floor=0.02",
    batch=4096,
    epochs=100.0,
)

NAMED: dict[str, tuple[Recipe, str]] = {
    "classic": (
        _CLASSIC,
        "4 hidden layers of 300 rectified linear units on raw x, y: the net of the 2012 post",
    ),
    "2012": (
        _2012,
        "the original program to the letter: a sample a step, its own rates, start and coordinates",
    ),
    "2012-code": (
        _2012.replace(net=(300,) * 6),
        "the same with the six hidden layers of its published source",
    ),
    "siren": (_SINE, "sine units, Sitzmann et al. 2020 (arXiv 2006.09661)"),
    "finer": (_SINE.replace(activation="finer:omega=30"), "variable-periodic sines, Liu et al. 2024 (CVPR)"),
    "fourier": (
        _CLASSIC.replace(
            encoding="fourier:bands=128,sigma=10",
            optimizer="muon:beta2=0.99",
            sampling="uniform",
            rate=0.02,
            warmup=0.1,
            epochs=100.0,
        ),
        "random Fourier features before the classic net, Tancik et al. 2020 (arXiv 2006.10739)",
    ),
    "sharp": (
        Recipe(
            net=(64, 64),
            encoding="grid",
            optimizer="adam:beta2=0.99,eps=1e-15",
            rate=1e-2,
            schedule="hold:share_held=0.6,floor=0.02",
            batch=8192,
            epochs=200.0,
        ),
        "a trainable multi-resolution grid and a small net, after Mueller et al. 2022 (arXiv 2201.05989)",
    ),
}
"""Named recipes: the recipe and one sentence. A task may add its own in its `RECIPES`."""


NAMED_FOR: dict[str, dict[str, tuple[Recipe, str]]] = {
    "picture": NAMED,
    "digits": {
        "2012": (
            _DIGITS_2012,
            "the original: 6000 leaky units and a skip connection, a digit a step in file order",
        ),
        "best": (_DIGITS, "one hidden layer of 6000, regularised and trained as the validation set advised"),
    },
    "gigapixel": {
        "large": (
            NAMED["sharp"][0].replace(
                task="gigapixel",
                encoding="grid:levels=16,base=16,growth=1.42,log2_table=17",
                batch=32768,
                epochs=4.0,
            ),
            "a grid of 16 levels and a small net, for pictures that are trained on shard by shard",
        ),
    },
}
"""Task -> its named recipes."""


def named(name: str, task: str = "picture") -> Recipe:
    """The recipe called `name` of a task; raises RecipeError with the nearest names if there is none."""
    known = NAMED_FOR.get(task, {})
    if name in known:
        return known[name][0]
    others = [other for other, theirs in NAMED_FOR.items() if name in theirs]
    if others:
        verb = {"picture": "sfumato paint"}.get(others[0], f"sfumato {others[0]}")
        raise RecipeError(
            f"recipe {name!r} is of task {others[0]} ({verb}), not of {task}\n"
            f"hint: here are {', '.join(sorted(known))}"
        )
    raise RecipeError(f"recipe {name!r} is unknown; {near(name, list(known))}")


def of_task(recipe: Recipe, task: str, where: str = "this recipe") -> Recipe:
    """The recipe itself; RecipeError if it is of another task."""
    if recipe.task != task:
        raise RecipeError(
            f"{where} is of task {recipe.task}, not of {task}\nhint: a file may say its task, or its base"
        )
    return recipe


BATCHES = ((150, 2048, 0.03), (math.inf, 4096, 0.04))
"""Of `classic`: up to so many epochs, this batch at this rate. Short runs need steps more than they need calm ones;
at batch 1024 a rate of 0.05 ends in dead units on a full picture (docs/recipes.md)."""


def for_budget(recipe: Recipe, said: Collection[str]) -> Recipe:
    """`recipe` with the batch and rate that suit its `epochs`, if it is `classic` in all that they depend on.

    said: fields that somebody chose by name; batch and rate stay as they are if either is among them, and so does a
    recipe whose epochs nobody chose. Pure, so repeating a stored recipe, whose batch and rate are written out,
    changes nothing.
    """
    classic = NAMED["classic"][0]
    alike = ("net", "activation", "encoding", "optimizer", "sampling", "schedule", "rate", "batch", "steps")
    if "epochs" not in said or {"batch", "rate", "steps"} & set(said):
        return recipe
    if any(getattr(recipe, name) != getattr(classic, name) for name in alike):
        return recipe
    batch, rate = next((batch, rate) for most, batch, rate in BATCHES if recipe.epochs <= most)
    return recipe.replace(batch=batch, rate=rate)


def read_recipe(text: str, task: str = "picture") -> Recipe:
    """A named recipe of a task, or the path of a JSON file that holds any part of the fields (`base` names a
    parent). Raises RecipeError where there is none, or it is of another task."""
    path = Path(text)  # of no text: this folder, which nobody means
    if not text or text in NAMED_FOR.get(task, {}) or not (path.suffix == ".json" or path.exists()):
        return named(text, task)
    if path.is_dir():
        path = path / "recipe.json"
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise RecipeError(f"recipe file {str(path)!r} cannot be read: {reason}") from error
    made = Recipe.from_json(content, where=str(path), base=lambda name: named(name, task))
    return of_task(made, task, str(path))
